//! `backtest VERSION --answers FILE`: what a version's own network says to every candle of a range, with what came.
//!
//! For comparing versions, or mixtures of them, outside aifx: one row a candle. Not here: what production said when a candle closed
//! (`trading_signals`), trades (`signals`, the other backtest).

use std::path::{Path, PathBuf};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;

use super::{Contestant, Request};
use crate::{
    artifact::{self, LineDir},
    config::{App, LineConfig},
    fault::Fault,
    features,
    inference::Predictor,
    jobs::{loading, material},
    labels,
    lineage::{LineName, Version},
    market::{Candles, instant},
    outcome::{Bars, Costs, Side},
    registry,
    signal::{self, Distance, Position},
};

/// The column of the average true range as a share of the price, where the feature set has it.
const ATR: &str = "atr_close";

/// What was written. `aifx.backtest-answers/1`.
#[derive(Debug, Clone, Serialize)]
pub struct AnswersReport {
    /// The line.
    pub line: LineName,
    /// Whose answers.
    pub version: Version,
    /// Candles that open from this instant on.
    pub start: DateTime<Utc>,
    /// And before this one.
    pub end: DateTime<Utc>,
    /// Last instant that the version has seen; answers to decisions before it are no prediction.
    pub seen_until: Option<DateTime<Utc>>,
    /// Names of the classes, in the order of the columns.
    pub classes: Vec<String>,
    /// Where they stand.
    pub file: PathBuf,
    /// Candles that were answered.
    pub rows: usize,
    /// Those among them whose label is settled by `--as-of`.
    pub labelled: usize,
}

/// Answers and writes.
///
/// # Errors
/// 2 for a baseline, which has no probabilities; 4 for a version or candles that are not there, 7 for a version that cannot be
/// loaded, 9 when the file cannot be written; else when the database fails.
pub fn run(app: &App, request: &Request, file: &Path) -> anyhow::Result<AnswersReport> {
    let (name, line) = app.line(request.line.as_ref())?;
    let Contestant::Version(version) = request.contestant else {
        return Err(Fault::usage("--answers wants a version: a baseline has no network").into());
    };
    let end = request.end.unwrap_or(app.as_of).min(app.as_of);
    let start = request.start.unwrap_or(end - TimeDelta::days(i64::from(line.weekly.days)));
    if start >= end {
        return Err(Fault::usage(format!("the range from {start} to {end} is empty")).into());
    }
    loading::libtorch()?;
    let mut db = app.db("backtest")?;
    let row = registry::pick(db.versions(Some(name))?, name, version)?;
    let models = app.models();
    let dir = LineDir::open(&models, name)?.ok_or_else(|| {
        Fault::integrity(format!("{} is missing", models.join(name.as_str()).display()))
    })?;
    let predictor = loading::predictor(&registry::open(&dir, &row)?.files)?;
    let spec = predictor.spec();
    // Features and lookback are the version's own, whatever the line is configured to make next.
    let own = LineConfig {
        features: spec.feature_set.clone(),
        lookback: spec.lookback,
        label: spec.label,
        ..line.clone()
    };
    let set = material::feature_set(&own)?;
    let all = material::candles(app, &mut db, &own, set, start)?;
    drop(db);
    let columns: Vec<String> =
        spec.classes.iter().map(|class| format!("p_{}", class.replace(' ', "_"))).collect();
    let mut text = format!(
        "version,pair,timeframe,candle,decided_at,label,{},net_sell,net_buy\n",
        columns.join(",")
    );
    let (mut rows, mut labelled) = (0, 0);
    let (start_us, end_us) = (start.timestamp_micros(), end.timestamp_micros());
    for candles in &all {
        for one in of_series(&predictor, candles, &own) {
            if !(start_us..end_us).contains(&one.candle_us) {
                continue;
            }
            rows += 1;
            labelled += usize::from(one.label.is_some());
            let probabilities: Vec<String> =
                one.probabilities.iter().map(ToString::to_string).collect();
            let net = one.net.map(|net| net.map_or(String::new(), |net| net.to_string()));
            let at = |us| instant(us).to_rfc3339_opts(SecondsFormat::AutoSi, true);
            text.push_str(&format!(
                "{version},{},{},{},{},{},{},{}\n",
                candles.pair(),
                candles.timeframe(),
                at(one.candle_us),
                at(one.decided_us),
                one.label.unwrap_or_default(),
                probabilities.join(","),
                net.join(","),
            ));
        }
    }
    if rows == 0 {
        return Err(Fault::input(format!("no candle between {start} and {end} can be answered"))
            .hint("`aifx status` shows what the table holds")
            .into());
    }
    let file = std::path::absolute(file)
        .map_err(|error| Fault::resource(format!("cannot write {}: {error}", file.display())))?;
    artifact::write_whole(&file, text.as_bytes())?;
    Ok(AnswersReport {
        line: name.clone(),
        version,
        start,
        end,
        seen_until: row.seen_until,
        classes: spec.classes.clone(),
        file,
        rows,
        labelled,
    })
}

/// One candle, answered.
struct Row {
    candle_us: i64,
    decided_us: i64,
    /// The class that came; `None` while it is not settled, and for rules whose edges belong to a training.
    label: Option<&'static str>,
    probabilities: Vec<f64>,
    /// What a sell and a buy at its close would have paid after costs, as a share of the entry; `None` while open.
    net: [Option<f64>; 2],
}

fn of_series(predictor: &Predictor, candles: &Candles, line: &LineConfig) -> Vec<Row> {
    let spec = predictor.spec();
    let predicted = predictor.predict(candles);
    let labels = labels::label(candles, &spec.label);
    let names = spec.label.class_names();
    let bars = Bars::of(candles);
    let costs = line.costs.for_pair(candles.pair());
    let atr = features::by_name(&spec.feature_set).ok().and_then(|set| {
        let features = features::compute(set, candles);
        features.column(ATR).map(<[f64]>::to_vec)
    });
    let horizon = candles.timeframe().horizon();
    let length = line.signals.time_out_minutes.map_or(horizon, |n| TimeDelta::minutes(n.into()));
    let each = predicted.rows.iter().zip(predicted.probabilities.chunks(spec.classes.len()));
    each.map(|(&row, probabilities)| {
        let decided_us = candles.close_at_us(row);
        let entry = candles.close()[row];
        let atr = atr.as_ref().map(|column| column[row]).filter(|share| share.is_finite());
        let net = [Side::Sell, Side::Buy].map(|side| {
            let price = |distance: Distance, sign: f64| {
                let share = match (distance.percent, distance.atr) {
                    (Some(percent), _) => Some(percent / 100.0),
                    (None, Some(multiple)) => atr.map(|share| share * multiple),
                    (None, None) => None,
                };
                share.map(|share| entry * (1.0 + sign * side.sign() * share))
            };
            let position = Position {
                side: Some(side),
                entry,
                stop_loss: price(line.signals.stop_loss, -1.0),
                take_profit: price(line.signals.take_profit, 1.0),
                decided_at_us: decided_us,
                expires_at_us: decided_us + length.num_microseconds().unwrap_or(i64::MAX / 4),
            };
            paid(&bars, &position, &costs)
        });
        Row {
            candle_us: candles.open_at_us()[row],
            decided_us,
            label: names.get(usize::from(labels.class[row])).copied(),
            probabilities: probabilities.to_vec(),
            net,
        }
    })
    .collect()
}

fn paid(bars: &Bars<'_>, position: &Position, costs: &Costs) -> Option<f64> {
    signal::settle(bars, position, costs).map(|settled| settled.pnl_net / position.entry)
}
