//! From probabilities to a signal, and from a signal to what became of it (DESIGN 13).
//!
//! A signal is a call, its size is the bet: [`decide`] gives side, confidence, levels and size, and a reason where the size is 0. [`settle`] closes an open position on the candles after it, by the
//! same [`Bars`] as labels and backtest. Pure. Not here: which candles are answered (`jobs`), how an exit is found (`outcome`).

mod breaker;
mod edge;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    market::Micros,
    outcome::{Bars, Costs, ExitReason, LevelPrices, Side, SignalOutcome, signal_outcome},
};

pub use breaker::{Breaker, RiskConfig, Trip};
pub use edge::Edge;

/// A hold was right where the price stayed within this share of entry (DESIGN 7).
const HOLD_THRESHOLD: f64 = 0.005;

/// A distance from entry: one of the two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Distance {
    /// In per cent of the entry price.
    pub percent: Option<f64>,
    /// In average true ranges of 14 candles.
    pub atr: Option<f64>,
}

impl Distance {
    /// As a share of entry, where the ATR is `atr_share` of it; `None` where that is not known.
    fn share(self, atr_share: Option<f64>) -> Option<f64> {
        match (self.percent, self.atr) {
            (Some(percent), _) => Some(percent / 100.0),
            (None, Some(multiple)) => atr_share.map(|share| share * multiple),
            (None, None) => None,
        }
    }
}

/// What becomes of a signal whose window is unlike everything that the version has learned from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutOfSupport {
    /// It is marked, and its size stays what it is.
    #[default]
    Mark,
    /// It is marked and its size is 0.
    Hold,
}

/// What the size of a buy or sell follows from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Sizing {
    /// From the table of confidence where the expected return is above costs, else 0.
    #[default]
    Edge,
    /// From the table alone.
    Confidence,
}

/// Why a buy or sell has no size. In the order in which they are looked at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum NoSize {
    /// The line's breaker has tripped.
    Breaker,
    /// Production is shown to be worse than its class prior.
    NoSkill,
    /// The window is unlike the training data.
    Support,
    /// Less confidence than the line wants.
    Confidence,
    /// The expected return after costs, a share of entry.
    NoEdge(f64),
    /// What is expected cannot be told.
    EdgeUnknown,
}

impl fmt::Display for NoSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoSize::Breaker => f.write_str("breaker"),
            NoSize::NoSkill => f.write_str("no skill"),
            NoSize::Support => f.write_str("out of support"),
            NoSize::Confidence => f.write_str("confidence"),
            NoSize::NoEdge(net) => write!(f, "no edge after costs ({:+.2} bp)", net * 1e4),
            NoSize::EdgeUnknown => f.write_str("edge unknown"),
        }
    }
}

/// How a line's answers become signals.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignalConfig {
    /// A buy or sell with less confidence has size 0.
    pub min_confidence: f64,
    /// What sizes follow from.
    pub size: Sizing,
    /// Loss at which a position is closed; none: never.
    pub stop_loss: Distance,
    /// Gain at which it is closed; none: never.
    pub take_profit: Distance,
    /// Minutes after which it is closed; none: the label's horizon.
    pub time_out_minutes: Option<u32>,
    /// Candles that closed longer ago than this are not answered any more.
    pub catch_up_hours: u32,
    /// So many of the newest versions in staging answer beside production, for comparison alone.
    pub shadows: usize,
    /// What becomes of a signal on a window unlike the training data.
    pub out_of_support: OutOfSupport,
    /// From a confidence on, the share of the account; highest confidence first.
    pub sizes: Vec<[f64; 2]>,
}

impl Default for SignalConfig {
    fn default() -> Self {
        SignalConfig {
            min_confidence: 0.0,
            size: Sizing::Edge,
            stop_loss: Distance { percent: Some(0.5), atr: None },
            take_profit: Distance { percent: Some(1.0), atr: None },
            time_out_minutes: None,
            catch_up_hours: 24,
            shadows: 0,
            out_of_support: OutOfSupport::Mark,
            sizes: vec![[0.8, 0.15], [0.7, 0.10], [0.6, 0.07], [0.0, 0.05]],
        }
    }
}

