//! Changes of what a line asks, through the binary: another recipe stays a change until it is promoted, another label is judged by
//! each side's own, the classic rules end to end, and a rollback to what never answered wants a reason.

use serde_json::Value;

use crate::support::{Home, TestDatabase};

const CONFIG: &str = "
seed: 3
threads: 1
lines:
  fx-direction:
    pairs: [EUR/USD, GBP/USD, USD/JPY]
    timeframes: [1h]
    lookback: 12
    model: {kind: lstm, hidden: [6], dense: 4, dropout: [0.1, 0.1]}
    ensemble: {members: 1}
    weekly: {days: 220, epochs: 4, batch: 64, min_samples: 300, validation_days: 20, test_days: 20}
    daily: {min_samples: 30, rehearse_days: 14, epochs: 2, lr: 5e-4}
    triggers: {action: ask}
";

struct Field {
    home: Home,
    #[allow(dead_code, reason = "it is dropped with the field")]
    database: TestDatabase,
}

impl Field {
    /// A market with an edge, and a first version that the gate let in.
    fn new(more: &str) -> Field {
        let database = TestDatabase::create();
        let home = Home::with_database(&database);
        home.write("aifx.yaml", &format!("{CONFIG}{more}"));
        home.ok(&["init"]);
        let market = ["--candles", "5000", "--seed", "5", "--end", "2025-10-25T00:00:00Z"];
        home.ok(&[&["simulate", "--edge", "4"], &market[..]].concat());
        Field { home, database }
    }

    fn json_at(&self, at: &str, args: &[&str]) -> Value {
        self.home.json(&[&["--as-of", at], args].concat())
    }
}

fn track(document: &Value) -> (&str, &str) {
    let text = |key: &str| document["gate"][key].as_str().unwrap_or_default();
    (text("track"), text("against"))
}

#[test]
fn another_recipe_is_a_change_however_often_it_is_trained_and_another_label_is_judged_by_its_own() {
    let field = Field::new("");
    let first = field.json_at("2025-09-07T01:00:00Z", &["train-weekly"]);
    assert_eq!((&first["promoted"], &first["version"]), (&true.into(), &"v1.0".into()), "{first}");

    // Refused or left in staging, the same recipe is no mere refresh a week later.
    field.home.write("aifx.yaml", &CONFIG.replace("lookback: 12", "lookback: 14"));
    for (at, version) in [("2025-09-14T01:00:00Z", "v2.0"), ("2025-09-21T01:00:00Z", "v2.1")] {
        let next = field.json_at(at, &["train-weekly", "--no-promote"]);
        assert_eq!(next["version"], version, "{next}");
        assert_eq!(track(&next), ("change", "v1.0"), "{next}");
    }

    // Another label: nobody is scored on what it never learned.
    let label = "lookback: 12\n    label: {rule: volatility, multiple: 0.8}";
    field.home.write("aifx.yaml", &CONFIG.replace("lookback: 12", label));
    let other = field.json_at("2025-09-28T01:00:00Z", &["train-weekly", "--no-promote"]);
    assert_eq!(track(&other), ("change", "v1.0"));
    let rules = other["gate"]["rules"].as_array().expect("rules");
    let skill = rules.iter().find(|rule| rule["name"] == "more skill than").expect("asked");
    let detail = skill["detail"].as_str().expect("why");
    assert!(detail.contains("of its own on its own labels"), "{detail}");
    assert!(rules.iter().all(|rule| rule["name"] != "not inferior to"), "{rules:?}");

    // What never answered has passed no gate: a way there wants a reason.
    field.home.run(&["rollback", "--to", "v2.1"]).refuses(2, &["v2.1", "--reason"]);
    let there = ["rollback", "--to", "v2.1", "--reason", "the desk wants it"];
    assert_eq!(field.json_at("2025-09-28T02:00:00Z", &there)["to"], "v2.1");
}

#[test]
fn the_classic_rules_promote_and_refuse_from_end_to_end() {
    let field = Field::new("    gate: {preset: classic}\n");
    let first = field.json_at("2025-09-07T01:00:00Z", &["train-weekly"]);
    let preset = |document: &Value| document["gate"]["preset"].as_str().map(str::to_owned);
    assert_eq!(preset(&first), Some("classic".into()), "{first}");
    let rules = |document: &Value| -> Vec<String> {
        let rules = document["gate"]["rules"].as_array().cloned().unwrap_or_default();
        rules.iter().map(|rule| rule["name"].as_str().expect("a name").to_owned()).collect()
    };
    let asked = rules(&first).join("; ");
    assert!(asked.contains("Sharpe"), "{asked}");
    // Twenty test days are what a Sharpe ratio takes: nothing is left unasked for want of days.
    assert_eq!(first["gate"]["n_days"], 20, "{first}");
    let open = first["gate"]["rules"].as_array().expect("rules").iter();
    let open: Vec<&Value> = open.filter(|rule| rule["verdict"] == "no_evidence").collect();
    assert!(open.is_empty(), "{open:?}");
    if first["promoted"] == false {
        field.json_at("2025-09-07T02:00:00Z", &["promote", "v1.0", "--force", "--reason", "first"]);
    }
    // Another of the same recipe is no two points more accurate: the classic rules know no refresh.
    let next = field.json_at("2025-09-28T01:00:00Z", &["train-weekly"]);
    assert_eq!((&next["promoted"], &next["gate"]["passed"]), (&false.into(), &false.into()));
    assert!(next["gate"].to_string().contains("accura"), "{}", next["gate"]);
}
