//! `evaluate-monthly`: every live version on the days of the last month that it has not seen, ranked; the best goes through
//! the gate, production is held against what it was worth when it came, and a report says all of it.
//!
//! Gather (lock, candles, versions), decide (replay, confidence set, ranking, gate; no connection is held), commit (report
//! files, verdict, promotion, retention). Not here: the statistics (`rank`), the rules (`gate`), the page (`report`).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::{Duration, Instant},
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{
    Watch, assess,
    judge::{self, Bench, Gate, Judged, Yardsticks},
    loading,
    material::{self, Material, PastSignals},
    replay::{self, Answers, Cast},
    scheduled::{self, Ended, Job, Start},
    weekly::{self, TEST_DAYS},
};
use crate::{
    artifact,
    backtest::Backtest,
    config::{App, LineConfig},
    dataset::Sample,
    db::{training_log::TrainingType, trials::Trial},
    evaluate::{self, DayDifference, Figures, Interval, Predictions, Unseen},
    fault::Fault,
    gate::{BacktestOverfitting, Track},
    lineage::{LineName, Period, SeenUntil, Status, Version},
    market::{calendar, instant},
    notify::{self, Delivery, Letter, Mood},
    rank::{self, Degradation, Freshness, Score, SkillOfDay, Terms},
    report,
};

/// Days that a month's evaluation looks back.
const DAYS: i64 = 30;
/// Fewer unseen days than this, and a version is listed but not ranked.
const MIN_DAYS: usize = 5;
/// Of the model confidence set.
const LEVEL: f64 = 0.90;
/// Archived versions that the freshness curve asks besides the live ones: each costs a pass over the month.
const MAX_ARCHIVED: usize = 12;

/// What the operator asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The line; the only one when not given.
    pub line: Option<LineName>,
    /// How long to wait for another run.
    pub wait: Duration,
    /// Rank and show, and change nothing.
    pub dry_run: bool,
    /// Leave production as it is, whatever the gate says.
    pub no_promote: bool,
}

/// One version in the ranking.
#[derive(Debug, Clone, Serialize)]
pub struct Ranked {
    /// Which.
    pub version: Version,
    /// Where it stood before this evaluation.
    pub status: Status,
    /// From 1; none for a version that could not be ranked.
    pub rank: Option<usize>,
    /// Whether it may be the best: the model confidence set at 90 %.
    pub in_confidence_set: Option<bool>,
    /// p of the set's test for it.
    pub p: Option<f64>,
    /// Unseen trading days of the month.
    pub n_days: usize,
    /// Samples on them.
    pub n: usize,
    /// Days of the month that it had seen, which are left out.
    pub n_days_seen: usize,
    /// Of the samples, those that it answered when the candle closed; the rest are replayed.
    pub n_stored: usize,
    /// Figures on the unseen samples.
    pub figures: Option<Figures>,
    /// Log-loss saved against the class shares that were known when the month began.
    pub saved: Option<Interval>,
    /// Trades on them, after costs.
    pub trades: Option<crate::backtest::Figures>,
    /// The ranking score with its four terms.
    pub score: Option<Score>,
    /// Why it could not be ranked.
    pub why: Option<String>,
}

/// What came of it. `aifx.evaluate-monthly/1`.
#[derive(Debug, Clone, Serialize)]
pub struct MonthlyReport {
    /// The line.
    pub line: LineName,
    /// `completed`, `already-done`, `skipped` or `planned`.
    pub status: &'static str,
    /// Why nothing was done.
    pub reason: Option<String>,
    /// First and last instant that was looked at.
    pub from: Option<DateTime<Utc>>,
    /// See `from`.
    pub until: DateTime<Utc>,
    /// The ranking, best first; those that could not be ranked come last.
    pub versions: Vec<Ranked>,
    /// The best that is not production.
    pub best: Option<Version>,
    /// The gate's answer on it.
    pub gate: Gate,
    /// Whether it is production now.
    pub promoted: bool,
    /// Production against what it was worth at its promotion.
    pub degradation: Option<Degradation>,
    /// Skill against the age of versions, archived ones too.
    pub freshness: Option<Freshness>,
    /// What the report recommends.
    pub recommendation: String,
    /// Versions that were retired.
    pub retired: Vec<Version>,
    /// The report's files.
    pub files: Vec<PathBuf>,
    /// What became of the letter about it, channel by channel.
    pub sent: Vec<Delivery>,
    /// Wall time, seconds.
    pub seconds: Option<f64>,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
}

