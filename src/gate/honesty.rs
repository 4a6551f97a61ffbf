//! How often the gate is wrong, measured: [`run`] plays simulated years of decisions through [`judge`] and counts.
//!
//! Five pairs that move together, hourly, with labels that overlap by four hours. A model of this world knows how much a
//! signal is worth and errs by a noise of its own that lasts for hours and is shared by the pairs, so that samples are far
//! from independent. What is true is known, and with it which promotion would be wrong. Not here: real training
//! (`scripts/bench_gate.sh` adds markets that go through all of aifx).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::Serialize;

use super::{Budget, Evidence, GateConfig, Incumbent, Reference, Track, judge};
use crate::{
    evaluate::{Predictions, Unseen, compare},
    lineage::{SeenUntil, Version},
    market::{DAY_US, HOUR_US, Micros, instant},
    stats::Proportion,
};

const PAIRS: usize = 5;
const HOURS: usize = 24;
/// Hours that a label looks ahead.
const HORIZON: usize = 4;
/// Trading days on which a weekly candidate is judged: the test part of 90 days, less the purge.
const TEST_DAYS: usize = 10;
const WEEKS_A_YEAR: usize = 52;
const DAYS_A_WEEK: usize = 5;
/// Trading days in 90 days of the calendar.
const QUARTER_DAYS: usize = 64;
/// How much of the signal, and of a model's noise, is left after an hour.
const PERSISTENCE: f64 = 0.9;
/// Noise of every model's logits.
const NOISE: f64 = 0.15;
/// What a signal of one standard deviation adds to the next hour's return, in its standard deviations.
const EDGE: f64 = 0.15;
/// A refresh that is worse than its margin, by this factor.
const BEYOND: f64 = 1.05;
/// Windows of the test of levels for each market.
const WINDOWS: usize = 10;
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
    right_refresh: u64,
    right_change: u64,
    windows: u64,
    rejected: u64,
}

/// Plays `markets` years; the same seed gives the same counts on any number of threads.
pub fn run(markets: usize, seed: u64, config: &GateConfig) -> Honesty {
    let ages = [1.0, 7.0, 14.0];
    let worse = ages.map(|age| (age, noise_that_costs(BEYOND * config.margin_share(age))));
    let counts: Vec<Counts> = (0..markets)
        .into_par_iter()
        .map(|market| one(seed, market as u64, config, &worse))
        .collect();
    let sum = |of: fn(&Counts) -> u64| counts.iter().map(of).sum::<u64>();
    let n = markets as u64;
    Honesty {
        markets,
        wrong_changes: Rate::of(sum(|c| c.wrong_changes), sum(|c| c.changes)),
        years_with_a_wrong_change: Rate::of(sum(|c| u64::from(c.wrong_changes > 0)), n),
        worse_refreshes: Rate::of(sum(|c| c.worse_refreshes), sum(|c| c.refreshes)),
        right_refreshes: Rate::of(sum(|c| c.right_refresh), n),
        right_changes: Rate::of(sum(|c| c.right_change), n),
        level: Rate::of(sum(|c| c.rejected), sum(|c| c.windows)),
    }
}

fn one(seed: u64, market: u64, config: &GateConfig, worse: &[(f64, f64)]) -> Counts {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(market);
    let mut counts = Counts::default();
    year_without_an_edge(&mut rng, config, worse, &mut counts);
    quarter_of_a_new_regime(&mut rng, config, &mut counts);
    counts
}

