//! `aifx simulate`: a made-up market with a known edge, for trying out and for tests.

use chrono::{DateTime, Utc};

use super::Setup;
use crate::{
    fault::Exit,
    jobs::simulate::{self, Request, SimulateReport},
    lineage::LineName,
    market::{Pair, Timeframe},
    ui::{Page, Report, Ui},
};

/// Fill the database with a made-up market
///
/// The market is seeded: the same flags make the same candles. It holds regimes that a model can learn, as strong as
/// --edge says, and prints how often the best possible prediction would be right, so that a trained model can be held
/// against it.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: aifx simulate --candles 4000 --seed 1 --edge 1 --end 2025-10-19T00:00:00Z"
)]
pub struct SimulateArgs {
    /// Pairs [default: those of the line]
    #[arg(long, value_delimiter = ',')]
    pairs: Vec<Pair>,
    /// Timeframe [default: the line's first]
    #[arg(long)]
    timeframe: Option<Timeframe>,
    /// Candles of each pair
    #[arg(long, default_value_t = 4000)]
    candles: usize,
    /// Seed of all random numbers
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Strength of what can be learned: 0 nothing, 1 clearly something
    #[arg(long, default_value_t = 1.0)]
    edge: f64,
    /// Chance at each turn of a week that what can be learned turns into its opposite, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    drift: f64,
    /// The last candle closes at or before this instant [default: --as-of, or now]
    #[arg(long, value_parser = super::parse_instant)]
    end: Option<DateTime<Utc>>,
    /// Line whose pairs, timeframe and label are meant, where there are several
    #[arg(long)]
    line: Option<LineName>,
    /// Count what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Report for SimulateReport {
    const SCHEMA: &'static str = "aifx.simulate/1";

    fn write(&self, page: &mut Page) {
        let pairs: Vec<String> = self.pairs.iter().map(ToString::to_string).collect();
        page.line(format!(
            "{} candles of {} for each of {}, {} to {}",
            self.candles,
            self.timeframe,
            pairs.join(", "),
            self.from.format("%F %H:%MZ"),
            self.to.format("%F %H:%MZ"),
        ));
        page.field(
            "written",
            format!(
                "{} new, {} replaced, {} as they were",
                self.inserted, self.updated, self.unchanged
            ),
        );
        page.field("seed, edge", format!("{}, {}", self.seed, self.edge));
        if self.drift > 0.0 {
            page.field("drift", format!("{}: {} changes of sign", self.drift, self.changes.len()));
        }
        if let Some(bayes) = self.bayes {
            let percent = |share: f64| format!("{:.1} %", share * 100.0);
            page.field(
                "best direction",
                format!("{} right (guessing: 50 %)", percent(bayes.direction)),
            );
            let best = match bayes.label {
                Some(label) => format!("{} right", percent(label)),
                None => "not worked out for this rule".to_owned(),
            };
            page.field(
                "best label",
                format!(
                    "{best} ({}; always the majority class: {})",
                    self.label.name(),
                    percent(bayes.label_majority)
                ),
            );
        }
    }
}

pub(super) fn run(args: &SimulateArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    let request = Request {
        pairs: args.pairs.clone(),
        line: args.line.clone(),
        timeframe: args.timeframe,
        n_candles: args.candles,
        seed: args.seed,
        edge: args.edge,
        drift: args.drift,
        end: args.end.unwrap_or(app.as_of),
        dry_run: args.dry_run,
    };
    ui.show(&simulate::run(&app, &request)?)
}
