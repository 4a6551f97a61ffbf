//! Table `model_versions`: one row a published version. The row is the truth; the directory holds its files.
//!
//! [`Db::commit_publication`] is the one transaction by which a version comes to exist. Paths are derived from line and
//! version, never read from a row. Not here: moving production (`promotions`), files (`artifact`).

use chrono::{DateTime, Utc};
use postgres::{GenericClient, Row, Transaction};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Db, Failed,
    events::{self, Channel},
    promotions::MoveRow,
    training_log::{self, Figures},
    trials::{self, Trial},
};
use crate::{
    ensemble::Place,
    fault::Fault,
    lineage::{LineName, Status, Version},
};

/// A row of the registry.
#[derive(Debug, Clone, PartialEq)]
pub struct VersionRow {
    /// Its line.
    pub line: LineName,
    /// The version.
    pub version: Version,
    /// Where it stands.
    pub status: Status,
    /// What it was fine-tuned from.
    pub parent: Option<Version>,
    /// The run that made it.
    pub run_id: Option<Uuid>,
    /// Last instant that it or an ancestor was trained, tuned or calibrated on.
    pub seen_until: Option<DateTime<Utc>>,
    /// End of the evidence by which it was chosen; none where it never was, or only by force.
    pub selected_until: Option<DateTime<Utc>>,
    /// Figures at publication.
    pub metrics: Value,
    /// Figures measured while in production.
    pub production_metrics: Option<Value>,
    /// Verdict of the gate.
    pub gate: Option<Value>,
    /// SHA-256 of its `SHA256SUMS`.
    pub manifest_sha256: Option<String>,
    /// Size of its files, in bytes.
    pub size_bytes: Option<i64>,
    /// Since when its directory is missing; such a version is never served.
    pub missing_since: Option<DateTime<Utc>>,
    /// The instant that its run took for now.
    pub created_at: DateTime<Utc>,
    /// The networks that answer together as this version; empty where its own answers alone.
    pub members: Vec<Place>,
}

impl VersionRow {
    /// The last instant that it, or an ancestor, saw or was chosen by: what it is worth shows only afterwards. None where what it
    /// saw is not recorded.
    pub fn known_until(&self) -> Option<DateTime<Utc>> {
        self.seen_until.map(|seen| self.selected_until.map_or(seen, |chosen| seen.max(chosen)))
    }

    /// The recipe that it goes back to; null in rows from before it was kept.
    pub fn recipe(&self) -> &Value {
        &self.metrics["recipe"]
    }
}

/// Rows and moves (in order of time) of a line as they stood at an instant: the versions that had been made by then, and of the
/// moves those that had been. What answered, and what no longer did, follows from the moves alone.
pub fn standing_at(
    rows: Vec<VersionRow>,
    moves: Vec<MoveRow>,
    as_of: DateTime<Utc>,
) -> (Vec<VersionRow>, Vec<MoveRow>) {
    let (then, later): (Vec<MoveRow>, Vec<MoveRow>) =
        moves.into_iter().partition(|step| step.as_of <= as_of);
    let mut rows: Vec<VersionRow> =
        rows.into_iter().filter(|row| row.created_at <= as_of).collect();
    if !later.is_empty() {
        let production = then.last().map(|step| step.to);
        let moved = |steps: &[MoveRow], version: Version| {
            steps.iter().any(|step| step.to == version || step.from == Some(version))
        };
        for row in &mut rows {
            row.status = if production == Some(row.version) {
                Status::Production
            } else if moved(&then, row.version) {
                Status::Archived
            } else if moved(&later, row.version) {
                Status::Staging
            } else {
                row.status
            };
        }
    }
    for row in &mut rows {
        row.selected_until = row.selected_until.filter(|until| *until <= as_of);
    }
    (rows, then)
}

/// What is recorded of a version beside its files; kept in its `metadata.json` too, so that a version whose row could
/// not be written is registered later without training it again.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Figures at publication.
    pub metrics: Value,
    /// Verdict of the gate, where it was judged.
    pub gate: Option<Value>,
    /// What the run used and reached.
    pub figures: Figures,
    /// Its score, to be counted.
    pub trial: Option<Trial>,
    /// The networks that answer together as this version; empty where its own answers alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Place>,
}

/// Everything that one transaction makes true about a new version.
#[derive(Debug, Clone)]
pub struct Publication<'a> {
    /// Its line.
    pub line: &'a LineName,
    /// The version.
    pub version: Version,
    /// What it was fine-tuned from.
    pub parent: Option<Version>,
    /// The run that made it: publishing twice is publishing once.
    pub run_id: Uuid,
    /// The run's fencing number.
    pub fence: i64,
    /// Last instant that it or an ancestor saw.
    pub seen_until: DateTime<Utc>,
    /// The instant that the run took for now.
    pub created_at: DateTime<Utc>,
    /// SHA-256 of its `SHA256SUMS`.
    pub manifest_sha256: &'a str,
    /// Size of its files, in bytes.
    pub size_bytes: u64,
    /// Figures, gate, score.
    pub record: &'a Record,
}

