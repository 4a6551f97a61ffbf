//! Candles from vendors' files: [`read`] turns one file into checked columns.
//!
//! `bytes` opens and unpacks, `layout` recognises a format by its content, `rows` parses, `clock` turns a vendor's local
//! times into instants, `names` reads what a file name says. Invariant: what [`FileCandles`] holds is sorted, unique,
//! valid and closed; every row that is not in it is counted. Not here: the database (`db`) and what is said (`jobs`).

mod bytes;
mod clock;
pub mod fills;
mod layout;
mod names;
mod rows;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, path::Path};

use anyhow::Context;
use chrono::{DateTime, Utc};

pub use self::clock::{SourceZone, SourceZoneError};
use self::{layout::Layout, names::Named, rows::RawRows};
use crate::{
    fault::Fault,
    market::{CandleColumns, DAY_US, HOUR_US, MINUTE_US, Micros, Ohlc, Pair, Timeframe, instant},
};

/// Refused rows that are named; the others are only counted.
const N_REFUSALS_SHOWN: usize = 10;

/// What becomes of a row that is no candle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnBadRow {
    /// The whole file is refused.
    #[default]
    Fail,
    /// The row is left out and counted.
    Skip,
}

/// How many rows were refused, and the first of them.
#[derive(Debug, Default)]
struct Refusals {
    n: u64,
    first: Vec<Refusal>,
}

impl Refusals {
    fn push(&mut self, line: u64, reason: String) {
        self.n += 1;
        // A file of another kind has a bad row on every line: all of them would not fit in memory.
        if self.first.len() < N_REFUSALS_SHOWN {
            self.first.push(Refusal { line, reason });
        }
    }

    /// Both, in the order of their lines.
    fn merge(mut self, other: Refusals) -> Refusals {
        self.n += other.n;
        self.first.extend(other.first);
        self.first.sort_by_key(|refusal| refusal.line);
        self.first.truncate(N_REFUSALS_SHOWN);
        self
    }
}

/// How to read a file.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The pair; from the file's name when not given.
    pub pair: Option<Pair>,
    /// The timeframe; from the file's name or the most common step when not given.
    pub timeframe: Option<Timeframe>,
    /// The zone of times that say none; the vendor's when not given.
    pub tz: Option<SourceZone>,
    /// What becomes of a row that is no candle.
    pub on_bad_row: OnBadRow,
    /// Taken for now: rows after it are refused, a candle still open at it is left out.
    pub as_of: DateTime<Utc>,
}

/// A row that was left out because it is no candle.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Refusal {
    /// Line of the file, from 1.
    pub line: u64,
    /// What is wrong with it.
    pub reason: String,
}

/// The candles of one file.
#[derive(Debug, Clone, PartialEq)]
pub struct FileCandles {
    /// Of which pair.
    pub pair: Pair,
    /// Of which timeframe.
    pub timeframe: Timeframe,
    /// Whose format the file is in.
    pub format: &'static str,
    /// Sorted by time, each instant once, valid, closed.
    pub columns: CandleColumns,
    /// Rows in the file, header aside.
    pub n_read: u64,
    /// Rows left out because they are no candles.
    pub n_refused: u64,
    /// The first ten of them.
    pub refused: Vec<Refusal>,
    /// Rows that a later row of the same instant replaced.
    pub n_duplicates: u64,
    /// Candles still open at `as_of`, left out.
    pub n_forming: u64,
    /// What an operator should know.
    pub notes: Vec<String>,
}

/// Reads one file of candles, plain, gzipped or zipped, in any of the formats known here.
///
/// # Errors
/// Exit 4 when the content is not candles, or holds a bad row and [`OnBadRow::Fail`] was asked for; the message says
/// which line. Exit 9 when the file cannot be opened.
pub fn read(path: &Path, options: &ReadOptions) -> anyhow::Result<FileCandles> {
    read_file(path, options).with_context(|| format!("cannot import {}", path.display()))
}

fn read_file(path: &Path, options: &ReadOptions) -> anyhow::Result<FileCandles> {
    let file = bytes::open(path)?;
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let mut named = names::read(&name);
    if let Some(member) = &file.member {
        named = named.or(names::read(member));
    }
    of_text(&name, named, &file.text, options)
}

