//! [`Timeframe`]: how long a candle lasts, where its grid lies, when it closes and how far its label looks ahead.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, Months, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{DAY_US, HOUR_US, MINUTE_US, Micros, instant};

/// The length of a candle. `1M` is a calendar month; all others are fixed lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Timeframe {
    /// One minute.
    Min1,
    /// Five minutes.
    Min5,
    /// Fifteen minutes.
    Min15,
    /// Thirty minutes.
    Min30,
    /// One hour.
    Hour1,
    /// Four hours.
    Hour4,
    /// One day.
    Day1,
    /// One week.
    Week1,
    /// One calendar month.
    Month1,
}

/// Text that names no timeframe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given} is not a timeframe; the timeframes are 1min 5min 15min 30min 1h 4h 1d 1w 1M")]
pub struct TimeframeError {
    given: String,
}

impl Timeframe {
    /// All of them, shortest first.
    pub const ALL: [Timeframe; 9] = [
        Timeframe::Min1,
        Timeframe::Min5,
        Timeframe::Min15,
        Timeframe::Min30,
        Timeframe::Hour1,
        Timeframe::Hour4,
        Timeframe::Day1,
        Timeframe::Week1,
        Timeframe::Month1,
    ];

    /// The name used everywhere: `1min` … `1M`.
    pub fn name(self) -> &'static str {
        match self {
            Timeframe::Min1 => "1min",
            Timeframe::Min5 => "5min",
            Timeframe::Min15 => "15min",
            Timeframe::Min30 => "30min",
            Timeframe::Hour1 => "1h",
            Timeframe::Hour4 => "4h",
            Timeframe::Day1 => "1d",
            Timeframe::Week1 => "1w",
            Timeframe::Month1 => "1M",
        }
    }

    /// The candle's length in microseconds; for `1M` its nominal 30 days (use [`Timeframe::close_at`] for the exact close).
    pub fn nominal_us(self) -> Micros {
        match self {
            Timeframe::Min1 => MINUTE_US,
            Timeframe::Min5 => 5 * MINUTE_US,
            Timeframe::Min15 => 15 * MINUTE_US,
            Timeframe::Min30 => 30 * MINUTE_US,
            Timeframe::Hour1 => HOUR_US,
            Timeframe::Hour4 => 4 * HOUR_US,
            Timeframe::Day1 => DAY_US,
            Timeframe::Week1 => 7 * DAY_US,
            Timeframe::Month1 => 30 * DAY_US,
        }
    }

    /// The instant at which a candle that opens at `open_us` closes, and from which on it exists for a reader.
    ///
    /// A month that opens within a day before a month's start (a vendor's local midnight) belongs to the month that
    /// starts then, and closes with the same offset before the month after it.
    pub fn close_at(self, open_us: Micros) -> Micros {
        if self != Timeframe::Month1 {
            return open_us + self.nominal_us();
        }
        let open = instant(open_us);
        let next_day = open + TimeDelta::days(1);
        if next_day.month() != open.month() && next_day.day() == 1 {
            let start = month_start(next_day);
            let lead = start - open;
            (start + Months::new(1) - lead).timestamp_micros()
        } else {
            (open + Months::new(1)).timestamp_micros()
        }
    }

    /// How far ahead of an entry the label looks, by the clock (DESIGN section 7).
    pub fn horizon(self) -> TimeDelta {
        match self {
            Timeframe::Min1 => TimeDelta::minutes(5),
            Timeframe::Min5 => TimeDelta::minutes(15),
            Timeframe::Min15 => TimeDelta::minutes(30),
            Timeframe::Min30 => TimeDelta::hours(1),
            Timeframe::Hour1 => TimeDelta::hours(4),
            Timeframe::Hour4 => TimeDelta::hours(24),
            Timeframe::Day1 => TimeDelta::days(7),
            Timeframe::Week1 => TimeDelta::days(30),
            Timeframe::Month1 => TimeDelta::days(90),
        }
    }

    /// [`Timeframe::horizon`] in microseconds.
    pub fn horizon_us(self) -> Micros {
        self.horizon().num_microseconds().expect("at most 90 days")
    }

    /// Whether a candle of this timeframe may open at `at_us`.
    ///
    /// Minutes and hours lie on the UTC grid. Four-hour candles may open on any whole hour and daily, weekly and
    /// monthly ones on any quarter of an hour: brokers count them from their own midnight (New York 17:00, UTC+2 …),
    /// which moves with daylight saving.
    pub fn is_on_grid(self, at_us: Micros) -> bool {
        let step = match self {
            Timeframe::Hour4 => HOUR_US,
            Timeframe::Day1 | Timeframe::Week1 | Timeframe::Month1 => 15 * MINUTE_US,
            _ => self.nominal_us(),
        };
        at_us.rem_euclid(step) == 0
    }
}

