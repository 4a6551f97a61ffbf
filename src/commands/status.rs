//! `aifx status`: one screen.

use super::Setup;
use crate::{
    fault::Exit,
    jobs::status::{self, MemberStatus, StatusReport},
    ui::{Page, Report, Tone, Ui},
};

/// Show the production model and its age, the last runs, and how fresh the data is
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx status --json")]
pub struct StatusArgs {}

fn age(hours: f64) -> String {
    if hours.abs() < 48.0 { format!("{hours:.0} h") } else { format!("{:.0} d", hours / 24.0) }
}

impl Report for StatusReport {
    const SCHEMA: &'static str = "aifx.status/1";

    fn write(&self, page: &mut Page) {
        for line in &self.lines {
            match (line.production, line.age_hours) {
                (Some(version), Some(hours)) => page.toned(
                    Tone::Good,
                    format!(
                        "{}: {version} is production, its data ended {} ago",
                        line.line,
                        age(hours)
                    ),
                ),
                (Some(version), None) => {
                    page.toned(Tone::Good, format!("{}: {version} is production", line.line))
                }
                (None, _) => {
                    page.toned(Tone::Warn, format!("{}: no production version", line.line))
                }
            }
            if let (Some(version), false) = (line.production, line.differs.is_empty()) {
                let keys = line.differs.join(", ");
                let text = format!(
                    "the configuration asks for another {keys} than {version} has: the next train-weekly is a change"
                );
                page.toned(Tone::Warn, format!("  {text}"));
            }
            if !line.members.is_empty() {
                let member = |one: &MemberStatus| {
                    let loss = one.log_loss.map_or(String::new(), |loss| format!(" ({loss:.4})"));
                    format!("{} {:.0} %{loss}", one.member, one.weight * 100.0)
                };
                let members: Vec<String> = line.members.iter().map(member).collect();
                page.field("members", members.join(", "));
            }
            if let Some(why) = &line.no_bets {
                page.toned(Tone::Warn, format!("  {why}"));
            }
            if !line.staging.is_empty() {
                let names: Vec<String> = line.staging.iter().map(ToString::to_string).collect();
                page.field("staging", names.join(", "));
            }
            if let Some(rule) = &line.label.production_rule {
                let next = &line.label.rule;
                let text = format!("{rule} is answered, {next} is learned next");
                page.field("label", page.paint(Tone::Warn, &text));
            }
            if let Some(balance) = &line.label.balance {
                page.field("labels", balance.to_string());
            }
            for note in &line.label.notes {
                page.toned(Tone::Warn, format!("  {note}"));
            }
            if let Some(look) = &line.last_look {
                let said = match look.verdict.as_str() {
                    "none" => "nothing rang",
                    other => other,
                };
                page.field("monitor", format!("{said}, {}", look.as_of.format("%F %H:%MZ")));
            }
            for watched in &line.probation {
                page.field("probation", watched.to_string());
            }
            for run in &line.runs {
                let what = run.version.map(|version| format!(" {version}")).unwrap_or_default();
                let why = run.why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                let at = run.as_of.format("%F %H:%MZ");
                page.field(&run.job, format!("{}{what}, {at}{why}", run.status.name()));
            }
            for overdue in &line.overdue {
                page.toned(Tone::Warn, format!("  {overdue}: run aifx {}", overdue.job));
            }
            for repair in &line.healed {
                let at = repair.at.format("%F %H:%MZ");
                page.field("put right", format!("{at}: {}", repair.what));
            }
        }
        page.gap();
        let rows: Vec<Vec<String>> = self
            .data
            .iter()
            .map(|series| {
                vec![
                    series.pair.clone(),
                    series.timeframe.clone(),
                    series.n_candles.to_string(),
                    series.first.format("%F %H:%M").to_string(),
                    series.last.format("%F %H:%M").to_string(),
                    age(series.age_hours),
                ]
            })
            .collect();
        if rows.is_empty() {
            page.line("no candles yet: aifx import FILE, or aifx simulate");
        } else {
            page.table(&["pair", "timeframe", "candles", "first", "last", "age"], &[2, 5], &rows);
        }
        for quality in self.quality.iter().filter(|quality| quality.verdict != "fresh") {
            let why = quality.reason.as_deref().unwrap_or_default();
            page.toned(
                Tone::Warn,
                format!("{} {}: {}, {why}", quality.pair, quality.timeframe, quality.verdict),
            );
        }
        if self.open_alerts > 0 {
            page.gap();
            page.toned(Tone::Warn, format!("{} open alerts", self.open_alerts));
            for alert in &self.ringing {
                let since = alert.since.map(|at| format!(", since {}", at.format("%F %H:%MZ")));
                let text = format!("{}{}", alert.message, since.unwrap_or_default());
                page.field(&alert.cause, page.paint(Tone::Warn, &text));
            }
        }
    }
}

pub(super) fn run(_args: &StatusArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    ui.show(&status::run(&app)?)
}
