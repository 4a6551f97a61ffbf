//! Years of a mixture in the same markets: what admission and nightly weights lose and save, with networks that fail once they are
//! in, held against the promise of docs/formulas.md.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::{DAYS_A_WEEK, EDGE, HORIZON, HOURS, Market, PAIRS, Rate, WEEKS_A_YEAR};
use crate::{
    ensemble::{Component, EnsembleConfig, Settled, Weights, mixed},
    lineage::{Member, Version},
    stats,
};

/// Noise of a network's logits: trainings differ by as much as all the skill there is.
const NOISES: std::ops::Range<f64> = 0.1..0.6;
/// One network in so many fails, of each kind, once it has been let in.
const FAILS: u32 = 10;
/// Kinds of networks that fail: they say the opposite of what they know, one class to everything, what another one says.
const KINDS: u32 = 3;

/// A mean over years with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Mean {
    /// Nats an answer.
    pub mean: f64,
    /// Standard error over years.
    pub se: f64,
}

impl Mean {
    fn of(values: &[f64]) -> Option<Mean> {
        let se = stats::sample_sd(values)? / (values.len() as f64).sqrt();
        Some(Mean { mean: stats::mean(values)?, se })
    }
}

/// What came of the years of one kind of market.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MixtureYears {
    /// Years.
    pub years: usize,
    /// Log-loss of the class prior less that of the mixture.
    pub saves_prior: Option<Mean>,
    /// The same of the newest network.
    pub saves_newest: Option<Mean>,
    /// The same of the first network, never replaced.
    pub saves_first: Option<Mean>,
    /// Years in which the mixture lost more than the class prior.
    pub worse_than_prior: Option<Rate>,
    /// Largest excess over what is proven of weights that move after every answer, against any member over any stretch in which
    /// it was in the mixture, nats in all.
    pub largest_excess: f64,
    /// The same over that and what networks that fail may add until their first midnight; 0 or less: what always holds held.
    pub beyond_nightly: f64,
}

/// The procedure on markets with and without an edge.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MixtureHonesty {
    /// There is something to know.
    pub with_an_edge: MixtureYears,
    /// There is nothing to know.
    pub without_an_edge: MixtureYears,
}

/// Plays years; the same seed gives the same figures on any number of threads.
pub fn run(years: usize, seed: u64, config: &EnsembleConfig) -> MixtureHonesty {
    let of = |edge: f64, stream: u64| {
        let all: Vec<Year> = (0..years as u64)
            .into_par_iter()
            .map(|year| {
                let mut rng = ChaCha8Rng::seed_from_u64(seed);
                rng.set_stream(2 * year + stream);
                Year::play(&mut rng, edge, config)
            })
            .collect();
        let saves = |reference: fn(&Year) -> f64| {
            Mean::of(&all.iter().map(|year| reference(year) - year.mixture).collect::<Vec<_>>())
        };
        let n_worse = all.iter().filter(|year| year.mixture > year.prior).count();
        MixtureYears {
            years,
            saves_prior: saves(|year| year.prior),
            saves_newest: saves(|year| year.newest),
            saves_first: saves(|year| year.first),
            worse_than_prior: Rate::of(n_worse as u64, years as u64),
            largest_excess: all.iter().map(|year| year.excess.0).fold(f64::NEG_INFINITY, f64::max),
            beyond_nightly: all.iter().map(|year| year.excess.1).fold(f64::NEG_INFINITY, f64::max),
        }
    };
    MixtureHonesty { with_an_edge: of(EDGE, 0), without_an_edge: of(0.0, 1) }
}

/// A network that has been let in.
struct Joined {
    member: Member,
    from_day: usize,
    rows: Vec<[f64; 3]>,
    /// Its weight when it joined.
    weight: f64,
    /// Nats that the mixture and it had lost by then, and newcomers that have joined since.
    mixture_before: f64,
    loss: f64,
    newcomers: usize,
    /// Whether it fails, and newcomers since that do.
    fails: bool,
    failing: usize,
}

