//! Brings a candidate's evidence together and asks the gate.
//!
//! Used by every job that may promote: [`Bench`] holds what the line's history says (trials, budget, Sharpe ratios of earlier
//! versions), [`Case`] what is known of one candidate. `aifx gate` ([`rejudge`]) judges a version anew on the days that came
//! since. Not here: the rules (`gate`), what production answered (`replay`).

use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{
    assess, loading, material,
    material::{Material, PastSignals},
    replay::{self, Cast, LeftOut},
};
use crate::{
    baseline::{Indicator, Majority},
    config::{App, LineConfig},
    dataset::{self, Sample},
    db::{Db, model_versions::VersionRow},
    evaluate::{Predictions, Unseen},
    fault::Fault,
    gate::{
        self, Baselines, Budget, Evidence, Incumbent, Reference, SharpeFigures, Track, Verdict,
    },
    inference::Predictor,
    lineage::{LineName, Version},
    market::instant,
    registry::{self, LockedLine},
    stats,
};

/// The gate's answer in a report: `passed` is null where nothing was judged.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Gate {
    /// It judged.
    Judged(Box<Verdict>),
    /// There was nothing to judge.
    Silent {
        /// Null.
        passed: Option<bool>,
        /// Empty.
        rules: Vec<Value>,
    },
}

impl Default for Gate {
    fn default() -> Self {
        Gate::Silent { passed: None, rules: Vec::new() }
    }
}

impl From<Verdict> for Gate {
    fn from(verdict: Verdict) -> Gate {
        Gate::Judged(Box::new(verdict))
    }
}

impl Gate {
    /// The verdict, where there is one.
    pub fn verdict(&self) -> Option<&Verdict> {
        match self {
            Gate::Judged(verdict) => Some(verdict),
            Gate::Silent { .. } => None,
        }
    }
}

/// What the line's history says about any candidate.
#[derive(Debug, Clone)]
pub(crate) struct Bench {
    /// Versions ever scored, without the candidate.
    n_trials: u64,
    /// Change trials within a year, without the candidate, and those of them that were promoted.
    budget: Budget,
    /// Annualised Sharpe ratios of versions scored before.
    sharpes: Vec<f64>,
}

impl Bench {
    /// Reads it.
    pub(crate) fn gather(app: &App, db: &mut Db, line: &LineName) -> anyhow::Result<Bench> {
        let (n_tests, n_promotions) =
            db.change_trials(line, app.as_of - TimeDelta::days(365), app.as_of)?;
        Ok(Bench {
            n_trials: db.count_trials(line, app.as_of)?,
            budget: Budget { n_tests: n_tests + 1, n_promotions },
            sharpes: db.trial_sharpes(line, app.as_of)?,
        })
    }
}

impl Bench {
    /// Versions ever scored, without the candidate.
    pub(crate) fn n_trials(&self) -> u64 {
        self.n_trials
    }
}

/// What is known of a candidate.
pub(crate) struct Case<'a> {
    /// The question.
    pub(crate) track: Track,
    /// Its answers to what it has not seen.
    pub(crate) candidate: &'a Predictions<Unseen>,
    /// The same samples answered by production, and which version that is now; none before the first promotion.
    pub(crate) incumbent: Option<(Version, &'a Predictions<Unseen>, DateTime<Utc>)>,
    /// The same samples answered by the class shares of training.
    pub(crate) class_prior: &'a Predictions<Unseen>,
    /// The same samples answered by the indicator rule.
    pub(crate) indicator: &'a Predictions<Unseen>,
    /// Share right in training.
    pub(crate) train_accuracy: Option<f64>,
    /// Share right beside training.
    pub(crate) validation_accuracy: Option<f64>,
    /// One prediction, milliseconds.
    pub(crate) latency_ms: f64,
    /// Daily returns of its trades.
    pub(crate) returns: &'a [f64],
    /// Annualised Sharpe ratio of production's trades, or of the indicator rule's where there is no production.
    pub(crate) reference_sharpe: Option<f64>,
    /// Probability of backtest overfitting, where it was computed.
    pub(crate) pbo: Option<f64>,
}

