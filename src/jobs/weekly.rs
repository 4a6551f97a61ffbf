//! `train-weekly`: a new model from scratch, published as the next version of its line, in staging.
//!
//! Gather (lock, run row, candles), decide (dataset, fit, figures; no connection is held), commit (files, then row).
//! The gate judges it on the test part; where it passes, it becomes production. Not here: the rules (`gate`).

mod page;

pub(super) use page::costs;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde::Serialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    Stop, Watch,
    assess::{self, Assessment},
    bets,
    checkpoint::{CheckpointFile, Head},
    joining::{self, Plan},
    judge::{self, Bench, Case, Gate, Policy},
    kept, loading,
    material::{self, Material, PastSignals},
    mixture,
    replay::{Cast, LeftOut},
    scheduled::{self, Ended, Job, Start},
    support,
};
use crate::{
    artifact::{self, VersionFiles},
    config::{App, LineConfig},
    dataset::{self, Dataset, DatasetConfig, DatasetError, Dropped, Folds, Parts, SplitConfig},
    db::{
        model_versions::Record,
        training_log::{Figures as TrainingFigures, TrainingType},
        trials::Trial,
    },
    drift::{Calibration, Reference},
    ensemble::{Place, members_of},
    evaluate::{Temperature, calibrate},
    fault::Fault,
    features::{self, FeatureSet},
    gate::{self, Verdict},
    inference::{ModelSpec, Predictor},
    labels::LabelBalance,
    lineage::{LineName, Member, Period, Status, Version},
    market::{calendar, instant},
    registry::{Candidate, LockedLine, Run},
    report,
    signal::Edge,
    train::{self, EpochRow, Fit, FitConfig, FitError, FitObserver},
};

/// Fewer samples than this in any part, and no figure means anything.
const MIN_PART: usize = 20;
/// Key of a version's metrics: its test days, each with the log-loss that it saved against the class prior.
pub(super) const TEST_DAYS: &str = "test_days";
/// Key of a version's metrics: what it answered on its test days, which later days are held against.
pub(super) const ANSWER_DAYS: &str = "answer_days";
/// The range is doubled at most this often to find enough samples: 90 days become sixteen years.
const MAX_EXTENSIONS: u32 = 6;
/// Days of the calendar that surely hold a trading day for each of theirs: five of seven, and holidays.
const CALENDAR_DAYS: f64 = 1.5;

/// What the operator asked for beyond the configuration.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The line; the only one when not given.
    pub line: Option<LineName>,
    /// Instead of `weekly.days`.
    pub days: Option<u32>,
    /// Instead of `weekly.test_days`: trading days of the test part; the range reaches back further by as many.
    pub test_days: Option<u32>,
    /// Instead of `weekly.epochs`.
    pub epochs: Option<u32>,
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
    /// Whether `--as-of` was given: then a killed run of another instant is not taken up.
    pub as_of_given: bool,
    /// Shuffle the training labels: a check of honesty, never published.
    pub shuffle_labels: bool,
    /// Something else than the schedule asks for it: the week's own run is still due.
    pub triggered: bool,
    /// Leave the version in staging even where the gate would let it through.
    pub no_promote: bool,
}

/// What came of it. The keys are a contract: `aifx.train-weekly/1`.
#[derive(Debug, Clone, Serialize)]
pub struct WeeklyReport {
    /// The line.
    pub line: LineName,
    /// The version that was made, or that was there already.
    pub version: Option<Version>,
    /// `production`, `staging`, `already-done`, `skipped`, `planned` or `checked`.
    pub status: &'static str,
    /// Why nothing was made.
    pub reason: Option<String>,
    /// Where the version is.
    pub directory: Option<PathBuf>,
    /// Samples of each part.
    pub samples: Samples,
    /// The networks that answer together as the version, in order of making; empty where its own answers alone.
    pub members: Vec<Member>,
    /// Figures on the test part, which nobody has seen.
    pub test: Value,
    /// The same of each baseline.
    pub baselines: Value,
    /// Verdict of the gate.
    pub gate: Gate,
    /// Whether it is in production now.
    pub promoted: bool,
    /// Everything that was measured.
    pub assessment: Option<Assessment>,
    /// Epochs trained, and the one whose weights were kept.
    pub epochs: Option<(u32, u32)>,
    /// Class balance of the labels that were learned from.
    pub balance: Option<LabelBalance>,
    /// What an operator should know: settings of an earlier version, short parts, labels of nearly one class, how a first version
    /// is put in.
    pub notes: Vec<String>,
    /// Wall time of the whole run, and of the training in it.
    pub seconds: Option<Seconds>,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
}

/// Wall time.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Seconds {
    /// Start to published.
    pub total: f64,
    /// Inside LibTorch.
    pub training: f64,
}

/// Samples of each part.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Samples {
    /// Learned from.
    pub train: usize,
    /// Stopped and calibrated on.
    pub validation: usize,
    /// Measured on.
    pub test: usize,
}

