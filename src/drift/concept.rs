//! Whether answers cost more than they did, and whether they are other answers: days of a version held against its test days.
//!
//! Nothing has to be remembered between two looks: the stream begins with the test days and is made again each time. Not here:
//! which days those are (`jobs`), the loss itself (`evaluate`).

use serde::Serialize;

use crate::stats::{self, Adwin, PageHinkley, StationaryBootstrap};

/// Changes of the daily loss smaller than this are let be, in standard deviations of the test days (FORMULAS 4.4).
const DELTA: f64 = 0.15;
/// Mean time to a false alarm, days.
const FALSE_ALARM_DAYS: f64 = 250.0;
/// A threshold below this is not taken: ten test days do not know their own mean and deviation well enough, so that the threshold
/// which they choose for 250 days had a mean of 177 (`scripts/bench_drift.sh`). It is that of FORMULAS' settled points.
pub const LEAST_LAMBDA: f64 = 20.0;
/// Streams that a threshold is chosen by, and the days of each.
const N_STREAMS: usize = 200;
const N_STREAM_DAYS: usize = 1000;
/// Fewer test days than this are no reference.
pub const MIN_LOSS_DAYS: usize = 5;
/// Fewer days than this do not say how answers differ from day to day.
pub const MIN_ANSWER_DAYS: usize = 20;
/// Days of answers that are looked at.
pub const ANSWER_DAYS: usize = 3;
/// Answers ring from this reach on, where 1 is the furthest window of the reference.
pub const ANSWERS_RING_FROM: f64 = 1.5;

/// What the daily loss was on the test days.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LossReference {
    /// Mean of the days, nats.
    pub mean: f64,
    /// Standard deviation of the days.
    pub sd: f64,
    /// Days.
    pub n_days: usize,
    /// Threshold of Page–Hinkley, in standard deviations.
    pub lambda: f64,
    #[serde(skip)]
    standard: Vec<f64>,
}

/// Where the daily loss stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LossDrift {
    /// Mean loss of the days since, nats; `None` without one.
    pub mean: Option<f64>,
    /// Days since.
    pub n_days: usize,
    /// Page–Hinkley's statistic on the last of them that was looked at.
    pub statistic: f64,
    /// Which day since, from 1, it fired on.
    pub fired_on: Option<usize>,
    /// Which days since ADWIN cut its window on: shown, since on days it sees but the largest changes.
    pub adwin_cut_on: Vec<usize>,
}

impl LossReference {
    /// Learns from the mean losses of the test days, in order; the same seed gives the same threshold. `None` under
    /// [`MIN_LOSS_DAYS`] or where they do not vary.
    pub fn of(test_days: &[f64], seed: u64) -> Option<LossReference> {
        let (mean, sd) = (stats::mean(test_days)?, stats::sample_sd(test_days)?);
        if test_days.len() < MIN_LOSS_DAYS || sd <= 0.0 {
            return None;
        }
        let standard: Vec<f64> = test_days.iter().map(|loss| (loss - mean) / sd).collect();
        let mean_block = stats::block_length(&standard).unwrap_or(2.0);
        let lambda = lambda(&standard, mean_block, seed).max(LEAST_LAMBDA);
        Some(LossReference { mean, sd, n_days: test_days.len(), lambda, standard })
    }

    /// Looks at the mean losses of the days since, in order.
    pub fn look(&self, since: &[f64]) -> LossDrift {
        let n = self.standard.len();
        let mut stream = self.standard.clone();
        stream.extend(since.iter().map(|loss| (loss - self.mean) / self.sd));
        let found = page_hinkley(self.lambda, n).look(&stream);
        let adwin = Adwin { clock: 1, ..Adwin::default() }.look(&stream);
        LossDrift {
            mean: stats::mean(since),
            n_days: since.len(),
            statistic: found.statistic,
            fired_on: found.fired_at.map(|at| at - n),
            adwin_cut_on: adwin.cut_at.iter().filter_map(|at| at.checked_sub(n)).collect(),
        }
    }
}

