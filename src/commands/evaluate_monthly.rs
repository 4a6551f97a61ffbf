//! `aifx evaluate-monthly`: ranks every live version on what it has not seen.

use std::time::Duration;

use super::{Setup, verdict, watch::TerminalWatch};
use crate::{
    fault::Exit,
    jobs::monthly::{self, MonthlyReport, Ranked, Request},
    lineage::LineName,
    ui::{Page, Report, Tone, Ui},
};

/// Rank every live version on the last 30 days, each on the days that it has not seen
///
/// The best goes through the gate and is promoted where that agrees; fine-tunes older than three months are deleted;
/// a report is written to reports/monthly and sent to the configured channels. Once a month: a second start says so and
/// ends 0.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx evaluate-monthly --as-of 2018-12-01T00:00:00Z")]
pub struct EvaluateMonthlyArgs {
    /// Line, where there are several
    #[arg(long)]
    line: Option<LineName>,
    /// Wait this long for another run on the line
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
    /// Rank and show, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Leave production as it is even where the gate lets the best through
    #[arg(long)]
    no_promote: bool,
}

impl Report for MonthlyReport {
    const SCHEMA: &'static str = "aifx.evaluate-monthly/1";

    fn write(&self, page: &mut Page) {
        let tone = if self.status == "completed" { Tone::Good } else { Tone::Strong };
        let ranked = self.versions.iter().filter(|ranked| ranked.rank.is_some()).count();
        page.toned(
            tone,
            match self.status {
                "completed" | "planned" if !self.versions.is_empty() => format!(
                    "{}: {}, {ranked} of {} live versions ranked",
                    self.line,
                    self.status,
                    self.versions.len()
                ),
                status => format!("{}: {status}", self.line),
            },
        );
        if let Some(reason) = &self.reason {
            page.field("why", reason);
        }
        if !self.versions.is_empty() {
            page.gap();
            let rows: Vec<Vec<String>> = self.versions.iter().map(row).collect();
            page.table(
                &[
                    "rank",
                    "version",
                    "status",
                    "best?",
                    "days",
                    "seen",
                    "samples",
                    "accuracy",
                    "log-loss saved (95 %)",
                    "Sharpe",
                    "return",
                    "score",
                ],
                &[0, 4, 5, 6, 7, 9, 10, 11],
                &rows,
            );
            for ranked in &self.versions {
                if let Some(why) = &ranked.why {
                    page.line(format!("  {}: {why}", ranked.version));
                }
            }
        }
        if let Some(given) = self.gate.verdict() {
            page.gap();
            verdict::write(page, given);
        }
        if let Some(found) = &self.degradation {
            page.field(
                "production",
                format!(
                    "saves {:+.4} nats a sample against the class prior, {:+.4} on its test days: {} (p {:.3})",
                    -found.now,
                    -found.then,
                    if found.is_degraded { "worse by more than chance" } else { "within chance" },
                    found.p
                ),
            );
        }
        if let Some(found) = &self.freshness {
            let often = match found.retrain_after_days {
                Some(days) => format!("replace a version after {days} days: {}", found.why),
                None => format!("no interval follows: {}", found.why),
            };
            page.field("freshness", often);
        }
        if !self.recommendation.is_empty() {
            page.field("recommended", &self.recommendation);
        }
        if !self.retired.is_empty() {
            let names: Vec<String> = self.retired.iter().map(ToString::to_string).collect();
            page.field("deleted", names.join(", "));
        }
        for file in &self.files {
            page.field("report", file.display().to_string());
        }
        let arrived: Vec<&str> =
            self.sent.iter().filter(|one| one.failed.is_none()).map(|one| one.channel).collect();
        if !arrived.is_empty() {
            page.field("sent to", arrived.join(", "));
        }
        if let Some(seconds) = self.seconds {
            page.field("took", format!("{seconds:.1} s"));
        }
    }
}

fn row(ranked: &Ranked) -> Vec<String> {
    let or = |text: Option<String>| text.unwrap_or_else(|| "n/a".to_owned());
    let trades = ranked.trades.as_ref();
    vec![
        ranked.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string()),
        ranked.version.to_string(),
        ranked.status.name().to_owned(),
        or(ranked.in_confidence_set.map(|in_set| {
            let word = if in_set { "may be" } else { "no" };
            format!("{word}, p {:.2}", ranked.p.unwrap_or_default())
        })),
        ranked.n_days.to_string(),
        ranked.n_days_seen.to_string(),
        ranked.n.to_string(),
        or(ranked.figures.as_ref().map(|figures| format!("{:.1} %", figures.accuracy * 100.0))),
        or(ranked
            .saved
            .map(|saved| format!("{:+.4} ({:+.4} to {:+.4})", saved.mean, saved.low, saved.high))),
        or(trades.and_then(|figures| figures.sharpe).map(|sharpe| format!("{sharpe:.2}"))),
        or(trades.and_then(|figures| figures.roi).map(|roi| format!("{:+.2} %", roi * 100.0))),
        or(ranked.score.map(|score| format!("{:.3}", score.total))),
    ]
}

pub(super) fn run(
    args: &EvaluateMonthlyArgs,
    setup: Setup<'_>,
    ui: &mut Ui,
) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    let request = Request {
        line: args.line.clone(),
        wait: Duration::from_secs(args.wait),
        dry_run: args.dry_run,
        no_promote: args.no_promote,
    };
    let report = {
        let mut watch = TerminalWatch::start(ui);
        monthly::run(&app, &request, &mut watch)?
    };
    for delivery in &report.sent {
        if let Some(why) = &delivery.failed {
            ui.warn(&format!("the report did not go to {}: {why}", delivery.channel));
        }
    }
    ui.show(&report)
}
