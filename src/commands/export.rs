//! `aifx export`: a complete dataset as files.

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::ValueEnum;

use super::Setup;
use crate::{
    fault::Exit,
    jobs::{
        export::{self, ExportReport, Request},
        label,
    },
    labels::AskedRule,
    market::{Pair, Timeframe},
    ui::{Page, Report, Tone, Ui},
};

/// Write candles, with features and labels where asked for, to CSV and Parquet
///
/// One snapshot of the database; the folder appears complete or not at all. metadata.json holds ranges, counts, columns and
/// checksums. The same export again changes nothing.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: aifx export --pairs EUR/USD --features v1 --labels volatility --output dataset"
)]
pub struct ExportArgs {
    /// Candles that open at or after this instant
    #[arg(long, value_parser = super::parse_instant)]
    start: Option<DateTime<Utc>>,
    /// Candles that open before this instant
    #[arg(long, value_parser = super::parse_instant)]
    end: Option<DateTime<Utc>>,
    /// Pairs [default: all]
    #[arg(long, value_delimiter = ',')]
    pairs: Vec<Pair>,
    /// Timeframes [default: all]
    #[arg(long, value_delimiter = ',')]
    timeframes: Vec<Timeframe>,
    /// Add the columns of this feature set, such as v1
    #[arg(long)]
    features: Option<String>,
    /// Add a column label by this rule: fixed:0.005, volatility:0.35, triple-barrier:0.005:0.005, quartile; volatility alone is
    /// the rule of the line, 0.35 without one
    #[arg(long, value_name = "RULE")]
    labels: Option<AskedRule>,
    /// Add a column label by the line's own rule
    #[arg(long, conflicts_with = "labels")]
    auto_label: bool,
    /// What to write
    #[arg(long, value_enum, default_value = "both")]
    format: FileFormat,
    /// Where to [default: data/export-AS_OF in the home]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
    /// Check what would be exported, and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FileFormat {
    Csv,
    Parquet,
    Both,
}

impl Report for ExportReport {
    const SCHEMA: &'static str = "aifx.export/1";

    fn write(&self, page: &mut Page) {
        let done = match (self.files.is_empty(), self.unchanged) {
            (true, _) => "nothing was written (--dry-run)",
            (_, true) => "the same export is there already",
            _ => "exported",
        };
        page.toned(Tone::Good, format!("{done}: {}", self.directory.display()));
        for file in &self.files {
            page.field(&file.path, format!("{} rows, SHA-256 {}…", file.rows, &file.sha256[..12]));
        }
    }
}

pub(super) fn run(args: &ExportArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    let labels = match (args.auto_label, args.labels) {
        (true, _) => Some(label::rule_of_line(&app)?),
        (false, Some(AskedRule::VolatilityOfLine)) => {
            // Of several lines none is meant: then it is the default.
            let line = (app.config.lines.len() == 1).then(|| label::rule_of_line(&app));
            Some(AskedRule::VolatilityOfLine.for_line(line.transpose()?))
        }
        (false, asked) => asked.map(|asked| asked.for_line(None)),
    };
    let request = Request {
        start: args.start,
        end: args.end,
        pairs: args.pairs.clone(),
        timeframes: args.timeframes.clone(),
        features: args.features.clone(),
        labels,
        csv: args.format != FileFormat::Parquet,
        parquet: args.format != FileFormat::Csv,
        output: args.output.clone(),
        dry_run: args.dry_run,
    };
    ui.show(&export::run(&app, &request)?)
}
