//! Brings a candidate's evidence together and asks the gate.
//!
//! Used by every job that may promote: [`Bench`] holds what the line's history says (trials, budget, Sharpe ratios of earlier
//! versions), [`Case`] what is known of one candidate. `aifx gate` ([`rejudge`]) judges a version anew on the days that came
//! since. Not here: the rules (`gate`), what production answered (`replay`).

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{
    assess, bets, clock, loading, material,
    material::{Material, PastSignals},
    replay::{self, Cast, LeftOut},
};
use crate::{
    backtest::Backtest,
    baseline::{Indicator, Majority},
    config::{App, LineConfig},
    dataset::{self, Sample},
    db::{
        Db,
        model_versions::VersionRow,
        trials::{DailyReturns, Trial},
    },
    evaluate::{Figures, Predictions, Unseen},
    fault::Fault,
    gate::{
        self, BacktestOverfitting, Baselines, Budget, Evidence, Incumbent, OtherQuestion,
        Reference, SharpeFigures, Track, Verdict,
    },
    inference::Predictor,
    lineage::{LineName, SeenUntil, Version},
    market::instant,
    registry::{self, LockedLine},
    stats,
};

/// Halves of blocks of days behind the probability of backtest overfitting (FORMULAS 4.10).
const PBO_BLOCKS: usize = 8;
/// The mean correlation of trials is that of the newest ones: so many.
const MAX_CORRELATED: usize = 60;
/// Fewer common days do not correlate.
const MIN_CORRELATED_DAYS: usize = 5;
/// Key of a version's metrics: its difference of training and validation accuracy, as the gate measured it.
pub(super) const TRAIN_GAP: &str = "train_gap";
/// Key of a version's metrics: the standard error of that.
pub(super) const GAP_ERROR: &str = "train_gap_error";
/// Key of a score: what its trades paid by day.
pub(super) const RETURNS: &str = "returns";

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

/// What the line's history says about a candidate, without what it says of itself.
#[derive(Debug, Clone)]
pub(crate) struct Bench {
    /// Other versions ever scored.
    n_trials: u64,
    /// Verdicts of the change track within a year and this one, and the versions that were promoted on one.
    budget: Budget,
    /// Annualised Sharpe ratios of the other versions.
    sharpes: Vec<f64>,
    /// Daily returns of the other versions, newest last.
    returns: Vec<DailyReturns>,
    /// Key of the move by which production became what it is.
    move_id: Option<String>,
    /// Whether production is shown to be worse than its class prior.
    has_no_skill: bool,
}

impl Bench {
    /// Reads it; `candidate` is none where the version has no name yet.
    pub(crate) fn gather(
        app: &App,
        db: &mut Db,
        line: &LineName,
        candidate: Option<Version>,
    ) -> anyhow::Result<Bench> {
        let (n_tests, n_promotions) =
            db.change_trials(line, candidate, app.as_of - TimeDelta::days(365), app.as_of)?;
        Ok(Bench {
            n_trials: db.count_trials(line, candidate, app.as_of)?,
            budget: Budget { n_tests: n_tests + 1, n_promotions },
            sharpes: db.trial_sharpes(line, candidate, app.as_of)?,
            returns: db.trial_returns(line, candidate, app.as_of)?,
            move_id: move_id(db.standing_at(line, app.as_of)?.1.last()),
            has_no_skill: bets::has_no_skill(db, line, app.as_of)?,
        })
    }

    /// Of all scored versions, this one with these returns included: how many count, and what the search among them is worth.
    fn search(&self, ours: &DailyReturns) -> (f64, BacktestOverfitting) {
        let mut all: Vec<&DailyReturns> = self.returns.iter().chain([ours]).collect();
        all.drain(..all.len().saturating_sub(MAX_CORRELATED));
        let n = usize::try_from(self.n_trials).unwrap_or(usize::MAX).saturating_add(1);
        let correlation = mean_correlation(&all).unwrap_or(0.0);
        (stats::effective_trials(n, correlation), overfitting(&all))
    }
}

