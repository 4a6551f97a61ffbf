//! The registry on a real PostgreSQL: what a crash at each step leaves, and what the next command makes of it.

use std::{os::unix::fs::symlink, path::PathBuf, time::Duration};

use aifx::{
    artifact::{self, Link, LinkState, METADATA, MODEL, Metadata, VersionFiles},
    db::{
        Db,
        model_versions::{Claim, Publication, Record, VersionRow},
        promotions::{Action, Move},
        training_log::{Figures, RunStatus, TrainingType},
        trials::Trial,
    },
    fault::{Exit, Fault, find},
    gate::{Track, Verdict},
    jobs::{doctor, models, promote, rollback},
    lineage::{LineName, Period, Status, Version},
    registry::{self, Candidate, LockedLine, Run, RunPlan},
};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::{Home, TestDatabase, tiny_model};

const SCHEMA: &str = concat!(
    include_str!("../../migrations/V3__registry.sql"),
    include_str!("../../migrations/V4__repairs.sql"),
    include_str!("../../migrations/V10__ensemble.sql"),
    include_str!("../../migrations/V12__gate.sql")
);

/// A verdict that lets a version through.
fn passed() -> Value {
    json!({"passed": true, "track": "refresh", "preset": "standard", "against": "the baselines", "n": 100, "n_days": 10,
           "n_trials": 1, "budget": null, "rules": []})
}

struct Field {
    database: TestDatabase,
    home: TempDir,
    hyperparameters: Value,
}

fn as_of() -> DateTime<Utc> {
    "2025-10-19T01:00:00Z".parse().expect("an instant")
}

fn line() -> LineName {
    "fx-direction".parse().expect("a line")
}

fn version(text: &str) -> Version {
    text.parse().expect("a version")
}

fn exit(error: &anyhow::Error) -> Option<Exit> {
    find(error).map(Fault::exit)
}

impl Field {
    fn new() -> Field {
        let database = TestDatabase::create();
        Db::over(database.client()).migrate().expect("migrated");
        Field {
            database,
            home: tempfile::tempdir().expect("a folder"),
            hyperparameters: json!({"epochs": 2}),
        }
    }

    fn db(&self) -> Db {
        Db::over(self.database.client())
    }

    fn connect(&self) -> anyhow::Result<Db> {
        postgres::Client::connect(self.database.url(), postgres::NoTls)
            .map(Db::over)
            .map_err(|error| Fault::database(error).into())
    }

    fn models(&self) -> PathBuf {
        self.home.path().join("models")
    }

    fn lock(&self) -> LockedLine {
        LockedLine::lock(&self.models(), &line(), Duration::ZERO, "test")
            .expect("locked")
            .with_patience(Duration::ZERO)
    }

    fn start(&self, locked: &LockedLine, period: Option<Period>) -> Run {
        let plan = RunPlan {
            job: "weekly",
            training_type: TrainingType::Full,
            period,
            forced: false,
            parent: None,
            hyperparameters: &self.hyperparameters,
            reason: None,
            as_of: as_of(),
        };
        locked.start_run(&mut self.db(), &plan).expect("on the record")
    }

    fn publish(&self, locked: &LockedLine) -> Version {
        let run = self.start(locked, None);
        let version = locked.next_version(&mut self.db(), false).expect("numbered");
        locked.publish(&|| self.connect(), &run, candidate(version)).expect("published");
        version
    }

    fn promote(&self, locked: &LockedLine, to: &str) -> anyhow::Result<()> {
        let mut db = self.db();
        let from = db.production(&line())?.map(|row| row.version);
        let line = line();
        let step = Move {
            move_id: Uuid::now_v7(),
            line: &line,
            action: Action::Promote,
            from,
            to: version(to),
            actor: "test",
            reason: Some("because"),
            gate: None,
            selected_until: None,
            forced: false,
            fence: db.next_fence()?,
            as_of: as_of(),
        };
        locked.move_production(&|| self.connect(), &step)
    }

    fn row(&self, of: &str) -> VersionRow {
        self.db().find_version(&line(), version(of)).expect("read").expect("registered")
    }

    fn statuses(&self) -> Vec<(String, Status)> {
        let rows = self.db().versions(Some(&line())).expect("read");
        rows.into_iter().map(|row| (row.version.to_string(), row.status)).collect()
    }

    fn count(&self, sql: &str) -> i64 {
        self.database.client().query_one(sql, &[]).expect("counted").get(0)
    }

    /// Gives a run's row the mark of a process that is gone.
    fn kill(&self, run: &Run) {
        self.database
            .client()
            .execute(
                "UPDATE model_training_log SET process_started_ticks = 1 WHERE run_id = $1",
                &[&run.run_id],
            )
            .expect("marked");
    }

    fn problems(&self) -> Vec<String> {
        let mut db = self.db();
        let rows = db.versions(Some(&line())).expect("read");
        let last = db.moves(&line(), 1).expect("read").pop();
        registry::audit(&self.models(), &line(), &rows, last.as_ref())
            .expect("audited")
            .iter()
            .map(ToString::to_string)
            .collect()
    }
}

