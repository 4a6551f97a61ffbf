//! One use case per file: gather, decide, commit. No clap, no terminal.

pub mod doctor;
pub mod models;
pub mod promote;
