//! How often the gate is wrong, measured: [`run`] plays simulated years of decisions through the rules and counts.
//!
//! Five pairs that move together, hourly, with labels that overlap by four hours. A model of this world knows how much a
//! signal is worth and errs by a noise of its own that lasts for hours and is shared by the pairs, so that samples are far
//! from independent. What is true is known, and with it which promotion would be wrong. The procedure is the one that runs: a
//! recipe that the operator changes twice a year, candidates that stay changes until one is promoted, a first version and a
//! move against the gate that take no place in the budget, each refusal for want of evidence judged anew within the week and
//! followed by a longer test part, train-validation gaps and latencies with chance in them, returns that share no days.
//! Not here: real training (`scripts/bench_gate.sh` adds markets that go through all of aifx).

mod mixture;

use std::ops::Range;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::Serialize;

use super::{
    BacktestOverfitting, Budget, Evidence, GateConfig, Incumbent, Reference, Track, rules,
    verdict::extra_after,
};
use crate::{
    evaluate::{Predictions, Unseen, compare},
    lineage::{SeenUntil, Version},
    market::{DAY_US, HOUR_US, Micros, instant},
    stats::Proportion,
};

pub use mixture::{MixtureHonesty, run as run_mixtures};

const PAIRS: usize = 5;
const HOURS: usize = 24;
/// Hours that a label looks ahead.
const HORIZON: usize = 4;
/// Trading days of a test part before any is added.
const TEST_DAYS: usize = 20;
/// The longest test part.
const MAX_TEST_DAYS: usize = 40;
/// Trading days after which the operator judges anew what was refused for want of evidence.
const ANEW_DAYS: usize = 3;
const WEEKS_A_YEAR: usize = 52;
const DAYS_A_WEEK: usize = 5;
/// Weeks from which on the operator asks for another recipe.
const RECIPE_WEEKS: [usize; 2] = [1, 26];
/// The week of a move against the gate.
const FORCED_WEEK: usize = 40;
/// Trading days in 90 days of the calendar.
const QUARTER_DAYS: usize = 64;
/// How much of the signal, and of a model's noise, is left after an hour.
const PERSISTENCE: f64 = 0.9;
/// Noise of every model's logits.
const NOISE: f64 = 0.15;
/// Noise of a class prior's logits: so little that it costs nothing, and enough that it has not collapsed.
const PRIOR_NOISE: f64 = 0.02;
/// What a signal of one standard deviation adds to the next hour's return, in its standard deviations.
const EDGE: f64 = 0.15;
/// A refresh that is worse than its margin, by this factor.
const BEYOND: f64 = 1.05;
/// Ages of the incumbent at a refresh, days.
const AGES: [f64; 3] = [1.0, 7.0, 14.0];
/// Refreshes of a year that are worse than they may be, and as many by the class prior.
const REFRESHES: usize = 12;
/// Windows of the test of levels for each market, and their days.
const WINDOWS: usize = 10;
const WINDOW_DAYS: usize = 10;
/// Train-validation gaps: mean, standard deviation, and the standard error of one.
const GAP: (f64, f64, f64) = (0.03, 0.015, 0.01);
/// The first day: a Monday, at 00:00 UTC.
const MONDAY_US: Micros = 1_704_067_200_000_000;

