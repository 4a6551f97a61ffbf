//! What the watch shows of a line, over several tables and aggregated by day where it is: for the page and the metrics.
//!
//! Reads only, and reads leniently: whatever another program wrote into these tables, nothing here fails on it, and a word
//! that aifx does not know comes back as `other`. Not here: what the figures mean (`jobs`).

use chrono::{DateTime, NaiveDate, Utc};
use postgres::Row;
use serde_json::Value;

use super::{Db, Failed, columns};
use crate::lineage::LineName;

/// A stretch of time: after `from`, up to `as_of`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Exclusive.
    pub from: DateTime<Utc>,
    /// Inclusive.
    pub as_of: DateTime<Utc>,
}

/// What the trades that closed on a day brought; shadows never count.
#[derive(Debug, Clone, PartialEq)]
pub struct DayReturn {
    /// UTC day of the closing.
    pub day: NaiveDate,
    /// Buys and sells with a size that closed.
    pub n_trades: i64,
    /// Of those, the won ones.
    pub n_won: i64,
    /// Share of the account won or lost after costs, each trade at the size that its answer gave it.
    pub account_return: f64,
    /// Trades without a size or without a result after costs: they are in no sum.
    pub n_unknown: i64,
    /// Buys and sells that closed, whatever their size.
    pub n_calls: i64,
    /// Sum of what they paid after costs, a share of entry each.
    pub calls_return: f64,
    /// Sum of their sizes.
    pub sizes: f64,
}

/// How often a day's answers said something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayAnswers {
    /// UTC day of the candle.
    pub day: NaiveDate,
    /// `buy`, `sell`, `hold`, `abstain` or `other`.
    pub signal: String,
    /// Answers.
    pub n: i64,
}

/// A move of production, as the row spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MoveText {
    /// The instant that the mover took for now.
    pub at: DateTime<Utc>,
    /// `promote` or `rollback`.
    pub action: String,
    /// Production before.
    pub from: Option<String>,
    /// Production after.
    pub to: String,
    /// Who or what moved it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Against the gate.
    pub forced: bool,
}

/// A look of the monitor.
#[derive(Debug, Clone, PartialEq)]
pub struct Look {
    /// The instant that it took for now.
    pub as_of: DateTime<Utc>,
    /// The version that answered then.
    pub version: Option<String>,
    /// `none`, or what rang.
    pub verdict: String,
    /// Why, in words.
    pub reason: Option<String>,
    /// Figures by window.
    pub metrics: Value,
    /// The features against the reference.
    pub drift: Value,
    /// How well now can be told from the reference.
    pub domain: Value,
    /// Promotions that may yet be taken back.
    pub probation: Value,
    /// Jobs that were wanted.
    pub triggers: Value,
}

/// How often a job ended so on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayRuns {
    /// UTC day.
    pub day: NaiveDate,
    /// `daily`, `weekly`, `monthly`, `monitor`, `collect`, `predict`, `outcomes`.
    pub job: String,
    /// `completed`, `refused` (it did its work and the gate said no), `skipped`, `failed`, `running`.
    pub state: String,
    /// Runs.
    pub n: i64,
    /// Why the last of them ended so.
    pub why: Option<String>,
    /// The last of them.
    pub last: DateTime<Utc>,
}

/// A job that the monitor started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartedRow {
    /// The instant that the monitor took for now.
    pub at: DateTime<Utc>,
    /// The command.
    pub job: String,
    /// Why.
    pub reason: String,
    /// How it ended, as [`DayRuns::state`]; none where no run of that instant is on the record.
    pub state: Option<String>,
    /// What it made.
    pub version: Option<String>,
    /// Why it failed.
    pub why: Option<String>,
}

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AlertRow {
    /// What it is about.
    pub cause: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// What is wrong, for people.
    pub message: String,
    /// When the cause was first seen, by the run that did.
    pub since: Option<DateTime<Utc>>,
    /// When it was last seen.
    pub last_seen: Option<DateTime<Utc>>,
    /// When it was gone; none while it is open.
    pub resolved: Option<DateTime<Utc>>,
    /// How often it was seen.
    pub n_seen: i64,
}

/// Counts of answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AnswerCounts {
    /// Answers by what they said: `buy`, `sell`, `hold`, `abstain`, `other`.
    pub by_signal: Vec<(String, i64)>,
    /// Settled buys and sells by how they ended: `win`, `loss`, `breakeven`, `other`.
    pub by_outcome: Vec<(String, i64)>,
    /// Answers that nothing has settled yet.
    pub n_open: i64,
    /// When the newest answer was given.
    pub answered_at: Option<DateTime<Utc>>,
    /// When the newest outcome was settled.
    pub settled_at: Option<DateTime<Utc>>,
}

