//! Streams that are watched as they grow: Page–Hinkley, ADWIN's cut, and a test of a mean that may be looked at every day
//! (FORMULAS 4.4, 4.7).

use serde::{Deserialize, Serialize};

/// Page–Hinkley test for a rise of the mean (Page 1954; Hinkley 1971; Mouss 2004).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PageHinkley {
    /// Changes smaller than this are let be, in the unit of the stream.
    pub delta: f64,
    /// Fires above this.
    pub lambda: f64,
    /// Forgetting, 1 for none.
    pub alpha: f64,
    /// Does not fire before so many values.
    pub min_values: usize,
}

/// Where a stream stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PageHinkleyState {
    /// m − min m after the last value that was looked at.
    pub statistic: f64,
    /// Number of the value, from 1, at which it fired; the stream is not looked at beyond it.
    pub fired_at: Option<usize>,
}

impl PageHinkley {
    /// Looks at a stream from its beginning; nothing has to be remembered between two looks.
    pub fn look(&self, stream: &[f64]) -> PageHinkleyState {
        let (mut mean, mut sum, mut least) = (0.0, 0.0, 0.0f64);
        let mut statistic = 0.0;
        for (index, value) in stream.iter().enumerate() {
            let t = index + 1;
            mean += (value - mean) / t as f64;
            sum = self.alpha * sum + (value - mean - self.delta);
            least = least.min(sum);
            statistic = sum - least;
            if statistic > self.lambda && t >= self.min_values {
                return PageHinkleyState { statistic, fired_at: Some(t) };
            }
        }
        PageHinkleyState { statistic, fired_at: None }
    }
}

/// How far the means of two neighbouring windows of `n` and `m` values may lie apart before ADWIN drops the older one (Bifet &
/// Gavaldà 2007), for a variance over both and a confidence `delta`. `None` where one is empty.
pub fn adwin_cut(n: usize, m: usize, variance: f64, delta: f64) -> Option<f64> {
    if n == 0 || m == 0 {
        return None;
    }
    let harmonic = 1.0 / (1.0 / n as f64 + 1.0 / m as f64);
    let log = (2.0 * ((n + m) as f64).ln() / delta).ln();
    Some((2.0 / harmonic * variance * log).sqrt() + 2.0 / (3.0 * harmonic) * log)
}

/// How much wider the spread of a mean of `values` is than that of independent ones: (1 + r)/(1 - r), where r is their lag-1
/// autocorrelation, raised by its bias 1.5/n and cut to 0..0.8. 1 where that cannot be told.
pub fn memory_inflation(values: &[f64]) -> f64 {
    let (Some(mean), n) = (super::mean(values), values.len() as f64) else { return 1.0 };
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    let lagged: f64 = values.windows(2).map(|two| (two[0] - mean) * (two[1] - mean)).sum();
    if squares <= 0.0 {
        return 1.0;
    }
    let r = (lagged / squares + 1.5 / n).clamp(0.0, 0.8);
    (1.0 + r) / (1.0 - r)
}

/// Inverse variance of the mixture: effects of half a standard deviation a day are what is looked for.
const PHI: f64 = 4.0;

/// p of a mean of 0 after `values` of unknown standard deviation whose variance of the mean is `inflation` times that of
/// independent ones ([`memory_inflation`]; 1: independent), for one look; what counts is the least of all looks so far, and that
/// holds however often one looks.
///
/// The t-test with the mean, in standard deviations, mixed over a normal of variance 1/4 (Lai 1976; Lindon, Ham, Tingley &
/// Bojinov 2022, "Anytime-valid inference in linear models"). Exact for independent normal values at every count, where the
/// asymptotic sequence wants some twenty of them. `None` with fewer than two values, or where they do not differ.
pub fn mixture_t_p(values: &[f64], inflation: f64) -> Option<f64> {
    let sd = super::sample_sd(values).filter(|sd| *sd > 0.0)?;
    let n = values.len() as f64;
    let squared = (super::mean(values)? / sd).powi(2) * n / ((n - 1.0) * inflation);
    let shrunk = PHI / (PHI + n);
    let evidence = 0.5 * shrunk.ln() + 0.5 * n * (squared.ln_1p() - (shrunk * squared).ln_1p());
    Some((-evidence).exp().min(1.0))
}

/// [`mixture_t_p`] turned round: half of the interval about the mean that holds with 1 - `alpha` at every look. `None` while
/// there are too few values for any.
pub fn mixture_t_half_width(values: &[f64], inflation: f64, alpha: f64) -> Option<f64> {
    let sd = super::sample_sd(values)?;
    let n = values.len() as f64;
    let shrunk = PHI / (PHI + n);
    let c = (alpha * alpha * shrunk).powf(-1.0 / n);
    (c * shrunk < 1.0)
        .then(|| sd * (inflation * (n - 1.0) / n * (c - 1.0) / (1.0 - c * shrunk)).sqrt())
}

/// Whether days lose on average, looked at after each of them from the first that counts on: the one test behind probation, the
/// breaker and the rule of no skill.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DailyTest {
    /// Days.
    pub n_days: usize,
    /// Their mean.
    pub mean: Option<f64>,
    /// Half of its interval that holds at every look, 95 %.
    pub half_width: Option<f64>,
    /// The least p so far; 1 before there are enough days.
    pub p: f64,
    /// Place of the day after which a mean below 0 was found first; what was found once stays found.
    pub found: Option<usize>,
}

/// Fewer days say nothing.
pub const FIRST_LOOK_DAYS: usize = 8;

impl DailyTest {
    /// Looks at the values of days in their order, as if somebody had looked each evening from `first_look` days on.
    pub fn of(values: &[f64], alpha: f64, first_look: usize) -> DailyTest {
        let (mut least, mut found) = (1.0f64, None);
        for n in first_look.max(2)..=values.len() {
            let so_far = &values[..n];
            let Some(p) = mixture_t_p(so_far, memory_inflation(so_far)) else { continue };
            least = least.min(p);
            if found.is_none() && p <= alpha && super::mean(so_far).is_some_and(|mean| mean < 0.0) {
                found = Some(n - 1);
            }
        }
        DailyTest {
            n_days: values.len(),
            mean: super::mean(values),
            half_width: mixture_t_half_width(values, memory_inflation(values), 0.05),
            p: least,
            found,
        }
    }
}
