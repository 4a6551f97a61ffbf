//! Properties of samples, cuts and the scaler, on small made-up series.

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::{
    features::{self, Feature, FeatureSet},
    labels::{self, LabelRule},
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
    SplitConfig { parts: Parts::Shares(shares), min_part: 1 }
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
    let counts = folds.train.class_counts(4);
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
    let last = folds.train.samples.last().expect("training").row as usize;
    let mut seen: Vec<f64> = first[2..=last].to_vec();
    seen.sort_by(f64::total_cmp);
    let middle = (seen.len() - 1) as f64 / 2.0;
    let median = (seen[middle.floor() as usize] + seen[middle.ceil() as usize]) / 2.0;
    assert_eq!((folds.scaler.median()[0], folds.scaler.iqr()[1]), (median, 1.0));
    assert!(folds.windows.values.iter().skip(1).step_by(2).all(|value| *value == 0.0));
    assert!(folds.windows.values.iter().all(|value| value.abs() <= 10.0));
}

#[test]
fn a_rule_with_classes_is_never_taken_for_one_without() {
    // One series has no class yet (its volatility is still warming up): its samples are unlabelled, not quartiles.
    let mut made = [series(100, &[]), series(100, &[])];
    made[1].labels.class.fill(NO_CLASS);
    let inputs = inputs(&made);
    let dataset = build(&inputs, &config()).expect("samples");
    assert!(dataset.samples().iter().all(|sample| sample.series == 0));
    assert_eq!(dataset.dropped().unlabelled, 4 + 96);

    made[0].labels.class.fill(NO_CLASS);
    let inputs = self::inputs(&made);
    let dataset = build(&inputs, &config()).expect("samples");
    let error = dataset.split(&split_of([0.7, 0.15, 0.15]), &CLASSES).expect_err("no quartiles");
    assert_eq!(error, DatasetError::Shape("no label has a class, and only quartiles come later"));
}

#[test]
fn a_class_without_a_name_and_shares_of_more_than_all_are_refused() {
    let made = [series(100, &[])];
    let inputs = inputs(&made);
    let dataset = build(&inputs, &config()).expect("samples");
    let shape = |result: Result<Folds, DatasetError>| {
        matches!(result.expect_err("refused"), DatasetError::Shape(_))
    };
    assert!(shape(dataset.split(&split_of([0.7, 0.15, 0.15]), &CLASSES[..2])));
    for shares in [[0.7, 0.15, 0.16], [1.0, 0.1, -0.1], [f64::NAN, 0.5, 0.5], [0.5, 0.5, 0.0]] {
        assert!(shape(dataset.split(&split_of(shares), &CLASSES)), "{shares:?}");
    }
    dataset.split(&split_of([0.7, 0.15, 0.15]), &CLASSES).expect("the accepted one");
}

/// Trading days of a part.
fn days_of(part: &Part) -> usize {
    let mut days = calendar::trading_days(&part.decided_at_us());
    days.dedup();
    days.len()
}

fn split_by(validation: u32, test: u32) -> SplitConfig {
    SplitConfig { parts: Parts::Days { validation, test }, min_part: 1 }
}

#[test]
fn parts_by_trading_days_have_that_many_after_the_purge() {
    let made = [series(24 * 60, &[]), series(24 * 60, &[30])];
    let inputs = inputs(&made);
    let dataset = build(&inputs, &config()).expect("samples");
    let folds = dataset.split(&split_by(3, 5), &CLASSES).expect("folds");
    assert_eq!((days_of(&folds.validation), days_of(&folds.test)), (3, 5));
    assert_eq!(folds.shortened, None);
    let last = dataset.samples().last().expect("samples").decided_at_us;
    assert_eq!(folds.test.window().map(|(_, last)| last), Some(last));
    let (_, train_ends) = folds.train.window().expect("training");
    let (validation_begins, validation_ends) = folds.validation.window().expect("validation");
    let (test_begins, _) = folds.test.window().expect("test");
    assert!(train_ends + HORIZON < validation_begins && validation_ends + HORIZON < test_begins);
    assert!(matches!(dataset.split(&split_by(0, 5), &CLASSES), Err(DatasetError::Shape(_))));
}

