//! Whether a version that was promoted should go back: what it answered since against what the version that it replaced would
//! have answered, looked at as often as one likes (FORMULAS 4.7).
//!
//! Not here: who answers again and who moves production (`jobs`).

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::config::outside;
use crate::{
    evaluate::DayDifference,
    stats::{self, DailyTest},
};

/// One in twenty may go back wrongly. With the allowance for days that remember the day before: 1.8 % of independent normal
/// days in 120, 4.8 % with a memory of 0.2, 3.4 % of days as skewed as a gamma of 4 (serve-rollout 5.2).
const ALPHA: f64 = 0.05;

/// How long a promoted version is watched, and what takes it back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProbationConfig {
    /// Days after its promotion that a version is held against what it replaced; 0: never.
    pub days: u32,
    /// Chance that one that is no worse is found to be, however often one looks, where days are independent and normal.
    pub alpha: f64,
    /// Fewer trading days than this say nothing.
    pub min_days: u32,
    /// Whether production goes back by itself; else only an alert is raised.
    pub rollback: bool,
}

impl Default for ProbationConfig {
    fn default() -> Self {
        ProbationConfig {
            days: 60,
            alpha: ALPHA,
            min_days: stats::FIRST_LOOK_DAYS as u32,
            rollback: true,
        }
    }
}

impl ProbationConfig {
    /// Settings that cannot be, by key, with the reason.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        outside(&[
            ("days", f64::from(self.days), 0.0, 365.0),
            ("alpha", self.alpha, 1e-6, 0.2),
            ("min_days", f64::from(self.min_days), 5.0, 365.0),
        ])
    }
}

/// How a version stands that is on probation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probation {
    /// Whole trading days since the promotion on which both have an answer.
    pub n_days: usize,
    /// Mean over days of the log-loss of what it replaced less its own, nats: negative where it is worse.
    pub saved: Option<f64>,
    /// Half of its 95 % interval that holds at every look; none in the first week.
    pub half_width: Option<f64>,
    /// The least p so far of a version that is worth as much; 1 before there are enough days.
    pub p: f64,
    /// The day on which it was found to be worse.
    pub worse_since: Option<NaiveDate>,
}

impl Probation {
    /// Looks at every day since the promotion in order, as if it had been looked at each evening: what was found once stays
    /// found, whenever one asks.
    pub fn of(days: &[DayDifference], config: &ProbationConfig) -> Probation {
        let saved: Vec<f64> = days.iter().map(|day| day.log_loss).collect();
        let test = DailyTest::of(&saved, config.alpha, config.min_days as usize);
        Probation {
            n_days: test.n_days,
            saved: test.mean,
            half_width: test.half_width,
            p: test.p,
            worse_since: test.found.map(|place| days[place].day),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Days;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Gamma, StandardNormal, StudentT};

    use super::*;

    fn days(saved: &[f64]) -> Vec<DayDifference> {
        let first = NaiveDate::from_ymd_opt(2025, 1, 6).expect("a day");
        let day = |(i, log_loss): (usize, &f64)| DayDifference {
            day: first + Days::new(i as u64),
            n: 100,
            log_loss: *log_loss,
            accuracy: 0.0,
        };
        saved.iter().enumerate().map(day).collect()
    }

    /// Share of series of sixty days that are found to be worse on any of them.
    fn share_found(mut value: impl FnMut(&mut ChaCha8Rng, f64) -> f64) -> f64 {
        let n_series = 1000;
        let mut found = |seed: u64| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let mut before = 0.0;
            let saved: Vec<f64> = (0..60)
                .map(|_| {
                    before = value(&mut rng, before);
                    before
                })
                .collect();
            Probation::of(&days(&saved), &ProbationConfig::default()).worse_since.is_some()
        };
        (0..n_series).filter(|seed| found(*seed)).count() as f64 / n_series as f64
    }

    #[test]
    fn equal_versions_are_rarely_found_worse_however_often_one_looks() {
        let normal = |rng: &mut ChaCha8Rng| -> f64 { StandardNormal.sample(rng) };
        let t3 = StudentT::new(3.0).expect("degrees of freedom");
        let gamma = Gamma::new(4.0, 1.0).expect("a shape");
        assert!(share_found(|rng, _| normal(rng)) <= 0.03);
        assert!(share_found(|rng, _| t3.sample(rng)) <= 0.03, "days that now and then are wild");
        let kept = |rng: &mut ChaCha8Rng, before: f64| 0.3 * before + normal(rng);
        assert!(share_found(kept) <= 0.05, "days that remember the day before");
        assert!(share_found(|rng, _| gamma.sample(rng) - 4.0) <= 0.05, "days that are skewed");
        // And what is worse is found: by half a standard deviation a day mostly, by one always.
        assert!(share_found(|rng, _| normal(rng) - 0.5) >= 0.65);
        assert!(share_found(|rng, _| normal(rng) - 1.0) >= 0.99);
        assert!(share_found(|rng, _| normal(rng) + 1.0) <= 0.0, "better is not worse");
    }

    #[test]
    fn what_was_found_once_stays_found_and_few_days_say_nothing() {
        let mut saved: Vec<f64> = (0..9).map(|i| -0.5 - 0.01 * f64::from(i % 3)).collect();
        let config = ProbationConfig::default();
        assert_eq!(Probation::of(&days(&saved[..7]), &config).worse_since, None);
        let found = Probation::of(&days(&saved), &config);
        assert!(found.worse_since.is_some() && found.p < ALPHA, "{found:?}");
        saved.extend([0.9; 30]);
        let later = Probation::of(&days(&saved), &config);
        assert_eq!(later.worse_since, found.worse_since);
        assert!(later.saved > Some(0.0) && later.half_width.is_some(), "{later:?}");
        let none = Probation::of(&[], &config);
        assert_eq!((none.n_days, none.saved, none.worse_since), (0, None, None));
    }

    #[test]
    fn settings_that_cannot_be_are_named() {
        let wrong = ProbationConfig { days: 999, alpha: f64::NAN, min_days: 1, rollback: true };
        let keys: Vec<&str> = wrong.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["days", "alpha", "min_days"]);
        assert!(ProbationConfig::default().problems().is_empty());
    }
}
