//! [`Together`]: networks that answer together, for the files of a version that a reader without aifx opens: a probe over
//! unscaled windows, and TorchScript.
//!
//! Not here: how much each counts (`ensemble`).

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use tch::{Device, Kind, Tensor};

use super::{InferenceError, PROBE_TOLERANCE, Predictor};
use crate::{dataset::Windows, ensemble, features::Features};

/// Networks in order of making with the class prior, and the share of each.
#[derive(Debug)]
pub struct Together<'a> {
    /// The networks.
    pub networks: Vec<&'a Predictor>,
    /// Class shares of the newest network's training part.
    pub prior: &'a [f64],
    /// Shares of the prior and of each network.
    pub weights: &'a [f64],
}

/// Windows of unscaled features, `[n, lookback, features]` row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct RawWindows {
    values: Vec<f64>,
    lookback: usize,
    n_features: usize,
}

impl RawWindows {
    /// The windows that end at rows, counted over all series one after the other.
    pub fn of(series: &[Features], rows: &[u32], lookback: usize) -> RawWindows {
        let n_features = series.first().map_or(0, |features| features.columns.len());
        let mut values = Vec::with_capacity(rows.len() * lookback * n_features);
        for &row in rows {
            let mut last = row as usize;
            let mut rest = series.iter();
            let Some(features) = rest.find(|features| {
                let is_here = last < features.n_rows();
                if !is_here {
                    last -= features.n_rows();
                }
                is_here
            }) else {
                continue;
            };
            for row in last + 1 - lookback..=last {
                values.extend(features.columns.iter().map(|column| column[row]));
            }
        }
        RawWindows { values, lookback, n_features }
    }

    fn n(&self) -> usize {
        self.values.len() / (self.lookback * self.n_features).max(1)
    }

    fn scaled_for(&self, network: &Predictor) -> (Windows, Vec<u32>) {
        let n_features = self.n_features;
        let columns: Vec<Vec<f64>> = (0..n_features)
            .map(|feature| self.values.iter().skip(feature).step_by(n_features).copied().collect())
            .collect();
        let mut values = vec![0.0; self.values.len()];
        network.spec.scaler.apply(&columns, &mut values);
        let rows = (1..=self.n()).map(|i| (i * self.lookback - 1) as u32).collect();
        (Windows { values, n_features, lookback: network.spec.lookback }, rows)
    }
}

