//! With which networks a network answers that was just trained, and the files that its version's directory holds of them.
//!
//! A line's first mixture is made of several networks of one run; later ones join those that answer. What answers another
//! question (label, horizon, classes) cannot be mixed with what answers now. Not here: weights (`ensemble`, `mixture`),
//! whether it is let in (`gate::admit`).

use serde_json::{Value, json};

use super::{
    loading, mixture,
    replay::{Actor, Cast, label_of},
};
use crate::{
    artifact::{self, METADATA, MODEL, VersionFiles, member_path},
    config::LineConfig,
    db::model_versions::VersionRow,
    ensemble::{Place, Weights, members_of},
    fault::Fault,
    features::Features,
    inference::{Predictor, RawWindows, Together},
    lineage::{Member, SeenUntil, Version},
};

/// What becomes of the network that is about to be trained.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan {
    /// It answers alone.
    Alone,
    /// It begins a mixture with others of the same run: how many in all.
    First(u32),
    /// It joins the networks of the version that answers now.
    Joins {
        /// That version.
        production: Version,
        /// Its networks.
        places: Vec<Place>,
        /// The weight with which it enters.
        entry: f64,
    },
}

/// Part of `ensemble.entry` with which a network of another recipe enters.
const OTHER_RECIPE: f64 = 1.0 / 3.0;

impl Plan {
    /// For a network of `line` whose recipe is, or is not, that of production.
    pub(crate) fn of(
        line: &LineConfig,
        production: Option<&VersionRow>,
        same_recipe: bool,
    ) -> Plan {
        if !mixture::is_mixture(line) {
            return Plan::Alone;
        }
        let first =
            Plan::First(u32::try_from(line.ensemble.first.min(line.ensemble.members)).unwrap_or(1));
        let Some(row) = production else { return first };
        // The horizon follows from the timeframe, the classes from the rule.
        if label_of(row) != Some(line.label) {
            return first;
        }
        let part = if same_recipe { 1.0 } else { OTHER_RECIPE };
        let entry = line.ensemble.entry * part;
        let own = Place {
            member: Member::own(row.version),
            manifest_sha256: row.manifest_sha256.clone(),
            entry: line.ensemble.entry,
        };
        let mut places = row.members.clone();
        match places.iter_mut().find(|place| place.member == own.member) {
            Some(place) => place.manifest_sha256 = own.manifest_sha256,
            None => places.push(own),
        }
        Plan::Joins { production: row.version, places, entry }
    }

    /// Networks that the run trains.
    pub(crate) fn n_networks(&self) -> u32 {
        match self {
            Plan::First(networks) => *networks,
            Plan::Alone | Plan::Joins { .. } => 1,
        }
    }
}

/// The networks of a new version: those that it joins less the one that makes room, or its own others.
pub(crate) struct Seats {
    /// In order of making; empty where its network answers alone.
    pub(crate) places: Vec<Place>,
    /// The last instant that any of them saw.
    pub(crate) seen_until: SeenUntil,
}

/// Chooses the networks and puts the files of all but the version's own into `files`. `extras` are further networks of the
/// same run, each with its weights.
pub(crate) fn seat(
    line: &LineConfig,
    cast: &mut Cast,
    plan: &Plan,
    (version, own_seen): (Version, SeenUntil),
    (extras, prior): (&[(Predictor, Vec<u8>)], &[f64]),
    files: &mut VersionFiles,
    at_us: i64,
) -> anyhow::Result<Seats> {
    let own = |entry| Place { member: Member::own(version), manifest_sha256: None, entry };
    match plan {
        Plan::Alone => Ok(Seats { places: Vec::new(), seen_until: own_seen }),
        Plan::First(_) => {
            let mut places = Vec::with_capacity(extras.len() + 1);
            places.push(own(line.ensemble.entry));
            for (number, (predictor, weights)) in (1u32..).zip(extras) {
                let member = Member::extra(version, number);
                let mut described = loading::description(predictor.spec())?;
                described.insert("member".into(), json!(member));
                described.insert(loading::CLASS_PRIOR.into(), json!(prior));
                described.insert(loading::NETWORK_SEEN_UNTIL.into(), json!(own_seen));
                files.insert(member_path(member, METADATA), pretty(&Value::Object(described))?)?;
                files.insert(member_path(member, MODEL), weights.clone())?;
                places.push(Place { member, ..own(line.ensemble.entry) });
            }
            Ok(Seats { places, seen_until: own_seen })
        }
        Plan::Joins { production, places, entry } => {
            let mut places = places.clone();
            places.push(own(*entry));
            let weights = weights_of(line, cast, &places, at_us);
            if let Some(leaving) = weights.leaves(line.ensemble.members) {
                places.retain(|place| place.member != leaving);
            }
            let actor = cast.actor(*production).map_err(Fault::integrity)?;
            copy_members(actor, &members_of(&places), Member::own(version), files)?;
            Ok(Seats { places, seen_until: own_seen.with(actor.seen_until) })
        }
    }
}

