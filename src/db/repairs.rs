//! Table `repairs`: what recovery put right. Not here: finding and doing it (`registry::recover`).

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Db, Failed};
use crate::lineage::LineName;

/// How long a repair is told of.
const SHOWN_DAYS: i32 = 7;
/// How many are told of.
const SHOWN: i64 = 10;

/// Something that was put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Repair {
    /// What was done, in words.
    pub what: String,
    /// When, by the database clock.
    pub at: DateTime<Utc>,
}

impl Db {
    /// Records what was put right.
    ///
    /// # Errors
    /// When the database fails.
    pub fn record_repairs(&mut self, line: &LineName, healed: &[String]) -> anyhow::Result<()> {
        if healed.is_empty() {
            return Ok(());
        }
        self.client
            .execute(
                "INSERT INTO repairs (line, what) SELECT $1, unnest($2::text[])",
                &[&line.as_str(), &healed],
            )
            .failed("cannot record what was put right")?;
        Ok(())
    }

    /// What was put right within the last seven days, newest first, ten at most.
    ///
    /// # Errors
    /// When the database fails.
    pub fn recent_repairs(&mut self, line: &LineName) -> anyhow::Result<Vec<Repair>> {
        let rows = self
            .client
            .query(
                "SELECT what, recorded_at FROM repairs
                 WHERE line = $1 AND recorded_at > now() - make_interval(days => $2)
                 ORDER BY recorded_at DESC, id DESC LIMIT $3",
                &[&line.as_str(), &SHOWN_DAYS, &SHOWN],
            )
            .failed("cannot read what was put right")?;
        Ok(rows.iter().map(|row| Repair { what: row.get(0), at: row.get(1) }).collect())
    }
}
