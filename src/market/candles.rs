//! [`Ohlc`] and [`Candles`]: prices checked once, columns trusted from then on.

use chrono::{DateTime, Utc};
use polars::prelude::*;

use super::{Micros, Pair, Timeframe, instant};

/// The four prices of a candle, in units of the quote currency.
/// Invariant: finite, positive, `low <= min(open, close)` and `max(open, close) <= high`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ohlc {
    open: f64,
    high: f64,
    low: f64,
    close: f64,
}

/// Why four numbers are not the prices of a candle.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum OhlcError {
    /// NaN or an infinity.
    #[error("{field} {value} is not a finite number")]
    NotFinite {
        /// Which price.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// Zero or below.
    #[error("{field} {value} is not positive")]
    NotPositive {
        /// Which price.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// The high is not the highest.
    #[error("high {high} is below {field} {value}")]
    HighBelow {
        /// The high.
        high: f64,
        /// Which price is above it.
        field: &'static str,
        /// Its value.
        value: f64,
    },
    /// The low is not the lowest.
    #[error("low {low} is above {field} {value}")]
    LowAbove {
        /// The low.
        low: f64,
        /// Which price is below it.
        field: &'static str,
        /// Its value.
        value: f64,
    },
}

impl Ohlc {
    /// Checks the four prices.
    ///
    /// # Errors
    /// [`OhlcError`] names the first price that breaks the invariant.
    pub fn new(open: f64, high: f64, low: f64, close: f64) -> Result<Self, OhlcError> {
        let named = [("open", open), ("high", high), ("low", low), ("close", close)];
        for (field, value) in named {
            if !value.is_finite() {
                return Err(OhlcError::NotFinite { field, value });
            }
            if value <= 0.0 {
                return Err(OhlcError::NotPositive { field, value });
            }
        }
        for (field, value) in [("open", open), ("close", close), ("low", low)] {
            if high < value {
                return Err(OhlcError::HighBelow { high, field, value });
            }
        }
        for (field, value) in [("open", open), ("close", close)] {
            if low > value {
                return Err(OhlcError::LowAbove { low, field, value });
            }
        }
        Ok(Ohlc { open, high, low, close })
    }

    /// First price.
    pub fn open(self) -> f64 {
        self.open
    }

    /// Highest price.
    pub fn high(self) -> f64 {
        self.high
    }

    /// Lowest price.
    pub fn low(self) -> f64 {
        self.low
    }

    /// Last price.
    pub fn close(self) -> f64 {
        self.close
    }
}

/// Candles as plain columns: how the edges hand them over, before they are checked.
/// All six have the same length; `open_at_us` is the opening instant.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CandleColumns {
    /// Opening instants, microseconds UTC.
    pub open_at_us: Vec<Micros>,
    /// First prices.
    pub open: Vec<f64>,
    /// Highest prices.
    pub high: Vec<f64>,
    /// Lowest prices.
    pub low: Vec<f64>,
    /// Last prices.
    pub close: Vec<f64>,
    /// Volumes, in whatever unit the vendor counts; 0 where there is none.
    pub volume: Vec<f64>,
}

impl CandleColumns {
    /// Empty columns with room for `n` candles.
    pub fn with_capacity(n: usize) -> Self {
        CandleColumns {
            open_at_us: Vec::with_capacity(n),
            open: Vec::with_capacity(n),
            high: Vec::with_capacity(n),
            low: Vec::with_capacity(n),
            close: Vec::with_capacity(n),
            volume: Vec::with_capacity(n),
        }
    }

    /// Appends one candle.
    pub fn push(&mut self, open_at_us: Micros, prices: Ohlc, volume: f64) {
        self.push_raw(open_at_us, [prices.open, prices.high, prices.low, prices.close], volume);
    }

    /// Appends one candle whose prices are checked later, by [`Candles::new`].
    pub fn push_raw(
        &mut self,
        open_at_us: Micros,
        [open, high, low, close]: [f64; 4],
        volume: f64,
    ) {
        self.open_at_us.push(open_at_us);
        self.open.push(open);
        self.high.push(high);
        self.low.push(low);
        self.close.push(close);
        self.volume.push(volume);
    }

    /// Number of candles.
    pub fn len(&self) -> usize {
        self.open_at_us.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.open_at_us.is_empty()
    }

    /// Takes out the rows that are no candles of this timeframe, and says of each why. What stays passes
    /// [`Candles::new`], but for a last one that is still forming.
    pub fn take_refused(&mut self, timeframe: Timeframe) -> Vec<CandlesError> {
        let mut refused = Vec::new();
        let mut previous = None;
        let keep: Vec<bool> = (0..self.len())
            .map(|row| match self.check(row, previous, timeframe) {
                Ok(()) => {
                    previous = Some(self.open_at_us[row]);
                    true
                }
                Err(error) => {
                    refused.push(error);
                    false
                }
            })
            .collect();
        if refused.is_empty() {
            return refused;
        }
        fn kept<T: Copy>(values: &mut Vec<T>, keep: &[bool]) {
            let mut row = 0..;
            values.retain(|_| row.next().is_some_and(|row: usize| keep[row]));
        }
        kept(&mut self.open_at_us, &keep);
        for values in
            [&mut self.open, &mut self.high, &mut self.low, &mut self.close, &mut self.volume]
        {
            kept(values, &keep);
        }
        refused
    }

