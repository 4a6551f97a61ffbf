//! `aifx gate`: judges a version anew.

use std::time::Duration;

use super::{Setup, verdict};
use crate::{
    fault::Exit,
    jobs::judge::{self, GateReport, Request},
    lineage::{LineName, Version},
    ui::{Page, Report, Ui},
};

/// Judge VERSION anew, on every day since its data ended
///
/// Compares it with what was in production each of those mornings, on days that neither has seen, shows every rule with what
/// was measured, and stores the verdict that `promote` asks for. A refusal is an answer, not an error: the status is 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx gate v1.4")]
pub struct GateArgs {
    /// Version, such as v1.4 or v1.4-daily-20251021
    version: Version,
    /// Line, where there are several
    #[arg(long)]
    line: Option<LineName>,
    /// Show the verdict, and leave the stored one as it is
    #[arg(long)]
    dry_run: bool,
    /// Wait this long for another run on the line
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

impl Report for GateReport {
    const SCHEMA: &'static str = "aifx.gate/1";

    fn write(&self, page: &mut Page) {
        page.line(format!("{} {}", self.line, self.version));
        verdict::write(page, &self.verdict);
        if let Some(first) = self.left_out.first() {
            let n = self.left_out.len();
            page.field("left out", format!("{n} days, such as {}: {}", first.day, first.why));
        }
    }
}

pub(super) fn run(args: &GateArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    let request = Request {
        line: args.line.clone(),
        version: args.version,
        dry_run: args.dry_run,
        wait: Duration::from_secs(args.wait),
    };
    ui.show(&judge::rejudge(&app, &request)?)
}
