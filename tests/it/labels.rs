//! Labels through the binary: the class balance and its cure wherever an operator looks, rules that a changed default does not
//! change, and parts by trading days.

use serde_json::Value;

use crate::support::{Home, TestDatabase};

const AS_OF: &str = "2025-10-19T00:00:00Z";

fn config(label: &str, weekly: &str) -> String {
    format!(
        "\
seed: 3
threads: 1
lines:
  fx-direction:
    pairs: [EUR/USD, GBP/USD]
    timeframes: [1h]
    lookback: 12
{label}    model: {{kind: lstm, hidden: [6], dense: 4, dropout: [0.1, 0.1]}}
    weekly: {{{weekly}epochs: 2, min_samples: 200}}
    daily: {{min_samples: 30, rehearse_days: 8, epochs: 1}}
    triggers: {{action: ask}}
"
    )
}

const ONE: &str = "    label: {rule: volatility, multiple: 1.0}\n";

struct Field {
    home: Home,
    /// Dropped last.
    _database: TestDatabase,
}

impl Field {
    fn new(config: &str) -> Field {
        let database = TestDatabase::create();
        let home = Home::with_database(&database);
        home.write("aifx.yaml", config);
        home.ok(&["init"]);
        home.ok(&["simulate", "--candles", "1500", "--seed", "5", "--edge", "0", "--end", AS_OF]);
        Field { home, _database: database }
    }

    fn json_at(&self, at: &str, args: &[&str]) -> Value {
        self.home.json(&[&["--as-of", at], args].concat())
    }
}

fn notes(document: &Value) -> Vec<&str> {
    document["notes"].as_array().expect("notes").iter().filter_map(Value::as_str).collect()
}

fn says(texts: &[&str], wanted: &str) -> bool {
    texts.iter().any(|text| text.contains(wanted))
}

/// Three quarters of the labels of `multiple: 1.0` are hold: everybody who looks is told which multiple would balance them.
#[test]
fn a_label_of_nearly_one_class_is_named_with_its_cure_wherever_one_looks() {
    let field = Field::new(&config(ONE, "days: 60, "));
    let weekly = field.json_at("2025-10-12T01:00:00Z", &["train-weekly"]);
    let balance = &weekly["balance"];
    assert_eq!(balance["rule"], "volatility:1");
    assert_eq!(balance["classes"][1]["class"], "hold");
    assert!(balance["classes"][1]["share"].as_f64().expect("a share") > 0.6, "{balance}");
    let multiple = balance["multiple"].as_f64().expect("a cure");
    assert!((0.2..0.6).contains(&multiple), "{balance}");
    let cure = format!("multiple: {multiple:.2}");
    assert!(says(&notes(&weekly), &cure), "{weekly}");
    assert!(!weekly["promoted"].as_bool().expect("a bool"), "a market that nobody can predict");
    let first = "aifx promote v1.0 --line fx-direction --force --reason";
    assert!(says(&notes(&weekly), first), "{weekly}");

    let label = field.json_at(AS_OF, &["label"]);
    assert_eq!(label["collapsed"][0], "hold");
    assert!(label["balance"]["multiple"].is_number(), "{label}");
    let text = field.home.ok(&["--as-of", AS_OF, "label"]).stdout;
    assert!(text.contains("warning:") && text.contains("multiple: 0."), "{text}");

    let doctor = field.home.run(&["--as-of", AS_OF, "doctor", "--json"]).document();
    let check = |name: &str| {
        let all = doctor["checks"].as_array().expect("checks").iter();
        all.into_iter().find(|check| check["name"] == name).expect("looked at").clone()
    };
    assert_eq!(check("labels")["status"], "warn");
    assert!(check("labels")["fix"].as_str().expect("a fix").contains("multiple: 0."));
    assert!(check("production")["fix"].as_str().expect("a fix").contains(first));

    let status = field.json_at(AS_OF, &["status"])["lines"][0]["label"].clone();
    assert_eq!(
        (&status["rule"], &status["production_rule"]),
        (&"volatility:1".into(), &Value::Null)
    );
    assert!(says(&notes(&status), &cure), "{status}");
    assert!(field.home.ok(&["--as-of", AS_OF, "status"]).stdout.contains(&cure));

    let alarm = |seen: &Value, name: &str| {
        let all = seen["lines"][0]["alarms"].as_array().expect("alarms").iter();
        all.into_iter().find(|alarm| alarm["name"] == name).expect("asked").clone()
    };
    let seen = field.json_at("2025-10-12T03:00:00Z", &["monitor"]);
    let waits = alarm(&seen, "production");
    assert_eq!(waits["rings"], true);
    let text = waits["text"].as_str().expect("a text");
    assert!(text.contains(first) && text.contains(&cure), "{text}");
    field.json_at(
        "2025-10-12T04:00:00Z",
        &["promote", "v1.0", "--force", "--reason", "the first version of the line"],
    );
    let seen = field.json_at("2025-10-12T05:00:00Z", &["monitor"]);
    assert_eq!(alarm(&seen, "production")["rings"], false);
    for name in ["collapse", "model-age", "training"] {
        let text = alarm(&seen, name)["text"].as_str().expect("a text").to_owned();
        assert!(text.contains(&cure), "{name}: {text}");
    }
    assert!(!alarm(&seen, "disk")["text"].as_str().expect("a text").contains("multiple"));
    let night = field.json_at("2025-10-15T01:00:00Z", &["train-daily", "--no-promote"]);
    assert_eq!(night["balance"]["rule"], "volatility:1");
    assert!(says(&notes(&night), "multiple: 0."), "{night}");
}

