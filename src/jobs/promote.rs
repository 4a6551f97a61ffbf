//! Makes a version the one that answers: verify, load, probe, then one transaction and the links.
//!
//! What loads a model is an argument ([`Probe`]), so that this job also serves those that have none linked in.
//! The gate's stored verdict decides whether it may. Not here: judging (`gate`, `judge`), taking it back (`rollback`).

use std::{
    path::Path,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{judge, probation};
use crate::{
    artifact::{LineDir, VersionFiles},
    db::{
        Db,
        model_versions::VersionRow,
        promotions::{Action, Move},
    },
    fault::{Exit, Fault},
    gate::{self, Verdict},
    lineage::{LineName, Version},
    registry::{self, Connect, LockedLine},
};

/// Loads a version's files and compares what they answer with what they answered when they were made.
pub type Probe<'a> = &'a dyn Fn(&VersionFiles) -> anyhow::Result<()>;

/// Judges a version against what is in production now, and stores the verdict where it is told to: the line is locked then.
pub type Judge<'a> = &'a dyn Fn(Option<&LockedLine>) -> anyhow::Result<Verdict>;

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The models directory.
    pub models: &'a Path,
    /// The line.
    pub line: &'a LineName,
    /// The version that is to answer.
    pub version: Version,
    /// Why, for the record.
    pub reason: Option<&'a str>,
    /// Who or what asks.
    pub actor: &'a str,
    /// How long to wait for another run.
    pub wait: Duration,
    /// Against the gate.
    pub force: bool,
    /// The instant that the command takes for now.
    pub as_of: DateTime<Utc>,
    /// What judges a version anew whose verdict was given against another production; none: such a version is refused.
    pub judge: Option<Judge<'a>>,
}

/// A move of production, made or planned.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Promotion {
    /// The line.
    pub line: LineName,
    /// Production before.
    pub from: Option<Version>,
    /// Production after.
    pub to: Version,
    /// Wall time of the whole command, in seconds.
    pub seconds: f64,
    /// Whether anything was moved: not for a plan, nor for a version that was in production already.
    pub moved: bool,
    /// What an earlier crash had left and this command put right.
    pub healed: Vec<String>,
}

/// Checks all that the promotion would check, and changes nothing.
///
/// # Errors
/// As [`run`], but for the lock.
pub fn plan(
    request: &Request<'_>,
    connect: Connect<'_>,
    probe: Probe<'_>,
) -> anyhow::Result<Promotion> {
    let started = Instant::now();
    let mut db = connect()?;
    let (mut row, from) = find(&mut db, request)?;
    check_gate(&mut db, request, &mut row, from, Ask::Now(None))?;
    let dir = LineDir::open(request.models, request.line)?.ok_or_else(|| {
        let path = request.models.join(request.line.as_str());
        Fault::integrity(format!("{} is missing", path.display()))
    })?;
    probe(&registry::open(&dir, &row)?.files)?;
    Ok(promotion(request, from, started, false, Vec::new()))
}

/// Makes the version production. One that is production already is left as it is.
///
/// # Errors
/// Exit 4 for a version that does not exist, 6 when another run holds the line, 7 when its files or its answers are
/// not what was published, 8 when the gate refused it, 9 when the links could not be moved (production has moved
/// then, and the next command corrects them).
pub fn run(
    request: &Request<'_>,
    connect: Connect<'_>,
    probe: Probe<'_>,
) -> anyhow::Result<Promotion> {
    let started = Instant::now();
    let mut db = connect()?;
    // A typing error is told before waiting for anybody.
    let (mut row, from) = find(&mut db, request)?;
    check_gate(&mut db, request, &mut row, from, Ask::Later)?;
    let locked = LockedLine::lock(request.models, request.line, request.wait, "promote")?;
    let healed = locked.recover(&mut db)?.healed;
    let (mut row, from) = find(&mut db, request)?;
    check_gate(&mut db, request, &mut row, from, Ask::Now(Some(&locked)))?;
    let moved = move_to(&locked, request, Action::Promote, &row, from, db, connect, probe)?;
    Ok(promotion(request, from, started, moved, healed))
}

/// When a version is judged anew whose verdict was given against another production.
enum Ask<'a> {
    /// Once the line is locked.
    Later,
    /// Now; with the lock, on the record.
    Now(Option<&'a LockedLine>),
}

