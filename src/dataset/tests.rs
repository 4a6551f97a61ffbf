//! Properties of samples, cuts and the scaler, on small made-up series.

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::{
    features::{Feature, FeatureSet},
    market::{CandleColumns, HOUR_US, Timeframe},
};

static SET: FeatureSet = FeatureSet {
    name: "test",
    features: &[
        Feature { name: "a", definition: "", warm_up: 2 },
        Feature { name: "b", definition: "", warm_up: 0 },
    ],
    warm_up: 2,
};

const LOOKBACK: usize = 3;
const HORIZON: Micros = 4 * HOUR_US;

struct Series {
    candles: Candles,
    features: Features,
    labels: Labels,
}

/// Hourly candles from a Monday on, without the hours in `missing`.
fn series(n: usize, missing: &[usize]) -> Series {
    let start: DateTime<Utc> = "2024-01-08T00:00:00Z".parse().expect("an instant");
    let mut columns = CandleColumns::default();
    for hour in (0..n).filter(|hour| !missing.contains(hour)) {
        let at = start.timestamp_micros() + hour as i64 * HOUR_US;
        columns.push_raw(at, [1.0, 1.1, 0.9, 1.0], 0.0);
    }
    let n = columns.len();
    let pair = "EUR/USD".parse().expect("a pair");
    let candles =
        Candles::new(pair, Timeframe::Hour1, instant(i64::MAX / 4), columns).expect("valid");
    let value = |row: usize, feature: usize| {
        if feature == 0 && row < 2 { f64::NAN } else { ((row * 7 + feature * 3) % 11) as f64 }
    };
    let columns = (0..2).map(|f| (0..n).map(|row| value(row, f)).collect()).collect();
    let until_us = (0..n).map(|row| candles.close_at_us(row) + HORIZON).collect();
    let labels = Labels {
        class: (0..n).map(|row| if row + 4 < n { (row % 3) as u8 } else { NO_CLASS }).collect(),
        forward_return: (0..n).map(|row| if row + 4 < n { row as f64 } else { f64::NAN }).collect(),
        until_us,
        reached_us: 0,
    };
    Series { candles, features: Features { set: &SET, columns }, labels }
}

fn config() -> DatasetConfig {
    DatasetConfig { lookback: LOOKBACK, from_us: None, until_us: None }
}

fn inputs(series: &[Series]) -> Vec<SeriesInput<'_>> {
    series
        .iter()
        .map(|s| SeriesInput { candles: &s.candles, features: &s.features, labels: &s.labels })
        .collect()
}

fn split_of(shares: [f64; 3]) -> SplitConfig {
    SplitConfig { shares, min_part: 1 }
}

const CLASSES: [&str; 3] = ["sell", "hold", "buy"];

#[test]
fn every_candle_is_a_sample_or_counted_with_a_reason() {
    let made = [series(60, &[]), series(60, &[30])];
    let inputs = inputs(&made);
    let dataset = build(&inputs, &config()).expect("samples");
    let dropped = dataset.dropped();
    // Two rows until feature a is defined and two more to fill a window, in each series.
    assert_eq!(dropped.warm_up, 8);
    // The first two candles after the hole have windows that span it.
    assert_eq!((dropped.gap, dataset.n_gaps()), (2, 1));
    assert_eq!(dropped.unlabelled, 8);
    assert_eq!(dataset.samples().len() + 18, 60 + 59);
    assert!(dataset.samples().is_sorted_by_key(|sample| sample.decided_at_us));
}

#[test]
fn a_hole_in_a_feature_is_refused_before_any_tensor() {
    let mut made = series(30, &[]);
    made.features.columns[1][20] = f64::INFINITY;
    let made = [made];
    let error = build(&inputs(&made), &config()).expect_err("not finite");
    assert!(error.to_string().starts_with("feature b is inf at 2024-01-08 20:00:00"), "{error}");
}