impl SignalConfig {
    /// Settings that cannot be, by key, with the reason.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        if !(0.0..=1.0).contains(&self.min_confidence) {
            let why = format!("min_confidence: {} is not from 0 to 1", self.min_confidence);
            problems.push(("min_confidence", why));
        }
        for (key, distance) in [("stop_loss", self.stop_loss), ("take_profit", self.take_profit)] {
            let given = [distance.percent, distance.atr].into_iter().flatten();
            if given.clone().count() > 1 {
                problems.push((key, format!("{key}: give percent or atr, not both")));
            }
            problems.extend(
                given
                    .filter(|value| !(*value > 0.0 && *value <= 50.0))
                    .map(|value| (key, format!("{key}: {value} is not above 0 and at most 50"))),
            );
        }
        if self.time_out_minutes == Some(0) {
            problems.push(("time_out_minutes", "time_out_minutes: 0 closes at once".into()));
        }
        if !(1..=24 * 31).contains(&self.catch_up_hours) {
            let why = format!("catch_up_hours: {} is not from 1 to 744", self.catch_up_hours);
            problems.push(("catch_up_hours", why));
        }
        if self.shadows > 100 {
            problems.push(("shadows", format!("shadows: {} is more than 100", self.shadows)));
        }
        let falling = self.sizes.windows(2).all(|pair| pair[0][0] > pair[1][0]);
        let shares = self.sizes.iter().flatten().all(|value| (0.0..=1.0).contains(value));
        if !falling || !shares || self.sizes.is_empty() {
            let why =
                "sizes: give pairs of confidence and share from 0 to 1, highest confidence first";
            problems.push(("sizes", why.to_owned()));
        }
        problems
    }

    fn size_of(&self, confidence: f64) -> f64 {
        self.sizes.iter().find(|[from, _]| confidence >= *from).map_or(0.0, |[_, share]| *share)
    }
}

/// What a model says to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Signal {
    /// `None` for hold.
    pub side: Option<Side>,
    /// Calibrated probability of the answer, 0 to 1.
    pub confidence: f64,
    /// Price at which a position is closed at a loss.
    pub stop_loss: Option<f64>,
    /// Price at which it is closed at a gain.
    pub take_profit: Option<f64>,
    /// Share of the account; 0 for hold.
    pub size: f64,
    /// Why a buy or sell has no size.
    pub no_size: Option<NoSize>,
    /// Expected return of a buy or sell after costs, a share of entry; none where the version cannot tell.
    pub expected_net: Option<f64>,
    /// Cost of a round trip, a share of entry; none for hold.
    pub cost: Option<f64>,
}

/// What a size follows from besides the probabilities.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stake<'a> {
    /// What keeps the line from betting at all.
    pub guard: Option<NoSize>,
    /// The window is unlike the training data, and the line does not bet on such.
    pub is_unlike: bool,
    /// What the version knows of returns; none: sizes follow from confidence alone.
    pub edge: Option<&'a Edge>,
    /// Standard deviation of the return over the horizon, as of now, a share of the price.
    pub volatility: f64,
    /// Cost of a round trip, a share of entry.
    pub cost: f64,
}

impl Signal {
    /// `buy`, `sell` or `hold`.
    pub fn name(&self) -> &'static str {
        match self.side {
            Some(Side::Buy) => "buy",
            Some(Side::Sell) => "sell",
            None => "hold",
        }
    }
}

