//! Bets told from calls, through the binary: sizes that have to pay for themselves, the breaker and its way back, production
//! that knows less than its class prior.

use serde_json::Value;

use crate::nights::{CONFIG, Field};

const NOW: &str = "2025-10-07T10:00:30Z";

fn alarm(report: &Value, name: &str) -> (bool, String) {
    let alarms = report["lines"][0]["alarms"].as_array().expect("alarms");
    let alarm = alarms.iter().find(|alarm| alarm["name"] == name).expect("asked");
    (alarm["rings"] == true, alarm["text"].as_str().expect("why").to_owned())
}

/// How many buys and sells, with a size, and without one for each reason (its first words).
fn sizes(document: &Value) -> (usize, usize, Vec<String>) {
    let answers = document["answers"].as_array().expect("answers");
    let calls: Vec<&Value> =
        answers.iter().filter(|one| one["signal"] == "buy" || one["signal"] == "sell").collect();
    let sized = calls.iter().filter(|one| one["size"].as_f64().expect("a size") > 0.0).count();
    let mut reasons: Vec<String> = calls
        .iter()
        .filter_map(|one| Some(one["no_size"].as_str()?.split(" (").next()?.to_owned()))
        .collect();
    assert_eq!(sized + reasons.len(), calls.len(), "each call has a size or a reason");
    reasons.sort();
    reasons.dedup();
    (calls.len(), sized, reasons)
}

impl Field {
    fn written(&self, more: &str) {
        self.home.write("aifx.yaml", &format!("{CONFIG}{more}"));
    }

    fn run_sql(&self, sql: &str) {
        self.database.client().batch_execute(sql).expect(sql);
    }
}

#[test]
fn a_call_has_a_size_where_it_is_expected_to_pay_and_a_reason_where_not() {
    let field = Field::in_production();
    let metadata = field.home.path().join("models/fx-direction/v1.1/metadata.json");
    let metadata: Value =
        serde_json::from_slice(&std::fs::read(metadata).expect("published")).expect("JSON");
    let slope = metadata["edge_slope"].as_f64().expect("measured");
    assert!((0.0..=1.0).contains(&slope), "{slope}");
    assert_eq!(metadata["class_returns"].as_array().expect("measured").len(), 3);

    // The table alone bets on each call.
    field.written("    signals: {size: confidence}\n");
    let by_table = field.json_at(NOW, &["predict", "--dry-run"]);
    let (n_calls, sized, _) = sizes(&by_table);
    assert!(n_calls > 5 && sized == n_calls, "{n_calls} {sized}");

    field.written("");
    let by_edge = field.json_at(NOW, &["predict"]);
    let (same, sized, reasons) = sizes(&by_edge);
    assert_eq!(same, n_calls, "the signals stay");
    assert!(sized < n_calls && reasons == ["no edge after costs"], "{sized} {reasons:?}");
    for one in by_edge["answers"].as_array().expect("answers") {
        let expected = one["expected_return_net"].as_f64();
        match one["signal"].as_str().expect("a signal") {
            "buy" | "sell" => {
                let paying = expected.expect("told") > 0.0;
                assert_eq!(paying, one["size"].as_f64().expect("a size") > 0.0, "{one}");
                let cost = one["cost"].as_f64().expect("told");
                assert!((5e-5..5e-4).contains(&cost), "{cost}");
            }
            _ => assert_eq!((expected, one["size"].as_f64()), (None, Some(0.0)), "{one}"),
        }
    }
    let stored = "trading_signals WHERE signal IN ('buy', 'sell') AND cost > 0 AND expected_return_net IS NOT NULL
                  AND (position_size > 0) = (expected_return_net > 0) AND (no_size IS NULL) = (position_size > 0)";
    assert_eq!(field.count(stored), n_calls as i64);
    assert_eq!(field.count("v_trades"), sized as i64);
    let told =
        "ml_events WHERE channel = 'ml:new_prediction' AND payload ? 'size' AND payload ? 'no_size'
                AND payload ? 'expected_return_net' AND payload ? 'cost'";
    assert_eq!(field.count(told), field.count("trading_signals"));

    // A version that kept nothing of returns is bet on by confidence, and that is said.
    let report =
        field.home.json(&["--as-of", NOW, "backtest", "v1.1", "--start", "2025-10-05T00:00:00Z"]);
    let (calls, account) = (&report["figures"], &report["sized"]);
    assert!(account["n_trades"].as_u64() < calls["n_trades"].as_u64(), "{account} {calls}");

    // A figure in another unit is refused before anything is answered.
    field.written("    costs: {pairs: {GBP/USD: {spread: 0.0000001, slippage: 0}}}\n");
    let run = field.home.run(&["--as-of", "2025-10-07T12:00:00Z", "predict"]);
    run.refuses(3, &["GBP/USD", "less than 0.2", "costs: {pairs: {GBP/USD"]);
    let doctor = field.home.run(&["--as-of", NOW, "doctor"]);
    doctor.refuses(3, &[]);
    assert!(doctor.stdout.contains("a round trip of GBP/USD costs"), "{}", doctor.stdout);
    field.written("    costs: {pairs: {USD/JPY: {spread: 0.009}}}\n");
    field.home.run(&["status"]).refuses(3, &["USD/JPY is no pair of this line"]);
}

