//! `predict`: production answers each closed candle that its line has not answered yet, once.
//!
//! Gather (production, what was answered last, the candles that windows and warm-up need), decide (one batched forward
//! pass), commit (one transaction). No lock is needed: the unique index decides between two runs. Production that cannot
//! be loaded does not silence the line: the version before it answers, and an alert is raised.
//! Not here: what a signal is (`signal`), what became of it (`outcomes`).

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
    time::Instant,
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{
    alerts, bets, daily, loading, material, mixture,
    replay::{self, Actor, Cast},
    support,
};
use crate::{
    config::{App, LineConfig},
    db::{
        Db,
        signals::{NewKey, NewSignal},
    },
    fault::{self, Fault},
    features::{self, FeatureSet, Features},
    labels::{self, LabelRule},
    lineage::{LineName, Version},
    market::{Candles, Pair, Timeframe, calendar, instant},
    signal::{self, NoSize, OutOfSupport, Signal, Stake},
};

/// The column that levels by range are measured in.
const ATR: &str = "atr_close";

/// What the operator asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The line; the only one when not given.
    pub line: Option<LineName>,
    /// Answer and show, and change nothing.
    pub dry_run: bool,
}

/// One answer.
#[derive(Debug, Clone, Serialize)]
pub struct Answer {
    /// Key of its row, by which a fill names it; none where it was not written now.
    pub signal_id: Option<String>,
    /// The pair.
    pub pair: Pair,
    /// The timeframe.
    pub timeframe: Timeframe,
    /// Opening of the candle.
    pub candle: DateTime<Utc>,
    /// `buy`, `sell`, `hold` or `abstain`.
    pub signal: &'static str,
    /// Why there is no answer.
    pub reason: Option<String>,
    /// Distance of the window from what the version has learned from, where it can tell: 1 is the mean distance of two training rows.
    pub dissimilarity: Option<f64>,
    /// That this is beyond the version's threshold, and what became of the signal.
    pub out_of_support: Option<String>,
    /// Calibrated probability of the signal.
    pub confidence: Option<f64>,
    /// Probability of each class.
    pub probabilities: BTreeMap<String, f64>,
    /// Close of the candle.
    pub entry: f64,
    /// Price at which the position is closed at a loss.
    pub stop_loss: Option<f64>,
    /// Price at which it is closed at a gain.
    pub take_profit: Option<f64>,
    /// Share of the account; 0: a call that is scored, and no trade.
    pub size: f64,
    /// Why a buy or sell has size 0.
    pub no_size: Option<String>,
    /// Return that a buy or sell is expected to bring after costs, a share of entry; none where the version cannot tell.
    pub expected_return_net: Option<f64>,
    /// Cost of a round trip, a share of entry; none for hold and abstain.
    pub cost: Option<f64>,
    /// When it is closed whatever the price.
    pub expires: DateTime<Utc>,
    /// What each component of a mixture answered, `[n_components, n_classes]` row-major; empty for a network alone.
    #[serde(skip)]
    pub parts: Vec<f32>,
}

/// What came of it. `aifx.predict/1`.
#[derive(Debug, Clone, Serialize)]
pub struct PredictReport {
    /// The line.
    pub line: LineName,
    /// `answered`, `nothing-new`, `skipped` or `planned`.
    pub status: &'static str,
    /// Why nothing was answered.
    pub reason: Option<String>,
    /// The version that answered.
    pub version: Option<Version>,
    /// The version of the confidence line that says how sure they are; none: itself.
    pub confidence_version: Option<Version>,
    /// The answers, by series and candle.
    pub answers: Vec<Answer>,
    /// Of them, those that were not there already.
    pub n_new: usize,
    /// Versions in staging that answered the same candles, for comparison.
    pub shadows: Vec<Shadow>,
    /// What an operator should know.
    pub notes: Vec<String>,
    /// Wall time: in all, to read, to compute features, to answer, to write; seconds.
    pub seconds: Seconds,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
}

/// A version that answered beside production.
#[derive(Debug, Clone, Serialize)]
pub struct Shadow {
    /// Which.
    pub version: Version,
    /// Its answers that were not there already.
    pub n_new: usize,
}

/// Wall time of the parts.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Seconds {
    /// All of it.
    pub total: f64,
    /// Production and candles.
    pub read: f64,
    /// Features.
    pub features: f64,
    /// The forward pass.
    pub forward: f64,
    /// The transaction.
    pub write: f64,
}

