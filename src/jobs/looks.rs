//! What the monitor left in `monitoring_runs`, read leniently: the one place that knows the shape of its figures.
//!
//! A row may be of an older aifx, of a newer one, or somebody else's: what is not understood is not there, and nothing fails.
//! Not here: how it is shown (`report`, `watch_report`, `metrics`).

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{drift::Domain, evaluate::Bin};

/// Results of a window.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Window {
    /// Days that it looks back; none: since the promotion, or whatever else.
    pub(crate) days: Option<i64>,
    /// `1d`, `7d`, `30d`, or what the row calls it.
    pub(crate) name: String,
    /// Scored answers.
    pub(crate) n: usize,
    /// Share right.
    pub(crate) accuracy: Option<f64>,
    /// Nats.
    pub(crate) log_loss: Option<f64>,
    /// Expected calibration error.
    pub(crate) ece: Option<f64>,
    /// The 95th percentile of that of a calibrated model.
    pub(crate) ece_by_chance: Option<f64>,
    /// Answers of similar confidence.
    pub(crate) bins: Vec<Bin>,
    /// Accuracy of the indicator rule on the same samples.
    pub(crate) indicator_accuracy: Option<f64>,
    /// Return of the same answers as trades after costs.
    pub(crate) roi: Option<f64>,
    /// Share of those trades with a gain.
    pub(crate) win_rate: Option<f64>,
    /// Median time from the close of a candle to its answer, seconds.
    pub(crate) delay_s: Option<f64>,
}

/// A look at the features.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct DriftSeen {
    /// Mean of z over the features.
    pub(crate) z: Option<f64>,
    /// Share of the reference's windows that lie as far off.
    pub(crate) p: Option<f64>,
    /// Name, z and p of each feature.
    pub(crate) features: Vec<(String, Option<f64>, Option<f64>)>,
    /// The kinds of evidence that rang.
    pub(crate) rings: Vec<String>,
}

/// A job that was wanted.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Wanted {
    /// The command.
    pub(crate) job: String,
    /// Why.
    pub(crate) reason: String,
    /// Why it was not started; none: it was.
    pub(crate) held: Option<String>,
}

/// The windows of a row's `metrics`, in their order.
pub(crate) fn windows(metrics: &Value) -> Vec<Window> {
    let list = metrics.as_array().or_else(|| metrics.get("results").and_then(Value::as_array));
    list.map(|list| list.iter().filter_map(window).collect()).unwrap_or_default()
}

fn window(one: &Value) -> Option<Window> {
    let figures = one.get("figures").filter(|figures| figures.is_object())?;
    let number = |pointer: &str| figures.pointer(pointer).and_then(finite);
    let beside = |pointer: &str| one.pointer(pointer).and_then(finite);
    let called = one.get("window").and_then(Value::as_str);
    // Rows before there were windows with names.
    let days = one.get("days").and_then(Value::as_i64).or_else(|| days_of(called?));
    Some(Window {
        days,
        name: days.map(|days| format!("{days}d")).or_else(|| called.map(str::to_owned))?,
        indicator_accuracy: beside("/indicator_accuracy"),
        roi: beside("/trades/roi"),
        win_rate: beside("/trades/win_rate"),
        delay_s: beside("/delay_s"),
        n: figures.get("n").and_then(count)?,
        accuracy: number("/accuracy"),
        log_loss: number("/log_loss"),
        ece: number("/ece"),
        ece_by_chance: number("/ece_null/p95"),
        bins: figures
            .get("reliability")
            .and_then(Value::as_array)
            .map(|list| bins(list))
            .unwrap_or_default(),
    })
}

/// `24 h` is 1, `30 d` is 30; none for a window that is no number of days.
fn days_of(window: &str) -> Option<i64> {
    let (number, unit) = window.split_once(' ')?;
    let number: i64 = number.parse().ok()?;
    match unit {
        "d" => Some(number),
        "h" if number % 24 == 0 => Some(number / 24),
        _ => None,
    }
}

fn bins(list: &[Value]) -> Vec<Bin> {
    let share =
        |bin: &Value, key: &str| finite(bin.get(key)?).filter(|share| (0.0..=1.0).contains(share));
    let bin = |bin: &Value| {
        Some(Bin {
            n: bin.get("n").and_then(count)?,
            confidence: share(bin, "confidence")?,
            accuracy: share(bin, "accuracy")?,
        })
    };
    list.iter().filter_map(bin).collect()
}

/// The window of most days: the one that says most.
pub(crate) fn longest(windows: &[Window]) -> Option<&Window> {
    windows.iter().filter(|one| one.days.is_some()).max_by_key(|one| one.days)
}