/// Names the production that a move made; by its instant where the move has no key.
pub(crate) fn move_id(step: Option<&crate::db::promotions::MoveRow>) -> Option<String> {
    let key = |step: &crate::db::promotions::MoveRow| match step.move_id {
        Some(key) => key.to_string(),
        None => step.as_of.to_rfc3339(),
    };
    step.map(key)
}

/// What trades paid by trading day.
pub(crate) fn returns_by_day(trades: &Backtest) -> DailyReturns {
    trades.days.iter().copied().zip(trades.daily_returns.iter().copied()).collect()
}

/// Mean correlation of daily returns over all pairs that have days enough in common; none where no pair has.
fn mean_correlation(all: &[&DailyReturns]) -> Option<f64> {
    let mut found = Vec::new();
    for (place, first) in all.iter().enumerate() {
        for second in &all[place + 1..] {
            let common: Vec<(f64, f64)> =
                first.iter().filter_map(|(day, ours)| Some((*ours, *second.get(day)?))).collect();
            if common.len() >= MIN_CORRELATED_DAYS {
                found.extend(correlation(&common));
            }
        }
    }
    stats::mean(&found)
}

fn correlation(pairs: &[(f64, f64)]) -> Option<f64> {
    let (first, second): (Vec<f64>, Vec<f64>) = pairs.iter().copied().unzip();
    let (a, b) = (stats::mean(&first)?, stats::mean(&second)?);
    let sum: f64 = pairs.iter().map(|(x, y)| (x - a) * (y - b)).sum();
    let spread = stats::sample_sd(&first)? * stats::sample_sd(&second)? * (pairs.len() - 1) as f64;
    (spread > 0.0).then(|| sum / spread)
}

/// What a search among versions is worth, on the days that all of those that trade have in common.
pub(crate) fn overfitting(all: &[&DailyReturns]) -> BacktestOverfitting {
    // Those that never trade tie with each other, and a choice among them overfits nothing.
    let trading: Vec<&&DailyReturns> =
        all.iter().filter(|days| days.values().any(|paid| *paid != 0.0)).collect();
    let mut days: Option<BTreeSet<NaiveDate>> = None;
    for one in &trading {
        let own: BTreeSet<NaiveDate> = one.keys().copied().collect();
        days = Some(match days {
            Some(days) => days.intersection(&own).copied().collect(),
            None => own,
        });
    }
    let days = days.unwrap_or_default();
    let row = |day: &NaiveDate| trading.iter().map(|one| one[day]).collect::<Vec<f64>>();
    let returns: Vec<f64> = days.iter().flat_map(row).collect();
    BacktestOverfitting {
        pbo: stats::overfitting(&returns, trading.len(), PBO_BLOCKS).map(|found| found.pbo),
        n_versions: trading.len(),
        n_days: days.len(),
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
    /// What was asked of the training from scratch that it goes back to.
    pub(crate) recipe: &'a Value,
    /// Its answers to what it has not seen.
    pub(crate) candidate: &'a Predictions<Unseen>,
    /// What production answered to the same samples, or to its own question on the same days; none before the first promotion.
    pub(crate) incumbent: Option<Standing<'a>>,
    /// The same samples answered by the class shares of training.
    pub(crate) class_prior: &'a Predictions<Unseen>,
    /// The same samples answered by the indicator rule.
    pub(crate) indicator: &'a Predictions<Unseen>,
    /// Share right in training.
    pub(crate) train_accuracy: Option<f64>,
    /// Share right beside training.
    pub(crate) validation_accuracy: Option<f64>,
    /// Standard error of the difference of the two.
    pub(crate) gap_error: Option<f64>,
    /// One prediction, milliseconds.
    pub(crate) latency_ms: f64,
    /// Its trades.
    pub(crate) trades: Option<&'a Backtest>,
    /// Annualised Sharpe ratio of production's trades, or of the indicator rule's where there is no production.
    pub(crate) reference_sharpe: Option<f64>,
    /// What a ranking of the line's versions said of the search among them; none: by the returns that were kept.
    pub(crate) pbo: Option<BacktestOverfitting>,
    /// When the last label of the evidence was settled.
    pub(crate) until: Option<DateTime<Utc>>,
}

/// What production answers on the days of a judgement.
pub(crate) struct Policy {
    /// The version in production now.
    row: VersionRow,
    age_days: f64,
    latency_ms: Option<f64>,
    /// Each day answered by the version that was in production that morning.
    pub(crate) predictions: Predictions<Unseen>,
    /// The answers of its own class shares to its own question, where that is another one than the candidate's.
    own_prior: Option<Predictions<Unseen>>,
    /// Days that it has no answer on.
    pub(crate) left_out: Vec<LeftOut>,
    /// Annualised Sharpe ratio of its trades.
    pub(crate) sharpe: Option<f64>,
}

/// A policy as a case refers to it.
#[derive(Clone, Copy)]
pub(crate) struct Standing<'a> {
    row: &'a VersionRow,
    predictions: &'a Predictions<Unseen>,
    own_prior: Option<&'a Predictions<Unseen>>,
    age_days: f64,
    latency_ms: Option<f64>,
}

