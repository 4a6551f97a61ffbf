//! A line's mixture as the tables have it: the weights, brought up to the last midnight from what was settled by then.
//!
//! Weights follow from rows alone (what each member answered, which class came true, who was in production), so that
//! [`verify`] computes them again, bit for bit. Not here: the arithmetic (`ensemble`), the rows (`db::ensemble`).

use std::{collections::HashMap, sync::Arc};

use chrono::{DateTime, Days, NaiveDate, NaiveTime, TimeDelta, Utc};

use super::{
    material,
    replay::{Cast, label_of},
};
use crate::{
    config::{App, LineConfig},
    db::{
        Db,
        ensemble::{AnswerKey, MemberAnswer, Settlement, WeightsRow},
        model_versions::VersionRow,
    },
    ensemble::{Component, Day, EnsembleConfig, History, Settled, Weights, members_of},
    labels::{self, LabelRule, NO_CLASS},
    lineage::{LineName, Member, Version},
    market::{Candles, Micros, Pair, Timeframe},
};

/// Answers older than this, beside the horizon, are not settled any more: weekends and holidays lie between.
const LATE_DAYS: i64 = 10;
/// How far the first weights of a line look back for answers.
const FIRST_DAYS: i64 = 60;

/// Whether networks of a line answer together: a rule whose classes belong to one training cannot be mixed.
pub(crate) fn is_mixture(line: &LineConfig) -> bool {
    line.ensemble.is_mixture() && !matches!(line.label, LabelRule::Quartile | LabelRule::Outcome)
}

/// The weights of a line as they are stored up to `--as-of`.
///
/// # Errors
/// When the database fails.
pub(crate) fn stored(app: &App, db: &mut Db, name: &LineName) -> anyhow::Result<Arc<History>> {
    let rows = db.weights(name, app.as_of)?;
    Ok(Arc::new(History::new(rows.iter().map(day_of).collect())))
}

pub(crate) fn day_of(row: &WeightsRow) -> Day {
    Day { from_us: midnight(row.day).timestamp_micros(), weights: row.weights.clone() }
}

fn midnight(day: NaiveDate) -> DateTime<Utc> {
    day.and_time(NaiveTime::MIN).and_utc()
}

/// The weights with which members enter, as the versions of a line record them.
pub(crate) fn entry_weights(rows: &[VersionRow]) -> HashMap<Member, f64> {
    rows.iter().flat_map(|row| &row.members).map(|place| (place.member, place.entry)).collect()
}

/// Writes the weights of each day up to the last midnight that are not there yet, and gives `cast` all of them. A past
/// `--as-of` finds the rows of its time and writes none between them.
///
/// # Errors
/// When the database fails, or candles are none.
pub(crate) fn bring_up_to_date(
    app: &App,
    db: &mut Db,
    (name, line): (&LineName, &LineConfig),
    cast: &mut Cast,
) -> anyhow::Result<()> {
    if cast.rows().iter().all(|row| row.members.is_empty()) {
        return Ok(());
    }
    let rows = db.weights(name, app.as_of)?;
    let mut days: Vec<Day> = rows.iter().map(day_of).collect();
    let newest = db.newest_weights_day(name)?;
    let today = app.as_of.date_naive();
    if newest.is_none_or(|newest| newest < today) {
        let horizon_us = line.timeframes.iter().map(|one| one.horizon_us()).max().unwrap_or(0);
        let late = TimeDelta::days(LATE_DAYS) + TimeDelta::microseconds(horizon_us);
        let first = newest.map_or(app.as_of - TimeDelta::days(FIRST_DAYS), midnight);
        let answers = db.member_answers(name, first - late, app.as_of)?;
        if !answers.is_empty() {
            let mut settled = db.settled_classes(name, first - late)?;
            let outcomes = Outcomes::gather(app, db, line, cast, &answers, first - late)?;
            let from = newest.map_or(first.date_naive(), |newest| newest + Days::new(1));
            for day in from.iter_days().take_while(|day| *day <= today) {
                let history = History::new(days.clone());
                let Some(production) = answering_at(cast, midnight(day)) else { continue };
                let rule = label_of(production).unwrap_or(line.label);
                let found: Vec<Settlement> = outcomes
                    .settled_by(midnight(day), late, &settled)
                    .into_iter()
                    .filter(|one| label_of_version(cast, one.key.version, line) == rule)
                    .collect();
                if found.is_empty() {
                    continue;
                }
                let row = next_row(
                    app,
                    cast,
                    (line, &rule),
                    (day, production),
                    &history,
                    &answers,
                    &found,
                );
                // Another process was faster: its row is as good, and read by the next run.
                if !db.insert_weights(name, &row, &found)? {
                    break;
                }
                settled.extend(found.into_iter().map(|one| (one.key, one.class)));
                days.push(day_of(&row));
            }
        }
    }
    cast.set_history(Arc::new(History::new(days)));
    Ok(())
}