impl WeeklyReport {
    fn without_version(line: &LineName, as_of: DateTime<Utc>, status: &'static str) -> Self {
        WeeklyReport {
            line: line.clone(),
            version: None,
            status,
            reason: None,
            directory: None,
            samples: Samples::default(),
            members: Vec::new(),
            test: json!({}),
            baselines: json!({}),
            gate: Gate::default(),
            promoted: false,
            assessment: None,
            epochs: None,
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
    days: u32,
    /// A test part of so many trading days instead of `weekly.test_days`; the range reaches back further by as many.
    #[serde(skip_serializing_if = "Option::is_none")]
    test_days: Option<u32>,
    fit: FitConfig,
    shuffle_labels: bool,
}

impl Settings {
    /// How the samples are cut.
    fn parts(&self) -> Parts {
        match (self.line.weekly.parts(), self.test_days) {
            (Parts::Days { validation, .. }, Some(test)) => Parts::Days { validation, test },
            (parts, _) => parts,
        }
    }
}

/// Trains and publishes.
///
/// # Errors
/// 3 for configuration and device, 4 for data, 5 database, 6 lock, 7 a name that is taken, 9 disk, 130 and 143 when
/// asked to stop.
pub fn run(app: &App, request: &Request, watch: &mut dyn Watch) -> anyhow::Result<WeeklyReport> {
    let began = Instant::now();
    loading::libtorch()?;
    let (name, written) = app.line(request.line.as_ref())?;
    let kept = kept::line_of(app, name, written)?;
    let line = &kept.line;
    let set = material::feature_set(line)?;
    let settings = settings(app, line, request)?;
    let mut app = app.clone();
    let checkpoint = CheckpointFile::of(&app, name);
    let settings_sha256 = sha256_of(&settings)?;
    let resume = take_up(&mut app, request, &checkpoint, &settings_sha256, watch);
    let period = period(request, app.as_of);
    let mut hyperparameters = serde_json::to_value(&settings)?;
    if request.no_promote {
        hyperparameters["no_promote"] = true.into();
    }
    let job = Job {
        name: "weekly",
        line: name,
        period,
        training_type: TrainingType::Full,
        hyperparameters: &hyperparameters,
        reason: request.reason.as_deref(),
        wait: request.wait,
    };
    if request.dry_run || request.shuffle_labels {
        let mut report = check(&app, name, line, set, &settings, request, watch)?;
        report.notes.splice(0..0, kept.notes);
        return Ok(report);
    }
    let locked = match scheduled::begin(&app, &job, watch)? {
        Start::Go(locked) => locked,
        Start::AlreadyDone(locked, version) => {
            // That of a run that was asked for beside the schedule waits for its own next start.
            if checkpoint.read().is_some_and(|(head, _)| head.period == period.to_string()) {
                checkpoint.remove();
            }
            let after = scheduled::promote_after(&app, &job, &locked, version, request.no_promote)?;
            let mut report = WeeklyReport::without_version(name, app.as_of, "already-done");
            report.directory =
                version.map(|version| app.models().join(name.as_str()).join(version.to_string()));
            report.version = version;
            report.promoted = after.promoted;
            let why = after.why.map_or(String::new(), |why| format!("; {why}"));
            report.reason = Some(format!("{period} is done; --force runs it again{why}"));
            return Ok(report);
        }
    };
    let head = Head { period: period.to_string(), as_of: app.as_of, settings_sha256 };
    let mut report = scheduled::on_record(&app, &job, &locked, |run| {
        let mut gathered = gather(&app, line, set, &settings, watch)?;
        let (folds, dropped) = match gathered.fold(line, &settings) {
            Ok(folds) => folds,
            Err(error @ DatasetError::TooFew { .. }) => {
                let mut report = WeeklyReport::without_version(name, app.as_of, "skipped");
                report.reason = Some(error.to_string());
                return Ok(Ended::Skipped(report, error.to_string()));
            }
            Err(error) => return Err(Fault::input(error).into()),
        };
        let reference = reference(&gathered.material, &folds, set, line)?;
        let (from, _) = folds.train.window().unwrap_or_default();
        let rows = gathered.material.reference(instant(from), app.as_of);
        let calibration =
            Calibration::of(&set.names(), &rows).map(|calibration| calibration.with_domain(&rows));
        drop(rows);
        let plan = {
            let mut db = app.db("train-weekly")?;
            let rows = db.versions(Some(name))?;
            let production = rows.iter().find(|row| row.status == Status::Production);
            let recipe = recipe(&settings);
            let same = production
                .is_some_and(|row| gate::recipe_differences(&recipe, row.recipe()).is_empty());
            Plan::of(line, production, same)
        };
        // From here on only the scaled rows are needed: half of the memory goes back before the training begins.
        gathered.material.features = Vec::new();
        let of_extras: Vec<CheckpointFile> = (1..plan.n_networks())
            .map(|number| CheckpointFile::of_extra(&app, name, number))
            .collect();
        let mut observer = Observer {
            watch,
            checkpoint: Some((&checkpoint, &head)),
            failed: None,
            epochs: settings.fit.epochs,
        };
        let trained = Instant::now();
        let own = fit(&folds, line, &settings, resume.as_deref(), &mut observer)?;
        let mut extras = Vec::new();
        for (number, checkpoint) in (1u64..).zip(&of_extras) {
            observer.watch.note(&format!("network {} of {}", number + 1, plan.n_networks()));
            let bytes = checkpoint.read().filter(|(of, _)| *of == head).map(|(_, bytes)| bytes);
            let mut settings = settings.clone();
            settings.fit.seed = settings.fit.seed.wrapping_add(number);
            observer.checkpoint = Some((checkpoint, &head));
            extras.push(fit(&folds, line, &settings, bytes.as_deref(), &mut observer)?);
        }
        let training_s = trained.elapsed().as_secs_f64();
        gathered.material.features = features::compute_all(set, &gathered.material.candles);
        let report = publish(&Work {
            app: &app,
            name,
            line,
            set,
            settings: &settings,
            locked: &locked,
            run,
            gathered: &gathered,
            folds: &folds,
            dropped,
            reference: &reference,
            calibration: calibration.as_ref(),
            fit: &own,
            extras: &extras,
            plan: &plan,
            training_s,
            began,
        })?;
        checkpoint.remove();
        of_extras.iter().for_each(CheckpointFile::remove);
        Ok(Ended::Published(report))
    })?;
    let after = scheduled::promote_after(&app, &job, &locked, report.version, request.no_promote)?;
    if after.promoted {
        report.promoted = true;
        report.status = "production";
    }
    report.reason = report.reason.or(after.why);
    report.notes.splice(0..0, kept.notes);
    if let Some(version) = report.version
        && app.db("train-weekly")?.production(name)?.is_none()
    {
        report.notes.push(first_version(name, version));
    }
    Ok(report)
}

/// What puts the first version of a line in where the gate has refused it.
pub(crate) fn first_version(line: &LineName, version: Version) -> String {
    format!(
        "no version of {line} answers yet: `aifx promote {version} --line {line} --force --reason \"the first version of the line\"` puts {version} in against the gate, on the record"
    )
}

/// Candles, features and labels of one run, and the range that its samples come from.
struct Gathered {
    material: Material,
    from: DateTime<Utc>,
    /// Days that the range was extended to, where `days` held too few samples.
    extended_to_days: Option<u32>,
}

impl Gathered {
    fn fold(
        &self,
        line: &LineConfig,
        settings: &Settings,
    ) -> Result<(Folds, Dropped), DatasetError> {
        let inputs = self.material.inputs();
        let dataset = self.dataset(&inputs, line)?;
        let split = SplitConfig { parts: settings.parts(), min_part: MIN_PART };
        Ok((dataset.split(&split, line.label.class_names())?, dataset.dropped()))
    }

    fn dataset<'a>(
        &self,
        inputs: &[dataset::SeriesInput<'a>],
        line: &LineConfig,
    ) -> Result<Dataset<'a>, DatasetError> {
        dataset::build(
            inputs,
            &DatasetConfig {
                lookback: line.lookback,
                from_us: Some(self.from.timestamp_micros()),
                until_us: None,
            },
        )
    }
}

/// Reads the last `days`; where they hold fewer than `min_samples`, further back, as long as there is more.
fn gather(
    app: &App,
    line: &LineConfig,
    set: &'static FeatureSet,
    settings: &Settings,
    watch: &mut dyn Watch,
) -> anyhow::Result<Gathered> {
    let mut db = app.db("train-weekly")?;
    let mut days = settings.days;
    let mut n_candles = 0;
    for extension in 0..=MAX_EXTENSIONS {
        let from = app.as_of - TimeDelta::days(i64::from(days));
        let candles = material::candles(app, &mut db, line, set, from)?;
        for candles in &candles {
            bets::cost(line, candles)?;
        }
        let n_read = candles.iter().map(|candles| candles.len()).sum();
        let past = PastSignals::gather(app, &mut db, line, from)?;
        let material = Material::of(candles, &past, set, line);
        let extended_to_days = (extension > 0).then_some(days);
        let gathered = Gathered { material, from, extended_to_days };
        let inputs = gathered.material.inputs();
        let n_samples = gathered.dataset(&inputs, line).map_err(Fault::input)?.samples().len();
        let enough = n_samples >= settings.line.weekly.min_samples;
        let exhausted = extension > 0 && n_read == n_candles;
        if enough || exhausted || extension == MAX_EXTENSIONS {
            if let Some(days) = extended_to_days {
                watch.note(&format!(
                    "{} days hold fewer than {} samples; took {days} days, which hold {n_samples}",
                    settings.days, settings.line.weekly.min_samples,
                ));
            }
            return Ok(gathered);
        }
        n_candles = n_read;
        days = days.saturating_mul(2);
    }
    unreachable!("the last extension returns")
}

fn settings(app: &App, line: &LineConfig, request: &Request) -> anyhow::Result<Settings> {
    let weekly = &line.weekly;
    let fit = FitConfig {
        epochs: request.epochs.unwrap_or(weekly.epochs),
        batch: weekly.batch,
        lr: weekly.lr,
        patience: weekly.patience,
        plateau_patience: weekly.plateau,
        seed: request.seed.unwrap_or(app.config.seed),
        threads: app.threads(),
        device: request.device.parse().map_err(Fault::usage)?,
        ..FitConfig::default()
    };
    let more_days = request.test_days.map_or(0, |days| days.saturating_sub(weekly.test_days));
    let further = (f64::from(more_days) * CALENDAR_DAYS).ceil() as u32;
    Ok(Settings {
        line: line.clone(),
        days: request.days.unwrap_or(weekly.days).saturating_add(further),
        test_days: request.test_days,
        fit,
        shuffle_labels: request.shuffle_labels,
    })
}

fn sha256_of(settings: &Settings) -> anyhow::Result<String> {
    let bytes = serde_json::to_vec(settings)?;
    Ok(Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What a run is for: its week, or something else than the schedule.
fn period(request: &Request, as_of: DateTime<Utc>) -> Period {
    match request.triggered {
        true => Period::asked(as_of),
        false => Period::weekly(as_of),
    }
}

/// The trainer's bytes of a run of this period and these settings that did not end; its instant becomes this run's.
fn take_up(
    app: &mut App,
    request: &Request,
    checkpoint: &CheckpointFile,
    settings_sha256: &str,
    watch: &mut dyn Watch,
) -> Option<Vec<u8>> {
    let (head, bytes) = checkpoint.read()?;
    let same = head.period == period(request, app.as_of).to_string()
        && head.settings_sha256 == settings_sha256
        && (!request.as_of_given || head.as_of == app.as_of);
    if !same {
        return None;
    }
    watch.note(&format!(
        "going on from the last epoch of the run of {} that did not end",
        head.as_of
    ));
    app.as_of = head.as_of;
    Some(bytes)
}

/// What the trainer tells, told to the operator and to the disk.
struct Observer<'a> {
    watch: &'a mut dyn Watch,
    checkpoint: Option<(&'a CheckpointFile, &'a Head)>,
    /// Why the last checkpoint could not be written; training goes on without.
    failed: Option<String>,
    epochs: u32,
}

impl FitObserver for Observer<'_> {
    fn step(&mut self, done: u64, total: u64) {
        self.watch.step(done, total);
    }

    fn epoch(&mut self, row: &EpochRow, checkpoint: &[u8]) {
        let line = format!(
            "loss {:.4}  validation {:.4}  accuracy {:.1} %  lr {:.0e}  {:.1} s",
            row.train_loss,
            row.validation_loss,
            row.validation_accuracy * 100.0,
            row.lr,
            row.seconds,
        );
        self.watch.epoch(u64::from(row.epoch), u64::from(self.epochs), &line);
        let Some((file, head)) = self.checkpoint else { return };
        if let Err(error) = file.write(head, checkpoint)
            && self.failed.is_none()
        {
            let why = format!("{error:#}");
            self.watch.warn(&format!("{why}; a run that is killed will start from the beginning"));
            self.failed = Some(why);
        }
    }

    fn should_stop(&mut self) -> bool {
        self.watch.stopped().is_some()
    }
}

fn fit(
    folds: &Folds,
    line: &LineConfig,
    settings: &Settings,
    resume: Option<&[u8]>,
    observer: &mut Observer<'_>,
) -> anyhow::Result<Fit> {
    train::fit(folds, &line.model, &settings.fit, resume, observer).map_err(|error| {
        let fault = match &error {
            FitError::Stopped => {
                scheduled::stopped(observer.watch.stopped().unwrap_or(Stop::Terminate))
            }
            FitError::NoDevice(_) => Fault::config(&error).hint("use --device cpu, or auto"),
            FitError::Diverged { .. } => Fault::input(format!("diverged: {error}"))
                .hint("lower weekly.lr, or look at the candles of this range"),
            FitError::Config(_) | FitError::Weights(_) => Fault::config(&error),
        };
        anyhow::Error::from(fault).context("cannot train the model")
    })
}

/// Everything that publishing needs.
struct Work<'a> {
    app: &'a App,
    name: &'a LineName,
    line: &'a LineConfig,
    set: &'static FeatureSet,
    settings: &'a Settings,
    locked: &'a LockedLine,
    run: &'a Run,
    gathered: &'a Gathered,
    folds: &'a Folds,
    dropped: Dropped,
    reference: &'a Reference,
    calibration: Option<&'a Calibration>,
    fit: &'a Fit,
    /// Further networks of the run, from other seeds.
    extras: &'a [Fit],
    plan: &'a Plan,
    training_s: f64,
    began: Instant,
}

