//! Table `alerts`: what somebody should look at, one open row a cause.
//!
//! An alert carries two clocks: the database's, by which people are told of it, and the instants that the runs took for now, by
//! which it is shown.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{Db, Failed};
use crate::lineage::LineName;

/// Hours for which people are not told of the same cause again.
const COOL_DOWN_H: i32 = 1;

impl Db {
    /// Raises an alert, or counts once more where its cause is open already. True where people should be told now: they
    /// were not yet, or longer ago than the cool-down.
    ///
    /// # Errors
    /// When the database fails.
    pub fn raise_alert(
        &mut self,
        line: &LineName,
        cause: &str,
        severity: &str,
        message: &str,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<bool> {
        let row = self
            .client
            .query_one(
                "INSERT INTO alerts (alert_id, line, cause, severity, message, raised_at, last_seen_at, as_of, seen_as_of)
                 VALUES ($1, $2, $3, $4, $5, clock_timestamp(), clock_timestamp(), $7, $7)
                 ON CONFLICT (cause) WHERE resolved_at IS NULL
                 DO UPDATE SET last_seen_at = clock_timestamp(), n_seen = alerts.n_seen + 1,
                               seen_as_of = greatest(alerts.seen_as_of, EXCLUDED.seen_as_of), message = EXCLUDED.message
                 RETURNING notified_at IS NULL OR notified_at < clock_timestamp() - make_interval(hours => $6)",
                &[&Uuid::now_v7(), &line.as_str(), &cause, &severity, &message, &COOL_DOWN_H, &as_of],
            )
            .failed("cannot raise an alert")?;
        Ok(row.get(0))
    }

    /// Remembers that people were told of an open alert.
    ///
    /// # Errors
    /// When the database fails.
    pub fn alert_told(&mut self, cause: &str) -> anyhow::Result<()> {
        self.client
            .execute(
                "UPDATE alerts SET notified_at = clock_timestamp() WHERE cause = $1 AND resolved_at IS NULL",
                &[&cause],
            )
            .failed("cannot record that an alert was sent")?;
        Ok(())
    }

    /// Closes the alert of a cause that is gone. True where people were told of it, and should hear that it is over.
    ///
    /// # Errors
    /// When the database fails.
    pub fn resolve_alert(&mut self, cause: &str, as_of: DateTime<Utc>) -> anyhow::Result<bool> {
        let row = self
            .client
            .query_opt(
                "UPDATE alerts SET resolved_at = clock_timestamp(), resolved_as_of = greatest(seen_as_of, $2)
                  WHERE cause = $1 AND resolved_at IS NULL RETURNING notified_at IS NOT NULL",
                &[&cause, &as_of],
            )
            .failed("cannot close an alert")?;
        Ok(row.is_some_and(|row| row.get(0)))
    }
}