/// A share of decisions with its 95 % interval (Wilson).
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Rate {
    /// How often.
    pub n_hits: u64,
    /// Of how many.
    pub n: u64,
    /// The share.
    pub share: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Rate {
    /// `n_hits` of `n`; `None` of nothing.
    pub fn of(n_hits: u64, n: u64) -> Option<Rate> {
        let proportion = Proportion { n_hits, n };
        let (low, high) = proportion.wilson(0.95)?;
        Some(Rate { n_hits, n, share: proportion.share()?, low, high })
    }
}

/// What came of all markets.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Honesty {
    /// Markets, each of a year.
    pub markets: usize,
    /// Changes without an edge that were promoted, of all that were judged.
    pub wrong_changes: Option<Rate>,
    /// Years in which at least one was.
    pub years_with_a_wrong_change: Option<Rate>,
    /// Refreshes worse than their margin that were let through, of all that were judged.
    pub worse_refreshes: Option<Rate>,
    /// Refreshes by the class prior that were let through against an incumbent with skill.
    pub no_skill_refreshes: Option<Rate>,
    /// Markets whose regime changed in which a refresh that knows it was promoted within 90 days.
    pub right_refreshes: Option<Rate>,
    /// The same for a change of recipe.
    pub right_changes: Option<Rate>,
    /// Windows of ten days on which two equal models differ at a nominal 5 %, two-sided, clustered by day.
    pub level: Option<Rate>,
}

/// What happened in one market.
#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    changes: u64,
    wrong_changes: u64,
    refreshes: u64,
    worse_refreshes: u64,
    no_skill_refreshes: u64,
    right_refresh: u64,
    right_change: u64,
    windows: u64,
    rejected: u64,
}

/// Plays `markets` years; the same seed gives the same counts on any number of threads.
pub fn run(markets: usize, seed: u64, config: &GateConfig) -> Honesty {
    let worse = noise_beyond_the_margin(config);
    let counts: Vec<Counts> = (0..markets)
        .into_par_iter()
        .map(|market| one(seed, market as u64, config, &worse))
        .collect();
    let sum = |of: fn(&Counts) -> u64| counts.iter().map(of).sum::<u64>();
    let n = markets as u64;
    let refreshes = sum(|c| c.refreshes);
    Honesty {
        markets,
        wrong_changes: Rate::of(sum(|c| c.wrong_changes), sum(|c| c.changes)),
        years_with_a_wrong_change: Rate::of(sum(|c| u64::from(c.wrong_changes > 0)), n),
        worse_refreshes: Rate::of(sum(|c| c.worse_refreshes), refreshes),
        no_skill_refreshes: Rate::of(sum(|c| c.no_skill_refreshes), refreshes),
        right_refreshes: Rate::of(sum(|c| c.right_refresh), n),
        right_changes: Rate::of(sum(|c| c.right_change), n),
        level: Rate::of(sum(|c| c.rejected), sum(|c| c.windows)),
    }
}

fn one(seed: u64, market: u64, config: &GateConfig, worse: &[(f64, f64)]) -> Counts {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(market);
    let mut counts = Counts::default();
    year_without_an_edge(&mut rng, config, &mut counts);
    refreshes_that_are_worse(&mut rng, config, worse, &mut counts);
    quarter_of_a_new_regime(&mut rng, config, &mut counts);
    counts
}

