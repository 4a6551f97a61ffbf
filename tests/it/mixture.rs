//! Mixtures through the binary: trainings join production, weights move at midnight by what happened, and everything can be
//! computed again.

use std::os::unix::fs::MetadataExt;

use serde_json::Value;

use crate::support::{Home, TestDatabase};

const CONFIG: &str = "
seed: 3
threads: 1
lines:
  fx-direction:
    pairs: [EUR/USD, GBP/USD]
    timeframes: [1h]
    lookback: 12
    model: {kind: lstm, hidden: [6], dense: 4, dropout: [0.1, 0.1]}
    ensemble: {members: 3, first: 2}
    weekly: {days: 120, epochs: 3, min_samples: 200, lr: 3e-3}
    daily: {min_samples: 30, rehearse_days: 8, epochs: 1}
    triggers: {action: ask}
    probation: {days: 0}
";

struct Field {
    home: Home,
    database: TestDatabase,
}

impl Field {
    /// A market with an edge, and a first mixture in production from 2025-09-21 on.
    fn new() -> Field {
        let database = TestDatabase::create();
        let home = Home::with_database(&database);
        home.write("aifx.yaml", CONFIG);
        home.ok(&["init"]);
        let market = ["--candles", "4000", "--seed", "5", "--edge", "4"];
        home.ok(&[&["simulate"], &market[..], &["--end", "2025-10-25T00:00:00Z"]].concat());
        let field = Field { home, database };
        let first = field.json_at("2025-09-21T01:00:00Z", &["train-weekly"]);
        if first["promoted"] == false {
            let force = ["promote", "v1.0", "--force", "--reason", "the first of a test"];
            field.json_at("2025-09-21T02:00:00Z", &force);
        }
        field
    }

    fn json_at(&self, at: &str, args: &[&str]) -> Value {
        self.home.json(&[&["--as-of", at], args].concat())
    }

    /// Answers whatever has closed by the evening of each day of September.
    fn answer(&self, days: std::ops::RangeInclusive<u32>) {
        for day in days {
            let at = format!("2025-09-{day:02}T23:59:00Z");
            self.json_at(&at, &["predict"]);
            self.json_at(&at, &["outcomes"]);
        }
    }

    fn rows(&self, query: &str) -> Vec<postgres::Row> {
        self.database.client().query(query, &[]).expect(query)
    }

    fn metadata(&self, version: &str) -> Value {
        let path = self.home.path().join(format!("models/fx-direction/{version}/metadata.json"));
        serde_json::from_slice(&std::fs::read(path).expect("metadata")).expect("JSON")
    }

    fn members(&self, version: &str) -> Vec<String> {
        let metadata = self.metadata(version);
        let places = metadata["members"].as_array().cloned().unwrap_or_default();
        places.iter().map(|place| place["version"].as_str().expect("a name").to_owned()).collect()
    }
}

