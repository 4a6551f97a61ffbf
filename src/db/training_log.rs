//! Table `model_training_log`: one row a run, written when it starts ([`NewRun`]) and completed when it ends.
//!
//! A run that ends well is completed by the transaction that registers its version (`model_versions`); here are the
//! other ends. Not here: deciding whether a process is alive (`registry`).

use chrono::{DateTime, Utc};
use postgres::{GenericClient, Row};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Db, Failed, events, events::Channel};
use crate::{
    fault::Fault,
    labels::LabelBalance,
    lineage::{LineName, Period, Version},
};

/// How much of the model a run trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainingType {
    /// From scratch.
    Full,
    /// A fine-tune.
    Incremental,
    /// Nothing: it scores what there is.
    Evaluation,
}

impl TrainingType {
    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            TrainingType::Full => "full",
            TrainingType::Incremental => "incremental",
            TrainingType::Evaluation => "evaluation",
        }
    }
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunStatus {
    /// At work, or its process died and nobody has noticed yet.
    Running,
    /// It did what it was for; where that is a version, the version is registered.
    Completed,
    /// It stopped with an error.
    Failed,
    /// It rightly did nothing.
    Skipped,
    /// It was asked to stop and did.
    Interrupted,
    /// Its process died.
    Abandoned,
}

impl RunStatus {
    const ALL: [RunStatus; 6] = [
        RunStatus::Running,
        RunStatus::Completed,
        RunStatus::Failed,
        RunStatus::Skipped,
        RunStatus::Interrupted,
        RunStatus::Abandoned,
    ];

    /// The name in the database.
    pub fn name(self) -> &'static str {
        match self {
            RunStatus::Running => "running",
            RunStatus::Completed => "completed",
            RunStatus::Failed => "failed",
            RunStatus::Skipped => "skipped",
            RunStatus::Interrupted => "interrupted",
            RunStatus::Abandoned => "abandoned",
        }
    }
}

/// The process behind a run, so that a later one can tell whether it is still alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Host name.
    pub host: String,
    /// Process id.
    pub pid: i32,
    /// Boot of the host; empty where the system does not say.
    pub boot_id: String,
    /// Start in clock ticks since boot: tells a reused process id.
    pub started_ticks: i64,
}

/// A run that is about to start.
#[derive(Debug, Clone)]
pub struct NewRun<'a> {
    /// Its key.
    pub run_id: Uuid,
    /// Its line.
    pub line: &'a LineName,
    /// What runs: `weekly`, `daily`.
    pub job: &'a str,
    /// How much of the model it trains.
    pub training_type: TrainingType,
    /// The period that it is for, when it is scheduled.
    pub period: Option<Period>,
    /// Whether the operator asked for another run within the period.
    pub forced: bool,
    /// Its process.
    pub process: &'a Process,
    /// What it starts from.
    pub parent: Option<Version>,
    /// Its settings.
    pub hyperparameters: &'a Value,
    /// Why it was asked for.
    pub reason: Option<&'a str>,
    /// The instant that it takes for now.
    pub as_of: DateTime<Utc>,
}

/// What a run used and reached, as far as it came.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Figures {
    /// Opening of the first candle used.
    pub data_from: Option<DateTime<Utc>>,
    /// Last instant that the data reaches to.
    pub data_until: Option<DateTime<Utc>>,
    /// Training samples.
    pub n_train: Option<i64>,
    /// Validation samples.
    pub n_validation: Option<i64>,
    /// Test samples.
    pub n_test: Option<i64>,
    /// Epochs trained.
    pub n_epochs: Option<i32>,
    /// Cross-entropy on the training part, nats.
    pub train_loss: Option<f64>,
    /// Cross-entropy on the validation part, nats.
    pub validation_loss: Option<f64>,
    /// Cross-entropy on the test part, nats.
    pub test_loss: Option<f64>,
    /// Accuracy on the training part, 0 to 1.
    pub train_accuracy: Option<f64>,
    /// Accuracy on the validation part, 0 to 1.
    pub validation_accuracy: Option<f64>,
    /// Accuracy on the test part, 0 to 1.
    pub test_accuracy: Option<f64>,
    /// Figures of the backtest on the test part.
    pub backtest: Option<Value>,
    /// Duration of the training, seconds.
    pub training_s: Option<f64>,
    /// Class balance of the labels that it learned from.
    pub class_balance: Option<LabelBalance>,
}

