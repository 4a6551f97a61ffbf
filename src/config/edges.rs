//! Where the edges are for this run: the database, the models, the cores.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;

use super::App;
use crate::{
    db::{Db, PrivateServer, Source},
    fault::Fault,
};

/// Commands that say how things are: a dead database is their answer, and someone waits for it.
const AT_ONCE: [&str; 2] = ["doctor", "status"];

impl App {
    /// The folder of all lines.
    pub fn models(&self) -> PathBuf {
        self.home.join("models")
    }

    /// Threads to compute with.
    pub fn threads(&self) -> usize {
        match self.config.threads {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            threads => threads,
        }
    }

    /// The private server of this home.
    pub fn private_server(&self) -> PrivateServer {
        PrivateServer::of(&self.home)
    }

    /// The database that is configured, if one is; otherwise the private server is meant.
    ///
    /// # Errors
    /// Exit 3 when the setting cannot be understood.
    pub fn configured_database(&self) -> Result<Option<Source>, Fault> {
        let text = ["AIFX_DATABASE_URL", "DATABASE_URL"]
            .into_iter()
            .find_map(|name| self.database_setting(name));
        let variables = |name: &str| self.environment.get(name).map(str::to_owned);
        // As for psql, each of them names a place; the rest only says how to go there.
        let names_place = ["PGHOST", "PGHOSTADDR", "PGDATABASE", "PGSERVICE"]
            .iter()
            .any(|name| self.environment.get(name).is_some());
        if text.is_none() && !names_place {
            return Ok(None);
        }
        Source::find(text.as_deref(), &variables).map(Some)
    }

    /// How long an unreachable database is tried again for `command`.
    fn patience(&self, command: &str) -> Duration {
        if AT_ONCE.contains(&command) {
            return Duration::ZERO;
        }
        Duration::from_secs(self.config.database.wait)
    }

    /// A connection for `command`, with the schema checked. The private server is started when it does not run.
    ///
    /// # Errors
    /// Exit 3 for configuration, schema and refusals, 5 when the database cannot be reached.
    pub fn db(&self, command: &str) -> anyhow::Result<Db> {
        let mut db = self.db_as_it_is(command)?;
        db.require_schema()?;
        Ok(db)
    }

    /// A connection for `command` whatever the schema: for migrating it.
    ///
    /// # Errors
    /// As [`App::db`].
    pub fn db_as_it_is(&self, command: &str) -> anyhow::Result<Db> {
        let configured =
            self.configured_database().context("cannot tell which database is meant")?;
        if let Some(source) = configured {
            return Db::connect(&source, command, self.patience(command));
        }
        let server = self.private_server();
        if !server.exists() {
            return Err(Fault::config(
                "no database is configured, and this home has none of its own",
            )
            .hint("run: aifx init (or set DATABASE_URL)")
            .into());
        }
        match Db::connect(&server.source(), command, Duration::ZERO) {
            Ok(db) => Ok(db),
            // After a reboot the first command of cron brings it back.
            Err(_) => {
                server.start()?;
                Db::connect(&server.source(), command, self.patience(command))
            }
        }
    }
}
