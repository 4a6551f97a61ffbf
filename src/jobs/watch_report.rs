//! `report`: what an operator should know of a line, gathered from the tables into one page.
//!
//! Reads only; the page is the one thing written. Not here: how it looks (`report::watch_page`), the queries (`db::watch`).

use std::{collections::BTreeMap, path::PathBuf};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;

use super::{
    bets, collect,
    cron::{JOBS, crontab::Schedule},
    looks, mixture,
    overdue::{self, Overdue},
    probation::Watched,
    status,
};
use crate::{
    artifact,
    config::{App, LineConfig},
    db::{
        Db,
        model_versions::VersionRow,
        monitoring_runs::QualityRow,
        watch::{AlertRow, AnswerCounts, DayRuns, Look, StartedRow, Stretch},
    },
    drift::Domain,
    ensemble::Entry,
    lineage::{LineName, Status},
    market::{Micros, Timeframe},
    report::{self, DayState, WatchPage},
};

/// Moves of production that a page shows.
const MOST_MOVES: i64 = 400;
/// Jobs started by the monitor that a page shows.
const MOST_STARTS: i64 = 100;
/// Size of each call in the account of equal sizes where no call had one.
const EQUAL_SIZE: f64 = 0.05;
/// Alerts that a page shows.
const MOST_ALERTS: i64 = 200;

