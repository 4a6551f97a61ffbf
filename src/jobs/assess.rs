//! What a model is worth on its test part: figures, both baselines, comparisons by day, trades after costs.
//!
//! Judges see predictions, never a model. Not here: whether that is good enough (`gate`).

use std::collections::BTreeMap;

use serde::Serialize;

use super::material::Material;
use crate::{
    backtest::{self, Backtest, BacktestConfig, SeriesSignals},
    baseline::{Indicator, Majority, indicator_signals},
    config::LineConfig,
    dataset::{Folds, Part, Sample},
    evaluate::{self, Comparison, Figures, Predictions, Unseen},
    fault::Fault,
    labels::{BUY, SELL},
    lineage::SeenUntil,
    market::instant,
};

/// Everything that was measured on the test part.
#[derive(Debug, Clone, Serialize)]
pub struct Assessment {
    /// Last instant that the model was trained, tuned or calibrated on.
    pub seen_until: SeenUntil,
    /// The model on the test part.
    pub test: Figures,
    /// Each baseline on the same samples.
    pub baselines: BTreeMap<&'static str, Figures>,
    /// The model against each baseline.
    pub comparisons: BTreeMap<&'static str, Comparison>,
    /// The model on the training part: in sample.
    pub train: Figures,
    /// The model on the validation part: in sample too, since it was stopped and calibrated there.
    pub validation: Figures,
    /// Trades after costs over the test part, of the model and of the indicator rule.
    pub backtests: BTreeMap<&'static str, backtest::Figures>,
    /// Equity of the same, for plots.
    #[serde(skip)]
    pub equity: BTreeMap<&'static str, Backtest>,
}

/// The names under which the baselines are reported.
pub const MAJORITY: &str = "majority";
/// See [`MAJORITY`].
pub const INDICATOR: &str = "indicator";
/// The name of the model beside them.
pub const MODEL: &str = "model";

/// Measures. `probabilities` answers rows of the folds' windows, `[n, classes]` row-major.
///
/// # Errors
/// When the model's answers are no distributions, or there is nothing to measure on.
pub(crate) fn assess(
    material: &Material,
    folds: &Folds,
    line: &LineConfig,
    probabilities: &dyn Fn(&[u32]) -> Vec<f64>,
) -> anyhow::Result<Assessment> {
    let n_classes = folds.classes.len();
    let seen_until = seen_until(folds);
    let predictions = |part: &Part, probabilities: Vec<f64>| {
        Predictions::new(
            n_classes,
            probabilities,
            part.classes(),
            part.decided_at_us(),
            part.series(),
        )
        .map_err(Fault::integrity)
    };
    let unseen = |probabilities: Vec<f64>| -> anyhow::Result<Predictions<Unseen>> {
        Ok(predictions(&folds.test, probabilities)?.after(seen_until))
    };
    let nothing = || Fault::input("the test part is empty");
    let test_answers = probabilities(&folds.test.rows());
    let model = unseen(test_answers.clone())?;

    let train_classes = folds.train.classes();
    let majority = Majority::fit(&train_classes, n_classes).ok_or_else(nothing)?;
    let rules = Rules::of(material);
    let indicator =
        Indicator::fit(&rules.at(&folds.train), &train_classes, n_classes).ok_or_else(nothing)?;
    let mut baselines = BTreeMap::new();
    let mut comparisons = BTreeMap::new();
    for (name, answers) in [
        (MAJORITY, majority.probabilities(folds.test.len())),
        (INDICATOR, indicator.probabilities(&rules.at(&folds.test))),
    ] {
        let reference = unseen(answers)?;
        let comparison = evaluate::compare(&model, &reference).map_err(Fault::integrity)?;
        comparisons.insert(name, comparison);
        baselines.insert(name, reference.figures().ok_or_else(nothing)?);
    }

    let mut equity = BTreeMap::new();
    let model_signals = Signals::of(material, &folds.test, |sample, index| {
        let row = &test_answers[index * n_classes..(index + 1) * n_classes];
        let _ = sample;
        side(evaluate::answer_of(row), n_classes)
    });
    equity.insert(MODEL, model_signals.trade(material, line));
    let rule_signals = Signals::of(material, &folds.test, |sample, _| rules.signal(sample));
    equity.insert(INDICATOR, rule_signals.trade(material, line));

    let in_sample = |part: &Part| -> anyhow::Result<Figures> {
        let predictions = predictions(part, probabilities(&part.rows()))?;
        Ok(predictions.figures_in_sample().ok_or_else(nothing)?)
    };
    Ok(Assessment {
        seen_until,
        test: model.figures().ok_or_else(nothing)?,
        baselines,
        comparisons,
        train: in_sample(&folds.train)?,
        validation: in_sample(&folds.validation)?,
        backtests: equity
            .iter()
            .map(|(name, backtest)| (*name, backtest.figures.clone()))
            .collect(),
        equity,
    })
}