/// The signal of probabilities (one a class, `signals` says -1, 0, +1 of each) at an entry price; `atr_share` is the ATR as
/// a share of it. The likeliest class answers, the first of equals; a buy or sell is as sure as `win` says, the probability that
/// it wins by a second stage, where there is one. Guards, confidence and the expected return decide its size, never the side.
pub fn decide(
    probabilities: &[f64],
    signals: impl Fn(usize) -> i8,
    win: Option<f64>,
    (entry, atr_share): (f64, Option<f64>),
    stake: &Stake<'_>,
    config: &SignalConfig,
) -> Signal {
    let mut best = 0;
    for (class, p) in probabilities.iter().enumerate() {
        if *p > probabilities[best] {
            best = class;
        }
    }
    let side = Side::of_signal(signals(best));
    let confidence = win.filter(|_| side.is_some()).unwrap_or(probabilities[best]);
    let price = |distance: Distance, sign: f64| -> Option<f64> {
        let side = side?;
        Some(entry * (1.0 + sign * side.sign() * distance.share(atr_share)?))
    };
    let expected_net = side.zip(stake.edge).map(|(side, edge)| {
        side.sign() * edge.expected(probabilities) * stake.volatility - stake.cost
    });
    let size = config.size_of(confidence);
    let no_size = side.and_then(|_| {
        stake.guard.or_else(|| {
            if stake.is_unlike {
                Some(NoSize::Support)
            } else if confidence < config.min_confidence || size <= 0.0 {
                Some(NoSize::Confidence)
            } else {
                match expected_net.filter(|_| config.size == Sizing::Edge) {
                    Some(net) if !net.is_finite() => Some(NoSize::EdgeUnknown),
                    Some(net) if net <= 0.0 => Some(NoSize::NoEdge(net)),
                    Some(_) | None => None,
                }
            }
        })
    });
    Signal {
        side,
        confidence,
        stop_loss: price(config.stop_loss, -1.0),
        take_profit: price(config.take_profit, 1.0),
        size: if side.is_some() && no_size.is_none() { size } else { 0.0 },
        no_size,
        expected_net: expected_net.filter(|net| net.is_finite()),
        cost: side.map(|_| stake.cost),
    }
}

/// A signal that nothing has settled yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Position {
    /// `None` for hold.
    pub side: Option<Side>,
    /// Price that it counts from.
    pub entry: f64,
    /// Price at which it is closed at a loss.
    pub stop_loss: Option<f64>,
    /// Price at which it is closed at a gain.
    pub take_profit: Option<f64>,
    /// Close of the candle that was answered.
    pub decided_at_us: Micros,
    /// Instant at which it is closed whatever the price.
    pub expires_at_us: Micros,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settled {
    /// Won, lost, or neither.
    pub outcome: SignalOutcome,
    /// Mid price of the exit.
    pub exit_price: f64,
    /// When it was closed.
    pub at_us: Micros,
    /// What closed it.
    pub reason: ExitReason,
    /// In units of the quote currency; 0 for hold.
    pub pnl: f64,
    /// In per cent of entry.
    pub pnl_percent: f64,
    /// `pnl` less the costs of a round trip; 0 for hold.
    pub pnl_net: f64,
}

