//! `aifx-model`: the same commands with LibTorch linked in. Users type `aifx`; it executes this where needed.

use std::process::ExitCode;

use aifx::commands::{
    Model,
    entry::{self, Models},
};

fn main() -> ExitCode {
    entry::run(Models::Here(Model::run), aifx::config::no_color())
}
