//! `monitor`: whether somebody should look at a line, before the account does.
//!
//! Gather (production, its reference, candles, answers), decide (one [`Alarm`] a question, with its figures whether it rings or
//! not), commit (a row in `monitoring_runs`, alerts raised and closed). All state is derived from the tables: nothing has to be
//! resumed. Not here: the statistics (`drift`, `evaluate`), how people are told (`alerts`).

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{
    alerts, collect, doctor, loading,
    material::{self, Material, PastSignals},
    overdue,
    replay::Cast,
};
use crate::{
    artifact::{self, Metadata},
    config::{App, LineConfig},
    dataset::Sample,
    db::{Db, monitoring_runs::MonitorRow},
    drift::{Calibration, WindowVerdict},
    evaluate::Figures,
    fault::Fault,
    lineage::{LineName, Version},
    market::calendar,
};

/// Days that the longest window of results looks back.
const DAYS: i64 = 30;
/// Windows of results, days.
const RESULT_DAYS: [i64; 3] = [1, 7, DAYS];
/// Windows of features, trading days: the longest that the reference holds enough of.
const DRIFT_DAYS: [usize; 5] = [5, 4, 3, 2, 1];
/// One-sided level of the drift of a window.
const DRIFT_P: f64 = 0.05;
/// Signals that a collapse is looked for in.
const LAST_SIGNALS: i64 = 200;
/// With fewer of them nothing is said of a collapse (FORMULAS 4.16).
const MIN_SIGNALS: usize = 100;
/// Above this share of one answer a model has collapsed.
const COLLAPSED: f64 = 0.95;
/// A model that was made longer ago is stale.
const STALE_DAYS: i64 = 14;
/// An accuracy so much below that of the promotion, by more than chance, rings.
const ACCURACY_DROP: f64 = 0.05;

/// What the operator asked for.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// The line; the only one when not given.
    pub line: Option<LineName>,
    /// Look, and change nothing.
    pub dry_run: bool,
}

/// What came of it. `aifx.monitor/1`.
#[derive(Debug, Clone, Serialize)]
pub struct MonitorReport {
    /// The line.
    pub line: LineName,
    /// The version that answers; none: nothing else could be looked at.
    pub version: Option<Version>,
    /// Every question that was asked, whether it rings or not.
    pub alarms: Vec<Alarm>,
    /// What the answers were worth, window by window.
    pub results: Vec<Results>,
    /// The last window of features against the reference.
    pub drift: Option<Drift>,
    /// What did not arrive of the alerts.
    pub notes: Vec<String>,
    /// Nothing was written.
    pub dry_run: bool,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
}

/// A question, its answer, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Alarm {
    /// `accuracy`, `drift`, `collapse`, `model-age`, `data`, `overdue`, `disk`.
    pub name: &'static str,
    /// Whether somebody should look.
    pub rings: bool,
    /// With figures.
    pub text: String,
}

/// A window of results.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// Days that it looks back.
    pub days: i64,
    /// Answers among the figures that were given when the candle closed; the rest are replayed.
    pub n_stored: usize,
    /// The figures; none without a settled sample.
    pub figures: Option<Figures>,
}

/// A window of features against the reference.
#[derive(Debug, Clone, Serialize)]
pub struct Drift {
    /// Trading days of the window.
    pub days: usize,
    /// Rows of the window, all series together.
    pub n_rows: usize,
    /// The window that ends now.
    pub verdict: WindowVerdict,
    /// The one a quarter of a window before.
    pub before: WindowVerdict,
    /// Names of the features, in the order of the verdicts.
    pub features: Vec<&'static str>,
}

impl Drift {
    /// Whether both windows in a row lie further off than chance takes them.
    fn rings(&self) -> bool {
        self.verdict.p <= DRIFT_P && self.before.p <= DRIFT_P
    }

    /// The features that moved most, with their own p.
    fn most(&self, n: usize) -> Vec<(&'static str, f64, f64)> {
        let mut all: Vec<_> = self
            .features
            .iter()
            .zip(&self.verdict.features)
            .map(|(name, one)| (*name, one.z, one.p))
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(n);
        all
    }
}

