//! [`Db::connect`]: a session with aifx's settings on the database that [`Source`] names.
//!
//! Not here: what the settings mean and where they come from (`parameters`), the private server's life (`private`).

use std::{
    net::IpAddr,
    path::PathBuf,
    str::FromStr,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use postgres::{
    Client, Config, NoTls, Socket,
    config::{ChannelBinding, Host, LoadBalanceHosts, SslMode, TargetSessionAttrs},
    error::SqlState,
    tls::{MakeTlsConnect, TlsConnect},
};

use super::{
    Db,
    failed::{Failed, failed, is_about_tls, is_transient},
    parameters::{DEFAULT_SOCKETS, Parameters, Variables, is_open_to_others},
    tls::{self, Verify},
};
use crate::fault::Fault;

/// Each host gets this long to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Pauses between tries double from the first to the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

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
    warnings: Vec<String>,
}

/// What `sslmode` and the certificates ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tls {
    /// The ways to try, in order: the next one only when the server or TLS itself refuses this one.
    tries: &'static [SslMode],
    verify: Verify,
    root: Option<PathBuf>,
    /// Certificate and key of this client.
    own: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    fn of(
        parameters: &Parameters,
        config: &Config,
        variables: Variables<'_>,
    ) -> Result<(Tls, Option<String>), Fault> {
        let hosts = config.get_hosts();
        let in_home = |name: &str| {
            let home = variables("HOME")?;
            Some(PathBuf::from(home).join(".postgresql").join(name)).filter(|path| path.exists())
        };
        let given = |key: &str, name: &str| {
            parameters.get(key).map(PathBuf::from).or_else(|| in_home(name))
        };
        let root = given("sslrootcert", "root.crt").filter(|root| root.as_os_str() != "system");
        // An address without a name is a place of its own; beside a name it only spares the look-up.
        let by_address =
            hosts.is_empty() && config.get_hostaddrs().iter().any(|ip| !ip.is_loopback());
        let remote = by_address || hosts.iter().any(is_remote);
        let is_socket = !hosts.is_empty() && hosts.iter().all(|host| matches!(host, Host::Unix(_)));
        let (tries, verify): (&[SslMode], _) = match parameters.get("sslmode") {
            _ if is_socket => (&[SslMode::Disable], Verify::Nothing),
            None if remote => (&[SslMode::Require], Verify::AuthorityAndName),
            None | Some("prefer") => (&[SslMode::Prefer, SslMode::Disable], Verify::Nothing),
            Some("disable") => (&[SslMode::Disable], Verify::Nothing),
            Some("allow") => (&[SslMode::Disable, SslMode::Require], Verify::Nothing),
            // libpq: with an authority at hand, `require` is `verify-ca`.
            Some("require") if root.is_some() => (&[SslMode::Require], Verify::Authority),
            Some("require") => (&[SslMode::Require], Verify::Nothing),
            Some("verify-ca") => (&[SslMode::Require], Verify::Authority),
            Some("verify-full") => (&[SslMode::Require], Verify::AuthorityAndName),
            Some(other) => {
                let other: String = other.chars().take(20).collect();
                return Err(Fault::config(format!("sslmode {other:?} is not known"))
                    .hint("it is disable, allow, prefer, require, verify-ca or verify-full"));
            }
        };
        let warning =
            (remote && tries != [SslMode::Disable] && verify == Verify::Nothing).then(|| {
                "the database's certificate is not verified: whoever sits between can read and \
                 change everything; use sslmode=verify-full"
                    .to_owned()
            });
        let own = match (given("sslcert", "postgresql.crt"), given("sslkey", "postgresql.key")) {
            (Some(certificate), Some(key)) if tries != [SslMode::Disable] => {
                if is_open_to_others(&key) {
                    let key = key.display();
                    return Err(Fault::config(format!("the key {key} can be read by others"))
                        .hint(format!("run: chmod 600 {key}")));
                }
                Some((certificate, key))
            }
            (Some(_), None) | (None, Some(_)) if parameters.get("sslcert").is_some() => {
                return Err(Fault::config(
                    "sslcert names a certificate, but there is no key for it",
                )
                .hint("name the key with sslkey, or put it at ~/.postgresql/postgresql.key"));
            }
            _ => None,
        };
        Ok((Tls { tries, verify, root, own }, warning))
    }
}

