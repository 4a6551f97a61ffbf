//! [`Figures`]: what a classifier did on some samples (FORMULAS, elementary and 4.13).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{ChiSquared, StandardNormal};
use serde::Serialize;

use super::{Predictions, monotony::longest_run};
use crate::{
    market::{calendar, instant},
    stats::{self, StationaryBootstrap},
};

const N_BINS: usize = 15;
/// Resamples behind the null band of the calibration error.
const N_RESAMPLES: usize = 500;
/// Resamples of days behind [`Intervals`].
const N_DAY_RESAMPLES: usize = 1999;
/// Fewer days than this say nothing about how days differ.
const MIN_DAYS: usize = 5;

/// What a classifier did on some samples.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Samples.
    pub n: usize,
    /// Trading days with a sample.
    pub n_days: usize,
    /// First decision.
    pub from: chrono::DateTime<chrono::Utc>,
    /// Last decision.
    pub to: chrono::DateTime<chrono::Utc>,
    /// Whether the model had seen none of the samples.
    pub out_of_sample: bool,
    /// Share right.
    pub accuracy: f64,
    /// Mean recall over the classes that occur.
    pub balanced_accuracy: f64,
    /// Mean of -ln p of the truth, nats; p clipped to [1e-7, 1].
    pub log_loss: f64,
    /// Mean over samples of the summed squared differences to the truth, 0 to 2.
    pub brier: f64,
    /// Mean precision over the classes in truth or answers; 0 for a class never answered.
    pub macro_precision: f64,
    /// Mean recall over the same classes.
    pub macro_recall: f64,
    /// Mean F1 over the same classes.
    pub macro_f1: f64,
    /// How far some of these would move with other days; `None` under five days.
    pub intervals: Option<Intervals>,
    /// What the Brier score is made of.
    pub murphy: Murphy,
    /// `confusion[truth][answer]`, samples.
    pub confusion: Vec<Vec<usize>>,
    /// Each class by itself.
    pub per_class: Vec<ClassFigures>,
    /// Share of each class among the answers.
    pub answer_shares: Vec<f64>,
    /// Share of each class in truth.
    pub truth_shares: Vec<f64>,
    /// Most decisions in a row at which every answer was of the class, class by class.
    pub longest_runs: Vec<usize>,
    /// Expected calibration error of the answers, right-closed bins of equal width.
    pub ece: f64,
    /// What a perfectly calibrated model would show on as many samples.
    pub ece_null: EceNull,
    /// The bins behind it, for a reliability diagram.
    pub reliability: Vec<Bin>,
}

/// One class against the rest.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ClassFigures {
    /// Samples of it.
    pub n: usize,
    /// Answers of it.
    pub n_answered: usize,
    /// Share of its answers that were right; `None` where it was never answered.
    pub precision: Option<f64>,
    /// Share of its samples that were found; `None` where it never occurred.
    pub recall: Option<f64>,
    /// Harmonic mean of the two; `None` where it neither occurred nor was answered.
    pub f1: Option<f64>,
    /// Calibration error of its probability, over all samples.
    pub ece: f64,
}

/// 95 % intervals by the stationary bootstrap of trading days (FORMULAS 4.5). Under some thirty days they are a little
/// narrow; a comparison by Student's t over days is what decides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Intervals {
    /// Mean length of the blocks of days.
    pub mean_block_days: f64,
    /// Of the accuracy.
    pub accuracy: (f64, f64),
    /// Of the balanced accuracy.
    pub balanced_accuracy: (f64, f64),
    /// Of the log-loss.
    pub log_loss: (f64, f64),
    /// Of the macro F1.
    pub macro_f1: (f64, f64),
}

/// The Brier score's parts (Murphy, Journal of Applied Meteorology 1973), summed over classes, by the bins of the
/// calibration error: reliability - resolution + uncertainty, but for what probabilities differ within a bin.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Murphy {
    /// Squared distance between what was said and what came; 0 is perfect.
    pub reliability: f64,
    /// How far what came differs between what was said; more is better.
    pub resolution: f64,
    /// Of the truth alone: the Brier score of always saying how often each class occurs.
    pub uncertainty: f64,
}

