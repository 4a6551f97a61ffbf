//! The spine, as a user walks it: a home, candles, a dataset, a model, production; and what each step says to wrong input.

use std::{process::Stdio, time::Duration};

use serde_json::Value;

use crate::support::{Home, Run, TestDatabase};

const AS_OF: &str = "2025-10-19T00:00:00Z";

const CONFIG: &str = "\
lines:
  fx-direction:
    pairs: [EUR/USD, GBP/USD]
    timeframes: [1h]
    model: {kind: lstm, hidden: [8, 6], dense: 4, dropout: [0.1, 0.1, 0.1]}
    ensemble: {members: 1}
    weekly: {days: 60, epochs: 3, min_samples: 300}
";

struct Field {
    home: Home,
    database: TestDatabase,
}

impl Field {
    /// A home with a small line and an empty, migrated database.
    fn new() -> Field {
        let database = TestDatabase::create();
        let home = Home::with_database(&database);
        home.write("aifx.yaml", CONFIG);
        home.ok(&["init"]);
        Field { home, database }
    }

    /// The same with a simulated market.
    fn with_market(edge: &str) -> Field {
        let field = Field::new();
        field.home.ok(&[
            "simulate",
            "--candles",
            "1400",
            "--seed",
            "5",
            "--edge",
            edge,
            "--end",
            AS_OF,
        ]);
        field
    }

    fn json(&self, args: &[&str]) -> Value {
        let mut all = vec!["--as-of", AS_OF];
        all.extend(args);
        self.home.json(&all)
    }

    fn run(&self, args: &[&str]) -> Run {
        let mut all = vec!["--as-of", AS_OF];
        all.extend(args);
        self.home.run(&all)
    }

    fn count(&self, sql: &str) -> i64 {
        self.database.client().query_one(sql, &[]).expect(sql).get(0)
    }
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default()
}

fn has_keys(value: &Value, wanted: &[&str]) {
    for key in wanted {
        assert!(value.get(key).is_some(), "no {key} among {:?}", keys(value));
    }
}

#[test]
fn from_nothing_to_a_verified_production_version() {
    let field = Field::with_market("1");
    has_keys(
        &field.json(&[
            "simulate",
            "--candles",
            "1400",
            "--seed",
            "5",
            "--edge",
            "1",
            "--end",
            AS_OF,
        ]),
        &["schema", "pairs", "timeframe", "candles", "seed", "edge", "bayes_accuracy"],
    );
    assert_eq!(
        field.count("SELECT count(*) FROM market_data_revisions"),
        0,
        "the same candles change nothing"
    );

    let label = field.json(&["label"]);
    has_keys(&label, &["rule", "counts", "settled", "pending"]);
    assert_eq!(keys(&label["counts"]), ["sell", "hold", "buy"]);

    let export =
        field.json(&["export", "--features", "v1", "--labels", "volatility", "--output", "out"]);
    assert_eq!(export["files"][0]["path"], "candles.csv");
    assert_eq!(export["files"][0]["rows"], 2800);
    let header =
        std::fs::read_to_string(field.home.path().join("out/candles.csv")).expect("written");
    let header = header.lines().next().expect("a header").to_owned();
    assert!(
        header.starts_with("pair,timeframe,timestamp,open,high,low,close,volume,")
            && header.ends_with(",label")
    );
    assert_eq!(header.split(',').count(), 8 + 38 + 1);

    let trained = field.json(&["train-weekly"]);
    has_keys(
        &trained,
        &[
            "line",
            "version",
            "status",
            "reason",
            "directory",
            "samples",
            "test",
            "baselines",
            "gate",
            "promoted",
        ],
    );
    assert_eq!((&trained["version"], &trained["status"]), (&"v1.0".into(), &"staging".into()));
    has_keys(&trained["baselines"], &["majority", "indicator"]);
    assert_eq!(trained["test"]["out_of_sample"], true);
    let directory = field.home.path().join("models/fx-direction/v1.0");
    for file in [
        "model.safetensors",
        "model.pt",
        "metadata.json",
        "metrics.json",
        "history.csv",
        "reference.json",
        "probe.safetensors",
        "report.html",
        "SHA256SUMS",
    ] {
        assert!(directory.join(file).exists(), "{file} is missing");
    }
    assert_eq!(field.count("SELECT count(*) FROM trials"), 1);
    let page = std::fs::read_to_string(directory.join("report.html")).expect("a page");
    assert!(
        page.contains("Against the baselines") && page.contains("<svg") && page.len() < 1_000_000
    );
    assert!(
        !page.contains("http") && !page.contains("<script"),
        "the page fetches and runs nothing"
    );

    let again = field.json(&["train-weekly"]);
    assert_eq!((&again["status"], &again["version"]), (&"already-done".into(), &"v1.0".into()));

    let moved = field.json(&["promote", "v1.0", "--force", "--reason", "first"]);
    has_keys(&moved, &["line", "from", "to", "seconds"]);
    assert_eq!(field.json(&["models", "verify"])["ok"], true);
    let list = field.json(&["models", "list"]);
    has_keys(&list["models"][0], &["line", "version", "status", "parent", "created_at"]);
    assert_eq!(list["models"][0]["status"], "production");
    assert_eq!(field.json(&["status"])["lines"][0]["production"], "v1.0");
    let doctor = field.json(&["doctor"]);
    has_keys(&doctor["checks"][0], &["name", "status", "detail", "fix"]);
    assert_eq!(doctor["ok"], true);
    let backtest = field.json(&["backtest", "v1.0"]);
    assert_eq!(backtest["out_of_sample"], false, "the range holds training days");
}