impl Joined {
    fn row(&self, day: usize, place: usize) -> [f64; 3] {
        self.rows[(day - self.from_day) * HOURS * PAIRS + place]
    }
}

/// Mean losses of a year.
struct Year {
    mixture: f64,
    prior: f64,
    newest: f64,
    first: f64,
    /// Over what is proven after every answer, and over what holds nightly.
    excess: (f64, f64),
}

impl Year {
    fn play(rng: &mut ChaCha8Rng, edge: f64, config: &EnsembleConfig) -> Year {
        const PRIOR: [f64; 3] = [1.0 / 3.0; 3];
        let n_days = DAYS_A_WEEK * WEEKS_A_YEAR;
        let market = Market::of(rng, edge, n_days);
        let mut version = Version::FIRST;
        let mut networks: Vec<Joined> = Vec::new();
        for extra in 0..config.first as u32 {
            let member =
                if extra == 0 { Member::own(version) } else { Member::extra(version, extra) };
            networks.push(network(rng, &market, edge, member, 0..n_days, false, &[]));
        }
        let first: Vec<[f64; 3]> = networks[0].rows.clone();
        let mut weights = Weights::first(&names(&networks), config);
        for one in &mut networks {
            one.weight = weights.of(Component::Network(one.member));
        }
        let (mut lost, mut prior, mut newest, mut of_first) = (0.0, 0.0, 0.0, 0.0);
        let prior_weight = weights.of(Component::Prior);
        let mut excess = (f64::NEG_INFINITY, f64::NEG_INFINITY);
        let (mut n_newcomers, mut n_failing) = (0, 0);
        let mut waiting: Vec<Settled> = Vec::new();
        for day in 0..n_days {
            if day > 0 && day % DAYS_A_WEEK == 0 {
                version = version.next_minor();
                let member = Member::own(version);
                let mut joined = network(rng, &market, edge, member, day..n_days, true, &networks);
                joined.mixture_before = lost;
                for one in &mut networks {
                    one.newcomers += 1;
                    one.failing += usize::from(joined.fails);
                }
                n_newcomers += 1;
                n_failing += usize::from(joined.fails);
                networks.push(joined);
                weights = weights.with_members(&names(&networks), |_| config.entry);
                if let Some(leaving) = weights.leaves(config.members) {
                    let place = networks.iter().position(|one| one.member == leaving);
                    let left = networks.remove(place.expect("it is in the mixture"));
                    excess = larger(excess, over(&left, lost, day, config));
                    weights = weights.with_members(&names(&networks), |_| config.entry);
                }
                let joined = networks.last_mut().expect("just joined");
                joined.weight = weights.of(Component::Network(joined.member));
            }
            let values = weights.values();
            for place in 0..HOURS * PAIRS {
                let truth = usize::from(market.truth[day * HOURS * PAIRS + place]);
                let mut parts: Vec<f64> = PRIOR.to_vec();
                for one in &networks {
                    parts.extend(one.row(day, place));
                }
                let said = mixed(&values, &parts)[truth];
                let mut of_components = vec![(Component::Prior, PRIOR[truth])];
                for one in &mut networks {
                    let p = one.row(day, place)[truth];
                    one.loss -= p.ln();
                    of_components.push((Component::Network(one.member), p));
                }
                lost -= said.ln();
                prior -= PRIOR[truth].ln();
                newest -= of_components.last().map_or(0.0, |(_, p)| p.ln());
                of_first -= first[day * HOURS * PAIRS + place][truth].ln();
                waiting.push(Settled { of_components, of_mixture: said, sign: 1.0 });
            }
            // The labels of the last hours settle after midnight.
            let ripe = waiting.len() - HORIZON * PAIRS;
            let settled: Vec<Settled> = waiting.drain(..ripe).collect();
            weights = weights.settle(&settled, config);
        }
        for one in &networks {
            excess = larger(excess, over(one, lost, n_days, config));
        }
        let of_prior = promised(prior_weight, n_days, n_newcomers, config);
        let of_prior = lost - prior - of_prior;
        excess = larger(excess, (of_prior, of_prior - until_midnight(n_failing, config)));
        let n = (n_days * HOURS * PAIRS) as f64;
        Year {
            mixture: lost / n,
            prior: prior / n,
            newest: newest / n,
            first: of_first / n,
            excess,
        }
    }
}