/// The mixture that was in production at an instant; `None` where nobody answered together.
fn answering_at(cast: &Cast, at: DateTime<Utc>) -> Option<&VersionRow> {
    cast.row(cast.production_at(at)?).filter(|row| !row.members.is_empty())
}

/// The rule by which what a version answered comes true: its own, whatever the configuration says by now.
fn label_of_version(cast: &Cast, version: Version, line: &LineConfig) -> LabelRule {
    cast.row(version).and_then(label_of).unwrap_or(line.label)
}

/// The weights from a midnight on.
fn next_row(
    app: &App,
    cast: &Cast,
    (line, rule): (&LineConfig, &LabelRule),
    (day, production): (NaiveDate, &VersionRow),
    history: &History,
    answers: &[MemberAnswer],
    settlements: &[Settlement],
) -> WeightsRow {
    let members = members_of(&production.members);
    let by_key: HashMap<&AnswerKey, &MemberAnswer> =
        answers.iter().map(|answer| (&answer.key, answer)).collect();
    let weights =
        follow(cast, history, &members, midnight(day), settlements, &by_key, &line.ensemble, rule);
    WeightsRow {
        day,
        version: production.version,
        weights,
        n_settled: settlements.len() as u64,
        config: line.ensemble.clone(),
        as_of: app.as_of,
    }
}

/// The weights that follow from those before and what settled: a pure function of rows.
#[allow(clippy::too_many_arguments, reason = "what weights follow from")]
fn follow(
    cast: &Cast,
    history: &History,
    members: &[Member],
    at: DateTime<Utc>,
    settlements: &[Settlement],
    answers: &HashMap<&AnswerKey, &MemberAnswer>,
    config: &EnsembleConfig,
    rule: &LabelRule,
) -> Weights {
    let entries = entry_weights(cast.rows());
    let entry = |member| entries.get(&member).copied().unwrap_or(config.entry);
    let before = history.of_members(members, at.timestamp_micros() - 1, config, entry);
    let classes = rule.class_names();
    let mut settled = Vec::with_capacity(settlements.len());
    for one in settlements {
        let Some(answer) = answers.get(&one.key) else { continue };
        let Some(row) = cast.row(one.key.version) else { continue };
        let counted = |class: u8, sign: f64| {
            let place = usize::from(class);
            let name = classes.get(place)?;
            Some(Settled {
                of_components: of_components(
                    &before,
                    &row_members(row),
                    answer,
                    place,
                    classes.len(),
                ),
                of_mixture: answer.mixture.get(*name)?.as_f64()?,
                sign,
            })
        };
        settled.extend(one.corrects.and_then(|class| counted(class, -1.0)));
        settled.extend(counted(one.class, 1.0));
    }
    before.settle(&settled, config)
}

fn row_members(row: &VersionRow) -> Vec<Component> {
    let networks = members_of(&row.members).into_iter().map(Component::Network);
    std::iter::once(Component::Prior).chain(networks).collect()
}

/// What each component of the mixture gave to a class.
fn of_components(
    weights: &Weights,
    asked: &[Component],
    answer: &MemberAnswer,
    class: usize,
    n_classes: usize,
) -> Vec<(Component, f64)> {
    let answered = answered(asked, answer, class, n_classes);
    let entries = weights.entries().iter();
    entries
        .filter_map(|entry| Some((entry.component, said_by(&answered, entry.component)?)))
        .collect()
}

