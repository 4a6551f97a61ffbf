//! Trades and equity from signals, candles and costs (DESIGN 10).
//!
//! A signal at a candle's close enters at the next candle's open; one position a pair and timeframe; exit at
//! stop-loss, take-profit or the horizon, counted from entry. Main types: [`SeriesSignals`], [`BacktestConfig`],
//! [`Backtest`]. Invariant: a trade depends on nothing after its exit. Not here: where signals come from
//! (`inference`, `baseline`) and what they are worth against others (`gate`, `stats`).

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use crate::{
    market::{
        Candles, Micros, Timeframe,
        calendar::{DayClock, date_of},
    },
    outcome::{Bars, CostsConfig, ExitReason, Levels, Side, trade_return},
    stats::ReturnMoments,
};

/// Signals of one series.
#[derive(Debug, Clone, Copy)]
pub struct SeriesSignals<'a> {
    /// The candles, in the range to be tested and no others: days without a trade count.
    pub candles: &'a Candles,
    /// -1 sell, 0 hold, +1 buy at each candle's close.
    pub signals: &'a [i8],
    /// Share of the account that each signal stakes; `None`: every series holds an equal part of the capital.
    pub sizes: Option<&'a [f64]>,
}

/// What a trade costs and where it ends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BacktestConfig {
    /// In four-decimal pips, see [`CostsConfig`].
    pub costs: CostsConfig,
    /// Share of the entry price; `None` for no stop.
    pub stop_loss: Option<f64>,
    /// Share of the entry price; `None` for no target.
    pub take_profit: Option<f64>,
}

/// One closed position.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Trade {
    /// Which series, as given to [`run`].
    pub series: u32,
    /// Row of the candle whose close gave the signal; entry is at the open of the next.
    pub signal_row: u32,
    /// Row of the candle that the exit happened in.
    pub exit_row: u32,
    /// Direction.
    pub side: Side,
    /// What closed it.
    pub reason: ExitReason,
    /// Entry.
    pub entry_at_us: Micros,
    /// Exit: the close of the exit's candle, or the end of the horizon.
    pub exit_at_us: Micros,
    /// Price paid or received: the open, worse by half the spread and the slippage.
    pub entry_price: f64,
    /// Price received or paid, worse by the same.
    pub exit_price: f64,
    /// Share of the entry's mid price, after costs.
    pub net_return: f64,
}

/// Figures of a backtest. Returns are net of costs; a figure without a value is `None`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Series tested.
    pub n_series: usize,
    /// Candles tested.
    pub n_candles: usize,
    /// Trading days with a candle.
    pub n_days: usize,
    /// Signals other than hold, acted on or not.
    pub n_signals: usize,
    /// Positions closed.
    pub n_trades: usize,
    /// Positions still open at the end, in none of the other figures but the exposure.
    pub n_open: usize,
    /// Share of trades with a gain.
    pub win_rate: Option<f64>,
    /// Mean return of a trade.
    pub avg_pnl: Option<f64>,
    /// Sum of the trades' returns, each on its own position.
    pub total_pnl: f64,
    /// Gains over losses; `None` without a loss.
    pub profit_factor: Option<f64>,
    /// Last equity over first, less one; every series holds an equal part of the capital.
    pub roi: Option<f64>,
    /// Daily, annualised by √252; `None` under 20 days or without variation.
    pub sharpe: Option<f64>,
    /// Its standard error (Bailey and López de Prado 2012), annualised.
    pub sharpe_se: Option<f64>,
    /// Largest fall of realised equity from a peak, as a share of the peak: a position counts on the day on which it ends.
    pub max_drawdown: Option<f64>,
    /// Share of candles in a position.
    pub exposure: Option<f64>,
    /// Signals other than hold a trading day.
    pub signals_per_day: Option<f64>,
}

/// A backtest: its figures and what they come from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Backtest {
    /// The figures.
    pub figures: Figures,
    /// Every trading day with a candle, in order.
    pub days: Vec<NaiveDate>,
    /// Net return of each of `days`: of the trades that ended in a candle that opened on it.
    pub daily_returns: Vec<f64>,
    /// Equity at the end of each of `days`; 1 before the first.
    pub equity: Vec<f64>,
    /// Every trade, series by series in order of entry.
    pub trades: Vec<Trade>,
}

