//! From a version's files to a model that answers, and back: where `metadata.json` keeps the model's specification.
//!
//! The specification's fields stand at the top of `metadata.json`, beside its head, so that a reader without aifx finds
//! features, scaler, lookback and classes at once.

use anyhow::Context;
use serde_json::{Map, Value};

use crate::{
    artifact::{METADATA, MODEL, Metadata, PROBE, VersionFiles},
    fault::Fault,
    inference::{ModelSpec, Predictor},
    libtorch,
};

/// The LibTorch that this aifx is built with (scripts/setup-libtorch.sh).
pub(crate) const LIBTORCH: &str = "2.13.0";

/// LibTorch itself, before anything is begun that needs it.
///
/// # Errors
/// Exit 3 when it cannot be loaded.
pub fn libtorch() -> anyhow::Result<()> {
    libtorch::load().map_err(|error| {
        Fault::config(error)
            .hint("run scripts/setup.sh, then build again; aifx doctor checks")
            .into()
    })
}

/// The fields that a model's specification adds to `metadata.json`.
///
/// # Errors
/// Never for a specification of finite numbers.
pub fn description(spec: &ModelSpec) -> anyhow::Result<Map<String, Value>> {
    match serde_json::to_value(spec)? {
        Value::Object(fields) => Ok(fields),
        other => anyhow::bail!("a specification is written as fields, not as {other}"),
    }
}

/// The model in files whose checksums were verified.
///
/// # Errors
/// Exit 7 naming what does not fit: the specification, the feature set of this aifx, the weights.
pub fn predictor(files: &VersionFiles) -> anyhow::Result<Predictor> {
    libtorch()?;
    let metadata = Metadata::from_bytes(files.require(METADATA)?)?;
    let version = metadata.version;
    let spec: ModelSpec = serde_json::from_value(Value::Object(metadata.rest))
        .map_err(|error| Fault::integrity(format!("metadata.json describes no model: {error}")))
        .with_context(|| format!("cannot load {version}"))?;
    Predictor::new(spec, files.require(MODEL)?)
        .map_err(Fault::integrity)
        .with_context(|| format!("cannot load {version}"))
}

/// Loads the model and repeats its probe.
///
/// # Errors
/// Exit 7 when it cannot be loaded, or answers otherwise than when it was made.
pub fn probe(files: &VersionFiles) -> anyhow::Result<()> {
    let predictor = predictor(files)?;
    predictor.check_probe(files.require(PROBE)?).map_err(|error| {
        Fault::integrity(error)
            .hint("this machine computes otherwise than the one that trained it; train anew here")
            .into()
    })
}

/// LibTorch writes to a path only, and ends the process where the disk is full: it gets memory by a path, which is read back,
/// so that our own writer makes the version's file.
///
/// # Errors
/// Exit 9 when LibTorch or the system refuses.
pub(crate) fn torchscript(predictor: &Predictor) -> anyhow::Result<Vec<u8>> {
    use std::{io::Read, os::fd::AsRawFd};
    let memory = rustix::fs::memfd_create("aifx-torchscript", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(Fault::resource)?;
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    predictor.export_torchscript(path.as_ref()).map_err(Fault::resource)?;
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(&path).map_err(Fault::resource)?;
    file.read_to_end(&mut bytes).map_err(Fault::resource)?;
    Ok(bytes)
}