fn candidate(version: Version) -> Candidate {
    let mut files = VersionFiles::new();
    files.insert(MODEL, vec![7; 1000]).expect("a name");
    Candidate {
        version,
        parent: None,
        seen_until: as_of(),
        files,
        description: Map::from_iter([("lookback".to_owned(), json!(60))]),
        record: Record {
            members: Vec::new(),
            metrics: json!({"test": {"accuracy": 0.51}}),
            gate: Some(passed()),
            figures: Figures {
                n_train: Some(700),
                test_accuracy: Some(0.51),
                ..Figures::default()
            },
            trial: Some(Trial {
                track: Track::Refresh,
                scored_from: as_of(),
                scored_until: as_of(),
                n_samples: 150,
                n_days: 12,
                metrics: json!({"log_loss": 1.05}),
                passed: None,
            }),
        },
    }
}

#[test]
fn a_published_version_is_one_row_one_directory_one_score_and_one_event() {
    let field = Field::new();
    let locked = field.lock();
    locked.recover(&mut field.db()).expect("nothing to do on a fresh home");
    let run = field.start(&locked, Some(Period::weekly(as_of())));
    let first = locked.next_version(&mut field.db(), false).expect("numbered");
    assert_eq!(first, version("v1.0"));
    locked.publish(&|| field.connect(), &run, candidate(first)).expect("published");

    let row = field.row("v1.0");
    assert_eq!((row.status, row.run_id), (Status::Staging, Some(run.run_id)));
    let verified = registry::open(locked.dir(), &row).expect("verified");
    assert_eq!(verified.metadata.rest["lookback"], 60);
    let log = field.db().find_run(run.run_id).expect("read").expect("there");
    assert_eq!((log.status, log.version), (RunStatus::Completed, Some(first)));
    assert!(log.finished_at.is_some());
    assert!(field.db().completed_in(&line(), Period::weekly(as_of())).expect("read").is_some());
    assert_eq!(field.count("SELECT n_train FROM model_training_log"), 700);
    assert_eq!(field.count("SELECT count(*) FROM trials"), 1);
    assert_eq!(field.db().count_trials(&line(), None, as_of()).expect("counted"), 1);
    let events = field.db().pending_events(10).expect("read");
    let channels: Vec<&str> = events.iter().map(|event| event.channel.as_str()).collect();
    assert_eq!(channels, ["ml:training_started", "ml:training_completed"]);
    let refused = Some((events[1].id, "redis is down"));
    field.db().events_published(&[events[0].id], refused).expect("recorded");
    let backlog = field.db().event_backlog().expect("counted");
    assert_eq!((backlog.waiting, backlog.last_error.as_deref()), (1, Some("redis is down")));
    assert_eq!(field.db().pending_events(10).expect("read").len(), 1);
    assert_eq!(field.problems(), [] as [&str; 0]);
}

#[test]
fn promotion_moves_rows_links_and_the_record_together() {
    let field = Field::new();
    let locked = field.lock();
    for _ in 0..3 {
        field.publish(&locked);
    }
    field.promote(&locked, "v1.0").expect("moved");
    field.promote(&locked, "v1.2").expect("moved");
    assert_eq!(
        field.statuses(),
        [
            ("v1.0".into(), Status::Archived),
            ("v1.1".into(), Status::Staging),
            ("v1.2".into(), Status::Production)
        ]
    );
    let link = |link| locked.dir().link(link).expect("read");
    assert_eq!(link(Link::Production), LinkState::To(version("v1.2")));
    assert_eq!(link(Link::Previous), LinkState::To(version("v1.0")));
    let moves = field.db().moves(&line(), 10).expect("read");
    assert_eq!(moves[0].from, Some(version("v1.0")));
    assert_eq!(moves[0].reason.as_deref(), Some("because"));
    assert_eq!(
        field.count("SELECT count(*) FROM ml_events WHERE channel = 'ml:model_deployed'"),
        2
    );
    assert_eq!(field.problems(), [] as [&str; 0]);
}

#[test]
fn a_move_made_twice_is_made_once_and_a_stale_one_is_refused() {
    let field = Field::new();
    let locked = field.lock();
    for _ in 0..2 {
        field.publish(&locked);
    }
    let line = line();
    let mut db = field.db();
    let stale_fence = db.next_fence().expect("a number");
    let step = Move {
        move_id: Uuid::now_v7(),
        line: &line,
        action: Action::Promote,
        from: None,
        to: version("v1.0"),
        actor: "test",
        reason: None,
        gate: None,
        selected_until: None,
        forced: false,
        fence: db.next_fence().expect("a number"),
        as_of: as_of(),
    };
    db.commit_move(&step).expect("moved");
    db.commit_move(&step).expect("moved already");
    assert_eq!(field.count("SELECT count(*) FROM model_promotions"), 1);
    // Somebody who looked before that move.
    let unaware = Move { move_id: Uuid::now_v7(), to: version("v1.1"), ..step.clone() };
    let error = db.commit_move(&unaware).expect_err("production is v1.0 by now");
    assert_eq!(exit(&error), Some(Exit::Locked), "{error:#}");
    // Somebody who was stopped for long and has an old number.
    let stale = Move {
        move_id: Uuid::now_v7(),
        from: Some(version("v1.0")),
        to: version("v1.1"),
        fence: stale_fence,
        ..step
    };
    let error = db.commit_move(&stale).expect_err("an old fencing number");
    assert_eq!(exit(&error), Some(Exit::Locked), "{error:#}");
    assert_eq!(field.statuses()[0].1, Status::Production);
}