/// A job of [`JOBS`], and when it last ended well.
type LastTime = (&'static str, Option<DateTime<Utc>>);

/// What the operator asked for.
#[derive(Debug, Clone)]
pub struct Request {
    /// The line; the only one when not given.
    pub line: Option<LineName>,
    /// Days that the page looks back.
    pub days: i64,
    /// Where it is written; none: `reports/watch/LINE.html` in the home.
    pub out: Option<PathBuf>,
}

/// What came of it. `aifx.report/1`.
#[derive(Debug, Clone, Serialize)]
pub struct WatchReport {
    /// The line.
    pub line: LineName,
    /// Where the page is.
    pub file: PathBuf,
    /// Its size.
    pub size_bytes: usize,
    /// `good`, `open` (somebody should look some time) or `bad` (something rings).
    pub mood: &'static str,
    /// What the page says first.
    pub headline: String,
    /// The version that answers.
    pub production: Option<String>,
    /// What rings.
    pub ringing: Vec<AlertRow>,
    /// When the monitor last looked.
    pub last_look: Option<DateTime<Utc>>,
    /// Jobs that should have run and did not.
    pub overdue: Vec<Overdue>,
    /// Since when the page looks back.
    pub from: DateTime<Utc>,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
}

/// Gathers and writes the page.
///
/// # Errors
/// 2 when the line is not clear, 5 database, 9 when the file cannot be written.
pub fn run(app: &App, request: &Request) -> anyhow::Result<WatchReport> {
    let (name, line) = app.line(request.line.as_ref())?;
    let file = match &request.out {
        Some(file) => file.clone(),
        None => app.home.join("reports/watch").join(format!("{name}.html")),
    };
    let mut db = app.db("report")?;
    let stretch = Stretch { from: app.as_of - TimeDelta::days(request.days), as_of: app.as_of };
    let alerts = db.alerts_in(name, stretch, MOST_ALERTS)?;
    let overdue = overdue::of_line(&mut db, name, app.as_of)?;
    let page = gather(app, &mut db, (name, line), stretch, &alerts, &overdue)?;
    drop(db);
    let text = report::watch_page(&page);
    artifact::write_whole(&file, text.as_bytes())?;
    let (mood, headline) = report::headline(&page);
    Ok(WatchReport {
        line: name.clone(),
        file,
        size_bytes: text.len(),
        mood,
        headline,
        production: page.production.map(|now| now.version),
        ringing: alerts.into_iter().filter(|alert| alert.resolved.is_none()).collect(),
        last_look: page.last_look.map(|look| look.at),
        overdue,
        from: stretch.from,
        as_of: app.as_of,
    })
}

fn gather(
    app: &App,
    db: &mut Db,
    (name, line): (&LineName, &LineConfig),
    stretch: Stretch,
    alerts: &[AlertRow],
    overdue: &[Overdue],
) -> anyhow::Result<WatchPage> {
    let series = series_of(line);
    let spelled: Vec<(String, String)> = series
        .iter()
        .map(|(pair, timeframe)| (pair.clone(), timeframe.name().to_owned()))
        .collect();
    let quality = db.last_quality(&spelled, app.as_of)?;
    let looks = db.looks_by_day(name, stretch)?;
    let last_look = db.last_look(name, app.as_of)?;
    let runs = db.runs_by_day(name, &spelled, stretch)?;
    let moves = db.moves_in(name, stretch, MOST_MOVES)?;
    let production = db
        .standing_at(name, app.as_of)?
        .0
        .into_iter()
        .find(|row| row.status == Status::Production)
        .map(|row| production_now(db, name, row, app.as_of))
        .transpose()?;
    let returns = db.returns_by_day(name, stretch)?;
    let count = |n: i64| u64::try_from(n).unwrap_or_default();
    let (sizes, n_sized) =
        returns.iter().fold((0.0, 0), |(sizes, n), one| (sizes + one.sizes, n + one.n_trades));
    let equal_size = if n_sized > 0 { sizes / n_sized as f64 } else { EQUAL_SIZE };
    let (breaker, since) = bets::breaker(db, (name, line), app.as_of)?;
    let since = since.map_or(String::new(), |at| format!(" since {}", at.format("%F")));
    let mut page = WatchPage {
        line: name.to_string(),
        as_of: app.as_of,
        from: stretch.from,
        production,
        alerts: alerts.iter().map(|row| alert_text(row, name)).collect(),
        last_look: last_look
            .as_ref()
            .map(|look| report::LastLook { at: look.as_of, verdict: look.verdict.clone() }),
        n_unknown: returns.iter().map(|one| count(one.n_unknown)).sum(),
        returns: returns
            .iter()
            .map(|one| report::DayReturned {
                day: one.day,
                n_trades: count(one.n_trades),
                n_won: count(one.n_won),
                account_return: one.account_return,
                n_calls: count(one.n_calls),
                equal_return: equal_size * one.calls_return,
            })
            .collect(),
        bets: report::BetsSeen {
            calls: db
                .calls_by_reason(name, stretch)?
                .into_iter()
                .map(|(why, n)| (why, count(n)))
                .collect(),
            equal_size,
            breaker: format!("{breaker}{since}"),
            stopped: bets::guard(db, (name, line), app.as_of)?.map(|(_, why)| why),
        },
        mixture: mixture_seen(app, db, (name, line), stretch)?,
        moves: moves
            .into_iter()
            .map(|one| report::MoveOn {
                at: one.at,
                is_rollback: one.action == "rollback",
                from: one.from,
                to: one.to,
                actor: one.actor,
                reason: one.reason,
                forced: one.forced,
            })
            .collect(),
        measured: looks.iter().filter_map(measured).collect(),
        windows: looks.last().map(windows).unwrap_or_default(),
        drift: looks.iter().filter_map(drifted).collect(),
        calibration: looks.iter().rev().find_map(calibrated),
        probation: last_look.as_ref().map_or(Vec::new(), trials),
        held: last_look.as_ref().map_or(Vec::new(), held),
        started: db
            .started_by_the_monitor(name, stretch, MOST_STARTS)?
            .into_iter()
            .map(started)
            .collect(),
        said: Vec::new(),
        series: series_now(app, db, &series, &spelled, &quality)?,
        jobs: Vec::new(),
        calendar: Vec::new(),
    };
    let mut said: BTreeMap<NaiveDate, [u64; 5]> = BTreeMap::new();
    for one in db.answers_by_day(name, stretch)? {
        let place = ["buy", "sell", "hold", "abstain"].iter().position(|have| *have == one.signal);
        said.entry(one.day).or_default()[place.unwrap_or(4)] += count(one.n);
    }
    page.said = said.into_iter().map(|(day, n)| report::DaySaid { day, n }).collect();
    let first_run = db.last_done(name, app.as_of)?.first;
    let counts = db.answer_counts(name, app.as_of)?;
    let lasts = last_times(app, db, (name, line), &counts, last_look.as_ref(), &quality)?;
    for (job, (_, last)) in JOBS.iter().zip(lasts) {
        let late = overdue.iter().find(|late| late.job == job.name);
        page.jobs.push(report::JobNow {
            name: job.name.to_owned(),
            last,
            overdue: late.map(|late| {
                let times = match late.missed {
                    0 | 1 => String::new(),
                    n => format!(", missed {n} times"),
                };
                format!("since {}{times}", late.since.format("%F %H:%M"))
            }),
        });
        page.calendar.push(job_days(job.name, job.schedule, &runs, stretch, first_run));
    }
    Ok(page)
}

/// The networks that answer together, as the tables have them; none where one answers alone.
fn mixture_seen(
    app: &App,
    db: &mut Db,
    (name, line): (&LineName, &LineConfig),
    stretch: Stretch,
) -> anyhow::Result<Option<report::MixtureSeen>> {
    let (versions, _) = db.standing_at(name, app.as_of)?;
    let Some(now) = versions.iter().find(|row| row.status == Status::Production) else {
        return Ok(None);
    };
    let members = status::members(app, db, name, line, &versions, now)?;
    if members.is_empty() {
        return Ok(None);
    }
    let scores = mixture::scores(db, name, &versions, now, (stretch.from, stretch.as_of))?;
    let members = members
        .into_iter()
        .zip(scores)
        .map(|(member, score)| report::MemberSeen {
            name: member.member,
            weight: member.weight,
            n: score.n,
            log_loss: score.mean(score.own),
            of_mixture: score.mean(score.of_mixture),
        })
        .collect();
    let days = db
        .weights(name, app.as_of)?
        .into_iter()
        .filter(|row| row.day > stretch.from.date_naive())
        .map(|row| {
            let share = |entry: &Entry| (entry.component.training(), entry.weight);
            (row.day, row.weights.entries().iter().map(share).collect())
        })
        .collect();
    Ok(Some(report::MixtureSeen { members, days }))
}

/// When each job of [`JOBS`] last ended well on a line, in their order: the nightly ones by the training log, the others by what
/// they left. `look` is the monitor's last, `quality` what the last collects said.
///
/// # Errors
/// When the database fails.
pub(super) fn last_times(
    app: &App,
    db: &mut Db,
    (name, line): (&LineName, &LineConfig),
    counts: &AnswerCounts,
    look: Option<&Look>,
    quality: &[QualityRow],
) -> anyhow::Result<Vec<LastTime>> {
    let done = db.last_done(name, app.as_of)?.by_job;
    let series = series_of(line);
    let is_of_line = |row: &QualityRow| {
        series
            .iter()
            .any(|(pair, timeframe)| *pair == row.pair && timeframe.name() == row.timeframe)
    };
    let collected = quality
        .iter()
        .filter(|row| row.verdict != "failed" && is_of_line(row))
        .map(|row| row.as_of)
        .max();
    let last = |job: &str| match job {
        "collect" => collected,
        "predict" => counts.answered_at,
        "outcomes" => counts.settled_at,
        "monitor" => look.map(|look| look.as_of),
        nightly => done.iter().find(|(have, _)| have == logged(nightly)).map(|(_, at)| *at),
    };
    Ok(JOBS.iter().map(|job| (job.name, last(job.name))).collect())
}

/// What an alert is about, without saying again whose it is: `monitor:drift:fx` of the line fx is `drift`.
pub(crate) fn short_cause<'a>(cause: &'a str, line: &str) -> &'a str {
    let short = cause.strip_suffix(line).and_then(|rest| rest.strip_suffix(':')).unwrap_or(cause);
    short.strip_prefix("monitor:").unwrap_or(short)
}