/// What those that were asked gave to a class.
fn answered(
    asked: &[Component],
    answer: &MemberAnswer,
    class: usize,
    n_classes: usize,
) -> Vec<(Component, f64)> {
    let rows = answer.parts.chunks(n_classes);
    let one =
        |(component, row): (&Component, &[f32])| Some((*component, f64::from(*row.get(class)?)));
    asked.iter().zip(rows).filter_map(one).collect()
}

/// What a component said; a network that has been fine-tuned since said it under its older name.
fn said_by(answered: &[(Component, f64)], wanted: Component) -> Option<f64> {
    let exact = answered.iter().find(|(one, _)| *one == wanted);
    let same_training = || {
        let Component::Network(wanted) = wanted else { return None };
        answered.iter().find(|(one, _)| match one {
            Component::Network(one) => one.is_of_same_training(wanted),
            Component::Prior => false,
        })
    };
    exact.or_else(same_training).map(|(_, p)| *p)
}

/// The class that came true for each answer, and when the candles said so.
struct Outcomes {
    /// By answer: class, and the close of the first candle that reached past its horizon.
    found: Vec<(AnswerKey, DateTime<Utc>, u8, Micros)>,
}

impl Outcomes {
    fn gather(
        app: &App,
        db: &mut Db,
        line: &LineConfig,
        cast: &Cast,
        answers: &[MemberAnswer],
        from: DateTime<Utc>,
    ) -> anyhow::Result<Outcomes> {
        let mut series: Vec<(Pair, Timeframe)> =
            answers.iter().map(|one| (one.key.pair.clone(), one.key.timeframe)).collect();
        series.sort();
        series.dedup();
        let mut found = Vec::with_capacity(answers.len());
        for (pair, timeframe) in series {
            let history = material::history(timeframe, labels::VOLATILITY_WINDOW + 1);
            let candles = db.candles(&pair, timeframe, app.candle_range(from - history))?;
            let mine =
                answers.iter().filter(|one| one.key.pair == pair && one.key.timeframe == timeframe);
            of_series(&candles, mine, line, cast, &mut found);
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Outcomes { found })
    }

    /// What had settled by an instant and was not counted yet, or otherwise.
    fn settled_by(
        &self,
        at: DateTime<Utc>,
        late: TimeDelta,
        settled: &HashMap<AnswerKey, u8>,
    ) -> Vec<Settlement> {
        let at_us = at.timestamp_micros();
        self.found
            .iter()
            .filter(|(key, answered, _, known_us)| {
                key.candle_at >= at - late && *answered <= at && *known_us <= at_us
            })
            .filter_map(|(key, _, class, _)| {
                let corrects = settled.get(key).copied();
                (corrects != Some(*class)).then(|| Settlement {
                    key: key.clone(),
                    class: *class,
                    corrects,
                })
            })
            .collect()
    }
}

fn of_series<'a>(
    candles: &Candles,
    answers: impl Iterator<Item = &'a MemberAnswer>,
    line: &LineConfig,
    cast: &Cast,
    found: &mut Vec<(AnswerKey, DateTime<Utc>, u8, Micros)>,
) {
    let opens = candles.open_at_us();
    let mut by_rule: Vec<(LabelRule, Vec<&MemberAnswer>)> = Vec::new();
    for answer in answers {
        let rule = label_of_version(cast, answer.key.version, line);
        match by_rule.iter_mut().find(|(known, _)| *known == rule) {
            Some((_, those)) => those.push(answer),
            None => by_rule.push((rule, vec![answer])),
        }
    }
    for (rule, answers) in by_rule {
        let labels = labels::label(candles, &rule);
        for answer in answers {
            let Ok(row) = opens.binary_search(&answer.key.candle_at.timestamp_micros()) else {
                continue;
            };
            if labels.class[row] == NO_CLASS {
                continue;
            }
            let until_us = labels.until_us[row];
            let reached =
                (row..candles.len()).find(|later| candles.close_at_us(*later) >= until_us);
            if let Some(reached) = reached {
                let known_us = candles.close_at_us(reached);
                found.push((
                    answer.key.clone(),
                    answer.answered_as_of,
                    labels.class[row],
                    known_us,
                ));
            }
        }
    }
}