/// A trained model with its calibration: ready to answer.
fn predictor(
    line: &LineConfig,
    set: &'static FeatureSet,
    folds: &Folds,
    fit: &Fit,
) -> anyhow::Result<Predictor> {
    let mut spec = ModelSpec {
        feature_set: set.name.to_owned(),
        features: set.features.iter().map(|feature| feature.name.to_owned()).collect(),
        lookback: line.lookback,
        scaler: folds.scaler.clone(),
        classes: folds.classes.clone(),
        label: line.label,
        horizon_minutes: line
            .timeframes
            .iter()
            .map(|timeframe| (timeframe.name().to_owned(), timeframe.horizon().num_minutes()))
            .collect(),
        temperature: 1.0,
        architecture: line.model.clone(),
    };
    let raw = Predictor::new(spec.clone(), &fit.weights).map_err(Fault::integrity)?;
    let logits = raw.logits(&folds.windows, &folds.validation.rows());
    let Temperature(temperature) =
        calibrate(&logits, &folds.validation.classes(), folds.classes.len());
    spec.temperature = temperature;
    Ok(Predictor::new(spec, &fit.weights).map_err(Fault::integrity)?)
}

/// Measures the model, writes its files, registers it.
fn publish(work: &Work<'_>) -> anyhow::Result<WeeklyReport> {
    let Work { app, name, line, set, locked, run, gathered, folds, fit, .. } = *work;
    let predictor = predictor(line, set, folds, fit)?;
    let extras = work
        .extras
        .iter()
        .map(|fit| Ok((self::predictor(line, set, folds, fit)?, fit.weights.clone())))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let prior = class_prior(folds);
    let assessment = assess_together(work, &predictor, &extras, &prior)?;
    let mut db = app.db("train-weekly")?;
    let newest = db.versions(Some(name))?.into_iter().max_by_key(|row| row.version);
    let mut cast = Cast::gather(app, &mut db, name)?;
    mixture::bring_up_to_date(app, &mut db, (name, line), &mut cast)?;
    let bench = Bench::gather(app, &mut db, name, None)?;
    if let Some((from, _)) = judge::span(&folds.test.samples) {
        cast.recall(app, &mut db, (name, line), from)?;
    }
    let recipe = recipe(work.settings);
    // The name counts against the newest version; the question of the gate against what is in production.
    let new_recipe =
        newest.is_some_and(|row| !gate::recipe_differences(&recipe, row.recipe()).is_empty());
    let version = locked.next_version(&mut db, new_recipe)?;
    drop(db);
    let mut files = VersionFiles::new();
    let own_seen = assessment.seen_until;
    let at_us = app.as_of.timestamp_micros();
    let others = (extras.as_slice(), prior.as_slice());
    let seats =
        joining::seat(line, &mut cast, work.plan, (version, own_seen), others, &mut files, at_us)?;
    let weights = joining::weights_of(line, &cast, &seats.places, at_us);
    let (verdict, left_out) = match work.plan {
        Plan::Joins { production, .. } => {
            (admit(work, &predictor, &assessment, *production, &mut cast, &bench)?, Vec::new())
        }
        Plan::Alone | Plan::First(_) => {
            let networks: Vec<&Predictor> =
                std::iter::once(&predictor).chain(extras.iter().map(|(extra, _)| extra)).collect();
            judge(work, &networks, &assessment, &recipe, &mut cast, &bench)?
        }
    };
    let mut metrics = metrics(&assessment, recipe);
    metrics["days_without_production"] = json!(left_out);
    let edge = edge(&predictor, folds, &gathered.material);
    let sized = assess::sized_trades(
        &gathered.material,
        line,
        &folds.test.samples,
        &assessment.answers.model,
        edge.as_ref(),
    );
    metrics["account"] = json!(sized.figures);
    files.insert(artifact::MODEL, fit.weights.clone())?;
    files.insert(artifact::METRICS, pretty(&metrics)?)?;
    files.insert(artifact::HISTORY, history_csv(&fit.history))?;
    files.insert(artifact::REFERENCE, pretty(work.reference)?)?;
    // Few days cannot tell what other days are like: such a version looks at no distance.
    if let Some(support) = support::learned(folds, work.settings.fit.seed) {
        files.insert(artifact::SUPPORT, support.to_bytes())?;
    }
    if let Some(calibration) = work.calibration {
        files.insert(artifact::DRIFT, serde_json::to_vec(calibration)?)?;
    }
    let probe = probe_rows(folds);
    files.insert(artifact::PROBE, predictor.probe(&folds.windows, &probe))?;
    files.insert(artifact::TORCHSCRIPT, loading::torchscript(&predictor)?)?;
    let networks = together(&seats.places, version, work.plan, &predictor, &extras, &cast)?;
    let windows = (gathered.material.features.as_slice(), probe.as_slice());
    joining::files_together(networks, &prior, &weights, windows, &mut files)?;
    let page =
        page::version_report(work, version, (&assessment, &sized), predictor.spec(), &verdict);
    files.insert(artifact::REPORT, report::version_page(&page))?;
    let mut description = description(work, predictor.spec())?;
    description.extend(joining::description(&seats.places, &prior, own_seen, &weights));
    if let Some(Value::Object(edge)) = edge.map(serde_json::to_value).transpose()? {
        description.extend(edge);
    }
    let figures = figures(work, &assessment);
    let mut scored = metrics["test"].clone();
    scored["sharpe"] = json!(assessment.backtests.get(assess::MODEL).and_then(|f| f.sharpe));
    scored[judge::RETURNS] = json!(assessment.equity.get(assess::MODEL).map(judge::returns_by_day));
    let trial = Trial {
        track: verdict.track,
        scored_from: assessment.test.from,
        scored_until: assessment.test.to,
        n_samples: assessment.test.n as u64,
        n_days: assessment.test.n_days as u64,
        metrics: scored,
        passed: Some(verdict.passed),
    };
    let gate = Some(serde_json::to_value(&verdict)?);
    let members = seats.places.clone();
    let candidate = Candidate {
        version,
        parent: None,
        seen_until: seats.seen_until.at(),
        files,
        description,
        record: Record { metrics: metrics.clone(), gate, figures, trial: Some(trial), members },
    };
    locked.publish(&|| app.db("train-weekly"), run, candidate)?;
    let mut report = WeeklyReport::without_version(name, app.as_of, "staging");
    report.directory = Some(locked.dir().version_path(&version));
    report.version = Some(version);
    report.samples = samples(folds);
    report.members = members_of(&seats.places);
    tell_of_labels(&mut report, gathered, folds, line);
    report.test = metrics["test"].clone();
    report.baselines = metrics["baselines"].clone();
    report.assessment = Some(assessment);
    report.epochs = Some((fit.history.len() as u32, fit.best_epoch));
    report.seconds =
        Some(Seconds { total: work.began.elapsed().as_secs_f64(), training: work.training_s });
    report.gate = Gate::from(verdict);
    Ok(report)
}

