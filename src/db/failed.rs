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
        self.map_err(|error| failed(&error, doing))
    }
}

/// The error of what was `doing`.
pub(in crate::db) fn failed(error: &postgres::Error, doing: &str) -> anyhow::Error {
    anyhow::Error::from(fault(error)).context(doing.to_owned())
}

/// Whether another try may help: the server went away, starts, stops or is full.
pub(in crate::db) fn is_transient(error: &postgres::Error) -> bool {
    fault(error).exit() == Exit::Database
}

/// Whether the encryption failed: a certificate that does not verify, or a server without TLS.
pub(in crate::db) fn is_about_tls(error: &postgres::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let is_rustls =
            cause.is::<rustls::Error>() || inner.is_some_and(|inner| inner.is::<rustls::Error>());
        // The client library has no type for it.
        if is_rustls || cause.to_string() == "server does not support TLS" {
            return true;
        }
        source = cause.source();
    }
    false
}

fn fault(error: &postgres::Error) -> Fault {
    let Some(code) = error.code() else {
        if is_about_tls(error) {
            return Fault::config(sources(error))
                .hint("sslmode and sslrootcert say what is verified; see the section on connections in README.md");
        }
        // A missing password, or a way of logging in that the client library does not know.
        let text = error.to_string();
        if ["invalid configuration", "authentication error"].iter().any(|p| text.starts_with(p)) {
            return Fault::config(sources(error))
                .hint("a password stands in DATABASE_URL, PGPASSWORD or the passfile");
        }
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
