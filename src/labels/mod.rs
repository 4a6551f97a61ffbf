//! Label rules: what the market did after a candle, as a class.
//!
//! Entry is the close of the candle, exit the close of the last candle that closes by entry + horizon (DESIGN 7).
//! Main types: [`LabelRule`], [`Labels`], [`Cuts`], [`ClassBalance`], [`LabelBalance`]. Invariant: a label exists only once the data
//! reaches past its horizon, and no later candle changes it. Not here: what a trade would have paid (`outcome`,
//! `backtest`).

mod balance;

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::{
    market::{Candles, Micros, Timeframe},
    outcome::{Bars, ExitReason, Levels, Side},
    stats::quartiles,
};

pub use balance::{
    ClassShare, HOLD_SHARE, LabelBalance, UNBALANCED_SHARE, balancing_multiple, horizon_volatility,
    label_returns, moves, shares_at,
};

/// How a training label is made.
///
/// Prints and parses as `fixed:0.005`, `volatility:0.35`, `triple-barrier:0.005:0.005` (take-profit, stop-loss) and
/// `quartile`; the numbers may be left out for those shown (on a command line a bare `volatility` is the line's, [`AskedRule`]). `outcome` has none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case", deny_unknown_fields)]
pub enum LabelRule {
    /// Sell, hold, buy by ±`threshold` (a share of the entry price).
    Fixed {
        /// Share of entry, such as 0.005.
        threshold: f64,
    },
    /// Sell, hold, buy by ±`multiple` × rolling volatility scaled to the horizon.
    Volatility {
        /// How many standard deviations.
        multiple: f64,
    },
    /// Sell, hold, buy by which of the barriers comes first.
    ///
    /// A class is the trade that would have reached its take-profit before its stop-loss; where both a purchase and
    /// a sale would have (the take-profit is nearer than the stop-loss), the one that got there first. Both barriers
    /// in one candle counts as the loss of either trade, so it makes no class but `hold`, as does a time-out.
    TripleBarrier {
        /// Share of entry.
        take_profit: f64,
        /// Share of entry.
        stop_loss: f64,
    },
    /// Strong sell, sell, buy, strong buy by the quartiles of the training part's forward returns.
    Quartile,
    /// Loss or win: what became of the signals that another line gave (see [`of_signals`]).
    Outcome,
}

/// What is wrong with a label rule.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LabelRuleError {
    /// A number that must be positive and finite is not.
    #[error("{name} of the {rule} label is {value}; it must be above 0 and finite")]
    NotPositive {
        /// Which rule.
        rule: &'static str,
        /// Which number.
        name: &'static str,
        /// What was given.
        value: f64,
    },
    /// A share of the price that no price can fall by.
    #[error(
        "{name} of the {rule} label is {value}, but it is a share of the price and must be below 1"
    )]
    NotAShare {
        /// Which rule.
        rule: &'static str,
        /// Which number.
        name: &'static str,
        /// What was given.
        value: f64,
    },
    /// Text that is no rule.
    #[error(
        "{given:?} is not a label rule; write fixed:0.005, volatility:0.35, triple-barrier:0.005:0.005, quartile or outcome"
    )]
    Unknown {
        /// What was given, at most 40 characters of it.
        given: String,
    },
}

/// Threshold that [`LabelRule`] takes where none is written: half a per cent (DESIGN 7).
const DEFAULT_THRESHOLD: f64 = 0.005;

/// Multiple of the volatility rule where none is written: 33 to 41 % of real hourly candles are hold then (DESIGN 7).
pub const DEFAULT_MULTIPLE: f64 = 0.35;

/// One-candle log returns behind a volatility label (FORMULAS, elementary).
pub const VOLATILITY_WINDOW: usize = 60;

/// Class numbers of the three-class rules.
pub const SELL: u8 = 0;
/// Class of neither.
pub const HOLD: u8 = 1;
/// Class of a rise.
pub const BUY: u8 = 2;

/// No class: the label does not exist (yet).
pub const NO_CLASS: u8 = u8::MAX;

impl LabelRule {
    /// The name of the rule in `aifx.yaml`, without its numbers.
    pub fn name(&self) -> String {
        self.word().to_owned()
    }

