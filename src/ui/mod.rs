//! The one writer: every result, warning and progress bar goes through a [`Ui`].
//!
//! Results go to stdout, all else to stderr. A closed pipe ends quietly, a full disk is exit 9.
//! Not here: what a report says (its command file does that).

mod page;

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::fault::{self, Exit, Fault};

pub use page::{Page, Tone};

/// How results are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document for machines.
    Json,
}

/// How much is said on stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Errors only.
    Quiet,
    /// Warnings and notes.
    Normal,
    /// Details too.
    Verbose,
}

/// What a command has to say: a plain struct that serde writes as `SCHEMA` and its command file as text.
pub trait Report: Serialize {
    /// Name and version of the JSON contract, such as `aifx.import/1`.
    const SCHEMA: &'static str;

    /// The report for people.
    fn write(&self, page: &mut Page);

    /// The exit status that goes with it; most are [`Exit::Done`].
    fn exit(&self) -> Exit {
        Exit::Done
    }
}

/// The writer.
#[derive(Debug)]
pub struct Ui {
    format: Format,
    verbosity: Verbosity,
    colour: bool,
    progress: bool,
    shown: bool,
}

impl Ui {
    /// A writer for this process. Colour is for terminals without `NO_COLOR`; bars are for terminals.
    pub fn new(format: Format, verbosity: Verbosity, no_color: bool) -> Self {
        let colour = io::stdout().is_terminal() && !no_color;
        let progress = io::stderr().is_terminal() && verbosity >= Verbosity::Normal;
        Ui { format, verbosity, colour, progress, shown: false }
    }

    /// Whether results are JSON.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether progress bars are drawn; where not, long work logs a line now and then.
    pub fn draws_progress(&self) -> bool {
        self.progress
    }

    /// How much is said on stderr.
    pub fn verbosity(&self) -> Verbosity {
        self.verbosity
    }

    /// Writes a report to stdout and returns its exit status.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub fn show<R: Report>(&mut self, report: &R) -> anyhow::Result<Exit> {
        let text = match self.format {
            Format::Json => {
                let mut document = serde_json::Map::new();
                document.insert("schema".into(), R::SCHEMA.into());
                match serde_json::to_value(report)? {
                    serde_json::Value::Object(fields) => document.extend(fields),
                    other => {
                        document.insert("value".into(), other);
                    }
                }
                format!("{}\n", serde_json::Value::Object(document))
            }
            Format::Text => {
                let mut page = Page::new(self.colour);
                report.write(&mut page);
                page.into_text()
            }
        };
        self.raw(text.as_bytes())?;
        Ok(report.exit())
    }

    /// Writes bytes to stdout as they are (completions, a crontab block).
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub fn raw(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        self.shown = true;
        let mut out = io::stdout().lock();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| output_fault(&error))
    }

    /// Says on stderr that something is not as it should be, though the work goes on.
    pub fn warn(&mut self, message: &str) {
        if self.verbosity >= Verbosity::Normal {
            tracing::warn!("{message}");
        }
    }

    /// Says on stderr what is going on.
    pub fn note(&mut self, message: &str) {
        if self.verbosity >= Verbosity::Normal {
            tracing::info!("{message}");
        }
    }

    /// Reports a failure: text on stderr, with `--json` also a document on stdout; returns the exit status.
    pub fn fail(&mut self, error: &anyhow::Error) -> Exit {
        let fault = fault::find(error);
        let exit = fault.map_or_else(|| exit_of_io(error), Fault::exit);
        if error.chain().any(|cause| cause.downcast_ref::<ClosedPipe>().is_some()) {
            return Exit::Done;
        }
        let hint = fault.and_then(Fault::hint_text);
        let mut text = format!("error: {}\n", printable(&format!("{error:#}")));
        if let Some(hint) = hint {
            text.push_str(&format!("  hint: {}\n", printable(hint)));
        }
        // When stderr is gone too, the exit status is all that is left to say it with.
        let _ = io::stderr().lock().write_all(text.as_bytes());
        if self.format == Format::Json && !self.shown {
            let what = error.to_string();
            let why = error.chain().skip(1).map(ToString::to_string).collect::<Vec<_>>().join(": ");
            let why = if why.is_empty() { what.clone() } else { why };
            let document = serde_json::json!({
                "schema": "aifx.error/1",
                "error": {"what": what, "why": why, "hint": hint, "exit": exit.code()},
            });
            let _ = self.raw(format!("{document}\n").as_bytes());
        }
        exit
    }
}

/// Marks an error as a reader that went away: not a failure.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the reader of the output closed it")]
pub struct ClosedPipe;

fn output_fault(error: &io::Error) -> anyhow::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => ClosedPipe.into(),
        _ => {
            anyhow::Error::from(Fault::resource(error)).context("cannot write the result to stdout")
        }
    }
}

/// An error that no layer gave an exit status: disk trouble is 9, anything else is a bug to be reported.
fn exit_of_io(error: &anyhow::Error) -> Exit {
    match error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()) {
        Some(_) => Exit::Resource,
        None => Exit::Bug,
    }
}

/// Hostile text from files and databases must not drive the terminal: control characters become visible.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let escape = c.is_control() && c != '\n' && c != '\t';
            let (plain, escaped) =
                if escape { (None, Some(c.escape_default())) } else { (Some(c), None) };
            plain.into_iter().chain(escaped.into_iter().flatten())
        })
        .collect()
}

/// [`printable`] for a line that may hold our own colours.
fn printable_line(text: &str, colour: bool) -> String {
    if colour { text.to_owned() } else { printable(text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_become_visible() {
        assert_eq!(printable("a\u{1b}[31mb\r\nc"), "a\\u{1b}[31mb\\r\nc");
    }
}
