//! Versions on disk and in the database as one thing: publish, move production, recover, audit.
//!
//! [`LockedLine`] is the only door to changing anything about a line: it exists while its file lock is held.
//! Files come first and never change; one transaction is the point at which a thing has happened; links are a view that
//! heals. No lock is trusted alone: each commit carries a fencing number that the database checks.
//! Not here: how files are written and verified (`artifact`), SQL (`db`), whether a version deserves production (`gate`).

mod audit;
mod lock;
mod process;
mod recover;

use std::{
    fs::File,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    artifact::{self, LineDir, Link, Metadata, Verified, VersionFiles},
    db::{
        Db,
        model_versions::{Claim, Publication, Record, VersionRow},
        promotions::Move,
        training_log::{NewRun, Process, TrainingType},
    },
    fault::{self, Exit, Fault},
    lineage::{LineName, Period, Status, Version},
};

pub use audit::{audit, audit_version};
pub use process::{actor, is_dead};
pub use recover::Recovery;

/// How long a commit goes on trying to reach the database: a restart must not cost a trained model.
const COMMIT_PATIENCE: Duration = Duration::from_secs(60);
/// The wait after the first try of a commit that failed; each further one is twice as long, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Opens a connection: none is held while a model trains, so each commit opens its own.
pub type Connect<'a> = &'a dyn Fn() -> anyhow::Result<Db>;

/// A line that this process alone may change, until it is dropped.
#[derive(Debug)]
pub struct LockedLine {
    dir: LineDir,
    /// When the lock was taken, by the file system's clock: seconds since 1970.
    locked_at_s: i64,
    patience: Duration,
    // Held for its lock, which the kernel frees when the process dies.
    _lock: File,
}

/// A run on the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its key.
    pub run_id: Uuid,
    /// Its fencing number.
    pub fence: i64,
    /// The instant that it takes for now.
    pub as_of: DateTime<Utc>,
}

/// What a run is about to do.
#[derive(Debug, Clone)]
pub struct RunPlan<'a> {
    /// What runs: `weekly`, `daily`.
    pub job: &'a str,
    /// How much of the model it trains.
    pub training_type: TrainingType,
    /// The period that it is for, when it is scheduled.
    pub period: Option<Period>,
    /// Whether the operator asked for another run within the period.
    pub forced: bool,
    /// What it starts from.
    pub parent: Option<Version>,
    /// Its settings.
    pub hyperparameters: &'a Value,
    /// Why it was asked for.
    pub reason: Option<&'a str>,
    /// The instant that it takes for now.
    pub as_of: DateTime<Utc>,
}

/// A version about to be published.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The version, from [`LockedLine::next_version`] or [`LockedLine::next_daily`].
    pub version: Version,
    /// What it was fine-tuned from.
    pub parent: Option<Version>,
    /// Last instant that it or an ancestor saw.
    pub seen_until: DateTime<Utc>,
    /// Its files; `metadata.json` is made here.
    pub files: VersionFiles,
    /// All that `metadata.json` says beyond its head: features, scaler, lookback, classes.
    pub description: Map<String, Value>,
    /// What the row and the training log say about it.
    pub record: Record,
}

impl LockedLine {
    /// Locks a line for `command`, waiting up to `wait` for another holder. Its directory is made when missing.
    ///
    /// # Errors
    /// Exit 6 naming the holder, 9 when the directory cannot be used.
    pub fn lock(
        models: &Path,
        line: &LineName,
        wait: Duration,
        command: &str,
    ) -> anyhow::Result<LockedLine> {
        let dir = LineDir::create(models, line)?;
        let (lock, locked_at_s) = lock::acquire(&dir, wait, command)?;
        Ok(LockedLine { dir, locked_at_s, patience: COMMIT_PATIENCE, _lock: lock })
    }

    /// Sets how long a commit goes on trying to reach the database, in place of a minute.
    #[must_use]
    pub fn with_patience(self, patience: Duration) -> LockedLine {
        LockedLine { patience, ..self }
    }

    /// The line.
    pub fn line(&self) -> &LineName {
        self.dir.line()
    }

    /// Its directory.
    pub fn dir(&self) -> &LineDir {
        &self.dir
    }

    /// The version of the next training from scratch: the next minor, or with `new_recipe` (features, label or
    /// architecture changed) the next major. Numbers of rows and of directories count, whatever state they are in.
    ///
    /// # Errors
    /// When database or disk fail.
    pub fn next_version(&self, db: &mut Db, new_recipe: bool) -> anyhow::Result<Version> {
        let newest = self.taken(db)?.into_iter().max();
        Ok(match newest {
            None => Version::FIRST,
            Some(newest) if new_recipe => newest.next_major(),
            Some(newest) => newest.next_minor(),
        })
    }

