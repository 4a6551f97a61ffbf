//! The nights: fine-tune with rehearsal, gate, promotion and rollback through the binary, on a simulated market.

use aifx::{
    evaluate::Predictions,
    lineage::SeenUntil,
    market::{HOUR_US, instant},
};
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
    weekly: {days: 60, epochs: 4, min_samples: 200}
    daily: {min_samples: 30, rehearse_days: 8, epochs: 2}
";

struct Field {
    home: Home,
    database: TestDatabase,
}

impl Field {
    fn new() -> Field {
        let database = TestDatabase::create();
        let home = Home::with_database(&database);
        home.write("aifx.yaml", CONFIG);
        home.ok(&["init"]);
        let market = ["--candles", "1500", "--seed", "5", "--edge", "1"];
        let end = ["--end", "2025-10-25T00:00:00Z"];
        home.ok(&[&["simulate"], &market[..], &end].concat());
        Field { home, database }
    }

    fn json_at(&self, at: &str, args: &[&str]) -> Value {
        self.home.json(&[&["--as-of", at], args].concat())
    }

    fn sql(&self, statement: &str) -> i64 {
        i64::try_from(self.database.client().execute(statement, &[]).expect(statement))
            .expect("a count")
    }
}

#[test]
fn a_week_of_nights() {
    let field = Field::new();
    // Nothing to refresh yet: a recorded skip.
    let skipped = field.json_at("2025-10-07T01:00:00Z", &["train-daily"]);
    assert_eq!(skipped["status"], "skipped");
    assert!(skipped["reason"].as_str().expect("why").contains("no production model"));

    let weekly = field.json_at("2025-10-05T01:00:00Z", &["train-weekly", "--no-promote"]);
    assert_eq!((&weekly["status"], &weekly["promoted"]), (&"staging".into(), &false.into()));
    assert!(weekly["gate"]["passed"].is_boolean(), "{weekly}");
    assert!(weekly["gate"]["rules"].as_array().is_some_and(|rules| rules.len() > 5));
    field
        .home
        .run(&["--as-of", "2025-10-05T02:00:00Z", "rollback"])
        .refuses(4, &["nothing to roll"]);
    let force = ["promote", "v1.0", "--force"];
    field.home.run(&force).refuses(2, &["--reason"]);
    field.json_at("2025-10-05T02:00:00Z", &[&force[..], &["--reason", "first"]].concat());

    let first = field.json_at("2025-10-15T01:00:00Z", &["train-daily", "--no-promote"]);
    assert_eq!(first["version"], "v1.0-daily-20251015");
    assert_eq!(first["parent"], "v1.0");
    let mornings = first["mornings"].as_array().expect("mornings");
    assert_eq!(mornings.len(), 8);
    let rehearsed: Vec<&Value> = mornings.iter().filter(|m| m["left_out"].is_null()).collect();
    assert!(rehearsed.len() >= 3, "{mornings:#?}");
    assert!(rehearsed.iter().all(|m| m["saved"].is_number() && m["production"] == "v1.0"));
    let again = field.json_at("2025-10-15T03:00:00Z", &["train-daily"]);
    assert_eq!(again["status"], "already-done");
    let versions = field.home.json(&["models", "list"])["models"].clone();
    let daily = versions.as_array().expect("list").iter().find(|m| m["parent"] == "v1.0");
    assert_eq!(daily.expect("the fine-tune")["status"], "staging");
    assert_eq!(field.home.json(&["models", "verify"])["ok"], true);

    // Production moves on and comes back; a second rollback has nothing left.
    let moved = ["promote", "v1.0-daily-20251015", "--force", "--reason", "a test"];
    let moved = field.json_at("2025-10-15T04:00:00Z", &moved);
    assert_eq!((&moved["from"], &moved["to"]), (&"v1.0".into(), &"v1.0-daily-20251015".into()));
    let back = field.json_at("2025-10-15T05:00:00Z", &["rollback", "--reason", "it answers hold"]);
    assert_eq!((&back["from"], &back["to"]), (&"v1.0-daily-20251015".into(), &"v1.0".into()));
    assert!(back["seconds"].as_f64().expect("seconds") < 5.0);
    field.home.run(&["rollback"]).refuses(4, &["nothing to roll back to"]);

    // Too few samples: the market was closed.
    let sunday = field.json_at("2025-10-19T01:00:00Z", &["train-daily"]);
    assert_eq!(sunday["status"], "skipped");
    assert!(sunday["reason"].as_str().expect("why").contains("0 labelled samples"));
}

#[test]
fn rollback_does_not_need_the_version_that_it_leaves() {
    let field = Field::new();
    field.json_at("2025-09-28T01:00:00Z", &["train-weekly", "--no-promote"]);
    field.json_at("2025-10-05T01:00:00Z", &["train-weekly", "--no-promote"]);
    for version in ["v1.0", "v1.1"] {
        field.home.json(&["promote", version, "--force", "--reason", "a test"]);
    }
    field.home.write("models/fx-direction/v1.1/model.safetensors", "rotten");
    let back = field.home.json(&["rollback"]);
    assert_eq!((&back["from"], &back["to"]), (&"v1.1".into(), &"v1.0".into()));
    let link = std::fs::read_link(field.home.path().join("models/fx-direction/production"));
    assert_eq!(link.expect("a link").to_str(), Some("v1.0"));
    // And not to one that is rotten itself.
    field.home.run(&["rollback", "--to", "v1.1"]).refuses(7, &["model.safetensors"]);
}

/// What a version has seen is never scored for it, however well it remembers.
#[test]
fn seen_days_do_not_count() {
    let field = Field::new();
    field.json_at("2025-10-05T01:00:00Z", &["train-weekly", "--no-promote"]);
    field.json_at("2025-10-05T02:00:00Z", &["promote", "v1.0", "--force", "--reason", "first"]);
    field.sql("UPDATE model_versions SET seen_until = '2025-10-14T00:00:00Z'");
    let night = field.json_at("2025-10-15T01:00:00Z", &["train-daily"]);
    let mornings = night["mornings"].as_array().expect("mornings");
    let seen =
        |m: &&Value| m["left_out"].as_str().is_some_and(|why| why.contains("had seen the day"));
    assert!(mornings.iter().filter(seen).count() >= 3, "{mornings:#?}");
    let before =
        |m: &&Value| m["at"].as_str().expect("at") < "2025-10-14" && m["left_out"].is_null();
    assert_eq!(mornings.iter().filter(before).count(), 0, "{mornings:#?}");
    assert_eq!(night["gate"]["passed"], false);
}

#[test]
fn a_memorised_sample_is_not_scored() {
    let at = |hour: i64| 1_704_196_800_000_000 + hour * HOUR_US;
    // The first sample is remembered perfectly, the others are answered by a coin.
    let probabilities = vec![0.999, 0.001, 0.5, 0.5, 0.5, 0.5];
    let all =
        Predictions::new(2, probabilities, vec![0, 0, 1], vec![at(0), at(1), at(2)], vec![0; 3])
            .expect("valid");
    let unseen = all.after(SeenUntil::new(instant(at(0)))).figures().expect("two samples");
    assert_eq!(unseen.n, 2);
    assert!((unseen.log_loss - 2f64.ln()).abs() < 1e-12);
    assert!(all.figures_in_sample().expect("three").log_loss < unseen.log_loss);
}
