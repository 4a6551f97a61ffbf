//! Messages to Redis: published on their channels, and kept in a stream where one is named.
//!
//! Pub/sub forgets who was not listening: what must not be lost stays in the outbox (`db::events`) until it was taken here.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use redis::{Client, Connection, Pipeline};
use secrecy::{ExposeSecret, SecretString};

/// Messages of one round trip: all of it is taken, or it is sent again.
const ROUND: usize = 200;

/// Where messages go.
#[derive(Debug, Clone)]
pub struct Bus {
    /// `redis://` or `rediss://`, with user and password where the server wants them.
    pub url: SecretString,
    /// A stream that keeps them, and about how many.
    pub stream: Option<(String, u64)>,
}

/// A message and its channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The channel.
    pub channel: String,
    /// The JSON document.
    pub body: String,
}

/// A connection to the bus, held by a thread of its own: a server that accepts and says nothing costs the caller no more than
/// the time that it gives.
pub struct Publisher {
    rounds: mpsc::Sender<Vec<Message>>,
    answers: mpsc::Receiver<Result<(), String>>,
    until: Instant,
}

impl Publisher {
    /// Connects when the first message comes; everything ends at `until`.
    pub fn start(bus: Bus, until: Instant) -> Publisher {
        let (rounds, wanted) = mpsc::channel::<Vec<Message>>();
        let (answer, answers) = mpsc::channel();
        thread::spawn(move || {
            let mut connection = None;
            for messages in wanted {
                let taken = take(&mut connection, &bus, &messages, until);
                if answer.send(taken).is_err() {
                    return;
                }
            }
        });
        Publisher { rounds, answers, until }
    }

    /// Publishes in order and returns how many were taken, and why no more.
    pub fn publish(&mut self, messages: &[Message]) -> (usize, Option<String>) {
        let mut n_taken = 0;
        for round in messages.chunks(ROUND) {
            let left = self.until.saturating_duration_since(Instant::now());
            let answer = match self.rounds.send(round.to_vec()) {
                Ok(()) => self
                    .answers
                    .recv_timeout(left)
                    .unwrap_or_else(|_| Err("it did not answer in time".to_owned())),
                Err(_) => Err("it went away".to_owned()),
            };
            match answer {
                Ok(()) => n_taken += round.len(),
                Err(why) => return (n_taken, Some(why)),
            }
        }
        (n_taken, None)
    }
}

fn take(
    open: &mut Option<Connection>,
    bus: &Bus,
    messages: &[Message],
    until: Instant,
) -> Result<(), String> {
    let mut connection = match open.take() {
        Some(connection) => connection,
        None => connect(bus, until)?,
    };
    let mut pipeline = Pipeline::with_capacity(2 * messages.len());
    for Message { channel, body } in messages {
        if let Some((name, max_len)) = &bus.stream {
            let add = pipeline.cmd("XADD").arg(name).arg("MAXLEN").arg("~").arg(*max_len);
            add.arg("*").arg("channel").arg(channel).arg("event").arg(body).ignore();
        }
        pipeline.cmd("PUBLISH").arg(channel).arg(body).ignore();
    }
    pipeline.query::<()>(&mut connection).map_err(said)?;
    *open = Some(connection);
    Ok(())
}

fn connect(bus: &Bus, until: Instant) -> Result<Connection, String> {
    let left = || until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let client = Client::open(bus.url.expose_secret())
        .map_err(|_| "REDIS_URL is no address like redis://host:6379/0".to_owned())?;
    let connection = client.get_connection_with_timeout(left()).map_err(said)?;
    connection.set_read_timeout(Some(left())).map_err(said)?;
    connection.set_write_timeout(Some(left())).map_err(said)?;
    Ok(connection)
}

/// What Redis or the system said; an address may hold a password and is never among it.
fn said(error: redis::RedisError) -> String {
    if error.is_timeout() {
        return "it did not answer in time".to_owned();
    }
    let code = error.code().map(|code| format!("{code} ")).unwrap_or_default();
    match error.detail() {
        Some(detail) => format!("{code}{detail}"),
        None => error.to_string(),
    }
}
