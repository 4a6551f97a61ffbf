//! A seeded market with a known, learnable edge: [`market`] makes candles, [`bayes`] says how well anybody can predict them.
//!
//! Each pair is a random walk with clustering volatility, moved partly by a factor that all pairs share. In a hidden
//! regime it also drifts, up or down, for some sixteen candles: `edge` is the strength of that drift, 0 a martingale. Returns
//! tell the regime, so a model can learn it; the best possible prediction follows from the exact filter of the regime.
//! With `drift`, the edge changes its sign at the turn of a week with that chance: while it is opposed, prices go against what
//! their returns told, as strongly, and who has learned to follow them is wrong.
//! It is the best from one pair's own past, which is what a window shows; the other pairs, sharing the factor, tell a
//! little more. Invariant: the same configuration gives the same bits. Not here: writing the candles anywhere (`jobs`).

use std::array;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use serde::Serialize;

use crate::{
    labels::{self, Cuts, LabelRule, Labels},
    market::{CandleColumns, Candles, Micros, Ohlc, Pair, Timeframe, calendar, instant},
    stats::normal_cdf,
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
/// Decisions at which the best prediction is worked out, and futures drawn for each: half of them choose the
/// prediction, the other half say how often it is right.
const BAYES_DECISIONS: usize = 4000;
const BAYES_FUTURES: usize = 300;

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
    /// Chance at each turn of a week that the edge changes its sign; 0: it never does.
    pub drift: f64,
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
    /// What the regime is, seen from the returns up to each candle by one who knows the sign of the edge at each.
    filter: Vec<Regimes>,
    /// What the returns up to each candle tell to one who takes the edge for positive all along.
    told: Vec<Regimes>,
    /// Candles on which the edge is opposed.
    opposed: Vec<bool>,
    /// Log variance after each candle.
    log_variance: Vec<f64>,
}

/// Probability of drift down, none and up.
type Regimes = [f64; 3];

/// How well anybody can predict a market.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BayesAccuracy {
    /// Share right of the best possible predictor of the label; `None` for a rule that looks at highs and lows.
    pub label: Option<f64>,
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
    let opposed = opposed(config, &opens);
    config
        .pairs
        .iter()
        .enumerate()
        .map(|(index, pair)| simulate_pair(config, pair, index as u64, &opens, &opposed))
        .collect()
}

/// Openings of the candles from which on the edge has the other sign.
pub fn changes(market: &[SimulatedPair]) -> Vec<Micros> {
    let Some(pair) = market.first() else { return Vec::new() };
    let turns = pair.opposed.windows(2).enumerate().filter(|(_, pair)| pair[0] != pair[1]);
    turns.map(|(row, _)| pair.columns.open_at_us[row + 1]).collect()
}

/// On which candles the edge is opposed; the same for all pairs. It begins as it is without drift.
fn opposed(config: &SimulateConfig, opens: &[Micros]) -> Vec<bool> {
    let mut rng = stream(config.seed, u64::MAX - 1);
    let mut is_opposed = false;
    let mut week = None;
    let days = calendar::trading_days(opens);
    let of = |day: &chrono::NaiveDate| {
        let this = day.week(chrono::Weekday::Mon).first_day();
        let is_new = week.replace(this).is_some_and(|before| before != this);
        is_opposed ^= is_new && rng.random::<f64>() < config.drift;
        is_opposed
    };
    days.iter().map(of).collect()
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
        ("USD", "CHF") => 0.88,
        ("EUR", "GBP") => 0.86,
        ("EUR", "CHF") => 0.96,
        ("USD", "JPY") => 145.0,
        ("EUR", "JPY") => 160.0,
        ("GBP", "JPY") => 184.0,
        (_, "JPY") => 100.0,
        _ => 1.0,
    }
}

