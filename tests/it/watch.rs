//! The watch: what is worse goes back by itself, what is stale is trained anew, and all of it can be read afterwards.

use safetensors::{SafeTensors, serialize, tensor::TensorView};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::nights::{CONFIG, Field};

const DIRECTORY: &str = "models/fx-direction";

/// What the monitor saw of the line.
pub(crate) fn watch(field: &Field, at: &str, args: &[&str]) -> Value {
    field.json_at(at, &[&["monitor"], args].concat())["lines"][0].take()
}

pub(crate) fn alarm(seen: &Value, name: &str) -> Value {
    let alarms = seen["alarms"].as_array().expect("alarms");
    alarms.iter().find(|alarm| alarm["name"] == name).expect(name).clone()
}

/// The page of the line.
fn page(field: &Field, at: &str) -> String {
    field.json_at(at, &["report"]);
    let path = field.home.path().join("reports/watch/fx-direction.html");
    std::fs::read_to_string(path).expect("the page")
}

/// Makes a published version say buy for sell: the rows of its last layer change places, and so do the answers of its probe.
fn flip(field: &Field, version: &str) {
    rewrite(field, version, &|key, shape, data| match (key, shape) {
        ("out.weight" | "out.bias", [3, ..]) => Some(swap(data, data.len() / 3)),
        (_, [rows, 3]) => {
            Some(data.chunks(data.len() / rows).flat_map(|row| swap(row, row.len() / 3)).collect())
        }
        _ => None,
    });
}

/// What a tensor's bytes become by its name and shape; nothing leaves it as it is.
type Change<'a> = &'a dyn Fn(&str, &[usize], &[u8]) -> Option<Vec<u8>>;

