//! Whether a version is worth less than at its promotion.

use serde::Serialize;

use crate::stats::{self, TTest};

/// One-sided level of the comparison.
const ALPHA: f64 = 0.05;
/// Fewer days on either side say nothing.
const MIN_DAYS: usize = 5;

/// Then and now, by trading day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Degradation {
    /// Mean daily loss at the promotion.
    pub then: f64,
    /// The same now.
    pub now: f64,
    /// Now less then: positive is worse.
    pub effect: f64,
    /// Its 95 % interval.
    pub low: f64,
    /// See `low`.
    pub high: f64,
    /// One-sided p of getting that much worse by chance.
    pub p: f64,
    /// Days then and now.
    pub n_days: (usize, usize),
    /// Whether it is more than chance at 5 %.
    pub is_degraded: bool,
}

/// Compares the daily losses of two times that share no day (Welch); `None` with fewer than five days on either side.
/// Take losses relative to the class prior of the same day, so that a market that became harder for everybody is no
/// degradation.
pub fn degraded(then: &[f64], now: &[f64]) -> Option<Degradation> {
    if then.len() < MIN_DAYS || now.len() < MIN_DAYS {
        return None;
    }
    let test = TTest::welch(now, then)?;
    let (low, high) = test.interval(0.95);
    let p = test.p_above();
    Some(Degradation {
        then: stats::mean(then)?,
        now: stats::mean(now)?,
        effect: test.effect,
        low,
        high,
        p,
        n_days: (then.len(), now.len()),
        is_degraded: p < ALPHA,
    })
}