/// Looks.
///
/// # Errors
/// 3 configuration, 4 data, 5 database, 7 when production cannot be loaded.
pub fn run(app: &App, request: &Request) -> anyhow::Result<MonitorReport> {
    let (name, line) = app.line(request.line.as_ref())?;
    let mut db = app.db("monitor")?;
    let mut report = MonitorReport {
        line: name.clone(),
        version: None,
        alarms: Vec::new(),
        results: Vec::new(),
        drift: None,
        notes: Vec::new(),
        dry_run: request.dry_run,
        as_of: app.as_of,
    };
    report.alarms.push(overdue_jobs(app, &mut db, name)?);
    report.alarms.push(disk(app)?);
    let mut cast = Cast::gather(app, &mut db, name)?;
    if let Some(production) = cast.production().cloned() {
        loading::libtorch()?;
        let version = production.version;
        report.version = Some(version);
        report.alarms.push(model_age(app, production.created_at));
        report.alarms.push(collapse(&mut db, name, version, app.as_of)?);
        let (from, until) = learned_range(&mut cast, version)?;
        let seen = Gathered::of(app, &mut db, (name, line), &mut cast, from)?;
        drop(db);
        report.alarms.push(seen.data(app.as_of));
        report.results = seen.results(app, line, &mut cast, version)?;
        let then = production.metrics.get("test").cloned().unwrap_or_default();
        report.alarms.push(accuracy(&report.results, &then));
        report.drift = seen.drift(from, until);
        report.alarms.push(drift_alarm(report.drift.as_ref()));
        db = app.db("monitor")?;
    }
    if request.dry_run {
        return Ok(report);
    }
    for alarm in &report.alarms {
        let cause = format!("monitor:{}:{name}", alarm.name);
        report.notes.extend(match alarm.rings {
            true => alerts::raise(app, &mut db, name, &cause, &alarm.text)?,
            false => alerts::resolve(app, &mut db, name, &cause)?,
        });
    }
    db.record_monitor(name, &row(&report)?, app.as_of)?;
    Ok(report)
}

fn row(report: &MonitorReport) -> anyhow::Result<MonitorRow> {
    let ringing: Vec<&str> =
        report.alarms.iter().filter(|alarm| alarm.rings).map(|alarm| alarm.name).collect();
    let texts: Vec<&str> =
        report.alarms.iter().filter(|alarm| alarm.rings).map(|alarm| alarm.text.as_str()).collect();
    let month = report.results.iter().find(|one| one.days == DAYS);
    Ok(MonitorRow {
        version: report.version,
        window_from: report.as_of - TimeDelta::days(DAYS),
        n_samples: month.and_then(|one| one.figures.as_ref()).map(|figures| figures.n as u64),
        metrics: serde_json::to_value(&report.results)?,
        drift: report.drift.as_ref().map(serde_json::to_value).transpose()?,
        verdict: if ringing.is_empty() {
            "none".into()
        } else {
            format!("alert:{}", ringing.join(","))
        },
        reason: (!texts.is_empty()).then(|| texts.join("; ")),
    })
}

fn overdue_jobs(app: &App, db: &mut Db, name: &LineName) -> anyhow::Result<Alarm> {
    let overdue = overdue::of_line(db, name, app.as_of)?;
    let texts: Vec<String> = overdue.iter().map(ToString::to_string).collect();
    Ok(Alarm {
        name: "overdue",
        rings: !texts.is_empty(),
        text: if texts.is_empty() { "no job is overdue".into() } else { texts.join("; ") },
    })
}

fn disk(app: &App) -> anyhow::Result<Alarm> {
    let models = app.models();
    let (free, place) = doctor::free_space(&app.home, &models);
    let free = free?;
    Ok(Alarm {
        name: "disk",
        rings: free < doctor::FEW_FREE_BYTES,
        text: format!("{} MiB are free in {}", free >> 20, place.display()),
    })
}

fn model_age(app: &App, made_at: DateTime<Utc>) -> Alarm {
    let days = (app.as_of - made_at).num_minutes() as f64 / (24.0 * 60.0);
    Alarm {
        name: "model-age",
        rings: days > STALE_DAYS as f64,
        text: format!("production was made {days:.1} days ago, of {STALE_DAYS} allowed"),
    }
}

fn collapse(
    db: &mut Db,
    name: &LineName,
    version: Version,
    as_of: DateTime<Utc>,
) -> anyhow::Result<Alarm> {
    let counts = db.answers_by_signal(name, version, as_of, LAST_SIGNALS)?;
    let n: i64 = counts.iter().map(|(_, n)| n).sum();
    let most = counts.iter().max_by_key(|(_, n)| *n);
    let enough = usize::try_from(n).is_ok_and(|n| n >= MIN_SIGNALS);
    let share = most.map_or(0.0, |(_, most)| *most as f64 / n.max(1) as f64);
    Ok(Alarm {
        name: "collapse",
        rings: enough && share > COLLAPSED,
        text: match most {
            Some((signal, _)) if enough => format!(
                "{:.1} % of the last {n} answers are {signal}; above {:.0} % a model says nothing",
                share * 100.0,
                COLLAPSED * 100.0
            ),
            _ => format!("{n} answers of {version}, where {MIN_SIGNALS} are needed to tell"),
        },
    })
}

