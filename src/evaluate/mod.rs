//! Predictions, classification figures, calibration, and comparison by trading day.
//!
//! [`Predictions`] know whether their model has seen any of them: only [`Unseen`] ones give [`Figures`] that say out of
//! sample. The trading day is the unit of every comparison: samples overlap and pairs move together (FORMULAS).
//! [`estimate()`] says what answers should be worth whose labels nobody knows yet.
//! Not here: what decides about a model (`gate`), trades (`backtest`).

mod calibrate;
mod compare;
mod days;
mod estimate;
mod figures;
mod monotony;

use std::marker::PhantomData;

use crate::{lineage::SeenUntil, market::Micros};

pub use calibrate::{Temperature, calibrate};
pub use compare::{
    CompareError, Comparison, DayDifference, Interval, McNemar, compare, paired_by_day,
};
pub use days::{AnswerDay, AnswerDays};
pub use estimate::{Estimate, Estimated, Spread, estimate};
pub use figures::{Bin, ClassFigures, EceNull, Figures, Intervals, Murphy};
pub use monotony::{last_run, longest_run};

/// Marks predictions of samples that the model, or an ancestor, may have seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {}

/// Marks predictions of samples that were decided after everything that the model has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unseen {}

/// Probabilities with the truth, in order of decision, and of series where decisions share an instant.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions<State> {
    n_classes: usize,
    /// `[n, n_classes]` row-major.
    probabilities: Vec<f64>,
    truth: Vec<u8>,
    decided_at_us: Vec<Micros>,
    series: Vec<u32>,
    state: PhantomData<State>,
}

/// Why values are no predictions.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PredictionsError {
    /// The columns do not fit together.
    #[error(
        "{n_probabilities} probabilities, {n_truth} true classes, {n_instants} instants and {n_series} series do not \
         fit {n_classes} classes"
    )]
    Shape {
        /// Probabilities given.
        n_probabilities: usize,
        /// Classes given.
        n_truth: usize,
        /// Instants given.
        n_instants: usize,
        /// Series given.
        n_series: usize,
        /// Classes there are.
        n_classes: usize,
    },
    /// A row is no distribution.
    #[error("the probabilities of sample {sample} are not a distribution")]
    Distribution {
        /// From 0.
        sample: usize,
    },
    /// A sample does not come after the one before it.
    #[error("sample {sample} was not decided after the one before it")]
    Order {
        /// From 0.
        sample: usize,
    },
}

impl Predictions<Seen> {
    /// Checks and keeps: `probabilities` is `[n, n_classes]` row-major, each row sums to 1; instants and, within one,
    /// series ascend, so that a sample can be found again among another model's.
    ///
    /// # Errors
    /// [`PredictionsError`].
    pub fn new(
        n_classes: usize,
        probabilities: Vec<f64>,
        truth: Vec<u8>,
        decided_at_us: Vec<Micros>,
        series: Vec<u32>,
    ) -> Result<Self, PredictionsError> {
        let n = truth.len();
        let classes_fit = truth.iter().all(|class| usize::from(*class) < n_classes);
        let lengths_fit =
            [probabilities.len(), decided_at_us.len(), series.len()] == [n * n_classes, n, n];
        if !classes_fit || !lengths_fit {
            return Err(PredictionsError::Shape {
                n_probabilities: probabilities.len(),
                n_truth: n,
                n_instants: decided_at_us.len(),
                n_series: series.len(),
                n_classes,
            });
        }
        let is_distribution = |row: &[f64]| {
            row.iter().all(|p| (0.0..=1.0 + 1e-9).contains(p))
                && (row.iter().sum::<f64>() - 1.0).abs() < 1e-6
        };
        if let Some(sample) =
            probabilities.chunks(n_classes.max(1)).position(|row| !is_distribution(row))
        {
            return Err(PredictionsError::Distribution { sample });
        }
        let place = |i: usize| (decided_at_us[i], series[i]);
        if let Some(sample) = (1..n).find(|&i| place(i - 1) >= place(i)) {
            return Err(PredictionsError::Order { sample });
        }
        Ok(Predictions {
            n_classes,
            probabilities,
            truth,
            decided_at_us,
            series,
            state: PhantomData,
        })
    }