/// Asks the gate.
pub(crate) fn verdict(case: &Case<'_>, bench: &Bench, line: &LineConfig, app: &App) -> Verdict {
    let n_trials = bench.n_trials + 1;
    let per_day: Vec<f64> = bench.sharpes.iter().map(|sharpe| sharpe / 252f64.sqrt()).collect();
    let variance = stats::sample_sd(&per_day).map(|sd| sd * sd);
    let reference = match case.incumbent {
        Some((version, predictions, seen_until)) => Reference::Incumbent(Incumbent {
            version,
            predictions,
            age_days: (app.as_of - seen_until).num_minutes() as f64 / (24.0 * 60.0),
            sharpe: case.reference_sharpe,
        }),
        None => Reference::Baselines(Baselines {
            indicator: case.indicator,
            sharpe: case.reference_sharpe,
        }),
    };
    gate::judge(
        &Evidence {
            track: case.track,
            candidate: case.candidate,
            reference,
            class_prior: case.class_prior,
            train_accuracy: case.train_accuracy,
            validation_accuracy: case.validation_accuracy,
            latency_ms: Some(case.latency_ms),
            n_trials,
            pbo: case.pbo,
            budget: bench.budget,
            sharpe: SharpeFigures::of(case.returns, variance, n_trials as f64),
        },
        &line.gate,
    )
}