/// Distribution of the calibration error of a perfectly calibrated model.
///
/// Consistency resampling (Bröcker & Smith 2007) takes samples for independent: on labels that overlap by four hours, over
/// five pairs that move together, a calibrated model is outside its band 25 to 50 times in 100. From five days on the
/// band is that of days where it is the wider one: daily sums of confidence less right in each bin, about their mean, with
/// Student weights. Outside it a calibrated model is 1 to 5 times in 100 in a fortnight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct EceNull {
    /// Mean, were samples independent.
    pub mean: f64,
    /// 95th percentile: above it, the model is not calibrated.
    pub p95: f64,
}

/// Answers of similar confidence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bin {
    /// Samples.
    pub n: usize,
    /// Mean probability of the answer.
    pub confidence: f64,
    /// Share right.
    pub accuracy: f64,
}

/// Counts and loss of some samples: all that the scores of answers are made of, and days of them add up.
#[derive(Debug, Clone)]
struct Tally {
    n_classes: usize,
    /// `[truth, answer]` row-major.
    confusion: Vec<usize>,
    loss: f64,
}

impl Tally {
    fn new(n_classes: usize) -> Tally {
        Tally { n_classes, confusion: vec![0; n_classes * n_classes], loss: 0.0 }
    }

    fn count(&mut self, truth: u8, answer: u8, loss: f64) {
        self.confusion[usize::from(truth) * self.n_classes + usize::from(answer)] += 1;
        self.loss += loss;
    }

    fn add(&mut self, other: &Tally) {
        self.loss += other.loss;
        for (sum, count) in self.confusion.iter_mut().zip(&other.confusion) {
            *sum += count;
        }
    }

    fn clear(&mut self) {
        self.loss = 0.0;
        self.confusion.fill(0);
    }

    fn n(&self) -> usize {
        self.confusion.iter().sum()
    }

    fn n_right(&self, class: usize) -> usize {
        self.confusion[class * self.n_classes + class]
    }

    fn of_truth(&self, class: usize) -> usize {
        self.confusion[class * self.n_classes..][..self.n_classes].iter().sum()
    }

    fn of_answer(&self, class: usize) -> usize {
        self.confusion[class..].iter().step_by(self.n_classes).sum()
    }

    fn accuracy(&self) -> f64 {
        (0..self.n_classes).map(|class| self.n_right(class)).sum::<usize>() as f64 / self.n() as f64
    }

    fn log_loss(&self) -> f64 {
        self.loss / self.n() as f64
    }

    fn precision(&self, class: usize) -> Option<f64> {
        share(self.n_right(class), self.of_answer(class))
    }

    fn recall(&self, class: usize) -> Option<f64> {
        share(self.n_right(class), self.of_truth(class))
    }

    fn f1(&self, class: usize) -> Option<f64> {
        share(2 * self.n_right(class), self.of_truth(class) + self.of_answer(class))
    }

    /// Mean recall over the classes that occur.
    fn balanced_accuracy(&self) -> f64 {
        let recalls = || (0..self.n_classes).filter_map(|class| self.recall(class));
        recalls().sum::<f64>() / recalls().count() as f64
    }

    /// Mean over the classes in truth or answers; what is undefined in one of them counts as 0, as in scikit-learn.
    fn macro_mean(&self, figure: impl Fn(&Tally, usize) -> Option<f64>) -> f64 {
        let there = || (0..self.n_classes).filter(|&class| self.f1(class).is_some());
        there().map(|class| figure(self, class).unwrap_or(0.0)).sum::<f64>()
            / there().count() as f64
    }
}

fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

