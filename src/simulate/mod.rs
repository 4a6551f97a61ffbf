//! A seeded market with a known, learnable edge: [`market`] makes candles, [`bayes`] says how well anybody can predict them.
//!
//! Each pair is a random walk with clustering volatility, moved partly by a factor that all pairs share. In a hidden
//! regime it also drifts, up or down, for some sixteen candles: `edge` is the strength of that drift, 0 a martingale. Returns
//! tell the regime, so a model can learn it; the best possible prediction follows from the exact filter of the regime.
//! Invariant: the same configuration gives the same bits. Not here: writing the candles anywhere (`jobs`).

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::Serialize;

use crate::{
    labels::{self, LabelRule, NO_CLASS},
    market::{CandleColumns, Candles, Micros, Ohlc, Pair, Timeframe, calendar, instant},
};

/// Drift of one candle in a regime, in standard deviations of its return, at an edge of 1.
const DRIFT: f64 = 1.5;
/// Chance a candle that a regime ends, and that one begins while there is none.
const ENDS: f64 = 1.0 / 16.0;
const BEGINS: f64 = 1.0 / 48.0;
/// Persistence and innovation of the log variance.
const VOLATILITY_MEMORY: f64 = 0.97;
const VOLATILITY_SHOCK: f64 = 0.15;
/// Share of a return's variance that all pairs have in common.
const COMMON: f64 = 0.4;
/// Standard deviation of an hour's log return.
const HOURLY_SD: f64 = 0.0009;
/// Steps inside a candle, for its high and low.
const STEPS: usize = 8;
/// Decisions at which the best prediction is worked out, and paths drawn for each.
const BAYES_DECISIONS: usize = 4000;
const BAYES_PATHS: usize = 300;

/// What market to make.
#[derive(Debug, Clone, PartialEq)]
pub struct SimulateConfig {
    /// The pairs.
    pub pairs: Vec<Pair>,
    /// Of all candles.
    pub timeframe: Timeframe,
    /// Candles of each pair.
    pub n_candles: usize,
    /// Of all random numbers.
    pub seed: u64,
    /// Strength of the drift; 0 is a market that nobody can predict.
    pub edge: f64,
    /// The last candle closes at or before this instant.
    pub end_us: Micros,
}

/// One pair as it was made: its candles, and what only its maker knows.
#[derive(Debug, Clone)]
pub struct SimulatedPair {
    /// Which pair.
    pub pair: Pair,
    /// Its candles.
    pub columns: CandleColumns,
    /// What the regime is, seen from the returns up to each candle.
    filter: Vec<Regimes>,
    /// Log variance after each candle.
    log_variance: Vec<f64>,
}

/// Probability of drift down, none and up.
type Regimes = [f64; 3];

/// How well anybody can predict a market.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BayesAccuracy {
    /// Share right of the best possible predictor of the label.
    pub label: f64,
    /// Share of the label's most frequent class: what no knowledge reaches.
    pub label_majority: f64,
    /// Share right of the best possible predictor of the direction over the horizon, two classes.
    pub direction: f64,
    /// Decisions behind the figures.
    pub n: usize,
}

/// Makes the candles of every pair.
pub fn market(config: &SimulateConfig) -> Vec<SimulatedPair> {
    let opens = open_instants(config.timeframe, config.n_candles, config.end_us);
    let mut common_rng = stream(config.seed, 0);
    let common: Vec<f64> = (0..opens.len() * STEPS).map(|_| normal(&mut common_rng)).collect();
    config
        .pairs
        .iter()
        .enumerate()
        .map(|(index, pair)| simulate_pair(config, pair, index as u64, &opens, &common))
        .collect()
}

fn stream(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    rng.sample(StandardNormal)
}