/// What the training that a version goes back to learned from.
fn learned_range(
    cast: &mut Cast,
    version: Version,
) -> anyhow::Result<(DateTime<Utc>, DateTime<Utc>)> {
    let actor = cast.actor(version).map_err(Fault::integrity)?;
    let metadata: Metadata = serde_json::from_slice(actor.files.require(artifact::METADATA)?)
        .map_err(|error| Fault::integrity(format!("metadata.json: {error}")))?;
    let mut data = metadata.rest.get("data").cloned().unwrap_or_default();
    // A fine-tune keeps what its parent learned from.
    while let Some(parent) = data.get("parent").filter(|parent| parent.is_object()).cloned() {
        data = parent;
    }
    let at = |key: &str| -> anyhow::Result<DateTime<Utc>> {
        let text = data.get(key).and_then(Value::as_str).unwrap_or_default();
        text.parse().map_err(|_| {
            Fault::integrity(format!("metadata.json of {version} does not say data.{key}")).into()
        })
    };
    Ok((at("from")?, at("until")?))
}

/// Candles with their features, and the samples among them.
struct Gathered {
    material: Material,
    samples: Vec<Sample>,
}

impl Gathered {
    fn of(
        app: &App,
        db: &mut Db,
        (name, line): (&LineName, &LineConfig),
        cast: &mut Cast,
        from: DateTime<Utc>,
    ) -> anyhow::Result<Gathered> {
        let set = material::feature_set(line)?;
        let from = from.min(app.as_of - TimeDelta::days(DAYS));
        let candles = material::candles(app, db, line, set, from)?;
        let past = PastSignals::gather(app, db, line, from)?;
        cast.recall(app, db, (name, line), app.as_of - TimeDelta::days(DAYS))?;
        let material = Material::of(candles, &past, set, line);
        let samples = material.samples(line)?;
        Ok(Gathered { material, samples })
    }

    fn data(&self, as_of: DateTime<Utc>) -> Alarm {
        let bad: Vec<String> = self
            .material
            .candles
            .iter()
            .filter_map(|candles| {
                let (verdict, reason) = collect::verdict(candles, as_of);
                let series = format!("{} {}", candles.pair(), candles.timeframe());
                (verdict != "fresh")
                    .then(|| format!("{series}: {verdict}, {}", reason.unwrap_or_default()))
            })
            .collect();
        Alarm {
            name: "data",
            rings: !bad.is_empty(),
            text: if bad.is_empty() {
                format!("all {} series are fresh", self.material.candles.len())
            } else {
                bad.join("; ")
            },
        }
    }

    fn results(
        &self,
        app: &App,
        line: &LineConfig,
        cast: &mut Cast,
        version: Version,
    ) -> anyhow::Result<Vec<Results>> {
        let window = |days: i64| -> anyhow::Result<Results> {
            let from_us = (app.as_of - TimeDelta::days(days)).timestamp_micros();
            let first = self.samples.partition_point(|sample| sample.decided_at_us <= from_us);
            let n_classes = line.label.n_classes();
            let answers = cast
                .unseen(version, &self.material, &self.samples[first..], n_classes)
                .map_err(Fault::integrity)?;
            Ok(Results { days, n_stored: answers.n_stored, figures: answers.predictions.figures() })
        };
        RESULT_DAYS.into_iter().map(window).collect()
    }

