//! The truth: PostgreSQL. The only room with SQL: one file per table, one for the connection.

mod alerts;
mod bets;
mod connect;
pub mod ensemble;
pub mod events;
pub mod export;
mod failed;
pub mod health;
pub mod market_data;
mod migrate;
pub mod model_versions;
pub mod monitoring_runs;
mod parameters;
mod private;
pub mod promotions;
pub mod repairs;
pub mod signals;
mod tls;
pub mod training_log;
pub mod trials;
pub mod watch;

pub use connect::Source;
use failed::Failed;
pub use migrate::SchemaStatus;
pub use parameters::Variables;
pub use private::{PrivateServer, ServerStatus};

/// A connection.
pub struct Db {
    pub(in crate::db) client: postgres::Client,
}

impl Db {
    /// Whether the connection is lost.
    pub fn is_gone(&self) -> bool {
        self.client.is_closed()
    }

    /// Over a connection that was opened elsewhere.
    pub fn over(client: postgres::Client) -> Db {
        Db { client }
    }
}

/// Pairs and timeframes of series, a column each, as `unnest` takes them.
fn columns(series: &[(String, String)]) -> (Vec<&str>, Vec<&str>) {
    series.iter().map(|(pair, timeframe)| (pair.as_str(), timeframe.as_str())).unzip()
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Db")
    }
}
