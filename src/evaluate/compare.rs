//! [`compare`]: two models on the same samples, paired and clustered by trading day (FORMULAS 4.2, 4.8).

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{Predictions, Unseen};
use crate::{
    market::{calendar, instant},
    stats::{self, Discordant, TTest},
};

/// Fewer days than this are no evidence.
const MIN_DAYS: usize = 5;
/// Level of intervals.
const LEVEL: f64 = 0.95;
/// What [`Interval::detectable`] and [`Comparison::days_needed`] are about: two-sided 5 %, 80 %.
const ALPHA: f64 = 0.05;
/// See [`ALPHA`].
const POWER: f64 = 0.8;

/// A difference with its 95 % interval, by Student's t over days.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// Mean over days.
    pub mean: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The statistic; `None` where the days do not differ.
    pub t: Option<f64>,
    /// Its degrees of freedom.
    pub df: f64,
    /// Two-sided p of no difference.
    pub p: f64,
    /// One-sided p of a candidate that is no better.
    pub p_better: f64,
    /// The difference that would have been seen with 80 % power at 5 %.
    pub detectable: f64,
}

/// One trading day of a comparison: means over its samples, positive where the candidate is better.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DayDifference {
    /// The trading day.
    pub day: NaiveDate,
    /// Samples that both answered.
    pub n: usize,
    /// Log-loss of the reference less that of the candidate, nats.
    pub log_loss: f64,
    /// Accuracy of the candidate less that of the reference.
    pub accuracy: f64,
}

/// Samples that exactly one of the two answered rightly. Its p takes samples for independent, which they are not: it is
/// shown and decides nothing (FORMULAS 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct McNemar {
    /// Only the candidate was right.
    pub n_candidate: u64,
    /// Only the reference was right.
    pub n_reference: u64,
    /// Two-sided, exact.
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
    /// Days that a difference in log-loss of the observed size would take to be seen with 80 % power at 5 %, at least
    /// five; `None` where there is enough evidence and no difference in it.
    pub days_needed: Option<u64>,
    /// By sample.
    pub mcnemar: McNemar,
    /// Day by day, in order.
    #[serde(skip)]
    pub days: Vec<DayDifference>,
}

/// Why two models cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompareError {
    /// They answer different questions.
    #[error("the models answer with {candidate} and {reference} classes and cannot be compared")]
    Classes {
        /// Classes of the candidate.
        candidate: usize,
        /// Classes of the reference.
        reference: usize,
    },
    /// Their labels differ on one sample.
    #[error("the two models were judged by different labels at {at}; label both by one rule")]
    Truth {
        /// The decision.
        at: chrono::DateTime<chrono::Utc>,
    },
}

/// Compares two models on the samples that both answered: those of one instant and series in both. Samples that only
/// one has (it had seen more, or abstained) are left out.
///
/// # Errors
/// [`CompareError`] when classes or labels differ.
pub fn compare(
    candidate: &Predictions<Unseen>,
    reference: &Predictions<Unseen>,
) -> Result<Comparison, CompareError> {
    if candidate.n_classes() != reference.n_classes() {
        return Err(CompareError::Classes {
            candidate: candidate.n_classes(),
            reference: reference.n_classes(),
        });
    }
    let common = common(candidate, reference);
    let at_us: Vec<_> = common.iter().map(|&(i, _)| candidate.decided_at_us()[i]).collect();
    if let Some(place) =
        common.iter().position(|&(i, j)| candidate.truth()[i] != reference.truth()[j])
    {
        return Err(CompareError::Truth { at: instant(at_us[place]) });
    }
    let is_right = |p: &Predictions<Unseen>, i: usize| p.answer(i) == p.truth()[i];
    let right: Vec<(bool, bool)> =
        common.iter().map(|&(i, j)| (is_right(candidate, i), is_right(reference, j))).collect();
    let count = |wanted: (bool, bool)| right.iter().filter(|one| **one == wanted).count() as u64;
    let discordant = Discordant { n_first: count((true, false)), n_second: count((false, true)) };

    let trading_days = calendar::trading_days(&at_us);
    let mut days = Vec::new();
    let mut start = 0;
    // Samples are in order of time, so a day is a run of them.
    for run in trading_days.chunk_by(|a, b| a == b) {
        let range = start..start + run.len();
        start = range.end;
        let n = run.len() as f64;
        let loss = |&(i, j): &(usize, usize)| reference.loss(j) - candidate.loss(i);
        let gain = |&(ours, theirs): &(bool, bool)| f64::from(i8::from(ours) - i8::from(theirs));
        days.push(DayDifference {
            day: run[0],
            n: run.len(),
            log_loss: common[range.clone()].iter().map(loss).sum::<f64>() / n,
            accuracy: right[range].iter().map(gain).sum::<f64>() / n,
        });
    }
    Ok(Comparison::of_days(days, discordant))
}

