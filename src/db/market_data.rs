//! Tables `market_data` and `market_data_revisions`: candles in and out.
//!
//! In: binary COPY into a staging table, one upsert, one transaction; what a value replaced is kept as a revision. Out:
//! row by row into columns (never `query`, which would hold every row twice), checked again. Prices may be NUMERIC.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use postgres::{
    binary_copy::BinaryCopyInWriter,
    fallible_iterator::FallibleIterator,
    types::{ToSql, Type},
};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Db, Failed, events, events::Channel};
use crate::{
    fault::Fault,
    market::{CandleColumns, Candles, CandlesError, Pair, Timeframe, instant},
};

/// What to do with rows of the table that are no candles.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnBadCandle {
    /// Nothing is read.
    #[default]
    Fail,
    /// They are left out and named, as long as they are few: at most [`FEW`] of the series.
    Drop,
}

/// The share of bad rows up to which [`OnBadCandle::Drop`] leaves them out.
pub const FEW: f64 = 0.001;

/// Which candles are wanted.
#[derive(Debug, Clone, Copy)]
pub struct CandleRange {
    /// Opening at or after this instant; `None`: from the first one on.
    pub from: Option<DateTime<Utc>>,
    /// Closed by this instant.
    pub as_of: DateTime<Utc>,
    /// Only values that were known at `as_of`: superseded revisions stand in for later corrections.
    pub as_known: bool,
    /// Rows that are no candles.
    pub on_bad: OnBadCandle,
}

/// Puts the staged candles among those that are there: new ones in, changed ones over the old, which become revisions.
/// Returns how many of each.
fn merge(
    tx: &mut postgres::Transaction<'_>,
    key: &[&(dyn ToSql + Sync)],
    doing: &str,
) -> anyhow::Result<(u64, u64)> {
    // Compared as numbers: a NUMERIC(10,5) must not call 1.10000 and 1.1 different.
    let differs = "(m.open::float8, m.high::float8, m.low::float8, m.close::float8, coalesce(m.volume, 0)::float8)
                   IS DISTINCT FROM (i.open, i.high, i.low, i.close, i.volume)";
    tx.execute(
        &format!(
            "INSERT INTO market_data_revisions
                    (pair, timeframe, \"timestamp\", open, high, low, close, volume, ingested_at)
             SELECT m.pair, m.timeframe, m.\"timestamp\", m.open, m.high, m.low, m.close,
                    coalesce(m.volume, 0), m.ingested_at
               FROM market_data m JOIN incoming i ON m.\"timestamp\" = i.at
              WHERE m.pair = $1 AND m.timeframe = $2 AND {differs}"
        ),
        key,
    )
    .failed(doing)?;
    let updated = tx
        .execute(
            &format!(
                "UPDATE market_data m SET open = i.open, high = i.high, low = i.low, close = i.close,
                        volume = i.volume, ingested_at = now()
                   FROM incoming i
                  WHERE m.pair = $1 AND m.timeframe = $2 AND m.\"timestamp\" = i.at AND {differs}"
            ),
            key,
        )
        .failed(doing)?;
    let inserted = tx
        .execute(
            "INSERT INTO market_data (pair, timeframe, \"timestamp\", open, high, low, close, volume)
             SELECT $1, $2, at, open, high, low, close, volume FROM incoming ORDER BY at
             ON CONFLICT (pair, timeframe, \"timestamp\") DO NOTHING",
            key,
        )
        .failed(doing)?;
    Ok((inserted, updated))
}

/// What a volume of 0 says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZeroVolume {
    /// That there was none.
    None,
    /// Nothing: what the table holds stays (providers of quotes count no volume for currencies).
    Unknown,
}

/// What an import changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Upserted {
    /// New candles.
    pub inserted: u64,
    /// Candles whose values were replaced; the old ones are kept as revisions.
    pub updated: u64,
    /// Candles that were there with the same values.
    pub unchanged: u64,
}

/// What the table holds of one series.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// The pair as the table spells it.
    pub pair: String,
    /// The timeframe as the table spells it.
    pub timeframe: String,
    /// Candles.
    pub n_candles: i64,
    /// Opening instant of the first.
    pub first: DateTime<Utc>,
    /// Opening instant of the last.
    pub last: DateTime<Utc>,
}

/// `3 of 1200 rows are no candles (2 × price not positive, 1 × twice): candle at …; …`
fn refusal(refused: &[CandlesError], n_rows: usize) -> String {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for error in refused {
        *counts.entry(error.rule()).or_default() += 1;
    }
    let rules: Vec<String> =
        counts.into_iter().map(|(rule, count)| format!("{count} × {rule}")).collect();
    let examples: Vec<String> = refused.iter().take(3).map(ToString::to_string).collect();
    format!(
        "{} of {n_rows} rows are no candles ({}): {}",
        refused.len(),
        rules.join(", "),
        examples.join("; ")
    )
}