/// How a run ended that made no version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With what it was for, in words: its period is taken.
    Completed(String),
    /// With an error.
    Failed(String),
    /// Rightly without doing anything.
    Skipped(String),
    /// It was asked to stop.
    Interrupted(String),
    /// Its process died; found by a later run.
    Abandoned(String),
}

/// A row of the training log.
#[derive(Debug, Clone, PartialEq)]
pub struct RunRow {
    /// Its key.
    pub run_id: Uuid,
    /// Its line.
    pub line: LineName,
    /// What ran.
    pub job: String,
    /// Where it stands.
    pub status: RunStatus,
    /// The period that it was for.
    pub period_key: Option<String>,
    /// Its fencing number.
    pub fence: i64,
    /// Its process.
    pub process: Process,
    /// The instant that it took for now.
    pub as_of: DateTime<Utc>,
    /// When its row was written, by the database clock.
    pub started_at: DateTime<Utc>,
    /// When it ended, by the database clock.
    pub finished_at: Option<DateTime<Utc>>,
    /// Version that it made.
    pub version: Option<Version>,
    /// Why it was asked for, or skipped.
    pub reason: Option<String>,
    /// Why it failed.
    pub error: Option<String>,
}

const COLUMNS: &str = "run_id, line, job, status, period_key, fence, host, pid, boot_id, process_started_ticks, \
                       as_of, started_at, finished_at, version, reason, error";

fn run_row(row: &Row) -> anyhow::Result<RunRow> {
    let text = |column: &str| row.get::<_, Option<String>>(column).unwrap_or_default();
    let status = text("status");
    Ok(RunRow {
        run_id: row.get("run_id"),
        line: text("line").parse().map_err(Fault::integrity)?,
        job: text("job"),
        status: RunStatus::ALL
            .into_iter()
            .find(|known| known.name() == status)
            .ok_or_else(|| Fault::integrity(format!("a run has the status {status:?}")))?,
        period_key: row.get("period_key"),
        fence: row.get::<_, Option<i64>>("fence").unwrap_or(0),
        process: Process {
            host: text("host"),
            pid: row.get::<_, Option<i32>>("pid").unwrap_or(0),
            boot_id: text("boot_id"),
            started_ticks: row.get::<_, Option<i64>>("process_started_ticks").unwrap_or(0),
        },
        as_of: row.get("as_of"),
        started_at: row.get("started_at"),
        finished_at: row.get("finished_at"),
        version: row
            .get::<_, Option<String>>("version")
            .map(|version| version.parse().map_err(Fault::integrity))
            .transpose()?,
        reason: row.get("reason"),
        error: row.get("error"),
    })
}

/// Writes the figures of a run in the caller's transaction.
pub(in crate::db) fn set_figures(
    client: &mut impl GenericClient,
    run_id: Uuid,
    figures: &Figures,
) -> Result<(), postgres::Error> {
    client.execute(
        "UPDATE model_training_log SET data_from = $2, data_until = $3, n_train = $4, n_validation = $5,
             n_test = $6, n_epochs = $7, train_loss = $8, validation_loss = $9, test_loss = $10,
             train_accuracy = $11, validation_accuracy = $12, test_accuracy = $13, backtest = $14, training_s = $15,
             class_balance = $16
         WHERE run_id = $1",
        &[
            &run_id,
            &figures.data_from,
            &figures.data_until,
            &figures.n_train,
            &figures.n_validation,
            &figures.n_test,
            &figures.n_epochs,
            &figures.train_loss,
            &figures.validation_loss,
            &figures.test_loss,
            &figures.train_accuracy,
            &figures.validation_accuracy,
            &figures.test_accuracy,
            &figures.backtest,
            &figures.training_s,
            &figures.class_balance.as_ref().and_then(|balance| serde_json::to_value(balance).ok()),
        ],
    )?;
    Ok(())
}

