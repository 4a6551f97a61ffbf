//! The words of a model's history: [`LineName`], [`Version`], [`Status`], [`SeenUntil`], [`Period`].
//!
//! Not here: rows and directories of versions (`db`, `registry`, `artifact`).

use std::{cmp::Ordering, fmt, str::FromStr};

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// The name of a line of models, such as `fx-direction`.
/// Invariant: `^[a-z0-9][a-z0-9._-]{0,63}$` without `..`, so that it is also a safe directory name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LineName(String);

/// A text that is no name, version, status or period.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given} is not a {what}; {example}")]
pub struct LineageError {
    what: &'static str,
    given: String,
    example: &'static str,
}

impl LineageError {
    fn new(what: &'static str, given: &str, example: &'static str) -> Self {
        // Hostile names can be long or hold control bytes; the message shows a short, printable piece.
        LineageError {
            what,
            given: format!("{:?}", given.chars().take(40).collect::<String>()),
            example,
        }
    }
}

impl LineName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LineName {
    type Err = LineageError;

    fn from_str(text: &str) -> Result<Self, LineageError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let valid = (1..=64).contains(&text.len())
            && text.bytes().next().is_some_and(plain)
            && text.bytes().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
            && !text.contains("..");
        if valid {
            Ok(LineName(text.to_owned()))
        } else {
            Err(LineageError::new(
                "line name",
                text,
                "use up to 64 of a-z 0-9 . _ - as in fx-direction",
            ))
        }
    }
}

impl TryFrom<String> for LineName {
    type Error = LineageError;
    fn try_from(text: String) -> Result<Self, LineageError> {
        text.parse()
    }
}

impl From<LineName> for String {
    fn from(name: LineName) -> String {
        name.0
    }
}

impl fmt::Display for LineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A version of a line: `v1.4`, or its fine-tune `v1.4-daily-20251021`.
///
/// Ordered by numbers, not text: v1.9 < v1.10; a fine-tune comes after what it was made from, by day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version {
    major: u32,
    minor: u32,
    daily: Option<NaiveDate>,
}

impl Version {
    /// The first version of a line.
    pub const FIRST: Version = Version { major: 1, minor: 0, daily: None };

    /// Changes with feature set, label rule or architecture.
    pub fn major(self) -> u32 {
        self.major
    }

    /// Counts the trainings from scratch.
    pub fn minor(self) -> u32 {
        self.minor
    }

    /// The day of a fine-tune; `None` for a training from scratch.
    pub fn daily(self) -> Option<NaiveDate> {
        self.daily
    }

    /// `v1.5` after `v1.4`, whatever was fine-tuned between.
    #[must_use]
    pub fn next_minor(self) -> Version {
        Version { major: self.major, minor: self.minor + 1, daily: None }
    }

    /// `v2.0` after any `v1.x`.
    #[must_use]
    pub fn next_major(self) -> Version {
        Version { major: self.major + 1, minor: 0, daily: None }
    }

    /// The fine-tune of this version made on `day`; a fine-tune of a fine-tune keeps the numbers.
    #[must_use]
    pub fn fine_tuned_on(self, day: NaiveDate) -> Version {
        Version { daily: Some(day), ..self }
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.major, self.minor, self.daily).cmp(&(other.major, other.minor, other.daily))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.daily {
            None => format!("v{}.{}", self.major, self.minor),
            Some(day) => format!("v{}.{}-daily-{}", self.major, self.minor, day.format("%Y%m%d")),
        };
        f.pad(&text)
    }
}

impl FromStr for Version {
    type Err = LineageError;

    fn from_str(text: &str) -> Result<Self, LineageError> {
        let parse = || {
            let (numbers, daily) = match text.split_once("-daily-") {
                Some((numbers, day)) if day.len() == 8 => {
                    (numbers, Some(NaiveDate::parse_from_str(day, "%Y%m%d").ok()?))
                }
                Some(_) => return None,
                None => (text, None),
            };
            let (major, minor) = numbers.strip_prefix('v')?.split_once('.')?;
            let number = |s: &str| {
                let canonical = s.len() <= 6
                    && s.bytes().all(|b| b.is_ascii_digit())
                    && (s == "0" || !s.starts_with('0'));
                if canonical { s.parse().ok() } else { None }
            };
            Some(Version { major: number(major)?, minor: number(minor)?, daily })
        };
        parse().ok_or_else(|| {
            LineageError::new("version", text, "write it like v1.4 or v1.4-daily-20251021")
        })
    }
}

