//! Times training and inference of the reference network for `scripts/bench/training.py` and `inference.py`.
//!
//! Usage: `model prepare FOLDER CANDLES` writes the data set, initial weights and this side's answers as raw files for
//! the peer; `model fit CANDLES BATCH THREADS EPOCHS`, `model single CANDLES CALLS` and `model history CANDLES REPEATS` time.
//! The data are five simulated hourly pairs of CANDLES candles, the same in each call. One JSON line comes out.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an executable for a script")]
#![allow(clippy::disallowed_methods, reason = "raw files for the peer, in a temporary folder")]

use std::{path::Path, time::Instant};

use aifx::{
    dataset::{self, DatasetConfig, Folds, Parts, SeriesInput, SplitConfig},
    features::{self, V1},
    inference::{self, ModelSpec, Predictor},
    labels::{self, LabelRule},
    market::{Candles, HOUR_US, Timeframe, instant},
    nn::{self, ModelConfig, Shape},
    simulate::{self, SimulateConfig},
    train::{self, DeviceChoice, EpochRow, FitConfig, FitObserver},
};
use anyhow::bail;

const SEED: u64 = 1;
const LOOKBACK: usize = 60;
/// 2025-01-01.
const END_US: i64 = 1_735_689_600_000_000;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let line = match args[..] {
        ["prepare", folder, candles] => prepare(Path::new(folder), &folds(candles.parse()?)?)?,
        ["fit", candles, batch, threads, epochs] => {
            fit(&folds(candles.parse()?)?, batch.parse()?, threads.parse()?, epochs.parse()?)?
        }
        ["single", candles, calls] => single(&folds(candles.parse()?)?, calls.parse()?)?,
        ["history", candles, repeats] => history(&folds(candles.parse()?)?, repeats.parse()?)?,
        [] => {
            eprintln!("nothing to time; scripts/bench/training.py and inference.py call this");
            return Ok(());
        }
        _ => bail!("{args:?} is no benchmark"),
    };
    println!("{line}");
    Ok(())
}

fn folds(n_candles: usize) -> anyhow::Result<Folds> {
    let pairs = ["EUR/USD", "GBP/USD", "USD/JPY", "AUD/USD", "USD/CAD"];
    let market = simulate::market(&SimulateConfig {
        pairs: pairs.iter().map(|pair| pair.parse()).collect::<Result<_, _>>()?,
        timeframe: Timeframe::Hour1,
        n_candles,
        seed: SEED,
        edge: 1.0,
        drift: 0.0,
        end_us: END_US,
    });
    let candles: Vec<Candles> = market
        .into_iter()
        .map(|one| Candles::new(one.pair, Timeframe::Hour1, instant(END_US + HOUR_US), one.columns))
        .collect::<Result<_, _>>()?;
    let rule = LabelRule::Volatility { multiple: 0.5 };
    let features = features::compute_all(&V1, &candles);
    let labels: Vec<_> = candles.iter().map(|one| labels::label(one, &rule)).collect();
    let series: Vec<SeriesInput> = candles
        .iter()
        .zip(&features)
        .zip(&labels)
        .map(|((candles, features), labels)| SeriesInput { candles, features, labels })
        .collect();
    let config = DatasetConfig { lookback: LOOKBACK, from_us: None, until_us: None };
    let split = SplitConfig { parts: Parts::Shares([0.8, 0.1, 0.1]), min_part: 1 };
    Ok(dataset::build(&series, &config)?.split(&split, rule.class_names())?)
}

/// The network with its initial weights: what it answers is beside the point, that both sides answer alike is not.
fn predictor(folds: &Folds) -> anyhow::Result<(Predictor, Vec<u8>)> {
    let network = nn::build(&ModelConfig::default(), Shape { n_features: 38, n_classes: 3 });
    let parameters = network.parameters();
    let weights = inference::weights::write(&parameters, &nn::initial_values(&parameters, SEED));
    let spec = ModelSpec {
        feature_set: V1.name.to_owned(),
        features: V1.features.iter().map(|feature| feature.name.to_owned()).collect(),
        lookback: LOOKBACK,
        scaler: folds.scaler.clone(),
        classes: folds.classes.clone(),
        label: LabelRule::Volatility { multiple: 0.5 },
        horizon_minutes: std::collections::BTreeMap::default(),
        temperature: 1.0,
        architecture: ModelConfig::default(),
    };
    Ok((Predictor::new(spec, &weights)?, weights))
}