/// Whether a job runs at one hour of some days.
pub(super) fn is_nightly(job: &str) -> bool {
    JOBS.iter().any(|have| have.name == job && !matches!(have.schedule, Schedule::Often(..)))
}

/// What the training log calls a job.
fn logged(job: &str) -> &str {
    match job {
        "train-daily" => "daily",
        "train-weekly" => "weekly",
        "evaluate-monthly" => "monthly",
        other => other,
    }
}

/// The series of all lines as the tables spell them, each once, however many lines share it.
pub(super) fn all_series(app: &App) -> BTreeMap<(String, String), Timeframe> {
    let of_all = app.config.lines.values().flat_map(series_of);
    of_all.map(|(pair, timeframe)| ((pair, timeframe.name().to_owned()), timeframe)).collect()
}

/// Every pair in every timeframe of a line, as it is written.
pub(super) fn series_of(line: &LineConfig) -> Vec<(String, Timeframe)> {
    line.timeframes
        .iter()
        .flat_map(|timeframe| line.pairs.iter().map(move |pair| (pair.to_string(), *timeframe)))
        .collect()
}

fn production_now(
    db: &mut Db,
    name: &LineName,
    row: VersionRow,
    as_of: DateTime<Utc>,
) -> anyhow::Result<report::ProductionNow> {
    // However long ago it was.
    let ever = Stretch { from: DateTime::UNIX_EPOCH, as_of };
    let moves = db.moves_in(name, ever, 1)?;
    let version = row.version.to_string();
    let promoted_at = moves.iter().find(|one| one.to == version).map(|one| one.at);
    Ok(report::ProductionNow {
        version,
        made_at: row.created_at,
        promoted_at,
        test_accuracy: row.metrics.pointer("/test/accuracy").and_then(serde_json::Value::as_f64),
    })
}

