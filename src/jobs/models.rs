//! What there is of models: list, show, compare, verify. Reads only.

use std::{collections::BTreeSet, path::Path};

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::mixture;
use crate::{
    artifact::{self, LineDir, Problem, REPORT},
    config::App,
    db::{Db, model_versions::VersionRow},
    fault::Fault,
    lineage::{LineName, Status, Version},
    registry,
};

/// A version in a list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelEntry {
    /// Its line.
    pub line: LineName,
    /// The version.
    pub version: Version,
    /// Where it stands.
    pub status: Status,
    /// What it was fine-tuned from.
    pub parent: Option<Version>,
    /// The instant that its run took for now.
    pub created_at: DateTime<Utc>,
    /// Last instant that it or an ancestor saw.
    pub seen_until: Option<DateTime<Utc>>,
    /// Whether its directory was missing when somebody last looked.
    pub missing: bool,
}

impl ModelEntry {
    fn of(row: &VersionRow) -> ModelEntry {
        ModelEntry {
            line: row.line.clone(),
            version: row.version,
            status: row.status,
            parent: row.parent,
            created_at: row.created_at,
            seen_until: row.seen_until,
            missing: row.missing_since.is_some(),
        }
    }
}

/// All versions.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelList {
    /// By line and version.
    pub models: Vec<ModelEntry>,
}

/// One version, with all that is known about it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelDetails {
    /// What a list says about it.
    #[serde(flatten)]
    pub entry: ModelEntry,
    /// Its directory.
    pub directory: String,
    /// The page to look at, where the version has one.
    pub report: Option<String>,
    /// Size of its files, in bytes.
    pub size_bytes: Option<i64>,
    /// Figures at publication.
    pub metrics: Value,
    /// Figures measured while in production.
    pub production_metrics: Option<Value>,
    /// Verdict of the gate.
    pub gate: Option<Value>,
    /// Its `metadata.json`; null when its files fail verification.
    pub metadata: Value,
    /// What is wrong with its files.
    pub problems: Vec<Problem>,
}

/// A value in which two versions differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Dotted path, such as `metrics.test.accuracy`.
    pub key: String,
    /// In the first.
    pub a: Value,
    /// In the second.
    pub b: Value,
    /// Second minus first, for numbers.
    pub change: Option<f64>,
}

