//! The rules to beat: the majority class, and an indicator rule (MACD cross with RSI filter).
//!
//! Main types: [`Majority`], [`Indicator`]. Both answer with probabilities, learned from training labels alone, so that
//! they can be compared with a model on the same samples. Invariant: causal, as features are. Not here: the
//! comparison (`evaluate`, `gate`).

use crate::market::Candles;

/// Answers every sample with the class shares of the training part.
#[derive(Debug, Clone, PartialEq)]
pub struct Majority {
    shares: Vec<f64>,
}

impl Majority {
    /// Learns the shares from the training part's classes, each below `n_classes`; `None` without samples.
    pub fn fit(train_classes: &[u8], n_classes: usize) -> Option<Majority> {
        let counts = count(train_classes.iter().copied(), n_classes);
        let n: f64 = counts.iter().sum();
        (n > 0.0).then(|| Majority { shares: counts.iter().map(|count| count / n).collect() })
    }

    /// Share of each class in training: the probabilities of every answer.
    pub fn shares(&self) -> &[f64] {
        &self.shares
    }

    /// The most frequent class; the first of equals.
    pub fn class(&self) -> u8 {
        let best = (1..self.shares.len()).fold(0, |best, class| {
            if self.shares[class] > self.shares[best] { class } else { best }
        });
        u8::try_from(best).expect("classes are numbered in a u8")
    }

    /// The answers to `n_samples`, `[n_samples, n_classes]` row-major.
    pub fn probabilities(&self, n_samples: usize) -> Vec<f64> {
        self.shares.repeat(n_samples)
    }
}

/// Answers with the class shares that followed the same signal of [`indicator_signals`] in training.
#[derive(Debug, Clone, PartialEq)]
pub struct Indicator {
    /// After sell, none and buy.
    shares: [Vec<f64>; 3],
}

impl Indicator {
    /// Learns from the training part's signals (-1, 0, +1) and classes; `None` without samples.
    ///
    /// Shares after a rare signal are drawn towards those of all samples, by as many samples as there are classes.
    ///
    /// # Panics
    /// When the two differ in length.
    pub fn fit(train_signals: &[i8], train_classes: &[u8], n_classes: usize) -> Option<Indicator> {
        assert_eq!(train_signals.len(), train_classes.len(), "one signal a sample");
        let prior = Majority::fit(train_classes, n_classes)?;
        let pseudo = n_classes as f64;
        let shares = [-1, 0, 1].map(|signal| {
            let of_signal = train_signals.iter().zip(train_classes);
            let after = of_signal.filter(|(s, _)| s.signum() == signal).map(|(_, class)| *class);
            let counts = count(after, n_classes);
            let n: f64 = counts.iter().sum();
            let smoothed = counts.iter().zip(&prior.shares);
            smoothed.map(|(count, prior)| (count + pseudo * prior) / (n + pseudo)).collect()
        });
        Some(Indicator { shares })
    }

    /// The answers to samples with these signals, `[n_samples, n_classes]` row-major.
    pub fn probabilities(&self, signals: &[i8]) -> Vec<f64> {
        let rows = signals.iter().flat_map(|signal| match signal.signum() {
            -1 => &self.shares[0],
            0 => &self.shares[1],
            _ => &self.shares[2],
        });
        rows.copied().collect()
    }
}

fn count(classes: impl Iterator<Item = u8>, n_classes: usize) -> Vec<f64> {
    let mut counts = vec![0.0; n_classes];
    for class in classes {
        counts[usize::from(class)] += 1.0;
    }
    counts
}

const FAST: usize = 12;
const SLOW: usize = 26;
const SIGNAL: usize = 9;
const RSI: usize = 14;
const OVERBOUGHT: f64 = 70.0;
const OVERSOLD: f64 = 30.0;

/// The indicator rule at each candle's close: +1 where MACD(12, 26, 9) crosses above its signal line while RSI(14) is
/// below 70, -1 where it crosses below while RSI is above 30, else 0; 0 as well before both are defined.
///
/// TA-Lib's definitions and start-up: EMA seeded with the SMA, Wilder's smoothing in RSI.
pub fn indicator_signals(candles: &Candles) -> Vec<i8> {
    let close = candles.close();
    let histogram = macd_histogram(close);
    let strength = rsi(close);
    let mut signals = vec![0; close.len()];
    for row in SLOW + SIGNAL - 1..close.len() {
        let (before, now) = (histogram[row - 1], histogram[row]);
        signals[row] = if before <= 0.0 && now > 0.0 && strength[row] < OVERBOUGHT {
            1
        } else if before >= 0.0 && now < 0.0 && strength[row] > OVERSOLD {
            -1
        } else {
            0
        };
    }
    signals
}

/// Exponential mean of `values` from row `first` on, seeded there with the plain mean of the `period` values that
/// end in it (TA-Lib); NaN before.
fn ema(values: &[f64], period: usize, first: usize) -> Vec<f64> {
    let mut out = vec![f64::NAN; values.len()];
    if first >= values.len() {
        return out;
    }
    let weight = 2.0 / (period as f64 + 1.0);
    let mut mean = values[first + 1 - period..=first].iter().sum::<f64>() / period as f64;
    out[first] = mean;
    for (out, value) in out.iter_mut().zip(values).skip(first + 1) {
        mean += weight * (value - mean);
        *out = mean;
    }
    out
}