fn simulate_pair(
    config: &SimulateConfig,
    pair: &Pair,
    index: u64,
    opens: &[Micros],
    opposed: &[bool],
) -> SimulatedPair {
    // The factor is drawn anew for each pair, the same numbers: eight a candle are not kept for millions of candles.
    let mut common = stream(config.seed, 0);
    let mut rng = stream(config.seed, index + 1);
    let sd = candle_sd(config.timeframe);
    let digits = if pair.quote() == "JPY" { 1e3 } else { 1e5 };
    let rounded = |price: f64| (price * digits).round().max(1.0) / digits;
    let mut columns = CandleColumns::with_capacity(opens.len());
    let mut made = (Vec::with_capacity(opens.len()), Vec::with_capacity(opens.len()));
    let (mut log_variance, mut regime) = (0.0f64, 1usize);
    let mut belief: Regimes = [0.0, 1.0, 0.0];
    let mut told = (belief, Vec::with_capacity(opens.len()));
    let mut log_price = first_price(pair).ln();
    let mut last_close = rounded(log_price.exp());
    for (&open_at, &is_opposed) in opens.iter().zip(opposed) {
        regime = next_regime(regime, &mut rng);
        let scale = sd * (log_variance / 2.0).exp();
        let drift = match is_opposed {
            false => config.edge * DRIFT * (regime as f64 - 1.0),
            true => against(told.0, config),
        };
        let (mut high, mut low) = (last_close, last_close);
        let mut shock = 0.0;
        for _ in 0..STEPS {
            let noise =
                COMMON.sqrt() * normal(&mut common) + (1.0 - COMMON).sqrt() * normal(&mut rng);
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
        // While the edge is opposed, a return tells nothing of the regime: that does not move the price then.
        belief = match is_opposed {
            false => update(predict(belief), shock, config.edge * DRIFT),
            true => predict(belief),
        };
        told.0 = update(predict(told.0), shock, config.edge * DRIFT);
        told.1.push(told.0);
        log_variance = VOLATILITY_MEMORY * log_variance + VOLATILITY_SHOCK * normal(&mut rng);
        made.0.push(belief);
        made.1.push(log_variance);
    }
    SimulatedPair {
        pair: pair.clone(),
        columns,
        filter: made.0,
        told: told.1,
        opposed: opposed.to_vec(),
        log_variance: made.1,
    }
}

/// Drift of the next candle where the edge is opposed, in standard deviations: against what the returns up to now told.
fn against(told: Regimes, config: &SimulateConfig) -> f64 {
    let [down, _, up] = predict(told);
    -config.edge * DRIFT * (up - down)
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

/// How well the label and the direction can be predicted by one who knows how the market was made, its volatility too,
/// and sees a pair's returns up to the decision.
///
/// At decisions with a label, spread over the market, futures of regime and volatility are drawn from what the filter
/// knows; given both, a return is normal, so that each future gives the classes' probabilities exactly. The prediction
/// is chosen by one half of the futures and held against the other, because the best of several estimates flatters
/// itself. `None` where the market is too short for a label.
pub fn bayes(
    config: &SimulateConfig,
    market: &[SimulatedPair],
    rule: &LabelRule,
) -> Option<BayesAccuracy> {
    let mut series = market
        .iter()
        .map(|pair| Series::of(config, pair, rule))
        .collect::<Option<Vec<Series<'_>>>>()?;
    let returns: Vec<f64> =
        series.iter().flat_map(|series| &series.labels.forward_return).copied().collect();
    let cuts = Cuts::fit(&returns)?;
    if *rule == LabelRule::Quartile {
        series.iter_mut().for_each(|series| series.labels.assign(&cuts));
    }
    let mut counts = vec![0usize; rule.n_classes()];
    for series in &series {
        let balance = labels::class_balance(&series.labels.class, rule.n_classes());
        counts.iter_mut().zip(balance.counts).for_each(|(sum, n)| *sum += n);
    }
    let n_labels: usize = counts.iter().sum();

    let mut rng = stream(config.seed, u64::MAX);
    let (mut label, mut direction, mut n) = (Some(0.0), 0.0, 0usize);
    for series in &series {
        let rows = series.decisions();
        let step = (rows.len() * market.len() / BAYES_DECISIONS).max(1);
        for &row in rows.iter().step_by(step) {
            let futures = series.futures(config, row, &mut rng);
            let edges = series.class_edges(row, rule, &cuts);
            label = label.zip(edges).map(|(sum, edges)| sum + best_of(&futures, &edges));
            direction += best_of(&futures, &[0.0]);
            n += 1;
        }
    }
    let majority = counts.into_iter().max().unwrap_or(0);
    (n > 0 && n_labels > 0).then(|| BayesAccuracy {
        label: label.map(|sum| sum / n as f64),
        label_majority: majority as f64 / n_labels as f64,
        direction: direction / n as f64,
        n,
    })
}

/// Log return over the horizon, given a path of regime and volatility: normal.
struct Future {
    mean: f64,
    sd: f64,
}

/// Share right of the best of the classes that lie between `edges`, forward returns in ascending order.
fn best_of(futures: &[Future; BAYES_FUTURES], edges: &[f64]) -> f64 {
    let logs: Vec<f64> = edges.iter().map(|edge| edge.ln_1p()).collect();
    let probabilities = |futures: &[Future]| -> Vec<f64> {
        let mut classes = vec![0.0; logs.len() + 1];
        for Future { mean, sd } in futures {
            let mut below = 0.0;
            for (class, edge) in classes.iter_mut().zip(&logs) {
                let up_to = normal_cdf((edge - mean) / sd);
                *class += up_to - below;
                below = up_to;
            }
            classes[logs.len()] += 1.0 - below;
        }
        classes.iter().map(|sum| sum / futures.len() as f64).collect()
    };
    let (one, other) = futures.split_at(BAYES_FUTURES / 2);
    let (one, other) = (probabilities(one), probabilities(other));
    let chosen = |by: &[f64]| (0..by.len()).max_by(|&a, &b| by[a].total_cmp(&by[b])).unwrap_or(0);
    (other[chosen(&one)] + one[chosen(&other)]) / 2.0
}

/// A pair with the labels that its candles got.
struct Series<'a> {
    made: &'a SimulatedPair,
    candles: Candles,
    labels: Labels,
}

impl<'a> Series<'a> {
    fn of(config: &SimulateConfig, made: &'a SimulatedPair, rule: &LabelRule) -> Option<Self> {
        let as_of = instant(config.end_us);
        let columns = made.columns.clone();
        let candles = Candles::new(made.pair.clone(), config.timeframe, as_of, columns).ok()?;
        let labels = labels::label(&candles, rule);
        Some(Series { made, candles, labels })
    }

    /// Rows that have a label, and the history that the volatility rule wants.
    fn decisions(&self) -> Vec<usize> {
        (labels::VOLATILITY_WINDOW..self.candles.open_at_us().len())
            .filter(|&row| !self.labels.forward_return[row].is_nan())
            .collect()
    }

    /// Candles from the entry to the exit: at the end of a week fewer than the horizon has room for.
    fn n_ahead(&self, row: usize) -> usize {
        let (opens, until_us) = (self.candles.open_at_us(), self.labels.until_us[row]);
        let timeframe = self.candles.timeframe();
        opens[row + 1..].iter().take_while(|&&open| timeframe.close_at(open) <= until_us).count()
    }

    /// What may come after a row, as far as the filter knows.
    fn futures(
        &self,
        config: &SimulateConfig,
        row: usize,
        rng: &mut ChaCha8Rng,
    ) -> [Future; BAYES_FUTURES] {
        let sd = candle_sd(config.timeframe);
        let n_ahead = self.n_ahead(row);
        let [down, none, _] = self.made.filter[row];
        array::from_fn(|_| {
            let draw: f64 = rng.random();
            let mut regime = usize::from(draw >= down) + usize::from(draw >= down + none);
            let mut log_variance = self.made.log_variance[row];
            let (mut mean, mut variance) = (0.0, 0.0);
            let ahead = &self.made.opposed[row + 1..row + 1 + n_ahead];
            // Where the edge is opposed, a drift answers the returns before it: they are drawn too, all but the last.
            let draws = ahead.contains(&true);
            let mut told = self.made.told[row];
            for (step, &is_opposed) in ahead.iter().enumerate() {
                regime = next_regime(regime, rng);
                let scale = sd * (log_variance / 2.0).exp();
                let drift = match is_opposed {
                    false => config.edge * DRIFT * (regime as f64 - 1.0),
                    true => against(told, config),
                };
                mean += scale * drift;
                if draws && step + 1 < n_ahead {
                    let noise = normal(rng);
                    mean += scale * noise;
                    told = update(predict(told), drift + noise, config.edge * DRIFT);
                } else {
                    variance += scale * scale;
                }
                log_variance = VOLATILITY_MEMORY * log_variance + VOLATILITY_SHOCK * normal(rng);
            }
            Future { mean, sd: variance.sqrt() }
        })
    }

    /// Forward returns that part the classes of a rule at one decision; `None` where the way there counts as well.
    fn class_edges(&self, row: usize, rule: &LabelRule, cuts: &Cuts) -> Option<Vec<f64>> {
        match *rule {
            LabelRule::Fixed { threshold } => Some(vec![-threshold, threshold]),
            LabelRule::Volatility { multiple } => {
                let close = &self.candles.close()[row - labels::VOLATILITY_WINDOW..=row];
                let returns: Vec<f64> =
                    close.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect();
                let horizon = labels::candles_in_horizon(self.candles.timeframe());
                let edge = multiple * crate::stats::sample_sd(&returns)? * horizon.sqrt();
                Some(vec![-edge, edge])
            }
            LabelRule::TripleBarrier { .. } | LabelRule::Outcome => None,
            LabelRule::Quartile => Some(cuts.0.to_vec()),
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
            drift: 0.0,
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
        assert!((without.direction - 0.5).abs() < 0.005, "{without:?}");
        let close = market(&none)[0].columns.close.clone();
        let returns: Vec<f64> = close.windows(2).map(|pair| (pair[1] / pair[0]).ln()).collect();
        let product: f64 = returns.windows(2).map(|pair| pair[0] * pair[1]).sum();
        let square: f64 = returns.iter().map(|r| r * r).sum();
        assert!((product / square).abs() < 0.06);
        let (weak, strong) = (bayes_of(&config(3000, 0.5)), bayes_of(&config(3000, 1.0)));
        assert!(strong.direction < 0.9, "{without:?} {weak:?} {strong:?}");
        assert!(without.direction < weak.direction && weak.direction < strong.direction);
        assert!(
            strong.direction > 0.60 && strong.label > Some(strong.label_majority + 0.04),
            "{strong:?}"
        );
    }

    #[test]
    fn the_best_prediction_is_right_as_often_as_is_said() {
        // What the filter alone would answer for the direction, counted on what came.
        let config = SimulateConfig { n_candles: 20_000, ..config(0, 1.0) };
        let made = market(&config);
        let said = bayes(&config, &made, &RULE).expect("long enough").direction;
        let (mut n_right, mut n) = (0, 0);
        for pair in &made {
            let series = Series::of(&config, pair, &RULE).expect("candles");
            for row in series.decisions() {
                let [down, _, up] = pair.filter[row];
                let rise = series.labels.forward_return[row] > 0.0;
                n_right += usize::from((up > down) == rise);
                n += 1;
            }
        }
        let counted = n_right as f64 / n as f64;
        assert!((counted - said).abs() < 0.01, "said {said}, counted {counted} of {n}");
    }

    /// Share of decisions on which the direction that `told` follows came, with the edge as it began and opposed.
    fn followed(made: &[SimulatedPair], config: &SimulateConfig) -> [f64; 2] {
        let mut counts = [(0usize, 0usize); 2];
        for pair in made {
            let series = Series::of(config, pair, &RULE).expect("candles");
            for row in series.decisions() {
                let [down, _, up] = predict(pair.told[row]);
                let ahead = &pair.opposed[row..=row + series.n_ahead(row)];
                // Around a change of the sign it is neither.
                if ahead.iter().any(|one| *one != ahead[0]) || (up - down).abs() < 0.2 {
                    continue;
                }
                let rise = series.labels.forward_return[row] > 0.0;
                let count = &mut counts[usize::from(ahead[0])];
                count.0 += usize::from((up > down) == rise);
                count.1 += 1;
            }
        }
        counts.map(|(n_right, n)| n_right as f64 / n as f64)
    }

    /// What is learned before the edge changes its sign is worth less than nothing after it, whatever the seed; and who learns the
    /// other sign knows something again.
    #[test]
    fn what_was_learned_before_a_change_of_sign_loses_its_skill_after_it() {
        for seed in [1, 2, 3, 4, 5] {
            let config = SimulateConfig { seed, drift: 0.2, ..config(12_000, 1.0) };
            let made = market(&config);
            let turns = changes(&made);
            assert!((2..40).contains(&turns.len()), "{} changes in 100 weeks", turns.len());
            let first = made[0].columns.open_at_us.partition_point(|at| *at < turns[0]);
            assert!(!made[0].opposed[first - 1] && made[0].opposed[first]);
            // A rule fitted before the first change: to follow what returns told, or to go against it.
            let learning = SimulateConfig { drift: 0.0, ..config.clone() };
            let [before, _] = followed(&market(&learning), &learning);
            assert!(before > 0.6, "seed {seed}: {before}");
            let [with, against] = followed(&made, &config);
            assert!(with > 0.6 && against < 0.42, "seed {seed}: {with} {against}");
        }
    }

    #[test]
    fn the_best_prediction_is_right_under_either_sign() {
        // Told the sign, one follows or opposes what the returns told: counted on what came.
        let config = SimulateConfig { drift: 0.3, ..config(20_000, 1.0) };
        let made = market(&config);
        let said = bayes(&config, &made, &RULE).expect("long enough").direction;
        let (mut n_right, mut n) = (0, 0);
        for pair in &made {
            let series = Series::of(&config, pair, &RULE).expect("candles");
            for row in series.decisions() {
                let up = match pair.opposed[row + 1] {
                    false => pair.filter[row][2] > pair.filter[row][0],
                    true => pair.told[row][2] < pair.told[row][0],
                };
                n_right += usize::from(up == (series.labels.forward_return[row] > 0.0));
                n += 1;
            }
        }
        let counted = n_right as f64 / n as f64;
        assert!((counted - said).abs() < 0.012, "said {said}, counted {counted} of {n}");
    }

    #[test]
    fn without_drift_the_market_is_what_it_was_and_without_an_edge_a_change_changes_nothing() {
        let plain = config(3000, 1.0);
        assert!(changes(&market(&plain)).is_empty());
        let calm = config(3000, 0.0);
        let turned = SimulateConfig { drift: 1.0, ..calm.clone() };
        let made = market(&turned);
        assert!(changes(&made).len() > 10);
        assert_eq!(made[0].columns, market(&calm)[0].columns);
    }

    #[test]
    fn every_label_rule_has_its_best_prediction_or_none() {
        let config = config(2000, 1.0);
        let made = market(&config);
        for rule in ["fixed:0.002", "volatility:1", "quartile", "triple-barrier"] {
            let rule: LabelRule = rule.parse().expect("a rule");
            let bayes = bayes(&config, &made, &rule).expect("long enough");
            let barrier = matches!(rule, LabelRule::TripleBarrier { .. });
            assert_eq!(bayes.label.is_none(), barrier, "{rule}");
            assert!(
                bayes.label.is_none_or(|label| label > bayes.label_majority),
                "{rule} {bayes:?}"
            );
        }
        assert!(
            bayes(
                &SimulateConfig { n_candles: 40, ..config.clone() },
                &market(&SimulateConfig { n_candles: 40, ..config }),
                &RULE
            )
            .is_none()
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