impl MonthlyReport {
    fn empty(line: &LineName, as_of: DateTime<Utc>, status: &'static str) -> Self {
        MonthlyReport {
            line: line.clone(),
            status,
            reason: None,
            from: None,
            until: as_of,
            versions: Vec::new(),
            best: None,
            gate: Gate::default(),
            promoted: false,
            degradation: None,
            freshness: None,
            recommendation: String::new(),
            retired: Vec::new(),
            files: Vec::new(),
            sent: Vec::new(),
            seconds: None,
            as_of,
        }
    }
}

/// Evaluates, ranks, reports, promotes and retires.
///
/// # Errors
/// 4 for data, 5 database, 6 lock, 7 when production is not what was published, 9 disk.
pub fn run(app: &App, request: &Request, watch: &mut dyn Watch) -> anyhow::Result<MonthlyReport> {
    let began = Instant::now();
    loading::libtorch()?;
    let (name, line) = app.line(request.line.as_ref())?;
    let period = Period::monthly(app.as_of);
    let hyperparameters =
        json!({"days": DAYS, "level": LEVEL, "gate": line.gate, "ranking": line.ranking});
    let job = Job {
        name: "monthly",
        line: name,
        period,
        training_type: TrainingType::Evaluation,
        hyperparameters: &hyperparameters,
        reason: None,
        wait: request.wait,
    };
    if request.dry_run {
        let mut month = match gather(app, name, line)? {
            Gathered::Skip(reason) => {
                let mut report = MonthlyReport::empty(name, app.as_of, "planned");
                report.reason = Some(format!("would be skipped: {reason}"));
                return Ok(report);
            }
            Gathered::Month(month) => month,
        };
        let mut report = month.rank(app, name)?.report;
        report.status = "planned";
        report.reason = Some("--dry-run: nothing was written".into());
        return Ok(report);
    }
    let locked = match scheduled::begin(app, &job, watch)? {
        Start::Go(locked) => locked,
        Start::AlreadyDone(_, _) => {
            let mut report = MonthlyReport::empty(name, app.as_of, "already-done");
            report.reason = Some(format!("{period} is done; --force runs it again"));
            return Ok(report);
        }
    };
    let mut report = scheduled::on_record(app, &job, &locked, |run| {
        let mut month = match gather(app, name, line)? {
            Gathered::Skip(reason) => {
                let mut report = MonthlyReport::empty(name, app.as_of, "skipped");
                report.reason = Some(reason.clone());
                return Ok(Ended::Skipped(report, reason));
            }
            Gathered::Month(month) => month,
        };
        let ranking = month.rank(app, name)?;
        let mut report = ranking.report.clone();
        let mut db = app.db("evaluate-monthly")?;
        for (version, trial) in &ranking.trials {
            db.record_trial(name, *version, run.run_id, trial, app.as_of)?;
        }
        if let (Some(best), Some(verdict)) = (report.best, report.gate.verdict()) {
            db.store_gate(name, best, &serde_json::to_value(verdict)?)?;
        }
        if let Some((best, until, trial)) = &ranking.chosen {
            if let Some(trial) = trial {
                db.record_trial(name, *best, Uuid::now_v7(), trial, app.as_of)?;
            }
            // Before next month ranks it: the days that it was chosen by say nothing about it any more.
            db.store_selected_until(name, *best, *until)?;
        }
        drop(db);
        if let Some(best) = report.best {
            report.promoted =
                scheduled::promote_after(app, &job, &locked, Some(best), request.no_promote)?
                    .promoted;
        }
        report.retired = super::prune::retire(app, &locked)?;
        report.recommendation = recommendation(&report, line);
        report.files = write(app, name, line, &report, &ranking)?;
        report.seconds = Some(began.elapsed().as_secs_f64());
        let outcome = report.recommendation.clone();
        Ok(Ended::Completed(report, outcome))
    })?;
    // All is done and on record, and the lock may go: what a channel does changes nothing any more.
    drop(locked);
    report.sent = tell(app, &report);
    Ok(report)
}

