//! What became of a position: which of stop, target and time-out came first, and what it paid.
//!
//! Shared by labels (triple barrier), backtest and live outcomes, so that the three cannot disagree. Main types:
//! [`Bars`], [`Levels`], [`Exit`], [`CostsConfig`]. Invariant: what is not certain from open, high, low and close counts
//! against the position. Not here: when a position is opened (`backtest`), and classes (`labels`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::market::{Candles, Micros, Pair, Timeframe};

/// Direction of a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Side {
    /// Long: earns when the price rises.
    Buy,
    /// Short: earns when the price falls.
    Sell,
}

impl Side {
    /// +1 for a long, -1 for a short position.
    #[inline]
    pub fn sign(self) -> f64 {
        match self {
            Side::Buy => 1.0,
            Side::Sell => -1.0,
        }
    }

    /// The side of a signal by its name in lower case, strong or not; the inner `None` for hold, the outer for what is no
    /// signal.
    pub fn named(signal: &str) -> Option<Option<Side>> {
        match signal {
            "buy" | "strong buy" => Some(Some(Side::Buy)),
            "sell" | "strong sell" => Some(Some(Side::Sell)),
            "hold" => Some(None),
            _ => None,
        }
    }

    /// The side of a signal -1, 0, +1; `None` for hold.
    #[inline]
    pub fn of_signal(signal: i8) -> Option<Side> {
        match signal {
            0 => None,
            1.. => Some(Side::Buy),
            _ => Some(Side::Sell),
        }
    }
}

/// How far from entry a position is closed, as shares of the entry price; `None` for no such level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Levels {
    /// Loss at which it is closed, such as 0.005.
    pub stop_loss: Option<f64>,
    /// Gain at which it is closed.
    pub take_profit: Option<f64>,
}

impl Levels {
    /// The two prices for a position entered at `entry_price`.
    #[inline]
    pub fn prices(self, side: Side, entry_price: f64) -> LevelPrices {
        let away = |share: Option<f64>, sign: f64| {
            share.map_or(sign * f64::INFINITY, |share| entry_price * (1.0 + sign * share))
        };
        LevelPrices {
            stop: away(self.stop_loss, -side.sign()),
            target: away(self.take_profit, side.sign()),
        }
    }
}

/// [`Levels`] as prices; an infinity where there is no such level.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LevelPrices {
    /// Reached means closed at a loss.
    pub stop: f64,
    /// Reached means closed at a gain.
    pub target: f64,
}

/// Why a position was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExitReason {
    /// The stop-loss was reached, or could have been reached before the target.
    Stop,
    /// The take-profit was reached.
    Target,
    /// The horizon ended first.
    TimeOut,
}

/// The end of a position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Exit {
    /// Row of the candle that it happened in.
    pub row: usize,
    /// Instant from which it is known: that candle's close, the end of the horizon, or the opening of the first
    /// candle after it.
    pub at_us: Micros,
    /// Mid price of the exit, before costs.
    pub price: f64,
    /// What closed it.
    pub reason: ExitReason,
}

/// Below this share of the price a round trip costs nothing in effect: the figure is in another unit.
const LEAST_SHARE: f64 = 0.000_02;
/// Above this share no pair costs as much.
const MOST_SHARE: f64 = 0.01;

/// What trades cost, as in `aifx.yaml`: for pairs quoted to four decimals in units of the price (0.00010 is one pip), a
/// hundredfold for pairs quoted in yen, and whatever else a pair costs in units of its own price.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CostsConfig {
    /// Ask less bid, paid once a round trip.
    pub spread: f64,
    /// Lost on each of entry and exit.
    pub slippage: f64,
    /// Pairs that cost something else.
    pub pairs: BTreeMap<Pair, PairCosts>,
}

/// Costs of one pair, in units of its price; what is not given follows from the line's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PairCosts {
    /// See [`Costs::spread`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spread: Option<f64>,
    /// See [`Costs::slippage`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slippage: Option<f64>,
}

