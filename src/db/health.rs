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
