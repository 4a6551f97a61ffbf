//! `aifx doctor`: what is wrong, and what puts it right.

use super::Setup;
use crate::{
    fault::Exit,
    jobs::{
        doctor::{self, Check, Diagnosis, Health, Patient},
        label,
    },
    lineage::LineName,
    ui::{Page, Report, Tone, Ui},
};

/// Check environment, database, artifacts and links
///
/// Looks at everything that a run depends on: configuration, LibTorch, permissions, disk,
/// database, schema, clock, every file of every version, links, leftovers, the class balance of each line's label, its costs. Changes
/// nothing without --fix.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx doctor --fix")]
pub struct DoctorArgs {
    /// Put right what is safe to: register saved models, close dead runs, point links to where the database says
    #[arg(long)]
    fix: bool,
}

pub(super) fn run(args: &DoctorArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = match setup.app(ui) {
        Ok(app) => app,
        Err(error) => return ui.show(&doctor::unusable(&error)),
    };
    let models = app.models();
    let connect = || app.db_as_it_is("doctor");
    let labels = |line: &LineName| label::of_line(&app, line);
    let patient = Patient {
        publishes: app.bus().is_some(),
        home: &app.home,
        models: &models,
        lines: app.config.lines.keys().cloned().collect(),
        as_of: app.as_of,
        // With --as-of, now is not what the clock says.
        host_at: setup.globals.as_of.is_none().then_some(app.as_of),
        connect: &connect,
        labels: &labels,
    };
    let diagnosis = if args.fix { doctor::fix(&patient) } else { doctor::examine(&patient) };
    ui.show(&diagnosis)
}

impl Report for Diagnosis {
    const SCHEMA: &'static str = "aifx.doctor/1";

    fn write(&self, page: &mut Page) {
        write_checks(&self.checks, page);
    }

    fn exit(&self) -> Exit {
        Diagnosis::exit(self)
    }
}

/// A line for each check, and how many failed.
pub(super) fn write_checks(checks: &[Check], page: &mut Page) {
    for check in checks {
        let (tone, word) = match check.status {
            Health::Ok => (Tone::Good, "ok  "),
            Health::Warn => (Tone::Warn, "warn"),
            Health::Fail => (Tone::Bad, "FAIL"),
        };
        let word = page.paint(tone, word);
        page.line(format!("{word}  {:<14} {}", check.name, check.detail));
        if let Some(fix) = &check.fix {
            page.line(format!("      {:<14} fix: {fix}", ""));
        }
    }
    page.gap();
    let n_failed = checks.iter().filter(|check| check.status == Health::Fail).count();
    match n_failed {
        0 => page.toned(Tone::Good, "nothing is wrong"),
        1 => page.toned(Tone::Bad, "1 check failed"),
        n => page.toned(Tone::Bad, format!("{n} checks failed")),
    }
}
