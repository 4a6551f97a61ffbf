//! Network architectures: one a file, behind one trait.
//!
//! [`ModelConfig`] names one with its sizes; [`Network`] computes logits from parameters that somebody else owns, so that
//! replicas of a network can share them. Parameters are named and initialised as PyTorch does. Not here: training
//! (`train`), files (`artifact`).

mod dropout;
mod lstm;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tch::Tensor;

pub use dropout::Dropout;

/// Which architecture, with its sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ModelConfig {
    /// Stacked LSTMs, the last step into a dense layer.
    Lstm {
        /// Units of each LSTM layer.
        hidden: Vec<i64>,
        /// Units of the dense layer.
        dense: i64,
        /// After each LSTM layer, then after the dense layer.
        dropout: Vec<f64>,
    },
}

impl Default for ModelConfig {
    fn default() -> Self {
        ModelConfig::Lstm { hidden: vec![128, 64], dense: 32, dropout: vec![0.3, 0.3, 0.2] }
    }
}

/// What goes in and what comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// Columns of a window.
    pub n_features: i64,
    /// Logits of an answer.
    pub n_classes: i64,
}

/// One parameter of a network.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterSpec {
    /// Its name, as PyTorch would call it.
    pub name: String,
    /// Its shape.
    pub shape: Vec<i64>,
    /// Initial values are uniform on ±`bound` (PyTorch: one over the square root of the fan-in, or of the units).
    pub bound: f64,
}

impl ParameterSpec {
    /// Number of values.
    pub fn len(&self) -> i64 {
        self.shape.iter().product()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// An architecture of given sizes.
pub trait Network: Send + Sync {
    /// Its parameters, in the order in which [`Network::forward`] takes them.
    fn parameters(&self) -> Vec<ParameterSpec>;

    /// Logits `[batch, classes]` of windows `[batch, lookback, features]`; with `dropout`, as in training.
    fn forward(
        &self,
        parameters: &[Tensor],
        windows: &Tensor,
        dropout: Option<&mut Dropout>,
    ) -> Tensor;
}

/// The network that a configuration names.
pub fn build(config: &ModelConfig, shape: Shape) -> Box<dyn Network> {
    match config {
        ModelConfig::Lstm { hidden, dense, dropout } => {
            Box::new(lstm::LstmNetwork::new(hidden.clone(), *dense, dropout.clone(), shape))
        }
    }
}

/// Initial values of all parameters, one after another; a seed gives the same on every machine.
pub fn initial_values(parameters: &[ParameterSpec], seed: u64) -> Vec<f32> {
    use rand::RngExt;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut values = Vec::new();
    for parameter in parameters {
        let bound = parameter.bound as f32;
        values.extend((0..parameter.len()).map(|_| rng.random_range(-bound..=bound)));
    }
    values
}

/// Views of one flat tensor, one a parameter.
pub fn views(flat: &Tensor, parameters: &[ParameterSpec]) -> Vec<Tensor> {
    let mut offset = 0;
    parameters
        .iter()
        .map(|parameter| {
            let view = flat.narrow(0, offset, parameter.len()).view(parameter.shape.as_slice());
            offset += parameter.len();
            view
        })
        .collect()
}
