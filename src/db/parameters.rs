//! [`Parameters`]: where the database is, put together as libpq does it: connection text (URI or `key=value`), then the
//! service that it or `PGSERVICE` names, then the `PG*` variables. What is set first holds.
//!
//! Source: PostgreSQL documentation, "Database Connection Control Functions" (34.1) and the sections on environment
//! variables, the password file and the service file. Not here: opening the connection (`connect`).

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use percent_encoding::percent_decode_str;

use crate::fault::Fault;

/// Parameters that aifx acts on, with the variable that sets each.
const KNOWN: [(&str, &str); 22] = [
    ("channel_binding", "PGCHANNELBINDING"),
    ("connect_timeout", "PGCONNECT_TIMEOUT"),
    ("dbname", "PGDATABASE"),
    ("host", "PGHOST"),
    ("hostaddr", "PGHOSTADDR"),
    ("keepalives", ""),
    ("keepalives_count", ""),
    ("keepalives_idle", ""),
    ("keepalives_interval", ""),
    ("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    ("options", "PGOPTIONS"),
    ("passfile", "PGPASSFILE"),
    ("password", "PGPASSWORD"),
    ("port", "PGPORT"),
    ("service", "PGSERVICE"),
    ("sslcert", "PGSSLCERT"),
    ("sslkey", "PGSSLKEY"),
    ("sslmode", "PGSSLMODE"),
    ("sslrootcert", "PGSSLROOTCERT"),
    ("target_session_attrs", "PGTARGETSESSIONATTRS"),
    ("tcp_user_timeout", ""),
    ("user", "PGUSER"),
];

/// Parameters of libpq that change nothing here: aifx names itself, speaks UTF-8 and uses neither GSSAPI nor compression.
const WITHOUT_EFFECT: [&str; 9] = [
    "application_name",
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "gsslib",
    "krbsrvname",
    "sslcompression",
    "sslsni",
];

/// Parameters that would make a connection safer and that aifx cannot honour: passing them over would be a lie.
const REFUSED: [&str; 9] = [
    "replication",
    "require_auth",
    "requirepeer",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcertmode",
    "sslcrl",
    "sslcrldir",
    "sslpassword",
];

/// The variables that aifx knows, by name.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Connection parameters by libpq's names; empty values count as not set.
#[derive(Clone, Default, PartialEq, Eq)]
pub(in crate::db) struct Parameters(BTreeMap<&'static str, String>);

/// Values may be secrets: the names alone.
impl fmt::Debug for Parameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Parameters {
    /// From a connection text alone.
    ///
    /// # Errors
    /// Exit 3 when it cannot be understood; the text itself is never part of the message.
    pub(in crate::db) fn parse(text: &str) -> Result<Parameters, Fault> {
        let mut parameters = Parameters::default();
        let uri = ["postgresql://", "postgres://"].iter().find_map(|s| text.strip_prefix(s));
        let pairs = match uri {
            Some(rest) => uri_pairs(rest),
            None => text_pairs(text),
        };
        let pairs = pairs.map_err(|why| {
            Fault::config(format!("DATABASE_URL cannot be understood: {why}"))
                .hint("write it like postgresql://user@host:5432/dbname")
        })?;
        for (key, value) in pairs {
            parameters.set(&key, value, "DATABASE_URL")?;
        }
        Ok(parameters)
    }

    /// Fills in what is not set from the service file, then from the variables.
    ///
    /// # Errors
    /// Exit 3 when the service is not defined, or its definition cannot be understood.
    pub(in crate::db) fn complete(mut self, variables: Variables<'_>) -> Result<Parameters, Fault> {
        let service = self.get("service").map(str::to_owned).or_else(|| variables("PGSERVICE"));
        if let Some(service) = service.filter(|service| !service.is_empty()) {
            for (key, value) in service_pairs(&service, variables)? {
                if self.get(&key).is_none() {
                    self.set(&key, value, &format!("service {service:?}"))?;
                }
            }
        }
        for (key, variable) in KNOWN {
            if self.get(key).is_none()
                && !variable.is_empty()
                && let Some(value) = variables(variable)
            {
                self.0.insert(key, value);
            }
        }
        Ok(self)
    }

    /// A value, when it is set to something.
    pub(in crate::db) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The values of a list with commas, such as `host`.
    pub(in crate::db) fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        self.get(key).into_iter().flat_map(|value| value.split(',')).map(str::trim)
    }

    fn set(&mut self, key: &str, value: String, place: &str) -> Result<(), Fault> {
        if let Some((known, _)) = KNOWN.iter().find(|(known, _)| *known == key) {
            self.0.insert(known, value);
        } else if key == "ssl" && value == "true" {
            self.0.insert("sslmode", "require".to_owned());
        } else if REFUSED.contains(&key) {
            return Err(Fault::config(format!("{place} sets {key}, which aifx does not support")));
        } else if !WITHOUT_EFFECT.contains(&key) {
            let key: String = key.chars().filter(|c| !c.is_control()).take(30).collect();
            return Err(Fault::config(format!("{place} sets {key:?}, which is no parameter"))
                .hint("the parameters are those of psql: host, port, dbname, user, sslmode, …"));
        }
        Ok(())
    }

    /// The password of the first line of the passfile that fits, and what to tell where the file is not used.
    pub(in crate::db) fn password_of_file(
        &self,
        variables: Variables<'_>,
    ) -> (Option<String>, Option<String>) {
        let home = || variables("HOME").map(|home| PathBuf::from(home).join(".pgpass"));
        let Some(path) = self.get("passfile").map(PathBuf::from).or_else(home) else {
            return (None, None);
        };
        let Ok(lines) = fs::read_to_string(&path) else { return (None, None) };
        if is_open_to_others(&path) {
            let path = path.display();
            return (
                None,
                Some(format!("{path} is not used: others can read it; run: chmod 600 {path}")),
            );
        }
        let host = self.list("host").next().filter(|host| !DEFAULT_SOCKETS.contains(host));
        let user = self.get("user").unwrap_or_default();
        let wanted = [
            host.or_else(|| self.list("hostaddr").next()).unwrap_or("localhost"),
            self.list("port").next().unwrap_or("5432"),
            self.get("dbname").unwrap_or(user),
            user,
        ];
        let found = lines.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let fields = passfile_fields(line);
            let fits = fields.len() == 5
                && wanted.iter().zip(&fields).all(|(want, field)| field == "*" || field == want);
            fits.then(|| fields[4].clone())
        });
        (found, None)
    }
}

