//! What versions answered to past samples, and would have answered where nothing was asked of them: production as it was
//! each morning, and any one version.
//!
//! [`Cast`] holds a line's rows and the moves of its production, and loads models when they are wanted, each once and
//! verified. Answers come as [`Predictions<Unseen>`]: samples that a version had seen are not among them.
//! Not here: judging (`judge`), fine-tuning (`daily`).

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::{loading, material::Material, mixture};
use crate::{
    artifact::{LineDir, VersionFiles},
    config::{App, LineConfig},
    dataset::{Sample, Windows},
    db::{
        Db,
        model_versions::VersionRow,
        promotions::{Action, MoveRow},
    },
    ensemble::{self, EnsembleConfig, History, Weights, members_of},
    evaluate::{Predictions, Unseen},
    fault::Fault,
    features::Features,
    inference::Predictor,
    labels::LabelRule,
    lineage::{LineName, Member, SeenUntil, Status, Version},
    market::{Candles, Pair, Timeframe, calendar, instant},
    registry,
};

/// The versions of a line, and who was in production when.
pub(crate) struct Cast {
    dir: Option<LineDir>,
    rows: Vec<VersionRow>,
    /// In order of time.
    moves: Vec<MoveRow>,
    loaded: BTreeMap<Version, Result<Actor, String>>,
    /// What versions answered when the candles closed: probabilities by version, series and decision.
    stored: HashMap<Version, HashMap<Decision, Vec<f64>>>,
    /// The weights of the line's mixture as they moved.
    history: Arc<History>,
    /// How they are learned.
    ensemble: EnsembleConfig,
}

/// A series and the instant, microseconds UTC, at which its candle closed.
type Decision = (Pair, Timeframe, i64);

/// A version's answers to samples that it had not seen.
pub(crate) struct Answers {
    /// The answers.
    pub(crate) predictions: Predictions<Unseen>,
    /// How many of them were given when the candle closed; the rest are replayed.
    pub(crate) n_stored: usize,
}

/// A promotion that may yet be taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trial {
    /// What it made production.
    pub(crate) promoted: Version,
    /// What that replaced.
    pub(crate) replaced: Version,
    /// When.
    pub(crate) since: DateTime<Utc>,
}

/// A version that can answer.
pub(crate) struct Actor {
    /// Which.
    pub(crate) version: Version,
    /// The last instant that it or an ancestor saw.
    pub(crate) seen_until: SeenUntil,
    /// Its own network.
    pub(crate) predictor: Predictor,
    /// The last instant that its own network, or one that it was fine-tuned from, saw.
    pub(crate) network_seen_until: SeenUntil,
    /// The networks that answer with it; none where its own answers alone.
    pub(crate) mixture: Option<Mixture>,
    /// Its files.
    pub(crate) files: VersionFiles,
}

/// Networks that answer together, and how much each counts when.
pub(crate) struct Mixture {
    /// In order of making.
    pub(crate) members: Vec<Member>,
    /// Their models; none for the version's own.
    networks: Vec<Option<Predictor>>,
    /// Class shares of the newest member's training part.
    pub(crate) prior: Vec<f64>,
    history: Arc<History>,
    config: EnsembleConfig,
    entries: HashMap<Member, f64>,
}

impl Mixture {
    /// The networks with the version's own in its place.
    pub(crate) fn networks<'a>(&'a self, own: &'a Predictor) -> Vec<&'a Predictor> {
        self.networks.iter().map(|network| network.as_ref().unwrap_or(own)).collect()
    }

    /// The shares of prior and members at an instant, microseconds UTC.
    pub(crate) fn weights_at(&self, at_us: i64) -> Weights {
        let entry = |member| self.entries.get(&member).copied().unwrap_or(self.config.entry);
        self.history.of_members(&self.members, at_us, &self.config, entry)
    }
}

/// A day that a comparison had to do without, and why.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// The trading day.
    pub day: NaiveDate,
    /// Why.
    pub why: String,
}

impl Cast {
    /// Reads rows and moves as they stood at `--as-of`.
    pub(crate) fn gather(app: &App, db: &mut Db, line: &LineName) -> anyhow::Result<Cast> {
        let (rows, moves) = db.standing_at(line, app.as_of)?;
        let history = match rows.iter().any(|row| !row.members.is_empty()) {
            true => mixture::stored(app, db, line)?,
            false => Arc::default(),
        };
        let ensemble = app.config.lines.get(line).map(|line| line.ensemble.clone());
        Ok(Cast {
            dir: LineDir::open(&app.models(), line)?,
            rows,
            moves,
            loaded: BTreeMap::new(),
            stored: HashMap::new(),
            history,
            ensemble: ensemble.unwrap_or_default(),
        })
    }

