//! [`Estimate`]: what answers are worth before anybody knows, from their own calibrated probabilities.
//!
//! Confidence-based estimation (CBPE, NannyML; FORMULAS 4.14): an answer that is right with probability p counts p. The interval is
//! three standard errors of what such estimates were off on days that are settled, [`Spread`], with the trading day as the unit.
//! Valid as long as probabilities are calibrated and the market's rules have not changed: it says nothing of concept drift.
//! Not here: for which lines that is worth knowing (`jobs`).

use serde::Serialize;

use super::{Predictions, answer_of};
use crate::{
    market::{Micros, calendar},
    stats,
};

/// Fewer settled days than this say nothing of the error.
const MIN_DAYS: usize = 5;
/// Standard errors either way.
const ERRORS: f64 = 3.0;

/// A figure with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimated {
    /// The estimate.
    pub value: f64,
    /// Three standard errors below and above it; none where too few days are settled.
    pub interval: Option<(f64, f64)>,
}

/// What answers without a label are expected to be worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// Answers.
    pub n: usize,
    /// Trading days that they lie on.
    pub n_days: usize,
    /// Share right, 0 to 1: the mean probability of the answer.
    pub accuracy: Estimated,
    /// Log-loss, nats: the mean entropy.
    pub log_loss: Estimated,
    /// Expected counts `[truth][answer]`.
    pub confusion: Vec<Vec<f64>>,
}

/// How far estimates were off on settled days: what came true less what was expected, day by day.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Spread {
    /// Settled days.
    pub n_days: usize,
    /// Mean over the days, accuracy.
    pub accuracy_off: f64,
    /// Standard deviation over the days (n - 1).
    pub accuracy_sd: f64,
    /// Mean over the days, log-loss in nats.
    pub log_loss_off: f64,
    /// Standard deviation over the days (n - 1).
    pub log_loss_sd: f64,
}

/// Expected share right of a row, and expected log-loss.
fn expected(row: &[f64]) -> (f64, f64) {
    let right = row[usize::from(answer_of(row))];
    (right, row.iter().map(|p| -p * p.max(1e-7).ln()).sum())
}

impl Spread {
    /// Of settled answers; `None` under five trading days.
    pub fn of<State>(settled: &Predictions<State>) -> Option<Spread> {
        let days = calendar::trading_days(settled.decided_at_us());
        let mut start = 0;
        let (mut accuracy, mut log_loss) = (Vec::new(), Vec::new());
        for run in days.chunk_by(|a, b| a == b) {
            let samples = start..start + run.len();
            start = samples.end;
            let n = run.len() as f64;
            let off = samples.map(|i| {
                let (right, loss) = expected(settled.row(i));
                let hit = f64::from(u8::from(settled.answer(i) == settled.truth()[i]));
                (hit - right, settled.loss(i) - loss)
            });
            let (hits, losses) = off.fold((0.0, 0.0), |sum, off| (sum.0 + off.0, sum.1 + off.1));
            accuracy.push(hits / n);
            log_loss.push(losses / n);
        }
        if accuracy.len() < MIN_DAYS {
            return None;
        }
        Some(Spread {
            n_days: accuracy.len(),
            accuracy_off: stats::mean(&accuracy)?,
            accuracy_sd: stats::sample_sd(&accuracy)?,
            log_loss_off: stats::mean(&log_loss)?,
            log_loss_sd: stats::sample_sd(&log_loss)?,
        })
    }
}

