//! SIGKILL and failing system calls at every file and socket call of publishing, promoting and rolling back, by `strace`.
//!
//! After each fault the invariants hold, and the next command heals what was left within two seconds. Of many calls that are
//! alike every third is hit here; `scripts/faults.sh` (`AIFX_FAULTS=all`) hits all of them, with ENOSPC and EIO too.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use aifx::{
    artifact::{Link, LinkState},
    db::{Db, model_versions::Record, training_log::TrainingType},
    fault::Fault,
    lineage::{LineName, Status},
    registry::{self, Candidate, LockedLine, RunPlan},
};
use chrono::DateTime;
use serde_json::Value;

use crate::support::{Home, TestDatabase, tiny_model};

/// Calls that a fault can hit; those of starting a process and of loading libraries are not ours.
const CALLS: [&str; 8] =
    ["write", "fsync", "renameat", "renameat2", "symlinkat", "mkdirat", "sendto", "recvfrom"];
/// No command makes more of one call than this, but for opening the libraries that it loads.
const MOST_CALLS: usize = 400;
/// The next command heals what a fault left within this time.
const HEALED: Duration = Duration::from_secs(2);

/// Whether every call is to be hit, with every fault.
#[allow(clippy::disallowed_methods, reason = "scripts/faults.sh asks for it")]
fn thorough() -> bool {
    std::env::var_os("AIFX_FAULTS").is_some_and(|value| value == "all")
}

struct Field {
    home: Home,
    database: TestDatabase,
}

fn line() -> LineName {
    "fx-direction".parse().expect("a line")
}

impl Field {
    #[allow(clippy::disallowed_methods, reason = "a test plays the user")]
    fn new() -> Field {
        let database = TestDatabase::create();
        Db::over(database.client()).migrate().expect("migrated");
        let home = Home::with_database(&database);
        std::fs::write(home.path().join("aifx.yaml"), "lines:\n  fx-direction: {}\n")
            .expect("written");
        Field { home, database }
    }

    fn models(&self) -> PathBuf {
        self.home.path().join("models")
    }

    /// The command under a fault at its n-th call; gives its exit status, 137 when it was killed.
    fn under_fault(&self, program: &Command, call: &str, fault: &str, n: usize) -> i32 {
        let mut strace = Command::new("strace");
        strace
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("trace={call}"))
            .arg("-e")
            .arg(format!("inject={call}:{fault}:when={n}"))
            .arg(program.get_program())
            .args(program.get_args())
            .env_clear()
            .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
            .current_dir(self.home.path())
            .stdin(Stdio::null());
        crate::support::Run::of(strace.output().expect("strace starts")).status
    }

    /// What must hold after any fault, and must be whole after the next command.
    fn check(&self, what: &str) {
        let mut db = Db::over(self.database.client());
        let rows = db.versions(Some(&line())).expect("read");
        let in_production = rows.iter().filter(|row| row.status == Status::Production).count();
        assert!(in_production <= 1, "{what}: {in_production} production versions");
        let locked = LockedLine::lock(&self.models(), &line(), Duration::from_secs(5), "test")
            .expect("the dead hold no lock");
        let started = Instant::now();
        locked.recover(&mut db).unwrap_or_else(|error| panic!("{what}: {error:#}"));
        assert!(started.elapsed() < HEALED, "{what}: healed only after {:?}", started.elapsed());
        let rows = db.versions(Some(&line())).expect("read");
        let last = db.moves(&line(), 1).expect("read").pop();
        let problems = registry::audit(&self.models(), &line(), &rows, last.as_ref());
        assert_eq!(problems.expect("audited"), [], "{what}");
        assert_eq!(db.running_runs(&line()).expect("read"), [], "{what}");
        let production = rows.iter().find(|row| row.status == Status::Production);
        if let Some(row) = production {
            let link = locked.dir().link(Link::Production).expect("read");
            assert_eq!(link, LinkState::To(row.version), "{what}");
            assert_eq!(last.map(|step| step.to), Some(row.version), "{what}");
        }
        let events = |channel| {
            db_count(&self.database, "SELECT count(*) FROM ml_events WHERE channel = $1", channel)
        };
        let moves = db_count(&self.database, "SELECT count(*) FROM model_promotions", "");
        assert_eq!(events("ml:model_deployed"), moves, "{what}");
        let ended = "SELECT count(*) FROM model_training_log WHERE status = 'completed'";
        assert_eq!(db_count(&self.database, ended, ""), rows.len() as i64, "{what}");
    }
}

