//! What every feature must be: equal to TA-Lib's, causal, free of the history's start, and always a number.

use proptest::prelude::*;

use super::{v1::Series, *};
use crate::market::{CandleColumns, HOUR_US, Micros};

const GOLDEN: &str = include_str!("../../tests/golden/features_v1.csv");
const START_US: Micros = 1_704_146_400_000_000;

fn candles(columns: CandleColumns) -> Candles {
    let as_of = crate::market::instant(columns.open_at_us.last().copied().unwrap_or(0) + HOUR_US);
    let pair = "EUR/USD".parse().expect("a pair");
    Candles::new(pair, Timeframe::Hour1, as_of, columns).expect("valid candles")
}

/// A column's name, and its fields: a number, nothing where TA-Lib has none yet, `-` where the row is not listed.
type Expected = (String, Vec<String>);

/// The golden candles, and the expected columns.
fn golden() -> (Candles, Vec<Expected>) {
    let mut reader = csv::Reader::from_reader(GOLDEN.as_bytes());
    let names: Vec<String> = reader.headers().unwrap().iter().skip(6).map(str::to_owned).collect();
    let mut expected: Vec<_> = names.into_iter().map(|name| (name, Vec::new())).collect();
    let mut columns = CandleColumns::default();
    for record in reader.records() {
        let record = record.unwrap();
        let number = |field: usize| record[field].parse::<f64>().unwrap();
        let prices = [1, 2, 3, 4].map(number);
        columns.push_raw(record[0].parse().unwrap(), prices, number(5));
        for (index, (_, values)) in expected.iter_mut().enumerate() {
            values.push(record[6 + index].to_owned());
        }
    }
    (candles(columns), expected)
}

/// A walk on the tick: `moves` are the close's steps in ticks, the rest follows from them. Whole pips, so flat
/// stretches are flat.
fn walk(price: f64, tick: f64, moves: &[(i16, u8, u8, u16)]) -> CandleColumns {
    let mut columns = CandleColumns::default();
    let mut close = (price / tick).round();
    for (row, &(step, above, below, volume)) in moves.iter().enumerate() {
        let open = close;
        close = (open + f64::from(step)).max(100.0);
        let high = open.max(close) + f64::from(above);
        let low = (open.min(close) - f64::from(below)).max(50.0);
        let at_us = START_US + HOUR_US * Micros::try_from(row).unwrap();
        columns.push_raw(at_us, [open, high, low, close].map(|ticks| ticks * tick), volume.into());
    }
    columns
}

fn moves(n: std::ops::Range<usize>) -> impl Strategy<Value = Vec<(i16, u8, u8, u16)>> {
    prop::collection::vec((-150i16..=150, 0u8..80, 0u8..80, 0u16..5000), n)
}

fn columns_of(candles: &Candles) -> Vec<Vec<f64>> {
    compute(&V1, candles).columns
}

fn bits(column: &[f64]) -> Vec<u64> {
    column.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn every_column_agrees_with_talib_to_1e_9() {
    let (candles, expected) = golden();
    let features = compute(&V1, &candles);
    let names: Vec<&str> = expected.iter().map(|(name, _)| name.as_str()).collect();
    let own: Vec<&str> = V1.features.iter().map(|feature| feature.name).collect();
    assert_eq!(own, names);
    let mut n_compared = 0;
    for ((feature, column), (_, expected)) in
        V1.features.iter().zip(&features.columns).zip(&expected)
    {
        for (row, (&ours, theirs)) in column.iter().zip(expected).enumerate() {
            let name = feature.name;
            match theirs.as_str() {
                "-" => {}
                "" => assert!(ours.is_nan(), "{name} row {row}: {ours}, TA-Lib has none yet"),
                theirs => {
                    assert!(row >= feature.warm_up, "{name} is defined from row {row} on");
                    let error = (ours - theirs.parse::<f64>().unwrap()).abs();
                    assert!(error <= 1e-9, "{name} row {row}: {ours} against {theirs}");
                    n_compared += 1;
                }
            }
        }
    }
    assert!(n_compared > 8000);
}

#[test]
fn the_set_is_named_and_complete() {
    assert_eq!(by_name("v1").unwrap(), &V1);
    let unknown = by_name("V2").unwrap_err();
    assert_eq!(unknown.to_string(), "there is no feature set called \"V2\"; the nearest is v1");
    assert_eq!(V1.features.len(), 38);
    let mut names: Vec<_> = V1.features.iter().map(|feature| feature.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), 38);
    assert!(V1.warm_up <= 540);
}