/// Why one try to connect failed.
enum Failure {
    /// No answer in this time: the client library's own limit ends with the TCP handshake.
    Silent(Duration),
    /// The server or the network said no.
    Answered(postgres::Error),
}

impl Failure {
    fn may_pass(&self) -> bool {
        match self {
            Failure::Silent(_) => true,
            Failure::Answered(error) => is_transient(error),
        }
    }

    fn into_error(self, doing: &str) -> anyhow::Error {
        match self {
            Failure::Answered(error) => failed(&error, doing),
            Failure::Silent(limit) => {
                let why = format!("it did not answer within {} s", limit.as_secs());
                anyhow::Error::from(
                    Fault::database(why).hint("run it again when the database is back"),
                )
                .context(doing.to_owned())
            }
        }
    }
}

impl Tls {
    /// One try in each way that the mode allows. The outer error is one of the certificates' files.
    fn open(&self, config: &mut Config) -> Result<Result<Client, Failure>, Fault> {
        let mut first = None;
        for mode in self.tries {
            config.ssl_mode(*mode);
            let opened = match mode {
                SslMode::Disable => within_limit(config, NoTls),
                _ => {
                    let own = self.own.as_ref().map(|(cert, key)| (cert.as_path(), key.as_path()));
                    within_limit(config, tls::connector(self.verify, self.root.as_deref(), own)?)
                }
            };
            match opened {
                Err(Failure::Answered(error)) if is_about_tls(&error) || is_refusal(&error) => {
                    // What the first way said is what the operator asked for.
                    first = first.or(Some(Failure::Answered(error)));
                }
                opened => return Ok(opened),
            }
        }
        Ok(Err(first.expect("every mode has a way")))
    }
}

/// Connects, but no longer than the time-out for every host together; the thread of a silent peer ends with the process.
fn within_limit<T>(config: &Config, tls: T) -> Result<Client, Failure>
where
    T: MakeTlsConnect<Socket> + Send + 'static,
    T::TlsConnect: Send,
    T::Stream: Send,
    <T::TlsConnect as TlsConnect<Socket>>::Future: Send,
{
    let each = config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
    let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
    let limit = each * u32::try_from(hosts).unwrap_or(u32::MAX);
    let (sender, receiver) = mpsc::channel();
    let config = config.clone();
    thread::spawn(move || {
        // Nobody waits any more once the limit has passed.
        let _ = sender.send(config.connect(tls));
    });
    match receiver.recv_timeout(limit) {
        Ok(opened) => opened.map_err(Failure::Answered),
        Err(_) => Err(Failure::Silent(limit)),
    }
}

/// pg_hba.conf has no entry for this way in.
fn is_refusal(error: &postgres::Error) -> bool {
    error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}

fn is_remote(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => !(name == "localhost" || name == "::1" || name.starts_with("127.")),
        Host::Unix(_) => false,
    }
}

fn number<T: FromStr>(key: &str, text: &str) -> Result<T, Fault> {
    text.trim().parse().map_err(|_| {
        let text: String = text.chars().take(20).collect();
        Fault::config(format!("{key} is {text:?}, which is not a number that it can be"))
    })
}

fn choice<T: Copy>(key: &str, text: &str, choices: &[(&str, T)]) -> Result<T, Fault> {
    choices.iter().find(|(name, _)| *name == text).map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let text: String = text.chars().take(20).collect();
        Fault::config(format!("{key} {text:?} is not supported"))
            .hint(format!("it is one of: {}", names.join(", ")))
    })
}

impl Source {
    /// From a connection text alone, whatever the environment says.
    ///
    /// # Errors
    /// As [`Source::find`].
    pub fn parse(text: &str) -> Result<Source, Fault> {
        Source::of(&Parameters::parse(text)?, &|_| None)
    }

    /// From a connection text (URI or `key=value`; none: the variables alone), completed as libpq does it: by the
    /// service file, the `PG*` variables, the password file and the certificates under `~/.postgresql`.
    ///
    /// # Errors
    /// Exit 3 when something cannot be understood or is not supported; no secret is ever shown.
    pub fn find(text: Option<&str>, variables: Variables<'_>) -> Result<Source, Fault> {
        let given = text.map(Parameters::parse).transpose()?.unwrap_or_default();
        Source::of(&given.complete(variables)?, variables)
    }