/// It does not fire on the days that it was made of.
fn page_hinkley(lambda: f64, n_reference: usize) -> PageHinkley {
    PageHinkley { delta: DELTA, lambda, alpha: 1.0, min_values: n_reference + 1 }
}

/// The least threshold, in steps of a half, at which streams made of blocks of the test days fire after [`FALSE_ALARM_DAYS`] in the
/// mean; streams that never fire count with all of their days.
fn lambda(standard: &[f64], mean_block: f64, seed: u64) -> f64 {
    let bootstrap = StationaryBootstrap { mean_block, n_resamples: N_STREAMS, seed };
    let n = standard.len();
    // Blocks go round in a circle of days: a long stream is what its indices modulo the days say.
    let rounds = N_STREAM_DAYS.div_ceil(n);
    let circle: Vec<f64> = standard.iter().copied().cycle().take(rounds * n).collect();
    let streams: Vec<Vec<f64>> = bootstrap.resample(circle.len(), |indices| {
        let since = indices.iter().take(N_STREAM_DAYS).map(|index| circle[*index]);
        standard.iter().copied().chain(since).collect()
    });
    let mean_days = |lambda: f64| {
        let days = |stream: &Vec<f64>| {
            let fired = page_hinkley(lambda, n).look(stream).fired_at;
            fired.map_or(N_STREAM_DAYS, |at| at - n) as f64
        };
        streams.iter().map(days).sum::<f64>() / streams.len() as f64
    };
    let steps = (2..=200).map(|half| f64::from(half) / 2.0);
    steps.clone().find(|lambda| mean_days(*lambda) >= FALSE_ALARM_DAYS).unwrap_or(100.0)
}

/// How far the answers of the last days lie from those of the reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AnswerDrift {
    /// Half of the summed differences of the class shares, 0 to 1.
    pub distance: f64,
    /// Confidence less that of the reference.
    pub confidence: f64,
    /// How far that is where 1 is the furthest window of the reference and 0 the median one: the larger of both.
    pub reach: f64,
    /// Days of the reference.
    pub n_days: usize,
    /// Whether it rings; never under [`MIN_ANSWER_DAYS`] days of reference.
    pub rings: bool,
}

/// A day's class shares and mean confidence.
pub type Answers<'a> = (&'a [f64], f64);

