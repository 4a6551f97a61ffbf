//! Table `monitoring_runs`: what was looked at and what followed: the quality of the candles after a collect, and what the
//! monitor found about a line.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Db, Failed, columns};
use crate::{
    lineage::{LineName, Version},
    market::{Pair, Timeframe},
};

/// How it stood with the candles of a series when they were last collected.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct QualityRow {
    /// The pair.
    pub pair: String,
    /// The timeframe.
    pub timeframe: String,
    /// `fresh`, `late`, `gap`, `spike` or `flat`.
    pub verdict: String,
    /// Why.
    pub reason: Option<String>,
    /// The instant that the collect took for now.
    pub as_of: DateTime<Utc>,
}

/// What the monitor found about a line.
#[derive(Debug, Clone, PartialEq)]
pub struct MonitorRow {
    /// The version that answers.
    pub version: Option<Version>,
    /// Start of the longest window; it ends at the instant of the run.
    pub window_from: DateTime<Utc>,
    /// Settled samples in it.
    pub n_samples: Option<u64>,
    /// Figures, window by window.
    pub metrics: Value,
    /// The features against the reference.
    pub drift: Option<Value>,
    /// How well now can be told from the reference.
    pub domain: Option<Value>,
    /// Promotions that may yet be taken back.
    pub probation: Value,
    /// Jobs that are wanted.
    pub triggers: Value,
    /// `none`, or `alert:` with the names of what rings.
    pub verdict: String,
    /// In words.
    pub reason: Option<String>,
}

impl Db {
    /// Records what the monitor found.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record_monitor(
        &mut self,
        line: &LineName,
        row: &MonitorRow,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        self.client
            .execute(
                "INSERT INTO monitoring_runs (run_id, line, version, window_from, window_until, n_samples, metrics, drift,
                        verdict, reason, as_of, domain, probation, triggers)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $5, $11, $12, $13)",
                &[
                    &Uuid::now_v7(),
                    &line.as_str(),
                    &row.version.map(|version| version.to_string()),
                    &row.window_from,
                    &as_of,
                    &row.n_samples.and_then(|n| i64::try_from(n).ok()),
                    &row.metrics,
                    &row.drift,
                    &row.verdict,
                    &row.reason,
                    &row.domain,
                    &row.probation,
                    &row.triggers,
                ],
            )
            .failed("cannot record what the monitor found")?;
        Ok(())
    }

    /// When an alarm of a line last rang, up to `as_of`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_rang(
        &mut self,
        line: &LineName,
        alarm: &str,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Option<DateTime<Utc>>> {
        let row = self
            .client
            .query_one(
                "SELECT max(as_of) FROM monitoring_runs
                  WHERE line = $1 AND as_of <= $3 AND verdict LIKE 'alert:%' AND $2 = ANY(string_to_array(substr(verdict, 7), ','))",
                &[&line.as_str(), &alarm, &as_of],
            )
            .failed("cannot read when an alarm last rang")?;
        Ok(row.get(0))
    }

    /// Records the verdict on a series.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record_quality(
        &mut self,
        pair: &Pair,
        timeframe: Timeframe,
        verdict: &str,
        reason: Option<&str>,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let metrics = json!({"pair": pair.to_string(), "timeframe": timeframe.name()});
        self.client
            .execute(
                "INSERT INTO monitoring_runs (verdict, reason, metrics, as_of) VALUES ($1, $2, $3, $4)",
                &[&format!("data:{verdict}"), &reason, &metrics, &as_of],
            )
            .failed("cannot record the quality of the candles")?;
        Ok(())
    }

    /// The last verdict on each series up to `as_of`, in the order asked for; series that were never collected are left out.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_quality(
        &mut self,
        series: &[(String, String)],
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<QualityRow>> {
        let (pairs, timeframes) = columns(series);
        // One look into the index a series: a collect every five minutes leaves a hundred thousand verdicts a year and series.
        let rows = self
            .client
            .query(
                "SELECT s.pair, s.timeframe, last.verdict, last.reason, last.as_of
                   FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS s (pair, timeframe, place)
                  CROSS JOIN LATERAL (SELECT m.verdict, m.reason, m.as_of FROM monitoring_runs m
                          WHERE m.verdict LIKE 'data:%' AND m.metrics ->> 'pair' = s.pair
                            AND m.metrics ->> 'timeframe' = s.timeframe AND m.as_of <= $3
                          ORDER BY m.as_of DESC, m.id DESC LIMIT 1) last
                  ORDER BY s.place",
                &[&pairs, &timeframes, &as_of],
            )
            .failed("cannot read the quality of the candles")?;
        Ok(rows
            .iter()
            .map(|row| QualityRow {
                pair: row.get(0),
                timeframe: row.get(1),
                verdict: row.get::<_, String>(2).trim_start_matches("data:").to_owned(),
                reason: row.get(3),
                as_of: row.get(4),
            })
            .collect())
    }
}
