//! `train-daily`: refreshes production with what the last day has taught, when a rehearsal says that this helps.
//!
//! The samples are those whose labels settled within the last `daily.hours`: night after night each sample is learned once.
//! The rehearsal repeats the same step for each of the last mornings: the version that was in production then, fine-tuned
//! on what was known then, answers the day that followed, beside that version untouched. Neither had seen the day, so the
//! pooled result says whether fine-tuning as practised helps. Not here: the rules (`gate`), learning itself (`train`).

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{
    Stop, Watch, assess, joining,
    judge::{self, Bench, Case, Gate, Standing, Yardsticks},
    loading,
    material::{self, Material, PastSignals},
    replay::{self, Actor, Cast},
    scheduled::{self, Ended, Job, Start},
    weekly::{ANSWER_DAYS, TEST_DAYS},
};
use crate::{
    artifact::{self, Metadata, VersionFiles},
    config::{App, LineConfig},
    dataset::Sample,
    db::{
        Db,
        model_versions::Record,
        training_log::{Figures as TrainingFigures, TrainingType},
        trials::Trial,
    },
    drift::Reference,
    evaluate::{self, Comparison, Figures, Predictions, Unseen},
    fault::Fault,
    features::Features,
    gate::{self, Preset, Verdict},
    inference::Predictor,
    labels::{LabelBalance, LabelRule},
    lineage::{LineName, Member, Period, SeenUntil, Version},
    market::{Candles, Pair, instant},
    registry::Candidate,
    report, stats,
    train::{self, EpochRow, Fit, FitConfig, FitError, FitObserver},
};

/// The feature whose size says how wild the market is.
const VOLATILITY: &str = "volatility_60";

/// What the operator asked for beyond the configuration.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The line; the only one when not given.
    pub line: Option<LineName>,
    /// Instead of `daily.epochs`.
    pub epochs: Option<u32>,
    /// Instead of `daily.hours`.
    pub hours: Option<u32>,
    /// Instead of `daily.min_samples`.
    pub min_samples: Option<usize>,
    /// Instead of `daily.rehearse_days`.
    pub rehearse_days: Option<u32>,
    /// Instead of `seed`.
    pub seed: Option<u64>,
    /// `auto`, `cpu`, `cuda:N`.
    pub device: String,
    /// Why it is asked for, for the record.
    pub reason: Option<String>,
    /// How long to wait for another run.
    pub wait: Duration,
    /// Say what would be done, and do not.
    pub dry_run: bool,
    /// Leave the version in staging even where the gate would let it through.
    pub no_promote: bool,
}

/// What came of it. The keys are a contract: `aifx.train-daily/1`.
#[derive(Debug, Clone, Serialize)]
pub struct DailyReport {
    /// The line.
    pub line: LineName,
    /// The version that was made, or that was there already.
    pub version: Option<Version>,
    /// What it was fine-tuned from.
    pub parent: Option<Version>,
    /// `production`, `staging`, `already-done`, `skipped` or `planned`.
    pub status: &'static str,
    /// Why nothing was made.
    pub reason: Option<String>,
    /// Where the version is.
    pub directory: Option<PathBuf>,
    /// Samples learned from, none, and rehearsed.
    pub samples: Samples,
    /// Figures of the rehearsed fine-tunes on the days that followed them.
    pub test: Value,
    /// The same days answered by production untouched and by the baselines.
    pub baselines: Value,
    /// Verdict of the gate.
    pub gate: Gate,
    /// Whether it is in production now.
    pub promoted: bool,
    /// Every morning, rehearsed or left out.
    pub mornings: Vec<Morning>,
    /// Class balance of the labels of the days that were read.
    pub balance: Option<LabelBalance>,
    /// What an operator should know: labels of nearly one class, and what would balance them.
    pub notes: Vec<String>,
    /// Wall time of the whole run, of the fine-tune, of the rehearsal, in seconds.
    pub seconds: Option<Seconds>,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
}

/// Samples of each part; a fine-tune has no validation of its own.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Samples {
    /// Learned from.
    pub train: usize,
    /// 0.
    pub validation: usize,
    /// Rehearsed on.
    pub test: usize,
}

/// Wall time.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Seconds {
    /// Start to published.
    pub total: f64,
    /// The fine-tune alone.
    pub training: f64,
    /// The rehearsal.
    pub rehearsal: f64,
}

/// One morning of the rehearsal.
#[derive(Debug, Clone, Serialize)]
pub struct Morning {
    /// When the fine-tune would have run.
    pub at: DateTime<Utc>,
    /// What was in production then.
    pub production: Option<Version>,
    /// Samples learned from.
    pub n_learned: usize,
    /// Samples of the day that followed.
    pub n_answered: usize,
    /// Log-loss of production less that of its fine-tune over that day, nats: positive where the fine-tune is better.
    pub saved: Option<f64>,
    /// Why it was left out.
    pub left_out: Option<String>,
}

impl DailyReport {
    fn without_version(line: &LineName, as_of: DateTime<Utc>, status: &'static str) -> Self {
        DailyReport {
            line: line.clone(),
            version: None,
            parent: None,
            status,
            reason: None,
            directory: None,
            samples: Samples::default(),
            test: json!({}),
            baselines: json!({}),
            gate: Gate::default(),
            promoted: false,
            mornings: Vec::new(),
            balance: None,
            notes: Vec::new(),
            seconds: None,
            as_of,
        }
    }
}

