//! Backtests by hand, by property, and against plain Python.

use chrono::{DateTime, Utc};
use proptest::prelude::*;

use super::*;
use crate::market::{CandleColumns, HOUR_US, Timeframe};

const NO_COSTS: BacktestConfig =
    BacktestConfig { costs: CostsConfig::NONE, stop_loss: None, take_profit: None };

fn us(text: &str) -> Micros {
    text.parse::<DateTime<Utc>>().expect(text).timestamp_micros()
}

fn candles(pair: &str, rows: impl IntoIterator<Item = (Micros, [f64; 4])>) -> Candles {
    let mut columns = CandleColumns::default();
    for (at_us, prices) in rows {
        columns.push_raw(at_us, prices, 0.0);
    }
    let as_of = "3000-01-01T00:00:00Z".parse().expect("an instant");
    Candles::new(pair.parse().expect(pair), Timeframe::Hour1, as_of, columns).expect("valid")
}

/// Hourly candles from Tuesday 2024-01-02T10:00Z on, each opening where the one before closed.
fn hours(closes: &[f64]) -> Candles {
    let start = us("2024-01-02T10:00:00Z");
    let opens = std::iter::once(&closes[0]).chain(closes);
    candles(
        "EUR/USD",
        opens.zip(closes).enumerate().map(|(hour, (&open, &close))| {
            (start + hour as i64 * HOUR_US, [open, open.max(close), open.min(close), close])
        }),
    )
}

fn close_to(given: Option<f64>, expected: f64) {
    let given = given.expect("a figure");
    assert!((given - expected).abs() < 1e-12, "{given} is not {expected}");
}

#[test]
fn two_trades_by_hand() {
    // Buy at the close of row 0: in at 1.00, four hours later out at 1.04. Sell at row 4: in at 1.04, out at 1.10.
    let candles = hours(&[1.00, 1.01, 1.02, 1.03, 1.04, 1.05, 1.06, 1.08, 1.10, 1.2]);
    let signals = [1, -1, -1, 1, -1, 0, 0, 0, 0, 1];
    let config = BacktestConfig {
        costs: CostsConfig { spread: 0.0002, slippage: 0.0001, ..CostsConfig::NONE },
        ..BacktestConfig::default()
    };
    let backtest =
        run(&[SeriesSignals { candles: &candles, signals: &signals, sizes: None }], &config);
    let [first, second] = backtest.trades.as_slice() else { panic!("{:?}", backtest.trades) };
    assert_eq!((first.signal_row, first.exit_row, first.side), (0, 4, Side::Buy));
    assert_eq!((second.signal_row, second.exit_row, second.side), (4, 8, Side::Sell));
    assert_eq!(first.entry_at_us, us("2024-01-02T11:00:00Z"));
    assert_eq!(first.exit_at_us, us("2024-01-02T15:00:00Z"));
    close_to(Some(first.entry_price), 1.0002);
    close_to(Some(first.exit_price), 1.0398);
    close_to(Some(first.net_return), 0.0396);
    close_to(Some(second.net_return), -0.0604 / 1.04);
    let figures = &backtest.figures;
    assert_eq!((figures.n_trades, figures.n_open, figures.n_days), (2, 0, 1));
    assert_eq!((figures.n_candles, figures.n_signals), (10, 6));
    close_to(figures.win_rate, 0.5);
    close_to(figures.profit_factor, 0.0396 / (0.0604 / 1.04));
    close_to(Some(figures.total_pnl), 0.0396 - 0.0604 / 1.04);
    close_to(figures.roi, 0.0396 - 0.0604 / 1.04);
    close_to(figures.exposure, 0.8);
    close_to(figures.signals_per_day, 6.0);
    assert_eq!(figures.sharpe, None, "one day has no Sharpe ratio");
}

#[test]
fn levels_close_at_their_price_and_a_stop_comes_before_a_target() {
    let start = us("2024-01-02T10:00:00Z");
    let quiet = [1.0; 4];
    let wide = [1.0, 1.02, 0.98, 1.0];
    let rows = [quiet, quiet, wide, quiet, quiet, [1.0, 1.02, 1.0, 1.0], quiet];
    let candles = candles(
        "EUR/USD",
        rows.iter().enumerate().map(|(k, row)| (start + k as i64 * HOUR_US, *row)),
    );
    let config = BacktestConfig { stop_loss: Some(0.01), take_profit: Some(0.01), ..NO_COSTS };
    let signals = [1, 0, 0, 1, 0, -1, 0];
    let backtest =
        run(&[SeriesSignals { candles: &candles, signals: &signals, sizes: None }], &config);
    let ends: Vec<_> = backtest.trades.iter().map(|t| (t.exit_row, t.reason)).collect();
    assert_eq!(ends, [(2, ExitReason::Stop), (5, ExitReason::Target)]);
    close_to(Some(backtest.trades[0].net_return), -0.01);
    close_to(Some(backtest.trades[1].net_return), 0.01);
    assert_eq!(backtest.figures.n_open, 1, "sold at the last open and not closed");
}