fn write<T: Copy, const N: usize>(
    path: &Path,
    values: impl IntoIterator<Item = T>,
    bytes: fn(T) -> [u8; N],
) -> anyhow::Result<()> {
    let all: Vec<u8> = values.into_iter().flat_map(bytes).collect();
    Ok(std::fs::write(path, all)?)
}

fn prepare(folder: &Path, folds: &Folds) -> anyhow::Result<serde_json::Value> {
    let (predictor, weights) = predictor(folds)?;
    std::fs::write(folder.join("weights.safetensors"), weights)?;
    write(&folder.join("values.f32"), folds.windows.values.iter().copied(), f32::to_le_bytes)?;
    for (name, part) in [("train", &*folds.train), ("validation", &folds.validation)] {
        write(&folder.join(format!("{name}.rows.u32")), part.rows(), u32::to_le_bytes)?;
        write(&folder.join(format!("{name}.classes.u8")), part.classes(), |class| [class])?;
    }
    let logits = predictor.logits(&folds.windows, &folds.train.rows());
    write(&folder.join("train.logits.f32"), logits, f32::to_le_bytes)?;
    Ok(serde_json::json!({ "train": folds.train.len(), "validation": folds.validation.len() }))
}

/// Seconds of each epoch's steps, without the first step and without validation.
struct Clock {
    last: Instant,
    steps_s: Vec<f64>,
    shares: Vec<f64>,
}

impl FitObserver for Clock {
    fn step(&mut self, done: u64, total: u64) {
        if done == 1 {
            self.last = Instant::now();
        }
        if done == total {
            self.steps_s.push(self.last.elapsed().as_secs_f64());
            self.shares.push((total - 1) as f64 / total as f64);
        }
    }

    fn epoch(&mut self, _row: &EpochRow, _checkpoint: &[u8]) {}

    fn should_stop(&mut self) -> bool {
        false
    }
}

fn fit(
    folds: &Folds,
    batch: usize,
    threads: usize,
    epochs: u32,
) -> anyhow::Result<serde_json::Value> {
    let config = FitConfig {
        epochs,
        batch,
        threads,
        patience: epochs + 1,
        seed: SEED,
        device: DeviceChoice::Cpu,
        ..FitConfig::default()
    };
    let mut clock = Clock { last: Instant::now(), steps_s: Vec::new(), shares: Vec::new() };
    let fit = train::fit(folds, &ModelConfig::default(), &config, None, &mut clock)?;
    let n = folds.train.len() as f64;
    let rates: Vec<f64> =
        clock.steps_s.iter().zip(&clock.shares).map(|(s, share)| n * share / s).collect();
    Ok(serde_json::json!({
        "samples_per_s": rates,
        "train_loss": fit.history.iter().map(|row| row.train_loss).collect::<Vec<_>>(),
        "validation_loss": fit.history.iter().map(|row| row.validation_loss).collect::<Vec<_>>(),
        "n_train": folds.train.len(),
    }))
}

/// One window at a time, on one thread, through what `predict` and the gate call.
fn single(folds: &Folds, calls: usize) -> anyhow::Result<serde_json::Value> {
    let (predictor, _) = predictor(folds)?;
    let rows = folds.train.rows();
    let one = |row: u32| {
        let last = (row as usize + 1) * folds.windows.n_features;
        let n_features = folds.windows.n_features;
        let values = folds.windows.values[last - LOOKBACK * n_features..last].to_vec();
        dataset::Windows { values, n_features, lookback: LOOKBACK }
    };
    let mut seconds = Vec::with_capacity(calls);
    for (index, &row) in rows.iter().cycle().take(calls + 50).enumerate() {
        let window = one(row);
        let start = Instant::now();
        std::hint::black_box(predictor.probabilities(&window, &[LOOKBACK as u32 - 1]));
        if index >= 50 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok(serde_json::json!({
        "p50_ms": 1e3 * seconds[calls / 2],
        "p99_ms": 1e3 * seconds[calls * 99 / 100],
    }))
}

fn history(folds: &Folds, repeats: usize) -> anyhow::Result<serde_json::Value> {
    let (predictor, _) = predictor(folds)?;
    let rows = folds.train.rows();
    let rates: Vec<f64> = (0..=repeats)
        .map(|_| {
            let start = Instant::now();
            std::hint::black_box(predictor.logits(&folds.windows, &rows));
            rows.len() as f64 / start.elapsed().as_secs_f64()
        })
        .skip(1)
        .collect();
    Ok(serde_json::json!({ "samples_per_s": rates }))
}
