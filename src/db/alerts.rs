//! Table `alerts`: what somebody should look at. Raising them comes with monitoring; here they are counted.

use super::{Db, Failed};

impl Db {
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