impl TryFrom<String> for Version {
    type Error = LineageError;
    fn try_from(text: String) -> Result<Self, LineageError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> String {
        version.to_string()
    }
}

/// A network of a mixture: that of a version, `v1.4`, or another one trained in the same run from another seed, `v1.0-seed1`.
///
/// Ordered as versions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Member {
    version: Version,
    /// 0: the version's own network.
    extra: u32,
}

const EXTRA: &str = "-seed";

impl Member {
    /// The own network of a version.
    pub fn own(version: Version) -> Member {
        Member { version, extra: 0 }
    }

    /// The network that the same run trained from the `extra`-th seed after the version's own.
    pub fn extra(version: Version, extra: u32) -> Member {
        Member { version, extra }
    }

    /// The version whose run trained it.
    pub fn version(self) -> Version {
        self.version
    }

    /// Whether it is the own network of its version.
    pub fn is_own(self) -> bool {
        self.extra == 0
    }

    /// The network as its training from scratch made it.
    #[must_use]
    pub fn training(self) -> Member {
        Member { version: Version { daily: None, ..self.version }, ..self }
    }

    /// Whether both go back to the same training from scratch: one is a fine-tune of the other, or both are of a third.
    pub fn is_of_same_training(self, other: Member) -> bool {
        let of = |member: Member| (member.version.major, member.version.minor, member.extra);
        of(self) == of(other)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = match self.extra {
            0 => self.version.to_string(),
            extra => format!("{}{EXTRA}{extra}", self.version),
        };
        f.pad(&text)
    }
}

impl FromStr for Member {
    type Err = LineageError;

    fn from_str(text: &str) -> Result<Self, LineageError> {
        let Some((version, extra)) = text.split_once(EXTRA) else {
            return Ok(Member::own(text.parse()?));
        };
        let wrong = || LineageError::new("member", text, "write it like v1.4 or v1.0-seed1");
        let canonical = !extra.starts_with('0')
            && (1..=4).contains(&extra.len())
            && extra.bytes().all(|b| b.is_ascii_digit());
        let extra = extra.parse().ok().filter(|_| canonical).ok_or_else(wrong)?;
        Ok(Member { version: version.parse()?, extra })
    }
}

impl TryFrom<String> for Member {
    type Error = LineageError;
    fn try_from(text: String) -> Result<Self, LineageError> {
        text.parse()
    }
}

impl From<Member> for String {
    fn from(member: Member) -> String {
        member.to_string()
    }
}

/// Where a version stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Being made.
    Training,
    /// Published, not (yet) promoted.
    Staging,
    /// The one that answers: at most one a line.
    Production,
    /// Once production, or retired.
    Archived,
}

impl Status {
    /// The name in the database and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Status::Training => "training",
            Status::Staging => "staging",
            Status::Production => "production",
            Status::Archived => "archived",
        }
    }
}

impl FromStr for Status {
    type Err = LineageError;

    fn from_str(text: &str) -> Result<Self, LineageError> {
        [Status::Training, Status::Staging, Status::Production, Status::Archived]
            .into_iter()
            .find(|status| status.name() == text)
            .ok_or_else(|| {
                LineageError::new("status", text, "it is training, staging, production or archived")
            })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The last instant that a model, or any ancestor of it, was trained, tuned or calibrated on. Figures on what was decided up
/// to it are in sample, whatever they look like. What it was chosen by stands elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SeenUntil(DateTime<Utc>);

impl SeenUntil {
    /// The instant after which nothing was seen.
    pub fn new(at: DateTime<Utc>) -> SeenUntil {
        SeenUntil(at)
    }

    /// The later of the two: what a child has seen, its parent's data included.
    #[must_use]
    pub fn with(self, other: SeenUntil) -> SeenUntil {
        self.max(other)
    }

    /// The instant.
    pub fn at(self) -> DateTime<Utc> {
        self.0
    }

    /// The instant in microseconds.
    pub fn micros(self) -> i64 {
        self.0.timestamp_micros()
    }
}

/// The period that a scheduled job runs once in. Prints as its key: `daily:2025-10-21`, `weekly:2025-W43`,
/// `monthly:2025-10`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// One calendar day, UTC.
    Daily(NaiveDate),
    /// One ISO week.
    Weekly {
        /// ISO year.
        year: i32,
        /// ISO week, from 1.
        week: u32,
    },
    /// One calendar month.
    Monthly {
        /// Year.
        year: i32,
        /// Month, from 1.
        month: u32,
    },
    /// A training from scratch that something else than the schedule asked for: at most one a day.
    Asked(NaiveDate),
}

impl Period {
    /// The day that holds `as_of`, UTC.
    pub fn daily(as_of: DateTime<Utc>) -> Period {
        Period::Daily(as_of.date_naive())
    }

