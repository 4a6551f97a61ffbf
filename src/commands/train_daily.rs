//! `aifx train-daily`: refreshes production with the last day.

use std::time::Duration;

use super::{Setup, verdict, watch::TerminalWatch};
use crate::{
    fault::Exit,
    jobs::daily::{self, DailyReport, Request},
    lineage::LineName,
    ui::{Page, Report, Tone, Ui},
};

/// Fine-tune the production model on the last day, and promote it where a rehearsal speaks for it
///
/// The rehearsal does the same for each of the last mornings: what was in production then, fine-tuned on what was known
/// then, answers the day that followed, beside that version untouched. Once a day: a second start says so and ends 0. Too
/// few samples, no production model, or a market outside the reference: a recorded skip, status 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx train-daily --as-of 2018-11-30T01:00:00Z")]
pub struct TrainDailyArgs {
    /// Line, where there are several
    #[arg(long)]
    line: Option<LineName>,
    /// Passes over the samples [default: daily.epochs]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    epochs: Option<u32>,
    /// Hours of candles to learn from [default: daily.hours]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=8760))]
    hours: Option<u32>,
    /// Skip with fewer labelled samples [default: daily.min_samples]
    #[arg(long)]
    min_samples: Option<usize>,
    /// Mornings to rehearse [default: daily.rehearse_days]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=365))]
    rehearse_days: Option<u32>,
    /// Seed of all random numbers [default: seed]
    #[arg(long)]
    seed: Option<u64>,
    /// Where to compute: auto, cpu, cuda:N
    #[arg(long, default_value = "auto")]
    device: String,
    /// Why, for the training log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Wait this long for another run on the line
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
    /// Say what would be learned from, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave the version in staging even where the gate lets it through
    #[arg(long)]
    no_promote: bool,
}

impl Report for DailyReport {
    const SCHEMA: &'static str = "aifx.train-daily/1";

    fn write(&self, page: &mut Page) {
        let what = match (&self.version, self.status) {
            (Some(version), "production") => {
                format!("{}: {version} is published and in production now", self.line)
            }
            (Some(version), "staging") => {
                format!("{}: {version} is published, in staging", self.line)
            }
            (Some(version), _) => format!("{}: {version} is there already", self.line),
            (None, status) => format!("{}: {status}", self.line),
        };
        let tone = if self.version.is_some() { Tone::Good } else { Tone::Strong };
        page.toned(tone, what);
        if let Some(reason) = &self.reason {
            page.field("why", reason);
        }
        if let Some(parent) = self.parent {
            page.field("fine-tuned from", parent.to_string());
        }
        if let Some(directory) = &self.directory {
            page.field("directory", directory.display().to_string());
        }
        if let Some(balance) = &self.balance {
            page.field("labels", balance.to_string());
        }
        if !self.mornings.is_empty() {
            let rows: Vec<Vec<String>> = self
                .mornings
                .iter()
                .map(|morning| {
                    vec![
                        morning.at.format("%F %H:%MZ").to_string(),
                        morning.production.map_or("none".into(), |version| version.to_string()),
                        morning.n_learned.to_string(),
                        morning.n_answered.to_string(),
                        morning.saved.map_or("n/a".into(), |saved| format!("{saved:+.4}")),
                        morning.left_out.clone().unwrap_or_default(),
                    ]
                })
                .collect();
            page.gap();
            page.table(
                &["morning", "production", "learned", "answered", "log-loss saved", "left out"],
                &[2, 3, 4],
                &rows,
            );
        }
        if let Some(given) = self.gate.verdict() {
            page.gap();
            verdict::write(page, given);
        }
        if let Some(seconds) = self.seconds {
            page.field(
                "took",
                format!(
                    "{:.1} s: fine-tune {:.1} s, rehearsal {:.1} s",
                    seconds.total, seconds.training, seconds.rehearsal
                ),
            );
        }
        for note in &self.notes {
            page.gap();
            page.toned(Tone::Warn, format!("note: {note}"));
        }
    }
}

pub(super) fn run(args: &TrainDailyArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    let request = Request {
        line: args.line.clone(),
        epochs: args.epochs,
        hours: args.hours,
        min_samples: args.min_samples,
        rehearse_days: args.rehearse_days,
        seed: args.seed,
        device: args.device.clone(),
        reason: args.reason.clone(),
        wait: Duration::from_secs(args.wait),
        dry_run: args.dry_run,
        no_promote: args.no_promote,
    };
    let report = {
        let mut watch = TerminalWatch::start(ui);
        daily::run(&app, &request, &mut watch)?
    };
    ui.show(&report)
}
