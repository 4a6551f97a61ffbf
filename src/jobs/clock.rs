//! Whether the host's clock can be believed: what a job writes is ordered by it, and schedules go by it.
//!
//! The host's clock is held against the database's and against the newest rows that were written, by the database's clock then.
//! `--as-of` has no part in it: it is an argument and no clock. Not here: `doctor`'s check, which also warns.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{config::App, db::Db, fault::Fault};

/// Further apart than this, host and database do not agree on the day.
const MAX_SKEW: TimeDelta = TimeDelta::hours(1);
/// A row that is newer than the host's clock by more than this was not written before now.
const MAX_AHEAD: TimeDelta = TimeDelta::minutes(5);

/// Refuses a clock that is wrong before anything is written.
///
/// # Errors
/// Exit 3 with both clocks; else when the database fails.
pub fn check(app: &App, db: &mut Db) -> anyhow::Result<()> {
    let (database_at, newest) = db.clock()?;
    objection(app.host_at, database_at, newest).map_or(Ok(()), |why| {
        Err(Fault::config(why).hint("set the clocks by NTP; `aifx doctor` shows both").into())
    })
}

fn objection(
    host_at: DateTime<Utc>,
    database_at: DateTime<Utc>,
    newest: Option<DateTime<Utc>>,
) -> Option<String> {
    let shown = |at: DateTime<Utc>| at.format("%F %H:%M:%S UTC").to_string();
    if (host_at - database_at).abs() > MAX_SKEW {
        return Some(format!(
            "the host's clock says {} and the database's {}: one of them is wrong",
            shown(host_at),
            shown(database_at)
        ));
    }
    let newest = newest.filter(|newest| *newest - host_at > MAX_AHEAD)?;
    Some(format!(
        "the host's clock says {}, and a run was recorded at {} already: the clock went back, or was ahead then",
        shown(host_at),
        shown(newest)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_refused_beyond_an_hour_of_skew_or_five_minutes_behind_a_row() {
        let at = |text: &str| -> DateTime<Utc> { text.parse().expect("an instant") };
        let (host, rows) = (at("2026-11-26T12:00:00Z"), at("2026-11-26T12:04:59Z"));
        assert_eq!(objection(host, at("2026-11-26T13:00:00Z"), Some(rows)), None);
        assert_eq!(objection(host, host, None), None);
        let skewed =
            objection(host, at("2026-11-26T13:00:01Z"), None).expect("an hour and a second");
        assert!(skewed.contains("12:00:00") && skewed.contains("13:00:01"), "{skewed}");
        assert!(objection(host, at("2026-11-26T10:59:59Z"), None).is_some());
        let behind = objection(host, host, Some(at("2026-11-26T12:05:01Z"))).expect("behind a row");
        assert!(behind.contains("12:05:01"), "{behind}");
    }
}