/// Takes the report to the configured channels.
fn tell(app: &App, report: &MonthlyReport) -> Vec<Delivery> {
    match app.channels() {
        Ok(channels) => app.letters.spend(|left| notify::send(&channels, &letter(report), left)),
        Err(fault) => vec![Delivery { channel: "mail", failed: Some(fault.to_string()) }],
    }
}

fn letter(report: &MonthlyReport) -> Letter {
    let degraded = report.degradation.as_ref().is_some_and(|found| found.is_degraded);
    let ranked = report.versions.iter().filter(|ranked| ranked.rank.is_some());
    let month = report.as_of.format("%Y-%m");
    let production = report.versions.iter().find(|ranked| ranked.status == Status::Production);
    let text = match &report.reason {
        Some(reason) => format!("{}: {reason}", report.status),
        None => report.recommendation.clone(),
    };
    let mut fields = vec![
        ("line".to_owned(), report.line.to_string()),
        ("versions ranked".to_owned(), ranked.clone().count().to_string()),
    ];
    if let Some(production) = production {
        fields.push(("production".to_owned(), described(production)));
    }
    fields.extend(
        ranked.take(3).filter_map(|one| Some((format!("rank {}", one.rank?), described(one)))),
    );
    let file = report.files.iter().find(|path| path.extension().is_some_and(|e| e == "html"));
    Letter {
        title: format!("{} {month}: {}", report.line, report.status),
        text,
        fields,
        mood: if degraded || report.status == "skipped" { Mood::Warning } else { Mood::Good },
        file: file.and_then(|path| {
            Some((path.file_name()?.to_string_lossy().into_owned(), std::fs::read(path).ok()?))
        }),
    }
}

fn described(ranked: &Ranked) -> String {
    match (&ranked.figures, ranked.score) {
        (Some(figures), Some(score)) => format!(
            "{}: accuracy {:.1} % of {} samples on {} days, score {:.3}",
            ranked.version,
            figures.accuracy * 100.0,
            ranked.n,
            ranked.n_days,
            score.total
        ),
        _ => format!("{}: {}", ranked.version, ranked.why.as_deref().unwrap_or("not ranked")),
    }
}

/// What a month has to work with.
struct Month {
    /// The line with the question of the version in production.
    line: LineConfig,
    cast: Cast,
    material: Material,
    /// Every sample that was read, in order of decision.
    samples: Vec<Sample>,
    from: DateTime<Utc>,
}

enum Gathered {
    Skip(String),
    Month(Box<Month>),
}

fn gather(app: &App, name: &LineName, line: &LineConfig) -> anyhow::Result<Gathered> {
    let mut db = app.db("evaluate-monthly")?;
    let mut cast = Cast::gather(app, &mut db, name)?;
    if cast.live().is_empty() {
        return Ok(Gathered::Skip("the line has no live version".into()));
    }
    // What answers sets the question; versions that answer another one are listed without a rank. Without production the newest does.
    let asking = cast.production().map(|row| row.version).or(cast.live().last().map(|one| one.0));
    let own = asking.and_then(|version| cast.own_line(version, line).ok());
    let line = &own.unwrap_or_else(|| line.clone());
    let set = material::feature_set(line)?;
    let from = app.as_of - TimeDelta::days(DAYS);
    let learned_from = from - TimeDelta::days(i64::from(line.weekly.days));
    let candles = material::candles(app, &mut db, line, set, learned_from)?;
    let past = PastSignals::gather(app, &mut db, line, learned_from)?;
    cast.recall(app, &mut db, (name, line), from)?;
    drop(db);
    let material = Material::of(candles, &past, set, line);
    let samples = material.samples(line)?;
    let line = line.clone();
    Ok(Gathered::Month(Box::new(Month { line, cast, material, samples, from })))
}

