//! Candles and signals out in bulk: one read-only snapshot, streamed, never held.
//!
//! Not here: file formats and files (`jobs/export`).

use chrono::{DateTime, Utc};
use postgres::{IsolationLevel, Transaction};

use super::Db;
use super::Failed;
use crate::{
    fault::Fault,
    market::{CandleColumns, Micros, Timeframe, instant},
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

/// A candle as binary COPY carries it.
struct BinaryRow {
    at_us: Micros,
    prices: [Option<f64>; 4],
    volume: f64,
}

/// The columns of numbers, in order.
const NUMBERS: [&str; 5] = ["open", "high", "low", "close", "volume"];

/// How the table keeps a number: other than as NUMERIC, the server is asked for a double.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NumberKind {
    Double,
    Numeric,
}

/// Reads PostgreSQL's binary COPY format of one instant and five numbers, from pieces of any length.
struct BinaryRows {
    kinds: [NumberKind; 5],
    started: bool,
    rest: Vec<u8>,
}

/// 2000-01-01, from which PostgreSQL counts.
const POSTGRES_EPOCH_US: Micros = 946_684_800_000_000;

impl BinaryRows {
    /// Signature, flags, and a header extension of length 0.
    const HEADER: usize = 19;

    fn new(kinds: [NumberKind; 5]) -> BinaryRows {
        BinaryRows { kinds, started: false, rest: Vec::new() }
    }

    fn read(
        &mut self,
        piece: &[u8],
        take: &mut dyn FnMut(BinaryRow) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let joined;
        let mut bytes = if self.rest.is_empty() {
            piece
        } else {
            joined = [self.rest.as_slice(), piece].concat();
            &joined
        };
        if !self.started && bytes.len() >= Self::HEADER {
            bytes = &bytes[Self::HEADER..];
            self.started = true;
        }
        if self.started {
            while let Some((row, rest)) = next_row(bytes, self.kinds) {
                bytes = rest;
                take(row)?;
            }
        }
        self.rest = bytes.to_vec();
        Ok(())
    }
}

/// One row and what follows it, or nothing where the bytes end before it does (as they do with the trailer).
fn next_row(bytes: &[u8], kinds: [NumberKind; 5]) -> Option<(BinaryRow, &[u8])> {
    let (&n_fields, mut bytes) = bytes.split_first_chunk::<2>()?;
    if i16::from_be_bytes(n_fields) != 6 {
        return None;
    }
    let mut field = || {
        let (&length, rest) = bytes.split_first_chunk::<4>()?;
        let Ok(length) = usize::try_from(i32::from_be_bytes(length)) else {
            bytes = rest;
            return Some(None);
        };
        let (value, rest) = rest.split_at_checked(length)?;
        bytes = rest;
        Some(Some(value))
    };
    let at_us = i64::from_be_bytes(field()??.try_into().ok()?) + POSTGRES_EPOCH_US;
    let mut numbers = [None; 5];
    for (number, kind) in numbers.iter_mut().zip(kinds) {
        *number = match (field()?, kind) {
            (None, _) => None,
            (Some(value), NumberKind::Double) => Some(f64::from_be_bytes(value.try_into().ok()?)),
            (Some(value), NumberKind::Numeric) => Some(numeric(value)?),
        };
    }
    let [open, high, low, close, volume] = numbers;
    let volume = volume.unwrap_or(0.0);
    Some((BinaryRow { at_us, prices: [open, high, low, close], volume }, bytes))
}

