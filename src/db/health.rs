//! What the server says about itself: for `doctor`. Not here: where the schema stands (`migrate`).

use chrono::{DateTime, Utc};

use super::{Db, Failed};

/// What the server says about itself and this session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    /// Such as 15.14.
    pub version: String,
    /// Such as 150014.
    pub version_number: i32,
    /// Who we are.
    pub user: String,
    /// Whether that user may do anything at all.
    pub is_superuser: bool,
    /// Whether the session may not write.
    pub is_read_only: bool,
    /// The server's clock.
    pub at: DateTime<Utc>,
}

impl Db {
    /// The server's clock, and by it the newest row of a run, a version or a move.
    ///
    /// # Errors
    /// When the database fails.
    pub fn clock(&mut self) -> anyhow::Result<(DateTime<Utc>, Option<DateTime<Utc>>)> {
        let row = self
            .client
            .query_one(
                "SELECT clock_timestamp(), greatest((SELECT max(started_at) FROM model_training_log),
                     (SELECT max(recorded_at) FROM model_versions), (SELECT max(recorded_at) FROM model_promotions))",
                &[],
            )
            .failed("cannot ask the database for its clock")?;
        Ok((row.get(0), row.get(1)))
    }

    /// Asks the server about itself.
    ///
    /// # Errors
    /// When the database fails.
    pub fn health(&mut self) -> anyhow::Result<Health> {
        let doing = "cannot ask the database about itself";
        let row = self
            .client
            .query_one(
                "SELECT current_setting('server_version'), current_setting('server_version_num')::int,
                     current_user::text, current_setting('is_superuser') = 'on',
                     current_setting('transaction_read_only') = 'on', clock_timestamp()",
                &[],
            )
            .failed(doing)?;
        Ok(Health {
            version: row.get(0),
            version_number: row.get(1),
            user: row.get(2),
            is_superuser: row.get(3),
            is_read_only: row.get(4),
            at: row.get(5),
        })
    }
}