/// The settings of one run, after flags.
#[derive(Debug, Clone, Serialize)]
struct Settings {
    line: LineConfig,
    hours: u32,
    min_samples: usize,
    rehearse_days: u32,
    fit: FitConfig,
}

/// Fine-tunes, rehearses, publishes, and promotes what the rehearsal speaks for.
///
/// # Errors
/// 3 for configuration and device, 4 for data, 5 database, 6 lock, 7 when production is not what was published, 9 disk,
/// 130 and 143 when asked to stop.
pub fn run(app: &App, request: &Request, watch: &mut dyn Watch) -> anyhow::Result<DailyReport> {
    let began = Instant::now();
    loading::libtorch()?;
    let (name, line) = app.line(request.line.as_ref())?;
    let settings = settings(app, line, request)?;
    let mut hyperparameters = serde_json::to_value(&settings)?;
    if request.no_promote {
        hyperparameters["no_promote"] = true.into();
    }
    let period = Period::daily(app.as_of);
    let job = Job {
        name: "daily",
        line: name,
        period,
        training_type: TrainingType::Incremental,
        hyperparameters: &hyperparameters,
        reason: request.reason.as_deref(),
        wait: request.wait,
    };
    if request.dry_run {
        let mut report = DailyReport::without_version(name, app.as_of, "planned");
        match gather(app, name, line, &settings)? {
            Gathered::Skip(reason) => report.reason = Some(format!("would be skipped: {reason}")),
            Gathered::Night(night) => {
                report.parent = Some(night.parent);
                report.samples.train = night.learned.len();
                report.reason = Some("--dry-run: nothing was trained or written".into());
            }
        }
        return Ok(report);
    }
    let locked = match scheduled::begin(app, &job, watch)? {
        Start::Go(locked) => locked,
        Start::AlreadyDone(locked, version) => {
            let mut report = DailyReport::without_version(name, app.as_of, "already-done");
            let after = scheduled::promote_after(app, &job, &locked, version, request.no_promote)?;
            report.promoted = after.promoted;
            report.directory =
                version.map(|version| app.models().join(name.as_str()).join(version.to_string()));
            report.version = version;
            let why = after.why.map_or(String::new(), |why| format!("; {why}"));
            report.reason = Some(format!("{period} is done; --force runs it again{why}"));
            return Ok(report);
        }
    };
    let mut report = scheduled::on_record(app, &job, &locked, |run| {
        let mut night = match gather(app, name, line, &settings)? {
            Gathered::Skip(reason) => {
                let mut report = DailyReport::without_version(name, app.as_of, "skipped");
                report.reason = Some(reason.clone());
                return Ok(Ended::Skipped(report, reason));
            }
            Gathered::Night(night) => night,
        };
        let trained = Instant::now();
        let feedback = line.daily.feedback_weight;
        let weights = weights(&night.learned, &night.wrong, app.as_of, feedback);
        let parent = night.cast.actor(night.parent).map_err(Fault::integrity)?;
        let mut observer = Observer { watch, epochs: settings.fit.epochs, said: true };
        let lesson = (night.learned.as_slice(), weights.as_slice());
        let fit = fine_tune(parent, &night.material, lesson, &settings, &mut observer)?;
        let training_s = trained.elapsed().as_secs_f64();
        let rehearsed = Instant::now();
        let line = &night.line.clone();
        let rehearsal = rehearse(app, line, &mut night, &settings, observer.watch)?;
        let rehearsal_s = rehearsed.elapsed().as_secs_f64();
        let mut db = app.db("train-daily")?;
        let version = locked.next_daily(&mut db, night.parent, app.as_of.date_naive())?;
        let bench = Bench::gather(app, &mut db, name, None)?;
        drop(db);
        let work = Work { app, line, settings: &settings, night: &night, rehearsal: &rehearsal };
        let parent = night.cast.loaded(night.parent).map_err(Fault::integrity)?;
        let tuned = Predictor::new(parent.predictor.spec().clone(), &fit.weights)
            .map_err(Fault::integrity)?;
        let verdict = work.judge(&tuned, &bench)?;
        let made = work.candidate(name, version, parent, &tuned, &fit, &verdict, training_s)?;
        let mut report = DailyReport::without_version(name, app.as_of, "staging");
        report.directory = Some(locked.dir().version_path(&version));
        report.version = Some(version);
        report.parent = Some(night.parent);
        report.samples =
            Samples { train: night.learned.len(), validation: 0, test: rehearsal.tuned.len() };
        report.test = made.record.metrics["test"].clone();
        report.baselines = made.record.metrics["baselines"].clone();
        let balance = night.balance(line);
        report.notes.extend(balance.cure());
        report.balance = Some(balance);
        report.gate = Gate::from(verdict);
        report.mornings.clone_from(&rehearsal.mornings);
        locked.publish(&|| app.db("train-daily"), run, made)?;
        report.seconds = Some(Seconds {
            total: began.elapsed().as_secs_f64(),
            training: training_s,
            rehearsal: rehearsal_s,
        });
        Ok(Ended::Published(report))
    })?;
    let after = scheduled::promote_after(app, &job, &locked, report.version, request.no_promote)?;
    if after.promoted {
        report.promoted = true;
        report.status = "production";
    }
    report.reason = report.reason.or(after.why);
    Ok(report)
}

