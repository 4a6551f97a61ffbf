//! Training loops: folds in, weights and history out.
//!
//! [`fit`] trains with Adam on class-weighted cross-entropy, stops early on validation and resumes from a checkpoint to
//! the same bits. Each step is split into micro-batches that one-thread replicas of the network compute side by side on
//! shared weights; their gradients are summed in a fixed order. Not here: which data (`dataset`), files (`artifact`).

mod checkpoint;
mod replica;
#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr, time::Instant};

use rand::{SeedableRng, seq::SliceRandom};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::{Device, Kind, Tensor};

use crate::{
    dataset::{Folds, Sample, Windows},
    inference::{self, weights},
    memory,
    nn::{self, ModelConfig, Shape},
};
use checkpoint::State;
use replica::{Chunk, Replica, Workers};

/// A micro-batch is no larger: beyond it the activations leave the cache, and nothing is won (measured).
const MICRO_BATCH: usize = 64;
/// No class weighs more than this, however rare it is (FORMULAS, elementary).
const MAX_CLASS_WEIGHT: f64 = 10.0;
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;

/// Where to compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DeviceChoice {
    /// The first CUDA device where there is one, else the processor.
    #[default]
    Auto,
    /// The processor.
    Cpu,
    /// A CUDA device.
    Cuda(usize),
}

/// Text that names no device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a device; write auto, cpu or cuda:0")]
pub struct DeviceError(String);

impl FromStr for DeviceChoice {
    type Err = DeviceError;

    fn from_str(text: &str) -> Result<Self, DeviceError> {
        match text {
            "auto" => Ok(DeviceChoice::Auto),
            "cpu" => Ok(DeviceChoice::Cpu),
            _ => text
                .strip_prefix("cuda:")
                .and_then(|n| n.parse().ok())
                .map(DeviceChoice::Cuda)
                .ok_or_else(|| DeviceError(text.chars().take(20).collect())),
        }
    }
}

impl TryFrom<String> for DeviceChoice {
    type Error = DeviceError;

    fn try_from(text: String) -> Result<Self, DeviceError> {
        text.parse()
    }
}

impl From<DeviceChoice> for String {
    fn from(choice: DeviceChoice) -> String {
        choice.to_string()
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeviceChoice::Auto => f.write_str("auto"),
            DeviceChoice::Cpu => f.write_str("cpu"),
            DeviceChoice::Cuda(n) => write!(f, "cuda:{n}"),
        }
    }
}

/// How to train.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FitConfig {
    /// At most this many passes over the training part.
    pub epochs: u32,
    /// Samples in one step.
    pub batch: usize,
    /// Adam's learning rate.
    pub lr: f64,
    /// Of initial weights, order of samples, and dropout.
    pub seed: u64,
    /// One-thread replicas that compute side by side; part of what decides the bits.
    pub threads: usize,
    /// Epochs without a better validation loss before training stops.
    pub patience: u32,
    /// Epochs without a better validation loss before the learning rate is halved.
    pub plateau_patience: u32,
    /// Largest norm of a step's gradient.
    pub clip_norm: f64,
    /// Where to compute.
    pub device: DeviceChoice,
}

impl Default for FitConfig {
    fn default() -> Self {
        FitConfig {
            epochs: 50,
            batch: 32,
            lr: 1e-3,
            seed: 0,
            threads: 1,
            patience: 8,
            plateau_patience: 3,
            clip_norm: 1.0,
            device: DeviceChoice::Auto,
        }
    }
}

/// One epoch in the history.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// From 1.
    pub epoch: u32,
    /// Class-weighted cross-entropy over the epoch's steps, with dropout, nats.
    pub train_loss: f64,
    /// Share right over the epoch's steps, with dropout.
    pub train_accuracy: f64,
    /// Log-loss on validation, without class weights, nats.
    pub validation_loss: f64,
    /// Share right on validation.
    pub validation_accuracy: f64,
    /// Learning rate of the epoch.
    pub lr: f64,
    /// Wall time, seconds.
    pub seconds: f64,
}

/// What a training tells its caller.
pub trait FitObserver {
    /// A step was done.
    fn step(&mut self, done: u64, total: u64);

    /// An epoch ended; `checkpoint` resumes right after it.
    fn epoch(&mut self, row: &EpochRow, checkpoint: &[u8]);

    /// Asked before each step: whether to stop without a result.
    fn should_stop(&mut self) -> bool;
}

/// A trained network.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    /// The best epoch's weights, safetensors.
    pub weights: Vec<u8>,
    /// One row an epoch.
    pub history: Vec<EpochRow>,
    /// The epoch whose weights were kept, from 1.
    pub best_epoch: u32,
    /// Whether validation ended the training before the last epoch.
    pub stopped_early: bool,
}

