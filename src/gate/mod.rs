//! Whether a candidate may answer instead of what answers now: rules, each with a threshold, a measured value, a verdict.
//!
//! Main types: [`Evidence`] goes in, [`GateConfig`] holds the thresholds, [`judge`] gives a [`Verdict`] that is stored as it
//! is. Two questions ([`Track`]): newer data must not be *inferior* within a margin, since proof of superiority within a
//! week would leave models to go stale; another recipe must be *superior* within an error budget for the year ([`lond`]).
//!
//! Invariants: only predictions that their model had not seen are compared, by type; the trading day is the unit of every
//! test; under five days nothing passes; a figure that a rule needs and nobody has is a refusal. One rule is excepted: the
//! probability of backtest overfitting is a veto from 32 days on that ten versions have in common, and shown below.
//! Not here: who fetches the evidence, counts trials and promotes (`jobs`), what a table of it looks like (`report`).

mod admission;
mod config;
mod day_test;
pub mod honesty;
mod probation;
mod recipe;
mod rules;
#[cfg(test)]
mod tests;
mod verdict;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    evaluate::{Predictions, Unseen},
    lineage::Version,
    stats::{self, ReturnMoments},
};

pub use admission::{Joining, admit};
pub use config::{GateConfig, Preset};
pub use day_test::{DayTest, Found, days_needed, lond, power};
pub use probation::{Probation, ProbationConfig};
pub use recipe::{recipe_differences, track};
pub use rules::{MIN_SPREAD, judge};
pub use verdict::{Bound, Outcome, Rule, Unit, Verdict, extra_test_days};

/// Which question a score answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Track {
    /// Same recipe, newer data.
    Refresh,
    /// Other features, label, architecture or hyperparameters.
    Change,
    /// A network joins a mixture.
    Admission,
}

impl Track {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            Track::Refresh => "refresh",
            Track::Change => "change",
            Track::Admission => "admission",
        }
    }
}

/// All that is known about a candidate when it is judged.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The question.
    pub track: Track,
    /// The candidate's answers; those of its rehearsals, pooled, for a fine-tune.
    pub candidate: &'a Predictions<Unseen>,
    /// What it would replace.
    pub reference: Reference<'a>,
    /// The answers of the training part's class shares, on the same samples.
    pub class_prior: &'a Predictions<Unseen>,
    /// Share right in training.
    pub train_accuracy: Option<f64>,
    /// Share right in validation.
    pub validation_accuracy: Option<f64>,
    /// Standard error of the difference of the two, by trading day; a change asks how much of it is chance.
    pub gap_error: Option<f64>,
    /// Time that one prediction takes.
    pub latency_ms: Option<f64>,
    /// Versions of the line that were ever scored, this one included.
    pub n_trials: u64,
    /// What the search among the line's versions is worth.
    pub pbo: BacktestOverfitting,
    /// What the line's changes have had of this year's error budget; only the change track asks.
    pub budget: Budget,
    /// Of the candidate's trades.
    pub sharpe: Option<SharpeFigures>,
    /// Until when the evidence reaches: the last label in it is settled then.
    pub until: Option<DateTime<Utc>>,
    /// Key of the move by which production became what it is; none before the first.
    pub move_id: Option<&'a str>,
}

/// How often the best of the versions was below the middle out of sample ([`stats::overfitting`]), and on what.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct BacktestOverfitting {
    /// The share; none where there are too few days or versions.
    pub pbo: Option<f64>,
    /// Versions that trade and whose daily returns are known.
    pub n_versions: usize,
    /// Days that all of them have in common, unseen by each.
    pub n_days: usize,
}

