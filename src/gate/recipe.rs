//! Whether two trainings from scratch are of one recipe, and which question follows from that.
//!
//! A recipe is a JSON object: what a line's configuration and the flags ask of a training from scratch. Not here: who makes it
//! (`jobs`).

use serde_json::Value;

use super::Track;

/// Keys whose lists are sets: their order says nothing.
const SETS: [&str; 2] = ["pairs", "timeframes"];

/// The keys in which two recipes differ, in order of name. A key that one of them lacks counts as equal: it was made before
/// there was such a key.
pub fn recipe_differences(ours: &Value, theirs: &Value) -> Vec<String> {
    let (Some(ours), Some(theirs)) = (ours.as_object(), theirs.as_object()) else {
        return Vec::new();
    };
    let differs = |(key, value): &(&String, &Value)| {
        theirs.get(*key).is_some_and(|other| match SETS.contains(&key.as_str()) {
            true => !is_same_set(value, other),
            false => !is_same(value, other),
        })
    };
    let mut keys: Vec<String> = ours.iter().filter(differs).map(|(key, _)| key.clone()).collect();
    keys.sort_unstable();
    keys
}

/// The question that a candidate answers to: a refresh where its recipe is that of the version in production; a change where it
/// is another one, and where nothing is in production.
pub fn track(candidate: &Value, incumbent: Option<&Value>) -> Track {
    match incumbent {
        Some(incumbent) if recipe_differences(candidate, incumbent).is_empty() => Track::Refresh,
        _ => Track::Change,
    }
}

fn is_same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        // The database may write 50 where 50.0 was given.
        (Value::Number(a), Value::Number(b)) => {
            a == b || a.as_f64().zip(b.as_f64()).is_some_and(|(a, b)| a.total_cmp(&b).is_eq())
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is_same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.iter().all(|(key, value)| b.get(key).is_none_or(|other| is_same(value, other)))
        }
        _ => a == b,
    }
}

fn is_same_set(a: &Value, b: &Value) -> bool {
    let sorted = |list: &Value| -> Option<Vec<String>> {
        let mut names: Vec<String> = list.as_array()?.iter().map(Value::to_string).collect();
        names.sort_unstable();
        names.dedup();
        Some(names)
    };
    sorted(a) == sorted(b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn recipe() -> Value {
        json!({
            "features": "v1", "lookback": 60, "label": {"rule": "volatility", "multiple": 0.35},
            "horizon": {"1h": 240}, "model": {"kind": "lstm", "hidden": [128, 64], "dense": 32},
            "lr": 1e-3, "batch": 32, "epochs": 50, "days": 365,
            "pairs": ["EUR/USD", "GBP/USD"], "timeframes": ["1h", "15min"],
        })
    }

    fn with(key: &str, value: Value) -> Value {
        let mut changed = recipe();
        changed[key] = value;
        changed
    }

    #[test]
    fn what_moves_the_optimum_is_another_recipe_and_order_is_not() {
        let same = |other: &Value| recipe_differences(&recipe(), other).is_empty();
        assert!(same(&recipe()));
        assert!(same(&with("pairs", json!(["GBP/USD", "EUR/USD", "EUR/USD"]))));
        assert!(same(&with("timeframes", json!(["15min", "1h"]))));
        assert!(same(&with("epochs", json!(50.0))));
        for (key, value) in [
            ("features", json!("v2")),
            ("lookback", json!(48)),
            ("label", json!({"rule": "volatility", "multiple": 1.0})),
            ("label", json!({"rule": "quartile"})),
            ("horizon", json!({"1h": 300})),
            ("model", json!({"kind": "lstm", "hidden": [64, 128], "dense": 32})),
            ("lr", json!(1e-4)),
            ("batch", json!(64)),
            ("epochs", json!(4)),
            ("days", json!(90)),
            ("pairs", json!(["EUR/USD"])),
            ("timeframes", json!(["1h"])),
        ] {
            assert_eq!(recipe_differences(&recipe(), &with(key, value.clone())), [key], "{value}");
        }
    }

    #[test]
    fn what_a_stored_recipe_lacks_counts_as_equal() {
        let old = json!({"features": "v1", "lookback": 60, "label": {"rule": "volatility", "multiple": 0.35}});
        assert_eq!(track(&recipe(), Some(&old)), Track::Refresh);
        assert_eq!(track(&recipe(), Some(&Value::Null)), Track::Refresh);
        assert_eq!(track(&with("lookback", json!(48)), Some(&old)), Track::Change);
        assert_eq!(track(&recipe(), None), Track::Change, "a first version has nothing to refresh");
    }

    proptest! {
        #[test]
        fn one_recipe_differs_from_another_as_that_from_it(key in 0..3usize, a in 0..4i64, b in 0..4i64) {
            let key = ["lookback", "days", "batch"][key];
            let (a, b) = (with(key, json!(a)), with(key, json!(b)));
            prop_assert_eq!(recipe_differences(&a, &b), recipe_differences(&b, &a));
        }
    }
}
