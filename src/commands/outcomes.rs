//! `aifx outcomes`: settles signals by what the market did.

use super::Setup;
use crate::{
    fault::Exit,
    jobs::outcomes::{self, OutcomesReport, Request},
    lineage::LineName,
    ui::{Page, Report, Tone, Ui},
};

/// Close open signals at stop-loss, take-profit or time-out
///
/// By the candles after the signal, highs and lows: both levels in one candle count as the stop. Each signal is settled
/// once; one whose row says too little is named and stops no other. Real trades come first: those of the table
/// user_trading_history, where there is one (signal_id, entry_price, exit_price, closed_at), or of `aifx import --fills`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx outcomes --dry-run")]
pub struct OutcomesArgs {
    /// Line, where there are several
    #[arg(long)]
    line: Option<LineName>,
    /// Count, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Report for OutcomesReport {
    const SCHEMA: &'static str = "aifx.outcomes/1";

    fn write(&self, page: &mut Page) {
        let would = if self.dry_run { "would be " } else { "" };
        page.toned(
            Tone::Good,
            format!(
                "{}: {} of {} open signals {would}settled: {} won, {} lost, {} neither",
                self.line, self.settled, self.open, self.wins, self.losses, self.breakevens
            ),
        );
        if self.filled > 0 {
            page.field("filled", format!("{} {would}settled by real trades", self.filled));
        }
        page.problems(&self.problems, self.n_problems);
    }
}

pub(super) fn run(args: &OutcomesArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    ui.show(&outcomes::run(
        &app,
        &Request { line: args.line.clone(), dry_run: args.dry_run, threshold: None },
    )?)
}