/// Estimates answers, `[n, n_classes]` row-major and calibrated, decided at ascending instants, whose labels look `horizon_us`
/// ahead. Labels that overlap tell less: over h days each, n days count as n/h, which is exact for sums of independent days.
/// `None` of nothing.
///
/// # Panics
/// When there is not one row an instant.
pub fn estimate(
    n_classes: usize,
    probabilities: &[f64],
    decided_at_us: &[Micros],
    horizon_us: Micros,
    spread: Option<&Spread>,
) -> Option<Estimate> {
    let n = decided_at_us.len();
    assert_eq!(probabilities.len(), n * n_classes, "one row an instant");
    let mut days = calendar::trading_days(decided_at_us);
    days.dedup();
    let (first, last) = (decided_at_us.first()?, decided_at_us.last()?);
    let apart = (last - first) as f64 / (days.len().max(2) - 1) as f64;
    let overlap = if apart > 0.0 { (horizon_us as f64 / apart).max(1.0) } else { 1.0 };
    // Never more than all of the days are one.
    let effective = (days.len() as f64 / overlap).max(1.0);
    let mut confusion = vec![vec![0.0; n_classes]; n_classes];
    let (mut right, mut loss) = (0.0, 0.0);
    for row in probabilities.chunks(n_classes) {
        let of_row = expected(row);
        (right, loss) = (right + of_row.0, loss + of_row.1);
        let answer = usize::from(answer_of(row));
        for (truth, p) in confusion.iter_mut().zip(row) {
            truth[answer] += p;
        }
    }
    let around = |value: f64, sd: Option<f64>, high: f64| Estimated {
        value,
        interval: sd.map(|sd| {
            let error = ERRORS * sd / effective.sqrt();
            ((value - error).max(0.0), (value + error).min(high))
        }),
    };
    Some(Estimate {
        n,
        n_days: days.len(),
        accuracy: around(right / n as f64, spread.map(|spread| spread.accuracy_sd), 1.0),
        log_loss: around(loss / n as f64, spread.map(|spread| spread.log_loss_sd), f64::INFINITY),
        confusion,
    })
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::{
        evaluate::Seen,
        market::{DAY_US, HOUR_US},
    };

    /// Ten in the morning of the n-th weekday after Monday, 1 January 2024.
    fn weekday_us(n: usize) -> Micros {
        let days = (n / 5 * 7 + n % 5) as i64;
        1_704_067_200_000_000 + days * DAY_US + 10 * HOUR_US
    }

    /// Rows of a perfectly calibrated model, and truths drawn from them; neighbouring days share `overlap` draws, as labels
    /// that look ahead so far do.
    fn calibrated(
        n_days: usize,
        a_day: usize,
        overlap: usize,
        rng: &mut ChaCha8Rng,
    ) -> Predictions<Seen> {
        let draws: Vec<f64> = (0..n_days * a_day + overlap * a_day).map(|_| rng.random()).collect();
        let (mut rows, mut truth, mut at_us, mut series) = (vec![], vec![], vec![], vec![]);
        for i in 0..n_days * a_day {
            let raw: Vec<f64> = (0..3).map(|_| -f64::ln(rng.random::<f64>().max(1e-12))).collect();
            let sum: f64 = raw.iter().sum();
            let row: Vec<f64> = raw.iter().map(|x| x / sum).collect();
            // The sum of uniforms modulo one is uniform, and shares its parts with the days around.
            let day = i / a_day;
            let u = (0..overlap).map(|k| draws[(day + k) * a_day + i % a_day]).sum::<f64>().fract();
            let class = if u < row[0] { 0u8 } else { u8::from(u >= row[0] + row[1]) + 1 };
            rows.extend(row);
            truth.push(class);
            at_us.push(weekday_us(day) + (i % a_day) as i64);
            series.push(0);
        }
        Predictions::new(3, rows, truth, at_us, series).expect("predictions")
    }

    fn all_rows(predictions: &Predictions<Seen>) -> Vec<f64> {
        (0..predictions.len()).flat_map(|i| predictions.row(i).to_vec()).collect()
    }

    fn realised(predictions: &Predictions<Seen>) -> (f64, f64) {
        let n = predictions.len() as f64;
        let hits = (0..predictions.len())
            .filter(|i| predictions.answer(*i) == predictions.truth()[*i])
            .count();
        let loss: f64 = (0..predictions.len()).map(|i| predictions.loss(i)).sum();
        (hits as f64 / n, loss / n)
    }

    #[test]
    fn the_interval_of_a_calibrated_model_holds_what_comes_true() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        for (n_reference, n_days, a_day, overlap) in [(22, 5, 10, 1), (8, 10, 4, 1), (40, 15, 6, 3)]
        {
            let n_rounds = 400;
            let (mut inside, mut inside_loss) = (0, 0);
            for _ in 0..n_rounds {
                let settled = calibrated(n_reference, a_day, overlap, &mut rng);
                let spread = Spread::of(&settled).expect("enough days");
                let next = calibrated(n_days, a_day, overlap, &mut rng);
                let estimate = estimate(
                    3,
                    &all_rows(&next),
                    next.decided_at_us(),
                    overlap as i64 * DAY_US,
                    Some(&spread),
                )
                .expect("answers");
                let (accuracy, loss) = realised(&next);
                let holds = |found: Estimated, is: f64| {
                    found.interval.is_some_and(|(low, high)| low <= is && is <= high)
                };
                inside += usize::from(holds(estimate.accuracy, accuracy));
                inside_loss += usize::from(holds(estimate.log_loss, loss));
            }
            let least = n_rounds * 95 / 100;
            assert!(
                inside >= least && inside_loss >= least,
                "{n_reference}: {inside} {inside_loss}"
            );
        }
    }

    #[test]
    fn a_model_too_sure_of_itself_leaves_the_interval() {
        let mut rng = ChaCha8Rng::seed_from_u64(12);
        let settled = calibrated(30, 20, 1, &mut rng);
        let spread = Spread::of(&settled).expect("days");
        let next = calibrated(20, 20, 1, &mut rng);
        // Confidence that nothing stands behind.
        let rows: Vec<f64> = all_rows(&next)
            .chunks(3)
            .flat_map(|row| {
                let sharp: Vec<f64> = row.iter().map(|p| p.powi(3)).collect();
                let sum: f64 = sharp.iter().sum();
                sharp.into_iter().map(move |p| p / sum).collect::<Vec<f64>>()
            })
            .collect();
        let found = estimate(3, &rows, next.decided_at_us(), DAY_US, Some(&spread)).expect("rows");
        let (low, _) = found.accuracy.interval.expect("an interval");
        assert!(realised(&next).0 < low, "{low}");
    }

    #[test]
    fn nothing_is_estimated_of_nothing_and_no_interval_of_few_days() {
        assert_eq!(estimate(3, &[], &[], DAY_US, None), None);
        let mut rng = ChaCha8Rng::seed_from_u64(13);
        assert_eq!(Spread::of(&calibrated(4, 5, 1, &mut rng)), None);
        let one = estimate(2, &[0.25, 0.75], &[weekday_us(0)], DAY_US, None).expect("a row");
        assert_eq!((one.n, one.n_days, one.accuracy.interval), (1, 1, None));
        assert!((one.accuracy.value - 0.75).abs() < 1e-12);
        assert_eq!(one.confusion, [[0.0, 0.25], [0.0, 0.75]]);
    }

    #[derive(serde::Deserialize)]
    struct Golden {
        n_classes: usize,
        horizon_days: i64,
        settled: Vec<(usize, u8, Vec<f64>)>,
        pending: Vec<(usize, Vec<f64>)>,
        accuracy: [f64; 3],
        log_loss: [f64; 3],
        accuracy_off: f64,
        confusion: Vec<Vec<f64>>,
    }

    /// Against plain numpy: tests/golden/estimate_numpy.py.
    #[test]
    fn estimates_are_those_of_numpy() {
        let golden: Vec<Golden> =
            serde_json::from_str(include_str!("../../tests/golden/estimate.json")).expect("JSON");
        for case in golden {
            let at = |(i, day): (usize, usize)| weekday_us(day) + i as i64;
            let settled = Predictions::new(
                case.n_classes,
                case.settled.iter().flat_map(|(_, _, row)| row.clone()).collect(),
                case.settled.iter().map(|(_, truth, _)| *truth).collect(),
                case.settled.iter().map(|(day, _, _)| *day).enumerate().map(at).collect(),
                vec![0; case.settled.len()],
            )
            .expect("predictions");
            let spread = Spread::of(&settled).expect("days");
            let rows: Vec<f64> = case.pending.iter().flat_map(|(_, row)| row.clone()).collect();
            let at_us: Vec<Micros> = case.pending.iter().map(|(day, _)| weekday_us(*day)).collect();
            let horizon_us = case.horizon_days * DAY_US;
            let found = estimate(case.n_classes, &rows, &at_us, horizon_us, Some(&spread));
            let found = found.expect("answers");
            for (is, golden) in [(found.accuracy, case.accuracy), (found.log_loss, case.log_loss)] {
                let (low, high) = is.interval.expect("an interval");
                for (is, golden) in [is.value, low, high].into_iter().zip(golden) {
                    assert!((is - golden).abs() < 1e-9, "{is} {golden}");
                }
            }
            assert!((spread.accuracy_off - case.accuracy_off).abs() < 1e-9);
            let cells = found.confusion.iter().flatten().zip(case.confusion.iter().flatten());
            cells.for_each(|(is, golden)| assert!((is - golden).abs() < 1e-9, "{is} {golden}"));
        }
    }
}
