//! Streams that are watched as they grow: Page–Hinkley, ADWIN's cut, and a confidence sequence that may be looked at every day
//! (FORMULAS 4.4, 4.7).

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

/// An interval for a mean that holds at every moment at once, so that it may be looked at every day (normal mixture: Robbins 1970;
/// Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, arXiv 2103.06476).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConfidenceSequence {
    alpha: f64,
    rho2: f64,
}

impl ConfidenceSequence {
    /// Of error `alpha`, tightest after `tightest_at` values; both stay what they are once somebody has looked.
    pub fn new(alpha: f64, tightest_at: f64) -> ConfidenceSequence {
        let log = alpha.ln();
        ConfidenceSequence { alpha, rho2: (-2.0 * log + (1.0 - 2.0 * log).ln()) / tightest_at }
    }

    /// Half of its width after `n` values of standard deviation `sd`.
    pub fn half_width(&self, n: usize, sd: f64) -> f64 {
        let (t, rho2) = (n as f64, self.rho2);
        let scaled = t * rho2 + 1.0;
        sd * (scaled / (t * t * rho2) * (scaled / (self.alpha * self.alpha)).ln()).sqrt()
    }

    /// p of a mean of 0 after `n` values, for one look; what counts is the least of all looks so far.
    pub fn p(&self, n: usize, mean: f64, sd: f64) -> f64 {
        let (t, rho2) = (n as f64, self.rho2);
        let scaled = t * rho2 + 1.0;
        let evidence =
            scaled.powf(-0.5) * (t * t * rho2 * (mean / sd).powi(2) / (2.0 * scaled)).exp();
        (1.0 / evidence).min(1.0)
    }

    /// The mixing variance in squared standard deviations.
    pub fn rho2(&self) -> f64 {
        self.rho2
    }
}

/// p of a mean of 0 after `values` of unknown standard deviation, for one look; what counts is the least of all looks so far, and
/// that holds however often one looks.
///
/// The t-test with the mean, in standard deviations, mixed over a normal of variance 1/4 (Lai 1976; Lindon, Ham, Tingley &
/// Bojinov 2022, "Anytime-valid inference in linear models"). Exact for independent normal values at every count, where the
/// asymptotic sequence wants some twenty of them. `None` with fewer than two values, or where they do not differ.
pub fn mixture_t_p(values: &[f64]) -> Option<f64> {
    /// Inverse variance of the mixture: effects of half a standard deviation a day are what is looked for.
    const PHI: f64 = 4.0;
    let sd = super::sample_sd(values).filter(|sd| *sd > 0.0)?;
    let n = values.len() as f64;
    let squared = (super::mean(values)? / sd).powi(2) * n / (n - 1.0);
    let shrunk = PHI / (PHI + n);
    let evidence = 0.5 * shrunk.ln() + 0.5 * n * (squared.ln_1p() - (shrunk * squared).ln_1p());
    Some((-evidence).exp().min(1.0))
}
