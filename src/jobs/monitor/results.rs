//! What production's answers were worth, window by window, and whether that is less than it was.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;

use super::{Alarm, DAYS, scene::Scene};
use crate::{config::LineConfig, evaluate::Figures, lineage::SeenUntil};

/// Windows of results, days.
const RESULT_DAYS: [i64; 3] = [1, 7, DAYS];

/// A window of results.
#[derive(Debug, Clone, Serialize)]
pub struct Results {
    /// Days that it looks back.
    pub days: i64,
    /// Answers of the last [`DAYS`] days that were given when the candle closed; the rest are replayed.
    pub n_stored: usize,
    /// The figures; none without a settled sample.
    pub figures: Option<Figures>,
}

/// Every window up to `as_of`.
pub(super) fn of(scene: &Scene, as_of: DateTime<Utc>) -> Vec<Results> {
    let window = |days: i64| {
        let since = SeenUntil::new(as_of - TimeDelta::days(days));
        let figures = scene.answers.predictions.after(since).figures();
        Results { days, n_stored: scene.answers.n_stored, figures }
    };
    RESULT_DAYS.into_iter().map(window).collect()
}

/// Whether production answers worse than on the days that it was judged by.
pub(super) fn accuracy(line: &LineConfig, results: &[Results], metrics: &Value) -> Alarm {
    let drop = line.triggers.accuracy_drop;
    let then = metrics.pointer("/test/accuracy").and_then(Value::as_f64);
    let month = results.iter().find(|one| one.days == DAYS).and_then(|one| one.figures.as_ref());
    let alarm = |rings, text| Alarm { name: "accuracy", rings, text };
    let (Some(then), Some(now)) = (then, month) else {
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

    fn month(n_right: usize, n_days: usize) -> Results {
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
        let figures = predictions.expect("predictions").after(seen).figures();
        Results { days: DAYS, n_stored: 0, figures }
    }

    #[test]
    fn an_accuracy_rings_only_where_the_drop_is_more_than_chance() {
        let metrics = json!({"test": {"accuracy": 0.6}});
        let of = |results: &[Results]| accuracy(&LineConfig::default(), results, &metrics);
        assert!(of(&[]).text.contains("no settled answer"));
        assert!(of(&[month(50, 4)]).text.contains("where five are needed"));
        assert!(of(&[month(50, 10)]).rings, "ten points on ten days alike");
        assert!(!of(&[month(58, 10)]).rings, "two points are let be");
        assert!(!of(&[month(70, 10)]).rings);
    }
}