    fn word(&self) -> &'static str {
        match self {
            LabelRule::Fixed { .. } => "fixed",
            LabelRule::Volatility { .. } => "volatility",
            LabelRule::TripleBarrier { .. } => "triple-barrier",
            LabelRule::Quartile => "quartile",
            LabelRule::Outcome => "outcome",
        }
    }

    /// Names of the classes, in order of their numbers: from the strongest fall to the strongest rise.
    pub fn class_names(&self) -> &'static [&'static str] {
        match self {
            LabelRule::Quartile => &["strong sell", "sell", "buy", "strong buy"],
            LabelRule::Outcome => &["loss", "win"],
            _ => &["sell", "hold", "buy"],
        }
    }

    /// Number of classes.
    pub fn n_classes(&self) -> usize {
        self.class_names().len()
    }

    /// What a class says to do: -1 sell, 0 hold, +1 buy. An outcome says how sure to be, and nothing to do.
    pub fn signal(&self, class: u8) -> i8 {
        match self {
            LabelRule::Outcome => 0,
            LabelRule::Quartile => {
                if class < 2 {
                    -1
                } else {
                    1
                }
            }
            _ => class as i8 - HOLD as i8,
        }
    }

    /// Checks the numbers.
    ///
    /// # Errors
    /// The first that cannot be.
    pub fn check(&self) -> Result<(), LabelRuleError> {
        let rule = self.word();
        let positive = |name, value: f64| {
            if value > 0.0 && value.is_finite() {
                Ok(())
            } else {
                Err(LabelRuleError::NotPositive { rule, name, value })
            }
        };
        let share = |name, value: f64| {
            positive(name, value)?;
            if value < 1.0 { Ok(()) } else { Err(LabelRuleError::NotAShare { rule, name, value }) }
        };
        match *self {
            LabelRule::Fixed { threshold } => share("threshold", threshold),
            LabelRule::Volatility { multiple } => positive("multiple", multiple),
            LabelRule::TripleBarrier { take_profit, stop_loss } => {
                share("take_profit", take_profit)?;
                share("stop_loss", stop_loss)
            }
            LabelRule::Quartile | LabelRule::Outcome => Ok(()),
        }
    }
}

impl Default for LabelRule {
    /// What a line without versions learns where its configuration names no rule.
    fn default() -> Self {
        LabelRule::Volatility { multiple: DEFAULT_MULTIPLE }
    }
}

/// A rule as a command line names it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AskedRule {
    /// `volatility` without a number: by the multiple of the line.
    VolatilityOfLine,
    /// As it is written.
    This(LabelRule),
}

impl AskedRule {
    /// The rule that is meant, where the line goes by `line`: a bare `volatility` is the line's own rule, and the default
    /// where the line has none of that kind.
    pub fn for_line(self, line: Option<LabelRule>) -> LabelRule {
        match self {
            AskedRule::This(rule) => rule,
            AskedRule::VolatilityOfLine => {
                line.filter(|rule| matches!(rule, LabelRule::Volatility { .. })).unwrap_or_default()
            }
        }
    }
}

impl FromStr for AskedRule {
    type Err = LabelRuleError;

    fn from_str(text: &str) -> Result<Self, LabelRuleError> {
        let rule = text.parse()?;
        Ok(if text == "volatility" { AskedRule::VolatilityOfLine } else { AskedRule::This(rule) })
    }
}

impl fmt::Display for LabelRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        match self {
            LabelRule::Fixed { threshold } => write!(f, "{word}:{threshold}"),
            LabelRule::Volatility { multiple } => write!(f, "{word}:{multiple}"),
            LabelRule::TripleBarrier { take_profit, stop_loss } => {
                write!(f, "{word}:{take_profit}:{stop_loss}")
            }
            LabelRule::Quartile | LabelRule::Outcome => f.write_str(word),
        }
    }
}

impl FromStr for LabelRule {
    type Err = LabelRuleError;

