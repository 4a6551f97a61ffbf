//! Recognises a vendor's format by what the file holds, or says why it is not candles.

use super::{
    SourceZone,
    names::Named,
    rows::{self, Lines, shown},
};
use crate::{fault::Fault, market::DAY_US};

/// Where the time of a row is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stamp {
    /// In one column.
    One(usize),
    /// Date and time in two.
    Two(usize, usize),
    /// In column 0, milliseconds since this midnight (as if the source's clock were UTC).
    MillisOf(i64),
}

/// Where one set of prices is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Prices {
    pub(super) ohlc: [usize; 4],
    pub(super) volume: Option<usize>,
}

/// How a file is laid out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layout {
    pub(super) format: &'static str,
    pub(super) separator: u8,
    /// Line of the first row.
    pub(super) first_row: u64,
    /// Fields a row must have.
    pub(super) width: usize,
    pub(super) stamp: Stamp,
    pub(super) prices: Prices,
    /// A second set, filled where the first one is not; rows with the first set alone have six fields.
    pub(super) second: Option<Prices>,
    /// The clock of times that say no zone.
    pub(super) zone: SourceZone,
    /// Columns that repeat the pair and the timeframe.
    pub(super) said: [Option<usize>; 2],
    /// The pair as a line of the header gives it.
    pub(super) ticker: Option<String>,
    /// Prices may be whole points.
    pub(super) points: bool,
    /// The header says that times are local, and not whose.
    pub(super) local: bool,
}

/// LEAN's FXCM files: five hours behind UTC, without daylight saving.
pub(super) const FXCM_ZONE: SourceZone = SourceZone::Fixed(-5 * crate::market::HOUR_US);
const HISTDATA_ZONE: SourceZone = SourceZone::Named(chrono_tz::America::New_York);
/// Eastern European time, with daylight saving.
const DUKASCOPY_EET: SourceZone = SourceZone::Named(chrono_tz::EET);

impl Layout {
    /// What an operator should know about this file's end, clock and sides.
    pub(super) fn notes(&self, tz: Option<SourceZone>, n_naive: u64, ended: bool) -> Vec<String> {
        let mut notes = Vec::new();
        if !ended && self.format != "lean" {
            notes.push("the last line has no line end: the file may have been cut off".to_owned());
        }
        if tz.is_some() && n_naive == 0 {
            notes.push("--tz had no effect: every time in the file says its own offset".to_owned());
        }
        if tz.is_none() && n_naive > 0 {
            match self.format {
                "metatrader4" | "metatrader5" => notes.push(
                    "the file does not say the broker's time zone: UTC was assumed, --tz says another"
                        .to_owned(),
                ),
                "lean" => notes.push(
                    "LEAN's files do not name their clock: FXCM's (by the file's name) were taken for UTC-5, \
                     others for UTC; --tz says another"
                        .to_owned(),
                ),
                "histdata" => notes.push(
                    "times were taken for New York's, with daylight saving; --tz says another"
                        .to_owned(),
                ),
                _ if self.local => notes.push(
                    "the header says local time, and not whose: UTC was assumed, --tz says another"
                        .to_owned(),
                ),
                _ => {}
            }
        }
        if self.format == "lean" && self.width == 11 {
            notes.push("of bid and ask the bid was taken".to_owned());
        }
        notes
    }
}

pub(super) fn detect(text: &str, named: &Named) -> Result<Layout, Fault> {
    let mut lines = Lines::of(text).filter(|(_, line)| !line.trim_ascii().is_empty());
    let Some((header_line, first)) = lines.next() else {
        return Err(Fault::input("the file is empty"));
    };
    if first.len() > super::bytes::MAX_LINE_BYTES {
        return Err(super::bytes::long_line(header_line));
    }
    let separator = separator(first);
    let mut fields = Vec::new();
    rows::split(first, separator, &mut fields);
    let mut layout = match headerless(&fields, named)? {
        Some(layout) => Layout { first_row: header_line, ..layout },
        None => {
            let mut sample = Vec::new();
            let mut n_header_lines = 1;
            let mut ticker = None;
            for (_, line) in lines.by_ref().take(3) {
                rows::split(line, separator, &mut sample);
                // yfinance writes two more lines of header: the ticker, and the index's name.
                if !matches!(sample[0], b"Ticker" | b"Date" | b"Datetime") {
                    break;
                }
                if sample[0] == b"Ticker" {
                    ticker = sample.get(1).map(|name| String::from_utf8_lossy(name).into_owned());
                }
                n_header_lines += 1;
            }
            Layout { ticker, ..headed(&fields, &sample, header_line, n_header_lines)? }
        }
    };
    layout.separator = separator;
    Ok(layout)
}