/// Holds the last [`ANSWER_DAYS`] days against the days before, windows of as many days each against the reference without them.
/// `None` where there are fewer than twice as many days of reference, or not as many to look at.
pub fn answers(reference: &[Answers<'_>], last: &[Answers<'_>]) -> Option<AnswerDrift> {
    if reference.len() < 2 * ANSWER_DAYS || last.len() != ANSWER_DAYS {
        return None;
    }
    let mean = |days: &[Answers<'_>]| -> (Vec<f64>, f64) {
        let n = days.len() as f64;
        let share = |class: usize| days.iter().map(|day| day.0[class]).sum::<f64>() / n;
        ((0..days[0].0.len()).map(share).collect(), days.iter().map(|day| day.1).sum::<f64>() / n)
    };
    let apart = |window: &[Answers<'_>], rest: &[Answers<'_>]| {
        let ((shares, confidence), (usual, before)) = (mean(window), mean(rest));
        let sum: f64 = shares.iter().zip(&usual).map(|(a, b)| (a - b).abs()).sum();
        (sum / 2.0, confidence - before)
    };
    let windows: Vec<(f64, f64)> = (0..=reference.len() - ANSWER_DAYS)
        .map(|start| {
            let rest = [&reference[..start], &reference[start + ANSWER_DAYS..]].concat();
            apart(&reference[start..start + ANSWER_DAYS], &rest)
        })
        .collect();
    let now = apart(last, reference);
    let reach = |of: fn(&(f64, f64)) -> f64| {
        let mut all: Vec<f64> = windows.iter().map(of).collect();
        let furthest = all.iter().copied().fold(0.0, f64::max);
        let median = stats::median(&mut all).unwrap_or(0.0);
        // Answers that never differed have no spread to be judged by: a hundredth is let be.
        (of(&now) - median) / (furthest - median).max(0.01)
    };
    let reach = reach(|one| one.0).max(reach(|one| one.1.abs()));
    Some(AnswerDrift {
        distance: now.0,
        confidence: now.1,
        reach,
        n_days: reference.len(),
        rings: reference.len() >= MIN_ANSWER_DAYS && reach >= ANSWERS_RING_FROM,
    })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    use super::*;

    fn days(seed: u64, n: usize, mean: f64) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        (0..n).map(|_| mean + 0.02 * rng.sample::<f64, _>(StandardNormal)).collect()
    }

    #[test]
    fn losses_that_rise_fire_and_those_that_stay_do_not() {
        let (mut n_fired, mut delays) = (0, Vec::new());
        for seed in 0..40 {
            let reference = LossReference::of(&days(seed, 10, 0.6), 1).expect("ten days");
            assert_eq!(Some(&reference), LossReference::of(&days(seed, 10, 0.6), 1).as_ref());
            assert!(reference.lambda >= LEAST_LAMBDA);
            n_fired += usize::from(reference.look(&days(seed + 100, 20, 0.6)).fired_on.is_some());
            let risen = reference.look(&days(seed + 100, 20, 0.7));
            delays.push(risen.fired_on.expect("five standard deviations"));
        }
        delays.sort_unstable();
        assert!(delays[20] <= 15 && delays[39] <= 20, "{delays:?}");
        // Some tests of ten days are too quiet by chance.
        assert!(n_fired <= 4, "{n_fired} of 40");
    }

    #[test]
    fn the_least_threshold_is_that_of_independent_normal_days() {
        // A long reference, so that its own mean and spread are not what is measured.
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let standard: Vec<f64> = (0..2000).map(|_| rng.sample(StandardNormal)).collect();
        let chosen = lambda(&standard[..200], 1.0, 3);
        assert!((5.0..=11.0).contains(&chosen), "{chosen}");
    }

    #[test]
    fn few_or_equal_days_are_no_reference() {
        assert_eq!(LossReference::of(&[0.5, 0.6, 0.4, 0.5], 1), None);
        assert_eq!(LossReference::of(&[0.5; 9], 1), None);
        let reference = LossReference::of(&[0.5, 0.6, 0.4, 0.5, 0.55], 1).expect("five days");
        let nothing = reference.look(&[]);
        assert_eq!((nothing.mean, nothing.n_days, nothing.fired_on), (None, 0, None));
    }

    #[test]
    fn other_answers_ring_where_there_are_days_enough() {
        let mut rng = ChaCha8Rng::seed_from_u64(5);
        let mut day = |share: f64| {
            let share = share + 0.05 * (rng.random::<f64>() - 0.5);
            (vec![share, 1.0 - share], 0.6 + 0.02 * (rng.random::<f64>() - 0.5))
        };
        let usual: Vec<(Vec<f64>, f64)> = (0..24).map(|_| day(0.5)).collect();
        let other: Vec<(Vec<f64>, f64)> = (0..3).map(|_| day(0.8)).collect();
        let look = |reference: &[(Vec<f64>, f64)], last: &[(Vec<f64>, f64)]| {
            let reference: Vec<Answers<'_>> =
                reference.iter().map(|day| (&day.0[..], day.1)).collect();
            let last: Vec<Answers<'_>> = last.iter().map(|day| (&day.0[..], day.1)).collect();
            answers(&reference, &last)
        };
        assert!(!look(&usual[..21], &usual[21..]).expect("days").rings);
        let found = look(&usual[..21], &other).expect("days");
        assert!(found.rings && found.distance > 0.2, "{found:?}");
        let few = look(&usual[..19], &other).expect("days");
        assert!(!few.rings && few.reach > ANSWERS_RING_FROM, "{few:?}");
        assert_eq!(look(&usual[..5], &other), None);
        assert_eq!(look(&usual, &other[..2]), None);
    }
}