    /// The ISO week that holds `as_of`, UTC.
    pub fn weekly(as_of: DateTime<Utc>) -> Period {
        let week = as_of.iso_week();
        Period::Weekly { year: week.year(), week: week.week() }
    }

    /// What is asked for on the day that holds `as_of`, UTC.
    pub fn asked(as_of: DateTime<Utc>) -> Period {
        Period::Asked(as_of.date_naive())
    }

    /// The month that holds `as_of`, UTC.
    pub fn monthly(as_of: DateTime<Utc>) -> Period {
        Period::Monthly { year: as_of.year(), month: as_of.month() }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Period::Daily(day) => write!(f, "daily:{day}"),
            Period::Weekly { year, week } => write!(f, "weekly:{year}-W{week:02}"),
            Period::Asked(day) => write!(f, "asked:{day}"),
            Period::Monthly { year, month } => write!(f, "monthly:{year}-{month:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn versions_order_by_number_and_day() {
        let order =
            ["v1.9", "v1.10", "v1.10-daily-20251020", "v1.10-daily-20251021", "v1.11", "v2.0"];
        let versions: Vec<Version> = order.iter().map(|v| v.parse().expect(v)).collect();
        assert!(versions.is_sorted());
    }

    #[test]
    fn hostile_names_and_versions_are_refused() {
        let long = "a".repeat(65);
        for text in [
            "../x",
            "/etc/passwd",
            "a/../../b",
            "%2e%2e%2f",
            "..\\",
            "a\0",
            ".",
            "-rf",
            "",
            "A",
            "a..b",
            &long,
        ] {
            assert!(text.parse::<LineName>().is_err(), "{text:?}");
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
        for text in [
            "v1",
            "1.4",
            "v01.4",
            "v1.4-daily-20251332",
            "v1.4-daily-1",
            "v1.4 ",
            "v1.+4",
            "v99999999.1",
        ] {
            assert!(text.parse::<Version>().is_err(), "{text:?}");
        }
        assert!("fx-direction".parse::<LineName>().is_ok());
        for text in [
            "v1.0-seed0",
            "v1.0-seed01",
            "v1.0-seed",
            "v1.0-seed-1",
            "v1.0-seed1-seed2",
            "../v1.0-seed1",
        ] {
            assert!(text.parse::<Member>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn periods_print_their_keys() {
        let at: DateTime<Utc> = "2024-12-30T01:00:00Z".parse().expect("an instant");
        assert_eq!(Period::daily(at).to_string(), "daily:2024-12-30");
        assert_eq!(Period::weekly(at).to_string(), "weekly:2025-W01");
        assert_eq!(Period::monthly(at).to_string(), "monthly:2024-12");
    }

    proptest! {
        #[test]
        fn parse_inverts_print(major in 0u32..1000, minor in 0u32..1000, day in proptest::option::of(0i32..40_000)) {
            let base = Version { major, minor, daily: None };
            let version = day.and_then(NaiveDate::from_epoch_days).map_or(base, |day| base.fine_tuned_on(day));
            prop_assert_eq!(version.to_string().parse::<Version>(), Ok(version));
            for member in [Member::own(version), Member::extra(version, 1 + major % 9999)] {
                prop_assert_eq!(member.to_string().parse::<Member>(), Ok(member));
            }
        }
    }
}
