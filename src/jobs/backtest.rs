//! `backtest`: what the signals of a version, or of a baseline, would have earned over any range, after costs.

pub mod answers;
pub mod signals;

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{assess, loading, material};
use crate::{
    artifact::LineDir,
    backtest::{self, Backtest, BacktestConfig, Figures, SeriesSignals},
    baseline::{Majority, indicator_signals},
    config::{App, LineConfig},
    evaluate,
    fault::Fault,
    labels::{self, Cuts, LabelRule, NO_CLASS},
    lineage::{LineName, Version},
    market::Candles,
    registry,
};

/// Whose signals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contestant {
    /// A version of the line.
    Version(Version),
    /// Always the majority class of the labels before the range.
    Majority,
    /// MACD cross with an RSI filter.
    Indicator,
}

impl FromStr for Contestant {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "majority" => Ok(Contestant::Majority),
            "indicator" => Ok(Contestant::Indicator),
            _ => text.parse().map(Contestant::Version).map_err(|_| {
                format!("{text:?} is no version (such as v1.4), nor majority or indicator")
            }),
        }
    }
}

impl fmt::Display for Contestant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Contestant::Version(version) => write!(f, "{version}"),
            Contestant::Majority => f.write_str("majority"),
            Contestant::Indicator => f.write_str("indicator"),
        }
    }
}

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The line; the only one when not given.
    pub line: Option<LineName>,
    /// Whose signals.
    pub contestant: Contestant,
    /// First candle; the last `weekly.days` when not given.
    pub start: Option<DateTime<Utc>>,
    /// Last candle; `--as-of` when not given.
    pub end: Option<DateTime<Utc>>,
    /// Close at this loss, as a share of the entry price.
    pub stop_loss: Option<f64>,
    /// Close at this profit, as a share of the entry price.
    pub take_profit: Option<f64>,
}

/// What came of it. `aifx.backtest/1`.
#[derive(Debug, Clone, Serialize)]
pub struct BacktestReport {
    /// The line.
    pub line: LineName,
    /// Whose signals.
    pub contestant: String,
    /// First and last instant of the range.
    pub start: DateTime<Utc>,
    /// See `start`.
    pub end: DateTime<Utc>,
    /// Last instant that the version has seen; before it, the figures flatter it.
    pub seen_until: Option<DateTime<Utc>>,
    /// Whether the version had seen none of the range; always for a baseline.
    pub out_of_sample: bool,
    /// The figures.
    pub figures: Figures,
    /// Days, returns and equity, for a plot.
    pub days: Vec<chrono::NaiveDate>,
    /// Net return of each day.
    pub daily_returns: Vec<f64>,
    /// Equity at the end of each day.
    pub equity: Vec<f64>,
    /// Every trade.
    pub trades: Vec<backtest::Trade>,
}

/// Trades.
///
/// # Errors
/// 4 for a version or candles that are not there, 7 for a version that cannot be loaded; else when the database fails.
pub fn run(app: &App, request: &Request) -> anyhow::Result<BacktestReport> {
    let (name, line) = app.line(request.line.as_ref())?;
    for (flag, share) in
        [("--stop-loss", request.stop_loss), ("--take-profit", request.take_profit)]
    {
        if share.is_some_and(|share| !(share > 0.0 && share < 1.0)) {
            return Err(Fault::usage(format!(
                "{flag} is a share of the price between 0 and 1, such as 0.005"
            ))
            .into());
        }
    }
    let end = request.end.unwrap_or(app.as_of).min(app.as_of);
    let start = request.start.unwrap_or(end - TimeDelta::days(i64::from(line.weekly.days)));
    if start >= end {
        return Err(Fault::usage(format!("the range from {start} to {end} is empty")).into());
    }
    let set = material::feature_set(line)?;
    let mut db = app.db("backtest")?;
    let history = match request.contestant {
        Contestant::Majority => start - TimeDelta::days(i64::from(line.weekly.days)),
        _ => start,
    };
    let all = material::candles(app, &mut db, line, set, history)?;
    let (seen_until, predictor) = match request.contestant {
        Contestant::Version(version) => {
            let row = registry::pick(db.versions(Some(name))?, name, version)?;
            let dir = LineDir::open(&app.models(), name)?.ok_or_else(|| {
                Fault::integrity(format!(
                    "{} is missing",
                    app.models().join(name.as_str()).display()
                ))
            })?;
            let files = registry::open(&dir, &row)?.files;
            (row.seen_until, Some(loading::predictor(&files)?))
        }
        _ => (None, None),
    };
    drop(db);
    let constant = match request.contestant {
        Contestant::Majority => Some(majority_signal(&all, line, start)?),
        _ => None,
    };
    let mut series: Vec<(Candles, Vec<i8>)> = Vec::new();
    for candles in &all {
        let first = candles.open_at_us().partition_point(|at| *at < start.timestamp_micros());
        let last = candles.open_at_us().partition_point(|at| *at < end.timestamp_micros());
        let signals = match (&predictor, constant) {
            (Some(predictor), _) => {
                let predicted = predictor.predict(candles);
                let n_classes = predictor.spec().classes.len();
                let mut signals = vec![0; candles.len()];
                for (row, probabilities) in
                    predicted.rows.iter().zip(predicted.probabilities.chunks(n_classes))
                {
                    signals[*row] = assess::side(evaluate::answer_of(probabilities), n_classes);
                }
                signals
            }
            (None, Some(signal)) => vec![signal; candles.len()],
            (None, None) => indicator_signals(candles),
        };
        if last > first {
            series.push((candles.slice(first, last - first), signals[first..last].to_vec()));
        }
    }
    if series.is_empty() {
        return Err(Fault::input(format!("no candles between {start} and {end}"))
            .hint("`aifx status` shows what the table holds")
            .into());
    }
    let parts: Vec<SeriesSignals<'_>> =
        series.iter().map(|(candles, signals)| SeriesSignals { candles, signals }).collect();
    let config = BacktestConfig {
        costs: line.costs,
        stop_loss: request.stop_loss,
        take_profit: request.take_profit,
    };
    let Backtest { figures, days, daily_returns, equity, trades } = backtest::run(&parts, &config);
    Ok(BacktestReport {
        line: name.clone(),
        contestant: request.contestant.to_string(),
        start,
        end,
        out_of_sample: seen_until.is_none_or(|seen| seen <= start),
        seen_until,
        figures,
        days,
        daily_returns,
        equity,
        trades,
    })
}

/// The signal of the most frequent class among labels that were settled before the range.
fn majority_signal(all: &[Candles], line: &LineConfig, start: DateTime<Utc>) -> anyhow::Result<i8> {
    let start_us = start.timestamp_micros();
    let n_classes = line.label.n_classes();
    let mut classes = Vec::new();
    for candles in all {
        let mut labels = labels::label(candles, &line.label);
        if line.label == LabelRule::Quartile
            && let Some(cuts) = Cuts::fit(&labels.forward_return)
        {
            labels.assign(&cuts);
        }
        let settled = labels.class.iter().zip(&labels.until_us);
        classes.extend(
            settled.filter(|(c, until)| **c != NO_CLASS && **until <= start_us).map(|(c, _)| *c),
        );
    }
    let majority = Majority::fit(&classes, n_classes).ok_or_else(|| {
        Fault::input(format!("no label was settled before {start}"))
            .hint("start later, or import candles before it")
    })?;
    Ok(assess::side(majority.class(), n_classes))
}
