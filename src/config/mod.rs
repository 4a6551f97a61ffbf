//! Finds and layers flags, environment and `aifx.yaml` into an [`App`]: flags beat environment beats file beats default.
//!
//! Each section's type lives in the room that it configures, where that room has one. Every mistake in the file is
//! reported at once, with line and column. Besides `main`, the only room that reads the clock and the environment.
//! Not here: what a setting does.

mod check;
mod edges;
mod environment;
mod limits;
mod sections;
mod yaml;

use std::{
    collections::BTreeMap,
    fmt, io,
    path::{Path, PathBuf},
};

use anyhow::Context;
use chrono::{DateTime, DurationRound, SecondsFormat, TimeDelta, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};

use self::{
    check::{Findings, Shape},
    yaml::{Node, Place, Problem, Value},
};
pub use self::{
    environment::{Environment, VariableFrom},
    sections::{Config, Daily, Database, LineConfig, TriggerAction, Triggers, Weekly},
};
use crate::{fault::Fault, lineage::LineName, notify::Budget};

/// The name of the file at the home.
pub const FILE: &str = "aifx.yaml";

/// Bytes of a configuration; more is some other file.
const MAX_BYTES: usize = 1024 * 1024;

/// What the command line says about a run.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--home`.
    pub home: Option<PathBuf>,
    /// `--as-of`.
    pub as_of: Option<DateTime<Utc>>,
    /// `--as-known`.
    pub as_known: bool,
    /// `--force`.
    pub force: bool,
}

/// Where a setting comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything else.
    Default,
    /// `aifx.yaml`, at this line.
    File(usize),
    /// This environment variable.
    Environment(String),
    /// This flag.
    Flag(&'static str),
    /// Found by looking upwards from the working directory.
    Found,
    /// The clock.
    Clock,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(line) => write!(f, "{FILE}:{line}"),
            Origin::Environment(name) => write!(f, "environment {name}"),
            Origin::Flag(name) => write!(f, "flag {name}"),
            Origin::Found => f.write_str("found from the working directory"),
            Origin::Clock => f.write_str("the clock"),
        }
    }
}

/// Everything a job needs to know about this run, found once at the start.
#[derive(Debug, Clone)]
pub struct App {
    /// The home directory, absolute; relative paths in the configuration start here.
    pub home: PathBuf,
    /// The configuration.
    pub config: Config,
    /// The instant that this run takes for now; nothing after it is read. Whole microseconds.
    pub as_of: DateTime<Utc>,
    /// Whether `--as-of` said so.
    pub as_of_given: bool,
    /// The host's clock when the command began, whatever `--as-of` says.
    pub host_at: DateTime<Utc>,
    /// Whether `as_of` also filters on when a value became known.
    pub as_known: bool,
    /// Run again within the period; promote against the gate.
    pub force: bool,
    /// The variables that aifx knows.
    pub environment: Environment,
    /// SHA-256 of `aifx.yaml` as it was read, in hexadecimal: a change during the run changes nothing.
    pub config_sha256: String,
    /// What an operator should be told about the configuration.
    pub warnings: Vec<String>,
    /// Time that this process may still spend on letters.
    pub letters: Budget,
    origins: BTreeMap<String, Origin>,
}

