//! Candles and signals out in bulk: one read-only snapshot, streamed, never held.
//!
//! Not here: file formats and files (`jobs/export`).

use chrono::{DateTime, Utc};
use postgres::{IsolationLevel, Transaction, fallible_iterator::FallibleIterator, types::ToSql};

use super::Db;
use super::Failed;
use crate::{
    fault::Fault,
    market::{CandleColumns, Timeframe},
};

/// Which candles are wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct Selection {
    /// Pairs as the table spells them; empty for all.
    pub pairs: Vec<String>,
    /// Timeframes; empty for all.
    pub timeframes: Vec<String>,
    /// Opening at or after this instant.
    pub from: DateTime<Utc>,
    /// Opening before this instant.
    pub to: DateTime<Utc>,
    /// Closed by this instant.
    pub as_of: DateTime<Utc>,
}

/// One snapshot of the database: everything read from it is of one moment.
pub struct Snapshot<'a> {
    tx: Transaction<'a>,
}

/// One series as the table has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeriesKey {
    /// The pair as the table spells it.
    pub pair: String,
    /// Its timeframe.
    pub timeframe: Timeframe,
}

const DOING: &str = "cannot read candles for the export";

impl Db {
    /// Opens a snapshot that lasts until it is dropped.
    ///
    /// # Errors
    /// When the database fails.
    pub fn snapshot(&mut self) -> anyhow::Result<Snapshot<'_>> {
        let tx = self
            .client
            .build_transaction()
            .isolation_level(IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .failed(DOING)?;
        Ok(Snapshot { tx })
    }
}

/// Bound of the opening instant so that every candle of a timeframe has closed.
fn closed_before(timeframe: Timeframe, as_of: DateTime<Utc>) -> &'static str {
    let _ = as_of;
    match timeframe {
        Timeframe::Min1 => "1 minute",
        Timeframe::Min5 => "5 minutes",
        Timeframe::Min15 => "15 minutes",
        Timeframe::Min30 => "30 minutes",
        Timeframe::Hour1 => "1 hour",
        Timeframe::Hour4 => "4 hours",
        Timeframe::Day1 => "1 day",
        Timeframe::Week1 => "7 days",
        Timeframe::Month1 => "1 month",
    }
}

