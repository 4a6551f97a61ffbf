//! Table `trading_signals`: answers in, outcomes in. Each candle of a series is answered once by a version, each signal
//! settled once, whatever is killed or run twice: the unique index and `outcome IS NULL` decide, not the caller.
//!
//! Not here: what a signal says and how it ends (`signal`).

use chrono::{DateTime, Utc};
use postgres::Row;
use serde_json::json;

use super::{
    Db, Failed,
    events::{self, Channel},
};
use crate::{
    feeds::fills::{Fill, SignalKey},
    labels::PastSignal,
    lineage::{LineName, Version},
    market::{Pair, Timeframe},
};

/// An answer to a closed candle.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSignal {
    /// Of which pair.
    pub pair: Pair,
    /// Of which timeframe.
    pub timeframe: Timeframe,
    /// Opening of the candle.
    pub candle_at: DateTime<Utc>,
    /// `buy`, `sell`, `hold` or `abstain`.
    pub signal: &'static str,
    /// Why there is no answer.
    pub abstained: Option<String>,
    /// 0 to 1; none where there is no answer.
    pub confidence: Option<f64>,
    /// Probability of each class, by name.
    pub probabilities: serde_json::Value,
    /// Close of the candle.
    pub entry: f64,
    /// See `signal::Signal`.
    pub stop_loss: Option<f64>,
    /// See `signal::Signal`.
    pub take_profit: Option<f64>,
    /// Share of the account.
    pub size: f64,
    /// When it is closed whatever the price.
    pub expires_at: DateTime<Utc>,
    /// How unlike the training data its window is, where the version can tell.
    pub dissimilarity: Option<f64>,
    /// That this is too unlike, and what became of the signal.
    pub out_of_support: Option<String>,
    /// Why a buy or sell has size 0.
    pub no_size: Option<String>,
    /// Expected return after costs, a share of entry; none where it cannot be told.
    pub expected_net: Option<f64>,
    /// Cost of a round trip, a share of entry; none for hold.
    pub cost: Option<f64>,
    /// What each component of a mixture answered, `[n_components, n_classes]` row-major; empty for a network alone.
    pub parts: Vec<f32>,
}

/// The key that a new answer got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// As written.
    pub pair: String,
    /// As written.
    pub timeframe: String,
    /// Opening of the candle.
    pub candle_at: DateTime<Utc>,
    /// The key, as text.
    pub id: String,
}

/// A signal without an outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenSignal {
    /// Its key as text, whatever its type.
    pub id: String,
    /// As the row spells it.
    pub pair: String,
    /// As the row spells it.
    pub timeframe: String,
    /// As the row spells it.
    pub signal: String,
    /// Opening of the candle that was answered.
    pub candle_at: Option<DateTime<Utc>>,
    /// Price that it counts from.
    pub entry: Option<f64>,
    /// Price at which it is closed at a loss.
    pub stop_loss: Option<f64>,
    /// Price at which it is closed at a gain.
    pub take_profit: Option<f64>,
    /// When it is closed whatever the price.
    pub expires_at: Option<DateTime<Utc>>,
}

/// What a version answered to a candle, as it stands in the table.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredAnswer {
    /// As the row spells it.
    pub version: String,
    /// As the row spells it.
    pub pair: String,
    /// As the row spells it.
    pub timeframe: String,
    /// Opening of the candle.
    pub candle_at: DateTime<Utc>,
    /// Probability of each class, by name.
    pub probabilities: serde_json::Value,
}

/// A signal that has been settled, with its series as the row spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettledSignal {
    /// As the row spells it.
    pub pair: String,
    /// As the row spells it.
    pub timeframe: String,
    /// What became of it.
    pub signal: PastSignal,
}

/// What a version said to a candle.
#[derive(Debug, Clone, PartialEq)]
pub struct Said {
    /// Opening of the candle.
    pub candle_at: DateTime<Utc>,
    /// The signal, in lower case; hold where it said nothing.
    pub signal: String,
    /// The class that the model thought most likely.
    pub likeliest: String,
    /// Probability of each class, in order of the classes' names; empty where it has none.
    pub probabilities: Vec<f64>,
}

