//! What a Sharpe ratio is worth: probabilistic and deflated (Bailey & López de Prado 2012, 2014), the track record it
//! needs, and its scaling in time (Lo 2002). All per observation, with the *raw* kurtosis (3 for a normal).

use super::{autocovariance, centred, mean, normal_cdf, normal_quantile, sample_sd};

/// Euler's constant.
const GAMMA: f64 = 0.577_215_664_901_532_9;

/// A Sharpe ratio with what its standard error depends on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReturnMoments {
    /// Returns.
    pub n: usize,
    /// Mean over standard deviation (n - 1), per observation.
    pub sharpe: f64,
    /// Third standardised moment (divisor n).
    pub skewness: f64,
    /// Fourth standardised moment (divisor n), 3 for a normal.
    pub kurtosis: f64,
}

impl ReturnMoments {
    /// Of returns; `None` under two of them or where they do not vary.
    pub fn of(returns: &[f64]) -> Option<ReturnMoments> {
        let n = returns.len();
        let sd = sample_sd(returns).filter(|sd| *sd > 0.0)?;
        let centred = centred(returns);
        let moment = |k: i32| centred.iter().map(|value| value.powi(k)).sum::<f64>() / n as f64;
        let spread = moment(2).sqrt();
        Some(ReturnMoments {
            n,
            sharpe: mean(returns)? / sd,
            skewness: moment(3) / spread.powi(3),
            kurtosis: moment(4) / spread.powi(4),
        })
    }

    /// 1 - γ₃ SR + (γ₄ - 1)/4 SR²: the variance of the estimate, times n - 1.
    fn spread(&self) -> f64 {
        1.0 - self.skewness * self.sharpe + (self.kurtosis - 1.0) / 4.0 * self.sharpe.powi(2)
    }

    /// Standard error of the Sharpe ratio, per observation; `None` where the moments allow none.
    pub fn standard_error(&self) -> Option<f64> {
        let spread = self.spread();
        (self.n > 1 && spread > 0.0).then(|| (spread / (self.n - 1) as f64).sqrt())
    }
}

/// PSR: the probability that the true Sharpe ratio is above `benchmark`, per observation.
pub fn probabilistic_sharpe(moments: &ReturnMoments, benchmark: f64) -> Option<f64> {
    Some(normal_cdf((moments.sharpe - benchmark) / moments.standard_error()?))
}

/// The largest of `n_trials` standard normal draws, expected: the bracket of the deflated Sharpe ratio. 0 for one trial.
pub fn expected_maximum(n_trials: f64) -> f64 {
    if n_trials <= 1.0 {
        return 0.0;
    }
    (1.0 - GAMMA) * normal_quantile(1.0 - 1.0 / n_trials)
        + GAMMA * normal_quantile(1.0 - 1.0 / (n_trials * std::f64::consts::E))
}

/// SR₀: what the best of `n_trials` without skill is expected to show, where `variance` is that of the trials' Sharpe
/// ratios. [`probabilistic_sharpe`] against it is the deflated Sharpe ratio.
pub fn deflated_benchmark(variance: f64, n_trials: f64) -> f64 {
    variance.sqrt() * expected_maximum(n_trials)
}

/// Trials that count, of `n_trials` whose daily returns have this mean correlation (0 to 1): ρ̄ + (1 - ρ̄) M.
pub fn effective_trials(n_trials: usize, mean_correlation: f64) -> f64 {
    let correlation = mean_correlation.clamp(0.0, 1.0);
    correlation + (1.0 - correlation) * n_trials as f64
}

/// MinTRL: observations until the Sharpe ratio is above `benchmark` with confidence `1 - alpha`; `None` where it is not
/// above it.
pub fn min_track_record(moments: &ReturnMoments, benchmark: f64, alpha: f64) -> Option<f64> {
    let lead = moments.sharpe - benchmark;
    let spread = moments.spread();
    (lead > 0.0 && spread > 0.0)
        .then(|| 1.0 + spread * (normal_quantile(1.0 - alpha) / lead).powi(2))
}

/// Lo's η(q), by which a Sharpe ratio per observation scales to `q` observations: √q where returns do not correlate.
/// Autocorrelations up to `max_lag` count, later ones are taken as 0. `None` where returns do not vary, or correlate so
/// that the sum of `q` has no variance.
pub fn lo_eta(returns: &[f64], q: usize, max_lag: usize) -> Option<f64> {
    sample_sd(returns).filter(|sd| *sd > 0.0)?;
    let centred = centred(returns);
    let variance = autocovariance(&centred, 0);
    let sum: f64 = (1..q.min(max_lag + 1))
        .map(|lag| (q - lag) as f64 * autocovariance(&centred, lag) / variance)
        .sum();
    let scaled = q as f64 + 2.0 * sum;
    (scaled > 0.0).then(|| q as f64 / scaled.sqrt())
}
