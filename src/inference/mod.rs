//! [`Predictor`]: candles in, probabilities out; the one path for backtest, promotion and signals.
//!
//! [`ModelSpec`] is all that is needed to use a model's weights, and what `metadata.json` carries. Not here: training
//! (`train`), what is done with an answer (CORE).

mod together;
pub mod weights;

use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

use crate::{
    dataset::{Scaler, Windows},
    evaluate::Temperature,
    features::{self, FeatureSet},
    labels::LabelRule,
    market::{Candles, Micros},
    nn::{self, ModelConfig, Network, ParameterSpec, Shape},
};

pub use together::{RawWindows, Together};

/// Windows in one forward pass: larger ones leave the cache.
const BATCH: usize = 64;
/// A probe's probabilities may differ this much between machines.
pub const PROBE_TOLERANCE: f32 = 1e-5;

/// All that is needed to use a model's weights.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelSpec {
    /// The feature set.
    pub feature_set: String,
    /// Names of the features, in column order.
    pub features: Vec<String>,
    /// Candles in a window.
    pub lookback: usize,
    /// Median and interquartile range of each feature; clipped at ±10.
    pub scaler: Scaler,
    /// Names of the classes, in the order of the logits.
    pub classes: Vec<String>,
    /// How the labels were made.
    pub label: LabelRule,
    /// How far a label looks ahead, in minutes, by timeframe.
    pub horizon_minutes: std::collections::BTreeMap<String, i64>,
    /// Logits are divided by this before the softmax.
    pub temperature: f64,
    /// The architecture.
    pub architecture: ModelConfig,
}

/// Why a model cannot be used.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InferenceError {
    /// This aifx has no such feature set.
    #[error("{0}")]
    FeatureSet(String),
    /// Its columns differ.
    #[error("the model expects {expected} features, {set} has {found}{news}")]
    Features {
        /// Of the model.
        expected: usize,
        /// Of the set here.
        found: usize,
        /// Which set.
        set: String,
        /// The first that differs, in words.
        news: String,
    },
    /// Its parts do not fit together.
    #[error("{0}")]
    Spec(&'static str),
    /// Its weights do not fit.
    #[error(transparent)]
    Weights(#[from] weights::WeightsError),
    /// The probe gives another answer than it did when the model was made.
    #[error(
        "the probe's answers differ from those of the training by up to {difference} (allowed: {PROBE_TOLERANCE})"
    )]
    Probe {
        /// Largest difference of a probability.
        difference: f32,
    },
    /// The probe cannot be read.
    #[error("probe.safetensors cannot be read: {0}")]
    ProbeFormat(String),
    /// LibTorch refused.
    #[error("LibTorch: {0}")]
    Torch(String),
}

/// Answers to candles.
#[derive(Debug, Clone, PartialEq)]
pub struct Predicted {
    /// Rows of the candles that were answered.
    pub rows: Vec<usize>,
    /// When each could be decided: the close of its candle.
    pub decided_at_us: Vec<Micros>,
    /// `[n, classes]`, row-major.
    pub probabilities: Vec<f64>,
}

/// A model ready to answer.
pub struct Predictor {
    spec: ModelSpec,
    set: &'static FeatureSet,
    network: Box<dyn Network>,
    parameters: Vec<Tensor>,
}

impl std::fmt::Debug for Predictor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Predictor").field("spec", &self.spec).finish_non_exhaustive()
    }
}

impl Predictor {
    /// Checks specification and weights, and loads them.
    ///
    /// # Errors
    /// [`InferenceError`] naming the first thing that does not fit.
    pub fn new(spec: ModelSpec, bytes: &[u8]) -> Result<Predictor, InferenceError> {
        let set = features::by_name(&spec.feature_set)
            .map_err(|error| InferenceError::FeatureSet(error.to_string()))?;
        let names = set.names();
        if names != spec.features {
            let news = names.iter().find(|name| !spec.features.iter().any(|f| f == *name));
            return Err(InferenceError::Features {
                expected: spec.features.len(),
                found: names.len(),
                set: set.name.to_owned(),
                news: news.map(|name| format!(": {name} is new")).unwrap_or_default(),
            });
        }
        let n = names.len();
        if spec.scaler.n_features() != n {
            return Err(InferenceError::Spec(
                "the scaler has another number of features than the model",
            ));
        }
        let sound = spec.temperature > 0.0 && spec.temperature.is_finite() && spec.lookback > 0;
        if !sound {
            return Err(InferenceError::Spec("temperature or lookback is not a positive number"));
        }
        one_thread_each();
        let network = nn::build(&spec.architecture, spec.shape());
        let list = network.parameters();
        let flat = Tensor::from_slice(&weights::read(&list, bytes)?);
        let parameters = nn::views(&flat, &list);
        Ok(Predictor { spec, set, network, parameters })
    }