/// Class shares of the training part, in the order of the classes.
fn class_prior(folds: &Folds) -> Vec<f64> {
    let counts = folds.train.class_counts(folds.classes.len());
    let n: usize = counts.iter().sum();
    counts.iter().map(|count| *count as f64 / n.max(1) as f64).collect()
}

/// What metadata.json keeps of returns: the version's own network held against its validation part, which the other networks of a
/// mixture may have learned from.
fn edge(predictor: &Predictor, folds: &Folds, material: &Material) -> Option<Edge> {
    let part = &folds.validation;
    let probabilities = predictor.probabilities(&folds.windows, &part.rows());
    let returns = material.label_returns(&part.samples);
    let days: Vec<i64> = calendar::trading_days(&part.decided_at_us())
        .iter()
        .map(|day| i64::from(day.num_days_from_ce()))
        .collect();
    Edge::fit(folds.classes.len(), &probabilities, &part.classes(), &returns, &days)
}

/// Measures the network; a first mixture is measured as a whole, with the shares that it begins with.
fn assess_together(
    work: &Work<'_>,
    predictor: &Predictor,
    extras: &[(Predictor, Vec<u8>)],
    prior: &[f64],
) -> anyhow::Result<Assessment> {
    let Work { line, gathered, folds, .. } = *work;
    let own = |rows: &[u32]| predictor.probabilities(&folds.windows, rows);
    if extras.is_empty() {
        return assess::assess(&gathered.material, folds, line, &own);
    }
    let n_classes = prior.len();
    let share = (1.0 - line.ensemble.prior) / (extras.len() + 1) as f64;
    let mixed = |rows: &[u32]| {
        let mut whole = own(rows);
        whole.iter_mut().for_each(|p| *p *= share);
        for (extra, _) in extras {
            let answers = extra.probabilities(&folds.windows, rows);
            whole.iter_mut().zip(answers).for_each(|(sum, p)| *sum += share * p);
        }
        for row in whole.chunks_mut(n_classes) {
            row.iter_mut().zip(prior).for_each(|(sum, p)| *sum += line.ensemble.prior * p);
        }
        whole
    };
    assess::assess(&gathered.material, folds, line, &mixed)
}