fn db_count(database: &TestDatabase, sql: &str, channel: &str) -> i64 {
    let parameters: &[&(dyn postgres::types::ToSql + Sync)] = &[&channel];
    let parameters = if channel.is_empty() { &[] } else { parameters };
    database.client().query_one(sql, parameters).expect("counted").get(0)
}

fn has_strace() -> bool {
    let found = Path::new("/usr/bin/strace").exists();
    if !found {
        eprintln!("skipped: faults are injected by strace, which is not installed");
    }
    found
}

/// Makes one version the way a training job does, in a process of its own that can be killed.
#[test]
#[allow(clippy::disallowed_methods, reason = "the parent test says where")]
fn publishes_where_the_parent_test_says() {
    let Some(models) = std::env::var_os("AIFX_TEST_PUBLISH_INTO") else { return };
    let url = std::env::var("DATABASE_URL").expect("the parent sets it");
    let connect = || {
        postgres::Client::connect(&url, postgres::NoTls)
            .map(Db::over)
            .map_err(|error| Fault::database(error).into())
    };
    let published = (|| -> anyhow::Result<()> {
        let locked = LockedLine::lock(Path::new(&models), &line(), Duration::ZERO, "test")?;
        let mut db = connect()?;
        locked.recover(&mut db)?;
        locked.dir().preflight(1 << 20)?;
        let run = locked.start_run(
            &mut db,
            &RunPlan {
                job: "weekly",
                training_type: TrainingType::Full,
                period: None,
                forced: false,
                parent: None,
                hyperparameters: &Value::Null,
                reason: None,
                as_of: DateTime::UNIX_EPOCH,
            },
        )?;
        let version = locked.next_version(&mut db, false)?;
        drop(db);
        let (files, description) = tiny_model();
        let candidate = Candidate {
            version,
            parent: None,
            seen_until: DateTime::UNIX_EPOCH,
            files,
            description,
            record: Record::default(),
        };
        locked.publish(&connect, &run, candidate)
    })();
    // The parent judges by the exit status, as cron does.
    std::process::exit(if published.is_ok() { 0 } else { 9 });
}

fn publisher(field: &Field) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test binary"));
    command
        .args(["--exact", "faults::publishes_where_the_parent_test_says", "--nocapture"])
        .env("AIFX_TEST_PUBLISH_INTO", field.models())
        .env("DATABASE_URL", field.database.url());
    command
}

/// Moves production between the two versions, whichever answers now.
fn promoter(field: &Field) -> Command {
    let mut db = Db::over(field.database.client());
    let now = db.production(&line()).expect("read").map(|row| row.version.to_string());
    let to = if now.as_deref() == Some("v1.0") { "v1.1" } else { "v1.0" };
    field.home.command(&["promote", to, "--force", "--reason", "a fault"])
}

/// Takes production back to the other of the two versions.
fn roller(field: &Field) -> Command {
    let mut db = Db::over(field.database.client());
    let now = db.production(&line()).expect("read").map(|row| row.version.to_string());
    let to = if now.as_deref() == Some("v1.0") { "v1.1" } else { "v1.0" };
    field.home.command(&["rollback", "--to", to, "--reason", "a fault"])
}

/// Goes through the calls of a command, one fault each, until the command ends well without having met the fault.
fn at_every_call(
    field: &Field,
    faults: &[&str],
    calls: &[&str],
    command: impl Fn() -> Command,
) -> usize {
    let mut n_points = 0;
    for fault in faults {
        for call in calls {
            // A conversation with the database has many turns that are alike; every third stands for them.
            let alike = ["sendto", "recvfrom"].contains(call) && !thorough();
            let step = if alike { 3 } else { 1 };
            for n in (1..=MOST_CALLS).step_by(step) {
                let status = field.under_fault(&command(), call, fault, n);
                field.check(&format!("{fault} at {call} {n}, exit {status}"));
                if status == 0 {
                    break;
                }
                // A library or a setting that cannot be opened has a status of its own.
                let allowed: &[i32] =
                    if *call == "openat" { &[137, 3, 5, 7, 9, 127] } else { &[137, 5, 9] };
                assert!(allowed.contains(&status), "{fault} at {call} {n}: exit {status}");
                n_points += 1;
            }
        }
    }
    eprintln!("{n_points} points of {calls:?} with {faults:?}");
    n_points
}

