//! A version's files: written whole, checksummed, verified before anything is parsed.
//!
//! [`VersionFiles`] is what a version consists of (name → bytes), [`LineDir`] the one directory that holds a line's
//! versions, [`Metadata`] the head of `metadata.json`. Invariants: a directory named like a version was complete and
//! on disk before it got that name, and is never written to again; a path is derived from line and version, never
//! stored; no symbolic link is followed below the models directory.
//! Not here: what the bytes mean (`inference`), which version answers (`registry`), rows (`db`).

mod line_dir;
mod metadata;

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    fault::Fault,
    lineage::{LineName, Member, Version},
};

pub use line_dir::{
    Entries, Inspection, LineDir, Link, LinkState, Sealed, Staged, Verified, free_bytes, lines_in,
};
pub use metadata::{Metadata, SCHEMA};

/// Weights, as safetensors.
pub const MODEL: &str = "model.safetensors";
/// The same network as TorchScript, for readers other than aifx.
pub const TORCHSCRIPT: &str = "model.pt";
/// All that is needed to use the model without aifx.
pub const METADATA: &str = "metadata.json";
/// Figures of the evaluation at publication.
pub const METRICS: &str = "metrics.json";
/// One row an epoch.
pub const HISTORY: &str = "history.csv";
/// Feature histograms of the training part.
pub const REFERENCE: &str = "reference.json";
/// Rows that stand for the training part, and how far from them is too far.
pub const SUPPORT: &str = "support.safetensors";
/// What windows of the training data are like, which later ones are judged by; a version that learned from too little has none.
pub const DRIFT: &str = "drift.json";
/// Inputs and outputs that a load is checked against.
pub const PROBE: &str = "probe.safetensors";
/// Inputs and outputs of all networks of a mixture that a load is checked against.
pub const MEMBERS_PROBE: &str = "members-probe.safetensors";
/// All networks of a mixture as TorchScript: unscaled windows and shares in, probabilities out.
pub const MIXTURE: &str = "mixture.pt";
/// The report for people.
pub const REPORT: &str = "report.html";
/// Checksums of all other files, in the format of `sha256sum`.
pub const SUMS: &str = "SHA256SUMS";

/// A single file of a version may not be larger: a bound on what verification reads.
pub const MAX_FILE_BYTES: u64 = 2 << 30;

/// The folder in a version's directory that holds the other networks of its mixture, one folder each.
pub const MEMBERS: &str = "members";

/// The files of one version, by name; without `SHA256SUMS`, which is made from them.
///
/// Invariant: names are plain (`[A-Za-z0-9][A-Za-z0-9._-]{0,63}`) and not `SHA256SUMS`, or `members/NAME/FILE` of plain names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VersionFiles {
    files: BTreeMap<String, Vec<u8>>,
    /// Files that another version of the line holds already, and where: written as hard links where the file system can.
    same_as: BTreeMap<String, (Version, String)>,
}

/// Writes a file outside the models directory whole: beside its name, synced, renamed; folders above are made.
///
/// # Errors
/// Exit 9 with the path and what the system said; a file that was there stays as it was.
pub fn write_whole(path: &std::path::Path, bytes: &[u8]) -> anyhow::Result<()> {
    use std::io::Write;
    let write = || -> std::io::Result<()> {
        let folder = path.parent().unwrap_or(std::path::Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(format!(".tmp-{}", std::process::id()));
        let mut file = std::fs::File::create(&beside)?;
        let written = file
            .write_all(bytes)
            .and_then(|()| file.sync_all())
            .and_then(|()| std::fs::rename(&beside, path));
        if written.is_err() {
            let _ = std::fs::remove_file(&beside);
        }
        written.and_then(|()| std::fs::File::open(folder)?.sync_all())
    };
    write().map_err(|error| {
        anyhow::Error::from(Fault::resource(error))
            .context(format!("cannot write {}", path.display()))
    })
}

/// A text that cannot name a file of a version.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot name a file of a version; use up to 64 of A-Z a-z 0-9 . _ -")]
pub struct BadFileName(String);

impl VersionFiles {
    /// No files yet.
    pub fn new() -> Self {
        VersionFiles::default()
    }

    /// Adds a file; one of the same name is replaced.
    ///
    /// # Errors
    /// When the name is not a plain file name.
    pub fn insert(
        &mut self,
        name: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
    ) -> Result<(), BadFileName> {
        let name = name.into();
        if !is_path(&name) {
            return Err(BadFileName(name));
        }
        self.same_as.remove(&name);
        self.files.insert(name, bytes.into());
        Ok(())
    }

    /// Adds a file that lies in the directory of another version of the line under `theirs`, with these bytes.
    ///
    /// # Errors
    /// As [`VersionFiles::insert`].
    pub fn insert_same(
        &mut self,
        name: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        (version, theirs): (Version, &str),
    ) -> Result<(), BadFileName> {
        let name = name.into();
        if !is_path(theirs) {
            return Err(BadFileName(theirs.to_owned()));
        }
        self.insert(name.clone(), bytes)?;
        self.same_as.insert(name, (version, theirs.to_owned()));
        Ok(())
    }

    /// The files of one member of the mixture: weights and metadata.
    pub fn of_member(&self, member: Member, file: &str) -> Option<&[u8]> {
        self.get(&member_path(member, file))
    }

    /// The bytes of a file, if the version has it.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.files.get(name).map(Vec::as_slice)
    }

    /// The bytes of a file that every version must have.
    ///
    /// # Errors
    /// Exit 7 when the version lacks it.
    pub fn require(&self, name: &str) -> anyhow::Result<&[u8]> {
        self.get(name).ok_or_else(|| Fault::integrity(format!("the version has no {name}")).into())
    }

    /// Names and bytes, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice()))
    }

    /// Size of all files, in bytes.
    pub fn size_bytes(&self) -> u64 {
        self.files.values().map(|bytes| bytes.len() as u64).sum()
    }

    /// The content of `SHA256SUMS`: `sha256sum -c SHA256SUMS` checks a version without aifx.
    fn sums(&self) -> String {
        self.iter().map(|(name, bytes)| format!("{}  {name}\n", sha256_hex(bytes))).collect()
    }
}