/// The networks of a fine-tune: those of its parent, with the tuned one in the place of what it was made from.
pub(crate) fn seat_tuned(
    parent: &Actor,
    parent_row: &VersionRow,
    version: Version,
    files: &mut VersionFiles,
) -> anyhow::Result<Vec<Place>> {
    let (old, new) = (Member::own(parent.version), Member::own(version));
    let mut places = parent_row.members.clone();
    for place in &mut places {
        if place.member == old {
            *place = Place { member: new, manifest_sha256: None, entry: place.entry };
        }
    }
    if !places.is_empty() {
        copy_members(parent, &members_of(&places), new, files)?;
    }
    Ok(places)
}

fn copy_members(
    from: &Actor,
    members: &[Member],
    own: Member,
    files: &mut VersionFiles,
) -> anyhow::Result<()> {
    for member in members.iter().filter(|member| **member != own) {
        for file in [METADATA, MODEL] {
            let path = member_path(*member, file);
            let theirs = match *member == Member::own(from.version) {
                true => file.to_owned(),
                false => path.clone(),
            };
            let bytes = from.files.require(&theirs)?.to_vec();
            files.insert_same(path, bytes, (from.version, &theirs))?;
        }
    }
    Ok(())
}

/// The weights that a list of networks would have at an instant.
pub(crate) fn weights_of(line: &LineConfig, cast: &Cast, places: &[Place], at_us: i64) -> Weights {
    let entry = |member: Member| {
        let place = places.iter().find(|place| place.member == member);
        place.map_or(line.ensemble.entry, |place| place.entry)
    };
    cast.history().of_members(&members_of(places), at_us, &line.ensemble, entry)
}

/// What `metadata.json` says of a mixture: the list, the class prior, and the weights on the day of making.
pub(crate) fn description(
    places: &[Place],
    prior: &[f64],
    own_seen: SeenUntil,
    weights: &Weights,
) -> serde_json::Map<String, Value> {
    let mut fields = serde_json::Map::new();
    if !prior.is_empty() {
        fields.insert(loading::CLASS_PRIOR.into(), json!(prior));
    }
    fields.insert(loading::NETWORK_SEEN_UNTIL.into(), json!(own_seen));
    if !places.is_empty() {
        let shares: serde_json::Map<String, Value> = weights
            .entries()
            .iter()
            .map(|entry| (entry.component.to_string(), json!(entry.weight)))
            .collect();
        fields.insert(artifact::MEMBERS.into(), json!(places));
        fields.insert("weights".into(), Value::Object(shares));
    }
    fields
}

/// The files by which others use all networks of a version together: a probe and TorchScript. `networks` are in the order of
/// the places; none for one that answers alone.
pub(crate) fn files_together(
    networks: Vec<&Predictor>,
    prior: &[f64],
    weights: &Weights,
    (series, rows): (&[Features], &[u32]),
    files: &mut VersionFiles,
) -> anyhow::Result<()> {
    if networks.is_empty() {
        return Ok(());
    }
    let weights = weights.values();
    let together = Together { networks, prior, weights: &weights };
    let windows = RawWindows::of(series, rows, together.lookback());
    files.insert(artifact::MEMBERS_PROBE, together.probe(&windows))?;
    files.insert(artifact::MIXTURE, loading::mixture_torchscript(&together)?)?;
    Ok(())
}

fn pretty(value: &Value) -> anyhow::Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)?;
    bytes.push(b'\n');
    Ok(bytes)
}
