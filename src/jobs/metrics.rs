//! The metrics file: every line of the configuration as the tables have it, in Prometheus' text format, for node_exporter's
//! textfile collector.
//!
//! Written whole and renamed, after each run of the monitor, where `metrics.textfile` in aifx.yaml names a file. Not here: the
//! names (`report::prometheus`).

use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};

use chrono::{DateTime, TimeDelta, Utc};

use super::{bets, collect, doctor, looks, overdue, probation::Watched, status, watch_report};
use crate::{
    artifact,
    config::{App, LineConfig},
    db::{Db, monitoring_runs::QualityRow, watch::Stretch},
    lineage::{LineName, Status},
    market::Timeframe,
    report::prometheus::{self as metric, Sample, prometheus_text},
};

/// Days of trades behind the return of the account.
const RETURN_DAYS: i64 = 30;

/// Writes the file where one is configured, whatever became of the monitor. Returns what went wrong, in words: metrics that
/// cannot be written are no reason for a job to fail.
pub fn after_the_monitor(app: &App) -> Option<String> {
    let path = file(app)?;
    let written = text(app).and_then(|text| artifact::write_whole(&path, text.as_bytes()));
    // The collector is another user, and nothing in it is secret. Where that cannot be set, the operator's mask stands.
    let _ = fs::set_permissions(&path, fs::Permissions::from_mode(0o644));
    written.err().map(|error| format!("the metrics file was not written: {error:#}"))
}

/// Where the file is to be; relative paths start at the home.
fn file(app: &App) -> Option<PathBuf> {
    app.config.metrics.textfile.as_ref().map(|path| app.home.join(path))
}

/// The file's content as of now.
///
/// # Errors
/// When the database fails.
pub fn text(app: &App) -> anyhow::Result<String> {
    let mut db = app.db("metrics")?;
    let mut all = vec![
        Sample::of(metric::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1.0),
        Sample::of(metric::WRITTEN, &[], seconds(app.as_of)),
    ];
    // What the disk does not say has no sample.
    if let Ok(free) = doctor::free_space(&app.home, &app.models()).0 {
        all.push(Sample::of(metric::DISK_FREE, &[], free as f64));
    }
    for (line, cause, rings) in db.alert_states(app.as_of)? {
        let short = watch_report::short_cause(&cause, &line);
        all.push(Sample::of(metric::RINGING, &[&line, short], f64::from(u8::from(rings))));
    }
    let series = watch_report::all_series(app);
    let names: Vec<(String, String)> = series.keys().cloned().collect();
    let quality = db.last_quality(&names, app.as_of)?;
    for (name, line) in &app.config.lines {
        of_line(app, &mut db, (name, line), &quality, &mut all)?;
    }
    let lasts = db.last_candles(&names, app.as_of)?;
    for (((pair, name), timeframe), lasts) in series.iter().zip(lasts) {
        of_series(app, (pair, name, *timeframe), &lasts, &mut all);
    }
    Ok(prometheus_text(&all))
}

fn seconds(at: DateTime<Utc>) -> f64 {
    at.timestamp_millis() as f64 / 1000.0
}

