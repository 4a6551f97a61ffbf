//! [`DayTest`]: is the mean of daily differences above minus a margin? Power, and the budget of a year (FORMULAS 4.2, 4.8).

use serde::{Deserialize, Serialize};

use crate::{
    evaluate::Comparison,
    stats::{self, TTest},
};

/// What [`Found::detectable`] and [`DayTest::days_needed`] are about.
const POWER: f64 = 0.8;
/// Fewer days than this are no evidence, whatever is asked for: with so few clusters the t test no longer holds its level.
const MIN_DAYS: u32 = 5;

/// A one-sided t test of daily differences in log-loss against `-margin`: with a margin of non-inferiority, without one of
/// superiority. The trading day is the cluster (Cameron, Gelbach & Miller 2008): samples overlap and pairs move together.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DayTest {
    /// Samples that both answered.
    pub n: usize,
    /// Trading days that they lie on.
    pub n_days: usize,
    /// Nats by which the candidate may be worse.
    pub margin: f64,
    /// One-sided level.
    pub alpha: f64,
    /// Days until a difference of the observed size would pass with 80 % power, at least the fewest that are
    /// evidence; `None` where there are enough days and the difference is not on the passing side.
    pub days_needed: Option<u64>,
    /// What came out; `None` with too few days.
    pub found: Option<Found>,
}

/// What a test by day found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// Mean over days of the reference's log-loss less the candidate's, nats: positive is better.
    pub effect: f64,
    /// Lower end of the interval whose lower end decides: above `-margin` passes.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Confidence of the interval: 1 - 2 alpha.
    pub level: f64,
    /// p of a difference as good as this, were the true one `-margin`.
    pub p: f64,
    /// The true difference that would have passed with 80 % power.
    pub detectable: f64,
}

impl DayTest {
    /// Tests; with under `min_days` days (5 at least), or where a difference is not finite, there is no finding.
    pub fn of(comparison: &Comparison, margin: f64, alpha: f64, min_days: u32) -> DayTest {
        let differences: Vec<f64> = comparison.days.iter().map(|day| day.log_loss).collect();
        let min_days = u64::from(min_days.max(MIN_DAYS));
        let is_enough = comparison.n_days as u64 >= min_days;
        let needed = days_needed(&differences, margin, alpha);
        DayTest {
            n: comparison.n,
            n_days: comparison.n_days,
            margin,
            alpha,
            days_needed: match needed {
                None if is_enough => None,
                needed => Some(needed.unwrap_or(0).max(min_days)),
            },
            found: is_enough.then(|| Found::of(&differences, margin, alpha)).flatten(),
        }
    }

    /// Whether the test rejects what it is against; not with too few days.
    pub fn passes(&self) -> bool {
        self.found.is_some_and(|found| found.p <= self.alpha)
    }
}

impl Found {
    fn of(differences: &[f64], margin: f64, alpha: f64) -> Option<Found> {
        let test = TTest::one_sample(differences, -margin)?;
        let level = 1.0 - 2.0 * alpha;
        let (low, high) = test.interval(level);
        Some(Found {
            effect: test.effect - margin,
            low: low - margin,
            high: high - margin,
            level,
            p: test.p_above(),
            // Two-sided 2 alpha has the quantile of one-sided alpha.
            detectable: test.detectable(2.0 * alpha, POWER) - margin,
        })
    }

    /// p of a difference as bad as this, were there none: small where the candidate is worse.
    pub(super) fn p_worse(differences: &[f64]) -> Option<f64> {
        let test = TTest::one_sample(differences, 0.0)?;
        Some(TTest { effect: -test.effect, ..test }.p_above())
    }
}

/// Days until differences like these would pass a test against `-margin` at one-sided `alpha` with 80 % power, by the
/// normal approximation ([`stats::days_needed`]); `None` where their mean is not above `-margin`, or under two days.
pub fn days_needed(differences: &[f64], margin: f64, alpha: f64) -> Option<u64> {
    let above: Vec<f64> = differences.iter().map(|difference| difference + margin).collect();
    stats::mean(&above).filter(|mean| *mean > 0.0)?;
    stats::days_needed(&above, 2.0 * alpha, POWER)
}

/// Probability that a candidate whose true difference is `effect` nats passes a test against `-margin` at one-sided
/// `alpha`, on as many days that vary as these do; `None` under two days. By a shifted t, which is a little low for few days.
pub fn power(differences: &[f64], margin: f64, effect: f64, alpha: f64) -> Option<f64> {
    let test = TTest::one_sample(differences, -margin)?;
    // What passes half of the time is the critical value.
    let critical = test.detectable(2.0 * alpha, 0.5);
    Some(TTest { effect: critical - (effect + margin), ..test }.p_above())
}

/// LOND (Javanmard & Montanari 2015): level of the `n_tests`-th test of a year, after `n_promotions` of the earlier ones
/// were promoted: `q · 6/(π² k²) · (D + 1)`. Over the year, at most a share `q` of the promotions is expected to be wrong,
/// and where no change has an edge, one is promoted with probability `q` at most.
///
/// Every version that was scored takes its turn k, whether or not it was meant to be promoted: that is what deflates
/// the result of a search.
pub fn lond(budget: f64, n_tests: u64, n_promotions: u64) -> f64 {
    let k = n_tests.max(1);
    // No more promotions than earlier tests.
    let promotions = n_promotions.min(k - 1) as f64;
    let k = k as f64;
    budget * 6.0 / (std::f64::consts::PI * k).powi(2) * (promotions + 1.0)
}