impl App {
    /// Finds the home and reads its configuration and `.env`.
    ///
    /// # Errors
    /// Exit 3: no home, a file that cannot be read, or mistakes in it, all named at once.
    pub fn load(flags: &Flags, mut environment: Environment) -> anyhow::Result<App> {
        let (home, home_from) = find_home(flags, &environment)?;
        let warnings = environment.add_dot_env(&home)?;
        let path = home.join(FILE);
        let bytes = read_limited(&path, MAX_BYTES)?.ok_or_else(|| no_config(&home))?;
        let (config, places) = read(&bytes)
            .map_err(|problems| describe(&bytes, &problems))
            .with_context(|| format!("cannot use {}", path.display()))?;
        let mut origins: BTreeMap<String, Origin> = places
            .into_iter()
            .map(|(key, line)| (key, Origin::File(line)))
            .chain([("home".to_owned(), home_from)])
            .collect();
        let host_at = now();
        let as_of = flags.as_of.unwrap_or(host_at);
        let clock = if flags.as_of.is_some() { Origin::Flag("--as-of") } else { Origin::Clock };
        origins.insert("as_of".to_owned(), clock);
        let mut app = App {
            home,
            config,
            as_of: as_of.duration_trunc(TimeDelta::microseconds(1)).unwrap_or(as_of),
            as_of_given: flags.as_of.is_some(),
            host_at,
            as_known: flags.as_known,
            force: flags.force,
            environment,
            config_sha256: hex(&Sha256::digest(&bytes)),
            warnings,
            letters: Budget::default(),
            origins,
        };
        app.apply_environment()?;
        // A setting that cannot be understood is the error of the command that needs it.
        if let Ok(Some(source)) = app.configured_database() {
            app.warnings.extend_from_slice(source.warnings());
        }
        Ok(app)
    }

    /// What the environment sets over the file.
    fn apply_environment(&mut self) -> anyhow::Result<()> {
        if let Some(seed) = self.number("AIFX_SEED", u64::MAX)? {
            self.config.seed = seed;
            self.origins.insert("seed".into(), Origin::Environment("AIFX_SEED".into()));
        }
        if let Some(threads) = self.number("AIFX_THREADS", 1024)? {
            self.config.threads = usize::try_from(threads).unwrap_or_default();
            self.origins.insert("threads".into(), Origin::Environment("AIFX_THREADS".into()));
        }
        if let Some(seconds) = self.number("AIFX_DATABASE_WAIT", 3600)? {
            self.config.database.wait = seconds;
            let from = Origin::Environment("AIFX_DATABASE_WAIT".into());
            self.origins.insert("database.wait".into(), from);
        }
        for name in ["DATABASE_URL", "AIFX_DATABASE_URL"] {
            if self.environment.get(name).is_some() {
                // The value holds secrets and is read where it is used; here only its origin.
                self.origins.insert("database.url".into(), Origin::Environment(name.into()));
            }
        }
        Ok(())
    }

    fn number(&self, name: &str, most: u64) -> anyhow::Result<Option<u64>> {
        let Some(text) = self.environment.get(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| *number <= most);
        let refused = || {
            let shown = yaml::shortened(text);
            Fault::config(format!("{name} is `{shown}`, not a whole number from 0 to {most}"))
                .hint(format!("set {name} to a number, or unset it"))
        };
        Ok(Some(number.ok_or_else(refused)?))
    }

    /// The line that is meant: the named one, or the only one.
    ///
    /// # Errors
    /// Exit 2 when several could be meant or the name is unknown, exit 3 when there is none.
    pub fn line(&self, name: Option<&LineName>) -> anyhow::Result<(&LineName, &LineConfig)> {
        let lines = &self.config.lines;
        let names: Vec<String> = lines.keys().map(ToString::to_string).collect();
        let fault = match name {
            Some(name) => match lines.get_key_value(name) {
                Some(line) => return Ok(line),
                None => Fault::usage(check::unknown("line", name.as_str(), &names))
                    .hint(format!("the lines stand under `lines` in {FILE}")),
            },
            None => match (lines.iter().next(), lines.len()) {
                (Some(line), 1) => return Ok(line),
                (None, _) => Fault::config(format!("{FILE} has no line")).hint(
                    "add one under `lines`; `aifx init` in an empty folder writes an example",
                ),
                _ => Fault::usage(format!("there are several lines: {}", names.join(", ")))
                    .hint("say which one with --line NAME"),
            },
        };
        Err(anyhow::Error::from(fault).context("cannot tell which line is meant"))
    }

    /// A setting of the database by the name of its environment variable; the file fills in for `DATABASE_URL`.
    pub fn database_setting(&self, name: &str) -> Option<String> {
        let file = || (name == "DATABASE_URL").then(|| self.config.database.url.clone()).flatten();
        self.environment.get(name).map(str::to_owned).or_else(file)
    }