/// Where distributions put the server's socket.
pub(in crate::db) const DEFAULT_SOCKETS: [&str; 3] =
    ["/var/run/postgresql", "/run/postgresql", "/tmp"];

/// Whether a file can be read by more than its owner.
pub(in crate::db) fn is_open_to_others(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
}

/// The fields of a line of a passfile: `host:port:database:user:password`, `\` before a `:` or `\` of a value.
fn passfile_fields(line: &str) -> Vec<String> {
    let mut fields = vec![String::new()];
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        let field = fields.len() - 1;
        match c {
            '\\' => fields[field].extend(chars.next()),
            ':' if fields.len() < 5 => fields.push(String::new()),
            c => fields[field].push(c),
        }
    }
    fields
}

type Pairs = Vec<(String, String)>;

/// `[user[:password]@][host[:port],…][/dbname][?key=value&…]`, each part percent-encoded.
fn uri_pairs(rest: &str) -> Result<Pairs, &'static str> {
    let mut pairs = Pairs::new();
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, query)| (rest, query));
    let (authority, dbname) = rest.split_once('/').map_or((rest, ""), |(a, name)| (a, name));
    let (login, places) = authority.rsplit_once('@').map_or(("", authority), |(l, p)| (l, p));
    let (user, password) = login.split_once(':').map_or((login, ""), |(u, p)| (u, p));
    for (key, value) in [("user", user), ("password", password), ("dbname", dbname)] {
        if !value.is_empty() {
            pairs.push((key.to_owned(), decoded(value)?));
        }
    }
    let (mut hosts, mut ports) = (Vec::new(), Vec::new());
    for place in places.split(',').filter(|_| !places.is_empty()) {
        let (host, port) = match place.strip_prefix('[') {
            Some(bracketed) => {
                let (host, rest) =
                    bracketed.split_once(']').ok_or("the address has no closing ]")?;
                match rest.strip_prefix(':') {
                    None if rest.is_empty() => (host, ""),
                    Some(port) => (host, port),
                    None => return Err("something stands between ] and the port"),
                }
            }
            None => place.split_once(':').map_or((place, ""), |(host, port)| (host, port)),
        };
        hosts.push(decoded(host)?);
        ports.push(port);
    }
    if hosts.iter().any(|host| !host.is_empty()) {
        pairs.push(("host".into(), hosts.join(",")));
    }
    if ports.iter().any(|port| !port.is_empty()) {
        let ports: Vec<&str> =
            ports.into_iter().map(|port| if port.is_empty() { "5432" } else { port }).collect();
        pairs.push(("port".into(), ports.join(",")));
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or("a parameter has no =")?;
        pairs.push((decoded(key)?, decoded(value)?));
    }
    Ok(pairs)
}

