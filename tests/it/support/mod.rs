//! What the integration tests stand on: a temporary home, the binary in an empty environment, and a real private
//! PostgreSQL with a database of the test's own.

mod postgres_server;
mod tiny_model;

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

pub(crate) use postgres_server::{Server, TestDatabase};
use tempfile::TempDir;
pub(crate) use tiny_model::tiny_model;

/// A temporary home and the commands run in it. Nothing of the caller's environment reaches the binary.
pub(crate) struct Home {
    dir: TempDir,
    env: Vec<(String, String)>,
}

/// What a finished command left behind.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    /// An empty home without any database.
    pub(crate) fn empty() -> Home {
        Home { dir: tempfile::tempdir().expect("a temporary folder"), env: Vec::new() }
    }

    /// A home whose commands use `database`.
    pub(crate) fn with_database(database: &TestDatabase) -> Home {
        let mut home = Home::empty();
        home.set("DATABASE_URL", database.url());
        home
    }

    /// Sets a variable for all further commands.
    pub(crate) fn set(&mut self, name: &str, value: impl Into<String>) {
        self.env.push((name.to_owned(), value.into()));
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file of the home.
    #[allow(clippy::disallowed_methods, reason = "tests make the files that they read")]
    pub(crate) fn write(&self, name: &str, content: &str) {
        self.write_bytes(name, content.as_bytes());
    }

    /// The same for what is no text.
    #[allow(clippy::disallowed_methods, reason = "a test breaks what only artifact writes")]
    pub(crate) fn write_bytes(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path().join(name), content).expect("written");
    }

    /// The binary with these arguments, ready to be changed or run.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aifx"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/usr/bin:/bin")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// Runs `aifx` with these arguments to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().expect("aifx starts"))
    }

    /// Runs `aifx`, which must end 0.
    pub(crate) fn ok(&self, args: &[&str]) -> Run {
        let run = self.run(args);
        assert_eq!(run.status, 0, "aifx {args:?}\nstdout: {}\nstderr: {}", run.stdout, run.stderr);
        run
    }

    /// Runs `aifx --json`, which must end 0, and reads its document.
    pub(crate) fn json(&self, args: &[&str]) -> serde_json::Value {
        let mut all = args.to_vec();
        all.push("--json");
        self.ok(&all).document()
    }
}

impl Run {
    pub(crate) fn of(output: Output) -> Run {
        use std::os::unix::process::ExitStatusExt;
        let status = output.status;
        Run {
            status: status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0)),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// The one JSON document on stdout.
    pub(crate) fn document(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in {:?}\nstderr: {}", self.stdout, self.stderr))
    }

    /// Asserts the exit status and that stderr says each of these.
    pub(crate) fn refuses(&self, status: i32, says: &[&str]) {
        assert_eq!(self.status, status, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        for text in says {
            assert!(self.stderr.contains(text), "stderr does not say {text:?}: {}", self.stderr);
        }
    }
}

/// The folder of real candles, or `None` with a message: users do not have it.
pub(crate) fn real_candles() -> Option<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/fx");
    if folder.is_dir() {
        Some(folder)
    } else {
        eprintln!("skipped: no real candles at {}", folder.display());
        None
    }
}
