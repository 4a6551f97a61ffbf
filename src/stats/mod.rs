//! Statistics without a room of their own: quantiles, tests of proportions and means, the stationary bootstrap, distances
//! of distributions, streams that are watched, and what a Sharpe ratio is worth after a search. Pure; every formula names its source, FORMULAS section 4 has the rest.
//!
//! Invariant: no randomness without a seed, and what has no value (too few observations, no spread) is `None`.
//! Not here: which unit a test is about (the trading day: `evaluate`), and what follows from it (`gate`).

mod adwin;
mod bootstrap;
mod distances;
mod means;
mod overfitting;
mod proportions;
mod quantiles;
mod sequential;
mod sharpe;
#[cfg(test)]
mod tests;

pub use adwin::{Adwin, AdwinState};
pub use bootstrap::{BootstrapMean, StationaryBootstrap, block_length, percentile_interval};
pub use distances::{
    KolmogorovSmirnov, distance, kolmogorov_smirnov, stability_index, wasserstein,
};
pub use means::{TTest, days_needed};
pub use overfitting::{Overfitting, overfitting};
pub use proportions::{Discordant, Proportion, TwoProportions};
pub use quantiles::{median, quantile_sorted, quartiles};
pub use sequential::{
    DailyTest, FIRST_LOOK_DAYS, PageHinkley, PageHinkleyState, adwin_cut, memory_inflation,
    mixture_t_half_width, mixture_t_p,
};
pub use sharpe::{
    ReturnMoments, deflated_benchmark, effective_trials, expected_maximum, lo_eta,
    min_track_record, probabilistic_sharpe,
};

use statrs::distribution::{ContinuousCDF, Normal};

/// Arithmetic mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Sample standard deviation (n - 1), exactly 0 where all values are one; `None` under two values.
pub fn sample_sd(values: &[f64]) -> Option<f64> {
    let centre = mean(values)?;
    // The mean of thirty times 0.01 is not 0.01, and a Sharpe ratio of 10¹⁵ is not what such returns have.
    if values.iter().all(|value| value.to_bits() == values[0].to_bits()) && values.len() > 1 {
        return Some(0.0);
    }
    let squares: f64 = values.iter().map(|value| (value - centre).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// Φ.
pub fn normal_cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// Φ⁻¹, infinite at 0 and 1.
pub fn normal_quantile(p: f64) -> f64 {
    Normal::standard().inverse_cdf(p)
}

/// Autocovariance at `lag` with the divisor n, as spectral estimates want it; 0 beyond the sample.
fn autocovariance(centred: &[f64], lag: usize) -> f64 {
    let n = centred.len();
    if lag >= n {
        return 0.0;
    }
    centred[lag..].iter().zip(centred).map(|(late, early)| late * early).sum::<f64>() / n as f64
}

fn centred(values: &[f64]) -> Vec<f64> {
    let centre = mean(values).unwrap_or(0.0);
    values.iter().map(|value| value - centre).collect()
}