/// Tab and semicolon separate nothing else; a comma can be a decimal one beside them.
fn separator(line: &[u8]) -> u8 {
    let n = |byte: u8| line.iter().filter(|&&b| b == byte).count();
    [b'\t', b';'].into_iter().find(|&byte| n(byte) >= 2).unwrap_or(b',')
}

fn plain(format: &'static str, width: usize, stamp: Stamp, first_price: usize) -> Layout {
    let ohlc = std::array::from_fn(|k| first_price + k);
    Layout {
        format,
        separator: b',',
        first_row: 1,
        width,
        stamp,
        prices: Prices { ohlc, volume: (width > first_price + 4).then_some(first_price + 4) },
        second: None,
        zone: SourceZone::UTC,
        said: [None, None],
        ticker: None,
        points: false,
        local: false,
    }
}

/// The layout of a file whose first line is a row already; `None` when it is a header.
fn headerless(fields: &[&[u8]], named: &Named) -> Result<Option<Layout>, Fault> {
    let n = fields.len();
    let first = fields[0];
    let is_number = |field: &&[u8]| field.is_empty() || rows::number(field).is_some();
    let date_alone = rows::date_us(first).is_some_and(|(_, rest)| rest.is_empty());
    let milliseconds = first.len() <= 8 && first.iter().all(u8::is_ascii_digit);
    if milliseconds && !first.is_empty() && fields.iter().all(is_number) && n >= 5 {
        if !matches!(n, 6 | 11) {
            return Err(not_candles_row(fields));
        }
        let date = named.date.ok_or_else(|| {
            Fault::input("column 1 counts milliseconds, and no date is in the file's name")
                .hint("name the file as LEAN does, such as 20140505_eurusd_minute_quote.csv")
        })?;
        let midnight_us =
            date.signed_duration_since(chrono::NaiveDate::default()).num_days() * DAY_US;
        return Ok(Some(plain("lean", n, Stamp::MillisOf(midnight_us), 1)));
    }
    if date_alone && n >= 6 && fields[1].contains(&b':') && fields[2..].iter().all(is_number) {
        let mut layout = plain("metatrader4", n, Stamp::Two(0, 1), 2);
        if named.histdata {
            (layout.format, layout.zone) = ("histdata", HISTDATA_ZONE);
        }
        return Ok(Some(layout));
    }
    if !fields[1..].iter().all(is_number) || n < 2 {
        return Ok(None);
    }
    if rows::instant(first).is_none() {
        // HistData's ticks carry milliseconds without a point.
        let tick = first.len() == 18 && rows::instant(&first[..15]).is_some();
        return if tick && n < 5 { Err(ticks()) } else { Ok(None) };
    }
    if n == 3 || n == 4 {
        return Err(ticks());
    }
    if n < 5 {
        return Err(one_rate());
    }
    let compact = first.len() == 15 && first[8] == b' ' && !first.contains(&b':');
    let layout = match first {
        _ if compact => Layout { zone: HISTDATA_ZONE, ..plain("histdata", n, Stamp::One(0), 1) },
        [_, _, _, _, b'.', ..] => plain("metatrader4", n, Stamp::One(0), 1),
        [_, _, b'.', ..] => plain("dukascopy", n, Stamp::One(0), 1),
        _ if n == 11 => plain("lean", n, Stamp::One(0), 1),
        _ => plain("csv", n, Stamp::One(0), 1),
    };
    Ok(Some(layout))
}