    fn from_str(text: &str) -> Result<Self, LabelRuleError> {
        let unknown = || LabelRuleError::Unknown { given: text.chars().take(40).collect() };
        let mut parts = text.split(':');
        let word = parts.next().ok_or_else(unknown)?;
        let numbers = parts.map(|part| part.parse().map_err(|_| unknown()));
        let numbers: Vec<f64> = numbers.collect::<Result<_, _>>()?;
        let rule = match (word, numbers.as_slice()) {
            ("fixed", []) => LabelRule::Fixed { threshold: DEFAULT_THRESHOLD },
            ("fixed", &[threshold]) => LabelRule::Fixed { threshold },
            ("volatility", []) => LabelRule::default(),
            ("volatility", &[multiple]) => LabelRule::Volatility { multiple },
            ("triple-barrier", []) => LabelRule::TripleBarrier {
                take_profit: DEFAULT_THRESHOLD,
                stop_loss: DEFAULT_THRESHOLD,
            },
            ("triple-barrier", &[take_profit, stop_loss]) => {
                LabelRule::TripleBarrier { take_profit, stop_loss }
            }
            ("quartile", []) => LabelRule::Quartile,
            ("outcome", []) => LabelRule::Outcome,
            _ => return Err(unknown()),
        };
        rule.check()?;
        Ok(rule)
    }
}

/// Labels of one series, one entry a candle.
#[derive(Debug, Clone)]
pub struct Labels {
    /// Class of each candle, [`NO_CLASS`] where there is none.
    pub class: Vec<u8>,
    /// Exit price over entry price, less one; NaN where the horizon is not complete or no candle closed within it.
    pub forward_return: Vec<f64>,
    /// Instant at which the horizon ends (entry + horizon), of every candle.
    pub until_us: Vec<Micros>,
    /// Close of the last candle: how far the data reaches. `Micros::MIN` without candles.
    pub reached_us: Micros,
}

impl Labels {
    /// Labels whose horizon has passed, with a candle in it. Some of them may have no class: those within the
    /// warm-up of the volatility, and all of the quartile rule before [`Labels::assign`].
    pub fn settled(&self) -> usize {
        self.forward_return.iter().filter(|value| !value.is_nan()).count()
    }

    /// Labels whose horizon the data has not reached.
    pub fn pending(&self) -> usize {
        self.until_us.iter().filter(|until_us| **until_us > self.reached_us).count()
    }

    /// Gives every settled label the class of its quartile.
    pub fn assign(&mut self, cuts: &Cuts) {
        for (class, &forward_return) in self.class.iter_mut().zip(&self.forward_return) {
            *class = cuts.class(forward_return);
        }
    }
}

/// The quartiles of forward returns: what tells strong sell, sell, buy and strong buy apart.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cuts(pub [f64; 3]);

impl Cuts {
    /// Quartiles of the training part's forward returns, interpolated linearly between order statistics (numpy's
    /// default). NaN is left out; `None` with fewer than four values.
    pub fn fit(train_returns: &[f64]) -> Option<Cuts> {
        let mut returns: Vec<f64> =
            train_returns.iter().copied().filter(|value| value.is_finite()).collect();
        if returns.len() < 4 {
            return None;
        }
        quartiles(&mut returns).map(Cuts)
    }

    /// The quartile that a return lies in; a cut itself belongs below. [`NO_CLASS`] for NaN.
    pub fn class(&self, forward_return: f64) -> u8 {
        if forward_return.is_nan() {
            return NO_CLASS;
        }
        self.0.iter().map(|cut| u8::from(forward_return > *cut)).sum()
    }
}

/// How often each class occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ClassBalance {
    /// Samples of each class.
    pub counts: Vec<usize>,
    /// Samples in all.
    pub n: usize,
}

impl ClassBalance {
    /// Share of each class; `None` without samples.
    pub fn shares(&self) -> Option<Vec<f64>> {
        (self.n > 0).then(|| self.counts.iter().map(|&n| n as f64 / self.n as f64).collect())
    }
}

/// Counts the classes; [`NO_CLASS`] is left out.
pub fn class_balance(classes: &[u8], n_classes: usize) -> ClassBalance {
    // Four tables, so that a run of one class does not wait for its own counter.
    let mut tables = [[0usize; 256]; 4];
    for chunk in classes.chunks(4) {
        for (table, &class) in tables.iter_mut().zip(chunk) {
            table[usize::from(class)] += 1;
        }
    }
    let counts: Vec<usize> = (0..n_classes.min(usize::from(NO_CLASS)))
        .map(|class| tables.iter().map(|table| table[class]).sum())
        .collect();
    let n = counts.iter().sum();
    ClassBalance { counts, n }
}