    /// Where a setting comes from, by its dotted path such as `lines.fx-direction.weekly.epochs`.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }
}

impl App {
    /// Every setting in the order of the file, each with where it comes from; secrets are masked.
    pub fn settings(&self) -> Vec<Setting> {
        let mut list = vec![
            self.setting("home", self.home.display().to_string().into()),
            self.setting("as_of", self.as_of.to_rfc3339_opts(SecondsFormat::AutoSi, true).into()),
        ];
        // A configuration is plain maps, lists and numbers: serde cannot fail on it.
        let tree = serde_json::to_value(&self.config).unwrap_or_default();
        self.flatten("", &tree, &mut list);
        list
    }

    fn setting(&self, key: &str, value: serde_json::Value) -> Setting {
        Setting { key: key.to_owned(), value, from: self.origin(key).to_string() }
    }

    fn flatten(&self, key: &str, value: &serde_json::Value, list: &mut Vec<Setting>) {
        match value {
            serde_json::Value::Object(fields) if !fields.is_empty() => {
                let dot = if key.is_empty() { "" } else { "." };
                for (name, value) in fields {
                    self.flatten(&format!("{key}{dot}{name}"), value, list);
                }
            }
            _ if key == "database.url" => {
                let url = self.database_url().map(|url| environment::masked_url(&url));
                list.push(self.setting(key, url.into()));
            }
            _ => list.push(self.setting(key, value.clone())),
        }
    }

    fn database_url(&self) -> Option<String> {
        self.database_setting("AIFX_DATABASE_URL").or_else(|| self.database_setting("DATABASE_URL"))
    }
}

/// A setting as `aifx config show` prints it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Setting {
    /// Dotted path, such as `lines.fx-direction.weekly.epochs`.
    pub key: String,
    /// Its value, secrets masked.
    pub value: serde_json::Value,
    /// Where it comes from.
    pub from: String,
}

