//! When the market trades: Sunday 17:00 to Friday 17:00 New York time, closed around Christmas and New Year.
//!
//! A gap that this calendar explains is normal; [`gaps`] reports the others. Not here: what is done about a gap
//! (`dataset` drops windows that span one, `jobs` report them).

use chrono::{DateTime, Datelike, NaiveDate, Offset, TimeDelta, Timelike, Utc, Weekday};
use chrono_tz::America::New_York;

use super::{DAY_US, HOUR_US, Micros, SECOND_US, Timeframe, instant};

/// Candles missing where the market was open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Gap {
    /// Row of the first candle after the gap.
    pub row: usize,
    /// Opening instant of the last candle before the gap.
    pub after: DateTime<Utc>,
    /// Opening instant of the first candle after the gap.
    pub before: DateTime<Utc>,
    /// Candles missing in open hours.
    pub n_missing: u32,
}

/// Vendors open and close the week up to this long around 17:00 New York: not a gap when a closure lies between.
const WEEK_EDGE_US: Micros = 3 * HOUR_US;

/// Whether the market trades at this instant, weekends aside from holidays.
pub fn is_open(at: DateTime<Utc>) -> bool {
    let local = at.with_timezone(&New_York);
    match local.weekday() {
        Weekday::Sat => false,
        Weekday::Sun => local.hour() >= 17,
        Weekday::Fri => local.hour() < 17,
        _ => true,
    }
}

/// Whether the instant lies in a holiday: trading days 25 December and 1 January, with the thin afternoons before
/// (from noon New York on the 24th and 31st) and the late openings after them (until 18:00 New York).
pub fn is_holiday(at: DateTime<Utc>) -> bool {
    let local = at.with_timezone(&New_York);
    match (local.month(), local.day()) {
        (12, 24) | (12, 31) => local.hour() >= 12,
        (12, 25) | (1, 1) => local.hour() < 18,
        _ => false,
    }
}

/// The trading day that an instant belongs to: it begins at 17:00 New York on the calendar day before.
/// Saturday and Sunday morning count to Monday. The unit of every comparison between models (FORMULAS).
pub fn trading_day(at_us: Micros) -> NaiveDate {
    let local = instant(at_us).with_timezone(&New_York).naive_local() + TimeDelta::hours(7);
    let date = local.date();
    match date.weekday() {
        Weekday::Sat => date + TimeDelta::days(2),
        Weekday::Sun => date + TimeDelta::days(1),
        _ => date,
    }
}

/// [`trading_day`] of many instants. The time zone is looked up once in some weeks of them, not once an instant.
pub fn trading_days(at_us: &[Micros]) -> Vec<NaiveDate> {
    let mut clock = DayClock::default();
    let mut until_us = Micros::MIN;
    let mut from_us = Micros::MAX;
    let mut date = NaiveDate::default();
    at_us
        .iter()
        .map(|&at_us| {
            if at_us < from_us || at_us >= until_us {
                let day = clock.day(at_us);
                (from_us, until_us, date) = (at_us, day.until_us, date_of(day.number));
            }
            date
        })
        .collect()
}

/// A trading day as a number, for arithmetic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayNumber {
    /// Days since 1970-01-01 of the day's date; see [`date_of`].
    pub number: i64,
    /// The day lasts at least until here; the same day may go on (a weekend, a change of the clocks).
    pub until_us: Micros,
}

/// The date of a [`DayNumber`].
pub fn date_of(number: i64) -> NaiveDate {
    instant(number * DAY_US).date_naive()
}

/// Finds trading days of instants near one another by integer arithmetic: it keeps New York's offset from UTC for
/// the weeks around the last instant, until the clocks change.
#[derive(Debug, Clone, Copy, Default)]
pub struct DayClock {
    from_us: Micros,
    until_us: Micros,
    offset_us: Micros,
}