/// Whether a publication may still commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// The run is alive: its row says running, and no newer run has published on the line.
    Own,
    /// A later command found the files of a run that died, or that lost its database, and registers them.
    Adopted,
}

const COLUMNS: &str = "line, version, status, parent_version, run_id, seen_until, selected_until, metrics, production_metrics, gate, \
                       manifest_sha256, size_bytes, missing_since, created_at, recorded_at, members";

fn version_row(row: &Row) -> anyhow::Result<VersionRow> {
    let text = |column: &str| row.get::<_, Option<String>>(column).unwrap_or_default();
    let parse = || -> Result<VersionRow, crate::lineage::LineageError> {
        Ok(VersionRow {
            line: text("line").parse()?,
            version: text("version").parse()?,
            status: text("status").parse()?,
            parent: row
                .get::<_, Option<String>>("parent_version")
                .map(|parent| parent.parse())
                .transpose()?,
            run_id: row.get("run_id"),
            seen_until: row.get("seen_until"),
            selected_until: row.get("selected_until"),
            metrics: row.get::<_, Option<Value>>("metrics").unwrap_or(Value::Null),
            production_metrics: row.get("production_metrics"),
            gate: row.get("gate"),
            manifest_sha256: row.get("manifest_sha256"),
            size_bytes: row.get("size_bytes"),
            missing_since: row.get("missing_since"),
            created_at: row
                .get::<_, Option<DateTime<Utc>>>("created_at")
                .unwrap_or_else(|| row.get("recorded_at")),
            members: Vec::new(),
        })
    };
    let members = match row.get::<_, Option<Value>>("members") {
        Some(stored) => serde_json::from_value(stored).map_err(|error| {
            Fault::integrity(format!("the members of a row of model_versions are none: {error}"))
                .hint("correct or delete that row")
        })?,
        None => Vec::new(),
    };
    parse().map(|row| VersionRow { members, ..row }).map_err(|error| {
        Fault::integrity(format!("a row of model_versions was changed by hand: {error}"))
            .hint("correct or delete that row; aifx derives paths from it and takes no other text")
            .into()
    })
}

/// Keeps all other commits on a line out until the transaction ends, on whichever host they run.
pub(in crate::db) fn lock_line(
    client: &mut impl GenericClient,
    line: &LineName,
) -> Result<(), postgres::Error> {
    client.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('aifx:line:' || $1, 0))",
        &[&line.as_str()],
    )?;
    Ok(())
}

/// Says until when the evidence reaches that spoke for a version, in the caller's transaction; an earlier end changes nothing.
pub(in crate::db) fn select_until(
    client: &mut impl GenericClient,
    line: &LineName,
    version: Version,
    until: DateTime<Utc>,
) -> Result<(), postgres::Error> {
    client.execute(
        "UPDATE model_versions SET selected_until = greatest(selected_until, $3) WHERE line = $1 AND version = $2",
        &[&line.as_str(), &version.to_string(), &until],
    )?;
    Ok(())
}

