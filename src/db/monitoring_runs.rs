//! Table `monitoring_runs`: what was looked at and what followed: the quality of the candles after a collect, and what the
//! monitor found about a line.

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Db, Failed};
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
                        verdict, reason, as_of)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $5)",
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

    /// The last verdict on each series up to `as_of`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_quality(&mut self, as_of: DateTime<Utc>) -> anyhow::Result<Vec<QualityRow>> {
        let rows = self
            .client
            .query(
                "SELECT DISTINCT ON (metrics->>'pair', metrics->>'timeframe') metrics, verdict, reason, as_of
                 FROM monitoring_runs WHERE verdict LIKE 'data:%' AND as_of <= $1
                 ORDER BY metrics->>'pair', metrics->>'timeframe', as_of DESC, id DESC",
                &[&as_of],
            )
            .failed("cannot read the quality of the candles")?;
        let text =
            |metrics: &Value, key: &str| metrics[key].as_str().unwrap_or_default().to_owned();
        Ok(rows
            .iter()
            .map(|row| {
                let metrics: Value = row.get(0);
                QualityRow {
                    pair: text(&metrics, "pair"),
                    timeframe: text(&metrics, "timeframe"),
                    verdict: row.get::<_, String>(1).trim_start_matches("data:").to_owned(),
                    reason: row.get(2),
                    as_of: row.get(3),
                }
            })
            .collect())
    }
}
