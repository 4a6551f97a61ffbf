//! Table `ml_events`: the outbox. An event is written in the transaction that it reports; publishing it is somebody
//! else's work (`notify`), at least once, in order a channel.

use chrono::{DateTime, Utc};
use postgres::GenericClient;
use serde_json::Value;
use uuid::Uuid;

use super::{Db, Failed};

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
}

impl Channel {
    /// The channel's name.
    pub fn name(self) -> &'static str {
        match self {
            Channel::NewMarketData => "ml:new_market_data",
            Channel::NewPrediction => "ml:new_prediction",
            Channel::SignalOutcome => "ml:signal_outcome",
            Channel::TrainingStarted => "ml:training_started",
            Channel::TrainingCompleted => "ml:training_completed",
            Channel::ModelDeployed => "ml:model_deployed",
        }
    }
}

/// An event that nobody has heard yet.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingEvent {
    /// Its key, so that subscribers can drop what they had.
    pub event_id: Uuid,
    /// Its channel's name.
    pub channel: String,
    /// What happened.
    pub payload: Value,
}

/// Writes an event in the caller's transaction.
pub(in crate::db) fn insert(
    client: &mut impl GenericClient,
    channel: Channel,
    payload: &Value,
    as_of: DateTime<Utc>,
) -> Result<(), postgres::Error> {
    client.execute(
        "INSERT INTO ml_events (event_id, channel, payload, as_of) VALUES ($1, $2, $3, $4)",
        &[&Uuid::now_v7(), &channel.name(), payload, &as_of],
    )?;
    Ok(())
}

impl Db {
    /// The oldest events that nobody has heard, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn pending_events(&mut self, limit: i64) -> anyhow::Result<Vec<PendingEvent>> {
        let rows = self
            .client
            .query(
                "SELECT event_id, channel, payload FROM ml_events
                 WHERE delivered_at IS NULL AND event_id IS NOT NULL ORDER BY id LIMIT $1",
                &[&limit],
            )
            .failed("cannot read the events that wait")?;
        Ok(rows
            .into_iter()
            .map(|row| PendingEvent {
                event_id: row.get(0),
                channel: row.get(1),
                payload: row.get(2),
            })
            .collect())
    }

    /// Remembers a try to publish an event: heard, or why not.
    ///
    /// # Errors
    /// When the database fails.
    pub fn event_tried(&mut self, event_id: Uuid, error: Option<&str>) -> anyhow::Result<()> {
        self.client
            .execute(
                "UPDATE ml_events SET n_attempts = n_attempts + 1, last_error = $2,
                     delivered_at = CASE WHEN $2::text IS NULL THEN clock_timestamp() END
                 WHERE event_id = $1",
                &[&event_id, &error],
            )
            .failed("cannot record that an event was published")?;
        Ok(())
    }
}
