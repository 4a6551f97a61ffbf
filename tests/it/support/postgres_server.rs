//! A real PostgreSQL for tests: the server that `scripts/test.sh` started (`AIFX_TEST_PGHOST`, a socket folder), or one
//! of this test's own, stopped when the test ends. Each test gets its own database.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
};

use tempfile::TempDir;

/// A database of this test alone.
pub(crate) struct TestDatabase {
    url: String,
    name: String,
    socket_dir: PathBuf,
    server: Option<Server>,
}

impl TestDatabase {
    /// Creates an empty database.
    #[allow(clippy::disallowed_methods, reason = "the test script says where its server listens")]
    pub(crate) fn create() -> TestDatabase {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let server = match std::env::var_os("AIFX_TEST_PGHOST") {
            Some(_) => None,
            None => Some(Server::start()),
        };
        let socket_dir = server.as_ref().map_or_else(
            || PathBuf::from(std::env::var_os("AIFX_TEST_PGHOST").expect("checked above")),
            |server| server.dir.path().to_owned(),
        );
        let name = format!("t{}_{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let url = format!("host={} user=aifx dbname={name}", socket_dir.display());
        let database = TestDatabase { url, name, socket_dir, server };
        database
            .admin()
            .batch_execute(&format!("CREATE DATABASE {}", database.name))
            .expect("created");
        database
    }

    /// How `DATABASE_URL` names it.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// A plain connection for arranging and checking.
    pub(crate) fn client(&self) -> postgres::Client {
        postgres::Client::connect(&self.url, postgres::NoTls).expect("the test database answers")
    }

    /// The server's own process, where this test has one: to be stopped and started by fault tests.
    pub(crate) fn server(&self) -> Option<&Server> {
        self.server.as_ref()
    }

    fn admin(&self) -> postgres::Client {
        let url = format!("host={} user=aifx dbname=postgres", self.socket_dir.display());
        postgres::Client::connect(&url, postgres::NoTls).expect("the test server answers")
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        if self.server.is_none() {
            // A shared server is kept tidy; a failure here must not hide the test's own.
            let _ =
                self.admin().batch_execute(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
        }
    }
}

/// A private server in a temporary folder.
pub(crate) struct Server {
    dir: TempDir,
    bin: PathBuf,
    /// Besides the defaults, such as `port=5433`.
    settings: Vec<String>,
}

impl Server {
    /// initdb and start, as `postgres` when the tests run as root (initdb refuses root).
    pub(crate) fn start() -> Server {
        let server = Server::make(Vec::new());
        server.start_again();
        server
    }

    /// The same on a TCP port of 127.0.0.1 (and no socket that anyone would look for), with TLS by the PEM texts
    /// `certificate`, `key` and `authority`, and with these lines as its `pg_hba.conf`.
    pub(crate) fn start_with_tls(
        port: u16,
        [certificate, key, authority]: [&str; 3],
        hba: &str,
    ) -> Server {
        let settings =
            ["listen_addresses=127.0.0.1".into(), format!("port={port}"), "ssl=on".into()];
        let mut server = Server::make(settings.into());
        for (name, text) in
            [("server.crt", certificate), ("server.key", key), ("ca.crt", authority)]
        {
            server.replace(name, text);
        }
        server.settings.push("ssl_ca_file=ca.crt".into());
        server.replace("pg_hba.conf", hba);
        server.start_again();
        server
    }

    /// Replaces a file of the cluster.
    #[allow(clippy::disallowed_methods, reason = "a test arranges its server")]
    pub(crate) fn replace(&self, name: &str, text: &str) {
        use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
        let path = Path::new(&self.data()).join(name);
        fs::write(&path, text).expect("written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
        let owner = fs::metadata(self.data()).expect("a cluster");
        chown(&path, Some(owner.uid()), Some(owner.gid())).expect("changed");
    }

    /// Changes a setting; it holds from the next start on.
    pub(crate) fn change_setting(&mut self, from: &str, to: &str) {
        let setting = self.settings.iter_mut().find(|setting| *setting == from);
        *setting.expect("a setting of this server") = to.to_owned();
    }

    /// The folder of its socket.
    pub(crate) fn socket_dir(&self) -> &Path {
        self.dir.path()
    }

    fn make(settings: Vec<String>) -> Server {
        let dir = tempfile::Builder::new().prefix("aifx-pg-").tempdir_in("/tmp").expect("a folder");
        let bin = newest_postgres().expect("PostgreSQL 15 or later (scripts/setup.sh installs it)");
        if is_root() {
            let status = Command::new("chown").arg("postgres").arg(dir.path()).status();
            assert!(status.expect("chown runs").success());
        }
        let server = Server { dir, bin, settings };
        server.pg(&[
            "initdb",
            "-D",
            &server.data(),
            "-A",
            "trust",
            "-U",
            "aifx",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ]);
        server
    }

    /// `pg_ctl start`, for after a stop.
    pub(crate) fn start_again(&self) {
        let mut options = format!(
            "-c listen_addresses='' -c unix_socket_directories={} -c fsync=off",
            self.dir.path().display()
        );
        for setting in &self.settings {
            options.push_str(&format!(" -c {setting}"));
        }
        let log = self.dir.path().join("log").display().to_string();
        self.pg(&["pg_ctl", "-D", &self.data(), "-l", &log, "-w", "-o", &options, "start"]);
    }

    /// `pg_ctl stop -m MODE`.
    pub(crate) fn stop(&self, mode: &str) {
        self.pg(&["pg_ctl", "-D", &self.data(), "-m", mode, "-w", "stop"]);
    }

    fn data(&self) -> String {
        self.dir.path().join("data").display().to_string()
    }

    fn pg(&self, args: &[&str]) {
        let program = self.bin.join(args[0]);
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        let output = command
            .args(&args[1..])
            .current_dir("/")
            .stdin(std::process::Stdio::null())
            // pg_ctl leaves the server behind with our pipes: a file keeps `output()` from waiting for it.
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .status()
            .unwrap_or_else(|error| panic!("{}: {error}", args[0]));
        assert!(output.success(), "{args:?} failed; see {}", self.dir.path().join("log").display());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = fs::read_to_string(self.dir.path().join("data/postmaster.pid"));
        if pid.is_ok() {
            self.stop("immediate");
        }
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn newest_postgres() -> Option<PathBuf> {
    let mut versions: Vec<(u32, PathBuf)> = fs::read_dir(Path::new("/usr/lib/postgresql"))
        .ok()?
        .filter_map(|entry| {
            let entry = entry.ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin")))
        })
        .filter(|(version, bin)| *version >= 15 && bin.join("initdb").exists())
        .collect();
    versions.sort();
    versions.pop().map(|(_, bin)| bin)
}
