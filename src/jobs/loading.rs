//! From a version's files to a model that answers, and back: where `metadata.json` keeps the model's specification.
//!
//! The specification's fields stand at the top of `metadata.json`, beside its head, so that a reader without aifx finds
//! features, scaler, lookback and classes at once.

use anyhow::Context;
use serde_json::{Map, Value, json};

use crate::{
    artifact::{
        MEMBERS, MEMBERS_PROBE, METADATA, MODEL, Metadata, PROBE, VersionFiles, member_path,
    },
    ensemble::Place,
    fault::Fault,
    inference::{InferenceError, ModelSpec, Predictor, Together},
    libtorch,
    lineage::{Member, SeenUntil},
    signal::Edge,
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

/// A member of a mixture, from the version's directory.
///
/// # Errors
/// As [`predictor`].
pub(crate) fn member(files: &VersionFiles, member: Member) -> anyhow::Result<Predictor> {
    libtorch()?;
    let load = || -> anyhow::Result<Predictor> {
        let spec: ModelSpec =
            serde_json::from_slice(files.require(&member_path(member, METADATA))?).map_err(
                |error| Fault::integrity(format!("its metadata.json describes no model: {error}")),
            )?;
        let weights = files.require(&member_path(member, MODEL))?;
        Ok(Predictor::new(spec, weights).map_err(Fault::integrity)?)
    };
    load().with_context(|| format!("cannot load the member {member}"))
}

/// Key of metadata.json: class shares of the training part, in the order of the classes.
pub(crate) const CLASS_PRIOR: &str = "class_prior";
/// Key of metadata.json: mean forward return of each class in volatilities, see [`Edge`].
const CLASS_RETURNS: &str = "class_returns";
/// Key of metadata.json: share of expected returns that came true, see [`Edge`].
const EDGE_SLOPE: &str = "edge_slope";
/// Key of metadata.json: the last instant that the version's own network saw.
pub(crate) const NETWORK_SEEN_UNTIL: &str = "network_seen_until";

fn metadata_value(files: &VersionFiles, key: &str) -> anyhow::Result<Option<Value>> {
    Ok(Metadata::from_bytes(files.require(METADATA)?)?.rest.remove(key))
}

/// The class shares of a version's training part; none of versions that do not keep them.
///
/// # Errors
/// Exit 7 when metadata.json cannot be read.
pub(crate) fn class_prior(files: &VersionFiles) -> anyhow::Result<Option<Vec<f64>>> {
    let Some(value) = metadata_value(files, CLASS_PRIOR)? else { return Ok(None) };
    let prior: Vec<f64> = serde_json::from_value(value)
        .map_err(|error| Fault::integrity(format!("{CLASS_PRIOR} in metadata.json: {error}")))?;
    Ok(Some(prior))
}

/// What a version knows of returns, measured where its own network was validated; none of versions that do not keep it.
///
/// # Errors
/// Exit 7 when metadata.json cannot be read.
pub(crate) fn edge(files: &VersionFiles) -> anyhow::Result<Option<Edge>> {
    let mut rest = Metadata::from_bytes(files.require(METADATA)?)?.rest;
    let (Some(returns), Some(slope)) = (rest.remove(CLASS_RETURNS), rest.remove(EDGE_SLOPE)) else {
        return Ok(None);
    };
    let edge = json!({CLASS_RETURNS: returns, EDGE_SLOPE: slope});
    Ok(Some(serde_json::from_value(edge).map_err(|error| {
        Fault::integrity(format!("{CLASS_RETURNS}, {EDGE_SLOPE} in metadata.json: {error}"))
    })?))
}

/// The last instant that a version's own network, or one that it was fine-tuned from, saw.
///
/// # Errors
/// Exit 7 when metadata.json cannot be read.
pub(crate) fn network_seen_until(files: &VersionFiles) -> anyhow::Result<SeenUntil> {
    let mut metadata = Metadata::from_bytes(files.require(METADATA)?)?;
    match metadata.rest.remove(NETWORK_SEEN_UNTIL) {
        None => Ok(SeenUntil::new(metadata.seen_until)),
        Some(value) => Ok(serde_json::from_value(value).map_err(|error| {
            Fault::integrity(format!("{NETWORK_SEEN_UNTIL} in metadata.json: {error}"))
        })?),
    }
}

/// Loads the model and repeats its probe.
///
/// # Errors
/// Exit 7 when it cannot be loaded, or answers otherwise than when it was made.
pub fn probe(files: &VersionFiles) -> anyhow::Result<()> {
    let predictor = predictor(files)?;
    let refuse = |error| {
        Fault::integrity(error)
            .hint("this machine computes otherwise than the one that trained it; train anew here")
    };
    predictor.check_probe(files.require(PROBE)?).map_err(refuse)?;
    let metadata = Metadata::from_bytes(files.require(METADATA)?)?;
    let own = Member::own(metadata.version);
    let others = places(&metadata)?;
    if others.is_empty() {
        return Ok(());
    }
    let loaded = others
        .iter()
        .filter(|place| place.member != own)
        .map(|place| Ok((place.member, member(files, place.member)?)))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let of = |member: Member| loaded.iter().find(|(one, _)| *one == member).map(|(_, one)| one);
    let prior = class_prior(files)?.unwrap_or_default();
    let together = Together {
        networks: others.iter().map(|place| of(place.member).unwrap_or(&predictor)).collect(),
        prior: &prior,
        weights: &[],
    };
    Ok(together.check_probe(files.require(MEMBERS_PROBE)?).map_err(refuse)?)
}

/// The networks that answer together as a version, as its metadata.json lists them; empty where its own answers alone.
///
/// # Errors
/// Exit 7 when the list cannot be read.
pub(crate) fn places(metadata: &Metadata) -> anyhow::Result<Vec<Place>> {
    let Some(value) = metadata.rest.get(MEMBERS) else { return Ok(Vec::new()) };
    serde_json::from_value(value.clone())
        .map_err(|error| Fault::integrity(format!("members in metadata.json: {error}")).into())
}

/// LibTorch writes to a path only, and ends the process where the disk is full: it gets memory by a path, which is read back,
/// so that our own writer makes the version's file.
///
/// # Errors
/// Exit 9 when LibTorch or the system refuses.
pub(crate) fn torchscript(predictor: &Predictor) -> anyhow::Result<Vec<u8>> {
    through_memory(&|path| predictor.export_torchscript(path))
}

/// The same of all networks of a mixture.
///
/// # Errors
/// As [`torchscript`].
pub(crate) fn mixture_torchscript(together: &Together<'_>) -> anyhow::Result<Vec<u8>> {
    through_memory(&|path| together.export_torchscript(path))
}

fn through_memory(
    export: &dyn Fn(&std::path::Path) -> Result<(), InferenceError>,
) -> anyhow::Result<Vec<u8>> {
    use std::{io::Read, os::fd::AsRawFd};
    let memory = rustix::fs::memfd_create("aifx-torchscript", rustix::fs::MemfdFlags::CLOEXEC)
        .map_err(Fault::resource)?;
    let path = format!("/proc/self/fd/{}", memory.as_raw_fd());
    export(path.as_ref()).map_err(Fault::resource)?;
    let mut bytes = Vec::new();
    let mut file = std::fs::File::open(&path).map_err(Fault::resource)?;
    file.read_to_end(&mut bytes).map_err(Fault::resource)?;
    Ok(bytes)
}