fn settings(app: &App, line: &LineConfig, request: &Request) -> anyhow::Result<Settings> {
    let daily = &line.daily;
    let fit = FitConfig {
        epochs: request.epochs.unwrap_or(daily.epochs),
        batch: daily.batch,
        lr: daily.lr,
        seed: request.seed.unwrap_or(app.config.seed),
        threads: app.threads(),
        device: request.device.parse().map_err(Fault::usage)?,
        ..FitConfig::default()
    };
    Ok(Settings {
        line: line.clone(),
        hours: request.hours.unwrap_or(daily.hours),
        min_samples: request.min_samples.unwrap_or(daily.min_samples),
        rehearse_days: request.rehearse_days.unwrap_or_else(|| rehearse_days(line)),
        fit,
    })
}

/// Mornings that a fine-tune is rehearsed on as configured. The preset `classic` asks for a Sharpe ratio, and that takes days: so
/// many of the calendar hold them, with one that is purged and a holiday.
pub fn rehearse_days(line: &LineConfig) -> u32 {
    let least = match line.gate.preset {
        Preset::Standard => 0,
        Preset::Classic => (line.gate.least_test_days() + 2).div_ceil(5) * 7,
    };
    line.daily.rehearse_days.max(least)
}

/// What a night has to work with.
struct Night {
    parent: Version,
    /// The line with the question of the parent, whatever the configuration says by now.
    line: LineConfig,
    cast: Cast,
    material: Material,
    /// Every sample of the range, in order of decision.
    samples: Vec<Sample>,
    /// Those that the parent has not seen.
    learned: Vec<Sample>,
    /// When it was known that the signal of a series on a decision was wrong; empty where wrong signals count no more.
    wrong: Wrong,
}

impl Night {
    /// How evenly the labels of the days that were read are dealt.
    fn balance(&self, line: &LineConfig) -> LabelBalance {
        self.material.balance(&line.label, &self.samples)
    }

    /// What the training from scratch was asked for that all this goes back to.
    fn recipe(&self) -> &Value {
        self.cast.row(self.parent).map_or(&Value::Null, |row| row.recipe())
    }
}

/// By series and decision of a wrong signal, when that was known, microseconds.
type Wrong = HashMap<(u32, i64), i64>;

/// How much each sample counts in a fine-tune at an instant: only what was known then makes a difference. Empty where all count
/// alike.
fn weights(samples: &[Sample], wrong: &Wrong, at: DateTime<Utc>, feedback_weight: f64) -> Vec<f32> {
    let at_us = at.timestamp_micros();
    let is_wrong = |sample: &Sample| {
        let known = wrong.get(&(sample.series, sample.decided_at_us));
        known.is_some_and(|known_us| *known_us <= at_us)
    };
    if !samples.iter().any(is_wrong) {
        return Vec::new();
    }
    let weight = |sample| if is_wrong(sample) { feedback_weight as f32 } else { 1.0 };
    samples.iter().map(weight).collect()
}

/// Wrong signals of the line on the series of the night, and when that was known.
fn wrong_signals(
    app: &App,
    db: &mut Db,
    name: &LineName,
    candles: &[Candles],
    from: DateTime<Utc>,
) -> anyhow::Result<Wrong> {
    let mut wrong = Wrong::new();
    for row in db.settled_signals(name, from, app.as_of, true)? {
        let series = candles.iter().position(|candles| {
            candles.timeframe().name() == row.timeframe
                && row.pair.parse::<Pair>().is_ok_and(|pair| pair == *candles.pair())
        });
        if let Some(series) = series.filter(|_| row.signal.lost) {
            let decided_us = candles[series].timeframe().close_at(row.signal.candle_us);
            wrong.insert((series as u32, decided_us), row.signal.closed_us);
        }
    }
    Ok(wrong)
}

enum Gathered {
    Skip(String),
    Night(Box<Night>),
}

/// Candles, samples and versions; or why tonight is skipped.
fn gather(
    app: &App,
    name: &LineName,
    line: &LineConfig,
    settings: &Settings,
) -> anyhow::Result<Gathered> {
    let mut db = app.db("train-daily")?;
    let mut cast = Cast::gather(app, &mut db, name)?;
    let Some(parent) = cast.production().map(|row| row.version) else {
        return Ok(Gathered::Skip("there is no production model to refresh".into()));
    };
    // Production that cannot be loaded is an error that somebody must see, not a night without work.
    let line = &cast.own_line(parent, line).map_err(Fault::integrity)?;
    if line.label == LabelRule::Quartile {
        let why = "the quartile rule's edges belong to a weekly training and cannot be refreshed";
        return Ok(Gathered::Skip(why.into()));
    }
    let set = material::feature_set(line)?;
    let span = TimeDelta::days(i64::from(settings.rehearse_days) + MAX_LESSON_SPAN_DAYS)
        + TimeDelta::hours(i64::from(settings.hours));
    let candles = material::candles(app, &mut db, line, set, app.as_of - span)?;
    let past = PastSignals::gather(app, &mut db, line, app.as_of - span)?;
    let wrong = if settings.line.daily.feedback_weight > 1.0 {
        wrong_signals(app, &mut db, name, &candles, app.as_of - span)?
    } else {
        Wrong::new()
    };
    drop(db);
    let material = Material::of(candles, &past, set, line);
    let samples = material.samples(line)?;
    let actor = cast.actor(parent).map_err(Fault::integrity)?;
    let seen = Some(actor.network_seen_until.at());
    let learned = lesson(&samples, app.as_of, seen, settings.hours);
    if learned.len() < settings.min_samples {
        return Ok(Gathered::Skip(format!(
            "{} labelled samples that {parent} has not seen, of {MAX_LESSON_DAYS} trading days at most, where {} are needed",
            learned.len(),
            settings.min_samples
        )));
    }
    if let Some(why) = outside(actor, &material, app.as_of, settings.hours)? {
        return Ok(Gathered::Skip(why));
    }
    let line = line.clone();
    Ok(Gathered::Night(Box::new(Night { parent, line, cast, material, samples, learned, wrong })))
}

