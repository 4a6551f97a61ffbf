//! `monitor`: whether somebody should look at a line, before the account does.
//!
//! Gather ([`scene`]: production, its reference, candles, answers), decide (one [`Alarm`] a question, with its figures whether it
//! rings or not), commit (a row in `monitoring_runs`, alerts raised and closed). All state is derived from the tables: nothing has
//! to be resumed. Not here: the statistics (`drift`, `evaluate`), how people are told (`alerts`).

mod alarms;
mod answers;
mod drift;
mod outlook;
mod results;
mod scene;
mod skill;
mod support;
mod triggers;

pub use answers::{AnswersSeen, LossSeen};
pub use drift::Drift;
pub use outlook::{Outlook, Settled};
pub use results::{Promised, Results};
pub use triggers::Trigger;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use self::scene::Scene;
use super::{
    Watch, alerts, loading, metrics, overdue,
    probation::{self, Watched},
    replay::Cast,
};
use crate::{
    config::{App, LineConfig},
    db::{Db, monitoring_runs::MonitorRow, training_log::JobTimes},
    drift::{CALM_HOURS, Domain},
    fault::Fault,
    lineage::{LineName, Version},
};

/// Days that the longest window of results looks back.
const DAYS: i64 = 30;

/// What the operator asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The line; all of them when not given.
    pub line: Option<LineName>,
    /// Also what takes longer than an hourly run should: whether a model can tell now from the reference, of versions that do not
    /// keep how well their own windows can be told.
    pub explain: bool,
    /// Look, and change nothing.
    pub dry_run: bool,
}

/// What came of it. `aifx.monitor/1`.
#[derive(Debug, Clone, Serialize)]
pub struct MonitorReport {
    /// Each line that was looked at.
    pub lines: Vec<LineWatch>,
    /// What did not arrive of the alerts.
    pub notes: Vec<String>,
    /// Nothing was written.
    pub dry_run: bool,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
}

/// What was seen of a line.
#[derive(Debug, Clone, Serialize)]
pub struct LineWatch {
    /// The line.
    pub line: LineName,
    /// The version that answers; none: little else could be looked at.
    pub version: Option<Version>,
    /// Every question that was asked, whether it rings or not.
    pub alarms: Vec<Alarm>,
    /// What the answers were worth, window by window.
    pub results: Vec<Results>,
    /// Answers of the longest window that were given when the candle closed; the rest are replayed.
    pub n_stored: usize,
    /// What production had shown on its test days.
    pub promised: Promised,
    /// The last window of features against the reference.
    pub drift: Option<Drift>,
    /// What answers should be worth whose labels are not known yet, a timeframe each.
    pub outlook: Vec<Outlook>,
    /// How well the last days can be told from the reference.
    pub domain: Option<Domain>,
    /// The daily loss and the answers themselves against those of the test days.
    pub answers: AnswersSeen,
    /// Promotions that may yet be taken back.
    pub probation: Vec<Watched>,
    /// Jobs that are wanted, and what became of them.
    pub triggers: Vec<Trigger>,
}

/// A question, its answer, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Alarm {
    /// `overdue`, `disk`, `production`, `model-age`, `collapse`, `support`, `data`, `accuracy`, `drift`, `concept`, `predictions`,
    /// `no-skill`, `breaker`, `probation`, `training`, `labels`.
    pub name: &'static str,
    /// Whether somebody should look.
    pub rings: bool,
    /// With figures.
    pub text: String,
}

/// Looks.
///
/// # Errors
/// 3 configuration, 4 data, 5 database. A production version that cannot be loaded is an alarm.
pub fn run(app: &App, request: &Request, watch: &mut dyn Watch) -> anyhow::Result<MonitorReport> {
    let lines = match &request.line {
        Some(_) => vec![app.line(request.line.as_ref())?],
        None => app.config.lines.iter().collect(),
    };
    let mut db = app.db("monitor")?;
    let mut report = MonitorReport {
        lines: Vec::with_capacity(lines.len()),
        notes: Vec::new(),
        dry_run: request.dry_run,
        as_of: app.as_of,
    };
    let mut wanted = Vec::new();
    for line in lines {
        let mut seen = look(app, &mut db, line, request.explain)?;
        if !request.dry_run {
            if take_back(app, line, &mut seen) {
                // What was asked of a version that no longer answers is asked again of the one that does.
                for trigger in &mut seen.triggers {
                    trigger.held.get_or_insert_with(|| "production went back; asked anew".into());
                }
            }
            report.notes.extend(commit(app, &mut db, &seen)?);
            let starts = |place: &usize| seen.triggers[*place].held.is_none();
            let places = (0..seen.triggers.len()).filter(starts);
            wanted.extend(places.map(|place| (line, report.lines.len(), place)));
        }
        report.lines.push(seen);
    }
    // A training takes its time: before one, every line has been looked at, and whoever reads the metrics knows.
    drop(db);
    if !wanted.is_empty() {
        report.notes.extend(metrics::after_the_monitor(app));
    }
    for (line, seen, place) in wanted {
        let trigger = &mut report.lines[seen].triggers[place];
        watch.note(&format!("{} {}: {}", line.0, trigger.job, trigger.reason));
        trigger.ended = Some(triggers::start(app, line, trigger, watch)?);
    }
    Ok(report)
}