/// A version's month.
struct Answered {
    version: Version,
    status: Status,
    predictions: Predictions<Unseen>,
    /// Day by day against the class prior.
    saved: Vec<DayDifference>,
    /// Of the mean over days.
    interval: Option<Interval>,
    trades: Backtest,
    n_days_seen: usize,
    n_stored: usize,
}

/// The ranking with what the report's pages draw.
struct Ranking {
    report: MonthlyReport,
    trials: Vec<(Version, Trial)>,
    /// In order of rank.
    answered: Vec<Answered>,
    /// Epochs of the first, as CSV.
    history: Option<Vec<u8>>,
    /// The best, until when the days reach that it was chosen by, and the score that it was judged by.
    chosen: Option<(Version, DateTime<Utc>, Option<Trial>)>,
}

impl Month {
    fn rank(&mut self, app: &App, name: &LineName) -> anyhow::Result<Ranking> {
        let line = &self.line.clone();
        let n_classes = line.label.n_classes();
        let from_us = self.from.timestamp_micros();
        let first = self.samples.partition_point(|sample| sample.decided_at_us <= from_us);
        let asked = self.samples[first..].to_vec();
        let n_days_all = replay::by_day(&asked).len();
        let mut report = MonthlyReport::empty(name, app.as_of, "completed");
        report.from = Some(self.from);
        let prior = self.prior(line, &asked)?;
        let mut answered = Vec::new();
        let mut silent = Vec::new();
        for (version, status) in self.cast.live() {
            let nothing = |why: String| Ranked {
                version,
                status,
                rank: None,
                in_confidence_set: None,
                p: None,
                n_days: 0,
                n: 0,
                n_days_seen: n_days_all,
                n_stored: 0,
                figures: None,
                saved: None,
                trades: None,
                score: None,
                why: Some(why),
            };
            match self.cast.unseen(version, &self.material, &asked, n_classes) {
                Ok(Answers { predictions, n_stored }) if !predictions.is_empty() => {
                    // Days that it had seen are no days without trades.
                    let first = predictions.decided_at_us()[0];
                    let begins = asked.partition_point(|sample| sample.decided_at_us < first);
                    let trades =
                        assess::trades(&self.material, line, &asked[begins..], &predictions);
                    let n_days = days_of(&predictions).len();
                    let compared =
                        evaluate::compare(&predictions, &prior).map_err(Fault::integrity)?;
                    answered.push(Answered {
                        version,
                        status,
                        predictions,
                        saved: compared.days,
                        interval: compared.log_loss,
                        trades,
                        n_days_seen: n_days_all - n_days,
                        n_stored,
                    });
                }
                Ok(_) => silent.push(nothing("it has seen every day of the month".into())),
                Err(why) => silent.push(nothing(why)),
            }
        }
        report.freshness = self.freshness(&answered, &prior, &asked, n_classes)?;
        let order = self.order(line, &mut answered);
        let mut trials = Vec::new();
        for (one, placed) in answered.iter().zip(order) {
            let figures = one.predictions.figures();
            if let (Some(figures), Some((from, until))) = (&figures, span(&one.predictions)) {
                let mut metrics = json!(figures);
                metrics["sharpe"] = json!(one.trades.figures.sharpe);
                metrics[judge::RETURNS] = json!(judge::returns_by_day(&one.trades));
                trials.push((
                    one.version,
                    Trial {
                        track: Track::Refresh,
                        scored_from: from,
                        scored_until: until,
                        n_samples: figures.n as u64,
                        n_days: figures.n_days as u64,
                        metrics,
                        passed: None,
                    },
                ));
            }
            report.versions.push(Ranked {
                version: one.version,
                status: one.status,
                rank: placed.rank,
                in_confidence_set: placed.in_set,
                p: placed.p,
                n_days: figures.as_ref().map_or(0, |figures| figures.n_days),
                n: one.predictions.len(),
                n_days_seen: one.n_days_seen,
                n_stored: one.n_stored,
                figures,
                saved: one.interval,
                trades: Some(one.trades.figures.clone()),
                score: Some(placed.score),
                why: placed.why,
            });
        }
        report.versions.extend(silent);
        let production = self.cast.production().map(|row| row.version);
        let challenger = report
            .versions
            .iter()
            .find(|ranked| ranked.rank.is_some())
            .map(|ranked| ranked.version)
            .filter(|best| Some(*best) != production);
        report.best = challenger;
        let mut chosen = None;
        if let Some(best) = challenger {
            let judged = self.judge_best(app, line, best, pbo(&answered))?;
            chosen = Some((best, self.until(&asked), judged.trial));
            report.gate = Gate::from(judged.verdict);
        }
        if let Some(production) = production {
            report.degradation = self.degradation(production, &answered);
        }
        report.recommendation = recommendation(&report, line);
        let history = report
            .versions
            .first()
            .and_then(|first| self.cast.actor(first.version).ok())
            .and_then(|actor| actor.files.get(artifact::HISTORY).map(<[u8]>::to_vec));
        Ok(Ranking { report, trials, answered, history, chosen })
    }

