//! The originals of each vendor as they are written, and small files that break.

use std::path::PathBuf;

use super::*;
use crate::fault;

fn options() -> ReadOptions {
    ReadOptions {
        pair: None,
        timeframe: None,
        tz: None,
        on_bad_row: OnBadRow::Fail,
        as_of: "2026-11-01T00:00:00Z".parse().expect("an instant"),
    }
}

/// A file of the real candles, or `None` with a message: users do not have them.
#[allow(clippy::print_stderr, reason = "a skipped test says so")]
fn original(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/fx").join(name);
    if !path.exists() {
        eprintln!("skipped: no {}", path.display());
        return None;
    }
    Some(path)
}

fn refusal(error: &anyhow::Error) -> (u8, String) {
    (fault::find(error).expect("a fault").exit().code(), format!("{error:#}"))
}

fn at(us: Micros) -> String {
    instant(us).format("%FT%TZ").to_string()
}

/// `read` of a file with this name and content.
#[allow(clippy::disallowed_methods, reason = "a test arranges its file")]
fn read_text(name: &str, text: &[u8], options: &ReadOptions) -> anyhow::Result<FileCandles> {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join(name);
    std::fs::write(&path, text).expect("written");
    read(&path, options)
}

#[test]
fn every_original_gives_the_right_rows_at_the_right_instants() {
    // Pair, timeframe, format, rows read, candles, first and last instant, open and close of the first candle.
    for (name, says) in [
        (
            "EURUSD_1h.csv",
            "EUR/USD 1h aifx 24633 24633 2015-01-01T22:00:00Z 2018-12-31T21:00:00Z 1.21002 1.21009",
        ),
        (
            "EURUSD_1m.csv.gz",
            "EUR/USD 1min aifx 122734 122734 2018-09-02T21:00:00Z 2018-12-31T21:59:00Z 1.1595 1.15951",
        ),
        (
            "NZDUSD_1d.csv",
            "NZD/USD 1d aifx 1884 1884 2012-12-04T00:00:00Z 2018-12-31T00:00:00Z 0.82128 0.82448",
        ),
        (
            "raw/histdata_DAT_ASCII_EURUSD_M1_2018_head.csv",
            "EUR/USD 1min histdata 1500 1500 2018-01-01T22:00:00Z 2018-01-02T23:03:00Z 1.20037 1.201",
        ),
        (
            "raw/metatrader4_EURUSD60_head.csv",
            "EUR/USD 1h metatrader4 1000 1000 2010-10-07T13:00:00Z 2010-12-06T13:00:00Z 1.39672 1.39708",
        ),
        (
            "raw/metatrader5_points_USDJPYh1_head.csv",
            "USD/JPY 1h metatrader5 1000 1000 2012-11-16T12:00:00Z 2013-01-17T21:00:00Z 81.121 81.201",
        ),
        (
            "raw/dukascopy_EURUSD_1H_ASK_head.csv",
            "EUR/USD 1h dukascopy 1000 1000 2017-01-01T22:00:00Z 2017-02-28T13:00:00Z 1.05236 1.05227",
        ),
        (
            "raw/lean_oanda_minute_eurusd_20140505_quote.zip",
            "EUR/USD 1min lean 1350 1350 2014-05-05T00:00:00Z 2014-05-05T23:59:00Z 1.3871 1.38711",
        ),
        (
            "raw/lean_fxcm_minute_eurusd_20140505_quote.zip",
            "EUR/USD 1min lean 1410 1410 2014-05-05T05:00:00Z 2014-05-06T04:59:00Z 1.38756 1.38755",
        ),
        (
            "raw/lean_fxcm_daily_eurusd.zip",
            "EUR/USD 1d lean 3487 3487 2007-03-30T05:00:00Z 2018-07-04T05:00:00Z 1.33141 1.33581",
        ),
        (
            "raw/fxcm_gbpusd-m1-bid-2012_head.csv",
            "GBP/USD 1min fxcm 1000 1000 2012-02-01T00:00:00Z 2012-02-01T16:42:00Z 1.57597 1.57576",
        ),
        (
            "raw/fxcm_gbpusd-m1-ask-2012_head.csv",
            "GBP/USD 1min fxcm 1000 1000 2012-02-01T00:00:00Z 2012-02-01T16:42:00Z 1.57608 1.57585",
        ),
        (
            "raw/yfinance_merged_CHFJPY_1h_slice.csv",
            "CHF/JPY 1h yahoo 901 647 2026-04-13T05:00:00Z 2026-05-28T22:00:00Z 201.6439971923828 201.59500122070313",
        ),
    ] {
        let Some(path) = original(name) else { continue };
        let file = read(&path, &options()).unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(summary(&file), says, "{name}");
        assert_eq!(file.n_read, file.columns.len() as u64 + file.n_duplicates, "{name}");
    }
}

