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

/// Makes a published version say buy for sell: the rows of its last layer change places, and so do the answers of its probe.
/// Everything else about it is as it should be.
fn flip(field: &Field, version: &str) {
    let file = |name: &str| format!("{DIRECTORY}/{version}/{name}");
    let read = |name: &str| std::fs::read(field.home.path().join(file(name))).expect(name);
    let mut changed = Vec::new();
    for name in ["model.safetensors", "probe.safetensors"] {
        let bytes = read(name);
        let tensors = SafeTensors::deserialize(&bytes).expect("tensors");
        let mut swapped: Vec<(String, Vec<u8>, TensorView<'_>)> = Vec::new();
        for (key, view) in tensors.tensors() {
            let data = view.data().to_vec();
            let data = match (key.as_str(), view.shape()) {
                ("out.weight" | "out.bias", [3, ..]) => swap(&data, data.len() / 3),
                (_, [_, 3]) => data
                    .chunks(data.len() / view.shape()[0])
                    .flat_map(|row| swap(row, row.len() / 3))
                    .collect(),
                _ => data,
            };
            swapped.push((key, data, view));
        }
        let views = swapped.iter().map(|(key, data, view)| {
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
        ["--candles", "1500", "--seed", "5", "--edge", "3", "--end", "2025-10-25T00:00:00Z"];
    field.home.ok(&[&["simulate"], &market[..]].concat());
    field.home.write("aifx.yaml", &CONFIG.replace("epochs: 4", "epochs: 12"));
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

    // To look changes nothing; to watch does.
    let later = "2025-10-22T12:00:00Z";
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

    // It is over, and v1.1 does not come back but by force.
    let over = watch(&field, "2025-10-22T13:00:00Z", &[]);
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