    /// Every version.
    pub(crate) fn rows(&self) -> &[VersionRow] {
        &self.rows
    }

    /// The weights of the line's mixture.
    pub(crate) fn history(&self) -> &Arc<History> {
        &self.history
    }

    /// Newer weights than were read; models that were loaded before are loaded anew.
    pub(crate) fn set_history(&mut self, history: Arc<History>) {
        self.history = history;
        self.loaded.clear();
    }

    /// Reads what the versions answered to candles from `from` on: from then on [`Cast::unseen`] and [`Cast::policy`]
    /// replay only what was not answered. Rows with other classes than the line's are no answer to its question.
    pub(crate) fn recall(
        &mut self,
        app: &App,
        db: &mut Db,
        (name, line): (&LineName, &LineConfig),
        from: DateTime<Utc>,
    ) -> anyhow::Result<()> {
        let classes = line.label.class_names();
        // A candle opens up to a month before it is answered.
        for row in db.stored_answers(name, from - TimeDelta::days(31), app.as_of)? {
            let (Ok(version), Ok(pair), Ok(timeframe)) = (
                row.version.parse::<Version>(),
                row.pair.parse::<Pair>(),
                row.timeframe.parse::<Timeframe>(),
            ) else {
                continue;
            };
            let Some(probabilities) = of_classes(&row.probabilities, classes) else { continue };
            let closed_us = timeframe.close_at(row.candle_at.timestamp_micros());
            self.stored
                .entry(version)
                .or_default()
                .insert((pair, timeframe, closed_us), probabilities);
        }
        Ok(())
    }

    /// What a version answered to samples (in order of decision) that it had not seen, and would have answered where
    /// nothing is stored; in words why there is nothing.
    pub(crate) fn unseen(
        &mut self,
        version: Version,
        material: &Material,
        samples: &[Sample],
        n_classes: usize,
    ) -> Result<Answers, String> {
        let row = self.row(version).ok_or_else(|| gone(version))?;
        let seen = row
            .known_until()
            .map(SeenUntil::new)
            .ok_or_else(|| format!("what {version} has seen is not recorded"))?;
        self.check_question(version, material)?;
        let first = samples.partition_point(|sample| sample.decided_at_us <= seen.micros());
        let samples = &samples[first..];
        let stored = self.stored.get(&version);
        let of_sample = |sample: &Sample| {
            let candles = &material.candles[sample.series as usize];
            let key = (candles.pair().clone(), candles.timeframe(), sample.decided_at_us);
            stored.and_then(|stored| stored.get(&key)).cloned()
        };
        let known: Vec<Option<Vec<f64>>> = samples.iter().map(of_sample).collect();
        let missing: Vec<Sample> = samples
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .map(|(sample, _)| *sample)
            .collect();
        let replayed = match missing.is_empty() {
            true => Vec::new(),
            false => self.actor(version)?.answers(material, &missing, n_classes)?,
        };
        let mut replayed = replayed.chunks(n_classes);
        let mut all = Vec::with_capacity(samples.len() * n_classes);
        for known in &known {
            let answer = known.as_deref().or_else(|| replayed.next());
            all.extend_from_slice(answer.ok_or("an answer is missing")?);
        }
        Ok(Answers {
            predictions: predictions(samples, all, n_classes)?.after(seen),
            n_stored: samples.len() - missing.len(),
        })
    }

    /// In words why a version's answers are none to the samples of a material: it was made for other labels.
    fn check_question(&mut self, version: Version, material: &Material) -> Result<(), String> {
        let kept = self.row(version).and_then(|row| row.recipe().get("label").cloned());
        let label = match kept.and_then(|label| serde_json::from_value(label).ok()) {
            Some(label) => label,
            None => self.actor(version)?.predictor.spec().label,
        };
        same_label(&label, &material.label)
    }

    /// A line's configuration with what a version's own metadata says of its question: features, lookback, label. Whatever refines
    /// or scores the version goes by this; the configuration says only what the next training from scratch makes.
    pub(crate) fn own_line(
        &mut self,
        version: Version,
        line: &LineConfig,
    ) -> Result<LineConfig, String> {
        let spec = self.actor(version)?.predictor.spec();
        Ok(LineConfig {
            features: spec.feature_set.clone(),
            lookback: spec.lookback,
            label: spec.label,
            ..line.clone()
        })
    }