/// Closes a position on the candles after its decision; `None` while it is open. A target is a win, a stop a loss, a time-out
/// what it paid after `costs` (in price units of the pair). A hold wins where the price at the end lies within 0.5 % of entry.
pub fn settle(bars: &Bars<'_>, position: &Position, costs: &Costs) -> Option<Settled> {
    let first = bars.open_at_us.partition_point(|open| *open < position.decided_at_us);
    let side = position.side.unwrap_or(Side::Buy);
    let never =
        LevelPrices { stop: -side.sign() * f64::INFINITY, target: side.sign() * f64::INFINITY };
    let at = match position.side {
        None => never,
        Some(_) => LevelPrices {
            stop: position.stop_loss.unwrap_or(never.stop),
            target: position.take_profit.unwrap_or(never.target),
        },
    };
    let exit = bars.first_exit(first, side, at, position.expires_at_us)?;
    let Some(side) = position.side else {
        let forward = exit.price / position.entry - 1.0;
        return Some(Settled {
            outcome: signal_outcome(None, forward, HOLD_THRESHOLD),
            exit_price: exit.price,
            at_us: exit.at_us,
            reason: exit.reason,
            pnl: 0.0,
            pnl_percent: 0.0,
            pnl_net: 0.0,
        });
    };
    let pnl = side.sign() * (exit.price - position.entry);
    let pnl_net = pnl - costs.round_trip();
    Some(Settled {
        outcome: match exit.reason {
            ExitReason::Target => SignalOutcome::Win,
            ExitReason::Stop => SignalOutcome::Loss,
            ExitReason::TimeOut => SignalOutcome::of_net(pnl_net),
        },
        exit_price: exit.price,
        at_us: exit.at_us,
        reason: exit.reason,
        pnl,
        pnl_percent: 100.0 * pnl / position.entry,
        pnl_net,
    })
}

/// What a real trade paid: in price, and after its fees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Filled {
    /// By what it paid after fees.
    pub outcome: SignalOutcome,
    /// In units of the quote currency, a unit of the base currency.
    pub pnl: f64,
    /// In per cent of entry.
    pub pnl_percent: f64,
    /// `pnl` less fees.
    pub pnl_net: f64,
}

/// The worth of a real trade; spread and slippage are in its prices already.
pub fn filled(side: Side, entry: f64, exit: f64, fees: f64) -> Filled {
    let pnl = side.sign() * (exit - entry);
    let pnl_net = pnl - fees;
    Filled {
        outcome: SignalOutcome::of_net(pnl_net),
        pnl,
        pnl_percent: 100.0 * pnl / entry,
        pnl_net,
    }
}