/// Trades the signals.
///
/// The horizon counts from entry, the next candle's open: a signal at Friday's last close is entered when the market
/// opens again, and has its full time. While a position is open, signals are not acted on; the close of the candle
/// that ends it is the next chance.
///
/// # Panics
/// When a series has not one signal, and one size where there are sizes, a candle.
pub fn run(series: &[SeriesSignals<'_>], config: &BacktestConfig) -> Backtest {
    let mut ledger = Ledger::default();
    let weight = 1.0 / series.len().max(1) as f64;
    for (index, part) in series.iter().enumerate() {
        assert_eq!(part.candles.len(), part.signals.len(), "one signal a candle");
        assert!(
            part.sizes.is_none_or(|sizes| sizes.len() == part.signals.len()),
            "one size a candle"
        );
        ledger.trade(index, part, config, weight);
    }
    ledger.close(series)
}

/// What accumulates over the series.
#[derive(Default)]
struct Ledger {
    trades: Vec<Trade>,
    days: DailyReturns,
    n_signals: usize,
    n_open: usize,
    n_candles_in_position: usize,
}

impl Ledger {
    fn trade(
        &mut self,
        index: usize,
        part: &SeriesSignals<'_>,
        config: &BacktestConfig,
        weight: f64,
    ) {
        let bars = Bars::of(part.candles);
        let costs = config.costs.for_pair(part.candles.pair());
        let one_way = costs.round_trip() / 2.0;
        let levels = Levels { stop_loss: config.stop_loss, take_profit: config.take_profit };
        let horizon_us = part.candles.timeframe().horizon_us();
        let number = |row: usize| u32::try_from(row).expect("fewer than 2^32 candles");

        let mut days =
            self.days.mark(part.candles.timeframe(), bars.open_at_us).into_iter().peekable();
        let mut today = 0;
        self.n_signals += part.signals.iter().filter(|signal| **signal != 0).count();
        let mut row = 0;
        while let Some(waited) = part.signals[row..].iter().position(|signal| *signal != 0) {
            row += waited;
            let entry_row = row + 1;
            let Some(side) = Side::of_signal(part.signals[row]).filter(|_| entry_row < bars.len())
            else {
                break;
            };
            let entry = bars.open[entry_row];
            let entry_at_us = bars.open_at_us[entry_row];
            let at = levels.prices(side, entry);
            let Some(exit) = bars.first_exit(entry_row, side, at, entry_at_us + horizon_us) else {
                self.n_open += 1;
                self.n_candles_in_position += bars.len() - entry_row;
                break;
            };
            let net_return = trade_return(side, entry, exit.price, &costs);
            while let Some((_, place)) = days.next_if(|(from_row, _)| *from_row <= exit.row) {
                today = place;
            }
            let weight = part.sizes.map_or(weight, |sizes| sizes[row]);
            self.days.sums[today] += weight * net_return;
            self.n_candles_in_position += exit.row - row;
            self.trades.push(Trade {
                series: number(index),
                signal_row: number(row),
                exit_row: number(exit.row),
                side,
                reason: exit.reason,
                entry_at_us,
                exit_at_us: exit.at_us,
                entry_price: entry + side.sign() * one_way,
                exit_price: exit.price - side.sign() * one_way,
                net_return,
            });
            row = exit.row;
        }
    }

    fn close(self, series: &[SeriesSignals<'_>]) -> Backtest {
        let Ledger { trades, days, n_signals, n_open, n_candles_in_position } = self;
        let (days, daily_returns) = days.into_columns();
        let mut equity = Vec::with_capacity(days.len());
        let (mut level, mut peak, mut max_drawdown) = (1.0_f64, 1.0_f64, 0.0_f64);
        for daily_return in &daily_returns {
            level *= 1.0 + daily_return;
            peak = peak.max(level);
            max_drawdown = max_drawdown.max(1.0 - level / peak);
            equity.push(level);
        }
        let (mut total_pnl, mut gain, mut loss, mut n_won) = (0.0, 0.0, 0.0, 0usize);
        for trade in &trades {
            total_pnl += trade.net_return;
            gain += trade.net_return.max(0.0);
            loss += (-trade.net_return).max(0.0);
            n_won += usize::from(trade.net_return > 0.0);
        }
        let n_candles = series.iter().map(|part| part.candles.len()).sum();
        let of = |part: f64, whole: usize| (whole > 0).then(|| part / whole as f64);
        let (sharpe, sharpe_se) = sharpe(&daily_returns).unzip();
        let figures = Figures {
            n_series: series.len(),
            n_candles,
            n_days: days.len(),
            n_signals,
            n_trades: trades.len(),
            n_open,
            win_rate: of(n_won as f64, trades.len()),
            avg_pnl: of(total_pnl, trades.len()),
            total_pnl,
            profit_factor: (loss > 0.0).then(|| gain / loss),
            roi: equity.last().map(|last| last - 1.0),
            sharpe,
            sharpe_se,
            max_drawdown: (!days.is_empty()).then_some(max_drawdown),
            exposure: of(n_candles_in_position as f64, n_candles),
            signals_per_day: of(n_signals as f64, days.len()),
        };
        Backtest { figures, days, daily_returns, equity, trades }
    }
}

/// Days under which a Sharpe ratio says nothing (FORMULAS, elementary).
pub const MIN_SHARPE_DAYS: usize = 20;
const TRADING_DAYS_A_YEAR: f64 = 252.0;

/// Sharpe ratio of daily returns and its standard error, both annualised by √252: mean over sample standard
/// deviation; √((1 - γ₃·SR + (γ₄ - 1)/4·SR²)/(n - 1)) of the daily ratio with raw kurtosis (Bailey and López de Prado
/// 2012). `None` under [`MIN_SHARPE_DAYS`] or when all days are alike.
pub fn sharpe(daily_returns: &[f64]) -> Option<(f64, f64)> {
    let moments = ReturnMoments::of(daily_returns).filter(|m| m.n >= MIN_SHARPE_DAYS)?;
    let year = TRADING_DAYS_A_YEAR.sqrt();
    Some((moments.sharpe * year, moments.standard_error()? * year))
}

/// Returns by trading day, as a dense table from the first day on: NaN where there was no candle.
#[derive(Default)]
struct DailyReturns {
    first: i64,
    sums: Vec<f64>,
}

impl DailyReturns {
    /// Makes a place for each day that one of these instants lies in: from which row on, and where in the table.
    fn mark(&mut self, timeframe: Timeframe, open_at_us: &[Micros]) -> Vec<(usize, usize)> {
        let (Some(&from_us), Some(&last_us)) = (open_at_us.first(), open_at_us.last()) else {
            return Vec::new();
        };
        let mut clock = DayClock::default();
        self.make_room(clock.day(from_us).number, clock.day(last_us).number);
        let mut places = Vec::with_capacity(self.sums.len());
        let mut row = 0;
        while let Some(&at_us) = open_at_us.get(row) {
            let day = clock.day(at_us);
            let place = usize::try_from(day.number - self.first).expect("room was made");
            if self.sums[place].is_nan() {
                self.sums[place] = 0.0;
            }
            places.push((row, place));
            // Without a hole the next day's first candle is so many candles on.
            let rest = &open_at_us[row..];
            let left_us = day.until_us - at_us - 1;
            let guess = usize::try_from(left_us / timeframe.nominal_us()).unwrap_or(0) + 1;
            row += match rest.get(guess - 1..=guess) {
                Some(&[last, next]) if last < day.until_us && next >= day.until_us => guess,
                _ => rest.iter().position(|at_us| *at_us >= day.until_us).unwrap_or(rest.len()),
            };
        }
        places
    }

    fn make_room(&mut self, from: i64, last: i64) {
        if self.sums.is_empty() {
            self.first = from;
        }
        let n_before = usize::try_from(self.first - from).unwrap_or(0);
        if n_before > 0 {
            self.sums.splice(0..0, std::iter::repeat_n(f64::NAN, n_before));
            self.first = from;
        }
        let n = usize::try_from(last - self.first + 1).unwrap_or(0);
        if n > self.sums.len() {
            self.sums.resize(n, f64::NAN);
        }
    }

    fn into_columns(self) -> (Vec<NaiveDate>, Vec<f64>) {
        let days = date_of(self.first).iter_days().zip(self.sums);
        days.filter(|(_, sum)| !sum.is_nan()).unzip()
    }
}

#[cfg(test)]
mod tests;