/// A figure of each trading day, of the candidate and of the reference, on the samples that both answered. `figure` takes the
/// answers and the places of the day's samples among them.
pub fn paired_by_day(
    candidate: &Predictions<Unseen>,
    reference: &Predictions<Unseen>,
    figure: impl Fn(&Predictions<Unseen>, &[usize]) -> f64,
) -> Vec<(f64, f64)> {
    let common = common(candidate, reference);
    let at_us: Vec<_> = common.iter().map(|&(i, _)| candidate.decided_at_us()[i]).collect();
    let mut rest = common.as_slice();
    calendar::trading_days(&at_us)
        .chunk_by(|a, b| a == b)
        .map(|run| {
            let (day, after) = rest.split_at(run.len());
            rest = after;
            let (ours, theirs): (Vec<usize>, Vec<usize>) = day.iter().copied().unzip();
            (figure(candidate, &ours), figure(reference, &theirs))
        })
        .collect()
}

/// Places of the samples that both hold: merges two ascending lists.
fn common(a: &Predictions<Unseen>, b: &Predictions<Unseen>) -> Vec<(usize, usize)> {
    let place = |p: &Predictions<Unseen>, i: usize| (p.decided_at_us()[i], p.series()[i]);
    let (mut i, mut j) = (0, 0);
    let mut common = Vec::with_capacity(a.len().min(b.len()));
    while i < a.len() && j < b.len() {
        match place(a, i).cmp(&place(b, j)) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                common.push((i, j));
                (i, j) = (i + 1, j + 1);
            }
        }
    }
    common
}

impl Comparison {
    /// The verdict of days that were compared one by one, such as those of a rehearsal.
    pub fn of_days(days: Vec<DayDifference>, discordant: Discordant) -> Comparison {
        let losses: Vec<f64> = days.iter().map(|day| day.log_loss).collect();
        let gains: Vec<f64> = days.iter().map(|day| day.accuracy).collect();
        let needed = stats::days_needed(&losses, ALPHA, POWER);
        Comparison {
            n: days.iter().map(|day| day.n).sum(),
            n_days: days.len(),
            log_loss: interval(&losses),
            accuracy: interval(&gains),
            days_needed: if days.len() < MIN_DAYS {
                Some(needed.unwrap_or(0).max(MIN_DAYS as u64))
            } else {
                needed
            },
            mcnemar: McNemar {
                n_candidate: discordant.n_first,
                n_reference: discordant.n_second,
                p: discordant.p_exact(),
            },
            days,
        }
    }

    /// One-sided p of a candidate whose log-loss is worse than the reference's by `margin` nats or more: below 5 %, it is
    /// not inferior. `None` under five days.
    pub fn p_not_inferior(&self, margin: f64) -> Option<f64> {
        let losses: Vec<f64> = self.days.iter().map(|day| day.log_loss).collect();
        enough(&losses, -margin).map(|test| test.p_above())
    }
}

fn enough(days: &[f64], null: f64) -> Option<TTest> {
    TTest::one_sample(days, null).filter(|_| days.len() >= MIN_DAYS)
}