impl Policy {
    /// For a case.
    pub(crate) fn standing(&self) -> Standing<'_> {
        let Policy { row, predictions, own_prior, age_days, latency_ms, .. } = self;
        Standing {
            row,
            predictions,
            own_prior: own_prior.as_ref(),
            age_days: *age_days,
            latency_ms: *latency_ms,
        }
    }

    /// What production answered to samples, or would have to its own question on the days of these; none where nothing is in
    /// production.
    ///
    /// # Errors
    /// Exit 4 where its own question has no samples, 7 where answers are none.
    pub(crate) fn of(
        app: &App,
        line: &LineConfig,
        cast: &mut Cast,
        material: &Material,
        asked: &[Sample],
        n_classes: usize,
    ) -> anyhow::Result<Option<Policy>> {
        let Some(row) = cast.production().cloned() else { return Ok(None) };
        let age_days = cast.age_days(&row, app.as_of);
        let latency = |cast: &mut Cast, material: &Material, samples: &[Sample]| {
            let sample = samples.last()?;
            let actor = cast.actor(row.version).ok()?;
            Some(latency_ms(&actor.predictor, material, sample.row))
        };
        // One that cannot be loaded is asked all the same: its days are left out, with the reason.
        let own = cast.own_line(row.version, line).unwrap_or_else(|_| line.clone());
        if own.label == material.label {
            let (predictions, left_out) = cast.policy(material, asked, n_classes)?;
            let latency_ms = match material.is_of(&own) {
                true => latency(cast, material, asked),
                false => None,
            };
            let sharpe = assess::trades(material, line, asked, &predictions).figures.sharpe;
            let own_prior = None;
            return Ok(Some(Policy {
                row,
                age_days,
                latency_ms,
                predictions,
                own_prior,
                left_out,
                sharpe,
            }));
        }
        let theirs = material.asked_by(&own)?;
        let samples = theirs.samples(&own)?;
        let from = asked.first().map_or(i64::MAX, |sample| sample.decided_at_us);
        let until = asked.last().map_or(i64::MIN, |sample| sample.decided_at_us);
        let begins = samples.partition_point(|sample| sample.decided_at_us < from);
        let ends = samples.partition_point(|sample| sample.decided_at_us <= until).max(begins);
        let own_asked = &samples[begins..ends];
        let n_own = own.label.n_classes();
        let (predictions, left_out) = cast.policy(&theirs, own_asked, n_own)?;
        let prior = cast.class_shares(row.version, n_own).or_else(|| {
            let learned = settled_before(&samples, from);
            let classes: Vec<u8> = learned.iter().map(|sample| sample.class).collect();
            Some(Majority::fit(&classes, n_own)?.probabilities(1))
        });
        let prior = prior.ok_or_else(|| {
            Fault::input(format!(
                "no label of {} was settled before {}",
                row.version,
                instant(from)
            ))
        })?;
        let answers = replay::predictions(own_asked, prior.repeat(own_asked.len()), n_own);
        let own_prior = answers.map_err(Fault::integrity)?.after(SeenUntil::new(instant(from - 1)));
        let latency_ms = latency(cast, &theirs, own_asked);
        let sharpe = assess::trades(&theirs, &own, own_asked, &predictions).figures.sharpe;
        Ok(Some(Policy {
            row,
            age_days,
            latency_ms,
            predictions,
            own_prior: Some(own_prior),
            left_out,
            sharpe,
        }))
    }
}