/// Opening instants of the last `n` candles that close by `end_us` while the market is open.
fn open_instants(timeframe: Timeframe, n: usize, end_us: Micros) -> Vec<Micros> {
    use chrono::Months;
    let mut opens = Vec::with_capacity(n);
    let step = timeframe.nominal_us();
    let mut open = match timeframe {
        Timeframe::Month1 => {
            use chrono::{Datelike, NaiveDate};
            let end = instant(end_us);
            let month = NaiveDate::from_ymd_opt(end.year(), end.month(), 1).unwrap_or_default();
            month.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros()
        }
        _ => end_us.div_euclid(step) * step,
    };
    let earlier = |open: Micros| match timeframe {
        Timeframe::Month1 => (instant(open) - Months::new(1)).timestamp_micros(),
        _ => open - step,
    };
    while opens.len() < n {
        open = earlier(open);
        let middle = instant(open + step / 2);
        let trades = match timeframe {
            Timeframe::Week1 | Timeframe::Month1 => true,
            _ => {
                calendar::is_open(middle)
                    && !calendar::is_holiday(middle)
                    && !calendar::is_holiday(instant(open))
            }
        };
        if trades {
            opens.push(open);
        }
    }
    opens.reverse();
    opens
}

fn candle_sd(timeframe: Timeframe) -> f64 {
    HOURLY_SD * (timeframe.nominal_us() as f64 / crate::market::HOUR_US as f64).sqrt()
}

fn first_price(pair: &Pair) -> f64 {
    match (pair.base(), pair.quote()) {
        ("EUR", "USD") => 1.10,
        ("GBP", "USD") => 1.27,
        ("AUD", "USD") => 0.66,
        ("NZD", "USD") => 0.60,
        ("USD", "CAD") => 1.36,
        ("EUR", "GBP") => 0.86,
        (_, "JPY") => 145.0,
        _ => 1.0,
    }
}

fn simulate_pair(
    config: &SimulateConfig,
    pair: &Pair,
    index: u64,
    opens: &[Micros],
    common: &[f64],
) -> SimulatedPair {
    let mut rng = stream(config.seed, index + 1);
    let sd = candle_sd(config.timeframe);
    let digits = if pair.quote() == "JPY" { 1e3 } else { 1e5 };
    let rounded = |price: f64| (price * digits).round().max(1.0) / digits;
    let mut columns = CandleColumns::with_capacity(opens.len());
    let mut made = (Vec::with_capacity(opens.len()), Vec::with_capacity(opens.len()));
    let (mut log_variance, mut regime) = (0.0f64, 1usize);
    let mut belief: Regimes = [0.0, 1.0, 0.0];
    let mut log_price = first_price(pair).ln();
    let mut last_close = rounded(log_price.exp());
    for (row, &open_at) in opens.iter().enumerate() {
        regime = next_regime(regime, &mut rng);
        let scale = sd * (log_variance / 2.0).exp();
        let drift = config.edge * DRIFT * (regime as f64 - 1.0);
        let (mut high, mut low) = (last_close, last_close);
        let mut shock = 0.0;
        for step in 0..STEPS {
            let noise = COMMON.sqrt() * common[row * STEPS + step]
                + (1.0 - COMMON).sqrt() * normal(&mut rng);
            let piece = (drift / STEPS as f64) + noise / (STEPS as f64).sqrt();
            shock += piece;
            log_price += scale * piece;
            let price = rounded(log_price.exp());
            high = high.max(price);
            low = low.min(price);
        }
        let close = rounded(log_price.exp());
        let prices = Ohlc::new(last_close, high.max(close), low.min(close), close)
            .expect("prices are exponentials, high and low cover open and close");
        columns.push(open_at, prices, (400.0 + 3600.0 * rng.random::<f64>()).round());
        last_close = close;
        belief = update(predict(belief), shock, config.edge * DRIFT);
        log_variance = VOLATILITY_MEMORY * log_variance + VOLATILITY_SHOCK * normal(&mut rng);
        made.0.push(belief);
        made.1.push(log_variance);
    }
    SimulatedPair { pair: pair.clone(), columns, filter: made.0, log_variance: made.1 }
}

fn next_regime(regime: usize, rng: &mut ChaCha8Rng) -> usize {
    let draw: f64 = rng.random();
    match regime {
        1 if draw < BEGINS / 2.0 => 0,
        1 if draw < BEGINS => 2,
        1 => 1,
        _ if draw < ENDS => 1,
        _ => regime,
    }
}