impl DayClock {
    /// The trading day of an instant, as [`trading_day`] says.
    pub fn day(&mut self, at_us: Micros) -> DayNumber {
        if at_us < self.from_us || at_us >= self.until_us {
            self.look_up(at_us);
        }
        let local_us = at_us + self.offset_us + 7 * HOUR_US;
        let date = local_us.div_euclid(DAY_US);
        // 1970-01-01 was a Thursday: 0 is Monday here.
        let number = match (date + 3).rem_euclid(7) {
            5 => date + 2,
            6 => date + 1,
            _ => date,
        };
        let midnight_us = (date + 1) * DAY_US - 7 * HOUR_US - self.offset_us;
        DayNumber { number, until_us: midnight_us.min(self.until_us) }
    }

    fn look_up(&mut self, at_us: Micros) {
        let offset_us = |at_us: Micros| {
            let offset = instant(at_us).with_timezone(&New_York).offset().fix();
            Micros::from(offset.local_minus_utc()) * SECOND_US
        };
        self.offset_us = offset_us(at_us);
        let mut from_us = at_us.div_euclid(PERIOD_US) * PERIOD_US;
        let mut until_us = from_us + PERIOD_US;
        let steady = |a_us: Micros, b_us: Micros| offset_us(a_us) == offset_us(b_us);
        if !steady(from_us, until_us) {
            // The one change, to the hour: `before` has the old offset, `after` the new one.
            let (mut before_us, mut after_us) = (from_us, until_us);
            while after_us - before_us > HOUR_US {
                let middle_us = before_us + (after_us - before_us) / HOUR_US / 2 * HOUR_US;
                if steady(from_us, middle_us) {
                    before_us = middle_us;
                } else {
                    after_us = middle_us;
                }
            }
            if at_us < after_us {
                until_us = after_us;
            } else {
                from_us = after_us;
            }
        }
        (self.from_us, self.until_us) = (from_us, until_us);
    }
}

/// Eight weeks: the clocks of New York have never changed twice within them.
const PERIOD_US: Micros = 56 * DAY_US;

/// The gaps between candles that neither a weekend nor a holiday explains. `open_at_us` is sorted.
pub fn gaps(timeframe: Timeframe, open_at_us: &[Micros]) -> Vec<Gap> {
    open_at_us
        .windows(2)
        .enumerate()
        // Looking at the calendar costs a time-zone conversion; nearly all steps are one candle long.
        .filter(|(_, pair)| pair[1] > timeframe.close_at(pair[0]))
        .filter_map(|(row, pair)| {
            let n_missing = missing_between(timeframe, pair[0], pair[1]);
            (n_missing > 0).then(|| Gap {
                row: row + 1,
                after: instant(pair[0]),
                before: instant(pair[1]),
                n_missing,
            })
        })
        .collect()
}

fn missing_between(timeframe: Timeframe, before_us: Micros, after_us: Micros) -> u32 {
    match timeframe {
        Timeframe::Week1 | Timeframe::Month1 => {
            // A vendor's week or month may begin a day early or late; half a candle is the tolerance.
            let step = timeframe.nominal_us();
            u32::try_from((after_us - before_us + step / 2) / step - 1).unwrap_or(0)
        }
        Timeframe::Day1 => missing_days(before_us, after_us),
        _ => missing_intraday(timeframe, before_us, after_us),
    }
}

/// Weekdays without a candle. A candle counts for the day that its middle lies in, so that a candle of Monday that
/// opens on Sunday at 22:00 is Monday's.
fn missing_days(before_us: Micros, after_us: Micros) -> u32 {
    let day = |at_us: Micros| instant(at_us + DAY_US / 2).date_naive();
    let (first, last) = (day(before_us), day(after_us));
    let holiday = |date: NaiveDate| matches!((date.month(), date.day()), (12, 25) | (1, 1));
    let n = first
        .iter_days()
        .skip(1)
        .take_while(|date| *date < last)
        .filter(|date| !matches!(date.weekday(), Weekday::Sat | Weekday::Sun) && !holiday(*date))
        .count();
    u32::try_from(n).unwrap_or(u32::MAX)
}