pub(super) fn figures<State>(
    predictions: &Predictions<State>,
    out_of_sample: bool,
) -> Option<Figures> {
    let n = predictions.len();
    let k = predictions.n_classes();
    let (&from, &to) = (predictions.decided_at_us().first()?, predictions.decided_at_us().last()?);
    let days = tallies_by_day(predictions);
    let mut all = Tally::new(k);
    days.iter().for_each(|day| all.add(day));
    let mut brier = 0.0;
    let mut answers = Vec::with_capacity(n);
    for (sample, truth) in predictions.truth().iter().map(|&truth| usize::from(truth)).enumerate() {
        let row = predictions.row(sample);
        let answer = usize::from(predictions.answer(sample));
        let square = |(class, p): (usize, &f64)| (p - f64::from(u8::from(class == truth))).powi(2);
        brier += row.iter().enumerate().map(square).sum::<f64>();
        answers.push((row[answer], answer == truth));
    }
    let mut murphy = Murphy { reliability: 0.0, resolution: 0.0, uncertainty: 0.0 };
    let per_class = (0..k)
        .map(|class| {
            let is_it = |truth: &u8| usize::from(*truth) == class;
            let said: Vec<(f64, bool)> = (0..n)
                .map(|sample| (predictions.row(sample)[class], is_it(&predictions.truth()[sample])))
                .collect();
            murphy.add(&said);
            ClassFigures {
                n: all.of_truth(class),
                n_answered: all.of_answer(class),
                precision: all.precision(class),
                recall: all.recall(class),
                f1: all.f1(class),
                ece: ece(&said, N_BINS),
            }
        })
        .collect();
    let of_all = |count: usize| count as f64 / n as f64;
    Some(Figures {
        n,
        n_days: days.len(),
        from: instant(from),
        to: instant(to),
        out_of_sample,
        accuracy: all.accuracy(),
        balanced_accuracy: all.balanced_accuracy(),
        log_loss: all.log_loss(),
        brier: brier / n as f64,
        macro_precision: all.macro_mean(Tally::precision),
        macro_recall: all.macro_mean(Tally::recall),
        macro_f1: all.macro_mean(Tally::f1),
        intervals: intervals(&days),
        murphy,
        confusion: all.confusion.chunks(k).map(<[usize]>::to_vec).collect(),
        per_class,
        longest_runs: (0..k as u8)
            .map(|class| {
                let at = |sample| (predictions.decided_at_us()[sample], predictions.answer(sample));
                longest_run((0..n).map(at), class)
            })
            .collect(),
        answer_shares: (0..k).map(|class| of_all(all.of_answer(class))).collect(),
        truth_shares: (0..k).map(|class| of_all(all.of_truth(class))).collect(),
        ece: ece(&answers, N_BINS),
        ece_null: ece_null(&answers).widened(p95_by_day(&days, &answers)),
        reliability: bins(&answers, N_BINS).into_iter().filter(|bin| bin.n > 0).collect(),
    })
}

/// One tally a trading day, in order.
fn tallies_by_day<State>(predictions: &Predictions<State>) -> Vec<Tally> {
    let mut sample = 0;
    calendar::trading_days(predictions.decided_at_us())
        .chunk_by(|a, b| a == b)
        .map(|day| {
            let mut tally = Tally::new(predictions.n_classes());
            for _ in day {
                let truth = predictions.truth()[sample];
                tally.count(truth, predictions.answer(sample), predictions.loss(sample));
                sample += 1;
            }
            tally
        })
        .collect()
}

/// Blocks are as long as the daily accuracy asks for; a fixed seed, since the same answers must give the same interval.
fn intervals(days: &[Tally]) -> Option<Intervals> {
    if days.len() < MIN_DAYS {
        return None;
    }
    let daily: Vec<f64> = days.iter().map(Tally::accuracy).collect();
    let mean_block = stats::block_length(&daily).unwrap_or(1.0);
    let bootstrap = StationaryBootstrap { mean_block, n_resamples: N_DAY_RESAMPLES, seed: 0 };
    let mut sum = Tally::new(days[0].n_classes);
    let drawn = bootstrap.resample(days.len(), |drawn| {
        sum.clear();
        drawn.iter().for_each(|&day| sum.add(&days[day]));
        [sum.accuracy(), sum.balanced_accuracy(), sum.log_loss(), sum.macro_mean(Tally::f1)]
    });
    let interval =
        |figure: usize| stats::percentile_interval(drawn.iter().map(|of| of[figure]).collect());
    Some(Intervals {
        mean_block_days: mean_block,
        accuracy: interval(0)?,
        balanced_accuracy: interval(1)?,
        log_loss: interval(2)?,
        macro_f1: interval(3)?,
    })
}

impl Murphy {
    /// Adds what one class was said to be and whether it came.
    fn add(&mut self, said: &[(f64, bool)]) {
        let n = said.len() as f64;
        let base = said.iter().filter(|(_, came)| *came).count() as f64 / n;
        self.uncertainty += base * (1.0 - base);
        for bin in bins(said, N_BINS) {
            let weight = bin.n as f64 / n;
            self.reliability += weight * (bin.confidence - bin.accuracy).powi(2);
            // An empty bin has an accuracy of 0, and a weight of 0 too.
            self.resolution += weight * (bin.accuracy - base).powi(2);
        }
    }
}