/// The networks of a version in the order of its places; none where its own answers alone.
fn together<'a>(
    places: &[Place],
    version: Version,
    plan: &Plan,
    own: &'a Predictor,
    extras: &'a [(Predictor, Vec<u8>)],
    cast: &'a Cast,
) -> anyhow::Result<Vec<&'a Predictor>> {
    match plan {
        Plan::Alone => Ok(Vec::new()),
        Plan::First(_) => {
            Ok(std::iter::once(own).chain(extras.iter().map(|(extra, _)| extra)).collect())
        }
        Plan::Joins { production, .. } => {
            let actor = cast.loaded(*production).map_err(Fault::integrity)?;
            let of = |place: &Place| match place.member == Member::own(version) {
                true => Ok(own),
                false => actor.network(place.member).ok_or_else(|| {
                    anyhow::Error::from(Fault::integrity(format!("{} has no model", place.member)))
                }),
            };
            places.iter().map(of).collect()
        }
    }
}

/// Whether the network may join those that answer.
fn admit(
    work: &Work<'_>,
    predictor: &Predictor,
    assessment: &Assessment,
    production: Version,
    cast: &mut Cast,
    bench: &Bench,
) -> anyhow::Result<Verdict> {
    let Work { line, gathered, folds, .. } = *work;
    let row = folds.test.samples.last().map_or(0, |sample| sample.row);
    let actor = cast.actor(production).map_err(Fault::integrity)?;
    let of = |predictor: &Predictor| judge::latency_ms(predictor, &gathered.material, row);
    let others: f64 = actor.networks().into_iter().map(of).sum();
    let joining = gate::Joining {
        network: &assessment.answers.model,
        class_prior: &assessment.answers.majority,
        replaces: None,
        latency_ms: others + of(predictor),
        against: &production.to_string(),
        n_trials: bench.n_trials() + 1,
    };
    Ok(gate::admit(&joining, &line.gate))
}