/// What is wrong with a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The line, where it is about one.
    pub line: Option<LineName>,
    /// The version, or what stands in its place.
    pub version: String,
    /// The file, where it is about one.
    pub file: Option<String>,
    /// What is wrong, for people.
    pub problem: String,
    /// Checksum that was expected, where it is about one.
    pub expected: Option<String>,
    /// Checksum that was found, where it is about one.
    pub found: Option<String>,
    /// Whether the version can still be used: a stray file is reported but hurts nobody.
    #[serde(skip)]
    pub harmless: bool,
}

impl Problem {
    /// A problem with a version as a whole.
    pub fn of(version: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Problem {
            line: None,
            version: version.to_string(),
            file: None,
            problem: problem.to_string(),
            expected: None,
            found: None,
            harmless: false,
        }
    }

    /// A problem with one file.
    pub fn file(version: &Version, file: impl fmt::Display, problem: impl fmt::Display) -> Self {
        Problem { file: Some(file.to_string()), ..Problem::of(version, problem) }
    }

    fn mismatch(
        version: &Version,
        file: &str,
        problem: impl fmt::Display,
        expected: &str,
        found: &str,
    ) -> Self {
        Problem {
            expected: Some(expected.to_owned()),
            found: Some(found.to_owned()),
            ..Problem::file(version, file, problem)
        }
    }

    fn harmless(self) -> Self {
        Problem { harmless: true, ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.version)?;
        if let Some(file) = &self.file {
            write!(f, "/{file}")?;
        }
        write!(f, ": {}", self.problem)?;
        if let (Some(expected), Some(found)) = (&self.expected, &self.found) {
            write!(f, " (expected {expected}, found {found})")?;
        }
        Ok(())
    }
}

/// Where a version's directory holds a file of another network of its mixture.
pub fn member_path(member: Member, file: &str) -> String {
    format!("{MEMBERS}/{member}/{file}")
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256_hex(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

/// Whether a version may hold a file of this name.
fn is_path(path: &str) -> bool {
    match path.split_once('/') {
        None => is_file_name(path) && path != SUMS && path != MEMBERS,
        Some((folder, rest)) => {
            let inside = rest.split_once('/');
            folder == MEMBERS
                && inside.is_some_and(|(name, file)| is_file_name(name) && is_file_name(file))
        }
    }
}

fn is_file_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_file_names_are_taken() {
        let mut files = VersionFiles::new();
        assert_eq!(files.insert("metrics.json", "{}"), Ok(()));
        let long = "a".repeat(65);
        for name in ["", "..", ".hidden", "a/b", "/a", "a\0", "ä", "-rf", SUMS, &long, MEMBERS] {
            assert!(files.insert(name, "x").is_err(), "{name:?}");
        }
        for name in [
            "members/..",
            "members/../a",
            "members/a/..",
            "members/a/b/c",
            "members//a",
            "other/a/b",
        ] {
            assert!(files.insert(name, "x").is_err(), "{name:?}");
        }
        let member: Member = "v1.0-seed1".parse().expect("a member");
        let path = member_path(member, MODEL);
        assert_eq!(files.insert(path, "x"), Ok(()));
        assert_eq!(files.of_member(member, MODEL), Some(&b"x"[..]));
        assert_eq!(files.size_bytes(), 3);
    }
}