/// Rewrites tensors of a published version and of its probe; everything else about it is as it should be.
fn rewrite(field: &Field, version: &str, change: Change<'_>) {
    let file = |name: &str| format!("{DIRECTORY}/{version}/{name}");
    let read = |name: &str| std::fs::read(field.home.path().join(file(name))).expect(name);
    let mut changed = Vec::new();
    for name in ["model.safetensors", "probe.safetensors"] {
        let bytes = read(name);
        let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
        let rewritten: Vec<(String, Vec<u8>, TensorView<'_>)> = tensors
            .tensors()
            .into_iter()
            .map(|(key, view)| {
                let data = change(&key, view.shape(), view.data());
                (key, data.unwrap_or_else(|| view.data().to_vec()), view)
            })
            .collect();
        let views = rewritten.iter().map(|(key, data, view)| {
            let view =
                TensorView::new(view.dtype(), view.shape().to_vec(), data).expect("a tensor");
            (key.as_str(), view)
        });
        let bytes = serialize(views, None).expect("tensors");
        field.home.write_bytes(&file(name), &bytes);
        changed.push((name, hex(&bytes)));
    }
    let sums = String::from_utf8(read("SHA256SUMS")).expect("text");
    let line = |line: &str| match changed.iter().find(|(name, _)| line.ends_with(name)) {
        Some((name, sum)) => format!("{sum}  {name}\n"),
        None => format!("{line}\n"),
    };
    let sums: String = sums.lines().map(line).collect();
    field.home.write(&file("SHA256SUMS"), &sums);
    let sum = hex(sums.as_bytes());
    field.sql(&format!(
        "UPDATE model_versions SET manifest_sha256 = '{sum}' WHERE version = '{version}'"
    ));
}

/// The first and the last of three parts of `size` bytes change places.
fn swap(data: &[u8], size: usize) -> Vec<u8> {
    [&data[2 * size..], &data[size..2 * size], &data[..size]].concat()
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_harmful_version_that_was_forced_into_production_goes_back_by_itself() {
    let field = Field::new();
    // A market that shows its edge, and a model that sees it.
    let market =
        ["--candles", "1740", "--seed", "5", "--edge", "3", "--end", "2025-11-08T00:00:00Z"];
    field.home.ok(&[&["simulate"], &market[..]].concat());
    field.home.write(
        "aifx.yaml",
        &CONFIG
            .replace("epochs: 4", "epochs: 12")
            .replace("{days: 0}", "{days: 60}")
            .replace("lookback: 12", "lookback: 12\n    label: {rule: volatility, multiple: 1.0}"),
    );
    for at in ["2025-09-28T01:00:00Z", "2025-10-05T01:00:00Z"] {
        field.json_at(at, &["train-weekly", "--no-promote"]);
    }
    field.json_at("2025-10-05T02:00:00Z", &["promote", "v1.0", "--force", "--reason", "test"]);
    flip(&field, "v1.1");
    let promoted = "2025-10-05T03:00:00Z";
    field.json_at(promoted, &["promote", "v1.1", "--force", "--reason", "a hunch"]);

    // What was replaced answers beside it, and the first days say nothing.
    let answered = field.json_at("2025-10-07T10:00:30Z", &["predict"]);
    assert_eq!(answered["shadows"][0]["version"], "v1.0", "{answered}");
    let early = watch(&field, "2025-10-09T12:00:00Z", &[]);
    assert_eq!(alarm(&early, "probation")["rings"], false, "{early}");
    assert_eq!(early["probation"][0]["replaced"], "v1.0");
    let screen = field.home.ok(&["--as-of", "2025-10-09T12:30:00Z", "status"]).stdout;
    assert!(
        screen.contains("v1.1 against v1.0, which it replaced on 2025-10-05 03:00"),
        "{screen}"
    );
    let drawn = page(&field, "2025-10-09T12:30:00Z");
    assert!(drawn.contains("On probation") && drawn.contains("no worse than chance allows"));

    // To look changes nothing; to watch does.
    let later = "2025-11-07T12:00:00Z";
    let seen = watch(&field, later, &["--dry-run"]);
    assert_eq!(alarm(&seen, "probation")["rings"], true, "{}", seen["probation"]);
    assert_eq!(field.count("model_promotions WHERE actor = 'probation'"), 0);
    let back = watch(&field, later, &[]);
    let text = alarm(&back, "probation")["text"].as_str().expect("text").to_owned();
    assert!(text.contains("v1.0 answers again and v1.1 is barred"), "{text}");
    assert_eq!(
        field.count("model_promotions WHERE actor = 'probation' AND action = 'rollback' AND to_version = 'v1.0'"),
        1
    );
    assert_eq!(
        field.count("alerts WHERE cause LIKE 'monitor:probation:%' AND resolved_at IS NULL"),
        1
    );
    assert_eq!(field.count("model_versions WHERE status = 'production' AND version = 'v1.0'"), 1);

    // Alerts are shown in the time of the runs: from that look on, and not before.
    let rings = |at: &str| {
        let status = field.json_at(at, &["status"]);
        let causes = status["ringing"].as_array().expect("a list").iter();
        let ours = |alert: &&Value| {
            alert["cause"].as_str().is_some_and(|cause| cause.contains("probation"))
        };
        causes.clone().find(ours).map(|alert| alert["since"].clone())
    };
    assert_eq!(rings("2025-11-07T11:00:00Z"), None);
    assert_eq!(rings("2025-11-07T12:30:00Z"), Some(later.into()));

    // It is over, and v1.1 does not come back but by force.
    let over = watch(&field, "2025-11-07T13:00:00Z", &[]);
    assert_eq!(
        (&over["version"], &alarm(&over, "probation")["rings"]),
        (&"v1.0".into(), &false.into())
    );
    assert_eq!(
        field.count("alerts WHERE cause LIKE 'monitor:probation:%' AND resolved_at IS NULL"),
        0
    );
    field.sql("UPDATE model_versions SET gate = NULL WHERE version = 'v1.1'");
    field
        .home
        .run(&["--as-of", later, "promote", "v1.1"])
        .refuses(8, &["v1.1 is barred", "worse by more than chance"]);
    field.json_at(later, &["promote", "v1.1", "--force", "--reason", "another hunch"]);
}

/// Makes a published version say hold to everything: the bias of its middle class grows until nothing else is ever likelier.
fn hold_everything(field: &Field, version: &str) {
    let temperature = {
        let metadata =
            std::fs::read(field.home.path().join(format!("{DIRECTORY}/{version}/metadata.json")));
        let metadata: Value = serde_json::from_slice(&metadata.expect("metadata")).expect("JSON");
        metadata["temperature"].as_f64().expect("a temperature")
    };
    // In logits; the temperature divides them.
    let bias = 12.0 * temperature;
    rewrite(field, version, &|key, shape, data| match (key, shape) {
        ("out.bias", [3]) => {
            let mut values = floats(data);
            values[1] += bias as f32;
            Some(bytes(&values))
        }
        (_, [_, 3]) => {
            let rows = floats(data);
            let row = |row: &[f32]| {
                let grown = [row[0], row[1] * (bias / temperature).exp() as f32, row[2]];
                let sum: f32 = grown.iter().sum();
                grown.map(|value| value / sum)
            };
            Some(bytes(&rows.chunks(3).flat_map(row).collect::<Vec<f32>>()))
        }
        _ => None,
    });
}

fn floats(data: &[u8]) -> Vec<f32> {
    data.chunks_exact(4)
        .map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]]))
        .collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[test]