/// Answers.
///
/// # Errors
/// 3 configuration, 4 data, 5 database, 7 when neither production nor the version before it can be loaded.
pub fn run(app: &App, request: &Request) -> anyhow::Result<PredictReport> {
    let began = Instant::now();
    let (name, line) = app.line(request.line.as_ref())?;
    let mut report = PredictReport {
        line: name.clone(),
        status: "skipped",
        reason: None,
        version: None,
        confidence_version: None,
        answers: Vec::new(),
        n_new: 0,
        shadows: Vec::new(),
        notes: Vec::new(),
        seconds: Seconds::default(),
        as_of: app.as_of,
    };
    if line.label == LabelRule::Outcome {
        report.reason =
            Some("this line says how sure the signals of another are; it gives none itself".into());
        return Ok(report);
    }
    let mut db = app.db("predict")?;
    let mut cast = Cast::gather(app, &mut db, name)?;
    let Some(production) = cast.production().map(|row| row.version) else {
        report.reason = Some("the line has no production version; aifx promote VERSION".into());
        return Ok(report);
    };
    let waiting = gather(app, &mut db, name, line, &mut report.notes)?;
    report.seconds.read = began.elapsed().as_secs_f64();
    if waiting.candles.is_empty() {
        report.status = "nothing-new";
        report.reason = Some("every closed candle is answered".into());
        return Ok(report);
    }
    loading::libtorch()?;
    if !request.dry_run {
        mixture::bring_up_to_date(app, &mut db, (name, line), &mut cast)?;
    }
    let version =
        who_answers(app, &mut cast, &mut db, name, production, &mut report.notes, request)?;
    let actor = cast.loaded(version).map_err(Fault::integrity)?;
    let mut second = SecondStage::gather(app, &mut db, line, &mut report.notes)?;
    let confidence = second.as_mut().and_then(|second| second.actor(&mut report.notes));
    let mut computed = Computed::new();
    let guard = bets::guard(&mut db, (name, line), app.as_of)?;
    report.notes.extend(guard.as_ref().map(|(_, why)| why.clone()));
    report.notes.extend(bets::size_note(actor, line)?);
    let guard = guard.map(|(guard, _)| guard);
    report.answers = answer(
        app,
        line,
        (actor, confidence),
        guard,
        &waiting,
        &mut computed,
        &mut report.seconds,
    )?;
    report.confidence_version = confidence.map(|actor| actor.version);
    report.version = Some(version);
    if request.dry_run {
        report.status = "planned";
        return Ok(report);
    }
    let writing = Instant::now();
    let signals = report.answers.iter().map(row_of).collect::<anyhow::Result<Vec<_>>>()?;
    let keys = db.insert_signals(name, version, &signals, false, app.as_of)?;
    report.n_new = keys.len();
    name_answers(&mut report.answers, keys);
    if let (Some(of), Some(second)) = (&line.confidence_line, report.confidence_version) {
        db.set_second_stage(name, version, of, second)?;
    }
    report.seconds.write = writing.elapsed().as_secs_f64();
    // Production has answered and is on record: what becomes of its shadows changes nothing of that. What it has replaced
    // answers beside it for as long as it is on probation.
    let replaced =
        cast.trials(app.as_of, line.probation.days).into_iter().map(|trial| trial.replaced);
    let mut shadows = cast.shadows(line.signals.shadows);
    shadows.extend(replaced.filter(|replaced| *replaced != version));
    shadows.dedup();
    for version in shadows {
        match shadow(app, &mut db, (name, line), &mut cast, version, &waiting, &mut computed) {
            Ok(n_new) => report.shadows.push(Shadow { version, n_new }),
            Err(error) if fault::is_database(&error) => return Err(error),
            Err(error) => report.notes.push(format!("shadow {version} cannot answer: {error:#}")),
        }
    }
    report.status = "answered";
    report.seconds.total = began.elapsed().as_secs_f64();
    Ok(report)
}

/// Gives the answers the keys of their rows.
fn name_answers(answers: &mut [Answer], keys: Vec<NewKey>) {
    let mut ids: HashMap<(String, String, DateTime<Utc>), String> =
        keys.into_iter().map(|key| ((key.pair, key.timeframe, key.candle_at), key.id)).collect();
    for answer in answers {
        let key = (answer.pair.to_string(), answer.timeframe.name().to_owned(), answer.candle);
        answer.signal_id = ids.remove(&key);
    }
}