    /// The version of a fine-tune of `parent` made on `day`.
    ///
    /// # Errors
    /// Exit 4 when that version exists already, else when database or disk fail.
    pub fn next_daily(
        &self,
        db: &mut Db,
        parent: Version,
        day: NaiveDate,
    ) -> anyhow::Result<Version> {
        let version = parent.fine_tuned_on(day);
        if self.taken(db)?.contains(&version) {
            return Err(Fault::input(format!("{} {version} exists already", self.line()))
                .hint("one fine-tune a day has a name; the next is tomorrow's")
                .into());
        }
        Ok(version)
    }

    fn taken(&self, db: &mut Db) -> anyhow::Result<Vec<Version>> {
        let mut taken = self.dir.entries()?.versions;
        taken.extend(db.versions(Some(self.line()))?.into_iter().map(|row| row.version));
        Ok(taken)
    }

    /// Puts a run on the record as running, before it does anything else.
    ///
    /// # Errors
    /// When the database fails.
    pub fn start_run(&self, db: &mut Db, plan: &RunPlan<'_>) -> anyhow::Result<Run> {
        let run_id = Uuid::now_v7();
        let process: Process = process::current();
        let fence = db.start_run(&NewRun {
            run_id,
            line: self.line(),
            job: plan.job,
            training_type: plan.training_type,
            period: plan.period,
            forced: plan.forced,
            process: &process,
            parent: plan.parent,
            hyperparameters: plan.hyperparameters,
            reason: plan.reason,
            as_of: plan.as_of,
        })?;
        Ok(Run { run_id, fence, as_of: plan.as_of })
    }

    /// Publishes a version: its files under a private name, synced, renamed; then one transaction with its row, the
    /// end of its run, its score and its event.
    ///
    /// # Errors
    /// Exit 9 when the files cannot be written (nothing is left), 7 when the version's name is taken, 6 when a newer
    /// run overtook this one, 5 when the database stayed away: the model is kept then, and the next command that
    /// changes the line registers it.
    pub fn publish(
        &self,
        connect: Connect<'_>,
        run: &Run,
        candidate: Candidate,
    ) -> anyhow::Result<()> {
        let Candidate { version, parent, seen_until, mut files, mut description, record } =
            candidate;
        description.insert(recover::RECORD.into(), serde_json::to_value(&record)?);
        let metadata = Metadata {
            schema: artifact::SCHEMA,
            aifx: env!("CARGO_PKG_VERSION").into(),
            line: self.line().clone(),
            version,
            parent,
            run_id: run.run_id,
            created_at: run.as_of,
            seen_until,
            rest: description,
        };
        files.insert(artifact::METADATA, metadata.to_bytes())?;
        let doing = || format!("cannot publish {} {version}", self.line());
        let staged = self.dir.stage(run.run_id, &files).with_context(doing)?;
        let sealed = self.dir.seal(staged, &version).with_context(doing)?;
        let publication = Publication {
            line: self.line(),
            version,
            parent,
            run_id: run.run_id,
            fence: run.fence,
            seen_until,
            created_at: run.as_of,
            manifest_sha256: &sealed.manifest_sha256,
            size_bytes: files.size_bytes(),
            record: &record,
        };
        until_committed(connect, self.patience, |db| {
            db.commit_publication(&publication, Claim::Own)
        })
        .map_err(|error| match exit_of(&error) {
            Some(Exit::Database) => {
                anyhow::Error::from(Fault::database(format!("{error:#}")).hint(format!(
                    "the model is saved in {}; run the command again when the database is back: \
                         it registers the model without training it again",
                    self.dir.version_path(&version).display(),
                )))
                .context(doing())
            }
            _ => error.context(doing()),
        })
    }

    /// The files of a registered version, after everything that can be wrong with them was ruled out.
    ///
    /// # Errors
    /// Exit 7 naming the first thing that is wrong.
    pub fn open(&self, row: &VersionRow) -> anyhow::Result<Verified> {
        open(&self.dir, row)
    }

