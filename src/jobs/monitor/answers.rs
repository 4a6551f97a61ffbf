//! Whether production's answers cost more than on its test days, and whether they are other answers.
//!
//! Not here: the statistics (`crate::drift::concept`), answers that are all alike (`alarms`).

use serde::Serialize;

use super::{Alarm, scene::Scene};
use crate::{
    drift::concept::{self, AnswerDrift, Answers, LossDrift, LossReference},
    evaluate::{AnswerDay, AnswerDays},
    jobs::weekly,
};

/// Seed of the threshold of the daily loss: the same version has the same one at every look.
const SEED: u64 = 1;

/// What became of the answers.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AnswersSeen {
    /// The daily loss; `None` without test days enough.
    pub loss: Option<LossSeen>,
    /// The answers of the last days; `None` without days enough.
    pub answers: Option<AnswerDrift>,
    /// Why the confidence of the last days counts as a collapse, where it does.
    #[serde(skip)]
    pub(super) timid: Option<String>,
}

/// The daily loss against that of the test days.
#[derive(Debug, Clone, Serialize)]
pub struct LossSeen {
    /// The test days.
    pub reference: LossReference,
    /// The days since.
    #[serde(flatten)]
    pub drift: LossDrift,
}

/// What a version's metrics keep of its test days; versions made before they did keep nothing.
fn test_days(scene: &Scene) -> Option<AnswerDays> {
    serde_json::from_value(scene.production.metrics.get(weekly::ANSWER_DAYS)?.clone()).ok()
}

/// Every question about the answers.
pub(super) fn of(scene: &Scene) -> AnswersSeen {
    let Some(then) = test_days(scene) else { return AnswersSeen::default() };
    let since = scene.answers.predictions.days().map_or(Vec::new(), |found| found.days);
    let timid = timid(&then, &since);
    let mut counts: Vec<f64> = then.days.iter().map(|day| day.n as f64).collect();
    // Half a day, the one that is going on among them, says little.
    let least = crate::stats::median(&mut counts).unwrap_or(0.0) / 2.0;
    let whole = |days: Vec<AnswerDay>| -> Vec<AnswerDay> {
        days.into_iter().filter(|day| day.n as f64 >= least).collect()
    };
    let then = whole(then.days);
    let since = whole(since);
    let losses = |days: &[AnswerDay]| -> Vec<f64> { days.iter().map(|day| day.loss).collect() };
    let loss = LossReference::of(&losses(&then), SEED)
        .map(|reference| LossSeen { drift: reference.look(&losses(&since)), reference });
    let all: Vec<Answers<'_>> =
        then.iter().chain(&since).map(|day| (&day.shares[..], day.confidence)).collect();
    let n_last = concept::ANSWER_DAYS.min(since.len());
    let (before, last) = all.split_at(all.len() - n_last);
    AnswersSeen { loss, answers: concept::answers(before, last), timid }
}

/// Whether answers cost more than they did.
pub(super) fn concept(seen: &AnswersSeen) -> Alarm {
    let alarm = |rings, text| Alarm { name: "concept", rings, text };
    let Some(LossSeen { reference, drift }) = &seen.loss else {
        let text = format!(
            "not enough history: production keeps fewer than {} test days of losses that differ",
            concept::MIN_LOSS_DAYS
        );
        return alarm(false, text);
    };
    let Some(mean) = drift.mean else {
        return alarm(false, "no settled day that production has not seen".to_owned());
    };
    let fired = match drift.fired_on {
        Some(day) => format!("fired on day {day}"),
        None => "has not fired".to_owned(),
    };
    let adwin = match drift.adwin_cut_on.first() {
        Some(day) => format!("ADWIN cut on day {day}"),
        None => "ADWIN has not cut".to_owned(),
    };
    alarm(
        drift.fired_on.is_some(),
        format!(
            "log-loss {mean:.4} over {} days, {:.4} (SD {:.4}) on {} test days; Page–Hinkley at {:.1} of {:.1} SD {fired}; {adwin}",
            drift.n_days,
            reference.mean,
            reference.sd,
            reference.n_days,
            drift.statistic,
            reference.lambda
        ),
    )
}

/// Whether production answers other things than it did.
pub(super) fn predictions(seen: &AnswersSeen) -> Alarm {
    let alarm = |rings, text| Alarm { name: "predictions", rings, text };
    let Some(found) = &seen.answers else {
        let text =
            format!("not enough history: fewer than {} days of answers", 3 * concept::ANSWER_DAYS);
        return alarm(false, text);
    };
    let enough = if found.n_days < concept::MIN_ANSWER_DAYS {
        format!("; {} days before are needed to ring", concept::MIN_ANSWER_DAYS)
    } else {
        String::new()
    };
    alarm(
        found.rings,
        format!(
            "the answers of the last {} days differ by {:.1} points from {} days before, and their confidence by {:+.1} (reach {:.2} of \
             {:.1}, 1 is the furthest such days before){enough}",
            concept::ANSWER_DAYS,
            found.distance * 100.0,
            found.n_days,
            found.confidence * 100.0,
            found.reach,
            concept::ANSWERS_RING_FROM
        ),
    )
}

/// Why the confidence of the last days counts as a collapse: every one of the last [`concept::ANSWER_DAYS`] days below the first
/// percentile of the test days (FORMULAS 4.16). `None` where it does not.
fn timid(then: &AnswerDays, since: &[AnswerDay]) -> Option<String> {
    let last = &since[since.len().checked_sub(concept::ANSWER_DAYS)?..];
    let most = last.iter().map(|day| day.confidence).fold(0.0, f64::max);
    (most < then.confidence_p01).then(|| {
        format!(
            "the confidence of the last {} days is at most {:.1} %, where 99 of 100 answers on the test days had {:.1} % and more",
            concept::ANSWER_DAYS,
            most * 100.0,
            then.confidence_p01 * 100.0
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(n: u32, confidence: f64) -> AnswerDay {
        let day = chrono::NaiveDate::from_ymd_opt(2025, 1, n).expect("a day");
        AnswerDay { day, n: 100, loss: 0.6, confidence, shares: vec![0.5, 0.5] }
    }

    #[test]
    fn three_timid_days_are_a_collapse_and_two_are_not() {
        let then = AnswerDays { days: vec![day(1, 0.6)], confidence_p01: 0.5 };
        let since = |all: [f64; 3]| -> Vec<AnswerDay> {
            all.iter().zip(6..).map(|(confidence, n)| day(n, *confidence)).collect()
        };
        let found = timid(&then, &since([0.4, 0.45, 0.49])).expect("a collapse");
        assert!(found.contains("at most 49.0 %") && found.contains("50.0 %"), "{found}");
        assert_eq!(timid(&then, &since([0.4, 0.45, 0.5])), None);
        assert_eq!(timid(&then, &since([0.4, 0.45, 0.4])[..2]), None);
    }
}
