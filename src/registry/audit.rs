//! Rows, directories and links checked against each other, changing nothing.

use std::path::Path;

use super::open;
use crate::{
    artifact::{LineDir, Link, LinkState, Problem},
    db::{model_versions::VersionRow, promotions::MoveRow},
    lineage::{LineName, Status, Version},
};

/// Everything that is wrong with a line: its versions, directories that no row knows, links, leftovers.
///
/// # Errors
/// When the disk does not answer.
pub fn audit(
    models: &Path,
    line: &LineName,
    rows: &[VersionRow],
    last_move: Option<&MoveRow>,
) -> anyhow::Result<Vec<Problem>> {
    let Some(dir) = LineDir::open(models, line)? else {
        return Ok(rows
            .iter()
            .map(|row| Problem::of(row.version, "the directory is missing"))
            .map(|found| Problem { line: Some(line.clone()), ..found })
            .collect());
    };
    let mut problems = Vec::new();
    for row in rows {
        problems.extend(audit_version(&dir, row)?);
    }
    problems.extend(unregistered(&dir, rows)?);
    problems.extend(links(&dir, rows, last_move)?);
    Ok(problems.into_iter().map(|found| Problem { line: Some(line.clone()), ..found }).collect())
}

/// Everything that is wrong with the files of one registered version.
///
/// # Errors
/// When the disk does not answer.
pub fn audit_version(dir: &LineDir, row: &VersionRow) -> anyhow::Result<Vec<Problem>> {
    let problems = dir.inspect(&row.version)?.problems;
    if problems.iter().any(|problem| !problem.harmless) {
        return Ok(problems);
    }
    // Bytes are as they were listed; what is left is a list or a directory that is not this version's.
    let mut problems = problems;
    if let Err(error) = open(dir, row) {
        problems.push(Problem::of(row.version, format!("{error:#}")));
    }
    Ok(problems)
}

/// What lies in the directory of a line and is known to no row.
fn unregistered(dir: &LineDir, rows: &[VersionRow]) -> anyhow::Result<Vec<Problem>> {
    let entries = dir.entries()?;
    let known = |version: &Version| rows.iter().any(|row| row.version == *version);
    let leftover = |name: String, what| Problem { harmless: true, ..Problem::of(name, what) };
    let orphans = entries.versions.iter().filter(|version| !known(version));
    Ok(orphans
        .map(|version| {
            Problem::of(version, "a directory that is not registered; it is never served")
        })
        .chain(entries.incoming.iter().map(|(run_id, _)| {
            leftover(format!(".incoming-{run_id}"), "files of a run that has not published them")
        }))
        .chain(entries.strays.into_iter().map(|name| leftover(name, "does not belong here")))
        .collect())
}

fn links(
    dir: &LineDir,
    rows: &[VersionRow],
    last_move: Option<&MoveRow>,
) -> anyhow::Result<Vec<Problem>> {
    let production =
        rows.iter().find(|row| row.status == Status::Production).map(|row| row.version);
    let previous = last_move.and_then(|step| step.from);
    let mut problems = Vec::new();
    for (link, wanted) in [(Link::Production, production), (Link::Previous, previous)] {
        let what = match (dir.link(link)?, wanted) {
            (LinkState::Absent, None) => continue,
            (LinkState::To(found), Some(wanted)) if found == wanted => continue,
            (LinkState::Absent, Some(wanted)) => format!("link is missing; {wanted} is wanted"),
            (LinkState::To(found), wanted) => {
                let wanted = wanted.map_or("nothing".into(), |wanted| wanted.to_string());
                format!("link points to {found}; {wanted} is wanted")
            }
            (LinkState::Outside(target), _) => format!("link leads out of the line, to {target}"),
            (LinkState::Odd(what), _) => what,
        };
        problems.push(Problem::of(link.name(), what));
    }
    Ok(problems)
}