/// A fine-tune learns from so many trading days at most.
const MAX_LESSON_DAYS: usize = 5;
/// Days of the calendar that surely hold them, with weekends and a holiday.
const MAX_LESSON_SPAN_DAYS: i64 = 12;

/// Samples whose labels were settled by `at` and that a version which has seen what was settled up to `seen` does not know, of the
/// last trading days at most. The last `hours` are learned from in any case.
fn lesson(
    samples: &[Sample],
    at: DateTime<Utc>,
    seen: Option<DateTime<Utc>>,
    hours: u32,
) -> Vec<Sample> {
    let until = at.timestamp_micros();
    let recent = (at - TimeDelta::hours(i64::from(hours))).timestamp_micros();
    let seen = seen.map_or(recent, |seen| seen.timestamp_micros().min(recent));
    let known = |sample: &&Sample| sample.label_until_us > seen && sample.label_until_us <= until;
    let known: Vec<Sample> = samples.iter().filter(known).copied().collect();
    let mut days: Vec<_> = replay::by_day(&known).into_iter().map(|(day, _)| day).collect();
    days.dedup();
    let first = days.len().checked_sub(MAX_LESSON_DAYS).map(|place| days[place]);
    let is_late = |sample: &Sample| sample.label_until_us > recent;
    let is_young = |day| first.is_none_or(|first| day >= first);
    replay::by_day(&known)
        .into_iter()
        .flat_map(|(day, of_day)| {
            of_day.iter().filter(move |sample| is_young(day) || is_late(sample)).copied()
        })
        .collect()
}

/// What a version's training knew of the market's wildness.
pub(crate) struct Support {
    version: Version,
    p999: f64,
}

/// From the reference of a version; `None` where it does not say.
///
/// # Errors
/// Exit 7 when the reference cannot be read.
pub(crate) fn support(actor: &Actor) -> anyhow::Result<Option<Support>> {
    let bytes = actor.files.require(artifact::REFERENCE)?;
    let reference: Reference = serde_json::from_slice(bytes)
        .map_err(|error| Fault::integrity(format!("reference.json: {error}")))?;
    let known = reference.features.iter().find(|feature| feature.name == VOLATILITY);
    Ok(known.map(|known| Support { version: actor.version, p999: known.p999 }))
}

impl Support {
    /// Why a market this wild is outside of it; `None` where it is not.
    fn of_volatility(&self, volatility: f64) -> Option<String> {
        (volatility > self.p999).then(|| {
            format!(
                "the market is outside the reference of {}: {VOLATILITY} is {volatility:.2e}, beyond its 99.9th \
                 percentile {:.2e}",
                self.version, self.p999
            )
        })
    }

    /// Why a candle is outside of it; `None` where it is not.
    pub(crate) fn objection(&self, features: &Features, row: usize) -> Option<String> {
        self.of_volatility(features.column(VOLATILITY)?[row])
    }
}

/// Whether the market is wilder than anything in the reference: then a day is no lesson.
fn outside(
    actor: &Actor,
    material: &Material,
    at: DateTime<Utc>,
    hours: u32,
) -> anyhow::Result<Option<String>> {
    let Some(support) = support(actor)? else { return Ok(None) };
    let from = (at - TimeDelta::hours(i64::from(hours))).timestamp_micros();
    let mut recent: Vec<f64> = Vec::new();
    for (candles, features) in material.candles.iter().zip(&material.features) {
        let Some(column) = features.column(VOLATILITY) else { continue };
        let first = candles.open_at_us().partition_point(|open| *open < from);
        recent.extend(column[first..].iter().filter(|value| value.is_finite()));
    }
    Ok(stats::median(&mut recent).and_then(|median| support.of_volatility(median)))
}

/// Tells the training's steps to the operator, where they are of interest.
struct Observer<'a> {
    watch: &'a mut dyn Watch,
    epochs: u32,
    /// The rehearsal's fine-tunes are many and short: nobody wants their epochs.
    said: bool,
}

impl FitObserver for Observer<'_> {
    fn step(&mut self, done: u64, total: u64) {
        if self.said {
            self.watch.step(done, total);
        }
    }

    fn epoch(&mut self, row: &EpochRow, _checkpoint: &[u8]) {
        if self.said {
            let line = format!("loss {:.4}  {:.1} s", row.train_loss, row.seconds);
            self.watch.epoch(u64::from(row.epoch), u64::from(self.epochs), &line);
        }
    }

    fn should_stop(&mut self) -> bool {
        self.watch.stopped().is_some()
    }
}

