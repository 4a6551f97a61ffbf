//! Tables `member_answers`, `member_settlements` and `ensemble_weights`: what the members of a mixture answered, what came true,
//! and the weights that follow, one row a day.
//!
//! A day is written once, in one transaction; whoever comes second finds it there. Not here: how weights follow (`ensemble`).

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, Utc};
use postgres::{Row, Transaction};

use super::{Db, Failed, signals::NewSignal};
use crate::{
    ensemble::{Component, EnsembleConfig, Entry, Weights},
    fault::Fault,
    lineage::{LineName, Version},
    market::{Pair, Timeframe},
};

/// A candle that a version answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AnswerKey {
    /// Opening of the candle.
    pub candle_at: DateTime<Utc>,
    /// The pair.
    pub pair: Pair,
    /// The timeframe.
    pub timeframe: Timeframe,
    /// The version.
    pub version: Version,
}

/// What the components of a version answered to a candle.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberAnswer {
    /// Which candle, which version.
    pub key: AnswerKey,
    /// When.
    pub answered_as_of: DateTime<Utc>,
    /// `[n_components, n_classes]` row-major, the class prior first.
    pub parts: Vec<f32>,
    /// Probability of each class by name, as the mixture gave it.
    pub mixture: serde_json::Value,
}

/// That an answer was settled, by which class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// Which candle, which version.
    pub key: AnswerKey,
    /// Place of the class that came true.
    pub class: u8,
    /// The class that was counted before a correction.
    pub corrects: Option<u8>,
}

/// The weights from a midnight on.
#[derive(Debug, Clone, PartialEq)]
pub struct WeightsRow {
    /// The day, UTC.
    pub day: NaiveDate,
    /// Production at its midnight.
    pub version: Version,
    /// The weights.
    pub weights: Weights,
    /// Answers settled since the row before.
    pub n_settled: u64,
    /// The settings that it was made with: only `rate`, `share` and `prior` are kept.
    pub config: EnsembleConfig,
    /// The instant that the run which wrote it took for now.
    pub as_of: DateTime<Utc>,
}

fn broken(table: &str, why: impl std::fmt::Display) -> anyhow::Error {
    Fault::integrity(format!("a row of {table} was changed by hand: {why}"))
        .hint("correct or delete that row")
        .into()
}

fn key_of(row: &Row, table: &str) -> anyhow::Result<AnswerKey> {
    let text = |column: &str| row.get::<_, String>(column);
    Ok(AnswerKey {
        candle_at: row.get("candle_timestamp"),
        pair: text("pair").parse().map_err(|why| broken(table, why))?,
        timeframe: text("timeframe").parse().map_err(|why| broken(table, why))?,
        version: text("version").parse().map_err(|why| broken(table, why))?,
    })
}

const READING_WEIGHTS: &str = "cannot read the weights of the mixture";
const WEIGHTS: &str =
    "SELECT day, version, components, weights, losses, counts, n_settled, rate, share, prior, as_of
                         FROM ensemble_weights WHERE line = $1 AND day <= $2";

fn weights_row(row: &Row) -> anyhow::Result<WeightsRow> {
    const TABLE: &str = "ensemble_weights";
    let components: Vec<String> = row.get("components");
    let weights: Vec<f64> = row.get("weights");
    let losses: Vec<f64> = row.get("losses");
    let counts: Vec<i64> = row.get("counts");
    let n = components.len();
    if [weights.len(), losses.len(), counts.len()] != [n; 3] {
        return Err(broken(TABLE, "its lists differ in length"));
    }
    let entries = (0..n)
        .map(|i| {
            Ok(Entry {
                component: components[i].parse::<Component>().map_err(|why| broken(TABLE, why))?,
                weight: weights[i],
                loss: losses[i],
                n: counts[i].try_into().unwrap_or(0),
            })
        })
        .collect::<anyhow::Result<Vec<Entry>>>()?;
    Ok(WeightsRow {
        day: row.get("day"),
        version: row.get::<_, String>("version").parse().map_err(|why| broken(TABLE, why))?,
        weights: Weights::from_entries(entries)
            .ok_or_else(|| broken(TABLE, "its weights do not sum to 1"))?,
        n_settled: row.get::<_, i64>("n_settled").try_into().unwrap_or(0),
        config: EnsembleConfig {
            rate: row.get("rate"),
            share: row.get("share"),
            prior: row.get("prior"),
            ..EnsembleConfig::default()
        },
        as_of: row.get("as_of"),
    })
}

