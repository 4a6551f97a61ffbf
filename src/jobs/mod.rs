//! One use case per file: gather, decide, commit. No clap, no terminal.