fn fine_tune(
    from: &Actor,
    material: &Material,
    (samples, sample_weights): (&[Sample], &[f32]),
    settings: &Settings,
    observer: &mut Observer<'_>,
) -> anyhow::Result<Fit> {
    let spec = from.predictor.spec();
    let windows = replay::windows(&from.predictor, &material.features);
    let weights = from.files.require(artifact::MODEL)?;
    let n_classes = spec.classes.len();
    let (model, fit) = (&spec.architecture, &settings.fit);
    train::fine_tune(&windows, (samples, sample_weights), model, n_classes, weights, fit, observer)
        .map_err(|error| {
            let fault = match &error {
                FitError::Stopped => {
                    scheduled::stopped(observer.watch.stopped().unwrap_or(Stop::Terminate))
                }
                FitError::NoDevice(_) => Fault::config(&error).hint("use --device cpu, or auto"),
                FitError::Diverged { .. } => {
                    Fault::input(format!("diverged: {error}")).hint("lower daily.lr")
                }
                FitError::Config(_) | FitError::Weights(_) => Fault::config(&error),
            };
            anyhow::Error::from(fault).context(format!("cannot fine-tune {}", from.version))
        })
}

/// What the rehearsal found.
struct Rehearsal {
    mornings: Vec<Morning>,
    /// Fine-tunes on the days that followed them, pooled.
    tuned: Predictions<Unseen>,
    /// Production untouched on the same samples.
    untouched: Predictions<Unseen>,
    /// Class shares known each morning, on the same samples.
    prior: Predictions<Unseen>,
    /// The indicator rule, likewise.
    indicator: Predictions<Unseen>,
    /// The samples themselves.
    samples: Vec<Sample>,
    /// Share right of the fine-tunes on what they were tuned on, pooled, less what production untouched scored better there
    /// than on the days that followed: days differ, and only what tuning added to one and not to the other is overfitting.
    learned_accuracy: Option<f64>,
}

impl Rehearsal {
    /// Share right of the fine-tunes on the days that followed them.
    fn accuracy(&self) -> Option<f64> {
        self.tuned.figures().map(|figures| figures.accuracy)
    }

    /// Difference of training and validation accuracy, as the gate measures it.
    fn train_gap(&self) -> Option<f64> {
        Some((self.learned_accuracy? - self.accuracy()?).abs())
    }
}

/// One rehearsed day, each side's answers.
struct Day {
    tuned: Predictions<Unseen>,
    untouched: Predictions<Unseen>,
    prior: Predictions<Unseen>,
    indicator: Predictions<Unseen>,
    n_learned: usize,
    /// Of the fine-tune, and of production untouched, on what the former was tuned on.
    n_right: usize,
    n_right_untouched: usize,
}

fn rehearse(
    app: &App,
    line: &LineConfig,
    night: &mut Night,
    settings: &Settings,
    watch: &mut dyn Watch,
) -> anyhow::Result<Rehearsal> {
    let n_classes = line.label.n_classes();
    let mut mornings = Vec::new();
    let mut days: Vec<Day> = Vec::new();
    let mut samples = Vec::new();
    for back in (1..=i64::from(settings.rehearse_days)).rev() {
        let at = app.as_of - TimeDelta::days(back);
        let asked = decided_within(&night.samples, at, at + TimeDelta::days(1));
        let production = night.cast.production_at(at);
        let seen = production.and_then(|version| night.cast.network_seen_until(version));
        let learned = lesson(&night.samples, at, seen, settings.hours);
        let mut morning = Morning {
            at,
            production,
            n_learned: learned.len(),
            n_answered: 0,
            saved: None,
            left_out: None,
        };
        match rehearse_day(night, settings, at, &learned, &asked, n_classes, watch)? {
            Ok(day) => {
                let compared =
                    evaluate::compare(&day.tuned, &day.untouched).map_err(Fault::integrity)?;
                let total: f64 = compared.days.iter().map(|day| day.log_loss * day.n as f64).sum();
                morning.n_answered = compared.n;
                morning.saved = (compared.n > 0).then(|| total / compared.n as f64);
                samples.extend(asked);
                days.push(day);
            }
            Err(why) => morning.left_out = Some(why),
        }
        mornings.push(morning);
    }
    let n_learned: usize = days.iter().map(|day| day.n_learned).sum();
    let share = |right: fn(&Day) -> usize| {
        (n_learned > 0).then(|| days.iter().map(right).sum::<usize>() as f64 / n_learned as f64)
    };
    let (tuned_there, untouched_there) =
        (share(|day| day.n_right), share(|day| day.n_right_untouched));
    let side = |pick: fn(&Day) -> &Predictions<Unseen>| {
        let parts: Vec<_> = days.iter().map(|day| pick(day).clone()).collect();
        replay::pooled(&parts, n_classes)
    };
    let untouched = side(|day| &day.untouched)?;
    let untouched_here = untouched.figures().map(|figures| figures.accuracy);
    let learned_accuracy = (|| Some(tuned_there? - (untouched_there? - untouched_here?)))();
    Ok(Rehearsal {
        tuned: side(|day| &day.tuned)?,
        untouched,
        prior: side(|day| &day.prior)?,
        indicator: side(|day| &day.indicator)?,
        mornings,
        samples,
        learned_accuracy,
    })
}

fn decided_within(samples: &[Sample], from: DateTime<Utc>, until: DateTime<Utc>) -> Vec<Sample> {
    let place = |at: DateTime<Utc>| {
        samples.partition_point(|sample| sample.decided_at_us <= at.timestamp_micros())
    };
    samples[place(from)..place(until)].to_vec()
}

