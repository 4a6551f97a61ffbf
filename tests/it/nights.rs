//! The nights: fine-tune with rehearsal, gate, promotion and rollback through the binary, on a simulated market.

use aifx::{
    evaluate::Predictions,
    lineage::SeenUntil,
    market::{HOUR_US, instant},
};
use serde_json::Value;

use crate::support::{Home, TestDatabase};

pub(crate) const CONFIG: &str = "
seed: 3
threads: 1
lines:
  fx-direction:
    pairs: [EUR/USD, GBP/USD]
    timeframes: [1h]
    lookback: 12
    model: {kind: lstm, hidden: [6], dense: 4, dropout: [0.1, 0.1]}
    ensemble: {members: 1}
    weekly: {days: 60, epochs: 4, min_samples: 200}
    daily: {min_samples: 30, rehearse_days: 8, epochs: 2}
    triggers: {action: ask}
    probation: {days: 0}
";

pub(crate) struct Field {
    pub(crate) home: Home,
    pub(crate) database: TestDatabase,
}

impl Field {
    pub(crate) fn new() -> Field {
        let database = TestDatabase::create();
        let home = Home::with_database(&database);
        home.write("aifx.yaml", CONFIG);
        home.ok(&["init"]);
        let market = ["--candles", "1500", "--seed", "5", "--edge", "1"];
        let end = ["--end", "2025-10-25T00:00:00Z"];
        home.ok(&[&["simulate"], &market[..], &end].concat());
        Field { home, database }
    }

    pub(crate) fn json_at(&self, at: &str, args: &[&str]) -> Value {
        self.home.json(&[&["--as-of", at], args].concat())
    }