impl Db {
    /// Writes candles of one series in one transaction; the last import wins. With `dry_run` nothing is kept, and the
    /// counts are what would have happened.
    ///
    /// # Errors
    /// When the database refuses; then nothing has changed.
    pub fn upsert_candles(
        &mut self,
        pair: &Pair,
        timeframe: Timeframe,
        columns: &CandleColumns,
        zero_volume: ZeroVolume,
        dry_run: bool,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Upserted> {
        let doing = "cannot write candles";
        let mut tx = self.client.transaction().failed(doing)?;
        tx.batch_execute(
            "CREATE TEMP TABLE incoming (at timestamptz, open float8, high float8, low float8, close float8,
                                         volume float8) ON COMMIT DROP",
        )
        .failed(doing)?;
        let sink = tx.copy_in("COPY incoming FROM STDIN (FORMAT binary)").failed(doing)?;
        let mut writer = BinaryCopyInWriter::new(
            sink,
            &[
                Type::TIMESTAMPTZ,
                Type::FLOAT8,
                Type::FLOAT8,
                Type::FLOAT8,
                Type::FLOAT8,
                Type::FLOAT8,
            ],
        );
        for row in 0..columns.len() {
            let at = instant(columns.open_at_us[row]);
            writer
                .write(&[
                    &at,
                    &columns.open[row],
                    &columns.high[row],
                    &columns.low[row],
                    &columns.close[row],
                    &columns.volume[row],
                ])
                .failed(doing)?;
        }
        writer.finish().failed(doing)?;
        let (pair, timeframe) = (pair.to_string(), timeframe.name());
        let key: [&(dyn ToSql + Sync); 2] = [&pair, &timeframe];
        // A series that is all new needs no comparison and no conflict clause, which cost half of an import. The lock
        // keeps a second import from making it old meanwhile; reading goes on.
        tx.batch_execute("LOCK TABLE market_data IN SHARE ROW EXCLUSIVE MODE").failed(doing)?;
        let is_new: bool = tx
            .query_one(
                "SELECT NOT EXISTS (SELECT 1 FROM market_data m, (SELECT min(at) AS low, max(at) AS high FROM incoming) r
                                     WHERE m.pair = $1 AND m.timeframe = $2
                                       AND m.\"timestamp\" BETWEEN r.low AND r.high)",
                &key,
            )
            .failed(doing)?
            .get(0);
        let (inserted, updated) = if is_new {
            let inserted = tx
                .execute(
                    "INSERT INTO market_data (pair, timeframe, \"timestamp\", open, high, low, close, volume)
                     SELECT $1, $2, at, open, high, low, close, volume FROM incoming",
                    &key,
                )
                .failed(doing)?;
            (inserted, 0)
        } else {
            if zero_volume == ZeroVolume::Unknown {
                tx.execute(
                    "UPDATE incoming i SET volume = m.volume::float8 FROM market_data m
                      WHERE m.pair = $1 AND m.timeframe = $2 AND m.\"timestamp\" = i.at AND i.volume = 0
                        AND m.volume IS NOT NULL",
                    &key,
                )
                .failed(doing)?;
            }
            merge(&mut tx, &key, doing)?
        };
        if !dry_run && inserted + updated > 0 {
            let last = columns.open_at_us.last().map(|at_us| instant(*at_us));
            let payload = json!({
                "pair": pair, "timeframe": timeframe, "inserted": inserted, "updated": updated, "last": last,
            });
            events::insert(&mut tx, Channel::NewMarketData, &payload, as_of).failed(doing)?;
        }
        if dry_run {
            tx.rollback().failed(doing)?;
        } else {
            tx.commit().failed(doing)?;
        }
        let n = columns.len() as u64;
        Ok(Upserted { inserted, updated, unchanged: n - inserted - updated })
    }

