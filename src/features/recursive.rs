//! What remembers everything with a fading weight: exponential and Wilder averages, row by row.
//!
//! Start-up is TA-Lib's: an EMA is seeded with the plain mean, Wilder's averages with theirs, MACD's fast EMA at the
//! row where the slow one is. Not here: windows that forget (`windows`).

#![allow(
    clippy::needless_range_loop,
    reason = "lanes go by one row number, and the rows before it are read too"
)]

use super::{
    v1::Series,
    windows::{BLOCK, Lane, REACH, greater},
};

/// Period of Wilder's averages: RSI, ATR, ADX and the DIs.
const WILDER: usize = 14;
const FAST: usize = 12;
const SLOW: usize = 26;
const SIGNAL: usize = 9;
/// From this row on every average has its seed.
const SEEDED: usize = 50;
// The first block alone seeds, and its sums are taken over the rows before.
const _: () = assert!(SEEDED >= SLOW + SIGNAL && SEEDED >= 2 * WILDER && SEEDED <= BLOCK);

/// The averages as of the last row.
#[derive(Debug, Clone, Default)]
struct Averages {
    ema_10: f64,
    ema_20: f64,
    ema_50: f64,
    fast: f64,
    slow: f64,
    signal: f64,
    gain: f64,
    loss: f64,
    atr: f64,
    plus: f64,
    minus: f64,
    range: f64,
    adx: f64,
}

/// The averages over one block, and what they are made of. Row `j` of a lane is row `j` of the block's reach.
#[derive(Debug, Clone)]
pub(super) struct Recursive {
    now: Averages,
    up: Lane,
    down: Lane,
    plus_move: Lane,
    minus_move: Lane,
    true_range: Lane,
    plus: Lane,
    minus: Lane,
    range: Lane,
    pub(super) ema_10: Lane,
    pub(super) ema_20: Lane,
    pub(super) ema_50: Lane,
    pub(super) macd: Lane,
    pub(super) signal: Lane,
    pub(super) gain: Lane,
    pub(super) loss: Lane,
    pub(super) atr: Lane,
    pub(super) plus_di: Lane,
    pub(super) minus_di: Lane,
    pub(super) adx: Lane,
}

#[inline(always)]
fn ema(last: &mut f64, value: f64, period: usize) {
    *last += (value - *last) * (2.0 / (period as f64 + 1.0));
}

#[inline(always)]
fn wilder_mean(last: &mut f64, value: f64) {
    *last = *last * ((WILDER - 1) as f64 / WILDER as f64) + value * (1.0 / WILDER as f64);
}

#[inline(always)]
fn wilder_sum(last: &mut f64, value: f64) {
    *last = *last * ((WILDER - 1) as f64 / WILDER as f64) + value;
}

/// The mean, taken around the first value: exactly that value where all are equal.
fn mean(values: &[f64]) -> f64 {
    let offset: f64 = values.iter().map(|value| value - values[0]).sum();
    values[0] + offset / values.len() as f64
}

impl Recursive {
    pub(super) fn new() -> Self {
        const LANE: Lane = [0.0; REACH + BLOCK];
        Recursive {
            now: Averages::default(),
            up: LANE,
            down: LANE,
            plus_move: LANE,
            minus_move: LANE,
            true_range: LANE,
            plus: LANE,
            minus: LANE,
            range: LANE,
            ema_10: LANE,
            ema_20: LANE,
            ema_50: LANE,
            macd: LANE,
            signal: LANE,
            gain: LANE,
            loss: LANE,
            atr: LANE,
            plus_di: LANE,
            minus_di: LANE,
            adx: LANE,
        }
    }

    /// Moves on over the rows `from..n` of a block whose reach begins at row `low` of the series.
    #[inline(always)]
    pub(super) fn advance(&mut self, series: &Series<'_>, low: usize, from: usize, n: usize) {
        assert!(from <= n && n <= REACH + BLOCK);
        let high_low = (&series.high[low..low + n], &series.low[low..low + n]);
        let close = &series.close[low..low + n];
        self.movements(high_low, close, from, n);
        // The first block starts the averages; from row SEEDED on no row asks how they began.
        let seeded = if low == 0 { SEEDED.min(n) } else { from };
        if low == 0 {
            self.start(close, seeded);
        }
        for row in seeded..n {
            self.step(row, close[row]);
        }
        self.directions(from, n);
        if low == 0 {
            self.start_adx(seeded);
        }
        for row in seeded..n {
            wilder_mean(&mut self.now.adx, self.adx[row]);
            self.adx[row] = self.now.adx;
        }
    }