fn decoded(text: &str) -> Result<String, &'static str> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| "it is not UTF-8")?;
    if text.contains('\0') { Err("it holds a zero byte") } else { Ok(text.into_owned()) }
}

/// `key = value`, values with blanks in single quotes, `\` before a quote or `\` of a value.
fn text_pairs(text: &str) -> Result<Pairs, &'static str> {
    let mut pairs = Pairs::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=').ok_or("there is no = after a parameter's name")?;
        let mut chars = after.trim_start().chars();
        let mut value = String::new();
        let quoted = chars.as_str().starts_with('\'');
        if quoted {
            chars.next();
        }
        loop {
            match chars.next() {
                Some('\\') => value.extend(chars.next()),
                Some('\'') if quoted => break,
                None if quoted => return Err("a quote is not closed"),
                Some(c) if !quoted && c.is_ascii_whitespace() => break,
                None => break,
                Some(c) => value.push(c),
            }
        }
        let key = key.trim();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err("there is no = after a parameter's name");
        }
        pairs.push((key.to_owned(), value));
        rest = chars.as_str().trim_start();
    }
    Ok(pairs)
}

/// The parameters of a service: the file of the user first, then that of the system.
fn service_pairs(service: &str, variables: Variables<'_>) -> Result<Pairs, Fault> {
    let of_user = variables("PGSERVICEFILE")
        .map(PathBuf::from)
        .or_else(|| variables("HOME").map(|home| PathBuf::from(home).join(".pg_service.conf")));
    let of_system = variables("PGSYSCONFDIR").unwrap_or("/etc/postgresql-common".into());
    let files: Vec<PathBuf> =
        of_user.into_iter().chain([PathBuf::from(of_system).join("pg_service.conf")]).collect();
    for file in &files {
        let Ok(text) = fs::read_to_string(file) else { continue };
        let wanted = format!("[{service}]");
        let mut section = text.lines().map(str::trim).skip_while(|line| *line != wanted);
        if section.next().is_none() {
            continue;
        }
        return section
            .take_while(|line| !line.starts_with('['))
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
            .map(|line| match line.split_once('=') {
                Some((key, value)) => Ok((key.trim().to_owned(), value.trim().to_owned())),
                None => Err(Fault::config(format!(
                    "{}: a line of service {service:?} has no =",
                    file.display()
                ))),
            })
            .collect();
    }
    let looked: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    Err(Fault::config(format!("service {service:?} is not defined in {}", looked.join(" or ")))
        .hint("define it there, or set PGSERVICEFILE"))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make the files that they read")]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn both_forms_of_text_read_as_libpq_reads_them() {
        for (text, wanted) in [
            ("postgresql://", ""),
            (
                "postgres://u:p%40w@db:6000/fx?sslmode=require",
                "dbname=fx host=db password=p@w port=6000 sslmode=require user=u",
            ),
            ("postgresql:///fx?host=/run/pg&port=5433", "dbname=fx host=/run/pg port=5433"),
            ("postgresql://%2Frun%2Fpg/fx", "dbname=fx host=/run/pg"),
            ("postgresql://u@[::1]:5/fx", "dbname=fx host=::1 port=5 user=u"),
            ("postgresql://a,b:2/fx", "dbname=fx host=a,b port=5432,2"),
            ("postgresql://db/fx?ssl=true", "dbname=fx host=db sslmode=require"),
            ("host = db  user='it\\'s me' password='' application_name=x", "host=db user=it's me"),
        ] {
            let parameters = Parameters::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"));
            let shown: Vec<String> = KNOWN
                .iter()
                .filter_map(|(key, _)| parameters.get(key).map(|value| format!("{key}={value}")))
                .collect();
            assert_eq!(shown.join(" "), wanted, "{text}");
        }
        for (text, why) in [
            ("postgresql://[::1/fx", "closing ]"),
            ("postgresql://h/fx?sslmode", "no ="),
            ("host='db", "quote is not closed"),
            ("nonsense", "no ="),
            ("host=h nonsense=1", "\"nonsense\", which is no parameter"),
            ("host=h sslcrl=/x", "sslcrl, which aifx does not support"),
        ] {
            let error = Parameters::parse(text).err().unwrap_or_else(|| panic!("{text} was taken"));
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn text_beats_service_beats_variables() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("services");
        fs::write(&file, "# mine\n[other]\nhost=wrong\n[desk]\nhost=db1\nuser=desk\nport = 6000\n")
            .expect("written");
        let path = file.display().to_string();
        let variables = move |name: &str| match name {
            "PGSERVICEFILE" => Some(path.clone()),
            "PGUSER" => Some("env".to_owned()),
            "PGDATABASE" => Some("fx".to_owned()),
            _ => None,
        };
        let parameters = Parameters::parse("service=desk port=7000")
            .and_then(|parameters| parameters.complete(&variables))
            .expect("defined");
        assert_eq!(
            ["host", "user", "port", "dbname"].map(|key| parameters.get(key)),
            [Some("db1"), Some("desk"), Some("7000"), Some("fx")]
        );
        let error = Parameters::parse("service=desks")
            .and_then(|parameters| parameters.complete(&variables))
            .expect_err("not defined");
        assert!(error.to_string().contains("service \"desks\" is not defined in"), "{error}");
    }

    #[test]
    fn a_private_passfile_gives_the_password_and_an_open_one_says_so() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("pgpass");
        let lines =
            "# host:*\nother:*:*:*:wrong\n*:5432:fx:me:ri\\:g\\\\ht:\nlocalhost:*:*:you:two\n";
        fs::write(&path, lines).expect("written");
        let password = |mode: u32, text: &str| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("changed");
            let text = format!("{text} passfile={}", path.display());
            Parameters::parse(&text).expect("valid").password_of_file(&nothing)
        };
        let found = |text: &str| password(0o600, text).0;
        assert_eq!(found("host=db user=me dbname=fx"), Some("ri:g\\ht:".to_owned()));
        assert_eq!(found("host=db user=you dbname=fx"), None);
        assert_eq!(found("host=/var/run/postgresql user=you"), Some("two".to_owned()));
        let (none, warning) = password(0o644, "host=db user=me dbname=fx");
        assert!(none.is_none() && warning.is_some_and(|text| text.contains("chmod 600")));
    }
}