#[test]
fn a_friday_signal_is_entered_when_the_market_opens() {
    let friday = us("2024-01-05T20:00:00Z");
    let sunday = us("2024-01-07T22:00:00Z");
    let opens = [friday, friday + HOUR_US].into_iter().chain((0..6).map(|k| sunday + k * HOUR_US));
    let candles =
        candles("EUR/USD", opens.enumerate().map(|(k, at)| (at, [1.0 + 0.01 * k as f64; 4])));
    let mut signals = [0; 8];
    signals[1] = 1;
    let backtest =
        run(&[SeriesSignals { candles: &candles, signals: &signals, sizes: None }], &NO_COSTS);
    let trade = backtest.trades[0];
    assert_eq!((trade.entry_at_us, trade.exit_row), (sunday, 5));
    assert_eq!(
        backtest.days.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["2024-01-05", "2024-01-08"]
    );
    close_to(Some(backtest.daily_returns[0]), 0.0);
    close_to(Some(backtest.daily_returns[1]), 1.05 / 1.02 - 1.0);
}

#[test]
fn series_share_the_capital_and_yen_costs_are_yen() {
    let start = us("2024-01-02T10:00:00Z");
    let rows = |scale: f64| {
        (0..6).map(move |k| (start + k * HOUR_US, [scale * (1.0 + 0.01 * k as f64); 4]))
    };
    let (euro, yen) = (candles("EUR/USD", rows(1.0)), candles("USD/JPY", rows(100.0)));
    let signals = [1, 0, 0, 0, 0, 0];
    let flat = [0; 6];
    let costs = CostsConfig { spread: 0.0002, ..CostsConfig::NONE };
    let config = BacktestConfig { costs, ..NO_COSTS };
    let of = |candles, signals| SeriesSignals { candles, signals, sizes: None };
    let both = run(&[of(&euro, &signals), of(&yen, &signals)], &config);
    close_to(Some(both.trades[0].net_return), both.trades[1].net_return);
    close_to(both.figures.roi, both.trades[0].net_return);
    let half = run(&[of(&euro, &signals), of(&yen, &flat)], &config);
    close_to(half.figures.roi, half.trades[0].net_return / 2.0);
}

#[test]
fn nothing_gives_no_figures() {
    let none = run(&[], &NO_COSTS).figures;
    assert_eq!((none.win_rate, none.sharpe, none.roi, none.exposure), (None, None, None, None));
    assert_eq!((none.max_drawdown, none.profit_factor, none.signals_per_day), (None, None, None));
    let candles = hours(&[1.0; 30]);
    let idle =
        run(&[SeriesSignals { candles: &candles, signals: &[0; 30], sizes: None }], &NO_COSTS)
            .figures;
    assert_eq!((idle.n_trades, idle.win_rate, idle.avg_pnl, idle.sharpe), (0, None, None, None));
    assert_eq!((idle.roi, idle.max_drawdown, idle.exposure), (Some(0.0), Some(0.0), Some(0.0)));
}

#[test]
fn sharpe_needs_twenty_days_that_differ() {
    let days = |n: usize| (0..n).map(|k| if k % 2 == 0 { 0.02 } else { -0.01 }).collect::<Vec<_>>();
    assert_eq!(sharpe(&days(19)), None);
    assert_eq!(sharpe(&[0.1; 40]), None, "alike, whatever rounding makes of their mean");
    assert_eq!(sharpe(&[]), None);
    // Mean 0.005, sample sd 0.015·√(20/19); skewness 0 and kurtosis 1, so the error of the daily ratio is 1/√19.
    let (ratio, error) = sharpe(&days(20)).expect("twenty days");
    close_to(Some(ratio), 0.005 / (0.015 * (20.0_f64 / 19.0).sqrt()) * 252.0_f64.sqrt());
    close_to(Some(error), (252.0_f64 / 19.0).sqrt());
}

fn any_series() -> impl Strategy<Value = (Candles, Vec<i8>)> {
    let gap = prop_oneof![9 => Just(1i64), 1 => 2..60i64];
    let candle = (gap, -0.01..0.01f64, -0.01..0.01f64, 0.0..0.01f64, 0.0..0.01f64, -1..2i8);
    prop::collection::vec(candle, 0..400).prop_map(|rows| {
        let (mut at_us, mut price) = (us("2017-12-31T22:00:00Z"), 1.0);
        let mut signals = Vec::new();
        let rows: Vec<_> = rows
            .into_iter()
            .map(|(gap, jump, change, above, below, signal)| {
                signals.push(signal);
                at_us += gap * HOUR_US;
                let open: f64 = price * (1.0 + jump);
                price = open * (1.0 + change);
                (
                    at_us,
                    [open, open.max(price) * (1.0 + above), open.min(price) * (1.0 - below), price],
                )
            })
            .collect();
        (candles("EUR/USD", rows), signals)
    })
}

