//! The days: production answers each closed candle once, and every answer is settled once by what the market did.

use serde_json::Value;

use crate::nights::Field;

const TRAINED: &str = "2025-10-05T01:00:00Z";

impl Field {
    /// A line with two versions that have been in production; v1.1 is it now.
    fn in_production() -> Field {
        let field = Field::new();
        for at in ["2025-09-28T01:00:00Z", TRAINED] {
            field.json_at(at, &["train-weekly", "--no-promote"]);
        }
        for version in ["v1.0", "v1.1"] {
            field.json_at(TRAINED, &["promote", version, "--force", "--reason", "test"]);
        }
        field
    }

    fn count(&self, what: &str) -> i64 {
        let sql = format!("SELECT count(*) FROM {what}");
        self.database.client().query_one(&sql, &[]).expect("counted").get(0)
    }
}

fn answers(document: &Value) -> &Vec<Value> {
    document["answers"].as_array().expect("answers")
}

#[test]
fn each_candle_is_answered_once_and_each_answer_settled_once() {
    let field = Field::new();
    let none = field.json_at(TRAINED, &["predict"]);
    assert_eq!(none["status"], "skipped");
    let field = Field::in_production();

    let planned = field.json_at("2025-10-07T10:00:30Z", &["predict", "--dry-run"]);
    assert_eq!((planned["status"].as_str(), field.count("trading_signals")), (Some("planned"), 0));
    let first = field.json_at("2025-10-07T10:00:30Z", &["predict"]);
    assert_eq!((&first["status"], &first["version"]), (&"answered".into(), &"v1.1".into()));
    // Two pairs, and the candles that closed within the 24 hours of catching up.
    assert_eq!((answers(&first).len(), first["n_new"].as_u64()), (48, Some(48)));
    assert_eq!(answers(&first), answers(&planned));
    let last = answers(&first).last().expect("an answer");
    assert_eq!(
        (&last["candle"], &last["pair"]),
        (&"2025-10-07T09:00:00Z".into(), &"GBP/USD".into())
    );
    assert_eq!(last["expires"], "2025-10-07T14:00:00Z", "the horizon of an hour is four");
    let sum: f64 = last["probabilities"]
        .as_object()
        .expect("by class")
        .values()
        .map(|p| p.as_f64().expect("a number"))
        .sum();
    assert!((sum - 1.0).abs() < 1e-9);

    let again = field.json_at("2025-10-07T10:30:00Z", &["predict"]);
    assert_eq!(
        (again["status"].as_str(), field.count("trading_signals")),
        (Some("nothing-new"), 48)
    );
    let next = field.json_at("2025-10-07T12:00:00Z", &["predict"]);
    assert_eq!((answers(&next).len(), field.count("trading_signals")), (4, 52));
    assert_eq!(field.count("ml_events WHERE channel = 'ml:new_prediction'"), 52);

    let settled = field.json_at("2025-10-07T12:00:00Z", &["outcomes"]);
    let open = settled["open"].as_u64().expect("a count");
    assert_eq!(open, 52);
    let ripe = field.count("trading_signals WHERE expires_at <= '2025-10-07T12:00:00Z'");
    let done = field.count("trading_signals WHERE outcome IS NOT NULL");
    assert!(done >= ripe && done == settled["settled"].as_i64().expect("a count"), "{done} {ripe}");
    assert_eq!(field.count("ml_events WHERE channel = 'ml:signal_outcome'"), done);
    let wrong = "trading_signals WHERE outcome IS NOT NULL AND signal <> 'hold'
                 AND abs(pnl - (CASE signal WHEN 'buy' THEN 1 ELSE -1 END) * (exit_price - entry_price)) > 1e-12";
    assert_eq!(field.count(wrong), 0);
    let second = field.json_at("2025-10-07T12:00:00Z", &["outcomes"]);
    assert_eq!(second["settled"], 0, "what is settled stays settled");
    let later = field.json_at("2025-10-08T00:00:00Z", &["outcomes"]);
    assert_eq!(later["settled"].as_i64().expect("a count"), 52 - done);
    assert_eq!(field.count("trading_signals WHERE outcome IS NULL"), 0);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test plays the vandal")]
fn the_version_before_answers_where_production_cannot() {
    let field = Field::in_production();
    let model = field.home.path().join("models/fx-direction/v1.1/model.safetensors");
    let whole = std::fs::read(&model).expect("published");
    field.home.write("models/fx-direction/v1.1/model.safetensors", "not a model");
    let run = field.home.run(&["--as-of", "2025-10-07T10:00:00Z", "predict", "--json"]);
    assert_eq!((run.status, &run.document()["version"]), (0, &"v1.0".into()));
    assert!(
        run.stderr.contains("v1.1 cannot answer") && run.stderr.contains("checksum"),
        "{}",
        run.stderr
    );
    assert_eq!(field.count("alerts WHERE resolved_at IS NULL AND severity = 'critical'"), 1);
    assert!(field.home.ok(&["status"]).stdout.contains("1 open alerts"));
    std::fs::write(&model, whole).expect("put back");
    let healed = field.json_at("2025-10-07T11:00:00Z", &["predict"]);
    assert_eq!((&healed["version"], healed["n_new"].as_u64()), (&"v1.1".into(), Some(2)));
    assert_eq!(field.count("alerts WHERE resolved_at IS NULL"), 0);
    for version in ["v1.0", "v1.1"] {
        let file = format!("models/fx-direction/{version}/model.safetensors");
        field.home.write(&file, "not a model");
    }
    let run = field.home.run(&["--as-of", "2025-10-07T12:00:00Z", "predict"]);
    run.refuses(7, &["v1.1 cannot answer", "no version before it can"]);
}

#[test]
fn rows_that_say_too_little_stop_no_other_and_foreign_ones_are_left_alone() {
    let field = Field::in_production();
    field.json_at("2025-10-07T10:00:00Z", &["predict"]);
    field.sql(
        "INSERT INTO trading_signals (line, model_version, pair, timeframe, signal, candle_timestamp, entry_price) VALUES
             ('fx-direction', 'v9.9', 'nonsense', '1h', 'buy', '2025-10-06T10:00Z', 1.1),
             ('fx-direction', 'v9.9', 'EUR/USD', '1h', 'buy', '2025-10-06T11:00Z', NULL),
             ('fx-direction', 'v9.9', 'EUR/USD', '1h', 'buy', NULL, 1.1),
             (NULL, NULL, 'EUR/USD', '1h', 'buy', NULL, 1.1)",
    );
    let settled = field.json_at("2025-10-08T10:00:00Z", &["outcomes"]);
    assert_eq!((settled["settled"].as_u64(), settled["n_problems"].as_u64()), (Some(48), Some(3)));
    let problems = settled["problems"].to_string();
    for why in ["nonsense", "no entry price", "does not say which candle"] {
        assert!(problems.contains(why), "{problems}");
    }
    assert_eq!(field.count("trading_signals WHERE outcome IS NULL"), 4);
    // A series whose candles are broken is told of, and the other answers.
    field.sql("UPDATE market_data SET high = 0.5 WHERE pair = 'EUR/USD' AND timestamp = '2025-10-08T08:00Z'");
    let run = field.home.run(&["--as-of", "2025-10-08T10:00:00Z", "predict", "--json"]);
    assert_eq!((run.status, answers(&run.document()).len()), (0, 24));
    assert!(run.stderr.contains("EUR/USD"), "{}", run.stderr);
}
