//! The days: candles come in, production answers each closed one once, and every answer is settled once by what the market
//! did.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use serde_json::{Value, json};

use crate::nights::Field;

const TRAINED: &str = "2025-10-05T01:00:00Z";

impl Field {
    /// A line with two versions that have been in production; v1.1 is it now.
    pub(crate) fn in_production() -> Field {
        let field = Field::new();
        for at in ["2025-09-28T01:00:00Z", TRAINED] {
            field.json_at(at, &["train-weekly", "--no-promote"]);
        }
        for version in ["v1.0", "v1.1"] {
            field.json_at(TRAINED, &["promote", version, "--force", "--reason", "test"]);
        }
        field
    }

    pub(crate) fn count(&self, what: &str) -> i64 {
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
    let unnamed = |document: &Value| -> Vec<Value> {
        let mut answers = answers(document).clone();
        answers.iter_mut().for_each(|answer| answer["signal_id"] = Value::Null);
        answers
    };
    assert_eq!(unnamed(&first), unnamed(&planned));
    let id = answers(&first)[0]["signal_id"].as_str().expect("a key").to_owned();
    let named = format!(
        "trading_signals WHERE id = {id} AND pair = 'EUR/USD' AND candle_timestamp = '{}'",
        answers(&first)[0]["candle"].as_str().expect("a candle")
    );
    assert_eq!(field.count(&named), 1);
    assert_eq!(
        field.count(&format!(
            "ml_events WHERE channel = 'ml:new_prediction' AND payload->>'signal_id' = '{id}'"
        )),
        1
    );
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
    let live = field.home.json(&["models", "show", "v1.1"])["production_metrics"].clone();
    assert_eq!(live["n_settled"].as_i64(), Some(done), "{live}");
    let calls = field.count("trading_signals WHERE outcome IS NOT NULL AND signal <> 'hold'");
    assert_eq!(live["n_calls"].as_i64(), Some(calls));
    assert_eq!(live["n_trades"].as_i64(), Some(field.count("v_trades WHERE outcome IS NOT NULL")));
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
fn what_was_answered_when_the_candle_closed_counts_and_the_rest_is_replayed() {
    const MONTH_END: &str = "2025-10-17T01:00:00Z";
    let field = Field::in_production();
    let ranked = || {
        let report = field.json_at(MONTH_END, &["evaluate-monthly", "--dry-run"]);
        let of = |one: &&Value| one["version"] == "v1.1";
        report["versions"].as_array().expect("a list").iter().find(of).expect("v1.1").clone()
    };
    let loss = |one: &Value| one["figures"]["log_loss"].as_f64().expect("a number");
    let replayed = ranked();
    assert_eq!(replayed["n_stored"], 0);
    for day in 7..=15 {
        field.json_at(&format!("2025-10-{day:02}T12:00:00Z"), &["predict"]);
    }
    let stored = ranked();
    let n_stored = stored["n_stored"].as_u64().expect("a count");
    assert!(n_stored > 200 && n_stored < stored["n"].as_u64().expect("a count"), "{stored}");
    assert_eq!(stored["n"], replayed["n"]);
    assert!((loss(&stored) - loss(&replayed)).abs() < 1e-6, "{stored} {replayed}");
    // What stands in the table is what counts; answers of another question, or from later on, do not.
    field.sql(
        "UPDATE trading_signals SET probabilities = '{\"buy\": 0.001, \"hold\": 0.001, \"sell\": 0.998}'
          WHERE candle_timestamp < '2025-10-10'",
    );
    let changed = ranked();
    assert_eq!(changed["n_stored"].as_u64(), Some(n_stored));
    assert!(loss(&changed) > loss(&stored) + 0.5, "{changed}");
    field.sql(
        "UPDATE trading_signals SET probabilities = '{\"up\": 0.5, \"down\": 0.5}' WHERE candle_timestamp < '2025-10-10'",
    );
    field.sql(
        "UPDATE trading_signals SET answered_as_of = '2025-11-01' WHERE candle_timestamp >= '2025-10-10'",
    );
    let none = ranked();
    assert_eq!(none["n_stored"], 0);
    assert!((loss(&none) - loss(&replayed)).abs() < 1e-9);
}

#[test]
fn real_trades_settle_signals_once_and_win_over_the_candles() {
    let field = Field::in_production();
    field.json_at("2025-10-07T10:00:00Z", &["predict"]);
    field
        .sql("UPDATE trading_signals SET signal = CASE WHEN id % 2 = 0 THEN 'buy' ELSE 'sell' END");
    field.sql(
        "UPDATE trading_signals SET signal = 'hold' WHERE candle_timestamp = '2025-10-07T08:00Z'",
    );
    let id = |pair: &str, candle: &str| -> i64 {
        let sql = "SELECT id FROM trading_signals WHERE pair = $1 AND candle_timestamp = $2::text::timestamptz";
        field.database.client().query_one(sql, &[&pair, &candle]).expect("a signal").get(0)
    };
    field.sql(
        "UPDATE trading_signals SET signal = 'buy' WHERE candle_timestamp = '2025-10-06T12:00Z'",
    );
    let bought = id("EUR/USD", "2025-10-06T12:00Z");
    let held = id("EUR/USD", "2025-10-07T08:00Z");
    let text = format!(
        "signal_id,pair,timeframe,candle,entry_price,exit_price,closed_at,fees\n\
         {bought},,,,1.1,1.2,2025-10-06T15:00:00Z,0.01\n\
         ,GBPUSD,1h,2025-10-06T12:00:00Z,1.3,1.2,2025-10-06T16:00:00Z,\n\
         999999,,,,1.1,1.2,2025-10-06T15:00:00Z,\n\
         {held},,,,1.1,1.2,2025-10-07T12:00:00Z,\n\
         {bought},,,,1.1,1.5,2025-10-06T15:00:00Z,\n\
         {bought},,,,nonsense,1.2,2025-10-06T15:00:00Z,\n"
    );
    field.home.write("fills.csv", &text);
    // The candles come first for one of them: the trade corrects what they made of it.
    field.json_at("2025-10-07T12:00:00Z", &["outcomes"]);
    let events = field.count("ml_events WHERE channel = 'ml:signal_outcome'");
    let import = ["import", "--fills", "fills.csv"];
    let planned = field.json_at("2025-10-08T00:00:00Z", &[&import[..], &["--dry-run"]].concat());
    assert_eq!(
        (planned["settled"].as_u64(), field.count("trading_signals WHERE settled_by = 'fill'")),
        (Some(2), 0)
    );
    let report = field.json_at("2025-10-08T00:00:00Z", &import);
    assert_eq!(
        (&report["read"], &report["settled"], &report["n_problems"]),
        (&5.into(), &2.into(), &4.into())
    );
    let problems = report["problems"].to_string();
    for why in [
        "fills.csv:4: there is no such signal",
        "nothing was traded",
        "another fill before it",
        "no number",
    ] {
        assert!(problems.contains(why), "{why}: {problems}");
    }
    let won =
        "trading_signals WHERE settled_by = 'fill' AND outcome = 'win' AND exit_reason = 'fill'
               AND abs(pnl - 0.1) < 1e-12 AND abs(pnl_net - 0.09) < 1e-12";
    assert_eq!(field.count(won), 1);
    assert_eq!(field.count("trading_signals WHERE settled_by = 'fill' AND outcome = 'loss'"), 1);
    assert_eq!(field.count("ml_events WHERE channel = 'ml:signal_outcome'"), events + 2);
    let again = field.json_at("2025-10-08T00:00:00Z", &import);
    assert_eq!((&again["settled"], &again["known"]), (&0.into(), &3.into()));

    // The table of trades that some databases have.
    field.sql("CREATE TABLE user_trading_history (id uuid, signal_id bigint, entry_price numeric(18,8), exit_price numeric(18,8), closed_at timestamptz)");
    field.sql(
        "UPDATE trading_signals SET signal = 'sell' WHERE candle_timestamp = '2025-10-06T13:00Z'",
    );
    let sold = id("EUR/USD", "2025-10-06T13:00Z");
    field.sql(&format!(
        "INSERT INTO user_trading_history VALUES (NULL, {sold}, 1.2, 1.1, '2025-10-06T20:00Z'),
             (NULL, {bought}, 9, 9, '2025-10-06T20:00Z'), (NULL, 77777, 1, 1, '2025-10-06T20:00Z'), (NULL, NULL, 1, 1, NULL)"
    ));
    let settled = field.json_at("2025-10-08T00:00:00Z", &["outcomes"]);
    assert_eq!(settled["filled"], 1);
    assert_eq!(
        field.count(&format!(
            "trading_signals WHERE id = {sold} AND settled_by = 'fill' AND outcome = 'win'"
        )),
        1
    );
    assert_eq!(field.json_at("2025-10-08T00:00:00Z", &["outcomes"])["filled"], 0);
    field.home.write("none.csv", "a,b\n1,2\n");
    field.home.run(&["import", "--fills", "none.csv"]).refuses(4, &["no column says which signal"]);
}

#[test]
fn a_second_stage_learns_from_outcomes_and_says_how_sure_the_first_is() {
    let field = Field::new();
    let config = crate::nights::CONFIG;
    let second = "  fx-confidence:
    pairs: [EUR/USD, GBP/USD]
    timeframes: [1h]
    label: {rule: outcome}
    signals_of: fx-direction
    model: {kind: lstm, hidden: [6], dense: 4, dropout: [0.1, 0.1]}
    weekly: {days: 40, epochs: 3, min_samples: 200, split: [0.5, 0.25, 0.25]}
";
    // With a threshold of a hundredth of a per cent hardly anything is a hold.
    let first = "    label: {rule: fixed, threshold: 0.0001}\n    confidence_line: fx-confidence\n    \
                 signals: {catch_up_hours: 700, min_confidence: 0.05}\n";
    field.home.write("aifx.yaml", &format!("{config}{first}{second}"));
    let direction = ["--line", "fx-direction"];
    let confidence = ["--line", "fx-confidence"];
    let at = "2025-10-20T10:00:00Z";
    let trained = [&["train-weekly", "--no-promote"], &direction[..]].concat();
    assert_eq!(field.json_at("2025-09-20T01:00:00Z", &trained)["version"], "v1.0");
    field.json_at(
        TRAINED,
        &[&["promote", "v1.0", "--force", "--reason", "test"], &direction[..]].concat(),
    );
    let predict = |at: &str| field.json_at(at, &[&["predict"], &direction[..]].concat());
    let report = predict(at);
    assert!(
        report["notes"].to_string().contains("fx-confidence has no production version yet"),
        "{report}"
    );
    assert_eq!(report["confidence_version"], Value::Null);
    // Every candle is a trade here, so that there is enough to learn from.
    field
        .sql("UPDATE trading_signals SET signal = CASE WHEN id % 2 = 0 THEN 'buy' ELSE 'sell' END");
    field.json_at(at, &[&["outcomes"], &direction[..]].concat());
    let wins = field.count("trading_signals WHERE outcome = 'win'");
    let settled = field.count("trading_signals WHERE outcome IS NOT NULL");
    let balance = field.json_at(at, &[&["label"], &confidence[..]].concat());
    assert_eq!(balance["counts"], json!({"loss": settled - wins, "win": wins}), "{balance}");

    let trained = field.json_at(at, &[&["train-weekly", "--no-promote"], &confidence[..]].concat());
    assert_eq!(
        (&trained["status"], &trained["version"]),
        (&"staging".into(), &"v1.0".into()),
        "{trained}"
    );
    let n: u64 = ["training", "validation", "test"]
        .iter()
        .map(|p| trained["samples"][p].as_u64().unwrap_or(0))
        .sum();
    assert!(n > 200 && n <= settled as u64, "{trained}");
    field.json_at(
        at,
        &[&["promote", "v1.0", "--force", "--reason", "test"], &confidence[..]].concat(),
    );
    let none = field.json_at(at, &[&["predict"], &confidence[..]].concat());
    assert_eq!(none["status"], "skipped");

    let report = predict("2025-10-21T10:00:00Z");
    assert_eq!(report["confidence_version"], "v1.0");
    let mut by_the_second = 0;
    for answer in answers(&report) {
        let (confidence, signal) =
            (answer["confidence"].as_f64(), answer["signal"].as_str().expect("a signal"));
        let Some(confidence) = confidence else { continue };
        let own = answer["probabilities"][signal].as_f64().expect("a probability");
        if signal == "hold" {
            assert!((confidence - own).abs() < 1e-12, "{answer}");
        } else if (confidence - own).abs() > 1e-9 {
            by_the_second += 1;
        }
    }
    assert!(by_the_second > 0, "{report}");
    assert_eq!(
        field.count("model_versions WHERE line = 'fx-direction' AND stage1_model_path = 'fx-direction/v1.0/model.safetensors'
                        AND stage2_model_path = 'fx-confidence/v1.0/model.safetensors'"),
        1
    );
    // A second stage that cannot be read costs its own opinion, not the answers.
    field.home.write("models/fx-confidence/v1.0/model.safetensors", "not a model");
    let report = predict("2025-10-21T11:00:00Z");
    assert!(report["notes"].to_string().contains("fx-confidence v1.0 cannot answer"), "{report}");
    assert_eq!((&report["n_new"], &report["confidence_version"]), (&2.into(), &Value::Null));
    for (wrong, says) in [
        (second.replace("    signals_of: fx-direction\n", ""), "name their line with signals_of"),
        (
            second.replace("of: fx-direction", "of: fx-other"),
            "fx-other is no line that gives signals",
        ),
        (second.replace("{rule: outcome}", "{rule: quartile}"), "only the label rule outcome"),
        (String::new(), "fx-confidence is no line with the label rule outcome"),
    ] {
        field.home.write("aifx.yaml", &format!("{config}{first}{wrong}"));
        field.home.run(&["status"]).refuses(3, &["aifx.yaml:", says]);
    }
}

#[test]
fn the_monitor_says_of_every_alarm_why_it_rings() {
    let none = Field::new();
    let report = none.json_at(TRAINED, &["monitor"])["lines"][0].take();
    assert_eq!(report["version"], Value::Null);
    let field = Field::in_production();
    let rings = |report: &Value| -> Vec<String> {
        let alarms = report["alarms"].as_array().expect("alarms");
        let ringing = alarms.iter().filter(|alarm| alarm["rings"] == true);
        ringing.map(|alarm| alarm["name"].as_str().expect("a name").to_owned()).collect()
    };
    let look = |at: &str, args: &[&str]| field.json_at(at, args)["lines"][0].take();
    let at = "2025-10-14T12:00:00Z";
    let first = look(at, &["monitor"]);
    let names: Vec<&str> = first["alarms"]
        .as_array()
        .expect("alarms")
        .iter()
        .map(|a| a["name"].as_str().expect("a name"))
        .collect();
    for asked in [
        "overdue",
        "disk",
        "model-age",
        "collapse",
        "production",
        "support",
        "data",
        "accuracy",
        "drift",
        "concept",
        "predictions",
        "probation",
    ] {
        assert!(names.contains(&asked), "{asked}: {names:?}");
    }
    // Nobody ran the nights.
    assert!(
        rings(&first).contains(&"overdue".to_owned())
            && !rings(&first).contains(&"model-age".to_owned()),
        "{first}"
    );
    assert_eq!(
        field
            .count("monitoring_runs WHERE line = 'fx-direction' AND verdict LIKE 'alert:overdue%'"),
        1
    );
    let month = &first["results"][2];
    assert!(month["figures"]["n"].as_u64().expect("a count") > 100, "{first}");
    assert!(month["trades"]["n_days"].as_u64().expect("a count") > 5, "{month}");
    assert!(
        month["indicator_accuracy"].is_number()
            && month["saved_against_indicator"]["low"].is_number(),
        "{month}"
    );

    // A model that says one thing, a market that has moved, candles that are late.
    field.sql(
        "UPDATE market_data SET high = greatest(open, close) * 1.05, low = least(open, close) * 0.95
          WHERE timestamp >= '2025-10-07T22:00Z'",
    );
    field.json_at(at, &["predict"]);
    field.sql("UPDATE trading_signals SET signal = 'hold', abstained = NULL");
    let copies = "INSERT INTO trading_signals (line, model_version, pair, timeframe, signal, candle_timestamp, answered_as_of)
                  SELECT line, model_version, pair, timeframe, 'hold', candle_timestamp - interval '10 days', answered_as_of
                    FROM trading_signals";
    field.sql(copies);
    field.sql(&copies.replace("10 days", "20 days"));
    let second = look("2025-10-31T12:00:00Z", &["monitor", "--dry-run"]);
    assert!(
        rings(&second).contains(&"data".to_owned())
            && rings(&second).contains(&"model-age".to_owned()),
        "{second}"
    );
    let third = look(at, &["monitor"]);
    let ringing = rings(&third);
    assert!(
        ringing.contains(&"collapse".to_owned()) && ringing.contains(&"drift".to_owned()),
        "{}",
        third["alarms"]
    );
    assert_eq!(
        field.count("alerts WHERE cause = 'monitor:collapse:fx-direction' AND resolved_at IS NULL"),
        1
    );
    let told = "domain -> 'auc' IS NOT NULL AND domain -> 'p' IS NOT NULL";
    assert!(field.count(&format!("monitoring_runs WHERE line = 'fx-direction' AND {told}")) > 0);
    let shown = field.home.ok(&["--as-of", at, "monitor", "--dry-run", "--explain"]).stdout;
    assert!(shown.contains("a logistic model tells the last"), "{shown}");
    assert!(shown.contains("are hold (above 95 %") && shown.contains("MiB are free"), "{shown}");
    assert!(shown.contains("1h: an estimate is pointless, labels come in 4 hours"), "{shown}");
    // What is over is closed.
    field.sql("DELETE FROM trading_signals");
    field.json_at(at, &["monitor"]);
    assert_eq!(
        field.count("alerts WHERE cause = 'monitor:collapse:fx-direction' AND resolved_at IS NULL"),
        0
    );
    // A production that is broken is one more alarm, and the others are still asked.
    field.home.write("models/fx-direction/v1.1/model.safetensors", "none");
    let broken = look(at, &["monitor"]);
    assert!(rings(&broken).contains(&"production".to_owned()), "{broken}");
    assert!(rings(&broken).contains(&"overdue".to_owned()), "{broken}");
}

#[test]
fn shadows_answer_beside_production_and_nobody_is_told() {
    let field = Field::in_production();
    let config = crate::nights::CONFIG;
    field.home.write("aifx.yaml", &format!("{config}    signals: {{shadows: 1}}\n"));
    let staged =
        field.json_at("2025-10-06T02:00:00Z", &["train-weekly", "--no-promote"])["version"].clone();
    assert_eq!(staged, "v1.2");
    let report = field.json_at("2025-10-07T10:00:00Z", &["predict"]);
    assert_eq!((&report["n_new"], &report["version"]), (&48.into(), &"v1.1".into()));
    assert_eq!(report["shadows"], json!([{"version": "v1.2", "n_new": 48}]));
    assert_eq!(field.count("trading_signals WHERE shadow AND model_version = 'v1.2'"), 48);
    assert_eq!(field.count("ml_events WHERE channel = 'ml:new_prediction'"), 48);
    assert_eq!(field.json_at("2025-10-07T10:00:00Z", &["predict"])["status"], "nothing-new");
    // A shadow that is broken is a note.
    field.home.write("models/fx-direction/v1.2/model.safetensors", "not a model");
    let run = field.home.run(&["--as-of", "2025-10-07T11:00:00Z", "predict", "--json"]);
    assert_eq!((run.status, &run.document()["n_new"]), (0, &2.into()));
    assert!(
        run.document()["notes"].to_string().contains("shadow v1.2 cannot answer"),
        "{}",
        run.stdout
    );
    let settled = field.json_at("2025-10-08T10:00:00Z", &["outcomes"]);
    assert_eq!(settled["settled"], 98);
    assert_eq!(field.count("ml_events WHERE channel = 'ml:signal_outcome'"), 50);
    // Production of another line with a version of the same name answers the same candles all the same.
    field.sql(
        "UPDATE trading_signals SET line = 'other', shadow = false WHERE model_version = 'v1.1'",
    );
    assert_eq!(field.json_at("2025-10-07T11:00:00Z", &["predict"])["n_new"], 48);
}

#[test]
fn the_fixed_rule_settles_by_the_movement_alone() {
    let field = Field::in_production();
    field.json_at("2025-10-07T10:00:00Z", &["predict"]);
    field.sql("UPDATE trading_signals SET stop_loss = entry_price, take_profit = entry_price");
    let planned = field.json_at("2025-10-08T00:00:00Z", &["label", "--settle", "--dry-run"]);
    assert_eq!(
        (&planned["settled"], field.count("trading_signals WHERE outcome IS NOT NULL")),
        (&48.into(), 0)
    );
    let report = field.json_at("2025-10-08T00:00:00Z", &["label", "--settle", "0.001"]);
    assert_eq!(report["settled"], 48);
    let wrong = "trading_signals WHERE settled_by <> 'rule' OR exit_reason <> 'horizon' OR outcome <>
        CASE WHEN signal = 'hold' THEN CASE WHEN abs(exit_price / entry_price - 1) <= 0.001 THEN 'win' ELSE 'loss' END
             WHEN (CASE signal WHEN 'buy' THEN 1 ELSE -1 END) * (exit_price / entry_price - 1) > 0.001 THEN 'win'
             WHEN (CASE signal WHEN 'buy' THEN 1 ELSE -1 END) * (exit_price / entry_price - 1) < -0.001 THEN 'loss'
             ELSE 'breakeven' END";
    assert_eq!(field.count(wrong), 0);
    field.home.run(&["label", "--settle", "2"]).refuses(2, &["half a per cent is 0.005"]);
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

/// A quote provider with the candles that the table holds now, as Yahoo would give them; it answers until it is told to fail.
fn quote_server(field: &Field) -> (String, Arc<AtomicBool>) {
    let rows = field
        .database
        .client()
        .query(
            "SELECT replace(pair, '/', ''), extract(epoch FROM timestamp)::int8, open, high, low, close, 0::float8 FROM market_data
             ORDER BY 1, 2",
            &[],
        )
        .expect("read");
    let candles: Vec<(String, i64, [f64; 5])> = rows
        .iter()
        .map(|row| (row.get(0), row.get(1), [2, 3, 4, 5, 6].map(|k| row.get(k))))
        .collect();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let fails = Arc::new(AtomicBool::new(false));
    let told = fails.clone();
    // The thread ends with the process of the test.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut lines = BufReader::new(stream.try_clone().expect("a copy")).lines();
            let first = lines.next().and_then(Result::ok).unwrap_or_default();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let number = |key: &str| -> i64 {
                let rest = first.split(key).nth(1).unwrap_or_default();
                rest.split(['&', ' ']).next().unwrap_or_default().parse().unwrap_or_default()
            };
            let (from, to) = (number("period1="), number("period2="));
            let wanted: Vec<_> = candles
                .iter()
                .filter(|(pair, at, _)| first.contains(pair.as_str()) && (from..=to).contains(at))
                .collect();
            let column = |k: usize| wanted.iter().map(|one| one.2[k]).collect::<Vec<_>>();
            let body = json!({"chart": {"error": null, "result": [{
                "timestamp": wanted.iter().map(|one| one.1).collect::<Vec<_>>(),
                "indicators": {"quote": [{
                    "open": column(0), "high": column(1), "low": column(2), "close": column(3),
                    "volume": column(4),
                }]},
            }]}})
            .to_string();
            let status = if told.load(Ordering::Relaxed) { "503 Away" } else { "200 OK" };
            let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
            let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n{body}").as_bytes());
        }
    });
    (url, fails)
}

#[test]
fn candles_come_in_once_are_revised_and_judged() {
    let field = Field::new();
    let (url, fails) = quote_server(&field);
    let config = format!(
        "lines:\n  fx-direction:\n    pairs: [EUR/USD, GBP/USD]\ncollect: {{url: '{url}', tries: 1, requests_per_second: 1000}}\n"
    );
    field.home.write("aifx.yaml", &config);
    field.sql("DELETE FROM market_data WHERE timestamp >= '2025-10-07T00:00Z'");
    let at = "2025-10-07T10:02:00Z";
    let collected = field.json_at(at, &["collect"]);
    let series = collected["series"].as_array().expect("series").clone();
    assert_eq!(series.len(), 2);
    for one in &series {
        // Ten new hours; the one that is forming stays out.
        assert_eq!((&one["inserted"], &one["updated"]), (&10.into(), &0.into()), "{one}");
        assert_eq!(
            (&one["last"], &one["verdict"]),
            (&"2025-10-07T09:00:00Z".into(), &"fresh".into()),
            "{one}"
        );
    }
    assert_eq!(
        field.count(
            "ml_events WHERE channel = 'ml:new_market_data' AND as_of = '2025-10-07T10:02Z'"
        ),
        2
    );
    let again = field.json_at(at, &["collect"]);
    assert_eq!(again["series"][0]["inserted"], 0);

    // A candle that differs from what the provider says now is a revision, and the old value is kept.
    field.sql(
        "UPDATE market_data SET close = close * 1.0001, high = high * 1.0001, volume = 777
               WHERE pair = 'EUR/USD' AND timestamp = '2025-10-07T08:00Z'",
    );
    let revised = field.json_at(at, &["collect", "--pairs", "EUR/USD"]);
    assert_eq!(
        (revised["series"][0]["updated"].as_u64(), field.count("market_data_revisions")),
        (Some(1), 1)
    );

    // The provider counts no volume: that of another vendor stays.
    assert_eq!(field.count("market_data WHERE volume = 777"), 1);
    let again = field.json_at(at, &["collect", "--pairs", "EUR/USD"]);
    assert_eq!(again["series"][0]["updated"], 0);

    // A hole is filled from the last candle on.
    let later = field.json_at("2025-10-08T10:02:00Z", &["collect"]);
    assert_eq!(later["series"][1]["inserted"], 24);
    fails.store(true, Ordering::Relaxed);
    let run = field.home.run(&["--as-of", "2025-10-08T18:02:00Z", "collect", "--json"]);
    assert_eq!((run.status, &run.document()["n_failed"]), (5, &2.into()));
    let shown = field.home.ok(&["--as-of", "2025-10-08T18:05:00Z", "status"]).stdout;
    assert!(shown.contains("EUR/USD 1h: failed") && shown.contains("status 503"), "{shown}");
    fails.store(false, Ordering::Relaxed);
    let dry = field.json_at("2025-10-08T18:02:00Z", &["collect", "--dry-run"]);
    assert_eq!((dry["series"][0]["inserted"].as_u64(), &dry["dry_run"]), (Some(8), &true.into()));
    assert_eq!(field.count("market_data WHERE timestamp >= '2025-10-08T10:00Z'"), 0);
}

/// A webhook that keeps what it is told.
fn webhook() -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("bound"));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = heard.clone();
    // The thread ends with the process of the test.
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let mut reader = BufReader::new(stream.try_clone().expect("a copy"));
            let (mut line, mut length) = (String::new(), 0);
            while reader.read_line(&mut line).is_ok_and(|n| n > 2) {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().expect("a number");
                }
                line.clear();
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).expect("the body");
            kept.lock().expect("held").push(serde_json::from_slice(&body).expect("JSON"));
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        }
    });
    (url, heard)
}