/// A year of Sundays on which nobody knows anything, with recipes that change nothing.
fn year_without_an_edge(rng: &mut ChaCha8Rng, config: &GateConfig, counts: &mut Counts) {
    let n_days = MAX_TEST_DAYS + DAYS_A_WEEK * (WEEKS_A_YEAR + 1);
    let market = Market::of(rng, 0.0, n_days);
    let mut incumbent = market.answers(rng, 0.0, NOISE, 0..n_days);
    let (mut of_incumbent, mut budget, mut short) = (0, Budget { n_tests: 0, n_promotions: 0 }, 0);
    for week in 0..WEEKS_A_YEAR {
        let recipe = RECIPE_WEEKS.iter().filter(|begins| week >= **begins).count();
        let until = MAX_TEST_DAYS + DAYS_A_WEEK * week;
        let extra = extra_after(short, TEST_DAYS as u32) as usize;
        let days = until - TEST_DAYS - extra..until;
        let candidate = market.answers(rng, 0.0, NOISE, days.start..until + ANEW_DAYS);
        if week == FORCED_WEEK {
            // Against the gate: another production, and nothing of the budget.
            incumbent = market.answers(rng, 0.0, NOISE, 0..n_days);
            of_incumbent = recipe;
            continue;
        }
        let track = if recipe == of_incumbent { Track::Refresh } else { Track::Change };
        let mut passed = false;
        for days in [days.clone(), days.start..until + ANEW_DAYS] {
            if track == Track::Change {
                budget.n_tests += 1;
                counts.changes += 1;
            }
            let question = Question { market: &market, days, budget, age_days: 7.0 };
            let lacks;
            (passed, lacks) = question.decide(rng, track, &candidate, &incumbent, config);
            short = if lacks { short + 1 } else { 0 };
            if passed || !lacks {
                break;
            }
        }
        // Judging anew adds nothing to the next test part that the first refusal has not added.
        short = short.min(extra / DAYS_A_WEEK + 1);
        if passed {
            if track == Track::Change {
                counts.wrong_changes += 1;
                budget.n_promotions += 1;
            }
            incumbent = market.answers(rng, 0.0, NOISE, 0..n_days);
            of_incumbent = recipe;
        }
    }
    // Windows that do not overlap, so that their rejections are independent.
    for window in 0..WINDOWS {
        let days = window * WINDOW_DAYS..(window + 1) * WINDOW_DAYS;
        let pair = [(); 2].map(|()| market.answers(rng, 0.0, NOISE, days.clone()));
        let [a, b] = pair.map(|answers| market.predictions(&answers, days.clone()));
        let found = compare(&a, &b).ok().and_then(|comparison| comparison.log_loss);
        counts.windows += 1;
        counts.rejected += u64::from(found.is_some_and(|found| found.p < 0.05));
    }
}

/// Production knows something; candidates know less than the margin allows, and nothing at all.
fn refreshes_that_are_worse(
    rng: &mut ChaCha8Rng,
    config: &GateConfig,
    worse: &[(f64, f64)],
    counts: &mut Counts,
) {
    let n_days = TEST_DAYS * REFRESHES;
    let market = Market::of(rng, EDGE, n_days);
    let incumbent = market.answers(rng, EDGE, NOISE, 0..n_days);
    for refresh in 0..REFRESHES {
        let days = refresh * TEST_DAYS..(refresh + 1) * TEST_DAYS;
        let (age_days, noise) = worse[refresh % worse.len()];
        let budget = Budget { n_tests: 1, n_promotions: 0 };
        let question = Question { market: &market, days: days.clone(), budget, age_days };
        let mut is_let_through = |belief: f64, noise: f64| {
            let candidate = market.answers(rng, belief, noise, days.clone());
            question.decide(rng, Track::Refresh, &candidate, &incumbent, config).0
        };
        counts.refreshes += 1;
        counts.worse_refreshes += u64::from(is_let_through(EDGE, noise));
        counts.no_skill_refreshes += u64::from(is_let_through(0.0, PRIOR_NOISE));
    }
}

/// The signal has turned around; production still believes the old sign, each Sunday's candidate has learned the new one.
fn quarter_of_a_new_regime(rng: &mut ChaCha8Rng, config: &GateConfig, counts: &mut Counts) {
    let market = Market::of(rng, -EDGE, QUARTER_DAYS);
    let incumbent = market.answers(rng, EDGE, NOISE, 0..QUARTER_DAYS);
    for (track, right) in
        [(Track::Refresh, &mut counts.right_refresh), (Track::Change, &mut counts.right_change)]
    {
        let (mut short, mut n_tests) = (0, 0);
        let is_right = (0..=(QUARTER_DAYS - TEST_DAYS) / DAYS_A_WEEK).any(|week| {
            let until = TEST_DAYS + DAYS_A_WEEK * week;
            let extra = extra_after(short, TEST_DAYS as u32) as usize;
            let days = until.saturating_sub(TEST_DAYS + extra)..until;
            let candidate = market.answers(rng, -EDGE, NOISE, days.clone());
            n_tests += 1;
            let question = Question {
                market: &market,
                days,
                budget: Budget { n_tests, n_promotions: 0 },
                age_days: 7.0 * (week as f64 + 2.0),
            };
            let (passed, lacks) = question.decide(rng, track, &candidate, &incumbent, config);
            short = if lacks { short + 1 } else { 0 };
            passed
        });
        *right = u64::from(is_right);
    }
}

