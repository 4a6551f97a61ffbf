//! [`GateConfig`]: the thresholds, and which of them cannot be.

use serde::{Deserialize, Serialize};

use super::MIN_SHARPE_DAYS;

/// The least margin of a refresh, nats: no model is worth so little that two of its kind could be told from each other by less.
const MIN_MARGIN: f64 = 0.0005;

/// Which list of rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Preset {
    /// Tests by trading day against what is in production and against the class prior.
    #[default]
    Standard,
    /// Accuracy at least that of production plus two points, Sharpe no worse, gap under five points, under 5 ms.
    Classic,
}

/// The thresholds of a line's gate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GateConfig {
    /// The list of rules.
    pub preset: Preset,
    /// Fewer common trading days than this are no evidence; at least 5.
    pub min_days: u32,
    /// One-sided level of a test by day, and the most that one change may spend.
    pub alpha: f64,
    /// How much worse a refresh may be: share of the incumbent's skill over the class prior on the same days.
    pub margin: f64,
    /// Age of the incumbent at which the margin has doubled.
    pub half_life_days: f64,
    /// The widest margin, however old the incumbent: share of its skill.
    pub max_margin: f64,
    /// Wrong changes, as a share of the changes promoted, that a line may expect in a year.
    pub change_budget: f64,
    /// A class that is answered more often than this share is a collapse.
    pub max_class_share: f64,
    /// Difference of training and validation accuracy that is too much.
    pub max_train_gap: f64,
    /// Time for one prediction that is too much.
    pub max_latency_ms: f64,
    /// Probability of backtest overfitting above which the search is not believed.
    pub max_pbo: f64,
    /// `classic`: accuracy that must be gained.
    pub min_accuracy_gain: f64,
}

impl Default for GateConfig {
    fn default() -> Self {
        GateConfig {
            preset: Preset::Standard,
            min_days: 5,
            alpha: 0.05,
            margin: 0.15,
            half_life_days: 14.0,
            max_margin: 0.5,
            change_budget: 0.05,
            max_class_share: 0.95,
            max_train_gap: 0.05,
            max_latency_ms: 5.0,
            max_pbo: 0.5,
            min_accuracy_gain: 0.02,
        }
    }
}

/// Settings that do not lie in their range: key, value, low, high.
pub(super) fn outside(ranges: &[(&'static str, f64, f64, f64)]) -> Vec<(&'static str, String)> {
    ranges
        .iter()
        // Written so that NaN fails.
        .filter(|(_, value, low, high)| !(low..=high).contains(&value))
        .map(|(key, value, low, high)| {
            (*key, format!("{key}: {value} does not lie between {low} and {high}"))
        })
        .collect()
}

impl GateConfig {
    /// Settings that cannot be, by key, with the reason.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let ranges = [
            ("min_days", f64::from(self.min_days), 5.0, 365.0),
            ("alpha", self.alpha, 1e-6, 0.2),
            ("margin", self.margin, 0.0, 1.0),
            ("half_life_days", self.half_life_days, 1.0, 3650.0),
            ("max_margin", self.max_margin, 0.0, 1.0),
            ("change_budget", self.change_budget, 1e-6, 0.5),
            ("max_class_share", self.max_class_share, 0.5, 1.0),
            ("max_train_gap", self.max_train_gap, 0.001, 1.0),
            ("max_latency_ms", self.max_latency_ms, 0.001, 60_000.0),
            ("max_pbo", self.max_pbo, 0.0, 1.0),
            ("min_accuracy_gain", self.min_accuracy_gain, 0.0, 0.5),
        ];
        let mut problems = outside(&ranges);
        if self.max_margin < self.margin {
            let why = format!(
                "max_margin: {} is below the margin of {} that it should widen to",
                self.max_margin, self.margin
            );
            problems.push(("max_margin", why));
        }
        problems
    }

    /// The margin of a refresh, nats: `margin` of the incumbent's skill over the class prior, at least [`MIN_MARGIN`], times
    /// `1 + age / half-life`, never above `max_margin` of the skill, so that an old incumbent does not let anything through. A
    /// share of the log-loss would not do: one hundredth of it is as large as all the skill there is.
    pub fn margin_nats(&self, skill: f64, age_days: f64) -> f64 {
        let skill = skill.max(0.0);
        let fresh = (self.margin * skill).max(MIN_MARGIN);
        let widened = fresh * (1.0 + age_days.max(0.0) / self.half_life_days);
        widened.min((self.max_margin * skill).max(MIN_MARGIN))
    }

    /// Trading days that a test part must have for every rule to be measured.
    pub fn least_test_days(&self) -> u32 {
        match self.preset {
            Preset::Standard => self.min_days,
            Preset::Classic => self.min_days.max(MIN_SHARPE_DAYS as u32),
        }
    }
}
