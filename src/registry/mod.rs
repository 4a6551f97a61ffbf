//! Versions on disk and in the database: publish, promote, recover, lock.
