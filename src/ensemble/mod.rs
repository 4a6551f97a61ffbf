//! Mixtures of several networks and the class prior, with weights learned from what happened.
//!
//! [`Weights`] holds the share of each [`Component`]; [`Weights::settle`] moves them once a day by the log-loss of each
//! component (Hedge on log-loss, Freund & Schapire 1997) and gives every component a small share back (fixed share, Herbster &
//! Warmuth 1998); a component that joins late enters with a share of its own (Freund, Schapire, Singer & Warmuth 1997; Mourtada &
//! Maillard 2017). [`mixed`] is what a mixture answers. Pure: the same rows give the same weights, bit for bit.
//! docs/formulas.md has the bound and its proof. Not here: who the members are (`registry`), what they answered (`db`).

mod history;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::lineage::Member;

pub use history::{Day, History};

/// Probabilities below this count as this in a log-loss, so that one answer cannot cost more than 16.1 nats.
pub const LEAST_PROBABILITY: f64 = 1e-7;

/// How many networks answer together and how their weights are learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EnsembleConfig {
    /// Networks at most; 1: the newest network answers alone, and replaces the one before by the gate.
    pub members: usize,
    /// How strongly a day's log-loss moves the weights: the exponent of each probability.
    pub rate: f64,
    /// Share of the whole that is spread evenly over all components each day.
    pub share: f64,
    /// Weight of a network that joins.
    pub entry: f64,
    /// Weight of the class prior in the first mixture of a line.
    pub prior: f64,
    /// Networks that the first training of a line makes, of `members` at most.
    pub first: usize,
}

impl Default for EnsembleConfig {
    fn default() -> Self {
        EnsembleConfig { members: 8, rate: 0.25, share: 0.05, entry: 0.3, prior: 0.2, first: 4 }
    }
}

impl EnsembleConfig {
    /// Settings that cannot be, by key, with the reason.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let counts = [("members", self.members, 1, 64), ("first", self.first, 1, 64)];
        for (key, value, low, high) in counts {
            if !(low..=high).contains(&value) {
                problems
                    .push((key, format!("{key}: {value} does not lie between {low} and {high}")));
            }
        }
        // A rate above 1 would void the bound on the log-loss.
        let shares = [
            ("rate", self.rate, 1e-6, 1.0),
            ("share", self.share, 0.0, 0.5),
            ("entry", self.entry, 1e-6, 0.9),
            ("prior", self.prior, 1e-6, 0.9),
        ];
        for (key, value, low, high) in shares {
            // Written so that NaN fails.
            if !(low..=high).contains(&value) {
                problems
                    .push((key, format!("{key}: {value} does not lie between {low} and {high}")));
            }
        }
        problems
    }

    /// Whether several networks answer together.
    pub fn is_mixture(&self) -> bool {
        self.members > 1
    }
}

/// What has a weight: the class prior or a network. Prints and parses as `prior` or the member's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Component {
    /// Class shares of the newest member's training part.
    Prior,
    /// A network.
    Network(Member),
}

const PRIOR: &str = "prior";

impl Component {
    /// The name of the training from scratch that it goes back to, or `prior`.
    pub fn training(&self) -> String {
        match self {
            Component::Prior => PRIOR.to_owned(),
            Component::Network(member) => member.training().to_string(),
        }
    }
}

impl fmt::Display for Component {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Component::Prior => f.pad(PRIOR),
            Component::Network(member) => f.pad(&member.to_string()),
        }
    }
}

impl std::str::FromStr for Component {
    type Err = crate::lineage::LineageError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            PRIOR => Ok(Component::Prior),
            name => Ok(Component::Network(name.parse()?)),
        }
    }
}