    /// Days since the evidence that spoke for a version, or else its data, ended; 0 on the day of its promotion.
    pub(crate) fn age_days(&self, row: &VersionRow, as_of: DateTime<Utc>) -> f64 {
        let promoted = self.promoted_at(row.version);
        if promoted.is_some_and(|at| at.date_naive() == as_of.date_naive()) {
            return 0.0;
        }
        let since = row.known_until().unwrap_or(as_of);
        ((as_of - since).num_minutes() as f64 / (24.0 * 60.0)).max(0.0)
    }

    /// The class shares of what the training learned from that a version goes back to; none where they were not kept.
    pub(crate) fn class_shares(&self, version: Version, n_classes: usize) -> Option<Vec<f64>> {
        let mut row = self.row(version)?;
        while let Some(parent) = row.parent {
            row = self.row(parent)?;
        }
        let kept = row.metrics.pointer("/train/truth_shares")?.clone();
        let shares: Vec<f64> = serde_json::from_value(kept).ok()?;
        let sum: f64 = shares.iter().sum();
        (shares.len() == n_classes && sum > 0.0)
            .then(|| shares.iter().map(|share| share / sum).collect())
    }

    /// What a version answered to candles of a timeframe that closed after an instant, as far as [`Cast::recall`] has read it: the
    /// close of each and its probabilities, in order of time and pair.
    pub(crate) fn stored_since(
        &self,
        version: Version,
        timeframe: Timeframe,
        since_us: i64,
    ) -> Vec<(i64, Vec<f64>)> {
        let Some(stored) = self.stored.get(&version) else { return Vec::new() };
        let mut found: Vec<(&Decision, &Vec<f64>)> =
            stored.iter().filter(|(key, _)| key.1 == timeframe && key.2 > since_us).collect();
        found.sort_by_key(|((pair, _, closed_us), _)| (*closed_us, pair.to_string()));
        found.into_iter().map(|((_, _, closed_us), row)| (*closed_us, row.clone())).collect()
    }

    /// The version that is in production now.
    pub(crate) fn production(&self) -> Option<&VersionRow> {
        self.rows.iter().find(|row| row.status == Status::Production)
    }

    /// The versions that are not archived, oldest first.
    pub(crate) fn live(&self) -> Vec<(Version, Status)> {
        let live = |row: &&VersionRow| matches!(row.status, Status::Staging | Status::Production);
        self.rows.iter().filter(live).map(|row| (row.version, row.status)).collect()
    }

    /// The newest archived versions, at most `n`.
    pub(crate) fn archived(&self, n: usize) -> Vec<Version> {
        let archived = self.rows.iter().rev().filter(|row| row.status == Status::Archived);
        archived.take(n).map(|row| row.version).collect()
    }

    /// The newest versions in staging, at most `n`.
    pub(crate) fn shadows(&self, n: usize) -> Vec<Version> {
        let staging = self.rows.iter().rev().filter(|row| row.status == Status::Staging);
        staging.take(n).map(|row| row.version).collect()
    }

    /// The row of a version.
    pub(crate) fn row(&self, version: Version) -> Option<&VersionRow> {
        self.rows.iter().find(|row| row.version == version)
    }

    /// The last instant that a version's own network learned from, or any that it was made from; none where it cannot be loaded.
    pub(crate) fn network_seen_until(&mut self, version: Version) -> Option<DateTime<Utc>> {
        Some(self.actor(version).ok()?.network_seen_until.at())
    }

    /// The version that was in production at an instant.
    pub(crate) fn production_at(&self, at: DateTime<Utc>) -> Option<Version> {
        self.moves.iter().rev().find(|step| step.as_of <= at).map(|step| step.to)
    }

    /// The promotions of the last `days` that are watched: the last one, and the last of a version that was trained from
    /// scratch, since what was fine-tuned from it inherits its faults. None after a rollback.
    pub(crate) fn trials(&self, as_of: DateTime<Utc>, days: u32) -> Vec<Trial> {
        trials(&self.moves, as_of, days)
    }

    /// When a version last became production.
    pub(crate) fn promoted_at(&self, version: Version) -> Option<DateTime<Utc>> {
        self.moves.iter().rev().find(|step| step.to == version).map(|step| step.as_of)
    }

    /// What a version replaced when it last became production.
    pub(crate) fn replaced_by(&self, version: Version) -> Option<Version> {
        self.moves.iter().rev().find(|step| step.to == version).and_then(|step| step.from)
    }