/// A file's candles in a line.
fn summary(file: &FileCandles) -> String {
    let FileCandles { pair, timeframe, format, columns, n_read, .. } = file;
    let opens = &columns.open_at_us;
    let (first, last) = (at(opens[0]), at(opens[opens.len() - 1]));
    let (open, close) = (columns.open[0], columns.close[0]);
    format!("{pair} {timeframe} {format} {n_read} {} {first} {last} {open} {close}", opens.len())
}

#[test]
fn each_vendors_spelling_of_the_same_four_candles_is_understood() {
    for (name, says) in [
        (
            "DAT_ASCII_EURUSD_M1_201811.csv",
            "EUR/USD 1min histdata 4 4 2018-11-04T05:58:00Z 2018-11-04T06:01:00Z",
        ),
        (
            "DAT_MT_EURUSD_M1_201807.csv",
            "EUR/USD 1min histdata 4 4 2018-07-02T21:00:00Z 2018-07-02T21:03:00Z",
        ),
        ("GBPUSD60.csv", "GBP/USD 1h metatrader4 4 4 2010-10-07T13:00:00Z 2010-10-07T16:00:00Z"),
        (
            "EURUSD_H4_201801020000_201801021200.csv",
            "EUR/USD 4h metatrader5 4 4 2018-01-02T00:00:00Z 2018-01-02T12:00:00Z",
        ),
        (
            "metatrader5_EURUSDh1.csv",
            "EUR/USD 1h metatrader5 4 4 2018-01-02T00:00:00Z 2018-01-02T03:00:00Z",
        ),
        (
            "metatrader5_decimal_EURUSDh1.csv",
            "EUR/USD 1h metatrader5 4 4 2018-01-02T00:00:00Z 2018-01-02T03:00:00Z",
        ),
        (
            "EURUSD_Candlestick_1_Hour_BID.csv",
            "EUR/USD 1h dukascopy 4 4 2017-02-03T10:00:00Z 2017-02-03T13:00:00Z",
        ),
        (
            "EURUSD_local_1h.csv",
            "EUR/USD 1h dukascopy 4 4 2017-02-03T08:00:00Z 2017-02-03T11:00:00Z",
        ),
        ("20140505_quote.zip", "GBP/USD 1min lean 4 4 2014-05-05T00:00:00Z 2014-05-05T00:03:00Z"),
        ("lean_eurusd_hour.zip", "EUR/USD 1h lean 4 4 2014-05-05T00:00:00Z 2014-05-05T03:00:00Z"),
        ("EURUSD_yahoo_1d.csv", "EUR/USD 1d yahoo 4 4 2024-01-02T00:00:00Z 2024-01-05T00:00:00Z"),
        (
            "yfinance_one_ticker.csv",
            "EUR/USD 1h yahoo 4 4 2024-01-02T00:00:00Z 2024-01-02T03:00:00Z",
        ),
        ("EURUSD_fxcm_1h.csv", "EUR/USD 1h fxcm 4 4 2012-02-01T00:00:00Z 2012-02-01T03:00:00Z"),
        ("EURUSD_bom_1h.csv", "EUR/USD 1h aifx 4 4 2024-01-02T00:00:00Z 2024-01-02T03:00:00Z"),
        ("EURUSD_comma_1h.csv", "EUR/USD 1h csv 4 4 2024-01-02T00:00:00Z 2024-01-02T03:00:00Z"),
        (
            "EURUSD_newest_first_1h.csv",
            "EUR/USD 1h aifx 4 4 2024-01-02T00:00:00Z 2024-01-02T03:00:00Z",
        ),
        ("exported.csv", "AUD/USD 1h csv 4 4 2024-01-02T00:00:00Z 2024-01-02T03:00:00Z"),
        ("EURUSD_1m.csv.gz", "EUR/USD 1min aifx 4 4 2024-01-02T00:00:00Z 2024-01-02T00:03:00Z"),
    ] {
        let file = fixture(name);
        assert_eq!(summary(&file), format!("{says} 1.1 1.11"), "{name}");
        let CandleColumns { open, high, low, close, .. } = file.columns;
        assert_eq!(open, [1.10, 1.11, 1.12, 1.13], "{name}");
        assert_eq!(high, [1.12, 1.13, 1.14, 1.15], "{name}");
        assert_eq!(low, [1.09, 1.10, 1.11, 1.12], "{name}");
        assert_eq!(close, [1.11, 1.12, 1.13, 1.14], "{name}");
    }
}

