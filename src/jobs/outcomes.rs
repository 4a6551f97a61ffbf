//! `outcomes`: closes open signals at stop-loss, take-profit or time-out, on the candles that came after.
//!
//! A signal that cannot be settled for what its row says (an unknown pair, no entry) is named and stops no other. Not here:
//! how an exit is found (`outcome`), what it pays (`signal`).

use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{fills, predict::Answer};
use crate::{
    config::{App, LineConfig},
    db::{
        Db,
        signals::{Closing, OpenSignal, Over},
    },
    fault,
    lineage::LineName,
    market::{Pair, Timeframe, instant},
    outcome::{Bars, ExitReason, Side},
    signal::{self, Position},
};

/// What the operator asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The line; the only one when not given.
    pub line: Option<LineName>,
    /// Count, and change nothing.
    pub dry_run: bool,
    /// Instead of stop-loss, take-profit and time-out: by the movement over the horizon, this share of entry deciding.
    pub threshold: Option<f64>,
}

/// What came of it. `aifx.outcomes/1`.
#[derive(Debug, Clone, Serialize)]
pub struct OutcomesReport {
    /// The line.
    pub line: LineName,
    /// Signals without an outcome before.
    pub open: usize,
    /// Signals that real trades settled now, before the candles were asked.
    pub filled: usize,
    /// Of the open ones, those that were settled now.
    pub settled: usize,
    /// Won, lost, neither.
    pub wins: usize,
    /// See `wins`.
    pub losses: usize,
    /// See `wins`.
    pub breakevens: usize,
    /// Signals that cannot be settled, and why; the first ten.
    pub problems: Vec<String>,
    /// How many cannot.
    pub n_problems: usize,
    /// Nothing was written.
    pub dry_run: bool,
    /// Wall time.
    pub seconds: f64,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
}

/// Settles.
///
/// # Errors
/// 3 configuration, 5 database.
pub fn run(app: &App, request: &Request) -> anyhow::Result<OutcomesReport> {
    let began = Instant::now();
    let (name, line) = app.line(request.line.as_ref())?;
    let mut db = app.db("outcomes")?;
    // What was really traded comes first: the candles settle the rest.
    let real = fills::from_history(app, &mut db, request.dry_run)?;
    let open = db.open_signals(name)?;
    let n_unnamed = real.n_problems - real.problems.len();
    let mut problems = real.problems;
    let mut closings = Vec::new();
    for group in open.chunk_by(|a, b| (&a.pair, &a.timeframe) == (&b.pair, &b.timeframe)) {
        match settle_series(app, &mut db, (line, request), group, &mut problems) {
            Ok(closed) => closings.extend(closed),
            Err(error) if fault::is_input(&error) => {
                problems.push(format!("{} {}: {error:#}", group[0].pair, group[0].timeframe));
            }
            Err(error) => return Err(error),
        }
    }
    let settled = if request.dry_run || closings.is_empty() {
        closings.len()
    } else {
        db.close_signals(&closings, Over::Nothing, app.as_of)?
    };
    let count = |outcome: &str| closings.iter().filter(|one| one.outcome == outcome).count();
    let n_problems = problems.len() + n_unnamed;
    problems.truncate(fills::N_SHOWN);
    Ok(OutcomesReport {
        line: name.clone(),
        open: open.len(),
        filled: real.settled,
        settled,
        wins: count("win"),
        losses: count("loss"),
        breakevens: count("breakeven"),
        problems,
        n_problems,
        dry_run: request.dry_run,
        seconds: began.elapsed().as_secs_f64(),
        as_of: app.as_of,
    })
}

/// The signals of one series, on one read of its candles.
fn settle_series(
    app: &App,
    db: &mut Db,
    (line, request): (&LineConfig, &Request),
    open: &[OpenSignal],
    problems: &mut Vec<String>,
) -> anyhow::Result<Vec<Closing>> {
    let first = &open[0];
    let (pair, timeframe) = match (first.pair.parse::<Pair>(), first.timeframe.parse::<Timeframe>())
    {
        (Ok(pair), Ok(timeframe)) => (pair, timeframe),
        (Err(error), _) => {
            problems.extend(open.iter().map(|one| format!("signal {}: {error}", one.id)));
            return Ok(Vec::new());
        }
        (_, Err(error)) => {
            problems.extend(open.iter().map(|one| format!("signal {}: {error}", one.id)));
            return Ok(Vec::new());
        }
    };
    let mut positions = Vec::new();
    for one in open {
        match position(one, timeframe) {
            Ok(position) => positions.push((one, position)),
            Err(why) => problems.push(format!("signal {}: {why}", one.id)),
        }
    }
    let Some(from) = positions.iter().map(|(_, position)| position.decided_at_us).min() else {
        return Ok(Vec::new());
    };
    let candles = db.candles(&pair, timeframe, app.candle_range(instant(from)))?;
    let bars = Bars::of(&candles);
    let costs = line.costs.for_pair(&pair);
    Ok(positions
        .into_iter()
        .filter_map(|(one, position)| {
            let (settled, by) = match request.threshold {
                None => (signal::settle(&bars, &position, &costs)?, "candles"),
                Some(threshold) => {
                    let horizon_us = timeframe.horizon_us();
                    let settled =
                        signal::settle_by_rule(&bars, &position, horizon_us, threshold, &costs)?;
                    (settled, "rule")
                }
            };
            Some(Closing {
                id: one.id.clone(),
                outcome: settled.outcome.name(),
                reason: match settled.reason {
                    ExitReason::Stop => "stop",
                    ExitReason::Target => "target",
                    ExitReason::TimeOut if request.threshold.is_some() => "horizon",
                    ExitReason::TimeOut => "time-out",
                },
                exit_price: settled.exit_price,
                at: instant(settled.at_us),
                pnl: settled.pnl,
                pnl_percent: settled.pnl_percent,
                pnl_net: settled.pnl_net,
                by,
            })
        })
        .collect())
}

/// The position that an answer opens; in words why it opens none.
pub(crate) fn position_of(answer: &Answer) -> Result<Position, String> {
    let row = OpenSignal {
        id: String::new(),
        pair: answer.pair.to_string(),
        timeframe: answer.timeframe.name().to_owned(),
        signal: answer.signal.to_owned(),
        candle_at: Some(answer.candle),
        entry: Some(answer.entry),
        stop_loss: answer.stop_loss,
        take_profit: answer.take_profit,
        expires_at: Some(answer.expires),
    };
    position(&row, answer.timeframe)
}

/// What the row says, if it says enough.
fn position(one: &OpenSignal, timeframe: Timeframe) -> Result<Position, String> {
    let side = Side::named(&one.signal).ok_or_else(|| format!("{:?} is no signal", one.signal))?;
    let candle_at = one.candle_at.ok_or("it does not say which candle it answers")?;
    let entry = one.entry.filter(|price| price.is_finite() && *price > 0.0);
    let decided_at_us = timeframe.close_at(candle_at.timestamp_micros());
    Ok(Position {
        side,
        entry: entry.ok_or("it has no entry price")?,
        stop_loss: one.stop_loss,
        take_profit: one.take_profit,
        decided_at_us,
        expires_at_us: one
            .expires_at
            .map_or(decided_at_us + timeframe.horizon_us(), |at| at.timestamp_micros()),
    })
}