/// The double nearest to a binary NUMERIC (digits of base 10,000): what the server's own cast gives, at a tenth of its price.
fn numeric(bytes: &[u8]) -> Option<f64> {
    /// Powers of ten up to here are exact doubles.
    const MAX_EXACT_POWER: i32 = 22;
    let word = |index: usize| {
        bytes.get(2 * index..2 * index + 2).map(|b| i16::from_be_bytes([b[0], b[1]]))
    };
    let (n_digits, weight, sign) = (word(0)?, word(1)?, word(2)? as u16);
    let sign = match sign {
        0x0000 => 1.0,
        0x4000 => -1.0,
        0xD000 => return Some(f64::INFINITY),
        0xF000 => return Some(f64::NEG_INFINITY),
        _ => return Some(f64::NAN),
    };
    let digits = (0..usize::try_from(n_digits).ok()?).map(|i| word(4 + i));
    let mantissa = digits.clone().try_fold(0u64, |m, digit| {
        let m = m.checked_mul(10_000)?.checked_add(u64::try_from(digit?).ok()?)?;
        // Above it, doubles have no place for every integer.
        (m <= 1 << 53).then_some(m)
    });
    let exponent = 4 * (i32::from(weight) - i32::from(n_digits) + 1);
    // One rounding of two exact numbers is the nearest double.
    match mantissa {
        Some(m) if (-MAX_EXACT_POWER..=0).contains(&exponent) => {
            Some(sign * (m as f64 / 10f64.powi(-exponent)))
        }
        _ => {
            let mut text = String::from("0");
            for digit in digits {
                text.push_str(&format!("{:04}", digit?));
            }
            format!("{text}e{exponent}").parse::<f64>().ok().map(|value| sign * value)
        }
    }
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
        let what = "pair, timeframe, \"timestamp\", open, high, low, close, coalesce(volume, 0)";
        let sql = self.copy_statement(key, selection, what, "csv")?;
        self.copy_pieces(&sql, sink)
    }

    /// COPY of a series' candles in order of time. COPY takes no parameters: the server itself quotes the texts.
    fn copy_statement(
        &mut self,
        key: &SeriesKey,
        selection: &Selection,
        what: &str,
        format: &str,
    ) -> anyhow::Result<String> {
        let row = self
            .tx
            .query_one(
                "SELECT format('FROM market_data WHERE pair = %L AND timeframe = %L AND \"timestamp\" >= %L
                                   AND \"timestamp\" < %L AND \"timestamp\" <= %L::timestamptz - interval %L
                                 ORDER BY \"timestamp\"', $1::text, $2::text, $3::timestamptz, $4::timestamptz,
                               $5::timestamptz, $6::text)",
                &[
                    &key.pair,
                    &key.timeframe.name(),
                    &selection.from,
                    &selection.to,
                    &selection.as_of,
                    &closed_before(key.timeframe, selection.as_of),
                ],
            )
            .failed(DOING)?;
        let from: String = row.get(0);
        Ok(format!("COPY (SELECT {what} {from}) TO STDOUT (FORMAT {format})"))
    }

    fn number_kinds(&mut self) -> anyhow::Result<[NumberKind; 5]> {
        let rows = self
            .tx
            .query(
                "SELECT attname::text FROM pg_attribute
                  WHERE attrelid = 'market_data'::regclass AND atttypid = 'numeric'::regtype AND NOT attisdropped",
                &[],
            )
            .failed(DOING)?;
        let numeric: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        Ok(NUMBERS.map(|name| {
            let is_numeric = numeric.iter().any(|one| one == name);
            if is_numeric { NumberKind::Numeric } else { NumberKind::Double }
        }))
    }

    fn copy_pieces(
        &mut self,
        sql: &str,
        sink: &mut dyn FnMut(&[u8]) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        use std::io::BufRead;
        let mut reader = self.tx.copy_out(sql).failed(DOING)?;
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
        let kinds = self.number_kinds()?;
        let columns = NUMBERS.iter().zip(kinds).map(|(name, kind)| match kind {
            NumberKind::Numeric => format!(", {name}"),
            NumberKind::Double => format!(", {name}::float8"),
        });
        let what = format!("\"timestamp\"{}", columns.collect::<String>());
        let sql = self.copy_statement(key, selection, &what, "binary")?;
        let mut columns = CandleColumns::with_capacity(n_rows);
        let mut reader = BinaryRows::new(kinds);
        self.copy_pieces(&sql, &mut |piece| {
            reader.read(piece, &mut |row| {
                let at_us = row.at_us;
                let [Some(open), Some(high), Some(low), Some(close)] = row.prices else {
                    return Err(Fault::input(format!(
                        "market_data holds a candle of {} at {} without a price",
                        key.pair,
                        instant(at_us)
                    ))
                    .hint("delete that row, or import the candle again")
                    .into());
                };
                columns.push_raw(at_us, [open, high, low, close], row.volume);
                if columns.len() == n_rows {
                    sink(std::mem::replace(&mut columns, CandleColumns::with_capacity(n_rows)))?;
                }
                Ok(())
            })
        })?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A NUMERIC as PostgreSQL sends it, from its decimal text.
    fn binary(text: &str) -> Vec<u8> {
        let (sign, text) = text.strip_prefix('-').map_or((0u16, text), |rest| (0x4000, rest));
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let whole = format!("{whole:0>width$}", width = whole.len().div_ceil(4) * 4);
        let fraction = format!("{fraction:0<width$}", width = fraction.len().div_ceil(4) * 4);
        let mut digits: Vec<i16> = format!("{whole}{fraction}")
            .as_bytes()
            .chunks(4)
            .map(|four| std::str::from_utf8(four).unwrap().parse().unwrap())
            .collect();
        let mut weight = whole.len() as i16 / 4 - 1;
        while digits.first() == Some(&0) {
            digits.remove(0);
            weight -= 1;
        }
        while digits.last() == Some(&0) {
            digits.pop();
        }
        let mut bytes = Vec::new();
        for word in [digits.len() as i16, weight, sign as i16, 0].iter().chain(&digits) {
            bytes.extend_from_slice(&word.to_be_bytes());
        }
        bytes
    }

    proptest! {
        #[test]
        fn a_numeric_becomes_the_nearest_double(whole in 0u64..1 << 60, fraction in "[0-9]{0,30}", minus: bool) {
            let text = format!("{}{whole}.{fraction}0", if minus { "-" } else { "" });
            let expected: f64 = text.parse().unwrap();
            let found = numeric(&binary(&text)).unwrap();
            prop_assert!(found.to_bits() == expected.to_bits() || (found == 0.0 && expected == 0.0), "{text}: {found}");
        }

        #[test]
        fn rows_are_the_same_however_the_bytes_are_cut(prices in prop::collection::vec(0.1f64..2.0, 1..20), cut in 1usize..90) {
            let mut bytes = vec![0; BinaryRows::HEADER];
            for (row, price) in prices.iter().enumerate() {
                bytes.extend_from_slice(&6i16.to_be_bytes());
                bytes.extend_from_slice(&8i32.to_be_bytes());
                bytes.extend_from_slice(&(row as i64).to_be_bytes());
                for _ in 0..4 {
                    let value = binary(&price.to_string());
                    bytes.extend_from_slice(&(value.len() as i32).to_be_bytes());
                    bytes.extend_from_slice(&value);
                }
                bytes.extend_from_slice(&(-1i32).to_be_bytes());
            }
            bytes.extend_from_slice(&(-1i16).to_be_bytes());
            let mut found = Vec::new();
            let mut reader = BinaryRows::new([NumberKind::Numeric; 5]);
            for piece in bytes.chunks(cut) {
                reader.read(piece, &mut |row| {
                    assert!(row.volume == 0.0 && row.prices[0] == row.prices[3], "a price was lost");
                    found.push(row.prices[0].unwrap());
                    Ok(())
                }).unwrap();
            }
            prop_assert_eq!(found, prices);
        }
    }
}
