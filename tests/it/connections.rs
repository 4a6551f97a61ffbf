//! Whatever psql can connect to: every sslmode against real certificates, client certificates, passwords, services,
//! servers that come late and peers that never answer.

use std::{
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    thread,
    time::{Duration, Instant},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::support::{Home, Server, TestDatabase};

/// A certificate authority, and what it signs.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new(name: &str) -> Authority {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("signed").pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// Certificate and key in PEM form for the host `names`, or (`common_name`) for a client.
    fn signs(&self, names: &[&str], common_name: &str, expired: bool) -> (String, String) {
        let key = KeyPair::generate().expect("a key");
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("good names");
        params.distinguished_name.push(DnType::CommonName, common_name);
        if expired {
            params.not_before = rcgen::date_time_ymd(2020, 1, 1);
            params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        }
        let pem = params.signed_by(&key, &self.issuer).expect("signed").pem();
        (pem, key.serialize_pem())
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a port")
        .port()
}

const HBA: &str = "local all all trust
hostssl all desk 127.0.0.1/32 cert
hostssl all guarded 127.0.0.1/32 scram-sha-256
hostssl all secure 127.0.0.1/32 trust
host all plain 127.0.0.1/32 trust
";

fn reload(server: &Server, port: u16, ssl: &str) {
    let url =
        format!("host={} port={port} user=aifx dbname=postgres", server.socket_dir().display());
    let mut admin = postgres::Client::connect(&url, postgres::NoTls).expect("the server answers");
    admin.batch_execute("SELECT pg_reload_conf()").expect("reloaded");
    let deadline = Instant::now() + Duration::from_secs(10);
    while admin.query_one("SHOW ssl", &[]).expect("shown").get::<_, String>(0) != ssl {
        assert!(Instant::now() < deadline, "ssl never became {ssl}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a test makes the files that it names")]
fn where_psql_connects_over_tls_aifx_does_and_where_the_peer_is_not_verified_it_does_not() {
    let authority = Authority::new("ours");
    let (certificate, key) = authority.signs(&["localhost"], "server", false);
    let port = free_port();
    let mut server = Server::start_with_tls(port, [&certificate, &key, &authority.pem], HBA);
    let socket =
        format!("host={} port={port} user=aifx dbname=postgres", server.socket_dir().display());
    let mut admin = postgres::Client::connect(&socket, postgres::NoTls).expect("it answers");
    admin
        .batch_execute(
            "CREATE ROLE desk LOGIN; CREATE ROLE secure LOGIN; CREATE ROLE plain LOGIN;
             CREATE ROLE guarded LOGIN PASSWORD 'c4n4ry:\\';",
        )
        .expect("made");

    let mut home = Home::empty();
    home.write("aifx.yaml", "lines:\n  fx-direction: {}\n");
    home.set("AIFX_DATABASE_WAIT", "0");
    home.write("ca.pem", &authority.pem);
    home.write("other.pem", &Authority::new("another").pem);
    let (own, own_key) = authority.signs(&[], "desk", false);
    home.write("desk.crt", &own);
    home.write("desk.key", &own_key);
    let path = |name: &str| home.path().join(name).display().to_string();
    let chmod = |name: &str, mode: u32| {
        std::fs::set_permissions(home.path().join(name), std::fs::Permissions::from_mode(mode))
            .expect("changed");
    };
    chmod("desk.key", 0o600);
    let (ca, other) =
        (format!("sslrootcert={}", path("ca.pem")), format!("sslrootcert={}", path("other.pem")));
    let own = format!("sslcert={} sslkey={}", path("desk.crt"), path("desk.key"));
    let run = |text: &str| {
        let url = format!("port={port} dbname=postgres {text}");
        let output =
            home.command(&["db", "migrate", "--dry-run"]).env("DATABASE_URL", url).output();
        crate::support::Run::of(output.expect("aifx starts"))
    };
    let connects = |text: &str| {
        let run = run(text);
        assert_eq!(run.status, 0, "{text}: {}", run.stderr);
    };
    for text in [
        format!("host=localhost user=secure sslmode=verify-full {ca}"),
        format!("host=127.0.0.1 user=secure sslmode=verify-ca {ca}"),
        format!("host=127.0.0.1 user=secure sslmode=require {ca}"),
        "host=127.0.0.1 user=secure sslmode=require".into(),
        "host=127.0.0.1 user=secure sslmode=prefer".into(),
        "host=127.0.0.1 user=secure sslmode=allow".into(),
        "host=127.0.0.1 user=secure".into(),
        "host=127.0.0.1 user=plain sslmode=disable".into(),
        format!("host=localhost user=desk sslmode=verify-full {ca} {own}"),
        format!("user=aifx host={}", server.socket_dir().display()),
    ] {
        connects(&text);
    }
    for (text, why) in [
        (format!("host=127.0.0.1 user=secure sslmode=verify-full {ca}"), "not valid for name"),
        (format!("host=localhost user=secure sslmode=verify-full {other}"), "UnknownIssuer"),
        (format!("host=127.0.0.1 user=secure sslmode=verify-ca {other}"), "UnknownIssuer"),
        (format!("host=127.0.0.1 user=secure sslmode=require {other}"), "UnknownIssuer"),
        ("host=127.0.0.1 user=secure sslmode=disable".into(), "no pg_hba.conf entry"),
        ("host=127.0.0.1 user=desk sslmode=require".into(), "valid client certificate"),
        (
            format!(
                "host=127.0.0.1 user=secure sslmode=verify-ca {ca} sslcert={}",
                path("desk.crt")
            ),
            "no key for it",
        ),
        ("host=127.0.0.1 user=secure sslmode=verify-ca sslrootcert=/no.pem".into(), "/no.pem"),
        ("host=127.0.0.1 user=guarded sslmode=require".into(), "password missing"),
        ("host=127.0.0.1 user=guarded password=wr0ng".into(), "28P01"),
    ] {
        let run = run(&text);
        run.refuses(3, &["cannot", why]);
        assert!(!run.stderr.contains("wr0ng"), "{}", run.stderr);
    }
    chmod("desk.key", 0o644);
    run(&format!("host=127.0.0.1 user=desk sslmode=require {own}")).refuses(3, &["chmod 600"]);

    // The password file and the service file, found as psql finds them.
    home.write(".pgpass", "127.0.0.1:*:*:guarded:c4n4ry\\:\\\\\n");
    chmod(".pgpass", 0o644);
    let open = run("host=127.0.0.1 user=guarded");
    open.refuses(3, &["password missing", ".pgpass is not used", "chmod 600"]);
    chmod(".pgpass", 0o600);
    connects("host=127.0.0.1 user=guarded");
    home.write(
        ".pg_service.conf",
        &format!("[desk]\nhost=127.0.0.1\nport={port}\nuser=guarded\ndbname=postgres\n"),
    );
    home.set("PGSERVICE", "desk");
    assert!(home.ok(&["db", "migrate", "--dry-run"]).stdout.contains("migrations are missing"));
    home.run(&["db", "start"]).refuses(3, &["which is not aifx's own"]);

    // Certificates that ran out, and a server that lost its TLS.
    let run = |text: &str| {
        let url = format!("port={port} dbname=postgres host=localhost {text}");
        let output =
            home.command(&["db", "migrate", "--dry-run"]).env("DATABASE_URL", url).output();
        crate::support::Run::of(output.expect("aifx starts"))
    };
    let (certificate, key) = authority.signs(&["localhost"], "server", true);
    server.replace("server.crt", &certificate);
    server.replace("server.key", &key);
    reload(&server, port, "on");
    run(&format!("user=secure sslmode=verify-full {ca}")).refuses(3, &["certificate expired"]);
    assert_eq!(run("user=secure sslmode=require").status, 0);
    server.stop("fast");
    server.change_setting("ssl=on", "ssl=off");
    server.start_again();
    run("user=plain sslmode=require").refuses(3, &["server does not support TLS"]);
    assert_eq!(run("user=plain sslmode=prefer").status, 0);
}

#[test]
fn a_database_that_comes_late_is_waited_for_and_one_that_never_answers_is_not() {
    let server = Server::start();
    let mut home = Home::empty();
    home.write("aifx.yaml", "lines:\n  fx-direction: {}\n");
    home.set(
        "DATABASE_URL",
        format!("host={} user=aifx dbname=postgres", server.socket_dir().display()),
    );
    server.stop("fast");
    let mut waiting = home.command(&["db", "migrate"]).spawn().expect("aifx starts");
    thread::sleep(Duration::from_millis(800));
    server.start_again();
    assert!(waiting.wait().expect("it ends").success());
    server.stop("immediate");
    home.set("AIFX_DATABASE_WAIT", "1");
    home.run(&["export"]).refuses(5, &["cannot connect", "tried 2 times"]);
    let started = Instant::now();
    home.run(&["status"]).refuses(5, &["cannot connect"]);
    assert!(started.elapsed() < Duration::from_millis(900), "status does not wait");

    // Accepts and says nothing.
    let hole = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = hole.local_addr().expect("bound").port();
    home.set("DATABASE_URL", format!("host=127.0.0.1 port={port} user=aifx connect_timeout=1"));
    home.set("AIFX_DATABASE_WAIT", "0");
    let started = Instant::now();
    home.run(&["export"]).refuses(5, &["it did not answer within 1 s"]);
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}

#[test]
fn an_unverified_remote_database_is_warned_of() {
    let database = TestDatabase::create();
    let mut home = Home::with_database(&database);
    home.write("aifx.yaml", "lines:\n  fx-direction: {}\n");
    home.ok(&["db", "migrate"]);
    // The host is never asked: the address beside it is.
    home.set("DATABASE_URL", "host=db.example hostaddr=127.0.0.1 port=1 sslmode=require user=me");
    home.run(&["status"]).refuses(5, &["certificate is not verified", "sslmode=verify-full"]);
}