fn any_config() -> impl Strategy<Value = BacktestConfig> {
    let level = || prop::option::of(0.002..0.02f64);
    (level(), level()).prop_map(|(stop_loss, take_profit)| BacktestConfig {
        costs: CostsConfig::default(),
        stop_loss,
        take_profit,
    })
}

proptest! {
    #[test]
    fn equity_is_the_product_of_days_and_days_are_the_sum_of_trades(
        a in any_series(), b in any_series(), config in any_config()
    ) {
        let series = [&a, &b].map(|(candles, signals)| SeriesSignals { candles, signals, sizes: None });
        let backtest = run(&series, &config);
        let product: f64 = backtest.daily_returns.iter().map(|day| 1.0 + day).product();
        let last = backtest.equity.last().copied().unwrap_or(1.0);
        prop_assert!((product - last).abs() < 1e-12);
        let of_trades: f64 = backtest.trades.iter().map(|trade| trade.net_return / 2.0).sum();
        prop_assert!((backtest.daily_returns.iter().sum::<f64>() - of_trades).abs() < 1e-9);
        prop_assert!((backtest.figures.total_pnl / 2.0 - of_trades).abs() < 1e-9);
        prop_assert!(backtest.days.is_sorted());
        for trade in &backtest.trades {
            let sign = trade.side.sign();
            let mid = trade.entry_price - sign * config.costs.for_pair(series[trade.series as usize].candles.pair()).round_trip() / 2.0;
            let paid = sign * (trade.exit_price - trade.entry_price) / mid;
            prop_assert!((paid - trade.net_return).abs() < 1e-12, "the prices tell the return");
        }
        for pair in backtest.trades.windows(2).filter(|pair| pair[0].series == pair[1].series) {
            prop_assert!(pair[0].exit_row <= pair[1].signal_row, "one position at a time");
        }
    }

    #[test]
    fn the_future_changes_no_closed_trade(series in any_series(), config in any_config(), cut in 0..400usize) {
        let (candles, signals) = &series;
        let cut = cut.min(candles.len());
        let whole = run(&[SeriesSignals { candles, signals, sizes: None }], &config).trades;
        let before = candles.slice(0, cut);
        let part = run(&[SeriesSignals { candles: &before, signals: &signals[..cut], sizes: None }], &config).trades;
        prop_assert_eq!(&whole[..part.len()], part.as_slice());
    }
}

/// Against plain Python: tests/golden/backtest_plain.py.
#[test]
fn trades_and_figures_agree_with_plain_python() {
    #[derive(serde::Deserialize)]
    struct Golden {
        signals: Vec<i8>,
        cases: Vec<Case>,
    }
    #[derive(serde::Deserialize)]
    struct Case {
        stop_loss: Option<f64>,
        take_profit: Option<f64>,
        days: Vec<NaiveDate>,
        figures: serde_json::Map<String, serde_json::Value>,
        trades: Vec<(u32, u32, ExitReason, f64)>,
    }
    let golden: Golden = serde_json::from_str(include_str!("../../tests/golden/backtest.json"))
        .expect("golden values");
    let mut reader =
        csv::Reader::from_reader(include_str!("../../tests/golden/labels.csv").as_bytes());
    let rows: Vec<_> = reader.records().collect::<Result<_, _>>().expect("a table");
    let number = |row: &csv::StringRecord, column: usize| row[column].parse().expect("a number");
    // The columns are at, open, close, high, low.
    let candles = candles(
        "EUR/USD",
        rows.iter().map(|row| (row[0].parse().expect("µs"), [1, 3, 4, 2].map(|k| number(row, k)))),
    );
    for case in golden.cases {
        let config = BacktestConfig {
            costs: CostsConfig { spread: 0.0001, slippage: 0.00002, ..CostsConfig::NONE },
            stop_loss: case.stop_loss,
            take_profit: case.take_profit,
        };
        let series = [SeriesSignals { candles: &candles, signals: &golden.signals, sizes: None }];
        let backtest = run(&series, &config);
        assert_eq!(backtest.days, case.days);
        assert_eq!(backtest.trades.len(), case.trades.len());
        for (trade, (row, exit_row, reason, net)) in backtest.trades.iter().zip(&case.trades) {
            let (given, expected) = ((trade.signal_row, trade.exit_row), (*row, *exit_row));
            assert_eq!((given, trade.reason), (expected, *reason));
            close_to(Some(trade.net_return), *net);
        }
        let figures = serde_json::to_value(&backtest.figures).expect("figures are plain");
        for (name, expected) in &case.figures {
            let given = figures[name].as_f64().expect(name);
            let expected = expected.as_f64().expect("a number");
            assert!(
                (given - expected).abs() < 1e-9 * expected.abs().max(1.0),
                "{name}: {given} {expected}"
            );
        }
    }
}
