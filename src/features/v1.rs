//! Feature set `v1`: the table that declares its 38 columns, and the one pass that fills them.
//!
//! Order of work: a block of rows at a time, windows and averages into lanes that stay in cache, then the columns in
//! the order of the table. Degenerate candles have defined values, named in the table; nothing is NaN after its warm-up.
//! Plain slices in and out: no frames here, and no calendar beyond the clock.

#![allow(
    clippy::needless_range_loop,
    reason = "lanes go by one row number, and the rows before it are read too"
)]

use std::{f64::consts::TAU, sync::LazyLock};

use super::{
    Feature, FeatureSet,
    recursive::Recursive,
    windows::{self, BLOCK, Ladder, Lane, Moments, REACH, greater, join, join_means, smaller},
};

const fn feature(name: &'static str, warm_up: usize, definition: &'static str) -> Feature {
    Feature { name, definition, warm_up }
}

/// 38 columns, free of scale. TA-Lib names in capitals; ATR is ATR(14), at least 1e-6 of the close where it divides.
pub static V1: FeatureSet = FeatureSet {
    name: "v1",
    features: &[
        feature("log_return_1", 1, "ln(close / close 1 candle before)"),
        feature("log_return_2", 2, "ln(close / close 2 candles before)"),
        feature("log_return_3", 3, "ln(close / close 3 candles before)"),
        feature("log_return_6", 6, "ln(close / close 6 candles before)"),
        feature("log_return_12", 12, "ln(close / close 12 candles before)"),
        feature("log_return_24", 24, "ln(close / close 24 candles before)"),
        feature("sma_10_atr", 14, "(close - SMA(10)) / ATR"),
        feature("sma_20_atr", 19, "(close - SMA(20)) / ATR"),
        feature("sma_50_atr", 49, "(close - SMA(50)) / ATR"),
        feature("ema_10_atr", 14, "(close - EMA(10)) / ATR"),
        feature("ema_20_atr", 19, "(close - EMA(20)) / ATR"),
        feature("ema_50_atr", 49, "(close - EMA(50)) / ATR"),
        feature("rsi_14", 14, "RSI(14), 0 to 100; 0 where the price never moved"),
        feature("macd_atr", 33, "line of MACD(12, 26, 9) / ATR"),
        feature("macd_signal_atr", 33, "signal of MACD(12, 26, 9) / ATR"),
        feature("macd_histogram_atr", 33, "histogram of MACD(12, 26, 9) / ATR"),
        feature(
            "bollinger_b",
            19,
            "(close - lower) / (upper - lower) of BBANDS(20, 2, 2); 0.5 where they meet",
        ),
        feature("bollinger_width", 19, "(upper - lower) / middle of BBANDS(20, 2, 2)"),
        feature("atr_close", 14, "ATR(14) / close"),
        feature("stoch_k", 15, "slow %K of STOCH(14, 3, 3), 0 to 100; a range of zero counts as 0"),
        feature("stoch_d", 17, "slow %D of STOCH(14, 3, 3), 0 to 100"),
        feature("adx_14", 27, "ADX(14), 0 to 100"),
        feature("plus_di_14", 14, "PLUS_DI(14), 0 to 100; 0 where the price never moved"),
        feature("minus_di_14", 14, "MINUS_DI(14), 0 to 100; 0 where the price never moved"),
        feature("cci_20", 19, "CCI(20); 0 where the typical price stood still but for rounding"),
        feature("williams_r_14", 13, "WILLR(14), -100 to 0; 0 where the range is zero"),
        feature("roc_10", 10, "ROC(10), per cent"),
        feature("volatility_10", 10, "sd (n - 1) of the last 10 log returns of one candle"),
        feature("volatility_60", 60, "sd (n - 1) of the last 60 log returns of one candle"),
        feature(
            "volatility_ratio",
            60,
            "volatility_10 / volatility_60; 1 where the latter is zero",
        ),
        feature("body_share", 0, "(close - open) / (high - low); 0 where the range is zero"),
        feature(
            "upper_wick_share",
            0,
            "(high - max(open, close)) / (high - low); 0 where the range is zero",
        ),
        feature(
            "lower_wick_share",
            0,
            "(min(open, close) - low) / (high - low); 0 where the range is zero",
        ),
        feature(
            "volume_z_20",
            19,
            "(volume - mean) / sd (n - 1) of the last 20; exactly 0 where they are equal",
        ),
        feature(
            "hour_sin",
            0,
            "sine of the time of day (UTC) at which the candle closes: the decision's",
        ),
        feature("hour_cos", 0, "cosine of the same"),
        feature(
            "weekday_sin",
            0,
            "sine of the day of the week (UTC, Monday 0) in which the candle closes",
        ),
        feature("weekday_cos", 0, "cosine of the same"),
    ],
    // The slowest to forget is EMA(50): (49/51)^490 is 3e-9 of what the price moved before, in ATRs.
    warm_up: 540,
};

