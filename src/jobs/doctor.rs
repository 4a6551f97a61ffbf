//! Looks at everything that a run depends on and says what is wrong and what would put it right; with `--fix`, puts
//! right what is safe to.
//!
//! Each check stands alone: a database that is away does not keep the disk from being looked at.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{label::LabelReport, loading, models, overdue, weekly};
use crate::{
    artifact::{self, LineDir, Problem},
    db::{Db, events::Backlog},
    fault::{self, Exit, Fault},
    lineage::{LineName, Status},
    registry::{self, Connect, LockedLine},
};

/// Below this a check warns.
pub(super) const FEW_FREE_BYTES: u64 = 1 << 30;
/// Below this a version may not fit any more.
const NO_FREE_BYTES: u64 = 64 << 20;
/// Clocks further apart than this are worth a warning.
const SKEW_WARN_S: i64 = 60;
/// Clocks further apart than this make periods and labels wrong.
const SKEW_FAIL_S: i64 = 3600;
/// The oldest server that is supported.
const OLDEST_SERVER: i32 = 150_000;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// As it should be.
    Ok,
    /// Works, but look at it.
    Warn,
    /// Does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it came out.
    pub status: Health,
    /// What was found.
    pub detail: String,
    /// What puts it right.
    pub fix: Option<String>,
    /// The exit status that a failure deserves.
    #[serde(skip)]
    pub exit: Exit,
}

/// All checks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Whether nothing failed.
    pub ok: bool,
    /// In the order in which they depend on each other.
    pub checks: Vec<Check>,
}

impl Diagnosis {
    /// 0, or the exit status of what failed: registry and artifacts before all else, since they do not come back by
    /// themselves.
    pub fn exit(&self) -> Exit {
        let mut failed = self.checks.iter().filter(|check| check.status == Health::Fail);
        let first = failed.next().map_or(Exit::Done, |check| check.exit);
        if failed.any(|check| check.exit == Exit::Integrity) { Exit::Integrity } else { first }
    }
}

/// What is to be looked at.
pub struct Patient<'a> {
    /// The home directory.
    pub home: &'a Path,
    /// The models directory.
    pub models: &'a Path,
    /// The configured lines.
    pub lines: Vec<LineName>,
    /// The instant that is taken for now.
    pub as_of: DateTime<Utc>,
    /// The host's clock, where it is to be compared.
    pub host_at: Option<DateTime<Utc>>,
    /// Whether events are published.
    pub publishes: bool,
    /// Opens the database, whatever its schema.
    pub connect: Connect<'a>,
    /// A line's labels and costs over the days that its next training takes.
    pub labels: &'a dyn Fn(&LineName) -> anyhow::Result<LabelReport>,
}

/// Looks at everything.
pub fn examine(patient: &Patient<'_>) -> Diagnosis {
    diagnose(patient, Vec::new())
}

/// Puts right what is safe to, then looks at everything.
pub fn fix(patient: &Patient<'_>) -> Diagnosis {
    diagnose(patient, repairs(patient))
}

/// The one check of a home whose configuration cannot be used: nothing else can be looked at.
pub fn unusable(error: &anyhow::Error) -> Diagnosis {
    Diagnosis { ok: false, checks: vec![of_error("configuration", error)] }
}

fn diagnose(patient: &Patient<'_>, repairs: Vec<Check>) -> Diagnosis {
    let mut checks = vec![ok("configuration", lines_text(&patient.lines))];
    checks.push(home(patient.home));
    checks.push(torch());
    checks.extend(models_dir(patient.models));
    checks.push(disk(patient));
    match (patient.connect)() {
        Ok(mut db) => {
            checks.extend(database(&mut db, patient));
            let schema = schema(&mut db).unwrap_or_else(|error| of_error("schema", &error));
            let readable = schema.status == Health::Ok;
            checks.push(schema);
            if readable {
                checks.extend(registry_checks(&mut db, patient));
                checks.extend(patient.publishes.then(|| events(&mut db)));
            }
        }
        Err(error) => checks.push(of_error("database", &error)),
    }
    checks.extend(repairs);
    let ok = checks.iter().all(|check| check.status != Health::Fail);
    Diagnosis { ok, checks }
}