/// The last instant that training and validation labels look at.
pub(crate) fn seen_until(folds: &Folds) -> SeenUntil {
    let last = [&*folds.train, &folds.validation]
        .iter()
        .flat_map(|part| part.samples.iter().map(|sample| sample.label_until_us))
        .max()
        .unwrap_or(0);
    SeenUntil::new(instant(last))
}

/// A class as a signal: the lower half of the classes sells, the upper half buys, a middle one holds.
pub(crate) fn side(class: u8, n_classes: usize) -> i8 {
    if n_classes == 3 {
        return match class {
            SELL => -1,
            BUY => 1,
            _ => 0,
        };
    }
    if usize::from(class) < n_classes / 2 { -1 } else { 1 }
}

/// The indicator rule's signals on every candle of every series.
struct Rules {
    signals: Vec<Vec<i8>>,
    offsets: Vec<usize>,
}

impl Rules {
    fn of(material: &Material) -> Rules {
        let signals = material.candles.iter().map(indicator_signals).collect();
        Rules { signals, offsets: offsets(material) }
    }

    fn signal(&self, sample: &Sample) -> i8 {
        let series = sample.series as usize;
        self.signals[series][sample.row as usize - self.offsets[series]]
    }

    fn at(&self, part: &Part) -> Vec<i8> {
        part.samples.iter().map(|sample| self.signal(sample)).collect()
    }
}

fn offsets(material: &Material) -> Vec<usize> {
    material
        .candles
        .iter()
        .scan(0, |next, candles| {
            let offset = *next;
            *next += candles.len();
            Some(offset)
        })
        .collect()
}

/// One signal a candle of each series, over the range that a part covers.
struct Signals {
    /// First row of the range, and its signals, of each series.
    series: Vec<(usize, Vec<i8>)>,
}

impl Signals {
    fn of(material: &Material, part: &Part, signal: impl Fn(&Sample, usize) -> i8) -> Signals {
        let offsets = offsets(material);
        let from_us = part.samples.first().map_or(i64::MAX, |sample| sample.decided_at_us);
        let mut series: Vec<(usize, Vec<i8>)> = material
            .candles
            .iter()
            .map(|candles| {
                let first = candles
                    .open_at_us()
                    .partition_point(|open| candles.timeframe().close_at(*open) < from_us);
                (first, vec![0; candles.len() - first])
            })
            .collect();
        for (index, sample) in part.samples.iter().enumerate() {
            let place = sample.series as usize;
            let (first, signals) = &mut series[place];
            signals[sample.row as usize - offsets[place] - *first] = signal(sample, index);
        }
        Signals { series }
    }

    fn trade(&self, material: &Material, line: &LineConfig) -> Backtest {
        let ranges: Vec<_> = material
            .candles
            .iter()
            .zip(&self.series)
            .map(|(candles, (first, signals))| {
                (candles.slice(*first, candles.len() - first), signals)
            })
            .collect();
        let parts: Vec<SeriesSignals<'_>> = ranges
            .iter()
            .filter(|(candles, _)| !candles.is_empty())
            .map(|(candles, signals)| SeriesSignals { candles, signals })
            .collect();
        backtest::run(&parts, &BacktestConfig { costs: line.costs, ..BacktestConfig::default() })
    }
}