    /// What it was made of.
    pub fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    /// Answers every candle whose window is complete; gaps are the caller's to judge.
    pub fn predict(&self, candles: &Candles) -> Predicted {
        let features = features::compute(self.set, candles);
        let first = features.first_complete_row() + self.spec.lookback - 1;
        let rows: Vec<usize> = (first.min(candles.len())..candles.len()).collect();
        let n_features = self.spec.features.len();
        let mut values = vec![0.0; candles.len() * n_features];
        self.spec.scaler.apply(&features.columns, &mut values);
        let windows = Windows { values, n_features, lookback: self.spec.lookback };
        let places: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
        Predicted {
            probabilities: self.probabilities(&windows, &places),
            decided_at_us: rows.iter().map(|&row| candles.close_at_us(row)).collect(),
            rows,
        }
    }

    /// Probabilities of windows, `[n, classes]` row-major.
    pub fn probabilities(&self, windows: &Windows, rows: &[u32]) -> Vec<f64> {
        let temperature = Temperature(self.spec.temperature);
        temperature.probabilities(&self.logits(windows, rows), self.spec.classes.len())
    }

    /// Logits of windows, `[n, classes]` row-major; many are computed on two threads.
    pub fn logits(&self, windows: &Windows, rows: &[u32]) -> Vec<f32> {
        let tensor = WindowTensor::new(windows, Device::Cpu);
        let n_classes = self.spec.classes.len() as i64;
        let network = self.network.as_ref();
        let forward = move |windows: &WindowTensor, parameters: &[Tensor], rows: &[u32]| {
            tch::no_grad(|| windows.logits(network, parameters, n_classes, rows))
        };
        if rows.len() < 4 * BATCH {
            return forward(&tensor, &self.parameters, rows);
        }
        // Two threads with a network each scale better than one network with two threads.
        let (left, right) = rows.split_at(rows.len() / 2);
        let shared = tensor.share();
        let parameters: Vec<Tensor> = self.parameters.iter().map(Tensor::shallow_clone).collect();
        std::thread::scope(|scope| {
            let other = scope.spawn(move || forward(&shared, &parameters, right));
            let mut logits = forward(&tensor, &self.parameters, left);
            logits.extend(
                other.join().expect("LibTorch's forward pass does not panic on checked weights"),
            );
            logits
        })
    }

    /// A few windows with their answers, safetensors: what a loader anywhere must reproduce.
    pub fn probe(&self, windows: &Windows, rows: &[u32]) -> Vec<u8> {
        use safetensors::{Dtype, tensor::TensorView};
        let (lookback, n_features) = (windows.lookback, windows.n_features);
        let inputs: Vec<u8> = rows
            .iter()
            .flat_map(|&row| {
                let first = (row as usize + 1 - lookback) * n_features;
                &windows.values[first..first + lookback * n_features]
            })
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let answers: Vec<u8> = self
            .probabilities(windows, rows)
            .iter()
            .flat_map(|p| (*p as f32).to_le_bytes())
            .collect();
        let view = |shape: Vec<usize>, bytes| {
            TensorView::new(Dtype::F32, shape, bytes).expect("four bytes a value")
        };
        safetensors::serialize(
            [
                ("inputs", view(vec![rows.len(), lookback, n_features], &inputs)),
                ("probabilities", view(vec![rows.len(), self.spec.classes.len()], &answers)),
            ],
            None,
        )
        .expect("views of one dtype")
    }

