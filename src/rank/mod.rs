//! Which versions may be the best, in which order, and whether production is worth less than it was.
//!
//! [`model_confidence_set`] says who cannot be told from the best, [`score`] orders inside of it, [`degraded`] compares
//! two times of one version, [`freshness()`] says how fast versions age. Values in, values out. Invariant: a version with
//! too few days is in no set. Not here: whether the first may replace production (`gate`), and where losses come from
//! (`jobs`).

mod confidence_set;
mod degradation;
mod freshness;
mod score;
#[cfg(test)]
mod tests;

pub use confidence_set::{ConfidenceSet, model_confidence_set};
pub use degradation::{Degradation, degraded};
pub use freshness::{AgeClass, Freshness, SkillOfDay, freshness};
pub use score::{Points, RankingConfig, Score, Term, Terms, score};
