//! Whether production answers windows that are unlike everything that it has learned from.
//!
//! Counted from what `predict` wrote beside its answers; no distance is computed again.

use chrono::{DateTime, TimeDelta, Utc};

use super::Alarm;
use crate::{
    db::Db,
    drift::Support,
    jobs::{replay::Actor, support},
    lineage::LineName,
};

/// Days that are counted.
const DAYS: i64 = 7;
/// With fewer answers nothing is said.
const MIN_ANSWERS: i64 = 20;
/// A share so many times that of the reference's worst week rings. By 192 weeks of EUR/USD, each after 65 days of training, four
/// would have: the American election of 2016, the French one of 2017, January 2018.
const WORSE: f64 = 1.5;
/// And never below this share.
const MIN_SHARE: f64 = 0.2;

/// Share of the answers of the last week that lie out of support, against the worst week of training.
///
/// # Errors
/// When the database fails.
pub(super) fn of(
    db: &mut Db,
    name: &LineName,
    actor: &Actor,
    as_of: DateTime<Utc>,
) -> anyhow::Result<Alarm> {
    let says = |rings, text| Ok(Alarm { name: "support", rings, text });
    let support = match support::of_version(actor) {
        Ok(Some(support)) => support,
        // Predict refuses such a version: the alarm says so, and the other questions are still asked.
        Err(error) => return says(true, format!("{error:#}")),
        Ok(None) => {
            return says(
                false,
                format!(
                    "{} keeps no reference rows (made by an older aifx, or of too few days): how unlike its training data a \
                 window is cannot be said",
                    actor.version
                ),
            );
        }
    };
    let from = as_of - TimeDelta::days(DAYS);
    let (n, n_outside) = db.answers_outside(name, actor.version, from, as_of)?;
    Ok(alarm(&support, n, n_outside))
}

fn alarm(support: &Support, n: i64, n_outside: i64) -> Alarm {
    let level = (WORSE * support.worst_week()).clamp(MIN_SHARE, 1.0);
    let share = n_outside as f64 / n.max(1) as f64;
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    // Where the worst week of training was nearly all outside, only a whole week outside is more.
    let rings = n >= MIN_ANSWERS && (share > level || n == n_outside);
    let text = match n >= MIN_ANSWERS {
        true => format!(
            "{} of {n} answers of the last {DAYS} days lie out of support (dissimilarity beyond {:.2}); {} of the training \
             rows did, {} in their worst week; above {} rings",
            percent(share),
            support.threshold(),
            percent(support.share_beyond()),
            percent(support.worst_week()),
            percent(level)
        ),
        false => format!(
            "{n} answers of the last {DAYS} days know how unlike the training data they are, where {MIN_ANSWERS} are needed"
        ),
    };
    Alarm { name: "support", rings, text }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;

    use super::*;

    #[test]
    fn a_week_rings_that_is_worse_than_the_worst_of_training() {
        let first: NaiveDate = "2024-01-01".parse().expect("a day");
        let rows: Vec<f32> = (0..400u32).map(|i| ((i * 7919) % 1013) as f32).collect();
        let days: Vec<NaiveDate> =
            (0..200u64).map(|row| first + chrono::Days::new(row / 10)).collect();
        let support = Support::of(&rows, 2, &days, 1).expect("twenty days");
        assert!((support.worst_week() - 0.3).abs() < 1e-9, "{}", support.worst_week());
        assert!(!alarm(&support, 100, 44).rings && alarm(&support, 100, 46).rings);
        assert!(!alarm(&support, MIN_ANSWERS - 1, MIN_ANSWERS - 1).rings);
        assert!(alarm(&support, MIN_ANSWERS, MIN_ANSWERS).rings);
        assert!(!alarm(&support, 0, 0).rings);
        assert!(alarm(&support, 5, 1).text.contains("where 20 are needed"));
        let text = alarm(&support, 100, 46).text;
        assert!(text.starts_with("46.0 % of 100 answers"), "{text}");
        assert!(text.ends_with("30.0 % in their worst week; above 45.0 % rings"), "{text}");
    }
}