/// How a signal ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Closing {
    /// Of which signal.
    pub id: String,
    /// `win`, `loss` or `breakeven`.
    pub outcome: &'static str,
    /// `stop`, `target` or `time-out`.
    pub reason: &'static str,
    /// Mid price.
    pub exit_price: f64,
    /// When.
    pub at: DateTime<Utc>,
    /// In price.
    pub pnl: f64,
    /// In per cent of entry.
    pub pnl_percent: f64,
    /// In price, after costs.
    pub pnl_net: f64,
    /// What says so: `candles`, `rule` or `fill`.
    pub by: &'static str,
}

/// What a closing may be written over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Over {
    /// Nothing: a signal that has an outcome keeps it.
    Nothing,
    /// What candles or a rule made of it, but no real trade.
    Simulated,
}

/// A signal that somebody traded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TradedSignal {
    /// Its key as text.
    pub id: String,
    /// As the row spells it.
    pub signal: String,
    /// Opening of the candle that it answers.
    pub candle_at: Option<DateTime<Utc>>,
    /// As the row spells it.
    pub timeframe: String,
    /// Whether a real trade has settled it.
    pub has_fill: bool,
}

/// What the settled signals of versions were worth: lines `$1` (empty: none), versions `$2`. Holds are no trades, nor is what has
/// size 0; what other programs wrote without a size is one.
const LIVE_SCORES: &str = "
    UPDATE model_versions v SET production_metrics = s.scores
      FROM (SELECT line, model_version,
                   jsonb_build_object(
                       'n_settled', count(*),
                       'n_trades', count(*) FILTER (WHERE signal <> 'hold' AND coalesce(position_size, 1) > 0),
                       'n_calls', count(*) FILTER (WHERE signal <> 'hold'),
                       'n_fills', count(*) FILTER (WHERE settled_by = 'fill'),
                       'wins', count(*) FILTER (WHERE signal <> 'hold' AND coalesce(position_size, 1) > 0 AND outcome = 'win'),
                       'losses', count(*) FILTER (WHERE signal <> 'hold' AND coalesce(position_size, 1) > 0 AND outcome = 'loss'),
                       'win_rate', avg((outcome = 'win')::int) FILTER (WHERE signal <> 'hold' AND coalesce(position_size, 1) > 0),
                       'hold_right', avg((outcome = 'win')::int) FILTER (WHERE signal = 'hold'),
                       'mean_return_net', avg(pnl_net / nullif(entry_price, 0)) FILTER (WHERE signal <> 'hold' AND coalesce(position_size, 1) > 0),
                       'sum_return_net', sum(pnl_net / nullif(entry_price, 0)) FILTER (WHERE signal <> 'hold' AND coalesce(position_size, 1) > 0),
                       'first_candle', min(candle_timestamp), 'last_candle', max(candle_timestamp)) AS scores
              FROM trading_signals
             WHERE NOT shadow AND outcome IS NOT NULL AND abstained IS NULL
               AND (coalesce(line, ''), model_version) IN
                   (SELECT * FROM unnest($1::text[], $2::text[]))
             GROUP BY line, model_version) s
     WHERE v.line = s.line AND v.version = s.model_version";

