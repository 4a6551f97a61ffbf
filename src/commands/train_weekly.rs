//! `aifx train-weekly`: a new model from scratch.

use std::time::Duration;

use serde_json::Value;

use super::{Setup, verdict, watch::TerminalWatch};
use crate::{
    evaluate::{Comparison, Figures},
    fault::Exit,
    jobs::{
        assess::{Assessment, INDICATOR, MAJORITY, MODEL},
        weekly::{self, Request, WeeklyReport},
    },
    lineage::LineName,
    ui::{Page, Report, Tone, Ui},
};

/// Train a new model from scratch, publish it, and promote it where the gate agrees
///
/// Takes the samples of the last days (or of as many as there are), cuts them by trading days, trains, calibrates, measures on the last part, which nobody has
/// seen, and publishes a version directory with a report. The gate holds it against production on that part. Once a week: a second start in the same ISO week says so and
/// ends 0. A run that was killed goes on from its last epoch.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx train-weekly --days 30 --as-of 2018-12-01T00:00:00Z")]
pub struct TrainWeeklyArgs {
    /// Line, where there are several
    #[arg(long)]
    line: Option<LineName>,
    /// Days of candles to learn from [default: weekly.days]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    /// At most this many passes over them [default: weekly.epochs]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    epochs: Option<u32>,
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
    /// A check of honesty: deal the training labels at random, print what that scores, publish nothing
    #[arg(long, conflicts_with = "dry_run")]
    shuffle_labels: bool,
}

impl Report for WeeklyReport {
    const SCHEMA: &'static str = "aifx.train-weekly/1";

    fn write(&self, page: &mut Page) {
        let what = match (&self.version, self.status) {
            (Some(version), "staging") => {
                format!("{}: {version} is published, in staging", self.line)
            }
            (Some(version), "production") => {
                format!("{}: {version} is published and in production now", self.line)
            }
            (Some(version), _) => format!("{}: {version} is there already", self.line),
            (None, status) => format!("{}: {status}", self.line),
        };
        page.toned(
            if matches!(self.status, "staging" | "production") { Tone::Good } else { Tone::Strong },
            what,
        );
        if let Some(reason) = &self.reason {
            page.field("why", reason);
        }
        if let Some(directory) = &self.directory {
            page.field("directory", directory.display().to_string());
        }
        let samples = self.samples;
        if samples.train > 0 {
            page.field(
                "samples",
                format!(
                    "{} training, {} validation, {} test",
                    samples.train, samples.validation, samples.test
                ),
            );
        }
        if let Some((epochs, best)) = self.epochs {
            page.field("epochs", format!("{epochs}, the best was {best}"));
        }
        if let Some(balance) = &self.balance {
            page.field("labels", balance.to_string());
        }
        if let Some(assessment) = &self.assessment {
            write_assessment(page, assessment);
        }
        if let Some(given) = self.gate.verdict() {
            page.gap();
            verdict::write(page, given);
        }
        if let Some(seconds) = self.seconds {
            page.field(
                "took",
                format!("{:.1} s, {:.1} s of it training", seconds.total, seconds.training),
            );
        }
        for note in &self.notes {
            page.gap();
            page.toned(Tone::Warn, format!("note: {note}"));
        }
    }
}

fn write_assessment(page: &mut Page, assessment: &Assessment) {
    let row = |name: &str, seen: &str, figures: &Figures| {
        vec![
            name.to_owned(),
            seen.to_owned(),
            figures.n.to_string(),
            figures.n_days.to_string(),
            format!("{:.1} %", figures.accuracy * 100.0),
            format!("{:.1} %", figures.balanced_accuracy * 100.0),
            format!("{:.4}", figures.log_loss),
            format!("{:.3}", figures.ece),
        ]
    };
    let mut rows = vec![row("model", "unseen", &assessment.test)];
    for (name, figures) in &assessment.baselines {
        rows.push(row(name, "unseen", figures));
    }
    rows.push(row("model", "validation", &assessment.validation));
    rows.push(row("model", "training", &assessment.train));
    page.gap();
    page.table(
        &["", "samples", "n", "days", "accuracy", "balanced", "log-loss", "ECE"],
        &[2, 3, 4, 5, 6, 7],
        &rows,
    );
    page.gap();
    for name in [MAJORITY, INDICATOR] {
        if let Some(comparison) = assessment.comparisons.get(name) {
            page.field(&format!("against {name}"), verdict(comparison));
        }
    }
    if let Some(trades) = assessment.backtests.get(MODEL) {
        let sharpe = match (trades.sharpe, trades.sharpe_se) {
            (Some(sharpe), Some(se)) => format!("{sharpe:.2} ± {se:.2}"),
            _ => "n/a (too few days)".to_owned(),
        };
        let percent = |value: Option<f64>| {
            value.map_or("n/a".to_owned(), |value| format!("{:.2} %", value * 100.0))
        };
        page.field(
            "trades",
            format!(
                "{}, return after costs {}, Sharpe {sharpe}",
                trades.n_trades,
                percent(trades.roi)
            ),
        );
    }
    if let Some(share) = assessment.test.answer_shares.iter().copied().reduce(f64::max)
        && share > 0.95
    {
        page.toned(
            Tone::Warn,
            format!(
                "  {:.1} % of the answers are one class: the model has collapsed",
                share * 100.0
            ),
        );
    }
}

/// A comparison in words.
fn verdict(comparison: &Comparison) -> String {
    let Some(loss) = comparison.log_loss else {
        return format!("not enough evidence: {} days, at least 5 are needed", comparison.n_days);
    };
    let word = if loss.low > 0.0 {
        "better"
    } else if loss.high < 0.0 {
        "worse"
    } else {
        "not to be told apart"
    };
    let needed = match (word, comparison.days_needed) {
        ("not to be told apart", Some(days)) => {
            format!("; such an effect takes {days} days to see")
        }
        _ => String::new(),
    };
    format!(
        "{word}: log-loss saved {:+.4} [{:+.4}, {:+.4}] over {} days{needed}",
        loss.mean, loss.low, loss.high, comparison.n_days
    )
}

pub(super) fn run(args: &TrainWeeklyArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    let request = Request {
        line: args.line.clone(),
        days: args.days,
        test_days: None,
        epochs: args.epochs,
        seed: args.seed,
        device: args.device.clone(),
        reason: args.reason.clone(),
        wait: Duration::from_secs(args.wait),
        dry_run: args.dry_run,
        as_of_given: setup.globals.as_of.is_some(),
        shuffle_labels: args.shuffle_labels,
        triggered: false,
        no_promote: args.no_promote,
    };
    let report = {
        let mut watch = TerminalWatch::start(ui);
        weekly::run(&app, &request, &mut watch)?
    };
    let _: &Value = &report.test;
    ui.show(&report)
}