impl<'a> Standing<'a> {
    /// The version in production, whose answers to samples were made elsewhere; none where nothing is in production.
    pub(crate) fn of(
        app: &App,
        cast: &'a Cast,
        predictions: &'a Predictions<Unseen>,
        latency_ms: Option<f64>,
    ) -> Option<Standing<'a>> {
        let row = cast.production()?;
        let age_days = cast.age_days(row, app.as_of);
        Some(Standing { row, predictions, own_prior: None, age_days, latency_ms })
    }
}

/// Asks the gate.
pub(crate) fn verdict(case: &Case<'_>, bench: &Bench, line: &LineConfig) -> Verdict {
    let per_day: Vec<f64> = bench.sharpes.iter().map(|sharpe| sharpe / 252f64.sqrt()).collect();
    let variance = stats::sample_sd(&per_day).map(|sd| sd * sd);
    let returns = case.trades.map(returns_by_day).unwrap_or_default();
    let (n_effective, searched) = bench.search(&returns);
    let sharpe = case.reference_sharpe;
    let reference = match case.incumbent {
        Some(Standing { row, predictions, own_prior: Some(class_prior), .. }) => {
            let (version, indicator) = (row.version, case.indicator);
            let other = OtherQuestion { version, predictions, class_prior, indicator, sharpe };
            Reference::OtherQuestion(other)
        }
        Some(Standing { row, predictions, age_days, latency_ms, .. }) => {
            // What is worse than the class prior keeps nothing out that is as good as that.
            let has_no_skill = bench.has_no_skill;
            Reference::Incumbent(Incumbent {
                version: row.version,
                predictions: if has_no_skill { case.class_prior } else { predictions },
                has_no_skill,
                age_days: if has_no_skill { 0.0 } else { age_days },
                sharpe,
                train_gap: train_gap(&row.metrics).filter(|_| !has_no_skill),
                latency_ms: latency_ms.filter(|_| !has_no_skill),
            })
        }
        None => Reference::Baselines(Baselines { indicator: case.indicator, sharpe }),
    };
    gate::judge(
        &Evidence {
            track: track(case.recipe, case.incumbent.map(|standing| standing.row)),
            candidate: case.candidate,
            reference,
            class_prior: case.class_prior,
            train_accuracy: case.train_accuracy,
            validation_accuracy: case.validation_accuracy,
            gap_error: case.gap_error,
            latency_ms: Some(case.latency_ms),
            n_trials: bench.n_trials + 1,
            pbo: case.pbo.unwrap_or(searched),
            budget: bench.budget,
            sharpe: case
                .trades
                .and_then(|trades| SharpeFigures::of(&trades.daily_returns, variance, n_effective)),
            until: case.until,
            move_id: bench.move_id.as_deref(),
        },
        &line.gate,
    )
}

/// Which question a candidate answers to, from its recipe and that of what is in production now.
pub(crate) fn track(recipe: &Value, production: Option<&VersionRow>) -> Track {
    gate::track(recipe, production.map(VersionRow::recipe))
}

/// Difference of training and validation accuracy of a version, where its metrics keep it.
fn train_gap(metrics: &Value) -> Option<f64> {
    let accuracy = |part: &str| metrics.get(part)?.get("accuracy").and_then(Value::as_f64);
    let kept = metrics.get(TRAIN_GAP).and_then(Value::as_f64);
    kept.or_else(|| Some((accuracy("train")? - accuracy("validation")?).abs()))
}

