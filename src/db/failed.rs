//! [`Failed`]: turns an error of the `postgres` crate into a [`Fault`] with the exit status that it deserves.
//!
//! The crate's own text is only "db error"; what helps is in its source. No single sign marks an error as worth another
//! try: a fast shutdown has an SQLSTATE, an immediate one has none, a broken COPY is an I/O error.

use postgres::error::SqlState;

use crate::fault::{Exit, Fault};

/// Adds what was being done to a database error.
pub(in crate::db) trait Failed<T> {
    /// An error that says what was `doing`, why it failed, and carries its exit status.
    fn failed(self, doing: &str) -> anyhow::Result<T>;
}

impl<T> Failed<T> for Result<T, postgres::Error> {
    fn failed(self, doing: &str) -> anyhow::Result<T> {
        self.map_err(|error| anyhow::Error::from(fault(&error)).context(doing.to_owned()))
    }
}

fn fault(error: &postgres::Error) -> Fault {
    let Some(code) = error.code() else {
        // No SQLSTATE: the server went away, or never answered.
        return Fault::database(sources(error)).hint("run it again when the database is back");
    };
    let why = error.as_db_error().map_or_else(|| sources(error), db_text);
    let class = code.code().get(..2).unwrap_or_default();
    match (class, code) {
        (
            _,
            &SqlState::UNDEFINED_TABLE
            | &SqlState::UNDEFINED_COLUMN
            | &SqlState::UNDEFINED_FUNCTION,
        ) => Fault::config(why).hint("the schema is not this version's; run: aifx db migrate"),
        (_, &SqlState::INSUFFICIENT_PRIVILEGE) => {
            Fault::config(why).hint("GRANT the user of DATABASE_URL what is missing")
        }
        (_, &SqlState::READ_ONLY_SQL_TRANSACTION) => {
            Fault::config(why).hint("the database is read-only; connect to the primary")
        }
        (_, &SqlState::QUERY_CANCELED) => Fault::new(Exit::Deadline, why),
        (_, &SqlState::LOCK_NOT_AVAILABLE) => {
            Fault::database(why).hint("another session holds a lock; run it again")
        }
        ("08" | "40" | "53" | "57" | "58", _) => {
            Fault::database(why).hint("nothing was changed; it is safe to run it again")
        }
        ("28" | "3D" | "42", _) => Fault::config(why),
        ("23", _) => Fault::integrity(why),
        _ => Fault::database(why),
    }
}

fn db_text(error: &postgres::error::DbError) -> String {
    let mut text = format!("{} ({})", error.message(), error.code().code());
    if let Some(detail) = error.detail() {
        text.push_str(": ");
        text.push_str(detail);
    }
    text
}

fn sources(error: &postgres::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
