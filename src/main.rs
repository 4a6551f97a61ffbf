//! `aifx`: parse, run, exit status. Commands that touch a model are handed to `aifx-model`, which links LibTorch, so
//! that `status` or `import` do not pay for loading it (0.2 s and 100 MiB).

use std::process::ExitCode;

use aifx::commands::entry::{self, Models};

fn main() -> ExitCode {
    entry::run(Models::Elsewhere("aifx-model"), aifx::config::no_color())
}
