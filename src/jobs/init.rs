//! `init`: makes a folder a home: a commented `aifx.yaml`, `.env.example`, the folders, the schema.
//!
//! What stands is kept: run again, it changes nothing.

use std::{fs::Permissions, os::unix::fs::PermissionsExt, path::Path};

use serde::Serialize;

use crate::{artifact, fault::Fault};

/// What `aifx.yaml` says when nobody has said anything else; every value is the default.
pub const EXAMPLE: &str = include_str!("init/aifx.yaml");
const ENV_EXAMPLE: &str = include_str!("init/env.example");
/// The user of the private PostgreSQL has to pass through `data`.
const FOLDERS: [(&str, u32); 4] =
    [("data", 0o755), ("models", 0o750), ("reports", 0o750), ("logs", 0o750)];

/// What was made and what stood already.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct InitReport {
    /// The home.
    pub home: std::path::PathBuf,
    /// Made now (or, with `--dry-run`, what would be).
    pub created: Vec<String>,
    /// Left as it was.
    pub kept: Vec<String>,
    /// Migrations applied now.
    pub applied: Vec<String>,
    /// Whether the schema was looked after.
    pub database: bool,
}

/// Makes the files and folders; with `dry_run` only says which.
///
/// # Errors
/// Exit 9 when the disk refuses.
pub fn files(home: &Path, dry_run: bool) -> anyhow::Result<InitReport> {
    let mut report = InitReport { home: home.to_owned(), ..InitReport::default() };
    for (name, content) in [("aifx.yaml", EXAMPLE), (".env.example", ENV_EXAMPLE)] {
        let path = home.join(name);
        if path.exists() {
            report.kept.push(name.to_owned());
            continue;
        }
        if !dry_run {
            artifact::write_whole(&path, content.as_bytes())?;
        }
        report.created.push(name.to_owned());
    }
    for (name, mode) in FOLDERS {
        let path = home.join(name);
        if path.is_dir() {
            report.kept.push(format!("{name}/"));
            continue;
        }
        if !dry_run {
            // The process's umask would take from the mode.
            std::fs::create_dir(&path)
                .and_then(|()| std::fs::set_permissions(&path, Permissions::from_mode(mode)))
                .map_err(|error| {
                    anyhow::Error::from(Fault::resource(error))
                        .context(format!("cannot make {}", path.display()))
                })?;
        }
        report.created.push(format!("{name}/"));
    }
    Ok(report)
}
