//! [`Verdict`]: the whole list of rules, as it is stored with the version and shown as a table.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Budget, DayTest, Preset, Track};
use crate::lineage::Version;

/// Trading days that a refusal for want of evidence adds to the next test part.
const EXTRA_DAYS: u32 = 5;
/// The longest test part that such refusals lead to, trading days.
const MAX_TEST_DAYS: u32 = 40;

/// What the gate says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whether every rule that decides was passed.
    pub passed: bool,
    /// The question.
    pub track: Track,
    /// The list of rules.
    pub preset: Preset,
    /// What the candidate would replace: `v1.3`, or `the baselines`.
    pub against: String,
    /// Key of the move by which that became production; none where nothing was, and in verdicts from before it was kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub move_id: Option<String>,
    /// When the last label of the evidence was settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
    /// Samples that the candidate answered.
    pub n: usize,
    /// Trading days that they lie on.
    pub n_days: usize,
    /// Versions of the line that were ever scored, this one included.
    pub n_trials: u64,
    /// What changes had of the year's error budget; none on the refresh track.
    pub budget: Option<Budget>,
    /// In the order of a table.
    pub rules: Vec<Rule>,
}

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Stable, for machines and tables: `not inferior`, `latency`.
    pub name: String,
    /// What the rule compares with, if it compares.
    pub against: Option<String>,
    /// What was measured; none where there is nothing to measure.
    pub measured: Option<f64>,
    /// What it is measured by.
    pub threshold: Option<f64>,
    /// On which side of the threshold is good.
    pub bound: Bound,
    /// Of both.
    pub unit: Unit,
    /// What follows.
    pub verdict: Outcome,
    /// A sentence: what was found, and what it would take.
    pub detail: String,
    /// The test by day behind it: effect, interval, days, level, power.
    pub test: Option<DayTest>,
}

/// What follows from a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Fulfilled.
    Passed,
    /// Not fulfilled.
    Failed,
    /// Not enough evidence: a refusal.
    Insufficient,
    /// Shown; decides nothing.
    Shown,
}

/// On which side of its threshold a measured value is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Bound {
    /// Below it.
    Below,
    /// At it or below.
    AtMost,
    /// At it or above.
    AtLeast,
    /// There is none.
    None,
}

/// What a value is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A p value.
    P,
    /// A share of 1.
    Share,
    /// Milliseconds.
    Ms,
    /// A plain number.
    Number,
}

impl Bound {
    /// Whether a value is on the good side; NaN is on none.
    pub fn holds(self, measured: f64, threshold: f64) -> bool {
        match self {
            Bound::Below => measured < threshold,
            Bound::AtMost => measured <= threshold,
            Bound::AtLeast => measured >= threshold,
            Bound::None => true,
        }
    }
}

impl Outcome {
    /// In one word, for a table.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Passed => "passed",
            Outcome::Failed => "failed",
            Outcome::Insufficient => "insufficient",
            Outcome::Shown => "shown",
        }
    }

    /// Whether a candidate with such a rule is refused.
    pub fn refuses(self) -> bool {
        matches!(self, Outcome::Failed | Outcome::Insufficient)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Rule {
    /// Whether more days could turn its refusal into a pass.
    pub(super) fn lacks_evidence(&self) -> bool {
        self.verdict == Outcome::Insufficient
            || self.test.is_some_and(|test| test.days_needed.is_some())
    }

    /// The name with what it compares with: `not inferior to v1.3`.
    pub fn title(&self) -> String {
        match &self.against {
            Some(against) => format!("{} {against}", self.name),
            None => self.name.clone(),
        }
    }
}

impl Verdict {
    /// What stands for production where there is none.
    pub const BASELINES: &str = "the baselines";

    /// Whether it holds for this production, by the version and the move by which it became what answers. An admission holds for any:
    /// it compares with none.
    pub fn is_against(&self, production: Option<Version>, move_id: Option<&str>) -> bool {
        if self.track == Track::Admission {
            return true;
        }
        let name = production.map_or_else(|| Self::BASELINES.to_owned(), |it| it.to_string());
        self.against == name && self.move_id.as_deref() == move_id
    }

    /// Whether it is a refusal that more days could have turned into a pass: every rule that refuses lacks evidence, or tests by
    /// day for a difference that lies on the passing side.
    pub fn lacks_evidence(&self) -> bool {
        !self.passed && self.refusals().all(Rule::lacks_evidence)
    }

    /// The rules for which the candidate is refused.
    pub fn refusals(&self) -> impl Iterator<Item = &Rule> {
        self.rules.iter().filter(|rule| rule.verdict.refuses())
    }

    /// Days that the evidence must have before the rules that lack some can say more; `None` where none lacks any.
    pub fn days_needed(&self) -> Option<u64> {
        let lacking = self.rules.iter().filter(|rule| rule.verdict == Outcome::Insufficient);
        lacking.filter_map(|rule| rule.test?.days_needed).max()
    }

    /// One sentence for people.
    pub fn summary(&self) -> String {
        if self.passed {
            let first = self.rules.first().map(|rule| rule.detail.as_str()).unwrap_or_default();
            return format!("passed against {}: {first}", self.against);
        }
        let refusals: Vec<&Rule> = self.refusals().collect();
        let of = format!("{} of {} rules", refusals.len(), self.rules.len());
        let details: Vec<&str> = refusals.iter().map(|rule| rule.detail.as_str()).collect();
        format!("refused against {} by {of}: {}", self.against, details.join("; "))
    }
}

/// Trading days to add to a test part of `test_days`: five for each verdict in a row, up to the newest, that was a refusal for want
/// of evidence, so that the part has forty at most. `verdicts` are those of trainings from scratch in order of time.
pub fn extra_test_days(verdicts: &[Verdict], test_days: u32) -> u32 {
    extra_after(
        verdicts.iter().rev().take_while(|verdict| verdict.lacks_evidence()).count(),
        test_days,
    )
}

/// The same after so many refusals for want of evidence in a row.
pub(super) fn extra_after(n_refusals: usize, test_days: u32) -> u32 {
    let wanted = EXTRA_DAYS.saturating_mul(u32::try_from(n_refusals).unwrap_or(u32::MAX));
    wanted.min(MAX_TEST_DAYS.saturating_sub(test_days))
}