/// Standard error of the difference of two accuracies, from their 95 % intervals over trading days.
pub(crate) fn gap_error(train: &Figures, validation: &Figures) -> Option<f64> {
    let error = |figures: &Figures| {
        let (low, high) = figures.intervals?.accuracy;
        Some((high - low) / 2.0 / stats::normal_quantile(0.975))
    };
    Some(error(train)?.hypot(error(validation)?))
}

/// The trading days that the next training's test part should have beyond `test_days`, as the verdicts on the trainings from
/// scratch up to now ask for. `rows` are those of the line.
pub fn extra_test_days(rows: &[VersionRow], test_days: u32) -> u32 {
    let mut scratch: Vec<&VersionRow> =
        rows.iter().filter(|row| row.version.daily().is_none()).collect();
    scratch.sort_by_key(|row| (row.created_at, row.version));
    let verdict = |row: &&VersionRow| serde_json::from_value(row.gate.clone()?).ok();
    gate::extra_test_days(&scratch.iter().filter_map(verdict).collect::<Vec<Verdict>>(), test_days)
}

/// When the last label of samples was settled.
pub(crate) fn settled_at(samples: &[Sample]) -> Option<DateTime<Utc>> {
    samples.iter().map(|sample| sample.label_until_us).max().map(instant)
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

/// Judges a version anew, on every day after its data ended, or after the evidence that it was chosen by.
///
/// # Errors
/// 4 for a version or candles that are not there, 6 when another run holds the line, 7 for files that are not what was
/// published; else when the database fails.
pub fn rejudge(app: &App, request: &Request) -> anyhow::Result<GateReport> {
    let (name, _) = app.line(request.line.as_ref())?;
    loading::libtorch()?;
    let locked = match request.dry_run {
        true => None,
        false => {
            clock::check(app, &mut app.db("gate")?)?;
            Some(LockedLine::lock(&app.models(), name, request.wait, "gate")?)
        }
    };
    let (verdict, left_out) = anew(app, name, request.version, locked.as_ref())?;
    Ok(GateReport {
        line: name.clone(),
        version: request.version,
        stored: locked.is_some(),
        left_out,
        verdict,
    })
}

/// The verdict on a version against what is in production now. With the line locked it is stored, and counts as a judgement by
/// itself.
///
/// # Errors
/// As [`rejudge`].
pub(crate) fn anew(
    app: &App,
    name: &LineName,
    version: Version,
    locked: Option<&LockedLine>,
) -> anyhow::Result<(Verdict, Vec<LeftOut>)> {
    let (_, line) = app.line(Some(name))?;
    let mut db = app.db("gate")?;
    let (rows, _) = db.standing_at(name, app.as_of)?;
    let row = registry::pick(rows, name, version)?;
    let mut cast = Cast::gather(app, &mut db, name)?;
    let line = &cast.own_line(version, line).map_err(Fault::integrity)?;
    let bench = Bench::gather(app, &mut db, name, Some(version))?;
    let known_until = row
        .known_until()
        .ok_or_else(|| Fault::integrity(format!("what {version} has seen is not recorded")))?;
    let set = material::feature_set(line)?;
    let from = known_until - TimeDelta::days(i64::from(line.weekly.days));
    let candles = material::candles(app, &mut db, line, set, from)?;
    let past = PastSignals::gather(app, &mut db, line, from)?;
    let material = Material::of(candles, &past, set, line);
    cast.recall(app, &mut db, (name, line), known_until)?;
    drop(db);
    let judged = judge_since(app, line, &mut cast, &bench, &material, &row, known_until, None)?;
    if locked.is_some() {
        let mut db = app.db("gate")?;
        if let Some(trial) = judged.trial {
            db.record_trial(name, version, Uuid::now_v7(), &trial, app.as_of)?;
        }
        db.store_gate(name, version, &serde_json::to_value(&judged.verdict)?)?;
    }
    Ok((judged.verdict, judged.left_out))
}

/// A verdict with what it rests on.
pub(crate) struct Judged {
    /// The verdict.
    pub(crate) verdict: Verdict,
    /// Days without production.
    pub(crate) left_out: Vec<LeftOut>,
    /// The score behind it; none without a day.
    pub(crate) trial: Option<Trial>,
}

/// The verdict on a version by all that came after an instant, which is not before the end of its data. `line` is what the version's
/// own metadata says, and the material is of its question.
#[allow(clippy::too_many_arguments, reason = "what a verdict is made of")]
pub(crate) fn judge_since(
    app: &App,
    line: &LineConfig,
    cast: &mut Cast,
    bench: &Bench,
    material: &Material,
    row: &VersionRow,
    since: DateTime<Utc>,
    pbo: Option<BacktestOverfitting>,
) -> anyhow::Result<Judged> {
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
    let seen = SeenUntil::new(since);
    let side = |answers| -> anyhow::Result<Predictions<Unseen>> {
        Ok(replay::predictions(asked, answers, n_classes).map_err(cannot)?.after(seen))
    };
    let (class_prior, indicator) = (side(yardsticks.prior)?, side(yardsticks.indicator)?);
    let mut policy = Policy::of(app, line, cast, material, asked, n_classes)?;
    let candidate =
        cast.unseen(row.version, material, asked, n_classes).map_err(cannot)?.predictions;
    let actor = cast.actor(row.version).map_err(Fault::integrity)?;
    let latency_ms = match asked.last().or(samples.last()) {
        Some(sample) => latency_ms(&actor.predictor, material, sample.row),
        None => f64::NAN,
    };
    let trades = assess::trades(material, line, asked, &candidate);
    let reference_sharpe = match &policy {
        Some(policy) => policy.sharpe,
        None => assess::rule_trades(material, line, asked).figures.sharpe,
    };
    let accuracy = |part: &str| row.metrics.get(part)?.get("accuracy").and_then(Value::as_f64);
    let validation_accuracy = accuracy("validation");
    let kept = row.metrics.get(TRAIN_GAP).and_then(Value::as_f64);
    let train_accuracy = match (kept, validation_accuracy) {
        (Some(gap), Some(validation)) => Some(validation + gap),
        _ => accuracy("train"),
    };
    let case = Case {
        recipe: row.recipe(),
        candidate: &candidate,
        incumbent: policy.as_ref().map(Policy::standing),
        class_prior: &class_prior,
        indicator: &indicator,
        train_accuracy,
        validation_accuracy,
        gap_error: row.metrics.get(GAP_ERROR).and_then(Value::as_f64),
        latency_ms,
        trades: Some(&trades),
        reference_sharpe,
        pbo,
        until: settled_at(asked),
    };
    let verdict = verdict(&case, bench, line);
    let trial = candidate.figures().map(|figures| {
        let mut metrics = serde_json::json!(figures);
        metrics["sharpe"] = serde_json::json!(trades.figures.sharpe);
        metrics[RETURNS] = serde_json::json!(returns_by_day(&trades));
        Trial {
            track: verdict.track,
            scored_from: figures.from,
            scored_until: figures.to,
            n_samples: figures.n as u64,
            n_days: figures.n_days as u64,
            metrics,
            passed: Some(verdict.passed),
        }
    });
    let left_out =
        policy.as_mut().map_or(Vec::new(), |policy| std::mem::take(&mut policy.left_out));
    Ok(Judged { verdict, left_out, trial })
}

/// Samples whose labels were settled by an instant, in order of decision.
pub(crate) fn settled_before(samples: &[Sample], at_us: i64) -> Vec<Sample> {
    samples.iter().filter(|sample| sample.label_until_us <= at_us).copied().collect()
}

/// In words when the samples of a range begin and end.
pub(crate) fn span(samples: &[Sample]) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    Some((instant(samples.first()?.decided_at_us), instant(samples.last()?.decided_at_us)))
}
