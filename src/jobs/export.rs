//! `export`: candles, with features and labels where asked for, to CSV and Parquet, with a `metadata.json`.
//!
//! One snapshot, one pass, complete or not at all: files are written to a folder beside the wanted one, synced, renamed.
//! Candles alone stream through in bounded memory; features and labels need one series at a time.

mod file;
mod parquet;

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

use anyhow::Context;
use chrono::{DateTime, Utc};
use polars::prelude::*;
use serde::Serialize;

use self::{file::HashedFile, parquet::ParquetSink};
use crate::{
    artifact,
    config::App,
    db::{
        Db,
        export::{Selection, SeriesKey, Snapshot},
    },
    fault::Fault,
    features::{self, FeatureSet},
    labels::{self, Cuts, LabelRule, NO_CLASS},
    market::{CandleColumns, Candles, Pair, Timeframe, instant},
};

/// Rows of a row group, and of what is held at once.
const BATCH: usize = 64 * 1024;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// Opening at or after it; from the first candle on when not given.
    pub start: Option<DateTime<Utc>>,
    /// Opening before it; up to `--as-of` when not given.
    pub end: Option<DateTime<Utc>>,
    /// All pairs of the table when empty.
    pub pairs: Vec<Pair>,
    /// All timeframes of the table when empty.
    pub timeframes: Vec<Timeframe>,
    /// Columns of this feature set beside the candles.
    pub features: Option<String>,
    /// A column `label` by this rule.
    pub labels: Option<LabelRule>,
    /// Write CSV.
    pub csv: bool,
    /// Write Parquet.
    pub parquet: bool,
    /// Where to.
    pub output: Option<PathBuf>,
    /// Count, and write nothing.
    pub dry_run: bool,
}

/// What was written. The keys are a contract: `aifx.export/1`.
#[derive(Debug, Clone, Serialize)]
pub struct ExportReport {
    /// Where it is.
    pub directory: PathBuf,
    /// The instant that was taken for now.
    pub as_of: DateTime<Utc>,
    /// The files.
    pub files: Vec<ExportedFile>,
    /// Whether the same files were there already.
    pub unchanged: bool,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ExportedFile {
    /// Its name in the directory.
    pub path: String,
    /// Rows without the header.
    pub rows: u64,
    /// Of its content, hex.
    pub sha256: String,
}

/// `metadata.json`.
#[derive(Debug, Serialize)]
struct Metadata<'a> {
    schema: &'static str,
    aifx: &'static str,
    as_of: DateTime<Utc>,
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
    features: Option<&'a str>,
    labels: Option<String>,
    columns: Vec<ColumnNote>,
    series: &'a [SeriesNote],
    files: &'a [ExportedFile],
}

#[derive(Debug, Serialize)]
struct ColumnNote {
    name: String,
    r#type: &'static str,
    definition: String,
}

#[derive(Debug, Serialize)]
struct SeriesNote {
    pair: String,
    timeframe: Timeframe,
    rows: u64,
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
}

/// Exports.
///
/// # Errors
/// 2 for what cannot be asked for, 4 when there is nothing to export, 9 for the disk; else when the database fails.
pub fn run(app: &App, request: &Request) -> anyhow::Result<ExportReport> {
    let set = match &request.features {
        Some(name) => Some(features::by_name(name).map_err(Fault::usage)?),
        None => None,
    };
    if let Some(rule) = &request.labels {
        rule.check().map_err(Fault::usage)?;
        if *rule == LabelRule::Outcome {
            return Err(Fault::usage("the rule outcome labels signals, not candles")
                .hint("signals.csv of every export has their outcomes")
                .into());
        }
    }
    let directory = match &request.output {
        Some(output) => std::path::absolute(output).map_err(Fault::resource)?,
        None => {
            app.home.join("data").join(format!("export-{}", app.as_of.format("%Y%m%dT%H%M%SZ")))
        }
    };
    let doing = || format!("cannot export to {}", directory.display());
    let selection = Selection {
        pairs: request.pairs.iter().flat_map(|pair| [pair.to_string(), pair.compact()]).collect(),
        timeframes: request
            .timeframes
            .iter()
            .map(|timeframe| timeframe.name().to_owned())
            .collect(),
        from: request
            .start
            .unwrap_or(DateTime::<Utc>::UNIX_EPOCH - chrono::TimeDelta::days(365 * 200)),
        to: request.end.unwrap_or(app.as_of),
        as_of: app.as_of,
    };
    let mut db = app.db("export")?;
    let mut snapshot = db.snapshot()?;
    let series = snapshot.series(&selection).with_context(doing)?;
    if series.is_empty() {
        drop(snapshot);
        return Err(nothing(&mut db)?.context(doing()));
    }
    if request.dry_run {
        return Ok(ExportReport {
            directory,
            as_of: app.as_of,
            files: Vec::new(),
            unchanged: false,
        });
    }
    let incoming = beside(&directory);
    std::fs::create_dir_all(&incoming).map_err(Fault::resource).with_context(doing)?;
    let result = write_all(&mut snapshot, &series, &selection, request, set, &incoming, app)
        .and_then(|files| settle(&incoming, &directory, files, app));
    if result.is_err() {
        let _ = std::fs::remove_dir_all(&incoming);
    }
    result.with_context(doing)
}