#[test]
fn killed_while_training_is_abandoned_and_its_period_is_free() {
    let field = Field::new();
    let period = Period::weekly(as_of());
    let locked = field.lock();
    let dead = field.start(&locked, Some(period));
    field.kill(&dead);
    let recovery = locked.recover(&mut field.db()).expect("recovered");
    assert_eq!(recovery.healed.len(), 1, "{recovery:?}");
    let log = field.db().find_run(dead.run_id).expect("read").expect("there");
    assert_eq!(log.status, RunStatus::Abandoned);
    assert!(field.db().completed_in(&line(), period).expect("read").is_none());
    let retry = field.start(&locked, Some(period));
    locked.publish(&|| field.connect(), &retry, candidate(version("v1.0"))).expect("published");
    assert!(locked.recover(&mut field.db()).expect("clean").healed.is_empty());
}

#[test]
fn killed_between_files_and_rename_leaves_nothing() {
    let field = Field::new();
    let locked = field.lock();
    let dead = field.start(&locked, None);
    let files = candidate(version("v1.0")).files;
    drop(locked.dir().stage(dead.run_id, &files).expect("staged"));
    field.kill(&dead);
    assert_eq!(field.problems().len(), 1);
    locked.recover(&mut field.db()).expect("recovered");
    assert_eq!(locked.dir().entries().expect("read"), artifact::Entries::default());
    assert_eq!(field.problems(), [] as [&str; 0]);
    assert_eq!(field.publish(&locked), version("v1.0"));
}

#[test]
fn killed_between_rename_and_commit_is_registered_without_training_again() {
    let field = Field::new();
    let period = Period::weekly(as_of());
    let locked = field.lock();
    let dead = field.start(&locked, Some(period));
    // The database is away when the training ends.
    let away = || Err(Fault::database("connection refused").into());
    let error = locked.publish(&away, &dead, candidate(version("v1.0"))).expect_err("no database");
    assert_eq!(exit(&error), Some(Exit::Database), "{error:#}");
    let hint = find(&error).and_then(Fault::hint_text).expect("a hint").to_owned();
    assert!(hint.contains("the model is saved in"), "{hint}");
    assert_eq!(field.statuses(), []);
    assert!(field.problems()[0].contains("not registered"), "{:?}", field.problems());

    field.kill(&dead);
    let recovery = locked.recover(&mut field.db()).expect("recovered");
    assert!(recovery.healed[0].starts_with("registered v1.0"), "{recovery:?}");
    assert_eq!(field.row("v1.0").metrics["test"]["accuracy"], 0.51);
    assert_eq!(field.count("SELECT n_train FROM model_training_log"), 700);
    assert_eq!(field.count("SELECT count(*) FROM trials"), 1);
    assert!(field.db().completed_in(&line(), period).expect("read").is_some());
    assert_eq!(field.problems(), [] as [&str; 0]);
    assert!(locked.recover(&mut field.db()).expect("clean").healed.is_empty());
}

#[test]
fn a_saved_version_whose_period_was_retried_meanwhile_is_registered_outside_it() {
    let field = Field::new();
    let period = Period::weekly(as_of());
    let locked = field.lock();
    let dead = field.start(&locked, Some(period));
    let away = || Err(Fault::database("connection refused").into());
    locked.publish(&away, &dead, candidate(version("v1.0"))).expect_err("no database");
    // A retry that had not looked: its number was taken from the directory.
    let retry = field.start(&locked, Some(period));
    let next = locked.next_version(&mut field.db(), false).expect("numbered");
    assert_eq!(next, version("v1.1"));
    locked.publish(&|| field.connect(), &retry, candidate(next)).expect("published");
    field.kill(&dead);
    locked.recover(&mut field.db()).expect("recovered");
    assert_eq!(field.statuses().len(), 2);
    assert_eq!(field.count("SELECT count(*) FROM model_training_log WHERE period_key IS NULL"), 1);
}

#[test]
fn a_run_that_was_given_up_cannot_publish() {
    let field = Field::new();
    let locked = field.lock();
    let stopped = field.start(&locked, None);
    field.kill(&stopped);
    locked.recover(&mut field.db()).expect("given up");
    let error = locked
        .publish(&|| field.connect(), &stopped, candidate(version("v1.0")))
        .expect_err("too late");
    assert_eq!(exit(&error), Some(Exit::Locked), "{error:#}");
    assert_eq!(field.statuses(), []);
}

#[test]
fn numbers_of_directories_and_rows_are_never_used_again() {
    let field = Field::new();
    let locked = field.lock();
    field.publish(&locked);
    std::fs::create_dir(locked.dir().path().join("v1.9")).expect("made");
    assert_eq!(field.publish(&locked), version("v1.10"));
    std::fs::remove_dir_all(locked.dir().path().join("v1.10")).expect("removed");
    let next = |recipe| locked.next_version(&mut field.db(), recipe).expect("numbered");
    assert_eq!(next(false), version("v1.11"));
    assert_eq!(next(true), version("v2.0"));
    let day = "2025-10-21".parse().expect("a day");
    let daily = locked.next_daily(&mut field.db(), version("v1.0"), day).expect("free");
    std::fs::create_dir(locked.dir().version_path(&daily)).expect("made");
    let error = locked.next_daily(&mut field.db(), version("v1.0"), day).expect_err("taken");
    assert_eq!(exit(&error), Some(Exit::Input), "{error:#}");
}