fn interval(days: &[f64]) -> Option<Interval> {
    let test = enough(days, 0.0)?;
    let (low, high) = test.interval(LEVEL);
    Some(Interval {
        mean: test.effect,
        low,
        high,
        t: test.t(),
        df: test.df,
        p: test.p_two_sided(),
        p_better: test.p_above(),
        detectable: test.detectable(ALPHA, POWER),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lineage::SeenUntil, market::DAY_US};

    /// One sample a day at noon, Tuesdays to Fridays and Mondays, with this probability of what came.
    fn predictions(p_right: &[f64]) -> Predictions<Unseen> {
        let probabilities = p_right.iter().flat_map(|p| [*p, 1.0 - p]).collect();
        let n = p_right.len();
        Predictions::new(2, probabilities, vec![0; n], noons(n), vec![0; n])
            .expect("valid")
            .after(SeenUntil::new(instant(0)))
    }

    fn noons(n: usize) -> Vec<i64> {
        (0..n as i64).map(|i| 1_704_196_800_000_000 + (i + 2 * (i / 4)) * DAY_US).collect()
    }

    /// [.1, .2, -.05, .15, .3, .05] against 0: scipy.stats.ttest_1samp.
    #[test]
    fn the_interval_is_students_over_days() {
        let found = interval(&[0.1, 0.2, -0.05, 0.15, 0.3, 0.05]).expect("six days");
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        close(found.mean, 0.125);
        close(found.p, 0.05310349175179786);
        close(found.p_better, 0.02655174587589893);
        close(found.low, -0.002453515619175589);
        close(found.high, 0.2524535156191756);
    }

    #[test]
    fn under_five_days_there_is_no_verdict_and_the_same_model_has_no_edge() {
        let few = predictions(&[0.6, 0.7, 0.8, 0.9]);
        let comparison = compare(&few, &few).expect("the same samples");
        assert_eq!((comparison.log_loss, comparison.p_not_inferior(0.1)), (None, None));
        assert_eq!((comparison.n_days, comparison.days_needed), (4, Some(5)));
        let many = predictions(&[0.6; 9]);
        let comparison = compare(&many, &many).expect("the same samples");
        let found = comparison.log_loss.expect("nine days");
        assert_eq!((found.mean.to_bits(), found.p.to_bits()), (0, 1f64.to_bits()));
        assert_eq!(comparison.days_needed, None);
        // Nothing worse than nothing: not inferior by any margin.
        assert_eq!(comparison.p_not_inferior(0.001), Some(0.0));
    }

    #[test]
    fn the_better_model_is_on_the_positive_side() {
        let good = predictions(&[0.8, 0.9, 0.7, 0.85, 0.75, 0.9, 0.6, 0.8]);
        let poor = predictions(&[0.5, 0.6, 0.6, 0.5, 0.45, 0.6, 0.5, 0.55]);
        let comparison = compare(&good, &poor).expect("the same samples");
        let loss = comparison.log_loss.expect("eight days");
        assert!(loss.low > 0.0 && loss.p_better < 0.01 && loss.detectable < loss.mean);
        assert!(comparison.accuracy.expect("eight days").mean > 0.0);
        assert_eq!((comparison.mcnemar.n_candidate, comparison.mcnemar.n_reference), (1, 0));
        assert!(comparison.days_needed.is_some_and(|days| days < 8));
        let back = compare(&poor, &good).expect("the same samples").log_loss.expect("eight days");
        assert!((back.mean + loss.mean).abs() < 1e-12 && back.p_better > 0.99);
        // Worse by far more than a margin of a hundredth, by less than one of a whole nat.
        let back = compare(&poor, &good).expect("the same samples");
        assert!(back.p_not_inferior(0.01).expect("days") > 0.95);
        assert!(back.p_not_inferior(1.0).expect("days") < 0.05);
    }

    #[test]
    fn only_common_samples_count() {
        // Two series a day; the reference lacks the first two days and one series of the last.
        let of = |from: usize, to: usize, p: f64| {
            let at = noons(7).into_iter().flat_map(|at| [at, at]).collect::<Vec<_>>();
            let n = to - from;
            let probabilities = [p, 1.0 - p].repeat(n);
            let series = (from..to).map(|i| (i % 2) as u32).collect();
            Predictions::new(2, probabilities, vec![0; n], at[from..to].to_vec(), series)
                .expect("valid")
                .after(SeenUntil::new(instant(0)))
        };
        let comparison = compare(&of(0, 14, 0.8), &of(4, 13, 0.4)).expect("one truth");
        assert_eq!((comparison.n, comparison.n_days), (9, 5));
        assert_eq!(comparison.days.iter().map(|day| day.n).collect::<Vec<_>>(), [2, 2, 2, 2, 1]);
        assert!((comparison.log_loss.expect("days").mean - 2f64.ln()).abs() < 1e-12);
        assert_eq!((comparison.mcnemar.n_candidate, comparison.mcnemar.n_reference), (9, 0));
        assert!((comparison.mcnemar.p - 2.0 / 512.0).abs() < 1e-12);
    }

    /// Why the day is the unit: two models without any difference, judged on five pairs that move together and labels
    /// that overlap by four hours. At 5 %, days find a difference in 31 of 400 fortnights, samples in 236.
    #[test]
    fn days_keep_the_level_that_samples_break() {
        use rand::{RngExt, SeedableRng};
        const DAYS: usize = 13;
        const HOURS: usize = 24 * DAYS;
        let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(42);
        let mut shock = || (0..4).map(|_| rng.random::<f64>() - 0.5).sum::<f64>();
        let (mut by_day, mut by_sample) = (0, 0);
        for _ in 0..400 {
            let common: Vec<f64> = (0..HOURS + 3).map(|_| shock()).collect();
            let pairs: Vec<Vec<f64>> =
                (0..5).map(|_| common.iter().map(|common| common + shock()).collect()).collect();
            // The difference in loss on a label is made by the four hours that it spans.
            let samples: Vec<f64> = (0..HOURS)
                .flat_map(|hour| pairs.iter().map(move |pair| pair[hour..hour + 4].iter().sum()))
                .collect();
            let days: Vec<f64> = samples.chunks(24 * 5).filter_map(stats::mean).collect();
            by_day += usize::from(interval(&days).expect("13 days").p < 0.05);
            by_sample += usize::from(interval(&samples).expect("samples").p < 0.05);
        }
        assert!((8..=40).contains(&by_day), "{by_day} of 400 by day");
        assert!(by_sample > 160, "{by_sample} of 400 by sample");
    }

    #[test]
    fn different_questions_are_not_compared() {
        let ours = predictions(&[0.6; 6]);
        let theirs = Predictions::new(2, [0.5, 0.5].repeat(6), vec![1; 6], noons(6), vec![0; 6])
            .expect("valid")
            .after(SeenUntil::new(instant(0)));
        let error = compare(&ours, &theirs).expect_err("another truth");
        assert!(error.to_string().contains("different labels at 2024-01-02 12:00:00"), "{error}");
        let theirs = Predictions::new(3, vec![0.2, 0.3, 0.5], vec![0], noons(1), vec![0])
            .expect("valid")
            .after(SeenUntil::new(instant(0)));
        let error = compare(&ours, &theirs).expect_err("other classes");
        assert_eq!(error, CompareError::Classes { candidate: 2, reference: 3 });
    }
}