/// The error of an export that would be empty.
fn nothing(db: &mut Db) -> anyhow::Result<anyhow::Error> {
    let coverage = db.coverage_text()?;
    Ok(Fault::input(format!("no candles match (the table has {coverage})"))
        .hint("look at --pairs, --timeframes, --start, --end and --as-of")
        .into())
}

/// A private name beside the wanted one, on the same file system.
fn beside(directory: &Path) -> PathBuf {
    let name = directory.file_name().unwrap_or_default().to_string_lossy();
    directory.with_file_name(format!(".{name}.incoming-{}", std::process::id()))
}

/// Gives the files their place: what is there already and the same stays, what differs is replaced only by `--force`.
fn settle(
    incoming: &Path,
    directory: &Path,
    files: Vec<ExportedFile>,
    app: &App,
) -> anyhow::Result<ExportReport> {
    let mut report =
        ExportReport { directory: directory.to_owned(), as_of: app.as_of, files, unchanged: false };
    if directory.exists() {
        let read = |folder: &Path| std::fs::read(folder.join("metadata.json")).ok();
        if read(directory).is_some() && read(directory) == read(incoming) {
            std::fs::remove_dir_all(incoming).map_err(Fault::resource)?;
            report.unchanged = true;
            return Ok(report);
        }
        let empty = std::fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_none());
        if !empty && !app.force {
            return Err(Fault::resource("something else is there already")
                .hint("name another folder with --output, or pass --force to replace it")
                .into());
        }
        let old = beside(directory).with_extension("old");
        std::fs::rename(directory, &old).map_err(Fault::resource)?;
        std::fs::rename(incoming, directory).map_err(Fault::resource)?;
        std::fs::remove_dir_all(&old).map_err(Fault::resource)?;
    } else {
        std::fs::rename(incoming, directory).map_err(Fault::resource)?;
    }
    if let Some(parent) = directory.parent() {
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(Fault::resource)?;
    }
    Ok(report)
}

fn write_all(
    snapshot: &mut Snapshot<'_>,
    series: &[SeriesKey],
    selection: &Selection,
    request: &Request,
    set: Option<&'static FeatureSet>,
    folder: &Path,
    app: &App,
) -> anyhow::Result<Vec<ExportedFile>> {
    let mut out = Output {
        csv: if request.csv {
            Some(HashedFile::create(&folder.join("candles.csv"))?)
        } else {
            None
        },
        parquet: None,
        parquet_path: request.parquet.then(|| folder.join("candles.parquet")),
        rows: 0,
    };
    let extra = Extra { set, rule: request.labels };
    if let Some(csv) = &mut out.csv {
        csv.put(extra.header().as_bytes())?;
    }
    let mut notes = Vec::new();
    for key in series {
        let mut note = SeriesNote {
            pair: canonical(&key.pair),
            timeframe: key.timeframe,
            rows: 0,
            first: None,
            last: None,
        };
        if extra.is_none() && !request.parquet {
            pass_through(snapshot, key, selection, &mut out, &mut note)?;
        } else if extra.is_none() {
            let pair = note.pair.clone();
            snapshot.batches(key, selection, BATCH, &mut |columns| {
                note.take(&columns);
                out.write(&pair, key.timeframe, &columns, &[], None)
            })?;
        } else {
            with_extra(snapshot, key, selection, &extra, &mut out, &mut note)?;
        }
        if note.rows > 0 {
            notes.push(note);
        }
    }
    if notes.is_empty() {
        return Err(Fault::input("no candles lie in this range")
            .hint("look at --start, --end and --as-of; `aifx status` shows what the table holds")
            .into());
    }
    let mut files = out.finish()?;
    let signals_path = folder.join("signals.csv");
    let mut signals: Option<HashedFile> = None;
    let n_signals = snapshot.copy_signals(selection, &mut |piece| {
        let file = match &mut signals {
            Some(file) => file,
            None => signals.insert(HashedFile::create(&signals_path)?),
        };
        file.put(piece)
    })?;
    if let Some(file) = signals {
        files.push(ExportedFile {
            path: "signals.csv".into(),
            rows: n_signals,
            sha256: file.finish()?,
        });
    }
    let metadata = Metadata {
        schema: "aifx.export-metadata/1",
        aifx: env!("CARGO_PKG_VERSION"),
        as_of: app.as_of,
        start: request.start,
        end: request.end,
        features: set.map(|set| set.name),
        labels: request.labels.map(|rule| rule.to_string()),
        columns: extra.columns(),
        series: &notes,
        files: &files,
    };
    let mut bytes = serde_json::to_vec_pretty(&metadata)?;
    bytes.push(b'\n');
    artifact::write_whole(&folder.join("metadata.json"), &bytes)?;
    Ok(files)
}