#[test]
fn a_publication_killed_at_any_call_heals() {
    if !has_strace() {
        return;
    }
    let field = Field::new();
    let n_points = at_every_call(&field, &["signal=KILL"], &CALLS, || publisher(&field));
    assert!(n_points > 30, "only {n_points} points were met");
    let disk: &[&str] = if thorough() { &["error=ENOSPC", "error=EIO"] } else { &["error=ENOSPC"] };
    let calls: &[&str] = if thorough() { &CALLS[1..] } else { &["mkdirat", "fsync", "renameat2"] };
    let n_points = at_every_call(&field, disk, calls, || publisher(&field));
    assert!(n_points > 5, "only {n_points} points were met");
}

/// A field whose two versions have both been in production.
fn two_versions() -> Field {
    let field = Field::new();
    for _ in 0..2 {
        let made = publisher(&field).output().expect("this test binary starts");
        assert!(made.status.success(), "{made:?}");
    }
    // Both ways once, so that every further move goes between two versions that were in production.
    for _ in 0..2 {
        let moved = promoter(&field).current_dir(field.home.path()).output();
        assert!(moved.expect("aifx starts").status.success());
    }
    field
}

/// Faults at the calls of a command that moves production. It writes no file: the first of [`CALLS`] is the terminal's, and
/// what wakes one thread for another, which no disk can refuse.
fn move_under_faults(command: fn(&Field) -> Command) {
    if !has_strace() {
        return;
    }
    let field = two_versions();
    let n_points = at_every_call(&field, &["signal=KILL"], &CALLS[1..], || command(&field));
    assert!(n_points > 20, "only {n_points} points were met");
    if thorough() {
        let faults = ["signal=KILL", "error=ENOSPC", "error=EIO"];
        at_every_call(&field, &faults, &["openat", "unlinkat", "connect"], || command(&field));
        at_every_call(&field, &faults[1..], &CALLS[1..], || command(&field));
    }
}

#[test]
fn a_promotion_killed_at_any_call_heals() {
    move_under_faults(promoter);
}

#[test]
fn a_rollback_killed_at_any_call_heals() {
    move_under_faults(roller);
}

/// SIGKILL does not show what a power cut would: that needs the order of the calls.
#[test]
fn files_are_synced_before_their_name_and_the_name_before_the_row() {
    if !has_strace() {
        return;
    }
    let field = Field::new();
    let trace = field.home.path().join("trace");
    let program = publisher(&field);
    let status = Command::new("strace")
        .args(["-f", "-qq", "-y", "-e", "trace=fsync,renameat2", "-o"])
        .arg(&trace)
        .arg(program.get_program())
        .args(program.get_args())
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("strace starts").success());
    let text = std::fs::read_to_string(&trace).expect("traced");
    let calls: Vec<&str> = text
        .lines()
        .filter(|call| call.contains(".incoming-") || call.contains("fx-direction>"))
        .collect();
    let renamed = calls.iter().position(|call| call.contains("renameat2")).expect("renamed");
    let synced = |end: &str| {
        calls.iter().position(|call| call.contains("fsync") && call.contains(end)).unwrap_or(999)
    };
    let files = ["/metadata.json>", "/model.safetensors>", "/SHA256SUMS>"].map(synced);
    assert!(files.is_sorted(), "the list of checksums comes last: {calls:#?}");
    let dir = calls[..renamed].iter().rposition(|call| {
        call.contains("fsync") && !files.iter().any(|file| calls[*file] == *call)
    });
    assert!(dir.is_some_and(|dir| dir > files[2]), "the directory after its files: {calls:#?}");
    let parent = calls[renamed..].iter().any(|call| call.contains("fx-direction>)"));
    assert!(parent, "the parent after the rename: {calls:#?}");
}