/// Reads the text of a file that came some other way; `name` is what says which pair it holds, where `options` do not.
///
/// # Errors
/// As [`read`].
pub fn parse(name: &str, text: &str, options: &ReadOptions) -> anyhow::Result<FileCandles> {
    of_text(name, names::read(name), text, options)
}

fn of_text(
    name: &str,
    mut named: Named,
    text: &str,
    options: &ReadOptions,
) -> anyhow::Result<FileCandles> {
    let layout = layout::detect(text, &named)?;
    // LEAN keeps FXCM's own clock, New York's winter time all year; only the file's name says whose it is.
    let venue_is_fxcm = name.to_ascii_lowercase().contains("fxcm");
    let vendor =
        if layout.format == "lean" && venue_is_fxcm { layout::FXCM_ZONE } else { layout.zone };
    let zone = options.tz.unwrap_or(vendor);
    let mut raw = rows::parse(text, &layout, zone)?;
    if raw.columns.is_empty() && raw.refused.n == 0 {
        return Err(Fault::input("the file holds a header and no rows").into());
    }
    let [said_pair, said_timeframe] = &raw.said;
    if let Some(timeframe) = said_timeframe {
        named.timeframe = Some(timeframe.parse().map_err(Fault::input)?);
    }
    if let Some(pair) = said_pair.as_ref().or(layout.ticker.as_ref()) {
        // Yahoo's tickers of currencies end so.
        let said = pair.trim_end_matches("=X").parse().map_err(Fault::input)?;
        if let Some(flag) = options.pair.as_ref().filter(|flag| **flag != said) {
            let why = format!("the file says {said}, and --pair says {flag}");
            return Err(Fault::input(why).hint("leave --pair out, or choose another file").into());
        }
        named.pair = Some(said);
    }
    let pair = options.pair.clone().or(named.pair.clone()).ok_or_else(|| {
        Fault::input(format!("the file name {name:?} does not say which pair it holds"))
            .hint("pass --pair, such as --pair EUR/USD, or name the file like EURUSD_1h.csv")
    })?;
    let mut notes = layout.notes(options.tz, raw.n_naive, text.ends_with('\n'));
    if let Some(other) = named.pair.as_ref().filter(|other| **other != pair) {
        notes.push(format!("the file's name says {other}; --pair {pair} was taken"));
    }
    if named.ask {
        notes.push("the file's name says ask prices; aifx takes prices for bid".to_owned());
    }
    if layout.points {
        notes.extend(points_to_prices(&mut raw, &pair)?);
    }
    let timeframe = timeframe(&raw.columns.open_at_us, options.timeframe, &named)?;
    check(raw, &layout, timeframe, options, pair, notes)
}

/// MetaTrader's python export gives prices in points: 1000 a unit where the quote currency is the yen, else 100000.
fn points_to_prices(raw: &mut RawRows, pair: &Pair) -> Result<Option<String>, Fault> {
    let CandleColumns { open, high, low, close, .. } = &mut raw.columns;
    let is_price = |price: f64| price.is_finite() && price > 0.0;
    let in_points = |price: f64| price >= 1000.0 && (price - price.round()).abs() < 1e-6;
    // Rows that no scale makes candles have no say.
    let (mut n_points, mut n_others, mut other) = (0, 0, 0);
    for (row, &line) in raw.lines.iter().enumerate() {
        let prices = [open[row], high[row], low[row], close[row]];
        let valid = prices.into_iter().all(is_price);
        if valid && prices.into_iter().all(in_points) {
            n_points += 1;
        } else if valid {
            (n_others, other) = (n_others + 1, line);
        }
    }
    if n_points <= 9 * n_others {
        return Ok(None);
    }
    if n_others > 0 {
        return Err(Fault::input(format!(
            "most prices are in whole points, and those of line {other} are not"
        ))
        .hint("put both into one unit"));
    }
    let per_unit = if pair.quote() == "JPY" { 1e3 } else { 1e5 };
    for price in [open, high, low, close].into_iter().flatten() {
        *price = price.round() / per_unit;
    }
    Ok(Some(format!("prices are in points: {per_unit} to 1 {}", pair.quote())))
}