/// The columns of a series. Closing instants are `at_us[row] + to_close_us`, microseconds UTC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Series<'a> {
    pub(super) at_us: &'a [i64],
    pub(super) to_close_us: i64,
    pub(super) open: &'a [f64],
    pub(super) high: &'a [f64],
    pub(super) low: &'a [f64],
    pub(super) close: &'a [f64],
    pub(super) volume: &'a [f64],
}

/// The columns of [`V1`] over a series, in the order of the table. What `columns` holds is replaced, its memory kept.
pub(super) fn compute(series: &Series<'_>, columns: &mut Vec<Vec<f64>>) {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx2") {
        #[allow(
            unsafe_code,
            reason = "compiling for a CPU that was asked is only possible this way"
        )]
        // SAFETY: the CPU has said that it knows AVX2.
        return unsafe { compute_avx2(series, columns) };
    }
    compute_blocks(series, columns);
}

/// Wider registers, the same additions in the same order: equal to the plain build bit for bit.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn compute_avx2(series: &Series<'_>, columns: &mut Vec<Vec<f64>>) {
    compute_blocks(series, columns);
}

#[inline(always)]
pub(super) fn compute_blocks(series: &Series<'_>, columns: &mut Vec<Vec<f64>>) {
    let n_rows = series.close.len();
    columns.resize_with(V1.features.len(), Vec::new);
    for column in columns.iter_mut() {
        column.clear();
        column.reserve_exact(n_rows);
    }
    let mut lanes = Lanes::new();
    let mut start = 0;
    while start < n_rows {
        let end = n_rows.min(start + BLOCK);
        let low = start.saturating_sub(REACH);
        lanes.fill(series, low, start - low, end - low);
        lanes.emit(
            series,
            low,
            Block { columns, values: LANE, next: 0, from: start - low, n: end - low },
        );
        start = end;
    }
    for (column, feature) in columns.iter_mut().zip(V1.features) {
        column[..feature.warm_up.min(n_rows)].fill(f64::NAN);
    }
}

const LANE: Lane = [0.0; REACH + BLOCK];

/// What one block is made of. Row `j` of a lane is row `low + j` of the series.
struct Lanes {
    ladder: Ladder,
    joined: [Moments; 3],
    recursive: Recursive,
    log_close: Lane,
    n_logs: usize,
    log_return: Lane,
    typical: Lane,
    sma_10: Lane,
    sma_20: Lane,
    sma_50: Lane,
    sd_20: Lane,
    volatility_10: Lane,
    volatility_60: Lane,
    volume_z: Lane,
    cci: Lane,
    highest: Lane,
    lowest: Lane,
    fast_k: Lane,
    slow_k: Lane,
    slow_d: Lane,
    clock: [Lane; 4],
    spare: Lane,
}

/// Where a block's part of each column goes, in the order of the table.
struct Block<'a> {
    columns: &'a mut [Vec<f64>],
    values: Lane,
    next: usize,
    from: usize,
    n: usize,
}