/// Settles by the market's movement alone, as the AIFX documents do (DESIGN 7): at the end of the horizon, by `threshold` as
/// a share of entry. `None` while the horizon is not over.
pub fn settle_by_rule(
    bars: &Bars<'_>,
    position: &Position,
    horizon_us: Micros,
    threshold: f64,
    costs: &Costs,
) -> Option<Settled> {
    let free = Position {
        stop_loss: None,
        take_profit: None,
        expires_at_us: position.decided_at_us + horizon_us,
        ..*position
    };
    let settled = settle(bars, &free, costs)?;
    let forward = settled.exit_price / position.entry - 1.0;
    Some(Settled { outcome: signal_outcome(position.side, forward, threshold), ..settled })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::market::{CandleColumns, Candles, HOUR_US, Timeframe};

    fn of_three(class: usize) -> i8 {
        class as i8 - 1
    }

    fn answer(p: &[f64], win: Option<f64>, config: &SignalConfig) -> Signal {
        decide(p, of_three, win, (2.0, None), &Stake::default(), config)
    }

    #[test]
    fn the_likeliest_class_answers_with_levels_and_a_size() {
        let config = SignalConfig::default();
        let buy = answer(&[0.1, 0.2, 0.7], None, &config);
        assert_eq!((buy.name(), buy.confidence, buy.size), ("buy", 0.7, 0.10));
        assert_eq!((buy.stop_loss, buy.take_profit), (Some(1.99), Some(2.02)));
        let sell = answer(&[0.85, 0.1, 0.05], None, &config);
        assert_eq!((sell.name(), sell.size), ("sell", 0.15));
        assert_eq!((sell.stop_loss, sell.take_profit), (Some(2.01), Some(1.98)));
        let hold = answer(&[0.2, 0.6, 0.2], None, &config);
        assert_eq!((hold.name(), hold.stop_loss, hold.size), ("hold", None, 0.0));
        assert_eq!((hold.no_size, hold.cost), (None, None));
        let unsure = answer(&[0.1, 0.2, 0.7], Some(0.4), &config);
        assert_eq!((unsure.name(), unsure.confidence, unsure.size), ("buy", 0.4, 0.05));
        let hold = answer(&[0.2, 0.6, 0.2], Some(0.4), &config);
        assert_eq!((hold.name(), hold.confidence), ("hold", 0.6), "a hold has nothing to win");
        let by_range = SignalConfig {
            stop_loss: Distance { atr: Some(2.0), percent: None },
            take_profit: Distance::default(),
            ..config
        };
        let stake = Stake::default();
        let buy = decide(&[0.1, 0.2, 0.7], of_three, None, (2.0, Some(0.01)), &stake, &by_range);
        assert_eq!((buy.stop_loss, buy.take_profit), (Some(1.96), None));
    }

    #[test]
    fn a_call_is_a_bet_only_where_it_is_expected_to_pay() {
        let config = SignalConfig::default();
        let edge = Edge { class_returns: vec![-1.0, 0.0, 1.0], slope: 0.5 };
        let p = [0.2, 0.3, 0.5];
        let of = |config: &SignalConfig, stake: Stake<'_>| {
            let signal = decide(&p, of_three, None, (2.0, None), &stake, config);
            assert_eq!((signal.name(), signal.confidence), ("buy", 0.5), "the call stays");
            signal
        };
        let stake =
            Stake { edge: Some(&edge), volatility: 0.002, cost: 0.0001, ..Stake::default() };
        // 0.5 * (0.5 - 0.2) * 0.002 = 0.0003, less what it costs.
        let paying = of(&config, stake);
        assert!((paying.expected_net.expect("an edge") - 0.0002).abs() < 1e-15);
        assert_eq!((paying.size, paying.no_size, paying.cost), (0.05, None, Some(0.0001)));
        let dear = of(&config, Stake { cost: 0.0004, ..stake });
        let is = |signal: Signal, size: f64| (signal.size - size).abs() < 1e-15;
        assert!(is(dear, 0.0));
        assert_eq!(dear.no_size.expect("a reason").to_string(), "no edge after costs (-1.00 bp)");
        let by_table = SignalConfig { size: Sizing::Confidence, ..config.clone() };
        assert!(is(of(&by_table, Stake { cost: 0.0004, ..stake }), 0.05));
        let unknown = of(&config, Stake { volatility: f64::NAN, ..stake });
        assert_eq!((unknown.size, unknown.no_size), (0.0, Some(NoSize::EdgeUnknown)));
        assert_eq!(unknown.expected_net, None);
        assert!(is(of(&config, Stake { edge: None, cost: 0.0004, ..stake }), 0.05));
        // The first reason of several is named.
        let shy = SignalConfig { min_confidence: 0.75, ..config };
        let reason = |stake| of(&shy, stake).no_size.expect("a reason").to_string();
        assert_eq!(reason(Stake { cost: 1.0, ..stake }), "confidence");
        let unlike = Stake { is_unlike: true, ..stake };
        assert_eq!(reason(unlike), "out of support");
        assert_eq!(reason(Stake { guard: Some(NoSize::NoSkill), ..unlike }), "no skill");
        assert_eq!(reason(Stake { guard: Some(NoSize::Breaker), ..unlike }), "breaker");
    }

    #[test]
    fn settings_that_cannot_be_are_named() {
        assert_eq!(SignalConfig::default().problems(), []);
        let wrong = SignalConfig {
            min_confidence: f64::NAN,
            size: Sizing::Edge,
            stop_loss: Distance { percent: Some(1.0), atr: Some(1.0) },
            take_profit: Distance { percent: Some(-1.0), atr: None },
            time_out_minutes: Some(0),
            catch_up_hours: 0,
            shadows: 101,
            out_of_support: OutOfSupport::Hold,
            sizes: vec![[0.5, 0.1], [0.6, 0.2]],
        };
        let keys: Vec<&str> = wrong.problems().into_iter().map(|(key, _)| key).collect();
        assert_eq!(
            keys,
            [
                "min_confidence",
                "stop_loss",
                "take_profit",
                "time_out_minutes",
                "catch_up_hours",
                "shadows",
                "sizes"
            ]
        );
    }

    #[test]
    fn positions_are_settled_once_the_market_has_said_so() {
        let mut columns = CandleColumns::default();
        for (hour, close) in [1.0, 1.001, 1.004, 1.012, 1.012, 1.0].into_iter().enumerate() {
            let prices = [close, close + 0.001, close - 0.001, close];
            columns.push_raw(1_704_196_800_000_000 + hour as i64 * HOUR_US, prices, 0.0);
        }
        let as_of = "2025-01-01T00:00:00Z".parse().expect("an instant");
        let candles =
            Candles::new("EUR/USD".parse().expect("a pair"), Timeframe::Hour1, as_of, columns)
                .expect("valid");
        let bars = Bars::of(&candles);
        let costs = Costs { spread: 0.0002, slippage: 0.0 };
        let position = |side, hours: i64| Position {
            side,
            entry: 1.0,
            stop_loss: Some(if side == Some(Side::Sell) { 1.005 } else { 0.995 }),
            take_profit: Some(if side == Some(Side::Sell) { 0.99 } else { 1.01 }),
            decided_at_us: candles.close_at_us(0),
            expires_at_us: candles.close_at_us(0) + hours * HOUR_US,
        };
        let of = |side, hours| settle(&bars, &position(side, hours), &costs);
        let won = of(Some(Side::Buy), 4).expect("the target was reached");
        // The candle opens beyond the target: it fills at its open.
        assert_eq!((won.outcome, won.exit_price), (SignalOutcome::Win, 1.012));
        assert!((won.pnl - 0.012).abs() < 1e-12 && (won.pnl_percent - 1.2).abs() < 1e-9);
        assert!((won.pnl_net - 0.0118).abs() < 1e-12);
        let lost = of(Some(Side::Sell), 4).expect("the stop was reached");
        assert_eq!((lost.outcome, lost.reason), (SignalOutcome::Loss, ExitReason::Stop));
        let late = of(Some(Side::Buy), 2).expect("the time ran out");
        assert_eq!((late.reason, late.exit_price), (ExitReason::TimeOut, 1.004));
        assert_eq!(late.outcome, SignalOutcome::Win);
        assert_eq!(of(Some(Side::Buy), 40).map(|one| one.reason), Some(ExitReason::Target));
        assert_eq!(of(None, 2).map(|one| (one.outcome, one.pnl)), Some((SignalOutcome::Win, 0.0)));
        assert_eq!(of(None, 3).map(|one| one.outcome), Some(SignalOutcome::Loss));
        assert_eq!(of(None, 40), None, "the market has not got there yet");
        let by_rule = |side, hours| {
            let position = position(side, 1);
            settle_by_rule(&bars, &position, hours * HOUR_US, 0.005, &costs).map(|one| one.outcome)
        };
        use SignalOutcome::{Breakeven, Loss, Win};
        assert_eq!(by_rule(Some(Side::Buy), 2), Some(Breakeven));
        assert_eq!(by_rule(Some(Side::Buy), 3), Some(Win));
        assert_eq!(by_rule(Some(Side::Sell), 3), Some(Loss), "no stop is looked at");
        assert_eq!((by_rule(None, 2), by_rule(None, 3)), (Some(Win), Some(Loss)));
        assert_eq!(by_rule(None, 40), None);
        let sold = filled(Side::Sell, 1.2, 1.1, 0.01);
        assert!((sold.pnl - 0.1).abs() < 1e-12 && (sold.pnl_net - 0.09).abs() < 1e-12);
        assert_eq!((sold.outcome, filled(Side::Buy, 1.1, 1.1, 0.0).outcome), (Win, Breakeven));
        assert_eq!(filled(Side::Buy, 1.1, 1.1, 1e-6).outcome, Loss, "fees count");
    }
}