    /// A version, verified and loaded; in words why it cannot answer.
    pub(crate) fn actor(&mut self, version: Version) -> Result<&Actor, String> {
        if !self.loaded.contains_key(&version) {
            let actor = self.load(version).map_err(|error| format!("{error:#}"));
            self.loaded.insert(version, actor);
        }
        self.loaded[&version].as_ref().map_err(Clone::clone)
    }

    /// A version that [`Cast::actor`] has loaded before.
    pub(crate) fn loaded(&self, version: Version) -> Result<&Actor, String> {
        match self.loaded.get(&version) {
            Some(actor) => actor.as_ref().map_err(Clone::clone),
            None => Err(format!("{version} was not loaded")),
        }
    }

    fn load(&self, version: Version) -> anyhow::Result<Actor> {
        let row = self.row(version).ok_or_else(|| Fault::integrity(gone(version)))?;
        let dir = self
            .dir
            .as_ref()
            .ok_or_else(|| Fault::integrity(format!("{version} has no directory")))?;
        let files = registry::open(dir, row)?.files;
        let seen_until = row
            .seen_until
            .ok_or_else(|| Fault::integrity(format!("what {version} has seen is not recorded")))?;
        let predictor = loading::predictor(&files)?;
        let seen_until = SeenUntil::new(seen_until);
        let (network_seen_until, mixture) = match row.members.is_empty() {
            true => (seen_until, None),
            false => {
                let own = loading::network_seen_until(&files)?;
                (own, Some(self.mixture(row, &predictor, &files)?))
            }
        };
        Ok(Actor { version, seen_until, predictor, network_seen_until, mixture, files })
    }

    fn mixture(
        &self,
        row: &VersionRow,
        own: &Predictor,
        files: &VersionFiles,
    ) -> anyhow::Result<Mixture> {
        let members = members_of(&row.members);
        let classes = &own.spec().classes;
        let mut networks = Vec::with_capacity(members.len());
        for member in &members {
            let network = match *member == Member::own(row.version) {
                true => None,
                false => Some(loading::member(files, *member)?),
            };
            if network.as_ref().is_some_and(|network| network.spec().classes != *classes) {
                let why = format!("{member} answers another question than {}", row.version);
                return Err(Fault::integrity(why).into());
            }
            networks.push(network);
        }
        let prior = loading::class_prior(files)?
            .filter(|prior| prior.len() == classes.len())
            .ok_or_else(|| Fault::integrity("metadata.json has no class_prior"))?;
        Ok(Mixture {
            members,
            networks,
            prior,
            history: self.history.clone(),
            config: self.ensemble.clone(),
            entries: mixture::entry_weights(&self.rows),
        })
    }

    /// What production answered to samples (in order of decision), each trading day by the version that was in
    /// production when the day's first decision fell. Days without one, or that it had seen, are left out and listed.
    pub(crate) fn policy(
        &mut self,
        material: &Material,
        samples: &[Sample],
        n_classes: usize,
    ) -> anyhow::Result<(Predictions<Unseen>, Vec<LeftOut>)> {
        let mut parts = Vec::new();
        let mut left_out = Vec::new();
        for (day, samples) in by_day(samples) {
            match self.morning(material, samples, n_classes) {
                Ok(part) if part.len() == samples.len() => parts.push(part),
                Ok(_) => left_out.push(LeftOut { day, why: "production had seen it".into() }),
                Err(why) => left_out.push(LeftOut { day, why }),
            }
        }
        Ok((pooled(&parts, n_classes)?, left_out))
    }

    fn morning(
        &mut self,
        material: &Material,
        samples: &[Sample],
        n_classes: usize,
    ) -> Result<Predictions<Unseen>, String> {
        let at = instant(samples[0].decided_at_us);
        let version = self.production_at(at).ok_or("there was no production version")?;
        Ok(self.unseen(version, material, samples, n_classes)?.predictions)
    }
}

impl Actor {
    /// Its networks, in order of making.
    pub(crate) fn networks(&self) -> Vec<&Predictor> {
        match &self.mixture {
            None => vec![&self.predictor],
            Some(mixture) => mixture.networks(&self.predictor),
        }
    }

    /// One of its networks.
    pub(crate) fn network(&self, member: Member) -> Option<&Predictor> {
        let own = Member::own(self.version);
        let Some(mixture) = &self.mixture else {
            return (member == own).then_some(&self.predictor);
        };
        let place = mixture.members.iter().position(|one| *one == member)?;
        Some(mixture.networks[place].as_ref().unwrap_or(&self.predictor))
    }

