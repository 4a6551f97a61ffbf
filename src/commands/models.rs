//! `aifx models`: what there is of models, and whether it is whole.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Setup, watch::TerminalWatch};
use crate::{
    fault::Exit,
    jobs::{
        models::{self, Difference, ModelDetails, ModelDiff, ModelEntry, ModelList, Verification},
        prune::{self, PruneReport},
    },
    lineage::{LineName, Status, Version},
    ui::{Page, Report, Tone, Ui},
};

/// List, show, compare, verify and prune versions
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx models show v1.4")]
pub struct ModelsArgs {
    #[command(subcommand)]
    action: Action,
    /// Line, where there are several
    #[arg(long, global = true)]
    line: Option<LineName>,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List all versions
    #[command(after_help = "Example: aifx models list --json")]
    List,
    /// Show one version: figures, gate, files
    #[command(after_help = "Example: aifx models show v1.4")]
    Show {
        /// Version, such as v1.4
        version: Version,
    },
    /// Show in what two versions differ
    #[command(after_help = "Example: aifx models diff v1.3 v1.4")]
    Diff {
        /// The first version
        a: Version,
        /// The second version
        b: Version,
    },
    /// Recompute every checksum; check rows, directories and links against each other
    #[command(after_help = "Example: aifx models verify v1.4")]
    Verify {
        /// Only this version
        version: Option<Version>,
    },
    /// Delete old fine-tunes; production, what a rollback goes back to and needed parents stay
    #[command(after_help = "Example: aifx models prune --dry-run")]
    Prune {
        /// Keep fine-tunes younger than this
        #[arg(long, value_name = "DAYS", default_value_t = prune::KEEP_DAYS)]
        keep_days: u32,
        /// Say what would go, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Wait this long for another run on the line
        #[arg(long, value_name = "SECONDS", default_value_t = 0)]
        wait: u64,
    },
}

pub(super) fn run(args: &ModelsArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    let line = || app.line(args.line.as_ref()).map(|(line, _)| line);
    // A wrong line is told before the database is asked.
    if args.line.is_some() {
        line()?;
    }
    let at = app.models();
    let db = || app.db("models");
    match args.action {
        Action::List => ui.show(&models::list(&mut db()?, args.line.as_ref())?),
        Action::Show { version } => ui.show(&models::show(&mut db()?, &at, line()?, version)?),
        Action::Diff { a, b } => ui.show(&models::diff(&mut db()?, &at, line()?, a, b)?),
        Action::Verify { version: Some(version) } => {
            ui.show(&models::verify_version(&mut db()?, &at, line()?, version)?)
        }
        Action::Verify { version: None } => {
            ui.show(&models::verify_with_weights(&app, &mut db()?, args.line.as_ref())?)
        }
        Action::Prune { keep_days, dry_run, wait } => {
            let wait = Duration::from_secs(wait);
            let request = prune::Request { line: args.line.clone(), keep_days, dry_run, wait };
            let report = {
                let mut watch = TerminalWatch::start(ui);
                prune::run(&app, &request, &mut watch)?
            };
            ui.show(&report)
        }
    }
}

impl Report for PruneReport {
    const SCHEMA: &'static str = "aifx.models-prune/1";

    fn write(&self, page: &mut Page) {
        let verb = if self.dry_run { "would be deleted" } else { "deleted" };
        if self.pruned.is_empty() {
            page.line(format!("{}: no old fine-tune to delete", self.line));
        }
        for version in &self.pruned {
            page.line(format!("{} {version}: {verb}", self.line));
        }
        for kept in &self.kept {
            page.toned(Tone::Dim, format!("{} {}: stays, {}", self.line, kept.version, kept.why));
        }
    }
}

impl Report for ModelList {
    const SCHEMA: &'static str = "aifx.models-list/1";

    fn write(&self, page: &mut Page) {
        if self.models.is_empty() {
            page.line("no versions yet; `aifx train-weekly` makes one");
            return;
        }
        let row = |entry: &ModelEntry| {
            vec![
                entry.line.to_string(),
                entry.version.to_string(),
                status(entry),
                text(entry.parent),
                instant(Some(entry.created_at)),
                instant(entry.seen_until),
            ]
        };
        let rows: Vec<Vec<String>> = self.models.iter().map(row).collect();
        let header = ["line", "version", "status", "parent", "created", "has seen until"];
        page.table(&header, &[], &rows);
    }
}

