//! `aifx monitor`: whether somebody should look at a line.

use super::{Setup, watch::TerminalWatch};
use crate::{
    fault::Exit,
    jobs::{
        metrics,
        monitor::{self, LineWatch, MonitorReport, Request},
    },
    lineage::LineName,
    ui::{Page, Report, Tone, Ui},
};

/// Look whether production still fits the market, and raise an alert where it does not
///
/// Accuracy against that of its test days, features against what it learned from (judged by windows of the reference itself),
/// answers that are all alike, a model, data or jobs that are late, disk space. An alert is sent once for each cause and hour,
/// and once more when it is over. A job that was missed is caught up, a model that has gone stale is trained anew, at most once
/// in triggers.cooldown_hours (triggers.action: ask only says so); a version that turned out to be worse than what it replaced
/// goes back by itself (probation).
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx monitor --explain --dry-run")]
pub struct MonitorArgs {
    /// Only this line
    #[arg(long)]
    line: Option<LineName>,
    /// Say of every alarm why it rang or did not
    #[arg(long)]
    explain: bool,
    /// Look, and change nothing
    #[arg(long)]
    dry_run: bool,
}

/// The report as it was asked for.
#[derive(serde::Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: &'a MonitorReport,
    #[serde(skip)]
    explain: bool,
}

impl Report for Shown<'_> {
    const SCHEMA: &'static str = "aifx.monitor/1";

    fn write(&self, page: &mut Page) {
        for line in &self.report.lines {
            self.write_line(line, page);
        }
    }
}

impl Shown<'_> {
    fn write_line(&self, line: &LineWatch, page: &mut Page) {
        let ringing = line.alarms.iter().filter(|alarm| alarm.rings).count();
        let who = line
            .version
            .map_or_else(|| "no production version".to_owned(), |version| version.to_string());
        let (tone, what) = match ringing {
            0 => (Tone::Good, "nothing rings".to_owned()),
            1 => (Tone::Warn, "1 alarm rings".to_owned()),
            n => (Tone::Warn, format!("{n} alarms ring")),
        };
        page.toned(tone, format!("{}: {who}, {what}", line.line));
        for alarm in &line.alarms {
            if alarm.rings {
                page.field(alarm.name, page.paint(Tone::Warn, &alarm.text));
            } else if self.explain {
                page.field(alarm.name, &alarm.text);
            }
        }
        for outlook in line.outlook.iter().filter(|one| self.explain || one.pending.is_some()) {
            page.field("outlook", &outlook.text);
        }
        if let Some(domain) = line.domain.as_ref().filter(|_| self.explain) {
            page.field(
                "domain",
                format!(
                    "a logistic model tells the last {} rows from the reference with an area under the curve of {:.2}, {:.2} is usual \
                     (p {:.3} by {} blocks of days of the reference); it is shown and rings nothing",
                    domain.n_rows, domain.auc, domain.usual, domain.p, domain.n_blocks
                ),
            );
        }
        for trigger in &line.triggers {
            let ended = match (&trigger.ended, &trigger.held) {
                (Some(ended), _) => ended.clone(),
                (None, Some(held)) => format!("wanted, not started: {held}"),
                (None, None) => "would start".to_owned(),
            };
            page.field(trigger.job, format!("{ended}, for {}", trigger.reason));
        }
    }
}

pub(super) fn run(args: &MonitorArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    let request = Request { line: args.line.clone(), explain: args.explain, dry_run: args.dry_run };
    let looked = {
        let mut watch = TerminalWatch::start(ui);
        monitor::run(&app, &request, &mut watch)
    };
    // A monitor that failed is what a dashboard should see, too.
    if !args.dry_run
        && let Some(problem) = metrics::after_the_monitor(&app)
    {
        ui.warn(&problem);
    }
    let report = looked?;
    for note in &report.notes {
        ui.warn(note);
    }
    ui.show(&Shown { report: &report, explain: args.explain })
}
