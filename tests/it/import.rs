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

/// `GOOD` without its header.
fn rows() -> &'static str {
    GOOD.split_once('\n').expect("a header").1
}

#[test]
fn each_kind_of_bad_file_is_refused_with_a_sentence_and_nothing_is_imported() {
    let home = Home::empty();
    fs::write(home.path().join("aifx.yaml"), CONFIG).expect("written");
    let header = "timestamp,open,high,low,close,volume\n";
    let line = |line: &str| format!("{GOOD}{line}\n").into_bytes();
    let step = |minutes: [u32; 6]| {
        let row =
            |m: u32| format!("2024-01-02T{:02}:{:02}:00Z,1.1,1.2,1.0,1.15,1\n", m / 60, m % 60);
        format!("{header}{}", minutes.map(row).concat()).into_bytes()
    };
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("EURUSD_1h.csv", vec![], "the file is empty"),
        ("EURUSD_1h.csv", header.into(), "the file holds a header and no rows"),
        ("EURUSD_1h.csv", line("2024-01-02T14:00:00Z,1.1,1.2,1.0"), "line 6: 4 of 6 fields: the row is cut off"),
        ("EURUSD_1h.csv", line("2024-01-02T14:00:00Z,1,1,1,2,1,0,1,15,1"), "line 6: 10 of 6 fields"),
        ("EURUSD_1h.csv", line("2024-01-02T14:00:00Z,1.1,NaN,1.0,1.1,0"), "line 6: high NaN is not a finite number"),
        ("EURUSD_1h.csv", line("2024-01-02T14:00:00Z,1.1,inf,1.0,1.1,0"), "line 6: high inf is not a finite number"),
        ("EURUSD_1h.csv", line("2024-01-02T14:00:00Z,1.1,1.2,0,1.1,0"), "line 6: low 0 is not positive"),
        ("EURUSD_1h.csv", line("2024-01-02T14:00:00Z,-1.1,1.2,1.0,1.1,0"), "line 6: open -1.1 is not positive"),
        ("EURUSD_1h.csv", line("2024-01-02T14:00:00Z,1.1,,1.0,1.1,0"), "line 6: column 3: high is empty"),
        ("EURUSD_1h.csv", line("2024-01-02T14:00:00Z,1.1,1.2,1.15,1.1,0"), "line 6: low 1.15 is above open 1.1"),
        ("EURUSD_1h.csv", line("2024-01-02T14:00:00Z,1.1,1.2,1.0,1.1,-5"), "line 6: volume -5 is not a number of at least 0"),
        ("EURUSD_1h.csv", line("2024-01-02T14:00:00Z,1.1,1.2,1.0,1.1,"), "line 6: column 6: volume is empty"),
        ("EURUSD_1h.csv", line("02/01/2024 14:00,1.1,1.2,1.0,1.1,0"), "line 6: column 1: time \"02/01/2024 14:00\" is not a date and time"),
        ("EURUSD_1h.csv", line("2024-01-02T14:30:00Z,1.1,1.2,1.0,1.1,0"), "line 6: 2024-01-02T14:30:00Z is off the grid of 1h"),
        ("EURUSD_1h.csv", line("2150-01-02T14:00:00Z,1.1,1.2,1.0,1.1,0"), "line 6: 2150-01-02T14:00:00Z lies in the future"),
        ("EURUSD_1h.csv", [GOOD.as_bytes(), b"2024-01-02T14:00:00Z,1.1,\xff,1.0,1.1,0\n"].concat(), "line 6, byte 26: 0xff is not UTF-8 text"),
        ("EURUSD_1h.csv", b"\xff\xfet\0i\0".to_vec(), "the file is in UTF-16"),
        ("EURUSD_1h.csv", vec![b'x'; 3 << 20], "line 1 is longer than 1 MiB"),
        ("EURUSD_1h.csv", [GOOD.as_bytes(), &vec![b'1'; 2 << 20]].concat(), "line 6 is longer than 1 MiB"),
        ("EURUSD_1h.csv", format!("time,first,high,low,close\n{}", rows()).into(), "line 1: the header \"time,first,high,low,close\" names no column for open"),
        ("EURUSD_1h.csv", b"PK\x03\x04broken".to_vec(), "the zip archive is damaged"),
        ("EURUSD_1h.csv.gz", b"\x1f\x8bbroken".to_vec(), "the archive is damaged"),
        ("EURUSD_1h.csv", b"timestamp,bid,ask\n2024-01-02T10:00:00Z,1.1,1.2\n".to_vec(), "holds ticks"),
        ("EURUSD_1h.csv", b"20240102 170000123,1.1,1.2,0\n20240102 170000223,1.1,1.2,0\n".to_vec(), "holds ticks"),
        ("EURUSD_1h.csv", b"Date,USD,JPY\n2024-01-02,1.1,150\n".to_vec(), "holds one rate for each time"),
        ("EURUSD_1m.csv", GOOD.into(), "the file says 1min, but most candles are 1h apart"),
        ("EURUSD.csv", step([0, 1, 2, 3, 8, 13]), "the file mixes candles of 1min with candles of 5min"),
        ("EURUSD.csv", step([0, 7, 14, 21, 28, 35]), "most rows are 7min apart, which is no timeframe"),
        ("candles.csv", GOOD.into(), "does not say which pair it holds"),
        ("all_1h.csv", b"pair,timestamp,open,high,low,close\nEUR/USD,2024-01-02T10:00:00Z,1,1,1,1\nGBP/USD,2024-01-02T10:00:00Z,1,1,1,1\n".to_vec(), "line 3: the file mixes \"EUR/USD\" with \"GBP/USD\""),
        ("eurusd_minute_quote.csv", b"0,1.1,1.2,1.0,1.1,0\n60000,1.1,1.2,1.0,1.1,0\n".to_vec(), "no date is in the file's name"),
    ];
    for (name, content, why) in cases {
        fs::write(home.path().join(name), content).expect("written");
        home.run(&["import", "--inspect", name])
            .refuses(4, &[&format!("cannot import {name}: "), why]);
    }
    home.run(&["import", "--inspect", "no.csv"])
        .refuses(4, &["cannot import no.csv: there is no such file"]);
    home.run(&["import", "--inspect", "."]).refuses(4, &["this is a folder"]);
}

#[test]
fn flags_that_name_nothing_are_exit_2() {
    let home = Home::empty();
    for (flag, value, why) in [
        ("--pair", "\"; DROP TABLE candles;--", "is not a currency pair"),
        ("--pair", "../../etc", "is not a currency pair"),
        ("--timeframe", "1 hour", "the timeframes are"),
        ("--tz", "Mars/Base", "is no time zone"),
        ("--on-bad-row", "mend", "skip, fail"),
    ] {
        home.run(&["import", "EURUSD_1h.csv", flag, value]).refuses(2, &[why]);
    }
}