/// The same candles answered by a version in staging; how many answers were new.
fn shadow(
    app: &App,
    db: &mut Db,
    (name, line): (&LineName, &LineConfig),
    cast: &mut Cast,
    version: Version,
    waiting: &Waiting,
    computed: &mut Computed,
) -> anyhow::Result<usize> {
    let actor = cast.actor(version).map_err(Fault::integrity)?;
    let answers =
        answer(app, line, (actor, None), None, waiting, computed, &mut Seconds::default())?;
    let signals = answers.iter().map(row_of).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(db.insert_signals(name, version, &signals, true, app.as_of)?.len())
}

/// The line that says how sure the signals of another are.
struct SecondStage {
    cast: Cast,
    production: Version,
    line: LineName,
}

impl SecondStage {
    /// Nothing where the line has none; a second stage without production is a note, and the first says how sure it is.
    fn gather(
        app: &App,
        db: &mut Db,
        line: &LineConfig,
        notes: &mut Vec<String>,
    ) -> anyhow::Result<Option<SecondStage>> {
        let Some(name) = &line.confidence_line else { return Ok(None) };
        let cast = Cast::gather(app, db, name)?;
        let Some(production) = cast.production().map(|row| row.version) else {
            notes.push(format!(
                "{name} has no production version yet: the first stage says how sure it is"
            ));
            return Ok(None);
        };
        Ok(Some(SecondStage { cast, production, line: name.clone() }))
    }

    fn actor(&mut self, notes: &mut Vec<String>) -> Option<&Actor> {
        match self.cast.actor(self.production) {
            Ok(actor) => Some(actor),
            Err(why) => {
                notes.push(format!(
                    "{} {} cannot answer ({why}): the first stage says how sure it is",
                    self.line, self.production
                ));
                None
            }
        }
    }
}

/// Features of the series that wait, by the name of their set.
type Computed = BTreeMap<&'static str, Vec<Features>>;

/// The series with candles that wait for an answer.
#[derive(Default)]
struct Waiting {
    candles: Vec<Candles>,
    /// Of each, the first row that waits.
    first: Vec<usize>,
}