/// Why there is no trained network.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum FitError {
    /// The device is not there.
    #[error("{0} was asked for, and this LibTorch has no such device")]
    NoDevice(String),
    /// The loss left the numbers.
    #[error(
        "the loss became {loss} in step {step} of epoch {epoch} (learning rate {lr:e}; the windows lay between {min:e} and {max:e})"
    )]
    Diverged {
        /// NaN or an infinity.
        loss: f64,
        /// From 1.
        step: usize,
        /// From 1.
        epoch: u32,
        /// Of that step.
        lr: f64,
        /// Smallest input.
        min: f32,
        /// Largest input.
        max: f32,
    },
    /// The caller asked for it.
    #[error("training was stopped")]
    Stopped,
    /// A setting makes no sense.
    #[error("{0}")]
    Config(&'static str),
    /// The weights to start from do not fit.
    #[error(transparent)]
    Weights(#[from] weights::WeightsError),
}

/// Trains a network on `folds.train`, watched by `folds.validation`; `resume` is what an observer was given last.
///
/// The class weights `n / (K n_k)`, capped at 10, make rare classes count in training; afterwards the output bias takes
/// `ln(weight)` off again, so that the probabilities are those of the market and not of a balanced one.
/// A checkpoint of other data or settings is ignored.
///
/// # Errors
/// [`FitError`].
pub fn fit(
    folds: &Folds,
    model: &ModelConfig,
    config: &FitConfig,
    resume: Option<&[u8]>,
    observer: &mut dyn FitObserver,
) -> Result<Fit, FitError> {
    if config.batch == 0
        || config.epochs == 0
        || folds.train.is_empty()
        || folds.validation.is_empty()
    {
        return Err(FitError::Config(
            "training wants samples, at least one epoch and a batch of at least one",
        ));
    }
    let shape = Shape {
        n_features: folds.windows.n_features as i64,
        n_classes: folds.classes.len() as i64,
    };
    let network = nn::build(model, shape);
    let parameters = network.parameters();
    let key = checkpoint::key(folds, model, config);
    let state = resume
        .and_then(|bytes| State::read(bytes, &key))
        .unwrap_or_else(|| State::fresh(nn::initial_values(&parameters, config.seed), config.lr));
    let lesson = Lesson {
        network: network.as_ref(),
        windows: &folds.windows,
        train: &folds.train.samples,
        sample_weights: &[],
        validation: &folds.validation.samples,
        class_weights: class_weights(&folds.train.class_counts(folds.classes.len())),
        key: &key,
    };
    let state = learn(&lesson, config, state, observer)?;
    let best = Tensor::from_slice(&state.best_values);
    let views = nn::views(&best, &parameters);
    if let (Some(bias), Some(spec)) = (views.last(), parameters.last()) {
        debug_assert_eq!(spec.name, "out.bias");
        let mut bias = bias.shallow_clone();
        let _ = bias.subtract_(&Tensor::from_slice(&lesson.log_weights()));
    }
    Ok(Fit {
        weights: weights::write(&parameters, &values_of(&best)),
        stopped_early: state.epoch < config.epochs,
        best_epoch: state.best_epoch,
        history: state.history,
    })
}

/// Goes on training a model on a few new samples: `config.epochs` passes from its own weights, and the last weights are
/// kept, since a day holds too few samples to choose an epoch by. Classes are not weighted: the weights of so few
/// samples are noise, and the probabilities of the model that is refreshed are those of the market already. `sample_weights`
/// says how much more a sample counts than another; empty: all alike.
///
/// # Errors
/// [`FitError`].
pub fn fine_tune(
    windows: &Windows,
    (samples, sample_weights): (&[Sample], &[f32]),
    model: &ModelConfig,
    n_classes: usize,
    from: &[u8],
    config: &FitConfig,
    observer: &mut dyn FitObserver,
) -> Result<Fit, FitError> {
    if config.batch == 0 || config.epochs == 0 || samples.is_empty() {
        return Err(FitError::Config(
            "fine-tuning wants samples, at least one epoch and a batch of at least one",
        ));
    }
    if !sample_weights.is_empty()
        && (sample_weights.len() != samples.len()
            || !sample_weights.iter().all(|weight| *weight > 0.0 && weight.is_finite()))
    {
        return Err(FitError::Config("each sample wants one weight, positive and finite"));
    }
    let shape = Shape { n_features: windows.n_features as i64, n_classes: n_classes as i64 };
    let network = nn::build(model, shape);
    let parameters = network.parameters();
    let lesson = Lesson {
        network: network.as_ref(),
        windows,
        train: samples,
        sample_weights,
        validation: &[],
        class_weights: vec![1.0; n_classes],
        key: "",
    };
    let state = State::fresh(weights::read(&parameters, from)?, config.lr);
    let state = learn(&lesson, config, state, observer)?;
    Ok(Fit {
        weights: weights::write(&parameters, &state.values),
        stopped_early: false,
        best_epoch: state.epoch,
        history: state.history,
    })
}

/// What is learned from what.
struct Lesson<'a> {
    network: &'a dyn nn::Network,
    windows: &'a Windows,
    train: &'a [Sample],
    /// Of each sample to learn from; empty: all alike.
    sample_weights: &'a [f32],
    /// Empty for a fine-tune: then no epoch is better than another.
    validation: &'a [Sample],
    class_weights: Vec<f64>,
    /// Of the checkpoints.
    key: &'a str,
}

