//! `collect`: the newest closed candles of every configured series from a quote provider, and what they are worth.
//!
//! From the last candle that is there on, so that a hole since then is filled as far as the provider reaches, and the last
//! few again, so that a revision is seen. One series that fails keeps no other from its candles. Not here: HTTP (`quotes`).

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use crate::{
    config::App,
    db::{
        Db,
        market_data::{CandleRange, ZeroVolume},
    },
    fault::{self, Exit, Fault},
    market::{Candles, Micros, Pair, Timeframe, calendar, instant},
    quotes::{self, Provider, Wanted},
};

/// Candles before the last one that are asked for again: vendors correct them for a while.
const AGAIN: i32 = 5;
/// A series that is not there yet begins this far back, where the provider reaches so far.
const FIRST_DAYS: i64 = 150;
/// Candles that a verdict looks at.
const LOOKED_AT: usize = 120;
/// A return is a spike when it is this many times the median one.
const SPIKE: f64 = 20.0;
/// So many equal closes are no market.
const FLAT: usize = 12;
/// A provider may be this late with a closed candle.
const SLACK: TimeDelta = TimeDelta::minutes(20);

/// More missing candles than this are not counted.
const MOST_MISSING: usize = 1000;

/// What became of one series.
#[derive(Debug, Clone, Serialize)]
pub struct CollectedSeries {
    /// The pair.
    pub pair: Pair,
    /// The timeframe.
    pub timeframe: Timeframe,
    /// New candles.
    pub inserted: u64,
    /// Candles that the provider has revised.
    pub updated: u64,
    /// Rows without prices.
    pub empty: u64,
    /// Rows that are no candles.
    pub refused: u64,
    /// Candles still forming, left out.
    pub forming: u64,
    /// Opening of the last candle that is there now.
    pub last: Option<DateTime<Utc>>,
    /// `fresh`, `late`, `gap`, `spike`, `flat` or `failed`.
    pub verdict: &'static str,
    /// Why.
    pub reason: Option<String>,
}

/// What was collected. `aifx.collect/1`.
#[derive(Debug, Clone, Serialize)]
pub struct CollectReport {
    /// One entry a series.
    pub series: Vec<CollectedSeries>,
    /// Series without an answer.
    pub n_failed: usize,
    /// Nothing was written.
    pub dry_run: bool,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
    /// The exit status that the failures deserve.
    #[serde(skip)]
    pub exit: Exit,
}