impl Db {
    /// Rows (oldest version first) and moves (in order of time) of a line as they stood at an instant.
    ///
    /// # Errors
    /// As [`Db::versions`].
    pub fn standing_at(
        &mut self,
        line: &LineName,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<(Vec<VersionRow>, Vec<MoveRow>)> {
        let mut moves = self.moves(line, i64::MAX)?;
        moves.reverse();
        Ok(standing_at(self.versions(Some(line))?, moves, as_of))
    }

    /// Says that a version was chosen by evidence that ends at an instant.
    ///
    /// # Errors
    /// When the database fails.
    pub fn store_selected_until(
        &mut self,
        line: &LineName,
        version: Version,
        until: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        select_until(&mut self.client, line, version, until)
            .failed(&format!("cannot record what {line} {version} was chosen by"))
    }

    /// Registers a version: its row, the end of its run, its score and its event, all or nothing. Doing it again
    /// after the answer to COMMIT was lost changes nothing.
    ///
    /// # Errors
    /// Exit 6 when a newer run overtook this one, 7 when the version is registered already by another run, else when
    /// the database fails.
    pub fn commit_publication(
        &mut self,
        publication: &Publication<'_>,
        claim: Claim,
    ) -> anyhow::Result<()> {
        let Publication { line, version, run_id, .. } = *publication;
        let doing = format!("cannot register {line} {version}");
        let mut tx = self.client.transaction().failed(&doing)?;
        lock_line(&mut tx, line).failed(&doing)?;
        let registered = tx
            .query_opt(
                "SELECT run_id FROM model_versions WHERE (line = $1 AND version = $2) OR run_id = $3
                 ORDER BY run_id = $3 DESC NULLS LAST LIMIT 1",
                &[&line.as_str(), &version.to_string(), &run_id],
            )
            .failed(&doing)?;
        match registered.map(|row| row.get::<_, Option<Uuid>>(0)) {
            Some(Some(owner)) if owner == run_id => return Ok(()),
            Some(_) => {
                return Err(Fault::integrity(format!(
                    "{line} {version} is registered already, by another run"
                ))
                .hint("run the command again: it takes the next free version")
                .into());
            }
            None => {}
        }
        if claim == Claim::Own {
            check_claim(&mut tx, publication, &doing)?;
        }
        insert_version(&mut tx, publication).failed(&doing)?;
        complete_run(&mut tx, publication).failed(&doing)?;
        if let Some(trial) = &publication.record.trial {
            trials::insert(&mut tx, line, version, run_id, trial, publication.created_at)
                .failed(&doing)?;
        }
        let payload = json!({
            "run_id": run_id, "line": line, "version": version, "parent": publication.parent,
            "status": "completed", "seen_until": publication.seen_until,
            "metrics": publication.record.metrics,
        });
        events::insert(&mut tx, Channel::TrainingCompleted, &payload, publication.created_at)
            .failed(&doing)?;
        tx.commit().failed(&doing)
    }

    /// All versions of a line, or of all lines, oldest version first.
    ///
    /// # Errors
    /// When the database fails; exit 7 when a row was changed by hand into something that is no version.
    pub fn versions(&mut self, line: Option<&LineName>) -> anyhow::Result<Vec<VersionRow>> {
        let rows = self
            .client
            .query(
                &format!(
                    "SELECT {COLUMNS} FROM model_versions
                     WHERE line IS NOT NULL AND ($1::text IS NULL OR line = $1)"
                ),
                &[&line.map(LineName::as_str)],
            )
            .failed("cannot read the versions")?;
        let mut versions = rows.iter().map(version_row).collect::<anyhow::Result<Vec<_>>>()?;
        versions.sort_by(|a, b| (&a.line, a.version).cmp(&(&b.line, b.version)));
        Ok(versions)
    }

    /// A version, if it is registered.
    ///
    /// # Errors
    /// As [`Db::versions`].
    pub fn find_version(
        &mut self,
        line: &LineName,
        version: Version,
    ) -> anyhow::Result<Option<VersionRow>> {
        self.client
            .query_opt(
                &format!("SELECT {COLUMNS} FROM model_versions WHERE line = $1 AND version = $2"),
                &[&line.as_str(), &version.to_string()],
            )
            .failed(&format!("cannot look up {line} {version}"))?
            .map(|row| version_row(&row))
            .transpose()
    }

    /// The version that answers, if one does.
    ///
    /// # Errors
    /// As [`Db::versions`].
    pub fn production(&mut self, line: &LineName) -> anyhow::Result<Option<VersionRow>> {
        self.client
            .query_opt(
                &format!(
                    "SELECT {COLUMNS} FROM model_versions WHERE line = $1 AND status = 'production'"
                ),
                &[&line.as_str()],
            )
            .failed(&format!("cannot look up the production version of {line}"))?
            .map(|row| version_row(&row))
            .transpose()
    }

    /// Stores a new verdict of the gate.
    ///
    /// # Errors
    /// When the database fails.
    pub fn store_gate(
        &mut self,
        line: &LineName,
        version: Version,
        gate: &Value,
    ) -> anyhow::Result<()> {
        self.client
            .execute(
                "UPDATE model_versions SET gate = $3 WHERE line = $1 AND version = $2",
                &[&line.as_str(), &version.to_string(), &gate],
            )
            .failed(&format!("cannot store the verdict on {line} {version}"))
            .map(drop)
    }

    /// Forgets a version; its scores, its run and the moves to and from it stay on the record.
    ///
    /// # Errors
    /// Exit 6 when it is in production by now; else when the database fails.
    pub fn delete_version(&mut self, line: &LineName, version: Version) -> anyhow::Result<()> {
        let doing = format!("cannot delete {line} {version}");
        let mut tx = self.client.transaction().failed(&doing)?;
        lock_line(&mut tx, line).failed(&doing)?;
        let serving = tx
            .query_opt(
                "SELECT 1 FROM model_versions
                 WHERE line = $1 AND version = $2 AND status = 'production'",
                &[&line.as_str(), &version.to_string()],
            )
            .failed(&doing)?;
        if serving.is_some() {
            let why = format!("{line} {version} is in production");
            return Err(anyhow::Error::from(Fault::locked(why)).context(doing));
        }
        tx.execute(
            "DELETE FROM model_versions WHERE line = $1 AND version = $2",
            &[&line.as_str(), &version.to_string()],
        )
        .failed(&doing)?;
        tx.commit().failed(&doing)
    }

    /// Remembers that the directory of a version is missing, or is back.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_missing(
        &mut self,
        line: &LineName,
        version: Version,
        missing: bool,
    ) -> anyhow::Result<()> {
        self.client
            .execute(
                "UPDATE model_versions SET missing_since = CASE WHEN $3 THEN clock_timestamp() END
                 WHERE line = $1 AND version = $2",
                &[&line.as_str(), &version.to_string(), &missing],
            )
            .failed(&format!("cannot mark {line} {version}"))?;
        Ok(())
    }
}