impl TryFrom<String> for Component {
    type Error = crate::lineage::LineageError;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Component> for String {
    fn from(component: Component) -> String {
        component.to_string()
    }
}

/// A place in a version's list of networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// The network.
    #[serde(rename = "version")]
    pub member: Member,
    /// SHA-256 of the `SHA256SUMS` of the directory that its files come from; none for networks of the version itself.
    pub manifest_sha256: Option<String>,
    /// The weight with which it joined, where it was not of the first mixture.
    pub entry: f64,
}

/// The networks of places, in their order.
pub fn members_of(places: &[Place]) -> Vec<Member> {
    places.iter().map(|place| place.member).collect()
}

/// The share of one component, and what it has lost so far.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Which.
    pub component: Component,
    /// Share of the mixture, 0 to 1.
    pub weight: f64,
    /// Log-loss since it joined, nats, summed over settled answers; where it gave none, the mixture's.
    pub loss: f64,
    /// Settled answers behind `loss`.
    pub n: u64,
}

/// The shares of a mixture.
/// Invariant: the prior first, then networks in order of making; weights are not negative and sum to 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    entries: Vec<Entry>,
}

/// A settled answer: what each component gave to the class that came true.
#[derive(Debug, Clone, PartialEq)]
pub struct Settled {
    /// By component: its probability of the class that came true.
    pub of_components: Vec<(Component, f64)>,
    /// The mixture's probability of that class when it answered.
    pub of_mixture: f64,
    /// 1 for an answer that is settled now; -1 for what it had counted before a correction changed its class.
    pub sign: f64,
}

impl Weights {
    /// The first mixture of a line: the prior as configured, the rest in equal parts.
    pub fn first(members: &[Member], config: &EnsembleConfig) -> Weights {
        let part = (1.0 - config.prior) / members.len().max(1) as f64;
        let prior = if members.is_empty() { 1.0 } else { config.prior };
        let entry = |component, weight| Entry { component, weight, loss: 0.0, n: 0 };
        let networks = members.iter().map(|member| entry(Component::Network(*member), part));
        Weights {
            entries: std::iter::once(entry(Component::Prior, prior)).chain(networks).collect(),
        }
    }

    /// As stored; `None` where that is no mixture.
    pub fn from_entries(entries: Vec<Entry>) -> Option<Weights> {
        let sum: f64 = entries.iter().map(|entry| entry.weight).sum();
        let sound = entries.iter().all(|entry| entry.weight >= 0.0 && entry.loss.is_finite())
            && (sum - 1.0).abs() < 1e-6
            && entries.first().is_some_and(|entry| entry.component == Component::Prior);
        sound.then_some(Weights { entries })
    }

    /// Every component with its share.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The shares, in order.
    pub fn values(&self) -> Vec<f64> {
        self.entries.iter().map(|entry| entry.weight).collect()
    }

    /// The share of a component; 0 where it has none.
    pub fn of(&self, component: Component) -> f64 {
        self.get(component).map_or(0.0, |entry| entry.weight)
    }