/// A decision: which days both are judged on, and what was spent before.
#[derive(Clone)]
struct Question<'a> {
    market: &'a Market,
    days: Range<usize>,
    budget: Budget,
    age_days: f64,
}

impl Question<'_> {
    /// Whether the candidate passes, and whether a refusal lacks evidence.
    fn decide(
        &self,
        rng: &mut ChaCha8Rng,
        track: Track,
        candidate: &Model,
        incumbent: &Model,
        config: &GateConfig,
    ) -> (bool, bool) {
        let mut gap = || (GAP.0 + GAP.1 * rng.sample::<f64, _>(StandardNormal)).abs();
        let (ours, theirs) = (gap(), gap());
        // Most calls take what they take; now and then the machine is busy.
        let mut latency_ms = || 0.4 * (0.5 * rng.sample::<f64, _>(StandardNormal)).exp();
        let (our_ms, their_ms) = (latency_ms(), latency_ms());
        let predictions = |model: &Model| self.market.predictions(model, self.days.clone());
        let n = self.days.len() * HOURS * PAIRS;
        let uniform = Model { from_day: self.days.start, rows: vec![[1.0 / 3.0; 3]; n] };
        let (prior, candidate, incumbent) =
            (predictions(&uniform), predictions(candidate), predictions(incumbent));
        let evidence = Evidence {
            track,
            candidate: &candidate,
            reference: Reference::Incumbent(Incumbent {
                has_no_skill: false,
                version: Version::FIRST,
                predictions: &incumbent,
                age_days: self.age_days,
                sharpe: None,
                train_gap: Some(theirs),
                latency_ms: Some(their_ms),
            }),
            class_prior: &prior,
            train_accuracy: Some(0.40 + ours),
            validation_accuracy: Some(0.40),
            gap_error: Some(GAP.2),
            latency_ms: Some(our_ms),
            n_trials: self.budget.n_tests,
            // Test parts a week apart share no 32 days among ten versions.
            pbo: BacktestOverfitting { pbo: None, n_versions: 12, n_days: 0 },
            budget: self.budget,
            sharpe: None,
            until: None,
            move_id: None,
        };
        rules::decide(&evidence, config)
    }
}

/// What a model answers from a day on, `[day × hour × pair]`.
struct Model {
    from_day: usize,
    rows: Vec<[f64; 3]>,
}

/// A market of hourly samples: `[day × hour × pair]`, row-major.
struct Market {
    signal: Vec<f64>,
    truth: Vec<u8>,
}

impl Market {
    fn of(rng: &mut ChaCha8Rng, edge: f64, n_days: usize) -> Market {
        let n = n_days * HOURS;
        let signal = lasting(rng, n + HORIZON, 0.5);
        let mut returns = Vec::with_capacity((n + HORIZON) * PAIRS);
        for hour in 0..n + HORIZON {
            let common: f64 = rng.sample(StandardNormal);
            for pair in 0..PAIRS {
                let own: f64 = rng.sample(StandardNormal);
                let shock = (common + own) / 2f64.sqrt();
                returns.push(edge * signal[hour * PAIRS + pair] + shock);
            }
        }
        let cut = THIRD * spread(edge).hypot(edge * weight());
        let forward = |hour: usize, pair: usize| -> f64 {
            (0..HORIZON).map(|ahead| returns[(hour + ahead) * PAIRS + pair]).sum()
        };
        let truth = (0..n * PAIRS)
            .map(|place| match forward(place / PAIRS, place % PAIRS) {
                r if r < -cut => 0,
                r if r > cut => 2,
                _ => 1,
            })
            .collect();
        Market { signal, truth }
    }

