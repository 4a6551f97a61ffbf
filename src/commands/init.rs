//! `aifx init`: makes a folder a home.

use std::path::PathBuf;

use super::Setup;
use crate::{
    fault::{Exit, Fault},
    jobs::init::{self, InitReport},
    ui::{Page, Report, Tone, Ui},
};

/// Make a folder a home
///
/// Writes a commented aifx.yaml, .env.example and the folders, and brings the database's schema up to date; without
/// DATABASE_URL it makes and starts a PostgreSQL of the home's own. What stands is kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx init /srv/fx")]
pub struct InitArgs {
    /// The folder [default: --home, AIFX_HOME, or the current one]
    dir: Option<PathBuf>,
    /// Leave the database alone
    #[arg(long)]
    no_database: bool,
    /// Say what would be made, and make nothing
    #[arg(long)]
    dry_run: bool,
}

impl Report for InitReport {
    const SCHEMA: &'static str = "aifx.init/1";

    fn write(&self, page: &mut Page) {
        page.toned(Tone::Good, format!("{} is a home", self.home.display()));
        if !self.created.is_empty() {
            page.field("made", self.created.join(", "));
        }
        if !self.kept.is_empty() {
            page.field("kept", self.kept.join(", "));
        }
        if self.database {
            let schema =
                if self.applied.is_empty() { "up to date".into() } else { self.applied.join(", ") };
            page.field("schema", schema);
        }
    }
}

pub(super) fn run(args: &InitArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let given = args
        .dir
        .clone()
        .or_else(|| setup.globals.home.clone())
        .or_else(crate::config::home_variable);
    let here = || {
        std::env::current_dir()
            .map_err(|error| Fault::config(format!("there is no current folder: {error}")))
    };
    let home = match given {
        Some(home) => std::path::absolute(&home).map_err(Fault::config)?,
        None => here()?,
    };
    let mut report = init::files(&home, args.dry_run)?;
    if !args.dry_run && !args.no_database {
        let app = setup.app_at(Some(home), ui)?;
        if app.configured_database()?.is_none() {
            app.private_server().start()?;
        }
        report.applied = app.db_as_it_is("init")?.migrate()?;
        report.database = true;
    }
    ui.show(&report)
}