#[test]
fn the_frame_has_nulls_where_nothing_is_defined() {
    let (candles, _) = golden();
    let features = compute(&V1, &candles);
    assert_eq!(features.first_complete_row(), 60);
    let first = features.column("rsi_14").unwrap()[14];
    let frame = features.to_frame();
    assert_eq!((frame.height(), frame.width()), (candles.len(), 38));
    for feature in V1.features {
        assert_eq!(frame.column(feature.name).unwrap().null_count(), feature.warm_up);
    }
    assert_eq!(frame.column("rsi_14").unwrap().f64().unwrap().get(14), Some(first));
    let three = compute(&V1, &candles.slice(0, 3));
    assert_eq!((three.first_complete_row(), three.to_frame().height()), (3, 3));
    assert_eq!(compute(&V1, &candles.slice(0, 0)).first_complete_row(), 0);
}

#[test]
fn all_at_once_is_the_same_as_one_by_one() {
    let (candles, _) = golden();
    let series = [candles.slice(0, 300), candles.slice(20, 280), candles.slice(7, 70)];
    for (features, candles) in compute_all(&V1, &series).iter().zip(&series) {
        for (a, b) in features.columns.iter().zip(columns_of(candles)) {
            assert_eq!(bits(a), bits(&b));
        }
    }
}

#[test]
fn memory_used_again_changes_nothing() {
    let (candles, _) = golden();
    let mut features = compute(&V1, &candles);
    let part = candles.slice(3, 200);
    compute_into(&part, &mut features);
    assert_eq!(features.n_rows(), 200);
    for (a, b) in features.columns.iter().zip(columns_of(&part)) {
        assert_eq!(bits(a), bits(&b));
    }
}

#[test]
fn months_close_on_the_calendar() {
    let mut columns = CandleColumns::default();
    for at in ["2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"] {
        let at: chrono::DateTime<chrono::Utc> = at.parse().unwrap();
        columns.push_raw(at.timestamp_micros(), [1.0; 4], 0.0);
    }
    let as_of = "2024-03-01T00:00:00Z".parse().unwrap();
    let pair = "EUR/USD".parse().unwrap();
    let candles = Candles::new(pair, Timeframe::Month1, as_of, columns).unwrap();
    let features = compute(&V1, &candles);
    // 1 February 2024 was a Thursday, 1 March a Friday.
    let weekday = |day: f64| (std::f64::consts::TAU * day / 7.0).sin();
    let sines = features.column("weekday_sin").unwrap();
    assert!((sines[0] - weekday(3.0)).abs() < 1e-15 && (sines[1] - weekday(4.0)).abs() < 1e-15);
}

/// A market that stands still: at once, after moves, and with a range but no change.
#[test]
fn a_price_that_stands_still_has_defined_values() {
    let flat = vec![(0, 0, 0, 0); 700];
    let mut stopped = vec![(37, 5, 9, 100); 80];
    stopped.extend(&flat);
    for moves in [&flat, &stopped, &vec![(0, 3, 3, 7); 300]] {
        let candles = candles(walk(1.1, 1e-5, moves));
        for (feature, column) in V1.features.iter().zip(columns_of(&candles)) {
            let odd = column.iter().skip(feature.warm_up).position(|value| !value.is_finite());
            assert_eq!(odd, None, "{}", feature.name);
        }
    }
    let candles = candles(walk(1.1, 1e-5, &flat));
    let features = compute(&V1, &candles);
    for feature in V1.features {
        let expected = match feature.name {
            "bollinger_b" => 0.5,
            "volatility_ratio" => 1.0,
            name if name.starts_with("hour") || name.starts_with("weekday") => continue,
            _ => 0.0,
        };
        let column = features.column(feature.name).unwrap();
        assert!(
            column[699].to_bits() == f64::to_bits(expected),
            "{} {}",
            feature.name,
            column[699]
        );
    }
}

#[test]
fn no_volume_is_exactly_zero() {
    let moves: Vec<_> = (0..400).map(|row: i16| ((row * 37) % 101 - 50, 9, 9, 0)).collect();
    let columns = columns_of(&candles(walk(150.0, 1e-3, &moves)));
    let index = V1.features.iter().position(|feature| feature.name == "volume_z_20").unwrap();
    assert!(columns[index][19..].iter().all(|value| value.to_bits() == 0));
}