/// The regime one candle later.
fn predict([down, none, up]: Regimes) -> Regimes {
    let begins = none * BEGINS / 2.0;
    [
        down * (1.0 - ENDS) + begins,
        none * (1.0 - BEGINS) + (down + up) * ENDS,
        up * (1.0 - ENDS) + begins,
    ]
}

/// What a standardised return tells of the regime (Bayes).
fn update(prior: Regimes, shock: f64, drift: f64) -> Regimes {
    let likelihood = |mean: f64| (-(shock - mean).powi(2) / 2.0).exp();
    let weights =
        [prior[0] * likelihood(-drift), prior[1] * likelihood(0.0), prior[2] * likelihood(drift)];
    let sum: f64 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

/// How well the label and the direction can be predicted by one who knows how the market was made and sees its returns.
///
/// At decisions spread over the market, futures are drawn from what the filter knows; the best prediction is the most
/// frequent class among them, and right that often. `None` where the market is too short for a label.
pub fn bayes(
    config: &SimulateConfig,
    market: &[SimulatedPair],
    rule: &LabelRule,
) -> Option<BayesAccuracy> {
    let n_ahead = labels::candles_in_horizon(config.timeframe).round().max(1.0) as usize;
    let mut rng = stream(config.seed, u64::MAX);
    let mut sums = (0.0, 0.0, 0usize);
    let mut classes: Vec<usize> = Vec::new();
    for pair in market {
        let candles = Candles::new(
            pair.pair.clone(),
            config.timeframe,
            instant(config.end_us),
            pair.columns.clone(),
        )
        .ok()?;
        let labels = labels::label(&candles, rule);
        classes.resize(rule.n_classes(), 0);
        labels
            .class
            .iter()
            .filter(|class| **class != NO_CLASS)
            .for_each(|class| classes[usize::from(*class)] += 1);
        let first = labels::VOLATILITY_WINDOW + 1;
        let wanted = (BAYES_DECISIONS / market.len()).max(1);
        let step = (pair.columns.len().saturating_sub(first) / wanted).max(1);
        for row in (first..pair.columns.len()).step_by(step) {
            let (label, direction) = best_at(config, pair, &candles, row, n_ahead, rule, &mut rng);
            sums = (sums.0 + label, sums.1 + direction, sums.2 + 1);
        }
    }
    let n_labels: usize = classes.iter().sum();
    (sums.2 > 0 && n_labels > 0).then(|| BayesAccuracy {
        label: sums.0 / sums.2 as f64,
        label_majority: classes.iter().copied().max().unwrap_or(0) as f64 / n_labels as f64,
        direction: sums.1 / sums.2 as f64,
        n: sums.2,
    })
}

/// Share right of the best prediction at one decision: of the label, and of the direction.
fn best_at(
    config: &SimulateConfig,
    pair: &SimulatedPair,
    candles: &Candles,
    row: usize,
    n_ahead: usize,
    rule: &LabelRule,
    rng: &mut ChaCha8Rng,
) -> (f64, f64) {
    let sd = candle_sd(config.timeframe);
    let edges = class_edges(candles, row, n_ahead, rule);
    let mut counts = vec![0usize; edges.len() + 1];
    let mut ups = 0usize;
    for _ in 0..BAYES_PATHS {
        let draw: f64 = rng.random();
        let [down, none, _] = pair.filter[row];
        let mut regime = if draw < down {
            0
        } else if draw < down + none {
            1
        } else {
            2
        };
        let mut log_variance = pair.log_variance[row];
        let mut log_return = 0.0;
        for _ in 0..n_ahead {
            regime = next_regime(regime, rng);
            let drift = config.edge * DRIFT * (regime as f64 - 1.0);
            log_return += sd * (log_variance / 2.0).exp() * (drift + normal(rng));
            log_variance = VOLATILITY_MEMORY * log_variance + VOLATILITY_SHOCK * normal(rng);
        }
        let forward = log_return.exp() - 1.0;
        counts[edges.iter().filter(|edge| forward > **edge).count()] += 1;
        ups += usize::from(forward > 0.0);
    }
    let share = |n: usize| n as f64 / BAYES_PATHS as f64;
    (share(counts.into_iter().max().unwrap_or(0)), share(ups.max(BAYES_PATHS - ups)))
}

/// Forward returns that part the classes of a rule at one decision. A barrier rule is taken by where its barriers lie.
fn class_edges(candles: &Candles, row: usize, n_ahead: usize, rule: &LabelRule) -> Vec<f64> {
    match *rule {
        LabelRule::Fixed { threshold } => vec![-threshold, threshold],
        LabelRule::TripleBarrier { take_profit, .. } => vec![-take_profit, take_profit],
        LabelRule::Volatility { multiple } => {
            let close = &candles.close()[row - labels::VOLATILITY_WINDOW..=row];
            let returns: Vec<f64> = close.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect();
            let n = returns.len() as f64;
            let mean = returns.iter().sum::<f64>() / n;
            let variance = returns.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let edge = multiple * (variance * n_ahead as f64).sqrt();
            vec![-edge, edge]
        }
        // Quartiles of a symmetric walk, in its own standard deviations.
        LabelRule::Quartile => {
            let edge = 0.6745 * candle_sd(candles.timeframe()) * (n_ahead as f64).sqrt();
            vec![-edge, 0.0, edge]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(n_candles: usize, edge: f64) -> SimulateConfig {
        let end: chrono::DateTime<chrono::Utc> =
            "2025-10-19T00:00:00Z".parse().expect("an instant");
        SimulateConfig {
            pairs: ["EUR/USD", "USD/JPY"]
                .iter()
                .map(|pair| pair.parse().expect("a pair"))
                .collect(),
            timeframe: Timeframe::Hour1,
            n_candles,
            seed: 11,
            edge,
            end_us: end.timestamp_micros(),
        }
    }

    const RULE: LabelRule = LabelRule::Volatility { multiple: 1.0 };

    #[test]
    fn the_same_seed_makes_the_same_market_while_it_is_open() {
        let config = config(500, 1.0);
        let made = market(&config);
        assert_eq!(made[1].columns, market(&config)[1].columns);
        assert_ne!(
            made[0].columns,
            market(&SimulateConfig { seed: 12, ..config.clone() })[0].columns
        );
        let candles = Candles::new(
            made[0].pair.clone(),
            Timeframe::Hour1,
            instant(config.end_us),
            made[0].columns.clone(),
        );
        let candles = candles.expect("valid candles, all closed by the end");
        assert!(calendar::gaps(Timeframe::Hour1, candles.open_at_us()).is_empty());
    }

    #[test]
    fn without_an_edge_nobody_can_tell_the_direction_and_with_one_somebody_can() {
        let none = config(3000, 0.0);
        let bayes_of =
            |config: &SimulateConfig| bayes(config, &market(config), &RULE).expect("long enough");
        let without = bayes_of(&none);
        // The largest of two counts of 300 tosses is half and a little more.
        assert!(without.direction < 0.535, "{without:?}");
        let close = market(&none)[0].columns.close.clone();
        let returns: Vec<f64> = close.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect();
        let product: f64 = returns.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let square: f64 = returns.iter().map(|r| r * r).sum();
        assert!((product / square).abs() < 0.06);
        let (weak, strong) = (bayes_of(&config(3000, 0.5)), bayes_of(&config(3000, 1.0)));
        assert!(strong.direction < 0.9, "{without:?} {weak:?} {strong:?}");
        assert!(without.direction < weak.direction && weak.direction < strong.direction);
        assert!(
            strong.direction > 0.60 && strong.label > strong.label_majority + 0.04,
            "{strong:?}"
        );
    }

    #[test]
    fn every_timeframe_can_be_made() {
        for timeframe in Timeframe::ALL {
            let config = SimulateConfig { timeframe, n_candles: 50, ..config(50, 0.5) };
            let made = market(&config);
            let columns = made[0].columns.clone();
            assert!(
                Candles::new(made[0].pair.clone(), timeframe, instant(config.end_us), columns)
                    .is_ok(),
                "{timeframe}"
            );
        }
    }
}
