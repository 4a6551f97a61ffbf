//! `aifx promote`: makes a version the one that answers.

use std::time::Duration;

use serde::Serialize;

use super::Setup;
use crate::{
    fault::Exit,
    jobs::{
        clock, judge,
        promote::{self, Probe, Promotion, Request},
    },
    lineage::{LineName, Version},
    registry,
    ui::{Page, Report, Tone, Ui},
};

/// Make VERSION the production model of its line
///
/// Checks every checksum, loads the model and compares what it answers with what it answered when it was made, then
/// moves production in one transaction and swaps the links. A version that is in production already is left alone.
/// The gate must have let it through against what is in production now; a verdict against another production is asked for anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx promote v1.4 --reason 'better than v1.3 since May'")]
pub struct PromoteArgs {
    /// Version, such as v1.4 or v1.4-daily-20251021
    version: Version,
    /// Line, where there are several
    #[arg(long)]
    line: Option<LineName>,
    /// Why, for the record
    #[arg(long)]
    reason: Option<String>,
    /// Check everything and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Wait this long for another run on the line
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

impl Report for Promotion {
    const SCHEMA: &'static str = "aifx.promote/1";

    fn write(&self, page: &mut Page) {
        let Promotion { line, from, to, seconds, .. } = self;
        if !self.moved {
            page.line(format!("{line}: {to} is production already; its files are as published"));
            return;
        }
        let before = from.map_or("none".into(), |from| from.to_string());
        page.toned(Tone::Good, format!("{line}: {to} is production now"));
        page.field("before", before);
        page.field("took", format!("{seconds:.2} s"));
    }
}

/// What a promotion would do.
#[derive(Serialize)]
struct Planned {
    #[serde(flatten)]
    promotion: Promotion,
    dry_run: bool,
}

impl Report for Planned {
    const SCHEMA: &'static str = Promotion::SCHEMA;

    fn write(&self, page: &mut Page) {
        let Promotion { line, from, to, .. } = &self.promotion;
        match from {
            Some(from) if from == to => page.line(format!("{line}: {to} is production already")),
            Some(from) => page.line(format!("{line}: would move production from {from} to {to}")),
            None => page.line(format!("{line}: would make {to} the first production version")),
        }
        page.line("every checksum holds and the probe's answers are those of its making");
    }
}

pub(super) fn run(
    args: &PromoteArgs,
    setup: Setup<'_>,
    ui: &mut Ui,
    probe: Probe<'_>,
) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    let (line, _) = app.line(args.line.as_ref())?;
    let models = app.models();
    let actor = registry::actor();
    let request = Request {
        models: &models,
        line,
        version: args.version,
        reason: args.reason.as_deref(),
        actor: &actor,
        wait: Duration::from_secs(args.wait),
        force: app.force,
        as_of: app.as_of,
        judge: Some(&|locked| Ok(judge::anew(&app, line, args.version, locked)?.0)),
    };
    let connect = || app.db("promote");
    if args.dry_run {
        let promotion = promote::plan(&request, &connect, probe)?;
        return ui.show(&Planned { promotion, dry_run: true });
    }
    clock::check(&app, &mut app.db("promote")?)?;
    let promotion = promote::run(&request, &connect, probe)?;
    for healed in &promotion.healed {
        ui.note(&format!("put right: {healed}"));
    }
    ui.show(&promotion)
}
