//! What people see of a line: the page, the screen and the metrics file, from tables that others write to as well.

use std::fs;

use serde_json::Value;

use crate::nights::{CONFIG, Field};

const NOW: &str = "2025-10-14T12:30:00Z";

/// A line in its second version, with a week of answers, outcomes and looks.
fn watched() -> Field {
    let field = Field::new();
    // So small a model expects nothing that pays for its costs; somebody has to trade.
    let more = "    signals: {size: confidence}\nmetrics: {textfile: metrics/aifx.prom}\n";
    field.home.write("aifx.yaml", &format!("{CONFIG}{more}"));
    for at in ["2025-09-28T01:00:00Z", "2025-10-05T01:00:00Z"] {
        field.json_at(at, &["train-weekly", "--no-promote"]);
    }
    for (version, at) in [("v1.0", "2025-09-28T02:00:00Z"), ("v1.1", "2025-10-05T02:00:00Z")] {
        field.json_at(at, &["promote", version, "--force", "--reason", "test"]);
    }
    for day in 7..=14 {
        let at = format!("2025-10-{day:02}T12:00:00Z");
        field.json_at(&at, &["predict"]);
        field.sql(
            "UPDATE trading_signals SET signal = CASE WHEN id % 3 = 0 THEN 'buy' ELSE 'sell' END, position_size = 0.05
              WHERE outcome IS NULL AND signal = 'hold' AND id % 3 < 2",
        );
        field.json_at(&at, &["outcomes"]);
    }
    for at in ["2025-10-13T12:20:00Z", "2025-10-14T12:20:00Z"] {
        field.json_at(at, &["monitor"]);
    }
    field
}

fn page(field: &Field) -> String {
    let path = field.home.path().join("reports/watch/fx-direction.html");
    fs::read_to_string(path).expect("the page")
}

/// Nothing of a page is fetched from anywhere.
fn assert_self_contained(page: &str) {
    for word in ["<script", "http://", "https://", "src=", "@import", "url(", "<link", "<iframe"] {
        assert!(!page.contains(word), "{word} is in the page");
    }
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    assert!(page.contains("prefers-color-scheme: dark") && page.contains("width=device-width"));
    assert!(!page.contains("NaN") && !page.contains("inf\""));
}

#[test]
fn an_empty_home_gets_a_page_that_says_what_is_missing() {
    let field = Field::new();
    let report = field.json_at("2025-10-25T00:30:00Z", &["report"]);
    assert_eq!(report["schema"], "aifx.report/1");
    assert_eq!((&report["mood"], &report["production"]), (&"open".into(), &Value::Null));
    let page = page(&field);
    assert_self_contained(&page);
    for said in [
        "No version answers",
        "aifx monitor has not looked at this line yet",
        "No signal of production has been settled",
        "Production did not move",
        "Production has answered no candle",
        "There are no scored answers",
        "There is no look at the features yet",
        "No job has run on this line",
        "The monitor has not scored an answer yet",
        "never collected",
    ] {
        assert!(page.contains(said), "{said:?} is not in the page");
    }
}

#[test]
fn the_page_shows_what_the_tables_hold_and_believes_none_of_their_texts() {
    let field = watched();
    // A shadow that wins everything, and an alert that would like to be markup.
    field.sql(
        "INSERT INTO trading_signals (line, model_version, pair, timeframe, signal, candle_timestamp, answered_as_of, shadow,
                outcome, closed_at, entry_price, pnl_net, position_size)
         VALUES ('fx-direction', 'v9.9', 'EUR/USD', '1h', 'buy', '2025-10-10T10:00Z', '2025-10-10T11:00Z', true, 'win',
                 '2025-10-10T12:00Z', 1, 1, 1)",
    );
    field.sql(
        "INSERT INTO alerts (alert_id, line, cause, severity, message, raised_at, last_seen_at)
         VALUES (gen_random_uuid(), 'fx-direction', 'monitor:<img src=x onerror=alert(1)>:fx-direction', 'critical',
                 '<script>alert(1)</script>', '2025-10-12T10:00Z', '2025-10-12T10:00Z')",
    );
    field.sql(
        "INSERT INTO monitoring_runs (line, verdict, metrics, drift, domain, probation, triggers, as_of)
         VALUES ('fx-direction', '</style><b>', '{\"days\": \"</svg>\"}', '{\"features\": [\"<b>\"], \"verdict\": 7}', '{\"auc\": \"<b>\"}',
                 '[{\"version\": \"<b>\"}, 7]', '[{\"job\": \"<i>x</i>\", \"reason\": \"<b>\"}, [], 7]', '2025-10-12T10:00Z')",
    );
    field.sql(
        "INSERT INTO model_training_log (run_id, line, job, status, as_of, error)
         VALUES (gen_random_uuid(), 'fx-direction', 'daily', 'failed', '2025-10-09T01:00:00Z', 'no <b>candles</b>')",
    );
    let report = field.json_at(NOW, &["report"]);
    assert_eq!((&report["mood"], &report["production"]), (&"bad".into(), &"v1.1".into()));
    let rings = report["ringing"].as_array().expect("a list");
    assert!(rings.iter().any(|alert| alert["message"] == "<script>alert(1)</script>"), "{report}");
    let page = page(&field);
    assert_self_contained(&page.replace("&lt;img src=x", ""));
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && page.contains("&lt;img src=x")
    );
    assert!(page.contains("no &lt;b&gt;candles&lt;/b&gt;"));
    for said in [
        "v1.1 answers, ",
        "▲ v1.0 → v1.1",
        "against the gate",
        "missed",
        "Calibration",
        "EUR/USD 1h",
    ] {
        assert!(page.contains(said), "{said:?} is not in the page");
    }
    // The equity is what the traded signals brought at their sizes, and no shadow's.
    let sql = "SELECT sum(position_size * pnl_net / entry_price), count(*) FROM trading_signals
                WHERE NOT shadow AND outcome IS NOT NULL AND signal IN ('buy', 'sell') AND position_size > 0";
    let row = field.database.client().query_one(sql, &[]).expect("a sum");
    let (sum, n): (Option<f64>, i64) = (row.get(0), row.get(1));
    let (sum, n) = (sum.expect("trades"), n);
    assert!(n > 20, "{n} trades");
    let shown = format!("{:+.2}\u{a0}%", sum * 100.0);
    assert!(page.contains(&shown), "{shown} is not in the page");
    assert!(page.contains(&format!("{n} trades")), "{n} trades are not in the page");
    assert!(!page.contains("v9.9"));

    // Another place, and a shorter look back; the file that was there stays whole until the new one is.
    let out = field.home.path().join("somewhere/page.html");
    let out_text = out.to_str().expect("a path");
    let short = field.json_at(NOW, &["report", "--days", "2", "--out", out_text]);
    assert_eq!(short["file"], out_text);
    assert!(!fs::read_to_string(&out).expect("the page").contains("▲ v1.0 → v1.1"));
    field.home.run(&["report", "--days", "0"]).refuses(2, &["0 is not in 1..=400"]);
    field.home.run(&["report", "--line", "fx-slow"]).refuses(2, &["fx-slow"]);

    let text = field.home.ok(&["--as-of", NOW, "report"]).stdout;
    assert!(text.starts_with("fx-direction: v1.1 answers, "), "{text}");

    // The screen says what rings as well, with its text and since when.
    let status = field.json_at(NOW, &["status"]);
    assert_eq!(
        status["ringing"].as_array().map(Vec::len),
        status["open_alerts"].as_u64().map(|n| n as usize)
    );
    assert_eq!(status["lines"][0]["last_look"]["as_of"], "2025-10-14T12:20:00Z");
    let screen = field.home.ok(&["--as-of", NOW, "status"]).stdout;
    assert!(screen.contains("<script>alert(1)</script>, since 20"), "{screen}");
    assert!(screen.contains("  monitor            "), "{screen}");
}

