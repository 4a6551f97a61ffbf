//! [`Scaler`]: median and interquartile range of the training part, and the scaled windows.

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Dataset, TrainPart, Windows};
use crate::stats;

/// Scaled values are clipped here, in interquartile ranges from the median.
const CLIP: f64 = 10.0;

/// Rows that are scaled together: a block of them stays in the first-level cache while column after column is written.
const BLOCK_ROWS: usize = 128;

/// Robust scaling, fitted on a training part: `clip((x - median) / iqr, ±10)`.
///
/// There are two ways to one that knows data: fitted by a split on its [`TrainPart`], or read back from where such a one
/// was written.
/// Invariant: as many medians as ranges, all finite, ranges above 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Scaler {
    /// Median of each feature.
    median: Vec<f64>,
    /// Interquartile range of each feature; 1 where the feature is constant.
    iqr: Vec<f64>,
}

/// Why numbers are no scaler.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ScalerError {
    /// Lists of different length.
    #[error("the scaler has {n_median} medians and {n_iqr} interquartile ranges")]
    Ragged {
        /// Medians.
        n_median: usize,
        /// Ranges.
        n_iqr: usize,
    },
    /// A number that cannot be.
    #[error("the scaler of feature {feature} has median {median} and interquartile range {iqr}")]
    Value {
        /// Its place, from 0.
        feature: usize,
        /// Must be finite.
        median: f64,
        /// Must be finite and above 0.
        iqr: f64,
    },
}

/// A scaler as it is written, not yet checked.
#[derive(Deserialize)]
struct Raw {
    median: Vec<f64>,
    iqr: Vec<f64>,
}

impl TryFrom<Raw> for Scaler {
    type Error = ScalerError;

    fn try_from(Raw { median, iqr }: Raw) -> Result<Self, ScalerError> {
        if median.len() != iqr.len() {
            return Err(ScalerError::Ragged { n_median: median.len(), n_iqr: iqr.len() });
        }
        let sound = |(m, r): (&f64, &f64)| m.is_finite() && r.is_finite() && *r > 0.0;
        if let Some(feature) = median.iter().zip(&iqr).position(|pair| !sound(pair)) {
            return Err(ScalerError::Value { feature, median: median[feature], iqr: iqr[feature] });
        }
        Ok(Scaler { median, iqr })
    }
}

impl Scaler {
    /// One that only clips: median 0, range 1.
    pub fn neutral(n_features: usize) -> Scaler {
        Scaler { median: vec![0.0; n_features], iqr: vec![1.0; n_features] }
    }

    /// Fits over the rows that training windows cover, each row once.
    pub(super) fn fit(train: &TrainPart, dataset: &Dataset<'_>) -> Scaler {
        let covered = train.covered_rows(dataset.config.lookback, dataset.n_rows());
        let n_covered = covered.iter().filter(|row| **row).count();
        let (median, iqr) = (0..dataset.series[0].features.columns.len())
            .into_par_iter()
            .map_init(
                || Vec::with_capacity(n_covered),
                |values, feature| {
                    values.clear();
                    for (input, &offset) in dataset.series.iter().zip(&dataset.offsets) {
                        let rows = input.features.columns[feature].iter().zip(&covered[offset..]);
                        values.extend(rows.filter(|(_, row)| **row).map(|(value, _)| *value));
                    }
                    let [low, middle, high] =
                        stats::quartiles(values).expect("a training part has a sample");
                    let iqr = high - low;
                    // A constant feature carries nothing: a range of 1 keeps it at 0 instead of dividing by 0.
                    (middle, if iqr > 0.0 { iqr } else { 1.0 })
                },
            )
            .unzip();
        Scaler { median, iqr }
    }

    /// Number of features.
    pub fn n_features(&self) -> usize {
        self.median.len()
    }

    /// Median of each feature.
    pub fn median(&self) -> &[f64] {
        &self.median
    }

    /// Interquartile range of each feature; 1 where the feature is constant.
    pub fn iqr(&self) -> &[f64] {
        &self.iqr
    }

    /// Scales columns into `rows` (`[n, features]`, row-major, at least as long as the columns). What is not a number
    /// (before a feature is defined) becomes 0; windows over such rows are the caller's to refuse.
    pub fn apply(&self, columns: &[Vec<f64>], rows: &mut [f32]) {
        let n_features = self.n_features();
        let n_rows = columns.first().map_or(0, Vec::len);
        let blocks = rows[..n_rows * n_features].chunks_mut(BLOCK_ROWS * n_features.max(1));
        for (block, rows) in blocks.enumerate() {
            let from = block * BLOCK_ROWS;
            let n = rows.len() / n_features;
            for (feature, column) in columns.iter().enumerate() {
                let (median, iqr) = (self.median[feature], self.iqr[feature]);
                for (row, &value) in rows.chunks_exact_mut(n_features).zip(&column[from..from + n])
                {
                    let scaled = ((value - median) / iqr).clamp(-CLIP, CLIP);
                    row[feature] = if scaled.is_nan() { 0.0 } else { scaled as f32 };
                }
            }
        }
    }

    /// All rows of a dataset scaled, row-major. Rows before a feature is defined hold 0; no window covers them.
    pub(super) fn windows(&self, dataset: &Dataset<'_>) -> Windows {
        let n_features = self.n_features();
        let mut values = vec![0.0f32; dataset.n_rows() * n_features];
        for (input, &offset) in dataset.series.iter().zip(&dataset.offsets) {
            self.apply(&input.features.columns, &mut values[offset * n_features..]);
        }
        Windows { values, n_features, lookback: dataset.config.lookback }
    }
}