#[test]
fn the_same_seed_and_data_make_the_same_weights() {
    let weights = || {
        let field = Field::with_market("1");
        field.json(&["train-weekly"]);
        std::fs::read(field.home.path().join("models/fx-direction/v1.0/model.safetensors"))
            .expect("written")
    };
    assert_eq!(weights(), weights());
}

#[test]
fn shuffled_labels_score_at_chance_and_publish_nothing() {
    let field = Field::with_market("1");
    let report = field.json(&["train-weekly", "--shuffle-labels"]);
    assert_eq!(report["status"], "checked");
    let loss = |value: &Value| value["log_loss"].as_f64().expect("a loss");
    let (model, majority) = (loss(&report["test"]), loss(&report["baselines"]["majority"]));
    assert!(model > majority - 0.02, "{model} against {majority}: something leaks");
    assert_eq!(field.json(&["models", "list"])["models"], Value::Array(Vec::new()));
    assert_eq!(field.count("SELECT count(*) FROM model_training_log"), 0);
}

#[test]
fn a_killed_training_goes_on_and_ends_as_if_it_had_not_been_killed() {
    let whole = Field::with_market("1");
    whole.json(&["train-weekly", "--epochs", "12"]);
    let field = Field::with_market("1");
    let mut child = field
        .home
        .command(&["--as-of", AS_OF, "train-weekly", "--epochs", "12"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starts");
    let checkpoint = field.home.path().join("data/checkpoints/fx-direction.checkpoint");
    for _ in 0..600 {
        if checkpoint.exists() || child.try_wait().expect("a child").is_some() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.kill().expect("killed");
    child.wait().expect("ended");
    let finished = field.json(&["train-weekly", "--epochs", "12"]);
    assert_eq!(finished["version"], "v1.0");
    let weights = |field: &Field| {
        std::fs::read(field.home.path().join("models/fx-direction/v1.0/model.safetensors"))
            .expect("written")
    };
    assert_eq!(weights(&field), weights(&whole));
    assert!(!checkpoint.exists(), "a checkpoint of a published version is of no use");
    assert_eq!(field.count("SELECT count(*) FROM model_training_log WHERE status = 'running'"), 0);
}

#[test]
fn a_stopped_training_says_so_within_seconds_and_marks_its_row() {
    let field = Field::with_market("1");
    let child = field
        .home
        .command(&["--as-of", AS_OF, "train-weekly", "--epochs", "5000", "--log-format", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starts");
    let checkpoint = field.home.path().join("data/checkpoints/fx-direction.checkpoint");
    for _ in 0..1000 {
        if checkpoint.exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let pid = rustix::process::Pid::from_raw(child.id() as i32).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
    let run = Run::of(child.wait_with_output().expect("ended"));
    run.refuses(143, &["stopped by SIGTERM", "goes on from the last epoch"]);
    assert_eq!(
        field.count("SELECT count(*) FROM model_training_log WHERE status = 'interrupted'"),
        1
    );
}

#[test]
fn what_cannot_be_trained_says_why() {
    let empty = Field::new();
    empty
        .run(&["train-weekly"])
        .refuses(4, &["no 1h candles for EUR/USD between", "the table has none at all"]);
    empty.run(&["label"]).refuses(4, &["no 1h candles"]);
    empty.run(&["export"]).refuses(4, &["no candles match"]);
    empty.run(&["backtest", "v1.0"]).refuses(4, &["no 1h candles"]);
    empty.run(&["promote", "v1.0"]).refuses(4, &["has no version v1.0"]);

    let few = Field::new();
    few.home.ok(&["simulate", "--candles", "160", "--end", AS_OF]);
    let report = few.json(&["train-weekly"]);
    assert_eq!(report["status"], "skipped");
    assert!(
        report["reason"].as_str().expect("a reason").contains("samples are too few"),
        "{report}"
    );
    assert_eq!(few.count("SELECT count(*) FROM model_training_log WHERE status = 'skipped'"), 1);

    let flat = Field::with_market("1");
    let mut client = flat.database.client();
    client
        .batch_execute("UPDATE market_data SET open = 1.1, high = 1.1, low = 1.1, close = 1.1")
        .expect("flat");
    flat.run(&["train-weekly"]).refuses(4, &["training labels are hold"]);
    client
        .batch_execute("UPDATE market_data SET high = 1.0, low = 1.0 WHERE pair = 'EUR/USD'")
        .expect("broken");
    flat.run(&["train-weekly"])
        .refuses(4, &["cannot read 1h candles of EUR/USD", "high 1 is below open 1.1"]);
    client
        .batch_execute("UPDATE market_data SET close = 'NaN' WHERE pair = 'EUR/USD'")
        .expect("broken");
    flat.run(&["train-weekly"]).refuses(4, &["close NaN is not a finite number"]);
    flat.run(&["train-weekly", "--device", "cuda:9", "--days", "30"]).refuses(4, &["close NaN"]);
}

#[test]
fn rows_that_are_no_candles_are_counted_and_left_out_only_where_that_was_asked_for() {
    let field = Field::with_market("1");
    let mut client = field.database.client();
    client
        .batch_execute(
            "UPDATE market_data SET high = low / 2
              WHERE pair = 'EUR/USD' AND timestamp = '2025-10-01T10:00:00Z';",
        )
        .expect("one bad row");
    field.run(&["train-weekly", "--dry-run"]).refuses(
        4,
        &[
            "1 of ",
            "rows are no candles (1 × high not the highest): candle at 2025-10-01",
            "bad_candles: drop",
        ],
    );
    field.home.write("aifx.yaml", &format!("database: {{bad_candles: drop}}\n{CONFIG}"));
    let run = field.run(&["train-weekly", "--dry-run"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.stderr.contains("1 × high not the highest") && run.stderr.contains("left out"),
        "{run:?}"
    );
    // Many are no accident.
    client
        .batch_execute(
            "UPDATE market_data SET low = high + 1
              WHERE pair = 'EUR/USD' AND timestamp BETWEEN '2025-10-01' AND '2025-10-02';",
        )
        .expect("a bad day");
    field.run(&["train-weekly", "--dry-run"]).refuses(4, &["rows are no candles"]);
}

#[test]
fn what_does_not_fit_into_memory_is_refused_with_both_figures() {
    let field = Field::with_market("1");
    field.home.write("aifx.yaml", &format!("limits: {{memory_mib: 64}}\n{CONFIG}"));
    field.run(&["train-weekly"]).refuses(
        9,
        &[
            "candles with 38 features need about 302 MiB",
            "limits.memory_mib in aifx.yaml allows 64 MiB",
            "fewer days",
        ],
    );
    assert_eq!(field.count("SELECT count(*) FROM model_versions"), 0);
}

#[test]
fn settings_that_make_no_sense_are_refused_before_anything_is_written() {
    let field = Field::with_market("0");
    field.run(&["train-weekly", "--device", "gpu"]).refuses(2, &["auto, cpu or cuda:0"]);
    field
        .run(&["train-weekly", "--device", "cuda:9"])
        .refuses(3, &["cuda:9 was asked for", "--device cpu"]);
    field.run(&["train-weekly", "--epochs", "0"]).refuses(2, &["0 is not in 1..=10000"]);
    field.run(&["train-weekly", "--line", "other"]).refuses(2, &["other"]);
    field.run(&["train-weekly", "--line", "../x"]).refuses(2, &["not a line name"]);
    field.run(&["simulate", "--edge=-1"]).refuses(2, &["edge"]);
    field.run(&["label", "--rule", "fixed:-1"]).refuses(2, &["must be above 0"]);
    field.run(&["export", "--features", "v2"]).refuses(2, &["v1"]);
    field.home.write(
        "aifx.yaml",
        "lines:\n  fx-direction:\n    weekly: {epoch: 3, lr: 0}\n    lookbak: 60\n",
    );
    field.run(&["status"]).refuses(3, &["aifx.yaml:3", "epochs", "aifx.yaml:4", "lookback", "lr"]);
}

#[test]
fn a_database_that_is_away_or_refuses_is_named_without_its_password() {
    let mut home = Home::empty();
    home.write("aifx.yaml", CONFIG);
    home.set("DATABASE_URL", "postgresql://me:s3cr3t@127.0.0.1:1/fx");
    let run = home.run(&["status"]);
    run.refuses(5, &["cannot connect to postgresql://me@127.0.0.1:1/fx", "refused"]);
    assert!(!run.stderr.contains("s3cr3t"));
    home.set("DATABASE_URL", "postgresql://[");
    home.run(&["status"]).refuses(3, &["DATABASE_URL cannot be understood"]);
    let nowhere = Home::empty();
    nowhere.run(&["status"]).refuses(3, &["aifx.yaml", "aifx init"]);
}

#[test]
fn an_existing_aifx_schema_is_extended_and_loses_nothing() {
    let database = TestDatabase::create();
    let mut client = database.client();
    client
        .batch_execute(
            "CREATE TABLE market_data (
                 id uuid PRIMARY KEY, pair varchar(20) NOT NULL, timeframe varchar(10) NOT NULL,
                 timestamp timestamptz NOT NULL, open numeric(20,8) NOT NULL, high numeric(20,8) NOT NULL,
                 low numeric(20,8) NOT NULL, close numeric(20,8) NOT NULL, volume numeric(30,8),
                 technical_indicators jsonb DEFAULT '{}', source text, created_at timestamptz DEFAULT now());
             INSERT INTO market_data (id, pair, timeframe, timestamp, open, high, low, close, volume)
             SELECT gen_random_uuid(), 'EUR/USD', '1h', '2024-01-08'::timestamptz + n * interval '1 hour',
                    1.1, 1.2, 1.0, 1.15, NULL FROM generate_series(0, 99) AS n;
             CREATE TABLE trading_signals (
                 id uuid PRIMARY KEY DEFAULT gen_random_uuid(), pair varchar(20), signal_type varchar(10),
                 confidence numeric(5,4), entry_price numeric(20,8), created_at timestamptz DEFAULT now());
             INSERT INTO trading_signals (pair, signal_type, confidence) VALUES ('EUR/USD', 'BUY', 0.7);",
        )
        .expect("an older schema");
    let home = Home::with_database(&database);
    home.write("aifx.yaml", CONFIG);
    home.ok(&["db", "migrate"]);
    home.ok(&["db", "migrate"]);
    let rows = client
        .query_one("SELECT count(*), count(ingested_at) FROM market_data", &[])
        .expect("rows");
    assert_eq!(
        (rows.get::<_, i64>(0), rows.get::<_, i64>(1)),
        (100, 0),
        "known from the beginning"
    );
    let signals: i64 =
        client.query_one("SELECT count(*) FROM trading_signals", &[]).expect("rows").get(0);
    assert_eq!(signals, 1);
    // A new candle finds a key, and one that differs keeps what it replaced.
    home.ok(&[
        "simulate",
        "--pairs",
        "EUR/USD",
        "--candles",
        "30",
        "--end",
        "2024-01-10T00:00:00Z",
    ]);
    let kept = client
        .query_one("SELECT count(*) FROM market_data_revisions", &[])
        .expect("rows")
        .get::<_, i64>(0);
    assert!(kept > 0);
    let exported = home.json(&["export", "--output", "out", "--as-of", "2024-02-01T00:00:00Z"]);
    assert!(exported["files"][0]["rows"].as_u64().expect("rows") >= 100);

    let doubled = TestDatabase::create();
    doubled
        .client()
        .batch_execute(
            "CREATE TABLE market_data (pair text, timeframe text, timestamp timestamptz, open numeric, high numeric,
                                       low numeric, close numeric);
             INSERT INTO market_data SELECT 'EUR/USD', '1h', '2024-01-08', 1, 1, 1, 1 FROM generate_series(1, 2);",
        )
        .expect("a table with a candle twice");
    let home = Home::with_database(&doubled);
    home.write("aifx.yaml", CONFIG);
    home.run(&["db", "migrate"])
        .refuses(3, &["market_data holds 1 candles twice", "delete the rows that are wrong"]);
    let rows: i64 =
        doubled.client().query_one("SELECT count(*) FROM market_data", &[]).expect("rows").get(0);
    assert_eq!(rows, 2, "nothing was chosen for the operator");
}

#[test]
fn a_schema_of_another_time_is_refused_both_ways() {
    let field = Field::new();
    let mut client = field.database.client();
    let newest: i32 = client
        .query_one("DELETE FROM refinery_schema_history WHERE version = (SELECT max(version) FROM refinery_schema_history) RETURNING version", &[])
        .expect("older")
        .get(0);
    let older: i32 = client
        .query_one("SELECT max(version) FROM refinery_schema_history", &[])
        .expect("a row")
        .get(0);
    let says = format!("has schema {older} and this aifx needs {newest}");
    field.run(&["status"]).refuses(3, &[&says, "aifx db migrate"]);
    client
        .batch_execute(
            "INSERT INTO refinery_schema_history (version, name, applied_on, checksum) VALUES (99, 'later', '', '')",
        )
        .expect("newer");
    field.run(&["status"]).refuses(3, &["schema 99, made by a newer aifx"]);
}

#[test]
fn as_known_takes_the_value_that_was_known_then() {
    let field = Field::new();
    let mut client = field.database.client();
    client
        .batch_execute(
            "INSERT INTO market_data (pair, timeframe, timestamp, open, high, low, close, volume, ingested_at)
             SELECT p, '1h', '2025-01-06'::timestamptz + n * interval '1 hour', 1.1, 1.2, 1.0, 1.15, 0, '2025-01-07'
               FROM generate_series(0, 15) AS n, unnest(ARRAY['EUR/USD', 'GBP/USD']) AS p;
             UPDATE market_data SET close = 1.19, ingested_at = '2025-02-01' WHERE pair = 'EUR/USD';
             INSERT INTO market_data_revisions (pair, timeframe, timestamp, open, high, low, close, volume, ingested_at, superseded_at)
             SELECT 'EUR/USD', '1h', '2025-01-06'::timestamptz + n * interval '1 hour', 1.1, 1.2, 1.0, 1.15, 0, '2025-01-07', '2025-02-01'
               FROM generate_series(0, 15) AS n;",
        )
        .expect("a corrected series");
    // The correction moved the close by 3.5 %: the label of the same candles differs with what is known.
    let settled = |args: &[&str]| {
        let mut all = vec!["--as-of", "2025-01-07T00:00:00Z", "label", "--rule", "fixed:0.005"];
        all.extend(args);
        field.home.json(&all)["settled"].as_u64().expect("a count")
    };
    assert_eq!((settled(&[]), settled(&["--as-known"])), (24, 24));
}
