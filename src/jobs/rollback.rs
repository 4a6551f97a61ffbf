//! Takes the last promotion back: production returns to what it replaced, or to a named version.
//!
//! Only the version that is gone back to is verified, loaded and probed: the present one may be corrupt or gone, which is
//! when this is wanted most. Not here: the move itself (`promote::move_to`).

use std::{
    path::Path,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};

use super::promote::{self, Probe, Promotion};
use crate::{
    db::{
        Db,
        promotions::{Action, MoveRow},
    },
    fault::Fault,
    lineage::{LineName, Version},
    registry::{self, Connect, LockedLine},
};

/// What is asked for.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The models directory.
    pub models: &'a Path,
    /// The line.
    pub line: &'a LineName,
    /// The production that is to be taken back; another one by then is left alone. None: whatever there is.
    pub from: Option<Version>,
    /// The version to go back to; what the last promotion replaced when not given.
    pub to: Option<Version>,
    /// Why, for the record.
    pub reason: Option<&'a str>,
    /// Who or what asks.
    pub actor: &'a str,
    /// How long to wait for another run.
    pub wait: Duration,
    /// Only say what would be done.
    pub dry_run: bool,
    /// The instant that the command takes for now.
    pub as_of: DateTime<Utc>,
}

/// Goes back.
///
/// # Errors
/// Exit 2 for a version that never answered without a reason, 4 when there is nothing to go back to or the version does not
/// exist, 6 when another run holds the line or production is not the one that was to be taken back, 7 when
/// the files or answers of the version that is gone back to are not what was published.
pub fn run(
    request: &Request<'_>,
    connect: Connect<'_>,
    probe: Probe<'_>,
) -> anyhow::Result<Promotion> {
    let started = Instant::now();
    let mut db = connect()?;
    let (from, to) = target(&mut db, request)?;
    if request.dry_run {
        return Ok(promotion(request, from, to, started, false, Vec::new()));
    }
    let locked = LockedLine::lock(request.models, request.line, request.wait, "rollback")?;
    let healed = locked.recover(&mut db)?.healed;
    let (from, to) = target(&mut db, request)?;
    let row = registry::pick(db.versions(Some(request.line))?, request.line, to)?;
    registry::check_movable(&row)?;
    let step = as_promotion(request, to);
    let moved = promote::move_to(&locked, &step, Action::Rollback, &row, from, db, connect, probe)?;
    Ok(promotion(request, from, to, started, moved, healed))
}

/// Production now, and the version to go back to.
fn target(db: &mut Db, request: &Request<'_>) -> anyhow::Result<(Option<Version>, Version)> {
    promote::check_instant(db, request.line, request.as_of)?;
    let from = db.production(request.line)?.map(|row| row.version);
    if let Some(expected) = request.from.filter(|expected| from != Some(*expected)) {
        let now = from.map_or_else(|| "none".to_owned(), |from| from.to_string());
        return Err(Fault::locked(format!(
            "production of {} is {now} by now, and {expected} was to be taken back",
            request.line
        ))
        .hint("nothing was changed; look at it and run the command again")
        .into());
    }
    let moves = db.moves(request.line, i64::MAX)?;
    if let Some(to) = request.to {
        let answered = moves.iter().any(|step| step.to == to || step.from == Some(to));
        if !answered && request.reason.is_none() {
            return Err(Fault::usage(format!(
                "{to} has never been in production, so no gate has let it answer: going there wants a --reason"
            ))
            .hint("`aifx promote` asks the gate; `aifx models list` shows what there is")
            .into());
        }
        return Ok((from, to));
    }
    let before = replaced(moves.iter().rev()).ok_or_else(|| {
        let why = match from {
            Some(from) => format!("{from} is the first production version of {}", request.line),
            None => format!("{} has no production version", request.line),
        };
        Fault::input(format!("there is nothing to roll back to: {why}"))
            .hint("`aifx models list` shows what there is; `aifx rollback --to VERSION` goes to any of them")
    })?;
    Ok((from, before))
}

/// What the last promotion that still stands replaced. Promotions stack up and rollbacks take off, so that a second
/// rollback goes one further back and not forth again. `moves` are in order of time.
pub(super) fn replaced<'a>(moves: impl Iterator<Item = &'a MoveRow>) -> Option<Version> {
    let mut stack: Vec<Version> = Vec::new();
    for step in moves {
        if stack.is_empty() {
            stack.extend(step.from);
        }
        let back = stack.iter().rposition(|version| *version == step.to);
        match (step.action == Action::Rollback.name(), back) {
            (true, Some(place)) => stack.truncate(place + 1),
            _ => stack.push(step.to),
        }
    }
    stack.pop();
    stack.pop()
}

fn as_promotion<'a>(request: &Request<'a>, version: Version) -> promote::Request<'a> {
    promote::Request {
        models: request.models,
        line: request.line,
        version,
        reason: request.reason,
        actor: request.actor,
        wait: request.wait,
        force: false,
        as_of: request.as_of,
        judge: None,
    }
}

fn promotion(
    request: &Request<'_>,
    from: Option<Version>,
    to: Version,
    started: Instant,
    moved: bool,
    healed: Vec<String>,
) -> Promotion {
    promote::promotion(&as_promotion(request, to), from, started, moved, healed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(action: &str, from: &str, to: &str) -> MoveRow {
        MoveRow {
            move_id: None,
            action: action.into(),
            from: from.parse().ok(),
            to: to.parse().unwrap(),
            actor: None,
            reason: None,
            forced: false,
            as_of: DateTime::UNIX_EPOCH,
        }
    }

    fn after(moves: &[MoveRow]) -> Option<String> {
        replaced(moves.iter()).map(|version| version.to_string())
    }

    #[test]
    fn rollbacks_go_back_and_not_forth() {
        let mut moves = vec![step("promote", "", "v1.0")];
        assert_eq!(after(&moves), None);
        moves.push(step("promote", "v1.0", "v1.1"));
        moves.push(step("promote", "v1.1", "v1.2"));
        assert_eq!(after(&moves).as_deref(), Some("v1.1"));
        moves.push(step("rollback", "v1.2", "v1.1"));
        assert_eq!(after(&moves).as_deref(), Some("v1.0"));
        moves.push(step("rollback", "v1.1", "v1.0"));
        assert_eq!(after(&moves), None);
        moves.push(step("promote", "v1.0", "v1.2"));
        assert_eq!(after(&moves).as_deref(), Some("v1.0"));
    }

    #[test]
    fn a_rollback_to_a_version_that_never_answered_can_be_taken_back() {
        let moves = [step("promote", "", "v1.0"), step("rollback", "v1.0", "v0.9")];
        assert_eq!(after(&moves).as_deref(), Some("v1.0"));
    }
}