fn alert_text(row: &AlertRow, line: &LineName) -> report::AlertText {
    report::AlertText {
        cause: short_cause(&row.cause, line.as_str()).to_owned(),
        severity: row.severity.clone(),
        message: row.message.clone(),
        since: row.since,
        resolved: row.resolved,
        n_seen: row.n_seen,
    }
}

fn trials(look: &Look) -> Vec<report::TrialNow> {
    let trial = |one: Watched| {
        let verdict = one.verdict.as_ref();
        report::TrialNow {
            version: one.version.to_string(),
            replaced: one.replaced.to_string(),
            since: one.since,
            n_days: verdict.map(|verdict| verdict.n_days),
            saved: verdict.and_then(|verdict| Some((verdict.saved?, verdict.half_width))),
            p: verdict.map(|verdict| verdict.p),
            verdict: match verdict.map(|verdict| verdict.worse_since) {
                Some(Some(day)) => format!("by more than chance since {day}"),
                Some(None) => "no worse than chance allows".to_owned(),
                None => one.why.clone().unwrap_or_else(|| "nothing can be said".to_owned()),
            },
            is_worse: one.is_worse(),
        }
    };
    looks::list(&look.probation).into_iter().map(trial).collect()
}

fn held(look: &Look) -> Vec<report::Wanted> {
    let held = |one: looks::Wanted| {
        Some(report::Wanted { held: one.held?, job: one.job, reason: one.reason })
    };
    looks::list(&look.triggers).into_iter().filter_map(held).collect()
}

fn started(one: StartedRow) -> report::Started {
    let what = |version: Option<String>, why: Option<String>| version.or(why).unwrap_or_default();
    report::Started {
        at: one.at,
        ended: one.state.map(|state| (day_state(&state), what(one.version, one.why))),
        job: one.job,
        reason: one.reason,
    }
}

fn day_state(state: &str) -> DayState {
    match state {
        "completed" => DayState::Done,
        "refused" => DayState::Refused,
        "skipped" => DayState::Skipped,
        "running" => DayState::Running,
        _ => DayState::Failed,
    }
}

fn windows(look: &Look) -> Vec<report::WindowNow> {
    let window = |one: looks::Window| report::WindowNow {
        name: match one.days {
            Some(1) => "24 hours".to_owned(),
            Some(days) => format!("{days} days"),
            None if one.name == "promotion" => "since the promotion".to_owned(),
            None => one.name,
        },
        n: one.n,
        accuracy: one.accuracy,
        indicator_accuracy: one.indicator_accuracy,
        log_loss: one.log_loss,
        roi: one.roi,
        win_rate: one.win_rate,
        delay_s: one.delay_s,
    };
    looks::windows(&look.metrics).into_iter().map(window).collect()
}

fn measured(look: &Look) -> Option<report::DayMeasured> {
    let windows = looks::windows(&look.metrics);
    let longest = looks::longest(&windows)?;
    Some(report::DayMeasured {
        day: look.as_of.date_naive(),
        accuracy: longest.accuracy,
        log_loss: longest.log_loss,
    })
}

fn drifted(look: &Look) -> Option<report::DayDrift> {
    let seen = looks::drift(&look.drift)?;
    let day = look.as_of.date_naive();
    let told = looks::domain(&look.domain);
    Some(report::DayDrift {
        day,
        z: seen.z,
        p: seen.p,
        features: seen.features,
        rings: seen.rings,
        told: told.map(|Domain { auc, usual, p, .. }| report::Told { auc, usual, p }),
    })
}

