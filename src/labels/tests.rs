//! Labels by hand, by property, and against numpy and pandas.

use chrono::{DateTime, Months, NaiveDate, Utc};
use proptest::prelude::*;

use super::*;
use crate::market::{CandleColumns, DAY_US, HOUR_US};

fn us(text: &str) -> Micros {
    text.parse::<DateTime<Utc>>().expect(text).timestamp_micros()
}

fn candles(timeframe: Timeframe, rows: impl IntoIterator<Item = (Micros, [f64; 4])>) -> Candles {
    let mut columns = CandleColumns::default();
    for (at_us, prices) in rows {
        columns.push_raw(at_us, prices, 0.0);
    }
    let as_of = "3000-01-01T00:00:00Z".parse().expect("an instant");
    Candles::new("EUR/USD".parse().expect("a pair"), timeframe, as_of, columns).expect("valid")
}

/// Candles without a body, whose price is 1 and a thousandth more each row: a forward return names the exit row.
fn staircase(timeframe: Timeframe, open_at_us: &[Micros]) -> Candles {
    let price = |row: usize| 1.0 + row as f64 / 1000.0;
    candles(timeframe, open_at_us.iter().enumerate().map(|(row, &at)| (at, [price(row); 4])))
}

/// For each candle: how many candles after it its exit is, `None` without a label.
fn exits(candles: &Candles) -> Vec<Option<usize>> {
    let labels = label(candles, &LabelRule::Fixed { threshold: 0.005 });
    let rows = labels.forward_return.iter().zip(candles.close()).enumerate();
    rows.map(|(row, (forward_return, close))| {
        (!forward_return.is_nan()).then(|| {
            let exit = (close * (1.0 + forward_return) - 1.0) * 1000.0;
            exit.round() as usize - row
        })
    })
    .collect()
}

fn months(from: &str, n: u32) -> Vec<Micros> {
    let first: NaiveDate = from.parse().expect(from);
    let midnight = |date: NaiveDate| date.and_hms_opt(0, 0, 0).expect("midnight").and_utc();
    (0..n).map(|month| midnight(first + Months::new(month)).timestamp_micros()).collect()
}

#[test]
fn every_timeframe_looks_as_far_as_its_row_of_the_table() {
    for (timeframe, n, horizon_us) in [
        (Timeframe::Min1, 5, 5 * 60_000_000),
        (Timeframe::Min5, 3, 15 * 60_000_000),
        (Timeframe::Min15, 2, 30 * 60_000_000),
        (Timeframe::Min30, 2, HOUR_US),
        (Timeframe::Hour1, 4, 4 * HOUR_US),
        (Timeframe::Hour4, 6, DAY_US),
        (Timeframe::Day1, 7, 7 * DAY_US),
        // 30 days end two days after the fourth week: the fifth candle must close before the label exists.
        (Timeframe::Week1, 4, 30 * DAY_US),
    ] {
        let start = us("2024-03-03T00:00:00Z");
        let open_at_us: Vec<_> = (0..12).map(|k| start + k * timeframe.nominal_us()).collect();
        let candles = staircase(timeframe, &open_at_us);
        let n_waiting = usize::from(timeframe == Timeframe::Week1) + n;
        let expected: Vec<_> = (0..12).map(|row| (row + n_waiting < 12).then_some(n)).collect();
        assert_eq!(exits(&candles), expected, "{timeframe}");
        let labels = label(&candles, &LabelRule::Quartile);
        assert_eq!(labels.until_us[0], candles.close_at_us(0) + horizon_us, "{timeframe}");
        assert_eq!((labels.settled(), labels.pending()), (12 - n_waiting, n_waiting));
    }
}

#[test]
fn months_count_by_the_calendar() {
    let open_at_us = months("2023-01-01", 12);
    let candles = staircase(Timeframe::Month1, &open_at_us);
    // Ninety days from 1 February reach 2 May (three closes), from 1 March 30 May (two), from 1 December to March.
    let expected = [3, 2, 2, 2, 2, 2, 2, 2, 2];
    let mut expected: Vec<_> = expected.into_iter().map(Some).collect();
    expected.resize(12, None);
    assert_eq!(exits(&candles), expected);
    // In a leap year 90 days from 1 February end on 1 May itself: that close counts, and settles the label at once.
    let leap = staircase(Timeframe::Month1, &months("2024-01-01", 4));
    assert_eq!(exits(&leap), [Some(3), None, None, None]);
    // A vendor's month that opens at its own midnight, 22:00 or 21:00 of the day before.
    let offset: Vec<_> = months("2023-01-01", 6).iter().map(|at| at - 2 * HOUR_US).collect();
    assert_eq!(exits(&staircase(Timeframe::Month1, &offset))[..2], [Some(3), Some(2)]);
}