    /// Moves production by one transaction, then the links. The caller has opened and tried the version.
    ///
    /// # Errors
    /// Exit 6 when production moved meanwhile, 5 when the database fails. With 9 the move is done and on the record,
    /// and only the links lag behind; the next command that changes the line corrects them.
    pub fn move_production(&self, connect: Connect<'_>, step: &Move<'_>) -> anyhow::Result<()> {
        until_committed(connect, self.patience, |db| db.commit_move(step))?;
        self.dir
            .point(Link::Production, Some(&step.to))
            .and_then(|()| self.dir.point(Link::Previous, step.from.as_ref()))
            .with_context(|| {
                format!(
                    "{} is the production version of {} now, but its links could not be moved",
                    step.to,
                    self.line()
                )
            })
    }
}

/// The files of a registered version, after everything that can be wrong with them was ruled out; needs no lock, since
/// a version never changes.
///
/// # Errors
/// Exit 7 naming the first thing that is wrong.
pub fn open(dir: &LineDir, row: &VersionRow) -> anyhow::Result<Verified> {
    let verified = dir.open_version(&row.version)?;
    if let Some(registered) = &row.manifest_sha256
        && *registered != verified.manifest_sha256
    {
        return Err(Fault::integrity(format!(
            "{}/{}/{}: is not the list that was registered (expected {registered}, found {})",
            row.line,
            row.version,
            artifact::SUMS,
            verified.manifest_sha256,
        ))
        .hint("the files were replaced as a whole; restore them, or use another version")
        .into());
    }
    Ok(verified)
}

/// The version to load for answers: production's row and its files.
///
/// # Errors
/// Exit 4 when the line has no production version, 7 when its files fail verification.
pub fn open_production(
    models: &Path,
    db: &mut Db,
    line: &LineName,
) -> anyhow::Result<(VersionRow, Verified)> {
    let row = db.production(line)?.ok_or_else(|| {
        Fault::input(format!("{line} has no production version"))
            .hint("`aifx models list` shows what there is; `aifx promote VERSION` makes one answer")
    })?;
    let dir = LineDir::open(models, line)?.ok_or_else(|| {
        Fault::integrity(format!("{} is missing", models.join(line.as_str()).display()))
    })?;
    let verified = open(&dir, &row)?;
    Ok((row, verified))
}

/// Does a commit that is safe to repeat until its outcome is known. Each try looks for what an earlier one has done, so
/// an answer that got lost is never guessed.
fn until_committed(
    connect: Connect<'_>,
    patience: Duration,
    mut commit: impl FnMut(&mut Db) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let deadline = Instant::now() + patience;
    let mut wait = FIRST_WAIT;
    loop {
        // This process had a connection before: whatever keeps it from a new one (a private server that is stopping while
        // another process starts it, say) may pass, and none of it is a reason to give up a version that is saved.
        let connected = connect().map_err(|error| match exit_of(&error) {
            Some(Exit::Database) => error,
            _ => Fault::database(format!("{error:#}")).into(),
        });
        let outcome = connected.and_then(|mut db| commit(&mut db));
        let left = deadline.saturating_duration_since(Instant::now());
        match &outcome {
            Err(error) if exit_of(error) == Some(Exit::Database) && !left.is_zero() => {
                std::thread::sleep(wait.min(left));
                wait = (wait * 2).min(LONGEST_WAIT);
            }
            _ => return outcome,
        }
    }
}

fn exit_of(error: &anyhow::Error) -> Option<Exit> {
    fault::find(error).map(Fault::exit)
}

/// The row of a version among those of its line.
///
/// # Errors
/// Exit 4 naming the nearest version that exists.
pub fn pick(rows: Vec<VersionRow>, line: &LineName, wanted: Version) -> anyhow::Result<VersionRow> {
    // Newest first: of two that are as near, it is the likelier.
    let nearest = rows
        .iter()
        .rev()
        .map(|row| row.version.to_string())
        .min_by_key(|version| strsim::damerau_levenshtein(version, &wanted.to_string()));
    let hint = match nearest {
        Some(nearest) => format!("the nearest is {nearest}; `aifx models list` shows all"),
        None => "the line has no version yet; `aifx train-weekly` makes one".into(),
    };
    rows.into_iter()
        .find(|row| row.version == wanted)
        .ok_or_else(|| Fault::input(format!("{line} has no version {wanted}")).hint(hint).into())
}

/// Whether a version may be moved to, and if not, why.
///
/// # Errors
/// Exit 8 for one that never finished training.
pub fn check_movable(row: &VersionRow) -> anyhow::Result<()> {
    if row.status == Status::Training {
        let why = format!("{} {} has not finished training", row.line, row.version);
        return Err(Fault::new(Exit::Refused, why).into());
    }
    Ok(())
}
