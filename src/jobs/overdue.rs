//! Which nightly jobs of a line should have run and did not.
//!
//! A job is owed from its last time in the schedule on, and counts as run once a run at or after that time ended well:
//! completed, or rightly skipped. Not here: catching up (the next start of the job does one run, not one for each miss).

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, TimeDelta, Utc};
use serde::Serialize;

use super::cron::{JOBS, crontab::Schedule};
use crate::{
    db::{Db, training_log::LastDone},
    lineage::LineName,
};

/// A job gets this long from its time on: three of them may wait for each other.
pub(super) const GRACE: TimeDelta = TimeDelta::hours(2);

/// A job that should have run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Overdue {
    /// The command.
    pub job: &'static str,
    /// The first time in the schedule at which it did not run, UTC.
    pub since: DateTime<Utc>,
    /// Times in the schedule that went by.
    pub missed: usize,
    /// When it last ended well; none: never.
    pub last: Option<DateTime<Utc>>,
}

impl std::fmt::Display for Overdue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Overdue { job, since, missed, .. } = self;
        write!(f, "{job} is overdue since {}", since.format("%F %H:%M UTC"))?;
        if *missed > 1 { write!(f, " (missed {missed} times)") } else { Ok(()) }
    }
}

/// What a line is owed at `as_of`. A line that has never run owes nothing: nobody has put it to work yet.
///
/// # Errors
/// When the database fails.
pub fn of_line(db: &mut Db, line: &LineName, as_of: DateTime<Utc>) -> anyhow::Result<Vec<Overdue>> {
    let LastDone { first, by_job } = db.last_done(line, as_of)?;
    let Some(first) = first else { return Ok(Vec::new()) };
    let owed = JOBS.iter().filter_map(|job| {
        // The training log calls `train-daily` daily.
        let (_, name) = job.name.split_once('-')?;
        let last = by_job.iter().find(|(done, _)| done == name).map(|(_, at)| *at);
        let (since, missed) = missed(job.schedule, last.unwrap_or(first), as_of - GRACE)?;
        Some(Overdue { job: job.name, since, missed, last })
    });
    Ok(owed.collect())
}

/// The first time after `last` and how many there are up to `until`; `None` when there is none.
fn missed(
    schedule: Schedule,
    last: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Option<(DateTime<Utc>, usize)> {
    let since = next(schedule, last)?;
    let mut count = 0;
    let mut at = since;
    while at <= until {
        count += 1;
        at = next(schedule, at)?;
    }
    (count > 0).then_some((since, count))
}

/// Every time of a nightly job's schedule after `from`, up to `until`; none for jobs that run many times a day.
pub(super) fn times(
    schedule: Schedule,
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Vec<DateTime<Utc>> {
    let first = next(schedule, from);
    std::iter::successors(first, |at| next(schedule, *at)).take_while(|at| *at <= until).collect()
}

/// The first time of the schedule after `at`; `None` for jobs that run many times a day.
fn next(schedule: Schedule, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let today = at.date_naive();
    let on = |day: NaiveDate, hour: u8| Some(day.and_hms_opt(hour.into(), 0, 0)?.and_utc());
    let first_after = |hour: u8, mut days: Box<dyn Iterator<Item = NaiveDate>>| {
        days.find_map(|day| on(day, hour).filter(|time| *time > at))
    };
    match schedule {
        Schedule::Often(..) => None,
        Schedule::Daily(hour) => first_after(hour, Box::new(today.iter_days())),
        Schedule::Weekly(weekday, hour) => {
            let ahead =
                (7 + u64::from(weekday) - u64::from(today.weekday().num_days_from_sunday())) % 7;
            let day = today.checked_add_days(Days::new(ahead))?;
            first_after(hour, Box::new(day.iter_weeks()))
        }
        Schedule::Monthly(day, hour) => {
            let this = today.with_day(day.into())?;
            let months = (0..).map_while(move |n| this.checked_add_months(Months::new(n)));
            first_after(hour, Box::new(months))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    #[test]
    fn what_went_by_since_the_last_run_is_counted() {
        let of = |schedule, last: &str, until: &str| {
            missed(schedule, at(last), at(until)).map(|(since, n)| (since.to_rfc3339(), n))
        };
        let since = |text: &str, n| Some((at(text).to_rfc3339(), n));
        let daily = Schedule::Daily(1);
        assert_eq!(of(daily, "2026-11-20T01:00:00Z", "2026-11-21T00:59:59Z"), None);
        assert_eq!(
            of(daily, "2026-11-20T01:00:05Z", "2026-11-23T01:00:00Z"),
            since("2026-11-21T01:00:00Z", 3)
        );
        // A run by hand at noon stands for the night before, not for the next.
        assert_eq!(
            of(daily, "2026-11-20T12:00:00Z", "2026-11-21T01:00:00Z"),
            since("2026-11-21T01:00:00Z", 1)
        );
        let sunday = Schedule::Weekly(0, 1);
        assert_eq!(of(sunday, "2026-11-15T01:00:00Z", "2026-11-21T23:00:00Z"), None);
        assert_eq!(
            of(sunday, "2026-11-15T01:00:00Z", "2026-11-29T01:00:00Z"),
            since("2026-11-22T01:00:00Z", 2)
        );
        assert_eq!(
            of(sunday, "2026-11-15T00:30:00Z", "2026-11-15T01:00:00Z"),
            since("2026-11-15T01:00:00Z", 1)
        );
        let monthly = Schedule::Monthly(1, 0);
        assert_eq!(of(monthly, "2026-11-01T00:00:00Z", "2026-11-30T23:00:00Z"), None);
        assert_eq!(
            of(monthly, "2026-10-31T23:00:00Z", "2027-01-01T00:00:00Z"),
            since("2026-11-01T00:00:00Z", 3)
        );
        let list = times(sunday, at("2026-11-15T01:00:00Z"), at("2026-11-29T01:00:00Z"));
        assert_eq!(list, [at("2026-11-22T01:00:00Z"), at("2026-11-29T01:00:00Z")]);
        assert_eq!(
            of(Schedule::Often("*", "*"), "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            None
        );
    }
}