impl Block<'_> {
    /// Appends the block's rows to the next column.
    #[inline(always)]
    fn push(&mut self, value: impl Fn(usize) -> f64) {
        let (from, n) = (self.from, self.n);
        assert!(n <= REACH + BLOCK);
        // Through a lane: a loop over what is in cache becomes vector code, appending one by one does not.
        for row in from..n {
            self.values[row] = value(row);
        }
        self.columns[self.next].extend_from_slice(&self.values[from..n]);
        self.next += 1;
    }
}

impl Lanes {
    fn new() -> Self {
        Lanes {
            ladder: Ladder::ZERO,
            joined: [Moments::ZERO; 3],
            recursive: Recursive::new(),
            log_close: LANE,
            n_logs: 0,
            log_return: LANE,
            typical: LANE,
            sma_10: LANE,
            sma_20: LANE,
            sma_50: LANE,
            sd_20: LANE,
            volatility_10: LANE,
            volatility_60: LANE,
            volume_z: LANE,
            cci: LANE,
            highest: LANE,
            lowest: LANE,
            fast_k: LANE,
            slow_k: LANE,
            slow_d: LANE,
            clock: [LANE; 4],
            spare: LANE,
        }
    }

    #[inline(always)]
    fn fill(&mut self, series: &Series<'_>, low: usize, from: usize, n: usize) {
        self.recursive.advance(series, low, from, n);
        self.closes(&series.close[low..low + n], n);
        self.returns(&series.close[low..low + n], from, n);
        self.volumes(&series.volume[low..low + n], n);
        self.typical_prices(series, low, n);
        self.ranges(series, low, n);
        self.clocks(series, low, from, n);
    }

    #[inline(always)]
    fn closes(&mut self, close: &[f64], n: usize) {
        self.spare[..n].copy_from_slice(close);
        let ladder = &mut self.ladder;
        ladder.climb_to_16(&self.spare, n);
        ladder.climb_to_32(n);
        join_means::<8, 2>(&ladder.eight.mean, &ladder.two.mean, &mut self.sma_10, n);
        join_means::<32, 16>(&ladder.thirty_two.mean, &ladder.sixteen.mean, &mut self.spare, n);
        join_means::<48, 2>(&self.spare, &ladder.two.mean, &mut self.sma_50, n);
        let [twenty, ..] = &mut self.joined;
        join::<16, 4>(&ladder.sixteen, &ladder.four, twenty, n);
        self.sma_20[..n].copy_from_slice(&twenty.mean[..n]);
        for row in 0..n {
            self.sd_20[row] = (twenty.deviation[row] * (1.0 / 20.0)).sqrt();
        }
    }

    #[inline(always)]
    fn returns(&mut self, close: &[f64], from: usize, n: usize) {
        if from > 0 {
            // The logarithms of the reach are those that ended the block before.
            self.log_close.copy_within(self.n_logs - from..self.n_logs, 0);
        }
        self.n_logs = n;
        for row in from..n {
            self.log_close[row] = close[row].ln();
        }
        for row in 1..n {
            self.log_return[row] = self.log_close[row] - self.log_close[row - 1];
        }
        let ladder = &mut self.ladder;
        ladder.climb_to_16(&self.log_return, n);
        ladder.climb_to_32(n);
        let [ten, left, right] = &mut self.joined;
        join::<8, 2>(&ladder.eight, &ladder.two, ten, n);
        for row in 0..n {
            self.volatility_10[row] = (ten.deviation[row] * (1.0 / 9.0)).sqrt();
        }
        join::<32, 16>(&ladder.thirty_two, &ladder.sixteen, left, n);
        join::<8, 4>(&ladder.eight, &ladder.four, right, n);
        join::<48, 12>(left, right, ten, n);
        for row in 0..n {
            self.volatility_60[row] = (ten.deviation[row] * (1.0 / 59.0)).sqrt();
        }
    }