#[test]
fn a_friday_label_waits_for_the_next_weeks_first_candle() {
    let friday = us("2024-01-05T16:00:00Z");
    let mut open_at_us: Vec<_> = (0..6).map(|hour| friday + hour * HOUR_US).collect();
    // Closes 17:00 … 22:00. Four hours on from 19:00 and later lie behind the last close.
    assert_eq!(
        exits(&staircase(Timeframe::Hour1, &open_at_us)),
        [Some(4), Some(4), None, None, None, None]
    );
    open_at_us.push(us("2024-01-07T22:00:00Z"));
    assert_eq!(
        exits(&staircase(Timeframe::Hour1, &open_at_us)),
        // Nothing closed within four hours of Friday's last close: no label, then or ever.
        [Some(4), Some(4), Some(3), Some(2), Some(1), None, None]
    );
    let labels = label(&staircase(Timeframe::Hour1, &open_at_us), &LabelRule::Quartile);
    assert_eq!((labels.settled(), labels.pending()), (5, 1));
}

#[test]
fn weekdays_and_gaps_shorten_the_count_not_the_clock() {
    // Daily candles of three trading weeks, a Wednesday missing.
    let monday = us("2024-01-01T00:00:00Z");
    let days = [0, 1, 2, 3, 4, 7, 8, 10, 11, 14, 15];
    let candles = staircase(Timeframe::Day1, &days.map(|day| monday + day * DAY_US));
    let five = Some(5);
    let four = Some(4);
    // Wednesday's seven days end with the missing Wednesday: Tuesday's close it is, once Thursday's candle is there.
    assert_eq!(exits(&candles)[..8], [five, five, four, four, four, four, four, None]);
}

#[test]
fn fixed_classes_change_only_beyond_the_threshold() {
    let rule = LabelRule::Fixed { threshold: 0.25 };
    for (exit, class) in [(1.25, HOLD), (1.26, BUY), (0.75, HOLD), (0.74, SELL), (1.0, HOLD)] {
        let rows = (0..5).map(|k| (k * HOUR_US, [if k == 4 { exit } else { 1.0 }; 4]));
        let labels = label(&candles(Timeframe::Hour1, rows), &rule);
        assert_eq!(labels.class, [class, NO_CLASS, NO_CLASS, NO_CLASS, NO_CLASS], "{exit}");
    }
}

#[test]
fn volatility_classes_wait_for_their_window_and_scale_to_the_horizon() {
    // Log returns of ±s in turn: their sample sd over sixty is s·√(60/59), and four candles make it twice that.
    let s: f64 = 0.001;
    let limit = 2.0 * s * (60.0_f64 / 59.0).sqrt();
    for (move_by, class) in [(limit * 1.001, BUY), (-limit * 1.001, SELL), (limit * 0.998, HOLD)] {
        let price = |k: i64| match k {
            64.. => 1.0 + move_by,
            _ if k % 2 == 0 => 1.0,
            _ => s.exp(),
        };
        let rows = (0..66).map(|k| (k * HOUR_US, [price(k); 4]));
        let labels =
            label(&candles(Timeframe::Hour1, rows), &LabelRule::Volatility { multiple: 1.0 });
        assert!(labels.class[..60].iter().all(|class| *class == NO_CLASS));
        assert_eq!(labels.class[60], class, "{move_by}");
        assert_eq!(labels.settled(), 62, "the forward return needs no warm-up");
    }
}

