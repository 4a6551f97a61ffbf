//! The one integration test binary: each further one would link LibTorch again.

#![allow(dead_code, reason = "the support serves tests that come and go")]
#![allow(clippy::print_stderr, reason = "a skipped test says so")]

mod ages;
mod bets;
mod changes;
mod cli;
mod config;
mod connections;
mod cron;
mod days;
mod events;
mod faults;
mod house;
mod import;
mod labels;
mod mixture;
mod model_files;
mod nights;
mod promotions;
mod registry;
mod report;
mod spine;
mod support;
mod unlike;
mod views;
mod watch;
