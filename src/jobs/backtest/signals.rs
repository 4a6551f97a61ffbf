//! `backtest VERSION --each-signal`: every answer a position of its own, as `predict` and `outcomes` trade it.
//!
//! The other backtest asks what a desk with one position a pair would have earned; this one is what the table of signals must
//! add up to, computed from the candles in one go. Not here: the rules (`signal`), the answers (`predict`).

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Contestant, Request};
use crate::{
    config::App,
    fault::Fault,
    jobs::{loading, material, outcomes, predict, replay::Cast},
    lineage::{LineName, Version},
    market::{Pair, Timeframe},
    outcome::{Bars, SignalOutcome},
    signal,
};

/// What came of it. `aifx.backtest-signals/1`.
#[derive(Debug, Clone, Serialize)]
pub struct SignalsReport {
    /// The line.
    pub line: LineName,
    /// Whose signals.
    pub version: Version,
    /// Candles that open from this instant on.
    pub start: DateTime<Utc>,
    /// And before this one.
    pub end: DateTime<Utc>,
    /// Pair by pair.
    pub series: Vec<SeriesFigures>,
}

/// The signals of a series.
#[derive(Debug, Clone, Serialize)]
pub struct SeriesFigures {
    /// The pair.
    pub pair: Pair,
    /// The timeframe.
    pub timeframe: Timeframe,
    /// Candles that were answered, those among them on which it abstained.
    pub n_answers: usize,
    /// Abstained.
    pub n_abstained: usize,
    /// Settled by `--as-of`.
    pub n_settled: usize,
    /// Of the settled ones.
    pub wins: usize,
    /// See `wins`.
    pub losses: usize,
    /// See `wins`.
    pub breakevens: usize,
    /// Sum over the settled ones, in price.
    pub pnl: f64,
    /// The same after costs.
    pub pnl_net: f64,
}

/// Answers and settles.
///
/// # Errors
/// 2 for a baseline, which gives no signals; 4 for a version or candles that are not there, 7 for a version that cannot be
/// loaded; else when the database fails.
pub fn run(app: &App, request: &Request) -> anyhow::Result<SignalsReport> {
    let (name, line) = app.line(request.line.as_ref())?;
    let Contestant::Version(version) = request.contestant else {
        return Err(
            Fault::usage("--each-signal wants a version: a baseline gives no signals").into()
        );
    };
    let end = request.end.unwrap_or(app.as_of).min(app.as_of);
    let start = request.start.unwrap_or(end - TimeDelta::days(i64::from(line.weekly.days)));
    if start >= end {
        return Err(Fault::usage(format!("the range from {start} to {end} is empty")).into());
    }
    loading::libtorch()?;
    let set = material::feature_set(line)?;
    let mut db = app.db("backtest")?;
    let mut cast = Cast::gather(app, &mut db, name)?;
    let all = material::candles(app, &mut db, line, set, start)?;
    drop(db);
    let actor = cast.actor(version).map_err(Fault::integrity)?;
    let (start_us, end_us) = (start.timestamp_micros(), end.timestamp_micros());
    let mut series = Vec::new();
    for candles in &all {
        let first = candles.open_at_us().partition_point(|at_us| *at_us < start_us);
        let last = candles.open_at_us().partition_point(|at_us| *at_us < end_us);
        let answers = predict::answers_of(app, line, actor, candles, first..last)?;
        let bars = Bars::of(candles);
        let costs = line.costs.for_pair(candles.pair());
        let mut figures = SeriesFigures {
            pair: candles.pair().clone(),
            timeframe: candles.timeframe(),
            n_answers: answers.len(),
            n_abstained: answers.iter().filter(|one| one.reason.is_some()).count(),
            n_settled: 0,
            wins: 0,
            losses: 0,
            breakevens: 0,
            pnl: 0.0,
            pnl_net: 0.0,
        };
        for answer in answers.iter().filter(|one| one.reason.is_none()) {
            let position = outcomes::position_of(answer).map_err(Fault::integrity)?;
            let Some(settled) = signal::settle(&bars, &position, &costs) else { continue };
            figures.n_settled += 1;
            match settled.outcome {
                SignalOutcome::Win => figures.wins += 1,
                SignalOutcome::Loss => figures.losses += 1,
                SignalOutcome::Breakeven => figures.breakevens += 1,
            }
            figures.pnl += settled.pnl;
            figures.pnl_net += settled.pnl_net;
        }
        series.push(figures);
    }
    Ok(SignalsReport { line: name.clone(), version, start, end, series })
}