#[test]
fn a_short_history_gives_each_part_its_share_and_says_so() {
    // Sixty days by the clock are some forty-four trading days: fifteen of a hundred of them are six.
    let made = [series(24 * 60, &[])];
    let inputs = inputs(&made);
    let dataset = build(&inputs, &config()).expect("samples");
    let folds = dataset.split(&split_by(20, 20), &CLASSES).expect("folds");
    let shortened = folds.shortened.expect("too few days");
    assert_eq!((shortened.asked, shortened.taken), ([20, 20], [6, 6]));
    assert!(days_of(&folds.test) <= 6 && days_of(&folds.validation) <= 6);
    let said = shortened.to_string();
    assert!(said.contains("44 trading days") && said.contains("take 6 and 6"), "{said}");
    // One part may be as long as it was asked to be while the other is not.
    let folds = dataset.split(&split_by(20, 2), &CLASSES).expect("folds");
    assert_eq!(folds.shortened.expect("too few days").taken, [6, 2]);
    assert_eq!(days_of(&folds.test), 2);
}

/// Daily candles with a window of sixty: the purge alone takes longer than the part.
#[test]
fn a_slow_timeframe_has_days_to_test_on() {
    let n = 400;
    let start: DateTime<Utc> = "2022-01-03T00:00:00Z".parse().expect("an instant");
    let mut columns = CandleColumns::default();
    let weekdays = (0..).filter(|day| day % 7 < 5).take(n);
    for day in weekdays {
        let at = start.timestamp_micros() + day * 24 * HOUR_US;
        columns.push_raw(at, [1.0, 1.1, 0.9, 1.0], 0.0);
    }
    let pair = "EUR/USD".parse().expect("a pair");
    let candles =
        Candles::new(pair, Timeframe::Day1, instant(i64::MAX / 4), columns).expect("valid");
    let of = |feature: usize| (0..n).map(|row| ((row * 7 + feature) % 11) as f64).collect();
    let features = Features { set: &SET, columns: vec![of(0), of(3)] };
    let labels = Labels {
        class: (0..n).map(|row| (row % 3) as u8).collect(),
        forward_return: vec![0.0; n],
        until_us: (0..n).map(|row| candles.close_at_us(row) + 7 * 24 * HOUR_US).collect(),
        reached_us: 0,
    };
    let made = [Series { candles, features, labels }];
    let inputs = inputs(&made);
    let dataset = build(&inputs, &DatasetConfig { lookback: 60, ..config() }).expect("samples");
    let folds = dataset.split(&split_by(20, 20), &CLASSES).expect("folds");
    assert_eq!((days_of(&folds.validation), days_of(&folds.test)), (20, 20));
    assert!(folds.train.len() > 100, "{}", folds.train.len());
}

#[test]
fn a_range_makes_the_candles_before_it_context() {
    let made = [series(100, &[])];
    let inputs = inputs(&made);
    let whole = build(&inputs, &config()).expect("samples");
    let from_us = whole.samples()[20].decided_at_us;
    let until_us = whole.samples()[40].decided_at_us;
    let range = DatasetConfig { from_us: Some(from_us), until_us: Some(until_us), ..config() };
    let dataset = build(&inputs, &range).expect("samples");
    assert_eq!(dataset.samples(), &whole.samples()[20..40]);
    assert_eq!(dataset.dropped(), Dropped::default());
}

#[test]
fn the_hash_is_of_the_content() {
    let made = [series(200, &[])];
    let hash = |made: &[Series], lookback: usize, shares: [f64; 3]| {
        let config = DatasetConfig { lookback, ..config() };
        let inputs = inputs(made);
        let dataset = build(&inputs, &config).expect("samples");
        dataset.split(&split_of(shares), &CLASSES).expect("folds").sha256
    };
    let shares = [0.7, 0.15, 0.15];
    let first = hash(&made, LOOKBACK, shares);
    assert_eq!(first.len(), 64);
    assert_eq!(first, hash(&[series(200, &[])], LOOKBACK, shares));
    assert_ne!(first, hash(&made, LOOKBACK + 1, shares));
    assert_ne!(first, hash(&made, LOOKBACK, [0.6, 0.2, 0.2]));
    let mut other = series(200, &[]);
    other.labels.class[50] = (other.labels.class[50] + 1) % 3;
    assert_ne!(first, hash(&[other], LOOKBACK, shares));
    let mut other = series(200, &[]);
    other.features.columns[0][50] += 1e-12;
    assert_ne!(first, hash(&[other], LOOKBACK, shares));
    // What a feature holds before it is defined is nobody's business.
    let mut other = series(200, &[]);
    other.features.columns[0][0] = 3.0;
    assert_eq!(first, hash(&[other], LOOKBACK, shares));
}

