//! A backtest with full statistics: `backtest TIMEFRAME CONFIG N_CANDLES INPUT OUTPUT REPEATS`, CONFIG as JSON.
//! `scripts/bench/backtest.py` writes INPUT (candles, then a signal byte each), compares OUTPUT (signal rows, exit
//! rows, net returns) and runs the peers.

mod support;

use std::{fs::File, io::Write, path::Path};

use aifx::backtest::{SeriesSignals, run};

fn main() {
    let Some(arguments) = support::arguments() else { return };
    let [timeframe, config, n, input, output, repeats] = arguments.as_slice() else {
        panic!("TIMEFRAME CONFIG N_CANDLES INPUT OUTPUT REPEATS");
    };
    let timeframe = timeframe.parse().expect("a timeframe");
    let config = serde_json::from_str(config).expect("a configuration");
    let n = n.parse().expect("a number");
    let (series, rest) = support::candles(Path::new(input), timeframe, n, 1);
    let signals: Vec<i8> = rest.into_iter().map(|byte| byte as i8).collect();
    let series = [SeriesSignals { candles: &series[0], signals: &signals, sizes: None }];
    let backtest = support::repeat(repeats.parse().expect("a number"), || run(&series, &config));
    let rows = |of: fn(&aifx::backtest::Trade) -> u32| {
        backtest.trades.iter().flat_map(move |trade| f64::from(of(trade)).to_le_bytes())
    };
    let returns = backtest.trades.iter().flat_map(|trade| trade.net_return.to_le_bytes());
    let bytes: Vec<u8> =
        rows(|trade| trade.signal_row).chain(rows(|trade| trade.exit_row)).chain(returns).collect();
    File::create(output).and_then(|mut file| file.write_all(&bytes)).expect("written");
}