fn month_start(at: DateTime<Utc>) -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(at.year(), at.month(), 1)
        .and_then(|date| date.and_hms_opt(0, 0, 0))
        .expect("the first of a month exists")
        .and_utc()
}

impl FromStr for Timeframe {
    type Err = TimeframeError;

    fn from_str(text: &str) -> Result<Self, TimeframeError> {
        // `1m` and `1M` differ by a factor of 43,200, so case is never folded.
        Timeframe::ALL.into_iter().find(|timeframe| timeframe.name() == text).ok_or_else(|| {
            TimeframeError { given: format!("{:?}", text.chars().take(24).collect::<String>()) }
        })
    }
}

impl TryFrom<String> for Timeframe {
    type Error = TimeframeError;

    fn try_from(text: String) -> Result<Self, TimeframeError> {
        text.parse()
    }
}

impl From<Timeframe> for String {
    fn from(timeframe: Timeframe) -> String {
        timeframe.name().to_owned()
    }
}

impl fmt::Display for Timeframe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> Micros {
        text.parse::<DateTime<Utc>>().expect(text).timestamp_micros()
    }

    #[test]
    fn names_round_trip_and_typos_are_refused() {
        for timeframe in Timeframe::ALL {
            assert_eq!(timeframe.name().parse(), Ok(timeframe));
        }
        for text in ["", "1m", "60min", "1H", "2h", "1 h"] {
            assert!(text.parse::<Timeframe>().is_err(), "{text}");
        }
    }

    #[test]
    fn months_close_on_the_calendar_also_with_a_vendors_offset() {
        for (open, close) in [
            ("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"),
            ("2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"),
            ("2024-01-31T22:00:00Z", "2024-02-29T22:00:00Z"),
            ("2023-02-28T22:00:00Z", "2023-03-31T22:00:00Z"),
            ("2023-12-31T21:00:00Z", "2024-01-31T21:00:00Z"),
        ] {
            assert_eq!(Timeframe::Month1.close_at(us(open)), us(close), "{open}");
        }
        assert_eq!(
            Timeframe::Hour4.close_at(us("2024-01-01T00:00:00Z")),
            us("2024-01-01T04:00:00Z")
        );
    }

    #[test]
    fn the_grid_admits_vendors_midnights_and_nothing_between() {
        for (timeframe, at, on) in [
            (Timeframe::Hour1, "2024-01-01T05:00:00Z", true),
            (Timeframe::Hour1, "2024-01-01T05:30:00Z", false),
            (Timeframe::Min5, "2024-01-01T05:03:00Z", false),
            (Timeframe::Min1, "2024-01-01T05:03:00.5Z", false),
            (Timeframe::Day1, "2024-01-01T22:00:00Z", true),
            (Timeframe::Day1, "2024-01-01T18:30:00Z", true),
            (Timeframe::Day1, "2024-01-01T18:31:00Z", false),
            (Timeframe::Hour4, "2024-01-01T02:00:00Z", true),
            (Timeframe::Hour4, "2024-01-01T02:30:00Z", false),
        ] {
            assert_eq!(timeframe.is_on_grid(us(at)), on, "{timeframe} {at}");
        }
    }
}
