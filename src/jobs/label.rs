//! `label`: the training label of a line over its candles: how many are settled, how the classes are balanced, and what would
//! balance them.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Serialize;

use super::{
    bets, kept,
    material::{self, PastSignals},
};
use crate::{
    config::{App, LineConfig},
    fault::{self, Fault},
    labels::{
        self, AskedRule, Cuts, DEFAULT_MULTIPLE, LabelBalance, LabelRule, NO_CLASS, class_balance,
    },
    lineage::LineName,
    market::{Candles, Pair, Timeframe},
};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The line; the only one when not given.
    pub line: Option<LineName>,
    /// Instead of the line's rule.
    pub rule: Option<AskedRule>,
    /// Days of candles up to `--as-of`; those of the weekly training when not given.
    pub days: Option<u32>,
}

/// The balance. The keys are a contract: `aifx.label/1`.
#[derive(Debug, Clone, Serialize)]
pub struct LabelReport {
    /// The line.
    pub line: LineName,
    /// The rule, as `--rule` takes it.
    pub rule: String,
    /// Settled labels of each class, in the order of the classes.
    pub counts: serde_json::Map<String, serde_json::Value>,
    /// Labels whose horizon has passed.
    pub settled: usize,
    /// Labels whose horizon the data has not reached.
    pub pending: usize,
    /// The same, series by series.
    pub series: BTreeMap<String, Vec<usize>>,
    /// The class that holds more than 60 % of the labels, with its share.
    pub collapsed: Option<(String, f64)>,
    /// Shares of the classes, and the multiple of the volatility rule that would balance them.
    pub balance: LabelBalance,
    /// What an operator should know.
    pub notes: Vec<String>,
    /// Costs that cannot be in units of their pair's price, with the cure.
    pub costs: Vec<String>,
    /// Days of candles that were looked at.
    pub days: u32,
}

/// Labels the candles and counts.
///
/// # Errors
/// Exit 4 when there are no candles, else when the database fails.
pub fn run(app: &App, request: &Request) -> anyhow::Result<LabelReport> {
    let (name, written) = app.line(request.line.as_ref())?;
    let kept = kept::line_of(app, name, written)?;
    let line = &kept.line;
    let rule = request.rule.map_or(line.label, |rule| rule.for_line(Some(line.label)));
    rule.check().map_err(Fault::usage)?;
    let set = material::feature_set(line)?;
    let days = request.days.unwrap_or(line.weekly.days);
    let from = app.as_of - TimeDelta::days(i64::from(days));
    let from_us = from.timestamp_micros();
    if rule == LabelRule::Outcome && line.signals_of.is_none() {
        return Err(Fault::usage(format!(
            "{name} does not say whose signals the rule outcome is about"
        ))
        .hint("name a line with `label: {rule: outcome}` and `signals_of` with --line")
        .into());
    }
    let mut db = app.db("label")?;
    let candles = material::candles(app, &mut db, line, set, from)?;
    let past = PastSignals::gather(app, &mut db, line, from)?;
    let mut all: Vec<_> = candles.iter().map(|candles| past.label(candles, &rule)).collect();
    if rule == LabelRule::Quartile {
        let returns: Vec<f64> =
            all.iter().flat_map(|labels| labels.forward_return.iter().copied()).collect();
        if let Some(cuts) = Cuts::fit(&returns) {
            all.iter_mut().for_each(|labels| labels.assign(&cuts));
        }
    }
    let names = rule.class_names();
    let mut series = BTreeMap::new();
    let (mut settled, mut pending) = (0, 0);
    let (mut classes, mut moves) = (Vec::new(), Vec::new());
    for (candles, labels) in candles.iter().zip(&all) {
        let first = (0..candles.len())
            .find(|row| candles.close_at_us(*row) >= from_us)
            .unwrap_or(candles.len());
        let wanted = &labels.class[first..];
        classes.extend_from_slice(wanted);
        moves.extend_from_slice(&labels::moves(candles, labels)[first..]);
        if rule == LabelRule::Outcome {
            settled += wanted.iter().filter(|class| **class != NO_CLASS).count();
        } else {
            let returns = &labels.forward_return[first..];
            settled += returns.iter().filter(|value| !value.is_nan()).count();
            let until_us = &labels.until_us[first..];
            pending += until_us.iter().filter(|until| **until > labels.reached_us).count();
        }
        let balance = class_balance(wanted, names.len());
        series.insert(format!("{} {}", candles.pair(), candles.timeframe()), balance.counts);
    }
    let balance = class_balance(&classes, names.len());
    let named = LabelBalance::of(&rule, &balance, &moves);
    let counts = names
        .iter()
        .zip(&balance.counts)
        .map(|(name, count)| ((*name).to_owned(), (*count).into()));
    Ok(LabelReport {
        line: name.clone(),
        rule: rule.to_string(),
        counts: counts.collect(),
        settled,
        pending,
        series,
        collapsed: named.unbalanced().map(|most| (most.class.clone(), most.share)),
        balance: named,
        notes: kept.notes.clone(),
        costs: candles.iter().filter_map(|candles| unlikely_cost(line, candles)).collect(),
        days,
    })
}

