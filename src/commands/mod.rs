//! What the user types: one file per subcommand, each with its arguments, its run, and how its report reads.
//!
//! [`Cli`] is the whole command line, [`Command`] the list. Not here: what the commands do (`jobs`).

mod backtest;
mod collect;
mod completions;
mod config;
mod cron;
mod db;
mod doctor;
pub mod entry;
mod evaluate_monthly;
mod events;
mod exit_codes;
mod export;
mod gate;
mod import;
mod init;
mod label;
mod models;
mod monitor;
mod outcomes;
mod predict;
mod promote;
mod report;
mod resume;
mod rollback;
mod simulate;
mod status;
mod train_daily;
mod train_weekly;
mod verdict;
mod watch;

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{
    config::{App, Environment, Flags},
    fault::Exit,
    jobs::{self, loading},
    ui::{Format, Ui, Verbosity},
};

/// Keeps foreign-exchange signal models alive
///
/// Reads candles and signals from PostgreSQL, labels them by what the market did next, trains and judges models, and
/// publishes them as versioned directories. Every command can be run again.
#[derive(Debug, Parser)]
#[command(name = "aifx", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Start with: aifx init && aifx simulate && aifx train-weekly\n\
                        Exit statuses: aifx exit-codes")]
pub struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines are written to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Flags that every command takes.
#[derive(Debug, Args)]
pub struct Globals {
    /// Home directory [default: the nearest folder upwards with aifx.yaml; env AIFX_HOME]
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Take this instant for now and read nothing after it, such as 2018-12-01T00:00:00Z
    #[arg(long, global = true, value_name = "INSTANT", value_parser = parse_instant)]
    pub as_of: Option<DateTime<Utc>>,
    /// With --as-of: also leave out what became known later (corrected candles)
    #[arg(long, global = true)]
    pub as_known: bool,
    /// Print one JSON document on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more on stderr
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say nothing on stderr but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// How log lines are written to stderr
    #[arg(long, global = true, value_enum, default_value = "text")]
    pub log_format: LogFormat,
    /// Run a scheduled job again within its period; write over what an earlier run wrote
    #[arg(long, global = true)]
    pub force: bool,
}

impl Globals {
    /// The writer that these flags ask for.
    pub fn ui(&self, no_color: bool) -> Ui {
        let format = if self.json { Format::Json } else { Format::Text };
        Ui::new(format, self.verbosity(), no_color)
    }

    /// How much is said on stderr.
    pub fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }
}

fn parse_instant(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|at| at.to_utc())
        .map_err(|error| format!("{error}; write an RFC 3339 instant like 2018-12-01T00:00:00Z"))
}

/// The list of commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a folder a home
    Init(init::InitArgs),
    /// Run a home's own PostgreSQL, and bring the schema up to date
    Db(db::DbArgs),
    /// Import candles from vendors' files
    Import(import::ImportArgs),
    /// Fill the database with a made-up market
    Simulate(simulate::SimulateArgs),
    /// Write candles, features and labels to CSV and Parquet
    Export(export::ExportArgs),
    /// Label candles by what the market did next, and show the class balance
    Label(label::LabelArgs),
    /// Train a new model from scratch, publish it, and promote it where the gate agrees
    TrainWeekly(train_weekly::TrainWeeklyArgs),
    /// Fine-tune the production model on the last day, and promote it where a rehearsal speaks for it
    TrainDaily(train_daily::TrainDailyArgs),
    /// Rank every live version on the last 30 days, each on the days that it has not seen
    EvaluateMonthly(evaluate_monthly::EvaluateMonthlyArgs),
    /// Judge a version anew, and show every rule
    Gate(gate::GateArgs),
    /// Make a version the production model of its line
    Promote(promote::PromoteArgs),
    /// Go back to what the last promotion replaced
    Rollback(rollback::RollbackArgs),
    /// Let a line bet again whose breaker has tripped
    Resume(resume::ResumeArgs),
    /// List, show, compare and verify versions
    Models(models::ModelsArgs),
    /// Fetch the newest closed candles from a quote provider
    Collect(collect::CollectArgs),
    /// Answer every closed candle that production has not answered yet
    Predict(predict::PredictArgs),
    /// Close open signals at stop-loss, take-profit or time-out
    Outcomes(outcomes::OutcomesArgs),
    /// Look whether production still fits the market, and raise an alert where it does not
    Monitor(monitor::MonitorArgs),
    /// Deliver and show what happened, for programs that want to know
    Events(events::EventsArgs),
    /// Trade the signals of a version or a baseline over any range
    Backtest(backtest::BacktestArgs),
    /// Show the production model, the last runs and the data
    Status(status::StatusArgs),
    /// Write one page that shows a line: what rings, results, drift, answers, jobs, data
    Report(report::ReportArgs),
    /// Run it all from cron: show, install, remove and check the crontab block
    Cron(cron::CronArgs),
    /// Check environment, database, artifacts and links
    Doctor(doctor::DoctorArgs),
    /// Show the configuration
    Config(config::ConfigArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print the exit statuses and what they mean
    #[command(long_about = exit_codes::LONG_ABOUT)]
    ExitCodes,
}