/// Fifty-two changes that change nothing, and as many refreshes that are worse than they may be.
fn year_without_an_edge(
    rng: &mut ChaCha8Rng,
    config: &GateConfig,
    worse: &[(f64, f64)],
    counts: &mut Counts,
) {
    let market = Market::of(rng, 0.0, DAYS_A_WEEK * WEEKS_A_YEAR + TEST_DAYS);
    let mut incumbent = market.answers(rng, 0.0, NOISE);
    let mut promoted = 0;
    for week in 0..WEEKS_A_YEAR {
        let from = week * DAYS_A_WEEK;
        let days = from..from + TEST_DAYS;
        let budget = Budget { n_tests: week as u64 + 1, n_promotions: promoted };
        let candidate = market.answers(rng, 0.0, NOISE);
        let question = Question { market: &market, days: days.clone(), budget, age_days: 7.0 };
        counts.changes += 1;
        if question.passes(Track::Change, &candidate, &incumbent, config) {
            counts.wrong_changes += 1;
            promoted += 1;
            incumbent = candidate.clone();
        }
        let (age_days, noise) = worse[week % worse.len()];
        let candidate = market.answers(rng, 0.0, noise);
        let question = Question { age_days, ..question };
        counts.refreshes += 1;
        counts.worse_refreshes +=
            u64::from(question.passes(Track::Refresh, &candidate, &incumbent, config));
    }
    // Windows that do not overlap, so that their rejections are independent.
    for window in 0..WINDOWS {
        let days = window * TEST_DAYS..(window + 1) * TEST_DAYS;
        let pair = [(); 2].map(|()| market.answers(rng, 0.0, NOISE));
        let [a, b] = pair.map(|answers| market.predictions(&answers, days.clone()));
        let found = compare(&a, &b).ok().and_then(|comparison| comparison.log_loss);
        counts.windows += 1;
        counts.rejected += u64::from(found.is_some_and(|found| found.p < 0.05));
    }
}

/// The signal has turned around; production still believes the old sign, each Sunday's candidate has learned the new one.
fn quarter_of_a_new_regime(rng: &mut ChaCha8Rng, config: &GateConfig, counts: &mut Counts) {
    let market = Market::of(rng, -EDGE, QUARTER_DAYS);
    let incumbent = market.answers(rng, EDGE, NOISE);
    let weeks = (QUARTER_DAYS - TEST_DAYS) / DAYS_A_WEEK;
    for (track, right) in
        [(Track::Refresh, &mut counts.right_refresh), (Track::Change, &mut counts.right_change)]
    {
        let is_right = (0..=weeks).any(|week| {
            let from = week * DAYS_A_WEEK;
            let candidate = market.answers(rng, -EDGE, NOISE);
            let question = Question {
                market: &market,
                days: from..from + TEST_DAYS,
                budget: Budget { n_tests: week as u64 + 1, n_promotions: 0 },
                age_days: 7.0 * (week as f64 + 2.0),
            };
            question.passes(track, &candidate, &incumbent, config)
        });
        *right = u64::from(is_right);
    }
}

/// A decision: which days both are judged on, and what was spent before.
#[derive(Clone)]
struct Question<'a> {
    market: &'a Market,
    days: std::ops::Range<usize>,
    budget: Budget,
    age_days: f64,
}

