//! [`Environment`]: the variables that aifx knows, from the process and from `.env` beside `aifx.yaml`, read once.
//!
//! Invariant: no value is ever printed whole (Debug and `config show` see masked ones); the process beats `.env`.

use std::{collections::BTreeMap, ffi::OsString, fmt, path::Path};

use secrecy::{ExposeSecret, SecretString};

use super::{check, yaml::shortened};
use crate::fault::Fault;

/// Variables that aifx reads by their full name; besides them all that begin with one of [`PREFIXES`].
const NAMES: [&str; 13] = [
    "AIFX_HOME",
    "AIFX_DATABASE_URL",
    "AIFX_DATABASE_WAIT",
    "AIFX_SEED",
    "AIFX_THREADS",
    "DATABASE_URL",
    "DISCORD_WEBHOOK_URL",
    "HOME",
    "LOGNAME",
    "NO_COLOR",
    "REDIS_URL",
    "USER",
    "WEBHOOK_URL",
];

const PREFIXES: [&str; 2] = ["PG", "SMTP_"];

/// Bytes of a `.env` file; more is some other file.
const MAX_ENV_BYTES: usize = 64 * 1024;

/// Where a variable was set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VariableFrom {
    /// The environment of the process.
    Process,
    /// `.env`, on this line.
    DotEnv(usize),
}

impl fmt::Display for VariableFrom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VariableFrom::Process => f.write_str("environment"),
            VariableFrom::DotEnv(line) => write!(f, ".env:{line}"),
        }
    }
}

#[derive(Clone)]
struct Variable {
    value: SecretString,
    from: VariableFrom,
}

/// The variables that aifx knows.
#[derive(Clone, Default)]
pub struct Environment {
    variables: BTreeMap<String, Variable>,
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

impl Environment {
    /// The environment of this process.
    ///
    /// # Errors
    /// When a variable that aifx reads is not UTF-8, or a database URL is set but empty.
    #[allow(clippy::disallowed_methods, reason = "config is the room that reads the environment")]
    pub fn of_process() -> anyhow::Result<Self> {
        Environment::from_pairs(std::env::vars_os())
    }

    /// An environment made of `pairs`; what aifx does not read is left out.
    ///
    /// # Errors
    /// As [`Environment::of_process`].
    pub fn from_pairs(pairs: impl Iterator<Item = (OsString, OsString)>) -> anyhow::Result<Self> {
        let mut variables = BTreeMap::new();
        for (name, value) in pairs {
            let Some(name) = name.to_str().filter(|name| is_known(name)) else { continue };
            let value = value.to_str().ok_or_else(|| {
                Fault::config(format!("the environment variable {name} is not UTF-8 text"))
            })?;
            refuse_empty(name, value, "the environment")?;
            let variable = Variable { value: value.into(), from: VariableFrom::Process };
            variables.insert(name.to_owned(), variable);
        }
        Ok(Environment { variables })
    }

    /// The value of a variable; one that is set to nothing counts as not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        let value = self.variables.get(name)?.value.expose_secret();
        (!value.is_empty()).then_some(value)
    }

    /// Where the variable was set.
    pub fn from(&self, name: &str) -> Option<VariableFrom> {
        self.variables.get(name).map(|variable| variable.from)
    }

    /// Names in order, with the value masked where it may hold a secret, and where it was set.
    pub fn masked(&self) -> impl Iterator<Item = (&str, String, VariableFrom)> {
        self.variables.iter().map(|(name, variable)| {
            (name.as_str(), masked(name, variable.value.expose_secret()), variable.from)
        })
    }

    /// Adds what `.env` in `home` says and the process does not. Returns what an operator should be told.
    ///
    /// # Errors
    /// When the file is there and cannot be read, or a line is no `NAME=value`; all such lines are named.
    pub(super) fn add_dot_env(&mut self, home: &Path) -> anyhow::Result<Vec<String>> {
        let path = home.join(".env");
        let Some(bytes) = super::read_limited(&path, MAX_ENV_BYTES)? else {
            return Ok(Vec::new());
        };
        let cannot = || format!("cannot use {}", path.display());
        let text = std::str::from_utf8(&bytes).map_err(|_| {
            anyhow::Error::from(Fault::config("it is not UTF-8 text")).context(cannot())
        })?;
        let mut warnings = Vec::new();
        let mut problems = Vec::new();
        let mut secret = false;
        for (index, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line_number = index + 1;
            let (name, value) = match assignment(line) {
                Ok(Some(pair)) => pair,
                Ok(None) => continue,
                // The line itself may hold a secret: it is not shown.
                Err(why) => {
                    problems.push(format!(".env:{line_number}: {why}"));
                    continue;
                }
            };
            if !is_known(&name) {
                let known: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
                if let Some(near) = check::nearest(&name, &known) {
                    warnings.push(format!(
                        ".env:{line_number}: aifx does not read {}; did you mean {near}?",
                        shortened(&name)
                    ));
                }
                continue;
            }
            if refuse_empty(&name, &value, ".env").is_err() {
                problems.push(format!(".env:{line_number}: {name} is set but empty"));
                continue;
            }
            secret |= masked(&name, &value) != value;
            let variable =
                Variable { value: value.into(), from: VariableFrom::DotEnv(line_number) };
            match self.variables.get(&name).map(|variable| variable.from) {
                Some(VariableFrom::Process) => {}
                // As a shell would: the last assignment holds.
                _ => {
                    self.variables.insert(name, variable);
                }
            }
        }
        if !problems.is_empty() {
            let hint = "write NAME=value, one a line; quote a value that holds spaces or #";
            return Err(anyhow::Error::from(Fault::config(problems.join("\n  ")).hint(hint))
                .context(cannot()));
        }
        if secret && others_can_read(&path) {
            warnings.push(format!(
                "{} holds secrets and others can read it; run: chmod 600 {}",
                path.display(),
                path.display()
            ));
        }
        Ok(warnings)
    }
}

