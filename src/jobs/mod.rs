//! One use case per file: gather, decide, commit. No clap, no terminal.
//!
//! A long job tells its caller what it does through a [`Watch`]; what it found it returns as a plain report.
//! Not here: how a report reads (`commands`), and anything that could be a function of values alone (CORE).

mod alerts;
pub mod assess;
pub mod backtest;
pub mod bets;
mod checkpoint;
pub mod clock;
pub mod collect;
pub mod cron;
pub mod daily;
pub mod doctor;
pub mod events;
pub mod export;
pub mod fills;
pub mod import;
pub mod init;
mod joining;
pub mod judge;
mod kept;
pub mod label;
pub mod loading;
mod looks;
mod material;
pub mod metrics;
mod mixture;
pub mod models;
pub mod monitor;
pub mod monthly;
pub mod outcomes;
pub mod overdue;
pub mod predict;
pub mod probation;
pub mod promote;
pub mod prune;
mod replay;
pub mod rollback;
mod scheduled;
pub mod simulate;
pub mod status;
mod support;
pub mod watch_report;
pub mod weekly;

/// What a long job tells its caller while it works.
pub trait Watch {
    /// Something worth knowing.
    fn note(&mut self, text: &str);

    /// Something that is not as it should be, though the work goes on.
    fn warn(&mut self, text: &str);

    /// Step `done` of `total` of the current epoch.
    fn step(&mut self, done: u64, total: u64);

    /// An epoch ended; `line` says how.
    fn epoch(&mut self, done: u64, total: u64, line: &str);

    /// Whether the process was asked to stop.
    fn stopped(&self) -> Option<Stop>;
}

/// Which signal asked the process to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT.
    Interrupt,
    /// SIGTERM.
    Terminate,
}
