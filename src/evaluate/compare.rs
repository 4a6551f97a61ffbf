//! [`compare`]: two models on the same samples, paired and clustered by trading day (FORMULAS 4.2).

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{Predictions, Unseen};
use crate::market::calendar;

/// Fewer days than this are no evidence.
const MIN_DAYS: usize = 5;

/// A difference with its 95 % interval, by Student's t over days.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Mean over days.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Two-sided p of no difference.
    pub p: f64,
}

/// How a candidate compares with a reference: positive is better, everywhere.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Samples that both answered.
    pub n: usize,
    /// Trading days that they lie on.
    pub n_days: usize,
    /// Log-loss of the reference less that of the candidate, nats; `None` under five days.
    pub log_loss: Option<Interval>,
    /// Accuracy of the candidate less that of the reference; `None` under five days.
    pub accuracy: Option<Interval>,
    /// Days that an effect of the observed size would take to be seen with 80 % power at 5 %; `None` where there is
    /// no effect to see.
    pub days_needed: Option<u64>,
}

/// Compares two models on the samples that both answered: those of one instant and place in both.
///
/// # Panics
/// When the two do not hold the same samples in the same order.
pub fn compare(candidate: &Predictions<Unseen>, reference: &Predictions<Unseen>) -> Comparison {
    assert_eq!(candidate.decided_at_us(), reference.decided_at_us(), "paired on the same samples");
    assert_eq!(candidate.truth(), reference.truth(), "paired on the same samples");
    let days = calendar::trading_days(candidate.decided_at_us());
    let right =
        |p: &Predictions<Unseen>, i: usize| f64::from(u8::from(p.answer(i) == p.truth()[i]));
    let loss = by_day(&days, |i| reference.loss(i) - candidate.loss(i));
    let accuracy = by_day(&days, |i| right(candidate, i) - right(reference, i));
    let interval = t_interval(&loss);
    Comparison {
        n: candidate.len(),
        n_days: loss.len(),
        days_needed: days_needed(&loss),
        log_loss: interval,
        accuracy: t_interval(&accuracy),
    }
}

/// Mean over each day's samples; samples are in order of time, so a day is a run.
fn by_day(days: &[chrono::NaiveDate], value: impl Fn(usize) -> f64) -> Vec<f64> {
    let mut means = Vec::new();
    let mut start = 0;
    for end in 1..=days.len() {
        if end == days.len() || days[end] != days[start] {
            means.push((start..end).map(&value).sum::<f64>() / (end - start) as f64);
            start = end;
        }
    }
    means
}

fn moments(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1.0);
    (mean, variance.sqrt())
}

fn t_interval(values: &[f64]) -> Option<Interval> {
    if values.len() < MIN_DAYS {
        return None;
    }
    let n = values.len() as f64;
    let (mean, sd) = moments(values);
    let error = sd / n.sqrt();
    if error == 0.0 {
        let p = if mean == 0.0 { 1.0 } else { 0.0 };
        return Some(Interval { mean, low: mean, high: mean, p });
    }
    let t = StudentsT::new(0.0, 1.0, n - 1.0).ok()?;
    let half = t.inverse_cdf(0.975) * error;
    Some(Interval {
        mean,
        low: mean - half,
        high: mean + half,
        p: 2.0 * t.sf((mean / error).abs()),
    })
}

/// n with (z(0.975) + z(0.8)) · sd / √n = |mean|.
fn days_needed(values: &[f64]) -> Option<u64> {
    if values.len() < 2 {
        return None;
    }
    let (mean, sd) = moments(values);
    let needed = ((1.959_964 + 0.841_621) * sd / mean.abs()).powi(2).ceil();
    (needed.is_finite() && mean != 0.0).then_some(needed as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        lineage::SeenUntil,
        market::{DAY_US, instant},
    };

    fn predictions(p_right: &[f64]) -> Predictions<Unseen> {
        let probabilities = p_right.iter().flat_map(|p| [*p, 1.0 - p]).collect();
        // Tuesdays to Fridays and Mondays at noon: one trading day each.
        let at = (0..p_right.len() as i64)
            .map(|i| 1_704_196_800_000_000 + (i + 2 * (i / 4)) * DAY_US)
            .collect();
        Predictions::new(2, probabilities, vec![0; p_right.len()], at)
            .expect("valid")
            .after(SeenUntil::new(instant(0)))
    }

    /// t and p of [.1, .2, -.05, .15, .3, .05] against 0 by numerical integration of Student's density with 5 degrees of
    /// freedom (trapezoids, 2,000,000 of them).
    #[test]
    fn the_interval_is_students_over_days() {
        let interval = t_interval(&[0.1, 0.2, -0.05, 0.15, 0.3, 0.05]).expect("six days");
        assert!((interval.mean - 0.125).abs() < 1e-12);
        assert!((interval.p - 0.053103492).abs() < 1e-7, "{}", interval.p);
        assert!(interval.low < 0.0 && interval.high > 0.25);
    }

    #[test]
    fn under_five_days_there_is_no_verdict_and_the_same_model_has_no_edge() {
        let few = predictions(&[0.6, 0.7, 0.8, 0.9]);
        let comparison = compare(&few, &few);
        assert_eq!(
            (comparison.log_loss, comparison.n_days, comparison.days_needed),
            (None, 4, None)
        );
        let many = predictions(&[0.6; 9]);
        let comparison = compare(&many, &many);
        assert_eq!(
            comparison.log_loss.map(|interval| (interval.mean, interval.p)),
            Some((0.0, 1.0))
        );
    }

    #[test]
    fn the_better_model_is_on_the_positive_side() {
        let good = predictions(&[0.8, 0.9, 0.7, 0.85, 0.75, 0.9, 0.6, 0.8]);
        let poor = predictions(&[0.5, 0.6, 0.6, 0.5, 0.45, 0.6, 0.5, 0.55]);
        let comparison = compare(&good, &poor);
        assert!(comparison.log_loss.expect("eight days").low > 0.0);
        assert!(comparison.accuracy.expect("eight days").mean > 0.0);
        assert!(comparison.days_needed.is_some_and(|days| days < 8));
    }
}
