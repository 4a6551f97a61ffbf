//! `aifx cron`: the crontab block that drives all this.

use std::path::PathBuf;

use clap::CommandFactory;
use serde::Serialize;

use super::{Cli, Setup};
use crate::{
    config::{self, Environment},
    fault::{Exit, Fault},
    jobs::cron::{
        self, CheckReport, InstallReport, Known, Plan, RemoveReport, ShowReport, crontab::Clock,
    },
    lineage::LineName,
    ui::{Page, Report, Tone, Ui},
};

/// Show, install, remove and check the crontab block of a home
///
/// The block stands between two marks of its own in the user's crontab; everything else there stays as it is. Two homes
/// may each have one. CRON_SETUP.md has the rest.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx cron install && aifx cron check")]
pub struct CronArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print the block as it would be installed
    #[command(after_help = "Example: aifx cron show")]
    Show {
        /// Look at the UTC hour every hour, even where the machine's clock is UTC
        #[arg(long)]
        guard: bool,
    },
    /// Write the wrappers to the home, and the block into the user's crontab
    #[command(after_help = "Example: aifx cron install --dry-run")]
    Install {
        /// Look at the UTC hour every hour, even where the machine's clock is UTC
        #[arg(long)]
        guard: bool,
        /// Leave the crontab alone, for systemd timers
        #[arg(long, conflicts_with = "guard")]
        wrappers_only: bool,
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Take the block out of the user's crontab
    #[command(after_help = "Example: aifx cron remove")]
    Remove {
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Say whether the block is there and current, and whether anything would run it
    #[command(after_help = "Example: aifx cron check --json")]
    Check,
}

/// What the command line says about a job.
fn known(job: &str) -> Option<Known> {
    let command = Cli::command();
    let command = command.find_subcommand(job)?;
    let takes = |name: &str| command.get_arguments().any(|arg| arg.get_long() == Some(name));
    Some(Known { line: takes("line"), wait: takes("wait") })
}

impl Report for ShowReport {
    const SCHEMA: &'static str = "aifx.cron-show/1";

    fn write(&self, page: &mut Page) {
        self.block.lines().for_each(|line| page.line(line));
    }
}

impl Report for InstallReport {
    const SCHEMA: &'static str = "aifx.cron-install/1";

    fn write(&self, page: &mut Page) {
        page.toned(
            Tone::Good,
            match (self.changed, self.dry_run) {
                (false, _) => "the crontab has the block already",
                (true, false) => "the block is in the crontab",
                (true, true) => "the block would be written; nothing was changed",
            },
        );
        page.field("jobs", self.jobs.join(", "));
        if !self.written.is_empty() {
            let name = if self.dry_run { "to write" } else { "wrote" };
            page.field(name, self.written.join(", "));
        }
        page.field("logs", self.home.join("logs").display().to_string());
        if self.dry_run {
            page.gap();
            self.block.lines().for_each(|line| page.line(line));
        }
    }
}

/// An installation that left the crontab alone.
#[derive(Debug, Serialize)]
struct WrappersReport(InstallReport);

impl Report for WrappersReport {
    const SCHEMA: &'static str = InstallReport::SCHEMA;

    fn write(&self, page: &mut Page) {
        let InstallReport { home, written, dry_run, .. } = &self.0;
        page.line(match (written.is_empty(), dry_run) {
            (true, _) => format!("{} has the wrappers already", home.display()),
            (false, true) => format!("would write {}", written.join(", ")),
            (false, false) => format!("wrote {}", written.join(", ")),
        });
    }
}

impl Report for RemoveReport {
    const SCHEMA: &'static str = "aifx.cron-remove/1";

    fn write(&self, page: &mut Page) {
        page.line(match (self.removed, self.dry_run) {
            (false, _) => "the crontab has no block of this home",
            (true, false) => "the block is out of the crontab; logs and wrappers stay",
            (true, true) => "the block would be taken out; nothing was changed",
        });
    }
}

impl Report for CheckReport {
    const SCHEMA: &'static str = "aifx.cron-check/1";

    fn write(&self, page: &mut Page) {
        super::doctor::write_checks(&self.checks, page);
    }

    fn exit(&self) -> Exit {
        if self.ok { Exit::Done } else { Exit::Config }
    }
}

pub(super) fn run(args: &CronArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let guard = match args.action {
        // A home whose configuration is broken, or that is gone, must still get rid of its block.
        Action::Remove { dry_run } => return ui.show(&cron::remove(&home(setup)?, dry_run)?),
        Action::Show { guard } | Action::Install { guard, .. } => guard,
        Action::Check => false,
    };
    let app = setup.app(ui)?;
    let aifx = std::env::current_exe().map_err(|error| {
        anyhow::Error::from(Fault::config(error)).context("cannot find out where aifx itself is")
    })?;
    let lines: Vec<LineName> = app.config.lines.keys().cloned().collect();
    let clock = if guard { Clock::Local } else { cron::machine_clock() };
    let plan = Plan { home: &app.home, aifx: &aifx, lines: &lines, known: &known, clock };
    match args.action {
        Action::Show { .. } => ui.show(&plan.show()?),
        Action::Install { wrappers_only: true, dry_run, .. } => {
            ui.show(&WrappersReport(plan.install_wrappers(dry_run)?))
        }
        Action::Install { dry_run, .. } => ui.show(&plan.install(dry_run)?),
        Action::Check | Action::Remove { .. } => ui.show(&plan.check()),
    }
}

fn home(setup: Setup<'_>) -> anyhow::Result<PathBuf> {
    let gone = setup.globals.home.as_ref().filter(|home| !home.exists());
    match gone {
        Some(home) => Ok(std::path::absolute(home).map_err(Fault::config)?),
        None => config::home(setup.globals.home.as_deref(), &Environment::of_process()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_tells_which_jobs_there_are() {
        let weekly = known("train-weekly").expect("there since the first release");
        assert!(weekly.line && weekly.wait);
        assert!(known("no-such-job").is_none());
    }

    #[test]
    fn jobs_that_train_take_the_wait_that_cron_and_systemd_give_them() {
        for job in cron::JOBS.iter().filter(|job| job.wait_s.is_some()) {
            let takes = known(job.name).is_none_or(|known| known.wait);
            assert!(
                takes,
                "{} has no --wait, which contrib/systemd/aifx@.service gives it",
                job.name
            );
        }
    }
}