#[test]
fn links_heal_and_one_that_leads_outside_is_refused() {
    let field = Field::new();
    let locked = field.lock();
    for _ in 0..2 {
        field.publish(&locked);
    }
    field.promote(&locked, "v1.0").expect("moved");
    field.promote(&locked, "v1.1").expect("moved");
    let path = locked.dir().path().join("production");
    let put: [&dyn Fn(); 4] = [
        &|| {},
        &|| symlink("v1.0", &path).expect("linked"),
        &|| symlink("production", &path).expect("linked"),
        &|| std::fs::create_dir(&path).expect("made"),
    ];
    for put in put {
        std::fs::remove_file(&path).expect("the link was there");
        put();
        assert_eq!(field.problems().len(), 1);
        locked.recover(&mut field.db()).expect("healed");
        let link = locked.dir().link(Link::Production).expect("read");
        assert_eq!(link, LinkState::To(version("v1.1")));
    }
    std::fs::remove_file(&path).expect("the link was there");
    symlink("/etc", &path).expect("linked");
    let error = locked.recover(&mut field.db()).expect_err("outside");
    assert_eq!(exit(&error), Some(Exit::Integrity), "{error:#}");
}

#[test]
fn a_version_whose_directory_is_gone_is_missing_until_it_is_back() {
    let field = Field::new();
    let locked = field.lock();
    field.publish(&locked);
    field.promote(&locked, "v1.0").expect("moved");
    let (path, aside) = (locked.dir().version_path(&version("v1.0")), field.home.path().join("a"));
    std::fs::rename(&path, &aside).expect("moved");
    locked.recover(&mut field.db()).expect("recovered");
    assert!(field.row("v1.0").missing_since.is_some());
    let error = registry::open_production(&field.models(), &mut field.db(), &line())
        .expect_err("never served");
    assert_eq!(exit(&error), Some(Exit::Integrity), "{error:#}");
    std::fs::rename(&aside, &path).expect("moved back");
    locked.recover(&mut field.db()).expect("recovered");
    assert_eq!(field.row("v1.0").missing_since, None);
    assert_eq!(field.row("v1.0").status, Status::Production);
}

#[test]
fn files_replaced_as_a_whole_do_not_pass_for_the_version() {
    let field = Field::new();
    let locked = field.lock();
    field.publish(&locked);
    // Another directory that is consistent in itself, under the version's name.
    let dir = locked.dir();
    let genuine = dir.open_version(&version("v1.0")).expect("verified");
    std::fs::remove_dir_all(dir.version_path(&version("v1.0"))).expect("removed");
    let mut files = VersionFiles::new();
    files.insert(MODEL, vec![8; 1000]).expect("a name");
    let metadata = Metadata { run_id: Uuid::now_v7(), ..genuine.metadata };
    files.insert(METADATA, metadata.to_bytes()).expect("a name");
    let staged = dir.stage(Uuid::now_v7(), &files).expect("staged");
    dir.seal(staged, &version("v1.0")).expect("sealed");
    let error = registry::open(dir, &field.row("v1.0")).expect_err("replaced");
    assert!(format!("{error:#}").contains("not the list that was registered"), "{error:#}");
    assert_eq!(exit(&error), Some(Exit::Integrity));
    assert_eq!(field.problems().len(), 1);
}

#[test]
fn rows_edited_by_hand_lead_nowhere() {
    let field = Field::new();
    let locked = field.lock();
    field.publish(&locked);
    for hostile in ["../v1.0", "/etc/passwd", "%2e%2e%2f", "v1.0/../../x", "-rf"] {
        let mut client = field.database.client();
        client.execute("UPDATE model_versions SET version = $1", &[&hostile]).expect("edited");
        let error = field.db().versions(Some(&line())).expect_err(hostile);
        assert_eq!(exit(&error), Some(Exit::Integrity), "{hostile}: {error:#}");
    }
}

#[test]
fn the_migration_extends_tables_that_exist() {
    let database = TestDatabase::create();
    let mut client = database.client();
    client
        .batch_execute(
            "CREATE TABLE model_versions (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), version text, status text,
                 is_active boolean);
             INSERT INTO model_versions (version, status) VALUES ('lstm_2023', 'production'), ('lstm_2024', 'production');
             CREATE TABLE model_training_log (log_id serial PRIMARY KEY, status text NOT NULL DEFAULT 'running');
             INSERT INTO model_training_log DEFAULT VALUES;",
        )
        .expect("made");
    client.batch_execute(SCHEMA).expect("extended");
    client.batch_execute(SCHEMA).expect("and again");
    let mut db = Db::over(client);
    assert_eq!(db.versions(None).expect("read"), []);
    assert_eq!(db.running_runs(&line()).expect("read"), []);
}

fn request<'a>(models: &'a std::path::Path, line: &'a LineName, of: &str) -> promote::Request<'a> {
    promote::Request {
        models,
        line,
        version: version(of),
        reason: Some("better since May"),
        actor: "test",
        wait: Duration::ZERO,
        force: false,
        as_of: as_of(),
        judge: None,
    }
}