impl Question<'_> {
    fn passes(
        &self,
        track: Track,
        candidate: &[[f64; 3]],
        incumbent: &[[f64; 3]],
        config: &GateConfig,
    ) -> bool {
        let predictions =
            |answers: &[[f64; 3]]| self.market.predictions(answers, self.days.clone());
        let prior =
            self.market.predictions(&vec![[1.0 / 3.0; 3]; candidate.len()], self.days.clone());
        let (candidate, incumbent) = (predictions(candidate), predictions(incumbent));
        let evidence = Evidence {
            track,
            candidate: &candidate,
            reference: Reference::Incumbent(Incumbent {
                version: Version::FIRST,
                predictions: &incumbent,
                age_days: self.age_days,
                sharpe: None,
            }),
            class_prior: &prior,
            train_accuracy: Some(0.40),
            validation_accuracy: Some(0.40),
            latency_ms: Some(0.4),
            n_trials: self.budget.n_tests,
            pbo: None,
            budget: self.budget,
            sharpe: None,
        };
        judge(&evidence, config).passed
    }
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

    /// The probabilities of a model that takes the signal to be worth `belief`, with noise of its own on the logits.
    fn answers(&self, rng: &mut ChaCha8Rng, belief: f64, noise: f64) -> Vec<[f64; 3]> {
        let n_hours = self.truth.len() / PAIRS;
        let errors: [Vec<f64>; 3] = [(); 3].map(|()| lasting(rng, n_hours, 0.5));
        let sd = spread(belief);
        let cut = THIRD * sd.hypot(belief * weight());
        (0..self.truth.len())
            .map(|place| {
                let mean = belief * weight() * self.signal[place];
                let low = crate::stats::normal_cdf((-cut - mean) / sd);
                let high = 1.0 - crate::stats::normal_cdf((cut - mean) / sd);
                let z = [0, 1, 2].map(|class| errors[class][place]);
                noisy([low, 1.0 - low - high, high], z, noise)
            })
            .collect()
    }

    fn predictions(
        &self,
        answers: &[[f64; 3]],
        days: std::ops::Range<usize>,
    ) -> Predictions<Unseen> {
        let range = days.start * HOURS * PAIRS..days.end * HOURS * PAIRS;
        let at_us = |place: usize| {
            let (day, hour) = (place / PAIRS / HOURS, place / PAIRS % HOURS);
            // Five trading days a week, none of them over a weekend.
            let calendar_day = (day / DAYS_A_WEEK * 7 + day % DAYS_A_WEEK) as Micros;
            MONDAY_US + calendar_day * DAY_US + hour as Micros * HOUR_US
        };
        Predictions::new(
            3,
            answers[range.clone()].concat(),
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

/// The noise with which a model that knows nothing loses `share` more than one with [`NOISE`]: bisection on a large sample.
fn noise_that_costs(share: f64) -> f64 {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let draws: Vec<[f64; 3]> =
        (0..50_000).map(|_| [(); 3].map(|()| rng.sample(StandardNormal))).collect();
    let loss = |noise: f64| -> f64 {
        // The truth is any of the three classes with one third.
        let of = |z: &[f64; 3]| {
            let p = noisy([1.0 / 3.0; 3], *z, noise);
            -p.iter().map(|p| p.ln()).sum::<f64>() / 3.0
        };
        draws.iter().map(of).sum::<f64>() / draws.len() as f64
    };
    let wanted = loss(NOISE) * (1.0 + share);
    let (mut low, mut high) = (NOISE, 3.0);
    for _ in 0..40 {
        let middle = f64::midpoint(low, high);
        if loss(middle) < wanted { low = middle } else { high = middle }
    }
    high
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
        let mut loss = |belief: f64, noise: f64| {
            let answers = market.answers(&mut rng, belief, noise);
            let of = |(p, truth): (&[f64; 3], &u8)| -p[usize::from(*truth)].ln();
            answers.iter().zip(&market.truth).map(of).sum::<f64>() / answers.len() as f64
        };
        let [right, none, wrong] = [EDGE, 0.0, -EDGE].map(|belief| loss(belief, 0.0));
        assert!(right < none && none < wrong, "{right} {none} {wrong}");
        let noise = noise_that_costs(0.015);
        let costs = loss(0.0, noise) / loss(0.0, NOISE) - 1.0;
        assert!((costs - 0.015).abs() < 0.004, "{costs}");
    }

    /// The experiment of `scripts/bench_gate.sh`, small: bounds with room for chance at this size.
    #[test]
    fn a_few_years_of_decisions_are_honest() {
        let honesty = run(4, 7, &GateConfig::default());
        let share = |rate: Option<Rate>| rate.expect("decisions").share;
        assert!(share(honesty.wrong_changes) <= 0.05, "{honesty:?}");
        assert!(share(honesty.years_with_a_wrong_change) <= 0.25, "{honesty:?}");
        assert!(share(honesty.worse_refreshes) <= 0.08, "{honesty:?}");
        assert!(share(honesty.right_refreshes) >= 0.7, "{honesty:?}");
        assert!(share(honesty.right_changes) >= 0.5, "{honesty:?}");
        let level = honesty.level.expect("windows");
        assert!(level.low <= 0.08 && level.high >= 0.04, "{honesty:?}");
    }
}
