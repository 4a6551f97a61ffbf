//! The sections of `aifx.yaml` with their defaults and limits.
//!
//! Not here: the types that belong to a room of their own (label rules, model architectures).

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::check::{Choice, Shape};
use crate::{
    dataset::Parts,
    db::market_data::OnBadCandle,
    ensemble::EnsembleConfig,
    gate::{GateConfig, ProbationConfig},
    labels::LabelRule,
    lineage::LineName,
    market::{Pair, Timeframe},
    nn::ModelConfig,
    outcome::CostsConfig,
    quotes::CollectConfig,
    rank::RankingConfig,
    signal::{RiskConfig, SignalConfig},
};

/// `aifx.yaml`, after defaults.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Of all random numbers; same seed, data and threads give the same weights, bit for bit.
    pub seed: u64,
    /// Threads to compute with; 0 takes all cores.
    pub threads: usize,
    /// What the process may take of the machine.
    pub limits: Limits,
    /// Where the database is; secrets stand in the environment or `.env`.
    pub database: Database,
    /// Where new candles come from.
    pub collect: CollectConfig,
    /// How events are published.
    pub events: EventsConfig,
    /// Where metrics are written.
    pub metrics: MetricsConfig,
    /// The lines by name.
    pub lines: BTreeMap<LineName, LineConfig>,
}

/// What the process may take of the machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// A job that needs more is refused before it begins, MiB; 0 takes what the machine has free.
    pub memory_mib: u64,
}

/// Where metrics are written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MetricsConfig {
    /// A file for node_exporter's textfile collector, written after each run of the monitor; relative to the home. None: no file.
    pub textfile: Option<String>,
}

/// How events are published, where `REDIS_URL` says where to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsConfig {
    /// A Redis stream that keeps them beside the channels; none: only the channels.
    pub stream: Option<String>,
    /// About how many the stream keeps.
    pub max_len: u64,
}

impl Default for EventsConfig {
    fn default() -> Self {
        EventsConfig { stream: None, max_len: 10_000 }
    }
}

/// Where the database is, as far as that is no secret. The environment (`DATABASE_URL`, `PG*`) comes first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// URI or `key=value` text without a password; none: the environment, else a private server under `data/pg`.
    pub url: Option<String>,
    /// Seconds that an unreachable database is tried again before the command gives up.
    pub wait: u64,
    /// Rows of market_data that are no candles: `fail`, or `drop` to leave up to one in a thousand of a series out.
    pub bad_candles: OnBadCandle,
}

impl Default for Database {
    fn default() -> Self {
        Database { url: None, wait: 20, bad_candles: OnBadCandle::Fail }
    }
}

/// One line: what it trades and how its models are made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LineConfig {
    /// Pairs that share the model.
    pub pairs: Vec<Pair>,
    /// Timeframes that share the model.
    pub timeframes: Vec<Timeframe>,
    /// A named, versioned feature set.
    pub features: String,
    /// Candles in one window.
    pub lookback: usize,
    /// How training labels are made.
    pub label: LabelRule,
    /// With the rule `outcome`: the line whose signals are the samples.
    pub signals_of: Option<LineName>,
    /// A line of the rule `outcome` whose production says how sure this line's signals are.
    pub confidence_line: Option<LineName>,
    /// The architecture.
    pub model: ModelConfig,
    /// The training from scratch.
    pub weekly: Weekly,
    /// Networks that answer together, and how their weights are learned.
    pub ensemble: EnsembleConfig,
    /// The fine-tune.
    pub daily: Daily,
    /// What a trade costs.
    pub costs: CostsConfig,
    /// What a version must show before it is promoted.
    pub gate: GateConfig,
    /// How long a promoted version is held against what it replaced.
    pub probation: ProbationConfig,
    /// When the monitor has models trained.
    pub triggers: Triggers,
    /// How the monthly ranking weighs what trades were worth.
    pub ranking: RankingConfig,
    /// How answers become signals.
    pub signals: SignalConfig,
    /// What the line may lose before it stops betting.
    pub risk: RiskConfig,
}