    /// One row by itself, and after the one before it.
    fn check(
        &self,
        row: usize,
        previous: Option<Micros>,
        timeframe: Timeframe,
    ) -> Result<(), CandlesError> {
        let at_us = self.open_at_us[row];
        let at = || instant(at_us);
        Ohlc::new(self.open[row], self.high[row], self.low[row], self.close[row])
            .map_err(|source| CandlesError::Price { at: at(), source })?;
        let volume = self.volume[row];
        if !(volume.is_finite() && volume >= 0.0) {
            return Err(CandlesError::Volume { at: at(), volume });
        }
        if previous.is_some_and(|previous| previous >= at_us) {
            return Err(CandlesError::Order { at: at() });
        }
        if !timeframe.is_on_grid(at_us) {
            return Err(CandlesError::Grid { at: at(), timeframe });
        }
        Ok(())
    }
}

/// Candles of one pair and timeframe: sorted, unique, on the grid, prices valid, all closed by `as_of`.
///
/// Columns of the frame: `timestamp` (opening instant, `Datetime[us, UTC]`), `open`, `high`, `low`, `close`,
/// `volume` (`Float64`), one chunk each and without nulls, so that each is also a slice.
#[derive(Debug, Clone)]
pub struct Candles {
    pair: Pair,
    timeframe: Timeframe,
    as_of: DateTime<Utc>,
    frame: DataFrame,
}

/// Why columns are not candles. The row counts from 0.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CandlesError {
    /// A price is off.
    #[error("candle at {at}: {source}")]
    Price {
        /// Opening instant.
        at: DateTime<Utc>,
        /// What is wrong.
        source: OhlcError,
    },
    /// Volume negative or not a number.
    #[error("candle at {at}: volume {volume} is not a number of at least 0")]
    Volume {
        /// Opening instant.
        at: DateTime<Utc>,
        /// What was given.
        volume: f64,
    },
    /// Not later than the one before it.
    #[error("candle at {at} does not come after the one before it")]
    Order {
        /// Opening instant.
        at: DateTime<Utc>,
    },
    /// Between two places of the grid.
    #[error("candle at {at} is off the grid of {timeframe}")]
    Grid {
        /// Opening instant.
        at: DateTime<Utc>,
        /// Whose grid.
        timeframe: Timeframe,
    },
    /// Still forming.
    #[error("candle at {at} has not closed by {as_of}")]
    Forming {
        /// Opening instant.
        at: DateTime<Utc>,
        /// The instant of reading.
        as_of: DateTime<Utc>,
    },
    /// The columns are not of one length.
    #[error("the columns of candles differ in length")]
    Ragged,
}

impl CandlesError {
    /// The rule that is broken, for counting.
    pub fn rule(&self) -> &'static str {
        match self {
            CandlesError::Price { source, .. } => match source {
                OhlcError::NotFinite { .. } => "price missing or not a number",
                OhlcError::NotPositive { .. } => "price not positive",
                OhlcError::HighBelow { .. } => "high not the highest",
                OhlcError::LowAbove { .. } => "low not the lowest",
            },
            CandlesError::Volume { .. } => "volume",
            CandlesError::Order { .. } => "twice",
            CandlesError::Grid { .. } => "off the grid",
            CandlesError::Forming { .. } => "still forming",
            CandlesError::Ragged => "columns",
        }
    }
}

