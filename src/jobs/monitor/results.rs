//! What production's answers were worth, window by window, and whether that is less than it was.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{Alarm, DAYS, scene::Scene};
use crate::{
    backtest,
    config::{App, LineConfig},
    db::Db,
    evaluate::{Figures, Interval, Predictions, Unseen, compare},
    jobs::assess,
    lineage::{LineName, SeenUntil},
};

/// Windows of results: name, and days that they look back; none: to the promotion.
const WINDOWS: [(&str, Option<i64>); 4] =
    [("24 h", Some(1)), ("7 d", Some(7)), (MONTH, Some(DAYS)), ("promotion", None)];
/// The window that alarms look at.
const MONTH: &str = "30 d";

/// What the answers of a window were worth.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// `24 h`, `7 d`, `30 d` or `promotion`.
    pub window: &'static str,
    /// Its beginning; it ends now.
    pub from: DateTime<Utc>,
    /// The figures; none without a settled sample.
    pub figures: Option<Figures>,
    /// The same answers as trades after costs, one position a series at a time.
    pub trades: Option<backtest::Figures>,
    /// Log-loss of the indicator rule on the same samples less that of the answers, by day, nats; none under five days.
    pub saved_against_indicator: Option<Interval>,
    /// Accuracy of the indicator rule on the same samples.
    pub indicator_accuracy: Option<f64>,
    /// Median time from the close of a candle to its answer, seconds.
    pub delay_s: Option<f64>,
}

/// Every window up to now.
///
/// # Errors
/// When the database fails, or an answer is none.
pub(super) fn of(
    app: &App,
    db: &mut Db,
    (name, line): (&LineName, &LineConfig),
    scene: &Scene,
) -> anyhow::Result<Vec<Results>> {
    let since = |days: Option<i64>| match days {
        Some(days) => app.as_of - TimeDelta::days(days),
        None => scene.promoted_at,
    };
    let since: Vec<DateTime<Utc>> = WINDOWS.iter().map(|(_, days)| since(*days)).collect();
    let delays = db.answer_delays(name, scene.production.version, &since, app.as_of)?;
    let first = scene.answers.predictions.decided_at_us().first().copied().unwrap_or(i64::MAX);
    let first = scene.samples.partition_point(|sample| sample.decided_at_us < first);
    let asked = &scene.samples[first..];
    let indicator = scene.indicator(line, asked)?;
    WINDOWS
        .iter()
        .zip(since)
        .zip(delays)
        .map(|((&(window, _), from), delay_s)| {
            let seen = SeenUntil::new(from);
            let answers = scene.answers.predictions.after(seen);
            let rule = indicator.as_ref().map(|rule| rule.after(seen));
            let begins =
                asked.partition_point(|sample| sample.decided_at_us <= from.timestamp_micros());
            let against = rule.as_ref().map(|rule| compare(&answers, rule)).transpose()?;
            Ok(Results {
                window,
                from,
                figures: answers.figures(),
                trades: (!answers.is_empty()).then(|| {
                    assess::trades(&scene.material, line, &asked[begins..], &answers).figures
                }),
                saved_against_indicator: against.and_then(|against| against.log_loss),
                indicator_accuracy: rule
                    .filter(|rule| !rule.is_empty())
                    .map(|rule| accuracy_of(&rule)),
                delay_s,
            })
        })
        .collect()
}

fn accuracy_of(answers: &Predictions<Unseen>) -> f64 {
    let right = (0..answers.len()).filter(|&i| answers.answer(i) == answers.truth()[i]).count();
    right as f64 / answers.len() as f64
}

/// The figures of the last month; none without a settled sample.
pub(super) fn month(results: &[Results]) -> Option<&Figures> {
    results.iter().find(|one| one.window == MONTH)?.figures.as_ref()
}