/// A row's `drift`; none where nothing could be told.
pub(crate) fn drift(drift: &Value) -> Option<DriftSeen> {
    let verdict = drift.get("verdict").filter(|verdict| verdict.is_object())?;
    let number = |of: &Value, key: &str| of.get(key).and_then(finite);
    let names = drift.get("features").and_then(Value::as_array);
    let figures = verdict.get("features").and_then(Value::as_array);
    let features = names
        .into_iter()
        .flatten()
        .zip(figures.into_iter().flatten())
        .filter_map(|(name, one)| {
            Some((name.as_str()?.to_owned(), number(one, "z"), number(one, "p")))
        })
        .collect();
    // Rows before there were several kinds of evidence hold the one of all features themselves.
    let evidence = verdict.get("evidence").and_then(Value::as_array);
    let together = evidence.and_then(|all| all.iter().find(|one| one["kind"] == "everything"));
    let z = together.map_or_else(|| number(verdict, "z"), |one| number(one, "value"));
    let p = number(together.unwrap_or(verdict), "p");
    let rings = drift.get("rings").map(list).unwrap_or_default();
    Some(DriftSeen { z, p, features, rings })
}

/// A row's `domain`; none where nothing could be told.
pub(crate) fn domain(domain: &Value) -> Option<Domain> {
    Domain::deserialize(domain).ok()
}

/// The entries of a list that are what they should be; the others are left out.
pub(crate) fn list<T: DeserializeOwned>(list: &Value) -> Vec<T> {
    let all = list.as_array().into_iter().flatten();
    all.filter_map(|one| T::deserialize(one).ok()).collect()
}

fn finite(value: &Value) -> Option<f64> {
    value.as_f64().filter(|value| value.is_finite())
}

fn count(value: &Value) -> Option<usize> {
    usize::try_from(value.as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_understood_is_not_there() {
        for strange in [json!(null), json!("x"), json!([1, {"days": 7}, {"figures": 3}]), json!({})]
        {
            assert_eq!(windows(&strange), [], "{strange}");
            assert_eq!(drift(&strange), None, "{strange}");
            assert_eq!(domain(&strange), None, "{strange}");
            assert_eq!(list::<Wanted>(&strange), [], "{strange}");
        }
        let half = json!({"verdict": {"z": "much", "p": 0.5, "features": [{"z": 1}, 7]},
                          "features": ["a", "b", "c"]});
        let seen = drift(&half).expect("half of it");
        assert_eq!((seen.z, seen.p), (None, Some(0.5)));
        let expected = [("a".to_owned(), Some(1.0), None), ("b".to_owned(), None, None)];
        assert_eq!(seen.features, expected);
        let now = json!({"rings": ["step", 7],
                         "verdict": {"evidence": [{"kind": "step", "value": 9.0, "p": 0.9},
                                                  {"kind": "everything", "value": 1.5, "p": 0.25}]}});
        let seen = drift(&now).expect("a look");
        assert_eq!((seen.z, seen.p), (Some(1.5), Some(0.25)));
        assert_eq!(seen.rings, ["step"]);
    }

    #[test]
    fn what_the_monitor_writes_today_is_understood() {
        use crate::{evaluate::Predictions, lineage::SeenUntil};
        let predictions = Predictions::new(
            2,
            vec![0.2, 0.8, 0.6, 0.4],
            vec![1, 1],
            vec![1_704_153_600_000_000, 1_704_157_200_000_000],
            vec![0, 0],
        );
        let figures = predictions
            .expect("two samples")
            .after(SeenUntil::new(chrono::DateTime::UNIX_EPOCH))
            .figures()
            .expect("figures");
        let of = |window: &'static str, figures| super::super::monitor::Results {
            window,
            from: chrono::DateTime::UNIX_EPOCH,
            figures,
            trades: None,
            saved_against_indicator: None,
            indicator_accuracy: Some(0.25),
            delay_s: Some(70.0),
        };
        let found = || Some(figures.clone());
        let results =
            [of("24 h", None), of("7 d", found()), of("30 d", found()), of("promotion", found())];
        let seen = windows(&serde_json::to_value(&results).expect("plain values"));
        let month = longest(&seen).expect("a month");
        let names: Vec<&str> = seen.iter().map(|one| one.name.as_str()).collect();
        assert_eq!((names, month.days, month.n), (vec!["7d", "30d", "promotion"], Some(30), 2));
        assert_eq!((month.accuracy, month.log_loss), (Some(0.5), Some(figures.log_loss)));
        assert_eq!(month.bins, figures.reliability);
        assert_eq!(month.ece_by_chance, Some(figures.ece_null.p95));
        assert_eq!((month.indicator_accuracy, month.delay_s), (Some(0.25), Some(70.0)));
        // A row of an aifx that numbered its windows.
        let old = windows(&json!([{"days": 7, "figures": {"n": 3, "accuracy": 0.5}}]));
        assert_eq!(
            (old[0].name.as_str(), old[0].days, old[0].accuracy),
            ("7d", Some(7), Some(0.5))
        );
        assert_eq!(
            [days_of("24 h"), days_of("30 d"), days_of("5 h"), days_of("x")],
            [Some(1), Some(30), None, None]
        );
    }
}
