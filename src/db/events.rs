//! Table `ml_events`: the outbox. An event is written in the transaction that it reports; publishing it is somebody
//! else's work (`notify`), at least once, in order a channel.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use postgres::{GenericClient, Row};
use serde::Serialize;
use serde_json::Value;
use uuid::Uuid;

use super::{Db, Failed};

/// The version of an event's document.
const SCHEMA: &str = "aifx.event/1";

/// What subscribers are told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Channel {
    /// Candles came in.
    NewMarketData,
    /// A signal was made.
    NewPrediction,
    /// A signal was closed.
    SignalOutcome,
    /// A run started.
    TrainingStarted,
    /// A run ended.
    TrainingCompleted,
    /// Production moved.
    ModelDeployed,
    /// Two versions began to be compared on live signals; nothing in aifx does so yet.
    AbTestCreated,
    /// Such a comparison ended.
    AbTestCompleted,
}

impl FromStr for Channel {
    type Err = String;

    /// By its name, with `ml:` or without.
    fn from_str(text: &str) -> Result<Channel, String> {
        let is_it = |channel: &&Channel| {
            channel.name() == text || channel.name().strip_prefix("ml:") == Some(text)
        };
        Channel::ALL.iter().find(is_it).copied().ok_or_else(|| {
            let names: Vec<&str> = Channel::ALL.iter().map(|channel| channel.name()).collect();
            format!("there is no channel {text}; these are: {}", names.join(", "))
        })
    }
}

impl Channel {
    /// All of them.
    pub const ALL: [Channel; 8] = [
        Channel::NewMarketData,
        Channel::NewPrediction,
        Channel::SignalOutcome,
        Channel::TrainingStarted,
        Channel::TrainingCompleted,
        Channel::ModelDeployed,
        Channel::AbTestCreated,
        Channel::AbTestCompleted,
    ];

    /// The channel's name.
    pub fn name(self) -> &'static str {
        match self {
            Channel::NewMarketData => "ml:new_market_data",
            Channel::NewPrediction => "ml:new_prediction",
            Channel::SignalOutcome => "ml:signal_outcome",
            Channel::TrainingStarted => "ml:training_started",
            Channel::TrainingCompleted => "ml:training_completed",
            Channel::ModelDeployed => "ml:model_deployed",
            Channel::AbTestCreated => "ml:ab_test_created",
            Channel::AbTestCompleted => "ml:ab_test_completed",
        }
    }
}

/// An event as subscribers get it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Event {
    /// `aifx.event/1`.
    pub schema: &'static str,
    /// Its place in the outbox.
    #[serde(skip)]
    pub id: i64,
    /// Its key: a subscriber that has had it before drops it.
    pub event_id: Uuid,
    /// Its channel.
    pub channel: String,
    /// The instant that the run which wrote it took for now.
    pub as_of: Option<DateTime<Utc>>,
    /// When it was written, by the database clock.
    pub created_at: DateTime<Utc>,
    /// What happened.
    pub data: Value,
}

/// Where the outbox stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Backlog {
    /// Events that nobody has heard.
    pub waiting: i64,
    /// When the oldest of them was written.
    pub oldest: Option<DateTime<Utc>>,
    /// Why it was not taken the last time.
    pub last_error: Option<String>,
}

const COLUMNS: &str = "id, event_id, channel, as_of, created_at, payload";

fn event(row: &Row) -> Event {
    Event {
        schema: SCHEMA,
        id: row.get(0),
        event_id: row.get(1),
        channel: row.get(2),
        as_of: row.get(3),
        created_at: row.get(4),
        data: row.get(5),
    }
}

/// Waits for the caller's turn to write events, which it keeps until its transaction ends: so the order of the rows is that in
/// which they come to be seen, and a reader that has passed a row has missed none before it.
pub(in crate::db) fn take_turn(client: &mut impl GenericClient) -> Result<(), postgres::Error> {
    client.execute("SELECT pg_advisory_xact_lock(hashtextextended('aifx:events', 0))", &[])?;
    Ok(())
}

/// Writes an event in the caller's transaction, of which it should be the last statement.
pub(in crate::db) fn insert(
    client: &mut impl GenericClient,
    channel: Channel,
    payload: &Value,
    as_of: DateTime<Utc>,
) -> Result<(), postgres::Error> {
    insert_all(client, channel, std::slice::from_ref(payload), as_of)
}

