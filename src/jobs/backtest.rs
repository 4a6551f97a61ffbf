//! `backtest`: what the signals of a version, or of a baseline, would have earned over any range, after costs.

pub mod answers;
pub mod signals;

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{
    assess, bets, loading, material,
    predict::{self, Answer},
    replay::Cast,
};
use crate::{
    backtest::{self, Backtest, BacktestConfig, Figures, SeriesSignals},
    baseline::{Majority, indicator_signals},
    config::{App, LineConfig},
    fault::Fault,
    labels::{self, Cuts, LabelRule, NO_CLASS},
    lineage::{LineName, Version},
    market::Candles,
    outcome::Side,
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
    /// Every call at equal size: each series holds an equal part of the capital.
    pub figures: Figures,
    /// The account with sizes as the line is configured, where only calls with a size are traded; none for a baseline.
    pub sized: Option<Figures>,
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
    let mut db = app.db("backtest")?;
    let mut cast = Cast::gather(app, &mut db, name)?;
    let version = match request.contestant {
        Contestant::Version(version) => Some(version),
        Contestant::Majority | Contestant::Indicator => None,
    };
    // A version trades its own question, whatever the line is configured to make next.
    let own = match version {
        Some(version) => {
            loading::libtorch()?;
            cast.own_line(version, line).unwrap_or_else(|_| line.clone())
        }
        None => line.clone(),
    };
    let set = material::feature_set(&own)?;
    let history = match request.contestant {
        Contestant::Majority => start - TimeDelta::days(i64::from(line.weekly.days)),
        _ => start,
    };
    let all = material::candles(app, &mut db, &own, set, history)?;
    if let Some(version) = version {
        registry::pick(db.versions(Some(name))?, name, version)?;
    }
    drop(db);
    let seen_until = version.and_then(|version| cast.row(version)?.seen_until);
    let constant = match request.contestant {
        Contestant::Majority => Some(majority_signal(&all, line, start)?),
        _ => None,
    };
    let mut series: Vec<Traded> = Vec::new();
    for candles in &all {
        let first = candles.open_at_us().partition_point(|at| *at < start.timestamp_micros());
        let last = candles.open_at_us().partition_point(|at| *at < end.timestamp_micros());
        if last <= first {
            continue;
        }
        bets::cost(line, candles)?;
        let range = candles.slice(first, last - first);
        series.push(match (version, constant) {
            (Some(version), _) => {
                let actor = cast.actor(version).map_err(Fault::integrity)?;
                let answers = predict::answers_of(app, line, actor, candles, first..last)?;
                Traded::of_answers(range, &answers)
            }
            (None, Some(signal)) => Traded::of_rule(range, vec![signal; last - first]),
            (None, None) => {
                Traded::of_rule(range, indicator_signals(candles)[first..last].to_vec())
            }
        });
    }
    if series.is_empty() {
        return Err(Fault::input(format!("no candles between {start} and {end}"))
            .hint("`aifx status` shows what the table holds")
            .into());
    }
    let parts: Vec<SeriesSignals<'_>> = series
        .iter()
        .map(|one| SeriesSignals { candles: &one.candles, signals: &one.signals, sizes: None })
        .collect();
    let config = BacktestConfig {
        costs: line.costs.clone(),
        stop_loss: request.stop_loss,
        take_profit: request.take_profit,
    };
    let sized = version.map(|_| {
        let parts: Vec<SeriesSignals<'_>> = series
            .iter()
            .map(|one| SeriesSignals {
                candles: &one.candles,
                signals: &one.sized,
                sizes: Some(&one.sizes),
            })
            .collect();
        backtest::run(&parts, &config).figures
    });
    let Backtest { figures, days, daily_returns, equity, trades } = backtest::run(&parts, &config);
    Ok(BacktestReport {
        line: name.clone(),
        contestant: request.contestant.to_string(),
        start,
        end,
        out_of_sample: seen_until.is_none_or(|seen| seen <= start),
        seen_until,
        figures,
        sized,
        days,
        daily_returns,
        equity,
        trades,
    })
}

/// Candles with what is traded on them.
struct Traded {
    candles: Candles,
    /// Every call.
    signals: Vec<i8>,
    /// Of them, those with a size.
    sized: Vec<i8>,
    /// Share of the account of each.
    sizes: Vec<f64>,
}