fn calibrated(look: &Look) -> Option<report::Calibrated> {
    let windows = looks::windows(&look.metrics);
    let longest = looks::longest(&windows)?;
    if longest.bins.is_empty() {
        return None;
    }
    Some(report::Calibrated {
        at: look.as_of,
        window: format!("over the {} days before", longest.days.unwrap_or_default()),
        n: longest.n,
        bins: longest.bins.clone(),
        ece: longest.ece?,
        ece_by_chance: longest.ece_by_chance?,
    })
}

fn series_now(
    app: &App,
    db: &mut Db,
    series: &[(String, Timeframe)],
    spelled: &[(String, String)],
    quality: &[QualityRow],
) -> anyhow::Result<Vec<report::SeriesNow>> {
    let lasts = db.last_candles(spelled, app.as_of)?;
    let now = |(pair, timeframe): &(String, Timeframe), lasts: Vec<DateTime<Utc>>| {
        let close_us = last_close_us(*timeframe, &lasts, app.as_of);
        let said = quality
            .iter()
            .find(|row| row.pair == *pair && row.timeframe == timeframe.name())
            .map(|row| {
                let why = row.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
                (format!("{}{why}", row.verdict), row.as_of)
            });
        report::SeriesNow {
            name: format!("{pair} {timeframe}"),
            closed_at: close_us.and_then(DateTime::from_timestamp_micros),
            n_missing: close_us.map_or(0, |us| collect::missing_since(*timeframe, us, app.as_of)),
            quality: said,
        }
    };
    Ok(series.iter().zip(lasts).map(|(one, lasts)| now(one, lasts)).collect())
}

/// When the newest candle closed that is closed, of those that opened at `lasts`, newest first.
pub(super) fn last_close_us(
    timeframe: Timeframe,
    lasts: &[DateTime<Utc>],
    as_of: DateTime<Utc>,
) -> Option<Micros> {
    let closes = lasts.iter().map(|open| timeframe.close_at(open.timestamp_micros()));
    closes.into_iter().find(|close_us| *close_us <= as_of.timestamp_micros())
}

/// What a job did on each day, and where it should have.
fn job_days(
    job: &'static str,
    schedule: Schedule,
    runs: &[DayRuns],
    stretch: Stretch,
    first_run: Option<DateTime<Utc>>,
) -> report::JobDays {
    let of_job: Vec<&DayRuns> = runs.iter().filter(|run| run.job == logged(job)).collect();
    let mut days: BTreeMap<NaiveDate, (DayState, String)> = BTreeMap::new();
    // In a day's order of time: what came last stands.
    for run in &of_job {
        let state = day_state(&run.state);
        let why = run.why.as_deref().unwrap_or_default();
        let said = match state {
            DayState::Done => String::new(),
            _ => format!("{} times; {why}", run.n),
        };
        days.insert(run.day, (state, said));
    }
    let owed: Vec<NaiveDate> = match schedule {
        Schedule::Often(..) if job == "monitor" || job == "collect" => {
            // By what it leaves: from its first day on, every day that is over.
            let first = of_job.iter().map(|run| run.day).min();
            let last = stretch.as_of.date_naive();
            first
                .map(|first| first.iter_days().take_while(|day| *day < last).collect())
                .unwrap_or_default()
        }
        Schedule::Often(..) => Vec::new(),
        nightly => {
            let from = first_run.map_or(stretch.as_of, |first| first.max(stretch.from));
            let due = overdue::times(nightly, from, stretch.as_of - overdue::GRACE);
            due.iter()
                .enumerate()
                .filter(|(place, at)| {
                    let next = due.get(place + 1).copied().unwrap_or(stretch.as_of);
                    !of_job.iter().any(|run| run.last >= **at && run.last <= next)
                })
                .map(|(_, at)| at.date_naive())
                .collect()
        }
    };
    for day in owed {
        days.entry(day).or_insert_with(|| (DayState::Missed, "it was due and did not run".into()));
    }
    report::JobDays {
        name: job.to_owned(),
        days: days.into_iter().map(|(day, (state, said))| (day, state, said)).collect(),
    }
}