/// Of a version's metrics what fits on a screen: the main figures of the model and of the baselines on the same samples.
fn brief(metrics: &Value) -> Value {
    const FIGURES: [&str; 8] =
        ["n", "n_days", "accuracy", "balanced_accuracy", "log_loss", "brier", "macro_f1", "ece"];
    let pick = |figures: &Value| -> Value {
        let picked = FIGURES
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), figures.get(name)?.clone())));
        Value::Object(picked.collect())
    };
    let Some(test) = metrics.get("test") else { return metrics.clone() };
    let mut all = serde_json::Map::from_iter([("test".to_owned(), pick(test))]);
    if let Some(Value::Object(baselines)) = metrics.get("baselines") {
        all.extend(baselines.iter().map(|(name, figures)| (name.clone(), pick(figures))));
    }
    Value::Object(all)
}

impl Report for ModelDetails {
    const SCHEMA: &'static str = "aifx.models-show/1";

    fn write(&self, page: &mut Page) {
        let entry = &self.entry;
        let tone = if entry.status == Status::Production { Tone::Good } else { Tone::Strong };
        page.toned(tone, format!("{} {} ({})", entry.line, entry.version, status(entry)));
        page.field("created", instant(Some(entry.created_at)));
        page.field("parent", text(entry.parent));
        page.field("has seen until", instant(entry.seen_until));
        if let Some(bytes) = self.size_bytes {
            page.field("size", format!("{} KiB", bytes / 1024));
        }
        page.field("directory", &self.directory);
        if let Some(report) = &self.report {
            page.field("report", report);
        }
        section(page, "Metrics (all of them: --json)", &brief(&self.metrics));
        section(page, "In production", self.production_metrics.as_ref().unwrap_or(&Value::Null));
        section(page, "Gate", self.gate.as_ref().unwrap_or(&Value::Null));
        if !self.problems.is_empty() {
            page.gap();
            page.toned(Tone::Bad, "Problems");
            for problem in &self.problems {
                page.line(format!("  {problem}"));
            }
        }
    }
}

impl Report for ModelDiff {
    const SCHEMA: &'static str = "aifx.models-diff/1";

    fn write(&self, page: &mut Page) {
        if self.differences.is_empty() {
            page.line(format!("{} and {} do not differ", self.a, self.b));
            return;
        }
        let row = |found: &Difference| {
            let change = found.change.map(|change| format!("{change:+.4}")).unwrap_or_default();
            vec![found.key.clone(), short(&found.a), short(&found.b), change]
        };
        let rows: Vec<Vec<String>> = self.differences.iter().map(row).collect();
        let (a, b) = (self.a.to_string(), self.b.to_string());
        page.table(&["", &a, &b, "change"], &[1, 2, 3], &rows);
    }
}

impl Report for Verification {
    const SCHEMA: &'static str = "aifx.models-verify/1";

    fn write(&self, page: &mut Page) {
        let versions = match self.n_versions {
            1 => "1 version".to_owned(),
            n => format!("{n} versions"),
        };
        if self.ok {
            page.toned(Tone::Good, format!("{versions} verified: nothing is wrong"));
            return;
        }
        page.toned(Tone::Bad, format!("{versions} verified: {} problems", self.problems.len()));
        for problem in &self.problems {
            page.line(format!("  {problem}"));
        }
    }

    fn exit(&self) -> Exit {
        if self.ok { Exit::Done } else { Exit::Integrity }
    }
}

fn status(entry: &ModelEntry) -> String {
    let missing = if entry.missing { ", missing" } else { "" };
    format!("{}{missing}", entry.status)
}

fn text(version: Option<Version>) -> String {
    version.map_or("-".into(), |version| version.to_string())
}

fn instant(at: Option<DateTime<Utc>>) -> String {
    at.map_or("-".into(), |at| at.format("%Y-%m-%d %H:%M").to_string())
}

/// The leaves of a JSON value by dotted path.
fn section(page: &mut Page, title: &str, value: &Value) {
    let leaves = models::leaves(value);
    if leaves.is_empty() {
        return;
    }
    page.gap();
    page.toned(Tone::Strong, title);
    let rows: Vec<Vec<String>> =
        leaves.iter().map(|(key, value)| vec![key.clone(), short(value)]).collect();
    page.table(&["", ""], &[1], &rows);
}

/// A value that fits into a table.
fn short(value: &Value) -> String {
    const LONGEST: usize = 40;
    let text = match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => {
            number.as_f64().map_or_else(String::new, |number| format!("{number:.4}"))
        }
        Value::Array(values) if value.to_string().len() > LONGEST => {
            format!("{} values", values.len())
        }
        other => other.to_string(),
    };
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text,
    }
}