impl Default for LineConfig {
    fn default() -> Self {
        let pairs = ["EUR/USD", "GBP/USD", "USD/JPY", "AUD/USD", "USD/CAD"];
        LineConfig {
            pairs: pairs.iter().filter_map(|pair| pair.parse().ok()).collect(),
            timeframes: vec![Timeframe::Hour1],
            features: "v1".to_owned(),
            lookback: 60,
            label: LabelRule::default(),
            signals_of: None,
            confidence_line: None,
            model: ModelConfig::default(),
            weekly: Weekly::default(),
            ensemble: EnsembleConfig::default(),
            daily: Daily::default(),
            costs: CostsConfig::default(),
            gate: GateConfig::default(),
            probation: ProbationConfig::default(),
            triggers: Triggers::default(),
            ranking: RankingConfig::default(),
            signals: SignalConfig::default(),
            risk: RiskConfig::default(),
        }
    }
}

/// The training from scratch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weekly {
    /// Days of candles to learn from; a shorter history: all of it.
    pub days: u32,
    /// At most this many passes over the training part.
    pub epochs: u32,
    /// Samples in one step.
    pub batch: usize,
    /// Adam's learning rate.
    pub lr: f64,
    /// Trading days of the validation part, the last before the test part.
    pub validation_days: u32,
    /// Trading days of the test part, the last of all.
    pub test_days: u32,
    /// Instead of those days: shares of training, validation and test, in the order of time.
    pub split: Option<[f64; 3]>,
    /// Epochs without a better validation loss before training stops.
    pub patience: u32,
    /// Epochs without a better validation loss before the learning rate is halved.
    pub plateau: u32,
    /// The window is extended back until it holds this many samples.
    pub min_samples: usize,
}

impl Weekly {
    /// How its samples are cut.
    pub fn parts(&self) -> Parts {
        match self.split {
            Some(shares) => Parts::Shares(shares),
            None => Parts::Days { validation: self.validation_days, test: self.test_days },
        }
    }
}

impl Default for Weekly {
    fn default() -> Self {
        Weekly {
            days: 365,
            epochs: 50,
            batch: 32,
            lr: 1e-3,
            validation_days: 20,
            test_days: 20,
            split: None,
            patience: 8,
            plateau: 3,
            min_samples: 1000,
        }
    }
}

/// The fine-tune of the production model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Daily {
    /// Hours of candles to learn from.
    pub hours: u32,
    /// Passes over them.
    pub epochs: u32,
    /// Samples in one step.
    pub batch: usize,
    /// Adam's learning rate.
    pub lr: f64,
    /// With fewer samples the run is skipped, on the record.
    pub min_samples: usize,
    /// Mornings that a fine-tune is rehearsed on before it is believed.
    pub rehearse_days: u32,
    /// How much more a sample counts whose signal was wrong; 1: no more than the others.
    pub feedback_weight: f64,
}

impl Default for Daily {
    fn default() -> Self {
        Daily {
            hours: 24,
            epochs: 5,
            batch: 32,
            lr: 1e-4,
            min_samples: 100,
            rehearse_days: 14,
            feedback_weight: 1.0,
        }
    }
}

/// What the monitor does when a model should be trained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TriggerAction {
    /// Starts the job.
    #[default]
    Run,
    /// Raises an alert that asks for it.
    Ask,
}

/// When the monitor has models trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Triggers {
    /// Whether it starts the job or asks for it.
    pub action: TriggerAction,
    /// A job that has run within so many hours is not started again.
    pub cooldown_hours: u32,
    /// Labelled samples since the last training; 0: never for that.
    pub new_samples: u32,
    /// A fall of the accuracy, as a share, that is more than chance; 0: never for that.
    pub accuracy_drop: f64,
    /// Age of production, days; 0: never for that.
    pub max_age_days: f64,
    /// When the features have left what was learned from.
    pub drift: bool,
    /// When production answers the same to everything.
    pub collapse: bool,
    /// When a job of the schedule was missed.
    pub missed: bool,
}