impl Default for CostsConfig {
    fn default() -> Self {
        CostsConfig { spread: 0.000_10, slippage: 0.000_02, pairs: BTreeMap::new() }
    }
}

impl CostsConfig {
    /// No costs at all.
    pub const NONE: CostsConfig =
        CostsConfig { spread: 0.0, slippage: 0.0, pairs: BTreeMap::new() };

    /// What a pair costs, in units of its price.
    pub fn for_pair(&self, pair: &Pair) -> Costs {
        let pips = if pair.quote() == "JPY" { 100.0 } else { 1.0 };
        let own = self.pairs.get(pair).copied().unwrap_or_default();
        Costs {
            spread: own.spread.unwrap_or(self.spread * pips),
            slippage: own.slippage.unwrap_or(self.slippage * pips),
        }
    }

    /// What a pair costs where its last price is `price`.
    ///
    /// # Errors
    /// Where a round trip costs less than 0.2 hundredths of a per cent of the price or more than 1 %, in words: such a figure is
    /// in another unit than the price.
    pub fn checked_for(&self, pair: &Pair, price: f64) -> Result<Costs, String> {
        let costs = self.for_pair(pair);
        let share = costs.round_trip() / price;
        if (LEAST_SHARE..=MOST_SHARE).contains(&share) {
            return Ok(costs);
        }
        Err(format!(
            "costs: a round trip of {pair} costs {} at a price of {price}, {} of it",
            costs.round_trip(),
            match share < LEAST_SHARE {
                true => format!("{:.3} hundredths of a per cent, less than 0.2", share * 1e4),
                false => format!("{:.2} %, more than 1 %", share * 100.0),
            }
        ))
    }
}

/// Costs of a pair, in units of its price.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Costs {
    /// Ask less bid, paid once a round trip.
    pub spread: f64,
    /// Lost on each of entry and exit.
    pub slippage: f64,
}

impl Costs {
    /// What a round trip costs, in price units: `spread + 2·slippage`.
    #[inline]
    pub fn round_trip(self) -> f64 {
        self.spread + 2.0 * self.slippage
    }
}

/// Return of a round trip net of costs, as a share of the entry price (FORMULAS, elementary):
/// `side·(exit/entry - 1) - (spread + 2·slippage)/entry`. Mid prices; `costs` in price units of the pair.
#[inline]
pub fn trade_return(side: Side, entry: f64, exit: f64, costs: &Costs) -> f64 {
    side.sign() * (exit / entry - 1.0) - costs.round_trip() / entry
}

/// How a past signal turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum SignalOutcome {
    /// The market did what the signal said.
    Win,
    /// It did the opposite, or moved under a hold.
    Loss,
    /// It did not move enough to tell.
    Breakeven,
}

impl SignalOutcome {
    /// By what a position paid in the end.
    pub fn of_net(pnl_net: f64) -> SignalOutcome {
        if pnl_net > 0.0 {
            SignalOutcome::Win
        } else if pnl_net < 0.0 {
            SignalOutcome::Loss
        } else {
            SignalOutcome::Breakeven
        }
    }

    /// `win`, `loss` or `breakeven`.
    pub fn name(self) -> &'static str {
        match self {
            SignalOutcome::Win => "win",
            SignalOutcome::Loss => "loss",
            SignalOutcome::Breakeven => "breakeven",
        }
    }
}

/// The outcome of a signal by the market's movement (DESIGN 7, `fixed`). `side` is `None` for HOLD; `forward_return`
/// and `threshold` are shares of entry. Exactly ±`threshold` is inside.
pub fn signal_outcome(side: Option<Side>, forward_return: f64, threshold: f64) -> SignalOutcome {
    let Some(side) = side else {
        return if forward_return.abs() <= threshold {
            SignalOutcome::Win
        } else {
            SignalOutcome::Loss
        };
    };
    let gain = side.sign() * forward_return;
    if gain > threshold {
        SignalOutcome::Win
    } else if gain < -threshold {
        SignalOutcome::Loss
    } else {
        SignalOutcome::Breakeven
    }
}

