//! Feature sets: what a model sees of the candles. One table declares each feature; kernels on slices compute it.
//!
//! Invariant: row *t* depends on candles ≤ *t* only, and on no more than [`FeatureSet::warm_up`] of them to 1e-6.
//! Not here: scaling (`dataset`), labels (`labels`).

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

/// Features of one series: a column a feature, as long as the candles; NaN where a feature is not yet defined.
#[derive(Debug, Clone)]
pub struct Features {
    /// Which set.
    pub set: &'static FeatureSet,
    /// `columns[feature][row]`, unscaled.
    pub columns: Vec<Vec<f64>>,
}
