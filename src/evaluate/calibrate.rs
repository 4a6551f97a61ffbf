//! Temperature scaling (Guo et al. 2017): one number that makes confidence honest, found on validation alone.

use serde::{Deserialize, Serialize};

/// Logits are divided by it before the softmax; above 1 the model was too sure of itself.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Temperature(pub f64);

/// The temperature with the least mean log-loss over `ln T` in [-3, 3], to 1e-10 (golden-section search). `logits` is
/// `[n, classes]` row-major. Without samples it is 1.
pub fn calibrate(logits: &[f32], truth: &[u8], n_classes: usize) -> Temperature {
    if truth.is_empty() {
        return Temperature(1.0);
    }
    let loss = |ln_t: f64| {
        let t = ln_t.exp();
        let of = |(row, class): (&[f32], &u8)| {
            let max = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = row.iter().map(|&x| (f64::from(x - max) / t).exp()).sum();
            sum.ln() - f64::from(row[usize::from(*class)] - max) / t
        };
        logits.chunks(n_classes).zip(truth).map(of).sum::<f64>() / truth.len() as f64
    };
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-3.0, 3.0);
    let (mut left, mut right) = (high - golden * (high - low), low + golden * (high - low));
    let (mut at_left, mut at_right) = (loss(left), loss(right));
    while high - low > 1e-10 {
        if at_left < at_right {
            (high, right, at_right) = (right, left, at_left);
            left = high - golden * (high - low);
            at_left = loss(left);
        } else {
            (low, left, at_left) = (left, right, at_right);
            right = low + golden * (high - low);
            at_right = loss(right);
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
        assert!((t - 2.0 / 3f64.ln()).abs() < 1e-6, "{t}");
    }

    #[test]
    fn a_model_that_is_always_right_is_made_surer_and_none_leaves_it_alone() {
        let Temperature(t) = calibrate(&[1.0, -1.0], &[0], 2);
        assert!((-3f64).exp() - 1e-9 <= t && t < 0.1, "{t}");
        assert_eq!(calibrate(&[], &[], 3), Temperature(1.0));
    }
}
