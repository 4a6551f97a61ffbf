//! `aifx collect`: the newest candles from a quote provider.

use super::Setup;
use crate::{
    fault::Exit,
    jobs::collect::{self, CollectReport},
    market::Pair,
    ui::{Page, Report, Tone, Ui},
};

/// Fetch the newest closed candles of every configured series
///
/// From the provider under `collect` in aifx.yaml. Holes since the last candle are filled as far as the provider reaches, a
/// candle that it has revised is updated and counted. Each series gets a verdict: fresh, late, gap, spike, flat. A series
/// that fails keeps no other from its candles.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx collect --pairs EUR/USD")]
pub struct CollectArgs {
    /// Pairs [default: those of every line]
    #[arg(long, value_delimiter = ',')]
    pairs: Vec<Pair>,
    /// Ask and count, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Report for CollectReport {
    const SCHEMA: &'static str = "aifx.collect/1";

    fn write(&self, page: &mut Page) {
        let rows: Vec<Vec<String>> = self
            .series
            .iter()
            .map(|one| {
                vec![
                    one.pair.to_string(),
                    one.timeframe.to_string(),
                    one.inserted.to_string(),
                    one.updated.to_string(),
                    (one.empty + one.refused).to_string(),
                    one.last.map_or("-".into(), |at| at.format("%F %H:%MZ").to_string()),
                    one.verdict.to_owned(),
                    one.reason.clone().unwrap_or_default(),
                ]
            })
            .collect();
        page.table(
            &["pair", "timeframe", "new", "revised", "left out", "last", "verdict", "why"],
            &[2, 3, 4],
            &rows,
        );
        if self.n_failed > 0 {
            page.toned(
                Tone::Warn,
                format!("{} of {} series got no answer", self.n_failed, self.series.len()),
            );
        }
    }

    fn exit(&self) -> Exit {
        self.exit
    }
}

pub(super) fn run(args: &CollectArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    ui.show(&collect::run(&app, &args.pairs, args.dry_run)?)
}