impl Lesson<'_> {
    /// How much a sample counts in the loss.
    fn weight(&self, sample: u32) -> f64 {
        let class = usize::from(self.train[sample as usize].class);
        let own = self.sample_weights.get(sample as usize).map_or(1.0, |weight| f64::from(*weight));
        self.class_weights[class] * own
    }

    fn log_weights(&self) -> Vec<f32> {
        self.class_weights.iter().map(|weight| weight.ln() as f32).collect()
    }
}

/// Runs epochs from `state` on.
fn learn(
    lesson: &Lesson<'_>,
    config: &FitConfig,
    mut state: State,
    observer: &mut dyn FitObserver,
) -> Result<State, FitError> {
    let device = device(config.device)?;
    inference::one_thread_each();
    memory::keep_freed();
    let Lesson { network, train, validation, key, .. } = *lesson;
    let weights = &lesson.class_weights;
    let parameters = network.parameters();
    let threads = if device == Device::Cpu { config.threads.max(1) } else { 1 };
    let log_weights = lesson.log_weights();

    let flat = Tensor::from_slice(&state.values).to_device(device);
    let mut m = Tensor::from_slice(&state.m).to_device(device);
    let mut v = Tensor::from_slice(&state.v).to_device(device);
    let windows = inference::WindowTensor::new(lesson.windows, device);
    let replica = || Replica::new(network, &windows, &flat, &parameters, weights);
    let diverged = |loss: f64, step: usize, state: &State| {
        let (min, max) = extremes(&lesson.windows.values);
        FitError::Diverged { loss, step, epoch: state.epoch + 1, lr: state.lr, min, max }
    };

    std::thread::scope(|scope| {
        let mut workers = Workers::start(scope, threads, replica);
        while state.epoch < config.epochs && state.bad_epochs < config.patience {
            let began = Instant::now();
            let mut order: Vec<u32> = (0..train.len() as u32).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(config.seed);
            rng.set_stream(u64::from(state.epoch) + 1);
            order.shuffle(&mut rng);
            let (mut loss_sum, mut weight_sum, mut n_right) = (0.0, 0.0, 0usize);
            let n_steps = order.len().div_ceil(config.batch);
            for (step, batch) in order.chunks(config.batch).enumerate() {
                if observer.should_stop() {
                    return Err(FitError::Stopped);
                }
                state.step += 1;
                let chunks = chunks(batch, lesson, threads, &state, config.seed);
                let batch_weight: f64 = batch.iter().map(|&i| lesson.weight(i)).sum();
                let (loss, right, gradient) = workers.gradient(chunks, batch_weight);
                if !loss.is_finite() {
                    return Err(diverged(loss, step + 1, &state));
                }
                adam(&flat, &mut m, &mut v, gradient, config.clip_norm, state.lr, state.step);
                loss_sum += loss * batch_weight;
                weight_sum += batch_weight;
                n_right += right;
                observer.step(step as u64 + 1, n_steps as u64);
            }
            let train_loss = loss_sum / weight_sum;
            let train_accuracy = n_right as f64 / order.len() as f64;
            let (validation_loss, validation_accuracy) = if validation.is_empty() {
                (train_loss, train_accuracy)
            } else {
                let rows: Vec<u32> = validation.iter().map(|sample| sample.row).collect();
                let mut logits = workers.logits(&rows);
                let n_classes = log_weights.len();
                for row in logits.chunks_mut(n_classes) {
                    row.iter_mut().zip(&log_weights).for_each(|(logit, weight)| *logit -= weight);
                }
                log_loss(&logits, validation, n_classes)
            };
            if !validation_loss.is_finite() {
                return Err(diverged(validation_loss, n_steps, &state));
            }
            state.epoch += 1;
            let row = EpochRow {
                epoch: state.epoch,
                train_loss,
                train_accuracy,
                validation_loss,
                validation_accuracy,
                lr: state.lr,
                seconds: began.elapsed().as_secs_f64(),
            };
            state.history.push(row);
            state.values = values_of(&flat);
            if validation.is_empty() {
                observer.epoch(&row, &[]);
                continue;
            }
            state.m = values_of(&m);
            state.v = values_of(&v);
            state.judge(validation_loss, config.plateau_patience);
            observer.epoch(&row, &state.write(key));
        }
        Ok(())
    })?;
    Ok(state)
}

