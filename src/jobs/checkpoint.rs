//! A training's last epoch on disk, so that a run that was killed goes on from there.
//!
//! One file a line: what was being trained (a JSON head) and the trainer's own bytes. Written whole, after each epoch;
//! removed when the version is published. Not here: what the bytes mean (`train`).

use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{artifact, config::App, lineage::LineName};

/// What a checkpoint is of. A later run goes on from it only when all of this is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Head {
    /// The period of the run.
    pub(crate) period: String,
    /// The instant that the run took for now: the run that goes on takes it too, or its data would differ.
    pub(crate) as_of: DateTime<Utc>,
    /// SHA-256 over the line's settings and the flags.
    pub(crate) settings_sha256: String,
}

/// Where the checkpoint of a line is.
#[derive(Debug, Clone)]
pub(crate) struct CheckpointFile {
    path: PathBuf,
}

impl CheckpointFile {
    /// The checkpoint of `line`.
    pub(crate) fn of(app: &App, line: &LineName) -> CheckpointFile {
        let name = format!("{line}.checkpoint");
        CheckpointFile { path: app.home.join("data").join("checkpoints").join(name) }
    }

    /// The checkpoint of a further network of the same run.
    pub(crate) fn of_extra(app: &App, line: &LineName, number: u32) -> CheckpointFile {
        let name = format!("{line}.{number}.checkpoint");
        CheckpointFile { path: app.home.join("data").join("checkpoints").join(name) }
    }

    /// Head and trainer's bytes, when there is a readable one. A torn or foreign file is no checkpoint: training
    /// starts from the beginning, which costs time and nothing else.
    pub(crate) fn read(&self) -> Option<(Head, Vec<u8>)> {
        let bytes = std::fs::read(&self.path).ok()?;
        let end = bytes.iter().position(|byte| *byte == b'\n')?;
        let head = serde_json::from_slice(&bytes[..end]).ok()?;
        Some((head, bytes[end + 1..].to_vec()))
    }

    /// Replaces the checkpoint.
    ///
    /// # Errors
    /// Exit 9 when the disk refuses.
    pub(crate) fn write(&self, head: &Head, bytes: &[u8]) -> anyhow::Result<()> {
        let mut all = serde_json::to_vec(head)?;
        all.push(b'\n');
        all.extend_from_slice(bytes);
        artifact::write_whole(&self.path, &all)
    }

    /// Removes the checkpoint, if there is one. One that stays is ignored by the next period.
    pub(crate) fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