    /// What the live versions and the newest archived ones saved by day, against their age. An archived version whose files are
    /// gone, or that answers another question, is not asked.
    fn freshness(
        &mut self,
        answered: &[Answered],
        prior: &Predictions<Unseen>,
        asked: &[Sample],
        n_classes: usize,
    ) -> anyhow::Result<Option<Freshness>> {
        let mut saved: Vec<(Version, Vec<DayDifference>)> =
            answered.iter().map(|one| (one.version, one.saved.clone())).collect();
        for version in self.cast.archived(MAX_ARCHIVED) {
            let found = self.cast.unseen(version, &self.material, asked, n_classes);
            let Ok(Answers { predictions, .. }) = found else { continue };
            let compared = evaluate::compare(&predictions, prior).map_err(Fault::integrity)?;
            saved.push((version, compared.days));
        }
        let mut days = Vec::new();
        for (number, (version, saved)) in saved.iter().enumerate() {
            let Some(seen) = self.cast.row(*version).and_then(|row| row.seen_until) else {
                continue;
            };
            days.extend(saved.iter().map(|day| SkillOfDay {
                version: number,
                day: day.day,
                age_days: (day.day - seen.date_naive()).num_days().max(0) as f64,
                skill: day.log_loss,
            }));
        }
        Ok(rank::freshness(&days))
    }

    fn judge_best(
        &mut self,
        app: &App,
        line: &LineConfig,
        best: Version,
        pbo: BacktestOverfitting,
    ) -> anyhow::Result<Judged> {
        let row = self.cast.row(best).cloned().ok_or_else(|| Fault::integrity("no row"))?;
        let since = row.known_until().unwrap_or(self.from).max(self.from);
        let mut db = app.db("evaluate-monthly")?;
        let bench = Bench::gather(app, &mut db, &row.line, Some(best))?;
        drop(db);
        let Month { cast, material, .. } = self;
        judge::judge_since(app, line, cast, &bench, material, &row, since, Some(pbo))
    }

    /// When the last label of the month's samples was settled.
    fn until(&self, asked: &[Sample]) -> DateTime<Utc> {
        judge::settled_at(asked).unwrap_or(self.from)
    }

    /// Puts the versions in order: those that may be the best first, inside and outside of the set by score.
    fn order(&self, line: &LineConfig, answered: &mut Vec<Answered>) -> Vec<Placed> {
        let days: Vec<BTreeMap<NaiveDate, f64>> =
            answered.iter().map(|one| daily_losses(&one.predictions)).collect();
        let all: BTreeSet<NaiveDate> = days.iter().flat_map(|map| map.keys().copied()).collect();
        let losses: Vec<Vec<Option<f64>>> =
            days.iter().map(|map| all.iter().map(|day| map.get(day).copied()).collect()).collect();
        let set = rank::model_confidence_set(&losses, MIN_DAYS, LEVEL, 0);
        let mut placed: Vec<Placed> = answered
            .iter()
            .enumerate()
            .map(|(index, one)| {
                let score = rank::score(&terms(&one.trades), &line.ranking);
                let member = set.member(index);
                Placed {
                    index,
                    rank: None,
                    in_set: member.map(|(in_set, _)| in_set),
                    p: member.map(|(_, p)| p),
                    score,
                    why: member.is_none().then(|| {
                        format!("unseen days: {}, where {MIN_DAYS} are needed", days[index].len())
                    }),
                }
            })
            .collect();
        placed.sort_by(|a, b| {
            b.in_set
                .cmp(&a.in_set)
                .then(b.score.total.total_cmp(&a.score.total))
                .then(b.p.unwrap_or_default().total_cmp(&a.p.unwrap_or_default()))
                .then(answered[b.index].version.cmp(&answered[a.index].version))
        });
        let mut next = 0;
        for one in &mut placed {
            if one.in_set.is_some() {
                next += 1;
                one.rank = Some(next);
            }
        }
        let mut taken: Vec<Option<Answered>> = answered.drain(..).map(Some).collect();
        answered.extend(placed.iter().filter_map(|one| taken[one.index].take()));
        placed
    }

