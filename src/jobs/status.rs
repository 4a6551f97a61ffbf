//! `status`: the production model and its age, the last runs, how fresh the data is.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    looks,
    overdue::{self, Overdue},
    probation::Watched,
    watch_report, weekly,
};
use crate::{
    config::App,
    db::{market_data::Coverage, monitoring_runs::QualityRow, repairs::Repair, watch::AlertRow},
    gate,
    lineage::{LineName, Status, Version},
};

/// One screen. `aifx.status/1`.
#[derive(Debug, Clone, Serialize)]
pub struct StatusReport {
    /// The instant that was taken for now.
    pub as_of: DateTime<Utc>,
    /// Each line of the configuration.
    pub lines: Vec<LineStatus>,
    /// What the table of candles holds.
    pub data: Vec<SeriesStatus>,
    /// What the candles were worth when they were last collected.
    pub quality: Vec<QualityRow>,
    /// Alerts that nobody has closed.
    pub open_alerts: i64,
    /// What they say, the oldest first, a hundred at most.
    pub ringing: Vec<AlertRow>,
}

/// A line.
#[derive(Debug, Clone, Serialize)]
pub struct LineStatus {
    /// Its name.
    pub line: LineName,
    /// The version that answers.
    pub production: Option<Version>,
    /// Hours since that version's data ended.
    pub age_hours: Option<f64>,
    /// What the configuration asks of the next training from scratch that production was not made by.
    pub differs: Vec<String>,
    /// Versions in staging, newest first.
    pub staging: Vec<Version>,
    /// The monitor's last look.
    pub last_look: Option<LookStatus>,
    /// Promotions that may yet be taken back, as that look saw them.
    pub probation: Vec<Watched>,
    /// The newest run of each job.
    pub runs: Vec<RunStatus>,
    /// Jobs that should have run and did not.
    pub overdue: Vec<Overdue>,
    /// What crashes left behind and was put right, in the last seven days.
    pub healed: Vec<Repair>,
}

/// A look of the monitor.
#[derive(Debug, Clone, Serialize)]
pub struct LookStatus {
    /// The instant that it took for now.
    pub as_of: DateTime<Utc>,
    /// `none`, or what rang.
    pub verdict: String,
}

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct RunStatus {
    /// What ran.
    pub job: String,
    /// How it ended.
    pub status: crate::db::training_log::RunStatus,
    /// Its period.
    pub period: Option<String>,
    /// The instant that it took for now.
    pub as_of: DateTime<Utc>,
    /// What it made.
    pub version: Option<Version>,
    /// Why it did not.
    pub why: Option<String>,
}

/// A series of candles.
#[derive(Debug, Clone, Serialize)]
pub struct SeriesStatus {
    /// The pair.
    pub pair: String,
    /// The timeframe.
    pub timeframe: String,
    /// Candles.
    pub n_candles: i64,
    /// Opening of the first.
    pub first: DateTime<Utc>,
    /// Opening of the last.
    pub last: DateTime<Utc>,
    /// Hours from the last opening to now.
    pub age_hours: f64,
}

/// Gathers it.
///
/// # Errors
/// When the database fails.
pub fn run(app: &App) -> anyhow::Result<StatusReport> {
    let mut db = app.db("status")?;
    let hours = |at: DateTime<Utc>| (app.as_of - at).num_minutes() as f64 / 60.0;
    let mut lines = Vec::new();
    for (name, line) in &app.config.lines {
        let (versions, _) = db.standing_at(name, app.as_of)?;
        let production = versions.iter().find(|row| row.status == Status::Production);
        let mut staging: Vec<Version> = versions
            .iter()
            .filter(|row| row.status == Status::Staging)
            .map(|row| row.version)
            .collect();
        staging.sort_unstable_by(|a, b| b.cmp(a));
        let runs = db.last_runs(name)?.into_iter().map(|run| RunStatus {
            job: run.job,
            status: run.status,
            period: run.period_key,
            as_of: run.as_of,
            version: run.version,
            why: run.error.or(run.reason),
        });
        let look = db.last_look(name, app.as_of)?;
        lines.push(LineStatus {
            line: name.clone(),
            production: production.map(|row| row.version),
            differs: production.map_or(Vec::new(), |row| {
                gate::recipe_differences(&weekly::configured_recipe(line), row.recipe())
            }),
            age_hours: production.and_then(|row| row.seen_until).map(hours),
            staging,
            probation: look.as_ref().map_or(Vec::new(), |look| looks::list(&look.probation)),
            last_look: look.map(|look| LookStatus { as_of: look.as_of, verdict: look.verdict }),
            runs: runs.collect(),
            overdue: overdue::of_line(&mut db, name, app.as_of)?,
            healed: db.recent_repairs(name)?,
        });
    }
    let data =
        db.coverage()?.into_iter().map(|Coverage { pair, timeframe, n_candles, first, last }| {
            SeriesStatus { pair, timeframe, n_candles, first, last, age_hours: hours(last) }
        });
    let data = data.collect();
    let series: Vec<(String, String)> = watch_report::all_series(app).into_keys().collect();
    let (ringing, open_alerts) = db.ringing(app.as_of)?;
    Ok(StatusReport {
        as_of: app.as_of,
        lines,
        data,
        quality: db.last_quality(&series, app.as_of)?,
        open_alerts,
        ringing,
    })
}