#[test]
fn of_yahoo_downloads_glued_together_the_last_row_of_an_instant_stays() {
    let file = fixture("EURUSD_glued_1h.csv");
    assert_eq!((file.n_read, file.n_duplicates), (5, 1));
    assert_eq!(file.columns.open, [1.10, 1.10, 1.12, 1.13]);
}

#[test]
fn candles_that_are_still_open_are_left_out_and_later_ones_refused() {
    let path = fixtures().join("EURUSD_bom_1h.csv");
    let options = |as_of: &str| ReadOptions { as_of: as_of.parse().expect(as_of), ..options() };
    let file = read(&path, &options("2024-01-02T03:30:00Z")).expect("candles");
    assert_eq!((file.columns.len(), file.n_forming), (3, 1));
    let (exit, message) =
        refusal(&read(&path, &options("2024-01-02T02:59:59Z")).expect_err("late"));
    let why = "line 5: 2024-01-02T03:00:00Z lies in the future of 2024-01-02T02:59:59Z";
    assert!(exit == 4 && message.ends_with(why), "{message}");
}

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/feeds")
}

fn fixture(name: &str) -> FileCandles {
    read(&fixtures().join(name), &options()).unwrap_or_else(|error| panic!("{error:#}"))
}

#[test]
fn originals_that_are_not_candles_are_refused_with_a_sentence() {
    let options = ReadOptions { pair: "EUR/USD".parse().ok(), ..options() };
    for (name, why) in [
        ("raw/truefx_usdjpy-ticks_head.csv", "holds ticks (single quotes), not candles"),
        ("raw/ecb_eurofxref-hist_tail.csv", "holds one rate for each time, not candles"),
    ] {
        let Some(path) = original(name) else { continue };
        let (exit, message) = refusal(&read(&path, &options).expect_err(name));
        assert_eq!(exit, 4);
        assert!(message.contains(why) && message.starts_with("cannot import"), "{message}");
    }
}

#[test]
fn the_clock_of_naive_times_is_the_one_asked_for() {
    let Some(path) = original("raw/lean_fxcm_minute_eurusd_20140505_quote.zip") else { return };
    let tz = Some("UTC-4".parse().expect("a zone"));
    let file = read(&path, &ReadOptions { tz, ..options() }).expect("candles");
    assert_eq!(at(file.columns.open_at_us[0]), "2014-05-05T04:00:00Z");
    assert_eq!(file.notes, ["of bid and ask the bid was taken"]);
}

#[test]
fn a_bad_row_fails_the_file_or_is_left_out_and_named() {
    let text = b"timestamp,open,high,low,close,volume\n2024-01-02T10:00:00Z,1.1,1.2,1.0,1.15,1\n\
                 2024-01-02T11:00:00Z,1.1,1.05,1.0,1.0,1\n2024-01-02T12:00:00Z,1.1,1.2,1.0,1.15,-1\n\
                 2024-01-02T13:00:00Z,1.1,1.2,1.0,1.15\n2024-01-02T14:00:00Z,1.1,1.2,1.0,x,1\n";
    let error = read_text("EURUSD_1h.csv", text, &options()).expect_err("bad rows");
    assert!(format!("{error:#}").ends_with("EURUSD_1h.csv: line 3: high 1.05 is below open 1.1"));
    let hint = fault::find(&error).and_then(fault::Fault::hint_text).expect("a hint");
    assert!(hint.ends_with("leave such rows out (4 in this file)"), "{hint}");
    let skip = ReadOptions { on_bad_row: OnBadRow::Skip, ..options() };
    let file = read_text("EURUSD_1h.csv", text, &skip).expect("one candle");
    assert_eq!((file.columns.len(), file.n_read, file.n_refused), (1, 5, 4));
    let reasons: Vec<_> = file.refused.iter().map(|r| (r.line, r.reason.as_str())).collect();
    assert_eq!(
        reasons,
        [
            (3, "high 1.05 is below open 1.1"),
            (4, "volume -1 is not a number of at least 0"),
            (5, "5 of 6 fields: the row is cut off"),
            (6, "column 5: close \"x\" is not a number"),
        ]
    );
}

