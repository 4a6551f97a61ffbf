//! Where the edges are for this run: the database, the models, the cores.

use std::path::PathBuf;

use super::App;
use crate::{
    db::{Db, PrivateServer, Source},
    fault::Fault,
};

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
        let url = ["AIFX_DATABASE_URL", "DATABASE_URL"]
            .into_iter()
            .find_map(|name| self.database_setting(name));
        match url.or_else(|| self.libpq_variables()) {
            Some(text) => {
                let source = Source::parse(&text)?;
                let passfile =
                    self.environment.get("PGPASSFILE").map(PathBuf::from).or_else(|| {
                        self.environment.get("HOME").map(|home| PathBuf::from(home).join(".pgpass"))
                    });
                Ok(Some(match passfile {
                    Some(path) => source.with_passfile(&path),
                    None => source,
                }))
            }
            None => Ok(None),
        }
    }

    /// libpq's own variables as `key=value` text, when they name a place.
    fn libpq_variables(&self) -> Option<String> {
        let pairs = [
            ("PGHOST", "host"),
            ("PGPORT", "port"),
            ("PGUSER", "user"),
            ("PGPASSWORD", "password"),
            ("PGDATABASE", "dbname"),
            ("PGSSLMODE", "sslmode"),
        ];
        self.environment.get("PGHOST").or_else(|| self.environment.get("PGDATABASE"))?;
        let quoted = |value: &str| value.replace('\\', "\\\\").replace('\'', "\\'");
        let set = pairs.iter().filter_map(|(name, key)| {
            self.environment.get(name).map(|value| format!("{key}='{}'", quoted(value)))
        });
        Some(set.collect::<Vec<_>>().join(" "))
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
        if let Some(source) = self.configured_database()? {
            return Db::connect(&source, command);
        }
        let server = self.private_server();
        if !server.exists() {
            return Err(Fault::config(
                "no database is configured, and this home has none of its own",
            )
            .hint("run: aifx init (or set DATABASE_URL)")
            .into());
        }
        match Db::connect(&server.source(), command) {
            Ok(db) => Ok(db),
            // After a reboot the first command of cron brings it back.
            Err(_) => {
                server.start()?;
                Db::connect(&server.source(), command)
            }
        }
    }
}