    #[inline(always)]
    fn volumes(&mut self, volume: &[f64], n: usize) {
        self.spare[..n].copy_from_slice(volume);
        self.ladder.climb_to_16(&self.spare, n);
        let [twenty, ..] = &mut self.joined;
        join::<16, 4>(&self.ladder.sixteen, &self.ladder.four, twenty, n);
        for row in 0..n {
            let variance = twenty.deviation[row] * (1.0 / 19.0);
            let z = (volume[row] - twenty.mean[row]) / variance.sqrt();
            self.volume_z[row] = if variance > 0.0 { z } else { 0.0 };
        }
    }

    #[inline(always)]
    fn typical_prices(&mut self, series: &Series<'_>, low: usize, n: usize) {
        let highs = &series.high[low..low + n];
        let lows = &series.low[low..low + n];
        let closes = &series.close[low..low + n];
        for row in 0..n {
            self.typical[row] = (highs[row] + lows[row] + closes[row]) * (1.0 / 3.0);
        }
        self.ladder.climb_to_16(&self.typical, n);
        let [twenty, ..] = &mut self.joined;
        join_means::<16, 4>(&self.ladder.sixteen.mean, &self.ladder.four.mean, &mut twenty.mean, n);
        windows::distance_20(&self.typical, &twenty.mean, &mut self.spare, n);
        for row in 0..n {
            let distance = self.spare[row];
            // Below this, the distances are the rounding of equal prices.
            let moved = distance > 1e-13 * twenty.mean[row];
            let index = (self.typical[row] - twenty.mean[row]) / (distance * (0.015 / 20.0));
            self.cci[row] = if moved { index } else { 0.0 };
        }
    }

    #[inline(always)]
    fn ranges(&mut self, series: &Series<'_>, low: usize, n: usize) {
        let close = &series.close[low..low + n];
        windows::extreme_14(
            &series.high[low..low + n],
            &mut self.spare,
            &mut self.highest,
            greater,
        );
        windows::extreme_14(&series.low[low..low + n], &mut self.spare, &mut self.lowest, smaller);
        for row in 0..n {
            let range = self.highest[row] - self.lowest[row];
            let place = 100.0 * (close[row] - self.lowest[row]) / range;
            self.fast_k[row] = if range > 0.0 { place } else { 0.0 };
        }
        mean_of_3(&self.fast_k, &mut self.slow_k, n);
        mean_of_3(&self.slow_k, &mut self.slow_d, n);
    }

    #[inline(always)]
    fn clocks(&mut self, series: &Series<'_>, low: usize, from: usize, n: usize) {
        let at_us = &series.at_us[low..low + n];
        let clock = &*CLOCK;
        let [hour_sin, hour_cos, weekday_sin, weekday_cos] = &mut self.clock;
        for row in from..n {
            let minute = (at_us[row] + series.to_close_us).div_euclid(MINUTE_US);
            let day = minute.div_euclid(MINUTES_A_DAY);
            [hour_sin[row], hour_cos[row]] = clock.day[(minute - day * MINUTES_A_DAY) as usize];
            // The epoch was a Thursday.
            [weekday_sin[row], weekday_cos[row]] = clock.week[(day + 3).rem_euclid(7) as usize];
        }
    }