#[test]
fn barriers_give_the_class_of_the_trade_that_wins() {
    let even = LabelRule::TripleBarrier { take_profit: 0.01, stop_loss: 0.01 };
    let near_target = LabelRule::TripleBarrier { take_profit: 0.01, stop_loss: 0.03 };
    let far_target = LabelRule::TripleBarrier { take_profit: 0.03, stop_loss: 0.01 };
    let quiet = [1.0, 1.001, 0.999, 1.0];
    let up = [1.0, 1.011, 0.999, 1.0];
    let down = [1.0, 1.001, 0.989, 1.0];
    let both = [1.0, 1.011, 0.989, 1.0];
    for (what, rule, path, class) in [
        ("up first", even, [quiet, up, down, quiet], BUY),
        ("down first", even, [down, up, quiet, quiet], SELL),
        ("time-out", even, [quiet; 4], HOLD),
        ("both in one candle", even, [both, up, up, up], HOLD),
        ("both in one candle later", even, [up, both, quiet, quiet], BUY),
        ("opens beyond", even, [[1.02, 1.03, 0.98, 1.0], quiet, quiet, quiet], BUY),
        ("after the horizon", even, [quiet; 4], HOLD),
        ("target near: up, then down", near_target, [up, down, quiet, quiet], BUY),
        ("target near: down, then up", near_target, [down, up, quiet, quiet], SELL),
        ("target near: both at once", near_target, [both, quiet, quiet, quiet], HOLD),
        ("target far: only stops reached", far_target, [up, down, quiet, quiet], HOLD),
        ("target far: up to it", far_target, [up, [1.0, 1.04, 0.999, 1.0], quiet, quiet], BUY),
    ] {
        let path = std::iter::once(quiet).chain(path).chain([both]);
        let rows = path.enumerate().map(|(k, prices)| (k as i64 * HOUR_US, prices));
        assert_eq!(label(&candles(Timeframe::Hour1, rows), &rule).class[0], class, "{what}");
    }
}

#[test]
fn quartiles_are_cut_on_training_returns() {
    assert_eq!(Cuts::fit(&[1.0, 2.0, f64::NAN, 3.0]), None);
    let cuts = Cuts::fit(&[4.0, 1.0, f64::NAN, 3.0, 2.0, 10.0]).expect("five values");
    assert_eq!(cuts, Cuts([2.0, 3.0, 4.0]));
    assert_eq!(Cuts::fit(&[1.0, 2.0, 3.0, 4.0]), Some(Cuts([1.75, 2.5, 3.25])));
    let classes = [1.0, 2.0, 2.5, 3.5, 4.5, f64::NAN].map(|value| cuts.class(value));
    assert_eq!(classes, [0, 0, 1, 2, 3, NO_CLASS]);

    let open_at_us: Vec<_> = (0..12).map(|hour| hour * HOUR_US).collect();
    let mut labels = label(&staircase(Timeframe::Hour1, &open_at_us), &LabelRule::Quartile);
    assert!(labels.class.iter().all(|class| *class == NO_CLASS));
    let cuts = Cuts::fit(&labels.forward_return).expect("eight values");
    labels.assign(&cuts);
    // The staircase rises by ever smaller shares, two candles a quartile.
    assert_eq!(labels.class, [3, 3, 2, 2, 1, 1, 0, 0, NO_CLASS, NO_CLASS, NO_CLASS, NO_CLASS]);
}

#[test]
fn classes_are_signals() {
    for (rule, signals) in [("fixed", vec![-1, 0, 1]), ("quartile", vec![-1, -1, 1, 1])] {
        let rule: LabelRule = rule.parse().expect(rule);
        let classes = 0..u8::try_from(rule.n_classes()).expect("few");
        assert_eq!(classes.map(|class| rule.signal(class)).collect::<Vec<_>>(), signals);
    }
}

#[test]
fn the_balance_counts_what_has_a_class() {
    let classes = [vec![HOLD; 18], vec![SELL, BUY, NO_CLASS]].concat();
    let balance = class_balance(&classes, 3);
    assert_eq!((balance.counts.as_slice(), balance.n), ([1, 18, 1].as_slice(), 20));
    assert_eq!(class_balance(&[NO_CLASS], 3).shares(), None);
}

/// The shares that are named for a multiple are those that the rule itself deals.
#[test]
fn moves_say_what_the_volatility_rule_would_answer() {
    let rows = (0..400).map(|i| {
        let price =
            1.0 + 0.01 * (f64::from(i) * 0.7).sin() + 0.004 * (f64::from(i * i) * 0.31).cos();
        (us("2024-01-08T00:00:00Z") + i64::from(i) * HOUR_US, [price; 4])
    });
    let candles = candles(Timeframe::Hour1, rows);
    for multiple in [0.1, 0.35, 1.0] {
        let labels = label(&candles, &LabelRule::Volatility { multiple });
        let shares = class_balance(&labels.class, 3).shares().expect("labels");
        let named = shares_at(&moves(&candles, &labels), multiple).expect("moves");
        for (named, share) in named.iter().zip(&shares) {
            assert!((named - share).abs() < 1e-12, "{named} for {share} at {multiple}");
        }
    }
}

