//! Checks a tree against the types it is meant for, and collects every mistake.
//!
//! A section's default value, as serde writes it, is its schema: its keys are the known keys. Each setting of the file
//! is put into that value alone and the whole is read by serde, so that the message of whatever type stands there
//! belongs to exactly one line. Not here: what the sections are (`sections`).

use serde::{Serialize, de::DeserializeOwned};
use serde_yaml::Value as Serde;

use super::yaml::{Key, MAX_PROBLEMS, Node, Place, Problem, Value, shortened};

/// Alternatives of a tagged section, such as the label rules: each a whole value whose first key is the tag.
pub(super) struct Choice {
    /// Path of the section inside the type that is read.
    pub(super) path: &'static [&'static str],
    /// One value for each alternative.
    pub(super) samples: Vec<Serde>,
}

/// What is special about a section type; all else its default value says.
#[derive(Default)]
pub(super) struct Shape {
    pub(super) choices: Vec<Choice>,
    /// Sections whose keys are free, such as prices by currency.
    pub(super) free: &'static [&'static [&'static str]],
}

/// A setting that the file gives, and where.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) path: Vec<String>,
    pub(super) at: Place,
}

/// What is found on the way.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) problems: Vec<Problem>,
    pub(super) given: Vec<Given>,
}

impl Findings {
    pub(super) fn problem(&mut self, at: Place, message: impl Into<String>) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem::new(at, message));
        }
    }

    /// Whether the file writes the setting itself.
    pub(super) fn is_given(&self, path: &[&str]) -> bool {
        self.given.iter().any(|given| given.path == path)
    }

    /// Where the setting stands, or the innermost section around it.
    pub(super) fn place(&self, path: &[&str], otherwise: Place) -> Place {
        let inner = |n: usize| self.given.iter().find(|given| given.path == path[..n]);
        (1..=path.len()).rev().find_map(inner).map_or(otherwise, |given| given.at)
    }
}

/// Reads `node` over `default`; settings with mistakes keep their default.
pub(super) fn section<T>(
    node: &Node,
    default: &T,
    shape: &Shape,
    prefix: &[&str],
    findings: &mut Findings,
) -> T
where
    T: Serialize + DeserializeOwned + Clone,
{
    let Ok(root) = serde_yaml::to_value(default) else { return default.clone() };
    let probe = |value: &Serde| {
        serde_yaml::from_value::<T>(value.clone()).map(drop).map_err(|error| error.to_string())
    };
    let mut walk = Walk { root, shape, prefix, probe: &probe, findings };
    walk.node(node, &mut Vec::new());
    // Every accepted step was a value that could be read, so this one can.
    serde_yaml::from_value(walk.root).unwrap_or_else(|_| default.clone())
}

struct Walk<'a> {
    root: Serde,
    shape: &'a Shape,
    prefix: &'a [&'a str],
    probe: &'a dyn Fn(&Serde) -> Result<(), String>,
    findings: &'a mut Findings,
}