fn canonical(pair: &str) -> String {
    pair.parse::<Pair>().map_or_else(|_| pair.to_owned(), |pair| pair.to_string())
}

impl SeriesNote {
    fn take(&mut self, columns: &CandleColumns) {
        self.rows += columns.len() as u64;
        self.first = self.first.or_else(|| columns.open_at_us.first().map(|at| instant(*at)));
        self.last = columns.open_at_us.last().map(|at| instant(*at)).or(self.last);
    }
}

/// The server's own lines, with its timestamps turned into ISO 8601 on the way.
fn pass_through(
    snapshot: &mut Snapshot<'_>,
    key: &SeriesKey,
    selection: &Selection,
    out: &mut Output,
    note: &mut SeriesNote,
) -> anyhow::Result<()> {
    let prefix = format!("{},{},", key.pair, key.timeframe);
    let written = format!("{},{},", note.pair, key.timeframe);
    let csv = out.csv.as_mut().expect("CSV is wanted where nothing else is");
    let mut lines = Vec::with_capacity(256 * 1024);
    let mut rest: Vec<u8> = Vec::new();
    let mut last: Vec<u8> = Vec::new();
    let mut rows = 0u64;
    let mut first: Option<DateTime<Utc>> = None;
    snapshot.copy_csv(key, selection, &mut |piece| {
        lines.clear();
        for line in piece.split_inclusive(|byte| *byte == b'\n') {
            let line = if rest.is_empty() {
                line
            } else {
                rest.extend_from_slice(line);
                rest.as_slice()
            };
            if line.last() != Some(&b'\n') {
                rest = line.to_vec();
                break;
            }
            rewrite(line, &prefix, &written, &mut lines);
            rows += 1;
            last.clear();
            last.extend_from_slice(&line[prefix.len().min(line.len())..]);
            if first.is_none() {
                first = timestamp_of(&last);
            }
            rest.clear();
        }
        csv.put(&lines)
    })?;
    note.rows = rows;
    note.first = first;
    note.last = timestamp_of(&last);
    out.rows += rows;
    Ok(())
}

/// `EUR/USD,1h,2015-01-02 07:00:00+00,…` becomes `EUR/USD,1h,2015-01-02T07:00:00Z,…`.
fn rewrite(line: &[u8], prefix: &str, written: &str, lines: &mut Vec<u8>) {
    let body = &line[prefix.len()..];
    let end = body.iter().position(|byte| *byte == b',').unwrap_or(body.len());
    lines.extend_from_slice(written.as_bytes());
    let stamp = body[..end].strip_suffix(b"+00").unwrap_or(&body[..end]);
    lines.extend(stamp.iter().map(|byte| if *byte == b' ' { b'T' } else { *byte }));
    lines.push(b'Z');
    lines.extend_from_slice(&body[end..]);
}

fn timestamp_of(body: &[u8]) -> Option<DateTime<Utc>> {
    let text = std::str::from_utf8(body.split(|byte| *byte == b',').next()?).ok()?;
    DateTime::parse_from_str(&format!("{text}00"), "%Y-%m-%d %H:%M:%S%.f%z")
        .ok()
        .map(|at| at.to_utc())
}

/// What stands beside the candles.
struct Extra {
    set: Option<&'static FeatureSet>,
    rule: Option<LabelRule>,
}

impl Extra {
    fn is_none(&self) -> bool {
        self.set.is_none() && self.rule.is_none()
    }

    fn header(&self) -> String {
        let names: Vec<String> = self.columns().into_iter().map(|column| column.name).collect();
        format!("{}\n", names.join(","))
    }

