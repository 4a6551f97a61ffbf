//! Student's t: of one sample, and of two by Welch.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{mean, normal_quantile, sample_sd};

/// An effect with its standard error and degrees of freedom: a t test, and the interval that goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct TTest {
    /// The mean less what it is tested against, or the difference of two means.
    pub effect: f64,
    /// Its standard error; 0 where nothing varies.
    pub error: f64,
    /// Degrees of freedom.
    pub df: f64,
}

impl TTest {
    /// The mean of `values` against `null`; `None` under two values or where one is not finite.
    pub fn one_sample(values: &[f64], null: f64) -> Option<TTest> {
        let n = values.len() as f64;
        let error = sample_sd(values)? / n.sqrt();
        Self::checked(mean(values)? - null, error, n - 1.0)
    }

    /// The difference of two means, first less second, with Satterthwaite's degrees of freedom (Welch, Biometrika 1947).
    /// `None` under two values in either, or where nothing varies in both.
    pub fn welch(first: &[f64], second: &[f64]) -> Option<TTest> {
        let share = |values: &[f64]| Some(sample_sd(values)?.powi(2) / values.len() as f64);
        let (a, b) = (share(first)?, share(second)?);
        let (n, m) = (first.len() as f64, second.len() as f64);
        let df = (a + b).powi(2) / (a * a / (n - 1.0) + b * b / (m - 1.0));
        Self::checked(mean(first)? - mean(second)?, (a + b).sqrt(), df)
    }

    fn checked(effect: f64, error: f64, df: f64) -> Option<TTest> {
        (effect.is_finite() && error.is_finite() && df.is_finite()).then_some(TTest {
            effect,
            error,
            df,
        })
    }

    /// The t statistic; `None` where nothing varies.
    pub fn t(&self) -> Option<f64> {
        (self.error > 0.0).then(|| self.effect / self.error)
    }

    /// p of an effect at least as large if there were none or a negative one. Where nothing varies the effect is as it
    /// is: 0 above, 1 otherwise.
    pub fn p_above(&self) -> f64 {
        match self.t() {
            Some(t) => self.student().sf(t),
            None => f64::from(u8::from(self.effect <= 0.0)),
        }
    }

    /// p of an effect at least as large, either way, if there were none.
    pub fn p_two_sided(&self) -> f64 {
        match self.t() {
            Some(t) => (2.0 * self.student().sf(t.abs())).min(1.0),
            None => f64::from(u8::from(self.effect == 0.0)),
        }
    }

    /// Interval of the effect at `level`, such as 0.95.
    pub fn interval(&self, level: f64) -> (f64, f64) {
        let half = self.quantile(0.5 + level / 2.0) * self.error;
        (self.effect - half, self.effect + half)
    }

    /// The effect that `1 - power` of such samples would miss at two-sided `alpha`: what could have been seen.
    pub fn detectable(&self, alpha: f64, power: f64) -> f64 {
        (self.quantile(1.0 - alpha / 2.0) + self.quantile(power)) * self.error
    }

    fn student(&self) -> StudentsT {
        StudentsT::new(0.0, 1.0, self.df).expect("degrees of freedom are positive")
    }

    fn quantile(&self, p: f64) -> f64 {
        self.student().inverse_cdf(p)
    }
}

/// Units (days) until an effect of the observed size would be seen with `power` at two-sided `alpha`, by the normal
/// approximation; `None` under two values or where there is no effect.
pub fn days_needed(values: &[f64], alpha: f64, power: f64) -> Option<u64> {
    let effect = mean(values)?;
    let sd = sample_sd(values)?;
    let z = normal_quantile(1.0 - alpha / 2.0) + normal_quantile(power);
    let needed = (z * sd / effect).powi(2).ceil();
    (needed.is_finite() && effect != 0.0).then_some(needed as u64)
}
