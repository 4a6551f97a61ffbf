//! `aifx predict`: production answers every closed candle that waits.

use super::Setup;
use crate::{
    fault::Exit,
    jobs::predict::{self, PredictReport, Request},
    lineage::LineName,
    ui::{Page, Report, Tone, Ui},
};

/// Answer every closed candle that production has not answered yet
///
/// Each candle is answered once; a start after an outage catches up as far as signals.catch_up_hours. A candle whose
/// window is not complete, or wilder than anything in training, is abstained from, with the reason; one that is
/// unlike the training data otherwise is marked, and answered with hold where signals.out_of_support says so. Where
/// production cannot be loaded, the version before it answers and an alert is raised.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx predict --json")]
pub struct PredictArgs {
    /// Line, where there are several
    #[arg(long)]
    line: Option<LineName>,
    /// Answer and show, and change nothing
    #[arg(long)]
    dry_run: bool,
}

impl Report for PredictReport {
    const SCHEMA: &'static str = "aifx.predict/1";

    fn write(&self, page: &mut Page) {
        let tone = if self.status == "answered" { Tone::Good } else { Tone::Strong };
        let what = match self.version {
            Some(version) => {
                format!("{}: {version} {}, {} new signals", self.line, self.status, self.n_new)
            }
            None => format!("{}: {}", self.line, self.status),
        };
        page.toned(tone, what);
        if let Some(reason) = &self.reason {
            page.field("why", reason);
        }
        if !self.answers.is_empty() {
            let price =
                |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.5}"));
            let rows: Vec<Vec<String>> = self
                .answers
                .iter()
                .map(|answer| {
                    vec![
                        answer.candle.format("%F %H:%MZ").to_string(),
                        answer.pair.to_string(),
                        answer.timeframe.to_string(),
                        answer.signal.to_owned(),
                        answer.confidence.map_or("-".into(), |p| format!("{:.1} %", p * 100.0)),
                        price(Some(answer.entry)),
                        price(answer.stop_loss),
                        price(answer.take_profit),
                        answer
                            .expected_return_net
                            .map_or("-".into(), |net| format!("{:+.2} bp", net * 1e4)),
                        format!("{:.0} %", answer.size * 100.0),
                        answer
                            .reason
                            .as_ref()
                            .or(answer.no_size.as_ref())
                            .or(answer.out_of_support.as_ref())
                            .cloned()
                            .unwrap_or_default(),
                    ]
                })
                .collect();
            page.gap();
            page.table(
                &[
                    "candle",
                    "pair",
                    "timeframe",
                    "signal",
                    "confidence",
                    "entry",
                    "stop",
                    "target",
                    "expected",
                    "size",
                    "why",
                ],
                &[4, 5, 6, 7, 8, 9],
                &rows,
            );
        }
    }
}

pub(super) fn run(args: &PredictArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    let report = predict::run(&app, &Request { line: args.line.clone(), dry_run: args.dry_run })?;
    for note in &report.notes {
        ui.warn(note);
    }
    ui.show(&report)
}