/// The timeframe that was stated, held against the steps, or the one that the steps say.
fn timeframe(
    open_at_us: &[Micros],
    flag: Option<Timeframe>,
    named: &Named,
) -> anyhow::Result<Timeframe> {
    let steps = Steps::of(open_at_us);
    let stated = flag.or(named.timeframe);
    let from = if flag.is_some() { "--timeframe" } else { "the file" };
    let Some((step_us, n_step)) = steps.most_common else {
        return stated.ok_or_else(|| {
            Fault::input("one candle alone does not say its timeframe")
                .hint("pass --timeframe, such as --timeframe 1h")
                .into()
        });
    };
    let measured = timeframe_of_step(step_us);
    if let Some(stated) = stated {
        // Two or three candles may lie anywhere; they only contradict when they are too close together.
        let few = steps.n < 3 && steps.shortest_us >= stated.nominal_us().min(28 * DAY_US);
        if measured == Some(stated) || few {
            return Ok(stated);
        }
        let hint = match (measured, flag) {
            (Some(measured), None) => format!("pass --timeframe {measured}, or rename the file"),
            (Some(measured), Some(_)) => format!("pass --timeframe {measured}"),
            (None, _) => "choose another file".to_owned(),
        };
        return Err(Fault::input(format!(
            "{from} says {stated}, but most candles are {} apart",
            span(step_us)
        ))
        .hint(hint)
        .into());
    }
    let Some(measured) = measured else {
        return Err(Fault::input(format!(
            "most rows are {} apart, which is no timeframe",
            span(step_us)
        ))
        .hint("the timeframes are 1min 5min 15min 30min 1h 4h 1d 1w 1M")
        .into());
    };
    let other = Timeframe::ALL
        .into_iter()
        .filter(|other| *other != measured)
        .find(|other| steps.counts.get(&other.nominal_us()).is_some_and(|n| n * 5 > n_step + n));
    match other {
        Some(other) => Err(Fault::input(format!(
            "the file mixes candles of {measured} with candles of {other}"
        ))
        .hint("put each timeframe into a file of its own")
        .into()),
        None => Ok(measured),
    }
}

/// Distances between neighbouring instants.
struct Steps {
    counts: HashMap<Micros, usize>,
    n: usize,
    shortest_us: Micros,
    most_common: Option<(Micros, usize)>,
}

impl Steps {
    fn of(open_at_us: &[Micros]) -> Steps {
        let sorted;
        let open_at_us = if open_at_us.is_sorted() {
            open_at_us
        } else {
            let mut copy = open_at_us.to_vec();
            copy.sort_unstable();
            sorted = copy;
            &sorted
        };
        let mut counts = HashMap::new();
        // Runs of one step are counted at once: nearly all of a file is one.
        let (mut step_us, mut n_run) = (0, 0);
        for pair in open_at_us.windows(2) {
            let next_us = pair[1] - pair[0];
            if next_us == 0 {
                continue;
            }
            if next_us != step_us && n_run > 0 {
                *counts.entry(step_us).or_insert(0) += n_run;
                n_run = 0;
            }
            step_us = next_us;
            n_run += 1;
        }
        if n_run > 0 {
            *counts.entry(step_us).or_insert(0) += n_run;
        }
        // Of equally common steps the shorter: the longer ones are gaps.
        let most_common = counts
            .iter()
            .map(|(&step_us, &n)| (step_us, n))
            .max_by_key(|&(step_us, n)| (n, std::cmp::Reverse(step_us)));
        Steps {
            n: counts.values().sum(),
            shortest_us: counts.keys().copied().min().unwrap_or(0),
            counts,
            most_common,
        }
    }
}

fn timeframe_of_step(step_us: Micros) -> Option<Timeframe> {
    if (28 * DAY_US..=31 * DAY_US).contains(&step_us) {
        return Some(Timeframe::Month1);
    }
    Timeframe::ALL.into_iter().find(|timeframe| timeframe.nominal_us() == step_us)
}

/// A length of time in its largest whole unit.
fn span(us: Micros) -> String {
    let unit = [(DAY_US, "d"), (HOUR_US, "h"), (MINUTE_US, "min")]
        .into_iter()
        .find(|(unit_us, _)| us % unit_us == 0);
    match unit {
        Some((unit_us, name)) => format!("{}{name}", us / unit_us),
        None => format!("{} s", us as f64 / 1e6),
    }
}

