//! Deletes old fine-tunes: [`run`] for `aifx models prune`, [`retire`] for the monthly evaluation.
//!
//! Weekly versions stay. A version is renamed to where its run staged it, its row deleted, its files removed: killed in
//! between, recovery finds a dead run's files or a row without them, and the next pruning ends what this one began.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::{Watch, rollback};
use crate::{
    config::App,
    db::{model_versions::VersionRow, promotions::MoveRow},
    lineage::{LineName, Status, Version},
    registry::LockedLine,
};

/// Three months, whichever they are.
pub const KEEP_DAYS: u32 = 92;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The line; the only one when not given.
    pub line: Option<LineName>,
    /// Fine-tunes younger than this stay.
    pub keep_days: u32,
    /// Only say what would go.
    pub dry_run: bool,
    /// How long to wait for another run.
    pub wait: Duration,
}

/// What went and what stayed. `aifx.models-prune/1`.
#[derive(Debug, Clone, Serialize)]
pub struct PruneReport {
    /// The line.
    pub line: LineName,
    /// Versions that went, or would go.
    pub pruned: Vec<Version>,
    /// Old fine-tunes that stay.
    pub kept: Vec<Kept>,
    /// Whether nothing was changed.
    pub dry_run: bool,
    /// The instant that the command took for now.
    pub as_of: DateTime<Utc>,
}

/// An old fine-tune that stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kept {
    /// The version.
    pub version: Version,
    /// Why.
    pub why: &'static str,
}

/// Prunes a line.
///
/// # Errors
/// 5 database, 6 lock, 7 for a damaged registry, 9 disk.
pub fn run(app: &App, request: &Request, watch: &mut dyn Watch) -> anyhow::Result<PruneReport> {
    let (name, _) = app.line(request.line.as_ref())?;
    let mut report = PruneReport {
        line: name.clone(),
        pruned: Vec::new(),
        kept: Vec::new(),
        dry_run: request.dry_run,
        as_of: app.as_of,
    };
    let mut db = app.db("models prune")?;
    if request.dry_run {
        let choice =
            choose(&db.versions(Some(name))?, &moves(&mut db, name)?, app.as_of, request.keep_days);
        report.pruned = choice.go.iter().map(|row| row.version).collect();
        report.kept = choice.kept;
        return Ok(report);
    }
    let locked = LockedLine::lock(&app.models(), name, request.wait, "models prune")?;
    for healed in locked.recover(&mut db)?.healed {
        watch.note(&format!("put right: {healed}"));
    }
    drop(db);
    let choice = prune(app, &locked, request.keep_days)?;
    report.pruned = choice.go.iter().map(|row| row.version).collect();
    report.kept = choice.kept;
    Ok(report)
}

/// The same inside a job that has the line locked and healed.
pub(super) fn retire(app: &App, locked: &LockedLine) -> anyhow::Result<Vec<Version>> {
    let choice = prune(app, locked, KEEP_DAYS)?;
    Ok(choice.go.iter().map(|row| row.version).collect())
}

fn moves(db: &mut crate::db::Db, line: &LineName) -> anyhow::Result<Vec<MoveRow>> {
    let mut moves = db.moves(line, i64::MAX)?;
    moves.reverse();
    Ok(moves)
}

fn prune(app: &App, locked: &LockedLine, keep_days: u32) -> anyhow::Result<Choice> {
    let mut db = app.db("models prune")?;
    let line = locked.line();
    let choice = choose(&db.versions(Some(line))?, &moves(&mut db, line)?, app.as_of, keep_days);
    for row in &choice.go {
        // A row without a run was written by hand; any name does for its files on the way out.
        let run_id = row.run_id.unwrap_or_else(Uuid::now_v7);
        locked.dir().unseal(&row.version, run_id)?;
        db.delete_version(line, row.version)?;
        locked.dir().discard(run_id)?;
    }
    Ok(choice)
}

/// What goes, and which old fine-tunes stay.
struct Choice {
    go: Vec<VersionRow>,
    kept: Vec<Kept>,
}

