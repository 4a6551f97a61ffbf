//! `aifx`: parse, run, exit status.

use std::process::ExitCode;

fn main() -> ExitCode {
    aifx::commands::entry::run(aifx::config::no_color())
}
