//! The stationary bootstrap (Politis & Romano, JASA 1994): blocks of geometric length, drawn from a circle.
//!
//! What is drawn are indices of time, so that models and pairs that share them stay paired.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use super::{autocovariance, centred, mean, quantile_sorted, sample_sd};

/// Mean block length for the stationary bootstrap of a mean (Politis & White, Econometric Reviews 2004, with the
/// correction of Patton, Politis & White 2009): at least 1, at most min(3 √n, n/3). `None` under nine values or where
/// they do not vary.
pub fn block_length(values: &[f64]) -> Option<f64> {
    let n = values.len();
    let size = n as f64;
    sample_sd(values).filter(|sd| n >= 9 && *sd > 0.0)?;
    let centred = centred(values);
    let variance = autocovariance(&centred, 0);
    let n_quiet = 5.max(size.log10() as usize);
    let longest = size.sqrt().ceil() as usize + n_quiet;
    let covariance: Vec<f64> = (0..=longest).map(|lag| autocovariance(&centred, lag)).collect();
    // The first of `n_quiet` lags in a row whose correlation is no more than noise.
    let noise = 2.0 * (size.log10() / size).sqrt() * variance;
    let quiet = |from: &usize| covariance[*from..*from + n_quiet].iter().all(|c| c.abs() < noise);
    let band =
        (1..=longest - n_quiet).find(quiet).map_or(longest, |first| (2 * first).min(longest));
    let (mut g, mut long_run) = (0.0, variance);
    for (lag, covariance) in covariance.iter().enumerate().take(band + 1).skip(1) {
        let share = lag as f64 / band as f64;
        // A flat top, so that the bias is of the order of what was left out.
        let weight = if share <= 0.5 { 1.0 } else { 2.0 * (1.0 - share) };
        g += 2.0 * weight * lag as f64 * covariance;
        long_run += 2.0 * weight * covariance;
    }
    let optimal = (g * g / (long_run * long_run) * size).cbrt();
    let most = (3.0 * size.sqrt()).min(size / 3.0).ceil();
    // A long-run variance of 0 leaves no optimum: the longest block is the careful answer.
    Some(if optimal.is_nan() { most } else { optimal.clamp(1.0, most) })
}

/// How to resample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StationaryBootstrap {
    /// Mean length of a block, at least 1; see [`block_length`].
    pub mean_block: f64,
    /// Resamples, such as 9,999.
    pub n_resamples: usize,
    /// The same seed gives the same resamples; take it from the hash of the dataset.
    pub seed: u64,
}

/// A mean with its bootstrap interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BootstrapMean {
    /// Mean of the sample.
    pub mean: f64,
    /// 2.5th percentile of the resamples' means.
    pub low: f64,
    /// 97.5th percentile.
    pub high: f64,
    /// One-sided p of a mean at or below 0: (1 + #{mean* - mean ≥ mean}) / (1 + resamples).
    pub p_above: f64,
}

impl StationaryBootstrap {
    /// The statistic, or several, of each resample of `n` instants, given as indices; nothing of nothing.
    pub fn resample<T>(&self, n: usize, mut statistic: impl FnMut(&[usize]) -> T) -> Vec<T> {
        if n == 0 {
            return Vec::new();
        }
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        let p_break = 1.0 / self.mean_block.max(1.0);
        let mut indices = vec![0; n];
        (0..self.n_resamples)
            .map(|_| {
                let mut at = rng.random_range(0..n);
                for index in &mut indices {
                    *index = at;
                    let is_break = rng.random::<f64>() < p_break;
                    at = if is_break { rng.random_range(0..n) } else { (at + 1) % n };
                }
                statistic(&indices)
            })
            .collect()
    }

    /// The mean of `values` (days, in order) with its interval and p; `None` of nothing.
    pub fn mean(&self, values: &[f64]) -> Option<BootstrapMean> {
        let observed = mean(values)?;
        let of = |indices: &[usize]| {
            indices.iter().map(|&index| values[index]).sum::<f64>() / indices.len() as f64
        };
        let means = self.resample(values.len(), of);
        let n_beyond = means.iter().filter(|&&m| m - observed >= observed).count();
        let p_above = (1 + n_beyond) as f64 / (1 + means.len()) as f64;
        let (low, high) = percentile_interval(means)?;
        Some(BootstrapMean { mean: observed, low, high, p_above })
    }
}

/// The 95 % interval of what resamples gave: their 2.5th and 97.5th percentiles. Values that are not finite (a Sharpe
/// ratio without spread) are left out; `None` where none is left.
pub fn percentile_interval(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.retain(|value| value.is_finite());
    values.sort_unstable_by(f64::total_cmp);
    Some((quantile_sorted(&values, 0.025)?, quantile_sorted(&values, 0.975)?))
}