#[test]
fn the_monitor_ends_by_writing_the_metrics_and_never_fails_on_them() {
    let field = watched();
    let folder = field.home.path().join("metrics");
    let text = fs::read_to_string(folder.join("aifx.prom")).expect("the file");
    assert_eq!(fs::read_dir(&folder).expect("the folder").count(), 1, "nothing is left beside it");
    let value = |sample: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{sample} is not in\n{text}")).parse().expect("a number")
    };
    let count = |what: &str| -> f64 {
        let sql =
            format!("SELECT count(*)::float8 FROM trading_signals WHERE NOT shadow AND {what}");
        field.database.client().query_one(&sql, &[]).expect("counted").get(0)
    };
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    close(value("aifx_production_info{line=\"fx-direction\",version=\"v1.1\"}"), 1.0);
    // Made on the 5th at one o'clock, looked at on the 14th at 12:20.
    let age_s = f64::from(9 * 86_400 + 11 * 3600 + 20 * 60);
    close(value("aifx_production_age_seconds{line=\"fx-direction\"}"), age_s);
    close(
        value("aifx_signals_total{line=\"fx-direction\",signal=\"buy\"}"),
        count("signal = 'buy'"),
    );
    close(
        value("aifx_open_signals{line=\"fx-direction\"}"),
        count("outcome IS NULL AND abstained IS NULL"),
    );
    let won = count("outcome = 'win' AND signal IN ('buy', 'sell')");
    close(value("aifx_settled_signals_total{line=\"fx-direction\",outcome=\"win\"}"), won);
    close(value("aifx_candle_age_seconds{pair=\"EUR/USD\",timeframe=\"1h\"}"), 1200.0);
    close(value("aifx_candles_missing{pair=\"EUR/USD\",timeframe=\"1h\"}"), 0.0);
    close(value("aifx_versions{line=\"fx-direction\",status=\"production\"}"), 1.0);
    assert!(value("aifx_job_overdue{line=\"fx-direction\",job=\"train-daily\"}") >= 8.0);
    let at = "2025-10-14T12:20:00Z".parse::<chrono::DateTime<chrono::Utc>>().expect("an instant");
    let looked =
        value("aifx_last_success_timestamp_seconds{line=\"fx-direction\",job=\"monitor\"}");
    close(looked, at.timestamp() as f64);
    assert!((0.0..=1.0).contains(&value("aifx_accuracy{line=\"fx-direction\",window=\"7d\"}")));
    close(value("aifx_alert_ringing{line=\"fx-direction\",alarm=\"overdue\"}"), 1.0);

    // Where the file cannot be, the monitor says so and has done its work; without a file it says nothing.
    field.home.write("aifx.yaml", &format!("{CONFIG}metrics: {{textfile: aifx.yaml/x.prom}}\n"));
    let run = field.home.ok(&["--as-of", "2025-10-14T13:20:00Z", "monitor"]);
    assert!(
        run.stderr.contains("the metrics file was not written: cannot write"),
        "{}",
        run.stderr
    );
    field.home.write("aifx.yaml", &format!("{CONFIG}metrics: {{textfile: metrics/aifx.txt}}\n"));
    field.home.run(&["monitor"]).refuses(3, &["end in .prom"]);
}