#[test]
fn the_promote_job_refuses_what_it_must_and_is_done_twice_at_no_harm() {
    let field = Field::new();
    let locked = field.lock();
    for _ in 0..2 {
        field.publish(&locked);
    }
    let (models, line) = (field.models(), line());
    let good: promote::Probe<'_> = &|files| files.require(MODEL).map(drop);
    let connect = || field.connect();
    let run = |of: &str, probe| promote::run(&request(&models, &line, of), &connect, probe);

    let error = run("v1.0", good).expect_err("the lock is held");
    assert_eq!(exit(&error), Some(Exit::Locked), "{error:#}");
    drop(locked);

    let error = run("v1.7", good).expect_err("unknown");
    assert_eq!(exit(&error), Some(Exit::Input), "{error:#}");
    let hint = find(&error).and_then(Fault::hint_text).expect("a hint");
    assert!(hint.starts_with("the nearest is v1."), "{hint}");

    let error = run("v1.0", &|_| Err(Fault::integrity("answers differ").into()))
        .expect_err("the probe fails");
    assert_eq!(exit(&error), Some(Exit::Integrity), "{error:#}");
    assert_eq!(field.count("SELECT count(*) FROM model_promotions"), 0);

    let planned = promote::plan(&request(&models, &line, "v1.0"), &connect, good).expect("a plan");
    assert!(!planned.moved);
    assert_eq!(field.count("SELECT count(*) FROM model_promotions"), 0);

    let first = run("v1.0", good).expect("moved");
    assert_eq!((first.from, first.moved), (None, true));
    let again = run("v1.0", good).expect("nothing to do");
    assert_eq!((again.from, again.moved), (Some(version("v1.0")), false));
    assert_eq!(field.count("SELECT count(*) FROM model_promotions"), 1);

    // The damage of the production version does not keep another from taking its place.
    let model = models.join("fx-direction/v1.0").join(MODEL);
    std::fs::remove_file(&model).expect("removed");
    // What passed against the baselines passed against no production; with the lock it is judged anew.
    let error = run("v1.1", good).expect_err("judged against something else");
    assert_eq!(exit(&error), Some(Exit::Refused), "{error:#}");
    let says = format!("{error:#}");
    assert!(says.contains("judged against the baselines, and production is v1.0"), "{says}");
    let judged = |against: &str, is_passed: bool, until: &str| -> Verdict {
        let mut verdict = passed();
        verdict["against"] = against.into();
        verdict["passed"] = is_passed.into();
        verdict["until"] = until.into();
        let last = field.db().moves(&line, 1).expect("read").pop().and_then(|step| step.move_id);
        verdict["move_id"] = last.expect("a key").to_string().into();
        serde_json::from_value(verdict).expect("a verdict")
    };
    let anew = |of: &str, verdict: &Verdict, probe| {
        let judge: promote::Judge<'_> = &|locked| {
            assert!(locked.is_some(), "judged before the line was locked");
            Ok(verdict.clone())
        };
        let request = promote::Request { judge: Some(judge), ..request(&models, &line, of) };
        promote::run(&request, &connect, probe)
    };
    let until = "2025-10-18T20:00:00Z";
    let error = anew("v1.1", &judged("v1.0", false, until), good).expect_err("refused anew");
    assert_eq!(exit(&error), Some(Exit::Refused), "{error:#}");
    assert_eq!(field.row("v1.1").selected_until, None, "a verdict alone selects by nothing");
    let second = anew("v1.1", &judged("v1.0", true, until), good).expect("moved");
    assert_eq!(second.from, Some(version("v1.0")));
    // The days that spoke for it are days that it was chosen by.
    let selected = field.row("v1.1").selected_until.expect("set by the promotion");
    assert_eq!(selected.to_rfc3339(), "2025-10-18T20:00:00+00:00");
    let error = anew("v1.0", &judged("v1.1", true, until), good).expect_err("damaged");
    assert_eq!(exit(&error), Some(Exit::Integrity), "{error:#}");
}

#[test]
fn models_are_listed_shown_compared_and_verified() {
    let field = Field::new();
    let locked = field.lock();
    for _ in 0..2 {
        field.publish(&locked);
    }
    field.promote(&locked, "v1.0").expect("moved");
    let (mut db, at, line) = (field.db(), field.models(), line());
    let list = models::list(&mut db, None).expect("listed");
    assert_eq!(list.models.len(), 2);
    let shown = serde_json::to_value(&list).expect("JSON");
    let keys: Vec<&String> = shown["models"][0].as_object().expect("an entry").keys().collect();
    assert_eq!(keys[..5], ["line", "version", "status", "parent", "created_at"]);
    let details = models::show(&mut db, &at, &line, version("v1.0")).expect("shown");
    assert_eq!(details.metadata["lookback"], 60);
    assert_eq!((details.report, details.problems), (None, vec![]));
    let diff = models::diff(&mut db, &at, &line, version("v1.0"), version("v1.1")).expect("told");
    let keys: Vec<&str> = diff.differences.iter().map(|found| found.key.as_str()).collect();
    assert_eq!(keys, ["version", "run_id"]);
    assert!(models::verify(&mut db, &at, None).expect("verified").ok);

    let model = at.join("fx-direction/v1.1").join(MODEL);
    let file = std::fs::OpenOptions::new().append(true).open(&model).expect("opened");
    file.set_len(999).expect("truncated");
    let found = models::verify(&mut db, &at, None).expect("verified");
    let [problem] = found.problems.as_slice() else { panic!("{found:?}") };
    assert_eq!((problem.version.as_str(), problem.file.as_deref()), ("v1.1", Some(MODEL)));
    assert!(problem.expected.is_some() && problem.found.is_some());
    let one = models::verify_version(&mut db, &at, &line, version("v1.0")).expect("verified");
    assert!(one.ok);
    let details = models::show(&mut db, &at, &line, version("v1.1")).expect("shown all the same");
    assert_eq!((details.metadata, details.problems.len()), (Value::Null, 1));
}

