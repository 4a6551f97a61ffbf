//! What an answer is expected to pay: class probabilities times what each class paid where the version was validated, shrunk by
//! how much of that came true (DESIGN 13).
//!
//! Returns are in volatilities: standard deviations of the return over the horizon. Not here: what it costs, what is staked.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Mean return of each class and how far expectations made of them hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Mean forward return of the samples of each class less that of all, volatilities, in the order of the classes.
    pub class_returns: Vec<f64>,
    /// Share of an expectation that came true, 0 to 1, less one standard error.
    #[serde(rename = "edge_slope")]
    pub slope: f64,
}

impl Edge {
    /// Measures. `probabilities` are `[n, classes]` row-major, `classes` which came true, `returns` the forward returns in
    /// volatilities (what is not finite is left out), `days` the trading day of each, in any numbering.
    ///
    /// The slope is that of least squares through 0 of realised on expected return, less one standard error clustered by day
    /// (Liang & Zeger 1986), cut to 0..1. `None` without samples.
    pub fn fit(
        n_classes: usize,
        probabilities: &[f64],
        classes: &[u8],
        returns: &[f64],
        days: &[i64],
    ) -> Option<Edge> {
        let usable: Vec<usize> = (0..classes.len())
            .filter(|i| returns[*i].is_finite() && usize::from(classes[*i]) < n_classes)
            .collect();
        let mean_of = |rows: &mut dyn Iterator<Item = usize>| {
            let (mut n, mut sum) = (0usize, 0.0);
            for i in rows {
                n += 1;
                sum += returns[i];
            }
            (n > 0).then(|| sum / n as f64)
        };
        let all = mean_of(&mut usable.iter().copied())?;
        let class_returns: Vec<f64> = (0..n_classes)
            .map(|class| {
                let mut of = usable.iter().copied().filter(|i| usize::from(classes[*i]) == class);
                // A class that never came true pays nothing that is known.
                mean_of(&mut of).map_or(0.0, |mean| mean - all)
            })
            .collect();
        let mut edge = Edge { class_returns, slope: 1.0 };
        let expected = |i: usize| edge.expected(&probabilities[i * n_classes..(i + 1) * n_classes]);
        let pairs: Vec<(usize, f64)> = usable.iter().map(|i| (*i, expected(*i))).collect();
        let squares: f64 = pairs.iter().map(|(_, e)| e * e).sum();
        if squares <= 0.0 {
            edge.slope = 0.0;
            return Some(edge);
        }
        let slope = pairs.iter().map(|(i, e)| e * returns[*i]).sum::<f64>() / squares;
        let mut scores: BTreeMap<i64, f64> = BTreeMap::new();
        for (i, e) in &pairs {
            *scores.entry(days[*i]).or_default() += e * (returns[*i] - slope * e);
        }
        let error = scores.values().map(|score| score * score).sum::<f64>().sqrt() / squares;
        edge.slope = (slope - error).clamp(0.0, 1.0);
        Some(edge)
    }

    /// The forward return that probabilities let expect, volatilities, above 0 for a rise.
    pub fn expected(&self, probabilities: &[f64]) -> f64 {
        let terms = probabilities.iter().zip(&self.class_returns);
        self.slope * terms.map(|(p, paid)| p * paid).sum::<f64>()
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// Samples of a model that says which way the market leans and is right in `skill` of what it claims.
    fn samples(skill: f64, seed: u64) -> (Vec<f64>, Vec<u8>, Vec<f64>, Vec<i64>) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut normal = || -> f64 { StandardNormal.sample(&mut rng) };
        let (mut p, mut classes, mut returns, mut days) = (vec![], vec![], vec![], vec![]);
        for i in 0..4000 {
            let lean = (0.3 * normal()).clamp(-0.6, 0.6);
            let paid = skill * lean + normal();
            p.extend([(1.0 - lean) / 3.0, 1.0 / 3.0, (1.0 + lean) / 3.0]);
            classes.push(if paid < -0.4 { 0 } else { u8::from(paid > 0.4) + 1 });
            returns.push(paid);
            days.push(i / 100);
        }
        (p, classes, returns, days)
    }

    #[test]
    fn what_is_expected_shrinks_to_what_came_true() {
        let slope = |skill, seed| {
            let (p, classes, returns, days) = samples(skill, seed);
            Edge::fit(3, &p, &classes, &returns, &days).expect("samples").slope
        };
        let (none, some, much) = (slope(0.0, 1), slope(0.35, 2), slope(2.0, 3));
        assert!(none < 0.05, "no skill: {none}");
        assert!((0.25..0.75).contains(&some), "{some}");
        assert!((much - 1.0).abs() < 1e-15, "never more than the model says: {much}");
    }

    /// Worked by hand: two days, three samples that are counted.
    #[test]
    fn worked_example() {
        let p = [0.2, 0.3, 0.5, 0.5, 0.3, 0.2, 0.3, 0.4, 0.3, 0.1, 0.1, 0.8];
        let edge = Edge::fit(3, &p, &[2, 0, 1, 2], &[1.2, -0.9, 0.3, f64::NAN], &[1, 1, 2, 2])
            .expect("samples");
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        // The mean of all is 0.2.
        close(edge.class_returns[0], -1.1);
        close(edge.class_returns[1], 0.1);
        close(edge.class_returns[2], 1.0);
        // Expected: 0.31, -0.32, 0.01. Slope 0.663 / 0.1986 = 3.338, its error by day 0.019: cut to 1.
        close(edge.slope, 1.0);
        close(edge.expected(&[0.2, 0.3, 0.5]), 0.31);
        assert_eq!(Edge::fit(3, &[], &[], &[], &[]), None);
    }
}