impl Candles {
    /// Checks the columns and makes a frame of them, without copying.
    ///
    /// # Errors
    /// [`CandlesError`] names the first candle that breaks an invariant.
    pub fn new(
        pair: Pair,
        timeframe: Timeframe,
        as_of: DateTime<Utc>,
        columns: CandleColumns,
    ) -> Result<Self, CandlesError> {
        let n = columns.len();
        let CandleColumns { open_at_us, open, high, low, close, volume } = &columns;
        if [open, high, low, close, volume].iter().any(|values| values.len() != n) {
            return Err(CandlesError::Ragged);
        }
        for row in 0..n {
            columns.check(row, row.checked_sub(1).map(|before| open_at_us[before]), timeframe)?;
        }
        let CandleColumns { open_at_us, open, high, low, close, volume } = columns;
        if let Some(&last) = open_at_us.last()
            && timeframe.close_at(last) > as_of.timestamp_micros()
        {
            return Err(CandlesError::Forming { at: instant(last), as_of });
        }
        let timestamp = Int64Chunked::from_vec("timestamp".into(), open_at_us)
            .into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))
            .into_column();
        let price = |name: &str, values: Vec<f64>| Column::new(name.into(), values);
        let frame = DataFrame::new(
            n,
            vec![
                timestamp,
                price("open", open),
                price("high", high),
                price("low", low),
                price("close", close),
                price("volume", volume),
            ],
        )
        .expect("six columns of one length");
        Ok(Candles { pair, timeframe, as_of, frame })
    }

    /// Which pair.
    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// Which timeframe.
    pub fn timeframe(&self) -> Timeframe {
        self.timeframe
    }

    /// The instant of reading: nothing that closed later is inside.
    pub fn as_of(&self) -> DateTime<Utc> {
        self.as_of
    }

    /// The frame, for Polars expressions.
    pub fn frame(&self) -> &DataFrame {
        &self.frame
    }

    /// Number of candles.
    pub fn len(&self) -> usize {
        self.frame.height()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.frame.height() == 0
    }

    /// Opening instants, microseconds UTC.
    pub fn open_at_us(&self) -> &[Micros] {
        self.frame.columns()[0]
            .as_materialized_series()
            .datetime()
            .expect("the first column is the timestamp")
            .physical()
            .cont_slice()
            .expect("one chunk without nulls")
    }

    /// First prices.
    pub fn open(&self) -> &[f64] {
        self.slice_of(1)
    }

    /// Highest prices.
    pub fn high(&self) -> &[f64] {
        self.slice_of(2)
    }

    /// Lowest prices.
    pub fn low(&self) -> &[f64] {
        self.slice_of(3)
    }

    /// Last prices.
    pub fn close(&self) -> &[f64] {
        self.slice_of(4)
    }

    /// Volumes.
    pub fn volume(&self) -> &[f64] {
        self.slice_of(5)
    }

    /// The instant at which candle `row` closes: when a decision on it can be taken.
    pub fn close_at_us(&self, row: usize) -> Micros {
        self.timeframe.close_at(self.open_at_us()[row])
    }

    /// `len` candles from row `offset` on, sharing memory with these.
    #[must_use]
    pub fn slice(&self, offset: usize, len: usize) -> Candles {
        Candles {
            pair: self.pair.clone(),
            timeframe: self.timeframe,
            as_of: self.as_of,
            frame: self.frame.slice(i64::try_from(offset).expect("a row number"), len),
        }
    }

    fn slice_of(&self, column: usize) -> &[f64] {
        self.frame.columns()[column]
            .as_materialized_series()
            .f64()
            .expect("prices and volume are Float64")
            .cont_slice()
            .expect("one chunk without nulls")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(rows: &[(&str, [f64; 4], f64)]) -> CandleColumns {
        let mut columns = CandleColumns::default();
        for (at, prices, volume) in rows {
            let at = at.parse::<DateTime<Utc>>().expect(at).timestamp_micros();
            columns.push_raw(at, *prices, *volume);
        }
        columns
    }

    fn candles(rows: &[(&str, [f64; 4], f64)], as_of: &str) -> Result<Candles, CandlesError> {
        let pair = "EUR/USD".parse().expect("a pair");
        Candles::new(pair, Timeframe::Hour1, as_of.parse().expect(as_of), columns(rows))
    }

    const GOOD: [f64; 4] = [1.1, 1.2, 1.0, 1.15];

    #[test]
    fn slices_and_frame_hold_the_same() {
        let candles = candles(
            &[
                ("2024-01-02T10:00:00Z", GOOD, 5.0),
                ("2024-01-02T11:00:00Z", [1.15, 1.16, 1.1, 1.12], 0.0),
            ],
            "2024-01-02T12:00:00Z",
        )
        .expect("valid");
        assert_eq!(candles.close(), [1.15, 1.12]);
        assert_eq!(candles.slice(1, 1).open(), [1.15]);
        assert_eq!(instant(candles.close_at_us(1)).to_rfc3339(), "2024-01-02T12:00:00+00:00");
        assert_eq!(
            candles.frame().get_column_names(),
            ["timestamp", "open", "high", "low", "close", "volume"]
        );
    }

    #[test]
    fn what_is_no_candle_is_refused_by_name() {
        let at = "2024-01-02T10:00:00Z";
        let late = "2024-01-03T00:00:00Z";
        for (rows, as_of, message) in [
            (vec![(at, [1.1, 1.05, 1.0, 1.02], 0.0)], late, "high 1.05 is below open 1.1"),
            (vec![(at, [1.1, 1.2, 1.12, 1.15], 0.0)], late, "low 1.12 is above open 1.1"),
            (vec![(at, [1.1, f64::NAN, 1.0, 1.15], 0.0)], late, "high NaN is not a finite number"),
            (vec![(at, [1.1, 1.2, 0.0, 1.15], 0.0)], late, "low 0 is not positive"),
            (vec![(at, GOOD, -1.0)], late, "volume -1 is not"),
            (vec![(at, GOOD, 0.0), (at, GOOD, 0.0)], late, "does not come after"),
            (vec![("2024-01-02T10:01:00Z", GOOD, 0.0)], late, "off the grid of 1h"),
            (vec![(at, GOOD, 0.0)], "2024-01-02T10:59:59Z", "has not closed"),
        ] {
            let error = candles(&rows, as_of).expect_err(message).to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
