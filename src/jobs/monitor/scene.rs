//! What the monitor looks at of a line: production, what it learned from, the candles and samples since, and what it answered.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::DAYS;
use crate::{
    artifact::{self, Metadata},
    config::{App, LineConfig},
    dataset::Sample,
    db::{Db, model_versions::VersionRow},
    drift::{Calibration, Rows},
    evaluate::{Predictions, Unseen},
    fault::Fault,
    jobs::{
        judge::{Yardsticks, settled_before},
        material::{self, Material, PastSignals},
        replay::{self, Answers, Cast},
    },
    lineage::{LineName, SeenUntil, Version},
};

/// Promotions longer ago than this are not looked back to.
const MAX_DAYS: i64 = 90;

/// A line whose production can answer.
pub(super) struct Scene {
    /// The row of the version that answers.
    pub(super) production: VersionRow,
    /// When it became production, at most [`MAX_DAYS`] ago.
    pub(super) promoted_at: DateTime<Utc>,
    /// When another recipe began to answer, no earlier than what production learned from.
    pub(super) changed_at: DateTime<Utc>,
    /// First and last instant of what it learned from.
    pub(super) learned: (DateTime<Utc>, DateTime<Utc>),
    /// What the reference's own windows are like, where the version keeps it.
    pub(super) calibration: Option<Calibration>,
    /// Candles with their features.
    pub(super) material: Material,
    /// The settled samples among them, in order of decision.
    pub(super) samples: Vec<Sample>,
    /// What it answered since its promotion, and in the last [`DAYS`] days at least, to samples that are settled and that it has
    /// not seen.
    pub(super) answers: Answers,
}

impl Scene {
    /// Reads it.
    ///
    /// # Errors
    /// 4 data, 5 database, 7 when the version cannot be loaded.
    pub(super) fn gather(
        app: &App,
        db: &mut Db,
        (name, line): (&LineName, &LineConfig),
        cast: &mut Cast,
        production: VersionRow,
    ) -> anyhow::Result<Scene> {
        let version = production.version;
        let learned = learned_range(cast, version)?;
        let month = app.as_of - TimeDelta::days(DAYS);
        let calibration = calibration(cast, version)?;
        let promoted_at = cast
            .promoted_at(version)
            .unwrap_or(production.created_at)
            .max(app.as_of - TimeDelta::days(MAX_DAYS));
        // The days that it was chosen by are no evidence of what it is worth: it would look better on them than it is.
        let chosen = production.known_until().unwrap_or(month);
        let since = promoted_at.min(month).max(chosen).min(app.as_of);
        let trials = cast.trials(app.as_of, line.probation.days).into_iter();
        let watched = trials.map(|trial| trial.since).min().unwrap_or(since).min(since);
        let changed_at = db.last_change(name, app.as_of)?.unwrap_or(promoted_at).max(learned.0);
        let from = learned.0.min(watched);
        let set = material::feature_set(line)?;
        let candles = material::candles(app, db, line, set, from)?;
        let past = PastSignals::gather(app, db, line, from)?;
        cast.recall(app, db, (name, line), watched.min(changed_at))?;
        let material = Material::of(candles, &past, set, line);
        let samples = material.samples(line)?;
        let first =
            samples.partition_point(|sample| sample.decided_at_us <= since.timestamp_micros());
        let answers = cast
            .unseen(version, &material, &samples[first..], line.label.n_classes())
            .map_err(Fault::integrity)?;
        Ok(Scene {
            production,
            promoted_at,
            changed_at,
            learned,
            calibration,
            material,
            samples,
            answers,
        })
    }

    /// The rows that production learned from.
    pub(super) fn reference(&self) -> Rows {
        self.material.reference(self.learned.0, self.learned.1)
    }

    /// The indicator rule's answers to samples, learned from what production learned from; none where nothing of that was read.
    pub(super) fn indicator(
        &self,
        line: &LineConfig,
        asked: &[Sample],
    ) -> anyhow::Result<Option<Predictions<Unseen>>> {
        let until = self.learned.1;
        let learned = settled_before(&self.samples, until.timestamp_micros());
        let n_classes = line.label.n_classes();
        let Some(rules) = Yardsticks::of(&self.material, &learned, asked, n_classes) else {
            return Ok(None);
        };
        let answers =
            replay::predictions(asked, rules.indicator, n_classes).map_err(Fault::integrity)?;
        Ok(Some(answers.after(SeenUntil::new(until))))
    }
}

/// What a version keeps of the windows of its reference; versions made before there was such a file keep nothing.
fn calibration(cast: &mut Cast, version: Version) -> anyhow::Result<Option<Calibration>> {
    let actor = cast.actor(version).map_err(Fault::integrity)?;
    let Some(bytes) = actor.files.get(artifact::DRIFT) else { return Ok(None) };
    let read = serde_json::from_slice(bytes)
        .map_err(|error| Fault::integrity(format!("{}: {error}", artifact::DRIFT)))?;
    Ok(Some(read))
}

/// What the training that a version goes back to learned from.
fn learned_range(
    cast: &mut Cast,
    version: Version,
) -> anyhow::Result<(DateTime<Utc>, DateTime<Utc>)> {
    let actor = cast.actor(version).map_err(Fault::integrity)?;
    let metadata: Metadata = serde_json::from_slice(actor.files.require(artifact::METADATA)?)
        .map_err(|error| Fault::integrity(format!("metadata.json: {error}")))?;
    let mut data = metadata.rest.get("data").cloned().unwrap_or_default();
    // A fine-tune keeps what its parent learned from.
    while let Some(parent) = data.get("parent").filter(|parent| parent.is_object()).cloned() {
        data = parent;
    }
    let at = |key: &str| -> anyhow::Result<DateTime<Utc>> {
        let text = data.get(key).and_then(Value::as_str).unwrap_or_default();
        text.parse().map_err(|_| {
            Fault::integrity(format!("metadata.json of {version} does not say data.{key}")).into()
        })
    };
    Ok((at("from")?, at("until")?))
}