/// The series that have something to answer, with the history that it takes. A series without candles keeps no other from
/// its answer.
fn gather(
    app: &App,
    db: &mut Db,
    name: &LineName,
    line: &LineConfig,
    notes: &mut Vec<String>,
) -> anyhow::Result<Waiting> {
    let set = material::feature_set(line)?;
    let oldest = app.as_of - TimeDelta::hours(i64::from(line.signals.catch_up_hours));
    let answered: BTreeMap<(String, String), DateTime<Utc>> = db
        .last_answers(name)?
        .into_iter()
        .map(|(pair, timeframe, at)| ((pair, timeframe), at))
        .collect();
    let mut waiting = Waiting::default();
    for &timeframe in &line.timeframes {
        for pair in &line.pairs {
            let key = (pair.to_string(), timeframe.name().to_owned());
            let last_us = answered.get(&key).map_or(i64::MIN, DateTime::timestamp_micros);
            let history = material::history(timeframe, set.warm_up + line.lookback);
            let range = app.candle_range(oldest - history);
            let candles = match db.candles(pair, timeframe, range) {
                Ok(candles) if candles.is_empty() => {
                    notes.push(format!("{pair} {timeframe} has no candles"));
                    continue;
                }
                Ok(candles) => candles,
                // One bad row stops its own series only.
                Err(error) if fault::is_input(&error) => {
                    notes.push(format!("{error:#}"));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let oldest_us = oldest.timestamp_micros();
            let first = (0..candles.len())
                .rev()
                .take_while(|row| {
                    candles.open_at_us()[*row] > last_us && candles.close_at_us(*row) > oldest_us
                })
                .last();
            if let Some(first) = first {
                waiting.candles.push(candles);
                waiting.first.push(first);
            }
        }
    }
    Ok(waiting)
}

/// Production, or where it cannot be loaded what it replaced.
fn who_answers(
    app: &App,
    cast: &mut Cast,
    db: &mut Db,
    name: &LineName,
    production: Version,
    notes: &mut Vec<String>,
    request: &Request,
) -> anyhow::Result<Version> {
    let cause = format!("production-unusable:{name}");
    let why = match cast.actor(production) {
        Ok(_) => {
            if !request.dry_run {
                notes.extend(alerts::resolve(app, db, name, &cause)?);
            }
            return Ok(production);
        }
        Err(why) => why,
    };
    let before = cast.replaced_by(production).filter(|version| cast.actor(*version).is_ok());
    let message = match before {
        Some(version) => format!("{production} cannot answer ({why}); {version} answers instead"),
        None => format!("{production} cannot answer ({why}), and no version before it can"),
    };
    if !request.dry_run {
        notes.extend(alerts::raise(app, db, name, &cause, &message)?);
    }
    match before {
        Some(version) => {
            notes.push(message);
            Ok(version)
        }
        None => Err(Fault::integrity(message)
            .hint("aifx doctor says what is wrong; aifx rollback")
            .into()),
    }
}

/// A version's answers, as sure as the second stage says where there is one.
fn answer(
    app: &App,
    line: &LineConfig,
    (actor, second): (&Actor, Option<&Actor>),
    guard: Option<NoSize>,
    waiting: &Waiting,
    computed: &mut Computed,
    seconds: &mut Seconds,
) -> anyhow::Result<Vec<Answer>> {
    let computing = Instant::now();
    for actor in second.into_iter().chain([actor]) {
        let set = feature_set(actor)?;
        computed.entry(set.name).or_insert_with(|| features::compute_all(set, &waiting.candles));
    }
    seconds.features = computing.elapsed().as_secs_f64();
    let forward = Instant::now();
    let Probabilities { asked, whole: probabilities, parts } = ask(actor, waiting, computed)?;
    let wins: Vec<Option<f64>> = match second {
        None => vec![None; asked.len()],
        Some(second) => {
            let win = second.predictor.spec().classes.iter().position(|class| class == "win");
            let place = win.ok_or_else(|| Fault::integrity("the second stage has no class win"))?;
            ask(second, waiting, computed)?.whole.iter().map(|p| Some(p.as_ref()?[place])).collect()
        }
    };
    seconds.forward = forward.elapsed().as_secs_f64();
    let edge = loading::edge(&actor.files)?;
    let stakes = waiting
        .candles
        .iter()
        .map(|candles| {
            let cost = bets::cost(line, candles)?;
            Ok((cost, labels::horizon_volatility(candles)))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut answers = Vec::with_capacity(asked.len());
    for (((one, probabilities), win), parts) in
        asked.iter().zip(&probabilities).zip(wins).zip(parts)
    {
        let (cost, volatility) = &stakes[one.of];
        let stake = Stake {
            guard,
            is_unlike: false,
            edge: edge.as_ref(),
            volatility: volatility[one.row],
            cost: cost.round_trip() / one.candles.close()[one.row],
        };
        let answer = one.answer((probabilities.as_deref(), win), stake, actor, line, app);
        answers.push(Answer { parts, ..answer });
    }
    Ok(answers)
}

/// What a version answers to a range of rows of one series, as it does from cron: first stage only.
pub(crate) fn answers_of(
    app: &App,
    line: &LineConfig,
    actor: &Actor,
    candles: &Candles,
    rows: Range<usize>,
) -> anyhow::Result<Vec<Answer>> {
    let until = candles.slice(0, rows.end);
    let waiting = Waiting { candles: vec![until], first: vec![rows.start.min(rows.end)] };
    let mut computed = Computed::new();
    answer(app, line, (actor, None), None, &waiting, &mut computed, &mut Seconds::default())
}

fn feature_set(actor: &Actor) -> Result<&'static FeatureSet, Fault> {
    features::by_name(&actor.predictor.spec().feature_set).map_err(Fault::integrity)
}

/// The candles that wait, and of each the probabilities of the classes: as a whole, nothing where it is not answered, and
/// of each component of a mixture.
struct Probabilities<'a> {
    asked: Vec<Asked<'a>>,
    whole: Vec<Option<Vec<f64>>>,
    parts: Vec<Vec<f32>>,
}

/// One forward pass over every window that is complete and within what the model has seen; nothing for the others.
fn ask<'a>(
    actor: &Actor,
    waiting: &'a Waiting,
    computed: &'a Computed,
) -> anyhow::Result<Probabilities<'a>> {
    let spec = actor.predictor.spec();
    let set = feature_set(actor)?;
    let all: &[Features] = &computed[set.name];
    let known = daily::support(actor)?;
    let mut asked = Vec::new();
    let mut offset = 0;
    let series = waiting.candles.iter().zip(&waiting.first).zip(all);
    for (of, ((candles, &first), features)) in series.enumerate() {
        let timeframe = candles.timeframe();
        let gaps = calendar::gaps(timeframe, candles.open_at_us());
        for row in first..candles.len() {
            let unbroken_from =
                gaps.iter().rev().find(|gap| gap.row <= row).map_or(0, |gap| gap.row);
            let incomplete = if row + 1 < features.first_complete_row() + spec.lookback {
                Some(format!("fewer than {} candles before it", set.warm_up + spec.lookback))
            } else if row + 1 < unbroken_from + spec.lookback {
                Some("its window spans a gap".to_owned())
            } else {
                None
            };
            let whole = incomplete.is_none();
            let why = incomplete
                .or_else(|| known.as_ref().and_then(|known| known.objection(features, row)));
            let place = (offset + row) as u32;
            let far = None;
            asked.push(Asked { series: features, candles, of, row, place, whole, why, far });
        }
        offset += candles.len();
    }
    let windows = replay::windows(&actor.predictor, all);
    if let Some(support) = support::of_version(actor)? {
        let whole: Vec<&mut Asked<'_>> = asked.iter_mut().filter(|one| one.whole).collect();
        let places: Vec<u32> = whole.iter().map(|one| one.place).collect();
        let indices = support::dissimilarity(&support, &windows, &places);
        for (one, index) in whole.into_iter().zip(indices) {
            one.far = Some(Far { index, threshold: support.threshold() });
        }
    }
    let whole: Vec<&Asked<'_>> = asked.iter().filter(|one| one.why.is_none()).collect();
    let places: Vec<u32> = whole.iter().map(|one| one.place).collect();
    let at_us: Vec<i64> = whole.iter().map(|one| one.candles.close_at_us(one.row)).collect();
    let (parts, probabilities) = actor.answer_rows(all, &places, &at_us);
    let mut rows = probabilities.chunks(spec.classes.len().max(1));
    let mut part_rows = parts.chunks((parts.len() / places.len().max(1)).max(1));
    let single = |row: &[f64]| row.iter().map(|p| *p as f32).collect();
    let mut of_each = Vec::with_capacity(asked.len());
    let mut parts_of_each = Vec::with_capacity(asked.len());
    for one in &asked {
        let is_answered = one.why.is_none();
        of_each.push(if is_answered { rows.next().map(<[f64]>::to_vec) } else { None });
        let parts = if is_answered { part_rows.next() } else { None };
        parts_of_each.push(parts.map(single).unwrap_or_default());
    }
    Ok(Probabilities { asked, whole: of_each, parts: parts_of_each })
}