/// Refuses what the gate refused and what probation took back, unless it is forced with a reason. A verdict that was given against
/// another production is none: the version is judged anew, and its row gets that verdict.
fn check_gate(
    db: &mut Db,
    request: &Request<'_>,
    row: &mut VersionRow,
    from: Option<Version>,
    ask: Ask<'_>,
) -> anyhow::Result<()> {
    if from == Some(request.version) {
        return Ok(());
    }
    if request.force {
        return match request.reason {
            Some(_) => Ok(()),
            None => Err(Fault::usage("--force goes against the gate and wants a --reason").into()),
        };
    }
    let moves = db.moves(request.line, i64::MAX)?;
    if let Some(step) = probation::barred(&moves, request.version) {
        let why = format!(
            "{} {} is barred: it was taken back on {}, {}",
            row.line,
            row.version,
            step.as_of.format("%F %H:%M UTC"),
            step.reason.as_deref().unwrap_or("for no recorded reason")
        );
        let hint = "train another one; --force --reason TEXT goes against it, on the record";
        return Err(Fault::new(Exit::Refused, why).hint(hint).into());
    }
    let verdict: Option<Verdict> =
        row.gate.clone().and_then(|stored| serde_json::from_value(stored).ok());
    let move_id = judge::move_id(moves.first());
    let is_stale = |verdict: &Verdict| !verdict.is_against(from, move_id.as_deref());
    let verdict = match (verdict, ask, request.judge) {
        (Some(verdict), Ask::Later, Some(_)) if verdict.passed && is_stale(&verdict) => {
            return Ok(());
        }
        (Some(verdict), Ask::Now(locked), Some(judge)) if verdict.passed && is_stale(&verdict) => {
            let verdict = judge(locked)?;
            row.gate = Some(serde_json::to_value(&verdict)?);
            Some(verdict)
        }
        (verdict, ..) => verdict,
    };
    let why = match verdict {
        Some(verdict) if verdict.passed && !is_stale(&verdict) => return Ok(()),
        Some(verdict) if verdict.passed => {
            let now = from.map_or_else(|| "none".to_owned(), |from| from.to_string());
            let (line, version, against) = (&row.line, row.version, &verdict.against);
            match *against == now {
                true => format!(
                    "{line} {version} was judged against {against} before the last move of production"
                ),
                false => format!(
                    "{line} {version} was judged against {against}, and production is {now}"
                ),
            }
        }
        Some(verdict) => {
            let rules: Vec<String> = verdict.refusals().map(gate::Rule::title).collect();
            let against = &verdict.against;
            let rules = rules.join(", ");
            format!("the gate refused {} {} against {against}: {rules}", row.line, row.version)
        }
        None => format!("the gate has not judged {} {}", row.line, row.version),
    };
    let hint = format!(
        "`aifx gate {}` judges it anew and shows each rule; --force --reason TEXT goes against it, on the record",
        row.version
    );
    Err(Fault::new(Exit::Refused, why).hint(hint).into())
}

/// Verifies, loads, probes and moves, under the line's lock. False where the version is production already.
///
/// # Errors
/// As [`run`].
#[allow(
    clippy::too_many_arguments,
    reason = "the two commands that move production share every step"
)]
pub(crate) fn move_to(
    locked: &LockedLine,
    request: &Request<'_>,
    action: Action,
    row: &VersionRow,
    from: Option<Version>,
    mut db: Db,
    connect: Connect<'_>,
    probe: Probe<'_>,
) -> anyhow::Result<bool> {
    let verified = locked.open(row)?;
    if from == Some(row.version) {
        return Ok(false);
    }
    let fence = db.next_fence()?;
    // Loading a model takes its time; no connection waits for it.
    drop(db);
    probe(&verified.files)?;
    let step = Move {
        move_id: Uuid::now_v7(),
        line: request.line,
        action,
        from,
        to: row.version,
        actor: request.actor,
        reason: request.reason,
        gate: row.gate.as_ref(),
        selected_until: selected_until(request, action, row),
        forced: request.force,
        fence,
        as_of: request.as_of,
    };
    locked.move_production(connect, &step)?;
    Ok(true)
}

/// The end of the evidence by which the gate lets a version through; a move against the gate, or back, selects by nothing.
fn selected_until(
    request: &Request<'_>,
    action: Action,
    row: &VersionRow,
) -> Option<DateTime<Utc>> {
    if request.force || action != Action::Promote {
        return None;
    }
    let verdict: Verdict = serde_json::from_value(row.gate.clone()?).ok()?;
    verdict.until.filter(|_| verdict.passed)
}

/// The row of the wanted version, and which one is in production.
fn find(db: &mut Db, request: &Request<'_>) -> anyhow::Result<(VersionRow, Option<Version>)> {
    check_instant(db, request.line, request.as_of)?;
    let rows = db.versions(Some(request.line))?;
    let from = db.production(request.line)?.map(|row| row.version);
    let row = registry::pick(rows, request.line, request.version)?;
    registry::check_movable(&row)?;
    Ok((row, from))
}

/// Refuses to move production before its last move: what answered when would no longer be told by the moves.
///
/// # Errors
/// Exit 4 naming the move.
pub(crate) fn check_instant(
    db: &mut Db,
    line: &LineName,
    as_of: DateTime<Utc>,
) -> anyhow::Result<()> {
    let later = db.moves(line, i64::MAX)?.into_iter().find(|step| step.as_of > as_of);
    later.map_or(Ok(()), |step| {
        let at = step.as_of.format("%F %H:%M:%S UTC");
        Err(Fault::input(format!(
            "production of {line} moved to {} on {at}, after --as-of",
            step.to
        ))
        .hint("take an instant after that move; production cannot be moved in its past")
        .into())
    })
}

pub(crate) fn promotion(
    request: &Request<'_>,
    from: Option<Version>,
    started: Instant,
    moved: bool,
    healed: Vec<String>,
) -> Promotion {
    let seconds = started.elapsed().as_secs_f64();
    Promotion { line: request.line.clone(), from, to: request.version, seconds, moved, healed }
}