    fn get(&self, component: Component) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.component == component)
    }

    /// The mixture of another list of networks. What stays keeps its proportions; a fine-tune takes the place and the weight of
    /// the network that it was made from, where that leaves; any other newcomer enters with `entry` of the whole.
    #[must_use]
    pub fn with_members(&self, members: &[Member], entry: impl Fn(Member) -> f64) -> Weights {
        let stays = |component: &Component| match component {
            Component::Prior => true,
            Component::Network(member) => members.contains(member),
        };
        let mut leaving: Vec<Entry> =
            self.entries.iter().filter(|entry| !stays(&entry.component)).copied().collect();
        let prior = self.get(Component::Prior).copied();
        let mut entries = vec![prior.unwrap_or(Entry {
            component: Component::Prior,
            weight: 0.0,
            loss: 0.0,
            n: 0,
        })];
        let mut newcomers = Vec::new();
        for member in members {
            let component = Component::Network(*member);
            if let Some(known) = self.get(component) {
                entries.push(*known);
                continue;
            }
            let replaced = leaving.iter().position(|entry| match entry.component {
                Component::Network(old) => old.is_of_same_training(*member),
                Component::Prior => false,
            });
            match replaced {
                Some(place) => entries.push(Entry { component, ..leaving.remove(place) }),
                None => {
                    newcomers.push((entries.len(), entry(*member)));
                    entries.push(Entry { component, weight: 0.0, loss: 0.0, n: 0 });
                }
            }
        }
        let mut weights = Weights { entries };
        weights.scale_to(1.0);
        for (place, share) in newcomers {
            weights.scale_to(1.0 - share);
            weights.entries[place].weight = share;
        }
        weights
    }

    fn scale_to(&mut self, whole: f64) {
        let sum: f64 = self.entries.iter().map(|entry| entry.weight).sum();
        if sum > 0.0 {
            self.entries.iter_mut().for_each(|entry| entry.weight *= whole / sum);
        } else if let Some(prior) = self.entries.first_mut() {
            prior.weight = whole;
        }
    }

    /// The weights after a day: `log w += rate · Σ ln p(y)`, where a component that gave no answer gets the mixture's; then
    /// `(1 − share) · w + share / n`. Without a settled answer they stay as they are.
    #[must_use]
    pub fn settle(&self, answers: &[Settled], config: &EnsembleConfig) -> Weights {
        if answers.is_empty() {
            return self.clone();
        }
        let gains: Vec<(f64, f64)> = self
            .entries
            .iter()
            .map(|entry| {
                let mut gain = 0.0;
                let mut n = 0.0;
                for answer in answers {
                    let own = answer.of_components.iter().find(|(one, _)| *one == entry.component);
                    gain += answer.sign * log(own.map_or(answer.of_mixture, |(_, p)| *p));
                    n += answer.sign;
                }
                (gain, n)
            })
            .collect();
        let logs: Vec<f64> = self
            .entries
            .iter()
            .zip(&gains)
            .map(|(entry, (gain, _))| entry.weight.ln() + config.rate * gain)
            .collect();
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let powers: Vec<f64> = logs.iter().map(|log| (log - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let n = self.entries.len() as f64;
        let entries =
            self.entries.iter().zip(powers).zip(gains).map(|((entry, power), (gain, more))| {
                Entry {
                    weight: (1.0 - config.share) * (power / sum) + config.share / n,
                    loss: entry.loss - gain,
                    n: (entry.n as f64 + more).max(0.0) as u64,
                    ..*entry
                }
            });
        Weights { entries: entries.collect() }
    }

    /// The network that makes room where there are more than `members`: the one of least weight, never the newest.
    pub fn leaves(&self, members: usize) -> Option<Member> {
        let networks = &self.entries[1.min(self.entries.len())..];
        if networks.len() <= members {
            return None;
        }
        let older = &networks[..networks.len() - 1];
        let least = older.iter().min_by(|a, b| a.weight.total_cmp(&b.weight))?;
        match least.component {
            Component::Network(member) => Some(member),
            Component::Prior => None,
        }
    }
}

/// Natural logarithm of a probability, clipped; what is none counts as the least.
fn log(p: f64) -> f64 {
    if p.is_finite() { p.clamp(LEAST_PROBABILITY, 1.0).ln() } else { LEAST_PROBABILITY.ln() }
}

/// What a mixture answers: `Σ w · p`, summed in double precision in the order of the components. `parts` is
/// `[n_components, n_classes]` row-major.
///
/// # Panics
/// When `parts` is not one row a weight.
pub fn mixed(weights: &[f64], parts: &[f64]) -> Vec<f64> {
    assert!(
        !weights.is_empty() && parts.len().is_multiple_of(weights.len()),
        "a row of probabilities for each weight"
    );
    let n_classes = parts.len() / weights.len();
    let mut answer = vec![0.0; n_classes];
    for (weight, row) in weights.iter().zip(parts.chunks(n_classes.max(1))) {
        for (sum, p) in answer.iter_mut().zip(row) {
            *sum += weight * p;
        }
    }
    answer
}