fn check_claim(
    tx: &mut Transaction<'_>,
    publication: &Publication<'_>,
    doing: &str,
) -> anyhow::Result<()> {
    let status = tx
        .query_opt(
            "SELECT status FROM model_training_log WHERE run_id = $1 FOR UPDATE",
            &[&publication.run_id],
        )
        .failed(doing)?
        .and_then(|row| row.get::<_, Option<String>>(0));
    let newer: Option<String> = tx
        .query_opt(
            "SELECT version FROM model_versions WHERE line = $1 AND fence > $2 ORDER BY fence DESC LIMIT 1",
            &[&publication.line.as_str(), &publication.fence],
        )
        .failed(doing)?
        .and_then(|row| row.get(0));
    let overtaken = match (status.as_deref(), newer) {
        (_, Some(version)) => format!("a newer run has published {version} meanwhile"),
        (Some("running"), None) => return Ok(()),
        (Some(status), None) => format!("another command has marked this run {status}"),
        (None, None) => "the row of this run is gone".to_owned(),
    };
    Err(anyhow::Error::from(
        Fault::locked(overtaken).hint(
            "nothing was registered; the files stay, and the next command decides about them",
        ),
    )
    .context(doing.to_owned()))
}

impl Db {
    /// Says beside a version's weights which weights say how sure it is.
    ///
    /// # Errors
    /// When the database fails.
    pub fn set_second_stage(
        &mut self,
        line: &LineName,
        version: Version,
        second_line: &LineName,
        second: Version,
    ) -> anyhow::Result<()> {
        let path = format!("{second_line}/{second}/model.safetensors");
        self.client
            .execute(
                "UPDATE model_versions SET stage2_model_path = $3
                  WHERE line = $1 AND version = $2 AND stage2_model_path IS DISTINCT FROM $3",
                &[&line.as_str(), &version.to_string(), &path],
            )
            .failed("cannot record the second stage")?;
        Ok(())
    }
}

fn insert_version(
    tx: &mut Transaction<'_>,
    publication: &Publication<'_>,
) -> Result<(), postgres::Error> {
    let Publication { line, version, .. } = publication;
    let places = &publication.record.members;
    let members = (!places.is_empty()).then(|| json!(places));
    tx.execute(
        "INSERT INTO model_versions (line, version, status, parent_version, run_id, fence, seen_until, metrics, gate,
             manifest_sha256, size_bytes, stage1_model_path, created_at, members)
         VALUES ($1, $2, 'staging', $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
        &[
            &line.as_str(),
            &version.to_string(),
            &publication.parent.map(|parent| parent.to_string()),
            &publication.run_id,
            &publication.fence,
            &publication.seen_until,
            &publication.record.metrics,
            &publication.record.gate,
            &publication.manifest_sha256,
            &i64::try_from(publication.size_bytes).unwrap_or(i64::MAX),
            &format!("{line}/{version}/model.safetensors"),
            &publication.created_at,
            &members,
        ],
    )?;
    Ok(())
}

fn complete_run(
    tx: &mut Transaction<'_>,
    publication: &Publication<'_>,
) -> Result<(), postgres::Error> {
    let Publication { line, version, run_id, .. } = *publication;
    // An adopted run may find its period completed by the retry; it then keeps its row and gives up the period.
    tx.execute(
        "UPDATE model_training_log log SET status = 'completed', version = $2, model_path = $3, error = NULL,
             finished_at = clock_timestamp(),
             period_key = CASE WHEN NOT EXISTS (
                 SELECT 1 FROM model_training_log other
                 WHERE other.line = log.line AND other.period_key = log.period_key AND other.run_id <> log.run_id
                     AND other.status = 'completed' AND NOT other.forced
             ) THEN log.period_key END
         WHERE run_id = $1",
        &[&run_id, &version.to_string(), &format!("{line}/{version}")],
    )?;
    training_log::set_figures(tx, run_id, &publication.record.figures)
}
