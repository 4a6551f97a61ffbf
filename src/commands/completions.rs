//! `aifx completions`: a completion script for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::Cli;
use crate::{fault::Exit, ui::Ui};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: aifx completions bash > ~/.local/share/bash-completion/completions/aifx"
)]
pub struct CompletionsArgs {
    /// Which shell
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, ui: &mut Ui) -> anyhow::Result<Exit> {
    // clap_complete panics when its writer fails; into memory it cannot.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "aifx", &mut script);
    ui.raw(&script)?;
    Ok(Exit::Done)
}