#[test]
fn wide_registers_give_the_same_bits() {
    let (candles, _) = golden();
    let series = Series {
        at_us: candles.open_at_us(),
        to_close_us: HOUR_US,
        open: candles.open(),
        high: candles.high(),
        low: candles.low(),
        close: candles.close(),
        volume: candles.volume(),
    };
    let (mut wide, mut plain) = (Vec::new(), Vec::new());
    v1::compute(&series, &mut wide);
    v1::compute_blocks(&series, &mut plain);
    for (a, b) in wide.iter().zip(&plain) {
        assert_eq!(bits(a), bits(b));
    }
}

/// Every row that has its whole warm-up, from a start `t - warm_up`, against the full history.
fn worst_of_late_starts(candles: &Candles, starts: impl Iterator<Item = usize>) -> (f64, String) {
    let full = columns_of(candles);
    let mut worst = (0.0, String::new());
    for start in starts {
        let late = columns_of(&candles.slice(start, candles.len() - start));
        for ((feature, late), full) in V1.features.iter().zip(&late).zip(&full) {
            for row in V1.warm_up..late.len() {
                let error = (late[row] - full[start + row]).abs();
                if error > worst.0 || error.is_nan() {
                    worst = (error, format!("{} at {} from {start}", feature.name, start + row));
                }
            }
        }
    }
    worst
}

#[test]
fn on_real_candles_the_start_of_the_history_does_not_matter() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data/fx");
    let mut seen = 0;
    for name in ["EURUSD_1h", "USDJPY_1h", "AUDUSD_1d", "USDJPY_1d"] {
        let Ok(mut reader) = csv::Reader::from_path(format!("{folder}/{name}.csv")) else {
            continue;
        };
        let mut columns = CandleColumns::default();
        // Twelve thousand rows are enough for every phase of the market, and quick in a debug build.
        for (row, record) in reader.records().take(12_000).enumerate() {
            let record = record.unwrap();
            let prices = [1, 2, 3, 4].map(|field| record[field].parse().unwrap());
            let volume = record[5].parse().unwrap();
            // Places in time do not matter here; daily rows are spaced as hours.
            let at_us = START_US + HOUR_US * Micros::try_from(row).unwrap();
            columns.push_raw(at_us, prices, volume);
        }
        let candles = candles(columns);
        let n = candles.len();
        let (error, place) =
            worst_of_late_starts(&candles, (1..8).map(|part| part * (n / 9) + part));
        assert!(error <= 1e-6, "{name}: {error} in {place}");
        seen += 1;
    }
    if seen == 0 {
        skipped("no real candles in ../shared/data/fx");
    }
}

#[allow(clippy::print_stderr, reason = "a test that is skipped has to say so")]
fn skipped(why: &str) {
    eprintln!("skipped: {why}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn cutting_off_the_future_changes_no_bit(moves in moves(0..1200), cut in 0usize..1200) {
        let candles = candles(walk(1.1, 1e-5, &moves));
        let cut = cut.min(candles.len());
        for (all, prefix) in columns_of(&candles).iter().zip(columns_of(&candles.slice(0, cut))) {
            prop_assert_eq!(bits(&all[..cut]), bits(&prefix));
        }
    }

    #[test]
    fn the_start_of_the_history_does_not_matter(moves in moves(700..1400), start in 1usize..800, jpy: bool) {
        let (price, tick) = if jpy { (150.0, 1e-3) } else { (1.1, 1e-5) };
        let candles = candles(walk(price, tick, &moves));
        prop_assume!(candles.len() > start + V1.warm_up);
        let (error, place) = worst_of_late_starts(&candles, std::iter::once(start));
        prop_assert!(error <= 1e-6, "{}: {}", place, error);
    }

    #[test]
    fn every_value_is_a_number_after_its_warm_up(
        moves in prop::collection::vec((-3i16..=3, 0u8..2, 0u8..2, 0u16..3), 0..300),
        still in 0usize..300,
    ) {
        let mut moves = moves;
        let half = moves.len() / 2;
        moves.splice(half..half, std::iter::repeat_n((0, 0, 0, 0), still));
        let candles = candles(walk(0.5, 1e-4, &moves));
        for (feature, column) in V1.features.iter().zip(columns_of(&candles)) {
            let undefined = feature.warm_up.min(column.len());
            prop_assert!(column[..undefined].iter().all(|value| value.is_nan()));
            prop_assert!(column[undefined..].iter().all(|value| value.is_finite()), "{}", feature.name);
        }
    }
}
