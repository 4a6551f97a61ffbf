//! Takes what happened to Redis, from the outbox and in its order: by `events deliver`, and after every command that may have
//! written an event.
//!
//! What could not be delivered waits for the next try; nothing that a command did is changed by it. Not here: the outbox
//! (`db::events`), the connection to Redis (`notify`).

use std::time::{Duration, Instant};

use serde::Serialize;

use crate::{
    config::App,
    db::events::{Backlog, Channel, Event},
    fault::Fault,
    notify::{Message, Publisher},
};

/// What a command gives to delivering what it wrote (RELIABILITY F74).
const AFTER_A_COMMAND: Duration = Duration::from_secs(5);
/// What `events deliver` gives to it.
const BY_ITSELF: Duration = Duration::from_secs(300);
/// Events that are read and marked at once.
const BATCH: i64 = 1000;

/// What came of it. `aifx.events-deliver/1`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DeliverReport {
    /// Events that Redis has taken now.
    pub delivered: usize,
    /// What still waits.
    #[serde(flatten)]
    pub backlog: Backlog,
    /// Another process is delivering: what waits is its work.
    pub busy: bool,
    /// Why it stopped.
    pub failed: Option<String>,
}

/// Delivers all that waits.
///
/// # Errors
/// 3 where no Redis is configured, else when the database fails. A Redis that is away is no error of this: see `failed`.
pub fn deliver(app: &App) -> anyhow::Result<DeliverReport> {
    within(app, BY_ITSELF)
}

/// The same after a command, where a Redis is configured: in words what did not work.
pub fn after_a_command(app: &App) -> Option<String> {
    app.bus().as_ref()?;
    match within(app, AFTER_A_COMMAND) {
        Ok(DeliverReport { failed: Some(why), backlog, .. }) => {
            Some(format!("redis: {why}; {} events wait for the next command", backlog.waiting))
        }
        Ok(_) => None,
        Err(error) => Some(format!("redis: {error:#}; the events wait for the next command")),
    }
}

fn within(app: &App, limit: Duration) -> anyhow::Result<DeliverReport> {
    let until = Instant::now() + limit;
    let bus = app.bus().ok_or_else(|| {
        Fault::config("no Redis is configured").hint("put REDIS_URL=redis://host:6379/0 into .env")
    })?;
    let mut db = app.db("events")?;
    let mut report = DeliverReport::default();
    if !db.may_publish()? {
        report.busy = true;
        report.backlog = db.event_backlog()?;
        return Ok(report);
    }
    let mut publisher = Publisher::start(bus, until);
    while report.failed.is_none() {
        let events = db.pending_events(BATCH)?;
        if events.is_empty() {
            break;
        }
        let messages: Vec<Message> = events.iter().map(message).collect::<Result<_, _>>()?;
        let (n_taken, failed) = publisher.publish(&messages);
        let heard: Vec<i64> = events[..n_taken].iter().map(|event| event.id).collect();
        let refused =
            failed.as_deref().zip(events.get(n_taken)).map(|(why, event)| (event.id, why));
        db.events_published(&heard, refused)?;
        report.delivered += n_taken;
        report.failed = failed;
    }
    report.backlog = db.event_backlog()?;
    Ok(report)
}

fn message(event: &Event) -> serde_json::Result<Message> {
    Ok(Message { channel: event.channel.clone(), body: serde_json::to_string(event)? })
}

/// Which events are wanted.
#[derive(Debug, Clone, Copy)]
pub struct Tail {
    /// Only of this channel.
    pub channel: Option<Channel>,
    /// So many of the last.
    pub last: u32,
    /// And those that come, until the process is stopped.
    pub follow: bool,
}

/// Hands over events, oldest first.
///
/// # Errors
/// When the database or the sink fails.
pub fn tail(
    app: &App,
    request: Tail,
    sink: &mut dyn FnMut(&Event) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut db = app.db("events")?;
    let mut place = db.place_before_last(request.channel, i64::from(request.last))?;
    loop {
        let events = db.events_after(place, request.channel, BATCH)?;
        for event in &events {
            sink(event)?;
            place = event.id;
        }
        if events.is_empty() {
            if !request.follow {
                return Ok(());
            }
            std::thread::sleep(Duration::from_secs(1));
        }
    }
}