/// What the mixture may lose more than a member that had `weight`, over days and newcomers.
fn promised(weight: f64, days: usize, newcomers: usize, config: &EnsembleConfig) -> f64 {
    let a_day = -(1.0 - config.share).ln();
    let a_newcomer = -(1.0 - config.entry).ln();
    ((1.0 / weight).ln() + days as f64 * a_day + newcomers as f64 * a_newcomer) / config.rate
}

/// What networks that fail may add until the first midnight that knows of it: a day and what settles after it.
fn until_midnight(failing: usize, config: &EnsembleConfig) -> f64 {
    (failing * (HOURS + HORIZON) * PAIRS) as f64 * -(1.0 - config.entry).ln()
}

fn over(one: &Joined, lost: f64, day: usize, config: &EnsembleConfig) -> (f64, f64) {
    let may = promised(one.weight, day - one.from_day, one.newcomers, config);
    let excess = lost - one.mixture_before - one.loss - may;
    (excess, excess - until_midnight(one.failing, config))
}

fn larger(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    (a.0.max(b.0), a.1.max(b.1))
}

fn names(networks: &[Joined]) -> Vec<Member> {
    networks.iter().map(|one| one.member).collect()
}

/// A training from scratch as it answers on days; one that `may_fail` does so in three of ten cases, from its first answer on.
fn network(
    rng: &mut ChaCha8Rng,
    market: &Market,
    edge: f64,
    member: Member,
    days: std::ops::Range<usize>,
    may_fail: bool,
    others: &[Joined],
) -> Joined {
    let from_day = days.start;
    let noise = rng.random_range(NOISES);
    let kind = if may_fail { rng.random_range(0..FAILS) } else { KINDS };
    let rows = match (kind, others.last()) {
        (0, _) => market.answers(rng, -3.0 * EDGE.max(edge), noise, days).rows,
        (1, _) => vec![[0.01, 0.98, 0.01]; days.len() * HOURS * PAIRS],
        (2, Some(other)) => other.rows[(from_day - other.from_day) * HOURS * PAIRS..].to_vec(),
        _ => market.answers(rng, edge, noise, days).rows,
    };
    Joined {
        member,
        from_day,
        rows,
        weight: 0.0,
        mixture_before: 0.0,
        loss: 0.0,
        newcomers: 0,
        fails: kind < KINDS,
        failing: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The experiment of `scripts/bench_gate.sh`, small.
    #[test]
    fn a_mixture_saves_where_there_is_something_to_know_and_costs_little_where_not() {
        let honesty = run(3, 5, &EnsembleConfig::default());
        let mean = |saved: Option<Mean>| saved.expect("years").mean;
        let with = &honesty.with_an_edge;
        assert!(mean(with.saves_prior) > 0.01, "{honesty:?}");
        assert!(mean(with.saves_newest) > 0.02, "three of ten newest networks fail: {honesty:?}");
        assert!(mean(with.saves_first) > 0.0, "{honesty:?}");
        let without = &honesty.without_an_edge;
        assert!(mean(without.saves_prior) > -0.01, "{honesty:?}");
        assert!(mean(without.saves_newest) > 0.0, "{honesty:?}");
        assert!(with.beyond_nightly <= 0.0 && without.beyond_nightly <= 0.0, "{honesty:?}");
    }
}
