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
    labels::{BUY, SELL, horizon_volatility},
    lineage::SeenUntil,
    market::instant,
    outcome::Side,
    signal::{self, Edge, Stake},
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
    /// The answers behind the figures of the test part, for the gate.
    #[serde(skip)]
    pub answers: Answers,
}

/// Answers to the test part.
#[derive(Debug, Clone)]
pub struct Answers {
    /// Of the model.
    pub model: Predictions<Unseen>,
    /// Of the class prior.
    pub majority: Predictions<Unseen>,
    /// Of the indicator rule.
    pub indicator: Predictions<Unseen>,
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
    let model = unseen(probabilities(&folds.test.rows()))?;

    let train_classes = folds.train.classes();
    let majority = Majority::fit(&train_classes, n_classes).ok_or_else(nothing)?;
    let rules = Rules::of(material);
    let indicator =
        Indicator::fit(&rules.at(&folds.train), &train_classes, n_classes).ok_or_else(nothing)?;
    let mut baselines = BTreeMap::new();
    let mut comparisons = BTreeMap::new();
    let majority = unseen(majority.probabilities(folds.test.len()))?;
    let indicator = unseen(indicator.probabilities(&rules.at(&folds.test)))?;
    for (name, reference) in [(MAJORITY, &majority), (INDICATOR, &indicator)] {
        let comparison = evaluate::compare(&model, reference).map_err(Fault::integrity)?;
        comparisons.insert(name, comparison);
        baselines.insert(name, reference.figures().ok_or_else(nothing)?);
    }

    let mut equity = BTreeMap::new();
    equity.insert(MODEL, trades(material, line, &folds.test.samples, &model));
    equity.insert(INDICATOR, rule_trades(material, line, &folds.test.samples));

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
        answers: Answers { model, majority, indicator },
    })
}

/// Trades after costs on a model's answers to samples, over the range that the samples cover; where it did not answer, it
/// holds.
pub(crate) fn trades(
    material: &Material,
    line: &LineConfig,
    samples: &[Sample],
    answers: &Predictions<Unseen>,
) -> Backtest {
    let place = |sample: &Sample| (sample.decided_at_us, sample.series);
    let mut next = 0;
    let signals = Signals::of(material, samples, |sample, _| {
        let at = |i: usize| (answers.decided_at_us()[i], answers.series()[i]);
        while next < answers.len() && at(next) < place(sample) {
            next += 1;
        }
        if next < answers.len() && at(next) == place(sample) {
            side(answers.answer(next), answers.n_classes())
        } else {
            0
        }
    });
    signals.trade(material, line)
}

/// The account of a model's answers to samples, with sizes as the line is configured: only calls with a size are traded. Guards that
/// follow from what has happened since (breaker, no skill) are none here.
pub(crate) fn sized_trades(
    material: &Material,
    line: &LineConfig,
    samples: &[Sample],
    answers: &Predictions<Unseen>,
    edge: Option<&Edge>,
) -> Backtest {
    let offsets = offsets(material);
    let volatility: Vec<Vec<f64>> = material.candles.iter().map(horizon_volatility).collect();
    let (mut next, n_classes) = (0, answers.n_classes());
    let place = |sample: &Sample| (sample.decided_at_us, sample.series);
    let mut sizes = Vec::with_capacity(samples.len());
    let signals = Signals::of(material, samples, |sample, _| {
        let at = |i: usize| (answers.decided_at_us()[i], answers.series()[i]);
        while next < answers.len() && at(next) < place(sample) {
            next += 1;
        }
        sizes.push(0.0);
        if next >= answers.len() || at(next) != place(sample) {
            return 0;
        }
        let series = sample.series as usize;
        let (candles, row) = (&material.candles[series], sample.row as usize - offsets[series]);
        let entry = candles.close()[row];
        let stake = Stake {
            edge,
            volatility: volatility[series][row],
            cost: line.costs.for_pair(candles.pair()).round_trip() / entry,
            ..Stake::default()
        };
        let call = |class: usize| side(class as u8, n_classes);
        let signal =
            signal::decide(answers.row(next), call, None, (entry, None), &stake, &line.signals);
        if let Some(last) = sizes.last_mut() {
            *last = signal.size;
        }
        match signal.side.filter(|_| signal.size > 0.0) {
            Some(Side::Buy) => 1,
            Some(Side::Sell) => -1,
            None => 0,
        }
    });
    signals.trade_sized(material, line, samples, &sizes)
}

