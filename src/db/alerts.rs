//! Table `alerts`: what somebody should look at, one open row a cause.

use uuid::Uuid;

use super::{Db, Failed};
use crate::lineage::LineName;

impl Db {
    /// Raises an alert, or counts once more where its cause is open already.
    ///
    /// # Errors
    /// When the database fails.
    pub fn raise_alert(
        &mut self,
        line: &LineName,
        cause: &str,
        severity: &str,
        message: &str,
    ) -> anyhow::Result<()> {
        self.client
            .execute(
                "INSERT INTO alerts (alert_id, line, cause, severity, message, raised_at, last_seen_at)
                 VALUES ($1, $2, $3, $4, $5, clock_timestamp(), clock_timestamp())
                 ON CONFLICT (cause) WHERE resolved_at IS NULL
                 DO UPDATE SET last_seen_at = clock_timestamp(), n_seen = alerts.n_seen + 1,
                               message = EXCLUDED.message",
                &[&Uuid::now_v7(), &line.as_str(), &cause, &severity, &message],
            )
            .failed("cannot raise an alert")?;
        Ok(())
    }

    /// Closes the alert of a cause that is gone.
    ///
    /// # Errors
    /// When the database fails.
    pub fn resolve_alert(&mut self, cause: &str) -> anyhow::Result<()> {
        self.client
            .execute(
                "UPDATE alerts SET resolved_at = clock_timestamp() WHERE cause = $1 AND resolved_at IS NULL",
                &[&cause],
            )
            .failed("cannot close an alert")?;
        Ok(())
    }

    /// Alerts that are not resolved.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_alerts(&mut self) -> anyhow::Result<i64> {
        let row = self
            .client
            .query_one("SELECT count(*) FROM alerts WHERE resolved_at IS NULL", &[])
            .failed("cannot count alerts")?;
        Ok(row.get(0))
    }
}