/// Holds the test part against production as it was each of those days.
fn judge(
    work: &Work<'_>,
    networks: &[&Predictor],
    assessment: &Assessment,
    recipe: &Value,
    cast: &mut Cast,
    bench: &Bench,
) -> anyhow::Result<(Verdict, Vec<LeftOut>)> {
    let Work { app, line, gathered, folds, .. } = *work;
    let (material, samples) = (&gathered.material, &folds.test.samples);
    let policy = Policy::of(app, line, cast, material, samples, folds.classes.len())?;
    let answers = &assessment.answers;
    let reference_sharpe = match &policy {
        Some(policy) => policy.sharpe,
        None => assessment.backtests.get(assess::INDICATOR).and_then(|figures| figures.sharpe),
    };
    let row = samples.last().map_or(0, |sample| sample.row);
    let case = Case {
        recipe,
        candidate: &answers.model,
        incumbent: policy.as_ref().map(Policy::standing),
        class_prior: &answers.majority,
        indicator: &answers.indicator,
        train_accuracy: Some(assessment.train.accuracy),
        validation_accuracy: Some(assessment.validation.accuracy),
        gap_error: judge::gap_error(&assessment.train, &assessment.validation),
        latency_ms: networks.iter().map(|one| judge::latency_ms(one, material, row)).sum(),
        trades: assessment.equity.get(assess::MODEL),
        reference_sharpe,
        pbo: None,
        until: judge::settled_at(samples),
    };
    let verdict = judge::verdict(&case, bench, line);
    Ok((verdict, policy.map_or(Vec::new(), |policy| policy.left_out)))
}