    /// The class shares known when the month began, as answers to its samples.
    fn prior(&self, line: &LineConfig, asked: &[Sample]) -> anyhow::Result<Predictions<Unseen>> {
        let n_classes = line.label.n_classes();
        let learned = judge::settled_before(&self.samples, self.from.timestamp_micros());
        let yardsticks =
            Yardsticks::of(&self.material, &learned, asked, n_classes).ok_or_else(|| {
                Fault::input(format!("no label was settled before {}", self.from))
                    .hint("import older candles; the class prior has to be learned from something")
            })?;
        let answers = replay::predictions(asked, yardsticks.prior, n_classes);
        Ok(answers.map_err(Fault::integrity)?.after(SeenUntil::new(self.from)))
    }

    /// What production saved against the class prior on the days of the month, against its test days.
    fn degradation(&self, production: Version, answered: &[Answered]) -> Option<Degradation> {
        let row = self.cast.row(production)?;
        let stored = row.metrics.get(TEST_DAYS)?.clone();
        let then: Vec<DayDifference> = serde_json::from_value(stored).ok()?;
        let now = &answered.iter().find(|one| one.version == production)?.saved;
        // As losses, relative to the prior's: a market that became harder for everybody is no degradation.
        let losses =
            |days: &[DayDifference]| -> Vec<f64> { days.iter().map(|day| -day.log_loss).collect() };
        rank::degraded(&losses(&then), &losses(now))
    }
}

/// Where a version stands.
struct Placed {
    /// Among the versions as they came.
    index: usize,
    rank: Option<usize>,
    in_set: Option<bool>,
    p: Option<f64>,
    score: Score,
    why: Option<String>,
}

fn terms(trades: &Backtest) -> Terms {
    let figures = &trades.figures;
    Terms {
        win_rate: figures.win_rate,
        sharpe: figures.sharpe,
        avg_pnl: figures.avg_pnl,
        max_drawdown: figures.max_drawdown,
    }
}

/// Mean log-loss of each trading day, nats.
fn daily_losses(predictions: &Predictions<Unseen>) -> BTreeMap<NaiveDate, f64> {
    let mut sums: BTreeMap<NaiveDate, (f64, f64)> = BTreeMap::new();
    for (sample, day) in days_of_samples(predictions).into_iter().enumerate() {
        let (sum, n) = sums.entry(day).or_default();
        *sum += predictions.loss(sample);
        *n += 1.0;
    }
    sums.into_iter().map(|(day, (sum, n))| (day, sum / n)).collect()
}

fn days_of_samples(predictions: &Predictions<Unseen>) -> Vec<NaiveDate> {
    calendar::trading_days(predictions.decided_at_us())
}

fn days_of(predictions: &Predictions<Unseen>) -> BTreeSet<NaiveDate> {
    days_of_samples(predictions).into_iter().collect()
}

fn span(predictions: &Predictions<Unseen>) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    let at = predictions.decided_at_us();
    Some((instant(*at.first()?), instant(*at.last()?)))
}

/// Probability of backtest overfitting over the days that the versions which trade have in common, unseen by each.
fn pbo(answered: &[Answered]) -> BacktestOverfitting {
    let returns: Vec<_> = answered.iter().map(|one| judge::returns_by_day(&one.trades)).collect();
    judge::overfitting(&returns.iter().collect::<Vec<_>>())
}

