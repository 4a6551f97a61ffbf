//! What a line learns from: candles, features and labels of each of its series over a range.
//!
//! Not here: samples and cuts (`dataset`).

use std::{collections::HashMap, ops::RangeInclusive};

use chrono::{DateTime, TimeDelta, Utc};
use rayon::prelude::*;

use crate::{
    config::{App, LineConfig},
    dataset::{self, DatasetConfig, Sample, SeriesInput},
    db::Db,
    drift::{self, Rows},
    fault::Fault,
    features::{self, FeatureSet, Features},
    labels::{self, LabelBalance, LabelRule, Labels, PastSignal},
    market::{Candles, Pair, Timeframe, calendar},
};

/// Candles with features and labels, one entry a series.
#[derive(Debug)]
pub(crate) struct Material {
    /// The candles, context before the range included.
    pub(crate) candles: Vec<Candles>,
    /// Their features.
    pub(crate) features: Vec<Features>,
    /// Their labels.
    pub(crate) labels: Vec<Labels>,
    /// The rule that made the labels: what answers another question is not held against them.
    pub(crate) label: LabelRule,
}

impl Material {
    /// Features and labels of candles, and of what became of signals where those are the samples; each series on a core of
    /// its own.
    pub(crate) fn of(
        candles: Vec<Candles>,
        past: &PastSignals,
        set: &'static FeatureSet,
        line: &LineConfig,
    ) -> Material {
        let (features, labels) = candles
            .par_iter()
            .map(|candles| (features::compute(set, candles), past.label(candles, &line.label)))
            .unzip();
        Material { candles, features, labels, label: line.label }
    }

    /// Whether it holds the question that a line asks: features and labels.
    pub(crate) fn is_of(&self, line: &LineConfig) -> bool {
        let set = self.features.first().map(|features| features.set.name);
        self.label == line.label && set == Some(line.features.as_str())
    }

    /// The same candles with features and labels of another question.
    ///
    /// # Errors
    /// Exit 3 for a feature set that is not known here.
    pub(crate) fn asked_by(&self, line: &LineConfig) -> anyhow::Result<Material> {
        // What became of signals is no label of candles alone: a question about outcomes has no samples here.
        let past = PastSignals::default();
        Ok(Material::of(self.candles.clone(), &past, feature_set(line)?, line))
    }