#[test]
fn a_line_that_loses_stops_betting_until_it_is_resumed() {
    let field = Field::in_production();
    field.written("    signals: {size: confidence}\nmetrics: {textfile: metrics/aifx.prom}\n");
    let nothing = field.json_at(NOW, &["resume", "--reason", "a test"]);
    assert_eq!(nothing["resumed"], false);
    field.json_at(NOW, &["predict"]);
    // Sized trades of nine days, each a loss of about 30 bp of its position.
    field.run_sql(
        "UPDATE trading_signals t
            SET signal = 'buy', position_size = 0.05, no_size = NULL, outcome = 'loss', pnl_net = -entry_price * (0.003 + 0.0001 * (n % 3)),
                closed_at = '2025-10-06T09:00:00Z'::timestamptz + (n % 9) * interval '24 hours', exit_reason = 'stop', exit_price = entry_price
           FROM (SELECT id AS key, row_number() OVER (ORDER BY id) AS n FROM trading_signals) AS numbered
          WHERE id = key",
    );
    let at = "2025-10-15T10:00:00Z";
    let tripped = field.json_at(at, &["predict"]);
    let (n_calls, sized, reasons) = sizes(&tripped);
    assert!(n_calls > 5 && sized == 0 && reasons == ["breaker"], "{sized} {reasons:?}");
    let report = field.json_at(at, &["monitor"]);
    let (rings, text) = alarm(&report, "breaker");
    assert!(rings && text.contains("lose on average") && text.contains("aifx resume"), "{text}");
    assert_eq!(field.count("alerts WHERE cause = 'monitor:breaker:fx-direction'"), 1);
    let metrics = field.home.path().join("metrics/aifx.prom");
    let metrics = std::fs::read_to_string(metrics).expect("written by the monitor");
    assert!(metrics.contains("aifx_breaker_tripped{line=\"fx-direction\"} 1"), "{metrics}");
    field.home.run(&["--as-of", at, "resume"]).refuses(2, &["--reason"]);
    let status = field.home.ok(&["--as-of", at, "status"]).stdout;
    assert!(status.contains("breaker"), "{status}");

    let resumed =
        field.json_at("2025-10-15T11:30:00Z", &["resume", "--reason", "the spread was wrong"]);
    assert_eq!((&resumed["resumed"], &resumed["losing_alpha"]), (&true.into(), &0.05.into()));
    assert_eq!(field.count("breaker_resumes WHERE reason = 'the spread was wrong'"), 1);
    let after = field.json_at("2025-10-15T15:00:00Z", &["predict"]);
    let (_, sized, reasons) = sizes(&after);
    assert!(!reasons.contains(&"breaker".to_owned()) && sized > 0, "{sized} {reasons:?}");
    let (rings, _) = alarm(&field.json_at("2025-10-15T15:00:00Z", &["monitor"]), "breaker");
    assert!(!rings);
    // What was answered before is as it was then.
    let then = field.json_at(at, &["resume", "--reason", "as it stood then"]);
    assert_eq!(then["breaker"]["n_days"], 9, "{then}");
}

#[test]
fn production_that_is_worse_than_its_class_prior_is_not_bet_on() {
    let field = Field::in_production();
    field.written("    signals: {size: confidence}\n    gate: {max_class_share: 1.0}\n");
    for day in 6..=22 {
        field.json_at(&format!("2025-10-{day:02}T23:59:00Z"), &["predict"]);
    }
    let at = "2025-10-22T23:59:30Z";
    let (rings, text) = alarm(&field.json_at(at, &["monitor"]), "no-skill");
    assert!(!rings && text.contains("over its class prior"), "{text}");
    // Whatever it had answered, it was very sure that nothing would move.
    field.run_sql(
        "UPDATE trading_signals SET probabilities = '{\"sell\": 0.01, \"hold\": 0.98, \"buy\": 0.01}'",
    );
    let later = "2025-10-23T02:00:00Z";
    let (rings, text) = alarm(&field.json_at(later, &["monitor"]), "no-skill");
    assert!(rings && text.contains("worse by more than chance"), "{text}");
    let (n_calls, sized, reasons) = sizes(&field.json_at("2025-10-23T12:00:00Z", &["predict"]));
    assert!(n_calls > 3 && sized == 0 && reasons == ["no skill"], "{sized} {reasons:?}");
    // The next candidate is held against what knows more.
    let next = field.json_at("2025-10-23T13:00:00Z", &["train-weekly", "--no-promote"]);
    let text = next["gate"].to_string();
    assert!(text.contains("the class prior (v1.1 has shown no skill)"), "{text}");
}