    /// The probabilities, on some days, of a model that takes the signal to be worth `belief`, with noise of its own on the
    /// logits.
    fn answers(&self, rng: &mut ChaCha8Rng, belief: f64, noise: f64, days: Range<usize>) -> Model {
        let n_hours = days.len() * HOURS;
        let errors: [Vec<f64>; 3] = [(); 3].map(|()| lasting(rng, n_hours, 0.5));
        let sd = spread(belief);
        let cut = THIRD * sd.hypot(belief * weight());
        let first = days.start * HOURS * PAIRS;
        let row = |place: usize| {
            let mean = belief * weight() * self.signal[first + place];
            let low = crate::stats::normal_cdf((-cut - mean) / sd);
            let high = 1.0 - crate::stats::normal_cdf((cut - mean) / sd);
            let z = [0, 1, 2].map(|class| errors[class][place]);
            noisy([low, 1.0 - low - high, high], z, noise)
        };
        Model { from_day: days.start, rows: (0..n_hours * PAIRS).map(row).collect() }
    }

    fn predictions(&self, model: &Model, days: Range<usize>) -> Predictions<Unseen> {
        let range = days.start * HOURS * PAIRS..days.end * HOURS * PAIRS;
        let offset = model.from_day * HOURS * PAIRS;
        let at_us = |place: usize| {
            let (day, hour) = (place / PAIRS / HOURS, place / PAIRS % HOURS);
            // Five trading days a week, none of them over a weekend.
            let calendar_day = (day / DAYS_A_WEEK * 7 + day % DAYS_A_WEEK) as Micros;
            MONDAY_US + calendar_day * DAY_US + hour as Micros * HOUR_US
        };
        Predictions::new(
            3,
            model.rows[range.start - offset..range.end - offset].concat(),
            self.truth[range.clone()].to_vec(),
            range.clone().map(at_us).collect(),
            range.map(|place| (place % PAIRS) as u32).collect(),
        )
        .expect("made in order")
        .after(SeenUntil::new(instant(0)))
    }
}

/// A third of a standard normal lies below minus this.
const THIRD: f64 = 0.430_727_299_295_457_5;

/// What a signal adds to the return over the horizon, per unit of edge: 1 + ρ + ρ² + ρ³.
fn weight() -> f64 {
    (0..HORIZON as i32).map(|ahead| PERSISTENCE.powi(ahead)).sum()
}

/// Standard deviation of the return over the horizon, given the signal now: shocks, and what the signal will do.
fn spread(edge: f64) -> f64 {
    let later: f64 = (1..HORIZON as i32)
        .map(|left| (0..left).map(|ahead| PERSISTENCE.powi(ahead)).sum::<f64>().powi(2))
        .sum();
    (HORIZON as f64 + edge * edge * (1.0 - PERSISTENCE * PERSISTENCE) * later).sqrt()
}

/// Standard normal series that last, `[hour × pair]`; `common` of the variance is shared by the pairs.
fn lasting(rng: &mut ChaCha8Rng, n_hours: usize, common: f64) -> Vec<f64> {
    let fresh = (1.0 - PERSISTENCE * PERSISTENCE).sqrt();
    let (shared, own) = (common.sqrt(), (1.0 - common).sqrt());
    let mut state = [0.0f64; PAIRS + 1];
    state.iter_mut().for_each(|value| *value = rng.sample(StandardNormal));
    let mut values = Vec::with_capacity(n_hours * PAIRS);
    for _ in 0..n_hours {
        for value in &mut state {
            let shock: f64 = rng.sample(StandardNormal);
            *value = PERSISTENCE * *value + fresh * shock;
        }
        values.extend(state[1..].iter().map(|value| shared * state[0] + own * value));
    }
    values
}