    /// Candles of one series, closed by `as_of`, sorted.
    ///
    /// # Errors
    /// Exit 4 counting and naming what the table holds that is no candle, unless it may be left out; else when the database
    /// fails.
    pub fn candles(
        &mut self,
        pair: &Pair,
        timeframe: Timeframe,
        range: CandleRange,
    ) -> anyhow::Result<Candles> {
        let doing = format!("cannot read {timeframe} candles of {pair}");
        // Rows of other programs may spell the pair without the slash.
        let spellings = vec![pair.to_string(), pair.compact()];
        let from = range.from.unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
        let current = "SELECT \"timestamp\" AS at, open::float8 AS o, high::float8 AS h, low::float8 AS l,
                              close::float8 AS c, coalesce(volume, 0)::float8 AS v
                         FROM market_data
                        WHERE pair = ANY($1) AND timeframe = $2 AND \"timestamp\" >= $3 AND \"timestamp\" < $4";
        let sql = if range.as_known {
            format!(
                "{current} AND (ingested_at IS NULL OR ingested_at <= $4)
                 UNION ALL
                 SELECT \"timestamp\", open, high, low, close, volume FROM market_data_revisions
                  WHERE pair = ANY($1) AND timeframe = $2 AND \"timestamp\" >= $3 AND \"timestamp\" < $4
                    AND (ingested_at IS NULL OR ingested_at <= $4) AND superseded_at > $4
                 ORDER BY 1"
            )
        } else {
            format!("{current} ORDER BY 1")
        };
        let name = timeframe.name();
        let parameters: [&(dyn ToSql + Sync); 4] = [&spellings, &name, &from, &range.as_of];
        let mut rows = self.client.query_raw(&sql, parameters).failed(&doing)?;
        let mut columns = CandleColumns::default();
        let as_of_us = range.as_of.timestamp_micros();
        while let Some(row) = rows.next().failed(&doing)? {
            let at: DateTime<Utc> = row.get(0);
            let at_us = at.timestamp_micros();
            if timeframe.close_at(at_us) > as_of_us {
                continue;
            }
            // A missing price is refused with the others.
            let price = |column: usize| row.get::<_, Option<f64>>(column).unwrap_or(f64::NAN);
            columns.push_raw(at_us, [price(1), price(2), price(3), price(4)], row.get(5));
        }
        let n = columns.len();
        let refused = columns.take_refused(timeframe);
        if !refused.is_empty() {
            let text = refusal(&refused, n);
            if range.on_bad == OnBadCandle::Fail || refused.len() as f64 > FEW * n as f64 {
                let fault = Fault::input(text).hint(
                    "correct or delete these rows of market_data, or import the candles again \
                     (`database: {bad_candles: drop}` in aifx.yaml leaves up to one in a thousand out)",
                );
                return Err(anyhow::Error::from(fault).context(doing));
            }
            tracing::warn!("{timeframe} candles of {pair}: {text}; left out");
        }
        Candles::new(pair.clone(), timeframe, range.as_of, columns)
            .map_err(|error| anyhow::Error::from(Fault::input(error)).context(doing))
    }

    /// How many candles of a series open from `from` on and before `to`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn count_candles(
        &mut self,
        pair: &Pair,
        timeframe: Timeframe,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> anyhow::Result<u64> {
        let spellings = vec![pair.to_string(), pair.compact()];
        let row = self
            .client
            .query_one(
                "SELECT count(*) FROM market_data
                  WHERE pair = ANY($1) AND timeframe = $2 AND \"timestamp\" >= $3 AND \"timestamp\" < $4",
                &[&spellings, &timeframe.name(), &from, &to],
            )
            .failed("cannot count candles")?;
        Ok(row.get::<_, i64>(0).unsigned_abs())
    }

    /// What the table holds, one entry a series.
    ///
    /// # Errors
    /// When the database fails.
    pub fn coverage(&mut self) -> anyhow::Result<Vec<Coverage>> {
        let rows = self
            .client
            .query(
                "SELECT pair::text, timeframe::text, count(*), min(\"timestamp\"), max(\"timestamp\")
                   FROM market_data GROUP BY 1, 2 ORDER BY 1, 2",
                &[],
            )
            .failed("cannot count candles")?;
        Ok(rows
            .iter()
            .map(|row| Coverage {
                pair: row.get(0),
                timeframe: row.get(1),
                n_candles: row.get(2),
                first: row.get(3),
                last: row.get(4),
            })
            .collect())
    }

    /// [`Db::coverage`] in a few words, for messages.
    ///
    /// # Errors
    /// When the database fails.
    pub fn coverage_text(&mut self) -> anyhow::Result<String> {
        let coverage = self.coverage()?;
        let mut series: Vec<String> = coverage
            .iter()
            .take(8)
            .map(|c| {
                let (first, last) = (c.first.format("%F"), c.last.format("%F"));
                format!("{} {} {first} to {last}", c.pair, c.timeframe)
            })
            .collect();
        if coverage.len() > series.len() {
            series.push(format!("{} more", coverage.len() - series.len()));
        }
        Ok(if series.is_empty() { "none at all".to_owned() } else { series.join(", ") })
    }
}