/// The columns of [`Candles`] that an exit depends on, looked up once for many positions.
#[derive(Debug, Clone, Copy)]
pub struct Bars<'a> {
    timeframe: Timeframe,
    /// Of every candle; `None` for months.
    length_us: Option<Micros>,
    /// Opening instants.
    pub open_at_us: &'a [Micros],
    /// First prices.
    pub open: &'a [f64],
    /// Highest prices.
    pub high: &'a [f64],
    /// Lowest prices.
    pub low: &'a [f64],
    /// Last prices.
    pub close: &'a [f64],
}

impl<'a> Bars<'a> {
    /// The columns of `candles`.
    pub fn of(candles: &'a Candles) -> Self {
        let timeframe = candles.timeframe();
        Bars {
            timeframe,
            length_us: (timeframe != Timeframe::Month1).then(|| timeframe.nominal_us()),
            open_at_us: candles.open_at_us(),
            open: candles.open(),
            high: candles.high(),
            low: candles.low(),
            close: candles.close(),
        }
    }

    /// Number of candles.
    pub fn len(&self) -> usize {
        self.open_at_us.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.open_at_us.is_empty()
    }

    /// The instant at which candle `row` closes.
    #[inline]
    pub fn close_at_us(&self, row: usize) -> Micros {
        match self.length_us {
            Some(length_us) => self.open_at_us[row] + length_us,
            None => self.timeframe.close_at(self.open_at_us[row]),
        }
    }

    /// The first exit of a position that candle `from_row` is the first to move, or `None` while it is open at the
    /// end of the candles.
    ///
    /// Candles that close by `until_us` are looked at in turn. One that opens beyond a level fills at its open; one
    /// that reaches both levels counts as the stop. When `until_us` comes first, the exit is the close of the last
    /// candle that closed by then. Where none did (the market was closed all the while), it is the first price after.
    #[inline]
    pub fn first_exit(
        &self,
        from_row: usize,
        side: Side,
        at: LevelPrices,
        until_us: Micros,
    ) -> Option<Exit> {
        match side {
            Side::Buy => self.walk(from_row, until_us, |open, high, low| {
                if open <= at.stop {
                    Some((open, ExitReason::Stop))
                } else if open >= at.target {
                    Some((open, ExitReason::Target))
                } else if low <= at.stop {
                    Some((at.stop, ExitReason::Stop))
                } else if high >= at.target {
                    Some((at.target, ExitReason::Target))
                } else {
                    None
                }
            }),
            Side::Sell => self.walk(from_row, until_us, |open, high, low| {
                if open >= at.stop {
                    Some((open, ExitReason::Stop))
                } else if open <= at.target {
                    Some((open, ExitReason::Target))
                } else if high >= at.stop {
                    Some((at.stop, ExitReason::Stop))
                } else if low <= at.target {
                    Some((at.target, ExitReason::Target))
                } else {
                    None
                }
            }),
        }
    }

    #[inline]
    fn walk(
        &self,
        from_row: usize,
        until_us: Micros,
        touched: impl Fn(f64, f64, f64) -> Option<(f64, ExitReason)>,
    ) -> Option<Exit> {
        // Slices of one length, so that one comparison a candle guards them all.
        let n = self.len();
        let (open, high, low) = (&self.open[..n], &self.high[..n], &self.low[..n]);
        for row in from_row..n {
            let closes_at_us = self.close_at_us(row);
            if closes_at_us > until_us {
                return Some(self.timed_out(from_row, row, until_us));
            }
            if let Some((price, reason)) = touched(open[row], high[row], low[row]) {
                return Some(Exit { row, at_us: closes_at_us, price, reason });
            }
            if closes_at_us == until_us {
                let price = self.close[row];
                return Some(Exit { row, at_us: until_us, price, reason: ExitReason::TimeOut });
            }
        }
        None
    }