    fn of(parameters: &Parameters, variables: Variables<'_>) -> Result<Source, Fault> {
        let mut config = Config::new();
        for host in parameters.list("host") {
            config.host(host);
        }
        for address in parameters.list("hostaddr") {
            config.hostaddr(number::<IpAddr>("hostaddr", address)?);
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            let socket = DEFAULT_SOCKETS.into_iter().find(|path| PathBuf::from(path).is_dir());
            config.host(socket.unwrap_or("localhost"));
        }
        for port in parameters.list("port") {
            config.port(number("port", port)?);
        }
        let user = parameters.get("user").map(str::to_owned);
        let user = user.or_else(|| variables("LOGNAME")).or_else(|| variables("USER"));
        config.user(user.as_deref().unwrap_or("aifx"));
        if let Some(dbname) = parameters.get("dbname") {
            config.dbname(dbname);
        }
        if let Some(options) = parameters.get("options") {
            config.options(options);
        }
        set_network(&mut config, parameters)?;
        let mut warnings = Vec::new();
        match parameters.get("password") {
            Some(password) => {
                config.password(password);
            }
            None => {
                let (password, warning) = parameters.password_of_file(variables);
                if let Some(password) = password {
                    config.password(password);
                }
                warnings.extend(warning);
            }
        }
        let (tls, warning) = Tls::of(parameters, &config, variables)?;
        warnings.extend(warning);
        Ok(Source { shown: shown(&config), config, tls, warnings })
    }

