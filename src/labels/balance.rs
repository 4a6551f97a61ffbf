//! How evenly a label deals its classes, and the multiple of the volatility rule that would deal them evenly.
//!
//! A label that is nearly always one class teaches a model to answer that class and nothing else. Not here: where the labels
//! come from ([`super::label`]), which jobs say it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    BUY, ClassBalance, HOLD, LabelRule, Labels, SELL, VOLATILITY_WINDOW, candles_in_horizon,
    rolling_volatility,
};
use crate::market::Candles;

/// Above this share of one class a model learns to answer little else (DESIGN 7).
pub const UNBALANCED_SHARE: f64 = 0.60;
/// Share of hold that a balanced label has.
pub const HOLD_SHARE: f64 = 0.38;
/// With fewer moves a quantile of them says little.
const MIN_MOVES: usize = 100;

/// Standard deviation of the return over the horizon as the last [`VOLATILITY_WINDOW`] one-candle returns have it, a share of the
/// price, one a candle; NaN before there are as many.
pub fn horizon_volatility(candles: &Candles) -> Vec<f64> {
    let scale = candles_in_horizon(candles.timeframe()).sqrt();
    let mut volatility = vec![f64::NAN; candles.len()];
    let sigmas = rolling_volatility(candles.close());
    for (out, sigma) in volatility.iter_mut().skip(VOLATILITY_WINDOW).zip(sigmas) {
        *out = scale * sigma;
    }
    volatility
}

/// What the price did under each label, in volatilities ([`horizon_volatility`]): the barrier that was reached first where the
/// rule has barriers, else the forward return. NaN where one of them is not known.
pub fn label_returns(candles: &Candles, labels: &Labels, rule: &LabelRule) -> Vec<f64> {
    let volatility = horizon_volatility(candles);
    let rows = labels.forward_return.iter().zip(&labels.class).zip(volatility);
    rows.map(|((&forward, &class), volatility)| {
        let paid = match (rule, class) {
            (LabelRule::TripleBarrier { take_profit, .. }, BUY) => *take_profit,
            (LabelRule::TripleBarrier { take_profit, .. }, SELL) => -take_profit,
            _ => forward,
        };
        paid / volatility
    })
    .collect()
}

/// Forward returns in standard deviations of the return over the horizon, one a candle: what the volatility rule compares with
/// its multiple. NaN where the label does not exist or fewer than [`VOLATILITY_WINDOW`] returns lie before.
pub fn moves(candles: &Candles, labels: &Labels) -> Vec<f64> {
    let scale = candles_in_horizon(candles.timeframe()).sqrt();
    let mut moves = vec![f64::NAN; labels.forward_return.len()];
    let sigmas = rolling_volatility(candles.close());
    for ((out, &forward), sigma) in
        moves.iter_mut().zip(&labels.forward_return).skip(VOLATILITY_WINDOW).zip(sigmas)
    {
        // A market that stood still has no volatility to measure by: what stays is no move, what goes is beyond any.
        *out = if forward == 0.0 { 0.0 } else { forward / (scale * sigma) };
    }
    moves
}

/// Shares of sell, hold and buy that the volatility rule gives at a multiple, of `moves` that are not NaN; `None` without any.
pub fn shares_at(moves: &[f64], multiple: f64) -> Option<[f64; 3]> {
    let mut counts = [0usize; 3];
    for value in moves.iter().filter(|value| !value.is_nan()) {
        let class = HOLD + u8::from(*value > multiple) - u8::from(*value < -multiple);
        counts[usize::from(class)] += 1;
    }
    let n: usize = counts.iter().sum();
    (n > 0).then(|| counts.map(|count| count as f64 / n as f64))
}

/// The multiple, to two decimals and at least 0.01, at which about [`HOLD_SHARE`] of the labels are hold: that quantile of the
/// size of the moves. `None` with fewer than a hundred moves that are not NaN.
pub fn balancing_multiple(moves: &[f64]) -> Option<f64> {
    let mut sizes: Vec<f64> =
        moves.iter().filter(|value| !value.is_nan()).map(|value| value.abs()).collect();
    if sizes.len() < MIN_MOVES {
        return None;
    }
    let place = ((sizes.len() as f64 * HOLD_SHARE).ceil() as usize).clamp(1, sizes.len()) - 1;
    let (_, size, _) = sizes.select_nth_unstable_by(place, f64::total_cmp);
    size.is_finite().then(|| ((*size * 100.0).round() / 100.0).max(0.01))
}

/// The samples of one class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassShare {
    /// Its name.
    pub class: String,
    /// Samples.
    pub n: usize,
    /// Of all samples, 0 to 1.
    pub share: f64,
}

/// The class balance of a label. Kept with the training that saw it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelBalance {
    /// The rule, as `--rule` takes it.
    pub rule: String,
    /// Samples in all.
    pub n: usize,
    /// Each class, in the order of their numbers.
    pub classes: Vec<ClassShare>,
    /// Where one class holds more than [`UNBALANCED_SHARE`]: the multiple of the volatility rule that would balance the same
    /// candles. None too for rules whose classes are no sell, hold and buy.
    pub multiple: Option<f64>,
}

