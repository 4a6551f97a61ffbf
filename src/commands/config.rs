//! `aifx config show`: what holds, and where each value comes from.

use serde::Serialize;

use super::Setup;
use crate::{
    config::LineConfig,
    config::{App, Setting},
    fault::Exit,
    gate::Preset,
    jobs::daily,
    lineage::LineName,
    ui::{Page, Report, Tone, Ui},
};

/// Show the configuration
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Print every setting with where it comes from; secrets are masked
    ///
    /// Flags beat the environment, which beats .env, which beats aifx.yaml, which beats the default.
    #[command(after_help = "Example: aifx config show --json")]
    Show,
}

#[derive(Debug, Serialize)]
struct ConfigReport {
    file: String,
    sha256: String,
    settings: Vec<Setting>,
    environment: Vec<Variable>,
    /// What follows from settings together.
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Variable {
    name: String,
    value: String,
    from: String,
}

impl Report for ConfigReport {
    const SCHEMA: &'static str = "aifx.config/1";

    fn write(&self, page: &mut Page) {
        page.line(format!("{} (SHA-256 {})", self.file, &self.sha256[..12]));
        page.gap();
        let rows: Vec<Vec<String>> = self
            .settings
            .iter()
            .map(|setting| vec![setting.key.clone(), plainly(&setting.value), setting.from.clone()])
            .collect();
        page.table(&["setting", "value", "from"], &[], &rows);
        for note in &self.notes {
            page.gap();
            page.line(note);
        }
        if self.environment.is_empty() {
            return;
        }
        page.gap();
        page.toned(Tone::Strong, "Environment");
        let rows: Vec<Vec<String>> = self
            .environment
            .iter()
            .map(|variable| {
                vec![variable.name.clone(), variable.value.clone(), variable.from.clone()]
            })
            .collect();
        page.table(&["variable", "value", "from"], &[], &rows);
    }
}

fn plainly(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Null => "none".to_owned(),
        serde_json::Value::Array(items) => {
            format!("[{}]", items.iter().map(plainly).collect::<Vec<_>>().join(", "))
        }
        other => other.to_string(),
    }
}

pub(super) fn run(args: &ConfigArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let Action::Show = args.action;
    let app = setup.app(ui)?;
    ui.show(&report(&app))
}

fn report(app: &App) -> ConfigReport {
    ConfigReport {
        file: app.home.join(crate::config::FILE).display().to_string(),
        sha256: app.config_sha256.clone(),
        settings: app.settings(),
        environment: app
            .environment
            .masked()
            .map(|(name, value, from)| Variable {
                name: name.to_owned(),
                value,
                from: from.to_string(),
            })
            .collect(),
        notes: app.config.lines.iter().filter_map(|(name, line)| classic(name, line)).collect(),
    }
}

/// What the preset `classic` takes.
fn classic(name: &LineName, line: &LineConfig) -> Option<String> {
    (line.gate.preset == Preset::Classic).then(|| {
        format!(
            "lines.{name}.gate: the preset classic asks for a Sharpe ratio, which takes trades on {} trading days: the test part of \
             train-weekly must have as many, and train-daily rehearses {} days",
            line.gate.least_test_days(),
            daily::rehearse_days(line)
        )
    })
}
