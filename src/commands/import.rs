//! `aifx import`: candles from vendors' files.

use std::path::PathBuf;

use super::Setup;
use crate::{
    fault::Exit,
    feeds::{OnBadRow, ReadOptions, SourceZone},
    jobs::{
        fills::{self, FillsReport},
        import::{self, Depth, ImportReport, Request},
    },
    market::{Pair, Timeframe},
    ui::{Page, Report, Tone, Ui},
};

/// Import candles from vendors' files
///
/// The format is recognised by content: aifx CSV, HistData, MetaTrader 4 and 5, Dukascopy, LEAN, FXCM, Yahoo; plain,
/// .gz or .zip. Each file is one transaction; a candle that is there already is replaced, and its old value kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx import EURUSD_1h.csv GBPUSD_1h.csv.gz\n         \
                        aifx import DAT_ASCII_EURUSD_M1_2018.zip --inspect")]
pub struct ImportArgs {
    /// Files of candles
    #[arg(required = true, value_name = "FILES")]
    files: Vec<PathBuf>,
    /// Pair, such as EUR/USD [default: from the file's name]
    #[arg(long)]
    pair: Option<Pair>,
    /// Timeframe [default: from the file's name, or the candles' distance]
    #[arg(long)]
    timeframe: Option<Timeframe>,
    /// Zone of times that say none, such as Europe/Helsinki or UTC-5 [default: UTC; HistData: America/New_York]
    #[arg(long, value_name = "ZONE", allow_hyphen_values = true)]
    tz: Option<SourceZone>,
    /// What becomes of a file with a row that is no candle
    #[arg(long, value_enum, default_value = "fail")]
    on_bad_row: BadRow,
    /// Count what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Only look at the files; no database is needed
    #[arg(long, conflicts_with = "dry_run")]
    inspect: bool,
    /// The files hold real trades: CSV with signal_id (or pair, timeframe, candle), entry_price, exit_price, closed_at, fees
    #[arg(long, conflicts_with_all = ["inspect", "pair", "timeframe", "tz"])]
    fills: bool,
}

/// [`OnBadRow`] as the command line names it.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum BadRow {
    /// Leave the row out and count it
    Skip,
    /// Refuse the whole file
    Fail,
}

impl Report for ImportReport {
    const SCHEMA: &'static str = "aifx.import/1";

    fn write(&self, page: &mut Page) {
        for file in &self.files {
            page.line(format!("{}: {} {}, {}", file.path, file.pair, file.timeframe, file.format));
            if let (Some(first), Some(last)) = (file.first, file.last) {
                let (first, last) = (first.format("%F %H:%MZ"), last.format("%F %H:%MZ"));
                page.field("candles", format!("{first} to {last}"));
            }
            let mut rows = vec![format!("{} read", file.read)];
            for (n, what) in [
                (file.refused, "refused"),
                (file.duplicates, "repeated"),
                (file.forming, "not closed yet"),
            ] {
                if n > 0 {
                    rows.push(format!("{n} {what}"));
                }
            }
            page.field("rows", rows.join(", "));
            if let (Some(inserted), Some(updated), Some(unchanged)) =
                (file.inserted, file.updated, file.unchanged)
            {
                let would = if self.dry_run { "would be " } else { "" };
                page.field(
                    "database",
                    format!("{would}{inserted} new, {updated} replaced, {unchanged} as they were"),
                );
            }
            for refusal in &file.refusals {
                let line = format!("line {}: {}", refusal.line, refusal.reason);
                page.field("refused", page.paint(Tone::Warn, &line));
            }
            for note in &file.notes {
                page.field("note", note);
            }
        }
    }
}

impl Report for FillsReport {
    const SCHEMA: &'static str = "aifx.import-fills/1";

    fn write(&self, page: &mut Page) {
        let would = if self.dry_run { "would be " } else { "" };
        page.toned(
            Tone::Good,
            format!(
                "{} trades: {} signals {would}settled, {} had their fill",
                self.read, self.settled, self.known
            ),
        );
        page.problems(&self.problems, self.n_problems);
    }
}

pub(super) fn run(args: &ImportArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    if args.fills {
        return ui.show(&fills::import(&app, &args.files, args.dry_run)?);
    }
    let request = Request {
        files: args.files.clone(),
        options: ReadOptions {
            pair: args.pair.clone(),
            timeframe: args.timeframe,
            tz: args.tz,
            on_bad_row: match args.on_bad_row {
                BadRow::Skip => OnBadRow::Skip,
                BadRow::Fail => OnBadRow::Fail,
            },
            as_of: app.as_of,
        },
        depth: match (args.inspect, args.dry_run) {
            (true, _) => Depth::Inspect,
            (_, true) => Depth::DryRun,
            _ => Depth::Write,
        },
    };
    let report = import::run(&app, &request, &mut |text| ui.warn(text))?;
    ui.show(&report)
}