/// A candle that waits.
struct Asked<'a> {
    series: &'a Features,
    candles: &'a Candles,
    /// Place of the series among those that wait.
    of: usize,
    row: usize,
    /// Among the rows of all series.
    place: u32,
    /// Whether its window is complete.
    whole: bool,
    /// Why it is not answered.
    why: Option<String>,
    /// How far its window lies from what was learned from, where the version can tell.
    far: Option<Far>,
}

/// A dissimilarity beside what is too much of it.
#[derive(Clone, Copy)]
struct Far {
    index: f64,
    threshold: f64,
}

impl Far {
    /// That it is too far; nothing where it is not.
    fn objection(self, version: Version) -> Option<String> {
        (self.index > self.threshold).then(|| {
            format!(
                "its window is unlike the training data of {version}: dissimilarity {:.2}, beyond {:.2}",
                self.index, self.threshold
            )
        })
    }
}

impl Asked<'_> {
    fn answer(
        &self,
        (probabilities, win): (Option<&[f64]>, Option<f64>),
        stake: Stake<'_>,
        actor: &Actor,
        line: &LineConfig,
        app: &App,
    ) -> Answer {
        let Asked { candles, row, .. } = self;
        let spec = actor.predictor.spec();
        let entry = candles.close()[*row];
        let atr = self.series.column(ATR).map(|column| column[*row]).filter(|v| v.is_finite());
        let decided = instant(candles.close_at_us(*row));
        let length =
            line.signals.time_out_minutes.map_or(candles.timeframe().horizon(), |minutes| {
                TimeDelta::minutes(i64::from(minutes))
            });
        debug_assert!(decided <= app.as_of);
        let outside = self.far.and_then(|far| far.objection(actor.version));
        let is_unlike = outside.is_some() && line.signals.out_of_support == OutOfSupport::Hold;
        let signal: Option<Signal> = probabilities.map(|p| {
            let side = |class| spec.label.signal(class as u8);
            let stake = Stake { is_unlike, ..stake };
            signal::decide(p, side, win, (entry, atr), &stake, &line.signals)
        });
        Answer {
            signal_id: None,
            pair: candles.pair().clone(),
            timeframe: candles.timeframe(),
            candle: instant(candles.open_at_us()[*row]),
            signal: signal.as_ref().map_or("abstain", Signal::name),
            reason: self.why.clone(),
            dissimilarity: self.far.map(|far| far.index),
            out_of_support: outside,
            confidence: signal.map(|signal| signal.confidence),
            probabilities: probabilities
                .into_iter()
                .flat_map(|p| spec.classes.iter().cloned().zip(p.iter().copied()))
                .collect(),
            entry,
            stop_loss: signal.and_then(|signal| signal.stop_loss),
            take_profit: signal.and_then(|signal| signal.take_profit),
            size: signal.map_or(0.0, |signal| signal.size),
            no_size: signal.and_then(|signal| signal.no_size).map(|why| why.to_string()),
            expected_return_net: signal.and_then(|signal| signal.expected_net),
            cost: signal.and_then(|signal| signal.cost),
            expires: decided + length,
            parts: Vec::new(),
        }
    }
}