    /// The block's rows of every column, in the order of [`V1`].
    #[inline(always)]
    fn emit(&mut self, series: &Series<'_>, low: usize, mut block: Block<'_>) {
        let n = block.n;
        let open = &series.open[low..low + n];
        let high = &series.high[low..low + n];
        let lows = &series.low[low..low + n];
        let close = &series.close[low..low + n];
        let recursive = &self.recursive;

        let log_close = &self.log_close;
        let log_return = |lag: usize| {
            // In the first block the rows before `lag` have no meaning yet, whichever row they are held against.
            move |row: usize| log_close[row] - log_close[row.saturating_sub(lag)]
        };
        block.push(log_return(1));
        block.push(log_return(2));
        block.push(log_return(3));
        block.push(log_return(6));
        block.push(log_return(12));
        block.push(log_return(24));

        let per_atr = &mut self.spare;
        for row in block.from..n {
            per_atr[row] = 1.0 / greater(recursive.atr[row], 1e-6 * close[row]);
        }
        let per_atr = &*per_atr;
        for average in [
            &self.sma_10,
            &self.sma_20,
            &self.sma_50,
            &recursive.ema_10,
            &recursive.ema_20,
            &recursive.ema_50,
        ] {
            block.push(|row| (close[row] - average[row]) * per_atr[row]);
        }
        block.push(|row| {
            let moved = recursive.gain[row] + recursive.loss[row];
            let strength = 100.0 * recursive.gain[row] / moved;
            if moved > 0.0 { strength } else { 0.0 }
        });
        block.push(|row| recursive.macd[row] * per_atr[row]);
        block.push(|row| recursive.signal[row] * per_atr[row]);
        block.push(|row| (recursive.macd[row] - recursive.signal[row]) * per_atr[row]);
        block.push(|row| {
            let sd = self.sd_20[row];
            let place = 0.5 + 0.25 * (close[row] - self.sma_20[row]) / sd;
            if sd > 0.0 { place } else { 0.5 }
        });
        block.push(|row| 4.0 * self.sd_20[row] / self.sma_20[row]);
        block.push(|row| recursive.atr[row] / close[row]);

        block.push(|row| self.slow_k[row]);
        block.push(|row| self.slow_d[row]);
        block.push(|row| recursive.adx[row]);
        block.push(|row| recursive.plus_di[row]);
        block.push(|row| recursive.minus_di[row]);
        block.push(|row| self.cci[row]);
        block.push(|row| {
            let range = self.highest[row] - self.lowest[row];
            let place = -100.0 * (self.highest[row] - close[row]) / range;
            if range > 0.0 { place } else { 0.0 }
        });
        block.push(|row| 100.0 * (close[row] / close[row.saturating_sub(10)] - 1.0));

        block.push(|row| self.volatility_10[row]);
        block.push(|row| self.volatility_60[row]);
        block.push(|row| {
            let ratio = self.volatility_10[row] / self.volatility_60[row];
            if self.volatility_60[row] > 0.0 { ratio } else { 1.0 }
        });

        let share = |row: usize, part: f64| {
            let range = high[row] - lows[row];
            if range > 0.0 { part / range } else { 0.0 }
        };
        block.push(|row| share(row, close[row] - open[row]));
        block.push(|row| share(row, high[row] - greater(open[row], close[row])));
        block.push(|row| share(row, smaller(open[row], close[row]) - lows[row]));
        block.push(|row| self.volume_z[row]);

        for lane in &self.clock {
            block.push(|row| lane[row]);
        }
        debug_assert_eq!(block.next, V1.features.len());
    }
}

#[inline(always)]
fn mean_of_3(values: &Lane, out: &mut Lane, n: usize) {
    assert!(n <= out.len());
    for row in 2..n {
        out[row] = (values[row] + values[row - 1] + values[row - 2]) * (1.0 / 3.0);
    }
}

const MINUTE_US: i64 = 60_000_000;
const MINUTES_A_DAY: i64 = 1440;

/// Sine and cosine of every minute of the day, and of every day of the week from Monday.
struct Clock {
    day: [[f64; 2]; 1440],
    week: [[f64; 2]; 7],
}

static CLOCK: LazyLock<Clock> = LazyLock::new(|| {
    let turn = |part: usize, whole: usize| {
        let (sin, cos) = (TAU * part as f64 / whole as f64).sin_cos();
        [sin, cos]
    };
    Clock {
        day: std::array::from_fn(|minute| turn(minute, 1440)),
        week: std::array::from_fn(|day| turn(day, 7)),
    }
});