/// What a candidate is compared with.
#[derive(Debug, Clone, Copy)]
pub enum Reference<'a> {
    /// There is a model in production.
    Incumbent(Incumbent<'a>),
    /// There is none: the class prior and the indicator rule stand in its place, and the candidate must hold against both.
    Baselines(Baselines<'a>),
    /// There is a model in production, and it answers another question: its labels or their horizon are others.
    OtherQuestion(OtherQuestion<'a>),
}

/// The policy that the candidate would end.
#[derive(Debug, Clone, Copy)]
pub struct Incumbent<'a> {
    /// The version in production now.
    pub version: Version,
    /// Each day answered by the version that was in production that morning: unseen by construction. Of production that is shown to
    /// be worse than its class prior, the answers of that.
    pub predictions: &'a Predictions<Unseen>,
    /// Whether they are those of the class prior.
    pub has_no_skill: bool,
    /// Days since the evidence that spoke for the version in production, or else its data, ended; the margin widens with it.
    pub age_days: f64,
    /// Sharpe ratio of its trades over the same days, annualised; the preset `classic` asks.
    pub sharpe: Option<f64>,
    /// Its own difference of training and validation accuracy, where it is recorded.
    pub train_gap: Option<f64>,
    /// Time that one of its predictions takes, measured in the same run.
    pub latency_ms: Option<f64>,
}

impl Incumbent<'_> {
    /// What the candidate is held against, in words.
    pub(super) fn name(&self) -> String {
        match self.has_no_skill {
            true => format!("the class prior ({} has shown no skill)", self.version),
            false => self.version.to_string(),
        }
    }
}

/// A policy whose answers cannot be held against the candidate's: each side's skill over its own class prior can.
#[derive(Debug, Clone, Copy)]
pub struct OtherQuestion<'a> {
    /// The version in production now.
    pub version: Version,
    /// Its answers to its own question, of the days that the candidate is judged on.
    pub predictions: &'a Predictions<Unseen>,
    /// The answers of its own class shares, on the same samples.
    pub class_prior: &'a Predictions<Unseen>,
    /// The indicator rule's answers to the candidate's question.
    pub indicator: &'a Predictions<Unseen>,
    /// Sharpe ratio of its trades over the same days, annualised.
    pub sharpe: Option<f64>,
}

/// What stands in the place of a model that does not exist, beside the class prior.
#[derive(Debug, Clone, Copy)]
pub struct Baselines<'a> {
    /// The indicator rule's answers on the same samples.
    pub indicator: &'a Predictions<Unseen>,
    /// Sharpe ratio of its trades, annualised.
    pub sharpe: Option<f64>,
}

/// A line's use of its error budget in a year: counted from the trials, never configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Verdicts that the change track has given this year, this one included: from 1. Judging a version anew counts again.
    pub n_tests: u64,
    /// Versions that were promoted on such a verdict before; forced moves are none.
    pub n_promotions: u64,
}

/// A Sharpe ratio with what it is worth; shown, since 30 days decide nothing about it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SharpeFigures {
    /// Annualised by √252.
    pub sharpe: f64,
    /// On the same scale (Lo 2002 with skewness and kurtosis; Bailey & López de Prado 2012).
    pub standard_error: Option<f64>,
    /// DSR: probability that the true ratio is above what the best of so many trials shows by chance.
    pub deflated: Option<f64>,
    /// Days of returns behind it.
    pub n_days: usize,
}

const DAYS_A_YEAR: f64 = 252.0;
/// Fewer days of returns have no Sharpe ratio, on either side of a comparison (FORMULAS, elementary).
pub const MIN_SHARPE_DAYS: usize = 20;

impl SharpeFigures {
    /// Of daily returns, where the Sharpe ratios (per day) of `n_trials` effective trials had this variance: `None` under
    /// [`MIN_SHARPE_DAYS`] days and where they do not vary. Without a variance there is no deflated value.
    pub fn of(
        returns: &[f64],
        trials_variance: Option<f64>,
        n_trials: f64,
    ) -> Option<SharpeFigures> {
        let moments = ReturnMoments::of(returns).filter(|moments| moments.n >= MIN_SHARPE_DAYS)?;
        let benchmark = trials_variance.map(|v| stats::deflated_benchmark(v, n_trials));
        Some(SharpeFigures {
            sharpe: moments.sharpe * DAYS_A_YEAR.sqrt(),
            standard_error: moments.standard_error().map(|error| error * DAYS_A_YEAR.sqrt()),
            deflated: benchmark.and_then(|zero| stats::probabilistic_sharpe(&moments, zero)),
            n_days: moments.n,
        })
    }
}