fn a_model_that_holds_everything_is_noticed_within_two_hours_and_trained_anew() {
    let field = Field::new();
    let config = CONFIG
        .replace("[EUR/USD, GBP/USD]", "[EUR/USD, GBP/USD, USD/JPY]")
        .replace("[1h]", "[15min]\n    label: {rule: volatility, multiple: 0.25}")
        .replace("epochs: 4", "epochs: 6, validation_days: 5, test_days: 8")
        .replace(
            "{action: ask}",
            "{missed: false, max_age_days: 0, new_samples: 0, accuracy_drop: 0, drift: false}",
        );
    field.home.write("aifx.yaml", &config);
    field.sql("DELETE FROM market_data");
    let market =
        ["--candles", "4000", "--seed", "7", "--edge", "3", "--end", "2025-10-25T00:00:00Z"];
    field.home.ok(&[&["simulate"], &market[..]].concat());
    let trained = "2025-10-07T12:00:00Z";
    field.json_at(trained, &["train-weekly", "--no-promote"]);
    field.json_at(trained, &["promote", "v1.0", "--force", "--reason", "test"]);
    let longest =
        field.home.json(&["models", "show", "v1.0"])["metrics"]["test"]["longest_runs"][1].as_u64();
    assert!(longest.is_some_and(|longest| longest <= 3), "{longest:?}: it used to trade");

    // For two weeks it answers; then it holds everything, and nobody looks but the monitor.
    field.json_at("2025-10-21T20:02:00Z", &["predict"]);
    let before = watch(&field, "2025-10-21T20:05:00Z", &["--dry-run"]);
    assert_eq!(alarm(&before, "collapse")["rings"], false, "{}", alarm(&before, "collapse"));
    hold_everything(&field, "v1.0");
    let mut noticed = None;
    let mut said = String::new();
    for (hour, minute) in [(20, 35), (21, 5), (21, 35), (22, 5)] {
        let now = |second: u32| format!("2025-10-21T{hour:02}:{minute:02}:{second:02}Z");
        let answered = field.json_at(&now(0), &["predict"]);
        assert!(answered["n_new"].as_u64() > Some(0), "{answered}");
        let seen = watch(&field, &now(30), &[]);
        said = alarm(&seen, "collapse")["text"].to_string();
        if alarm(&seen, "collapse")["rings"] == true {
            noticed = Some((now(30), seen));
            break;
        }
    }
    let (at, seen) =
        noticed.unwrap_or_else(|| panic!("no alarm within two hours of candles: {said}"));
    assert_eq!(
        field.count("alerts WHERE cause LIKE 'monitor:collapse:%' AND resolved_at IS NULL"),
        1
    );
    // It was trained anew for that reason, once, and the gate lets it answer in the place of what knows nothing.
    assert_eq!(seen["triggers"][0]["job"], "train-weekly", "{}", seen["triggers"]);
    assert_eq!(
        field.count("model_training_log WHERE job = 'weekly' AND status = 'completed' AND reason LIKE 'collapse:%'
                     AND period_key = 'asked:2025-10-21'"),
        1,
        "{}",
        seen["triggers"]
    );
    // The page has all of it: what rings, what was started for it, and what became of that.
    let drawn = page(&field, &at.replace(":30Z", ":40Z"));
    for said in ["What rings", "collapse", "<td class=\"when\">train-weekly</td>", "v1.1"] {
        assert!(drawn.contains(said), "{said} is not in the page");
    }
    let gate = field.home.json(&["models", "show", "v1.1"])["gate"].clone();
    assert_eq!(gate["passed"], true, "{gate}");
    let by_itself =
        "model_promotions WHERE to_version = 'v1.1' AND actor = 'train-weekly' AND NOT forced";
    assert_eq!(field.count(by_itself), 1, "{}", seen["triggers"]);
    assert_eq!(
        field.count("model_versions WHERE version = 'v1.1' AND status = 'production'"),
        1,
        "{}",
        seen["triggers"]
    );
    let again = watch(&field, &at.replace(":30Z", ":59Z"), &[]);
    assert!(
        again["triggers"].as_array().expect("triggers").iter().all(|one| one["ended"].is_null()),
        "{again}"
    );
    assert_eq!(field.count("model_training_log WHERE job = 'weekly'"), 2);
}