fn repairs(patient: &Patient<'_>) -> Vec<Check> {
    let fix_line = |db: &mut Db, line: &LineName| -> anyhow::Result<Vec<String>> {
        let locked = LockedLine::lock(patient.models, line, Duration::ZERO, "doctor --fix")?;
        Ok(locked.recover(db)?.healed)
    };
    let mut db = match (patient.connect)() {
        Ok(db) => db,
        Err(error) => return vec![of_error("repairs", &error)],
    };
    let lines = match models::lines(&mut db, patient.models) {
        Ok(lines) => lines,
        Err(error) => return vec![of_error("repairs", &error)],
    };
    lines
        .iter()
        .map(|line| match fix_line(&mut db, line) {
            Ok(healed) if healed.is_empty() => ok("repairs", format!("{line}: nothing to do")),
            Ok(healed) => ok("repairs", format!("{line}: {}", healed.join("; "))),
            Err(error) => of_error("repairs", &error),
        })
        .collect()
}

fn home(home: &Path) -> Check {
    match std::fs::metadata(home) {
        Ok(meta) if meta.mode() & 0o002 != 0 => warn(
            "home",
            format!("{} can be written to by everybody", home.display()),
            format!("chmod o-w {}", home.display()),
        ),
        Ok(_) => ok("home", home.display().to_string()),
        Err(error) => fail("home", Exit::Config, format!("{}: {error}", home.display()), None),
    }
}

/// Whether a model could be loaded at all; not its answers, which `models verify` and promotion judge.
fn torch() -> Check {
    match loading::libtorch() {
        Ok(()) => ok("libtorch", "loads".into()),
        Err(error) => of_error("libtorch", &error),
    }
}

fn models_dir(models: &Path) -> Vec<Check> {
    let name = "permissions";
    let shared = || -> anyhow::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        if std::fs::symlink_metadata(models).is_ok_and(|meta| meta.mode() & 0o002 != 0) {
            found.push(models.to_owned());
        }
        for line in artifact::lines_in(models)? {
            if let Some(dir) = LineDir::open(models, &line)? {
                found.extend(dir.world_writable()?);
            }
        }
        Ok(found)
    };
    match shared() {
        Ok(found) => match found.first() {
            None => vec![ok(name, format!("{} is not open to others", models.display()))],
            Some(first) => {
                let detail = format!(
                    "{} can be written to by everybody ({} such places)",
                    first.display(),
                    found.len()
                );
                let fix = Some(format!("chmod -R o-w {}", models.display()));
                vec![fail(name, Exit::Integrity, detail, fix)]
            }
        },
        Err(error) => vec![of_error(name, &error)],
    }
}

/// Bytes free where models go, and where that is.
pub(super) fn free_space<'a>(home: &'a Path, models: &'a Path) -> (anyhow::Result<u64>, &'a Path) {
    let place = if models.is_dir() { models } else { home };
    (artifact::free_bytes(place), place)
}

fn disk(patient: &Patient<'_>) -> Check {
    let (free, place) = free_space(patient.home, patient.models);
    match free {
        Ok(bytes) => {
            let detail = format!("{} MiB free in {}", bytes >> 20, place.display());
            let fix = "free some space; old versions are listed by `aifx models list`".to_owned();
            if bytes < NO_FREE_BYTES {
                fail("disk", Exit::Resource, detail, Some(fix))
            } else if bytes < FEW_FREE_BYTES {
                warn("disk", detail, fix)
            } else {
                ok("disk", detail)
            }
        }
        Err(error) => of_error("disk", &error),
    }
}

fn database(db: &mut Db, patient: &Patient<'_>) -> Vec<Check> {
    let health = match db.health() {
        Ok(health) => health,
        Err(error) => return vec![of_error("database", &error)],
    };
    let answer = format!("PostgreSQL {} answers", health.version);
    let mut checks = vec![if health.version_number < OLDEST_SERVER {
        let fix = Some("upgrade to PostgreSQL 15 or later".into());
        fail("database", Exit::Config, answer, fix)
    } else if health.is_read_only {
        let fix = Some("connect to the primary, as a user who may write".into());
        fail("database", Exit::Config, format!("{answer}, but takes no writes"), fix)
    } else {
        ok("database", answer)
    }];
    checks.push(if health.is_superuser {
        warn(
            "privileges",
            format!("{} is a superuser", health.user),
            "use a role that owns only aifx's tables".into(),
        )
    } else {
        ok("privileges", format!("{} is no superuser", health.user))
    });
    checks.extend(patient.host_at.map(|host_at| clock((host_at - health.at).num_seconds())));
    checks
}

/// Whether what happened is heard.
fn events(db: &mut Db) -> Check {
    match db.event_backlog() {
        Ok(Backlog { waiting: 0, .. }) => ok("events", "all are delivered".into()),
        Ok(Backlog { waiting, oldest, last_error }) => {
            let since = oldest.map(|at| at.format(" since %F %H:%MZ").to_string());
            let why = last_error.map(|why| format!(": {why}"));
            let detail =
                format!("{waiting} wait{}{}", since.unwrap_or_default(), why.unwrap_or_default());
            warn("events", detail, "aifx events deliver, once Redis answers at REDIS_URL".into())
        }
        Err(error) => of_error("events", &error),
    }
}