fn of_line(
    app: &App,
    db: &mut Db,
    (name, line): (&LineName, &LineConfig),
    quality: &[QualityRow],
    all: &mut Vec<Sample>,
) -> anyhow::Result<()> {
    let label = name.as_str();
    let mut push = |metric, labels: &[&str], value: f64| {
        let labels: Vec<&str> = std::iter::once(label).chain(labels.iter().copied()).collect();
        all.push(Sample::of(metric, &labels, value));
    };
    let (versions, _) = db.standing_at(name, app.as_of)?;
    for status in [Status::Production, Status::Staging, Status::Archived] {
        let n = versions.iter().filter(|row| row.status == status).count();
        push(metric::VERSIONS, &[status.name()], n as f64);
    }
    if let Some(now) = versions.iter().find(|row| row.status == Status::Production) {
        let version = now.version.to_string();
        push(metric::PRODUCTION_INFO, &[&version], 1.0);
        push(metric::PRODUCTION_AGE, &[], seconds(app.as_of) - seconds(now.created_at));
        let then = now.metrics.pointer("/test/accuracy").and_then(serde_json::Value::as_f64);
        push(metric::ACCURACY_THEN, &[], then.unwrap_or(f64::NAN));
        let ever = Stretch { from: DateTime::UNIX_EPOCH, as_of: app.as_of };
        if let Some(last) = db.moves_in(name, ever, 1)?.last() {
            push(metric::PROMOTED, &[], seconds(last.at));
        }
    }
    let counts = db.answer_counts(name, app.as_of)?;
    for (signal, n) in &counts.by_signal {
        push(metric::SIGNALS, &[signal], *n as f64);
    }
    for (outcome, n) in &counts.by_outcome {
        push(metric::SETTLED, &[outcome], *n as f64);
    }
    push(metric::OPEN, &[], counts.n_open as f64);
    let month = Stretch { from: app.as_of - TimeDelta::days(RETURN_DAYS), as_of: app.as_of };
    let returns = db.returns_by_day(name, month)?;
    if !returns.is_empty() {
        let sum: f64 = returns.iter().map(|day| day.account_return).sum();
        push(metric::ACCOUNT_RETURN, &[&format!("{RETURN_DAYS}d")], sum);
    }
    let (breaker, _) = bets::breaker(db, (name, line), app.as_of)?;
    push(metric::BREAKER_TRIPPED, &[], f64::from(u8::from(breaker.tripped.is_some())));
    if breaker.n_days > 0 {
        push(metric::ACCOUNT_DRAWDOWN, &[], breaker.drawdown);
        push(metric::BREAKER_P, &[], breaker.p);
    }
    if let Some(now) = versions.iter().find(|row| row.status == Status::Production) {
        for one in status::members(app, db, name, line, &versions, now)? {
            push(metric::MEMBER_WEIGHT, &[&one.member], one.weight);
            push(metric::MEMBER_LOG_LOSS, &[&one.member], one.log_loss.unwrap_or(f64::NAN));
        }
    }
    let look = db.last_look(name, app.as_of)?;
    if let Some(look) = &look {
        for window in looks::windows(&look.metrics) {
            let label = window.name.as_str();
            let of = [
                (metric::ACCURACY, window.accuracy),
                (metric::INDICATOR_ACCURACY, window.indicator_accuracy),
                (metric::LOG_LOSS, window.log_loss),
                (metric::CALIBRATION_ERROR, window.ece),
                (metric::DELAY, window.delay_s),
            ];
            for (metric, value) in of {
                push(metric, &[label], value.unwrap_or(f64::NAN));
            }
            push(metric::SCORED, &[label], window.n as f64);
        }
        if let Some(domain) = looks::domain(&look.domain) {
            push(metric::DOMAIN_AUC, &[], domain.auc);
            push(metric::DOMAIN_P, &[], domain.p);
        }
        for watched in looks::list::<Watched>(&look.probation) {
            let names = [watched.version.to_string(), watched.replaced.to_string()];
            let labels = [names[0].as_str(), names[1].as_str()];
            if let Some(verdict) = &watched.verdict {
                push(metric::PROBATION_SAVED, &labels, verdict.saved.unwrap_or(f64::NAN));
                push(metric::PROBATION_P, &labels, verdict.p);
            }
        }
        if let Some(drift) = looks::drift(&look.drift) {
            push(metric::DRIFT_Z, &[], drift.z.unwrap_or(f64::NAN));
            push(metric::DRIFT_P, &[], drift.p.unwrap_or(f64::NAN));
            for (feature, z, _) in &drift.features {
                push(metric::FEATURE_DRIFT_Z, &[feature], z.unwrap_or(f64::NAN));
            }
        }
    }
    let late = overdue::of_line(db, name, app.as_of)?;
    let lasts = watch_report::last_times(app, db, (name, line), &counts, look.as_ref(), quality)?;
    for (job, last) in lasts {
        if let Some(last) = last {
            push(metric::LAST_SUCCESS, &[job], seconds(last));
        }
        if watch_report::is_nightly(job) {
            let missed = late.iter().find(|late| late.job == job).map_or(0, |late| late.missed);
            push(metric::OVERDUE, &[job], missed as f64);
        }
    }
    Ok(())
}

fn of_series(
    app: &App,
    (pair, name, timeframe): (&str, &str, Timeframe),
    lasts: &[DateTime<Utc>],
    all: &mut Vec<Sample>,
) {
    let Some(close_us) = watch_report::last_close_us(timeframe, lasts, app.as_of) else { return };
    let age = (app.as_of.timestamp_micros() - close_us) as f64 / 1e6;
    all.push(Sample::of(metric::CANDLE_AGE, &[pair, name], age));
    let missing = collect::missing_since(timeframe, close_us, app.as_of);
    all.push(Sample::of(metric::CANDLES_MISSING, &[pair, name], missing as f64));
}
