//! What is unlike everything that a version has learned from: answers are marked or held, and a wild market is no lesson. And
//! what answers should be worth before their labels come.

use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::nights::{CONFIG, Field};

const TRAINED: &str = "2025-10-05T01:00:00Z";
const NOW: &str = "2025-10-14T12:00:00Z";

fn in_production(field: &Field) {
    field.json_at(TRAINED, &["train-weekly", "--no-promote"]);
    field.json_at(TRAINED, &["promote", "v1.0", "--force", "--reason", "test"]);
}

fn file(field: &Field, version: &str, name: &str) -> PathBuf {
    field.home.path().join("models/fx-direction").join(version).join(name)
}

fn count(field: &Field, what: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {what}");
    field.database.client().query_one(&sql, &[]).expect("counted").get(0)
}

fn answers(document: &Value) -> &Vec<Value> {
    document["answers"].as_array().expect("answers")
}

fn is_marked(answer: &&Value) -> bool {
    answer["out_of_support"].is_string()
}

/// Whether the monitor's question after support rings, and what it says.
fn support_alarm(field: &Field, at: &str) -> (bool, String) {
    let report = field.json_at(at, &["monitor"]);
    let alarms = report["lines"][0]["alarms"].as_array().expect("alarms");
    let alarm = alarms.iter().find(|alarm| alarm["name"] == "support").expect("asked");
    (alarm["rings"] == true, alarm["text"].as_str().expect("why").to_owned())
}

/// Ranges that training never held; closes, and so volatility, stay what they are.
fn stretch(field: &Field) {
    field.sql(
        "UPDATE market_data SET high = greatest(open, close) * 1.03, low = least(open, close) * 0.97
          WHERE timestamp >= '2025-10-13T22:00Z'",
    );
}