/// Asks every question of a line.
fn look(
    app: &App,
    db: &mut Db,
    (name, line): (&LineName, &LineConfig),
    explain: bool,
) -> anyhow::Result<LineWatch> {
    let mut seen = LineWatch {
        line: name.clone(),
        version: None,
        alarms: vec![alarms::disk(app)?],
        results: Vec::new(),
        n_stored: 0,
        promised: Promised::default(),
        drift: None,
        domain: None,
        outlook: Vec::new(),
        answers: AnswersSeen::default(),
        probation: Vec::new(),
        triggers: Vec::new(),
    };
    let last = db.job_times(name, app.as_of)?;
    let n_new = look_at_production(app, db, (name, line), (&last, explain), &mut seen)?;
    let overdue = overdue::of_line(db, name, app.as_of)?;
    let past = triggers::Past::gather(db, name, app.as_of)?;
    seen.triggers =
        triggers::wanted(&seen, &overdue, n_new, &last, &past, &line.triggers, app.as_of);
    seen.alarms.push(alarms::overdue_jobs(&overdue, &seen.triggers));
    seen.alarms.push(alarms::training(line, &seen.triggers));
    if seen.version.is_none() {
        seen.alarms.push(alarms::first_version(db, name)?);
    }
    let cure = db.last_balance(name, app.as_of)?.and_then(|balance| balance.cure());
    if let Some(cure) = cure {
        alarms::add_cure(&mut seen.alarms, &cure);
    }
    Ok(seen)
}

/// Asks what can only be asked where a version answers. How many labelled samples have come since the last training.
fn look_at_production(
    app: &App,
    db: &mut Db,
    (name, line): (&LineName, &LineConfig),
    (last, explain): (&[JobTimes], bool),
    seen: &mut LineWatch,
) -> anyhow::Result<usize> {
    let mut cast = Cast::gather(app, db, name)?;
    let Some(production) = cast.production().cloned() else { return Ok(0) };
    loading::libtorch()?;
    let version = production.version;
    seen.version = Some(version);
    seen.alarms.push(alarms::model_age(app, line, production.created_at));
    // The fine-tunes of a mixture are versions of a night: it is asked as a whole.
    let alone = production.members.is_empty().then_some(version);
    let said = db.last_said(name, alone, app.as_of, alarms::LAST_SIGNALS)?;
    let cure = db.last_balance(name, app.as_of)?.and_then(|balance| balance.cure());
    seen.alarms.push(alarms::labels(&said, cure.as_deref()));
    seen.promised = Promised::of(&production.metrics);
    seen.alarms.push(alarms::collapse(line, &said, &seen.promised, version));
    let loads = cast.actor(version).map(|_| ());
    seen.alarms.push(alarms::production(version, &loads));
    if loads.is_err() {
        return Ok(0);
    }
    if let Ok(actor) = cast.loaded(version) {
        seen.alarms.push(support::of(db, name, actor, app.as_of)?);
    }
    // What answers is asked its own question: the configuration says what the next training makes.
    let line = &cast.own_line(version, line).map_err(Fault::integrity)?;
    let scene = Scene::gather(app, db, (name, line), &mut cast, production)?;
    seen.alarms.push(alarms::data(&scene, app.as_of));
    seen.results = results::of(app, db, (name, line), &scene)?;
    seen.n_stored = scene.answers.n_stored;
    seen.alarms.push(results::accuracy(line, results::month(&seen.results), &seen.promised));
    seen.outlook = outlook::of(&scene, line, &cast, app.as_of);
    let drift = drift::of(&scene);
    seen.alarms.push(drift::alarm(&drift));
    seen.drift = drift.ok();
    seen.domain = drift::domain(&scene, seen.drift.as_ref(), explain);
    seen.answers = answers::of(&scene);
    seen.alarms.push(answers::concept(&seen.answers));
    seen.alarms.push(answers::predictions(&seen.answers));
    if let Some(timid) = &seen.answers.timid
        && let Some(alarm) = seen.alarms.iter_mut().find(|alarm| alarm.name == alarms::COLLAPSE)
    {
        alarm.rings = true;
        alarm.text = format!("{}; {timid}", alarm.text);
    }
    seen.alarms.push(skill::no_skill(app, line, &mut cast, &scene, scene.changed_at));
    seen.alarms.push(skill::breaker(app, db, (name, line))?);
    seen.probation = probation::look(app, line, &mut cast, &scene.material, &scene.samples);
    seen.alarms.push(alarms::probation(line, &seen.probation));
    let trained = triggers::last_trained(last);
    let since = trained.unwrap_or(scene.production.created_at).timestamp_micros();
    let old = scene.samples.partition_point(|sample| sample.decided_at_us <= since);
    Ok(scene.samples.len() - old)
}