impl Traded {
    /// `answers` are one a candle, as `predict` gives them: what it abstains from is not traded.
    fn of_answers(candles: Candles, answers: &[Answer]) -> Traded {
        let signal = |answer: &Answer| match Side::named(answer.signal).flatten() {
            Some(Side::Buy) => 1,
            Some(Side::Sell) => -1,
            None => 0,
        };
        let signals: Vec<i8> = answers.iter().map(signal).collect();
        let sizes: Vec<f64> = answers.iter().map(|answer| answer.size).collect();
        let sized = signals.iter().zip(&sizes);
        let sized = sized.map(|(signal, size)| if *size > 0.0 { *signal } else { 0 }).collect();
        Traded { candles, signals, sized, sizes }
    }

    fn of_rule(candles: Candles, signals: Vec<i8>) -> Traded {
        Traded { candles, signals, sized: Vec::new(), sizes: Vec::new() }
    }
}

/// The signal of the most frequent class among labels that were settled before the range.
fn majority_signal(all: &[Candles], line: &LineConfig, start: DateTime<Utc>) -> anyhow::Result<i8> {
    let start_us = start.timestamp_micros();
    let n_classes = line.label.n_classes();
    let mut classes = Vec::new();
    for candles in all {
        let mut labels = labels::label(candles, &line.label);
        // The quartiles, too, are those of what was known before the range.
        let known = labels.forward_return.iter().zip(&labels.until_us);
        let known: Vec<f64> =
            known.filter(|(_, until)| **until <= start_us).map(|(paid, _)| *paid).collect();
        if line.label == LabelRule::Quartile
            && let Some(cuts) = Cuts::fit(&known)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{CandleColumns, HOUR_US, Timeframe};

    fn hours(closes: impl Iterator<Item = f64>) -> Candles {
        let start: DateTime<Utc> = "2024-01-02T00:00:00Z".parse().expect("an instant");
        let mut columns = CandleColumns::default();
        for (hour, close) in closes.enumerate() {
            columns.push_raw(start.timestamp_micros() + hour as i64 * HOUR_US, [close; 4], 0.0);
        }
        let as_of = "2025-01-01T00:00:00Z".parse().expect("an instant");
        let pair = "EUR/USD".parse().expect("a pair");
        Candles::new(pair, Timeframe::Hour1, as_of, columns).expect("valid")
    }

    #[test]
    fn the_majority_of_a_range_knows_nothing_of_the_range() {
        let line = LineConfig { label: LabelRule::Quartile, ..LineConfig::default() };
        let start: DateTime<Utc> = "2024-01-05T00:00:00Z".parse().expect("an instant");
        // Three days that wander, and a market that only falls after them.
        let close = |hour: usize| match hour {
            0..72 => 1.0 + 0.001 * ((hour * hour) % 17) as f64,
            _ => 1.0 - 0.003 * (hour - 71) as f64,
        };
        let until = hours((0..72).map(close));
        let whole = hours((0..200).map(close));
        let known = majority_signal(&[until], &line, start).expect("labels");
        assert_eq!(majority_signal(&[whole], &line, start).expect("labels"), known);
    }

    #[test]
    fn what_is_not_answered_is_not_traded_and_what_has_no_size_is_no_bet() {
        let answer = |signal: &'static str, size: f64| Answer {
            signal_id: None,
            pair: "EUR/USD".parse().expect("a pair"),
            timeframe: Timeframe::Hour1,
            candle: DateTime::UNIX_EPOCH,
            signal,
            reason: (signal == "abstain").then(|| "its window spans a gap".to_owned()),
            dissimilarity: None,
            out_of_support: None,
            confidence: None,
            probabilities: std::collections::BTreeMap::new(),
            entry: 1.0,
            stop_loss: None,
            take_profit: None,
            size,
            no_size: None,
            expected_return_net: None,
            cost: None,
            expires: DateTime::UNIX_EPOCH,
            parts: Vec::new(),
        };
        let answers =
            [answer("abstain", 0.0), answer("buy", 0.0), answer("sell", 0.1), answer("hold", 0.0)];
        let traded = Traded::of_answers(hours([1.0; 4].into_iter()), &answers);
        assert_eq!(traded.signals, [0, 1, -1, 0]);
        assert_eq!(traded.sized, [0, 0, -1, 0]);
    }
}