#[test]
fn too_few_and_one_class_say_what_there_is() {
    let made = [series(20, &[])];
    let inputs = inputs(&made);
    let dataset = build(&inputs, &config()).expect("samples");
    let error = dataset.split(&split_of([0.7, 0.15, 0.15]), &CLASSES).expect_err("too few");
    assert!(
        error.to_string().contains("are too few: training, validation and test got"),
        "{error}"
    );

    let mut flat = series(200, &[]);
    flat.labels.class.iter_mut().filter(|class| **class != NO_CLASS).for_each(|class| *class = 1);
    let flat = [flat];
    let dataset = build(&self::inputs(&flat), &config())
        .expect("samples")
        .split(&split_of([0.7, 0.15, 0.15]), &CLASSES);
    let error = dataset.expect_err("one class").to_string();
    assert!(error.contains("training labels are hold"), "{error}");
}

#[test]
fn a_quantile_rule_gets_its_edges_from_the_training_part_alone() {
    let mut made = series(300, &[]);
    made.labels.class.fill(NO_CLASS);
    let made = [made];
    let inputs = inputs(&made);
    let dataset = build(&inputs, &config()).expect("samples");
    let folds = dataset
        .split(&split_of([0.7, 0.15, 0.15]), &["strong sell", "sell", "buy", "strong buy"])
        .expect("folds");
    let counts = folds.train.0.class_counts(4);
    assert!(
        counts.iter().max().expect("four") - counts.iter().min().expect("four") <= 1,
        "{counts:?}"
    );
    // Returns only rise here, so all that comes later lies above the last training edge.
    assert!(folds.test.samples.iter().all(|sample| sample.class == 3));
}

#[test]
fn the_scaler_sees_training_rows_alone_and_a_constant_feature_stays_zero() {
    let mut made = series(300, &[]);
    made.features.columns[1].fill(5.0);
    let first = made.features.columns[0].clone();
    let made = [made];
    let inputs = inputs(&made);
    let folds = build(&inputs, &config())
        .expect("samples")
        .split(&split_of([0.7, 0.15, 0.15]), &CLASSES)
        .expect("folds");
    let last = folds.train.0.samples.last().expect("training").row as usize;
    let mut seen: Vec<f64> = first[2..=last].to_vec();
    seen.sort_by(f64::total_cmp);
    let middle = (seen.len() - 1) as f64 / 2.0;
    let median = (seen[middle.floor() as usize] + seen[middle.ceil() as usize]) / 2.0;
    assert_eq!((folds.scaler.median[0], folds.scaler.iqr[1]), (median, 1.0));
    assert!(folds.windows.values.iter().skip(1).step_by(2).all(|value| *value == 0.0));
    assert!(folds.windows.values.iter().all(|value| value.abs() <= 10.0));
}

proptest! {
    #[test]
    fn no_span_reaches_over_a_cut_and_all_that_may_stay_stays(
        n in 60usize..200,
        missing in proptest::collection::vec(5usize..195, 0..4),
        train in 0.4f64..0.7,
    ) {
        let made = [series(n, &missing), series(n, &[])];
        let inputs = inputs(&made);
        let dataset = build(&inputs, &config()).expect("samples");
        let shares = [train, (1.0 - train) / 2.0, (1.0 - train) / 2.0];
        let Ok(folds) = dataset.split(&split_of(shares), &CLASSES) else { return Ok(()) };
        let parts = [&folds.train.0, &folds.validation, &folds.test];
        for pair in parts.windows(2) {
            let ends = pair[0].samples.iter().map(|s| s.label_until_us).max().expect("samples");
            let begins = pair[1].samples.iter().map(|s| s.decided_at_us).min().expect("samples");
            let looks_back = pair[1].samples.iter().map(|s| s.window_from_us).min().expect("samples");
            prop_assert!(ends < begins);
            let decided = pair[0].samples.iter().map(|s| s.decided_at_us).max().expect("samples");
            prop_assert!(decided <= looks_back);
        }
        let kept: usize = parts.iter().map(|part| part.len()).sum();
        prop_assert_eq!(kept + folds.purged.label + folds.purged.window, dataset.samples().len());
        let again = dataset.split(&split_of(shares), &CLASSES).expect("the same").sha256;
        prop_assert_eq!(again, folds.sha256);
    }
}