impl Snapshot<'_> {
    /// The series of the selected pairs and timeframes, in their order; some may hold nothing in the selected range.
    ///
    /// # Errors
    /// Exit 4 when the table holds a timeframe that is none; else when the database fails.
    pub fn series(&mut self, selection: &Selection) -> anyhow::Result<Vec<SeriesKey>> {
        // From one key of the index to the next: a million candles of five series are five looks, not a scan.
        let rows = self
            .tx
            .query(
                "WITH RECURSIVE series AS (
                     (SELECT pair, timeframe FROM market_data ORDER BY pair, timeframe LIMIT 1)
                     UNION ALL
                     SELECT next.pair, next.timeframe FROM series,
                            LATERAL (SELECT m.pair, m.timeframe FROM market_data m
                                      WHERE (m.pair, m.timeframe) > (series.pair, series.timeframe)
                                      ORDER BY m.pair, m.timeframe LIMIT 1) AS next)
                 SELECT pair::text, timeframe::text FROM series
                  WHERE (cardinality($1::text[]) = 0 OR pair = ANY($1)) AND (cardinality($2::text[]) = 0 OR timeframe = ANY($2))
                  ORDER BY pair::text COLLATE \"C\", timeframe::text COLLATE \"C\"",
                &[&selection.pairs, &selection.timeframes],
            )
            .failed(DOING)?;
        rows.iter()
            .map(|row| {
                let timeframe: String = row.get(1);
                let timeframe = timeframe.parse().map_err(|error| {
                    Fault::input(format!("market_data: {error}"))
                        .hint("correct those rows, or name the timeframes that you want")
                })?;
                Ok(SeriesKey { pair: row.get(0), timeframe })
            })
            .collect()
    }

    /// The candles of a series as the server's own CSV lines (pair, timeframe, timestamp, prices, volume), in order,
    /// piece by piece as they come: the fastest way out.
    ///
    /// # Errors
    /// When the database or the sink fails.
    pub fn copy_csv(
        &mut self,
        key: &SeriesKey,
        selection: &Selection,
        sink: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        use std::io::BufRead;
        // COPY takes no parameters: the texts are quoted by the server itself.
        let sql: String = self
            .tx
            .query_one(
                "SELECT format('COPY (SELECT pair, timeframe, \"timestamp\", open, high, low, close, coalesce(volume, 0)
                                  FROM market_data WHERE pair = %L AND timeframe = %L AND \"timestamp\" >= %L
                                   AND \"timestamp\" < %L AND \"timestamp\" <= %L::timestamptz - interval %L
                                 ORDER BY \"timestamp\") TO STDOUT (FORMAT csv)', $1::text, $2::text, $3::timestamptz,
                               $4::timestamptz, $5::timestamptz, $6::text)",
                &[
                    &key.pair,
                    &key.timeframe.name(),
                    &selection.from,
                    &selection.to,
                    &selection.as_of,
                    &closed_before(key.timeframe, selection.as_of),
                ],
            )
            .failed(DOING)?
            .get(0);
        let mut reader = self.tx.copy_out(sql.as_str()).failed(DOING)?;
        loop {
            let piece = reader.fill_buf().map_err(|error| {
                anyhow::Error::from(
                    Fault::database(&error).hint("nothing was written; run it again"),
                )
                .context(DOING)
            })?;
            if piece.is_empty() {
                return Ok(());
            }
            sink(piece)?;
            let n = piece.len();
            reader.consume(n);
        }
    }

    /// The candles of a series in batches of columns, in order.
    ///
    /// # Errors
    /// Exit 4 for a candle without a price; else when the database or the sink fails.
    pub fn batches(
        &mut self,
        key: &SeriesKey,
        selection: &Selection,
        n_rows: usize,
        sink: &mut dyn FnMut(CandleColumns) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let name = key.timeframe.name();
        let length = closed_before(key.timeframe, selection.as_of);
        let parameters: [&(dyn ToSql + Sync); 6] =
            [&key.pair, &name, &selection.from, &selection.to, &selection.as_of, &length];
        let mut rows = self
            .tx
            .query_raw(
                "SELECT \"timestamp\", open::float8, high::float8, low::float8, close::float8, coalesce(volume, 0)::float8
                   FROM market_data
                  WHERE pair = $1 AND timeframe = $2 AND \"timestamp\" >= $3 AND \"timestamp\" < $4
                    AND \"timestamp\" <= $5::timestamptz - $6::text::interval
                  ORDER BY \"timestamp\"",
                parameters,
            )
            .failed(DOING)?;
        let mut columns = CandleColumns::with_capacity(n_rows);
        while let Some(row) = rows.next().failed(DOING)? {
            let at: DateTime<Utc> = row.get(0);
            let price = |column: usize| {
                row.get::<_, Option<f64>>(column).ok_or_else(|| {
                    Fault::input(format!(
                        "market_data holds a candle of {} at {at} without a price",
                        key.pair
                    ))
                    .hint("delete that row, or import the candle again")
                })
            };
            let prices = [price(1)?, price(2)?, price(3)?, price(4)?];
            columns.push_raw(at.timestamp_micros(), prices, row.get(5));
            if columns.len() == n_rows {
                sink(std::mem::replace(&mut columns, CandleColumns::with_capacity(n_rows)))?;
            }
        }
        if columns.is_empty() { Ok(()) } else { sink(columns) }
    }

    /// The signals of the selection as the server's own CSV with a header, or nothing where there are none.
    ///
    /// # Errors
    /// When the database or the sink fails.
    pub fn copy_signals(
        &mut self,
        selection: &Selection,
        sink: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<u64> {
        use std::io::Read;
        let doing = "cannot read signals for the export";
        let condition: String = self
            .tx
            .query_one(
                "SELECT format('(cardinality(%L::text[]) = 0 OR pair = ANY(%L::text[])) AND (cardinality(%L::text[]) = 0
                                 OR timeframe = ANY(%L::text[])) AND coalesce(candle_timestamp, created_at) >= %L
                                 AND coalesce(candle_timestamp, created_at) < least(%L::timestamptz, %L::timestamptz)',
                               $1::text[], $1::text[], $2::text[], $2::text[], $3::timestamptz, $4::timestamptz, $5::timestamptz)",
                &[&selection.pairs, &selection.timeframes, &selection.from, &selection.to, &selection.as_of],
            )
            .failed(doing)?
            .get(0);
        let n: i64 = self
            .tx
            .query_one(&format!("SELECT count(*) FROM trading_signals WHERE {condition}"), &[])
            .failed(doing)?
            .get(0);
        if n > 0 {
            let sql = format!(
                "COPY (SELECT * FROM trading_signals WHERE {condition}
                        ORDER BY coalesce(candle_timestamp, created_at), pair, timeframe)
                 TO STDOUT (FORMAT csv, HEADER)"
            );
            let mut reader = self.tx.copy_out(sql.as_str()).failed(doing)?;
            let mut piece = vec![0; 64 * 1024];
            loop {
                let n = reader.read(&mut piece).map_err(|error| {
                    anyhow::Error::from(
                        Fault::database(&error).hint("nothing was written; run it again"),
                    )
                    .context(doing)
                })?;
                if n == 0 {
                    break;
                }
                sink(&piece[..n])?;
            }
        }
        Ok(u64::try_from(n).unwrap_or(0))
    }
}