/// The same of the indicator rule.
pub(crate) fn rule_trades(material: &Material, line: &LineConfig, samples: &[Sample]) -> Backtest {
    let rules = Rules::of(material);
    Signals::of(material, samples, |sample, _| rules.signal(sample)).trade(material, line)
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

/// A class as a signal: the lower half of the classes sells, the upper half buys, a middle one holds. Two classes are a loss and
/// a win: nothing to trade.
pub(crate) fn side(class: u8, n_classes: usize) -> i8 {
    match (n_classes, class) {
        (2, _) => 0,
        (3, SELL) => -1,
        (3, BUY) => 1,
        (3, _) => 0,
        _ if usize::from(class) < n_classes / 2 => -1,
        _ => 1,
    }
}

/// The indicator rule's signals on every candle of every series.
pub(crate) struct Rules {
    signals: Vec<Vec<i8>>,
    offsets: Vec<usize>,
}

impl Rules {
    pub(crate) fn of(material: &Material) -> Rules {
        let signals = material.candles.iter().map(indicator_signals).collect();
        Rules { signals, offsets: offsets(material) }
    }

    fn signal(&self, sample: &Sample) -> i8 {
        let series = sample.series as usize;
        self.signals[series][sample.row as usize - self.offsets[series]]
    }

    fn at(&self, part: &Part) -> Vec<i8> {
        self.of_samples(&part.samples)
    }

    pub(crate) fn of_samples(&self, samples: &[Sample]) -> Vec<i8> {
        samples.iter().map(|sample| self.signal(sample)).collect()
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
    fn of(
        material: &Material,
        samples: &[Sample],
        mut signal: impl FnMut(&Sample, usize) -> i8,
    ) -> Signals {
        let offsets = offsets(material);
        let from_us = samples.first().map_or(i64::MAX, |sample| sample.decided_at_us);
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
        for (index, sample) in samples.iter().enumerate() {
            let place = sample.series as usize;
            let (first, signals) = &mut series[place];
            signals[sample.row as usize - offsets[place] - *first] = signal(sample, index);
        }
        Signals { series }
    }

    /// Trades at sizes, one a sample.
    fn trade_sized(
        &self,
        material: &Material,
        line: &LineConfig,
        samples: &[Sample],
        sizes: &[f64],
    ) -> Backtest {
        let offsets = offsets(material);
        let mut of_series: Vec<Vec<f64>> =
            self.series.iter().map(|(_, signals)| vec![0.0; signals.len()]).collect();
        for (sample, size) in samples.iter().zip(sizes) {
            let series = sample.series as usize;
            let (first, _) = &self.series[series];
            of_series[series][sample.row as usize - offsets[series] - *first] = *size;
        }
        self.run(material, line, Some(&of_series))
    }

    fn trade(&self, material: &Material, line: &LineConfig) -> Backtest {
        self.run(material, line, None)
    }

    fn run(&self, material: &Material, line: &LineConfig, sizes: Option<&[Vec<f64>]>) -> Backtest {
        let ranges: Vec<_> = material
            .candles
            .iter()
            .zip(&self.series)
            .enumerate()
            .map(|(series, (candles, (first, signals)))| {
                let sizes = sizes.map(|sizes| sizes[series].as_slice());
                (candles.slice(*first, candles.len() - first), signals, sizes)
            })
            .collect();
        let parts: Vec<SeriesSignals<'_>> = ranges
            .iter()
            .filter(|(candles, ..)| !candles.is_empty())
            .map(|(candles, signals, sizes)| SeriesSignals { candles, signals, sizes: *sizes })
            .collect();
        backtest::run(
            &parts,
            &BacktestConfig { costs: line.costs.clone(), ..BacktestConfig::default() },
        )
    }
}
