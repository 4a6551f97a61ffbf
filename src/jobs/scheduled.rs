//! What every job that makes a version does around its own work: lock, recovery, the period, the run's row and its end.
//!
//! Not here: the work itself (`weekly`), and the protocol underneath (`registry`).

use std::time::Duration;

use serde_json::Value;

use super::{Stop, Watch, alerts, clock, judge, loading, promote};
use crate::{
    config::App,
    db::{
        model_versions::VersionRow,
        promotions::Action,
        training_log::{End, Figures, TrainingType},
    },
    fault::{Exit, Fault},
    gate::Verdict,
    lineage::{LineName, Period, Status, Version},
    registry::{LockedLine, Run, RunPlan},
};

/// A version takes at most about this much: weights twice, TorchScript, the report; of a mixture of eight the same of each.
const VERSION_BYTES: u64 = 16 << 20;
/// Why a fine-tune stays where it is whose gate had nothing against it.
pub(crate) const PARENT_REPLACED: &str = "its parent was replaced";

/// What is about to run.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// Its name in the training log.
    pub(crate) name: &'a str,
    /// Its line.
    pub(crate) line: &'a LineName,
    /// The period that it is for.
    pub(crate) period: Period,
    /// How much of the model it trains.
    pub(crate) training_type: TrainingType,
    /// Its settings, for the record.
    pub(crate) hyperparameters: &'a Value,
    /// Who or what asked for it, beside the schedule.
    pub(crate) reason: Option<&'a str>,
    /// How long to wait for another run.
    pub(crate) wait: Duration,
}

/// Whether there is something to do.
pub(crate) enum Start {
    /// A run of this period is done, and made this version; the line is locked all the same.
    AlreadyDone(LockedLine, Option<Version>),
    /// The line is locked and what dead runs left is put right.
    Go(LockedLine),
}

/// Locks the line, heals it, and looks whether the period is done.
pub(crate) fn begin(app: &App, job: &Job<'_>, watch: &mut dyn Watch) -> anyhow::Result<Start> {
    let mut db = app.db(job.name)?;
    clock::check(app, &mut db)?;
    let line = LockedLine::lock(&app.models(), job.line, job.wait, job.name)?;
    let recovery = line.recover(&mut db)?;
    for healed in &recovery.healed {
        watch.note(&format!("put right: {healed}"));
    }
    for problem in &recovery.left {
        watch.warn(&format!("{problem}; `aifx doctor` says more"));
    }
    if !app.force
        && let Some(done) = db.completed_in(job.line, job.period)?
    {
        return Ok(Start::AlreadyDone(line, done.version));
    }
    line.dir().preflight(VERSION_BYTES)?;
    Ok(Start::Go(line))
}

/// Puts the run on the record, does its work, and writes how it ended when it made no version. A version's own
/// transaction ends its run.
pub(crate) fn on_record<T>(
    app: &App,
    job: &Job<'_>,
    line: &LockedLine,
    work: impl FnOnce(&Run) -> anyhow::Result<Ended<T>>,
) -> anyhow::Result<T> {
    let run = line.start_run(
        &mut app.db(job.name)?,
        &RunPlan {
            job: job.name,
            training_type: job.training_type,
            period: Some(job.period),
            forced: app.force,
            parent: None,
            hyperparameters: job.hyperparameters,
            reason: job.reason,
            as_of: app.as_of,
        },
    )?;
    let (end, outcome) = match work(&run) {
        Ok(Ended::Published(value)) => {
            tell_of_end(app, job, None);
            return Ok(value);
        }
        Ok(Ended::Completed(value, outcome)) => (End::Completed(outcome), Ok(value)),
        Ok(Ended::Skipped(value, reason)) => (End::Skipped(reason), Ok(value)),
        Err(error) => {
            let text = format!("{error:#}");
            let exit = crate::fault::find(&error).map(Fault::exit);
            let end = match exit {
                Some(Exit::Interrupted | Exit::Terminated) => End::Interrupted(text),
                // The version is saved; the next command registers it and completes this run.
                Some(Exit::Database) => return Err(error),
                _ => End::Failed(text),
            };
            (end, Err(error))
        }
    };
    let written =
        app.db(job.name).and_then(|mut db| db.end_run(run.run_id, &end, &Figures::default()));
    match &end {
        End::Failed(why) => tell_of_end(app, job, Some(why)),
        End::Completed(_) | End::Skipped(_) => tell_of_end(app, job, None),
        End::Interrupted(_) | End::Abandoned(_) => {}
    }
    match (outcome, written) {
        (Err(error), _) => Err(error),
        (Ok(value), written) => written.map(|()| value),
    }
}