    /// Gains, losses, directional movements and true ranges of the rows `from..n`; the very first row has none.
    #[inline(always)]
    fn movements(&mut self, (high, low): (&[f64], &[f64]), close: &[f64], from: usize, n: usize) {
        let (high, low, close) = (&high[..n], &low[..n], &close[..n]);
        for row in from.max(1)..n {
            let change = close[row] - close[row - 1];
            self.up[row] = greater(change, 0.0);
            self.down[row] = greater(-change, 0.0);
            let rise = high[row] - high[row - 1];
            let fall = low[row - 1] - low[row];
            self.plus_move[row] = if rise > greater(fall, 0.0) { rise } else { 0.0 };
            self.minus_move[row] = if fall > greater(rise, 0.0) { fall } else { 0.0 };
            let above = (high[row] - close[row - 1]).abs();
            let below = (low[row] - close[row - 1]).abs();
            self.true_range[row] = greater(high[row] - low[row], greater(above, below));
        }
    }

    #[inline(always)]
    fn step(&mut self, row: usize, close: f64) {
        let now = &mut self.now;
        ema(&mut now.ema_10, close, 10);
        ema(&mut now.ema_20, close, 20);
        ema(&mut now.ema_50, close, 50);
        ema(&mut now.fast, close, FAST);
        ema(&mut now.slow, close, SLOW);
        ema(&mut now.signal, now.fast - now.slow, SIGNAL);
        wilder_mean(&mut now.gain, self.up[row]);
        wilder_mean(&mut now.loss, self.down[row]);
        wilder_mean(&mut now.atr, self.true_range[row]);
        wilder_sum(&mut now.plus, self.plus_move[row]);
        wilder_sum(&mut now.minus, self.minus_move[row]);
        wilder_sum(&mut now.range, self.true_range[row]);
        self.store(row);
    }

    #[inline(always)]
    fn store(&mut self, row: usize) {
        let now = &self.now;
        self.ema_10[row] = now.ema_10;
        self.ema_20[row] = now.ema_20;
        self.ema_50[row] = now.ema_50;
        self.macd[row] = now.fast - now.slow;
        self.signal[row] = now.signal;
        self.gain[row] = now.gain;
        self.loss[row] = now.loss;
        self.atr[row] = now.atr;
        self.plus[row] = now.plus;
        self.minus[row] = now.minus;
        self.range[row] = now.range;
    }

    /// The rows before every average is seeded: each gets its seed at its own row. What stands before is not shown.
    fn start(&mut self, close: &[f64], seeded: usize) {
        for row in 0..seeded {
            self.step(row, close[row]);
            let first = |period: usize| mean(&close[row + 1 - period..=row]);
            match row + 1 {
                10 => self.now.ema_10 = first(10),
                20 => self.now.ema_20 = first(20),
                50 => self.now.ema_50 = first(50),
                SLOW => (self.now.fast, self.now.slow) = (first(FAST), first(SLOW)),
                WILDER => {
                    // Sums over one movement less than the period, as in TA-Lib's ADX and DI.
                    self.now.plus = self.plus_move[1..=row].iter().sum();
                    self.now.minus = self.minus_move[1..=row].iter().sum();
                    self.now.range = self.true_range[1..=row].iter().sum();
                }
                15 => {
                    self.now.gain = mean(&self.up[1..=row]);
                    self.now.loss = mean(&self.down[1..=row]);
                    self.now.atr = mean(&self.true_range[1..=row]);
                }
                _ => {}
            }
            self.store(row);
            if row + 1 == SLOW - 1 + SIGNAL {
                self.now.signal = mean(&self.macd[row + 1 - SIGNAL..=row]);
                self.store(row);
            }
        }
    }

    /// ±DI in per cent of the true range, and, for now in the place of the ADX, their index DX.
    #[inline(always)]
    fn directions(&mut self, from: usize, n: usize) {
        assert!(n <= REACH + BLOCK);
        for row in from..n {
            // TA-Lib: no range, no direction.
            let per_range = if self.range[row] > 0.0 { 100.0 / self.range[row] } else { 0.0 };
            let (plus, minus) = (self.plus[row] * per_range, self.minus[row] * per_range);
            let (apart, both) = ((plus - minus).abs(), plus + minus);
            self.plus_di[row] = plus;
            self.minus_di[row] = minus;
            self.adx[row] = if both > 0.0 { 100.0 * apart / both } else { 0.0 };
        }
    }

    /// The ADX begins as the mean of the first 14 DX.
    fn start_adx(&mut self, seeded: usize) {
        for row in 0..seeded {
            match row + 1 {
                28 => self.now.adx = mean(&self.adx[WILDER..2 * WILDER]),
                29.. => wilder_mean(&mut self.now.adx, self.adx[row]),
                _ => continue,
            }
            self.adx[row] = self.now.adx;
        }
    }
}
