//! [`Db::connect`]: a session with aifx's settings on the database that [`Source`] names.
//!
//! Not here: the private server's life (`private`).

use std::time::Duration;

use postgres::{Client, Config, NoTls, config::SslMode};

use super::{Db, Failed};
use crate::fault::Fault;

/// Each host gets this long to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Settings of every session: a killed client's locks are freed, no lock is waited for without end, times are UTC.
const SESSION: &str = "SET lock_timeout = '10s'; SET idle_in_transaction_session_timeout = '60s'; \
                       SET TimeZone = 'UTC'";

/// Which database.
#[derive(Debug, Clone)]
pub struct Source {
    config: Config,
    /// The address without any secret, for people.
    shown: String,
}

impl Source {
    /// From `DATABASE_URL`: a URI or `key=value` text.
    ///
    /// # Errors
    /// Exit 3 when it cannot be understood; the text itself is never shown.
    pub fn parse(text: &str) -> Result<Source, Fault> {
        let mut config: Config = text.parse().map_err(|error: postgres::Error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            Fault::config(format!(
                "DATABASE_URL cannot be understood: {}",
                cause.unwrap_or_else(|| error.to_string())
            ))
            .hint("write it like postgresql://user@host:5432/dbname")
        })?;
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        config.tcp_user_timeout(Duration::from_secs(30));
        config.keepalives_idle(Duration::from_secs(30));
        if config.get_user().is_none() {
            config.user("aifx");
        }
        let hosts: Vec<String> = config
            .get_hosts()
            .iter()
            .map(|host| match host {
                postgres::config::Host::Tcp(name) => name.clone(),
                postgres::config::Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        let shown = format!(
            "postgresql://{}@{}/{}",
            config.get_user().unwrap_or_default(),
            hosts.join(","),
            config.get_dbname().unwrap_or_default(),
        );
        Ok(Source { config, shown })
    }

    /// The address without any secret.
    pub fn shown(&self) -> &str {
        &self.shown
    }
}

impl Db {
    /// Connects for `command`, which the server sees as `application_name`.
    ///
    /// # Errors
    /// Exit 3 when the server refuses the user or the database, 5 when it cannot be reached.
    pub fn connect(source: &Source, command: &str) -> anyhow::Result<Db> {
        let doing = format!("cannot connect to {}", source.shown);
        let mut config = source.config.clone();
        config.application_name(&format!("aifx/{command}"));
        let client = match config.get_ssl_mode() {
            SslMode::Require => {
                let tls = super::tls::connector()
                    .map_err(|fault| anyhow::Error::from(fault).context(doing.clone()))?;
                config.connect(tls).failed(&doing)?
            }
            _ => config.connect(NoTls).failed(&doing)?,
        };
        Db::with_session(client)
    }

    /// The server's version, such as `15.18`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn server_version(&mut self) -> anyhow::Result<String> {
        let row = self
            .client
            .query_one("SHOW server_version", &[])
            .failed("cannot ask for the version")?;
        let text: String = row.get(0);
        Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
    }

    fn with_session(mut client: Client) -> anyhow::Result<Db> {
        client.batch_execute(SESSION).failed("cannot set up the database session")?;
        // PostgreSQL 14 and later: the locks of a client that was killed in the middle of a query are freed. An older
        // one does not know the setting and works without.
        let _ = client.batch_execute("SET client_connection_check_interval = '2s'");
        Ok(Db { client })
    }
}
