//! When a line stops betting: its account has fallen too far, or loses on average by more than chance (DESIGN 13).
//!
//! Not here: which trades count (`db::bets`), since when.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::stats::{DailyTest, FIRST_LOOK_DAYS};

/// What a line may lose before its sizes become 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RiskConfig {
    /// Largest fall of the account from a peak, a share of it; 1: never.
    pub max_drawdown: f64,
    /// Chance that bets which do not lose on average are found to, however often one looks; each resume grants it anew. 0: never.
    pub losing_alpha: f64,
}

impl Default for RiskConfig {
    fn default() -> Self {
        RiskConfig { max_drawdown: 0.05, losing_alpha: 0.05 }
    }
}

impl RiskConfig {
    /// Settings that cannot be, by key, with the reason.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !(self.max_drawdown > 0.0 && self.max_drawdown <= 1.0) {
            let why = format!("max_drawdown: {} is not above 0 and at most 1", self.max_drawdown);
            problems.push(("max_drawdown", why));
        }
        if !(0.0..=0.2).contains(&self.losing_alpha) {
            let why = format!("losing_alpha: {} is not from 0 to 0.2", self.losing_alpha);
            problems.push(("losing_alpha", why));
        }
        problems
    }
}

/// Why the breaker tripped.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trip {
    /// The account fell by this share from a peak.
    Drawdown(f64),
    /// The mean day loses: the p of the test when it was found.
    Losing(f64),
}

/// How a line's account stands since it began to count.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Breaker {
    /// Days on which a bet was closed.
    pub n_days: usize,
    /// Return of the account over them, a share.
    pub account_return: f64,
    /// Mean day, a share of the account.
    pub mean: Option<f64>,
    /// The least p so far of bets that do not lose on average.
    pub p: f64,
    /// Largest fall from a peak, a share of it.
    pub drawdown: f64,
    /// Why it tripped; what tripped once stays so until it counts anew.
    pub tripped: Option<Trip>,
}

impl Breaker {
    /// Looks at the returns of the account, by closing day in order, days without a closed bet left out.
    pub fn of(returns: &[f64], config: &RiskConfig) -> Breaker {
        let (mut level, mut peak, mut drawdown) = (1.0_f64, 1.0_f64, 0.0_f64);
        for one in returns {
            level *= 1.0 + one;
            peak = peak.max(level);
            drawdown = drawdown.max(1.0 - level / peak);
        }
        let test = DailyTest::of(returns, config.losing_alpha, FIRST_LOOK_DAYS);
        let tripped = if drawdown > config.max_drawdown {
            Some(Trip::Drawdown(drawdown))
        } else {
            test.found.map(|_| Trip::Losing(test.p))
        };
        Breaker {
            n_days: returns.len(),
            account_return: level - 1.0,
            mean: test.mean,
            p: test.p,
            drawdown,
            tripped,
        }
    }
}

impl fmt::Display for Breaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.n_days == 0 {
            return f.write_str("no bet was closed");
        }
        write!(
            f,
            "{} days with a closed bet, the account {:+.2} %, drawdown {:.2} %, losing p {:.3}",
            self.n_days,
            self.account_return * 100.0,
            self.drawdown * 100.0,
            self.p
        )
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    #[test]
    fn it_trips_at_a_drawdown_and_at_days_that_lose() {
        let config = RiskConfig::default();
        let fallen = Breaker::of(&[0.01, -0.03, -0.03, 0.08], &config);
        assert!(matches!(fallen.tripped, Some(Trip::Drawdown(d)) if (d - 0.0591).abs() < 1e-4));
        let losing: Vec<f64> = (0..12).map(|i| -0.001 - 1e-5 * f64::from(i % 3)).collect();
        assert_eq!(Breaker::of(&losing[..7], &config).tripped, None, "too few days");
        assert!(matches!(Breaker::of(&losing, &config).tripped, Some(Trip::Losing(_))));
        let recovered = [&losing[..], &[0.02; 5]].concat();
        assert!(Breaker::of(&recovered, &config).tripped.is_some(), "it stays tripped");
        let never = RiskConfig { max_drawdown: 1.0, losing_alpha: 0.0 };
        assert_eq!(Breaker::of(&recovered, &never).tripped, None);
        assert_eq!(Breaker::of(&[], &config).to_string(), "no bet was closed");
    }

    #[test]
    fn bets_that_do_not_lose_rarely_trip_it() {
        let config = RiskConfig { max_drawdown: 1.0, ..RiskConfig::default() };
        let n = 400;
        let trips = |drift: f64| {
            let tripped = (0..n).filter(|seed| {
                let mut rng = ChaCha8Rng::seed_from_u64(*seed);
                let mut day = || -> f64 { StandardNormal.sample(&mut rng) };
                let returns: Vec<f64> = (0..120).map(|_| 0.001 * (day() + drift)).collect();
                Breaker::of(&returns, &config).tripped.is_some()
            });
            tripped.count() as f64 / n as f64
        };
        assert!(trips(0.0) <= 0.03, "{}", trips(0.0));
        assert!(trips(-0.5) >= 0.9, "{}", trips(-0.5));
    }

    #[test]
    fn settings_that_cannot_be_are_named() {
        assert_eq!(RiskConfig::default().problems(), []);
        let wrong = RiskConfig { max_drawdown: 0.0, losing_alpha: f64::NAN };
        let keys: Vec<&str> = wrong.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["max_drawdown", "losing_alpha"]);
    }
}