    /// Repeats a probe.
    ///
    /// # Errors
    /// [`InferenceError::Probe`] when an answer differs by more than [`PROBE_TOLERANCE`].
    pub fn check_probe(&self, bytes: &[u8]) -> Result<(), InferenceError> {
        let refuse = |why: String| InferenceError::ProbeFormat(why);
        let tensors =
            safetensors::SafeTensors::deserialize(bytes).map_err(|e| refuse(e.to_string()))?;
        let read = |name: &str, width: usize| {
            let tensor = tensors.tensor(name).map_err(|error| refuse(error.to_string()))?;
            let bytes = tensor.data().chunks_exact(4);
            let values: Vec<f32> =
                bytes.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
            let n: usize = tensor.shape().first().copied().unwrap_or(0);
            if n == 0 || values.len() != n * width {
                return Err(refuse(format!("{name} has an unexpected shape")));
            }
            Ok((n, values))
        };
        let (lookback, n_features) = (self.spec.lookback, self.spec.features.len());
        let (n, values) = read("inputs", lookback * n_features)?;
        let (n_answers, answers) = read("probabilities", self.spec.classes.len())?;
        if n != n_answers {
            return Err(refuse("inputs and probabilities differ in number".into()));
        }
        let windows = Windows { values, n_features, lookback };
        let rows: Vec<u32> = (1..=n).map(|i| (i * lookback - 1) as u32).collect();
        let difference = self
            .probabilities(&windows, &rows)
            .iter()
            .zip(&answers)
            .map(|(now, then)| (*now as f32 - then).abs())
            .fold(0.0f32, |max, d| if d.is_nan() { f32::INFINITY } else { max.max(d) });
        if difference > PROBE_TOLERANCE {
            return Err(InferenceError::Probe { difference });
        }
        Ok(())
    }

    /// TorchScript that maps scaled windows `[batch, lookback, features]` of any batch to logits, written to `path`.
    ///
    /// # Errors
    /// [`InferenceError::Torch`].
    pub fn export_torchscript(&self, path: &std::path::Path) -> Result<(), InferenceError> {
        let shape = [2, self.spec.lookback as i64, self.spec.features.len() as i64];
        let example = Tensor::zeros(shape, (tch::Kind::Float, Device::Cpu));
        let torch = |error: tch::TchError| InferenceError::Torch(error.to_string());
        tch::no_grad(|| {
            let mut forward =
                |inputs: &[Tensor]| vec![self.network.forward(&self.parameters, &inputs[0], None)];
            let module =
                tch::CModule::create_by_tracing("aifx", "forward", &[example], &mut forward)
                    .map_err(torch)?;
            module.save(path).map_err(torch)
        })
    }

    /// Its parameters.
    pub fn parameter_specs(&self) -> Vec<ParameterSpec> {
        self.network.parameters()
    }
}

impl ModelSpec {
    fn shape(&self) -> Shape {
        Shape { n_features: self.features.len() as i64, n_classes: self.classes.len() as i64 }
    }
}

/// One thread inside LibTorch for the whole process: the second core is used by a second network, which scales better,
/// and one sample on two threads takes twice as long (measured).
pub fn one_thread_each() {
    use std::sync::Once;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tch::set_num_threads(1));
}

/// Scaled rows as a tensor, `[n_rows, features]`; windows are gathered a batch at a time.
#[derive(Debug)]
pub struct WindowTensor {
    rows: Tensor,
    lookback: i64,
    n_features: i64,
}

impl WindowTensor {
    /// Copies the rows once.
    pub fn new(windows: &Windows, device: Device) -> WindowTensor {
        let (lookback, n_features) = (windows.lookback as i64, windows.n_features as i64);
        let rows = Tensor::from_slice(&windows.values).view([-1, n_features]).to_device(device);
        WindowTensor { rows, lookback, n_features }
    }

    /// The same memory, for another thread.
    pub fn share(&self) -> WindowTensor {
        WindowTensor { rows: self.rows.shallow_clone(), ..*self }
    }

    /// `[batch, lookback, features]` of windows that end at `rows`.
    pub fn batch(&self, rows: &[u32]) -> Tensor {
        let lookback = self.lookback;
        let places: Vec<i64> =
            rows.iter().flat_map(|&row| i64::from(row) + 1 - lookback..=i64::from(row)).collect();
        let places = Tensor::from_slice(&places).to_device(self.rows.device());
        self.rows.index_select(0, &places).view([rows.len() as i64, lookback, self.n_features])
    }

    /// Logits of windows, `[n, classes]` row-major, a batch at a time.
    pub fn logits(
        &self,
        network: &dyn Network,
        parameters: &[Tensor],
        n_classes: i64,
        rows: &[u32],
    ) -> Vec<f32> {
        let mut logits = Vec::with_capacity(rows.len() * n_classes as usize);
        for piece in rows.chunks(BATCH) {
            let answer = network
                .forward(parameters, &self.batch(piece), None)
                .to_device(Device::Cpu)
                .contiguous();
            let answer: Vec<f32> = Vec::try_from(answer.view([-1])).expect("logits are floats");
            logits.extend(answer);
        }
        logits
    }
}
