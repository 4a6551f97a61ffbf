//! What the features looked like when a model was made: [`Reference`], the content of a version's `reference.json`; and
//! whether a later window still looks like that: [`Calibration`], the content of its `drift.json`, with the [`Look`] that it takes,
//! and [`Domain`] for what no feature shows by itself;
//! and whether one row does: [`Support`], by its distance from all that was learned from. Whether its answers have changed, and
//! what they cost: [`concept`].
//!
//! Invariant: made from training rows only, so that whatever is compared with it later is news. Not here: which windows are
//! looked at, and what follows (`jobs`).

mod calibration;
pub mod concept;
mod domain;
pub mod honesty;
mod rows;
mod support;
mod verdict;

pub use calibration::{Calibration, MAX_ROWS, MIN_APART, MIN_WINDOWS, Prepared};
pub use domain::{Domain, DomainNull};
pub use rows::Rows;
pub use support::{MAX_MEDOIDS, MIN_DAYS, Support, SupportError};
pub use verdict::{CALM_HOURS, Evidence, FeatureDrift, Kind, Look, Measure, Verdict};

use serde::{Deserialize, Serialize};

use crate::stats::quantile_sorted;

/// How many bins a feature's histogram has before equal edges are merged (FORMULAS 4.3).
const N_BINS: usize = 10;

/// The distribution of each feature over the training rows, unscaled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Rows that were looked at.
    pub n_rows: usize,
    /// One entry a feature, in the order of the feature set.
    pub features: Vec<FeatureReference>,
}

/// The distribution of one feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FeatureReference {
    /// Its name.
    pub name: String,
    /// Mean.
    pub mean: f64,
    /// Population standard deviation (n), the unit of the normed Wasserstein distance.
    pub sd: f64,
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// 99.9th percentile: a market beyond it is outside anything the model has seen.
    pub p999: f64,
    /// Inner edges of the histogram, ascending: the deciles, equal ones merged. Outer bins are open.
    pub edges: Vec<f64>,
    /// Share of rows in each bin, one more than edges; a value equal to an edge counts to the bin below it.
    pub shares: Vec<f64>,
}

impl Reference {
    /// Looks at columns of training rows, `columns[feature][row]`, all finite and of one length.
    /// `None` when there is no row.
    pub fn of(names: &[&str], columns: &[Vec<f64>]) -> Option<Reference> {
        let n_rows = columns.first().map_or(0, Vec::len);
        if n_rows == 0 {
            return None;
        }
        let features =
            names.iter().zip(columns).map(|(name, column)| FeatureReference::of(name, column));
        Some(Reference { n_rows, features: features.collect() })
    }
}

impl FeatureReference {
    /// How many values, in ascending order, fall into each bin.
    fn counts(&self, sorted: &[f64]) -> Vec<usize> {
        let mut before = 0;
        let mut counts: Vec<usize> = self
            .edges
            .iter()
            .map(|edge| {
                let below = sorted.partition_point(|value| value <= edge);
                below - std::mem::replace(&mut before, below)
            })
            .collect();
        counts.push(sorted.len() - before);
        counts
    }

    fn of(name: &str, values: &[f64]) -> FeatureReference {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let n = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / n;
        let sd = (sorted.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        let quantile = |q: f64| quantile_sorted(&sorted, q).unwrap_or(f64::NAN);
        let max = quantile(1.0);
        let mut edges = Vec::new();
        let mut counts = Vec::new();
        let mut before = 0;
        for decile in 1..N_BINS {
            let edge = quantile(decile as f64 / N_BINS as f64);
            let below = sorted.partition_point(|x| *x <= edge);
            // Ties: an edge that adds no row to its bin, or leaves none above it, is merged into its neighbour.
            if below > before && below < sorted.len() {
                edges.push(edge);
                counts.push(below - before);
                before = below;
            }
        }
        counts.push(sorted.len() - before);
        FeatureReference {
            name: name.to_owned(),
            mean,
            sd,
            min: quantile(0.0),
            max,
            p999: quantile(0.999),
            edges,
            shares: counts.into_iter().map(|count| count as f64 / n).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn deciles_hold_a_tenth_each() {
        let column: Vec<f64> = (0..1000).map(f64::from).collect();
        let reference = Reference::of(&["x"], &[column]).expect("rows");
        let feature = &reference.features[0];
        assert_eq!(feature.edges.len(), 9);
        assert!(feature.shares.iter().all(|share| (share - 0.1).abs() < 1e-12));
        assert!((feature.p999 - 998.001).abs() < 1e-9);
    }

    #[test]
    fn a_constant_feature_has_one_bin_and_no_rows_no_reference() {
        let feature = FeatureReference::of("x", &[2.0; 50]);
        assert_eq!((feature.edges.len(), feature.shares), (0, vec![1.0]));
        assert_eq!(Reference::of(&["x"], &[Vec::new()]), None);
    }

    proptest! {
        #[test]
        fn shares_add_up_and_edges_ascend(values in proptest::collection::vec(-3i8..3, 1..300)) {
            let values: Vec<f64> = values.into_iter().map(f64::from).collect();
            let feature = FeatureReference::of("x", &values);
            prop_assert!((feature.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assert!(feature.edges.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(feature.shares.len(), feature.edges.len() + 1);
            prop_assert!(feature.shares.iter().all(|share| *share > 0.0));
        }
    }
}