    fn columns(&self) -> Vec<ColumnNote> {
        let note = |name: &str, r#type, definition: &str| ColumnNote {
            name: name.to_owned(),
            r#type,
            definition: definition.to_owned(),
        };
        let mut columns = vec![
            note("pair", "text", "currency pair"),
            note("timeframe", "text", "length of the candle"),
            note("timestamp", "instant", "opening instant, UTC"),
            note("open", "number", "first price, in units of the quote currency"),
            note("high", "number", "highest price"),
            note("low", "number", "lowest price"),
            note("close", "number", "last price"),
            note("volume", "number", "in whatever unit the vendor counts; 0 where there is none"),
        ];
        if let Some(set) = self.set {
            columns.extend(set.features.iter().map(|f| note(f.name, "number", f.definition)));
        }
        if let Some(rule) = &self.rule {
            let text = format!("class by the rule {rule}; empty where it is not settled");
            columns.push(note("label", "text", &text));
        }
        columns
    }
}

/// Candles of one series with what is computed from them; context before `--start` is read and left out again.
fn with_extra(
    snapshot: &mut Snapshot<'_>,
    key: &SeriesKey,
    selection: &Selection,
    extra: &Extra,
    out: &mut Output,
    note: &mut SeriesNote,
) -> anyhow::Result<()> {
    let pair: Pair = key.pair.parse().map_err(Fault::input)?;
    let warm_up = extra.set.map_or(labels::VOLATILITY_WINDOW + 1, |set| set.warm_up);
    let context_us =
        key.timeframe.nominal_us() * warm_up as i64 / 5 * 7 + 10 * crate::market::DAY_US;
    // Labels look ahead: candles after --end decide labels before it, as far as --as-of allows.
    let wide = Selection {
        from: selection.from - chrono::TimeDelta::microseconds(context_us),
        to: selection.as_of.max(selection.to),
        ..selection.clone()
    };
    let mut columns = CandleColumns::default();
    snapshot.batches(key, &wide, BATCH, &mut |batch| {
        columns.open_at_us.extend(batch.open_at_us);
        columns.open.extend(batch.open);
        columns.high.extend(batch.high);
        columns.low.extend(batch.low);
        columns.close.extend(batch.close);
        columns.volume.extend(batch.volume);
        Ok(())
    })?;
    let candles = Candles::new(pair, key.timeframe, selection.as_of, columns).map_err(|error| {
        Fault::input(error).hint("correct that row of market_data, or import the candle again")
    })?;
    let opens = candles.open_at_us();
    let first = opens.partition_point(|at| *at < selection.from.timestamp_micros());
    let end = opens.partition_point(|at| *at < selection.to.timestamp_micros());
    let computed = extra.set.map(|set| features::compute(set, &candles));
    let classes = extra.rule.map(|rule| {
        let mut labels = labels::label(&candles, &rule);
        if rule == LabelRule::Quartile
            && let Some(cuts) = Cuts::fit(&labels.forward_return[first..end])
        {
            labels.assign(&cuts);
        }
        (labels.class, rule.class_names())
    });
    for from in (first..end).step_by(BATCH) {
        let to = (from + BATCH).min(end);
        let piece = CandleColumns {
            open_at_us: opens[from..to].to_vec(),
            open: candles.open()[from..to].to_vec(),
            high: candles.high()[from..to].to_vec(),
            low: candles.low()[from..to].to_vec(),
            close: candles.close()[from..to].to_vec(),
            volume: candles.volume()[from..to].to_vec(),
        };
        let numbers: Vec<(&str, &[f64])> = computed
            .iter()
            .flat_map(|features| {
                features
                    .set
                    .features
                    .iter()
                    .zip(&features.columns)
                    .map(|(f, column)| (f.name, &column[from..to]))
            })
            .collect();
        let labels: Option<Vec<Option<&str>>> = classes.as_ref().map(|(classes, names)| {
            classes[from..to]
                .iter()
                .map(|class| (*class != NO_CLASS).then(|| names[usize::from(*class)]))
                .collect()
        });
        note.take(&piece);
        out.write(&note.pair.clone(), key.timeframe, &piece, &numbers, labels.as_deref())?;
    }
    Ok(())
}

/// The files under way.
struct Output {
    csv: Option<HashedFile>,
    parquet: Option<ParquetSink>,
    parquet_path: Option<PathBuf>,
    rows: u64,
}

impl Output {
    fn write(
        &mut self,
        pair: &str,
        timeframe: Timeframe,
        columns: &CandleColumns,
        numbers: &[(&str, &[f64])],
        labels: Option<&[Option<&str>]>,
    ) -> anyhow::Result<()> {
        self.rows += columns.len() as u64;
        if self.parquet_path.is_some() {
            self.write_parquet(pair, timeframe, columns, numbers, labels)?;
        }
        let Some(csv) = &mut self.csv else { return Ok(()) };
        csv.put(&csv_lines(pair, timeframe, columns, numbers, labels))
    }

