//! [`State`]: everything that a training needs to go on as if it had not stopped; safetensors with a JSON head.

use std::collections::HashMap;

use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{EpochRow, FitConfig};
use crate::{dataset::Folds, nn::ModelConfig};

/// A training between two epochs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct State {
    pub(super) values: Vec<f32>,
    pub(super) m: Vec<f32>,
    pub(super) v: Vec<f32>,
    pub(super) best_values: Vec<f32>,
    pub(super) epoch: u32,
    pub(super) step: u64,
    pub(super) lr: f64,
    pub(super) best_epoch: u32,
    pub(super) best_loss: f64,
    /// Epochs since the best.
    pub(super) bad_epochs: u32,
    /// Epochs since the best or the last halving.
    pub(super) plateau_epochs: u32,
    pub(super) history: Vec<EpochRow>,
}

#[derive(Serialize, Deserialize)]
struct Head {
    key: String,
    epoch: u32,
    step: u64,
    lr: f64,
    best_epoch: u32,
    best_loss: f64,
    bad_epochs: u32,
    plateau_epochs: u32,
    history: Vec<EpochRow>,
}

/// What a checkpoint must be of: data, architecture and every setting that decides the bits.
pub(super) fn key(folds: &Folds, model: &ModelConfig, config: &FitConfig) -> String {
    let text = format!("{} {model:?} {config:?}", folds.sha256);
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl State {
    /// Before the first epoch.
    pub(super) fn fresh(values: Vec<f32>, lr: f64) -> State {
        let zeros = vec![0.0; values.len()];
        State {
            best_values: values.clone(),
            m: zeros.clone(),
            v: zeros,
            values,
            epoch: 0,
            step: 0,
            lr,
            best_epoch: 0,
            best_loss: f64::INFINITY,
            bad_epochs: 0,
            plateau_epochs: 0,
            history: Vec::new(),
        }
    }

    /// Keeps the best weights, halves the learning rate on a plateau.
    pub(super) fn judge(&mut self, validation_loss: f64, plateau_patience: u32) {
        if validation_loss < self.best_loss {
            self.best_loss = validation_loss;
            self.best_epoch = self.epoch;
            self.best_values.clone_from(&self.values);
            self.bad_epochs = 0;
            self.plateau_epochs = 0;
            return;
        }
        self.bad_epochs += 1;
        self.plateau_epochs += 1;
        if self.plateau_epochs >= plateau_patience {
            self.lr /= 2.0;
            self.plateau_epochs = 0;
        }
    }

    pub(super) fn write(&self, key: &str) -> Vec<u8> {
        let head = Head {
            key: key.to_owned(),
            epoch: self.epoch,
            step: self.step,
            lr: self.lr,
            best_epoch: self.best_epoch,
            best_loss: self.best_loss,
            bad_epochs: self.bad_epochs,
            plateau_epochs: self.plateau_epochs,
            history: self.history.clone(),
        };
        let head = serde_json::to_string(&head).expect("numbers and text have a JSON form");
        let tensors =
            [("values", &self.values), ("m", &self.m), ("v", &self.v), ("best", &self.best_values)];
        let bytes: Vec<(&str, Vec<u8>)> = tensors
            .iter()
            .map(|(name, values)| (*name, values.iter().flat_map(|x| x.to_le_bytes()).collect()))
            .collect();
        let views = bytes.iter().map(|(name, bytes)| {
            let view = TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes);
            (*name, view.expect("four bytes a value"))
        });
        let metadata = HashMap::from([("head".to_owned(), head)]);
        safetensors::serialize(views, Some(metadata)).expect("views of one dtype")
    }

    /// The state in a checkpoint, when it is whole and of `key`.
    pub(super) fn read(bytes: &[u8], key: &str) -> Option<State> {
        let (_, metadata) = SafeTensors::read_metadata(bytes).ok()?;
        let head: Head = serde_json::from_str(metadata.metadata().as_ref()?.get("head")?).ok()?;
        if head.key != key {
            return None;
        }
        let tensors = SafeTensors::deserialize(bytes).ok()?;
        let values = |name: &str| -> Option<Vec<f32>> {
            let data = tensors.tensor(name).ok()?;
            let bytes = data.data().chunks_exact(4);
            Some(bytes.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect())
        };
        Some(State {
            values: values("values")?,
            m: values("m")?,
            v: values("v")?,
            best_values: values("best")?,
            epoch: head.epoch,
            step: head.step,
            lr: head.lr,
            best_epoch: head.best_epoch,
            best_loss: head.best_loss,
            bad_epochs: head.bad_epochs,
            plateau_epochs: head.plateau_epochs,
            history: head.history,
        })
    }
}