fn schema(db: &mut Db) -> anyhow::Result<Check> {
    db.require_schema()?;
    Ok(ok("schema", format!("migration {}", db.schema_status()?.found)))
}

fn clock(ahead_s: i64) -> Check {
    let detail = match ahead_s {
        0.. => format!("the host is {ahead_s} s ahead of the database"),
        _ => format!("the host is {} s behind the database", -ahead_s),
    };
    let fix = "set the clocks by NTP".to_owned();
    if ahead_s.abs() > SKEW_FAIL_S {
        fail("clock", Exit::Config, detail, Some(fix))
    } else if ahead_s.abs() > SKEW_WARN_S {
        warn("clock", detail, fix)
    } else {
        ok("clock", detail)
    }
}

/// Artifacts, links and leftovers: the same audit, sorted by what it means.
fn registry_checks(db: &mut Db, patient: &Patient<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    let found = models::verify(db, patient.models, None);
    match found {
        Ok(verification) => {
            let is_link =
                |problem: &&Problem| ["production", "previous"].contains(&problem.version.as_str());
            let (links, rest): (Vec<_>, Vec<_>) = verification.problems.iter().partition(is_link);
            let (leftovers, damage): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|problem| problem.harmless);
            checks.push(of_problems(
                "artifacts",
                &damage,
                format!("{} versions verified", verification.n_versions),
                "`aifx doctor --fix` registers what can be; restore or remove the rest",
            ));
            checks.push(of_problems(
                "links",
                &links,
                "links agree with the database".into(),
                "aifx doctor --fix",
            ));
            checks.push(match leftovers.first() {
                None => ok("leftovers", "none".into()),
                Some(_) => warn(
                    "leftovers",
                    texts(&leftovers),
                    "`aifx doctor --fix` removes those of dead runs; the others are yours".into(),
                ),
            });
        }
        Err(error) => checks.push(of_error("artifacts", &error)),
    }
    checks.push(runs(db, patient).unwrap_or_else(|error| of_error("runs", &error)));
    checks.push(production(db, patient).unwrap_or_else(|error| of_error("production", &error)));
    checks.extend(patient.lines.iter().flat_map(|line| series(patient, line)));
    checks.push(schedule(db, patient).unwrap_or_else(|error| of_error("schedule", &error)));
    checks.push(healed(db, patient).unwrap_or_else(|error| of_error("healed", &error)));
    checks
}

fn runs(db: &mut Db, patient: &Patient<'_>) -> anyhow::Result<Check> {
    let (mut n_at_work, mut dead) = (0, Vec::new());
    let mut lines = models::lines(db, patient.models)?;
    lines.extend(patient.lines.iter().cloned());
    for line in &lines {
        for run in db.running_runs(line)? {
            let since = run.started_at.format("%Y-%m-%d %H:%M UTC");
            let text = format!("the {} run of {line} from {since} says running", run.job);
            if registry::is_dead(&run) {
                dead.push(text);
            } else {
                n_at_work += 1;
            }
        }
    }
    Ok(if dead.is_empty() {
        ok("runs", format!("{n_at_work} at work"))
    } else {
        let detail = format!("{}, but its process died", dead.join("; "));
        warn("runs", detail, "aifx doctor --fix, or the next run".into())
    })
}

fn production(db: &mut Db, patient: &Patient<'_>) -> anyhow::Result<Check> {
    let mut texts = Vec::new();
    let (mut without, mut fixes) = (Vec::new(), Vec::new());
    for line in &patient.lines {
        if let Some(row) = db.production(line)? {
            texts.push(format!("{line} {}", row.version));
            continue;
        }
        without.push(line.to_string());
        let versions = db.versions(Some(line))?;
        let staging = versions.iter().filter(|row| row.status == Status::Staging);
        fixes.push(match staging.map(|row| row.version).max() {
            Some(version) => weekly::first_version(line, version),
            None => format!("aifx train-weekly --line {line}"),
        });
    }
    Ok(if without.is_empty() {
        ok("production", texts.join(", "))
    } else {
        warn(
            "production",
            format!("no version answers for {}", without.join(", ")),
            fixes.join("; "),
        )
    })
}