/// Puts the class balance into the report, and what should be known of it and of the parts.
fn tell_of_labels(
    report: &mut WeeklyReport,
    gathered: &Gathered,
    folds: &Folds,
    line: &LineConfig,
) {
    let balance = gathered.material.balance(&line.label, &folds.train.samples);
    report.notes.extend(folds.shortened.map(|shortened| shortened.to_string()));
    report.notes.extend(balance.cure());
    report.balance = Some(balance);
}

fn samples(folds: &Folds) -> Samples {
    Samples { train: folds.train.len(), validation: folds.validation.len(), test: folds.test.len() }
}

/// What the line's configuration and the flags ask of a training from scratch; what a run does by itself (a range that is
/// extended back, a longer test part), the seed and the fine-tune are not in it.
fn recipe(settings: &Settings) -> Value {
    let Settings { line, days, fit, .. } = settings;
    recipe_of(line, *days, fit.epochs)
}

/// The recipe of a training as configured.
pub(super) fn configured_recipe(line: &LineConfig) -> Value {
    recipe_of(line, line.weekly.days, line.weekly.epochs)
}

fn recipe_of(line: &LineConfig, days: u32, epochs: u32) -> Value {
    let horizon: Map<String, Value> = line
        .timeframes
        .iter()
        .map(|timeframe| (timeframe.name().to_owned(), timeframe.horizon().num_minutes().into()))
        .collect();
    let mut recipe = json!(line.weekly);
    if let Value::Object(weekly) = &mut recipe {
        weekly.remove("min_samples");
    }
    recipe["days"] = days.into();
    recipe["epochs"] = epochs.into();
    recipe["features"] = json!(line.features);
    recipe["lookback"] = json!(line.lookback);
    recipe["label"] = json!(line.label);
    recipe["horizon"] = horizon.into();
    recipe["model"] = json!(line.model);
    recipe["pairs"] = json!(line.pairs);
    recipe["timeframes"] = json!(line.timeframes);
    recipe
}

fn metrics(assessment: &Assessment, recipe: Value) -> Value {
    let mut value = json!(assessment);
    value["recipe"] = recipe;
    value[judge::TRAIN_GAP] =
        json!((assessment.train.accuracy - assessment.validation.accuracy).abs());
    value[judge::GAP_ERROR] = json!(judge::gap_error(&assessment.train, &assessment.validation));
    // What it was worth by day: production is held against this later.
    value[ANSWER_DAYS] = json!(assessment.answers.model.days());
    value[TEST_DAYS] = json!(assessment.comparisons.get(assess::MAJORITY).map(|found| &found.days));
    value
}

fn pretty(value: &impl Serialize) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Epochs as CSV.
pub(super) fn history_csv(history: &[EpochRow]) -> Vec<u8> {
    let mut text = String::from(
        "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,lr,seconds\n",
    );
    for row in history {
        text.push_str(&format!(
            "{},{},{},{},{},{},{:.3}\n",
            row.epoch,
            row.train_loss,
            row.train_accuracy,
            row.validation_loss,
            row.validation_accuracy,
            row.lr,
            row.seconds,
        ));
    }
    text.into_bytes()
}