/// The layout of a file with a header; `sample` is the row after it.
fn headed(
    fields: &[&[u8]],
    sample: &[&[u8]],
    line: u64,
    n_header_lines: u64,
) -> Result<Layout, Fault> {
    let names: Vec<String> = fields
        .iter()
        .map(|field| {
            let text = String::from_utf8_lossy(field);
            text.trim().trim_matches(['<', '>', '"']).trim().to_ascii_lowercase()
        })
        .collect();
    let all = |wanted: &str| -> Vec<usize> {
        (0..names.len()).filter(|&column| names[column] == wanted).collect()
    };
    let one = |wanted: &[&str]| wanted.iter().find_map(|name| all(name).first().copied());
    let is_stamp =
        |column: usize| sample.get(column).is_some_and(|field| rows::instant(field).is_some());
    let stamp = match (one(&["date"]), one(&["time"])) {
        (Some(date), Some(time)) => Some(Stamp::Two(date, time)),
        _ => one(&[
            "timestamp",
            "time",
            "datetime",
            "date",
            "gmt time",
            "local time",
            "eet",
            "utc",
            "",
        ])
        .or_else(|| is_stamp(0).then_some(0))
        .map(Stamp::One),
    };
    let sets = ["open", "high", "low", "close"].map(all);
    let missing: Vec<&str> = ["open", "high", "low", "close"]
        .into_iter()
        .zip(&sets)
        .filter(|(_, columns)| columns.is_empty())
        .map(|(name, _)| name)
        .collect();
    if missing.len() == 4 && stamp.is_some() {
        if one(&["bid", "bidprice", "bid price"]).is_some() {
            return Err(ticks());
        }
        if names.len() > 1 && is_stamp(0) {
            return Err(one_rate());
        }
    }
    let Some(stamp) = stamp.filter(|_| missing.is_empty()) else {
        let lacks = if missing.is_empty() { "a time".to_owned() } else { missing.join(", ") };
        let seen: Vec<u8> = fields.join(&b","[..]);
        return Err(Fault::input(format!(
            "line {line}: the header {} names no column for {lacks}",
            shown(&seen)
        ))
        .hint("a header like timestamp,open,high,low,close,volume is needed"));
    };
    let n_sets = sets[0].len();
    if n_sets > 2 || sets.iter().any(|columns| columns.len() != n_sets) {
        return Err(Fault::input(format!("line {line}: the header names a price more than once")));
    }
    let volume_names = ["tick_volume", "tickvol", "tick volume", "volume", "vol", "real_volume"];
    let volumes = volume_names.iter().map(|name| all(name)).find(|columns| !columns.is_empty());
    let set = |k: usize| Prices {
        ohlc: std::array::from_fn(|price| sets[price][k]),
        volume: volumes.as_ref().and_then(|columns| columns.get(k).copied()),
    };
    let (second, same_width) =
        if n_sets == 2 { (Some(set(1)), names.len() == 11) } else { (None, true) };
    if !same_width {
        let why = "the header has two sets of prices, and not 11 columns";
        return Err(Fault::input(format!("line {line}: {why}")));
    }
    let stamp_column = match stamp {
        Stamp::One(column) | Stamp::Two(column, _) => column,
        Stamp::MillisOf(_) => 0,
    };
    let raw_names: Vec<&[u8]> = fields.iter().map(|field| field.trim_ascii()).collect();
    let stamp_name = names[stamp_column].as_str();
    let sample_stamp = sample.get(stamp_column).copied().unwrap_or_default();
    let format = match sample_stamp {
        _ if raw_names == [&b"timestamp"[..], b"open", b"high", b"low", b"close", b"volume"] => {
            "aifx"
        }
        _ if raw_names == [&b"timestamp"[..], b"open", b"high", b"low", b"close"] => {
            if sample_stamp.get(10) == Some(&b' ') { "fxcm" } else { "aifx" }
        }
        _ if one(&["tick_volume", "tickvol"]).is_some() => "metatrader5",
        [_, _, _, _, b'.', ..] => "metatrader4",
        [_, _, b'.', ..] => "dukascopy",
        _ if n_sets == 2
            || raw_names.contains(&&b"Open"[..])
                && one(&["date", "datetime", "price", ""]).is_some() =>
        {
            "yahoo"
        }
        _ => "csv",
    };
    Ok(Layout {
        format,
        separator: b',',
        first_row: line + n_header_lines,
        width: names.len(),
        stamp,
        prices: set(0),
        second,
        zone: if stamp_name.starts_with("eet") { DUKASCOPY_EET } else { SourceZone::UTC },
        said: [one(&["pair", "symbol", "ticker"]), one(&["timeframe"])],
        ticker: None,
        points: one(&["tick_volume"]).is_some(),
        local: stamp_name.starts_with("local"),
    })
}

fn ticks() -> Fault {
    Fault::input("the file holds ticks (single quotes), not candles")
        .hint("import candles; the vendor offers them for 1min and longer")
}

fn one_rate() -> Fault {
    Fault::input(
        "the file holds one rate for each time, not candles with open, high, low and close",
    )
    .hint("import candles; reference rates cannot be made into them")
}

fn not_candles_row(fields: &[&[u8]]) -> Fault {
    Fault::input(format!("line 1: {} columns of numbers are no layout known here", fields.len()))
        .hint("a header like timestamp,open,high,low,close,volume is needed")
}