#[test]
fn the_doctor_names_what_is_wrong_and_mends_what_is_safe() {
    let field = Field::new();
    let locked = field.lock();
    for _ in 0..2 {
        field.publish(&locked);
    }
    field.promote(&locked, "v1.0").expect("moved");
    drop(locked);
    let (models, connect) = (field.models(), || field.connect());
    let patient = doctor::Patient {
        publishes: false,
        home: field.home.path(),
        models: &models,
        lines: vec![line()],
        as_of: as_of(),
        host_at: Some(field.db().health().expect("asked").at),
        connect: &connect,
        labels: &|_| Err(Fault::input("no candles").into()),
    };
    let failed = |diagnosis: &doctor::Diagnosis| -> Vec<String> {
        let bad = diagnosis.checks.iter().filter(|check| check.status == doctor::Health::Fail);
        bad.map(|check| check.name.clone()).collect()
    };
    assert_eq!(failed(&doctor::examine(&patient)), [] as [&str; 0]);
    std::fs::remove_file(models.join("fx-direction/production")).expect("removed");
    let found = doctor::examine(&patient);
    assert_eq!(failed(&found), ["links"]);
    assert_eq!(found.exit(), Exit::Integrity);
    assert_eq!(failed(&doctor::fix(&patient)), [] as [&str; 0]);
    let check = |diagnosis: &doctor::Diagnosis, name: &str| {
        diagnosis.checks.iter().find(|check| check.name == name).cloned().expect("looked at")
    };
    let after = doctor::examine(&patient);
    let healed = check(&after, "healed").detail;
    assert!(healed.contains("pointed the link production to v1.0"), "{healed}");
    assert_eq!(check(&after, "schedule").detail, "nothing is overdue");
    let patient = doctor::Patient { as_of: as_of() + chrono::TimeDelta::days(3), ..patient };
    let late = check(&doctor::examine(&patient), "schedule");
    assert_eq!(late.status, doctor::Health::Warn);
    let owed = "fx-direction: train-daily is overdue since 2025-10-20 01:00 UTC (missed 2 times)";
    assert_eq!(late.detail, owed);
    std::fs::remove_file(models.join("fx-direction/v1.1").join(MODEL)).expect("removed");
    assert_eq!(failed(&doctor::fix(&patient)), ["artifacts"]);
    let away = doctor::Patient {
        connect: &|| Err(Fault::database("connection refused").into()),
        ..patient
    };
    let found = doctor::examine(&away);
    assert_eq!((failed(&found), found.exit()), (vec!["database".into()], Exit::Database));
}

/// Probation looks for seconds or minutes; whoever was promoted meanwhile does not go for what another did.
#[test]
fn a_way_back_takes_back_only_what_it_names() {
    let field = Field::new();
    let locked = field.lock();
    for to in ["v1.0", "v1.1", "v1.2"] {
        assert_eq!(field.publish(&locked).to_string(), to);
        field.promote(&locked, to).expect("promoted");
    }
    drop(locked);
    let (models, line) = (field.models(), line());
    let back = |from: &str| {
        let request = rollback::Request {
            models: &models,
            line: &line,
            from: Some(version(from)),
            to: Some(version("v1.0")),
            reason: Some("worse"),
            actor: "probation",
            wait: Duration::ZERO,
            dry_run: false,
            as_of: as_of(),
        };
        rollback::run(&request, &|| field.connect(), &|_| Ok(()))
    };
    let error = back("v1.1").expect_err("v1.2 came meanwhile");
    assert_eq!(exit(&error), Some(Exit::Locked), "{error:#}");
    assert!(error.to_string().contains("is v1.2 by now, and v1.1 was to be taken back"), "{error}");
    let production = || field.db().production(&line).expect("read").map(|row| row.version);
    assert_eq!(production(), Some(version("v1.2")));
    back("v1.2").expect("what it names");
    assert_eq!(production(), Some(version("v1.0")));
}