/// Fine-tunes one morning's production and lets both answer the day. The outer error ends the run, the inner one says why
/// the morning is left out.
fn rehearse_day(
    night: &mut Night,
    settings: &Settings,
    at: DateTime<Utc>,
    learned: &[Sample],
    asked: &[Sample],
    n_classes: usize,
    watch: &mut dyn Watch,
) -> anyhow::Result<Result<Day, String>> {
    let Some(version) = night.cast.production_at(at) else {
        return Ok(Err("there was no production version".into()));
    };
    if learned.len() < settings.min_samples {
        return Ok(Err(format!(
            "{} samples to learn from where {} are needed",
            learned.len(),
            settings.min_samples
        )));
    }
    if asked.is_empty() {
        return Ok(Err("no settled sample on the day that followed".into()));
    }
    let weights = weights(learned, &night.wrong, at, settings.line.daily.feedback_weight);
    let actor = match night.cast.actor(version) {
        Ok(actor) => actor,
        Err(why) => return Ok(Err(why)),
    };
    let untouched = match actor.own_unseen(&night.material, asked, n_classes) {
        Ok(untouched) if untouched.len() == asked.len() => untouched,
        Ok(_) => return Ok(Err(format!("{version} had seen the day"))),
        Err(why) => return Ok(Err(why)),
    };
    let mut observer = Observer { watch, epochs: settings.fit.epochs, said: false };
    let lesson = (learned, weights.as_slice());
    let fit = fine_tune(actor, &night.material, lesson, settings, &mut observer)?;
    let tuned =
        Predictor::new(actor.predictor.spec().clone(), &fit.weights).map_err(Fault::integrity)?;
    let answer = |samples: &[Sample]| replay::answers(&tuned, &night.material, samples, n_classes);
    let last = learned.iter().map(|sample| sample.label_until_us).max().unwrap_or(0);
    let seen = actor.seen_until.with(SeenUntil::new(instant(last)));
    let day = || -> Result<Day, String> {
        let of = |answers| {
            replay::predictions(asked, answers, n_classes).map(|answers| answers.after(seen))
        };
        let before = judge::settled_before(&night.samples, at.timestamp_micros());
        let Yardsticks { prior, indicator } =
            Yardsticks::of(&night.material, &before, asked, n_classes)
                .ok_or("no label was settled before it")?;
        let right = |answers: Vec<f64>| -> Result<usize, String> {
            let side = replay::predictions(learned, answers, n_classes)?;
            Ok((0..side.len()).filter(|&i| side.answer(i) == side.truth()[i]).count())
        };
        Ok(Day {
            tuned: of(answer(asked)?)?,
            untouched,
            prior: of(prior)?,
            indicator: of(indicator)?,
            n_learned: learned.len(),
            n_right: right(answer(learned)?)?,
            n_right_untouched: right(actor.own_answers(&night.material, learned, n_classes)?)?,
        })
    };
    Ok(day())
}

/// Everything that judging and publishing need.
struct Work<'a> {
    app: &'a App,
    line: &'a LineConfig,
    settings: &'a Settings,
    night: &'a Night,
    rehearsal: &'a Rehearsal,
}