/// Median time of one prediction, in milliseconds: the window is there, the answer is wanted.
pub(crate) fn latency_ms(predictor: &Predictor, material: &Material, row: u32) -> f64 {
    const CALLS: usize = 31;
    let all = replay::windows(predictor, &material.features);
    let (lookback, n_features) = (all.lookback, all.n_features);
    let end = (row as usize + 1) * n_features;
    let values = all.values[end.saturating_sub(lookback * n_features)..end].to_vec();
    let window = dataset::Windows { values, n_features, lookback };
    let mut times: Vec<Duration> = (0..CALLS)
        .map(|_| {
            let start = Instant::now();
            predictor.probabilities(&window, &[lookback as u32 - 1]);
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[CALLS / 2].as_secs_f64() * 1e3
}

/// Class shares and indicator rule, learned from some samples and answering others.
pub(crate) struct Yardsticks {
    /// The class shares.
    pub(crate) prior: Vec<f64>,
    /// The indicator rule.
    pub(crate) indicator: Vec<f64>,
}

impl Yardsticks {
    /// `None` without a sample to learn from.
    pub(crate) fn of(
        material: &Material,
        learned: &[Sample],
        asked: &[Sample],
        n_classes: usize,
    ) -> Option<Yardsticks> {
        let classes: Vec<u8> = learned.iter().map(|sample| sample.class).collect();
        let rules = assess::Rules::of(material);
        let prior = Majority::fit(&classes, n_classes)?;
        let indicator = Indicator::fit(&rules.of_samples(learned), &classes, n_classes)?;
        Some(Yardsticks {
            prior: prior.probabilities(asked.len()),
            indicator: indicator.probabilities(&rules.of_samples(asked)),
        })
    }
}

/// What `aifx gate` is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// The line; the only one when not given.
    pub line: Option<LineName>,
    /// The version to judge.
    pub version: Version,
    /// Show, and leave the stored verdict as it is.
    pub dry_run: bool,
    /// How long to wait for another run.
    pub wait: Duration,
}

/// A verdict with what it could not look at. `aifx.gate/1`.
#[derive(Debug, Clone, Serialize)]
pub struct GateReport {
    /// The line.
    pub line: LineName,
    /// The version.
    pub version: Version,
    /// Whether it was stored.
    pub stored: bool,
    /// Days that had to be left out, and why.
    pub left_out: Vec<LeftOut>,
    /// The verdict.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Judges a version anew, on every day after its data ended.
///
/// # Errors
/// 4 for a version or candles that are not there, 6 when another run holds the line, 7 for files that are not what was
/// published; else when the database fails.
pub fn rejudge(app: &App, request: &Request) -> anyhow::Result<GateReport> {
    let (name, line) = app.line(request.line.as_ref())?;
    loading::libtorch()?;
    let mut db = app.db("gate")?;
    let row = registry::pick(db.versions(Some(name))?, name, request.version)?;
    let locked = match request.dry_run {
        true => None,
        false => Some(LockedLine::lock(&app.models(), name, request.wait, "gate")?),
    };
    let mut cast = Cast::gather(app, &mut db, name)?;
    let bench = Bench::gather(app, &mut db, name)?;
    let seen_until = row.seen_until.ok_or_else(|| {
        Fault::integrity(format!("what {} has seen is not recorded", row.version))
    })?;
    let set = material::feature_set(line)?;
    let from = seen_until - TimeDelta::days(i64::from(line.weekly.days));
    let candles = material::candles(app, &mut db, line, set, from)?;
    let past = PastSignals::gather(app, &mut db, line, from)?;
    let material = Material::of(candles, &past, set, line);
    cast.recall(app, &mut db, (name, line), seen_until)?;
    drop(db);
    let (verdict, left_out) =
        judge_since(app, line, &mut cast, &bench, &material, &row, seen_until, None)?;
    if locked.is_some() {
        app.db("gate")?.store_gate(name, row.version, &serde_json::to_value(&verdict)?)?;
    }
    Ok(GateReport {
        line: name.clone(),
        version: row.version,
        stored: locked.is_some(),
        left_out,
        verdict,
    })
}

/// The verdict on a version by all that came after an instant, which is not before the end of its data.
#[allow(clippy::too_many_arguments, reason = "what a verdict is made of")]
pub(crate) fn judge_since(
    app: &App,
    line: &LineConfig,
    cast: &mut Cast,
    bench: &Bench,
    material: &Material,
    row: &VersionRow,
    since: DateTime<Utc>,
    pbo: Option<f64>,
) -> anyhow::Result<(Verdict, Vec<LeftOut>)> {
    let n_classes = line.label.n_classes();
    let samples = material.samples(line)?;
    let learned = settled_before(&samples, since.timestamp_micros());
    let first = samples.partition_point(|sample| sample.decided_at_us <= since.timestamp_micros());
    let asked = &samples[first..];
    let yardsticks = Yardsticks::of(material, &learned, asked, n_classes).ok_or_else(|| {
        Fault::input(format!("no label was settled before {since}"))
            .hint("import older candles; the class prior has to be learned from something")
    })?;
    let cannot = |why: String| Fault::integrity(format!("{} cannot answer: {why}", row.version));
    let seen = crate::lineage::SeenUntil::new(since);
    let side = |answers| -> anyhow::Result<Predictions<Unseen>> {
        Ok(replay::predictions(asked, answers, n_classes).map_err(cannot)?.after(seen))
    };
    let (class_prior, indicator) = (side(yardsticks.prior)?, side(yardsticks.indicator)?);
    let production = cast.production().map(|row| (row.version, row.seen_until.unwrap_or(since)));
    let (policy, left_out) = cast.policy(material, asked, n_classes)?;
    let candidate =
        cast.unseen(row.version, material, asked, n_classes).map_err(cannot)?.predictions;
    let actor = cast.actor(row.version).map_err(Fault::integrity)?;
    let latency_ms = match asked.last().or(samples.last()) {
        Some(sample) => latency_ms(&actor.predictor, material, sample.row),
        None => f64::NAN,
    };
    let trades = assess::trades(material, line, asked, &candidate);
    let reference_sharpe = match production {
        Some(_) => assess::trades(material, line, asked, &policy).figures.sharpe,
        None => assess::rule_trades(material, line, asked).figures.sharpe,
    };
    let accuracy = |part: &str| row.metrics.get(part)?.get("accuracy").and_then(Value::as_f64);
    let case = Case {
        track: stored_track(row),
        candidate: &candidate,
        incumbent: production.map(|(version, seen)| (version, &policy, seen)),
        class_prior: &class_prior,
        indicator: &indicator,
        train_accuracy: accuracy("train"),
        validation_accuracy: accuracy("validation"),
        latency_ms,
        returns: &trades.daily_returns,
        reference_sharpe,
        pbo,
    };
    Ok((verdict(&case, bench, line, app), left_out))
}

fn stored_track(row: &VersionRow) -> Track {
    let stored = row.gate.as_ref().and_then(|gate| gate.get("track")).and_then(Value::as_str);
    if stored == Some(Track::Change.name()) { Track::Change } else { Track::Refresh }
}

/// Samples whose labels were settled by an instant, in order of decision.
pub(crate) fn settled_before(samples: &[Sample], at_us: i64) -> Vec<Sample> {
    samples.iter().filter(|sample| sample.label_until_us <= at_us).copied().collect()
}

/// In words when the samples of a range begin and end.
pub(crate) fn span(samples: &[Sample]) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    Some((instant(samples.first()?.decided_at_us), instant(samples.last()?.decided_at_us)))
}
