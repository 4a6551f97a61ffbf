//! What a crash left behind, found and put right at the start of every command that changes a line.
//!
//! Only with the line locked, so that nothing of a living run is touched. Safe to be killed itself: each step leaves a
//! state that the next recovery understands.

use std::collections::BTreeSet;

use anyhow::Context;
use serde::Serialize;

use super::{LockedLine, open, process};
use crate::{
    artifact::{Link, LinkState, Problem, Verified},
    db::{
        Db,
        model_versions::{Claim, Publication, Record, VersionRow},
        training_log::{End, Figures, RunRow, RunStatus},
    },
    fault::Fault,
    lineage::Version,
};

/// Key in `metadata.json` under which a version's record is kept.
pub(super) const RECORD: &str = "record";

/// Files of a run whose process cannot be asked about are kept this long.
const UNKNOWN_OWNER_S: i64 = 24 * 3600;

/// What was put right, and what a person has to look at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Recovery {
    /// What was put right, in words.
    pub healed: Vec<String>,
    /// What was found and left alone.
    pub left: Vec<Problem>,
}

impl LockedLine {
    /// Puts right what dead runs left: saved versions that were never registered, half-filled directories, rows that
    /// say running, rows without files, links that lag behind the database.
    ///
    /// # Errors
    /// Exit 7 when a link leads out of the models directory; else when database or disk fail.
    pub fn recover(&self, db: &mut Db) -> anyhow::Result<Recovery> {
        let mut recovery = Recovery::default();
        self.adopt_saved(db, &mut recovery)?;
        self.abandon_dead(db, &mut recovery)?;
        self.discard_incoming(db, &mut recovery)?;
        self.mark_missing(db, &mut recovery)?;
        self.point_links(db, &mut recovery)?;
        db.record_repairs(self.line(), &recovery.healed)?;
        Ok(recovery)
    }

    /// A complete directory without a row: the run died, or lost the database, between its rename and its commit.
    fn adopt_saved(&self, db: &mut Db, recovery: &mut Recovery) -> anyhow::Result<()> {
        let registered: BTreeSet<Version> =
            db.versions(Some(self.line()))?.into_iter().map(|row| row.version).collect();
        for version in self.dir.entries()?.versions {
            if registered.contains(&version) {
                continue;
            }
            let verified = match self.dir.open_version(&version) {
                Ok(verified) => verified,
                Err(error) => {
                    let what = format!("is not registered, and damaged: {error:#}");
                    recovery.left.push(Problem::of(version, what));
                    continue;
                }
            };
            let run = db.find_run(verified.metadata.run_id)?;
            match run.filter(may_be_adopted) {
                Some(run) => {
                    self.adopt(db, &verified, &run)?;
                    recovery.healed.push(format!(
                        "registered {version}, which its run had saved but could not register"
                    ));
                }
                None => recovery
                    .left
                    .push(Problem::of(version, "is not registered: no unfinished run made it")),
            }
        }
        Ok(())
    }

    fn adopt(&self, db: &mut Db, verified: &Verified, run: &RunRow) -> anyhow::Result<()> {
        let metadata = &verified.metadata;
        let record: Record = metadata
            .rest
            .get(RECORD)
            .map(|record| serde_json::from_value(record.clone()))
            .transpose()
            .map_err(Fault::integrity)
            .with_context(|| format!("cannot read the record of {}", metadata.version))?
            .unwrap_or_default();
        let publication = Publication {
            line: self.line(),
            version: metadata.version,
            parent: metadata.parent,
            run_id: metadata.run_id,
            fence: run.fence,
            seen_until: metadata.seen_until,
            created_at: metadata.created_at,
            manifest_sha256: &verified.manifest_sha256,
            size_bytes: verified.files.size_bytes(),
            record: &record,
        };
        db.commit_publication(&publication, Claim::Adopted)
    }

