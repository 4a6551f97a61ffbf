//! What a line's bets brought and when it was told to bet again: `trading_signals` with a size, `breaker_resumes`, and from when
//! on they count (`model_promotions`).
//!
//! Not here: what follows from it (`signal`).

use chrono::{DateTime, Utc};

use super::{Db, Failed};
use crate::lineage::LineName;

impl Db {
    /// When another recipe began to answer, as far as `as_of` knows: the last promotion on the change track, else the first of
    /// all; `None` before any.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_change(
        &mut self,
        line: &LineName,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Option<DateTime<Utc>>> {
        let row = self
            .client
            .query_one(
                "SELECT max(as_of) FROM model_promotions
                  WHERE line = $1 AND as_of <= $2 AND action = 'promote'
                    AND (from_version IS NULL OR gate ->> 'track' = 'change')",
                &[&line.as_str(), &as_of],
            )
            .failed("cannot read when the line changed last")?;
        Ok(row.get(0))
    }

    /// The last `aifx resume` of a line up to an instant.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_resume(
        &mut self,
        line: &LineName,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Option<DateTime<Utc>>> {
        let row = self
            .client
            .query_one(
                "SELECT max(as_of) FROM breaker_resumes WHERE line = $1 AND as_of <= $2",
                &[&line.as_str(), &as_of],
            )
            .failed("cannot read when the line was resumed")?;
        Ok(row.get(0))
    }

    /// Records that a line bets again.
    ///
    /// # Errors
    /// When the database fails.
    pub fn resume(
        &mut self,
        line: &LineName,
        reason: &str,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        self.client
            .execute(
                "INSERT INTO breaker_resumes (line, resumed_at, reason, as_of)
                 VALUES ($1, clock_timestamp(), $2, $3) ON CONFLICT DO NOTHING",
                &[&line.as_str(), &reason, &as_of],
            )
            .failed("cannot record the resume")?;
        Ok(())
    }

    /// Return of the account by the UTC day on which bets closed, in order: a share each, days without one left out.
    ///
    /// # Errors
    /// When the database fails.
    pub fn bets_by_day(
        &mut self,
        line: &LineName,
        since: DateTime<Utc>,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<f64>> {
        let rows = self
            .client
            .query(
                "SELECT sum(position_size * pnl_net::float8 / nullif(entry_price::float8, 0))
                   FROM trading_signals
                  WHERE line = $1 AND NOT shadow AND position_size > 0 AND outcome IS NOT NULL
                    AND closed_at > $2 AND closed_at <= $3
                  GROUP BY (closed_at AT TIME ZONE 'UTC')::date
                 HAVING sum(position_size * pnl_net::float8 / nullif(entry_price::float8, 0)) IS NOT NULL
                  ORDER BY (closed_at AT TIME ZONE 'UTC')::date",
                &[&line.as_str(), &since, &as_of],
            )
            .failed("cannot add up what the bets brought")?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Whether an alarm rang at the monitor's last look in a stretch.
    ///
    /// # Errors
    /// When the database fails.
    pub fn rang_last(
        &mut self,
        line: &LineName,
        alarm: &str,
        since: DateTime<Utc>,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<bool> {
        let row = self
            .client
            .query_opt(
                "SELECT $2 = ANY (string_to_array(substring(verdict FROM '^alert:(.*)$'), ','))
                   FROM monitoring_runs WHERE line = $1 AND as_of > $3 AND as_of <= $4
                  ORDER BY as_of DESC, id DESC LIMIT 1",
                &[&line.as_str(), &alarm, &since, &as_of],
            )
            .failed("cannot read what the monitor found last")?;
        Ok(row.and_then(|row| row.get::<_, Option<bool>>(0)).unwrap_or(false))
    }
}
