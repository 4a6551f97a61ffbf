//! Temperature scaling (Guo et al. 2017): one number that makes confidence honest, found on validation alone.

use serde::{Deserialize, Serialize};

/// Logits are divided by it before the softmax; above 1 the model was too sure of itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Temperature(pub f64);

impl Temperature {
    /// Softmax of logits over the temperature: `[n, classes]` row-major, as `logits` is.
    pub fn probabilities(self, logits: &[f32], n_classes: usize) -> Vec<f64> {
        let mut rows: Vec<f64> = logits.iter().map(|&logit| f64::from(logit) / self.0).collect();
        rows.chunks_mut(n_classes).for_each(softmax);
        rows
    }
}

/// Logits to probabilities, in place; the largest is taken off first, so that nothing overflows.
fn softmax(row: &mut [f64]) {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    row.iter_mut().for_each(|x| *x = (*x - max).exp());
    let sum: f64 = row.iter().sum();
    row.iter_mut().for_each(|x| *x /= sum);
}

/// Where `ln T` is looked for.
const LN_T: (f64, f64) = (-3.0, 3.0);
/// How exactly `ln T` is found.
const LN_T_ERROR: f64 = 1e-10;

/// The temperature with the least mean log-loss over `ln T` in [-3, 3], to 1e-10. `logits` is `[n, classes]` row-major.
/// Without samples it is 1.
///
/// The loss is convex in 1/T, so it has one least value, and its slope in `ln T` changes sign there: bisection on the
/// slope finds that to full precision, where a search on values stops at the square root of theirs.
pub fn calibrate(logits: &[f32], truth: &[u8], n_classes: usize) -> Temperature {
    if truth.is_empty() {
        return Temperature(1.0);
    }
    // The slope in ln T is that in 1/T times -1/T: its sign is that of Σ (logit of the truth - mean logit under p).
    let slope = |ln_t: f64| {
        let t = ln_t.exp();
        let lead = |(row, class): (&[f32], &u8)| {
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let (mut sum, mut weighted) = (0.0, 0.0);
            for &logit in row {
                let below = f64::from(logit - max);
                let weight = (below / t).exp();
                sum += weight;
                weighted += weight * below;
            }
            f64::from(row[usize::from(*class)] - max) - weighted / sum
        };
        logits.chunks(n_classes).zip(truth).map(lead).sum::<f64>()
    };
    // Also where all logits are equal, and any temperature is as good.
    if slope(0.0) == 0.0 {
        return Temperature(1.0);
    }
    let (mut low, mut high) = LN_T;
    while high - low > LN_T_ERROR {
        let middle = (low + high) / 2.0;
        if slope(middle) > 0.0 {
            high = middle;
        } else {
            low = middle;
        }
    }
    Temperature(((low + high) / 2.0).exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two classes, logits ±1, 3 of 4 right: the best T solves sigmoid(2/T) = 3/4, so T = 2/ln 3.
    #[test]
    fn the_temperature_is_the_one_that_can_be_worked_out() {
        let logits = [1.0, -1.0].repeat(4);
        let Temperature(t) = calibrate(&logits, &[0, 0, 0, 1], 2);
        assert!((t - 2.0 / 3f64.ln()).abs() < 1e-9, "{t}");
    }

    #[test]
    fn probabilities_are_a_softmax_that_does_not_overflow() {
        let found = Temperature(2.0).probabilities(&[2.0, 0.0, 1e4, -1e4], 2);
        let expected = [1.0 / (1.0 + (-1f64).exp()), 1.0 / (1.0 + 1f64.exp()), 1.0, 0.0];
        assert!(found.iter().zip(expected).all(|(p, e)| (p - e).abs() < 1e-15), "{found:?}");
    }

    #[test]
    fn a_model_that_is_always_right_is_made_surer_and_none_leaves_it_alone() {
        let Temperature(t) = calibrate(&[1.0, -1.0], &[0], 2);
        assert!((-3f64).exp() - 1e-9 <= t && t < 0.1, "{t}");
        assert_eq!(calibrate(&[], &[], 3), Temperature(1.0));
        assert_eq!(calibrate(&[0.5; 6], &[0, 1], 3), Temperature(1.0));
    }
}
