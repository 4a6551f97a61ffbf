//! Samples, windows, the scaler, and folds cut by time with a purge.
//!
//! Invariant: no label span of a training sample reaches into a later part; a scaler comes from a training part only.

use serde::{Deserialize, Serialize};

use crate::market::Micros;

/// Scaled features of all series, one series after another. A window is a view: rows `row + 1 - lookback ..= row`.
#[derive(Debug, Clone)]
pub struct Windows {
    /// `[n_rows, n_features]`, row-major.
    pub values: Vec<f32>,
    /// Columns.
    pub n_features: usize,
    /// Candles in one window.
    pub lookback: usize,
}

/// One sample: a window, its decision and its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Last row of its window in [`Windows::values`].
    pub row: u32,
    /// Which series (index into the dataset's list).
    pub series: u32,
    /// The class.
    pub class: u8,
    /// Open of the window's first candle.
    pub window_from_us: Micros,
    /// Close of the window's last candle: the decision, and the entry.
    pub decided_at_us: Micros,
    /// End of the label's horizon.
    pub label_until_us: Micros,
}

/// Samples in order of decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// The samples.
    pub samples: Vec<Sample>,
}

/// The part that may be learned from: the only one that a scaler can be fitted on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrainPart(pub Part);

/// Robust scaling, fitted on a training part: `clip((x - median) / iqr, ±10)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaler {
    /// Median of each feature.
    pub median: Vec<f64>,
    /// Interquartile range of each feature; 1 where the feature is constant.
    pub iqr: Vec<f64>,
}

/// What `train::fit` learns from.
#[derive(Debug, Clone)]
pub struct Folds {
    /// Scaled windows of all parts.
    pub windows: Windows,
    /// First part.
    pub train: TrainPart,
    /// Second part: early stopping and calibration.
    pub validation: Part,
    /// Last part: seen by nobody.
    pub test: Part,
    /// As fitted on `train`.
    pub scaler: Scaler,
    /// Names of the classes, in order of their numbers.
    pub classes: Vec<String>,
    /// SHA-256 over the content, hex.
    pub sha256: String,
}
