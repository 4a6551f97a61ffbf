//! Finds and layers flags, environment and `aifx.yaml` into an [`App`].
//!
//! Each section's type lives in the room that it configures. Besides `main`, the only room that reads the clock and
//! the environment. Not here: what a setting does.

use std::{collections::BTreeMap, path::PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    lineage::LineName,
    market::{Pair, Timeframe},
};

/// `aifx.yaml`, after defaults.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Config {
    /// The lines by name.
    #[serde(default)]
    pub lines: BTreeMap<LineName, LineConfig>,
}

/// One line: what it trades and how its models are made.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LineConfig {
    /// Pairs that share the model.
    pub pairs: Vec<Pair>,
    /// Timeframes that share the model.
    pub timeframes: Vec<Timeframe>,
}

/// Everything a job needs to know about this run, found once at the start.
#[derive(Debug, Clone)]
pub struct App {
    /// The home directory.
    pub home: PathBuf,
    /// The configuration.
    pub config: Config,
    /// The instant that this run takes for now; nothing after it is read.
    pub as_of: DateTime<Utc>,
    /// Whether `as_of` also filters on when a value became known.
    pub as_known: bool,
    /// Run again within the period; promote against the gate.
    pub force: bool,
}

/// Whether the environment asks for output without colour (<https://no-color.org>).
#[allow(clippy::disallowed_methods, reason = "config is the room that reads the environment")]
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}
