//! `simulate`: a made-up market into the database, with how well anybody could predict it.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    config::App,
    db::market_data::{Upserted, ZeroVolume},
    fault::Fault,
    labels::LabelRule,
    lineage::LineName,
    market::{Pair, Timeframe},
    simulate::{self, BayesAccuracy, SimulateConfig},
};

/// More candles than this of one pair are a typing error.
const MAX_CANDLES: usize = 20_000_000;

/// 1900: no market is made, and no file imported, from before it.
const EARLIEST_US: i64 = -2_208_988_800_000_000;

/// What market to make.
#[derive(Debug, Clone)]
pub struct Request {
    /// The pairs; those of the line when none is given.
    pub pairs: Vec<Pair>,
    /// The line that pairs, timeframe and label are taken from; the only one when not given.
    pub line: Option<LineName>,
    /// Of all candles; the line's first when not given.
    pub timeframe: Option<Timeframe>,
    /// Candles of each pair.
    pub n_candles: usize,
    /// Of all random numbers.
    pub seed: u64,
    /// Strength of the edge.
    pub edge: f64,
    /// Chance a week that the edge changes its sign.
    pub drift: f64,
    /// The last candle closes at or before it.
    pub end: DateTime<Utc>,
    /// Count what would change, and change nothing.
    pub dry_run: bool,
}

/// What was made. The keys are a contract: `aifx.simulate/1`.
#[derive(Debug, Clone, Serialize)]
pub struct SimulateReport {
    /// The pairs.
    pub pairs: Vec<Pair>,
    /// Of all candles.
    pub timeframe: Timeframe,
    /// Candles of each pair.
    pub candles: usize,
    /// Of all random numbers.
    pub seed: u64,
    /// Strength of the edge.
    pub edge: f64,
    /// Chance a week that the edge changes its sign.
    pub drift: f64,
    /// Openings of the candles from which on it has the other sign.
    pub changes: Vec<DateTime<Utc>>,
    /// Share right of the best possible predictor of the direction over the horizon (two classes).
    pub bayes_accuracy: Option<f64>,
    /// The same for the line's training label, with the share of its most frequent class.
    pub bayes: Option<BayesAccuracy>,
    /// The label that it is about.
    pub label: LabelRule,
    /// New candles.
    pub inserted: u64,
    /// Candles whose values were replaced.
    pub updated: u64,
    /// Candles that were there already.
    pub unchanged: u64,
    /// First opening and last close.
    pub from: DateTime<Utc>,
    /// See `from`.
    pub to: DateTime<Utc>,
}

/// Makes the market and writes it, one transaction a pair.
///
/// # Errors
/// 2 for settings that make no market, else when the database fails.
pub fn run(app: &App, request: &Request) -> anyhow::Result<SimulateReport> {
    let (_, line) = app.line(request.line.as_ref())?;
    let pairs = if request.pairs.is_empty() { line.pairs.clone() } else { request.pairs.clone() };
    let timeframe = request.timeframe.unwrap_or(line.timeframes[0]);
    if !(0.0..=4.0).contains(&request.edge) {
        return Err(Fault::usage(format!("--edge {} does not lie between 0 and 4", request.edge))
            .hint("0 is a market that nobody can predict, 1 one that a good model can")
            .into());
    }
    if !(0.0..=1.0).contains(&request.drift) {
        return Err(Fault::usage(format!(
            "--drift {} does not lie between 0 and 1",
            request.drift
        ))
        .hint("it is the chance a week that the edge changes its sign")
        .into());
    }
    if !(1..=MAX_CANDLES).contains(&request.n_candles) {
        let why =
            format!("--candles {} does not lie between 1 and {MAX_CANDLES}", request.n_candles);
        return Err(Fault::usage(why).into());
    }
    // Weekends are two days in seven, holidays a few a year.
    let reach_us = 1.5 * timeframe.nominal_us() as f64 * request.n_candles as f64;
    if request.end.timestamp_micros() as f64 - reach_us < EARLIEST_US as f64 {
        return Err(Fault::usage(format!(
            "{} candles of {timeframe} before {} would begin before 1900",
            request.n_candles,
            request.end.format("%F")
        ))
        .hint("lower --candles, or choose a shorter --timeframe")
        .into());
    }
    let config = SimulateConfig {
        pairs,
        timeframe,
        n_candles: request.n_candles,
        seed: request.seed,
        edge: request.edge,
        drift: request.drift,
        end_us: request.end.timestamp_micros(),
    };
    let market = simulate::market(&config);
    let bayes = simulate::bayes(&config, &market, &line.label);
    let mut db = app.db("simulate")?;
    let mut sum = Upserted::default();
    for made in &market {
        let changed = db.upsert_candles(
            &made.pair,
            timeframe,
            &made.columns,
            ZeroVolume::None,
            request.dry_run,
            app.as_of,
        )?;
        sum.inserted += changed.inserted;
        sum.updated += changed.updated;
        sum.unchanged += changed.unchanged;
    }
    let opens = &market[0].columns.open_at_us;
    let (first, last) = (opens[0], opens[opens.len() - 1]);
    Ok(SimulateReport {
        pairs: config.pairs,
        timeframe,
        candles: request.n_candles,
        seed: request.seed,
        edge: request.edge,
        drift: request.drift,
        changes: simulate::changes(&market).into_iter().map(crate::market::instant).collect(),
        bayes_accuracy: bayes.map(|bayes| bayes.direction),
        bayes,
        label: line.label,
        inserted: sum.inserted,
        updated: sum.updated,
        unchanged: sum.unchanged,
        from: crate::market::instant(first),
        to: crate::market::instant(timeframe.close_at(last)),
    })
}
