//! The schema: numbered SQL files of `migrations/`, embedded, applied once each.
//!
//! They only add. A database that a newer aifx has migrated is refused, and one that is behind names the command.

use serde::Serialize;

use super::{Db, Failed};
use crate::fault::Fault;

mod embedded {
    refinery::embed_migrations!("migrations");
}

/// Where the schema stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SchemaStatus {
    /// Migrations of this binary.
    pub wanted: u32,
    /// Newest one that the database has had; 0 when none.
    pub found: u32,
}

impl Db {
    /// Applies what is missing and returns the names of what was applied.
    ///
    /// # Errors
    /// Exit 3 when the database is newer than this binary, or its tables cannot be extended.
    pub fn migrate(&mut self) -> anyhow::Result<Vec<String>> {
        let status = self.schema_status()?;
        if status.found > status.wanted {
            return Err(newer(&status));
        }
        // Two commands that start at once must not both create a table.
        self.client
            .batch_execute("SELECT pg_advisory_lock(hashtext('aifx:migrate'))")
            .failed("cannot lock the schema")?;
        let done = embedded::migrations::runner().run(&mut self.client);
        let unlocked =
            self.client.batch_execute("SELECT pg_advisory_unlock(hashtext('aifx:migrate'))");
        let report = done.map_err(|error| {
            let mut text = error.to_string();
            let mut source = std::error::Error::source(&error);
            let mut hint =
                "the schema was left as it was; correct it and run: aifx db migrate".to_owned();
            while let Some(cause) = source {
                if let Some(db) =
                    cause.downcast_ref::<postgres::Error>().and_then(postgres::Error::as_db_error)
                {
                    text = db.message().to_owned();
                    if let Some(said) = db.hint() {
                        hint = said.to_owned();
                    }
                }
                source = cause.source();
            }
            anyhow::Error::from(Fault::config(text).hint(hint))
                .context("cannot migrate the database")
        })?;
        unlocked.failed("cannot unlock the schema")?;
        Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
    }

    /// Where the schema stands.
    ///
    /// # Errors
    /// When the database fails.
    pub fn schema_status(&mut self) -> anyhow::Result<SchemaStatus> {
        let doing = "cannot look at the schema";
        let wanted = embedded::migrations::runner()
            .get_migrations()
            .iter()
            .map(|migration| migration.version() as u32)
            .max()
            .unwrap_or(0);
        let exists: bool = self
            .client
            .query_one("SELECT to_regclass('refinery_schema_history') IS NOT NULL", &[])
            .failed(doing)?
            .get(0);
        let found = if exists {
            let row = self
                .client
                .query_one(
                    "SELECT coalesce(max(version), 0)::int4 FROM refinery_schema_history",
                    &[],
                )
                .failed(doing)?;
            u32::try_from(row.get::<_, i32>(0)).unwrap_or(0)
        } else {
            0
        };
        Ok(SchemaStatus { wanted, found })
    }

    /// Refuses a schema that is not this binary's.
    ///
    /// # Errors
    /// Exit 3, saying which side is behind.
    pub fn require_schema(&mut self) -> anyhow::Result<()> {
        let status = self.schema_status()?;
        if status.found > status.wanted {
            return Err(newer(&status));
        }
        if status.found < status.wanted {
            return Err(Fault::config(format!(
                "the database has schema {} and this aifx needs {}",
                status.found, status.wanted
            ))
            .hint("run: aifx db migrate")
            .into());
        }
        Ok(())
    }
}

fn newer(status: &SchemaStatus) -> anyhow::Error {
    Fault::config(format!(
        "the database has schema {}, made by a newer aifx; this one knows up to {}",
        status.found, status.wanted
    ))
    .hint("use the newer aifx")
    .into()
}