/// Why a series' costs are refused by whatever trades on paper, with the cure; none where they are not.
fn unlikely_cost(line: &LineConfig, candles: &Candles) -> Option<String> {
    let error = bets::cost(line, candles).err()?;
    let hint = fault::find(&error).and_then(Fault::hint_text).unwrap_or_default();
    Some(format!("{error}; {hint}"))
}

/// What `aifx label` says of a line's rule over the days of its weekly training.
///
/// # Errors
/// As [`run`].
pub fn of_line(app: &App, line: &LineName) -> anyhow::Result<LabelReport> {
    run(app, &Request { line: Some(line.clone()), rule: None, days: None })
}

/// The rule that the only line's next training takes.
///
/// # Errors
/// Exit 2 and 3 where no one line is meant, else when the database fails.
pub fn rule_of_line(app: &App) -> anyhow::Result<LabelRule> {
    let (name, line) = app.line(None)?;
    Ok(kept::line_of(app, name, line)?.line.label)
}

/// Multiples that the table of [`balances`] has.
fn multiples() -> Vec<f64> {
    let mut all: Vec<f64> = (1..=15).map(|tenths| f64::from(tenths) / 10.0).collect();
    all.push(DEFAULT_MULTIPLE);
    all.sort_by(f64::total_cmp);
    all
}

/// What the volatility rule would deal, multiple by multiple. `aifx.label-balance/1`.
#[derive(Debug, Clone, Serialize)]
pub struct BalancesReport {
    /// The line.
    pub line: LineName,
    /// Its rule.
    pub rule: String,
    /// Days of candles that were looked at.
    pub days: u32,
    /// A row for each series and multiple.
    pub balance: Vec<BalanceRow>,
    /// The multiple that balances each series, and all of them together (`all`).
    pub balancing: BTreeMap<String, Option<f64>>,
}

/// What one multiple deals in one series.
#[derive(Debug, Clone, Serialize)]
pub struct BalanceRow {
    /// The pair.
    pub pair: Pair,
    /// The timeframe.
    pub timeframe: Timeframe,
    /// Of the volatility rule.
    pub multiple: f64,
    /// Share of sell, 0 to 1.
    pub sell: f64,
    /// Share of hold.
    pub hold: f64,
    /// Share of buy.
    pub buy: f64,
}

/// Deals the classes of the volatility rule at many multiples.
///
/// # Errors
/// Exit 4 when there are no candles, else when the database fails.
pub fn balances(app: &App, request: &Request) -> anyhow::Result<BalancesReport> {
    let (name, written) = app.line(request.line.as_ref())?;
    let kept = kept::line_of(app, name, written)?;
    let line = &kept.line;
    let days = request.days.unwrap_or(line.weekly.days);
    let all = moves_of(app, line, days)?;
    let mut report = BalancesReport {
        line: name.clone(),
        rule: line.label.to_string(),
        days,
        balance: Vec::new(),
        balancing: BTreeMap::new(),
    };
    let mut together = Vec::new();
    for (candles, moves) in all {
        let (pair, timeframe) = (candles.pair(), candles.timeframe());
        for multiple in multiples() {
            let Some([sell, hold, buy]) = labels::shares_at(&moves, multiple) else { continue };
            let pair = pair.clone();
            report.balance.push(BalanceRow { pair, timeframe, multiple, sell, hold, buy });
        }
        let balancing = labels::balancing_multiple(&moves);
        report.balancing.insert(format!("{pair} {timeframe}"), balancing);
        together.extend(moves);
    }
    report.balancing.insert("all".into(), labels::balancing_multiple(&together));
    Ok(report)
}

/// The moves of each series of a line over its last days.
fn moves_of(app: &App, line: &LineConfig, days: u32) -> anyhow::Result<Vec<(Candles, Vec<f64>)>> {
    let from = app.as_of - TimeDelta::days(i64::from(days));
    let from_us = from.timestamp_micros();
    let set = material::feature_set(line)?;
    let mut db = app.db("label")?;
    let all = material::candles(app, &mut db, line, set, from)?.into_iter().map(|candles| {
        // Only the forward returns are wanted, which are the same for every rule.
        let labels = labels::label(&candles, &LabelRule::default());
        let first = (0..candles.len())
            .find(|row| candles.close_at_us(*row) >= from_us)
            .unwrap_or(candles.len());
        let moves = labels::moves(&candles, &labels).split_off(first);
        (candles, moves)
    });
    Ok(all.collect())
}