/// A signal that has been settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PastSignal {
    /// Opening of the candle that it answers.
    pub candle_us: Micros,
    /// When its position was closed.
    pub closed_us: Micros,
    /// Whether it won; a breakeven did not.
    pub won: bool,
    /// Whether it lost; a breakeven did not.
    pub lost: bool,
}

/// Labels the candles that a signal answers by what became of it ([`LabelRule::Outcome`]): 0 loss, 1 win, and no class
/// elsewhere. The label ends when the position was closed. Signals that closed after the data do not exist yet; of several
/// on one candle the last counts.
pub fn of_signals(candles: &Candles, signals: &[PastSignal]) -> Labels {
    let bars = Bars::of(candles);
    let Horizons { mut until_us, reached_us, .. } = horizons(candles.timeframe(), &bars);
    let mut class = vec![NO_CLASS; bars.len()];
    for signal in signals.iter().filter(|signal| signal.closed_us <= reached_us) {
        if let Ok(row) = bars.open_at_us.binary_search(&signal.candle_us) {
            class[row] = u8::from(signal.won);
            until_us[row] = signal.closed_us;
        }
    }
    Labels { forward_return: vec![f64::NAN; class.len()], class, until_us, reached_us }
}

/// Labels every candle by `rule`; for [`LabelRule::Outcome`] there are none without signals. For [`LabelRule::Quartile`] the classes wait for [`Labels::assign`]: the cuts come
/// from training returns only.
pub fn label(candles: &Candles, rule: &LabelRule) -> Labels {
    let bars = Bars::of(candles);
    let Horizons { forward_return, until_us, reached_us } = horizons(candles.timeframe(), &bars);
    let class = match *rule {
        LabelRule::Fixed { threshold } => {
            forward_return.iter().map(|&value| direction(value, threshold)).collect()
        }
        LabelRule::Volatility { multiple } => {
            let scale = multiple * candles_in_horizon(candles.timeframe()).sqrt();
            let mut class = vec![NO_CLASS; bars.len()];
            let sigma = rolling_volatility(bars.close);
            for ((class, &value), sigma) in
                class.iter_mut().zip(&forward_return).skip(VOLATILITY_WINDOW).zip(sigma)
            {
                *class = direction(value, scale * sigma);
            }
            class
        }
        LabelRule::TripleBarrier { take_profit, stop_loss } => {
            let levels = Levels { stop_loss: Some(stop_loss), take_profit: Some(take_profit) };
            triple_barrier(&bars, &forward_return, &until_us, levels)
        }
        LabelRule::Quartile | LabelRule::Outcome => vec![NO_CLASS; bars.len()],
    };
    Labels { class, forward_return, until_us, reached_us }
}

/// The horizon in candles, as a number: 30 days are 4.29 weekly candles.
pub fn candles_in_horizon(timeframe: Timeframe) -> f64 {
    timeframe.horizon_us() as f64 / timeframe.nominal_us() as f64
}

#[inline]
fn direction(forward_return: f64, threshold: f64) -> u8 {
    let class = HOLD + u8::from(forward_return > threshold) - u8::from(forward_return < -threshold);
    if forward_return.is_nan() { NO_CLASS } else { class }
}

struct Horizons {
    forward_return: Vec<f64>,
    until_us: Vec<Micros>,
    reached_us: Micros,
}

/// Rows whose exits are looked for together.
const BLOCK: usize = 128;