/// Summed log-losses of settled answers, nats.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Score {
    /// Answers.
    pub(crate) n: u64,
    /// What a component lost by its own answers.
    pub(crate) own: f64,
    /// What the mixture lost on the same.
    pub(crate) of_mixture: f64,
}

impl Score {
    /// Of an answer; `None` without any.
    pub(crate) fn mean(&self, sum: f64) -> Option<f64> {
        (self.n > 0).then(|| sum / self.n as f64)
    }
}

/// What the components that answer as a version, the class prior first, lost on the settled answers to candles of a stretch:
/// each by what its training had said under whatever name.
///
/// # Errors
/// When the database fails.
pub(crate) fn scores(
    db: &mut Db,
    name: &LineName,
    versions: &[VersionRow],
    production: &VersionRow,
    (from, until): (DateTime<Utc>, DateTime<Utc>),
) -> anyhow::Result<Vec<Score>> {
    let components = row_members(production);
    let mut scores = vec![Score::default(); components.len()];
    let settled = db.settled_classes(name, from)?;
    let rule = label_of(production);
    for answer in db.member_answers(name, from, until)? {
        let Some(class) = settled.get(&answer.key).map(|class| usize::from(*class)) else {
            continue;
        };
        let row = versions.iter().find(|row| row.version == answer.key.version);
        let Some(row) = row.filter(|row| label_of(row) == rule) else { continue };
        let names = rule.unwrap_or_default().class_names();
        let whole = names.get(class).and_then(|name| answer.mixture.get(*name)?.as_f64());
        let Some(whole) = whole else { continue };
        let answered: Vec<(Component, f64)> =
            answered(&row_members(row), &answer, class, names.len());
        for (score, component) in scores.iter_mut().zip(&components) {
            let Some(own) = said_by(&answered, *component) else { continue };
            score.n += 1;
            score.own -= own.max(f64::MIN_POSITIVE).ln();
            score.of_mixture -= whole.max(f64::MIN_POSITIVE).ln();
        }
    }
    Ok(scores)
}

/// A day whose stored weights are not what follows from the rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Differs {
    /// The day.
    pub(crate) day: NaiveDate,
    /// What was found.
    pub(crate) why: String,
}

/// Computes every stored day anew from the day before it and from what settled; the days that differ in any bit. A day
/// whose versions have been deleted cannot be computed any more and is left out.
///
/// # Errors
/// When the database fails.
pub(crate) fn verify(app: &App, db: &mut Db, name: &LineName) -> anyhow::Result<Vec<Differs>> {
    let cast = Cast::gather(app, db, name)?;
    let rows = db.weights(name, app.as_of)?;
    let mut differs = Vec::new();
    let mut days: Vec<Day> = Vec::new();
    for row in &rows {
        let settlements = db.settlements(name, row.day)?;
        let version = cast.row(row.version);
        let gone = settlements.iter().any(|one| cast.row(one.key.version).is_none());
        let candles = settlements.iter().map(|one| one.key.candle_at);
        if let (Some(version), Some(first), Some(last), false) =
            (version, candles.clone().min(), candles.max(), gone)
        {
            let answers = db.member_answers(name, first, last + TimeDelta::microseconds(1))?;
            let by_key = answers.iter().map(|answer| (&answer.key, answer)).collect();
            let history = History::new(days.clone());
            let (members, at) = (members_of(&version.members), midnight(row.day));
            let rule = label_of(version).unwrap_or(LabelRule::Volatility { multiple: 1.0 });
            let mut sorted = settlements.clone();
            sorted.sort_by(|a, b| a.key.cmp(&b.key));
            let found = follow(&cast, &history, &members, at, &sorted, &by_key, &row.config, &rule);
            if found != row.weights {
                let why =
                    format!("stored {:?}, computed {:?}", row.weights.values(), found.values());
                differs.push(Differs { day: row.day, why });
            }
        }
        days.push(day_of(row));
    }
    Ok(differs)
}
