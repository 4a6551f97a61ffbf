//! `aifx rollback`: takes the last promotion back.

use std::time::Duration;

use serde::Serialize;

use super::Setup;
use crate::{
    fault::Exit,
    jobs::{
        clock,
        promote::{Probe, Promotion},
        rollback::{self, Request},
    },
    lineage::{LineName, Version},
    registry,
    ui::{Page, Report, Tone, Ui},
};

/// Go back to what the last promotion replaced
///
/// Verifies, loads and probes the version that it goes back to, and only that one: the present one may be corrupt or
/// gone. One transaction moves production, then the links follow. A second rollback goes one further back.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx rollback --reason 'answers hold since Tuesday'")]
pub struct RollbackArgs {
    /// Go back to this version instead; one that has never been in production wants a --reason
    #[arg(long, value_name = "VERSION")]
    to: Option<Version>,
    /// Line, where there are several
    #[arg(long)]
    line: Option<LineName>,
    /// Why, for the record
    #[arg(long)]
    reason: Option<String>,
    /// Say what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Wait this long for another run on the line
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

/// A rollback, made or planned.
#[derive(Serialize)]
struct RolledBack {
    #[serde(flatten)]
    promotion: Promotion,
    dry_run: bool,
}

impl Report for RolledBack {
    const SCHEMA: &'static str = "aifx.rollback/1";

    fn write(&self, page: &mut Page) {
        let Promotion { line, from, to, seconds, moved, .. } = &self.promotion;
        let from = from.map_or("none".into(), |from| from.to_string());
        match (moved, self.dry_run) {
            (true, _) => {
                page.toned(Tone::Good, format!("{line}: back to {to}"));
                page.field("taken back", from);
                page.field("took", format!("{seconds:.2} s"));
            }
            (false, true) => page.line(format!("{line}: would go back from {from} to {to}")),
            (false, false) => page.line(format!("{line}: {to} is production already")),
        }
    }
}

pub(super) fn run(
    args: &RollbackArgs,
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
        from: None,
        to: args.to,
        reason: args.reason.as_deref(),
        actor: &actor,
        wait: Duration::from_secs(args.wait),
        dry_run: args.dry_run,
        as_of: app.as_of,
    };
    if !args.dry_run {
        clock::check(&app, &mut app.db("rollback")?)?;
    }
    let promotion = rollback::run(&request, &|| app.db("rollback"), probe)?;
    for healed in &promotion.healed {
        ui.note(&format!("put right: {healed}"));
    }
    ui.show(&RolledBack { promotion, dry_run: args.dry_run })
}