    fn abandon_dead(&self, db: &mut Db, recovery: &mut Recovery) -> anyhow::Result<()> {
        for run in db.running_runs(self.line())? {
            let gone = match process::is_alive(&run.process) {
                Some(alive) => !alive,
                // Not of this host. Its commit would be refused once its row is closed, so closing is safe.
                None => self.locked_at_s - run.started_at.timestamp() > UNKNOWN_OWNER_S,
            };
            if gone {
                let what = format!(
                    "the process of the run ({} on {}) died, killed or out of memory",
                    run.process.pid, run.process.host
                );
                db.end_run(run.run_id, &End::Abandoned(what), &Figures::default())?;
                recovery.healed.push(format!(
                    "marked the {} run of {} as abandoned: its process died",
                    run.job,
                    run.started_at.format("%Y-%m-%d %H:%M UTC"),
                ));
            } else {
                let what = format!("{} run on {} has not ended", run.job, run.process.host);
                recovery.left.push(Problem::of(self.line(), what));
            }
        }
        Ok(())
    }

    fn discard_incoming(&self, db: &mut Db, recovery: &mut Recovery) -> anyhow::Result<()> {
        for (run_id, changed_at_s) in self.dir.entries()?.incoming {
            let ended = db.find_run(run_id)?.is_some_and(|run| run.status != RunStatus::Running);
            if ended || self.locked_at_s - changed_at_s > UNKNOWN_OWNER_S {
                self.dir.discard(run_id)?;
                recovery.healed.push(format!("removed the half-written files of run {run_id}"));
            } else {
                let what = "half-written files of a run that is not known to have ended";
                recovery.left.push(Problem::of(format!(".incoming-{run_id}"), what));
            }
        }
        Ok(())
    }

    fn mark_missing(&self, db: &mut Db, recovery: &mut Recovery) -> anyhow::Result<()> {
        let present = self.dir.entries()?.versions;
        for row in db.versions(Some(self.line()))? {
            let missing = !present.contains(&row.version);
            if missing == row.missing_since.is_some() {
                continue;
            }
            db.set_missing(self.line(), row.version, missing)?;
            if missing {
                recovery.healed.push(format!("marked {} as missing", row.version));
            } else {
                recovery.healed.push(format!("{} is back", row.version));
            }
        }
        Ok(())
    }

    fn point_links(&self, db: &mut Db, recovery: &mut Recovery) -> anyhow::Result<()> {
        let production = db.production(self.line())?;
        let previous = match db.moves(self.line(), 1)?.pop().and_then(|step| step.from) {
            Some(version) => db.find_version(self.line(), version)?,
            None => None,
        };
        for (link, row) in [(Link::Production, production), (Link::Previous, previous)] {
            self.point_link(link, row.as_ref(), recovery)?;
        }
        Ok(())
    }

    fn point_link(
        &self,
        link: Link,
        row: Option<&VersionRow>,
        recovery: &mut Recovery,
    ) -> anyhow::Result<()> {
        let state = self.dir.link(link)?;
        let right = match row {
            Some(row) => state == LinkState::To(row.version),
            None => state == LinkState::Absent,
        };
        if right {
            return Ok(());
        }
        if let LinkState::Outside(target) = state {
            let path = self.dir.path().join(link.name());
            return Err(Fault::integrity(format!(
                "{} leads out of its directory, to {target}",
                path.display()
            ))
            .hint(format!("somebody made that link by hand; remove it: rm {}", path.display()))
            .into());
        }
        if let Some(row) = row
            && let Err(error) = open(&self.dir, row)
        {
            let what = format!("the link {} stays as it is: {error:#}", link.name());
            recovery.left.push(Problem::of(row.version, what));
            return Ok(());
        }
        self.dir.point(link, row.map(|row| &row.version))?;
        let target = row.map_or("nothing".to_owned(), |row| row.version.to_string());
        recovery.healed.push(format!("pointed the link {} to {target}", link.name()));
        Ok(())
    }
}

/// A run that never got to say how it ended may have saved a version; one that ended otherwise did not mean to.
fn may_be_adopted(run: &RunRow) -> bool {
    match run.status {
        RunStatus::Running => process::is_alive(&run.process) != Some(true),
        RunStatus::Abandoned => true,
        _ => false,
    }
}