impl Work<'_> {
    fn judge(&self, tuned: &Predictor, bench: &Bench) -> anyhow::Result<Verdict> {
        let Work { app, line, night, rehearsal, .. } = self;
        let trades = |answers| assess::trades(&night.material, line, &rehearsal.samples, answers);
        let tuned_trades = trades(&rehearsal.tuned);
        let row = night.learned.last().map_or(0, |sample| sample.row);
        let parent = night.cast.loaded(night.parent).map_err(Fault::integrity)?;
        let latency = |predictor: &Predictor| judge::latency_ms(predictor, &night.material, row);
        if night.cast.row(night.parent).is_some_and(|row| !row.members.is_empty()) {
            let name = night.parent.to_string();
            let joining = gate::Joining {
                network: &rehearsal.tuned,
                class_prior: &rehearsal.prior,
                replaces: Some((&name, &rehearsal.untouched)),
                latency_ms: parent.networks().into_iter().map(latency).sum(),
                against: &name,
                n_trials: bench.n_trials() + 1,
            };
            return Ok(gate::admit(&joining, &line.gate));
        }
        let parent_ms = Some(latency(&parent.predictor));
        let case = Case {
            recipe: night.recipe(),
            candidate: &rehearsal.tuned,
            incumbent: Standing::of(app, &night.cast, &rehearsal.untouched, parent_ms),
            class_prior: &rehearsal.prior,
            indicator: &rehearsal.indicator,
            train_accuracy: rehearsal.learned_accuracy,
            validation_accuracy: rehearsal.accuracy(),
            gap_error: None,
            latency_ms: latency(tuned),
            trades: Some(&tuned_trades),
            reference_sharpe: trades(&rehearsal.untouched).figures.sharpe,
            pbo: None,
            until: judge::settled_at(&rehearsal.samples),
        };
        Ok(judge::verdict(&case, bench, line))
    }

    fn comparison(&self) -> anyhow::Result<Comparison> {
        let Rehearsal { tuned, untouched, .. } = self.rehearsal;
        Ok(evaluate::compare(tuned, untouched).map_err(Fault::integrity)?)
    }

    #[allow(clippy::too_many_arguments, reason = "what a version is made of")]
    fn candidate(
        &self,
        name: &LineName,
        version: Version,
        parent: &Actor,
        tuned: &Predictor,
        fit: &Fit,
        verdict: &Verdict,
        training_s: f64,
    ) -> anyhow::Result<Candidate> {
        let Work { app, settings, night, rehearsal, .. } = self;
        let figures = rehearsal.tuned.figures();
        let in_sample = self.in_sample(tuned)?;
        let comparison = self.comparison()?;
        let against_prior =
            evaluate::compare(&rehearsal.tuned, &rehearsal.prior).map_err(Fault::integrity)?;
        let trades =
            assess::trades(&night.material, self.line, &rehearsal.samples, &rehearsal.tuned);
        let metrics = json!({
            "test": figures,
            "baselines": {
                "production": rehearsal.untouched.figures(),
                assess::MAJORITY: rehearsal.prior.figures(),
                assess::INDICATOR: rehearsal.indicator.figures(),
            },
            "comparisons": {"production": comparison},
            "train": in_sample,
            "validation": {"accuracy": figures.as_ref().map(|figures| figures.accuracy)},
            "backtests": {assess::MODEL: trades.figures},
            "mornings": rehearsal.mornings,
            TEST_DAYS: against_prior.days,
            ANSWER_DAYS: rehearsal.tuned.days(),
            "recipe": night.recipe(),
            judge::TRAIN_GAP: rehearsal.train_gap(),
        });
        // What the rehearsal chose by is no training: a promotion says until when the version was selected.
        let last = night.learned.iter().map(|sample| sample.label_until_us).max().unwrap_or(0);
        let seen_until = parent.seen_until.with(SeenUntil::new(instant(last)));
        let mut files = VersionFiles::new();
        files.insert(artifact::MODEL, fit.weights.clone())?;
        files.insert(artifact::METRICS, pretty(&metrics)?)?;
        files.insert(artifact::HISTORY, history_csv(&fit.history))?;
        files.insert(artifact::REFERENCE, parent.files.require(artifact::REFERENCE)?.to_vec())?;
        for name in [artifact::SUPPORT, artifact::DRIFT] {
            if let Some(learned) = parent.files.get(name) {
                files.insert(name, learned.to_vec())?;
            }
        }
        let windows = replay::windows(tuned, &night.material.features);
        let step = night.learned.len().div_ceil(8).max(1);
        let probe: Vec<u32> = night.learned.iter().step_by(step).map(|sample| sample.row).collect();
        files.insert(artifact::PROBE, tuned.probe(&windows, &probe))?;
        files.insert(artifact::TORCHSCRIPT, loading::torchscript(tuned)?)?;
        let row = night.cast.row(parent.version);
        let members = match row {
            Some(row) => joining::seat_tuned(parent, row, version, &mut files)?,
            None => Vec::new(),
        };
        let at_us = app.as_of.timestamp_micros();
        let shares = joining::weights_of(self.line, &night.cast, &members, at_us);
        let prior = loading::class_prior(&parent.files)?.unwrap_or_default();
        let networks = members.iter().map(|place| {
            if place.member == Member::own(version) {
                Some(tuned)
            } else {
                parent.network(place.member)
            }
        });
        let networks: Vec<&Predictor> = networks.flatten().collect();
        let series = (night.material.features.as_slice(), probe.as_slice());
        joining::files_together(networks, &prior, &shares, series, &mut files)?;
        let network_seen = parent.network_seen_until.with(SeenUntil::new(instant(last)));
        let mut description = self.description(parent, tuned)?;
        description.extend(joining::description(&members, &prior, network_seen, &shares));
        // Returns were measured where the parent was validated: no night has as many days.
        if let Some(Value::Object(edge)) =
            loading::edge(&parent.files)?.map(serde_json::to_value).transpose()?
        {
            description.extend(edge);
        }
        let page = report::DailyPage {
            line: name,
            version,
            parent: parent.version,
            as_of: app.as_of,
            n_learned: night.learned.len(),
            mornings: rehearsal
                .mornings
                .iter()
                .map(|morning| report::MorningRow {
                    at: morning.at,
                    production: morning.production,
                    n_learned: morning.n_learned,
                    n_answered: morning.n_answered,
                    saved: morning.saved,
                    left_out: morning.left_out.clone(),
                })
                .collect(),
            tuned: figures.as_ref(),
            untouched: rehearsal.untouched.figures(),
            comparison: &comparison,
            verdict,
        };
        files.insert(artifact::REPORT, report::daily_page(&page))?;
        let mut scored = metrics["test"].clone();
        scored["sharpe"] = json!(trades.figures.sharpe);
        scored[judge::RETURNS] = json!(judge::returns_by_day(&trades));
        let trial = judge::span(&rehearsal.samples).map(|(from, until)| Trial {
            track: verdict.track,
            scored_from: from,
            scored_until: until,
            n_samples: rehearsal.tuned.len() as u64,
            n_days: comparison.n_days as u64,
            metrics: scored,
            passed: Some(verdict.passed),
        });
        Ok(Candidate {
            version,
            parent: Some(parent.version),
            seen_until: seen_until.at(),
            files,
            description,
            record: Record {
                members,
                gate: Some(serde_json::to_value(verdict)?),
                figures: TrainingFigures {
                    data_from: night.learned.first().map(|sample| instant(sample.decided_at_us)),
                    data_until: Some(app.as_of),
                    n_train: i64::try_from(night.learned.len()).ok(),
                    n_validation: Some(0),
                    n_test: i64::try_from(rehearsal.tuned.len()).ok(),
                    n_epochs: i32::try_from(settings.fit.epochs).ok(),
                    train_loss: in_sample.as_ref().map(|figures| figures.log_loss),
                    validation_loss: None,
                    test_loss: figures.as_ref().map(|figures| figures.log_loss),
                    train_accuracy: in_sample.as_ref().map(|figures| figures.accuracy),
                    validation_accuracy: None,
                    test_accuracy: figures.as_ref().map(|figures| figures.accuracy),
                    backtest: Some(json!(trades.figures)),
                    training_s: Some(training_s),
                    class_balance: Some(night.balance(self.line)),
                },
                metrics,
                trial,
            },
        })
    }

    fn in_sample(&self, tuned: &Predictor) -> anyhow::Result<Option<Figures>> {
        let Night { material, learned, .. } = self.night;
        let n_classes = self.line.label.n_classes();
        let answers =
            replay::answers(tuned, material, learned, n_classes).map_err(Fault::integrity)?;
        let predictions =
            replay::predictions(learned, answers, n_classes).map_err(Fault::integrity)?;
        Ok(predictions.figures_in_sample())
    }

    fn description(&self, parent: &Actor, tuned: &Predictor) -> anyhow::Result<Map<String, Value>> {
        let Work { app, line, settings, night, .. } = self;
        let mut fields = loading::description(tuned.spec())?;
        let inherited = Metadata::from_bytes(parent.files.require(artifact::METADATA)?)?;
        let more = json!({
            "pairs": line.pairs,
            "timeframes": line.timeframes,
            "data": {
                "from": night.learned.first().map(|sample| instant(sample.decided_at_us)),
                "until": app.as_of,
                "samples": {"train": night.learned.len(), "validation": 0, "test": self.rehearsal.tuned.len()},
                "parent": inherited.rest.get("data"),
            },
            "seed": settings.fit.seed,
            "fit": settings.fit,
            "config_sha256": app.config_sha256,
            "libtorch": loading::LIBTORCH,
        });
        if let Value::Object(more) = more {
            fields.extend(more);
        }
        Ok(fields)
    }
}