/// Whether the next training of a line would learn to tell classes apart, and whether its trades on paper cost what they can cost.
fn series(patient: &Patient<'_>, line: &LineName) -> Vec<Check> {
    let found = match (patient.labels)(line) {
        Ok(found) => found,
        // No candles yet, or too few: what reads them says so.
        Err(error) => return vec![ok("labels", format!("{line}: not counted: {error:#}"))],
    };
    let detail = format!("{line}: {}", found.balance);
    let labels = match found.balance.cure() {
        None => ok("labels", detail),
        Some(cure) => warn("labels", detail, cure),
    };
    let costs = match found.costs.first() {
        None => ok("costs", format!("{line}: in units of each pair's price")),
        Some(_) => {
            let detail = format!("{line}: {}", found.costs.join("; "));
            fail("costs", Exit::Config, detail, None)
        }
    };
    vec![labels, costs]
}

fn schedule(db: &mut Db, patient: &Patient<'_>) -> anyhow::Result<Check> {
    let mut late = Vec::new();
    for line in &patient.lines {
        let owed = overdue::of_line(db, line, patient.as_of)?;
        late.extend(owed.into_iter().map(|job| (job.job, format!("{line}: {job}"))));
    }
    Ok(match late.first() {
        None => ok("schedule", "nothing is overdue".into()),
        Some((job, _)) => {
            let texts: Vec<&str> = late.iter().map(|(_, text)| text.as_str()).collect();
            let fix = format!("aifx {job}; `aifx cron check` says whether cron runs it");
            warn("schedule", texts.join("; "), fix)
        }
    })
}

/// What commands put right by themselves lately: nothing to do, but worth knowing.
fn healed(db: &mut Db, patient: &Patient<'_>) -> anyhow::Result<Check> {
    let mut texts = Vec::new();
    for line in &patient.lines {
        let repairs = db.recent_repairs(line)?;
        texts
            .extend(repairs.iter().map(|one| format!("{line}: {} ({:.16} UTC)", one.what, one.at)));
    }
    let nothing = "nothing in the last seven days".to_owned();
    Ok(ok("healed", if texts.is_empty() { nothing } else { texts.join("; ") }))
}

fn of_problems(name: &str, problems: &[&Problem], good: String, fix: &str) -> Check {
    if problems.is_empty() {
        ok(name, good)
    } else {
        fail(name, Exit::Integrity, texts(problems), Some(fix.to_owned()))
    }
}

/// The first few, and how many more.
fn texts(problems: &[&Problem]) -> String {
    const SHOWN: usize = 5;
    let mut texts: Vec<String> = problems.iter().take(SHOWN).map(ToString::to_string).collect();
    if problems.len() > SHOWN {
        texts.push(format!("and {} more", problems.len() - SHOWN));
    }
    texts.join("; ")
}

fn lines_text(lines: &[LineName]) -> String {
    let names: Vec<&str> = lines.iter().map(LineName::as_str).collect();
    match names.len() {
        1 => format!("1 line: {}", names[0]),
        n => format!("{n} lines: {}", names.join(", ")),
    }
}

fn ok(name: &str, detail: String) -> Check {
    Check { name: name.into(), status: Health::Ok, detail, fix: None, exit: Exit::Done }
}

fn warn(name: &str, detail: String, fix: String) -> Check {
    let status = Health::Warn;
    Check { name: name.into(), status, detail, fix: Some(fix), exit: Exit::Done }
}

fn fail(name: &str, exit: Exit, detail: String, fix: Option<String>) -> Check {
    Check { name: name.into(), status: Health::Fail, detail, fix, exit }
}

fn of_error(name: &str, error: &anyhow::Error) -> Check {
    let fault = fault::find(error);
    let exit = fault.map_or(Exit::Resource, Fault::exit);
    let fix = fault.and_then(Fault::hint_text).map(str::to_owned);
    fail(name, exit, format!("{error:#}"), fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_apart_are_warned_about_and_then_refused() {
        let status = |ahead_s| clock(ahead_s).status;
        assert_eq!([status(0), status(-60), status(60)], [Health::Ok; 3]);
        assert_eq!([status(61), status(-3600)], [Health::Warn; 2]);
        assert_eq!([status(3601), status(-86_400)], [Health::Fail; 2]);
    }

    #[test]
    fn a_damaged_registry_outranks_what_comes_back_by_itself() {
        let of = |exits: &[Exit]| Diagnosis {
            ok: false,
            checks: exits.iter().map(|exit| fail("x", *exit, String::new(), None)).collect(),
        };
        assert_eq!(of(&[Exit::Database, Exit::Integrity]).exit(), Exit::Integrity);
        assert_eq!(of(&[Exit::Database, Exit::Resource]).exit(), Exit::Database);
        assert_eq!(of(&[]).exit(), Exit::Done);
    }
}
