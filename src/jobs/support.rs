//! What a version says about windows that are unlike everything that it learned from: made with a weekly version, read with every
//! answer.
//!
//! Not here: the distance itself (`drift`), what an answer outside becomes (`signal`).

use super::replay::Actor;
use crate::{
    artifact,
    dataset::{Folds, Windows},
    drift::Support,
    fault::Fault,
    market::calendar,
};

/// Of a training part: the last row of each of its windows. `None` where it holds too few days.
pub(crate) fn learned(folds: &Folds, seed: u64) -> Option<Support> {
    let days = calendar::trading_days(&folds.train.decided_at_us());
    let rows = rows_of(&folds.windows, &folds.train.rows());
    Support::of(&rows, folds.windows.n_features, &days, seed)
}

/// Of a version; `None` where it was made before there was such a file, or of too few days.
///
/// # Errors
/// Exit 7 when the file cannot be read.
pub(crate) fn of_version(actor: &Actor) -> anyhow::Result<Option<Support>> {
    let Some(bytes) = actor.files.get(artifact::SUPPORT) else { return Ok(None) };
    let n_features = actor.predictor.spec().features.len();
    let support = Support::from_bytes(bytes, n_features).map_err(|error| {
        Fault::integrity(format!("{} of {}: {error}", artifact::SUPPORT, actor.version))
    })?;
    Ok(Some(support))
}

/// Dissimilarity of the windows that end at rows.
pub(crate) fn dissimilarity(support: &Support, windows: &Windows, rows: &[u32]) -> Vec<f64> {
    support.dissimilarity(&rows_of(windows, rows))
}

/// The last rows of windows, `[n, n_features]` row-major.
fn rows_of(windows: &Windows, rows: &[u32]) -> Vec<f32> {
    let width = windows.n_features;
    let row = |row: &u32| &windows.values[*row as usize * width..(*row as usize + 1) * width];
    rows.iter().flat_map(row).copied().collect()
}