/// Writes what the components answered, in the transaction that writes the answers themselves.
pub(super) fn insert_answers(
    tx: &mut Transaction<'_>,
    line: &LineName,
    version: Version,
    signals: &[NewSignal],
    as_of: DateTime<Utc>,
) -> Result<(), postgres::Error> {
    let with: Vec<&NewSignal> = signals.iter().filter(|one| !one.parts.is_empty()).collect();
    let Some(width) = with.first().map(|one| one.parts.len()) else { return Ok(()) };
    let parts: Vec<f32> = with.iter().flat_map(|one| one.parts.iter().copied()).collect();
    let pairs: Vec<String> = with.iter().map(|one| one.pair.to_string()).collect();
    let timeframes: Vec<&str> = with.iter().map(|one| one.timeframe.name()).collect();
    let candles: Vec<DateTime<Utc>> = with.iter().map(|one| one.candle_at).collect();
    let width = i64::try_from(width).unwrap_or(i64::MAX);
    tx.execute(
        "INSERT INTO member_answers (line, version, pair, timeframe, candle_timestamp, answered_as_of, probabilities)
         SELECT $1, $2, s.pair, s.timeframe, s.candle, $3, ($4::real[])[((s.n - 1) * $5::bigint + 1)::int : (s.n * $5::bigint)::int]
           FROM unnest($6::text[], $7::text[], $8::timestamptz[]) WITH ORDINALITY AS s(pair, timeframe, candle, n)
         ON CONFLICT DO NOTHING",
        &[
            &line.as_str(),
            &version.to_string(),
            &as_of,
            &parts,
            &width,
            &pairs,
            &timeframes,
            &candles,
        ],
    )?;
    Ok(())
}