    /// As `dataset::build` takes it.
    pub(crate) fn inputs(&self) -> Vec<SeriesInput<'_>> {
        self.candles
            .iter()
            .zip(&self.features)
            .zip(&self.labels)
            .map(|((candles, features), labels)| SeriesInput { candles, features, labels })
            .collect()
    }

    /// Every sample that the material holds, in order of decision.
    ///
    /// # Errors
    /// Exit 4 where the series do not fit together.
    pub(crate) fn samples(&self, line: &LineConfig) -> anyhow::Result<Vec<Sample>> {
        let inputs = self.inputs();
        let config = DatasetConfig { lookback: line.lookback, from_us: None, until_us: None };
        Ok(dataset::build(&inputs, &config).map_err(Fault::input)?.samples().to_vec())
    }

    /// The moves of samples (of this material), in volatilities: see [`labels::moves`].
    pub(crate) fn moves(&self, samples: &[Sample]) -> Vec<f64> {
        self.of_samples(samples, labels::moves)
    }

    /// What the price did under the label of samples (of this material), in volatilities: see [`labels::label_returns`].
    pub(crate) fn label_returns(&self, samples: &[Sample]) -> Vec<f64> {
        self.of_samples(samples, |candles, labels| {
            labels::label_returns(candles, labels, &self.label)
        })
    }

    fn of_samples(
        &self,
        samples: &[Sample],
        of_series: impl Fn(&Candles, &Labels) -> Vec<f64>,
    ) -> Vec<f64> {
        let each: Vec<Vec<f64>> =
            self.candles.iter().zip(&self.labels).map(|(c, l)| of_series(c, l)).collect();
        let offsets: Vec<usize> = self
            .candles
            .iter()
            .scan(0, |offset, candles| Some(std::mem::replace(offset, *offset + candles.len())))
            .collect();
        let of = |sample: &Sample| {
            let series = sample.series as usize;
            each[series][sample.row as usize - offsets[series]]
        };
        samples.iter().map(of).collect()
    }

    /// How evenly the labels of samples (of this material) are dealt.
    pub(crate) fn balance(&self, rule: &LabelRule, samples: &[Sample]) -> LabelBalance {
        let classes: Vec<u8> = samples.iter().map(|sample| sample.class).collect();
        let counted = labels::class_balance(&classes, rule.n_classes());
        LabelBalance::of(rule, &counted, &self.moves(samples))
    }

    /// The last rows of features that close within a range (microseconds UTC), at most `n`, all series in order of time; rows on
    /// which a feature is not yet defined are left out.
    pub(crate) fn rows(&self, range_us: RangeInclusive<i64>, n: usize) -> Rows {
        let mut rows: Vec<(i64, usize, usize)> = Vec::new();
        for (series, (candles, features)) in self.candles.iter().zip(&self.features).enumerate() {
            let first = features.first_complete_row();
            let closes = (first..candles.len()).map(|row| (candles.close_at_us(row), series, row));
            rows.extend(closes.filter(|(close, ..)| range_us.contains(close)));
        }
        rows.sort_unstable();
        rows.drain(..rows.len().saturating_sub(n));
        let closes: Vec<i64> = rows.iter().map(|row| row.0).collect();
        let n_features = self.features.first().map_or(0, |features| features.columns.len());
        let column = |feature: usize| {
            rows.iter()
                .map(|&(_, series, row)| self.features[series].columns[feature][row])
                .collect()
        };
        Rows {
            columns: (0..n_features).map(column).collect(),
            days: calendar::trading_days(&closes),
            series: rows.iter().map(|row| row.1).collect(),
        }
    }

    /// The rows that windows of a range are learned from.
    pub(crate) fn reference(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Rows {
        self.rows(from.timestamp_micros()..=until.timestamp_micros(), drift::MAX_ROWS)
    }

    /// Gaps of each series that no weekend or holiday explains.
    pub(crate) fn gaps(&self) -> Vec<(String, calendar::Gap)> {
        self.candles
            .iter()
            .flat_map(|candles| {
                let name = format!("{} {}", candles.pair(), candles.timeframe());
                calendar::gaps(candles.timeframe(), candles.open_at_us())
                    .into_iter()
                    .map(move |gap| (name.clone(), gap))
            })
            .collect()
    }
}

/// The settled signals of the line that a second stage learns from, by series; none for the other rules.
#[derive(Debug, Default)]
pub(crate) struct PastSignals(HashMap<(Pair, Timeframe), Vec<PastSignal>>);

impl PastSignals {
    /// Reads what became of signals on candles from `from` on, as far as it was settled at `--as-of`. Holds are no positions and
    /// are left out.
    pub(crate) fn gather(
        app: &App,
        db: &mut Db,
        line: &LineConfig,
        from: DateTime<Utc>,
    ) -> anyhow::Result<PastSignals> {
        let mut past = PastSignals::default();
        let Some(of) = line.signals_of.as_ref().filter(|_| line.label == LabelRule::Outcome) else {
            return Ok(past);
        };
        for row in db.settled_signals(of, from, app.as_of, false)? {
            // What other programs spell in their own way is no series of ours.
            if let (Ok(pair), Ok(timeframe)) = (row.pair.parse(), row.timeframe.parse()) {
                past.0.entry((pair, timeframe)).or_default().push(row.signal);
            }
        }
        Ok(past)
    }

    /// The labels of a series.
    pub(crate) fn label(&self, candles: &Candles, rule: &LabelRule) -> Labels {
        match rule {
            LabelRule::Outcome => {
                let key = (candles.pair().clone(), candles.timeframe());
                labels::of_signals(candles, self.0.get(&key).map_or(&[], Vec::as_slice))
            }
            _ => labels::label(candles, rule),
        }
    }
}