#[test]
fn what_a_user_sees_of_promote_models_and_doctor() {
    let field = Field::new();
    let mut home = Home::empty();
    home.set("DATABASE_URL", field.database.url());
    let at = home.path().join("models");
    let locked = LockedLine::lock(&at, &line(), Duration::ZERO, "test").expect("locked");
    for n in 0..4 {
        let run = field.start(&locked, None);
        let version = locked.next_version(&mut field.db(), false).expect("numbered");
        let (mut files, mut description) = tiny_model();
        match n {
            2 => files.insert(MODEL, "no weights").expect("a name"),
            3 => drop(description.insert("temperature".into(), json!(2.0))),
            _ => {}
        }
        let candidate = Candidate { files, description, ..candidate(version) };
        locked.publish(&|| field.connect(), &run, candidate).expect("published");
    }
    drop(locked);
    write(&home.path().join("aifx.yaml"), "lines:\n  fx-direction: {}\n");

    let promoted = home.json(&["promote", "v1.0", "--reason", "first"]);
    let keys: Vec<&String> = promoted.as_object().expect("an object").keys().collect();
    assert_eq!(keys[..5], ["schema", "line", "from", "to", "seconds"]);
    assert_eq!((&promoted["from"], &promoted["to"]), (&Value::Null, &json!("v1.0")));
    assert!(home.ok(&["promote", "v1.0"]).stdout.contains("v1.0 is production already"));
    // As if they had been judged against what is in production by now.
    let verdicts =
        "UPDATE model_versions SET gate = gate || jsonb_build_object('against', 'v1.0', 'move_id',
                        (SELECT run_id FROM model_promotions))";
    field.database.client().execute(verdicts, &[]).expect("judged");
    let planned = home.ok(&["promote", "v1.1", "--dry-run"]).stdout;
    assert!(planned.contains("would move production from v1.0 to v1.1"), "{planned}");
    home.run(&["promote", "v1.7"]).refuses(4, &["has no version v1.7", "the nearest is v1.3"]);
    home.run(&["promote", "v1.2"]).refuses(7, &["cannot load v1.2"]);
    home.run(&["promote", "v1.3"]).refuses(7, &["the probe's answers differ"]);
    for hostile in ["../x", "/etc/passwd", "v1.0/../v1.1", "%2e%2e%2f"] {
        home.run(&["promote", hostile]).refuses(2, &["is not a version"]);
    }
    home.run(&["promote", "v1.0", "--line", "other"]).refuses(2, &["other"]);
    let held = LockedLine::lock(&at, &line(), Duration::ZERO, "train-weekly").expect("locked");
    home.run(&["promote", "v1.1"]).refuses(6, &["train-weekly, process", "--wait"]);
    drop(held);

    let list = home.json(&["models", "list"]);
    assert_eq!(list["models"][0]["status"], "production");
    assert!(home.ok(&["models", "show", "v1.0"]).stdout.contains("v1.0 (production)"));
    assert!(home.ok(&["models", "diff", "v1.0", "v1.1"]).stdout.contains("run_id"));
    assert_eq!(home.json(&["models", "verify"])["ok"], true);
    assert_eq!(home.json(&["doctor"])["ok"], true);

    write(&at.join("fx-direction/v1.1").join(MODEL), "not a model");
    let run = home.run(&["models", "verify", "--json"]);
    let found = run.document();
    assert_eq!((run.status, &found["ok"]), (7, &json!(false)));
    assert_eq!(found["problems"][0]["file"], MODEL);
    home.run(&["promote", "v1.1"]).refuses(7, &["v1.1/model.safetensors", "checksum differs"]);
    assert_eq!(home.run(&["doctor"]).status, 7);
    home.set("DATABASE_URL", "host=/nowhere user=aifx dbname=none");
    assert_eq!(home.run(&["doctor"]).status, 5);
    home.run(&["promote", "v1.0"]).refuses(5, &["cannot connect"]);
    std::fs::remove_file(home.path().join("aifx.yaml")).expect("removed");
    assert_eq!(home.run(&["doctor", "--json"]).document()["checks"][0]["name"], "configuration");
}

#[allow(clippy::disallowed_methods, reason = "a test plays the user and the vandal")]
fn write(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).expect("written");
}

#[test]
fn a_database_that_comes_back_in_time_costs_nothing() {
    let field = Field::new();
    let locked = field.lock().with_patience(Duration::from_secs(30));
    let run = field.start(&locked, None);
    let n_tries = std::cell::Cell::new(0);
    let restarting = || {
        n_tries.set(n_tries.get() + 1);
        match n_tries.get() {
            1 => Err(Fault::database("connection refused").into()),
            // The private server of a home, stopped by one process while another starts it.
            2 => Err(Fault::resource("pg_ctl: could not start server").into()),
            _ => field.connect(),
        }
    };
    locked.publish(&restarting, &run, candidate(version("v1.0"))).expect("published");
    assert_eq!((n_tries.get(), field.statuses().len()), (3, 1));
}

#[test]
fn a_server_that_cannot_be_started_keeps_a_saved_version_for_the_next_run() {
    let field = Field::new();
    let locked = field.lock().with_patience(Duration::ZERO);
    let run = field.start(&locked, None);
    let broken = || Err(Fault::resource("pg_ctl: could not start server").into());
    let error = locked.publish(&broken, &run, candidate(version("v1.0"))).expect_err("no server");
    assert_eq!(exit(&error), Some(Exit::Database), "{error:#}");
    assert!(field.statuses().is_empty());
    field.kill(&run);
    let recovery = locked.recover(&mut field.db()).expect("recovers");
    assert!(
        recovery.healed.iter().any(|text| text.contains("registered v1.0")),
        "{:?}",
        recovery.healed
    );
    assert_eq!(field.statuses().len(), 1);
}

