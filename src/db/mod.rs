//! The truth: PostgreSQL. The only room with SQL: one file per table, one for the connection.

pub mod events;
mod failed;
pub mod health;
pub mod model_versions;
pub mod promotions;
pub mod training_log;
pub mod trials;

use failed::Failed;

/// A connection.
pub struct Db {
    pub(in crate::db) client: postgres::Client,
}

impl Db {
    /// Over a connection that was opened elsewhere.
    pub fn over(client: postgres::Client) -> Db {
        Db { client }
    }
}

impl std::fmt::Debug for Db {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Db")
    }
}
