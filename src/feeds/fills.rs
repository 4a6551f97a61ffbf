//! Real trades from a CSV file: what was paid and got for a signal.
//!
//! A header names the columns, in any order: `signal_id`, or `pair`, `timeframe`, `candle` (and `version`) of the signal;
//! `entry_price`, `exit_price`, `closed_at`; `fees` where there were any. Not here: which signal a row is about (`jobs`).

use std::path::Path;

use anyhow::Context;
use chrono::{DateTime, Utc};

use crate::{
    fault::Fault,
    market::{Pair, Timeframe},
};

/// Which signal was traded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignalKey {
    /// By the key of its row, as text.
    Id(String),
    /// By the candle that it answers.
    Candle {
        /// Of which version; none: whichever answered.
        version: Option<String>,
        /// Of which pair.
        pair: Pair,
        /// Of which timeframe.
        timeframe: Timeframe,
        /// Opening of the candle.
        at: DateTime<Utc>,
    },
}

/// A closed trade.
#[derive(Debug, Clone, PartialEq)]
pub struct Fill {
    /// Of which signal.
    pub signal: SignalKey,
    /// Price paid.
    pub entry: f64,
    /// Price got.
    pub exit: f64,
    /// When it was closed.
    pub at: DateTime<Utc>,
    /// Fees of both sides, in price; 0 where the prices are all there was to pay.
    pub fees: f64,
}

/// A row of the file: its line number, and the trade or what is wrong with it.
pub type Row = (u64, Result<Fill, String>);

/// Reads a file of fills.
///
/// # Errors
/// Exit 4 when it is no such file, 9 when it cannot be read.
pub fn read(path: &Path) -> anyhow::Result<Vec<Row>> {
    let doing = || format!("cannot read fills from {}", path.display());
    let wrong = |why: String| {
        Fault::input(why).hint("the header names signal_id (or pair, timeframe, candle), entry_price, exit_price, closed_at")
    };
    let file = std::fs::File::open(path).map_err(Fault::resource).with_context(doing)?;
    let mut reader =
        csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(file);
    let header =
        reader.headers().map_err(|error| wrong(error.to_string())).with_context(doing)?.clone();
    let place = |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
    let needed =
        |name: &str| place(name).ok_or_else(|| wrong(format!("there is no column {name}")));
    let columns = || -> Result<Columns, Fault> {
        Ok(Columns {
            id: place("signal_id"),
            candle: match (place("pair"), place("timeframe"), place("candle")) {
                (Some(pair), Some(timeframe), Some(at)) => Some([pair, timeframe, at]),
                _ if place("signal_id").is_some() => None,
                _ => return Err(wrong("no column says which signal was traded".into())),
            },
            version: place("version"),
            entry: needed("entry_price")?,
            exit: needed("exit_price")?,
            at: needed("closed_at")?,
            fees: place("fees"),
        })
    };
    let columns = columns().with_context(doing)?;
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => return Err(wrong(error.to_string())).with_context(doing),
        };
        let line = record.position().map_or(0, csv::Position::line);
        rows.push((line, columns.fill(&record)));
    }
    Ok(rows)
}

struct Columns {
    id: Option<usize>,
    candle: Option<[usize; 3]>,
    version: Option<usize>,
    entry: usize,
    exit: usize,
    at: usize,
    fees: Option<usize>,
}

impl Columns {
    fn fill(&self, record: &csv::StringRecord) -> Result<Fill, String> {
        let text = |column: usize| record.get(column).filter(|text| !text.is_empty());
        let number = |name: &str, column: usize| -> Result<f64, String> {
            let text = text(column).ok_or_else(|| format!("{name} is missing"))?;
            let value: f64 = text.parse().map_err(|_| format!("{name} {text:?} is no number"))?;
            if value.is_finite() {
                Ok(value)
            } else {
                Err(format!("{name} {text:?} is not finite"))
            }
        };
        let instant = |name: &str, column: usize| -> Result<DateTime<Utc>, String> {
            let text = text(column).ok_or_else(|| format!("{name} is missing"))?;
            DateTime::parse_from_rfc3339(text)
                .map(|at| at.to_utc())
                .map_err(|_| format!("{name} {text:?} is no instant like 2018-12-03T10:00:00Z"))
        };
        let id = self.id.and_then(text).map(|id| SignalKey::Id(id.to_owned()));
        let signal = match (id, self.candle) {
            (Some(id), _) => id,
            (None, Some([pair, timeframe, at])) => SignalKey::Candle {
                version: self.version.and_then(text).map(str::to_owned),
                pair: text(pair).unwrap_or_default().parse().map_err(|error| format!("{error}"))?,
                timeframe: text(timeframe)
                    .unwrap_or_default()
                    .parse()
                    .map_err(|error| format!("{error}"))?,
                at: instant("candle", at)?,
            },
            (None, None) => return Err("signal_id is missing".into()),
        };
        let price = |name: &str, column: usize| -> Result<f64, String> {
            let value = number(name, column)?;
            if value > 0.0 { Ok(value) } else { Err(format!("{name} {value} is not positive")) }
        };
        let fees = match self.fees.filter(|column| text(*column).is_some()) {
            Some(column) => number("fees", column)?,
            None => 0.0,
        };
        Ok(Fill {
            signal,
            entry: price("entry_price", self.entry)?,
            exit: price("exit_price", self.exit)?,
            at: instant("closed_at", self.at)?,
            fees,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the test writes what it reads")]
    fn rows_are_fills_or_say_why_not() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("fills.csv");
        let text = "closed_at,signal_id,pair,timeframe,candle,entry_price,exit_price,fees\n\
                    2018-12-03T10:00:00Z,7,,,,1.1,1.2,0.0001\n\
                    2018-12-03T10:00:00+01:00,,EURUSD,1h,2018-12-03T07:00:00Z,1.1,1.2,\n\
                    yesterday,8,,,,1.1,1.2,\n\
                    2018-12-03T10:00:00Z,9,,,,0,1.2,\n\
                    2018-12-03T10:00:00Z,10,,,,1.1,NaN,\n\
                    2018-12-03T10:00:00Z,11\n\
                    2018-12-03T10:00:00Z,,EUR,1h,2018-12-03T07:00:00Z,1.1,1.2,\n";
        std::fs::write(&path, text).expect("written");
        let rows = read(&path).expect("a file of fills");
        let first = rows[0].1.as_ref().expect("a fill");
        assert_eq!(
            (rows[0].0, first.signal.clone(), first.fees),
            (2, SignalKey::Id("7".into()), 0.0001)
        );
        let second = rows[1].1.as_ref().expect("a fill");
        assert!(matches!(&second.signal, SignalKey::Candle { version: None, .. }));
        assert_eq!(second.at.to_rfc3339(), "2018-12-03T09:00:00+00:00");
        let why: Vec<&str> =
            rows[2..].iter().map(|(_, row)| row.as_ref().expect_err("none").as_str()).collect();
        for (why, says) in why.iter().zip([
            "closed_at \"yesterday\"",
            "not positive",
            "not finite",
            "missing",
            "EUR",
        ]) {
            assert!(why.contains(says), "{why}");
        }
        for (text, says) in
            [("a,b\n1,2\n", "which signal"), ("signal_id,exit_price,closed_at\n", "entry_price")]
        {
            std::fs::write(&path, text).expect("written");
            assert!(format!("{:#}", read(&path).expect_err("no fills")).contains(says));
        }
    }
}