/// Row rules of DESIGN 3, then order.
fn check(
    raw: RawRows,
    layout: &Layout,
    timeframe: Timeframe,
    options: &ReadOptions,
    pair: Pair,
    mut notes: Vec<String>,
) -> anyhow::Result<FileCandles> {
    let as_of_us = options.as_of.timestamp_micros();
    let RawRows { columns, lines, refused: unparsed, .. } = raw;
    let n_read = columns.len() as u64 + unparsed.n;
    let mut no_candles = Refusals::default();
    let mut n_forming = 0;
    let mut kept = Vec::with_capacity(columns.len());
    for (row, &line) in lines.iter().enumerate() {
        match row_reason(&columns, row, timeframe, options.as_of) {
            Some(reason) => no_candles.push(line, reason),
            None if timeframe.close_at(columns.open_at_us[row]) > as_of_us => n_forming += 1,
            None => kept.push(row),
        }
    }
    let Refusals { n: n_refused, first: refused } = unparsed.merge(no_candles);
    if options.on_bad_row == OnBadRow::Fail
        && let Some(Refusal { line, reason }) = refused.first()
    {
        return Err(Fault::input(format!("line {line}: {reason}"))
            .hint(format!(
                "fix the row, or pass --on-bad-row skip to leave such rows out ({n_refused} in this file)"
            ))
            .into());
    }
    if kept.is_empty() && n_forming == 0 {
        let Refusal { line, reason } = &refused[0];
        return Err(Fault::input(format!(
            "none of its {n_read} rows is a candle; line {line}: {reason}"
        ))
        .into());
    }
    let at_us = &columns.open_at_us;
    let ascending = kept.windows(2).all(|pair| at_us[pair[0]] < at_us[pair[1]]);
    let mut n_duplicates = 0;
    let mut n_conflicts = 0;
    if !ascending {
        // Stable, so that of one instant's rows the last of the file comes last, and stays.
        kept.sort_by_key(|&row| at_us[row]);
        let n_before = kept.len();
        let mut last: Vec<usize> = Vec::with_capacity(n_before);
        for row in kept {
            match last.last_mut() {
                Some(before) if at_us[*before] == at_us[row] => {
                    n_conflicts += u64::from(differs(&columns, *before, row));
                    *before = row;
                }
                _ => last.push(row),
            }
        }
        kept = last;
        n_duplicates = (n_before - kept.len()) as u64;
    }
    if n_conflicts > 0 {
        notes.push(format!(
            "{n_conflicts} of the rows that repeat an instant say other values; the last one of each was taken"
        ));
    }
    let whole = ascending && kept.len() == columns.len();
    let columns = if whole { columns } else { take(&columns, &kept) };
    Ok(FileCandles {
        pair,
        timeframe,
        format: layout.format,
        columns,
        n_read,
        n_refused,
        refused,
        n_duplicates,
        n_forming,
        notes,
    })
}

/// Why a parsed row is no candle.
fn row_reason(
    columns: &CandleColumns,
    row: usize,
    timeframe: Timeframe,
    as_of: DateTime<Utc>,
) -> Option<String> {
    let CandleColumns { open_at_us, open, high, low, close, volume } = columns;
    let at_us = open_at_us[row];
    if let Err(error) = Ohlc::new(open[row], high[row], low[row], close[row]) {
        return Some(error.to_string());
    }
    let volume = volume[row];
    if !volume.is_finite() || volume < 0.0 {
        return Some(format!("volume {volume} is not a number of at least 0"));
    }
    let at = || instant(at_us).format("%FT%TZ");
    if at_us > as_of.timestamp_micros() {
        return Some(format!("{} lies in the future of {}", at(), as_of.format("%FT%TZ")));
    }
    if !timeframe.is_on_grid(at_us) {
        return Some(format!("{} is off the grid of {timeframe}", at()));
    }
    None
}

/// Whether two rows say different values, to the bit.
fn differs(columns: &CandleColumns, one: usize, other: usize) -> bool {
    let CandleColumns { open, high, low, close, volume, .. } = columns;
    [open, high, low, close, volume]
        .iter()
        .any(|values| values[one].to_bits() != values[other].to_bits())
}

fn take(columns: &CandleColumns, rows: &[usize]) -> CandleColumns {
    let pick = |values: &[f64]| rows.iter().map(|&row| values[row]).collect();
    CandleColumns {
        open_at_us: rows.iter().map(|&row| columns.open_at_us[row]).collect(),
        open: pick(&columns.open),
        high: pick(&columns.high),
        low: pick(&columns.low),
        close: pick(&columns.close),
        volume: pick(&columns.volume),
    }
}