#[test]
fn trainings_join_production_and_what_happens_moves_their_weights() {
    let field = Field::new();
    assert_eq!(field.members("v1.0"), ["v1.0", "v1.0-seed1"]);
    field.answer(22..=24);
    // What a version answered comes true by its own label, whatever the next training is to learn.
    let other = "    label: {rule: volatility, multiple: 0.6}\n    lookback: 12\n";
    field.home.write("aifx.yaml", &CONFIG.replace("    lookback: 12\n", other));
    field.answer(25..=26);
    field.home.write("aifx.yaml", CONFIG);

    // The day's weights follow from what had settled by its midnight, and sum to one.
    let rows = field.rows(
        "SELECT day::text, components, weights, n_settled FROM ensemble_weights ORDER BY day",
    );
    let days: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(days, ["2025-09-23", "2025-09-24", "2025-09-25", "2025-09-26"]);
    for row in &rows {
        let (components, weights): (Vec<String>, Vec<f64>) = (row.get(1), row.get(2));
        assert_eq!(components, ["prior", "v1.0", "v1.0-seed1"]);
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{weights:?}");
        assert!(row.get::<_, i64>(3) > 30);
    }
    let first: Vec<f64> = rows[0].get(2);
    let last: Vec<f64> = rows[3].get(2);
    assert!(
        first[0] < 0.2 && last[0] < first[0],
        "with an edge the prior falls: {first:?} {last:?}"
    );

    // Each answer is the mixture of what its members said, by the weights of its day.
    let answers = field.rows(
        "SELECT m.probabilities, s.probabilities, w.weights FROM member_answers m
           JOIN trading_signals s ON s.model_version = m.version AND s.pair = m.pair AND s.candle_timestamp = m.candle_timestamp
           JOIN ensemble_weights w ON w.day = ((m.candle_timestamp + interval '1 hour') AT TIME ZONE 'UTC')::date",
    );
    assert!(answers.len() > 100, "{}", answers.len());
    for row in &answers {
        let (parts, whole, weights): (Vec<f32>, Value, Vec<f64>) =
            (row.get(0), row.get(1), row.get(2));
        for (class, name) in ["sell", "hold", "buy"].iter().enumerate() {
            let mixed: f64 =
                weights.iter().zip(parts.chunks(3)).map(|(w, p)| w * f64::from(p[class])).sum();
            let said = whole[*name].as_f64().expect("a probability");
            assert!((mixed - said).abs() < 1e-6, "{name}: {mixed} {said}");
        }
    }

    // The next training joins by itself, though nobody asked whether it is better.
    let second = field.json_at("2025-09-28T01:00:00Z", &["train-weekly"]);
    assert_eq!(
        (&second["promoted"], &second["gate"]["track"]),
        (&true.into(), &"admission".into()),
        "{second}"
    );
    assert_eq!(field.members("v1.1"), ["v1.0", "v1.0-seed1", "v1.1"]);
    assert_eq!(second["members"], serde_json::json!(["v1.0", "v1.0-seed1", "v1.1"]));
    let entered = field.metadata("v1.1")["weights"]["v1.1"].as_f64().expect("a weight");
    assert!((entered - 0.3).abs() < 1e-9, "{entered}");
    // Its directory is whole in itself, and costs the disk nothing twice.
    let models = field.home.path().join("models/fx-direction");
    let theirs = std::fs::metadata(models.join("v1.0/model.safetensors")).expect("a file");
    let ours =
        std::fs::metadata(models.join("v1.1/members/v1.0/model.safetensors")).expect("a link");
    assert_eq!(theirs.ino(), ours.ino());

    // A fine-tune takes the place of the network that it was made from.
    let night = field.json_at("2025-09-30T01:00:00Z", &["train-daily"]);
    if night["promoted"] == true {
        assert_eq!(
            field.members("v1.1-daily-20250930"),
            ["v1.0", "v1.0-seed1", "v1.1-daily-20250930"]
        );
    } else {
        panic!("on a market with an edge the fine-tune is sound: {}", night["gate"]);
    }
    // A fourth network makes the least of the older ones leave.
    let third = field.json_at("2025-10-05T01:00:00Z", &["train-weekly"]);
    assert_eq!(third["promoted"], true, "{}", third["gate"]);
    let members = field.members("v1.2");
    assert_eq!((members.len(), members.last().map(String::as_str)), (3, Some("v1.2")));

    assert_eq!(field.home.json(&["models", "verify"])["ok"], true);
    // Rollback brings back the list.
    let back = field.json_at("2025-10-05T03:00:00Z", &["rollback"]);
    assert_eq!(back["to"], "v1.1-daily-20250930");
    field.json_at("2025-10-06T09:00:00Z", &["predict"]);
    let answered = field
        .rows("SELECT DISTINCT version FROM member_answers WHERE candle_timestamp >= '2025-10-05'");
    assert_eq!(answered.len(), 1);
    assert_eq!(answered[0].get::<_, String>(0), "v1.1-daily-20250930");

    // Every stored weight follows from the rows, to the bit; one that was changed is named, and so is a member's file.
    field.database.client().execute("UPDATE ensemble_weights SET weights[2] = weights[2] + 1e-12, weights[3] = weights[3] - 1e-12 WHERE day = '2025-09-24'", &[]).expect("changed");
    let problems = |args: &[&str]| {
        let found = field.home.run(&[args, &["--json"]].concat());
        assert_eq!(found.status, 7, "{} {}", found.stdout, found.stderr);
        found.document()["problems"].clone()
    };
    let found = problems(&["models", "verify"]);
    assert_eq!(found[0]["version"], "weights of 2025-09-24", "{found}");
    let file = "members/v1.0-seed1/metadata.json";
    field.home.write(&format!("models/fx-direction/v1.1-daily-20250930/{file}"), "{}");
    let found = problems(&["models", "verify", "v1.1-daily-20250930"]);
    assert_eq!(found[0]["file"], file, "{found}");
    let answered = field.home.ok(&["--as-of", "2025-10-06T10:00:00Z", "predict"]);
    assert!(answered.stderr.contains("cannot answer") && answered.stderr.contains(file));
}

#[test]
fn versions_that_answer_alone_go_on_so_until_they_are_told_otherwise() {
    let alone =
        CONFIG.replace("    ensemble: {members: 3, first: 2}\n", "    ensemble: {members: 1}\n");
    let silent = CONFIG.replace("    ensemble: {members: 3, first: 2}\n", "");
    let database = TestDatabase::create();
    let home = Home::with_database(&database);
    home.write("aifx.yaml", &alone);
    home.ok(&["init"]);
    let end = ["--end", "2025-10-25T00:00:00Z"];
    home.ok(&[&["simulate", "--candles", "4000", "--seed", "5", "--edge", "4"], &end[..]].concat());
    let old = Field { home, database };
    let first = old.json_at("2025-09-21T01:00:00Z", &["train-weekly", "--no-promote"]);
    assert_eq!(first["members"], serde_json::json!([]));
    old.json_at("2025-09-21T02:00:00Z", &["promote", "v1.0", "--force", "--reason", "a test"]);

    old.home.write("aifx.yaml", &silent);
    let next = old.json_at("2025-09-28T01:00:00Z", &["train-weekly", "--no-promote"]);
    assert_eq!(next["members"], serde_json::json!([]));
    let notes = next["notes"].to_string();
    assert!(notes.contains("no `ensemble` is written") && notes.contains("members: 8"), "{notes}");

    old.home.write("aifx.yaml", CONFIG);
    let told = old.json_at("2025-10-05T01:00:00Z", &["train-weekly"]);
    assert_eq!(
        (&told["gate"]["track"], &told["promoted"]),
        (&"admission".into(), &true.into()),
        "{told}"
    );
    assert_eq!(told["members"], serde_json::json!(["v1.0", "v1.2"]));
}
