//! What the benches share: columns in from a raw file, seconds of repeated calls out as JSON.

use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
    time::Instant,
};

use aifx::market::{CandleColumns, Candles, Timeframe};

/// Series of `n` candles each, one after another, as raw little-endian columns: i64 opening instants (µs), then f64
/// open, high, low, close. What follows them is the second part of the result.
pub(crate) fn candles(
    path: &Path,
    timeframe: Timeframe,
    n: usize,
    n_series: usize,
) -> (Vec<Candles>, Vec<u8>) {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut file| file.read_to_end(&mut bytes)).expect("the input opens");
    let rest = bytes.split_off(5 * n * 8 * n_series);
    let series = bytes.chunks_exact(5 * n * 8).map(|bytes| one_series(bytes, timeframe, n));
    (series.collect(), rest)
}

fn one_series(bytes: &[u8], timeframe: Timeframe, n: usize) -> Candles {
    let column = |k: usize| bytes[k * n * 8..(k + 1) * n * 8].chunks_exact(8);
    let word = |chunk: &[u8]| <[u8; 8]>::try_from(chunk).expect("eight bytes");
    let prices = |k: usize| column(k).map(|chunk| f64::from_le_bytes(word(chunk))).collect();
    let columns = CandleColumns {
        open_at_us: column(0).map(|chunk| i64::from_le_bytes(word(chunk))).collect(),
        open: prices(1),
        high: prices(2),
        low: prices(3),
        close: prices(4),
        volume: vec![0.0; n],
    };
    let pair = "EUR/USD".parse().expect("a pair");
    let as_of = "3000-01-01T00:00:00Z".parse().expect("an instant");
    Candles::new(pair, timeframe, as_of, columns).expect("valid candles")
}

/// Calls `work` once to warm up, then `n` times, and prints the seconds of each; returns a last result.
/// Each result is dropped before the next call, as the peers' are: memory that was just used is used again.
pub(crate) fn repeat<T>(n: usize, mut work: impl FnMut() -> T) -> T {
    drop(work());
    let seconds: Vec<f64> = (0..n)
        .map(|_| {
            let start = Instant::now();
            let result = work();
            let seconds = start.elapsed().as_secs_f64();
            drop(result);
            seconds
        })
        .collect();
    writeln!(std::io::stdout(), "{seconds:?}").expect("stdout is open");
    work()
}

/// The arguments after the name, or `None` when cargo calls the bench by itself.
pub(crate) fn arguments() -> Option<Vec<String>> {
    let given: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    if given.is_empty() {
        writeln!(std::io::stderr(), "driven by scripts/bench.sh, which brings the references")
            .expect("stderr is open");
        return None;
    }
    Some(given)
}
