//! A vendor's clock: [`SourceZone`] and the turning of its local times into instants.

use std::{fmt, str::FromStr};

use chrono::{MappedLocalTime, Offset, TimeZone};
use chrono_tz::Tz;

use crate::market::{HOUR_US, MINUTE_US, Micros, SECOND_US, instant};

/// The zone of times that name none: an IANA zone, or a fixed offset from UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SourceZone {
    /// With its daylight saving.
    Named(Tz),
    /// East of UTC, in microseconds.
    Fixed(Micros),
}

/// Text that names no zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{given} is no time zone; write an IANA name like Europe/Helsinki, or an offset like UTC+2 or -05:00"
)]
pub struct SourceZoneError {
    given: String,
}

impl SourceZone {
    /// UTC.
    pub const UTC: SourceZone = SourceZone::Fixed(0);
}

impl FromStr for SourceZone {
    type Err = SourceZoneError;

    fn from_str(text: &str) -> Result<Self, SourceZoneError> {
        let text = text.trim();
        let refuse = || SourceZoneError {
            given: format!("{:?}", text.chars().take(40).collect::<String>()),
        };
        let bare =
            ["UTC", "GMT"].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(text);
        if (bare.is_empty() && !text.is_empty()) || text == "Z" {
            return Ok(SourceZone::UTC);
        }
        if bare.starts_with(['+', '-']) {
            return offset_us(bare.as_bytes()).map(SourceZone::Fixed).ok_or_else(refuse);
        }
        let named =
            chrono_tz::TZ_VARIANTS.iter().find(|zone| zone.name().eq_ignore_ascii_case(text));
        named.map(|&zone| SourceZone::Named(zone)).ok_or_else(refuse)
    }
}

impl fmt::Display for SourceZone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            SourceZone::Named(zone) => f.write_str(zone.name()),
            SourceZone::UTC => f.write_str("UTC"),
            SourceZone::Fixed(us) => {
                let minutes = us.abs() / MINUTE_US;
                let sign = if us < 0 { '-' } else { '+' };
                write!(f, "UTC{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        }
    }
}

/// `+02:00`, `-0500`, `+2`, as microseconds east of UTC.
pub(super) fn offset_us(text: &[u8]) -> Option<Micros> {
    let (sign, rest) = match text.split_first()? {
        (b'+', rest) => (1, rest),
        (b'-', rest) => (-1, rest),
        _ => return None,
    };
    let number = |digits: &[u8]| -> Option<i64> {
        let ok = (1..=2).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
        ok.then(|| digits.iter().fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0')))
    };
    let (hours, minutes) = match *rest {
        [.., b':', a, b] => (&rest[..rest.len() - 3], number(&[a, b])?),
        [_, _, a, b] => (&rest[..2], number(&[a, b])?),
        _ => (rest, 0),
    };
    let hours = number(hours)?;
    (hours <= 14 && minutes < 60).then_some(sign * (hours * HOUR_US + minutes * MINUTE_US))
}

/// Turns local times into instants, row after row: where the clocks went back the order of the rows decides.
pub(super) struct LocalClock {
    zone: SourceZone,
    last_us: Option<Micros>,
    descending: bool,
    hour: i64,
    hour_offset_us: Option<Micros>,
}

impl LocalClock {
    pub(super) fn new(zone: SourceZone) -> Self {
        LocalClock { zone, last_us: None, descending: false, hour: 0, hour_offset_us: None }
    }

    /// Whose clock it is.
    pub(super) fn zone(&self) -> SourceZone {
        self.zone
    }

    /// The instant of a local time, given as if it were UTC; `None` where the clocks jumped over it.
    pub(super) fn instant(&mut self, local_us: Micros) -> Option<Micros> {
        let zone = match self.zone {
            SourceZone::Fixed(offset_us) => return Some(local_us - offset_us),
            SourceZone::Named(zone) => zone,
        };
        // Quarter hours: some zones change their clocks by less than an hour.
        let hour = local_us.div_euclid(15 * MINUTE_US);
        if hour == self.hour
            && let Some(offset_us) = self.hour_offset_us
        {
            return Some(self.passed(local_us - offset_us));
        }
        let of = |offset: chrono::FixedOffset| Micros::from(offset.local_minus_utc()) * SECOND_US;
        match zone.offset_from_local_datetime(&instant(local_us).naive_utc()) {
            MappedLocalTime::Single(offset) => {
                let offset_us = of(offset.fix());
                (self.hour, self.hour_offset_us) = (hour, Some(offset_us));
                Some(self.passed(local_us - offset_us))
            }
            MappedLocalTime::Ambiguous(a, b) => {
                let (a_us, b_us) = (local_us - of(a.fix()), local_us - of(b.fix()));
                let (early_us, late_us) = (a_us.min(b_us), a_us.max(b_us));
                let late = match self.last_us {
                    None => false,
                    Some(last_us) if self.descending => late_us < last_us,
                    Some(last_us) => early_us <= last_us,
                };
                Some(self.passed(if late { late_us } else { early_us }))
            }
            MappedLocalTime::None => None,
        }
    }

    fn passed(&mut self, at_us: Micros) -> Micros {
        if let Some(last_us) = self.last_us {
            self.descending = at_us < last_us;
        }
        self.last_us = Some(at_us);
        at_us
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn us(text: &str) -> Micros {
        format!("{text}Z").parse::<chrono::DateTime<chrono::Utc>>().expect(text).timestamp_micros()
    }

    #[test]
    fn zones_are_read_and_printed() {
        for (text, printed) in [
            ("UTC", "UTC"),
            ("Z", "UTC"),
            ("UTC-5", "UTC-05:00"),
            ("+02:00", "UTC+02:00"),
            ("-0330", "UTC-03:30"),
            ("Europe/Helsinki", "Europe/Helsinki"),
            ("america/new_york", "America/New_York"),
        ] {
            assert_eq!(text.parse::<SourceZone>().map(|z| z.to_string()), Ok(printed.to_owned()));
        }
        for text in ["", "Mars/Base", "UTC+25", "+2:99", "+-2", "😀"] {
            let error = text.parse::<SourceZone>().expect_err(text).to_string();
            assert!(error.contains("Europe/Helsinki"), "{error}");
        }
    }

    #[test]
    fn changes_of_the_clocks_are_told_apart_by_order() {
        let new_york = || LocalClock::new(SourceZone::Named(chrono_tz::America::New_York));
        let read = |locals: &[&str]| -> Vec<Option<Micros>> {
            let mut clock = new_york();
            locals.iter().map(|local| clock.instant(us(local))).collect()
        };
        // 2018-11-04, 02:00 daylight time becomes 01:00 standard time.
        let up = [
            "2018-11-04T01:00:00",
            "2018-11-04T01:30:00",
            "2018-11-04T01:00:00",
            "2018-11-04T01:30:00",
        ];
        let instants = [
            "2018-11-04T05:00:00",
            "2018-11-04T05:30:00",
            "2018-11-04T06:00:00",
            "2018-11-04T06:30:00",
        ];
        let expected: Vec<_> = instants.iter().map(|at| Some(us(at))).collect();
        assert_eq!(read(&up), expected);
        let mut down = vec!["2018-11-04T03:00:00", "2018-11-04T02:00:00"];
        down.extend(up.iter().rev());
        assert!(read(&down)[2..].iter().eq(expected.iter().rev()));
        assert_eq!(read(&["2018-03-11T02:30:00"]), [None]);
    }
}
