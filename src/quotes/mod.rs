//! Candles from quote providers over HTTP: one small trait, [`Provider`], and who is asked for what.
//!
//! Invariant: what a provider hands over is sorted, valid and closed at the instant that was given; every row that is not
//! in it is counted. Not here: which candles are wanted and what they are worth (`jobs`), the database (`db`).

mod http;
mod template;
#[cfg(test)]
mod tests;
mod yahoo;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    fault::Fault,
    market::{CandleColumns, Micros, Ohlc, Pair, Timeframe},
};

/// Which provider.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// Yahoo's chart API.
    #[default]
    Yahoo,
    /// Any URL that answers with a CSV file of candles.
    Csv,
}

/// How candles are collected.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CollectConfig {
    /// Which provider.
    pub provider: ProviderKind,
    /// `yahoo`: where the API is. `csv`: the address, with `{pair}` (EURUSD), `{base}`, `{quote}`, `{timeframe}`, `{from}` and
    /// `{to}` (RFC 3339) in it.
    pub url: String,
    /// Seconds for one request.
    pub timeout_seconds: u64,
    /// Tries of one request.
    pub tries: u32,
    /// At most so many requests in a second.
    pub requests_per_second: f64,
}

impl Default for CollectConfig {
    fn default() -> Self {
        CollectConfig {
            provider: ProviderKind::Yahoo,
            url: "https://query1.finance.yahoo.com".to_owned(),
            timeout_seconds: 15,
            tries: 3,
            requests_per_second: 4.0,
        }
    }
}

impl CollectConfig {
    /// Settings that cannot be, by key, with the reason.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !(self.url.starts_with("http://") || self.url.starts_with("https://")) {
            problems.push(("url", "url: an address that begins with https:// is wanted".into()));
        } else if self.provider == ProviderKind::Csv && !self.url.contains("{pair}") {
            problems.push(("url", "url: the address of a csv provider needs {pair} in it".into()));
        }
        if !(1..=120).contains(&self.timeout_seconds) {
            let why = format!("timeout_seconds: {} is not from 1 to 120", self.timeout_seconds);
            problems.push(("timeout_seconds", why));
        }
        if !(1..=10).contains(&self.tries) {
            problems.push(("tries", format!("tries: {} is not from 1 to 10", self.tries)));
        }
        if !(self.requests_per_second > 0.0 && self.requests_per_second <= 1000.0) {
            let why = "requests_per_second: a number above 0 and at most 1000 is wanted";
            problems.push(("requests_per_second", why.to_owned()));
        }
        problems
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The pair.
    pub pair: Pair,
    /// The timeframe.
    pub timeframe: Timeframe,
    /// Candles that open at or after this instant.
    pub from: DateTime<Utc>,
    /// And are closed at this one.
    pub as_of: DateTime<Utc>,
}

/// What came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Quotes {
    /// Sorted, each instant once, valid, closed.
    pub columns: CandleColumns,
    /// Rows without prices.
    pub n_empty: u64,
    /// Rows that are no candles (a high below the close, off the grid).
    pub n_refused: u64,
    /// Candles still forming, or from a clock that is ahead.
    pub n_forming: u64,
}

/// Somebody who has candles.
pub trait Provider {
    /// Candles of one series.
    ///
    /// # Errors
    /// 4 when the provider does not have the series or its answer is not candles, 5 when it cannot be reached.
    fn candles(&self, wanted: &Wanted) -> Result<Quotes, Fault>;

    /// How far back it has candles of a timeframe; none: it does not have the timeframe.
    fn reach(&self, timeframe: Timeframe) -> Option<TimeDelta>;
}

/// The configured provider.
pub fn provider(config: &CollectConfig) -> Box<dyn Provider> {
    let client = http::Client::new(
        Duration::from_secs(config.timeout_seconds),
        config.tries,
        Duration::from_secs_f64(1.0 / config.requests_per_second),
    );
    match config.provider {
        ProviderKind::Yahoo => Box::new(yahoo::Yahoo::new(config.url.clone(), client)),
        ProviderKind::Csv => Box::new(template::Template::new(config.url.clone(), client)),
    }
}

/// Rows as a provider has them, made into what [`Quotes`] promises; the last of one instant stays.
fn checked(rows: impl IntoIterator<Item = (Micros, [Option<f64>; 5])>, wanted: &Wanted) -> Quotes {
    let (from_us, as_of_us) = (wanted.from.timestamp_micros(), wanted.as_of.timestamp_micros());
    let mut quotes = Quotes::default();
    let mut kept: Vec<(Micros, [f64; 4], f64)> = Vec::new();
    for (at_us, [open, high, low, close, volume]) in rows {
        let [Some(open), Some(high), Some(low), Some(close)] = [open, high, low, close] else {
            quotes.n_empty += 1;
            continue;
        };
        if wanted.timeframe.close_at(at_us) > as_of_us {
            quotes.n_forming += 1;
            continue;
        }
        let volume = volume.unwrap_or(0.0);
        let valid = Ohlc::new(open, high, low, close).is_ok()
            && volume.is_finite()
            && volume >= 0.0
            && wanted.timeframe.is_on_grid(at_us);
        if !valid {
            quotes.n_refused += 1;
        } else if at_us >= from_us {
            kept.push((at_us, [open, high, low, close], volume));
        }
    }
    // Stable, so that of one instant the last row comes last.
    kept.sort_by_key(|(at_us, ..)| *at_us);
    for (row, (at_us, prices, volume)) in kept.iter().enumerate() {
        if kept.get(row + 1).is_none_or(|next| next.0 != *at_us) {
            quotes.columns.push_raw(*at_us, *prices, *volume);
        }
    }
    quotes
}