impl Db {
    /// The last candle of each series that the line has answered, by pair and timeframe as written.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_answers(
        &mut self,
        line: &LineName,
    ) -> anyhow::Result<Vec<(String, String, DateTime<Utc>)>> {
        let rows = self
            .client
            .query(
                "SELECT pair, timeframe, max(candle_timestamp) FROM trading_signals
                 WHERE line = $1 AND NOT shadow AND candle_timestamp IS NOT NULL GROUP BY pair, timeframe",
                &[&line.as_str()],
            )
            .failed("cannot read what was answered last")?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }

    /// What the versions of a line answered to candles opening from `from` on, as far as it was known at `as_of`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn stored_answers(
        &mut self,
        line: &LineName,
        from: DateTime<Utc>,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<StoredAnswer>> {
        let rows = self
            .client
            .query(
                "SELECT model_version, pair, timeframe, candle_timestamp, probabilities FROM trading_signals
                 WHERE line = $1 AND candle_timestamp >= $2 AND answered_as_of <= $3 AND abstained IS NULL
                   AND model_version IS NOT NULL AND probabilities IS NOT NULL",
                &[&line.as_str(), &from, &as_of],
            )
            .failed("cannot read the stored answers")?;
        Ok(rows
            .iter()
            .map(|row| StoredAnswer {
                version: row.get(0),
                pair: row.get(1),
                timeframe: row.get(2),
                candle_at: row.get(3),
                probabilities: row.get(4),
            })
            .collect())
    }

    /// The median time from the close of a candle to its answer by a version, seconds, for the answers since each of `since`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn answer_delays(
        &mut self,
        line: &LineName,
        version: Version,
        since: &[DateTime<Utc>],
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<Option<f64>>> {
        let rows = self
            .client
            .query(
                "SELECT w.place, percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM s.answered_as_of - s.candle_timestamp)::float8
                            - c.seconds)
                   FROM unnest($3::timestamptz[]) WITH ORDINALITY AS w(since, place)
                   JOIN trading_signals s ON s.answered_as_of > w.since
                   JOIN unnest($5::text[], $6::float8[]) AS c(timeframe, seconds) ON c.timeframe = s.timeframe
                  WHERE s.line = $1 AND s.model_version = $2 AND NOT s.shadow AND s.answered_as_of <= $4
                  GROUP BY w.place",
                &[
                    &line.as_str(),
                    &version.to_string(),
                    &since,
                    &as_of,
                    &Timeframe::ALL.map(Timeframe::name).as_slice(),
                    &Timeframe::ALL.map(|one| one.nominal_us() as f64 / 1e6).as_slice(),
                ],
            )
            .failed("cannot read how long answers took")?;
        let mut delays = vec![None; since.len()];
        for row in rows {
            let place = usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or_default();
            delays[place] = row.get(1);
        }
        Ok(delays)
    }

    /// The last answers of a version, or of whatever was in production, at most `n`, oldest first: the candle, what the model thought most likely, and what was said;
    /// those of one candle stand together. What it abstained from is no answer.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_said(
        &mut self,
        line: &LineName,
        version: Option<Version>,
        as_of: DateTime<Utc>,
        n: i64,
    ) -> anyhow::Result<Vec<Said>> {
        let rows = self
            .client
            .query(
                "SELECT candle_timestamp, lower(coalesce(signal, '')),
                        coalesce((SELECT key FROM jsonb_each_text(probabilities) ORDER BY value::float8 DESC, key LIMIT 1), lower(signal), ''),
                        ARRAY(SELECT value::float8 FROM jsonb_each_text(CASE WHEN jsonb_typeof(probabilities) = 'object' THEN probabilities END) ORDER BY key)
                   FROM trading_signals
                  WHERE line = $1 AND ($2::text IS NULL OR model_version = $2) AND NOT shadow AND answered_as_of <= $3 AND candle_timestamp IS NOT NULL
                    AND lower(signal) IS DISTINCT FROM 'abstain'
                  ORDER BY candle_timestamp DESC, pair, timeframe LIMIT $4",
                &[&line.as_str(), &version.map(|version| version.to_string()), &as_of, &n],
            )
            .failed("cannot read the last answers")?;
        let said = |row: &Row| Said {
            candle_at: row.get(0),
            signal: row.get(1),
            likeliest: row.get(2),
            probabilities: row.get(3),
        };
        Ok(rows.iter().rev().map(said).collect())
    }

    /// How many answers of a version to candles opening from `from` on know how unlike the training data their windows are, and
    /// how many of those lie beyond the threshold. Shadows are none.
    ///
    /// # Errors
    /// When the database fails.
    pub fn answers_outside(
        &mut self,
        line: &LineName,
        version: Version,
        from: DateTime<Utc>,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<(i64, i64)> {
        let row = self
            .client
            .query_one(
                "SELECT count(dissimilarity), count(out_of_support) FROM trading_signals
                  WHERE line = $1 AND model_version = $2 AND candle_timestamp >= $3 AND answered_as_of <= $4 AND NOT shadow",
                &[&line.as_str(), &version.to_string(), &from, &as_of],
            )
            .failed("cannot count the answers out of support")?;
        Ok((row.get(0), row.get(1)))
    }

    /// What became of the buys and sells (and holds, where they are wanted) of a line on candles opening from `from` on, as far as it was settled at `as_of`; those
    /// on one candle in the order in which they were written.
    ///
    /// # Errors
    /// When the database fails.
    pub fn settled_signals(
        &mut self,
        line: &LineName,
        from: DateTime<Utc>,
        as_of: DateTime<Utc>,
        with_holds: bool,
    ) -> anyhow::Result<Vec<SettledSignal>> {
        let rows = self
            .client
            .query(
                "SELECT pair, timeframe, candle_timestamp, closed_at, lower(outcome) = 'win', lower(outcome) = 'loss'
                 FROM trading_signals
                 WHERE line = $1 AND candle_timestamp >= $2 AND closed_at <= $3 AND outcome IS NOT NULL
                   AND ($4 OR lower(signal) <> 'hold') AND lower(signal) <> 'abstain' AND NOT shadow
                 ORDER BY id",
                &[&line.as_str(), &from, &as_of, &with_holds],
            )
            .failed("cannot read the settled signals")?;
        Ok(rows
            .iter()
            .map(|row| SettledSignal {
                pair: row.get(0),
                timeframe: row.get(1),
                signal: PastSignal {
                    candle_us: row.get::<_, DateTime<Utc>>(2).timestamp_micros(),
                    closed_us: row.get::<_, DateTime<Utc>>(3).timestamp_micros(),
                    won: row.get(4),
                    lost: row.get(5),
                },
            })
            .collect())
    }

    /// Writes answers with an event each, in one transaction, and returns the keys of those that were new: a candle that this
    /// version has answered already keeps its answer. A shadow's answers are no events.
    ///
    /// # Errors
    /// When the database fails; then nothing was written.
    pub fn insert_signals(
        &mut self,
        line: &LineName,
        version: Version,
        signals: &[NewSignal],
        shadow: bool,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<NewKey>> {
        let doing = "cannot record the answers";
        let mut tx = self.client.transaction().failed(doing)?;
        let texts = |of: &dyn Fn(&NewSignal) -> String| signals.iter().map(of).collect::<Vec<_>>();
        let numbers =
            |of: &dyn Fn(&NewSignal) -> Option<f64>| signals.iter().map(of).collect::<Vec<_>>();
        let pairs = texts(&|one| one.pair.to_string());
        let timeframes = texts(&|one| one.timeframe.name().to_owned());
        let names = texts(&|one| one.signal.to_owned());
        let abstained: Vec<Option<&str>> =
            signals.iter().map(|one| one.abstained.as_deref()).collect();
        let candles: Vec<DateTime<Utc>> = signals.iter().map(|one| one.candle_at).collect();
        let expiries: Vec<DateTime<Utc>> = signals.iter().map(|one| one.expires_at).collect();
        let outside: Vec<Option<&str>> =
            signals.iter().map(|one| one.out_of_support.as_deref()).collect();
        let no_size: Vec<Option<&str>> = signals.iter().map(|one| one.no_size.as_deref()).collect();
        let probabilities: Vec<&serde_json::Value> =
            signals.iter().map(|one| &one.probabilities).collect();
        let rows = tx
            .query(
                "INSERT INTO trading_signals (line, model_version, answered_as_of, pair, timeframe, signal, abstained,
                        candle_timestamp, expires_at, probabilities, confidence, entry_price, stop_loss, take_profit,
                        position_size, dissimilarity, out_of_support, no_size, expected_return_net, cost, shadow)
                 SELECT $1, $2, $3, s.*, $16 FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
                        $9::timestamptz[], $10::jsonb[], $11::float8[], $12::float8[], $13::float8[], $14::float8[],
                        $15::float8[], $17::float8[], $18::text[], $19::text[], $20::float8[], $21::float8[]) AS s
                 ON CONFLICT (coalesce(line, ''), model_version, pair, timeframe, candle_timestamp)
                    WHERE model_version IS NOT NULL AND candle_timestamp IS NOT NULL DO NOTHING
                 RETURNING pair, timeframe, signal, candle_timestamp, confidence::float8, entry_price::float8, id::text,
                           out_of_support IS NOT NULL, position_size::float8, no_size, expected_return_net, cost",
                &[
                    &line.as_str(),
                    &version.to_string(),
                    &as_of,
                    &pairs,
                    &timeframes,
                    &names,
                    &abstained,
                    &candles,
                    &expiries,
                    &probabilities,
                    &numbers(&|one| one.confidence),
                    &numbers(&|one| Some(one.entry)),
                    &numbers(&|one| one.stop_loss),
                    &numbers(&|one| one.take_profit),
                    &numbers(&|one| Some(one.size)),
                    &shadow,
                    &numbers(&|one| one.dissimilarity),
                    &outside,
                    &no_size,
                    &numbers(&|one| one.expected_net),
                    &numbers(&|one| one.cost),
                ],
            )
            .failed(doing)?;
        super::ensemble::insert_answers(&mut tx, line, version, signals, as_of).failed(doing)?;
        let payload = |row: &Row| {
            json!({
                "line": line, "version": version.to_string(), "pair": row.get::<_, String>(0),
                "timeframe": row.get::<_, String>(1), "signal": row.get::<_, String>(2),
                "candle": row.get::<_, DateTime<Utc>>(3), "confidence": row.get::<_, Option<f64>>(4),
                "entry": row.get::<_, Option<f64>>(5), "signal_id": row.get::<_, String>(6),
                "out_of_support": row.get::<_, bool>(7), "size": row.get::<_, Option<f64>>(8),
                "no_size": row.get::<_, Option<String>>(9), "expected_return_net": row.get::<_, Option<f64>>(10),
                "cost": row.get::<_, Option<f64>>(11),
            })
        };
        // A shadow's answer is compared, never traded: nobody is told of it.
        let told = if shadow { &[][..] } else { &rows[..] };
        let payloads: Vec<_> = told.iter().map(payload).collect();
        events::insert_all(&mut tx, Channel::NewPrediction, &payloads, as_of).failed(doing)?;
        tx.commit().failed(doing)?;
        let key = |row: &Row| NewKey {
            pair: row.get(0),
            timeframe: row.get(1),
            candle_at: row.get(3),
            id: row.get(6),
        };
        Ok(rows.iter().map(key).collect())
    }

    /// Signals of a line without an outcome, by series and candle; those that other programs wrote have no line.
    ///
    /// # Errors
    /// When the database fails.
    pub fn open_signals(&mut self, line: &LineName) -> anyhow::Result<Vec<OpenSignal>> {
        let rows = self
            .client
            .query(
                "SELECT id::text, coalesce(pair, ''), coalesce(timeframe, ''), lower(coalesce(signal, '')),
                        candle_timestamp, entry_price::float8, stop_loss::float8, take_profit::float8, expires_at
                 FROM trading_signals
                 WHERE line = $1 AND outcome IS NULL AND abstained IS NULL
                 ORDER BY pair, timeframe, candle_timestamp",
                &[&line.as_str()],
            )
            .failed("cannot read the open signals")?;
        Ok(rows
            .iter()
            .map(|row| OpenSignal {
                id: row.get(0),
                pair: row.get(1),
                timeframe: row.get(2),
                signal: row.get(3),
                candle_at: row.get(4),
                entry: row.get(5),
                stop_loss: row.get(6),
                take_profit: row.get(7),
                expires_at: row.get(8),
            })
            .collect())
    }

    /// The signals of keys, in their order. A candle that several versions answered means the one that was traded: no
    /// shadow, the last to answer.
    ///
    /// # Errors
    /// When the database fails.
    pub fn signals_of(&mut self, keys: &[&SignalKey]) -> anyhow::Result<Vec<Option<TradedSignal>>> {
        let mut ids = Vec::with_capacity(keys.len());
        let mut versions = Vec::with_capacity(keys.len());
        let mut pairs = Vec::with_capacity(keys.len());
        let mut timeframes = Vec::with_capacity(keys.len());
        let mut candles = Vec::with_capacity(keys.len());
        for key in keys {
            let (id, version, pair, timeframe, at) = match key {
                SignalKey::Id(id) => (Some(id.as_str()), None, None, None, None),
                SignalKey::Candle { version, pair, timeframe, at } => {
                    let (pair, timeframe) = (pair.to_string(), timeframe.name());
                    (None, version.as_deref(), Some(pair), Some(timeframe), Some(*at))
                }
            };
            ids.push(id);
            versions.push(version);
            pairs.push(pair);
            timeframes.push(timeframe);
            candles.push(at);
        }
        let rows = self
            .client
            .query(
                "SELECT DISTINCT ON (k.n) k.n, s.id::text, lower(coalesce(s.signal, '')), s.candle_timestamp,
                        s.settled_by IS NOT DISTINCT FROM 'fill', coalesce(s.timeframe, '')
                   FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
                        WITH ORDINALITY AS k(id, version, pair, timeframe, candle, n)
                   JOIN trading_signals s
                     ON s.id::text = k.id
                     OR (k.id IS NULL AND s.pair = k.pair AND s.timeframe = k.timeframe AND s.candle_timestamp = k.candle
                         AND (k.version IS NULL OR s.model_version = k.version))
                  ORDER BY k.n, s.shadow, s.id DESC",
                &[&ids, &versions, &pairs, &timeframes, &candles],
            )
            .failed("cannot look the traded signals up")?;
        let mut found = vec![None; keys.len()];
        for row in rows {
            let place = usize::try_from(row.get::<_, i64>(0) - 1).unwrap_or_default();
            found[place] = Some(TradedSignal {
                id: row.get(1),
                signal: row.get(2),
                candle_at: row.get(3),
                has_fill: row.get(4),
                timeframe: row.get(5),
            });
        }
        Ok(found)
    }

    /// The closed trades of the table `user_trading_history` with their signals' keys; none where there is no such table, or
    /// none that says which signal was traded at which prices.
    ///
    /// # Errors
    /// When the database fails.
    pub fn traded(&mut self) -> anyhow::Result<Vec<(String, Fill)>> {
        let doing = "cannot read user_trading_history";
        let names: Vec<String> = self
            .client
            .query(
                "SELECT column_name::text FROM information_schema.columns
                  WHERE table_schema = ANY(current_schemas(false)) AND table_name = 'user_trading_history'",
                &[],
            )
            .failed(doing)?
            .iter()
            .map(|row| row.get(0))
            .collect();
        let pick = |wanted: &[&'static str]| {
            wanted.iter().copied().find(|name| names.iter().any(|have| have == name))
        };
        let (Some(signal), Some(entry), Some(exit), Some(at)) = (
            pick(&["signal_id"]),
            pick(&["entry_price"]),
            pick(&["exit_price"]),
            pick(&["closed_at", "exit_time"]),
        ) else {
            return Ok(Vec::new());
        };
        let fees = pick(&["fees", "commission"]).map_or("0".to_owned(), |name| format!("h.{name}"));
        // Only what is news: a history grows for years.
        let sql = format!(
            "SELECT h.{signal}::text, h.{entry}::float8, h.{exit}::float8, h.{at}::timestamptz, coalesce({fees}, 0)::float8
               FROM user_trading_history h JOIN trading_signals s ON s.id::text = h.{signal}::text
              WHERE h.{entry} > 0 AND h.{exit} > 0 AND h.{at} IS NOT NULL AND s.settled_by IS DISTINCT FROM 'fill'
              ORDER BY h.{at}"
        );
        let rows = self.client.query(&sql, &[]).failed(doing)?;
        Ok(rows
            .iter()
            .map(|row| {
                let id: String = row.get(0);
                let fill = Fill {
                    signal: SignalKey::Id(id.clone()),
                    entry: row.get(1),
                    exit: row.get(2),
                    at: row.get(3),
                    fees: row.get(4),
                };
                (id, fill)
            })
            .collect())
    }

    /// Settles signals with an event each, in one transaction, and returns how many were.
    ///
    /// # Errors
    /// When the database fails; then nothing was written.
    pub fn close_signals(
        &mut self,
        closings: &[Closing],
        over: Over,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<usize> {
        let doing = "cannot record the outcomes";
        let mut tx = self.client.transaction().failed(doing)?;
        let ids: Vec<&str> = closings.iter().map(|one| one.id.as_str()).collect();
        let outcomes: Vec<&str> = closings.iter().map(|one| one.outcome).collect();
        let reasons: Vec<&str> = closings.iter().map(|one| one.reason).collect();
        let by: Vec<&str> = closings.iter().map(|one| one.by).collect();
        let at: Vec<DateTime<Utc>> = closings.iter().map(|one| one.at).collect();
        let numbers = |of: &dyn Fn(&Closing) -> f64| closings.iter().map(of).collect::<Vec<_>>();
        // A hundred thousand at once sort on disk otherwise, and are planned for longer than they take.
        tx.batch_execute("SET LOCAL jit = off; SET LOCAL work_mem = '64MB'").failed(doing)?;
        events::take_turn(&mut tx).failed(doing)?;
        // A table that was there before may have any key; compared as what it is, its index finds the rows.
        let key: String = tx
            .query_one(
                "SELECT format_type(atttypid, atttypmod) FROM pg_attribute
                  WHERE attrelid = 'trading_signals'::regclass AND attname = 'id'",
                &[],
            )
            .failed(doing)?
            .get(0);
        // The events are made where the rows are: taking a hundred thousand of them here and back costs as much again.
        let closed = tx
            .query(
                &format!("WITH closed AS (
                    UPDATE trading_signals s
                       SET outcome = c.outcome, exit_reason = c.reason, closed_at = c.at, exit_price = c.price,
                           pnl = c.pnl, pnl_percent = c.percent, pnl_net = c.net, settled_as_of = $1, settled_by = c.by
                      FROM unnest($2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::float8[], $7::float8[],
                           $8::float8[], $9::float8[], $10::text[]) AS c(id, outcome, reason, at, price, pnl, percent, net, by)
                     WHERE s.id = c.id::{key}
                       AND (s.outcome IS NULL OR ($12 AND s.settled_by IS DISTINCT FROM 'fill'))
                     RETURNING s.id::text AS id, s.shadow, s.line, s.model_version, s.pair, s.timeframe, s.signal, s.candle_timestamp, s.outcome,
                               s.exit_reason, c.net),
                 told AS (
                    INSERT INTO ml_events (event_id, channel, payload, as_of)
                    SELECT gen_random_uuid(), $11,
                           jsonb_build_object('signal_id', id, 'line', line, 'version', model_version, 'pair', pair,
                               'timeframe', timeframe, 'signal', signal, 'candle', candle_timestamp,
                               'outcome', outcome, 'reason', exit_reason, 'pnl_net', net), $1
                      FROM closed WHERE NOT shadow)
                 SELECT coalesce(line, ''), model_version, count(*) FROM closed GROUP BY 1, 2"),
                &[
                    &as_of,
                    &ids,
                    &outcomes,
                    &reasons,
                    &at,
                    &numbers(&|one| one.exit_price),
                    &numbers(&|one| one.pnl),
                    &numbers(&|one| one.pnl_percent),
                    &numbers(&|one| one.pnl_net),
                    &by,
                    &Channel::SignalOutcome.name(),
                    &(over == Over::Simulated),
                ],
            )
            .failed(doing)?;
        let lines: Vec<String> = closed.iter().map(|row| row.get(0)).collect();
        let versions: Vec<Option<String>> = closed.iter().map(|row| row.get(1)).collect();
        tx.execute(LIVE_SCORES, &[&lines, &versions]).failed("cannot update the live scores")?;
        tx.commit().failed(doing)?;
        let n: i64 = closed.iter().map(|row| row.get::<_, i64>(2)).sum();
        Ok(usize::try_from(n).unwrap_or_default())
    }
}