/// Asks for every series of every line, or of those that are named.
///
/// # Errors
/// 3 configuration, 5 database. A series that fails is part of the report, whose status is 5 (or 4) when all failed.
pub fn run(app: &App, pairs: &[Pair], dry_run: bool) -> anyhow::Result<CollectReport> {
    let mut db = app.db("collect")?;
    let provider = quotes::provider(&app.config.collect);
    let mut wanted: BTreeMap<(String, &'static str), (Pair, Timeframe)> = BTreeMap::new();
    for line in app.config.lines.values() {
        for &timeframe in &line.timeframes {
            for pair in line.pairs.iter().filter(|pair| pairs.is_empty() || pairs.contains(pair)) {
                wanted.insert((pair.to_string(), timeframe.name()), (pair.clone(), timeframe));
            }
        }
    }
    if wanted.is_empty() {
        return Err(Fault::usage("no line has such a pair").into());
    }
    let there: BTreeMap<(String, String), DateTime<Utc>> = db
        .coverage()?
        .into_iter()
        .filter_map(|have| {
            let pair = have.pair.parse::<Pair>().ok()?;
            Some(((pair.to_string(), have.timeframe), have.last))
        })
        .collect();
    let mut series = Vec::new();
    let mut exits = Vec::new();
    for (pair, timeframe) in wanted.into_values() {
        let last = there.get(&(pair.to_string(), timeframe.name().to_owned())).copied();
        match one(app, &mut db, provider.as_ref(), &pair, timeframe, last, dry_run) {
            Ok(done) => series.push(done),
            Err(error) => {
                let exit = fault::find(&error).map_or(Exit::Bug, Fault::exit);
                if exit == Exit::Config || (exit == Exit::Database && db.is_gone()) {
                    return Err(error);
                }
                exits.push(exit);
                series.push(CollectedSeries {
                    pair,
                    timeframe,
                    inserted: 0,
                    updated: 0,
                    empty: 0,
                    refused: 0,
                    forming: 0,
                    last,
                    verdict: "failed",
                    reason: Some(format!("{error:#}")),
                });
            }
        }
    }
    if !dry_run {
        for one in &series {
            db.record_quality(
                &one.pair,
                one.timeframe,
                one.verdict,
                one.reason.as_deref(),
                app.as_of,
            )?;
        }
    }
    let all_failed = exits.len() == series.len();
    Ok(CollectReport {
        n_failed: exits.len(),
        exit: if all_failed { exits[0] } else { Exit::Done },
        series,
        dry_run,
        as_of: app.as_of,
    })
}

fn one(
    app: &App,
    db: &mut Db,
    provider: &dyn Provider,
    pair: &Pair,
    timeframe: Timeframe,
    last: Option<DateTime<Utc>>,
    dry_run: bool,
) -> anyhow::Result<CollectedSeries> {
    let reach = provider.reach(timeframe).ok_or_else(|| {
        Fault::input(format!("the provider has no candles of {timeframe}"))
            .hint("import them, or name another provider under `collect` in aifx.yaml")
    })?;
    let length = TimeDelta::microseconds(timeframe.nominal_us());
    let from = match last {
        Some(last) => last - length * AGAIN,
        None => app.as_of - TimeDelta::days(FIRST_DAYS),
    };
    let from = from.max(app.as_of - reach);
    let wanted = Wanted { pair: pair.clone(), timeframe, from, as_of: app.as_of };
    let quotes = provider.candles(&wanted)?;
    let written = if quotes.columns.is_empty() {
        Default::default()
    } else {
        db.upsert_candles(
            pair,
            timeframe,
            &quotes.columns,
            ZeroVolume::Unknown,
            dry_run,
            app.as_of,
        )?
    };
    let looked_at = length * 2 * i32::try_from(LOOKED_AT).unwrap_or(i32::MAX) + TimeDelta::days(5);
    let range = CandleRange { as_known: false, ..app.candle_range(app.as_of - looked_at) };
    let candles = db.candles(pair, timeframe, range)?;
    let (verdict, reason) = verdict(&candles, app.as_of);
    Ok(CollectedSeries {
        pair: pair.clone(),
        timeframe,
        inserted: written.inserted,
        updated: written.updated,
        empty: quotes.n_empty,
        refused: quotes.n_refused,
        forming: quotes.n_forming,
        last: candles.open_at_us().last().map(|at_us| instant(*at_us)).or(last),
        verdict,
        reason,
    })
}

/// Candles that should have closed after `close_us` by now, the market being open for them; at most [`MOST_MISSING`].
pub(super) fn missing_since(timeframe: Timeframe, close_us: Micros, as_of: DateTime<Utc>) -> usize {
    let mut missing = 0;
    let mut close_us = timeframe.close_at(close_us);
    while close_us + SLACK.num_microseconds().unwrap_or(0) <= as_of.timestamp_micros()
        && missing < MOST_MISSING
    {
        missing += usize::from(calendar::is_open(instant(close_us - 1)));
        close_us = timeframe.close_at(close_us);
    }
    missing
}

/// What the last candles are worth: the worst that can be said of them, and why.
pub(super) fn verdict(candles: &Candles, as_of: DateTime<Utc>) -> (&'static str, Option<String>) {
    let n = candles.len();
    let Some(last) = n.checked_sub(1) else { return ("late", Some("there are no candles".into())) };
    let timeframe = candles.timeframe();
    let opens = candles.open_at_us();
    let first = n.saturating_sub(LOOKED_AT);
    let missed = missing_since(timeframe, candles.close_at_us(last), as_of);
    if missed > 0 {
        let closed = instant(candles.close_at_us(last)).format("%F %H:%MZ");
        let more = if missed == MOST_MISSING { "at least " } else { "" };
        return ("late", Some(format!("{more}{missed} candles are missing since {closed}")));
    }
    if let Some(gap) = calendar::gaps(timeframe, &opens[first..]).last() {
        let at = instant(opens[first + gap.row]).format("%F %H:%MZ");
        return ("gap", Some(format!("{} candles are missing before {at}", gap.n_missing)));
    }
    let close = &candles.close()[first..];
    if close.len() >= FLAT
        && close[close.len() - FLAT..].windows(2).all(|pair| pair[0].to_bits() == pair[1].to_bits())
    {
        return (
            "flat",
            Some(format!("the last {FLAT} closes are all {}", close[close.len() - 1])),
        );
    }
    let returns: Vec<f64> = close.windows(2).map(|pair| (pair[1] / pair[0]).ln().abs()).collect();
    let mut sorted = returns.clone();
    if let Some(median) = crate::stats::median(&mut sorted).filter(|median| *median > 0.0)
        && let Some(row) = returns.iter().rposition(|value| *value > SPIKE * median)
    {
        let at = instant(opens[first + row + 1]).format("%F %H:%MZ");
        let percent = 100.0 * returns[row];
        return ("spike", Some(format!("the close moved by {percent:.2} % at {at}")));
    }
    ("fresh", None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{CandleColumns, HOUR_US, Micros};

    /// Tuesday, 2024-01-02T00:00Z.
    const START_US: Micros = 1_704_153_600_000_000;

    fn of(change: impl Fn(usize, &mut f64) -> bool, as_of_hours: i64) -> &'static str {
        let mut columns = CandleColumns::default();
        for hour in 0..48usize {
            let mut close = 1.1 + 0.0003 * ((hour * 7) % 5) as f64;
            if change(hour, &mut close) {
                let prices = [close, close + 0.001, close - 0.001, close];
                columns.push_raw(START_US + hour as i64 * HOUR_US, prices, 0.0);
            }
        }
        let as_of = instant(START_US + as_of_hours * HOUR_US);
        let candles =
            Candles::new("EUR/USD".parse().expect("a pair"), Timeframe::Hour1, as_of, columns)
                .expect("valid");
        verdict(&candles, as_of).0
    }

    #[test]
    fn the_worst_is_said_of_the_last_candles() {
        assert_eq!(of(|_, _| true, 48), "fresh");
        assert_eq!(of(|hour, _| hour < 46, 48), "late");
        assert_eq!(of(|hour, _| hour != 40, 48), "gap");
        let spiked = |hour, close: &mut f64| {
            *close *= if hour == 45 { 1.1 } else { 1.0 };
            true
        };
        assert_eq!(of(spiked, 48), "spike");
        let flat = |hour, close: &mut f64| {
            *close = if hour > 30 { 1.1 } else { *close };
            true
        };
        assert_eq!(of(flat, 48), "flat");
        assert_eq!(of(|_, _| false, 48), "late");
    }
}