    /// What its own network answers to samples, `[n, classes]` row-major; in words why there is nothing.
    pub(crate) fn own_answers(
        &self,
        material: &Material,
        samples: &[Sample],
        n_classes: usize,
    ) -> Result<Vec<f64>, String> {
        answers(&self.predictor, material, samples, n_classes)
    }

    /// The same of what its own network has not seen.
    pub(crate) fn own_unseen(
        &self,
        material: &Material,
        samples: &[Sample],
        n_classes: usize,
    ) -> Result<Predictions<Unseen>, String> {
        let answers = self.own_answers(material, samples, n_classes)?;
        Ok(predictions(samples, answers, n_classes)?.after(self.network_seen_until))
    }

    /// Its answers to samples, `[n, classes]` row-major, each with the weights of its day; in words why there are none.
    pub(crate) fn answers(
        &self,
        material: &Material,
        samples: &[Sample],
        n_classes: usize,
    ) -> Result<Vec<f64>, String> {
        let Some(mixture) = &self.mixture else {
            return self.own_answers(material, samples, n_classes);
        };
        let of_networks = mixture
            .networks
            .iter()
            .map(|network| {
                let network = network.as_ref().unwrap_or(&self.predictor);
                answers(network, material, samples, n_classes)
            })
            .collect::<Result<Vec<_>, String>>()?;
        let at_us: Vec<i64> = samples.iter().map(|sample| sample.decided_at_us).collect();
        Ok(mixture.mix(&of_networks, &at_us, n_classes).1)
    }

    /// Its answers to windows that end at rows of `series`, each decided at an instant: of every component
    /// `[n, components, classes]` row-major (empty for a network alone), and as a whole `[n, classes]`.
    pub(crate) fn answer_rows(
        &self,
        series: &[Features],
        rows: &[u32],
        at_us: &[i64],
    ) -> (Vec<f64>, Vec<f64>) {
        let of = |network: &Predictor| network.probabilities(&windows(network, series), rows);
        let Some(mixture) = &self.mixture else { return (Vec::new(), of(&self.predictor)) };
        let networks = mixture.networks.iter();
        let of_networks: Vec<Vec<f64>> =
            networks.map(|network| of(network.as_ref().unwrap_or(&self.predictor))).collect();
        mixture.mix(&of_networks, at_us, mixture.prior.len())
    }
}

impl Mixture {
    /// Parts and whole of each answer, from what each network answered.
    fn mix(
        &self,
        of_networks: &[Vec<f64>],
        at_us: &[i64],
        n_classes: usize,
    ) -> (Vec<f64>, Vec<f64>) {
        let n_components = of_networks.len() + 1;
        let mut parts = Vec::with_capacity(at_us.len() * n_components * n_classes);
        let mut whole = Vec::with_capacity(at_us.len() * n_classes);
        // Weights change at midnight: one list a day serves all its answers.
        let mut of_days: HashMap<Option<i64>, Vec<f64>> = HashMap::new();
        for (i, &at_us) in at_us.iter().enumerate() {
            let first = parts.len();
            parts.extend_from_slice(&self.prior);
            for answers in of_networks {
                parts.extend_from_slice(&answers[i * n_classes..(i + 1) * n_classes]);
            }
            let day = self.history.at(at_us).map(|day| day.from_us);
            let weights = of_days.entry(day).or_insert_with(|| self.weights_at(at_us).values());
            whole.extend(ensemble::mixed(weights, &parts[first..]));
        }
        (parts, whole)
    }
}

/// The label rule that a version learned; none where its row does not say.
pub(crate) fn label_of(row: &VersionRow) -> Option<LabelRule> {
    serde_json::from_value(row.metrics.get("recipe")?.get("label")?.clone()).ok()
}

/// Why nothing is known of a version that the moves name.
fn gone(version: Version) -> String {
    match version.daily() {
        Some(_) => format!("{version} was deleted, as old fine-tunes are"),
        None => format!("{version} has no row"),
    }
}

fn same_label(theirs: &LabelRule, ours: &LabelRule) -> Result<(), String> {
    if theirs == ours {
        return Ok(());
    }
    Err(format!("it answers another question: its labels are {theirs}, not {ours}"))
}