/// An alert where a job failed, and its end where one that had failed ends well. What goes wrong with that is a warning: the
/// job is over.
fn tell_of_end(app: &App, job: &Job<'_>, failed: Option<&str>) {
    let cause = format!("job-failed:{}:{}", job.name, job.line);
    let told = app.db(job.name).and_then(|mut db| match failed {
        Some(why) => {
            let message = format!("the {} run of {} failed: {why}", job.name, job.line);
            alerts::raise(app, &mut db, job.line, &cause, &message)
        }
        None => alerts::resolve(app, &mut db, job.line, &cause),
    });
    for text in told.unwrap_or_else(|error| vec![format!("{error:#}")]) {
        tracing::warn!("{text}");
    }
}

/// Where a version stands after its run.
#[derive(Debug, Clone, Default)]
pub(crate) struct After {
    /// Whether it is in production.
    pub(crate) promoted: bool,
    /// Why it was left where it is, though the gate had let it through.
    pub(crate) why: Option<String>,
}

impl After {
    fn left(why: impl Into<String>) -> After {
        After { promoted: false, why: Some(why.into()) }
    }
}

/// Makes a version production when the gate let it through, and says whether it is there. A run that died between
/// publishing and this is finished by the next start in its period; a version that was rolled back stays back, and one whose run
/// was told not to promote stays in staging. A verdict holds for the production that it was given against: against another one the
/// version is judged anew.
pub(crate) fn promote_after(
    app: &App,
    job: &Job<'_>,
    line: &LockedLine,
    version: Option<Version>,
    no_promote: bool,
) -> anyhow::Result<After> {
    let Some(version) = version else { return Ok(After::default()) };
    let mut db = app.db(job.name)?;
    let (rows, moves) = db.standing_at(job.line, app.as_of)?;
    let Some(mut row) = rows.iter().find(|row| row.version == version).cloned() else {
        return Ok(After::default());
    };
    if row.status == Status::Production {
        return Ok(After { promoted: true, why: None });
    }
    let stored = |row: &VersionRow| -> Option<Verdict> {
        row.gate.clone().and_then(|stored| serde_json::from_value(stored).ok())
    };
    let Some(mut verdict) = stored(&row).filter(|verdict| verdict.passed) else {
        return Ok(After::default());
    };
    let all = db.moves(job.line, i64::MAX)?;
    let moved_before = all.iter().any(|step| step.to == version);
    if no_promote || moved_before || row.status != Status::Staging {
        return Ok(After::default());
    }
    if db.told_not_to_promote(job.line, version, job.name)? {
        return Ok(After::left("its run was told not to promote it; `aifx promote` does"));
    }
    if let Some(step) = all.iter().find(|step| step.as_of > app.as_of) {
        let at = step.as_of.format("%F %H:%M UTC");
        return Ok(After::left(format!("production has moved since, to {} on {at}", step.to)));
    }
    let production = rows.iter().find(|row| row.status == Status::Production);
    let from = production.map(|row| row.version);
    if row.parent.is_some() && row.parent != from {
        return Ok(After::left(PARENT_REPLACED));
    }
    if !verdict.is_against(from, judge::move_id(moves.last()).as_deref()) {
        drop(db);
        (verdict, _) = judge::anew(app, job.line, version, Some(line))?;
        db = app.db(job.name)?;
        row.gate = Some(serde_json::to_value(&verdict)?);
        if !verdict.passed {
            return Ok(After::left(format!("judged anew: {}", verdict.summary())));
        }
    }
    let actor = match job.training_type {
        TrainingType::Evaluation => format!("evaluate-{}", job.name),
        TrainingType::Full | TrainingType::Incremental => format!("train-{}", job.name),
    };
    let reason = verdict.summary();
    let models = app.models();
    let request = promote::Request {
        models: &models,
        line: job.line,
        version,
        reason: Some(&reason),
        actor: &actor,
        wait: job.wait,
        force: false,
        as_of: app.as_of,
        judge: None,
    };
    let connect = || app.db(job.name);
    let promoted = promote::move_to(
        line,
        &request,
        Action::Promote,
        &row,
        from,
        db,
        &connect,
        &loading::probe,
    )?;
    Ok(After { promoted, why: None })
}

/// How work that did not fail ended.
pub(crate) enum Ended<T> {
    /// Its version is registered, and with it the run's end.
    Published(T),
    /// It was for something else than a version; in words what came of it.
    Completed(T, String),
    /// It rightly made no version.
    Skipped(T, String),
}

/// The error of a job that was asked to stop.
pub(crate) fn stopped(stop: Stop) -> Fault {
    let (exit, name) = match stop {
        Stop::Interrupt => (Exit::Interrupted, "SIGINT"),
        Stop::Terminate => (Exit::Terminated, "SIGTERM"),
    };
    Fault::new(exit, format!("stopped by {name}"))
        .hint("run the command again: it goes on from the last epoch")
}