#[test]
fn a_commit_whose_answer_was_lost_is_not_made_twice() {
    let field = Field::new();
    let locked = field.lock();
    let run = field.start(&locked, None);
    let Candidate { version, seen_until, files, record, .. } = candidate(version("v1.0"));
    let (line, size_bytes) = (line(), files.size_bytes());
    let publication = Publication {
        line: &line,
        version,
        parent: None,
        run_id: run.run_id,
        fence: run.fence,
        seen_until,
        created_at: as_of(),
        manifest_sha256: "",
        size_bytes,
        record: &record,
    };
    for _ in 0..2 {
        field.db().commit_publication(&publication, Claim::Own).expect("once or again");
    }
    assert_eq!(field.count("SELECT count(*) FROM model_versions"), 1);
    assert_eq!(field.count("SELECT count(*) FROM trials"), 1);
    assert_eq!(field.count("SELECT count(*) FROM ml_events"), 2);
    // The same version by another run is another matter.
    let other = field.start(&locked, None);
    let stolen = Publication { run_id: other.run_id, fence: other.fence, ..publication };
    let error = field.db().commit_publication(&stolen, Claim::Own).expect_err("taken");
    assert_eq!(exit(&error), Some(Exit::Integrity), "{error:#}");
}

#[test]
fn the_registry_at_an_instant_is_what_the_moves_up_to_then_made_of_it() {
    let field = Field::new();
    let locked = field.lock();
    for _ in 0..3 {
        field.publish(&locked);
    }
    for to in ["v1.0", "v1.1", "v1.2"] {
        field.promote(&locked, to).expect("moved");
    }
    // Made on the 1st, the 8th and the 15th, promoted the day after.
    let client = || field.database.client();
    for (of, day) in [("v1.0", 1), ("v1.1", 8), ("v1.2", 15)] {
        let at = |hour: u32| format!("2025-10-{:02}T{hour:02}:00:00Z", day + hour / 24);
        client()
            .batch_execute(&format!(
                "UPDATE model_versions SET created_at = '{}' WHERE version = '{of}';
                 UPDATE model_promotions SET as_of = '{}' WHERE to_version = '{of}'",
                at(1),
                format_args!("2025-10-{:02}T01:00:00Z", day + 1),
            ))
            .expect("dated");
    }
    let standing = |at: &str| {
        let (rows, moves) =
            field.db().standing_at(&line(), at.parse().expect("an instant")).expect("read");
        let rows = rows.iter().map(|row| format!("{} {}", row.version, row.status));
        (rows.collect::<Vec<_>>(), moves.len())
    };
    assert_eq!(standing("2025-09-30T00:00:00Z"), (vec![], 0));
    assert_eq!(standing("2025-10-01T12:00:00Z"), (vec!["v1.0 staging".into()], 0));
    assert_eq!(standing("2025-10-03T00:00:00Z"), (vec!["v1.0 production".into()], 1));
    let early: Vec<String> = vec!["v1.0 production".into(), "v1.1 staging".into()];
    assert_eq!(standing("2025-10-08T12:00:00Z"), (early, 1));
    let late: Vec<String> =
        vec!["v1.0 archived".into(), "v1.1 archived".into(), "v1.2 production".into()];
    assert_eq!(standing("2025-11-01T00:00:00Z"), (late, 3));
    // Names are taken, whenever the versions were made.
    assert_eq!(locked.next_version(&mut field.db(), false).expect("numbered"), version("v1.3"));
}

#[test]
fn the_change_track_counts_its_verdicts_and_neither_forced_moves_nor_the_future() {
    let field = Field::new();
    let mut db = field.db();
    let at = |day: u32| -> DateTime<Utc> {
        format!("2025-10-{day:02}T01:00:00Z").parse().expect("an instant")
    };
    let trial = |track, passed| Trial {
        track,
        scored_from: at(1),
        scored_until: at(2),
        n_samples: 10,
        n_days: 2,
        metrics: json!({"sharpe": 1.0, "returns": {"2025-10-01": 0.01}}),
        passed,
    };
    let mut judge = |of: &str, track, day: u32| {
        db.record_trial(&line(), version(of), Uuid::now_v7(), &trial(track, Some(true)), at(day))
            .expect("recorded");
    };
    judge("v1.0", Track::Change, 1);
    judge("v1.1", Track::Change, 2);
    judge("v1.1", Track::Change, 3);
    judge("v1.2", Track::Refresh, 4);
    judge("v2.0", Track::Change, 20);
    let client = || field.database.client();
    for (of, forced, day) in [("v1.0", true, 2), ("v1.1", false, 3), ("v2.0", false, 21)] {
        client()
            .execute(
                "INSERT INTO model_promotions (line, action, to_version, forced, as_of, fence)
                 VALUES ('fx-direction', 'promote', $1, $2, $3, nextval('aifx_fence'))",
                &[&of, &forced, &at(day)],
            )
            .expect("moved");
    }
    let mut db = field.db();
    let mut counted = |but: Option<&str>, day| {
        db.change_trials(&line(), but.map(version), at(1) - chrono::TimeDelta::days(300), at(day))
            .expect("counted")
    };
    // Three verdicts on two versions; one promotion on a verdict, the other was forced.
    assert_eq!(counted(None, 10), (3, 1));
    // Its own promotions are no discoveries of its history, its verdicts count all the same.
    assert_eq!(counted(Some("v1.1"), 10), (3, 0));
    assert_eq!(counted(None, 25), (4, 2));
    assert_eq!(field.db().count_trials(&line(), Some(version("v1.1")), at(10)).expect("n"), 2);
    assert_eq!(field.db().trial_returns(&line(), None, at(10)).expect("read").len(), 3);
}
