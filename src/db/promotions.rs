//! Table `model_promotions`: every move of production. [`Db::commit_move`] is the one transaction by which it moves.
//!
//! Not here: verifying what is moved to, and the links (`registry`).

use chrono::{DateTime, Utc};
use postgres::Row;
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Db, Failed,
    events::{self, Channel},
    model_versions::{lock_line, select_until},
};
use crate::{
    fault::Fault,
    lineage::{LineName, Status, Version},
};

/// Which way production moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// To a version that is to answer from now on.
    Promote,
    /// Back to one that answered before.
    Rollback,
}

impl Action {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Action::Promote => "promote",
            Action::Rollback => "rollback",
        }
    }
}

/// A move of production.
#[derive(Debug, Clone)]
pub struct Move<'a> {
    /// Its key: moving twice is moving once.
    pub move_id: Uuid,
    /// Its line.
    pub line: &'a LineName,
    /// Which way.
    pub action: Action,
    /// The production that the mover saw; another one by now refuses the move.
    pub from: Option<Version>,
    /// The production to be.
    pub to: Version,
    /// Who or what moves it.
    pub actor: &'a str,
    /// Why.
    pub reason: Option<&'a str>,
    /// Verdict of the gate, where there was one.
    pub gate: Option<&'a Value>,
    /// End of the evidence that spoke for it, where the gate let it through: those days have been selected on.
    pub selected_until: Option<DateTime<Utc>>,
    /// Whether it goes against the gate.
    pub forced: bool,
    /// Fencing number of the mover.
    pub fence: i64,
    /// The instant that the mover took for now.
    pub as_of: DateTime<Utc>,
}

/// A move on the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveRow {
    /// Its key.
    pub move_id: Option<Uuid>,
    /// `promote` or `rollback`.
    pub action: String,
    /// Production before; `None` for the first.
    pub from: Option<Version>,
    /// Production after.
    pub to: Version,
    /// Who or what moved it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Whether it went against the gate.
    pub forced: bool,
    /// The instant that the mover took for now.
    pub as_of: DateTime<Utc>,
}

fn move_row(row: &Row) -> anyhow::Result<MoveRow> {
    let version = |text: String| text.parse::<Version>().map_err(Fault::integrity);
    Ok(MoveRow {
        move_id: row.get("run_id"),
        action: row.get("action"),
        from: row.get::<_, Option<String>>("from_version").map(version).transpose()?,
        to: version(row.get("to_version"))?,
        actor: row.get("actor"),
        reason: row.get("reason"),
        forced: row.get("forced"),
        as_of: row.get("as_of"),
    })
}

impl Db {
    /// Moves production: the old version archived, the new one in production, the move and its event on the record,
    /// all or nothing. Doing it again after the answer to COMMIT was lost changes nothing.
    ///
    /// # Errors
    /// Exit 6 when production moved meanwhile, 4 when the version is not registered, else when the database fails.
    pub fn commit_move(&mut self, step: &Move<'_>) -> anyhow::Result<()> {
        let Move { line, from, to, .. } = *step;
        let doing = format!("cannot move production of {line} to {to}");
        let mut tx = self.client.transaction().failed(&doing)?;
        lock_line(&mut tx, line).failed(&doing)?;
        let done = tx
            .query_opt("SELECT 1 FROM model_promotions WHERE run_id = $1", &[&step.move_id])
            .failed(&doing)?;
        if done.is_some() {
            return Ok(());
        }
        let overtaken = tx
            .query_opt(
                "SELECT to_version, actor FROM model_promotions WHERE line = $1 AND fence > $2 LIMIT 1",
                &[&line.as_str(), &step.fence],
            )
            .failed(&doing)?;
        let now: Option<String> = tx
            .query_opt(
                "SELECT version FROM model_versions WHERE line = $1 AND status = 'production' FOR UPDATE",
                &[&line.as_str()],
            )
            .failed(&doing)?
            .map(|row| row.get(0));
        if overtaken.is_some() || now != from.map(|version| version.to_string()) {
            let now = now.as_deref().unwrap_or("none");
            let why = format!("production of {line} moved meanwhile and is {now} now");
            return Err(anyhow::Error::from(
                Fault::locked(why)
                    .hint("nothing was changed; look at it and run the command again"),
            )
            .context(doing));
        }
        let set = "UPDATE model_versions SET status = $3 WHERE line = $1 AND version = $2";
        if let Some(from) = from {
            let archived = Status::Archived.name();
            tx.execute(set, &[&line.as_str(), &from.to_string(), &archived]).failed(&doing)?;
        }
        let production = Status::Production.name();
        let moved =
            tx.execute(set, &[&line.as_str(), &to.to_string(), &production]).failed(&doing)?;
        if moved != 1 {
            return Err(Fault::input(format!("{line} {to} is not registered")).into());
        }
        if let Some(until) = step.selected_until {
            select_until(&mut tx, line, to, until).failed(&doing)?;
        }
        tx.execute(
            "INSERT INTO model_promotions
                 (line, action, from_version, to_version, actor, reason, gate, forced, fence, run_id, as_of)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            &[
                &line.as_str(),
                &step.action.name(),
                &from.map(|version| version.to_string()),
                &to.to_string(),
                &step.actor,
                &step.reason,
                &step.gate,
                &step.forced,
                &step.fence,
                &step.move_id,
                &step.as_of,
            ],
        )
        .failed(&doing)?;
        let payload = json!({
            "line": line, "action": step.action, "from": from, "to": to,
            "actor": step.actor, "reason": step.reason, "forced": step.forced,
        });
        events::insert(&mut tx, Channel::ModelDeployed, &payload, step.as_of).failed(&doing)?;
        tx.commit().failed(&doing)
    }

    /// The moves of a line, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails, or a row was damaged by hand.
    pub fn moves(&mut self, line: &LineName, limit: i64) -> anyhow::Result<Vec<MoveRow>> {
        self.client
            .query(
                "SELECT run_id, action, from_version, to_version, actor, reason, forced, as_of FROM model_promotions
                 WHERE line = $1 ORDER BY fence DESC LIMIT $2",
                &[&line.as_str(), &limit],
            )
            .failed(&format!("cannot read the moves of {line}"))?
            .iter()
            .map(move_row)
            .collect()
    }
}