/// What production showed on the days that it was judged by when it was made, beside which the windows stand.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Promised {
    /// Share right.
    pub accuracy: Option<f64>,
    /// Most decisions in a row that were all answered with a class, class by class.
    pub longest_runs: Option<Vec<usize>>,
    /// Nats.
    pub log_loss: Option<f64>,
    /// 0 to 2.
    pub brier: Option<f64>,
    /// Expected calibration error.
    pub ece: Option<f64>,
    /// Share of trades with a gain.
    pub win_rate: Option<f64>,
    /// After costs, over the test days.
    pub roi: Option<f64>,
    /// Largest fall of equity over the test days.
    pub max_drawdown: Option<f64>,
    /// Signals other than hold a trading day.
    pub signals_per_day: Option<f64>,
}

impl Promised {
    pub(super) fn of(metrics: &Value) -> Promised {
        let test = |key: &str| metrics.pointer(&format!("/test/{key}")).and_then(Value::as_f64);
        let trade =
            |key: &str| metrics.pointer(&format!("/backtests/model/{key}")).and_then(Value::as_f64);
        Promised {
            accuracy: test("accuracy"),
            longest_runs: metrics
                .pointer("/test/longest_runs")
                .and_then(|runs| serde_json::from_value(runs.clone()).ok()),
            log_loss: test("log_loss"),
            brier: test("brier"),
            ece: test("ece"),
            win_rate: trade("win_rate"),
            roi: trade("roi"),
            max_drawdown: trade("max_drawdown"),
            signals_per_day: trade("signals_per_day"),
        }
    }
}

/// Whether production answers worse than on the days that it was judged by.
pub(super) fn accuracy(line: &LineConfig, month: Option<&Figures>, then: &Promised) -> Alarm {
    let drop = line.triggers.accuracy_drop;
    let alarm = |rings, text| Alarm { name: "accuracy", rings, text };
    let (Some(then), Some(now)) = (then.accuracy, month) else {
        return alarm(false, "no settled answer on a day that production has not seen".to_owned());
    };
    let Some(intervals) = &now.intervals else {
        let text = format!("{} days of answers, where five are needed to tell", now.n_days);
        return alarm(false, text);
    };
    let (low, high) = intervals.accuracy;
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    alarm(
        drop > 0.0 && now.accuracy <= then - drop && high < then,
        format!(
            "accuracy {} ({} to {}) of {} answers on {} days, {} on its test days; a drop of {:.0} points that is more than \
             chance rings",
            percent(now.accuracy),
            percent(low),
            percent(high),
            now.n,
            now.n_days,
            percent(then),
            drop * 100.0
        ),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::evaluate::Predictions;

    fn month(n_right: usize, n_days: usize) -> Option<Figures> {
        let per_day = 100;
        let day_us = crate::market::DAY_US;
        let n = n_days * per_day;
        let at_us =
            |i: usize| 1_704_153_600_000_000 + (i / per_day) as i64 * day_us + (i % per_day) as i64;
        let predictions = Predictions::new(
            2,
            (0..n).flat_map(|_| [0.1, 0.9]).collect(),
            (0..n).map(|i| u8::from(i % per_day < n_right + i / per_day % 2)).collect(),
            (0..n).map(at_us).collect(),
            vec![0; n],
        );
        let seen = SeenUntil::new(DateTime::UNIX_EPOCH);
        predictions.expect("predictions").after(seen).figures()
    }

    #[test]
    fn an_accuracy_rings_only_where_the_drop_is_more_than_chance() {
        let then = Promised::of(&json!({"test": {"accuracy": 0.6}}));
        let of = |month: Option<Figures>| accuracy(&LineConfig::default(), month.as_ref(), &then);
        assert!(of(None).text.contains("no settled answer"));
        assert!(of(month(50, 4)).text.contains("where five are needed"));
        assert!(of(month(50, 10)).rings, "ten points on ten days alike");
        assert!(!of(month(58, 10)).rings, "two points are let be");
        assert!(!of(month(70, 10)).rings);
    }
}
