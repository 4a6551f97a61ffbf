//! Table `trials`: every version ever scored. The gate deflates by their number; it is counted, not configured.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use postgres::GenericClient;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::{Db, Failed};
use crate::{
    gate::Track,
    lineage::{LineName, Version},
};

/// One score of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Which question it answered.
    pub track: Track,
    /// First decision that was scored.
    pub scored_from: DateTime<Utc>,
    /// Last decision that was scored.
    pub scored_until: DateTime<Utc>,
    /// Samples that were scored.
    pub n_samples: u64,
    /// Trading days that were scored.
    pub n_days: u64,
    /// Figures of the score.
    pub metrics: Value,
    /// Whether the gate let it through; none where it was scored and not judged.
    #[serde(default)]
    pub passed: Option<bool>,
}

/// What a version's trades paid on the trading days that it was scored on, shares of the account.
pub type DailyReturns = BTreeMap<NaiveDate, f64>;

/// Writes a score in the caller's transaction; the same run scores a version once.
pub(in crate::db) fn insert(
    client: &mut impl GenericClient,
    line: &LineName,
    version: Version,
    run_id: Uuid,
    trial: &Trial,
    as_of: DateTime<Utc>,
) -> Result<(), postgres::Error> {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    client.execute(
        "INSERT INTO trials (line, version, run_id, track, scored_from, scored_until, n_samples, n_days, metrics, as_of, verdict)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (line, version, run_id) DO NOTHING",
        &[
            &line.as_str(),
            &version.to_string(),
            &run_id,
            &trial.track.name(),
            &trial.scored_from,
            &trial.scored_until,
            &count(trial.n_samples),
            &count(trial.n_days),
            &trial.metrics,
            &as_of,
            &trial.passed.map(|passed| if passed { "passed" } else { "refused" }),
        ],
    )?;
    Ok(())
}

impl Db {
    /// Records a score outside a publication (a monthly ranking, a comparison by hand).
    ///
    /// # Errors
    /// When the database fails.
    pub fn record_trial(
        &mut self,
        line: &LineName,
        version: Version,
        run_id: Uuid,
        trial: &Trial,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        insert(&mut self.client, line, version, run_id, trial, as_of)
            .failed(&format!("cannot record that {line} {version} was scored"))
    }

    /// How many versions of a line were ever scored, up to `as_of`, `but` the one that is asked about.
    ///
    /// # Errors
    /// When the database fails.
    pub fn count_trials(
        &mut self,
        line: &LineName,
        but: Option<Version>,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<u64> {
        let row = self
            .client
            .query_one(
                "SELECT count(DISTINCT version) FROM trials
                  WHERE line = $1 AND as_of <= $2 AND version IS DISTINCT FROM $3",
                &[&line.as_str(), &as_of, &but.map(|version| version.to_string())],
            )
            .failed(&format!("cannot count the trials of {line}"))?;
        Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
    }

    /// Verdicts that the change track has given since an instant, each judging of a version by itself, and the versions that
    /// were promoted on one. Forced moves and what came after `as_of` are none of either; nor are the promotions of the version
    /// that is asked about, `but`, its discoveries.
    ///
    /// # Errors
    /// When the database fails.
    pub fn change_trials(
        &mut self,
        line: &LineName,
        but: Option<Version>,
        since: DateTime<Utc>,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<(u64, u64)> {
        let row = self
            .client
            .query_one(
                "SELECT count(*),
                        count(DISTINCT t.version) FILTER (WHERE t.version IS DISTINCT FROM $4 AND EXISTS (
                            SELECT 1 FROM model_promotions p
                             WHERE p.line = t.line AND p.to_version = t.version AND p.action = 'promote'
                                   AND NOT p.forced AND p.as_of <= $3))
                   FROM trials t
                  WHERE t.line = $1 AND t.track = 'change' AND t.as_of > $2 AND t.as_of <= $3",
                &[&line.as_str(), &since, &as_of, &but.map(|version| version.to_string())],
            )
            .failed(&format!("cannot count the changes of {line}"))?;
        let count = |place: usize| u64::try_from(row.get::<_, i64>(place)).unwrap_or(0);
        Ok((count(0), count(1)))
    }

    /// Daily returns of the versions that were scored, of each those of its last score that kept them, newest version last.
    ///
    /// # Errors
    /// When the database fails.
    pub fn trial_returns(
        &mut self,
        line: &LineName,
        but: Option<Version>,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<DailyReturns>> {
        let rows = self
            .client
            .query(
                "SELECT returns FROM (
                     SELECT DISTINCT ON (version) id, metrics->'returns' AS returns FROM trials
                      WHERE line = $1 AND as_of <= $2 AND version IS DISTINCT FROM $3
                            AND jsonb_typeof(metrics->'returns') = 'object'
                      ORDER BY version, id DESC) newest
                  ORDER BY id",
                &[&line.as_str(), &as_of, &but.map(|version| version.to_string())],
            )
            .failed(&format!("cannot read the returns of {line}"))?;
        let read = |value: Value| serde_json::from_value(value).unwrap_or_default();
        Ok(rows.iter().map(|row| read(row.get(0))).collect())
    }

    /// Annualised Sharpe ratios of the versions that were scored, one each, where there is one.
    ///
    /// # Errors
    /// When the database fails.
    pub fn trial_sharpes(
        &mut self,
        line: &LineName,
        but: Option<Version>,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<f64>> {
        let rows = self
            .client
            .query(
                "SELECT DISTINCT ON (version) (metrics->>'sharpe')::float8 FROM trials
                  WHERE line = $1 AND as_of <= $2 AND version IS DISTINCT FROM $3
                        AND jsonb_typeof(metrics->'sharpe') = 'number'
                  ORDER BY version, id DESC",
                &[&line.as_str(), &as_of, &but.map(|version| version.to_string())],
            )
            .failed(&format!("cannot read the scores of {line}"))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}
