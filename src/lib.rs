//! aifx keeps foreign-exchange signal models alive: the rooms of the house, in reading order.
//!
//! Arrows point down only: COMMANDS → JOBS → EDGES and LEARNING → CORE → WORDS. See ARCHITECTURE.md.

// WORDS: what everybody talks in.
pub mod fault;
pub mod lineage;
pub mod market;
pub mod memory;
pub mod stats;

// CORE: values in, values out.
pub mod backtest;
pub mod baseline;
pub mod dataset;
pub mod drift;
pub mod ensemble;
pub mod evaluate;
pub mod features;
pub mod gate;
pub mod labels;
pub mod outcome;
pub mod rank;
pub mod signal;
pub mod simulate;

// LEARNING: the only rooms that name `tch`.
pub mod inference;
pub mod libtorch;
pub mod nn;
pub mod train;

// EDGES: the outside world.
pub mod artifact;
pub mod db;
pub mod feeds;
pub mod notify;
pub mod quotes;
pub mod registry;
pub mod report;

// JOBS: one use case per file.
pub mod config;
pub mod jobs;

// COMMANDS: what the user types.
pub mod commands;
pub mod ui;