#[test]
fn a_balanced_label_has_no_cure_and_the_table_shows_what_others_would_do() {
    let field = Field::new(&config("", "days: 60, "));
    let weekly = field.json_at("2025-10-12T01:00:00Z", &["train-weekly"]);
    assert_eq!(
        (&weekly["balance"]["rule"], &weekly["balance"]["multiple"]),
        (&"volatility:0.35".into(), &Value::Null)
    );
    assert!(!says(&notes(&weekly), "multiple:"), "{weekly}");
    let status = field.json_at(AS_OF, &["status"])["lines"][0]["label"].clone();
    assert_eq!(notes(&status), [] as [&str; 0]);
    assert_eq!(status["balance"]["rule"], "volatility:0.35");

    let table = field.json_at(AS_OF, &["label", "--balance"]);
    let rows = table["balance"].as_array().expect("rows");
    assert_eq!(rows.len(), 2 * 16);
    let mut before = 0.0;
    for row in rows.iter().filter(|row| row["pair"] == "GBP/USD") {
        assert_eq!(row["timeframe"], "1h");
        let share = |key: &str| row[key].as_f64().expect(key);
        assert!((share("sell") + share("hold") + share("buy") - 1.0).abs() < 1e-9, "{row}");
        assert!(share("hold") >= before, "{row}");
        before = share("hold");
    }
    assert!(before > 0.8, "at 1.5 volatilities nearly all is hold: {before}");
    let text = field.home.ok(&["--as-of", AS_OF, "label", "--balance"]).stdout;
    assert!(text.contains("EUR/USD 1h") && text.contains("0.35"), "{text}");
    field.home.run(&["label", "--balance", "--rule", "quartile"]).refuses(2, &["--rule"]);
}