/// In what two versions differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ModelDiff {
    /// The line.
    pub line: LineName,
    /// The first version.
    pub a: Version,
    /// The second version.
    pub b: Version,
    /// By key.
    pub differences: Vec<Difference>,
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verification {
    /// Whether nothing is wrong.
    pub ok: bool,
    /// Versions that were read.
    pub n_versions: usize,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// All versions of a line, or of all.
///
/// # Errors
/// When the database fails.
pub fn list(db: &mut Db, line: Option<&LineName>) -> anyhow::Result<ModelList> {
    Ok(ModelList { models: db.versions(line)?.iter().map(ModelEntry::of).collect() })
}

/// One version with its metadata.
///
/// # Errors
/// Exit 4 when there is no such version; damaged files are shown, not an error.
pub fn show(
    db: &mut Db,
    models: &Path,
    line: &LineName,
    version: Version,
) -> anyhow::Result<ModelDetails> {
    let row = registry::pick(db.versions(Some(line))?, line, version)?;
    let dir = LineDir::open(models, line)?;
    let directory = models.join(line.as_str()).join(version.to_string());
    let problems = match &dir {
        Some(dir) => registry::audit_version(dir, &row)?,
        None => vec![Problem::of(version, "the directory is missing")],
    };
    let verified = dir.and_then(|dir| registry::open(&dir, &row).ok());
    let report = verified.as_ref().and_then(|verified| verified.files.get(REPORT)).is_some();
    let metadata = match verified {
        Some(verified) => serde_json::to_value(&verified.metadata)?,
        None => Value::Null,
    };
    Ok(ModelDetails {
        entry: ModelEntry::of(&row),
        report: report.then(|| directory.join(REPORT).display().to_string()),
        directory: directory.display().to_string(),
        size_bytes: row.size_bytes,
        metrics: row.metrics,
        production_metrics: row.production_metrics,
        gate: row.gate,
        metadata,
        problems,
    })
}

/// In what two versions of a line differ: metadata, metrics, gate.
///
/// # Errors
/// Exit 4 when one of them does not exist, 7 when the files of one fail verification.
pub fn diff(
    db: &mut Db,
    models: &Path,
    line: &LineName,
    a: Version,
    b: Version,
) -> anyhow::Result<ModelDiff> {
    let mut keys = |version| -> anyhow::Result<Vec<(String, Value)>> {
        let row = registry::pick(db.versions(Some(line))?, line, version)?;
        let dir = LineDir::open(models, line)?.ok_or_else(|| {
            Fault::integrity(format!("{} is missing", models.join(line.as_str()).display()))
        })?;
        let metadata = registry::open(&dir, &row)?.metadata;
        let mut leaves = Vec::new();
        let mut tree = serde_json::to_value(&metadata)?;
        if let Some(fields) = tree.as_object_mut() {
            // The record repeats the metrics, which the row has.
            fields.shift_remove("record");
        }
        flatten("", &tree, &mut leaves);
        flatten("metrics", &row.metrics, &mut leaves);
        flatten("gate", &row.gate.unwrap_or_default(), &mut leaves);
        Ok(leaves)
    };
    let (of_a, of_b) = (keys(a)?, keys(b)?);
    Ok(ModelDiff { line: line.clone(), a, b, differences: differences(&of_a, &of_b) })
}

/// Recomputes every checksum and checks rows, directories and links against each other.
///
/// # Errors
/// When database or disk fail. Damage is a result, not an error.
pub fn verify(db: &mut Db, models: &Path, line: Option<&LineName>) -> anyhow::Result<Verification> {
    let lines = match line {
        Some(line) => BTreeSet::from([line.clone()]),
        None => lines(db, models)?,
    };
    let mut n_versions = 0;
    let mut problems = Vec::new();
    for line in lines {
        let rows = db.versions(Some(&line))?;
        let last_move = db.moves(&line, 1)?.pop();
        n_versions += rows.len();
        problems.extend(registry::audit(models, &line, &rows, last_move.as_ref())?);
    }
    Ok(Verification { ok: problems.is_empty(), n_versions, problems })
}

/// [`verify`], and the weights of every mixture computed anew from the answers and classes that they follow from.
///
/// # Errors
/// When database or disk fail. Damage is a result, not an error.
pub fn verify_with_weights(
    app: &App,
    db: &mut Db,
    line: Option<&LineName>,
) -> anyhow::Result<Verification> {
    let mut found = verify(db, &app.models(), line)?;
    let lines = match line {
        Some(line) => BTreeSet::from([line.clone()]),
        None => lines(db, &app.models())?,
    };
    for line in lines {
        for differs in mixture::verify(app, db, &line)? {
            let what = format!("weights of {}", differs.day);
            found.problems.push(Problem {
                line: Some(line.clone()),
                ..Problem::of(what, format!("not what follows from the rows: {}", differs.why))
            });
        }
    }
    found.ok = found.problems.is_empty();
    Ok(found)
}

/// Recomputes every checksum of one version.
///
/// # Errors
/// When database or disk fail; exit 4 when there is no such version. Damage is a result, not an error.
pub fn verify_version(
    db: &mut Db,
    models: &Path,
    line: &LineName,
    version: Version,
) -> anyhow::Result<Verification> {
    let row = registry::pick(db.versions(Some(line))?, line, version)?;
    let problems = match LineDir::open(models, line)? {
        Some(dir) => registry::audit_version(&dir, &row)?,
        None => vec![Problem::of(version, "the directory is missing")],
    };
    Ok(Verification { ok: problems.is_empty(), n_versions: 1, problems })
}

/// Lines that have rows or directories, whatever the configuration says.
///
/// # Errors
/// When database or disk fail.
pub fn lines(db: &mut Db, models: &Path) -> anyhow::Result<BTreeSet<LineName>> {
    let mut lines: BTreeSet<LineName> = artifact::lines_in(models)?.into_iter().collect();
    lines.extend(db.versions(None)?.into_iter().map(|row| row.line));
    Ok(lines)
}

/// The leaves of a JSON value by dotted path; nulls are left out.
pub fn leaves(value: &Value) -> Vec<(String, Value)> {
    let mut leaves = Vec::new();
    flatten("", value, &mut leaves);
    leaves
}

fn flatten(key: &str, value: &Value, leaves: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if key.is_empty() { "" } else { "." };
                flatten(&format!("{key}{dot}{name}"), value, leaves);
            }
        }
        Value::Null => {}
        leaf => leaves.push((key.to_owned(), leaf.clone())),
    }
}

fn differences(a: &[(String, Value)], b: &[(String, Value)]) -> Vec<Difference> {
    let value = |of: &[(String, Value)], key: &str| {
        of.iter().find(|(name, _)| name == key).map_or(Value::Null, |(_, value)| value.clone())
    };
    let mut keys: Vec<&String> = a.iter().map(|(key, _)| key).collect();
    keys.extend(b.iter().map(|(key, _)| key).filter(|key| !a.iter().any(|(name, _)| name == *key)));
    keys.into_iter()
        .map(|key| (key, value(a, key), value(b, key)))
        .filter(|(_, a, b)| a != b)
        .map(|(key, a, b)| {
            let change = a.as_f64().zip(b.as_f64()).map(|(a, b)| b - a);
            Difference { key: key.clone(), a, b, change }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_the_path_and_the_change() {
        let a = leaves(&json!({"lookback": 60, "test": {"accuracy": 0.5}, "gone": true}));
        let b = leaves(&json!({"lookback": 60, "test": {"accuracy": 0.75}, "new": [1]}));
        let found = differences(&a, &b);
        let keys: Vec<&str> = found.iter().map(|difference| difference.key.as_str()).collect();
        assert_eq!(keys, ["test.accuracy", "gone", "new"]);
        assert_eq!(found[0].change, Some(0.25));
        assert_eq!((&found[1].b, found[2].change), (&Value::Null, None));
    }
}
