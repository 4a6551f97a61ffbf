//! `label`: the training label of a line over its candles: how many are settled, and how the classes are balanced.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use serde::Serialize;

use super::material::{self, PastSignals};
use crate::{
    config::App,
    fault::Fault,
    labels::{Cuts, LabelRule, NO_CLASS, class_balance},
    lineage::LineName,
};

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The line; the only one when not given.
    pub line: Option<LineName>,
    /// Instead of the line's rule.
    pub rule: Option<LabelRule>,
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
    /// The class that holds more than 90 % of the labels, with its share.
    pub collapsed: Option<(String, f64)>,
    /// Days of candles that were looked at.
    pub days: u32,
}

/// Labels the candles and counts.
///
/// # Errors
/// Exit 4 when there are no candles, else when the database fails.
pub fn run(app: &App, request: &Request) -> anyhow::Result<LabelReport> {
    let (name, line) = app.line(request.line.as_ref())?;
    let rule = request.rule.unwrap_or(line.label);
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
    let mut classes = Vec::new();
    for (candles, labels) in candles.iter().zip(&all) {
        let first = (0..candles.len())
            .find(|row| candles.close_at_us(*row) >= from_us)
            .unwrap_or(candles.len());
        let wanted = &labels.class[first..];
        classes.extend_from_slice(wanted);
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
        collapsed: balance.collapsed().map(|(class, share)| (names[class].to_owned(), share)),
        days,
    })
}