#[test]
fn a_bare_volatility_is_the_rule_of_the_line() {
    let asked = |text: &str| text.parse::<AskedRule>().expect("a rule");
    let line = LabelRule::Volatility { multiple: 0.8 };
    assert_eq!(asked("volatility").for_line(Some(line)), line);
    assert_eq!(asked("volatility").for_line(None), LabelRule::Volatility { multiple: 0.35 });
    let fixed = LabelRule::Fixed { threshold: 0.002 };
    assert_eq!(asked("volatility").for_line(Some(fixed)), LabelRule::Volatility { multiple: 0.35 });
    let written = LabelRule::Volatility { multiple: 1.0 };
    assert_eq!(asked("volatility:1").for_line(Some(line)), written);
    assert_eq!("volatility".parse(), Ok(LabelRule::Volatility { multiple: 0.35 }));
    assert!("volatile".parse::<AskedRule>().is_err());
}

#[test]
fn rules_print_parse_and_refuse() {
    for (text, rule) in [
        ("fixed:0.005", LabelRule::Fixed { threshold: 0.005 }),
        ("volatility:1.5", LabelRule::Volatility { multiple: 1.5 }),
        (
            "triple-barrier:0.004:0.002",
            LabelRule::TripleBarrier { take_profit: 0.004, stop_loss: 0.002 },
        ),
        ("quartile", LabelRule::Quartile),
    ] {
        assert_eq!(text.parse(), Ok(rule));
        assert_eq!(rule.to_string(), text);
        assert_eq!(rule.name().parse::<LabelRule>().map(|rule| rule.name()), Ok(rule.name()));
    }
    for (text, message) in [
        ("fixd", "\"fixd\" is not a label rule; write fixed:0.005"),
        ("fixed:x", "is not a label rule"),
        ("triple-barrier:0.1", "is not a label rule"),
        ("fixed:0", "threshold of the fixed label is 0; it must be above 0"),
        ("volatility:NaN", "multiple of the volatility label is NaN"),
        ("triple-barrier:0.1:2", "stop_loss of the triple-barrier label is 2, but it is a share"),
    ] {
        let error = text.parse::<LabelRule>().expect_err(text).to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn rules_read_as_in_the_configuration() {
    let read = |text: &str| serde_yaml::from_str::<LabelRule>(text);
    let volatility = read("{rule: volatility, multiple: 1.0}").expect("a rule");
    assert_eq!(volatility, LabelRule::Volatility { multiple: 1.0 });
    let barriers = read("{rule: triple-barrier, take_profit: 0.004, stop_loss: 0.002}");
    assert_eq!(
        barriers.expect("a rule"),
        LabelRule::TripleBarrier { take_profit: 0.004, stop_loss: 0.002 }
    );
    assert_eq!(read("rule: quartile").expect("a rule"), LabelRule::Quartile);
    assert!(read("{rule: fixed, treshold: 0.005}").is_err());
    assert!(read("{rule: fixed, threshold: 0.005, multiple: 1}").is_err());
}

#[test]
fn no_candles_make_no_labels() {
    for rule in ["fixed", "volatility", "triple-barrier", "quartile"] {
        let rule: LabelRule = rule.parse().expect(rule);
        let labels = label(&candles(Timeframe::Hour1, []), &rule);
        assert_eq!((labels.class.len(), labels.settled(), labels.pending()), (0, 0, 0));
        let one = label(&candles(Timeframe::Hour1, [(0, [1.0; 4])]), &rule);
        assert_eq!((one.class.as_slice(), one.pending()), ([NO_CLASS].as_slice(), 1));
    }
}

/// Candles with holes and weekends of any length: the opening of each lies `gap` grid steps after the one before.
fn any_candles() -> impl Strategy<Value = Candles> {
    let timeframe = prop::sample::select(Timeframe::ALL.to_vec());
    let gap = prop_oneof![8 => Just(1u32), 1 => 2..8u32, 1 => 20..60u32];
    let candle = (gap, -0.01..0.01f64, 0.0..0.01f64, 0.0..0.01f64);
    (timeframe, prop::collection::vec(candle, 0..160)).prop_map(|(timeframe, rows)| {
        let mut at_us = us("2001-01-01T00:00:00Z");
        let mut price = 1.0;
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(gap, change, above, below)| {
                for _ in 0..gap {
                    at_us = timeframe.close_at(at_us);
                }
                let open: f64 = price;
                price *= 1.0 + change;
                let high = open.max(price) * (1.0 + above);
                let low = open.min(price) * (1.0 - below);
                (at_us, [open, high, low, price])
            })
            .collect();
        candles(timeframe, rows)
    })
}

fn any_rule() -> impl Strategy<Value = LabelRule> {
    prop_oneof![
        Just(LabelRule::Fixed { threshold: 0.005 }),
        Just(LabelRule::Volatility { multiple: 0.7 }),
        Just(LabelRule::TripleBarrier { take_profit: 0.01, stop_loss: 0.006 }),
        Just(LabelRule::TripleBarrier { take_profit: 0.006, stop_loss: 0.01 }),
        Just(LabelRule::Quartile),
    ]
}

proptest! {
    #[test]
    fn the_future_changes_no_settled_label(candles in any_candles(), rule in any_rule(), cut in 0..160usize) {
        let whole = label(&candles, &rule);
        let part = label(&candles.slice(0, cut.min(candles.len())), &rule);
        for row in 0..part.class.len() {
            prop_assert_eq!(part.until_us[row], whole.until_us[row]);
            if !part.forward_return[row].is_nan() {
                prop_assert_eq!(part.class[row], whole.class[row]);
                prop_assert_eq!(part.forward_return[row].to_bits(), whole.forward_return[row].to_bits());
            }
        }
    }

    #[test]
    fn a_longer_history_changes_no_label(candles in any_candles(), rule in any_rule(), from in 0..160usize) {
        let from = from.min(candles.len());
        let whole = label(&candles, &rule);
        let part = label(&candles.slice(from, candles.len() - from), &rule);
        for row in 0..part.class.len() {
            prop_assert_eq!(part.forward_return[row].to_bits(), whole.forward_return[from + row].to_bits());
            if !(matches!(rule, LabelRule::Volatility { .. }) && row < VOLATILITY_WINDOW) {
                prop_assert_eq!(part.class[row], whole.class[from + row]);
            }
        }
    }

    #[test]
    fn the_exit_is_the_last_close_by_the_horizon(candles in any_candles()) {
        let labels = label(&candles, &LabelRule::Fixed { threshold: 0.005 });
        let n = candles.len();
        let n_gaps = n - labels.settled() - labels.pending();
        let mut n_without = 0;
        for row in 0..n {
            let until_us = candles.close_at_us(row) + candles.timeframe().horizon_us();
            let within = (row + 1..n).rev().find(|&exit| candles.close_at_us(exit) <= until_us);
            let reached = candles.close_at_us(n - 1) >= until_us;
            match within {
                Some(exit) if reached => {
                    let expected = candles.close()[exit] / candles.close()[row] - 1.0;
                    prop_assert_eq!(labels.forward_return[row].to_bits(), expected.to_bits());
                    prop_assert!(labels.class[row] <= BUY);
                }
                _ => {
                    prop_assert!(labels.forward_return[row].is_nan());
                    prop_assert_eq!(labels.class[row], NO_CLASS);
                    n_without += usize::from(reached);
                }
            }
        }
        prop_assert_eq!(n_without, n_gaps);
    }
}

/// Against numpy and pandas by brute force: tests/golden/labels_numpy.py.
#[test]
fn labels_agree_with_brute_force() {
    let mut reader =
        csv::Reader::from_reader(include_str!("../../tests/golden/labels.csv").as_bytes());
    let header = reader.headers().expect("a header").clone();
    let rows: Vec<_> = reader.records().collect::<Result<_, _>>().expect("a table");
    let number = |row: usize, column: usize| rows[row][column].parse::<f64>().ok();
    let price = |row: usize, name: &str| {
        let column = header.iter().position(|column| column == name).expect(name);
        number(row, column).expect(name)
    };
    let candles = candles(
        Timeframe::Hour1,
        (0..rows.len()).map(|row| {
            let prices = ["open", "high", "low", "close"].map(|name| price(row, name));
            (rows[row][0].parse().expect("an instant"), prices)
        }),
    );
    for (column, rule) in header.iter().enumerate().skip(6) {
        let mut labels = label(&candles, &rule.parse().expect(rule));
        if rule == "quartile" {
            labels.assign(&Cuts::fit(&labels.forward_return[..300]).expect("enough"));
        }
        for (row, fields) in rows.iter().enumerate() {
            let class = fields[column].parse().unwrap_or(NO_CLASS);
            assert_eq!(labels.class[row], class, "{rule}, row {row}");
            match number(row, 5) {
                Some(forward) => assert!((labels.forward_return[row] - forward).abs() < 1e-15),
                None => assert!(labels.forward_return[row].is_nan()),
            }
        }
    }
}