/// Exits of all candles by two pointers: both entry and exit only move forward.
fn horizons(timeframe: Timeframe, bars: &Bars<'_>) -> Horizons {
    // All but months last equally long, so that their closes are in the order and distance of their openings.
    let (clock, shift_us): (Cow<'_, [Micros]>, Micros) = match timeframe {
        Timeframe::Month1 => {
            (bars.open_at_us.iter().map(|&at_us| timeframe.close_at(at_us)).collect(), 0)
        }
        _ => (Cow::Borrowed(bars.open_at_us), timeframe.nominal_us()),
    };
    let (clock, close) = (clock.as_ref(), bars.close);
    let n = clock.len();
    let horizon_us = timeframe.horizon_us();
    let mut forward_return = vec![0.0; n];
    let mut until_us = vec![0; n];
    let Some(&last) = clock.last() else {
        return Horizons { forward_return, until_us, reached_us: Micros::MIN };
    };
    // Zeroed memory costs nothing until it is touched: each block is written once, while it is in the cache.
    let n_reached = clock.partition_point(|entry| entry + horizon_us <= last);
    let ahead = usize::try_from(horizon_us / timeframe.nominal_us()).expect("a few candles");
    let mut exit = 0;
    for from in (0..n).step_by(BLOCK) {
        let to = (from + BLOCK).min(n);
        let entered = &clock[from..to];
        for (until, entry) in until_us[from..to].iter_mut().zip(entered) {
            *until = entry + shift_us + horizon_us;
        }
        let to = to.min(n_reached.max(from));
        let out = &mut forward_return[from..to];
        // Without a hole the exit is so many candles on, and the clock says so exactly: a block at a time.
        if let Some(exits) = clock.get(from + ahead..to + ahead)
            && std::iter::zip(exits, entered)
                .fold(true, |all, (exit, entry)| all & (exit - entry == horizon_us))
        {
            for ((out, exit), entry) in
                out.iter_mut().zip(&close[from + ahead..to + ahead]).zip(&close[from..to])
            {
                *out = exit / entry - 1.0;
            }
            continue;
        }
        for (row, out) in (from..to).zip(out) {
            let until = clock[row] + horizon_us;
            exit = exit.max(row);
            while exit + 1 < n && clock[exit + 1] <= until {
                exit += 1;
            }
            *out = if exit > row { close[exit] / close[row] - 1.0 } else { f64::NAN };
        }
    }
    forward_return[n_reached..].fill(f64::NAN);
    Horizons { forward_return, until_us, reached_us: last + shift_us }
}

/// Sample standard deviation of the last [`VOLATILITY_WINDOW`] one-candle log returns, from row
/// [`VOLATILITY_WINDOW`] on. Each window is summed anew: a running sum would remember where the history began.
fn rolling_volatility(close: &[f64]) -> impl Iterator<Item = f64> {
    let logs: Vec<f64> = close.iter().map(|price| price.ln()).collect();
    let returns: Vec<f64> = logs.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let n = close.len().saturating_sub(VOLATILITY_WINDOW);
    (0..n).map(move |from| sample_sd(&returns[from..from + VOLATILITY_WINDOW]))
}

/// Sums in twelve lanes, five deep: fast, and in an order that does not depend on where the window lies.
fn sample_sd(values: &[f64]) -> f64 {
    const LANES: usize = 12;
    fn sum(values: &[f64], of: impl Fn(f64) -> f64) -> f64 {
        let mut lanes = [0.0; LANES];
        for chunk in values.as_chunks::<LANES>().0 {
            for (lane, &value) in lanes.iter_mut().zip(chunk) {
                *lane += of(value);
            }
        }
        lanes.iter().sum()
    }
    const { assert!(VOLATILITY_WINDOW.is_multiple_of(LANES), "no value is left over") };
    let n = values.len() as f64;
    let mean = sum(values, |value| value) / n;
    (sum(values, |value| (value - mean) * (value - mean)) / (n - 1.0)).sqrt()
}

fn triple_barrier(
    bars: &Bars<'_>,
    forward_return: &[f64],
    until_us: &[Micros],
    levels: Levels,
) -> Vec<u8> {
    let reached = |row: usize, side: Side| {
        let at = levels.prices(side, bars.close[row]);
        bars.first_exit(row + 1, side, at, until_us[row])
            .filter(|exit| exit.reason == ExitReason::Target)
            .map(|exit| exit.row)
    };
    (0..bars.len())
        .map(|row| {
            if forward_return[row].is_nan() {
                return NO_CLASS;
            }
            match (reached(row, Side::Buy), reached(row, Side::Sell)) {
                (Some(buy), Some(sell)) if buy < sell => BUY,
                (Some(buy), Some(sell)) if sell < buy => SELL,
                (Some(_), None) => BUY,
                (None, Some(_)) => SELL,
                _ => HOLD,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