/// MACD less its signal line; NaN before row `SLOW + SIGNAL - 2`. Both means of the price begin at the slow one's
/// first row, as in TA-Lib's MACD.
fn macd_histogram(close: &[f64]) -> Vec<f64> {
    let fast = ema(close, FAST, SLOW - 1);
    let slow = ema(close, SLOW, SLOW - 1);
    let macd: Vec<f64> = fast.iter().zip(&slow).map(|(fast, slow)| fast - slow).collect();
    let signal = ema(&macd, SIGNAL, SLOW + SIGNAL - 2);
    macd.iter().zip(&signal).map(|(macd, signal)| macd - signal).collect()
}

/// Wilder's relative strength index; NaN before row `RSI`, 0 while the price has not moved (TA-Lib).
fn rsi(close: &[f64]) -> Vec<f64> {
    let mut out = vec![f64::NAN; close.len()];
    let period = RSI as f64;
    let (mut gain, mut loss) = (0.0, 0.0);
    for row in 1..close.len() {
        let change = close[row] - close[row - 1];
        let (up, down) = (change.max(0.0), (-change).max(0.0));
        if row <= RSI {
            gain += up / period;
            loss += down / period;
        } else {
            gain = (gain * (period - 1.0) + up) / period;
            loss = (loss * (period - 1.0) + down) / period;
        }
        if row >= RSI {
            let both = gain + loss;
            out[row] = if both > 0.0 { 100.0 * gain / both } else { 0.0 };
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::market::{CandleColumns, HOUR_US, Timeframe};

    fn candles(close: &[f64]) -> Candles {
        let mut columns = CandleColumns::default();
        for (hour, &price) in close.iter().enumerate() {
            columns.push_raw(hour as i64 * HOUR_US, [price; 4], 0.0);
        }
        let as_of = "2100-01-01T00:00:00Z".parse().expect("an instant");
        Candles::new("EUR/USD".parse().expect("a pair"), Timeframe::Hour1, as_of, columns)
            .expect("valid")
    }

    #[test]
    fn majority_answers_the_training_shares() {
        let majority = Majority::fit(&[1, 1, 0, 1], 3).expect("four samples");
        assert_eq!(majority.shares(), [0.25, 0.75, 0.0]);
        assert_eq!(majority.class(), 1);
        assert_eq!(majority.probabilities(2), [0.25, 0.75, 0.0, 0.25, 0.75, 0.0]);
        assert_eq!(Majority::fit(&[2, 0], 3).expect("two").class(), 0, "the first of equals");
        assert_eq!(Majority::fit(&[], 3), None);
    }

    #[test]
    fn indicator_answers_what_followed_its_signal() {
        // Prior (1/4, 1/2, 1/4); after a buy one sample of class 2, drawn to the prior by three.
        let indicator = Indicator::fit(&[1, 0, 0, 0], &[2, 1, 1, 0], 3).expect("four samples");
        let probabilities = indicator.probabilities(&[1, -1, 0]);
        let expected = [
            [0.75 / 4.0, 1.5 / 4.0, 1.75 / 4.0],
            [0.25, 0.5, 0.25],
            [1.75 / 6.0, 3.5 / 6.0, 0.75 / 6.0],
        ];
        for (given, expected) in probabilities.iter().zip(expected.as_flattened()) {
            assert!((given - expected).abs() < 1e-15, "{probabilities:?}");
        }
        assert_eq!(Indicator::fit(&[], &[], 3), None);
    }

    #[test]
    fn a_turn_of_the_trend_is_a_signal_once() {
        // Down, then up, then down again: one buy after the first turn, one sell after the second.
        let price = |k: i32| match k {
            0..60 => 100.0 - 0.1 * f64::from(k) - 0.001 * f64::from(k * k),
            60..120 => 90.4 + 0.02 * f64::from(k - 60),
            _ => 91.6 - 0.02 * f64::from(k - 120),
        };
        let close: Vec<f64> = (0..180).map(price).collect();
        let signals = indicator_signals(&candles(&close));
        let rows: Vec<_> = signals.iter().enumerate().filter(|(_, signal)| **signal != 0).collect();
        assert_eq!(rows.iter().map(|(_, signal)| **signal).collect::<Vec<_>>(), [1, -1]);
        assert!((60..70).contains(&rows[0].0) && (120..130).contains(&rows[1].0), "{rows:?}");
    }

    #[test]
    fn a_flat_or_short_history_gives_no_signal() {
        for n in [0, 1, 26, 34, 100] {
            assert!(indicator_signals(&candles(&vec![1.0; n])).iter().all(|signal| *signal == 0));
        }
    }

    proptest! {
        #[test]
        fn signals_are_causal(moves in prop::collection::vec(-0.01..0.01f64, 0..150), cut in 0..150usize) {
            let close: Vec<f64> = moves
                .iter()
                .scan(1.0, |price, change| {
                    *price *= 1.0 + change;
                    Some(*price)
                })
                .collect();
            let cut = cut.min(close.len());
            let whole = indicator_signals(&candles(&close));
            prop_assert_eq!(&whole[..cut], indicator_signals(&candles(&close[..cut])));
        }
    }
}
