//! The truth: PostgreSQL. The only room with SQL: one file per table, one for the connection.
