//! The head of `metadata.json`: who made the version, from what, and which schema it is written in.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::{
    fault::Fault,
    lineage::{LineName, Version},
};

/// The newest schema of `metadata.json` that this aifx writes and reads.
pub const SCHEMA: u32 = 1;

/// `metadata.json`: the fields that registry and artifact need, and all others as they are (`rest`), so that a field
/// which a newer aifx adds without changing the schema survives being read and written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metadata {
    /// Schema of this file; a reader refuses one that is newer than [`SCHEMA`].
    pub schema: u32,
    /// The version of aifx that wrote it.
    pub aifx: String,
    /// The line that the version belongs to.
    pub line: LineName,
    /// The version.
    pub version: Version,
    /// What it was fine-tuned from.
    pub parent: Option<Version>,
    /// The run that made it: the key that makes publishing safe to repeat.
    pub run_id: Uuid,
    /// The instant that the run took for now.
    pub created_at: DateTime<Utc>,
    /// The last instant that it or an ancestor was trained, tuned, calibrated or selected on.
    pub seen_until: DateTime<Utc>,
    /// Everything else: features, scaler, lookback, classes, figures of the run.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Metadata {
    /// The file's bytes, for people to read too.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .expect("a struct of strings, numbers and JSON values has a JSON form");
        bytes.push(b'\n');
        bytes
    }

    /// Reads verified bytes.
    ///
    /// # Errors
    /// Exit 7 when a newer aifx wrote them in a schema unknown here, or when they are no metadata.
    pub fn from_bytes(bytes: &[u8]) -> anyhow::Result<Metadata> {
        let value: Value = serde_json::from_slice(bytes)
            .map_err(|error| Fault::integrity(format!("metadata.json is not JSON: {error}")))?;
        // The schema is judged before the fields: a newer schema may have changed any of them.
        let schema = value.get("schema").and_then(Value::as_u64);
        match schema {
            Some(schema) if schema > u64::from(SCHEMA) => {
                let writer = value.get("aifx").and_then(Value::as_str).unwrap_or("a newer version");
                return Err(Fault::integrity(format!(
                    "metadata.json has schema {schema}, and this aifx reads up to {SCHEMA}: \
                     written by aifx ≥ {writer}"
                ))
                .hint(format!("use aifx {writer} or later for this version"))
                .into());
            }
            Some(1..) => {}
            _ => return Err(Fault::integrity("metadata.json names no schema").into()),
        }
        serde_json::from_value(value).map_err(|error| {
            Fault::integrity(format!("metadata.json does not fit its schema: {error}")).into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::{Exit, find};

    fn metadata() -> Value {
        serde_json::json!({
            "schema": 1, "aifx": "0.1.0", "line": "fx-direction", "version": "v1.4", "parent": null,
            "run_id": "01930000-0000-7000-8000-000000000000", "created_at": "2025-10-19T01:00:00Z",
            "seen_until": "2025-10-18T21:00:00Z", "lookback": 60, "added_later": {"kept": true},
        })
    }

    #[test]
    fn unknown_additive_fields_are_kept() {
        let read = Metadata::from_bytes(metadata().to_string().as_bytes()).expect("valid");
        assert_eq!(read.version.to_string(), "v1.4");
        let again: Value = serde_json::from_slice(&read.to_bytes()).expect("JSON");
        assert_eq!(again["added_later"]["kept"], Value::Bool(true));
        assert_eq!(again["lookback"], 60);
    }

    #[test]
    fn a_newer_schema_names_the_aifx_that_wrote_it() {
        let mut newer = metadata();
        newer["schema"] = 99.into();
        newer["aifx"] = "7.0.0".into();
        newer["version"] = serde_json::json!({"changed": "shape"});
        let error = Metadata::from_bytes(newer.to_string().as_bytes()).expect_err("too new");
        assert!(error.to_string().contains("written by aifx ≥ 7.0.0"), "{error}");
        assert_eq!(find(&error).map(|fault| fault.exit()), Some(Exit::Integrity));
    }

    #[test]
    fn missing_and_hostile_fields_are_refused() {
        let broken: [fn(&mut Value); 4] = [
            |value| drop(value.as_object_mut().map(|fields| fields.remove("schema"))),
            |value| drop(value.as_object_mut().map(|fields| fields.remove("seen_until"))),
            |value| value["version"] = "../v1.4".into(),
            |value| value["line"] = "/etc".into(),
        ];
        for edit in broken {
            let mut value = metadata();
            edit(&mut value);
            let error = Metadata::from_bytes(value.to_string().as_bytes()).expect_err("refused");
            assert_eq!(find(&error).map(|fault| fault.exit()), Some(Exit::Integrity), "{value}");
        }
    }
}
