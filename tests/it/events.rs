//! Events to a real Redis: in order, each at least once, none lost while it is away, and no command any worse for it.

use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

use crate::nights::Field;

const PASSWORD: &str = "c4n4ry";
const AT: &str = "2025-10-20T12:00:00Z";

/// A server of this test alone, without anything on the disk.
struct Redis {
    port: u16,
    server: Option<Child>,
    dir: TempDir,
}

impl Redis {
    fn start() -> Redis {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let dir = tempfile::tempdir().expect("a folder");
        let mut redis = Redis { port, server: None, dir };
        redis.go();
        redis
    }

    fn go(&mut self) {
        let port = self.port.to_string();
        let arguments =
            ["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"];
        let server = Command::new("redis-server")
            .args(arguments)
            .args(["--requirepass", PASSWORD])
            .current_dir(self.dir.path())
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server is installed (scripts/test.sh does it)");
        self.server = Some(server);
        let answers = |redis: &Redis| redis.connection().is_ok();
        for _ in 0..200 {
            if answers(self) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("redis-server does not answer");
    }

    fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }

    fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}/0", self.port)
    }

    fn connection(&self) -> redis::RedisResult<redis::Connection> {
        redis::Client::open(self.url())?.get_connection()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Field {
    fn publishing(redis: &Redis) -> Field {
        let mut field = Field::new();
        let config = crate::nights::CONFIG;
        field
            .home
            .write("aifx.yaml", &format!("events: {{stream: aifx, max_len: 1000}}\n{config}"));
        field.home.set("REDIS_URL", redis.url());
        field
    }

    fn waiting(&self) -> i64 {
        let sql = "SELECT count(*) FROM ml_events WHERE delivered_at IS NULL";
        self.database.client().query_one(sql, &[]).expect("counted").get(0)
    }

    /// Something that writes two events.
    fn happens(&self, seed: &str) -> crate::support::Run {
        self.home.run(&[
            "--as-of",
            AT,
            "simulate",
            "--force",
            "--candles",
            "50",
            "--seed",
            seed,
            "--end",
            AT,
        ])
    }
}

/// What the stream holds: channel and document, in order.
fn streamed(redis: &Redis) -> Vec<(String, Value)> {
    let mut connection = redis.connection().expect("redis");
    let found: Vec<(String, Vec<(String, String)>)> = redis::cmd("XRANGE")
        .arg("aifx")
        .arg("-")
        .arg("+")
        .query(&mut connection)
        .expect("a stream");
    found
        .into_iter()
        .map(|(_, fields)| {
            let of = |name: &str| fields.iter().find(|(key, _)| key == name).expect(name).1.clone();
            (of("channel"), serde_json::from_str(&of("event")).expect("a document"))
        })
        .collect()
}

#[test]
fn events_arrive_in_order_and_none_is_lost_while_redis_is_away() {
    let mut redis = Redis::start();
    let field = Field::publishing(&redis);
    let mut listener = redis.connection().expect("redis");
    let mut listener = listener.as_pubsub();
    listener.psubscribe("ml:*").expect("subscribed");
    listener.set_read_timeout(Some(Duration::from_secs(10))).expect("a limit");

    // The field's own market was made before there was a Redis: its events waited, and come first.
    let waited = field.waiting();
    assert!(waited > 0);
    assert_eq!(field.happens("7").status, 0);
    assert_eq!(field.waiting(), 0);
    let message = listener.get_message().expect("a message");
    assert_eq!(message.get_channel_name(), "ml:new_market_data");
    let first: Value =
        serde_json::from_str(&message.get_payload::<String>().expect("text")).expect("JSON");
    assert_eq!(
        (&first["schema"], &first["channel"]),
        (&"aifx.event/1".into(), &"ml:new_market_data".into())
    );
    assert_eq!(first["data"]["pair"], "EUR/USD");
    let delivered = streamed(&redis);
    assert_eq!(delivered[0].1, first);
    assert_eq!(delivered.len() as i64, waited + 2);

    redis.stop();
    let run = field.happens("8");
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(
        run.stderr.contains("redis: ") && run.stderr.contains("2 events wait"),
        "{}",
        run.stderr
    );
    assert_eq!(field.waiting(), 2);
    let doctor = field.home.run(&["doctor"]);
    assert!(doctor.stdout.contains("2 wait"), "{}", doctor.stdout);
    field.home.run(&["events", "deliver"]).refuses(5, &[]);
    assert_eq!(field.happens("9").status, 0);

    redis.go();
    let report = field.home.json(&["events", "deliver"]);
    assert_eq!((report["delivered"].as_u64(), report["waiting"].as_i64()), (Some(4), Some(0)));
    // The stopped server kept nothing: what is there now is what had not been taken, in its order.
    let later = streamed(&redis);
    let keys: Vec<&str> =
        later.iter().map(|(_, event)| event["event_id"].as_str().expect("a key")).collect();
    let sql = "SELECT event_id::text FROM ml_events ORDER BY id DESC LIMIT 4";
    let mut rows: Vec<String> = field
        .database
        .client()
        .query(sql, &[])
        .expect("rows")
        .iter()
        .map(|row| row.get(0))
        .collect();
    rows.reverse();
    assert_eq!(keys, rows);
    assert_eq!(field.home.json(&["events", "deliver"])["delivered"], 0);
}

#[test]
fn a_redis_that_is_silent_or_refuses_costs_seconds_and_changes_nothing() {
    let redis = Redis::start();
    let mut field = Field::publishing(&redis);
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("an address").port();
    for (url, says) in [
        (format!("redis://:{PASSWORD}@127.0.0.1:{port}/0"), "did not answer in time"),
        (format!("redis://:wr0ng@127.0.0.1:{}/0", redis.port), "redis: "),
        (format!("http://:{PASSWORD}@127.0.0.1:{}", redis.port), "REDIS_URL is no address"),
    ] {
        field.home.set("REDIS_URL", url);
        let run = field.happens("3");
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert!(run.stderr.contains(says), "{says}: {}", run.stderr);
        assert!(!run.stderr.contains(PASSWORD) && !run.stderr.contains("wr0ng"), "{}", run.stderr);
    }
    // Full, and not to be written to: said, and kept.
    let mut connection = redis.connection().expect("redis");
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(1).exec(&mut connection).expect("set");
    field.home.set("REDIS_URL", redis.url());
    let waiting = field.waiting();
    let run = field.happens("4");
    assert!(run.status == 0 && run.stderr.contains("OOM"), "{}", run.stderr);
    assert_eq!(field.waiting(), waiting + 2);
    redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(0).exec(&mut connection).expect("set");
    assert_eq!(field.home.json(&["events", "deliver"])["waiting"], 0);
}

#[test]
fn the_outbox_can_be_read_without_redis() {
    let field = Field::new();
    let all = field.home.ok(&["events", "tail", "--last", "1000", "--json"]).stdout;
    let events: Vec<Value> =
        all.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(events.iter().all(|event| event["schema"] == "aifx.event/1"));
    assert_eq!(events.len(), 2);
    let one = field.home.ok(&["events", "tail", "-n", "1", "--channel", "new_market_data"]).stdout;
    assert!(one.lines().count() == 1 && one.contains("GBP/USD"), "{one}");
    assert_eq!(field.home.ok(&["events", "tail", "--channel", "ml:model_deployed"]).stdout, "");
    field.home.run(&["events", "tail", "--channel", "ml:lunch"]).refuses(2, &["ml:model_deployed"]);
    field.home.run(&["events", "deliver"]).refuses(3, &["no Redis is configured", "REDIS_URL"]);
}
