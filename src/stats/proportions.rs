//! Shares of independent samples. Ours overlap in time, so these are reported and never decide (FORMULAS 4.1).

use statrs::distribution::{Binomial, DiscreteCDF};

use super::{normal_cdf, normal_quantile};

/// `n_hits` of `n`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proportion {
    /// How often it happened.
    pub n_hits: u64,
    /// How often it could have; at least `n_hits`.
    pub n: u64,
}

impl Proportion {
    /// The share; `None` of nothing.
    pub fn share(self) -> Option<f64> {
        (self.n > 0).then(|| self.n_hits as f64 / self.n as f64)
    }

    /// Wilson's score interval (JASA 1927) at `level`, such as 0.95; `None` of nothing.
    pub fn wilson(self, level: f64) -> Option<(f64, f64)> {
        let p = self.share()?;
        let n = self.n as f64;
        let z = normal_quantile(0.5 + level / 2.0);
        let centre = p + z * z / (2.0 * n);
        let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt();
        let scale = 1.0 + z * z / n;
        Some((((centre - half) / scale).max(0.0), ((centre + half) / scale).min(1.0)))
    }
}

/// Two unpaired proportions; differences are first less second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwoProportions {
    /// The one.
    pub first: Proportion,
    /// The other.
    pub second: Proportion,
}

impl TwoProportions {
    /// The pooled z statistic; `None` where a sample is empty or nothing varies.
    pub fn z(self) -> Option<f64> {
        let (first, second) = (self.first, self.second);
        let difference = first.share()? - second.share()?;
        let pooled = (first.n_hits + second.n_hits) as f64 / (first.n + second.n) as f64;
        let weight = 1.0 / first.n as f64 + 1.0 / second.n as f64;
        let error = (pooled * (1.0 - pooled) * weight).sqrt();
        (error > 0.0).then(|| difference / error)
    }

    /// Two-sided p of no difference, by [`TwoProportions::z`].
    pub fn p(self) -> Option<f64> {
        self.z().map(|z| 2.0 * normal_cdf(-z.abs()))
    }

    /// Interval of the difference from the two Wilson intervals (Newcombe, Statistics in Medicine 1998, method 10).
    pub fn newcombe(self, level: f64) -> Option<(f64, f64)> {
        let (p1, p2) = (self.first.share()?, self.second.share()?);
        let ((l1, u1), (l2, u2)) = (self.first.wilson(level)?, self.second.wilson(level)?);
        let d = p1 - p2;
        Some((d - (p1 - l1).hypot(u2 - p2), d + (u1 - p1).hypot(p2 - l2)))
    }
}

/// Paired answers in which exactly one of two models was right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Discordant {
    /// Only the first was right.
    pub n_first: u64,
    /// Only the second was right.
    pub n_second: u64,
}

impl Discordant {
    /// Two-sided p of McNemar's exact test (Psychometrika 1947): the discordant pairs against a fair coin. 1 without any.
    pub fn p_exact(self) -> f64 {
        let n = self.n_first + self.n_second;
        let fair = Binomial::new(0.5, n).expect("one half is a probability");
        (2.0 * fair.cdf(self.n_first.min(self.n_second))).min(1.0)
    }
}
