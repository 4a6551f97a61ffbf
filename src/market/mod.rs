//! The words of the market: [`Pair`], [`Timeframe`], [`Ohlc`], [`Candles`], and the trading [`calendar`].
//!
//! Invariant: a value of these types is valid. What comes from outside is parsed into them once, at the door.
//! Not here: where candles come from (`feeds`, `db`) and what is computed from them (`features`, `labels`).

pub mod calendar;
mod candles;
mod pair;
mod timeframe;

pub use candles::{CandleColumns, Candles, CandlesError, Ohlc, OhlcError};
pub use pair::{Pair, PairError};
pub use timeframe::{Timeframe, TimeframeError};

/// Microseconds since the Unix epoch, UTC: the unit of every timestamp column.
pub type Micros = i64;

/// One second in [`Micros`].
pub const SECOND_US: Micros = 1_000_000;
/// One minute in [`Micros`].
pub const MINUTE_US: Micros = 60 * SECOND_US;
/// One hour in [`Micros`].
pub const HOUR_US: Micros = 60 * MINUTE_US;
/// One day in [`Micros`].
pub const DAY_US: Micros = 24 * HOUR_US;

/// The instant behind a microsecond timestamp.
///
/// # Panics
/// Never for instants that chrono can hold (years ±262,000); anything a [`Candles`] holds is far inside.
pub fn instant(at_us: Micros) -> chrono::DateTime<chrono::Utc> {
    chrono::DateTime::from_timestamp_micros(at_us).expect("timestamps are checked when they enter")
}
