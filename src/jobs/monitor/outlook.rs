//! What production's answers should be worth whose labels nobody knows yet, beside what the settled ones were.
//!
//! Only for timeframes whose labels take a day or more: elsewhere the truth is there before anybody has read an estimate. Nothing
//! rings here: an estimate takes the probabilities at their word, and that they are worth less than they say is what `accuracy`
//! asks once it is known.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::scene::Scene;
use crate::{
    config::LineConfig,
    evaluate::{Estimate, Estimated, Predictions, Spread, Unseen, estimate},
    jobs::replay::Cast,
    market::Timeframe,
};

/// Labels that take at least so long are worth an estimate.
const SLOW: TimeDelta = TimeDelta::days(1);

/// The estimate of one timeframe.
#[derive(Debug, Clone, Serialize)]
pub struct Outlook {
    /// Of which.
    pub timeframe: Timeframe,
    /// Hours that its labels look ahead.
    pub label_hours: i64,
    /// Answers without a label; none where there are none, or where labels come soon.
    pub pending: Option<Estimate>,
    /// The settled answers since its promotion, of the last month at least, estimated in the same way, with what came true.
    pub settled: Option<Settled>,
    /// In words.
    pub text: String,
}

/// An estimate beside the truth.
#[derive(Debug, Clone, Serialize)]
pub struct Settled {
    /// What was expected.
    pub estimate: Estimate,
    /// Share right.
    pub accuracy: f64,
    /// Log-loss, nats.
    pub log_loss: f64,
    /// How far estimates were off by day; none under five days.
    pub spread: Option<Spread>,
}

/// Of every timeframe of the line.
pub(super) fn of(
    scene: &Scene,
    line: &LineConfig,
    cast: &Cast,
    as_of: DateTime<Utc>,
) -> Vec<Outlook> {
    let n_classes = line.label.n_classes();
    let one = |timeframe: Timeframe| {
        let horizon = timeframe.horizon();
        if horizon < SLOW {
            return soon(timeframe);
        }
        let since = (as_of - horizon).timestamp_micros();
        let pending = cast.stored_since(scene.production.version, timeframe, since);
        let of_timeframe =
            |series: u32| scene.material.candles[series as usize].timeframe() == timeframe;
        let settled = scene.answers.predictions.of_series(of_timeframe);
        outlook(timeframe, n_classes, &pending, &settled)
    };
    line.timeframes.iter().copied().map(one).collect()
}

fn soon(timeframe: Timeframe) -> Outlook {
    let horizon = timeframe.horizon();
    let wait = match horizon.num_hours() {
        0 => format!("{} minutes", horizon.num_minutes()),
        1 => "1 hour".to_owned(),
        hours => format!("{hours} hours"),
    };
    Outlook {
        timeframe,
        label_hours: horizon.num_hours(),
        pending: None,
        settled: None,
        text: format!("{timeframe}: an estimate is pointless, labels come in {wait}"),
    }
}