/// When a job last ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobTimes {
    /// Its name in the training log, such as `daily`.
    pub job: String,
    /// The instant that its last run took for now, however that ended.
    pub began: DateTime<Utc>,
    /// That of the last run that completed.
    pub completed: Option<DateTime<Utc>>,
}

/// When the jobs of a line last ended well.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastDone {
    /// The instant that the line's first run took for now; none: nothing has run.
    pub first: Option<DateTime<Utc>>,
    /// Job and the latest instant that a completed or skipped run of it took for now.
    pub by_job: Vec<(String, DateTime<Utc>)>,
}

impl Db {
    /// When the jobs of a line last ended well, of the runs up to `as_of`. What something else than the schedule asked for does not
    /// use up a time of the schedule.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_done(&mut self, line: &LineName, as_of: DateTime<Utc>) -> anyhow::Result<LastDone> {
        let doing = "cannot read when the jobs last ended well";
        let rows = self
            .client
            .query(
                "SELECT coalesce(job, ''), min(as_of),
                        max(as_of) FILTER (WHERE status IN ('completed', 'skipped')
                                                 AND coalesce(period_key, '') NOT LIKE 'asked:%')
                 FROM model_training_log WHERE line = $1 AND as_of <= $2 GROUP BY job",
                &[&line.as_str(), &as_of],
            )
            .failed(doing)?;
        let firsts = rows.iter().filter_map(|row| row.get::<_, Option<DateTime<Utc>>>(1));
        let done = |row: &Row| Some((row.get(0), row.get::<_, Option<DateTime<Utc>>>(2)?));
        Ok(LastDone { first: firsts.min(), by_job: rows.iter().filter_map(done).collect() })
    }

    /// When each job of a line last began and last completed, up to `as_of`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn job_times(
        &mut self,
        line: &LineName,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<JobTimes>> {
        let rows = self
            .client
            .query(
                "SELECT job, max(as_of), max(as_of) FILTER (WHERE status = 'completed')
                 FROM model_training_log WHERE line = $1 AND as_of <= $2 AND job IS NOT NULL GROUP BY job",
                &[&line.as_str(), &as_of],
            )
            .failed("cannot read when the jobs last ran")?;
        let last =
            |row: &Row| JobTimes { job: row.get(0), began: row.get(1), completed: row.get(2) };
        Ok(rows.iter().map(last).collect())
    }

    /// The next fencing number: larger than every one before.
    ///
    /// # Errors
    /// When the database fails.
    pub fn next_fence(&mut self) -> anyhow::Result<i64> {
        let row = self
            .client
            .query_one("SELECT nextval('aifx_fence')", &[])
            .failed("cannot take a fencing number")?;
        Ok(row.get(0))
    }

    /// Writes the row of a run that starts, with its event, and returns its fencing number.
    ///
    /// # Errors
    /// When the database fails.
    pub fn start_run(&mut self, run: &NewRun<'_>) -> anyhow::Result<i64> {
        let doing = format!("cannot record the start of a {} run of {}", run.job, run.line);
        let mut tx = self.client.transaction().failed(&doing)?;
        let row = tx
            .query_one(
                "INSERT INTO model_training_log (run_id, line, job, training_type, status, period_key, forced, fence,
                     host, pid, boot_id, process_started_ticks, as_of, parent_version, hyperparameters, reason)
                 VALUES ($1, $2, $3, $4, 'running', $5, $6, nextval('aifx_fence'), $7, $8, $9, $10, $11, $12, $13, $14)
                 RETURNING fence",
                &[
                    &run.run_id,
                    &run.line.as_str(),
                    &run.job,
                    &run.training_type.name(),
                    &run.period.map(|period| period.to_string()),
                    &run.forced,
                    &run.process.host,
                    &run.process.pid,
                    &run.process.boot_id,
                    &run.process.started_ticks,
                    &run.as_of,
                    &run.parent.map(|version| version.to_string()),
                    run.hyperparameters,
                    &run.reason,
                ],
            )
            .failed(&doing)?;
        let payload = json!({
            "run_id": run.run_id, "line": run.line, "job": run.job,
            "training_type": run.training_type, "parent": run.parent, "as_of": run.as_of,
        });
        events::insert(&mut tx, Channel::TrainingStarted, &payload, run.as_of).failed(&doing)?;
        tx.commit().failed(&doing)?;
        Ok(row.get(0))
    }

    /// Ends a run that made no version, with what it reached so far; a run that has ended already is left alone.
    ///
    /// # Errors
    /// When the database fails.
    pub fn end_run(&mut self, run_id: Uuid, end: &End, figures: &Figures) -> anyhow::Result<()> {
        let doing = "cannot record the end of a run";
        let (status, reason, error) = match end {
            End::Completed(outcome) => (RunStatus::Completed, Some(outcome), None),
            End::Failed(error) => (RunStatus::Failed, None, Some(error)),
            End::Skipped(reason) => (RunStatus::Skipped, Some(reason), None),
            End::Interrupted(reason) => (RunStatus::Interrupted, Some(reason), None),
            End::Abandoned(error) => (RunStatus::Abandoned, None, Some(error)),
        };
        let mut tx = self.client.transaction().failed(doing)?;
        let ended = tx
            .query_opt(
                "UPDATE model_training_log SET status = $2, reason = nullif(concat_ws('; ', reason, $3::text), ''), error = $4,
                     finished_at = clock_timestamp()
                 WHERE run_id = $1 AND status = 'running' RETURNING line, job, as_of",
                &[&run_id, &status.name(), &reason, &error],
            )
            .failed(doing)?;
        if let Some(row) = ended {
            set_figures(&mut tx, run_id, figures).failed(doing)?;
            let (line, job): (String, Option<String>) = (row.get(0), row.get(1));
            let payload = json!({
                "run_id": run_id, "line": line, "job": job, "status": status.name(),
                "reason": reason, "error": error,
            });
            events::insert(&mut tx, Channel::TrainingCompleted, &payload, row.get(2))
                .failed(doing)?;
        }
        tx.commit().failed(doing)
    }

    /// A run, if it is known.
    ///
    /// # Errors
    /// When the database fails, or the row was damaged by hand.
    pub fn find_run(&mut self, run_id: Uuid) -> anyhow::Result<Option<RunRow>> {
        self.client
            .query_opt(
                &format!("SELECT {COLUMNS} FROM model_training_log WHERE run_id = $1"),
                &[&run_id],
            )
            .failed("cannot look up a run")?
            .map(|row| run_row(&row))
            .transpose()
    }

    /// Runs of a line whose row says that they are at work.
    ///
    /// # Errors
    /// When the database fails, or a row was damaged by hand.
    pub fn running_runs(&mut self, line: &LineName) -> anyhow::Result<Vec<RunRow>> {
        self.client
            .query(
                &format!(
                    "SELECT {COLUMNS} FROM model_training_log
                     WHERE line = $1 AND status = 'running' ORDER BY started_at"
                ),
                &[&line.as_str()],
            )
            .failed("cannot read the runs at work")?
            .iter()
            .map(run_row)
            .collect()
    }

    /// The run that completed a period, if one did.
    ///
    /// # Errors
    /// When the database fails, or the row was damaged by hand.
    pub fn completed_in(
        &mut self,
        line: &LineName,
        period: Period,
    ) -> anyhow::Result<Option<RunRow>> {
        self.client
            .query_opt(
                &format!(
                    "SELECT {COLUMNS} FROM model_training_log
                     WHERE line = $1 AND period_key = $2 AND status = 'completed'
                     ORDER BY started_at DESC LIMIT 1"
                ),
                &[&line.as_str(), &period.to_string()],
            )
            .failed("cannot look up the runs of this period")?
            .map(|row| run_row(&row))
            .transpose()
    }

    /// The class balance that the newest training up to `as_of` learned from; runs that kept none are passed over.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_balance(
        &mut self,
        line: &LineName,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Option<LabelBalance>> {
        let row = self
            .client
            .query_opt(
                "SELECT class_balance FROM model_training_log
                 WHERE line = $1 AND as_of <= $2 AND class_balance IS NOT NULL ORDER BY as_of DESC, started_at DESC LIMIT 1",
                &[&line.as_str(), &as_of],
            )
            .failed("cannot read the class balance of the last training")?;
        // What somebody else has written there is no balance of ours.
        Ok(row.and_then(|row| serde_json::from_value(row.get(0)).ok()))
    }

    /// `weekly.days` as they were configured when the newest training from scratch up to `as_of` ran, whatever its flags said.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_weekly_days(
        &mut self,
        line: &LineName,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Option<u32>> {
        let row = self
            .client
            .query_opt(
                "SELECT hyperparameters #> '{line,weekly,days}' FROM model_training_log
                 WHERE line = $1 AND as_of <= $2 AND training_type = 'full' AND status = 'completed'
                 ORDER BY as_of DESC, started_at DESC LIMIT 1",
                &[&line.as_str(), &as_of],
            )
            .failed("cannot read the settings of the last training")?;
        let days =
            row.and_then(|row| row.get::<_, Option<Value>>(0)).and_then(|days| days.as_u64());
        Ok(days.and_then(|days| u32::try_from(days).ok()))
    }

    /// The versions of a line that a run for a period made, up to `as_of`, with the period.
    ///
    /// # Errors
    /// When the database fails, or a row was damaged by hand.
    pub fn periods_of_versions(
        &mut self,
        line: &LineName,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<(Version, String)>> {
        let rows = self
            .client
            .query(
                "SELECT version, period_key FROM model_training_log
                  WHERE line = $1 AND as_of <= $2 AND version IS NOT NULL AND period_key IS NOT NULL",
                &[&line.as_str(), &as_of],
            )
            .failed("cannot read what periods the versions were made for")?;
        let read = |row: &Row| {
            let version = row.get::<_, String>(0).parse().map_err(Fault::integrity)?;
            Ok((version, row.get(1)))
        };
        rows.iter().map(read).collect()
    }

    /// Whether the run of a job that made a version was told not to promote it.
    ///
    /// # Errors
    /// When the database fails.
    pub fn told_not_to_promote(
        &mut self,
        line: &LineName,
        version: Version,
        job: &str,
    ) -> anyhow::Result<bool> {
        let row = self
            .client
            .query_one(
                "SELECT EXISTS (SELECT 1 FROM model_training_log WHERE line = $1 AND version = $2 AND job = $3
                                AND hyperparameters @> '{\"no_promote\": true}')",
                &[&line.as_str(), &version.to_string(), &job],
            )
            .failed("cannot look up what a run was told")?;
        Ok(row.get(0))
    }

    /// The newest run of each job of a line.
    ///
    /// # Errors
    /// When the database fails, or a row was damaged by hand.
    pub fn last_runs(
        &mut self,
        line: &LineName,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<RunRow>> {
        self.client
            .query(
                &format!(
                    "SELECT DISTINCT ON (job) {COLUMNS} FROM model_training_log
                     WHERE line = $1 AND as_of <= $2 ORDER BY job, started_at DESC"
                ),
                &[&line.as_str(), &as_of],
            )
            .failed("cannot read the last runs")?
            .iter()
            .map(run_row)
            .collect()
    }
}