fn missing_intraday(timeframe: Timeframe, before_us: Micros, after_us: Micros) -> u32 {
    let step = timeframe.nominal_us();
    let mut missing = 0u32;
    let mut closed = 0u32;
    let mut at_us = before_us + step;
    while at_us < after_us {
        let at = instant(at_us);
        if is_open(at) && !is_holiday(at) {
            missing += 1;
        } else {
            closed += 1;
        }
        at_us += step;
    }
    let edge = u32::try_from(WEEK_EDGE_US / step).unwrap_or(0).max(1);
    if closed > 0 && missing <= edge { 0 } else { missing }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> Micros {
        text.parse::<DateTime<Utc>>().expect(text).timestamp_micros()
    }

    fn missing(timeframe: Timeframe, before: &str, after: &str) -> u32 {
        gaps(timeframe, &[us(before), us(after)]).first().map_or(0, |gap| gap.n_missing)
    }

    #[test]
    fn weekends_and_holidays_are_no_gaps() {
        // Winter: the week ends Friday 22:00 UTC; summer: 21:00.
        assert_eq!(missing(Timeframe::Hour1, "2024-01-05T21:00:00Z", "2024-01-07T22:00:00Z"), 0);
        assert_eq!(missing(Timeframe::Hour1, "2024-07-05T20:00:00Z", "2024-07-07T21:00:00Z"), 0);
        assert_eq!(missing(Timeframe::Hour1, "2018-12-24T16:00:00Z", "2018-12-25T23:00:00Z"), 0);
        assert_eq!(missing(Timeframe::Day1, "2024-01-05T00:00:00Z", "2024-01-08T00:00:00Z"), 0);
        assert_eq!(missing(Timeframe::Day1, "2024-01-04T22:00:00Z", "2024-01-07T22:00:00Z"), 0);
        assert_eq!(missing(Timeframe::Month1, "2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"), 0);
    }

    #[test]
    fn holes_in_open_hours_are_gaps() {
        assert_eq!(missing(Timeframe::Hour1, "2024-01-03T10:00:00Z", "2024-01-03T12:00:00Z"), 1);
        assert_eq!(missing(Timeframe::Hour1, "2016-12-11T21:00:00Z", "2016-12-16T05:00:00Z"), 103);
        assert_eq!(missing(Timeframe::Min1, "2024-01-03T10:00:00Z", "2024-01-03T10:03:00Z"), 2);
        assert_eq!(missing(Timeframe::Day1, "2024-01-02T00:00:00Z", "2024-01-05T00:00:00Z"), 2);
        assert_eq!(missing(Timeframe::Week1, "2024-01-07T00:00:00Z", "2024-01-28T00:00:00Z"), 2);
        assert_eq!(missing(Timeframe::Month1, "2024-01-01T00:00:00Z", "2024-04-01T00:00:00Z"), 2);
    }

    #[test]
    fn the_trading_day_turns_at_seventeen_new_york() {
        for (at, day) in [
            ("2024-01-03T21:59:59Z", "2024-01-03"),
            ("2024-01-03T22:00:00Z", "2024-01-04"),
            ("2024-07-03T20:59:59Z", "2024-07-03"),
            ("2024-07-03T21:00:00Z", "2024-07-04"),
            ("2024-01-05T22:00:00Z", "2024-01-08"),
            ("2024-01-07T22:00:00Z", "2024-01-08"),
        ] {
            assert_eq!(trading_day(us(at)).to_string(), day, "{at}");
        }
    }
    #[test]
    fn many_trading_days_are_each_found_as_one() {
        // Every 37 minutes of four years: each turn of the day and of the clocks lies between two of them.
        let start = us("2015-01-01T00:00:00Z");
        let at_us: Vec<_> =
            (0..4 * 365 * 24 * 60 / 37).map(|k| start + k * 37 * 60_000_000).collect();
        let each: Vec<_> = at_us.iter().map(|&at_us| trading_day(at_us)).collect();
        assert_eq!(trading_days(&at_us), each);
        let backwards: Vec<_> = at_us.iter().rev().copied().collect();
        assert!(trading_days(&backwards).iter().eq(each.iter().rev()));
        for change in ["2018-03-11T07:00:00Z", "2018-11-04T06:00:00Z", "1969-12-31T22:00:00Z"] {
            let around = [us(change) - 1, us(change)];
            assert_eq!(trading_days(&around), around.map(trading_day), "{change}");
        }
    }
}
