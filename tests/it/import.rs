//! `aifx import`: candles from files into the database, and files that are refused.

#![allow(clippy::disallowed_methods, reason = "tests arrange their files")]

use std::fs;

use crate::support::{Home, TestDatabase};

const CONFIG: &str = "lines:\n  fx-direction: {}\n";

const GOOD: &str = "timestamp,open,high,low,close,volume\n\
                    2024-01-02T10:00:00Z,1.1,1.2,1.0,1.15,1\n\
                    2024-01-02T11:00:00Z,1.1,1.2,1.0,1.15,1\n\
                    2024-01-02T12:00:00Z,1.1,1.2,1.0,1.15,1\n\
                    2024-01-02T13:00:00Z,1.1,1.2,1.0,1.15,1\n";

#[test]
fn candles_are_written_once_replaced_when_they_change_and_kept_when_a_later_file_fails() {
    let database = TestDatabase::create();
    let home = Home::with_database(&database);
    fs::write(home.path().join("aifx.yaml"), CONFIG).expect("written");
    home.ok(&["db", "migrate"]);
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).expect("written");
    let count = || -> i64 {
        database.client().query_one("SELECT count(*) FROM market_data", &[]).expect("rows").get(0)
    };
    let counts = |args: &[&str]| {
        let file = home.json(args)["files"][0].clone();
        ["inserted", "updated", "unchanged"].map(|key| file[key].as_u64().expect(key))
    };
    write("EURUSD_1h.csv", GOOD);
    assert_eq!(counts(&["import", "EURUSD_1h.csv", "--dry-run"]), [4, 0, 0]);
    assert_eq!(count(), 0);
    let document = home.json(&["import", "EURUSD_1h.csv"]);
    assert_eq!(document["schema"], "aifx.import/1");
    let file = &document["files"][0];
    for (key, value) in [
        ("path", "EURUSD_1h.csv"),
        ("pair", "EUR/USD"),
        ("timeframe", "1h"),
        ("format", "aifx"),
        ("first", "2024-01-02T10:00:00Z"),
        ("last", "2024-01-02T13:00:00Z"),
        ("closed_at", "2024-01-02T14:00:00Z"),
    ] {
        assert_eq!(file[key], value, "{key}");
    }
    for (key, n) in [("read", 4), ("inserted", 4), ("updated", 0), ("refused", 0)] {
        assert_eq!(file[key], n, "{key}");
    }
    assert_eq!(counts(&["import", "EURUSD_1h.csv"]), [0, 0, 4]);
    write(
        "EURUSD_1h.csv",
        &GOOD.replace("13:00:00Z,1.1,1.2,1.0,1.15", "13:00:00Z,1.1,1.2,1.0,1.12"),
    );
    assert_eq!(counts(&["import", "EURUSD_1h.csv"]), [0, 1, 3]);

    write("GBPUSD_1h.csv", GOOD);
    write("USDJPY_1h.csv", &GOOD.replace("12:00:00Z,1.1,1.2", "12:00:00Z,1.1,1.05"));
    home.run(&["import", "GBPUSD_1h.csv", "USDJPY_1h.csv"]).refuses(
        4,
        &[
            "cannot import USDJPY_1h.csv: line 4: high 1.05 is below open 1.1",
            "fix the row, or pass --on-bad-row skip to leave such rows out (1 in this file)",
            "the first 1 of 2 files are imported and stay so",
        ],
    );
    assert_eq!(count(), 8);
    let text = home.ok(&["import", "USDJPY_1h.csv", "--on-bad-row", "skip"]).stdout;
    assert!(text.contains("3 new") && text.contains("line 4: high 1.05"), "{text}");
}

#[test]
fn inspect_needs_no_database() {
    let home = Home::empty();
    fs::write(home.path().join("aifx.yaml"), CONFIG).expect("written");
    fs::write(home.path().join("EURUSD_1h.csv"), GOOD).expect("written");
    let file = home.json(&["import", "--inspect", "EURUSD_1h.csv"])["files"][0].clone();
    assert_eq!((&file["read"], &file["inserted"]), (&4.into(), &serde_json::Value::Null));
}
