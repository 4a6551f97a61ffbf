//! What the binary does: parse, set up logging, run, turn an error into text and an exit status.

use std::{ffi::OsString, process::ExitCode};

use clap::Parser;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{
    fmt::{FmtContext, FormatEvent, FormatFields, format::Writer},
    registry::LookupSpan,
};

use super::{Cli, LogFormat, Setup};
use crate::{
    fault::Exit,
    ui::{Format, Ui, Verbosity},
};

/// Runs the command line of this process.
pub fn run(no_color: bool) -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&args) {
        Ok(cli) => cli,
        Err(error) => return ExitCode::from(refuse(&error, &args).code()),
    };
    start_logging(&cli);
    keep_from_others();
    ignore_file_size_signal();
    let mut ui = cli.globals.ui(no_color);
    let setup = Setup { globals: &cli.globals };
    let result = cli.command.run(setup, &mut ui);
    let exit = result.unwrap_or_else(|error| ui.fail(&error));
    ExitCode::from(exit.code())
}

/// Files are made for their owner and group, whatever umask the caller (cron's is often 022) has.
fn keep_from_others() {
    use rustix::{fs::Mode, process::umask};
    let others = Mode::from_raw_mode(0o027);
    let before = umask(others);
    umask(before | others);
}

/// A full disk quota must be an error (exit 9), not a signal that kills the process in mid-write.
fn ignore_file_size_signal() {
    let flag = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    // A handler that only sets a flag makes the write fail with EFBIG; when even that cannot be set, nothing is lost.
    let _ = signal_hook::flag::register(libc::SIGXFSZ, flag);
}

/// clap's own words for a wrong command line; help and version are no errors.
fn refuse(error: &clap::Error, args: &[OsString]) -> Exit {
    if !error.use_stderr() {
        // Help into a closed pipe (`aifx --help | head -1`) ends quietly.
        let _ = error.print();
        return Exit::Done;
    }
    if args.iter().any(|arg| arg == "--json") {
        let text = error.render().to_string();
        let mut lines = text.trim().lines();
        let why = lines.next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        let hint =
            lines.map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
        let document = serde_json::json!({
            "schema": "aifx.error/1",
            "error": {"what": "cannot read the command line", "why": why, "hint": hint, "exit": Exit::Usage.code()},
        });
        let _ =
            Ui::new(Format::Json, Verbosity::Quiet, true).raw(format!("{document}\n").as_bytes());
    }
    let _ = error.print();
    Exit::Usage
}

fn start_logging(cli: &Cli) {
    let level = match cli.globals.verbosity() {
        Verbosity::Quiet => Level::ERROR,
        Verbosity::Normal => Level::INFO,
        Verbosity::Verbose => Level::DEBUG,
    };
    // Only our own rooms: a library's debug output is not what `-v` asks for.
    let filter = tracing_subscriber::filter::Targets::new()
        .with_target("aifx", level)
        .with_default(Level::ERROR);
    use tracing_subscriber::prelude::*;
    let registry = tracing_subscriber::registry().with(filter);
    let set = match cli.globals.log_format {
        LogFormat::Json => registry
            .with(tracing_subscriber::fmt::layer().json().with_writer(std::io::stderr))
            .try_init(),
        LogFormat::Text => registry
            .with(
                tracing_subscriber::fmt::layer().event_format(Plainly).with_writer(std::io::stderr),
            )
            .try_init(),
    };
    // A second subscriber in one process (tests) is not worth an error.
    drop(set);
}

/// Log lines for people: `warning: …` without time or module; cron's log files have both.
struct Plainly;

impl<S, N> FormatEvent<S, N> for Plainly
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> std::fmt::Result {
        let word = match *event.metadata().level() {
            Level::ERROR => "error: ",
            Level::WARN => "warning: ",
            _ => "",
        };
        writer.write_str(word)?;
        context.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