/// What an answer said, in words that aifx knows.
const SIGNAL: &str = "CASE WHEN abstained IS NOT NULL THEN 'abstain'
                           WHEN lower(signal) IN ('buy', 'sell', 'hold', 'abstain') THEN lower(signal) ELSE 'other' END";

/// How a run of the training log (`l`, with what it made: `v`) ended.
const ENDED: &str = "CASE WHEN l.status = 'completed' AND v.gate ->> 'passed' = 'false' THEN 'refused'
                          WHEN l.status IN ('completed', 'skipped', 'running') THEN l.status ELSE 'failed' END";
/// When an alert was raised and closed: in the time of the runs that did, or, where those did not say, of the database.
const RAISED: &str = "coalesce(as_of, raised_at, '-infinity')";
const RESOLVED: &str = "coalesce(resolved_as_of, resolved_at)";
/// What [`alert_row`] reads.
const ALERT: &str = "coalesce(cause, ''), severity, left(message, 2000), coalesce(as_of, raised_at),
                     coalesce(seen_as_of, last_seen_at), coalesce(resolved_as_of, resolved_at), n_seen";

fn alert_row(row: &Row, as_of: DateTime<Utc>) -> AlertRow {
    let text = |place: usize| row.get::<_, Option<String>>(place).unwrap_or_default();
    AlertRow {
        cause: text(0),
        severity: text(1),
        message: text(2),
        since: row.get(3),
        last_seen: row.get(4),
        resolved: row.get::<_, Option<DateTime<Utc>>>(5).filter(|at| *at <= as_of),
        n_seen: row.get(6),
    }
}

/// What [`look`] reads.
const LOOK: &str = "as_of, version, verdict, reason, metrics, drift, domain, probation, triggers";

fn look(row: &Row) -> Look {
    let value = |place: usize| row.get::<_, Option<Value>>(place).unwrap_or_default();
    Look {
        as_of: row.get(0),
        version: row.get(1),
        verdict: row.get::<_, Option<String>>(2).unwrap_or_default(),
        reason: row.get(3),
        metrics: value(4),
        drift: value(5),
        domain: value(6),
        probation: value(7),
        triggers: value(8),
    }
}

impl Db {
    /// What production's trades brought, by the day on which they closed.
    ///
    /// # Errors
    /// When the database fails.
    pub fn returns_by_day(
        &mut self,
        line: &LineName,
        stretch: Stretch,
    ) -> anyhow::Result<Vec<DayReturn>> {
        let rows = self
            .client
            .query(
                "SELECT day, count(*) FILTER (WHERE is_sized), count(*) FILTER (WHERE won AND is_sized), coalesce(sum(size * paid), 0),
                        count(*) FILTER (WHERE size * paid IS NULL), count(*), coalesce(sum(paid), 0), coalesce(sum(size), 0)
                   FROM (SELECT (closed_at AT TIME ZONE 'UTC')::date AS day, lower(outcome) = 'win' AS won,
                                position_size IS DISTINCT FROM 0 AS is_sized, position_size::float8 AS size,
                                pnl_net::float8 / nullif(entry_price::float8, 0) AS paid
                           FROM trading_signals
                          WHERE line = $1 AND NOT shadow AND abstained IS NULL AND outcome IS NOT NULL
                            AND lower(signal) IN ('buy', 'sell') AND closed_at > $2 AND closed_at <= $3) AS trade
                  GROUP BY day ORDER BY day",
                &[&line.as_str(), &stretch.from, &stretch.as_of],
            )
            .failed("cannot add up what the signals brought")?;
        Ok(rows
            .iter()
            .map(|row| DayReturn {
                day: row.get(0),
                n_trades: row.get(1),
                n_won: row.get(2),
                account_return: row.get(3),
                n_unknown: row.get(4),
                n_calls: row.get(5),
                calls_return: row.get(6),
                sizes: row.get(7),
            })
            .collect())
    }