impl Walk<'_> {
    fn node(&mut self, node: &Node, path: &mut Vec<String>) {
        if matches!(node.value, Value::Broken) || self.findings.problems.len() >= MAX_PROBLEMS {
            return;
        }
        let free = self.shape.free.iter().any(|free| free.iter().eq(path.iter()));
        let known = matches!(get(&self.root, path), Some(Serde::Mapping(_)) if !free);
        if !known {
            return self.leaf(node, path);
        }
        let Value::Map(entries) = &node.value else {
            if !is_null(node) {
                let message =
                    format!("{}a section is wanted here, not {}", self.name(path), node.kind());
                self.findings.problem(node.at, message);
            }
            return;
        };
        self.given(path, node.at);
        self.choose(entries, path);
        let keys = keys_of(get(&self.root, path));
        for (key, child) in entries {
            if keys.contains(&key.name) {
                path.push(key.name.clone());
                // A section is named by its key; where its value begins helps nobody.
                let at = if matches!(child.value, Value::Map(_)) { key.at } else { child.at };
                self.node(&Node { at, value: child.value.clone() }, path);
                path.pop();
            } else {
                self.findings.problem(key.at, unknown("key", &key.name, &keys));
            }
        }
    }

    /// In a tagged section, the alternative that the tag names becomes the default of its other keys.
    fn choose(&mut self, entries: &[(Key, Node)], path: &[String]) {
        let Some(choice) = self.shape.choices.iter().find(|c| c.path.iter().eq(path.iter())) else {
            return;
        };
        let tag = |sample: &Serde| {
            let (key, value) = sample.as_mapping()?.iter().next()?;
            Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()))
        };
        let tags: Vec<(String, String)> = choice.samples.iter().filter_map(tag).collect();
        let Some((tag_key, _)) = tags.first() else { return };
        let Some((_, wanted)) = entries.iter().find(|(key, _)| key.name == *tag_key) else {
            return;
        };
        let (Value::Plain(name) | Value::Quoted(name)) = &wanted.value else { return };
        let sample = tags.iter().position(|(_, value)| value == name);
        if let Some(sample) = sample.and_then(|index| choice.samples.get(index))
            && tag(sample) != get(&self.root, path).and_then(tag)
        {
            set(&mut self.root, path, sample.clone());
        }
    }

    fn leaf(&mut self, node: &Node, path: &[String]) {
        if let Value::Plain(text) | Value::Quoted(text) = &node.value
            && text.contains("${")
        {
            let message = format!(
                "{}variables such as {} are not expanded in this file; put secrets into .env",
                self.name(path),
                shortened(text)
            );
            return self.findings.problem(node.at, message);
        }
        let Some(value) = node.to_serde() else { return };
        let choice =
            self.shape.choices.iter().find(|c| {
                path.split_last().is_some_and(|(_, parent)| c.path.iter().eq(parent.iter()))
            });
        if let (Some(choice), Some(key), Some(given)) = (choice, path.last(), value.as_str()) {
            // The tag of an alternative: serde would list the variants, but not name the nearest.
            let names: Vec<String> = choice
                .samples
                .iter()
                .filter_map(|sample| sample.get(key.as_str())?.as_str().map(str::to_owned))
                .collect();
            let is_tag = choice.samples.iter().all(|sample| {
                sample.as_mapping().and_then(|m| m.keys().next()).and_then(Serde::as_str)
                    == Some(key.as_str())
            });
            if is_tag && !names.iter().any(|name| name == given) {
                return self.findings.problem(node.at, unknown(key, given, &names));
            }
        }
        match self.try_value(path, value) {
            Ok(()) => self.given(path, node.at),
            Err(why) => self.refuse(node, path, &why),
        }
    }

    fn try_value(&mut self, path: &[String], value: Serde) -> Result<(), String> {
        let mut candidate = self.root.clone();
        set(&mut candidate, path, value);
        (self.probe)(&candidate)?;
        self.root = candidate;
        Ok(())
    }

    /// Names the wrong items of a list where single items can be told apart, else the whole value.
    fn refuse(&mut self, node: &Node, path: &[String], why: &str) {
        let mut wrong = Vec::new();
        if let Value::List(items) = &node.value {
            for item in items {
                let mut candidate = self.root.clone();
                let Some(value) = item.to_serde() else { return };
                set(&mut candidate, path, Serde::Sequence(vec![value]));
                if let Err(why) = (self.probe)(&candidate) {
                    wrong.push((item.at, why));
                }
            }
            // A list of fixed length refuses every single item.
            if wrong.len() == items.len() && items.len() > 1 {
                wrong.clear();
            }
        }
        if wrong.is_empty() {
            wrong.push((node.at, why.to_owned()));
        }
        for (at, why) in wrong {
            let message = format!("{}{}", self.name(path), plainly(&why));
            self.findings.problem(at, message);
        }
    }

    fn name(&self, path: &[String]) -> String {
        path.last().map(|key| format!("{key}: ")).unwrap_or_default()
    }

    fn given(&mut self, path: &[String], at: Place) {
        let prefix = self.prefix.iter().map(|key| (*key).to_owned());
        self.findings.given.push(Given { path: prefix.chain(path.iter().cloned()).collect(), at });
    }
}

fn is_null(node: &Node) -> bool {
    matches!(&node.value, Value::Plain(text) if text.is_empty() || text == "~" || text == "null")
}

fn get<'a>(root: &'a Serde, path: &[String]) -> Option<&'a Serde> {
    path.iter().try_fold(root, |value, key| value.get(key.as_str()))
}

fn set(root: &mut Serde, path: &[String], value: Serde) {
    let mut slot = root;
    for key in path {
        let Some(mapping) = slot.as_mapping_mut() else { return };
        slot = mapping.entry(key.as_str().into()).or_insert(Serde::Null);
    }
    *slot = value;
}

fn keys_of(value: Option<&Serde>) -> Vec<String> {
    let keys = |value: &Serde| {
        let mapping = value.as_mapping()?;
        Some(mapping.keys().filter_map(Serde::as_str).map(str::to_owned).collect())
    };
    value.and_then(keys).unwrap_or_default()
}

/// serde's words with Rust's type names turned into a reader's.
fn plainly(why: &str) -> String {
    let why =
        why.strip_prefix("invalid type: ").or(why.strip_prefix("invalid value: ")).unwrap_or(why);
    match why.split_once(", expected ") {
        Some((found, expected)) => {
            let expected = match expected {
                "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, not negative",
                "i32" | "i64" => "a whole number",
                "f32" | "f64" => "a number",
                "a string" => "text",
                "a sequence" => "a list",
                other => other,
            };
            let found = if matches!(found, "unit value" | "null") { "nothing" } else { found };
            format!("{found} stands where {expected} is wanted")
        }
        None => why.to_owned(),
    }
}

/// `unknown key `epoch`; did you mean `epochs`?`
pub(super) fn unknown(what: &str, given: &str, known: &[String]) -> String {
    let shown = shortened(given);
    match nearest(given, known) {
        Some(near) => format!("unknown {what} `{shown}`; did you mean `{near}`?"),
        None if known.is_empty() => format!("unknown {what} `{shown}`"),
        None => format!("unknown {what} `{shown}`; there are {}", known.join(", ")),
    }
}

/// The known name that `given` is probably a slip of, if one is near enough.
pub(super) fn nearest<'a>(given: &str, known: &'a [String]) -> Option<&'a str> {
    // A name of 1 MiB is no slip, and comparing it would take its time.
    if given.len() > 64 {
        return None;
    }
    let scored = known.iter().map(|name| (strsim::jaro_winkler(given, name), name.as_str()));
    scored
        .filter(|(score, _)| *score > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}