fn pretty(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn history_csv(history: &[EpochRow]) -> Vec<u8> {
    super::weekly::history_csv(history)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::HOUR_US;

    /// Hourly decisions whose labels settle four hours later, of the trading days of the week from Monday 2025-10-13 on.
    fn hourly(days: std::ops::RangeInclusive<u32>) -> Vec<Sample> {
        days.flat_map(|day| (0..20).map(move |hour| (day, hour)))
            .map(|(day, hour)| {
                let at = format!("2025-10-{day:02}T{hour:02}:00:00Z");
                let at: DateTime<Utc> = at.parse().expect("an instant");
                let decided_at_us = at.timestamp_micros();
                Sample {
                    row: 0,
                    series: 0,
                    class: 0,
                    window_from_us: 0,
                    decided_at_us,
                    label_until_us: decided_at_us + 4 * HOUR_US,
                }
            })
            .collect()
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    #[test]
    fn what_settles_after_a_night_is_learned_by_the_next_and_twice_by_none() {
        let samples = hourly(13..=18);
        let nights: Vec<_> = (14..=18).map(|day| at(&format!("2025-10-{day}T01:00:00Z"))).collect();
        let mut times = vec![0; samples.len()];
        for pair in nights.windows(2) {
            for learned in lesson(&samples, pair[1], Some(pair[0]), 24) {
                let place = samples.iter().position(|sample| *sample == learned).expect("there");
                times[place] += 1;
            }
        }
        let settled =
            |sample: &Sample, at: DateTime<Utc>| sample.label_until_us <= at.timestamp_micros();
        for (sample, n) in samples.iter().zip(times) {
            let within = settled(sample, nights[4]) && !settled(sample, nights[0]);
            assert_eq!(n, i32::from(within), "{}", instant(sample.decided_at_us));
        }
    }

    #[test]
    fn a_skipped_night_is_made_up_for_and_a_long_absence_is_not() {
        let samples = hourly(6..=17);
        let days = |seen: &str| {
            let learned = lesson(&samples, at("2025-10-18T01:00:00Z"), Some(at(seen)), 24);
            let days = replay::by_day(&learned).into_iter().map(|(day, _)| day.to_string());
            (days.collect::<Vec<_>>(), learned.len())
        };
        let (two, n) = days("2025-10-16T01:00:00Z");
        assert_eq!((two.len(), n), (2, 40), "{two:?}");
        let (all, _) = days("2025-10-01T00:00:00Z");
        assert_eq!(all.len(), MAX_LESSON_DAYS);
        assert_eq!(all.first().map(String::as_str), Some("2025-10-13"));
    }

    #[test]
    fn only_signals_that_were_known_to_be_wrong_count_more() {
        let sample = |series, decided_at_us| Sample {
            row: 0,
            series,
            class: 0,
            window_from_us: 0,
            decided_at_us,
            label_until_us: 0,
        };
        let samples = [sample(0, 10), sample(1, 10), sample(0, 20)];
        let wrong = Wrong::from([((0, 10), 14), ((0, 20), 30)]);
        let at = |us| DateTime::from_timestamp_micros(us).expect("an instant");
        assert_eq!(weights(&samples, &wrong, at(13), 2.0), [] as [f32; 0]);
        assert_eq!(weights(&samples, &wrong, at(14), 2.0), [2.0, 1.0, 1.0]);
        assert_eq!(weights(&samples, &wrong, at(30), 2.5), [2.5, 1.0, 2.5]);
    }
}