impl Default for Triggers {
    fn default() -> Self {
        Triggers {
            action: TriggerAction::Run,
            cooldown_hours: 72,
            new_samples: 500,
            accuracy_drop: 0.05,
            max_age_days: 14.0,
            drift: true,
            collapse: true,
            missed: true,
        }
    }
}

/// What the default value of a line cannot say about its sections.
pub(super) fn line_shape() -> Shape {
    let rules = [
        LabelRule::default(),
        LabelRule::Fixed { threshold: 0.005 },
        LabelRule::TripleBarrier { take_profit: 0.005, stop_loss: 0.005 },
        LabelRule::Quartile,
        LabelRule::Outcome,
    ];
    let samples = |values: &[LabelRule]| {
        values.iter().filter_map(|value| serde_yaml::to_value(value).ok()).collect()
    };
    Shape {
        choices: vec![
            Choice { path: &["label"], samples: samples(&rules) },
            Choice {
                path: &["model"],
                samples: serde_yaml::to_value(ModelConfig::default()).into_iter().collect(),
            },
        ],
        free: &[&["costs", "pairs"]],
    }
}

/// A value that has the right type and still cannot be: where, and why.
pub(super) type Objection = (Vec<&'static str>, String);

/// Limits of the settings that are not about a line.
pub(super) fn object(config: &Config) -> Vec<Objection> {
    let mut list = Vec::new();
    within(&mut list, &["threads"], config.threads as f64, 0.0, 1024.0);
    if config.database.url.as_deref().is_some_and(super::environment::holds_password) {
        let why = "a password does not belong into this file; put DATABASE_URL into .env";
        list.push((vec!["database", "url"], why.to_owned()));
    }
    within(&mut list, &["database", "wait"], config.database.wait as f64, 0.0, 3600.0);
    if config.metrics.textfile.as_ref().is_some_and(|path| !path.ends_with(".prom")) {
        let why = "textfile: node_exporter reads only files whose names end in .prom";
        list.push((vec!["metrics", "textfile"], why.to_owned()));
    }
    let collect = config.collect.problems().into_iter();
    list.extend(collect.map(|(key, why)| (vec!["collect", key], why)));
    list
}

/// What lines say of each other that does not fit: which line, where, and why.
pub(super) fn object_between(
    lines: &BTreeMap<LineName, LineConfig>,
) -> Vec<(LineName, &'static str, String)> {
    let mut list = Vec::new();
    let is_outcome = |line: &LineConfig| line.label == LabelRule::Outcome;
    for (name, line) in lines {
        match line.signals_of.as_ref().map(|of| (of, lines.get(of))) {
            None if is_outcome(line) => {
                let why = "the rule outcome learns from signals: name their line with signals_of";
                list.push((name.clone(), "label", why.to_owned()));
            }
            Some(_) if !is_outcome(line) => {
                let why = "signals_of: only the label rule outcome learns from signals";
                list.push((name.clone(), "signals_of", why.to_owned()));
            }
            Some((of, found)) if found.is_none_or(is_outcome) => {
                let why = format!("signals_of: {of} is no line that gives signals");
                list.push((name.clone(), "signals_of", why));
            }
            _ => {}
        }
        if let Some(other) = &line.confidence_line
            && (is_outcome(line) || !lines.get(other).is_some_and(is_outcome))
        {
            let why = format!("confidence_line: {other} is no line with the label rule outcome");
            list.push((name.clone(), "confidence_line", why));
        }
    }
    list
}

/// Limits of a line's settings.
pub(super) fn object_to_line(line: &LineConfig) -> Vec<Objection> {
    let mut list = Vec::new();
    unique(&mut list, "pairs", &line.pairs);
    unique(&mut list, "timeframes", &line.timeframes);
    within(&mut list, &["lookback"], line.lookback as f64, 2.0, 2000.0);
    match line.label {
        LabelRule::Fixed { threshold } => share(&mut list, &["label", "threshold"], threshold),
        LabelRule::Volatility { multiple } => {
            positive(&mut list, &["label", "multiple"], multiple, 100.0);
        }
        LabelRule::TripleBarrier { take_profit, stop_loss } => {
            share(&mut list, &["label", "take_profit"], take_profit);
            share(&mut list, &["label", "stop_loss"], stop_loss);
        }
        LabelRule::Quartile | LabelRule::Outcome => {}
    }
    let ModelConfig::Lstm { hidden, dense, dropout } = &line.model;
    if hidden.is_empty() || hidden.len() > 8 {
        list.push((vec!["model", "hidden"], "hidden: give 1 to 8 layers".to_owned()));
    }
    for units in hidden {
        within(&mut list, &["model", "hidden"], *units as f64, 1.0, 4096.0);
    }
    within(&mut list, &["model", "dense"], *dense as f64, 1.0, 4096.0);
    if dropout.len() != hidden.len() + 1 {
        let why = format!(
            "dropout: {} values are given where one for each of the {} hidden layers and one for the dense layer are wanted",
            dropout.len(),
            hidden.len()
        );
        list.push((vec!["model", "dropout"], why));
    }
    if let Some(wrong) = dropout.iter().find(|share| !(0.0..1.0).contains(*share)) {
        let why = format!("dropout: {wrong} is not a share from 0 to below 1");
        list.push((vec!["model", "dropout"], why));
    }
    let weekly = &line.weekly;
    within(&mut list, &["weekly", "days"], f64::from(weekly.days), 1.0, 36_500.0);
    within(&mut list, &["weekly", "epochs"], f64::from(weekly.epochs), 1.0, 10_000.0);
    within(&mut list, &["weekly", "batch"], weekly.batch as f64, 1.0, 65_536.0);
    positive(&mut list, &["weekly", "lr"], weekly.lr, 1.0);
    within(&mut list, &["weekly", "patience"], f64::from(weekly.patience), 1.0, 10_000.0);
    within(&mut list, &["weekly", "plateau"], f64::from(weekly.plateau), 1.0, 10_000.0);
    within(&mut list, &["weekly", "min_samples"], weekly.min_samples as f64, 1.0, 1e9);
    let days = f64::from(weekly.validation_days);
    within(&mut list, &["weekly", "validation_days"], days, 1.0, 10_000.0);
    within(&mut list, &["weekly", "test_days"], f64::from(weekly.test_days), 1.0, 10_000.0);
    if let Some(split) = weekly.split {
        let sum: f64 = split.iter().sum();
        if !split.iter().all(|share| *share > 0.0 && *share < 1.0) {
            let why = "split: each share must lie between 0 and 1, as in [0.70, 0.15, 0.15]";
            list.push((vec!["weekly", "split"], why.to_owned()));
        } else if (sum - 1.0).abs() > 1e-6 {
            let why =
                format!("split: the shares add up to {}, not to 1", (sum * 1e6).round() / 1e6);
            list.push((vec!["weekly", "split"], why));
        }
    }
    let daily = &line.daily;
    within(&mut list, &["daily", "hours"], f64::from(daily.hours), 1.0, 24.0 * 365.0);
    within(&mut list, &["daily", "epochs"], f64::from(daily.epochs), 1.0, 10_000.0);
    within(&mut list, &["daily", "batch"], daily.batch as f64, 1.0, 65_536.0);
    positive(&mut list, &["daily", "lr"], daily.lr, 1.0);
    within(&mut list, &["daily", "min_samples"], daily.min_samples as f64, 1.0, 1e9);
    within(&mut list, &["daily", "rehearse_days"], f64::from(daily.rehearse_days), 1.0, 365.0);
    within(&mut list, &["daily", "feedback_weight"], daily.feedback_weight, 1.0, 100.0);
    let costs = &line.costs;
    within(&mut list, &["costs", "spread"], costs.spread, 0.0, 1e6);
    within(&mut list, &["costs", "slippage"], costs.slippage, 0.0, 1e6);
    for (pair, own) in &costs.pairs {
        if !line.pairs.contains(pair) {
            list.push((vec!["costs", "pairs"], format!("pairs: {pair} is no pair of this line")));
        }
        for (key, value) in [("spread", own.spread), ("slippage", own.slippage)] {
            if value.is_some_and(|value| !(0.0..=1e6).contains(&value)) {
                let why = format!("pairs: {key} of {pair} is not from 0 to 1000000");
                list.push((vec!["costs", "pairs"], why));
            }
        }
    }
    let ensemble = line.ensemble.problems().into_iter();
    list.extend(ensemble.map(|(key, why)| (vec!["ensemble", key], why)));
    let gate = line.gate.problems().into_iter();
    list.extend(gate.map(|(key, why)| (vec!["gate", key], why)));
    let probation = line.probation.problems().into_iter();
    list.extend(probation.map(|(key, why)| (vec!["probation", key], why)));
    let triggers = &line.triggers;
    let hours = f64::from(triggers.cooldown_hours);
    within(&mut list, &["triggers", "cooldown_hours"], hours, 1.0, 24.0 * 365.0);
    within(&mut list, &["triggers", "accuracy_drop"], triggers.accuracy_drop, 0.0, 1.0);
    within(&mut list, &["triggers", "max_age_days"], triggers.max_age_days, 0.0, 3650.0);
    let ranking = line.ranking.problems().into_iter();
    list.extend(ranking.map(|(key, why)| (vec!["ranking", key], why)));
    let risk = line.risk.problems().into_iter();
    list.extend(risk.map(|(key, why)| (vec!["risk", key], why)));
    let signals = line.signals.problems().into_iter();
    list.extend(signals.map(|(key, why)| (vec!["signals", key], why)));
    list
}

/// Keys that say the same in two ways: of each pair only one may be written.
pub(super) const EITHER_OR: [([&str; 2], [&str; 2], &str); 2] = [
    (["weekly", "split"], ["weekly", "validation_days"], SPLIT_OR_DAYS),
    (["weekly", "split"], ["weekly", "test_days"], SPLIT_OR_DAYS),
];
const SPLIT_OR_DAYS: &str = "split: shares of the range and trading days (validation_days, test_days) are two ways to cut it; write one of them";

fn name_of(path: &[&'static str]) -> &'static str {
    path.last().copied().unwrap_or_default()
}

fn within(list: &mut Vec<Objection>, path: &[&'static str], value: f64, low: f64, high: f64) {
    // Written so that NaN fails.
    if !(low..=high).contains(&value) {
        let why = format!("{}: {value} does not lie between {low} and {high}", name_of(path));
        list.push((path.to_vec(), why));
    }
}

fn positive(list: &mut Vec<Objection>, path: &[&'static str], value: f64, high: f64) {
    if !(value > 0.0 && value <= high) {
        let why = format!("{}: {value} is not above 0 and at most {high}", name_of(path));
        list.push((path.to_vec(), why));
    }
}

fn share(list: &mut Vec<Objection>, path: &[&'static str], value: f64) {
    positive(list, path, value, 0.5);
}

fn unique<T: std::hash::Hash + Eq + std::fmt::Display>(
    list: &mut Vec<Objection>,
    key: &'static str,
    values: &[T],
) {
    let mut seen = HashSet::new();
    if values.is_empty() {
        list.push((vec![key], format!("{key}: at least one is needed")));
    }
    if let Some(twice) = values.iter().find(|value| !seen.insert(*value)) {
        list.push((vec![key], format!("{key}: {twice} is given twice")));
    }
}