fn row_of(answer: &Answer) -> anyhow::Result<NewSignal> {
    Ok(NewSignal {
        pair: answer.pair.clone(),
        timeframe: answer.timeframe,
        candle_at: answer.candle,
        signal: answer.signal,
        abstained: answer.reason.clone(),
        confidence: answer.confidence,
        probabilities: serde_json::to_value(&answer.probabilities)?,
        entry: answer.entry,
        stop_loss: answer.stop_loss,
        take_profit: answer.take_profit,
        size: answer.size,
        expires_at: answer.expires,
        dissimilarity: answer.dissimilarity,
        out_of_support: answer.out_of_support.clone(),
        no_size: answer.no_size.clone(),
        expected_net: answer.expected_return_net,
        cost: answer.cost,
        parts: answer.parts.clone(),
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::feeds::{self, OnBadRow, ReadOptions};

    /// What `predict` reads at one instant: no more history than windows and warm-up take.
    fn as_read_at(all: &Candles, row: usize, reach: usize) -> Candles {
        let until = all.close_at_us(row);
        let oldest =
            instant(until) - TimeDelta::hours(24) - material::history(all.timeframe(), reach);
        let from = all.open_at_us().partition_point(|at_us| *at_us < oldest.timestamp_micros());
        all.slice(from, row + 1 - from)
    }

    #[test]
    #[allow(clippy::print_stderr, reason = "a skipped test says so")]
    fn predict_sees_the_features_of_training_over_a_month_of_real_candles() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/fx");
        if !folder.is_dir() {
            eprintln!("skipped: no real candles at {}", folder.display());
            return;
        }
        let as_of = "2018-12-01T00:00:00Z".parse().expect("an instant");
        let options = ReadOptions {
            pair: None,
            timeframe: None,
            tz: None,
            on_bad_row: OnBadRow::Skip,
            as_of,
        };
        let file = feeds::read(&folder.join("EURUSD_1h.csv"), &options).expect("real candles");
        let all = Candles::new(file.pair, file.timeframe, as_of, file.columns).expect("valid");
        let set = features::by_name("v1").expect("v1");
        let trained_on = features::compute(set, &all);
        let lookback = 60;
        let month =
            all.open_at_us().partition_point(|at_us| instant(*at_us) < as_of - TimeDelta::days(30));
        let (mut n_compared, mut worst) = (0usize, 0.0f64);
        for row in month..all.len() {
            let read = as_read_at(&all, row, set.warm_up + lookback);
            let seen = features::compute(set, &read);
            assert!(
                read.len() >= seen.first_complete_row() + lookback,
                "row {row}: {}",
                read.len()
            );
            for (live, whole) in seen.columns.iter().zip(&trained_on.columns) {
                let live = &live[read.len() - lookback..];
                let whole = &whole[row + 1 - lookback..=row];
                for (a, b) in live.iter().zip(whole) {
                    worst = worst.max((a - b).abs());
                    n_compared += 1;
                }
            }
        }
        assert!(n_compared > 500 * 38 * 60, "{n_compared} values");
        assert!(worst < 1e-6, "{worst}");
    }
}
