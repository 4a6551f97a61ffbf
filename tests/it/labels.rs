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
    // Once it has answered, and calls hold to nearly everything because most labels are, that rings with the cure.
    assert_eq!(alarm(&seen, "labels")["rings"], false, "it has not answered yet");
    for at in ["2025-10-12T23:50:00Z", "2025-10-13T23:50:00Z", "2025-10-14T23:50:00Z"] {
        field.json_at(at, &["predict"]);
    }
    let seen = field.json_at("2025-10-14T23:55:00Z", &["monitor"]);
    let labels = alarm(&seen, "labels");
    assert_eq!(labels["rings"], true, "{labels}");
    let text = labels["text"].as_str().expect("a text");
    assert!(text.contains("answers are hold") && text.contains(&cure), "{text}");
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

/// Rows of a CSV file by their header.
fn rows(text: &str) -> Vec<std::collections::BTreeMap<String, String>> {
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().expect("a header").split(',').collect();
    let row = |line: &str| {
        header.iter().map(|key| (*key).to_owned()).zip(line.split(',').map(str::to_owned)).collect()
    };
    lines.map(row).collect()
}

/// What `backtest VERSION --answers` writes is what the version said when the candles closed, and what its calls paid.
#[test]
fn the_answers_of_a_version_are_those_that_it_gave() {
    let field = Field::new(&config("", "days: 60, "));
    field.json_at("2025-10-05T01:00:00Z", &["train-weekly", "--no-promote"]);
    field.json_at("2025-10-05T02:00:00Z", &["promote", "v1.0", "--force", "--reason", "test"]);
    for at in ["2025-10-07T10:00:00Z", "2025-10-08T10:00:00Z"] {
        field.json_at(at, &["predict"]);
    }
    field.json_at(AS_OF, &["outcomes"]);
    let range = ["--start", "2025-10-06T10:00:00Z", "--end", "2025-10-08T10:00:00Z"];
    let written = field
        .json_at(AS_OF, &[&["backtest", "v1.0", "--answers", "answers.csv"], &range[..]].concat());
    assert_eq!(written["schema"], "aifx.backtest-answers/1");
    assert_eq!(written["classes"], serde_json::json!(["sell", "hold", "buy"]));
    let text = std::fs::read_to_string(field.home.path().join("answers.csv")).expect("written");
    let header =
        "version,pair,timeframe,candle,decided_at,label,p_sell,p_hold,p_buy,net_sell,net_buy\n";
    assert!(text.starts_with(header), "{}", &text[..120]);
    let rows = rows(&text);
    assert_eq!(written["rows"], rows.len());
    assert_eq!(written["labelled"], rows.len(), "all are settled by then");

    let mut client = field._database.client();
    let stored = client
        .query(
            "SELECT pair, to_char(candle_timestamp AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"'), signal, probabilities,
                    (pnl_net / entry_price)::float8
             FROM trading_signals WHERE abstained IS NULL AND pnl_net IS NOT NULL ORDER BY 1, 2",
            &[],
        )
        .expect("signals");
    assert!(stored.len() > 40, "{}", stored.len());
    let metadata =
        std::fs::read_to_string(field.home.path().join("models/fx-direction/v1.0/metadata.json"))
            .expect("metadata");
    let alone = !metadata.contains("\"members\"");
    for one in &stored {
        let (pair, candle, signal): (String, String, String) = (one.get(0), one.get(1), one.get(2));
        let row = rows.iter().find(|row| row["pair"] == pair && row["candle"] == candle);
        let row = row.unwrap_or_else(|| panic!("{pair} {candle} was not answered"));
        let number = |key: &str| row[key].parse::<f64>().expect(key);
        let sum: f64 = ["p_sell", "p_hold", "p_buy"].map(number).iter().sum();
        assert!((sum - 1.0).abs() < 1e-6, "{row:?}");
        // Where others answer with it, what was stored is the mixture.
        let probabilities: Value = one.get(3);
        for class in ["sell", "hold", "buy"].iter().filter(|_| alone) {
            let said = probabilities[*class].as_f64().expect("a probability");
            assert!((number(&format!("p_{class}")) - said).abs() < 1e-6, "{row:?} {probabilities}");
        }
        let paid: f64 = one.get(4);
        if signal != "hold" {
            assert!((number(&format!("net_{signal}")) - paid).abs() < 1e-12, "{row:?} {paid}");
        }
    }
    let labels = field.json_at(
        AS_OF,
        &["export", "--labels", "volatility", "--format", "csv", "--output", "out"],
    );
    assert!(labels["files"][0]["rows"].as_u64().is_some_and(|n| n > 2000));
    let exported =
        std::fs::read_to_string(field.home.path().join("out/candles.csv")).expect("written");
    let row = &rows[7];
    let label = self::rows(&exported)
        .into_iter()
        .find(|one| {
            one["pair"] == row["pair"] && one["timestamp"].starts_with(&row["candle"][..13])
        })
        .expect("the same candle")["label"]
        .clone();
    assert_eq!(row["label"], label);
    field
        .home
        .run(&["backtest", "majority", "--answers", "x.csv"])
        .refuses(2, &["--answers wants a version"]);
}

/// `aifx init` and nothing else: every job of the schedule works with the shipped line. The market is short and there is one
/// epoch, so that it does not take long.
#[test]
fn the_shipped_line_goes_through_a_week_unchanged() {
    let database = TestDatabase::create();
    let home = Home::with_database(&database);
    home.ok(&["init"]);
    let at = |at: &str, args: &[&str]| home.json(&[&["--as-of", at], args].concat());
    home.ok(&[
        "simulate",
        "--candles",
        "800",
        "--seed",
        "5",
        "--edge",
        "2",
        "--end",
        "2025-10-16T00:00:00Z",
    ]);
    let weekly = at("2025-10-12T01:00:00Z", &["train-weekly", "--epochs", "1"]);
    assert_eq!(weekly["version"], "v1.0");
    assert_eq!(weekly["balance"]["rule"], "volatility:0.35");
    let hold = weekly["balance"]["classes"][1]["share"].as_f64().expect("a share");
    assert!((0.25..0.45).contains(&hold), "{hold}");
    assert!(says(&notes(&weekly), "trading days are too few"), "{weekly}");
    if weekly["promoted"] == false {
        at(
            "2025-10-12T01:30:00Z",
            &["promote", "v1.0", "--force", "--reason", "the first version of the line"],
        );
    }
    let answered = at("2025-10-15T00:55:00Z", &["predict"]);
    assert_eq!(answered["status"], "answered");
    let night =
        at("2025-10-15T01:00:00Z", &["train-daily", "--epochs", "1", "--rehearse-days", "2"]);
    assert!(
        ["staging", "production"].contains(&night["status"].as_str().expect("a status")),
        "{night}"
    );
    assert!(at("2025-10-15T10:00:00Z", &["predict"])["n_new"].as_u64().is_some_and(|n| n >= 40));
    assert!(at("2025-10-15T10:01:00Z", &["outcomes"])["settled"].as_u64().is_some_and(|n| n > 0));
    let seen = at("2025-10-15T10:20:00Z", &["monitor"]);
    assert_eq!(seen["lines"][0]["version"].as_str().map(|name| &name[..4]), Some("v1.0"));
}
