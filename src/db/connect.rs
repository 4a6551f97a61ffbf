//! [`Db::connect`]: a session with aifx's settings on the database that [`Source`] names.
//!
//! Not here: the private server's life (`private`).

use std::{
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use postgres::{
    Client, Config, NoTls,
    config::{Host, SslMode},
};

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
    tls: Tls,
}

/// What `sslmode` and `sslrootcert` ask for. Where encryption is used the server is always verified, as `verify-full`
/// does: `require` and `verify-ca` are taken as that, which refuses more than libpq does and never less.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tls {
    wanted: bool,
    required: bool,
    root: Option<PathBuf>,
}

impl Tls {
    /// Takes the parameters that the client library does not know out of a URI or `key=value` text.
    fn take_from(text: &str) -> Result<(String, Option<Tls>), Fault> {
        let is_uri = text.starts_with("postgres://") || text.starts_with("postgresql://");
        let (base, parameters, between) = match text.split_once('?') {
            Some((base, query)) if is_uri => (base, query.split('&').collect::<Vec<_>>(), "&"),
            _ if is_uri => (text, Vec::new(), "&"),
            _ => ("", text.split_whitespace().collect(), " "),
        };
        let (mut mode, mut root, mut kept) = (None, None, Vec::new());
        for parameter in parameters {
            match parameter.split_once('=') {
                Some(("sslmode", value)) => mode = Some(value.trim_matches('\'').to_owned()),
                Some(("sslrootcert", value)) => {
                    root = Some(PathBuf::from(value.trim_matches('\'')))
                }
                _ => kept.push(parameter),
            }
        }
        let (wanted, required) = match mode.as_deref() {
            None if root.is_none() => {
                // Untouched, so that quoted values with blanks stay as they are.
                return Ok((text.to_owned(), None));
            }
            Some("disable") => (false, false),
            Some("allow" | "prefer") => (true, false),
            None | Some("require" | "verify-ca" | "verify-full") => (true, true),
            Some(other) => {
                let other: String = other.chars().take(20).collect();
                return Err(Fault::config(format!("sslmode {other:?} is not known"))
                    .hint("it is disable, allow, prefer, require, verify-ca or verify-full"));
            }
        };
        let kept = kept.join(between);
        let text = if is_uri && !kept.is_empty() {
            format!("{base}?{kept}")
        } else {
            format!("{base}{kept}")
        };
        let root = root.filter(|root| root.as_os_str() != "system");
        Ok((text, Some(Tls { wanted, required, root })))
    }
}

fn is_remote(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => !(name == "localhost" || name == "::1" || name.starts_with("127.")),
        Host::Unix(_) => false,
    }
}

impl Source {
    /// From `DATABASE_URL`: a URI or `key=value` text.
    ///
    /// # Errors
    /// Exit 3 when it cannot be understood; the text itself is never shown.
    pub fn parse(text: &str) -> Result<Source, Fault> {
        let (text, tls) = Tls::take_from(text)?;
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
                Host::Tcp(name) => name.clone(),
                Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        let shown = format!(
            "postgresql://{}@{}/{}",
            config.get_user().unwrap_or_default(),
            hosts.join(","),
            config.get_dbname().unwrap_or_default(),
        );
        let remote = config.get_hosts().iter().any(is_remote);
        let tls = tls.unwrap_or(Tls { wanted: remote, required: remote, root: None });
        config.ssl_mode(match (tls.wanted, tls.required) {
            (false, _) => SslMode::Disable,
            (true, false) => SslMode::Prefer,
            (true, true) => SslMode::Require,
        });
        Ok(Source { config, shown, tls })
    }

    /// Adds the password that a passfile holds for this place (`host:port:database:user:password`, `*` for any), when
    /// none was given. As libpq does, a file that others can read is passed over.
    pub fn with_passfile(mut self, path: &Path) -> Source {
        let is_private =
            std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 == 0);
        if self.config.get_password().is_some() || !is_private {
            return self;
        }
        let Ok(lines) = std::fs::read_to_string(path) else { return self };
        let host = match self.config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            _ => "localhost".to_owned(),
        };
        let port = self.config.get_ports().first().copied().unwrap_or(5432).to_string();
        let user = self.config.get_user().unwrap_or_default().to_owned();
        let database = self.config.get_dbname().unwrap_or(&user).to_owned();
        let wanted = [host, port, database, user];
        let found = lines.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let mut fields = line.splitn(5, ':');
            let fits = wanted
                .iter()
                .all(|want| fields.next().is_some_and(|field| field == "*" || field == want));
            fields.next().filter(|_| fits)
        });
        if let Some(password) = found {
            self.config.password(password);
        }
        self
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
        let client = if source.tls.wanted {
            let connector = super::tls::connector(source.tls.root.as_deref())
                .map_err(|fault| anyhow::Error::from(fault).context(doing.clone()))?;
            config.connect(connector).failed(&doing)?
        } else {
            config.connect(NoTls).failed(&doing)?
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sslmode_is_understood_and_remote_hosts_are_verified_unless_told_otherwise() {
        for (text, wanted, required) in [
            ("postgresql://u@db.example/fx", true, true),
            ("postgresql://u@localhost/fx", false, false),
            ("host=/run/postgresql dbname=fx", false, false),
            ("postgresql://u@db.example/fx?sslmode=disable", false, false),
            ("postgresql://u@db.example/fx?sslmode=prefer&connect_timeout=3", true, false),
            ("host=db.example sslmode=verify-full sslrootcert=/etc/ca.pem user=u", true, true),
            ("host=localhost sslmode=verify-ca", true, true),
        ] {
            let source = Source::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            assert_eq!((source.tls.wanted, source.tls.required), (wanted, required), "{text}");
        }
        let error = Source::parse("host=h sslmode=maybe").expect_err("unknown mode");
        assert!(error.to_string().contains("sslmode \"maybe\" is not known"), "{error}");
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "tests make the files that they read")]
    fn a_private_passfile_gives_the_password_and_an_open_one_does_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pgpass");
        std::fs::write(&path, "other:*:*:*:wrong\n*:5432:fx:me:right\n").expect("written");
        let password = |mode: u32, text: &str| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))
                .expect("changed");
            let source = Source::parse(text).expect("valid").with_passfile(&path);
            source.config.get_password().map(<[u8]>::to_vec)
        };
        assert_eq!(password(0o600, "postgresql://me@localhost/fx"), Some(b"right".to_vec()));
        assert_eq!(password(0o644, "postgresql://me@localhost/fx"), None);
        assert_eq!(password(0o600, "postgresql://you@localhost/fx"), None);
        assert_eq!(password(0o600, "postgresql://me:own@localhost/fx"), Some(b"own".to_vec()));
    }
}