    fn write_parquet(
        &mut self,
        pair: &str,
        timeframe: Timeframe,
        columns: &CandleColumns,
        numbers: &[(&str, &[f64])],
        labels: Option<&[Option<&str>]>,
    ) -> anyhow::Result<()> {
        let n = columns.len();
        let text = |name: &str, value: &str| {
            Column::new_scalar(name.into(), Scalar::from(PlSmallStr::from(value)), n)
        };
        let number = |name: &str, values: &[f64]| {
            // A feature that is not defined yet is null in a table, not NaN.
            if values.iter().all(|value| !value.is_nan()) {
                return Float64Chunked::from_slice(name.into(), values).into_column();
            }
            let values: Float64Chunked = values
                .iter()
                .map(|value| if value.is_nan() { None } else { Some(*value) })
                .collect();
            values.with_name(name.into()).into_column()
        };
        let timestamp = Int64Chunked::from_slice("timestamp".into(), &columns.open_at_us)
            .into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))
            .into_column();
        let mut list = vec![text("pair", pair), text("timeframe", timeframe.name()), timestamp];
        for (name, values) in [
            ("open", &columns.open),
            ("high", &columns.high),
            ("low", &columns.low),
            ("close", &columns.close),
            ("volume", &columns.volume),
        ] {
            list.push(Column::new(name.into(), values.as_slice()));
        }
        list.extend(numbers.iter().map(|(name, values)| number(name, values)));
        if let Some(labels) = labels {
            list.push(Column::new("label".into(), labels));
        }
        let frame = DataFrame::new(n, list).map_err(Fault::resource)?;
        let mut sink = match self.parquet.take() {
            Some(sink) => sink,
            None => {
                let path = self.parquet_path.as_ref().expect("checked by the caller");
                ParquetSink::start(path, &frame)?
            }
        };
        if sink.write(frame) {
            self.parquet = Some(sink);
            return Ok(());
        }
        sink.finish().map(drop)
    }

    fn finish(self) -> anyhow::Result<Vec<ExportedFile>> {
        let mut files = Vec::new();
        if let Some(csv) = self.csv {
            files.push(ExportedFile {
                path: "candles.csv".into(),
                rows: self.rows,
                sha256: csv.finish()?,
            });
        }
        if let Some(sink) = self.parquet {
            let sha256 = sink.finish()?;
            files.push(ExportedFile { path: "candles.parquet".into(), rows: self.rows, sha256 });
        }
        Ok(files)
    }
}

fn csv_lines(
    pair: &str,
    timeframe: Timeframe,
    columns: &CandleColumns,
    numbers: &[(&str, &[f64])],
    labels: Option<&[Option<&str>]>,
) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(columns.len() * (80 + 20 * numbers.len()));
    let prefix = format!("{pair},{timeframe},");
    // Writing into a vector cannot fail.
    let number = |bytes: &mut Vec<u8>, value: f64| {
        bytes.push(b',');
        if !value.is_nan() {
            let _ = write!(bytes, "{value}");
        }
    };
    for row in 0..columns.len() {
        bytes.extend_from_slice(prefix.as_bytes());
        push_instant(&mut bytes, columns.open_at_us[row]);
        for column in [&columns.open, &columns.high, &columns.low, &columns.close, &columns.volume]
        {
            number(&mut bytes, column[row]);
        }
        for (_, values) in numbers {
            number(&mut bytes, values[row]);
        }
        if let Some(labels) = labels {
            bytes.push(b',');
            bytes.extend_from_slice(labels[row].unwrap_or_default().as_bytes());
        }
        bytes.push(b'\n');
    }
    bytes
}

/// `2015-01-02T07:00:00Z`, by hand: a formatter per row costs more than all the prices.
fn push_instant(bytes: &mut Vec<u8>, at_us: i64) {
    use chrono::{Datelike, Timelike};
    let at = instant(at_us).naive_utc();
    let two = |bytes: &mut Vec<u8>, value: u32, after: u8| {
        bytes.extend_from_slice(&[b'0' + (value / 10) as u8, b'0' + (value % 10) as u8, after]);
    };
    let _ = write!(bytes, "{:04}-", at.year());
    two(bytes, at.month(), b'-');
    two(bytes, at.day(), b'T');
    two(bytes, at.hour(), b':');
    two(bytes, at.minute(), b':');
    two(bytes, at.second(), b'Z');
}
