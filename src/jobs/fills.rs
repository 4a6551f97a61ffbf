//! Real trades settle signals: from a file (`import --fills`), and from the table `user_trading_history` where there is one.
//!
//! What a trade really paid wins over what the candles made of it, once; a row that fits no signal is named and stops no other.

use std::{collections::HashSet, path::PathBuf};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    config::App,
    db::{
        Db,
        signals::{Closing, Over, TradedSignal},
    },
    feeds::fills::{self, Fill},
    market::{Timeframe, instant},
    outcome::Side,
    signal,
};

/// Problems that are named; the others are only counted.
pub(super) const N_SHOWN: usize = 10;

/// What came of it. `aifx.import-fills/1`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct FillsReport {
    /// Trades that were read.
    pub read: usize,
    /// Signals that they settled now, those among them that candles had settled before.
    pub settled: usize,
    /// Trades whose signal had its fill already.
    pub known: usize,
    /// Rows that settle nothing, and why; the first ten.
    pub problems: Vec<String>,
    /// How many do not.
    pub n_problems: usize,
    /// Nothing was written.
    pub dry_run: bool,
}

/// Reads files of fills and settles the signals that they are about.
///
/// # Errors
/// 4 for a file that is none, 5 database, 9 for one that cannot be read.
pub fn import(app: &App, files: &[PathBuf], dry_run: bool) -> anyhow::Result<FillsReport> {
    let mut report = FillsReport { dry_run, ..FillsReport::default() };
    let mut wanted = Vec::new();
    for file in files {
        for (line, row) in fills::read(file)? {
            let place = format!("{}:{line}", file.display());
            match row {
                Ok(fill) => wanted.push((place, fill)),
                Err(why) => report.problems.push(format!("{place}: {why}")),
            }
        }
    }
    report.read = wanted.len();
    settle(app, &mut app.db("import")?, &wanted, &mut report)?;
    Ok(report)
}

/// Settles from the table of real trades that some databases have.
pub(crate) fn from_history(app: &App, db: &mut Db, dry_run: bool) -> anyhow::Result<FillsReport> {
    let mut report = FillsReport { dry_run, ..FillsReport::default() };
    let wanted: Vec<(String, Fill)> = db
        .traded()?
        .into_iter()
        .map(|fill| (format!("user_trading_history, signal {}", fill.0), fill.1))
        .collect();
    report.read = wanted.len();
    settle(app, db, &wanted, &mut report)?;
    Ok(report)
}

/// `wanted` are fills and where each stands.
fn settle(
    app: &App,
    db: &mut Db,
    wanted: &[(String, Fill)],
    report: &mut FillsReport,
) -> anyhow::Result<()> {
    let keys: Vec<_> = wanted.iter().map(|(_, fill)| &fill.signal).collect();
    let mut closings: Vec<Closing> = Vec::new();
    let mut filled = HashSet::new();
    for ((place, fill), found) in wanted.iter().zip(db.signals_of(&keys)?) {
        match closing(fill, found, app.as_of) {
            Ok(Some(closing)) if !filled.insert(closing.id.clone()) => {
                report.problems.push(format!("{place}: its signal has another fill before it"));
            }
            Ok(Some(closing)) => closings.push(closing),
            Ok(None) => report.known += 1,
            Err(why) => report.problems.push(format!("{place}: {why}")),
        }
    }
    report.settled = if report.dry_run || closings.is_empty() {
        closings.len()
    } else {
        db.close_signals(&closings, Over::Simulated, app.as_of)?
    };
    report.n_problems = report.problems.len();
    report.problems.truncate(N_SHOWN);
    Ok(())
}

/// What a fill makes of its signal; nothing where it has been settled by one.
fn closing(
    fill: &Fill,
    found: Option<TradedSignal>,
    as_of: DateTime<Utc>,
) -> Result<Option<Closing>, String> {
    let found = found.ok_or("there is no such signal")?;
    if found.has_fill {
        return Ok(None);
    }
    let side = Side::named(&found.signal)
        .flatten()
        .ok_or_else(|| format!("its signal is {:?}: nothing was traded on it", found.signal))?;
    if fill.at > as_of {
        return Err(format!("it closed at {}, which has not come", fill.at));
    }
    // The signal was given at the close of its candle; one whose timeframe is not known here at its opening at the earliest.
    let decided_at = found.candle_at.map(|candle_at| match found.timeframe.parse::<Timeframe>() {
        Ok(timeframe) => instant(timeframe.close_at(candle_at.timestamp_micros())),
        Err(_) => candle_at,
    });
    if let Some(decided_at) = decided_at.filter(|decided_at| fill.at <= *decided_at) {
        return Err(format!(
            "it closed at {}, before its signal was given at {decided_at}",
            fill.at
        ));
    }
    let paid = signal::filled(side, fill.entry, fill.exit, fill.fees);
    Ok(Some(Closing {
        id: found.id,
        outcome: paid.outcome.name(),
        reason: "fill",
        exit_price: fill.exit,
        at: fill.at,
        pnl: paid.pnl,
        pnl_percent: paid.pnl_percent,
        pnl_net: paid.pnl_net,
        by: "fill",
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feeds::fills::SignalKey;

    #[test]
    fn a_trade_that_ended_before_its_signal_was_given_is_none_of_it() {
        let at = |text: &str| -> DateTime<Utc> { text.parse().expect("an instant") };
        let of = |closed: &str| {
            let fill = Fill {
                signal: SignalKey::Id("7".into()),
                entry: 1.1,
                exit: 1.2,
                at: at(closed),
                fees: 0.0,
            };
            let found = TradedSignal {
                id: "7".into(),
                signal: "buy".into(),
                candle_at: Some(at("2025-10-06T10:00:00Z")),
                timeframe: "1h".into(),
                has_fill: false,
            };
            closing(&fill, Some(found), at("2025-10-07T00:00:00Z"))
        };
        // The hour from ten is answered at eleven.
        let why = of("2025-10-06T10:20:00Z").expect_err("nobody had said anything yet");
        assert!(why.contains("before its signal was given at 2025-10-06 11:00"), "{why}");
        assert!(of("2025-10-06T11:20:00Z").expect("a trade").is_some());
    }
}