fn is_known(name: &str) -> bool {
    NAMES.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// An empty database URL is a script's unset variable: taking it for "not set" would use another database in silence.
fn refuse_empty(name: &str, value: &str, place: &str) -> Result<(), Fault> {
    if value.is_empty() && matches!(name, "DATABASE_URL" | "AIFX_DATABASE_URL") {
        return Err(Fault::config(format!("{name} is set but empty in {place}"))
            .hint(format!("give {name} a value, or unset it to use the private database")));
    }
    Ok(())
}

/// One line of `.env`: `NAME=value`, `export NAME="value"`, a comment or nothing.
fn assignment(line: &str) -> Result<Option<(String, String)>, &'static str> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=').ok_or("there is no = in this line")?;
    let name = name.trim();
    let valid = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit());
    if !valid {
        return Err("what stands before the = is not a variable name");
    }
    Ok(Some((name.to_owned(), unquoted(value.trim())?)))
}

fn unquoted(value: &str) -> Result<String, &'static str> {
    let mut chars = value.chars();
    let quote = match chars.next() {
        Some(quote @ ('"' | '\'')) => quote,
        // Without quotes a comment begins at ` #`; a `#` inside a word belongs to it.
        _ => return Ok(value.split(" #").next().unwrap_or_default().trim_end().to_owned()),
    };
    let mut text = String::new();
    loop {
        match chars.next() {
            None => return Err("the quote is not closed"),
            Some(c) if c == quote => break,
            Some('\\') if quote == '"' => match chars.next() {
                Some('n') => text.push('\n'),
                Some(c) => text.push(c),
                None => return Err("the quote is not closed"),
            },
            Some(c) => text.push(c),
        }
    }
    let rest = chars.as_str().trim_start();
    if rest.is_empty() || rest.starts_with('#') {
        Ok(text)
    } else {
        Err("something follows the closing quote")
    }
}

fn others_can_read(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o044 != 0)
}

/// The value of a variable as it may be shown: passwords, tokens and the paths of webhooks become `***`.
pub(super) fn masked(name: &str, value: &str) -> String {
    let secret = ["PASSWORD", "TOKEN", "SECRET", "KEY"].iter().any(|word| name.contains(word));
    if secret && name != "PGSSLKEY" && name != "PGPASSFILE" {
        return "***".to_owned();
    }
    if name.contains("WEBHOOK") {
        // The path of a webhook is its password.
        return value.split_once("://").map_or_else(
            || "***".to_owned(),
            |(scheme, rest)| {
                let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
                let host = host.rsplit('@').next().unwrap_or_default();
                format!("{scheme}://{host}/***")
            },
        );
    }
    if name.ends_with("URL") || name == "PGOPTIONS" {
        return masked_url(value);
    }
    value.to_owned()
}

/// A database URL without its password and without the values of its query; `key=value` text likewise.
pub(super) fn masked_url(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url
            .split_whitespace()
            .map(|pair| match pair.split_once('=') {
                Some((key @ ("host" | "port" | "dbname" | "user" | "sslmode"), value)) => {
                    format!("{key}={value}")
                }
                Some((key, _)) => format!("{key}=***"),
                None => "***".to_owned(),
            })
            .collect::<Vec<_>>()
            .join(" ");
    };
    let (rest, query) = rest.split_once('?').map_or((rest, None), |(r, q)| (r, Some(q)));
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
    // A password may hold an @ of its own: the host begins after the last one.
    let authority = match authority.rsplit_once('@') {
        Some((login, host)) => match login.split_once(':') {
            Some((user, _)) => format!("{user}:***@{host}"),
            None => format!("{login}@{host}"),
        },
        None => authority.to_owned(),
    };
    let path = path.map(|path| format!("/{path}")).unwrap_or_default();
    let query = query.map(|_| "?***").unwrap_or_default();
    format!("{scheme}://{authority}{path}{query}")
}