    /// Candle `beyond` is the first that closes after the horizon.
    fn timed_out(&self, from_row: usize, beyond: usize, until_us: Micros) -> Exit {
        if beyond == from_row {
            let at_us = self.open_at_us[beyond];
            return Exit {
                row: beyond,
                at_us,
                price: self.open[beyond],
                reason: ExitReason::TimeOut,
            };
        }
        let row = beyond - 1;
        Exit { row, at_us: until_us, price: self.close[row], reason: ExitReason::TimeOut }
    }
}

/// [`Bars::first_exit`] for one position with levels as shares of `entry_price`. `from_row` is the first candle that
/// moves it: the one after the decision, whether entry is at the decision's close or at this candle's open.
pub fn first_exit(
    candles: &Candles,
    from_row: usize,
    side: Side,
    entry_price: f64,
    levels: Levels,
    until_us: Micros,
) -> Option<Exit> {
    Bars::of(candles).first_exit(from_row, side, levels.prices(side, entry_price), until_us)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;
    use crate::market::{CandleColumns, HOUR_US};

    /// Hourly candles from 2024-01-02T00:00Z, `hours` after it.
    fn candles(rows: &[(i64, [f64; 4])]) -> Candles {
        let start = DateTime::parse_from_rfc3339("2024-01-02T00:00:00Z").expect("an instant");
        let mut columns = CandleColumns::default();
        for (hour, prices) in rows {
            columns.push_raw(start.timestamp_micros() + hour * HOUR_US, *prices, 0.0);
        }
        let as_of = "2025-01-01T00:00:00Z".parse().expect("an instant");
        Candles::new("EUR/USD".parse().expect("a pair"), Timeframe::Hour1, as_of, columns)
            .expect("valid")
    }

    const LEVELS: Levels = Levels { stop_loss: Some(0.01), take_profit: Some(0.02) };

    #[test]
    fn the_first_level_closes_and_doubt_counts_as_the_stop() {
        let quiet = [1.0, 1.005, 0.995, 1.0];
        for (what, side, second, price, reason) in [
            ("target", Side::Buy, [1.0, 1.03, 0.995, 1.0], 1.02, ExitReason::Target),
            ("stop", Side::Buy, [1.0, 1.01, 0.98, 1.0], 0.99, ExitReason::Stop),
            ("both", Side::Buy, [1.0, 1.03, 0.98, 1.0], 0.99, ExitReason::Stop),
            ("gap to stop", Side::Buy, [0.97, 1.03, 0.96, 1.0], 0.97, ExitReason::Stop),
            ("gap to target", Side::Buy, [1.04, 1.05, 0.9, 1.0], 1.04, ExitReason::Target),
            ("target", Side::Sell, [1.0, 1.005, 0.97, 1.0], 0.98, ExitReason::Target),
            ("stop", Side::Sell, [1.0, 1.02, 0.99, 1.0], 1.01, ExitReason::Stop),
            ("both", Side::Sell, [1.0, 1.02, 0.9, 1.0], 1.01, ExitReason::Stop),
            ("gap to stop", Side::Sell, [1.04, 1.05, 0.9, 1.0], 1.04, ExitReason::Stop),
            ("gap to target", Side::Sell, [0.97, 1.03, 0.96, 1.0], 0.97, ExitReason::Target),
            ("time-out", Side::Buy, [1.0, 1.01, 0.995, 1.003], 1.003, ExitReason::TimeOut),
        ] {
            let candles = candles(&[(0, quiet), (1, quiet), (2, second), (3, quiet)]);
            let exit = first_exit(&candles, 1, side, 1.0, LEVELS, candles.close_at_us(2));
            let exit = exit.expect(what);
            assert_eq!((exit.row, exit.reason), (2, reason), "{side:?} {what}");
            assert!((exit.price - price).abs() < 1e-12, "{side:?} {what}: {}", exit.price);
        }
    }

    #[test]
    fn the_horizon_ends_at_the_last_close_before_it() {
        let flat = |price: f64| [price, price, price, price];
        let rows = candles(&[(0, flat(1.0)), (1, flat(1.001)), (2, flat(1.002)), (60, flat(1.1))]);
        let none = Levels::default();
        let exit = |until_us| first_exit(&rows, 1, Side::Buy, 1.0, none, until_us);
        let at = |row, at_us, price| Some(Exit { row, at_us, price, reason: ExitReason::TimeOut });
        let until_us = rows.close_at_us(2) + 1;
        assert_eq!(exit(until_us), at(2, until_us, 1.002), "the weekend is the end of the week");
        assert_eq!(exit(rows.close_at_us(2)), at(2, rows.close_at_us(2), 1.002));
        assert_eq!(exit(rows.close_at_us(2) - 1), at(1, rows.close_at_us(2) - 1, 1.001));
        assert_eq!(exit(rows.close_at_us(3) + 1), None, "still open at the end");
        // Entered at Friday's last close with a horizon inside the weekend: the first price after it.
        let until_us = rows.close_at_us(2) + HOUR_US;
        let after = first_exit(&rows, 3, Side::Sell, 1.002, none, until_us);
        assert_eq!(after, at(3, rows.open_at_us()[3], 1.1));
        assert_eq!(first_exit(&rows, 4, Side::Buy, 1.1, none, until_us), None);
    }

    #[test]
    fn costs_are_paid_on_either_side() {
        let costs = Costs { spread: 0.0001, slippage: 0.00002 };
        assert!((trade_return(Side::Buy, 1.25, 1.30, &costs) - (0.04 - 0.000_112)).abs() < 1e-15);
        assert!((trade_return(Side::Sell, 1.25, 1.30, &costs) + 0.04 + 0.000_112).abs() < 1e-15);
        let pair = |name: &str| name.parse::<Pair>().expect("a pair");
        let line = CostsConfig::default();
        assert!((line.for_pair(&pair("USD/JPY")).round_trip() - 0.014).abs() < 1e-15);
        assert_eq!(line.for_pair(&pair("EUR/USD")), costs);
        // What is quoted otherwise costs what its own entry says, and the rest of the line.
        let own = PairCosts { spread: Some(0.3), slippage: None };
        let line = CostsConfig { pairs: [(pair("EUR/HUF"), own)].into(), ..line };
        assert!((line.for_pair(&pair("EUR/HUF")).spread - 0.3).abs() < 1e-15);
        assert!(line.checked_for(&pair("EUR/HUF"), 390.0).is_ok());
        assert!(line.checked_for(&pair("EUR/USD"), 1.1).is_ok());
        let nothing = line.checked_for(&pair("USD/HUF"), 360.0).expect_err("another unit");
        assert!(nothing.contains("USD/HUF") && nothing.contains("less than 0.2"), "{nothing}");
        let much = line.checked_for(&pair("EUR/HUF"), 3.9).expect_err("another unit");
        assert!(much.contains("more than 1 %"), "{much}");
    }

    #[test]
    fn outcomes_follow_the_table() {
        use SignalOutcome::{Breakeven, Loss, Win};
        for (forward_return, buy, sell, hold) in [
            (0.006, Win, Loss, Loss),
            (-0.006, Loss, Win, Loss),
            (0.005, Breakeven, Breakeven, Win),
            (-0.005, Breakeven, Breakeven, Win),
            (0.0, Breakeven, Breakeven, Win),
        ] {
            assert_eq!(signal_outcome(Some(Side::Buy), forward_return, 0.005), buy);
            assert_eq!(signal_outcome(Some(Side::Sell), forward_return, 0.005), sell);
            assert_eq!(signal_outcome(None, forward_return, 0.005), hold);
        }
    }
}