fn noisy(p: [f64; 3], z: [f64; 3], noise: f64) -> [f64; 3] {
    let weights: [f64; 3] = std::array::from_fn(|class| p[class] * (noise * z[class]).exp());
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

/// By age of the incumbent, the noise with which a model that knows the edge is worse than one with [`NOISE`] by more than the
/// margin: bisection on a large sample.
fn noise_beyond_the_margin(config: &GateConfig) -> [(f64, f64); 3] {
    const N_DAYS: usize = 300;
    let market = Market::of(&mut ChaCha8Rng::seed_from_u64(0), EDGE, N_DAYS);
    let loss = |noise: f64| -> f64 {
        // The same draws for every noise: the loss grows with it.
        let model = market.answers(&mut ChaCha8Rng::seed_from_u64(1), EDGE, noise, 0..N_DAYS);
        let of = |(p, truth): (&[f64; 3], &u8)| -p[usize::from(*truth)].ln();
        let losses = model.rows.iter().zip(&market.truth).map(of);
        losses.sum::<f64>() / model.rows.len() as f64
    };
    let now = loss(NOISE);
    let skill = 3f64.ln() - now;
    AGES.map(|age| {
        let wanted = now + BEYOND * config.margin_nats(skill, age);
        let (mut low, mut high) = (NOISE, 3.0);
        for _ in 0..20 {
            let middle = f64::midpoint(low, high);
            if loss(middle) < wanted { low = middle } else { high = middle }
        }
        (age, high)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_is_what_it_says() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let market = Market::of(&mut rng, EDGE, 400);
        for class in 0..3 {
            let n = market.truth.iter().filter(|truth| **truth == class).count();
            let share = n as f64 / market.truth.len() as f64;
            assert!((share - 1.0 / 3.0).abs() < 0.02, "class {class}: {share}");
        }
        // Who believes the truth loses least, and noise costs what it was made to cost.
        let loss = |belief: f64, noise: f64| {
            // One world of errors: what differs is what they cost.
            let mut rng = ChaCha8Rng::seed_from_u64(4);
            let model = market.answers(&mut rng, belief, noise, 0..400);
            let of = |(p, truth): (&[f64; 3], &u8)| -p[usize::from(*truth)].ln();
            model.rows.iter().zip(&market.truth).map(of).sum::<f64>() / model.rows.len() as f64
        };
        let [right, none, wrong] = [EDGE, 0.0, -EDGE].map(|belief| loss(belief, 0.0));
        assert!(right < none && none < wrong, "{right} {none} {wrong}");
        let config = GateConfig::default();
        let skill = 3f64.ln() - loss(EDGE, NOISE);
        for (age, noise) in noise_beyond_the_margin(&config) {
            let costs = loss(EDGE, noise) - loss(EDGE, NOISE);
            let margin = config.margin_nats(skill, age);
            assert!(costs > 0.6 * margin && costs < 1.6 * margin, "{age}: {costs} of {margin}");
        }
    }

    /// The experiment of `scripts/bench_gate.sh`, small: bounds with room for chance at this size.
    #[test]
    fn a_few_years_of_decisions_are_honest() {
        let honesty = run(4, 7, &GateConfig::default());
        let share = |rate: Option<Rate>| rate.expect("decisions").share;
        assert!(share(honesty.wrong_changes) <= 0.02, "{honesty:?}");
        assert!(share(honesty.years_with_a_wrong_change) <= 0.25, "{honesty:?}");
        assert!(share(honesty.worse_refreshes) <= 0.15, "{honesty:?}");
        assert!(share(honesty.no_skill_refreshes) <= 0.05, "{honesty:?}");
        assert!(share(honesty.right_refreshes) >= 0.75, "{honesty:?}");
        assert!(share(honesty.right_changes) >= 0.75, "{honesty:?}");
        let level = honesty.level.expect("windows");
        assert!(level.low <= 0.08 && level.high >= 0.04, "{honesty:?}");
    }
}