/// Right-closed bins of equal width: a confidence on an edge belongs to the bin below it.
fn bin_of(confidence: f64, n_bins: usize) -> usize {
    ((confidence * n_bins as f64).ceil() as usize).clamp(1, n_bins) - 1
}

fn bins(answers: &[(f64, bool)], n_bins: usize) -> Vec<Bin> {
    let mut bins = vec![Bin { n: 0, confidence: 0.0, accuracy: 0.0 }; n_bins];
    for &(confidence, right) in answers {
        let bin = &mut bins[bin_of(confidence, n_bins)];
        bin.n += 1;
        bin.confidence += confidence;
        bin.accuracy += f64::from(u8::from(right));
    }
    for bin in bins.iter_mut().filter(|bin| bin.n > 0) {
        bin.confidence /= bin.n as f64;
        bin.accuracy /= bin.n as f64;
    }
    bins
}

impl<State> Predictions<State> {
    /// Expected calibration error of the answers to some of the samples; 0 of none.
    pub fn calibration_error(&self, samples: &[usize]) -> f64 {
        let answer = |&sample: &usize| {
            let class = self.answer(sample);
            (self.row(sample)[usize::from(class)], class == self.truth()[sample])
        };
        let answers: Vec<(f64, bool)> = samples.iter().map(answer).collect();
        if answers.is_empty() { 0.0 } else { ece(&answers, N_BINS) }
    }
}

/// Σ (n_b / n) |confidence - accuracy| (Naeini et al. 2015).
fn ece(answers: &[(f64, bool)], n_bins: usize) -> f64 {
    let gap = |bin: &Bin| bin.n as f64 * (bin.confidence - bin.accuracy).abs();
    bins(answers, n_bins).iter().map(gap).sum::<f64>() / answers.len() as f64
}

/// Answers drawn again from the given ones, each right as often as it says; a fixed seed, since the same answers must
/// give the same band.
fn ece_null(answers: &[(f64, bool)]) -> EceNull {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let n = answers.len();
    let drawn_from: Vec<(f64, usize)> =
        answers.iter().map(|&(confidence, _)| (confidence, bin_of(confidence, N_BINS))).collect();
    let mut values: Vec<f64> = (0..N_RESAMPLES)
        .map(|_| {
            // Σ (n_b / n) |confidence - accuracy| needs of a bin only the sum of its differences.
            let mut gaps = [0.0f64; N_BINS];
            for _ in 0..n {
                let (confidence, bin) = drawn_from[rng.random_range(0..n)];
                let is_right = rng.random::<f64>() < confidence;
                gaps[bin] += confidence - f64::from(u8::from(is_right));
            }
            gaps.iter().map(|gap| gap.abs()).sum::<f64>() / n as f64
        })
        .collect();
    EceNull { mean: values.iter().sum::<f64>() / values.len() as f64, p95: p95(&mut values) }
}

impl EceNull {
    fn widened(self, by_day: Option<f64>) -> EceNull {
        EceNull { p95: self.p95.max(by_day.unwrap_or(0.0)), ..self }
    }
}

/// 95th percentile of the calibration error that days which move as these do make by chance; `None` under five days. A
/// multiplier bootstrap: one chi-square in a draw makes of its normal weights Student ones, as few days ask for.
fn p95_by_day(days: &[Tally], answers: &[(f64, bool)]) -> Option<f64> {
    let n_days = days.len() as f64;
    if days.len() < MIN_DAYS {
        return None;
    }
    let mut gaps = Vec::with_capacity(days.len());
    let mut rest = answers;
    for day in days {
        let (of_day, later) = rest.split_at(day.n());
        rest = later;
        let mut sums = [0.0; N_BINS];
        for &(confidence, is_right) in of_day {
            sums[bin_of(confidence, N_BINS)] += confidence - f64::from(u8::from(is_right));
        }
        gaps.push(sums);
    }
    for bin in 0..N_BINS {
        let mean = gaps.iter().map(|sums| sums[bin]).sum::<f64>() / n_days;
        gaps.iter_mut().for_each(|sums| sums[bin] -= mean);
    }
    let spread = ChiSquared::new(n_days - 1.0).ok()?;
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut values: Vec<f64> = (0..N_RESAMPLES)
        .map(|_| {
            let mut drawn = [0.0f64; N_BINS];
            for sums in &gaps {
                let weight: f64 = rng.sample(StandardNormal);
                drawn.iter_mut().zip(sums).for_each(|(drawn, gap)| *drawn += weight * gap);
            }
            // Divided by √(χ²/(d - 1)) for Student, times √(d/(d - 1)) for the mean that was taken off.
            let scale = (n_days / rng.sample(spread)).sqrt() / answers.len() as f64;
            drawn.iter().map(|gap| gap.abs()).sum::<f64>() * scale
        })
        .collect();
    Some(p95(&mut values))
}