/// The same for many of one channel.
pub(in crate::db) fn insert_all(
    client: &mut impl GenericClient,
    channel: Channel,
    payloads: &[Value],
    as_of: DateTime<Utc>,
) -> Result<(), postgres::Error> {
    if payloads.is_empty() {
        return Ok(());
    }
    take_turn(client)?;
    let ids: Vec<Uuid> = payloads.iter().map(|_| Uuid::now_v7()).collect();
    client.execute(
        "INSERT INTO ml_events (event_id, channel, payload, as_of)
         SELECT id, $1, payload, $2 FROM unnest($3::uuid[], $4::jsonb[]) WITH ORDINALITY AS e(id, payload, n) ORDER BY n",
        &[&channel.name(), &as_of, &ids, &payloads],
    )?;
    Ok(())
}

impl Db {
    /// Whether this session is the one that publishes, from now until it ends: two would mix the order.
    ///
    /// # Errors
    /// When the database fails.
    pub fn may_publish(&mut self) -> anyhow::Result<bool> {
        let sql = "SELECT pg_try_advisory_lock(hashtextextended('aifx:publisher', 0))";
        let row = self.client.query_one(sql, &[]).failed("cannot ask for the turn to publish")?;
        Ok(row.get(0))
    }

    /// The oldest events that nobody has heard, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pending_events(&mut self, limit: i64) -> anyhow::Result<Vec<Event>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM ml_events
              WHERE delivered_at IS NULL AND event_id IS NOT NULL AND channel IS NOT NULL AND payload IS NOT NULL
              ORDER BY id LIMIT $1"
        );
        let rows = self.client.query(&sql, &[&limit]).failed("cannot read the events that wait")?;
        Ok(rows.iter().map(event).collect())
    }

    /// Events after a place in the outbox, heard or not, oldest first; `channel` leaves the others out.
    ///
    /// # Errors
    /// When the database fails.
    pub fn events_after(
        &mut self,
        id: i64,
        channel: Option<Channel>,
        limit: i64,
    ) -> anyhow::Result<Vec<Event>> {
        let sql = format!(
            "SELECT {COLUMNS} FROM ml_events
              WHERE id > $1 AND ($2::text IS NULL OR channel = $2) AND event_id IS NOT NULL AND channel IS NOT NULL
                AND payload IS NOT NULL
              ORDER BY id LIMIT $3"
        );
        let rows = self
            .client
            .query(&sql, &[&id, &channel.map(Channel::name), &limit])
            .failed("cannot read the events")?;
        Ok(rows.iter().map(event).collect())
    }

    /// The place in the outbox before its last `n` events.
    ///
    /// # Errors
    /// When the database fails.
    pub fn place_before_last(&mut self, channel: Option<Channel>, n: i64) -> anyhow::Result<i64> {
        let row = self
            .client
            .query_one(
                "SELECT coalesce(min(id) - 1, 0) FROM
                    (SELECT id FROM ml_events WHERE $1::text IS NULL OR channel = $1 ORDER BY id DESC LIMIT $2) AS l",
                &[&channel.map(Channel::name), &n],
            )
            .failed("cannot read the events")?;
        Ok(row.get(0))
    }

    /// Remembers what was heard, and why the first of the others was not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn events_published(
        &mut self,
        heard: &[i64],
        refused: Option<(i64, &str)>,
    ) -> anyhow::Result<()> {
        let doing = "cannot record which events were published";
        self.client
            .execute(
                "UPDATE ml_events SET n_attempts = n_attempts + 1, last_error = NULL, delivered_at = clock_timestamp()
                  WHERE id = ANY($1)",
                &[&heard],
            )
            .failed(doing)?;
        if let Some((id, why)) = refused {
            self.client
                .execute(
                    "UPDATE ml_events SET n_attempts = n_attempts + 1, last_error = $2 WHERE id = $1",
                    &[&id, &why],
                )
                .failed(doing)?;
        }
        Ok(())
    }

    /// How many events wait.
    ///
    /// # Errors
    /// When the database fails.
    pub fn event_backlog(&mut self) -> anyhow::Result<Backlog> {
        let row = self
            .client
            .query_one(
                "SELECT count(*), min(created_at),
                        (SELECT last_error FROM ml_events WHERE delivered_at IS NULL ORDER BY id LIMIT 1)
                   FROM ml_events WHERE delivered_at IS NULL",
                &[],
            )
            .failed("cannot count the events that wait")?;
        Ok(Backlog { waiting: row.get(0), oldest: row.get(1), last_error: row.get(2) })
    }
}
