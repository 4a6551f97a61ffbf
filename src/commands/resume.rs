//! `aifx resume`: lets a line bet again whose breaker has tripped.

use super::Setup;
use crate::{
    fault::{Exit, Fault},
    jobs::bets::{self, Resumed},
    lineage::LineName,
    ui::{Page, Report, Tone, Ui},
};

/// Let a line bet again whose breaker has tripped
///
/// The account counts anew from now on, and with it the chance `risk.losing_alpha` of a false trip. A promotion on the change
/// track does the same by itself. Nothing changes where the breaker has not tripped.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: aifx resume --reason 'costs of USD/JPY were a tenth of what they are'"
)]
pub struct ResumeArgs {
    /// Why, for the record
    #[arg(long)]
    reason: String,
    /// Line, where there are several
    #[arg(long)]
    line: Option<LineName>,
}

impl Report for Resumed {
    const SCHEMA: &'static str = "aifx.resume/1";

    fn write(&self, page: &mut Page) {
        match self.resumed {
            true => {
                page.toned(Tone::Good, format!("{}: bets again", self.line));
                page.field("stood", self.breaker.to_string());
                page.field("granted anew", format!("losing_alpha {}", self.losing_alpha));
            }
            false => {
                page.line(format!("{}: the breaker has not tripped, nothing to resume", self.line));
                page.field("stands", self.breaker.to_string());
            }
        }
    }
}

pub(super) fn run(args: &ResumeArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    if args.reason.trim().is_empty() {
        return Err(Fault::usage("--reason is empty: say why the line may bet again").into());
    }
    let app = setup.app(ui)?;
    ui.show(&bets::resume(&app, args.line.as_ref(), args.reason.trim())?)
}