/// What a command gets besides its own arguments: the global flags (and, when it asks, the `App`).
#[derive(Debug, Clone, Copy)]
pub struct Setup<'a> {
    /// The global flags.
    pub globals: &'a Globals,
}

impl Setup<'_> {
    /// The configuration, found and checked; what an operator should know about it goes to stderr.
    ///
    /// # Errors
    /// See [`App::load`].
    pub fn app(&self, ui: &mut Ui) -> anyhow::Result<App> {
        self.app_at(self.globals.home.clone(), ui)
    }

    /// Publishes what waits, where there is a Redis: whatever becomes of that, the command has done what it did.
    fn deliver_events(&self, ui: &mut Ui) {
        // A home that cannot be read was the command's own error.
        if let Ok(app) = self.load(self.globals.home.clone())
            && let Some(problem) = jobs::events::after_a_command(&app)
        {
            ui.warn(&problem);
        }
    }

    fn load(&self, home: Option<PathBuf>) -> anyhow::Result<App> {
        let flags = Flags {
            home,
            as_of: self.globals.as_of,
            as_known: self.globals.as_known,
            force: self.globals.force,
        };
        App::load(&flags, Environment::of_process()?)
    }

    /// The same for a home that the command names itself.
    fn app_at(&self, home: Option<PathBuf>, ui: &mut Ui) -> anyhow::Result<App> {
        let app = self.load(home)?;
        for warning in &app.warnings {
            ui.warn(warning);
        }
        Ok(app)
    }
}

impl Command {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever stopped it.
    pub fn run(&self, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
        let exit = self.work(setup, ui);
        if self.may_write_events() {
            setup.deliver_events(ui);
        }
        exit
    }

    fn may_write_events(&self) -> bool {
        matches!(
            self,
            Command::Import(_)
                | Command::Simulate(_)
                | Command::TrainWeekly(_)
                | Command::TrainDaily(_)
                | Command::EvaluateMonthly(_)
                | Command::Promote(_)
                | Command::Rollback(_)
                | Command::Resume(_)
                | Command::Collect(_)
                | Command::Predict(_)
                | Command::Outcomes(_)
                | Command::Label(_)
                | Command::Monitor(_)
        )
    }

    fn work(&self, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
        match self {
            Command::Init(args) => init::run(args, setup, ui),
            Command::Db(args) => db::run(args, setup, ui),
            Command::Import(args) => import::run(args, setup, ui),
            Command::Simulate(args) => simulate::run(args, setup, ui),
            Command::Export(args) => export::run(args, setup, ui),
            Command::Label(args) => label::run(args, setup, ui),
            Command::TrainWeekly(args) => train_weekly::run(args, setup, ui),
            Command::TrainDaily(args) => train_daily::run(args, setup, ui),
            Command::EvaluateMonthly(args) => evaluate_monthly::run(args, setup, ui),
            Command::Gate(args) => gate::run(args, setup, ui),
            Command::Promote(args) => promote::run(args, setup, ui, &loading::probe),
            Command::Resume(args) => resume::run(args, setup, ui),
            Command::Rollback(args) => rollback::run(args, setup, ui, &loading::probe),
            Command::Models(args) => models::run(args, setup, ui),
            Command::Collect(args) => collect::run(args, setup, ui),
            Command::Predict(args) => predict::run(args, setup, ui),
            Command::Outcomes(args) => outcomes::run(args, setup, ui),
            Command::Monitor(args) => monitor::run(args, setup, ui),
            Command::Events(args) => events::run(args, setup, ui),
            Command::Backtest(args) => backtest::run(args, setup, ui),
            Command::Status(args) => status::run(args, setup, ui),
            Command::Report(args) => report::run(args, setup, ui),
            Command::Cron(args) => cron::run(args, setup, ui),
            Command::Doctor(args) => doctor::run(args, setup, ui),
            Command::Config(args) => config::run(args, setup, ui),
            Command::Completions(args) => completions::run(args, ui),
            Command::ExitCodes => exit_codes::run(ui),
        }
    }
}