/// `pending` holds the instant and probabilities of each answer without a label, in order of time.
fn outlook(
    timeframe: Timeframe,
    n_classes: usize,
    pending: &[(i64, Vec<f64>)],
    settled: &Predictions<Unseen>,
) -> Outlook {
    let horizon_us = timeframe.horizon_us();
    let spread = Spread::of(settled);
    let estimated = |rows: Vec<f64>, at_us: &[i64]| {
        estimate(n_classes, &rows, at_us, horizon_us, spread.as_ref())
    };
    let at_us: Vec<i64> = pending.iter().map(|(at_us, _)| *at_us).collect();
    let rows = pending.iter().flat_map(|(_, row)| row.iter().copied()).collect();
    let expected = estimated(rows, &at_us);
    let rows = (0..settled.len()).flat_map(|sample| settled.row(sample).iter().copied()).collect();
    let settled = settled.figures().and_then(|figures| {
        Some(Settled {
            estimate: estimated(rows, settled.decided_at_us())?,
            accuracy: figures.accuracy,
            log_loss: figures.log_loss,
            spread,
        })
    });
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let shown = |found: Estimated, say: &dyn Fn(f64) -> String| match found.interval {
        Some((low, high)) => format!("{} ({} to {})", say(found.value), say(low), say(high)),
        None => say(found.value),
    };
    let nats = |loss: f64| format!("{loss:.3}");
    let ahead = match &expected {
        None => "no answer waits for its label".to_owned(),
        Some(found) => format!(
            "{} answers of {} days without a label should be right in {}, log-loss {}",
            found.n,
            found.n_days,
            shown(found.accuracy, &percent),
            shown(found.log_loss, &nats),
        ),
    };
    let behind = match &settled {
        None => "none is settled to hold that against".to_owned(),
        Some(known) => format!(
            "{} settled ones should have been right in {} and were in {}, log-loss {} and was {:.3}{}",
            known.estimate.n,
            percent(known.estimate.accuracy.value),
            percent(known.accuracy),
            nats(known.estimate.log_loss.value),
            known.log_loss,
            if known.spread.is_none() {
                "; five days of them are needed for an interval"
            } else {
                ""
            }
        ),
    };
    Outlook {
        timeframe,
        label_hours: timeframe.horizon().num_hours(),
        pending: expected,
        settled,
        text: format!("{timeframe}: {ahead}; {behind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{lineage::SeenUntil, market::DAY_US};

    const MONDAY_US: i64 = 1_704_103_200_000_000;

    fn settled(n_days: i64) -> Predictions<Unseen> {
        let day = |i: i64| MONDAY_US + (i / 5 * 7 + i % 5) * DAY_US;
        let predictions = Predictions::new(
            2,
            (0..n_days).flat_map(|_| [0.2, 0.8]).collect(),
            (0..n_days).map(|i| u8::from(i % 3 > 0)).collect(),
            (0..n_days).map(day).collect(),
            vec![0; usize::try_from(n_days).expect("days")],
        );
        predictions.expect("predictions").after(SeenUntil::new(DateTime::UNIX_EPOCH))
    }

    #[test]
    fn slow_labels_are_estimated_beside_what_came_true() {
        let pending: Vec<(i64, Vec<f64>)> =
            (21..26).map(|day| (MONDAY_US + day * DAY_US, vec![0.3, 0.7])).collect();
        let found = outlook(Timeframe::Day1, 2, &pending, &settled(15));
        let ahead = found.pending.as_ref().expect("answers wait");
        assert_eq!((ahead.n, ahead.n_days), (5, 5));
        assert!((ahead.accuracy.value - 0.7).abs() < 1e-12);
        assert!(ahead.accuracy.interval.is_some_and(|(low, high)| low < 0.7 && high > 0.7));
        let known = found.settled.as_ref().expect("settled ones");
        assert!((known.accuracy - 2.0 / 3.0).abs() < 1e-12);
        assert!((known.estimate.accuracy.value - 0.8).abs() < 1e-12);
        for part in ["1d: 5 answers of 5 days", "should be right in 70.0 %", "were in 66.7 %"] {
            assert!(found.text.contains(part), "{part}: {}", found.text);
        }
    }

    #[test]
    fn nothing_settled_gives_no_interval_and_fast_labels_no_estimate() {
        let pending = [(MONDAY_US, vec![0.3, 0.7])];
        let found = outlook(Timeframe::Day1, 2, &pending, &settled(0));
        assert!(found.settled.is_none());
        assert_eq!(found.pending.expect("one waits").accuracy.interval, None);
        assert!(found.text.ends_with("none is settled to hold that against"), "{}", found.text);
        let few = outlook(Timeframe::Day1, 2, &[], &settled(3));
        assert!(few.text.contains("no answer waits") && few.text.contains("five days"));
        assert_eq!(
            soon(Timeframe::Hour1).text,
            "1h: an estimate is pointless, labels come in 4 hours"
        );
        assert!(soon(Timeframe::Min5).text.ends_with("labels come in 15 minutes"));
    }
}