fn device(choice: DeviceChoice) -> Result<Device, FitError> {
    let n_cuda =
        if tch::Cuda::is_available() { tch::Cuda::device_count().max(0) as usize } else { 0 };
    match choice {
        DeviceChoice::Cpu => Ok(Device::Cpu),
        DeviceChoice::Auto if n_cuda == 0 => Ok(Device::Cpu),
        DeviceChoice::Auto => Ok(Device::Cuda(0)),
        DeviceChoice::Cuda(n) if n < n_cuda => Ok(Device::Cuda(n)),
        DeviceChoice::Cuda(_) => Err(FitError::NoDevice(choice.to_string())),
    }
}

/// `n / (K n_k)`, capped; 1 for a class that does not occur.
fn class_weights(counts: &[usize]) -> Vec<f64> {
    let n: usize = counts.iter().sum();
    let k = counts.len();
    counts
        .iter()
        .map(|&count| match count {
            0 => 1.0,
            count => (n as f64 / (k * count) as f64).min(MAX_CLASS_WEIGHT),
        })
        .collect()
}

/// A step's samples in equal pieces: at least one a thread, none above [`MICRO_BATCH`].
fn chunks(
    batch: &[u32],
    lesson: &Lesson<'_>,
    threads: usize,
    state: &State,
    seed: u64,
) -> Vec<Chunk> {
    let samples = lesson.train;
    let n_chunks = threads.max(batch.len().div_ceil(MICRO_BATCH)).min(batch.len());
    let size = batch.len().div_ceil(n_chunks);
    batch
        .chunks(size)
        .enumerate()
        .map(|(index, piece)| Chunk {
            rows: piece.iter().map(|&i| samples[i as usize].row).collect(),
            classes: piece.iter().map(|&i| i64::from(samples[i as usize].class)).collect(),
            weights: match lesson.sample_weights {
                [] => Vec::new(),
                weights => piece.iter().map(|&i| weights[i as usize]).collect(),
            },
            seed,
            // Streams below 2³² order the samples of epochs; those above are dropout's.
            stream: (state.step << 32) + index as u64,
        })
        .collect()
}

/// One step of Adam (Kingma & Ba 2015) on a clipped gradient, in place.
fn adam(
    flat: &Tensor,
    m: &mut Tensor,
    v: &mut Tensor,
    gradient: Tensor,
    clip: f64,
    lr: f64,
    step: u64,
) {
    tch::no_grad(|| {
        let norm = gradient.norm().double_value(&[]);
        let gradient = if norm > clip { gradient * (clip / (norm + 1e-6)) } else { gradient };
        let _ = m.lerp_(&gradient, 1.0 - BETA1);
        let _ = v.g_mul_scalar_(BETA2);
        let _ = v.g_add_(&(gradient.square() * (1.0 - BETA2)));
        let t = i32::try_from(step).unwrap_or(i32::MAX);
        let corrected = (1.0 - BETA2.powi(t)).sqrt();
        let denominator = v.sqrt() / corrected + EPSILON;
        let update = &*m / denominator * (-lr / (1.0 - BETA1.powi(t)));
        let mut flat = flat.shallow_clone();
        let _ = flat.g_add_(&update);
    });
}

fn values_of(tensor: &Tensor) -> Vec<f32> {
    let tensor = tensor.to_device(Device::Cpu).to_kind(Kind::Float).contiguous();
    Vec::try_from(&tensor).expect("a flat tensor of floats")
}

fn extremes(values: &[f32]) -> (f32, f32) {
    values
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), &x| (min.min(x), max.max(x)))
}

/// Log-loss in nats and share right.
fn log_loss(logits: &[f32], samples: &[Sample], n_classes: usize) -> (f64, f64) {
    let (mut loss, mut right) = (0.0, 0usize);
    for (row, sample) in logits.chunks(n_classes).zip(samples) {
        let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f64 = row.iter().map(|&x| f64::from(x - max).exp()).sum();
        let class = usize::from(sample.class);
        loss += sum.ln() - f64::from(row[class] - max);
        let best = row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(i, _)| i);
        right += usize::from(best == Some(class));
    }
    (loss / samples.len() as f64, right as f64 / samples.len() as f64)
}