fn recommendation(report: &MonthlyReport, line: &LineConfig) -> String {
    if report.promoted {
        let best = report.best.map(|best| best.to_string()).unwrap_or_default();
        return format!("nothing to do: {best} passed the gate and is production now");
    }
    if report.degradation.as_ref().is_some_and(|found| found.is_degraded) {
        return format!(
            "retrain: production is worse than at its promotion by more than chance; run aifx train-weekly --force, or look at the {} days it learns from",
            line.weekly.days
        );
    }
    match (report.best, report.gate.verdict()) {
        (Some(best), Some(verdict)) if !verdict.passed => {
            let rules: Vec<String> = verdict.refusals().map(crate::gate::Rule::title).collect();
            format!(
                "keep production: {best} ranks first, and the gate refused it by {}",
                rules.join(", ")
            )
        }
        (Some(best), _) => format!("{best} ranks first and was left in staging"),
        (None, _) => "keep production: no other version ranks above it".into(),
    }
}

fn write(
    app: &App,
    name: &LineName,
    line: &LineConfig,
    report: &MonthlyReport,
    ranking: &Ranking,
) -> anyhow::Result<Vec<PathBuf>> {
    let folder = app.home.join("reports").join("monthly");
    let stem = format!("{}-{name}", app.as_of.format("%Y-%m"));
    let first = report.versions.iter().find(|ranked| ranked.rank == Some(1));
    let page = report::MonthlyPage {
        line: name.to_string(),
        as_of: report.as_of,
        from: report.from,
        recommendation: report.recommendation.clone(),
        promoted: report.promoted,
        rows: report.versions.iter().map(row_of).collect(),
        first: first.and_then(|ranked| {
            Some(report::MonthlyFirst {
                version: ranked.version.to_string(),
                figures: ranked.figures.clone()?,
                classes: line.label.class_names().iter().map(ToString::to_string).collect(),
                history: epochs(ranking.history.as_deref().unwrap_or_default()),
            })
        }),
        trading: ranking
            .answered
            .iter()
            .take(3)
            .map(|one| report::Trading {
                name: one.version.to_string(),
                backtest: one.trades.clone(),
            })
            .collect(),
        costs: weekly::costs(&line.costs),
        verdict: report.gate.verdict().cloned(),
        judged: report.best.map(|version| version.to_string()),
        degradation: report.degradation,
        freshness: report.freshness.clone(),
        retired: report.retired.iter().map(ToString::to_string).collect(),
    };
    let mut files = Vec::new();
    for (extension, text) in
        [("md", report::monthly_markdown(&page)), ("html", report::monthly_page(&page))]
    {
        let path = folder.join(format!("{stem}.{extension}"));
        artifact::write_whole(&path, text.as_bytes())?;
        files.push(path);
    }
    Ok(files)
}

fn row_of(ranked: &Ranked) -> report::MonthlyRow {
    report::MonthlyRow {
        version: ranked.version.to_string(),
        status: ranked.status.name(),
        rank: ranked.rank,
        in_set: ranked.in_confidence_set,
        p: ranked.p,
        n: ranked.n,
        n_days: ranked.n_days,
        n_days_seen: ranked.n_days_seen,
        n_stored: ranked.n_stored,
        figures: ranked.figures.clone(),
        saved: ranked.saved,
        trades: ranked.trades.clone(),
        score: ranked.score,
        why: ranked.why.clone(),
    }
}

/// Epochs from `history.csv`; rows that are none are left out.
fn epochs(bytes: &[u8]) -> Vec<report::Epoch> {
    let mut reader = csv::Reader::from_reader(bytes);
    let parse = |row: csv::StringRecord| {
        Some(report::Epoch {
            epoch: row.get(0)?.parse().ok()?,
            train_loss: row.get(1)?.parse().ok()?,
            validation_loss: row.get(3)?.parse().ok()?,
        })
    };
    reader.records().filter_map(|row| parse(row.ok()?)).collect()
}