/// The default has changed; what a line that lives learns has not, until its operator says so.
#[test]
fn a_line_that_lives_keeps_its_rule_and_its_days_and_says_so() {
    let field = Field::new(&config(ONE, "days: 40, "));
    field.json_at("2025-10-05T01:00:00Z", &["train-weekly"]);
    field.home.write("aifx.yaml", &config("", ""));
    let weekly = field.json_at("2025-10-12T01:00:00Z", &["train-weekly"]);
    // The same recipe: no new major.
    assert_eq!(
        (&weekly["version"], &weekly["balance"]["rule"]),
        (&"v1.1".into(), &"volatility:1".into())
    );
    let told = notes(&weekly);
    assert!(
        says(
            &told,
            "no `label` is written under fx-direction, so it keeps volatility:1, the rule of v1.0"
        ),
        "{told:?}"
    );
    assert!(
        says(&told, "no `weekly.days` is written under fx-direction, so it keeps the 40 days"),
        "{told:?}"
    );
    let status = field.json_at(AS_OF, &["status"])["lines"][0]["label"].clone();
    assert!(says(&notes(&status), "keeps volatility:1"), "{status}");
    assert_eq!(field.json_at(AS_OF, &["label"])["rule"], "volatility:1");
    // A bare `volatility` is the line's, on a command line as in the file.
    assert_eq!(field.json_at(AS_OF, &["label", "--rule", "volatility"])["rule"], "volatility:1");
    assert_eq!(
        field.json_at(AS_OF, &["label", "--rule", "volatility:0.35"])["rule"],
        "volatility:0.35"
    );
    let labels = |rule: &str, folder: &str| {
        field.json_at(AS_OF, &["export", "--labels", rule, "--format", "csv", "--output", folder]);
        std::fs::read_to_string(field.home.path().join(folder).join("candles.csv"))
            .expect("written")
    };
    assert_eq!(labels("volatility", "bare"), labels("volatility:1", "one"));
    assert_ne!(labels("volatility", "bare"), labels("volatility:0.35", "third"));
    field.home.write("aifx.yaml", &config("    label: {rule: volatility}\n", "days: 40, "));
    assert_eq!(field.json_at(AS_OF, &["label"])["rule"], "volatility:1");

    // Written, it is as written: another recipe, and another question than the one that production answers.
    let written = "    label: {rule: volatility, multiple: 0.35}\n";
    field.json_at(
        "2025-10-12T04:00:00Z",
        &["promote", "v1.1", "--force", "--reason", "the first version of the line"],
    );
    field.home.write("aifx.yaml", &config(written, "days: 60, "));
    let status = field.json_at(AS_OF, &["status"])["lines"][0]["label"].clone();
    assert_eq!(
        (&status["rule"], &status["production_rule"]),
        (&"volatility:0.35".into(), &"volatility:1".into())
    );
    let weekly = field.json_at("2025-10-19T01:00:00Z", &["train-weekly"]);
    assert_eq!(
        (&weekly["version"], &weekly["balance"]["rule"]),
        (&"v2.0".into(), &"volatility:0.35".into())
    );
    assert!(!says(&notes(&weekly), "keeps"), "{weekly}");
}

#[test]
fn parts_have_their_trading_days_or_say_that_they_are_short() {
    // Sixty-two trading days of candles: 15 % of them are nine.
    let field = Field::new(&config("", "validation_days: 4, test_days: 6, "));
    let weekly = field.json_at(AS_OF, &["train-weekly"]);
    assert_eq!(weekly["assessment"]["test"]["n_days"], 6);
    assert_eq!(weekly["assessment"]["validation"]["n_days"], 4);
    assert!(!says(&notes(&weekly), "trading days"), "{weekly}");
    field.home.write("aifx.yaml", &config("", ""));
    let short = field.json_at(AS_OF, &["train-weekly", "--dry-run"]);
    assert!(
        says(&notes(&short), "too few for validation and test parts of 20 and 20: they take"),
        "{short}"
    );
    assert!(short["samples"]["test"].as_u64().expect("samples") >= 20, "{short}");
    // Shares, as they were.
    field.home.write("aifx.yaml", &config("", "split: [0.5, 0.25, 0.25], "));
    let shares = field.json_at(AS_OF, &["train-weekly", "--dry-run"]);
    assert!(!says(&notes(&shares), "trading days"), "{shares}");
    let of = |part: &str| shares["samples"][part].as_f64().expect("samples");
    assert!(
        (of("test") / (of("train") + of("validation") + of("test")) - 0.25).abs() < 0.02,
        "{shares}"
    );
}