#[test]
fn answers_on_windows_unlike_the_training_data_are_marked_or_held() {
    let field = Field::new();
    // With a threshold of a hundredth of a per cent hardly anything is a hold.
    let config = format!("{CONFIG}    label: {{rule: fixed, threshold: 0.0001}}\n");
    field.home.write("aifx.yaml", &config);
    in_production(&field);
    let bytes = std::fs::read(file(&field, "v1.0", "support.safetensors")).expect("published");
    assert!(bytes.len() < 500 << 10, "{}", bytes.len());
    let sums = std::fs::read_to_string(file(&field, "v1.0", "SHA256SUMS")).expect("published");
    assert!(sums.contains("  support.safetensors\n"), "{sums}");

    let quiet = field.json_at("2025-10-07T10:00:00Z", &["predict", "--dry-run"]);
    let known =
        |answer: &&Value| answer["dissimilarity"].as_f64().is_some_and(|index| index >= 0.0);
    assert_eq!(answers(&quiet).iter().filter(known).count(), 48);
    let n_marked = answers(&quiet).iter().filter(is_marked).count();
    assert!(n_marked <= 12, "{n_marked} of 48 quiet answers");

    stretch(&field);
    let marked = field.json_at(NOW, &["predict", "--dry-run"]);
    let outside: Vec<&Value> = answers(&marked).iter().filter(is_marked).collect();
    // The first of them were answered before the ranges grew.
    assert!(outside.len() >= 20 && outside.len() < 40, "{} of 48", outside.len());
    let is_call = |answer: &&&Value| answer["signal"] == "buy" || answer["signal"] == "sell";
    let calls = outside.iter().filter(is_call).count();
    assert!(calls > 5, "a mark changes no signal, and {calls} are none");
    let why = outside[0]["out_of_support"].as_str().expect("why");
    assert!(why.contains("unlike the training data of v1.0: dissimilarity"), "{why}");

    field.home.write("aifx.yaml", &format!("{config}    signals: {{out_of_support: hold}}\n"));
    let held = field.json_at(NOW, &["predict"]);
    assert_eq!(answers(&held).iter().filter(is_marked).count(), outside.len());
    for (held, marked) in answers(&held).iter().zip(answers(&marked)) {
        assert_eq!(held["probabilities"], marked["probabilities"], "what the model said stays");
        assert_eq!(held["confidence"], marked["confidence"]);
        // The call stays what the model said; nothing is staked on it.
        assert_eq!(held["signal"], marked["signal"]);
        if is_marked(&held) && !held["confidence"].is_null() {
            assert_eq!(held["size"], 0.0);
            let why = if held["signal"] == "hold" { Value::Null } else { "out of support".into() };
            assert_eq!(held["no_size"], why, "{held}");
        } else {
            assert_eq!(held["no_size"], marked["no_size"]);
        }
    }
    assert_eq!(count(&field, "trading_signals WHERE dissimilarity IS NOT NULL"), 48);
    let stored = count(&field, "trading_signals WHERE out_of_support IS NOT NULL");
    assert_eq!(stored, outside.len() as i64);
    assert_eq!(
        count(
            &field,
            "ml_events WHERE channel = 'ml:new_prediction' AND payload->>'out_of_support' = 'true'"
        ),
        stored
    );
    let unsized_calls = "trading_signals WHERE no_size = 'out of support' AND position_size = 0 AND signal IN ('buy', 'sell')";
    assert!(count(&field, unsized_calls) > 5);
    let told = "ml_events WHERE channel = 'ml:new_prediction' AND payload->>'no_size' = 'out of support' AND (payload->>'size')::float8 = 0";
    assert_eq!(count(&field, told), count(&field, unsized_calls));
    let (rings, text) = support_alarm(&field, NOW);
    assert!(
        rings && text.contains("of 48 answers of the last 7 days lie out of support"),
        "{text}"
    );
    assert_eq!(count(&field, "alerts WHERE cause = 'monitor:support:fx-direction'"), 1);
    // A call without a size is settled and scored, and is no trade.
    field.json_at("2025-10-16T12:00:00Z", &["outcomes"]);
    let settled = "trading_signals WHERE no_size = 'out of support' AND outcome IS NOT NULL";
    assert!(count(&field, settled) > 0);
    let trades = "v_trades t JOIN trading_signals s ON s.candle_timestamp = t.candle AND s.pair = t.pair AND s.model_version = t.version
                   WHERE s.out_of_support IS NOT NULL";
    assert_eq!(count(&field, trades), 0);

    field.home.write("aifx.yaml", &format!("{CONFIG}    signals: {{out_of_support: panic}}\n"));
    field.home.run(&["status"]).refuses(3, &["aifx.yaml:", "out_of_support"]);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test makes an older version")]
fn a_fine_tune_keeps_what_its_parent_knew_and_an_older_version_knows_nothing() {
    let field = Field::new();
    in_production(&field);
    let night = field.json_at("2025-10-15T01:00:00Z", &["train-daily", "--no-promote"]);
    let tuned = night["version"].as_str().expect("a version");
    let of = |version: &str| std::fs::read(file(&field, version, "support.safetensors"));
    assert_eq!(of(tuned).expect("inherited"), of("v1.0").expect("published"));

    // As a release before this one wrote it.
    std::fs::remove_file(file(&field, "v1.0", "support.safetensors")).expect("removed");
    let path = file(&field, "v1.0", "SHA256SUMS");
    let sums = std::fs::read_to_string(&path).expect("published");
    let lines = sums.lines().filter(|line| !line.ends_with("support.safetensors"));
    let sums: String = lines.map(|line| format!("{line}\n")).collect();
    std::fs::write(&path, &sums).expect("written");
    let manifest: String = Sha256::digest(&sums).iter().map(|byte| format!("{byte:02x}")).collect();
    field.sql(&format!(
        "UPDATE model_versions SET manifest_sha256 = '{manifest}' WHERE version = 'v1.0'"
    ));
    let (rings, text) = support_alarm(&field, NOW);
    assert!(!rings && text.contains("v1.0 keeps no reference rows"), "{text}");
    let report = field.json_at(NOW, &["predict"]);
    assert_eq!((&report["version"], answers(&report).len()), (&"v1.0".into(), 48));
    assert!(
        answers(&report).iter().all(|answer| {
            answer["dissimilarity"].is_null() && answer["out_of_support"].is_null()
        })
    );
}

#[test]
fn a_market_wilder_than_the_reference_is_no_lesson() {
    let field = Field::new();
    in_production(&field);
    // Closes jump by two per cent up and down for four days.
    field.sql(
        "UPDATE market_data SET close = close * (1 + 0.02 * (CASE WHEN extract(hour FROM timestamp)::int % 2 = 0
                THEN 1 ELSE -1 END)) WHERE timestamp >= '2025-10-13T22:00Z'",
    );
    field.sql(
        "UPDATE market_data SET high = greatest(high, close), low = least(low, close)
          WHERE timestamp >= '2025-10-13T22:00Z'",
    );
    let calm = field.json_at("2025-10-11T01:00:00Z", &["train-daily", "--no-promote"]);
    assert_eq!(calm["status"], "staging");
    let planned = field.json_at("2025-10-17T01:00:00Z", &["train-daily", "--dry-run"]);
    assert_eq!(planned["status"], "planned");
    let wild = field.home.run(&["--as-of", "2025-10-17T01:00:00Z", "train-daily", "--json"]);
    assert_eq!((wild.status, &wild.document()["status"]), (0, &"skipped".into()));
    let document = wild.document();
    let reason = document["reason"].as_str().expect("why");
    for part in ["outside the reference of v1.0", "volatility_60 is", "99.9th percentile"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert!(planned["reason"].as_str().expect("why").contains(reason));
    assert_eq!(
        count(
            &field,
            "model_training_log WHERE status = 'skipped' AND reason LIKE '%volatility_60%'"
        ),
        1
    );
    // Nor is it answered.
    let report = field.json_at("2025-10-17T01:00:00Z", &["predict"]);
    let abstained = answers(&report).iter().filter(|answer| answer["signal"] == "abstain");
    let wild = abstained.filter(|answer| {
        answer["reason"].as_str().is_some_and(|why| why.contains("99.9th percentile"))
    });
    assert!(wild.count() > 40);
}

