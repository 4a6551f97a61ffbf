//! `aifx db`: the private PostgreSQL of a home, and the schema.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::Setup;
use crate::{
    config::App,
    db::ServerStatus,
    fault::{Exit, Fault},
    ui::{Page, Report, Ui},
};

/// The private PostgreSQL of a home, and the schema
///
/// Without DATABASE_URL (or the PG* variables) a home has a PostgreSQL of its own under data/pg.
#[derive(Debug, Args)]
#[command(after_help = "Example: aifx db start && aifx db migrate")]
pub struct DbArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Clone, Copy, Subcommand)]
enum Action {
    /// Make the private server if there is none, and start it
    Start,
    /// Stop the private server
    Stop,
    /// Say whether the database answers, and where it is
    Status,
    /// Bring the schema up to date
    Migrate {
        /// Say what is missing, and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

#[derive(Debug, Serialize)]
struct StatusReport(ServerStatus);

impl Report for StatusReport {
    const SCHEMA: &'static str = "aifx.db-status/1";

    fn write(&self, page: &mut Page) {
        let ServerStatus { running, url, version, folder } = &self.0;
        page.line(match version {
            Some(version) if *running => format!("PostgreSQL {version} is running"),
            _ => "PostgreSQL is not running".to_owned(),
        });
        page.field("address", url);
        if !folder.as_os_str().is_empty() {
            page.field("files", folder.display().to_string());
        }
    }
}

#[derive(Debug, Serialize)]
struct MigrateReport {
    applied: Vec<String>,
    missing: u32,
    schema_version: u32,
}

impl Report for MigrateReport {
    const SCHEMA: &'static str = "aifx.db-migrate/1";

    fn write(&self, page: &mut Page) {
        match (self.missing, self.applied.len()) {
            (0, 0) => page.line(format!("the schema is up to date ({})", self.schema_version)),
            (0, _) => page.line(format!("applied {}", self.applied.join(", "))),
            (n, _) => page.line(format!("{n} migrations are missing; nothing was changed")),
        }
    }
}

pub(super) fn run(args: &DbArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    match args.action {
        Action::Start => {
            refuse_configured(&app, "start")?;
            app.private_server().start()?;
            ui.show(&StatusReport(app.private_server().status()))
        }
        Action::Stop => {
            refuse_configured(&app, "stop")?;
            app.private_server().stop()?;
            ui.show(&StatusReport(app.private_server().status()))
        }
        Action::Status => ui.show(&StatusReport(status(&app)?)),
        Action::Migrate { dry_run } => {
            let mut db = app.db_as_it_is("db")?;
            let applied = if dry_run { Vec::new() } else { db.migrate()? };
            let status = db.schema_status()?;
            ui.show(&MigrateReport {
                applied,
                missing: status.wanted.saturating_sub(status.found),
                schema_version: status.found,
            })
        }
    }
}

fn refuse_configured(app: &App, action: &str) -> anyhow::Result<()> {
    match app.configured_database()? {
        None => Ok(()),
        Some(source) => Err(anyhow::Error::from(
            Fault::config(format!("the database is {}, which is not aifx's own", source.shown()))
                .hint("unset DATABASE_URL and PGHOST to use a private server"),
        )
        .context(format!("cannot {action} the database"))),
    }
}

fn status(app: &App) -> anyhow::Result<ServerStatus> {
    let Some(source) = app.configured_database()? else { return Ok(app.private_server().status()) };
    let version = crate::db::Db::connect(&source, "db", std::time::Duration::ZERO)
        .and_then(|mut db| db.server_version())
        .ok();
    Ok(ServerStatus {
        running: version.is_some(),
        url: source.shown().to_owned(),
        version,
        folder: std::path::PathBuf::new(),
    })
}
