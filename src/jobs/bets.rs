//! What stands between a call and a bet: costs, the line's breaker, and whether production knows anything.
//!
//! All of it follows from tables: bets that were closed, moves of production, `aifx resume`, the monitor's looks. Not here: the
//! sizes themselves (`signal`).

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{loading, replay::Actor};
use crate::{
    config::{App, LineConfig},
    db::Db,
    fault::Fault,
    lineage::LineName,
    market::Candles,
    outcome::Costs,
    signal::{Breaker, NoSize, Sizing, Trip},
};

/// The alarm of production that is worse than its class prior.
pub(crate) const NO_SKILL: &str = "no-skill";
/// The alarm of a line that does not bet.
pub(crate) const BREAKER: &str = "breaker";

/// What a series costs.
///
/// # Errors
/// Exit 3 where the figure cannot be in units of its price.
pub(crate) fn cost(line: &LineConfig, candles: &Candles) -> anyhow::Result<Costs> {
    let Some(last) = candles.close().last() else { return Ok(line.costs.for_pair(candles.pair())) };
    let pair = candles.pair();
    line.costs.checked_for(pair, *last).map_err(|why| {
        Fault::config(why)
            .hint(format!(
                "write what {pair} costs in units of its own price under the line in aifx.yaml: costs: {{pairs: {{{pair}: {{spread: {}}}}}}}",
                example(*last)
            ))
            .into()
    })
}

/// A spread of one hundredth of a per cent, to one digit.
fn example(price: f64) -> f64 {
    let spread = price * 1e-4;
    let unit = 10f64.powf(spread.abs().log10().floor());
    (spread / unit).round() * unit
}

/// The breaker of a line and since when it counts.
pub(crate) fn breaker(
    db: &mut Db,
    (name, line): (&LineName, &LineConfig),
    as_of: DateTime<Utc>,
) -> anyhow::Result<(Breaker, Option<DateTime<Utc>>)> {
    let since = db.last_change(name, as_of)?.max(db.last_resume(name, as_of)?);
    let returns = db.bets_by_day(name, since.unwrap_or(DateTime::UNIX_EPOCH), as_of)?;
    Ok((Breaker::of(&returns, &line.risk), since))
}

/// What an operator reads of a breaker that has tripped; `None` of one that has not.
pub(crate) fn tripped(breaker: &Breaker, line: &LineConfig) -> Option<String> {
    let why = match breaker.tripped? {
        Trip::Drawdown(fall) => format!(
            "the account fell by {:.2} % from its peak, more than max_drawdown {:.2} %",
            fall * 100.0,
            line.risk.max_drawdown * 100.0
        ),
        Trip::Losing(p) => format!(
            "its bets lose on average by more than chance (p {p:.4}, losing_alpha {})",
            line.risk.losing_alpha
        ),
    };
    Some(format!(
        "the breaker has tripped, sizes are 0: {why}; {breaker}. A promotion on the change track or `aifx resume --reason TEXT` lifts it"
    ))
}

/// What keeps a line from betting at all, and why in words.
///
/// # Errors
/// When the database fails.
pub(crate) fn guard(
    db: &mut Db,
    (name, line): (&LineName, &LineConfig),
    as_of: DateTime<Utc>,
) -> anyhow::Result<Option<(NoSize, String)>> {
    let (breaker, _) = breaker(db, (name, line), as_of)?;
    if let Some(why) = tripped(&breaker, line) {
        return Ok(Some((NoSize::Breaker, why)));
    }
    Ok(has_no_skill(db, name, as_of)?.then(|| {
        let why =
            "production is shown to be worse than its class prior, sizes are 0: see `aifx monitor`";
        (NoSize::NoSkill, why.to_owned())
    }))
}

/// Whether the monitor found last that production is worse than its class prior, of the recipe that answers now.
///
/// # Errors
/// When the database fails.
pub(crate) fn has_no_skill(
    db: &mut Db,
    name: &LineName,
    as_of: DateTime<Utc>,
) -> anyhow::Result<bool> {
    let since = db.last_change(name, as_of)?.unwrap_or(DateTime::UNIX_EPOCH);
    db.rang_last(name, NO_SKILL, since, as_of)
}

/// That a version's sizes follow from confidence alone, where the line asks for more.
///
/// # Errors
/// Exit 7 when metadata.json cannot be read.
pub(crate) fn size_note(actor: &Actor, line: &LineConfig) -> anyhow::Result<Option<String>> {
    let wants = line.signals.size == Sizing::Edge;
    Ok((wants && loading::edge(&actor.files)?.is_none()).then(|| {
        format!(
            "{} was made before returns were measured: its sizes follow from confidence alone (size: confidence)",
            actor.version
        )
    }))
}

/// What came of `resume`. `aifx.resume/1`.
#[derive(Debug, Clone, Serialize)]
pub struct Resumed {
    /// The line.
    pub line: LineName,
    /// How its account stood.
    pub breaker: Breaker,
    /// Since when that counted.
    pub since: Option<DateTime<Utc>>,
    /// Whether anything was recorded.
    pub resumed: bool,
    /// The chance of a false trip that is granted anew.
    pub losing_alpha: f64,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
}

/// Lets a line bet again whose breaker has tripped: it counts anew from now on.
///
/// # Errors
/// 3 configuration, 5 database.
pub fn resume(app: &App, line: Option<&LineName>, reason: &str) -> anyhow::Result<Resumed> {
    let (name, line) = app.line(line)?;
    let mut db = app.db("resume")?;
    let (breaker, since) = breaker(&mut db, (name, line), app.as_of)?;
    let resumed = breaker.tripped.is_some();
    if resumed {
        db.resume(name, reason, app.as_of)?;
    }
    Ok(Resumed {
        line: name.clone(),
        breaker,
        since,
        resumed,
        losing_alpha: line.risk.losing_alpha,
        as_of: app.as_of,
    })
}