impl LabelBalance {
    /// Of what was counted; `moves` are those of the same candles.
    pub fn of(rule: &LabelRule, counted: &ClassBalance, moves: &[f64]) -> LabelBalance {
        let share = |n: usize| n as f64 / counted.n.max(1) as f64;
        let of = |(name, &n): (&&str, &usize)| ClassShare {
            class: (*name).to_owned(),
            n,
            share: share(n),
        };
        let classes = rule.class_names().iter().zip(&counted.counts).map(of).collect();
        let mut balance =
            LabelBalance { rule: rule.to_string(), n: counted.n, classes, multiple: None };
        if balance.unbalanced().is_some() && rule.n_classes() == 3 {
            balance.multiple = balancing_multiple(moves);
        }
        balance
    }

    /// The class that holds more than [`UNBALANCED_SHARE`] of the samples.
    pub fn unbalanced(&self) -> Option<&ClassShare> {
        self.classes.iter().find(|class| class.share > UNBALANCED_SHARE)
    }

    /// What is wrong with it and what puts it right; `None` where no class holds too much.
    pub fn cure(&self) -> Option<String> {
        let ClassShare { class, share, .. } = self.unbalanced()?;
        let wrong = format!(
            "{:.1} % of the labels ({}) are {class}: a model learns to answer little else from that",
            share * 100.0,
            self.rule
        );
        Some(match self.multiple {
            Some(multiple) => format!(
                "{wrong}; `label: {{rule: volatility, multiple: {multiple:.2}}}` under the line in aifx.yaml would make about {:.0} % of them hold",
                HOLD_SHARE * 100.0
            ),
            None => format!("{wrong}; take another rule"),
        })
    }
}

impl fmt::Display for LabelBalance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.n == 0 {
            return write!(f, "no settled label ({})", self.rule);
        }
        let shares: Vec<String> = self
            .classes
            .iter()
            .map(|one| format!("{} {:.1} %", one.class, one.share * 100.0))
            .collect();
        write!(f, "{} of {} labels ({})", shares.join(", "), self.n, self.rule)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::labels::class_balance;

    proptest! {
        /// Whatever the market's tails are like, the multiple that is named makes the share of hold that is promised.
        #[test]
        fn the_multiple_that_is_named_balances_the_labels(
            sizes in prop::collection::vec((0.3..3.0f64, any::<bool>(), 0.5..4.0f64), 400..900)
        ) {
            // Moves of one sign or the other, heavy-tailed by a power.
            let moves: Vec<f64> = sizes
                .iter()
                .map(|(size, up, power)| if *up { size.powf(*power) } else { -size.powf(*power) })
                .collect();
            let multiple = balancing_multiple(&moves).expect("enough moves");
            let [_, hold, _] = shares_at(&moves, multiple).expect("moves");
            // Rounding to two decimals moves the few moves that lie within half a hundredth.
            let near = moves.iter().filter(|one| (one.abs() - multiple).abs() <= 0.0051).count();
            let slack = (near as f64 + 1.0) / moves.len() as f64;
            prop_assert!((hold - HOLD_SHARE).abs() <= slack, "{hold} at {multiple}, slack {slack}");
        }

        #[test]
        fn a_larger_multiple_never_makes_less_hold(
            moves in prop::collection::vec(-4.0..4.0f64, 1..200), a in 0.01..2.0f64, b in 0.01..2.0f64
        ) {
            let hold = |multiple| shares_at(&moves, multiple).expect("moves")[1];
            prop_assert!(hold(a.min(b)) <= hold(a.max(b)));
        }
    }

    #[test]
    fn a_label_of_one_class_names_its_cure_and_an_even_one_none() {
        let moves: Vec<f64> = (0..1000).map(|i| f64::from(i - 500) / 500.0).collect();
        let rule = LabelRule::Volatility { multiple: 0.9 };
        let of = |hold: usize| {
            let classes = [vec![0; 20], vec![1; hold], vec![2; 20]].concat();
            LabelBalance::of(&rule, &class_balance(&classes, 3), &moves)
        };
        let even = of(60);
        assert_eq!((even.unbalanced(), even.multiple, even.cure()), (None, None, None), "60 %");
        assert_eq!(
            even.to_string(),
            "sell 20.0 %, hold 60.0 %, buy 20.0 % of 100 labels (volatility:0.9)"
        );
        let uneven = of(61);
        assert_eq!(uneven.multiple, Some(0.38), "moves lie evenly between -1 and 1");
        let cure = uneven.cure().expect("a cure");
        assert!(cure.contains("60.4 % of the labels") && cure.contains("multiple: 0.38"), "{cure}");
        let stored = serde_json::to_value(&uneven).expect("json");
        assert_eq!(serde_json::from_value::<LabelBalance>(stored).expect("read back"), uneven);
    }

    #[test]
    fn few_moves_and_markets_that_stand_still_name_no_nonsense() {
        assert_eq!(balancing_multiple(&[0.5; 99]), None);
        assert_eq!(balancing_multiple(&[f64::NAN; 500]), None);
        assert_eq!(balancing_multiple(&[0.0; 500]), Some(0.01), "no move at all");
        assert_eq!(balancing_multiple(&[f64::INFINITY; 500]), None);
        assert_eq!(shares_at(&[f64::NAN], 0.3), None);
    }
}
