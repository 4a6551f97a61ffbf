//! `import`: candles from vendors' files into the database, one transaction a file.

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::{
    config::App,
    db::market_data::{Upserted, ZeroVolume},
    feeds::{self, FileCandles, ReadOptions, Refusal},
    market::{Pair, Timeframe, instant},
};

/// What to import, and how far to go.
#[derive(Debug, Clone)]
pub struct Request {
    /// The files, in the order in which they are written.
    pub files: Vec<PathBuf>,
    /// How to read each.
    pub options: ReadOptions,
    /// How far to go.
    pub depth: Depth,
}

/// How far an import goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Look at the files; no database is needed.
    Inspect,
    /// Count what would change, and change nothing.
    DryRun,
    /// Write.
    Write,
}

/// What was imported. The keys are a contract: `aifx.import/1`.
#[derive(Debug, Clone, Serialize)]
pub struct ImportReport {
    /// One entry a file, in the order given.
    pub files: Vec<ImportedFile>,
    /// Whether nothing was kept.
    pub dry_run: bool,
}

/// What became of one file.
#[derive(Debug, Clone, Serialize)]
pub struct ImportedFile {
    /// As it was given.
    pub path: String,
    /// Of which pair.
    pub pair: Pair,
    /// Of which timeframe.
    pub timeframe: Timeframe,
    /// Whose format it is in.
    pub format: &'static str,
    /// Rows in the file.
    pub read: u64,
    /// New candles; `None` when the database was not asked.
    pub inserted: Option<u64>,
    /// Candles whose values were replaced.
    pub updated: Option<u64>,
    /// Candles that were there already.
    pub unchanged: Option<u64>,
    /// Rows left out because they are no candles.
    pub refused: u64,
    /// Rows that a later row of the same instant replaced.
    pub duplicates: u64,
    /// Candles still open, left out.
    pub forming: u64,
    /// Opening instant of the first candle.
    pub first: Option<DateTime<Utc>>,
    /// Opening instant of the last candle.
    pub last: Option<DateTime<Utc>>,
    /// The instant at which the last candle closes: from then on it is there for a reader.
    pub closed_at: Option<DateTime<Utc>>,
    /// The first ten refused rows.
    pub refusals: Vec<Refusal>,
    /// What an operator should know.
    pub notes: Vec<String>,
}

/// Reads each file and writes its candles. `warn` hears, before an error comes back, what stays imported.
///
/// # Errors
/// 4 for the first file that is refused, or what the database says. Files before it stay imported.
pub fn run(
    app: &App,
    request: &Request,
    warn: &mut dyn FnMut(&str),
) -> anyhow::Result<ImportReport> {
    let mut db = match request.depth {
        Depth::Inspect => None,
        Depth::DryRun | Depth::Write => Some(app.db("import")?),
    };
    let dry_run = request.depth == Depth::DryRun;
    let mut files = Vec::with_capacity(request.files.len());
    for path in &request.files {
        let imported = feeds::read(path, &request.options).and_then(|file| {
            let changed = match &mut db {
                Some(db) => Some(db.upsert_candles(
                    &file.pair,
                    file.timeframe,
                    &file.columns,
                    ZeroVolume::None,
                    dry_run,
                    app.as_of,
                )?),
                None => None,
            };
            Ok(ImportedFile::new(path, file, changed))
        });
        match imported {
            Ok(file) => files.push(file),
            Err(error) => {
                if request.depth == Depth::Write && !files.is_empty() {
                    let (n, of) = (files.len(), request.files.len());
                    warn(&format!(
                        "the first {n} of {of} files are imported and stay so; {} and those after it are not",
                        path.display()
                    ));
                }
                return Err(error);
            }
        }
    }
    Ok(ImportReport { files, dry_run: request.depth != Depth::Write })
}

impl ImportedFile {
    fn new(path: &Path, file: FileCandles, changed: Option<Upserted>) -> Self {
        let opens = &file.columns.open_at_us;
        let last_us = opens.last().copied();
        ImportedFile {
            path: path.display().to_string(),
            format: file.format,
            read: file.n_read,
            inserted: changed.map(|changed| changed.inserted),
            updated: changed.map(|changed| changed.updated),
            unchanged: changed.map(|changed| changed.unchanged),
            refused: file.n_refused,
            duplicates: file.n_duplicates,
            forming: file.n_forming,
            first: opens.first().copied().map(instant),
            last: last_us.map(instant),
            closed_at: last_us.map(|last_us| instant(file.timeframe.close_at(last_us))),
            refusals: file.refused,
            notes: file.notes,
            pair: file.pair,
            timeframe: file.timeframe,
        }
    }
}
