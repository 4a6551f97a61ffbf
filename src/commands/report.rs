//! `aifx report`: one page that shows a line.

use std::path::PathBuf;

use super::Setup;
use crate::{
    fault::Exit,
    jobs::watch_report::{self, Request, WatchReport},
    lineage::LineName,
    ui::{Page, Report, Tone, Ui},
};

/// Write one page that shows a line: what rings, results, drift, answers, jobs, data
///
/// A self-contained HTML file, reports/watch/LINE.html in the home unless --out names another. It is made from the tables alone
/// and changes nothing in them; what is not there is said in words.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx report --days 30 --out /var/www/fx.html")]
pub struct ReportArgs {
    /// Line, where there are several
    #[arg(long)]
    line: Option<LineName>,
    /// How many days it looks back
    #[arg(long, value_name = "N", default_value_t = 90, value_parser = clap::value_parser!(u16).range(1..=400))]
    days: u16,
    /// Where to write it
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

impl Report for WatchReport {
    const SCHEMA: &'static str = "aifx.report/1";

    fn write(&self, page: &mut Page) {
        let tone = match self.mood {
            "good" => Tone::Good,
            _ => Tone::Warn,
        };
        page.toned(tone, format!("{}: {}", self.line, self.headline));
        for alert in &self.ringing {
            page.field(&alert.cause, page.paint(Tone::Warn, &alert.message));
        }
        page.field("page", self.file.display().to_string());
    }
}

pub(super) fn run(args: &ReportArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    let request =
        Request { line: args.line.clone(), days: i64::from(args.days), out: args.out.clone() };
    ui.show(&watch_report::run(&app, &request)?)
}