#[test]
fn a_scaler_that_was_written_is_checked_when_it_is_read() {
    let read = serde_json::from_str::<Scaler>;
    let scaler = read(r#"{"median":[0.5],"iqr":[2.0]}"#).expect("a scaler");
    let mut rows = [0.0; 4];
    scaler.apply(&[vec![1.5, f64::NAN, 1e9, -1e9]], &mut rows);
    assert_eq!(rows.map(f32::to_bits), [0.5f32, 0.0, 10.0, -10.0].map(f32::to_bits));
    assert_eq!(serde_json::to_string(&scaler).expect("text"), r#"{"median":[0.5],"iqr":[2.0]}"#);
    for (text, why) in [
        (r#"{"median":[0.5],"iqr":[]}"#, "1 medians and 0 interquartile ranges"),
        (r#"{"median":[0.5],"iqr":[0.0]}"#, "feature 0 has median 0.5 and interquartile range 0"),
    ] {
        assert!(read(text).expect_err(text).to_string().contains(why), "{text}");
    }
}

#[test]
fn shuffled_labels_keep_their_counts_and_repeat_by_seed() {
    let made = [series(300, &[])];
    let inputs = inputs(&made);
    let dataset = build(&inputs, &config()).expect("samples");
    let folds = dataset.split(&split_of([0.7, 0.15, 0.15]), &CLASSES).expect("folds");
    let shuffled = |seed| {
        let mut train = folds.train.clone();
        train.shuffle_labels(seed);
        train
    };
    assert_eq!(shuffled(1), shuffled(1));
    assert_ne!(shuffled(1), shuffled(2));
    assert_ne!(shuffled(1).classes(), folds.train.classes());
    assert_eq!(shuffled(1).class_counts(3), folds.train.class_counts(3));
    assert_eq!(shuffled(1).rows(), folds.train.rows());
}

/// Hourly candles of open hours from 2024-01-08 on, with real features and labels; each close from the one before.
fn market(n: usize, rule: &LabelRule, mut step: impl FnMut(usize) -> f64) -> Series {
    let mut columns = CandleColumns::default();
    let mut at_us = 1_704_672_000_000_000;
    let mut open = 1.1f64;
    while columns.len() < n {
        if calendar::is_open(instant(at_us)) {
            let close = open * step(columns.len()).exp();
            let (high, low) = (open.max(close), open.min(close));
            columns.push_raw(at_us, [open, high, low, close], 0.0);
            open = close;
        }
        at_us += HOUR_US;
    }
    of_candles(columns, rule)
}

fn of_candles(columns: CandleColumns, rule: &LabelRule) -> Series {
    let pair = "EUR/USD".parse().expect("a pair");
    let candles =
        Candles::new(pair, Timeframe::Hour1, instant(i64::MAX / 4), columns).expect("valid");
    computed(candles, rule)
}

fn computed(candles: Candles, rule: &LabelRule) -> Series {
    let features = features::compute(features::by_name("v1").expect("the first set"), &candles);
    let labels = labels::label(&candles, rule);
    Series { candles, features, labels }
}

/// A price that never moves: no feature divides by nothing, and the refusal says that nothing moved (RELIABILITY F47, F48).
#[test]
fn a_flat_market_is_refused_for_its_one_class_and_for_nothing_else() {
    let made = [market(400, &LabelRule::Fixed { threshold: 0.005 }, |_| 0.0)];
    let inputs = inputs(&made);
    let dataset = build(&inputs, &config()).expect("finite features");
    let error = dataset.split(&split_of([0.7, 0.15, 0.15]), &CLASSES).expect_err("one class");
    let error = error.to_string();
    assert!(
        error.starts_with("all 227 training labels are hold: there is nothing to tell apart")
            && error.ends_with("(the largest move within a horizon was 0.000 %)"),
        "{error}"
    );
}

#[test]
fn the_refusal_of_too_few_samples_adds_up() {
    let made = [market(70, &LabelRule::Fixed { threshold: 0.005 }, |_| 0.0)];
    let inputs = inputs(&made);
    let dataset = build(&inputs, &config()).expect("finite features");
    let split = SplitConfig { parts: Parts::Shares([0.7, 0.15, 0.15]), min_part: 10 };
    let error = dataset.split(&split, &CLASSES).expect_err("too few").to_string();
    assert_eq!(
        error,
        "4 samples are too few: training, validation and test got 0, 0 and 0 after 4 were purged at the cuts, and each \
         needs at least 10; of 70 candles in range 62 had too little history for a window of 3, 0 a gap in it, and 4 no \
         label (yet)"
    );
}

/// What was known is not changed by what came later: DESIGN 2, principle 1, for the whole way from candles to samples.
fn check_prefix(whole: &Series, n: usize, rule: &LabelRule) {
    let lookback = DatasetConfig { lookback: 60, ..config() };
    let prefix = computed(whole.candles.slice(0, n), rule);
    let all = std::slice::from_ref(whole);
    let then = std::slice::from_ref(&prefix);
    let all = build(&inputs(all), &lookback).expect("samples").samples().to_vec();
    let known = prefix.candles.close_at_us(n - 1);
    let expected: Vec<Sample> =
        all.into_iter().filter(|sample| sample.label_until_us <= known).collect();
    assert_eq!(build(&inputs(then), &lookback).expect("samples").samples(), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn cutting_off_the_future_changes_no_sample_that_was_settled(
        steps in proptest::collection::vec(-0.004f64..0.004, 420),
        n in 130usize..420,
        rule in prop_oneof![
            Just(LabelRule::Fixed { threshold: 0.005 }),
            Just(LabelRule::Volatility { multiple: 1.0 }),
            Just(LabelRule::TripleBarrier { take_profit: 0.004, stop_loss: 0.003 }),
            Just(LabelRule::Quartile),
        ],
    ) {
        check_prefix(&market(420, &rule, |row| steps[row]), n, &rule);
    }
}

/// Whatever comes after the last training window: scaler, scaled training windows and quartile classes stay, to the bit.
#[test]
fn nothing_after_training_reaches_into_it() {
    let folds = |made: &[Series]| {
        let inputs = inputs(made);
        let dataset = build(&inputs, &config()).expect("samples");
        dataset
            .split(&split_of([0.7, 0.15, 0.15]), LabelRule::Quartile.class_names())
            .expect("folds")
    };
    let mut made = [market(400, &LabelRule::Quartile, |row| (row as f64 * 1.7).sin() * 0.002)];
    let before = folds(&made);
    let last = before.train.rows().into_iter().max().expect("training") as usize;
    for column in &mut made[0].features.columns {
        column[last + 1..].iter_mut().for_each(|value| *value = *value * 3.0 + 7.0);
    }
    // A training label looks four candles ahead; later returns are another market's.
    made[0].labels.forward_return[last + 1..].iter_mut().for_each(|value| *value *= -50.0);
    let after = folds(&made);
    assert_eq!(before.scaler, after.scaler);
    assert_eq!(before.train, after.train);
    let n = (last + 1) * before.windows.n_features;
    assert_eq!(before.windows.values[..n], after.windows.values[..n]);
    assert_ne!(before.windows.values[n..], after.windows.values[n..]);
    assert_ne!(before.test, after.test);
}

/// Real candles with their weekends, holidays and holes: every one is a sample or has a reason, no window spans a hole.
#[test]
fn real_candles_make_windows_without_holes() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/fx/EURUSD_1h.csv");
    let Ok(text) = std::fs::read_to_string(path) else {
        skipped("no real candles in ../shared/data/fx");
        return;
    };
    let mut columns = CandleColumns::default();
    for row in csv::Reader::from_reader(text.as_bytes()).deserialize() {
        let (at, open, high, low, close, volume): (DateTime<Utc>, f64, f64, f64, f64, f64) =
            row.expect("a candle");
        columns.push_raw(at.timestamp_micros(), [open, high, low, close], volume);
    }
    let rule = LabelRule::Volatility { multiple: 1.0 };
    let made = [of_candles(columns, &rule)];
    let inputs = inputs(&made);
    let wanted = DatasetConfig { lookback: 60, ..config() };
    let dataset = build(&inputs, &wanted).expect("samples");
    let opened = made[0].candles.open_at_us();
    assert_eq!(dataset.samples().len() + dataset.dropped().total(), opened.len());
    let gaps = calendar::gaps(Timeframe::Hour1, opened);
    assert_eq!(dataset.n_gaps(), gaps.len());
    for sample in dataset.samples() {
        let last = sample.row as usize;
        assert!(!gaps.iter().any(|gap| gap.row > last - 59 && gap.row <= last));
        assert_eq!(sample.window_from_us, opened[last - 59]);
        assert_eq!(sample.decided_at_us, opened[last] + HOUR_US);
        assert_eq!(sample.label_until_us, sample.decided_at_us + 4 * HOUR_US);
    }
    let dropped = dataset.dropped();
    assert!(dropped.gap > 0 && dropped.gap <= 59 * gaps.len(), "{dropped:?}, {} gaps", gaps.len());
    check_prefix(&made[0], 20_000, &rule);
}

#[allow(clippy::print_stderr, reason = "a test that is skipped has to say so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
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
        let parts = [&*folds.train, &folds.validation, &folds.test];
        for pair in parts.windows(2) {
            let ends = pair[0].samples.iter().map(|s| s.label_until_us).max().expect("samples");
            let begins = pair[1].samples.iter().map(|s| s.decided_at_us).min().expect("samples");
            let looks_back = pair[1].samples.iter().map(|s| s.window_from_us).min().expect("samples");
            prop_assert!(ends < begins);
            let decided = pair[0].samples.iter().map(|s| s.decided_at_us).max().expect("samples");
            prop_assert!(decided <= looks_back);
        }
        // Whatever was left out does reach over a cut: a place where a part after the first could begin.
        let kept: usize = parts.iter().map(|part| part.len()).sum();
        let place = |share: f64| (dataset.samples().len() as f64 * share).floor() as usize;
        let cuts = [train, train + (1.0 - train) / 2.0]
            .map(|share| dataset.samples()[place(share)].decided_at_us);
        for sample in dataset.samples() {
            if !parts.iter().any(|part| part.samples.contains(sample)) {
                let reaches = |cut: &Micros| {
                    sample.decided_at_us < *cut && sample.label_until_us >= *cut
                        || sample.decided_at_us >= *cut && sample.window_from_us < *cut
                };
                prop_assert!(cuts.iter().any(reaches));
            }
        }
        prop_assert_eq!(kept + folds.purged.label + folds.purged.window, dataset.samples().len());
        let again = dataset.split(&split_of(shares), &CLASSES).expect("the same").sha256;
        prop_assert_eq!(again, folds.sha256);
    }

    /// FORMULAS 4.11: spans of random length, random blocks.
    #[test]
    fn around_test_blocks_no_span_meets_and_no_other_sample_is_left_out(
        horizons in proptest::collection::vec(1i64..12, 120),
        cuts in proptest::collection::btree_set(0usize..110, 2..8),
        embargo in prop_oneof![Just(Embargo::Off), Just(Embargo::Lookback)],
    ) {
        let mut made = [series(120, &[]), series(120, &[77])];
        for one in &mut made {
            for (row, until) in one.labels.until_us.iter_mut().enumerate() {
                *until = one.candles.close_at_us(row) + horizons[row] * HOUR_US;
            }
        }
        let inputs = inputs(&made);
        let dataset = build(&inputs, &config()).expect("samples");
        let cuts: Vec<usize> = cuts.into_iter().map(|cut| 2 * cut).collect();
        let blocks: Vec<_> = cuts.chunks_exact(2).map(|pair| pair[0]..pair[1]).collect();
        let (train, purged) = dataset.around(&blocks, embargo);
        let samples = dataset.samples();
        let tests = blocks.iter().map(|block| &samples[block.clone()]);
        let mut expected = Vec::new();
        for (index, sample) in samples.iter().enumerate() {
            let is_test = blocks.iter().any(|block| block.contains(&index));
            let is_clean = tests.clone().all(|test| {
                let from = test.iter().map(|s| s.decided_at_us).min().expect("not empty");
                let until = test.iter().map(|s| s.label_until_us).max().expect("not empty");
                let apart = sample.label_until_us < from || sample.decided_at_us > until;
                let waits = sample.decided_at_us > until && sample.window_from_us < until;
                apart && !(embargo == Embargo::Lookback && waits)
            });
            if is_clean && !is_test {
                expected.push(*sample);
            }
        }
        for sample in &train.samples {
            for other in tests.clone().flatten() {
                prop_assert!(
                    sample.label_until_us < other.decided_at_us
                        || sample.decided_at_us > other.label_until_us
                );
            }
        }
        let n_test: usize = blocks.iter().map(|block| block.len()).sum();
        prop_assert_eq!(train.len() + purged.total() + n_test, samples.len());
        prop_assert_eq!(&train.samples, &expected);
    }
}