/// Fine-tunes older than `keep_days`, but for production, what a rollback goes back to, the ancestors of both, and what a
/// version in staging was fine-tuned from. `moves` are in order of time.
fn choose(rows: &[VersionRow], moves: &[MoveRow], as_of: DateTime<Utc>, keep_days: u32) -> Choice {
    let oldest = as_of - TimeDelta::days(i64::from(keep_days));
    let row = |version: Version| rows.iter().find(|row| row.version == version);
    let production = rows.iter().find(|row| row.status == Status::Production);
    let previous: BTreeSet<Version> = rollback::replaced(moves.iter())
        .into_iter()
        .chain(moves.last().and_then(|step| step.from))
        .collect();
    let mut parents: BTreeSet<Version> = rows
        .iter()
        .filter(|row| row.status == Status::Staging && row.created_at >= oldest)
        .filter_map(|row| row.parent)
        .collect();
    let serving = production.map(|row| row.version).into_iter().chain(previous.iter().copied());
    for version in serving {
        let mut next = row(version).and_then(|row| row.parent);
        while let Some(parent) = next.filter(|parent| parents.insert(*parent)) {
            next = row(parent).and_then(|row| row.parent);
        }
    }
    let (mut go, mut kept) = (Vec::new(), Vec::new());
    let old = rows.iter().filter(|row| row.version.daily().is_some() && row.created_at < oldest);
    for row in old {
        let version = row.version;
        let why = if row.status == Status::Production {
            "it is in production"
        } else if previous.contains(&version) {
            "a rollback goes back to it"
        } else if parents.contains(&version) {
            "a version that is in use was fine-tuned from it"
        } else {
            go.push(row.clone());
            continue;
        };
        kept.push(Kept { version, why });
    }
    Choice { go, kept }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(version: &str, parent: Option<&str>, status: Status, day: &str) -> VersionRow {
        VersionRow {
            line: "fx".parse().expect("a name"),
            version: version.parse().expect("a version"),
            status,
            parent: parent.map(|parent| parent.parse().expect("a version")),
            run_id: None,
            seen_until: None,
            selected_until: None,
            metrics: serde_json::Value::Null,
            production_metrics: None,
            gate: None,
            manifest_sha256: None,
            size_bytes: None,
            missing_since: None,
            created_at: format!("{day}T01:00:00Z").parse().expect("an instant"),
            members: Vec::new(),
        }
    }

    fn step(from: Option<&str>, to: &str) -> MoveRow {
        MoveRow {
            move_id: None,
            action: "promote".into(),
            from: from.map(|from| from.parse().expect("a version")),
            to: to.parse().expect("a version"),
            actor: None,
            reason: None,
            forced: false,
            as_of: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_old_fine_tunes_that_nobody_needs_go() {
        use Status::{Archived, Production, Staging};
        let rows = [
            row("v1.0", None, Archived, "2025-01-01"),
            row("v1.0-daily-20250102", Some("v1.0"), Archived, "2025-01-02"),
            row("v1.0-daily-20250103", Some("v1.0-daily-20250102"), Archived, "2025-01-03"),
            row("v1.0-daily-20250104", Some("v1.0-daily-20250103"), Archived, "2025-01-04"),
            row("v1.0-daily-20250105", Some("v1.0-daily-20250103"), Staging, "2025-01-05"),
            row("v1.1", None, Production, "2025-01-06"),
            row("v1.1-daily-20250601", Some("v1.0-daily-20250105"), Staging, "2025-06-01"),
        ];
        let moves = [
            step(None, "v1.0"),
            step(Some("v1.0"), "v1.0-daily-20250103"),
            step(Some("v1.0-daily-20250103"), "v1.1"),
        ];
        let as_of = "2025-06-02T00:00:00Z".parse().expect("an instant");
        let choice = choose(&rows, &moves, as_of, KEEP_DAYS);
        let go: Vec<String> = choice.go.iter().map(|row| row.version.to_string()).collect();
        assert_eq!(go, ["v1.0-daily-20250104"]);
        let kept: Vec<(String, &str)> =
            choice.kept.iter().map(|kept| (kept.version.to_string(), kept.why)).collect();
        assert_eq!(
            kept,
            [
                ("v1.0-daily-20250102".into(), "a version that is in use was fine-tuned from it"),
                ("v1.0-daily-20250103".into(), "a rollback goes back to it"),
                ("v1.0-daily-20250105".into(), "a version that is in use was fine-tuned from it"),
            ]
        );
        // At the very age they stay.
        let choice =
            choose(&rows, &moves, "2025-04-05T01:00:00Z".parse().expect("an instant"), KEEP_DAYS);
        let go: Vec<String> = choice.go.iter().map(|row| row.version.to_string()).collect();
        assert!(!go.contains(&"v1.0-daily-20250105".to_owned()), "{go:?}");
    }
}
