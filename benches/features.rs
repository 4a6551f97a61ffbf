//! Times feature set `v1` for `scripts/bench/features.py`, and writes its columns out so that they can be checked.
//!
//! Usage: `features range|call CANDLES SERIES [COLUMNS]`. CANDLES holds SERIES blocks of one length, each the opening
//! instants (i64, microseconds) and open, high, low, close, volume (f64), little endian, column after column. COLUMNS
//! is where the features go, in the same way. Times are seconds, as one JSON line.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an executable for a script")]

use std::{hint::black_box, io::Write, path::Path, time::Instant};

use aifx::{
    features::{self, Features, V1},
    market::{CandleColumns, Candles, HOUR_US, Timeframe, instant},
};
use anyhow::{Context, bail};
use rayon::prelude::*;

const REPEATS: usize = 7;
/// Candles of one prediction: the warm-up and a lookback.
const CALL_ROWS: usize = 600;
const CALLS: usize = 5000;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let [mode, candles, n_series, rest @ ..] = &args[..] else {
        eprintln!("nothing to time without candles; scripts/bench/features.py makes them");
        return Ok(());
    };
    let series = read(Path::new(candles), n_series.parse()?)?;
    if let [path] = rest {
        write(Path::new(path), &series)?;
    }
    let line = match mode.as_str() {
        "range" => range(&series),
        "call" => call(&series[0]),
        other => bail!("{other} is neither range nor call"),
    };
    println!("{line}");
    Ok(())
}

fn read(path: &Path, n_series: usize) -> anyhow::Result<Vec<Candles>> {
    let raw = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let words: Vec<[u8; 8]> =
        raw.chunks_exact(8).map(|word| word.try_into().expect("eight bytes")).collect();
    words.chunks_exact(words.len() / n_series).map(one_series).collect()
}

fn one_series(words: &[[u8; 8]]) -> anyhow::Result<Candles> {
    let n = words.len() / 6;
    let column = |index: usize| {
        words[n * index..n * (index + 1)].iter().map(|word| f64::from_le_bytes(*word)).collect()
    };
    let columns = CandleColumns {
        open_at_us: words[..n].iter().map(|word| i64::from_le_bytes(*word)).collect(),
        open: column(1),
        high: column(2),
        low: column(3),
        close: column(4),
        volume: column(5),
    };
    let last = columns.open_at_us.last().context("no candles in a series")?;
    let as_of = instant(last + HOUR_US);
    Ok(Candles::new("EUR/USD".parse()?, Timeframe::Hour1, as_of, columns)?)
}

fn write(path: &Path, series: &[Candles]) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for features in features::compute_all(&V1, series) {
        for value in features.columns.iter().flatten() {
            file.write_all(&value.to_le_bytes())?;
        }
    }
    Ok(file.flush()?)
}

/// All series: into memory that is used again (as numpy's allocator does), on one thread and on all; and into new memory.
fn range(series: &[Candles]) -> serde_json::Value {
    let mut kept: Vec<Features> = features::compute_all(&V1, series);
    let one_thread = seconds(|| {
        for (candles, features) in series.iter().zip(&mut kept) {
            features::compute_into(candles, features);
        }
    });
    let all_threads = seconds(|| {
        series.par_iter().zip(&mut kept).for_each(|(candles, features)| {
            features::compute_into(candles, features);
        });
    });
    drop(kept);
    let new_memory = seconds(|| {
        let columns: Vec<_> =
            series.iter().map(|candles| features::compute(&V1, candles)).collect();
        black_box(columns);
    });
    serde_json::json!({
        "rows": series.iter().map(Candles::len).sum::<usize>(),
        "threads": rayon::current_num_threads(),
        "one_thread_s": one_thread,
        "all_threads_s": all_threads,
        "new_memory_s": new_memory,
    })
}

/// The median of several runs, after one that is not counted.
fn seconds(mut run: impl FnMut()) -> f64 {
    run();
    let mut times: Vec<f64> = (0..REPEATS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times[REPEATS / 2]
}

/// One prediction's candles at a time, from places all over the series; memory is new each time.
fn call(candles: &Candles) -> serde_json::Value {
    let step = (candles.len() - CALL_ROWS) / CALLS;
    let mut times: Vec<f64> = (0..CALLS)
        .map(|index| {
            let part = candles.slice(index * step, CALL_ROWS);
            let start = Instant::now();
            black_box(features::compute(&V1, &part));
            start.elapsed().as_secs_f64()
        })
        .collect();
    times.sort_by(f64::total_cmp);
    serde_json::json!({
        "rows": CALL_ROWS,
        "p50_s": times[CALLS / 2],
        "p99_s": times[CALLS * 99 / 100],
    })
}