    /// The address without any secret.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    /// What an operator should be told about the way to it.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// How long to wait, how to look for a dead peer, and which of several servers to take.
fn set_network(config: &mut Config, parameters: &Parameters) -> Result<(), Fault> {
    let seconds = |key: &str| -> Result<Option<Duration>, Fault> {
        let seconds = parameters.get(key).map(|text| number::<u64>(key, text)).transpose()?;
        Ok(seconds.filter(|seconds| *seconds > 0).map(Duration::from_secs))
    };
    config.connect_timeout(seconds("connect_timeout")?.unwrap_or(CONNECT_TIMEOUT));
    // In milliseconds, as libpq has it.
    let user_timeout = parameters.get("tcp_user_timeout");
    let user_timeout = user_timeout.map(|text| number("tcp_user_timeout", text)).transpose()?;
    config.tcp_user_timeout(Duration::from_millis(user_timeout.unwrap_or(30_000)));
    config.keepalives(parameters.get("keepalives") != Some("0"));
    config.keepalives_idle(seconds("keepalives_idle")?.unwrap_or(Duration::from_secs(30)));
    config.keepalives_interval(seconds("keepalives_interval")?.unwrap_or(Duration::from_secs(10)));
    let count = parameters.get("keepalives_count");
    config.keepalives_retries(match count {
        Some(text) => number("keepalives_count", text)?,
        None => 3,
    });
    if let Some(text) = parameters.get("target_session_attrs") {
        use TargetSessionAttrs::{Any, ReadOnly, ReadWrite};
        let choices = [
            ("any", Any),
            ("read-write", ReadWrite),
            ("primary", ReadWrite),
            ("read-only", ReadOnly),
            ("standby", ReadOnly),
        ];
        config.target_session_attrs(choice("target_session_attrs", text, &choices)?);
    }
    if let Some(text) = parameters.get("load_balance_hosts") {
        let choices =
            [("disable", LoadBalanceHosts::Disable), ("random", LoadBalanceHosts::Random)];
        config.load_balance_hosts(choice("load_balance_hosts", text, &choices)?);
    }
    if let Some(text) = parameters.get("channel_binding") {
        use ChannelBinding::{Disable, Prefer, Require};
        let choices = [("disable", Disable), ("prefer", Prefer), ("require", Require)];
        config.channel_binding(choice("channel_binding", text, &choices)?);
    }
    Ok(())
}

/// The address as psql takes it, without any secret.
fn shown(config: &Config) -> String {
    let ports = config.get_ports();
    let places = config.get_hosts().iter().enumerate().map(|(index, host)| {
        let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
        (host, (port != 5432).then_some(port))
    });
    let (mut tcp, mut parameters) = (Vec::new(), Vec::new());
    for (host, port) in places {
        match host {
            Host::Tcp(name) => {
                let name = if name.contains(':') { format!("[{name}]") } else { name.clone() };
                tcp.push(port.map_or(name.clone(), |port| format!("{name}:{port}")));
            }
            Host::Unix(path) => {
                parameters.push(format!("host={}", path.display()));
                parameters.extend(port.map(|port| format!("port={port}")));
            }
        }
    }
    if tcp.is_empty() && parameters.is_empty() {
        tcp.extend(config.get_hostaddrs().iter().map(ToString::to_string));
    }
    let query = if parameters.is_empty() { String::new() } else { "?".to_owned() };
    format!(
        "postgresql://{}@{}/{}{query}{}",
        config.get_user().unwrap_or_default(),
        tcp.join(","),
        config.get_dbname().or(config.get_user()).unwrap_or_default(),
        parameters.join("&"),
    )
}

impl Db {
    /// Connects for `command`, which the server sees as `application_name`; an unreachable server is tried again for
    /// `patience`.
    ///
    /// # Errors
    /// Exit 3 when the server or its certificate refuses, 5 when it cannot be reached.
    pub fn connect(source: &Source, command: &str, patience: Duration) -> anyhow::Result<Db> {
        let doing = format!("cannot connect to {}", source.shown);
        let mut config = source.config.clone();
        config.application_name(&format!("aifx/{command}"));
        let started = Instant::now();
        let mut pause = PAUSES.0;
        let mut tries = 1;
        loop {
            let opened = source.tls.open(&mut config);
            match opened.map_err(|fault| anyhow::Error::from(fault).context(doing.clone()))? {
                Ok(client) => return Db::with_session(client),
                Err(failure) if failure.may_pass() && started.elapsed() + pause <= patience => {
                    thread::sleep(pause);
                    pause = (pause * 2).min(PAUSES.1);
                    tries += 1;
                }
                Err(failure) if tries > 1 => {
                    let seconds = started.elapsed().as_secs();
                    let tried = format!("{doing}, tried {tries} times in {seconds} s");
                    return Err(failure.into_error(&tried));
                }
                Err(failure) => return Err(failure.into_error(&doing)),
            }
        }
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
        use SslMode::{Disable, Prefer, Require};
        use Verify::{Authority, AuthorityAndName, Nothing};
        for (text, tries, verify, warned) in [
            ("postgresql://u@db.example/fx", &[Require][..], AuthorityAndName, false),
            ("hostaddr=10.1.2.3 user=u", &[Require], AuthorityAndName, false),
            ("hostaddr=127.0.0.1 user=u", &[Prefer, Disable], Nothing, false),
            ("postgresql://u@localhost/fx", &[Prefer, Disable], Nothing, false),
            ("host=/run/postgresql dbname=fx sslmode=require", &[Disable], Nothing, false),
            ("postgresql://u@db.example/fx?sslmode=disable", &[Disable], Nothing, false),
            ("postgresql://u@db.example/fx?sslmode=prefer", &[Prefer, Disable], Nothing, true),
            ("postgresql://u@db.example/fx?sslmode=allow", &[Disable, Require], Nothing, true),
            ("host=db.example sslmode=require", &[Require], Nothing, true),
            ("host=db.example sslmode=require sslrootcert=/ca.pem", &[Require], Authority, false),
            ("host=localhost sslmode=verify-ca", &[Require], Authority, false),
            ("host=db.example sslmode=verify-full", &[Require], AuthorityAndName, false),
        ] {
            let source = Source::parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            assert_eq!((source.tls.tries, source.tls.verify), (tries, verify), "{text}");
            assert_eq!(!source.warnings.is_empty(), warned, "{text}: {:?}", source.warnings);
        }
        for (text, why) in [
            ("host=h sslmode=maybe", "sslmode \"maybe\" is not known"),
            ("host=h port=many", "port is \"many\""),
            ("host=h target_session_attrs=prefer-standby", "is not supported"),
        ] {
            let error = Source::parse(text).expect_err("refused");
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn the_address_shown_is_one_that_psql_takes_and_holds_no_secret() {
        for (text, shown) in [
            ("postgresql://me:s3cr3t@db:6000/fx", "postgresql://me@db:6000/fx"),
            ("host=/run/pg user=me dbname=fx", "postgresql://me@/fx?host=/run/pg"),
            ("host=/run/pg port=6000 user=me", "postgresql://me@/me?host=/run/pg&port=6000"),
            ("postgresql://me@[::1]/fx", "postgresql://me@[::1]/fx"),
        ] {
            assert_eq!(Source::parse(text).expect("valid").shown(), shown);
        }
    }
}