impl Db {
    /// The weights of a line, oldest day first, as far as they held at `as_of`.
    ///
    /// # Errors
    /// When the database fails; exit 7 for a row that is no mixture.
    pub fn weights(
        &mut self,
        line: &LineName,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<WeightsRow>> {
        self.client
            .query(&format!("{WEIGHTS} ORDER BY day"), &[&line.as_str(), &as_of.date_naive()])
            .failed(READING_WEIGHTS)?
            .iter()
            .map(weights_row)
            .collect()
    }

    /// The weights of a line that hold at `as_of`.
    ///
    /// # Errors
    /// When the database fails; exit 7 for a row that is no mixture.
    pub fn weights_at(
        &mut self,
        line: &LineName,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Option<WeightsRow>> {
        self.client
            .query_opt(
                &format!("{WEIGHTS} ORDER BY day DESC LIMIT 1"),
                &[&line.as_str(), &as_of.date_naive()],
            )
            .failed(READING_WEIGHTS)?
            .as_ref()
            .map(weights_row)
            .transpose()
    }

    /// The newest day that has weights, whatever instant is asked about.
    ///
    /// # Errors
    /// When the database fails.
    pub fn newest_weights_day(&mut self, line: &LineName) -> anyhow::Result<Option<NaiveDate>> {
        let row = self
            .client
            .query_one("SELECT max(day) FROM ensemble_weights WHERE line = $1", &[&line.as_str()])
            .failed(READING_WEIGHTS)?;
        Ok(row.get(0))
    }

    /// What the members of versions in production answered to candles opening in `[from, until)`, with the mixture's answer, in
    /// order of candle, pair, timeframe and version. What only a shadow answered is not among them.
    ///
    /// # Errors
    /// When the database fails; exit 7 for a row that names no version.
    pub fn member_answers(
        &mut self,
        line: &LineName,
        from: DateTime<Utc>,
        until: DateTime<Utc>,
    ) -> anyhow::Result<Vec<MemberAnswer>> {
        let rows = self
            .client
            .query(
                "SELECT m.version, m.pair, m.timeframe, m.candle_timestamp, m.answered_as_of, m.probabilities,
                        s.probabilities AS mixture
                   FROM member_answers m
                   JOIN trading_signals s ON s.line = m.line AND s.model_version = m.version AND s.pair = m.pair
                        AND s.timeframe = m.timeframe AND s.candle_timestamp = m.candle_timestamp
                  WHERE m.line = $1 AND m.candle_timestamp >= $2 AND m.candle_timestamp < $3 AND NOT s.shadow
                    AND s.probabilities IS NOT NULL
                  ORDER BY m.candle_timestamp, m.pair, m.timeframe, m.version",
                &[&line.as_str(), &from, &until],
            )
            .failed("cannot read what the members answered")?;
        rows.iter()
            .map(|row| {
                Ok(MemberAnswer {
                    key: key_of(row, "member_answers")?,
                    answered_as_of: row.get("answered_as_of"),
                    parts: row.get("probabilities"),
                    mixture: row.get("mixture"),
                })
            })
            .collect()
    }

    /// The last class that each answer to a candle opening from `from` on was settled by.
    ///
    /// # Errors
    /// As [`Db::member_answers`].
    pub fn settled_classes(
        &mut self,
        line: &LineName,
        from: DateTime<Utc>,
    ) -> anyhow::Result<HashMap<AnswerKey, u8>> {
        let rows = self
            .client
            .query(
                "SELECT version, pair, timeframe, candle_timestamp, class FROM member_settlements
                  WHERE line = $1 AND candle_timestamp >= $2 ORDER BY day",
                &[&line.as_str(), &from],
            )
            .failed("cannot read what was settled")?;
        rows.iter()
            .map(|row| {
                let class = u8::try_from(row.get::<_, i16>("class")).unwrap_or(u8::MAX);
                Ok((key_of(row, "member_settlements")?, class))
            })
            .collect()
    }

    /// What moved the weights of a day, in order of candle, pair, timeframe and version.
    ///
    /// # Errors
    /// As [`Db::member_answers`].
    pub fn settlements(
        &mut self,
        line: &LineName,
        day: NaiveDate,
    ) -> anyhow::Result<Vec<Settlement>> {
        let rows = self
            .client
            .query(
                "SELECT version, pair, timeframe, candle_timestamp, class, corrects FROM member_settlements
                  WHERE line = $1 AND day = $2 ORDER BY candle_timestamp, pair, timeframe, version",
                &[&line.as_str(), &day],
            )
            .failed("cannot read what was settled")?;
        let class = |class: i16| u8::try_from(class).unwrap_or(u8::MAX);
        rows.iter()
            .map(|row| {
                Ok(Settlement {
                    key: key_of(row, "member_settlements")?,
                    class: class(row.get("class")),
                    corrects: row.get::<_, Option<i16>>("corrects").map(class),
                })
            })
            .collect()
    }

    /// Writes a day's weights with what moved them, unless the day is written already. Whether it was written now.
    ///
    /// # Errors
    /// When the database fails; then nothing was written.
    pub fn insert_weights(
        &mut self,
        line: &LineName,
        row: &WeightsRow,
        settlements: &[Settlement],
    ) -> anyhow::Result<bool> {
        let doing = "cannot record the weights of the mixture";
        let mut tx = self.client.transaction().failed(doing)?;
        let entries = row.weights.entries();
        let components: Vec<String> =
            entries.iter().map(|entry| entry.component.to_string()).collect();
        let losses: Vec<f64> = entries.iter().map(|entry| entry.loss).collect();
        let counts: Vec<i64> =
            entries.iter().map(|entry| i64::try_from(entry.n).unwrap_or(i64::MAX)).collect();
        let n = tx
            .execute(
                "INSERT INTO ensemble_weights (line, day, version, components, weights, losses, counts, n_settled, rate, share,
                     prior, as_of)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) ON CONFLICT DO NOTHING",
                &[
                    &line.as_str(),
                    &row.day,
                    &row.version.to_string(),
                    &components,
                    &row.weights.values(),
                    &losses,
                    &counts,
                    &i64::try_from(row.n_settled).unwrap_or(i64::MAX),
                    &row.config.rate,
                    &row.config.share,
                    &row.config.prior,
                    &row.as_of,
                ],
            )
            .failed(doing)?;
        if n == 0 {
            return Ok(false);
        }
        let texts =
            |of: &dyn Fn(&Settlement) -> String| settlements.iter().map(of).collect::<Vec<_>>();
        let versions = texts(&|one| one.key.version.to_string());
        let pairs = texts(&|one| one.key.pair.to_string());
        let timeframes = texts(&|one| one.key.timeframe.name().to_owned());
        let candles: Vec<DateTime<Utc>> = settlements.iter().map(|one| one.key.candle_at).collect();
        let classes: Vec<i16> = settlements.iter().map(|one| one.class.into()).collect();
        let corrects: Vec<Option<i16>> =
            settlements.iter().map(|one| one.corrects.map(i16::from)).collect();
        tx.execute(
            "INSERT INTO member_settlements (line, day, version, pair, timeframe, candle_timestamp, class, corrects)
             SELECT $1, $2, s.* FROM unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[], $7::int2[], $8::int2[]) AS s",
            &[&line.as_str(), &row.day, &versions, &pairs, &timeframes, &candles, &classes, &corrects],
        )
        .failed(doing)?;
        tx.commit().failed(doing)?;
        Ok(true)
    }
}