/// The feature set that a line names.
pub(crate) fn feature_set(line: &LineConfig) -> anyhow::Result<&'static FeatureSet> {
    Ok(features::by_name(&line.features).map_err(Fault::config)?)
}

/// Candles of every series of a line for decisions from `from` on, with the history that windows and warm-up need.
///
/// # Errors
/// Exit 4 when a series has no candle there, naming what the table has.
pub(crate) fn candles(
    app: &App,
    db: &mut Db,
    line: &LineConfig,
    set: &FeatureSet,
    from: DateTime<Utc>,
) -> anyhow::Result<Vec<Candles>> {
    check_memory(app, db, line, set, from)?;
    let mut all = Vec::new();
    for &timeframe in &line.timeframes {
        let range = app.candle_range(from - history(timeframe, set.warm_up + line.lookback));
        for pair in &line.pairs {
            let candles = db.candles(pair, timeframe, range)?;
            if candles.is_empty() {
                let have = db.coverage_text()?;
                return Err(Fault::input(format!(
                    "no {timeframe} candles for {pair} between {} and {} (the table has {have})",
                    from.format("%F %H:%MZ"),
                    app.as_of.format("%F %H:%MZ"),
                ))
                .hint("import candles, or name the pairs that you have under the line in aifx.yaml")
                .into());
            }
            all.push(candles);
        }
    }
    Ok(all)
}

/// Bytes that a candle takes at the peak beside its features: itself, its labels, its sample.
const CANDLE_BYTES: u64 = 150;
/// Bytes a feature of a candle: once as computed, once scaled to single precision.
const FEATURE_BYTES: u64 = 12;
/// LibTorch, a network and its batches.
const BASE_BYTES: u64 = 300 << 20;

/// Refuses what does not fit before anything is read: a job that the kernel kills at night says nothing.
///
/// # Errors
/// Exit 9 with what it takes and what there is.
fn check_memory(
    app: &App,
    db: &mut Db,
    line: &LineConfig,
    set: &FeatureSet,
    from: DateTime<Utc>,
) -> anyhow::Result<()> {
    let Some(cap) = app.memory() else { return Ok(()) };
    let candle_bytes = CANDLE_BYTES + FEATURE_BYTES * set.features.len() as u64;
    let need = |n_candles: u64| BASE_BYTES + n_candles * candle_bytes;
    let start = |timeframe: Timeframe| from - history(timeframe, set.warm_up + line.lookback);
    let at_most = |timeframe: &Timeframe| {
        let span_us = (app.as_of - start(*timeframe)).num_microseconds().unwrap_or(i64::MAX);
        (span_us / timeframe.nominal_us()).unsigned_abs() * line.pairs.len() as u64
    };
    // Counting reads an index; mostly the clock alone says that there is room.
    if need(line.timeframes.iter().map(at_most).sum()) <= cap.bytes {
        return Ok(());
    }
    let mut n_candles = 0;
    for &timeframe in &line.timeframes {
        for pair in &line.pairs {
            n_candles += db.count_candles(pair, timeframe, start(timeframe), app.as_of)?;
        }
    }
    if need(n_candles) <= cap.bytes {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    Err(Fault::resource(format!(
        "{n_candles} candles with {} features need about {} MiB, and {} allows {} MiB",
        set.features.len(),
        mib(need(n_candles)),
        cap.source,
        mib(cap.bytes),
    ))
    .hint("take fewer days or pairs, or allow more memory")
    .into())
}

/// Clock time that surely holds so many candles: the market is open five days of seven, and closed on holidays.
pub(crate) fn history(timeframe: Timeframe, n_candles: usize) -> TimeDelta {
    let open_us = timeframe.nominal_us() * i64::try_from(n_candles).unwrap_or(i64::MAX / 1_000_000);
    TimeDelta::microseconds(open_us / 5 * 7) + TimeDelta::days(10)
}