#[test]
fn a_job_that_fails_is_told_of_once_and_once_more_when_it_is_well() {
    let mut field = Field::new();
    let (url, heard) = webhook();
    field.home.set("WEBHOOK_URL", &url);
    let spoil = "UPDATE market_data SET close = close * 9 WHERE pair = 'EUR/USD' AND timestamp = '2025-10-01T10:00Z'";
    field.sql(spoil);
    for _ in 0..2 {
        let run = field.home.run(&["--as-of", TRAINED, "train-weekly"]);
        run.refuses(4, &["EUR/USD"]);
    }
    let titles = || -> Vec<String> {
        let heard = heard.lock().expect("held");
        heard.iter().map(|one| one["title"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(titles(), ["aifx: fx-direction needs you"], "once within the cool-down");
    let text = heard.lock().expect("held")[0]["text"].to_string();
    assert!(
        text.contains("the weekly run of fx-direction failed") && text.contains("EUR/USD"),
        "{text}"
    );
    assert_eq!(field.count("alerts WHERE resolved_at IS NULL AND n_seen = 2"), 1);
    field.sql("UPDATE market_data SET close = close / 9 WHERE pair = 'EUR/USD' AND timestamp = '2025-10-01T10:00Z'");
    field.json_at(TRAINED, &["train-weekly"]);
    assert_eq!(titles()[1..], ["aifx: fx-direction has recovered"]);
    assert_eq!(field.count("alerts WHERE resolved_at IS NULL"), 0);
}
