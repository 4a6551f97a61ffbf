//! The model confidence set (Hansen, Lunde & Nason, Econometrica 2011): T_max on daily losses, resampled by the stationary
//! bootstrap.

use serde::Serialize;

use crate::stats::{self, StationaryBootstrap};

/// Resamples: the p of 10 % that decides has a standard error of 0.3 points.
const N_RESAMPLES: usize = 9_999;

/// Who may be the best.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConfidenceSet {
    /// For each version the p of being among the best; `None` where it had too few days to be tested.
    p: Vec<Option<f64>>,
    /// Confidence, such as 0.9.
    level: f64,
    /// Days that all tested versions have in common.
    pub n_days: usize,
}

impl ConfidenceSet {
    /// Whether a version may be the best, and the p of it; `None` where it was not tested.
    pub fn member(&self, version: usize) -> Option<(bool, f64)> {
        let p = (*self.p.get(version)?)?;
        Some((p > 1.0 - self.level, p))
    }

    /// Versions that were tested.
    pub fn n_tested(&self) -> usize {
        self.p.iter().flatten().count()
    }
}

/// Tests versions by their mean loss of each day, `losses[version][day]`, days in order, `None` where a version has none.
///
/// Versions with fewer than `min_days` days are not tested. The others are compared on the days that all of them have;
/// while those are fewer than `min_days`, the version with the fewest days is left out. The better of two versions with
/// the same days can so be judged beside an old one that has seen half of the month.
pub fn model_confidence_set(
    losses: &[Vec<Option<f64>>],
    min_days: usize,
    level: f64,
    seed: u64,
) -> ConfidenceSet {
    let n_days_of = |version: usize| losses[version].iter().flatten().count();
    let mut tested: Vec<usize> =
        (0..losses.len()).filter(|&version| n_days_of(version) >= min_days.max(1)).collect();
    let common = loop {
        let n_days = tested.first().map_or(0, |&version| losses[version].len());
        let common: Vec<usize> = (0..n_days)
            .filter(|&day| tested.iter().all(|&version| losses[version][day].is_some()))
            .collect();
        if common.len() >= min_days || tested.is_empty() {
            break common;
        }
        let fewest = (0..tested.len()).min_by_key(|&place| n_days_of(tested[place]));
        if let Some(place) = fewest {
            tested.remove(place);
        }
    };
    let columns: Vec<Vec<f64>> = tested
        .iter()
        .map(|&version| common.iter().filter_map(|&day| losses[version][day]).collect())
        .collect();
    let mean_block = block(&columns);
    let found = p_values(&columns, mean_block, N_RESAMPLES, seed);
    let mut p = vec![None; losses.len()];
    for (&version, found) in tested.iter().zip(found) {
        p[version] = Some(found);
    }
    ConfidenceSet { p, level, n_days: common.len() }
}

/// The longest block that a version's distance from the mean of all asks for.
fn block(columns: &[Vec<f64>]) -> f64 {
    let n_days = columns.first().map_or(0, Vec::len);
    let mean: Vec<f64> = (0..n_days)
        .map(|day| columns.iter().map(|column| column[day]).sum::<f64>() / columns.len() as f64)
        .collect();
    columns
        .iter()
        .filter_map(|column| {
            let apart: Vec<f64> =
                column.iter().zip(&mean).map(|(loss, mean)| loss - mean).collect();
            stats::block_length(&apart)
        })
        .fold(1.0, f64::max)
}

/// p of each version being among the best: the largest p of the tests up to the one that threw it out.
pub(super) fn p_values(
    columns: &[Vec<f64>],
    mean_block: f64,
    n_resamples: usize,
    seed: u64,
) -> Vec<f64> {
    let Some(n_days) = columns.first().map(Vec::len) else { return Vec::new() };
    let means: Vec<f64> = columns.iter().filter_map(|column| stats::mean(column)).collect();
    let bootstrap = StationaryBootstrap { mean_block, n_resamples, seed };
    // How far each resample's mean is from the mean, of every version: drawn once, so that the tests stay nested.
    let errors: Vec<Vec<f64>> = bootstrap.resample(n_days, |days| {
        columns
            .iter()
            .zip(&means)
            .map(|(column, mean)| {
                days.iter().map(|&day| column[day]).sum::<f64>() / n_days as f64 - mean
            })
            .collect()
    });
    let mut left: Vec<usize> = (0..columns.len()).collect();
    let mut p = vec![1.0; columns.len()];
    let mut largest: f64 = 0.0;
    while left.len() > 1 {
        let test = Test::of(&left, &means, &errors);
        largest = largest.max(test.p);
        p[left[test.worst]] = largest;
        left.remove(test.worst);
    }
    p
}

/// One step: are all that are left equally good?
struct Test {
    p: f64,
    /// Place among those left of the one to go.
    worst: usize,
}

impl Test {
    fn of(left: &[usize], means: &[f64], errors: &[Vec<f64>]) -> Test {
        let n = left.len() as f64;
        let centre = left.iter().map(|&version| means[version]).sum::<f64>() / n;
        // [resample][place]: the resampled distance from the mean of those left.
        let apart: Vec<Vec<f64>> = errors
            .iter()
            .map(|error| {
                let centre = left.iter().map(|&version| error[version]).sum::<f64>() / n;
                left.iter().map(|&version| error[version] - centre).collect()
            })
            .collect();
        let sds: Vec<f64> = (0..left.len())
            .map(|place| {
                let squares: f64 = apart.iter().map(|row| row[place] * row[place]).sum();
                (squares / apart.len().max(1) as f64).sqrt()
            })
            .collect();
        // Versions that answer alike are no distance apart, whatever is drawn.
        let t = |distance: f64, sd: f64| if sd > 0.0 { distance / sd } else { 0.0 };
        let observed: Vec<f64> =
            left.iter().zip(&sds).map(|(&version, &sd)| t(means[version] - centre, sd)).collect();
        let worst = (0..left.len())
            .max_by(|&a, &b| observed[a].total_cmp(&observed[b]))
            .unwrap_or_default();
        let n_beyond = apart
            .iter()
            .filter(|row| {
                let most = row.iter().zip(&sds).map(|(&distance, &sd)| t(distance, sd));
                most.fold(f64::NEG_INFINITY, f64::max) >= observed[worst]
            })
            .count();
        Test { p: (1 + n_beyond) as f64 / (1 + apart.len()) as f64, worst }
    }
}