/// What the features looked like over the rows that training windows cover.
fn reference(
    material: &Material,
    folds: &Folds,
    set: &FeatureSet,
    line: &LineConfig,
) -> anyhow::Result<Reference> {
    let n_rows: usize = material.candles.iter().map(|candles| candles.len()).sum();
    let covered = folds.train.covered_rows(line.lookback, n_rows);
    let names = set.names();
    let columns: Vec<Vec<f64>> = (0..names.len())
        .map(|feature| {
            let values =
                material.features.iter().flat_map(|features| features.columns[feature].iter());
            values.zip(&covered).filter(|(_, covered)| **covered).map(|(value, _)| *value).collect()
        })
        .collect();
    Reference::of(&names, &columns).ok_or_else(|| Fault::input("the training part is empty").into())
}

/// A few windows of the test part, spread over it.
fn probe_rows(folds: &Folds) -> Vec<u32> {
    let rows = folds.test.rows();
    let step = rows.len().div_ceil(8).max(1);
    rows.into_iter().step_by(step).collect()
}

/// What `metadata.json` says beyond its head: all that is needed to use the model without aifx.
fn description(work: &Work<'_>, spec: &ModelSpec) -> anyhow::Result<Map<String, Value>> {
    let Work { app, line, settings, gathered, folds, .. } = *work;
    let (from, _) = folds.train.window().unwrap_or_default();
    let mut fields = loading::description(spec)?;
    let more = json!({
        "pairs": line.pairs,
        "timeframes": line.timeframes,
        "data": {
            "from": instant(from),
            "until": app.as_of,
            "extended_to_days": gathered.extended_to_days,
            "sha256": folds.sha256,
            "samples": samples(folds),
            "purged": folds.purged,
            "shortened": folds.shortened,
            "dropped": work.dropped,
            "gaps": gathered.material.gaps().len(),
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

fn figures(work: &Work<'_>, assessment: &Assessment) -> TrainingFigures {
    let Work { app, line, gathered, folds, fit, training_s, .. } = *work;
    let count = |n: usize| i64::try_from(n).ok();
    TrainingFigures {
        data_from: folds.train.window().map(|(from, _)| instant(from)),
        data_until: Some(app.as_of),
        n_train: count(folds.train.len()),
        n_validation: count(folds.validation.len()),
        n_test: count(folds.test.len()),
        n_epochs: i32::try_from(fit.history.len()).ok(),
        train_loss: Some(assessment.train.log_loss),
        validation_loss: Some(assessment.validation.log_loss),
        test_loss: Some(assessment.test.log_loss),
        train_accuracy: Some(assessment.train.accuracy),
        validation_accuracy: Some(assessment.validation.accuracy),
        test_accuracy: Some(assessment.test.accuracy),
        backtest: Some(json!(assessment.backtests)),
        training_s: Some(training_s),
        class_balance: Some(gathered.material.balance(&line.label, &folds.train.samples)),
    }
}

/// Everything but the record and the publication: for `--dry-run`, which trains nothing, and for the check with
/// shuffled labels, which trains and says what that scored.
fn check(
    app: &App,
    name: &LineName,
    line: &LineConfig,
    set: &'static FeatureSet,
    settings: &Settings,
    request: &Request,
    watch: &mut dyn Watch,
) -> anyhow::Result<WeeklyReport> {
    let gathered = gather(app, line, set, settings, watch)?;
    let (mut folds, _) = gathered.fold(line, settings).map_err(Fault::input)?;
    let status = if request.dry_run { "planned" } else { "checked" };
    let mut report = WeeklyReport::without_version(name, app.as_of, status);
    report.samples = samples(&folds);
    tell_of_labels(&mut report, &gathered, &folds, line);
    if request.dry_run {
        report.reason = Some("--dry-run: nothing was trained or written".into());
        return Ok(report);
    }
    folds.train.shuffle_labels(settings.fit.seed);
    let mut observer =
        Observer { watch, checkpoint: None, failed: None, epochs: settings.fit.epochs };
    let fit = fit(&folds, line, settings, None, &mut observer)?;
    let predictor = predictor(line, set, &folds, &fit)?;
    let assessment = assess::assess(&gathered.material, &folds, line, &|rows| {
        predictor.probabilities(&folds.windows, rows)
    })?;
    let metrics = metrics(&assessment, Value::Null);
    report.reason =
        Some("trained on shuffled labels: a check of honesty, nothing was published".into());
    report.test = metrics["test"].clone();
    report.baselines = metrics["baselines"].clone();
    report.assessment = Some(assessment);
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A killed training is taken up by a run of the same period, and a triggered one has a period of its own.
    #[test]
    fn a_triggered_training_is_no_run_of_the_week() {
        let at: DateTime<Utc> = "2025-10-21T03:00:00Z".parse().expect("an instant");
        let of = |triggered| period(&Request { triggered, ..Request::default() }, at).to_string();
        assert_eq!(of(true), "asked:2025-10-21");
        assert_eq!(of(false), Period::weekly(at).to_string());
        assert_ne!(of(true), of(false));
    }
}