    pub(crate) fn sql(&self, statement: &str) -> i64 {
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

    // The market was closed, and there is what v1.0 has not seen: five trading days of it at most.
    let sunday = ["train-daily", "--min-samples", "100000"];
    let sunday = field.json_at("2025-10-19T01:00:00Z", &sunday);
    assert_eq!(sunday["status"], "skipped");
    let why = sunday["reason"].as_str().expect("why");
    assert!(why.contains("labelled samples that v1.0 has not seen"), "{why}");
    let n: usize = why.split(' ').next().and_then(|n| n.parse().ok()).expect("a count");
    assert!(n > 4 * 24 * 2 && n <= 5 * 24 * 2, "two hourly pairs: {why}");
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

/// What a month is for: every live version on what it has not seen, one of them judged, a report, old fine-tunes gone.
#[test]
fn a_month_ends_in_a_ranking() {
    let field = Field::new();
    let empty = field.json_at("2025-09-01T00:00:00Z", &["evaluate-monthly"]);
    assert_eq!(empty["status"], "skipped");
    for at in ["2025-09-21T01:00:00Z", "2025-09-28T01:00:00Z"] {
        field.json_at(at, &["train-weekly", "--no-promote"]);
    }
    field.json_at("2025-09-28T02:00:00Z", &["promote", "v1.0", "--force", "--reason", "first"]);
    for at in ["2025-10-08T01:00:00Z", "2025-10-24T01:00:00Z"] {
        field.json_at(at, &["train-daily", "--no-promote"]);
    }
    let now = "2025-10-25T00:00:00Z";
    let planned = field.json_at(now, &["evaluate-monthly", "--dry-run"]);
    assert_eq!(planned["status"], "planned");
    let folder = field.home.path().join("reports/monthly");
    assert!(!folder.join("2025-10-fx-direction.html").exists());

    let mut field = field;
    field.home.set("DISCORD_WEBHOOK_URL", "http://127.0.0.1:1/hook/t0ken");
    let month = field.json_at(now, &["evaluate-monthly", "--no-promote"]);
    // Nobody listens there: the month is done all the same.
    assert_eq!(month["sent"][0]["channel"], "discord");
    let why = month["sent"][0]["failed"].as_str().expect("it failed");
    assert!(!why.contains("t0ken"), "{why}");
    assert_eq!((&month["status"], &month["promoted"]), (&"completed".into(), &false.into()));
    assert_eq!(month["versions"], planned["versions"], "the same inputs, the same ranking");
    let versions = month["versions"].as_array().expect("versions");
    assert_eq!(versions.len(), 4);
    let of = |name: &str| {
        versions.iter().find(|row| row["version"] == name).unwrap_or_else(|| panic!("no {name}"))
    };
    // Days that a version, or what it comes from, had seen are not counted for it.
    let days = |name: &str| of(name)["n_days"].as_u64().expect("days");
    assert!(days("v1.0") > days("v1.0-daily-20251008") && days("v1.0-daily-20251008") >= 5);
    for row in versions {
        let seen = row["n_days_seen"].as_u64().expect("days");
        assert_eq!(
            row["n_days"].as_u64().expect("days") + seen,
            days("v1.0") + of("v1.0")["n_days_seen"].as_u64().expect("days")
        );
    }
    let fresh = of("v1.0-daily-20251024");
    assert!(fresh["rank"].is_null() && fresh["why"].is_string(), "{fresh}");
    let ranks: Vec<u64> = versions.iter().filter_map(|row| row["rank"].as_u64()).collect();
    assert_eq!(ranks, [1, 2, 3]);
    let score = &versions[0]["score"];
    let terms = ["win_rate", "sharpe", "avg_pnl", "max_drawdown"];
    let total: f64 = terms.iter().map(|term| score[term]["weighted"].as_f64().expect(term)).sum();
    assert!((total - score["total"].as_f64().expect("total")).abs() < 1e-12);
    assert!(month["degradation"]["p"].is_number(), "{}", month["degradation"]);
    let page = std::fs::read_to_string(folder.join("2025-10-fx-direction.html")).expect("a page");
    let text = std::fs::read_to_string(folder.join("2025-10-fx-direction.md")).expect("a text");
    for row in versions {
        let name = row["version"].as_str().expect("a name");
        assert!(page.contains(name) && text.contains(name), "{name}");
    }
    assert!(!page.contains("src=\"http") && !page.contains("NaN"));
    let again = field.json_at(now, &["evaluate-monthly"]);
    assert_eq!(again["status"], "already-done");
}

#[test]
fn old_fine_tunes_go_and_a_pruning_that_died_is_ended_by_the_next() {
    let field = Field::new();
    field.json_at("2025-09-28T01:00:00Z", &["train-weekly", "--no-promote"]);
    field.json_at("2025-09-28T02:00:00Z", &["promote", "v1.0", "--force", "--reason", "first"]);
    for at in ["2025-10-08T01:00:00Z", "2025-10-09T01:00:00Z", "2025-10-24T01:00:00Z"] {
        field.json_at(at, &["train-daily", "--no-promote"]);
    }
    let models = field.home.path().join("models/fx-direction");
    let prune = ["models", "prune", "--keep-days", "10"];
    let at = "2025-10-25T00:00:00Z";
    let planned = field.json_at(at, &[&prune[..], &["--dry-run"]].concat());
    let both = serde_json::json!(["v1.0-daily-20251008", "v1.0-daily-20251009"]);
    assert_eq!(planned["pruned"], both);
    assert!(models.join("v1.0-daily-20251008").exists());
    // Killed between the rename and the row.
    let run: uuid::Uuid = field
        .database
        .client()
        .query_one("SELECT run_id FROM model_versions WHERE version = 'v1.0-daily-20251008'", &[])
        .expect("a row")
        .get(0);
    std::fs::rename(models.join("v1.0-daily-20251008"), models.join(format!(".incoming-{run}")))
        .expect("renamed");
    let pruned = field.json_at(at, &prune);
    assert_eq!(pruned["pruned"], both);
    let left: Vec<String> = std::fs::read_dir(&models)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .filter(|name| name.contains("daily") || name.starts_with(".incoming"))
        .collect();
    assert_eq!(left, ["v1.0-daily-20251024"]);
    assert_eq!(field.home.json(&["models", "verify"])["ok"], true);
    let nothing = field.json_at(at, &prune);
    assert_eq!(nothing["pruned"], serde_json::json!([]));
}