#[test]
fn answers_of_a_daily_line_are_estimated_before_their_labels_come() {
    let field = Field::new();
    let hours = field.home.json(&["monitor", "--dry-run"]);
    assert_eq!(hours["lines"][0]["outlook"], Value::Array(Vec::new()), "nobody answers yet");
    let config = CONFIG
        .replace("timeframes: [1h]", "timeframes: [1d]")
        .replace("days: 60, epochs: 4", "days: 1000, epochs: 2");
    let config = format!("{config}    signals: {{catch_up_hours: 700}}\n");
    field.home.write("aifx.yaml", &config);
    let market = ["--candles", "900", "--seed", "5", "--edge", "1"];
    field.home.ok(&[&["simulate"], &market[..], &["--end", "2025-10-25T00:00:00Z"]].concat());
    let trained = field.json_at("2025-09-21T01:00:00Z", &["train-weekly", "--no-promote"]);
    assert_eq!(trained["version"], "v1.0");
    field.json_at("2025-09-21T01:00:00Z", &["promote", "v1.0", "--force", "--reason", "test"]);
    let at = "2025-10-20T01:00:00Z";
    let n = answers(&field.json_at(at, &["predict"])).len();
    let report = field.json_at(at, &["monitor", "--dry-run"]);
    let outlook = &report["lines"][0]["outlook"][0];
    assert_eq!((&outlook["timeframe"], &outlook["label_hours"]), (&"1d".into(), &168.into()));
    let waiting = outlook["pending"]["n"].as_u64().expect("answers wait") as usize;
    let settled = outlook["settled"]["estimate"]["n"].as_u64().expect("settled ones") as usize;
    // Two pairs: the last trading week waits for its labels, the weeks before are settled.
    assert!(waiting == 10 || waiting == 12, "{waiting} of {n}");
    assert!(settled >= 20 && settled <= n, "{settled} of {n}");
    let interval = outlook["pending"]["accuracy"]["interval"].as_array().expect("an interval");
    let value = outlook["pending"]["accuracy"]["value"].as_f64().expect("a share");
    let end = |i: usize| interval[i].as_f64().expect("a share");
    assert!(end(0) <= value && value <= end(1) && end(1) <= 1.0);
    let shown = field.home.ok(&["--as-of", at, "monitor", "--dry-run"]).stdout;
    assert!(shown.contains("without a label should be right in"), "{shown}");
}
