//! Feature sets: what a model sees of the candles. One table declares each feature; kernels on slices compute it.
//!
//! Main types: [`FeatureSet`] (the table; [`V1`] is the one there is), [`Features`] (the columns of one series).
//! Invariant: row *t* depends on candles ≤ *t* only, and on no more than [`FeatureSet::warm_up`] of them to 1e-6.
//! The limit of the latter: averages that never forget (RSI, ±DI, ADX) are ratios of what is left of old moves once a
//! price has stood still for the whole warm-up.
//! Not here: scaling (`dataset`), labels (`labels`).

mod recursive;
#[cfg(test)]
mod tests;
mod v1;
mod windows;

use polars::prelude::*;
use rayon::prelude::*;

use crate::market::{Candles, Timeframe};

pub use v1::V1;

/// One feature of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Feature {
    /// Its column name.
    pub name: &'static str,
    /// What it is, for people: formula, periods, source.
    pub definition: &'static str,
    /// Candles before the first defined value.
    pub warm_up: usize,
}

/// A named, versioned list of features.
#[derive(Debug, PartialEq, Eq)]
pub struct FeatureSet {
    /// Name and version in one, such as `v1`.
    pub name: &'static str,
    /// The features, in column order.
    pub features: &'static [Feature],
    /// Candles to read before the first row wanted, so that every value agrees with the full history to 1e-6.
    pub warm_up: usize,
}

impl FeatureSet {
    /// Names of the features, in column order.
    pub fn names(&self) -> Vec<&'static str> {
        self.features.iter().map(|feature| feature.name).collect()
    }
}

/// A name that no feature set has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no feature set called {given:?}; the nearest is {nearest}")]
pub struct UnknownFeatureSet {
    given: String,
    /// The known name that is most like it.
    pub nearest: &'static str,
}

/// Features of one series: a column a feature, as long as the candles; NaN where a feature is not yet defined.
#[derive(Debug, Clone)]
pub struct Features {
    /// Which set.
    pub set: &'static FeatureSet,
    /// `columns[feature][row]`, unscaled.
    pub columns: Vec<Vec<f64>>,
}

/// Every feature set that can be named in a configuration.
const SETS: [&FeatureSet; 1] = [&V1];

/// The feature set of that name.
///
/// # Errors
/// [`UnknownFeatureSet`] names the nearest one.
pub fn by_name(name: &str) -> Result<&'static FeatureSet, UnknownFeatureSet> {
    SETS.into_iter().find(|set| set.name == name).ok_or_else(|| {
        let likeness = |set: &&FeatureSet| strsim::jaro_winkler(set.name, name);
        let nearest = SETS.into_iter().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
        UnknownFeatureSet {
            given: name.chars().take(40).collect(),
            nearest: nearest.map_or(V1.name, |set| set.name),
        }
    })
}

/// The features of one series, on the calling thread. Rows before [`Features::first_complete_row`] hold NaN in some
/// columns, later ones in none.
pub fn compute(set: &'static FeatureSet, candles: &Candles) -> Features {
    let mut features = Features { set, columns: Vec::new() };
    compute_into(candles, &mut features);
    features
}

/// [`compute`] in the place and the memory of earlier features: new memory costs more than the arithmetic, so a caller
/// that takes series after series, or the same one again and again, keeps what it has.
pub fn compute_into(candles: &Candles, features: &mut Features) {
    let months: Vec<i64>;
    let (at_us, to_close_us) = match candles.timeframe() {
        Timeframe::Month1 => {
            months = (0..candles.len()).map(|row| candles.close_at_us(row)).collect();
            (&months[..], 0)
        }
        timeframe => (candles.open_at_us(), timeframe.nominal_us()),
    };
    let series = v1::Series {
        at_us,
        to_close_us,
        open: candles.open(),
        high: candles.high(),
        low: candles.low(),
        close: candles.close(),
        volume: candles.volume(),
    };
    v1::compute(&series, &mut features.columns);
}

/// [`compute`] for several series, on all of rayon's threads; equal to it bit for bit.
pub fn compute_all(set: &'static FeatureSet, series: &[Candles]) -> Vec<Features> {
    series.par_iter().map(|candles| compute(set, candles)).collect()
}

impl Features {
    /// The first row on which every feature is defined; the number of rows where there is none.
    pub fn first_complete_row(&self) -> usize {
        let warm_up = self.set.features.iter().map(|feature| feature.warm_up).max().unwrap_or(0);
        warm_up.min(self.n_rows())
    }

    /// Number of rows: that of the candles.
    pub fn n_rows(&self) -> usize {
        self.columns.first().map_or(0, Vec::len)
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&[f64]> {
        let index = self.set.features.iter().position(|feature| feature.name == name)?;
        self.columns.get(index).map(Vec::as_slice)
    }

    /// A `Float64` column a feature, null where it is not yet defined. Takes the columns over without copying.
    pub fn into_frame(self) -> DataFrame {
        let n_rows = self.n_rows();
        let columns = self.set.features.iter().zip(self.columns).map(|(feature, values)| {
            let defined = (0..n_rows).map(|row| row >= feature.warm_up).collect();
            Float64Chunked::from_vec_validity(feature.name.into(), values, Some(defined))
                .into_column()
        });
        DataFrame::new(n_rows, columns.collect()).expect("columns of one length and their own name")
    }

    /// As [`Features::into_frame`], of a copy.
    pub fn to_frame(&self) -> DataFrame {
        self.clone().into_frame()
    }
}