/// The home that the environment names, before any configuration is read.
#[allow(clippy::disallowed_methods, reason = "config is the room that reads the environment")]
pub fn home_variable() -> Option<PathBuf> {
    std::env::var_os("AIFX_HOME").filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Whether the environment asks for output without colour (<https://no-color.org>).
#[allow(clippy::disallowed_methods, reason = "config is the room that reads the environment")]
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// This instant, where no `--as-of` says another.
#[allow(clippy::disallowed_methods, reason = "config is the room that reads the clock")]
fn now() -> DateTime<Utc> {
    Utc::now()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The home that `flag`, the environment or the working directory names, without reading its configuration.
///
/// # Errors
/// Exit 3 when there is none.
pub fn home(flag: Option<&Path>, environment: &Environment) -> anyhow::Result<PathBuf> {
    let flags = Flags { home: flag.map(Path::to_owned), ..Flags::default() };
    Ok(find_home(&flags, environment)?.0)
}

fn find_home(flags: &Flags, environment: &Environment) -> anyhow::Result<(PathBuf, Origin)> {
    let named = |path: &Path, origin: Origin| {
        let home = std::fs::canonicalize(path).map_err(|error| {
            let fault = Fault::config(error).hint("`aifx init DIR` makes one");
            anyhow::Error::from(fault)
                .context(format!("cannot use {} as the home ({origin})", path.display()))
        })?;
        Ok((home, origin))
    };
    if let Some(path) = &flags.home {
        return named(path, Origin::Flag("--home"));
    }
    if let Some(path) = environment.get("AIFX_HOME") {
        return named(Path::new(path), Origin::Environment("AIFX_HOME".into()));
    }
    let start = std::env::current_dir()
        .map_err(Fault::config)
        .context("cannot find the working directory")?;
    match start.ancestors().find(|folder| folder.join(FILE).exists()) {
        Some(home) => Ok((home.to_owned(), Origin::Found)),
        None => Err(no_config(&start).context("cannot find the home of aifx")),
    }
}

fn no_config(folder: &Path) -> anyhow::Error {
    Fault::config(format!("there is no {FILE} in {} or above", folder.display()))
        .hint("run `aifx init` to write one, or name the home with --home DIR")
        .into()
}

/// The bytes of a file; `None` when there is none.
fn read_limited(path: &Path, most: usize) -> anyhow::Result<Option<Vec<u8>>> {
    use io::Read;
    let cannot = |why: String| {
        anyhow::Error::from(Fault::config(why)).context(format!("cannot read {}", path.display()))
    };
    // A pipe or device of that name would keep the run waiting for ever.
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() => return Err(cannot("it is not a plain file".into())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(cannot(error.to_string())),
    }
    let file = std::fs::File::open(path).map_err(|error| cannot(error.to_string()))?;
    let mut bytes = Vec::new();
    file.take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| cannot(error.to_string()))?;
    if bytes.len() > most {
        return Err(cannot(format!("it is larger than {} KiB", most / 1024)));
    }
    Ok(Some(bytes))
}

/// The line that each key of the file stands on, by its dotted path.
type Places = Vec<(String, usize)>;

/// Parses and checks a configuration; also gives the line of each setting by its dotted path.
fn read(bytes: &[u8]) -> Result<(Config, Places), Vec<Problem>> {
    let (node, problems) = yaml::parse(bytes);
    let mut findings = Findings { problems, given: Vec::new() };
    let start = Place { line: 1, column: 1 };
    let Some(node) = node else {
        if findings.problems.is_empty() {
            findings.problem(start, "the file is empty");
        }
        return Err(findings.problems);
    };
    let config = check_config(&node, &mut findings);
    findings.problems.sort_by_key(|problem| problem.at);
    findings.problems.dedup();
    if !findings.problems.is_empty() {
        return Err(findings.problems);
    }
    let places = findings.given.iter().map(|given| (given.path.join("."), given.at.line)).collect();
    Ok((config, places))
}

fn check_config(node: &Node, findings: &mut Findings) -> Config {
    let Value::Map(entries) = &node.value else {
        let empty = matches!(&node.value, Value::Plain(text) if text.is_empty() || text == "~");
        let why =
            if empty { "the file is empty" } else { "settings are wanted here, as in `seed: 1`" };
        findings.problem(node.at, why);
        return Config::default();
    };
    // The lines are read one by one below: their names are free.
    let (lines, rest): (Vec<_>, Vec<_>) =
        entries.iter().cloned().partition(|(key, _)| key.name == "lines");
    let rest = Node { at: node.at, value: Value::Map(rest) };
    let shape = Shape { free: &[&["lines"]], ..Shape::default() };
    let mut config = check::section(&rest, &Config::default(), &shape, &[], findings);
    for (path, why) in sections::object(&config) {
        let at = findings.place(&path, node.at);
        findings.problem(at, why);
    }
    for (key, node) in &lines {
        let Value::Map(entries) = &node.value else {
            findings.problem(node.at, "lines: sections are wanted here, one for each line");
            continue;
        };
        findings.given.push(check::Given { path: vec!["lines".to_owned()], at: key.at });
        for (key, node) in entries {
            match key.name.parse::<LineName>() {
                Ok(name) => {
                    let line = check_line(&name, key.at, node, findings);
                    config.lines.insert(name, line);
                }
                Err(error) => findings.problem(key.at, error.to_string()),
            }
        }
    }
    for (name, key, why) in sections::object_between(&config.lines) {
        let at = findings.place(&["lines", name.as_str(), key], node.at);
        findings.problem(at, why);
    }
    config
}

fn check_line(name: &LineName, at: Place, node: &Node, findings: &mut Findings) -> LineConfig {
    let prefix = ["lines", name.as_str()];
    let node = Node { at, value: node.value.clone() };
    let default = LineConfig::default();
    let line = check::section(&node, &default, &sections::line_shape(), &prefix, findings);
    for (one, other, why) in sections::EITHER_OR {
        let whole =
            |path: [&'static str; 2]| prefix.iter().copied().chain(path).collect::<Vec<_>>();
        if findings.is_given(&whole(one)) && findings.is_given(&whole(other)) {
            let at = findings.place(&whole(one), at);
            findings.problem(at, why);
        }
    }
    for (path, why) in sections::object_to_line(&line) {
        let whole: Vec<&str> = prefix.iter().copied().chain(path).collect();
        let at = findings.place(&whole, at);
        findings.problem(at, why);
    }
    line
}

/// All mistakes with their lines, for people.
fn describe(bytes: &[u8], problems: &[Problem]) -> Fault {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    let one = |problem: &Problem| {
        let Place { line, column } = problem.at;
        let mut out = format!("{FILE}:{line}:{column}: {}", problem.message);
        if let Some(source) = lines.get(line - 1).filter(|source| !source.trim().is_empty()) {
            out.push_str(&format!("\n{line:>6} | {}", clipped(source, 100)));
        }
        out
    };
    let list: Vec<String> = problems.iter().map(one).collect();
    let why = match list.as_slice() {
        [only] => only.clone(),
        _ => format!("{} mistakes\n  {}", list.len(), list.join("\n  ")),
    };
    Fault::config(why).hint("`aifx init` in an empty folder writes a commented example")
}

fn clipped(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make the files that they read")]
mod tests {
    use super::*;

    const EXAMPLE: &str = "\
seed: 7
lines:
  fx-direction:
    pairs: [EUR/USD, eurgbp]
    timeframes: [1h]
    lookback: 60
    label: {rule: fixed, threshold: 0.005}
    weekly: {days: 30, lr: 1e-3}
  fx-slow:
    timeframes: [1d]
";

    fn refusals(text: &str) -> Vec<String> {
        let problems = read(text.as_bytes()).expect_err("refused");
        problems.iter().map(|p| format!("{}:{} {}", p.at.line, p.at.column, p.message)).collect()
    }

    fn app(home: &Path, variables: &[(&str, &str)]) -> anyhow::Result<App> {
        let pairs = variables.iter().map(|(name, value)| (name.into(), value.into()));
        let flags = Flags { home: Some(home.to_owned()), ..Flags::default() };
        App::load(&flags, Environment::from_pairs(pairs)?)
    }

    fn home(text: &str) -> tempfile::TempDir {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::write(home.path().join(FILE), text).expect("written");
        home
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let (config, places) = read(EXAMPLE.as_bytes()).expect("a good file");
        assert_eq!(config.seed, 7);
        let line = &config.lines[&"fx-direction".parse().expect("a name")];
        assert_eq!(line.pairs.len(), 2);
        assert_eq!(line.pairs[1].to_string(), "EUR/GBP");
        assert_eq!(line.label, crate::labels::LabelRule::Fixed { threshold: 0.005 });
        assert_eq!(line.weekly, Weekly { days: 30, lr: 1e-3, ..Weekly::default() });
        assert_eq!(line.daily, Daily::default());
        assert!(places.contains(&("lines.fx-direction.weekly.days".to_owned(), 8)), "{places:?}");
        let slow = &config.lines[&"fx-slow".parse().expect("a name")];
        assert_eq!(slow.pairs, LineConfig::default().pairs);
    }

    #[test]
    fn every_mistake_is_named_at_once_with_its_place() {
        let found = refusals(
            "seeed: 1
threads: many
lines:
  fx-direction:
    pairs: [EUR/USD, EURO, GBP/USD]
    timeframes: [1h, 1H]
    lookback: 1
    label: {rule: volatile}
    model: {kind: lstm, hidden: [128], units: 3}
    weekly: {epoch: 5, epochs: 0, lr: .nan, split: [0.7, 0.2, 0.2]}
    daily: 24
    costs: {spread: \"${SPREAD}\"}
  ../evil: {}
",
        );
        let expected = [
            "1:1 unknown key `seeed`; did you mean `seed`?",
            "2:10 threads: string \"many\" stands where a whole number, not negative is wanted",
            "5:22 pairs: \"EURO\" is not a currency pair; write it like EUR/USD",
            "6:22 timeframes: \"1H\" is not a timeframe; the timeframes are 1min 5min 15min 30min 1h 4h 1d 1w 1M",
            "7:15 lookback: 1 does not lie between 2 and 2000",
            "8:19 unknown rule `volatile`; did you mean `volatility`?",
            "9:5 dropout: 3 values are given where one for each of the 1 hidden layers and one for the dense layer are wanted",
            "9:40 unknown key `units`; there are kind, hidden, dense, dropout",
            "10:14 unknown key `epoch`; did you mean `epochs`?",
            "10:32 epochs: 0 does not lie between 1 and 10000",
            "10:39 lr: NaN is not above 0 and at most 1",
            "10:52 split: the shares add up to 1.1, not to 1",
            "11:12 daily: a section is wanted here, not a single value",
            "12:21 spread: variables such as ${SPREAD} are not expanded in this file; put secrets into .env",
            "13:3 \"../evil\" is not a line name; use up to 64 of a-z 0-9 . _ - as in fx-direction",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn a_tag_brings_its_own_keys() {
        let (config, _) = read(
            b"lines: {a: {label: {rule: triple-barrier, stop_loss: 0.01}}, b: {label: {rule: quartile}}, c: {}}",
        )
        .expect("a good file");
        let label = |name: &str| config.lines[&name.parse().expect("a name")].label;
        use crate::labels::LabelRule;
        assert_eq!(label("a"), LabelRule::TripleBarrier { take_profit: 0.005, stop_loss: 0.01 });
        assert_eq!(label("b"), LabelRule::Quartile);
        assert_eq!(
            refusals("lines: {a: {label: {rule: fixed, multiple: 2.0}}}"),
            ["1:34 unknown key `multiple`; there are rule, threshold"]
        );
    }

    #[test]
    fn a_gate_has_limits_of_its_own() {
        let (config, _) =
            read(b"lines: {a: {gate: {preset: classic, min_days: 10, margin: 0.02}}, b: {}}")
                .expect("a good file");
        let gate = |name: &str| config.lines[&name.parse().expect("a name")].gate.clone();
        use crate::gate::{GateConfig, Preset};
        assert_eq!(gate("b"), GateConfig::default());
        let expected = GateConfig {
            preset: Preset::Classic,
            min_days: 10,
            margin: 0.02,
            ..GateConfig::default()
        };
        assert_eq!(gate("a"), expected);
        let (written, _) = read(include_bytes!("../jobs/init/aifx.yaml")).expect("a good file");
        assert!(written.lines.values().all(|line| *line == LineConfig::default()));
        assert_eq!(
            refusals("lines: {a: {gate: {min_days: 4, alfa: 0.1, preset: strict, margin: 0.65}}}"),
            [
                "1:13 max_margin: 0.5 is below the margin of 0.65 that it should widen to",
                "1:30 min_days: 4 does not lie between 5 and 365",
                "1:33 unknown key `alfa`; did you mean `alpha`?",
                "1:52 preset: unknown variant `strict` stands where `standard` or `classic` is wanted",
            ]
        );
    }

    #[test]
    fn a_range_is_cut_by_days_or_by_shares_and_not_by_both() {
        let parts = |weekly: &str| {
            let (config, _) = read(format!("lines: {{a: {{weekly: {{{weekly}}}}}}}").as_bytes())
                .expect("a good file");
            config.lines[&"a".parse().expect("a name")].weekly.parts()
        };
        use crate::dataset::Parts;
        assert_eq!(parts(""), Parts::Days { validation: 20, test: 20 });
        assert_eq!(parts("test_days: 30"), Parts::Days { validation: 20, test: 30 });
        assert_eq!(parts("split: [0.5, 0.2, 0.3]"), Parts::Shares([0.5, 0.2, 0.3]));
        let both = "lines:\n  a:\n    weekly: {days: 30, test_days: 5, split: [0.5, 0.2, 0.3]}\n";
        let found = refusals(both);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].starts_with("3:45 split: shares of the range and trading days"),
            "{found:?}"
        );
        assert_eq!(
            refusals("lines: {a: {weekly: {test_days: 0}}}"),
            ["1:33 test_days: 0 does not lie between 1 and 10000"]
        );
    }

    #[test]
    fn files_that_are_no_configuration_are_refused() {
        for (text, word) in [
            ("", "empty"),
            ("# nothing\n", "empty"),
            ("- a\n- b\n", "settings are wanted"),
            ("lines: 3\n", "sections are wanted"),
            ("database: {url: 'postgres://me:secret@db/fx'}\n", "password"),
            ("a: 1\na: 2\n", "given twice"),
        ] {
            let found = refusals(text);
            assert!(found.iter().any(|line| line.contains(word)), "{text:?}: {found:?}");
        }
    }

    #[test]
    fn a_hostile_file_of_full_size_is_refused_in_no_time() {
        let begun = std::time::Instant::now();
        let many_keys: String = (0..60_000).map(|i| format!("k{i}: v\n")).collect();
        let many_lines: String =
            (0..20_000).fold("lines:\n".into(), |text, i| format!("{text}  l{i}: {{weekly: x}}\n"));
        for text in [&many_keys, &many_lines, &"x".repeat(MAX_BYTES), &"- ".repeat(MAX_BYTES / 2)] {
            assert!(!refusals(text).is_empty());
        }
        assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
        let home = home(&"#".repeat(MAX_BYTES + 1));
        let error = format!("{:#}", app(home.path(), &[]).expect_err("refused"));
        assert!(error.contains("larger than 1024 KiB"), "{error}");
    }

    #[test]
    fn environment_beats_file_beats_default() {
        let home = home(EXAMPLE);
        let plain = app(home.path(), &[]).expect("loads");
        assert_eq!((plain.config.seed, plain.origin("seed")), (7, Origin::File(1)));
        assert_eq!(plain.origin("threads"), Origin::Default);
        assert_eq!(plain.config_sha256.len(), 64);
        let set = app(home.path(), &[("AIFX_SEED", "9"), ("DATABASE_URL", "postgres:///x")])
            .expect("loads");
        assert_eq!(set.config.seed, 9);
        assert_eq!(set.origin("seed"), Origin::Environment("AIFX_SEED".into()));
        assert_eq!(set.database_setting("DATABASE_URL").as_deref(), Some("postgres:///x"));
        let error = app(home.path(), &[("AIFX_SEED", "soon")]).expect_err("refused");
        assert!(error.to_string().contains("AIFX_SEED is `soon`"), "{error}");
    }

    #[test]
    fn a_home_without_a_file_says_what_to_do() {
        let home = tempfile::tempdir().expect("a folder");
        let error = app(home.path(), &[]).expect_err("refused");
        let fault = crate::fault::find(&error).expect("a fault");
        assert_eq!(fault.exit().code(), 3);
        assert!(fault.hint_text().is_some_and(|hint| hint.contains("aifx init")));
        assert!(app(&home.path().join("absent"), &[]).is_err());
        std::fs::create_dir(home.path().join(FILE)).expect("made");
        let error = format!("{:#}", app(home.path(), &[]).expect_err("refused"));
        assert!(error.contains("not a plain file"), "{error}");
    }

    #[test]
    fn the_line_that_is_meant_is_found_or_the_names_are_given() {
        let home = home(EXAMPLE);
        let app = app(home.path(), &[]).expect("loads");
        let name = |text: &str| text.parse::<LineName>().expect("a name");
        assert!(app.line(Some(&name("fx-slow"))).is_ok());
        let error = format!("{:#}", app.line(Some(&name("fx-slwo"))).expect_err("unknown"));
        assert!(error.contains("did you mean `fx-slow`?"), "{error}");
        let error = format!("{:#}", app.line(None).expect_err("several"));
        assert!(error.contains("fx-direction, fx-slow"), "{error}");
    }

    #[test]
    fn a_refused_file_shows_the_line_itself() {
        let home = home("lines:\n  fx:\n    weekly: {epoch: 5}\n");
        let error = format!("{:#}", app(home.path(), &[]).expect_err("refused"));
        let wanted = "aifx.yaml:3:14: unknown key `epoch`; did you mean `epochs`?\n     3 |     weekly: {epoch: 5}";
        assert!(error.ends_with(wanted), "{error}");
    }
}
