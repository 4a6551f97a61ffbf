//! Label rules: what the market did after a candle, as a class.
//!
//! Invariant: a label exists only once the data reaches past its horizon. Not here: what a trade would have paid
//! (`outcome`, `backtest`).

use serde::{Deserialize, Serialize};

use crate::market::Micros;

/// How a training label is made.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LabelRule {
    /// Sell, hold, buy by ±`threshold` (a share of the entry price).
    Fixed {
        /// Share of entry, such as 0.005.
        threshold: f64,
    },
    /// Sell, hold, buy by ±`multiple` × rolling volatility scaled to the horizon.
    Volatility {
        /// How many standard deviations.
        multiple: f64,
    },
    /// Sell, hold, buy by which of the barriers comes first; both in one candle counts as the loss.
    TripleBarrier {
        /// Share of entry.
        take_profit: f64,
        /// Share of entry.
        stop_loss: f64,
    },
    /// Strong sell, sell, buy, strong buy by the quartiles of the training part's forward returns.
    Quartile,
}

/// No class: the label does not exist (yet).
pub const NO_CLASS: u8 = u8::MAX;

/// Labels of one series, one entry a candle.
#[derive(Debug, Clone)]
pub struct Labels {
    /// Class of each candle, [`NO_CLASS`] where there is none.
    pub class: Vec<u8>,
    /// Exit price over entry price, less one; NaN where there is no label.
    pub forward_return: Vec<f64>,
    /// Instant at which the horizon ends (entry + horizon); meaningful where there is a label.
    pub until_us: Vec<Micros>,
}