#[test]
fn clocks_that_a_header_names_and_counted_seconds_are_understood() {
    let rows = |stamps: [&str; 3], header: &str| {
        let rows = stamps.map(|stamp| format!("{stamp},1.1,1.2,1.0,1.15,1\n")).concat();
        format!("{header},Open,High,Low,Close,Volume\n{rows}")
    };
    let hours = ["01.07.2024 10:00:00.000", "01.07.2024 11:00:00.000", "01.07.2024 12:00:00.000"];
    let epoch = ["1719828000", "1719831600", "1719835200"];
    let broker = rows(epoch, "time").replace("Volume", "tick_volume");
    for (text, first, note) in [
        (rows(hours, "EET"), "2024-07-01T07:00:00Z", None),
        (rows(hours, "Local time"), "2024-07-01T10:00:00Z", Some("the header says local time")),
        (rows(epoch, "timestamp"), "2024-07-01T10:00:00Z", None),
        (broker, "2024-07-01T10:00:00Z", Some("does not say the broker's time zone")),
    ] {
        let file = read_text("EURUSD_1h.csv", text.as_bytes(), &options()).expect(&text);
        assert_eq!(at(file.columns.open_at_us[0]), first, "{text}");
        let notes = file.notes.join("\n");
        assert!(note.map_or(notes.is_empty(), |note| notes.contains(note)), "{text}: {notes}");
    }
}

#[test]
fn what_a_flag_overrides_and_rows_that_disagree_are_said() {
    let text = b"timestamp,open,high,low,close,volume\n2024-01-02T10:00:00Z,1.1,1.2,1.0,1.15,1\n\
                 2024-01-02T11:00:00Z,1.1,1.2,1.0,1.15,1\n2024-01-02T11:00:00Z,1.1,1.2,1.0,1.15,1\n\
                 2024-01-02T10:00:00Z,1.1,1.2,1.0,1.16,1\n";
    let pair = "GBP/USD".parse().ok();
    let file = read_text("EURUSD_1h.csv", text, &ReadOptions { pair, ..options() }).expect("read");
    assert_eq!((file.n_duplicates, file.columns.close[0]), (2, 1.16));
    let notes = file.notes.join("\n");
    assert!(notes.contains("name says EUR/USD; --pair GBP/USD was taken"), "{notes}");
    assert!(notes.contains("1 of the rows that repeat an instant say other values"), "{notes}");
}

#[test]
fn a_bad_row_does_not_turn_points_into_prices() {
    let text = |bad: &str| {
        let rows: String = (0..12)
            .map(|hour| {
                format!("2018-01-02 {hour:02}:00:00,112000.0,112900.0,111000.0,112500.0,9\n")
            })
            .collect();
        format!("Date,open,high,low,close,tick_volume\n{rows}2018-01-02 12:00:00,{bad},9\n")
    };
    let skip = ReadOptions { on_bad_row: OnBadRow::Skip, ..options() };
    let bad = text("0.0,0.0,0.0,0.0");
    let file = read_text("EURUSDh1.csv", bad.as_bytes(), &skip).expect("twelve candles");
    assert_eq!((file.columns.open[0], file.n_refused), (1.12, 1));
    let mixed = text("1.12,1.129,1.11,1.125");
    let (_, message) =
        refusal(&read_text("EURUSDh1.csv", mixed.as_bytes(), &skip).expect_err("mixed"));
    assert!(message.ends_with("most prices are in whole points, and those of line 14 are not"));
}

#[test]
fn local_times_that_never_were_are_refused_rows() {
    let text = "20180311 015800;1.1;1.2;1.0;1.1;0\n20180311 015900;1.1;1.2;1.0;1.1;0\n\
                20180311 020000;1.1;1.2;1.0;1.1;0\n20180311 030000;1.1;1.2;1.0;1.1;0";
    let error = read_text("EURUSD_M1.csv", text.as_bytes(), &options()).expect_err("a jump");
    let (exit, message) = refusal(&error);
    let why = "line 3: column 1: the clocks of America/New_York jumped over 2018-03-11 02:00:00";
    assert!(exit == 4 && message.ends_with(why), "{message}");
    let tz = Some("UTC".parse().expect("a zone"));
    let file = read_text("EURUSD_M1.csv", text.as_bytes(), &ReadOptions { tz, ..options() });
    let file = file.expect("four candles");
    assert_eq!(at(file.columns.open_at_us[2]), "2018-03-11T02:00:00Z");
    assert_eq!(file.notes, ["the last line has no line end: the file may have been cut off"]);
}
