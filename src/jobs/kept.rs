//! What a line goes on with where its configuration leaves it open: a default that changes does not change a line that lives.
//!
//! A line that has versions and no written `label` keeps the rule of its newest version, and likewise `weekly.days`; one whose
//! versions answer alone goes on so until `ensemble.members` is written. Only a line without versions gets the defaults. Not here: what versions refine or score (their own `metadata.json` decides that).

use serde_json::Value;

use crate::{
    artifact::LineDir,
    config::{App, LineConfig, Origin},
    db::{Db, model_versions::VersionRow},
    labels::LabelRule,
    lineage::LineName,
    registry,
};

/// A line as its next training takes it.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    /// The settings.
    pub(crate) line: LineConfig,
    /// Which of them are those of an earlier version and not the defaults, in words.
    pub(crate) notes: Vec<String>,
}

/// The line, where nothing else than its configuration is known yet: opens the database only where something is left open.
///
/// # Errors
/// When the database fails.
pub(crate) fn line_of(app: &App, name: &LineName, line: &LineConfig) -> anyhow::Result<Kept> {
    let open = Open::of(app, name, line);
    if !open.any() {
        return Ok(Kept { line: line.clone(), notes: Vec::new() });
    }
    with(app, &mut app.db("labels")?, name, line)
}

/// The same with a database that is open.
///
/// # Errors
/// When the database fails.
pub(crate) fn with(
    app: &App,
    db: &mut Db,
    name: &LineName,
    line: &LineConfig,
) -> anyhow::Result<Kept> {
    let open = Open::of(app, name, line);
    let mut kept = Kept { line: line.clone(), notes: Vec::new() };
    if !open.any() {
        return Ok(kept);
    }
    let mut rows = db.versions(Some(name))?;
    rows.sort_by_key(|row| std::cmp::Reverse(row.version));
    if rows.is_empty() {
        return Ok(kept);
    }
    if open.label
        && let Some((row, rule)) = rule_of(app, &rows)
        && rule != line.label
        && rule != LabelRule::Outcome
        && (open.rule || matches!(rule, LabelRule::Volatility { .. }))
    {
        kept.notes.push(format!(
            "no `{}` is written under {name}, so it keeps {rule}, the rule of {}; a line without versions gets {}",
            if open.rule { "label" } else { "label.multiple" },
            row.version,
            line.label
        ));
        kept.line.label = rule;
    }
    if open.days
        && let Some(days) = db.last_weekly_days(name, app.as_of)?
        && days != line.weekly.days
    {
        kept.notes.push(format!(
            "no `weekly.days` is written under {name}, so it keeps the {days} days of its last training; a line without versions gets {}",
            line.weekly.days
        ));
        kept.line.weekly.days = days;
    }
    if open.members && rows.iter().all(|row| row.members.is_empty()) && line.ensemble.is_mixture() {
        kept.notes.push(format!(
            "no `ensemble` is written under {name}, whose versions answer alone, so the next one does too; with \
             `ensemble: {{members: {}}}` it would join the one in production",
            line.ensemble.members
        ));
        kept.line.ensemble.members = 1;
    }
    Ok(kept)
}

/// What the configuration does not say.
struct Open {
    /// Neither which rule nor by which numbers, or only not by which multiple.
    label: bool,
    /// Not even which rule.
    rule: bool,
    days: bool,
    members: bool,
}

impl Open {
    fn of(app: &App, name: &LineName, line: &LineConfig) -> Open {
        let open = |key: &str| app.origin(&format!("lines.{name}.{key}")) == Origin::Default;
        let bare = matches!(line.label, LabelRule::Volatility { .. }) && open("label.multiple");
        Open {
            label: open("label") || bare,
            rule: open("label"),
            days: open("weekly.days"),
            members: open("ensemble.members"),
        }
    }

    fn any(&self) -> bool {
        self.label || self.days || self.members
    }
}

/// The rule of the newest version that says one: its recipe, or its own `metadata.json`.
fn rule_of<'a>(app: &App, rows: &'a [VersionRow]) -> Option<(&'a VersionRow, LabelRule)> {
    let read = |value: &Value| serde_json::from_value::<LabelRule>(value.clone()).ok();
    let recorded = rows
        .iter()
        .find_map(|row| Some((row, row.metrics.pointer("/recipe/label").and_then(read)?)));
    recorded.or_else(|| {
        let row = rows.first()?;
        let dir = LineDir::open(&app.models(), &row.line).ok()??;
        let metadata = registry::open(&dir, row).ok()?.metadata;
        Some((row, metadata.rest.get("label").and_then(read)?))
    })
}