fn trials(moves: &[MoveRow], as_of: DateTime<Utc>, days: u32) -> Vec<Trial> {
    let since = as_of - TimeDelta::days(days.into());
    let standing: Vec<Trial> = moves
        .iter()
        .rev()
        .take_while(|step| step.action == Action::Promote.name() && step.as_of > since)
        .filter_map(|step| {
            let replaced = step.from.filter(|from| *from != step.to)?;
            Some(Trial { promoted: step.to, replaced, since: step.as_of })
        })
        .collect();
    let scratch = standing.iter().find(|trial| trial.promoted.daily().is_none());
    let mut watched: Vec<Trial> = standing.first().into_iter().chain(scratch).copied().collect();
    watched.dedup();
    watched
}

/// Probabilities in the order of `classes`; nothing where a class is missing or the numbers are none.
fn of_classes(stored: &serde_json::Value, classes: &[&str]) -> Option<Vec<f64>> {
    let by_name = stored.as_object().filter(|map| map.len() == classes.len())?;
    let list: Vec<f64> =
        classes.iter().map(|class| by_name.get(*class)?.as_f64()).collect::<Option<_>>()?;
    let sum: f64 = list.iter().sum();
    (list.iter().all(|p| (0.0..=1.0).contains(p)) && (sum - 1.0).abs() < 1e-3).then_some(list)
}

/// A model's answers to samples, `[n, classes]` row-major; in words why there are none.
pub(crate) fn answers(
    predictor: &Predictor,
    material: &Material,
    samples: &[Sample],
    n_classes: usize,
) -> Result<Vec<f64>, String> {
    let spec = predictor.spec();
    let set = material.features.first().map(|features| features.set.name);
    if set != Some(spec.feature_set.as_str()) || spec.classes.len() != n_classes {
        return Err("it answers another question (features or classes differ)".into());
    }
    same_label(&spec.label, &material.label)?;
    for timeframe in material.candles.iter().map(Candles::timeframe) {
        let minutes = timeframe.horizon().num_minutes();
        if spec.horizon_minutes.get(timeframe.name()).is_some_and(|theirs| *theirs != minutes) {
            return Err(format!(
                "it answers another question: its labels look {} minutes ahead on {timeframe}, not {minutes}",
                spec.horizon_minutes[timeframe.name()]
            ));
        }
    }
    let windows = windows(predictor, &material.features);
    let rows: Vec<u32> = samples.iter().map(|sample| sample.row).collect();
    if rows.iter().any(|row| (*row as usize) < spec.lookback) {
        return Err("its windows reach further back than the candles that were read".into());
    }
    Ok(predictor.probabilities(&windows, &rows))
}

/// All rows of the series, one after the other, as a model sees them.
pub(crate) fn windows(predictor: &Predictor, series: &[Features]) -> Windows {
    let spec = predictor.spec();
    let n_features = spec.features.len();
    let n_rows: usize = series.iter().map(Features::n_rows).sum();
    let mut values = vec![0.0; n_rows * n_features];
    let mut rest = values.as_mut_slice();
    for features in series {
        let n = features.n_rows();
        let (rows, after) = rest.split_at_mut(n * n_features);
        spec.scaler.apply(&features.columns, rows);
        rest = after;
    }
    Windows { values, n_features, lookback: spec.lookback }
}

/// Answers with the truth of samples.
pub(crate) fn predictions(
    samples: &[Sample],
    answers: Vec<f64>,
    n_classes: usize,
) -> Result<Predictions<crate::evaluate::Seen>, String> {
    Predictions::new(
        n_classes,
        answers,
        samples.iter().map(|sample| sample.class).collect(),
        samples.iter().map(|sample| sample.decided_at_us).collect(),
        samples.iter().map(|sample| sample.series).collect(),
    )
    .map_err(|error| error.to_string())
}

/// Answers of several days as one.
pub(crate) fn pooled(
    parts: &[Predictions<Unseen>],
    n_classes: usize,
) -> anyhow::Result<Predictions<Unseen>> {
    Predictions::pooled(parts, n_classes)
        .ok_or_else(|| Fault::integrity("answers of several days overlap").into())
}

/// Samples (in order of decision) by trading day.
pub(crate) fn by_day(samples: &[Sample]) -> Vec<(NaiveDate, &[Sample])> {
    let at_us: Vec<i64> = samples.iter().map(|sample| sample.decided_at_us).collect();
    let days = calendar::trading_days(&at_us);
    let mut rest = samples;
    days.chunk_by(|a, b| a == b)
        .map(|run| {
            let (samples, after) = rest.split_at(run.len());
            rest = after;
            (run[0], samples)
        })
        .collect()
}