    /// The last windows of features against the rows from `from` to `until`; nothing where there is not enough of either.
    fn drift(&self, from: DateTime<Utc>, until: DateTime<Utc>) -> Option<Drift> {
        let set = self.material.features.first()?.set;
        // Rows of all series in order of time, where every feature is defined.
        let mut rows: Vec<(i64, usize, usize)> = Vec::new();
        for (series, (candles, features)) in
            self.material.candles.iter().zip(&self.material.features).enumerate()
        {
            let first = features.first_complete_row();
            rows.extend((first..candles.len()).map(|row| (candles.close_at_us(row), series, row)));
        }
        rows.sort_unstable();
        let columns = |rows: &[(i64, usize, usize)]| -> Vec<Vec<f64>> {
            let of = |feature: usize| -> Vec<f64> {
                rows.iter()
                    .map(|&(_, series, row)| self.material.features[series].columns[feature][row])
                    .collect()
            };
            (0..set.features.len()).map(of).collect()
        };
        let place = |at: DateTime<Utc>| rows.partition_point(|row| row.0 <= at.timestamp_micros());
        let reference = &rows[place(from)..place(until)];
        let closes: Vec<i64> = reference.iter().map(|row| row.0).collect();
        let days = calendar::trading_days(&closes);
        let news = &rows[place(until)..];
        let news_closes: Vec<i64> = news.iter().map(|row| row.0).collect();
        let news_days: Vec<NaiveDate> = calendar::trading_days(&news_closes);
        let of_reference = columns(reference);
        DRIFT_DAYS.into_iter().find_map(|n_days| {
            let mut last: Vec<NaiveDate> = news_days.clone();
            last.dedup();
            let first = *last.get(last.len().checked_sub(n_days)?)?;
            let n_rows = news_days.iter().filter(|day| **day >= first).count();
            let step = (n_rows / 4).max(1);
            if news.len() < n_rows + step {
                return None;
            }
            let calibration = Calibration::of(&of_reference, &days, n_rows)?;
            let ending = |back: usize| {
                let end = news.len() - back;
                calibration.judge(&columns(&news[end - n_rows..end]))
            };
            Some(Drift {
                days: n_days,
                n_rows,
                verdict: ending(0)?,
                before: ending(step)?,
                features: set.features.iter().map(|feature| feature.name).collect(),
            })
        })
    }
}

/// Whether production answers worse than on the days that it was judged by.
fn accuracy(results: &[Results], then: &Value) -> Alarm {
    let then = then.get("accuracy").and_then(Value::as_f64);
    let month = results.iter().find(|one| one.days == DAYS).and_then(|one| one.figures.as_ref());
    let alarm = |rings, text| Alarm { name: "accuracy", rings, text };
    let (Some(then), Some(now)) = (then, month) else {
        return alarm(false, "no settled answer on a day that production has not seen".to_owned());
    };
    let Some(intervals) = &now.intervals else {
        let text = format!("{} days of answers, where five are needed to tell", now.n_days);
        return alarm(false, text);
    };
    let (low, high) = intervals.accuracy;
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    alarm(
        now.accuracy <= then - ACCURACY_DROP && high < then,
        format!(
            "accuracy {} ({} to {}) of {} answers on {} days, {} on its test days; a drop of {:.0} points that is more than \
             chance rings",
            percent(now.accuracy),
            percent(low),
            percent(high),
            now.n,
            now.n_days,
            percent(then),
            ACCURACY_DROP * 100.0
        ),
    )
}

fn drift_alarm(drift: Option<&Drift>) -> Alarm {
    let Some(drift) = drift else {
        let text =
            "not enough history: the reference holds too few windows, or too little has come since";
        return Alarm { name: "drift", rings: false, text: text.into() };
    };
    let most: Vec<String> =
        drift.most(3).iter().map(|(name, z, p)| format!("{name} (z {z:.1}, p {p:.3})")).collect();
    Alarm {
        name: "drift",
        rings: drift.rings(),
        text: format!(
            "the last {} trading days lie z {:.2} off (p {:.3}, the window before p {:.3}, by {} windows of the reference); \
             most: {}; two windows in a row below {DRIFT_P} ring",
            drift.days,
            drift.verdict.z,
            drift.verdict.p,
            drift.before.p,
            drift.verdict.n_windows,
            most.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{evaluate::Predictions, lineage::SeenUntil};

    fn month(n_right: usize, n_days: usize) -> Results {
        let per_day = 100;
        let day_us = crate::market::DAY_US;
        let n = n_days * per_day;
        let at_us =
            |i: usize| 1_704_153_600_000_000 + (i / per_day) as i64 * day_us + (i % per_day) as i64;
        let predictions = Predictions::new(
            2,
            (0..n).flat_map(|_| [0.1, 0.9]).collect(),
            (0..n).map(|i| u8::from(i % per_day < n_right + i / per_day % 2)).collect(),
            (0..n).map(at_us).collect(),
            vec![0; n],
        );
        let seen = SeenUntil::new(DateTime::UNIX_EPOCH);
        let figures = predictions.expect("predictions").after(seen).figures();
        Results { days: DAYS, n_stored: 0, figures }
    }

    #[test]
    fn an_accuracy_rings_only_where_the_drop_is_more_than_chance() {
        let then = json!({"accuracy": 0.6});
        let of = |results: &[Results]| accuracy(results, &then);
        assert!(of(&[]).text.contains("no settled answer"));
        assert!(of(&[month(50, 4)]).text.contains("where five are needed"));
        assert!(of(&[month(50, 10)]).rings, "ten points on ten days alike");
        assert!(!of(&[month(58, 10)]).rings, "two points are let be");
        assert!(!of(&[month(70, 10)]).rings);
    }
}