/// Whether a connection text holds a password, as a URI or as `key=value`.
pub(super) fn holds_password(url: &str) -> bool {
    let login = url.split_once("://").and_then(|(_, rest)| rest.split(['/', '?']).next());
    let in_login = login
        .and_then(|authority| authority.rsplit_once('@'))
        .is_some_and(|(login, _)| login.contains(':'));
    in_login || url.to_ascii_lowercase().contains("password")
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make the files that they read")]
mod tests {
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> anyhow::Result<Environment> {
        Environment::from_pairs(pairs.iter().map(|(name, value)| (name.into(), value.into())))
    }

    #[test]
    fn lines_of_dot_env_read_as_a_shell_would() {
        for (line, value) in [
            ("A=b", "b"),
            ("export A=b", "b"),
            (" A = b # comment", "b"),
            ("A=b#c", "b#c"),
            ("A=\"b # c\" # d", "b # c"),
            ("A='it\\n'", "it\\n"),
            ("A=\"x\\\"y\\n\"", "x\"y\n"),
            ("A=", ""),
            ("A=a=b", "a=b"),
        ] {
            assert_eq!(assignment(line), Ok(Some(("A".into(), value.into()))), "{line}");
        }
        for line in ["", "  ", "# A=b"] {
            assert_eq!(assignment(line), Ok(None), "{line}");
        }
        for line in ["A", "1A=b", "A B=c", "A=\"b", "A=\"b\" c", "=b"] {
            assert!(assignment(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_process_beats_dot_env_and_secrets_are_masked() {
        let home = tempfile::tempdir().expect("a folder");
        let text = "DATABASE_URL=postgres://me:s3cr3t@db/fx\nREDIS_URL='redis://r/1'\nPATH=/x\n";
        std::fs::write(home.path().join(".env"), text).expect("written");
        let mut found = environment(&[("REDIS_URL", "redis://other/0"), ("EDITOR", "vi")])
            .expect("an environment");
        let warnings = found.add_dot_env(home.path()).expect("a good file");
        assert!(warnings.iter().any(|w| w.contains("chmod 600")), "{warnings:?}");
        assert_eq!(found.get("REDIS_URL"), Some("redis://other/0"));
        assert_eq!(found.get("DATABASE_URL"), Some("postgres://me:s3cr3t@db/fx"));
        assert_eq!(found.from("DATABASE_URL"), Some(VariableFrom::DotEnv(1)));
        assert_eq!((found.get("EDITOR"), found.get("PATH")), (None, None));
        let shown = format!("{found:?} {:?}", found.masked().collect::<Vec<_>>());
        assert!(!shown.contains("s3cr3t") && shown.contains("postgres://me:***@db/fx"), "{shown}");
    }

    #[test]
    fn a_bad_dot_env_names_every_line_and_shows_none() {
        let home = tempfile::tempdir().expect("a folder");
        std::fs::write(home.path().join(".env"), "A=1\nhunter2\nB='x\nDATABASE_URL=\n")
            .expect("written");
        let error = Environment::default().add_dot_env(home.path()).expect_err("refused");
        let text = format!("{error:#}");
        assert!(
            text.contains(".env:2") && text.contains(".env:3") && text.contains(".env:4"),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(crate::fault::find(&error).map(|f| f.exit().code()), Some(3));
    }

    #[test]
    fn nothing_secret_survives_masking() {
        for (name, value, shown) in [
            ("DATABASE_URL", "postgres://u:p@w@h:5/d?sslpassword=x", "postgres://u:***@h:5/d?***"),
            ("DATABASE_URL", "host=h password=x dbname=d", "host=h password=*** dbname=d"),
            ("DATABASE_URL", "postgres:///fx", "postgres:///fx"),
            (
                "DISCORD_WEBHOOK_URL",
                "https://discord.com/api/webhooks/1/tok",
                "https://discord.com/***",
            ),
            ("PGPASSWORD", "x", "***"),
            ("SMTP_PASSWORD", "x", "***"),
            ("PGPASSFILE", "/home/me/.pgpass", "***"),
            ("PGHOST", "db", "db"),
        ] {
            if name == "PGPASSFILE" {
                assert_eq!(masked(name, value), value);
            } else {
                assert_eq!(masked(name, value), shown);
            }
        }
        assert!(holds_password("postgres://u:p@h/d") && holds_password("host=h Password=x"));
        assert!(!holds_password("postgres://u@h:5432/d") && !holds_password("host=h user=u"));
    }

    #[test]
    fn an_empty_database_url_is_refused() {
        let error = environment(&[("DATABASE_URL", "")]).expect_err("refused");
        assert!(error.to_string().contains("DATABASE_URL is set but empty"), "{error}");
        assert!(environment(&[("REDIS_URL", "")]).expect("fine").get("REDIS_URL").is_none());
    }
}