fn p95(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[(values.len() * 95).div_ceil(100) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        evaluate::{PredictionsError, Seen, Temperature, calibrate},
        lineage::SeenUntil,
    };

    /// Expected values: scikit-learn 1.7 (log_loss, balanced_accuracy_score, precision/recall/f1 macro) and numpy for Brier.
    #[test]
    fn figures_are_those_of_scikit_learn() {
        let rows = [
            ([0.7, 0.2, 0.1], 0),
            ([0.1, 0.6, 0.3], 1),
            ([0.2, 0.5, 0.3], 2),
            ([0.3, 0.3, 0.4], 2),
            ([0.25, 0.5, 0.25], 0),
            ([0.05, 0.15, 0.8], 2),
        ];
        let predictions = of(&rows);
        let figures = predictions.figures_in_sample().expect("samples");
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} {b}");
        close(figures.accuracy, 4.0 / 6.0);
        close(figures.balanced_accuracy, (0.5 + 1.0 + 2.0 / 3.0) / 3.0);
        let loss: f64 =
            [0.7f64, 0.6, 0.3, 0.4, 0.25, 0.8].iter().map(|p| -p.ln()).sum::<f64>() / 6.0;
        close(figures.log_loss, loss);
        close(figures.macro_precision, (1.0 + 1.0 / 3.0 + 1.0) / 3.0);
        close(figures.macro_f1, (2.0 / 3.0 + 0.5 + 0.8) / 3.0);
        assert_eq!(figures.confusion, [[1, 1, 0], [0, 1, 0], [0, 1, 2]]);
        assert!(!figures.out_of_sample);
    }

    fn of(rows: &[([f64; 3], u8)]) -> Predictions<Seen> {
        let probabilities = rows.iter().flat_map(|(row, _)| *row).collect();
        let at = (0..rows.len()).map(|i| i as i64 * 1000).collect();
        let truth = rows.iter().map(|(_, class)| *class).collect();
        Predictions::new(3, probabilities, truth, at, vec![0; rows.len()]).expect("valid")
    }

    #[test]
    fn the_calibration_error_is_that_of_the_worked_example() {
        let confidence = [0.95, 0.9, 0.85, 0.7, 0.65, 0.6, 0.55, 0.52, 0.5, 0.45];
        let right = [1, 1, 0, 1, 1, 0, 1, 0, 0, 1];
        let answers: Vec<(f64, bool)> =
            confidence.iter().zip(right).map(|(&p, y)| (p, y == 1)).collect();
        assert!((ece(&answers, 5) - 0.197).abs() < 1e-9);
        assert!((ece(&answers, 10) - 0.217).abs() < 1e-9);
    }

    #[test]
    fn a_calibrated_model_lies_in_its_band_and_a_boastful_one_does_not() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let answers: Vec<(f64, bool)> = (0..600)
            .map(|_| {
                let p = 0.4 + 0.5 * rng.random::<f64>();
                (p, rng.random::<f64>() < p)
            })
            .collect();
        assert!(ece(&answers, N_BINS) < ece_null(&answers).p95);
        let boastful: Vec<(f64, bool)> =
            answers.iter().map(|&(p, right)| ((p + 0.15).min(1.0), right)).collect();
        assert!(ece(&boastful, N_BINS) > ece_null(&boastful).p95);
    }

    /// Calibrated by construction, over three pairs that move together and labels that overlap by four hours.
    #[test]
    fn days_keep_the_band_that_samples_break() {
        const DAYS: usize = 10;
        const RUNS: usize = 80;
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let (mut by_day, mut by_sample) = (0, 0);
        for _ in 0..RUNS {
            let mut normal = || rng.sample::<f64, _>(StandardNormal);
            let shocks: Vec<[f64; 3]> = (0..24 * DAYS + 3)
                .map(|_| {
                    let common = normal();
                    [(); 3].map(|()| (common + normal()) / 8f64.sqrt())
                })
                .collect();
            let answers: Vec<(f64, bool)> = shocks
                .windows(4)
                .flat_map(|hours| [0, 1, 2].map(|pair| hours.iter().map(|h| h[pair]).sum::<f64>()))
                .enumerate()
                .map(|(i, sum)| {
                    let confidence = 0.4 + 0.4 * ((i * 7919 % 101) as f64 / 101.0);
                    (confidence, stats::normal_cdf(sum) < confidence)
                })
                .collect();
            let days = vec![Tally { n_classes: 1, confusion: vec![72], loss: 0.0 }; DAYS];
            let (found, band) = (ece(&answers, N_BINS), ece_null(&answers));
            by_sample += usize::from(found > band.p95);
            by_day += usize::from(found > band.widened(p95_by_day(&days, &answers)).p95);
        }
        assert!(by_sample > 15 && by_day <= 9, "{by_sample} and {by_day} of {RUNS}");
        let few = vec![Tally { n_classes: 1, confusion: vec![1], loss: 0.0 }; 4];
        assert_eq!(p95_by_day(&few, &[(0.5, true); 4]), None);
    }

    #[test]
    fn only_what_was_decided_later_counts_as_unseen() {
        let rows = [([0.7, 0.2, 0.1], 0); 4];
        let unseen = of(&rows).after(SeenUntil::new(crate::market::instant(1000)));
        assert_eq!(unseen.len(), 2);
        assert!(unseen.figures().expect("samples").out_of_sample);
        let none = of(&rows).after(SeenUntil::new(crate::market::instant(9000)));
        assert_eq!(none.figures(), None);
    }

    #[test]
    fn what_is_no_distribution_out_of_order_or_ragged_is_refused() {
        let new = |probabilities: &[f64], truth: &[u8], at: &[i64], series: &[u32]| {
            Predictions::new(
                2,
                probabilities.to_vec(),
                truth.to_vec(),
                at.to_vec(),
                series.to_vec(),
            )
        };
        let half = [0.5; 4];
        new(&half, &[0, 1], &[5, 5], &[0, 1]).expect("two series at one instant");
        let error = new(&[0.5, 0.6], &[0], &[0], &[0]).expect_err("1.1 in all");
        assert_eq!(error, PredictionsError::Distribution { sample: 0 });
        assert!(new(&[0.5, f64::NAN], &[0], &[0], &[0]).is_err());
        for (at, series) in [([5, 5], [1, 0]), ([5, 5], [0, 0]), ([5, 4], [0, 1])] {
            let error = new(&half, &[0, 1], &at, &series).expect_err("out of order");
            assert_eq!(error, PredictionsError::Order { sample: 1 });
        }
        assert!(new(&half, &[0, 2], &[0, 1], &[0, 0]).is_err());
        assert!(new(&[0.5], &[0], &[0], &[0]).is_err());
        assert!(new(&half, &[0, 1], &[0, 1], &[0]).is_err());
    }

    #[test]
    fn a_class_that_never_occurs_has_no_figures() {
        let predictions = of(&[([0.7, 0.2, 0.1], 0), ([0.2, 0.7, 0.1], 0)]);
        let figures = predictions.figures_in_sample().expect("samples");
        let [first, second, third] = figures.per_class[..] else { panic!("three classes") };
        assert_eq!((first.precision, first.recall), (Some(1.0), Some(0.5)));
        assert_eq!((second.precision, second.recall, second.f1), (Some(0.0), None, Some(0.0)));
        assert_eq!((third.precision, third.recall, third.f1), (None, None, None));
    }

    /// Probabilities of two values, each in a bin of its own: the parts then add up exactly.
    #[test]
    fn the_parts_of_the_brier_score_add_up() {
        let rows: Vec<([f64; 3], u8)> = (0..60)
            .map(|i| {
                let row = if i % 3 == 0 { [0.7, 0.25, 0.05] } else { [0.15, 0.55, 0.3] };
                (row, (i * i % 7 % 3) as u8)
            })
            .collect();
        let figures = of(&rows).figures_in_sample().expect("samples");
        let Murphy { reliability, resolution, uncertainty } = figures.murphy;
        assert!((reliability - resolution + uncertainty - figures.brier).abs() < 1e-12);
        let sure = of(&[([1.0, 0.0, 0.0], 0), ([0.0, 1.0, 0.0], 1)]);
        let Murphy { reliability, resolution, uncertainty } =
            sure.figures_in_sample().expect("samples").murphy;
        assert_eq!((reliability.to_bits(), resolution), (0, uncertainty));
    }

    #[test]
    fn intervals_hold_their_figure_and_need_five_days() {
        let hours = |n: i64| {
            let rows: Vec<([f64; 3], u8)> = (0..n)
                .map(|i| {
                    let p = 0.2 + 0.6 * ((i * 7919 % 101) as f64 / 101.0);
                    ([p, (1.0 - p) / 2.0, (1.0 - p) / 2.0], (i * i % 11 % 3) as u8)
                })
                .collect();
            let probabilities = rows.iter().flat_map(|(row, _)| *row).collect();
            let truth = rows.iter().map(|(_, class)| *class).collect();
            // From Monday 2024-01-08 on, hour by hour.
            let at = (0..n).map(|i| 1_704_672_000_000_000 + i * crate::market::HOUR_US).collect();
            Predictions::new(3, probabilities, truth, at, vec![0; n as usize])
                .expect("valid")
                .figures_in_sample()
                .expect("samples")
        };
        assert_eq!(hours(4 * 24 - 2).intervals, None);
        let figures = hours(40 * 24);
        let found = figures.intervals.expect("days");
        for ((low, high), value) in [
            (found.accuracy, figures.accuracy),
            (found.balanced_accuracy, figures.balanced_accuracy),
            (found.log_loss, figures.log_loss),
            (found.macro_f1, figures.macro_f1),
        ] {
            assert!(low < value && value < high && high - low < 0.15, "{low} {value} {high}");
        }
        assert!(found.mean_block_days >= 1.0);
    }

    /// tests/golden/evaluate_sklearn.py.
    #[test]
    fn figures_of_many_samples_are_those_of_scikit_learn() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/golden/evaluate.json")).expect("JSON");
        let cases = golden.as_array().expect("a list");
        for case in cases {
            let k = case["n_classes"].as_u64().expect("a number") as usize;
            let floats = |key: &str| -> Vec<f64> {
                serde_json::from_value(case[key].clone()).expect("numbers")
            };
            let logits: Vec<f32> = floats("logits").into_iter().map(|x| x as f32).collect();
            let truth: Vec<u8> = serde_json::from_value(case["truth"].clone()).expect("classes");
            let n = truth.len();
            let probabilities = Temperature(1.0).probabilities(&logits, k);
            let at = (0..n as i64).collect();
            let predictions =
                Predictions::new(k, probabilities, truth.clone(), at, vec![0; n]).expect("valid");
            let found = predictions.figures_in_sample().expect("samples");
            let Temperature(temperature) = calibrate(&logits, &truth, k);
            for (name, value, tolerance) in [
                ("accuracy", found.accuracy, 1e-12),
                ("balanced_accuracy", found.balanced_accuracy, 1e-12),
                ("log_loss", found.log_loss, 1e-9),
                ("brier", found.brier, 1e-9),
                ("macro_precision", found.macro_precision, 1e-12),
                ("macro_recall", found.macro_recall, 1e-12),
                ("macro_f1", found.macro_f1, 1e-12),
                ("ece", found.ece, 1e-9),
                (
                    "classwise_ece",
                    found.per_class.iter().map(|c| c.ece).sum::<f64>() / k as f64,
                    1e-9,
                ),
                ("ln_temperature", temperature.ln(), 1e-7),
            ] {
                let expected = case[name].as_f64().expect(name);
                assert!((value - expected).abs() < tolerance, "{name}: {value}, {expected}");
            }
        }
        assert_eq!(cases.len(), 4);
    }
}
