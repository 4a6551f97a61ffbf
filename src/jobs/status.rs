//! `status`: the production model and its age, the last runs, how fresh the data is.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{
    bets, kept, looks, mixture,
    overdue::{self, Overdue},
    probation::Watched,
    watch_report, weekly,
};
use crate::{
    config::{App, LineConfig},
    db::{
        Db, market_data::Coverage, model_versions::VersionRow, monitoring_runs::QualityRow,
        repairs::Repair, watch::AlertRow,
    },
    ensemble::{Entry, History, members_of},
    gate,
    labels::{LabelBalance, LabelRule},
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
    /// The networks that answer together and the class prior, with the weights of today; empty where a network answers alone.
    pub members: Vec<MemberStatus>,
    /// Why nothing is staked, where that is so.
    pub no_bets: Option<String>,
    /// Versions in staging, newest first.
    pub staging: Vec<Version>,
    /// The label that the next training from scratch learns, and what is known of it.
    pub label: LabelStatus,
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

/// A component of the mixture that answers.
#[derive(Debug, Clone, Serialize)]
pub struct MemberStatus {
    /// `prior`, or the version of the network.
    pub member: String,
    /// Share of the answer, 0 to 1.
    pub weight: f64,
    /// Mean log-loss of its own answers since it joined, nats; none before one was settled.
    pub log_loss: Option<f64>,
    /// Settled answers behind that.
    pub n_settled: u64,
}

impl MemberStatus {
    fn of(entry: &Entry) -> MemberStatus {
        MemberStatus {
            member: entry.component.to_string(),
            weight: entry.weight,
            log_loss: (entry.n > 0).then(|| entry.loss / entry.n as f64),
            n_settled: entry.n,
        }
    }
}

/// The components that answer as a version, with the weights that hold at `--as-of`.
///
/// # Errors
/// When the database fails.
pub(crate) fn members(
    app: &App,
    db: &mut Db,
    name: &LineName,
    line: &LineConfig,
    versions: &[VersionRow],
    production: &VersionRow,
) -> anyhow::Result<Vec<MemberStatus>> {
    if production.members.is_empty() {
        return Ok(Vec::new());
    }
    let days = db.weights_at(name, app.as_of)?.iter().map(mixture::day_of).collect();
    let entries = mixture::entry_weights(versions);
    let weights = History::new(days).of_members(
        &members_of(&production.members),
        app.as_of.timestamp_micros(),
        &line.ensemble,
        |member| entries.get(&member).copied().unwrap_or(line.ensemble.entry),
    );
    Ok(weights.entries().iter().map(MemberStatus::of).collect())
}

/// The label of a line.
#[derive(Debug, Clone, Serialize)]
pub struct LabelStatus {
    /// The rule of the next training from scratch, as `--rule` takes it.
    pub rule: String,
    /// The rule of the version that answers, where it is another.
    pub production_rule: Option<String>,
    /// Class balance of the labels that the last training learned from; none where it kept none.
    pub balance: Option<LabelBalance>,
    /// Settings of an earlier version, labels of nearly one class.
    pub notes: Vec<String>,
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
        let label = label_status(app, &mut db, name, line, &versions)?;
        let production = versions.iter().find(|row| row.status == Status::Production);
        let mut staging: Vec<Version> = versions
            .iter()
            .filter(|row| row.status == Status::Staging)
            .map(|row| row.version)
            .collect();
        staging.sort_unstable_by(|a, b| b.cmp(a));
        let runs = db.last_runs(name, app.as_of)?.into_iter().map(|run| RunStatus {
            job: run.job,
            status: run.status,
            period: run.period_key,
            as_of: run.as_of,
            version: run.version,
            why: run.error.or(run.reason),
        });
        let look = db.last_look(name, app.as_of)?;
        let members = match production {
            Some(row) => members(app, &mut db, name, line, &versions, row)?,
            None => Vec::new(),
        };
        let no_bets = bets::guard(&mut db, (name, line), app.as_of)?.map(|(_, why)| why);
        lines.push(LineStatus {
            line: name.clone(),
            production: production.map(|row| row.version),
            differs: production.map_or(Vec::new(), |row| {
                gate::recipe_differences(&weekly::configured_recipe(line), row.recipe())
            }),
            age_hours: production.and_then(|row| row.seen_until).map(hours),
            members,
            no_bets,
            staging,
            label,
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

/// What the tables say of a line's label: nothing is labelled for it.
fn label_status(
    app: &App,
    db: &mut Db,
    name: &LineName,
    line: &LineConfig,
    versions: &[VersionRow],
) -> anyhow::Result<LabelStatus> {
    let kept = kept::with(app, db, name, line)?;
    let balance = db.last_balance(name, app.as_of)?;
    let mut notes = kept.notes;
    notes.extend(balance.as_ref().and_then(LabelBalance::cure));
    let answers = versions.iter().find(|row| row.status == Status::Production);
    let rule = answers.and_then(|row| row.metrics.pointer("/recipe/label"));
    let rule = rule.and_then(|rule| serde_json::from_value::<LabelRule>(rule.clone()).ok());
    Ok(LabelStatus {
        rule: kept.line.label.to_string(),
        production_rule: rule.filter(|rule| *rule != kept.line.label).map(|rule| rule.to_string()),
        balance,
        notes,
    })
}