    /// Figures that say that the model may have seen some of the samples.
    pub fn figures_in_sample(&self) -> Option<Figures> {
        figures::figures(self, false)
    }
}

impl Predictions<Unseen> {
    /// Several models' answers as those of one: each has seen none of its own part. Parts come in order of time and do not
    /// overlap; `None` when they do, or when they answer with different classes.
    pub fn pooled(parts: &[Predictions<Unseen>], n_classes: usize) -> Option<Predictions<Unseen>> {
        let mut pooled = Predictions {
            n_classes,
            probabilities: Vec::new(),
            truth: Vec::new(),
            decided_at_us: Vec::new(),
            series: Vec::new(),
            state: PhantomData,
        };
        for part in parts.iter().filter(|part| !part.is_empty()) {
            let follows = pooled.decided_at_us.last() < part.decided_at_us.first();
            if !follows || part.n_classes != n_classes {
                return None;
            }
            pooled.probabilities.extend_from_slice(&part.probabilities);
            pooled.truth.extend_from_slice(&part.truth);
            pooled.decided_at_us.extend_from_slice(&part.decided_at_us);
            pooled.series.extend_from_slice(&part.series);
        }
        Some(pooled)
    }

    /// Figures out of sample; `None` without samples.
    pub fn figures(&self) -> Option<Figures> {
        figures::figures(self, true)
    }
}

impl<State> Predictions<State> {
    /// Those that were decided after `seen`: the only way to predictions that count as out of sample.
    pub fn after(&self, seen: SeenUntil) -> Predictions<Unseen> {
        let first = self.decided_at_us.partition_point(|at_us| *at_us <= seen.micros());
        Predictions {
            n_classes: self.n_classes,
            probabilities: self.probabilities[first * self.n_classes..].to_vec(),
            truth: self.truth[first..].to_vec(),
            decided_at_us: self.decided_at_us[first..].to_vec(),
            series: self.series[first..].to_vec(),
            state: PhantomData,
        }
    }

    /// Those of the series that are wanted.
    pub fn of_series(&self, wanted: impl Fn(u32) -> bool) -> Self {
        let kept: Vec<usize> = (0..self.len()).filter(|&i| wanted(self.series[i])).collect();
        Predictions {
            n_classes: self.n_classes,
            probabilities: kept.iter().flat_map(|&i| self.row(i).iter().copied()).collect(),
            truth: kept.iter().map(|&i| self.truth[i]).collect(),
            decided_at_us: kept.iter().map(|&i| self.decided_at_us[i]).collect(),
            series: kept.iter().map(|&i| self.series[i]).collect(),
            state: PhantomData,
        }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.truth.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.truth.is_empty()
    }

    /// Classes there are.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// Probabilities of one sample.
    pub fn row(&self, sample: usize) -> &[f64] {
        &self.probabilities[sample * self.n_classes..(sample + 1) * self.n_classes]
    }

    /// True classes.
    pub fn truth(&self) -> &[u8] {
        &self.truth
    }

    /// Instants of decision.
    pub fn decided_at_us(&self) -> &[Micros] {
        &self.decided_at_us
    }

    /// Which series each sample is of.
    pub fn series(&self) -> &[u32] {
        &self.series
    }

    /// The most probable class of one sample; the first of equals.
    pub fn answer(&self, sample: usize) -> u8 {
        answer_of(self.row(sample))
    }

    /// Log-loss of one sample, nats, with the probability clipped to [1e-7, 1].
    pub fn loss(&self, sample: usize) -> f64 {
        -self.row(sample)[usize::from(self.truth[sample])].max(1e-7).ln()
    }
}

/// The most probable class; the first of equals.
pub fn answer_of(row: &[f64]) -> u8 {
    let best =
        (1..row.len()).fold(0, |best, class| if row[class] > row[best] { class } else { best });
    u8::try_from(best).expect("classes are numbered in a u8")
}