/// Goes back to what a promotion replaced that turned out to be worse. What goes wrong with that stands in the alarm, and the
/// next run tries again. Whether production has moved.
fn take_back(app: &App, (name, line): (&LineName, &LineConfig), seen: &mut LineWatch) -> bool {
    let Some(worse) = seen.probation.iter().find(|watched| watched.is_worse()) else {
        return false;
    };
    if !line.probation.rollback {
        return false;
    }
    let Some(production) = seen.version else { return false };
    let taken = probation::take_back(app, name, production, worse);
    let is_moved = taken.is_ok();
    let ended = match taken {
        Ok(()) => format!("{} answers again and {} is barred", worse.replaced, worse.version),
        Err(error) => format!("going back to {} failed: {error:#}", worse.replaced),
    };
    if let Some(alarm) = seen.alarms.iter_mut().find(|alarm| alarm.name == alarms::PROBATION) {
        alarm.text = format!("{}; {ended}", alarm.text);
    }
    is_moved
}

/// Whether drift has not rung for so long that an alarm of it is over.
fn is_calm(app: &App, db: &mut Db, line: &LineName) -> anyhow::Result<bool> {
    let calm = TimeDelta::hours(i64::try_from(CALM_HOURS)?);
    let last = db.last_rang(line, drift::ALARM, app.as_of)?;
    Ok(last.is_none_or(|last| app.as_of - last > calm))
}

/// Raises and closes alerts, and puts the run on the record. Returns what did not arrive.
fn commit(app: &App, db: &mut Db, seen: &LineWatch) -> anyhow::Result<Vec<String>> {
    let name = &seen.line;
    let mut notes = Vec::new();
    for alarm in &seen.alarms {
        let cause = format!("monitor:{}:{name}", alarm.name);
        if alarm.rings {
            notes.extend(alerts::raise(app, db, name, &cause, &alarm.text)?);
        } else if alarm.name != drift::ALARM || is_calm(app, db, name)? {
            notes.extend(alerts::resolve(app, db, name, &cause)?);
        }
    }
    db.record_monitor(name, &row(app, seen)?, app.as_of)?;
    Ok(notes)
}

fn row(app: &App, seen: &LineWatch) -> anyhow::Result<MonitorRow> {
    let ringing: Vec<&Alarm> = seen.alarms.iter().filter(|alarm| alarm.rings).collect();
    let names: Vec<&str> = ringing.iter().map(|alarm| alarm.name).collect();
    let texts: Vec<&str> = ringing.iter().map(|alarm| alarm.text.as_str()).collect();
    Ok(MonitorRow {
        version: seen.version,
        window_from: app.as_of - TimeDelta::days(DAYS),
        n_samples: results::month(&seen.results).map(|figures| figures.n as u64),
        metrics: serde_json::to_value(&seen.results)?,
        drift: seen.drift.as_ref().map(serde_json::to_value).transpose()?,
        domain: seen.domain.as_ref().map(serde_json::to_value).transpose()?,
        probation: serde_json::to_value(&seen.probation)?,
        triggers: serde_json::to_value(&seen.triggers)?,
        verdict: match names.is_empty() {
            true => "none".into(),
            false => format!("alert:{}", names.join(",")),
        },
        reason: (!texts.is_empty()).then(|| texts.join("; ")),
    })
}
