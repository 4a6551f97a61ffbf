//! Where the edges are for this run: the database, the models, the cores.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use chrono::{DateTime, Utc};
use secrecy::SecretString;

use super::{
    App,
    limits::{self, MemoryCap},
};
use crate::{
    db::{Db, PrivateServer, Source, market_data::CandleRange},
    fault::Fault,
    notify::{Bus, Channels, MailServer, MailTls},
};

/// Commands that say how things are: a dead database is their answer, and someone waits for it.
const AT_ONCE: [&str; 2] = ["doctor", "status"];

impl App {
    /// The folder of all lines.
    pub fn models(&self) -> PathBuf {
        self.home.join("models")
    }

    /// Candles from `from` on that are known at `--as-of`.
    pub fn candle_range(&self, from: DateTime<Utc>) -> CandleRange {
        CandleRange {
            from: Some(from),
            as_of: self.as_of,
            as_known: self.as_known,
            on_bad: self.config.database.bad_candles,
        }
    }

    /// How much memory this process may still take, if anything bounds it.
    pub fn memory(&self) -> Option<MemoryCap> {
        limits::memory(self.config.limits.memory_mib)
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

    /// Where events are published: `REDIS_URL`, if it is set.
    pub fn bus(&self) -> Option<Bus> {
        let url = self.environment.get("REDIS_URL").map(SecretString::from)?;
        let events = &self.config.events;
        Some(Bus { url, stream: events.stream.clone().map(|name| (name, events.max_len)) })
    }

    /// Where letters go: `DISCORD_WEBHOOK_URL`, `WEBHOOK_URL` and the `SMTP_*` variables.
    ///
    /// # Errors
    /// Exit 3 when the settings of e-mail do not fit together.
    pub fn channels(&self) -> Result<Channels, Fault> {
        let secret = |name: &str| self.environment.get(name).map(SecretString::from);
        Ok(Channels {
            discord: secret("DISCORD_WEBHOOK_URL"),
            webhook: secret("WEBHOOK_URL"),
            mail: self.mail_server()?,
        })
    }

    fn mail_server(&self) -> Result<Option<MailServer>, Fault> {
        let setting = |name: &str| self.environment.get(name).map(str::to_owned);
        let Some(host) = setting("SMTP_HOST") else { return Ok(None) };
        let wrong =
            |why: String| Fault::config(why).hint("see the section on letters in CRON_SETUP.md");
        let port: Option<u16> = match setting("SMTP_PORT") {
            Some(text) => {
                Some(text.parse().map_err(|_| wrong(format!("SMTP_PORT {text:?} is no port")))?)
            }
            None => None,
        };
        let is_here =
            host == "localhost" || host.parse().is_ok_and(|ip: std::net::IpAddr| ip.is_loopback());
        let tls = match (setting("SMTP_TLS").as_deref(), port) {
            (Some("starttls"), _) => MailTls::Starttls,
            (Some("tls"), _) | (None, Some(465)) => MailTls::Wrapped,
            (Some("none"), _) => MailTls::Without,
            (Some(other), _) => {
                return Err(wrong(format!("SMTP_TLS {other:?} is not starttls, tls or none")));
            }
            (None, _) if is_here => MailTls::Without,
            (None, _) => MailTls::Starttls,
        };
        let login = match (setting("SMTP_USER"), setting("SMTP_PASSWORD")) {
            (Some(_), Some(_)) if tls == MailTls::Without && !is_here => {
                return Err(wrong("SMTP_TLS none would send the password unencrypted".into()));
            }
            (Some(user), Some(password)) => Some((user, password.into())),
            (None, None) => None,
            _ => return Err(wrong("SMTP_USER and SMTP_PASSWORD belong together".into())),
        };
        let to = setting("SMTP_TO")
            .ok_or_else(|| wrong("SMTP_HOST is set and SMTP_TO is not".into()))?;
        Ok(Some(MailServer {
            port: port.unwrap_or(match tls {
                MailTls::Starttls => 587,
                MailTls::Wrapped => 465,
                MailTls::Without => 25,
            }),
            from: setting("SMTP_FROM").unwrap_or_else(|| format!("aifx@{host}")),
            to: to.split(',').map(str::to_owned).collect(),
            host,
            tls,
            login,
        }))
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
                let started = server.start();
                // Another command may be starting or stopping it at this moment: what counts is whether it answers.
                Db::connect(&server.source(), command, self.patience(command))
                    .map_err(|error| started.err().unwrap_or(error))
            }
        }
    }
}