impl Together<'_> {
    /// Rows that the longest of the windows takes.
    pub fn lookback(&self) -> usize {
        self.networks.iter().map(|network| network.spec.lookback).max().unwrap_or(1)
    }

    /// Of every component, `[n, components, classes]` row-major, the class prior first.
    fn parts(&self, windows: &RawWindows) -> Vec<f64> {
        let n_classes = self.prior.len();
        let of_networks: Vec<Vec<f64>> = self
            .networks
            .iter()
            .map(|network| {
                let (scaled, rows) = windows.scaled_for(network);
                network.probabilities(&scaled, &rows)
            })
            .collect();
        (0..windows.n())
            .flat_map(|i| {
                let rows =
                    of_networks.iter().map(move |all| &all[i * n_classes..(i + 1) * n_classes]);
                std::iter::once(self.prior).chain(rows)
            })
            .flatten()
            .copied()
            .collect()
    }

    fn whole(&self, parts: &[f64]) -> Vec<f64> {
        let width = self.weights.len() * self.prior.len();
        parts.chunks(width.max(1)).flat_map(|parts| ensemble::mixed(self.weights, parts)).collect()
    }

    /// Windows of unscaled features with the answers of every component and of all together, safetensors.
    pub fn probe(&self, windows: &RawWindows) -> Vec<u8> {
        let parts = self.parts(windows);
        let whole = self.whole(&parts);
        let bytes = |values: &[f64]| -> Vec<u8> {
            values.iter().flat_map(|value| value.to_le_bytes()).collect()
        };
        let (n, classes, components) = (windows.n(), self.prior.len(), self.weights.len());
        let tensors = [
            ("features", vec![n, windows.lookback, windows.n_features], bytes(&windows.values)),
            ("prior", vec![classes], bytes(self.prior)),
            ("weights", vec![components], bytes(self.weights)),
            ("parts", vec![n, components, classes], bytes(&parts)),
            ("probabilities", vec![n, classes], bytes(&whole)),
        ];
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(Dtype::F64, shape.clone(), bytes);
            (*name, view.expect("eight bytes a value"))
        });
        safetensors::serialize(views, None).expect("views of one dtype")
    }

    /// Repeats a probe: the networks of a version answer as they did when it was made.
    ///
    /// # Errors
    /// [`InferenceError::Probe`] when an answer differs by more than [`PROBE_TOLERANCE`].
    pub fn check_probe(&self, bytes: &[u8]) -> Result<(), InferenceError> {
        let refuse = |why: String| InferenceError::ProbeFormat(why);
        let tensors = SafeTensors::deserialize(bytes).map_err(|error| refuse(error.to_string()))?;
        let read = |name: &str| -> Result<(Vec<usize>, Vec<f64>), InferenceError> {
            let tensor = tensors.tensor(name).map_err(|error| refuse(error.to_string()))?;
            if tensor.dtype() != Dtype::F64 {
                return Err(refuse(format!("{name} is not of double precision")));
            }
            let values = tensor.data().as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b));
            Ok((tensor.shape().to_vec(), values.collect()))
        };
        let (shape, values) = read("features")?;
        let [n, lookback, n_features] = shape[..] else {
            return Err(refuse("features has an unexpected shape".into()));
        };
        let fits = n > 0
            && lookback >= self.lookback()
            && self.networks.iter().all(|network| network.spec.features.len() == n_features);
        let (_, weights) = read("weights")?;
        if !fits || weights.len() != self.networks.len() + 1 {
            return Err(refuse("it is of other networks".into()));
        }
        let together =
            Together { networks: self.networks.clone(), prior: self.prior, weights: &weights };
        let parts = together.parts(&RawWindows { values, lookback, n_features });
        let whole = together.whole(&parts);
        for (name, now) in [("parts", parts), ("probabilities", whole)] {
            let (_, then) = read(name)?;
            if then.len() != now.len() {
                return Err(refuse(format!("{name} has an unexpected shape")));
            }
            let difference = now
                .iter()
                .zip(&then)
                .map(|(now, then)| (now - then).abs() as f32)
                .fold(0.0f32, |max, d| if d.is_nan() { f32::INFINITY } else { max.max(d) });
            if difference > PROBE_TOLERANCE {
                return Err(InferenceError::Probe { difference });
            }
        }
        Ok(())
    }

    /// TorchScript that maps unscaled windows `[batch, lookback, features]` and the shares of prior and networks
    /// `[components]` to probabilities `[batch, classes]`, written to `path`.
    ///
    /// # Errors
    /// [`InferenceError::Torch`].
    pub fn export_torchscript(&self, path: &std::path::Path) -> Result<(), InferenceError> {
        let torch = |error: tch::TchError| InferenceError::Torch(error.to_string());
        let lookback = self.lookback() as i64;
        let n_features = self.networks.first().map_or(0, |network| network.spec.features.len());
        let single = |values: &[f64]| -> Tensor { Tensor::from_slice(values).to_kind(Kind::Float) };
        let constants: Vec<(Tensor, Tensor)> = self
            .networks
            .iter()
            .map(|network| {
                let scaler = &network.spec.scaler;
                (single(scaler.median()), single(scaler.iqr()))
            })
            .collect();
        let prior = single(self.prior).unsqueeze(0);
        let examples = [
            Tensor::zeros([2, lookback, n_features as i64], (Kind::Float, Device::Cpu)),
            single(self.weights),
        ];
        tch::no_grad(|| {
            let mut forward = |inputs: &[Tensor]| {
                let (windows, weights) = (&inputs[0], &inputs[1]);
                let mut parts = vec![&prior + windows.select(1, 0).select(1, 0).unsqueeze(1) * 0.0];
                for (network, (median, iqr)) in self.networks.iter().zip(&constants) {
                    let own = network.spec.lookback as i64;
                    let window = windows.slice(1, lookback - own, lookback, 1);
                    let scaled = ((window - median) / iqr).clamp(-10.0, 10.0);
                    let logits = network.network.forward(&network.parameters, &scaled, None);
                    parts.push((logits / network.spec.temperature).softmax(-1, Kind::Float));
                }
                let stacked = Tensor::stack(&parts, 1);
                let shares = weights.view([1, -1, 1]);
                vec![(stacked * shares).sum_dim_intlist([1i64].as_slice(), false, Kind::Float)]
            };
            let module =
                tch::CModule::create_by_tracing("aifx", "forward", &examples, &mut forward)
                    .map_err(torch)?;
            module.save(path).map_err(torch)
        })
    }
}