    /// Buys and sells of production in a stretch by why they have no size (in the first words; empty: they have one), most first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn calls_by_reason(
        &mut self,
        line: &LineName,
        stretch: Stretch,
    ) -> anyhow::Result<Vec<(String, i64)>> {
        let rows = self
            .client
            .query(
                "SELECT coalesce(split_part(no_size, ' (', 1), '') AS why, count(*) FROM trading_signals
                  WHERE line = $1 AND NOT shadow AND abstained IS NULL AND lower(signal) IN ('buy', 'sell')
                    AND candle_timestamp > $2 AND candle_timestamp <= $3 AND coalesce(answered_as_of, created_at) <= $3
                  GROUP BY why ORDER BY count(*) DESC, why",
                &[&line.as_str(), &stretch.from, &stretch.as_of],
            )
            .failed("cannot count the calls")?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
    }

    /// What production answered, by the day of the candle.
    ///
    /// # Errors
    /// When the database fails.
    pub fn answers_by_day(
        &mut self,
        line: &LineName,
        stretch: Stretch,
    ) -> anyhow::Result<Vec<DayAnswers>> {
        let sql = format!(
            "SELECT (candle_timestamp AT TIME ZONE 'UTC')::date AS day, {SIGNAL} AS said, count(*)
               FROM trading_signals
              WHERE line = $1 AND NOT shadow AND candle_timestamp > $2 AND candle_timestamp <= $3
                AND coalesce(answered_as_of, created_at) <= $3
              GROUP BY day, said ORDER BY day, said"
        );
        let rows = self
            .client
            .query(&sql, &[&line.as_str(), &stretch.from, &stretch.as_of])
            .failed("cannot count the answers")?;
        Ok(rows
            .iter()
            .map(|row| DayAnswers { day: row.get(0), signal: row.get(1), n: row.get(2) })
            .collect())
    }

    /// The moves of production in a stretch, oldest first, at most `limit` of the newest.
    ///
    /// # Errors
    /// When the database fails.
    pub fn moves_in(
        &mut self,
        line: &LineName,
        stretch: Stretch,
        limit: i64,
    ) -> anyhow::Result<Vec<MoveText>> {
        let mut rows = self
            .client
            .query(
                "SELECT as_of, coalesce(action, ''), from_version, coalesce(to_version, ''), actor, reason, forced
                   FROM model_promotions WHERE line = $1 AND as_of > $2 AND as_of <= $3
                  ORDER BY as_of DESC, fence DESC NULLS LAST LIMIT $4",
                &[&line.as_str(), &stretch.from, &stretch.as_of, &limit],
            )
            .failed("cannot read the moves of production")?;
        rows.reverse();
        Ok(rows
            .iter()
            .map(|row| MoveText {
                at: row.get(0),
                action: row.get(1),
                from: row.get(2),
                to: row.get(3),
                actor: row.get(4),
                reason: row.get(5),
                forced: row.get(6),
            })
            .collect())
    }

    /// The last look of the monitor on each day of a stretch, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn looks_by_day(&mut self, line: &LineName, stretch: Stretch) -> anyhow::Result<Vec<Look>> {
        let sql = format!(
            "SELECT DISTINCT ON ((as_of AT TIME ZONE 'UTC')::date) {LOOK}
               FROM monitoring_runs WHERE line = $1 AND as_of > $2 AND as_of <= $3
              ORDER BY (as_of AT TIME ZONE 'UTC')::date, as_of DESC, id DESC"
        );
        let rows = self
            .client
            .query(&sql, &[&line.as_str(), &stretch.from, &stretch.as_of])
            .failed("cannot read what the monitor found")?;
        Ok(rows.iter().map(look).collect())
    }

    /// The newest look of the monitor up to an instant.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_look(
        &mut self,
        line: &LineName,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Option<Look>> {
        let sql = format!(
            "SELECT {LOOK} FROM monitoring_runs
              WHERE line = $1 AND as_of <= $2 ORDER BY as_of DESC, id DESC LIMIT 1"
        );
        let row = self
            .client
            .query_opt(&sql, &[&line.as_str(), &as_of])
            .failed("cannot read what the monitor found last")?;
        Ok(row.as_ref().map(look))
    }

    /// What the monitor started in a stretch, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn started_by_the_monitor(
        &mut self,
        line: &LineName,
        stretch: Stretch,
        limit: i64,
    ) -> anyhow::Result<Vec<StartedRow>> {
        let sql = format!(
            "SELECT r.as_of, one ->> 'job', coalesce(one ->> 'reason', ''), run.state, run.version, run.error
               FROM monitoring_runs r
              CROSS JOIN LATERAL jsonb_array_elements(CASE WHEN jsonb_typeof(r.triggers) = 'array' THEN r.triggers ELSE '[]' END) one
               LEFT JOIN LATERAL (
                    SELECT {ENDED} AS state, l.version, l.error
                      FROM model_training_log l LEFT JOIN model_versions v ON v.run_id = l.run_id
                     WHERE l.line = r.line AND l.as_of = r.as_of AND one ->> 'job' IN ('train-' || l.job, 'evaluate-' || l.job)
                     ORDER BY l.id DESC LIMIT 1) run ON true
              WHERE r.line = $1 AND r.as_of > $2 AND r.as_of <= $3 AND one ->> 'job' IS NOT NULL AND one ->> 'held' IS NULL
              ORDER BY r.as_of DESC, r.id DESC LIMIT $4"
        );
        let rows = self
            .client
            .query(&sql, &[&line.as_str(), &stretch.from, &stretch.as_of, &limit])
            .failed("cannot read what the monitor started")?;
        Ok(rows
            .iter()
            .map(|row| StartedRow {
                at: row.get(0),
                job: row.get(1),
                reason: row.get(2),
                state: row.get(3),
                version: row.get(4),
                why: row.get(5),
            })
            .collect())
    }

    /// How the jobs of a line ended, day by day: the nightly ones by their rows in the training log, the others by what they
    /// leave (a look, a verdict on a series, an answer, an outcome). `data` are the line's series, as collect writes them.
    ///
    /// # Errors
    /// When the database fails.
    pub fn runs_by_day(
        &mut self,
        line: &LineName,
        series: &[(String, String)],
        stretch: Stretch,
    ) -> anyhow::Result<Vec<DayRuns>> {
        let (pairs, timeframes) = columns(series);
        let sql = format!(
            "WITH run AS (
                    SELECT coalesce(l.job, '') AS job, l.as_of AS at,
                           {ENDED} AS state,
                           coalesce(l.error, l.reason) AS why
                      FROM model_training_log l LEFT JOIN model_versions v ON v.run_id = l.run_id
                     WHERE l.line = $1 AND l.as_of > $2 AND l.as_of <= $3
                    UNION ALL
                    SELECT 'monitor', as_of, 'completed', reason
                      FROM monitoring_runs WHERE line = $1 AND as_of > $2 AND as_of <= $3
                    UNION ALL
                    SELECT 'collect', m.as_of, CASE WHEN m.verdict = 'data:failed' THEN 'failed' ELSE 'completed' END, m.reason
                      FROM monitoring_runs m JOIN unnest($4::text[], $5::text[]) AS s (pair, timeframe)
                        ON s.pair = m.metrics ->> 'pair' AND s.timeframe = m.metrics ->> 'timeframe'
                     WHERE m.line IS NULL AND m.verdict LIKE 'data:%' AND m.as_of > $2 AND m.as_of <= $3
                    UNION ALL
                    SELECT DISTINCT 'predict', answered_as_of, 'completed', NULL
                      FROM trading_signals WHERE line = $1 AND NOT shadow AND answered_as_of > $2 AND answered_as_of <= $3
                    UNION ALL
                    SELECT DISTINCT 'outcomes', settled_as_of, 'completed', NULL
                      FROM trading_signals WHERE line = $1 AND settled_as_of > $2 AND settled_as_of <= $3)
                 SELECT (at AT TIME ZONE 'UTC')::date AS day, job, state, count(*), left((array_agg(why ORDER BY at DESC))[1], 300), max(at)
                   FROM run GROUP BY day, job, state ORDER BY day, job, max(at)"
        );
        let rows = self
            .client
            .query(&sql, &[&line.as_str(), &stretch.from, &stretch.as_of, &pairs, &timeframes])
            .failed("cannot read how the jobs ended")?;
        Ok(rows
            .iter()
            .map(|row| DayRuns {
                day: row.get(0),
                job: row.get(1),
                state: row.get(2),
                n: row.get(3),
                why: row.get(4),
                last: row.get(5),
            })
            .collect())
    }

    /// Alerts about a line or about none as they were at the end of a stretch, open ones first and then the newest: all that were
    /// open and those of the stretch, at most `limit`. What an alert says is what it said last.
    ///
    /// # Errors
    /// When the database fails.
    pub fn alerts_in(
        &mut self,
        line: &LineName,
        stretch: Stretch,
        limit: i64,
    ) -> anyhow::Result<Vec<AlertRow>> {
        let sql = format!(
            "SELECT {ALERT} FROM alerts
              WHERE (line = $1 OR line IS NULL) AND {RAISED} <= $3 AND (coalesce({RESOLVED} > $3, true) OR {RAISED} > $2)
              ORDER BY {RESOLVED} <= $3, {RAISED} DESC NULLS LAST, id DESC LIMIT $4"
        );
        let rows = self
            .client
            .query(&sql, &[&line.as_str(), &stretch.from, &stretch.as_of, &limit])
            .failed("cannot read the alerts")?;
        Ok(rows.iter().map(|row| alert_row(row, stretch.as_of)).collect())
    }

    /// Alerts of whichever line that are open at an instant, the oldest first, a hundred at most, and how many there are.
    ///
    /// # Errors
    /// When the database fails.
    pub fn ringing(&mut self, as_of: DateTime<Utc>) -> anyhow::Result<(Vec<AlertRow>, i64)> {
        let sql = format!(
            "SELECT {ALERT}, count(*) OVER () FROM alerts
              WHERE {RAISED} <= $1 AND coalesce({RESOLVED} > $1, true) ORDER BY {RAISED}, id LIMIT 100"
        );
        let rows = self.client.query(&sql, &[&as_of]).failed("cannot read the open alerts")?;
        let n = rows.first().map_or(0, |row| row.get(7));
        Ok((rows.iter().map(|row| alert_row(row, as_of)).collect(), n))
    }

    /// Line (empty: none), cause and whether it rings at an instant, of alerts that are open or were closed within thirty days.
    ///
    /// # Errors
    /// When the database fails.
    pub fn alert_states(
        &mut self,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<(String, String, bool)>> {
        let sql = format!(
            "SELECT coalesce(line, ''), cause, bool_or(coalesce({RESOLVED} > $1, true)) FROM alerts
              WHERE cause IS NOT NULL AND {RAISED} <= $1 AND coalesce({RESOLVED} > $1 - interval '30 days', true)
              GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 1000"
        );
        let rows =
            self.client.query(&sql, &[&as_of]).failed("cannot read the states of the alerts")?;
        Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
    }

    /// Counts of production's answers ever given.
    ///
    /// # Errors
    /// When the database fails.
    pub fn answer_counts(
        &mut self,
        line: &LineName,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<AnswerCounts> {
        let sql = format!(
            "SELECT {SIGNAL} AS said,
                    CASE WHEN outcome IS NULL OR coalesce(settled_as_of, closed_at, $2) > $2 THEN NULL
                         WHEN lower(outcome) IN ('win', 'loss', 'breakeven') THEN lower(outcome) ELSE 'other' END AS ended,
                    count(*), max(answered_as_of), max(settled_as_of) FILTER (WHERE settled_as_of <= $2)
               FROM trading_signals
              WHERE line = $1 AND NOT shadow AND coalesce(answered_as_of, created_at) <= $2
              GROUP BY said, ended ORDER BY said, ended"
        );
        let rows = self
            .client
            .query(&sql, &[&line.as_str(), &as_of])
            .failed("cannot count the answers")?;
        let mut counts = AnswerCounts::default();
        for row in &rows {
            let (said, ended): (String, Option<String>) = (row.get(0), row.get(1));
            let n: i64 = row.get(2);
            counts.answered_at = counts.answered_at.max(row.get(3));
            counts.settled_at = counts.settled_at.max(row.get(4));
            let traded = said == "buy" || said == "sell";
            match ended {
                Some(ended) if traded => add(&mut counts.by_outcome, ended, n),
                None if said != "abstain" => counts.n_open += n,
                _ => {}
            }
            add(&mut counts.by_signal, said, n);
        }
        Ok(counts)
    }

    /// The openings of the last two candles of each series that have opened by an instant, newest first, in the order asked
    /// for. Two, since the newest may still be forming.
    ///
    /// # Errors
    /// When the database fails.
    pub fn last_candles(
        &mut self,
        series: &[(String, String)],
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Vec<Vec<DateTime<Utc>>>> {
        let (pairs, timeframes) = columns(series);
        // One look into the index a series, however long it is.
        let rows = self
            .client
            .query(
                "SELECT ARRAY(SELECT m.\"timestamp\" FROM market_data m
                               WHERE m.pair = s.pair AND m.timeframe = s.timeframe AND m.\"timestamp\" <= $3
                               ORDER BY m.\"timestamp\" DESC LIMIT 2)
                   FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS s (pair, timeframe, place) ORDER BY s.place",
                &[&pairs, &timeframes, &as_of],
            )
            .failed("cannot look for the last candles")?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }
}

fn add(list: &mut Vec<(String, i64)>, name: String, n: i64) {
    match list.iter_mut().find(|(have, _)| *have == name) {
        Some((_, sum)) => *sum += n,
        None => list.push((name, n)),
    }
}
