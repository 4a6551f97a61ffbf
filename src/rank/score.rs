//! The ranking score: four figures of the trades, each on a scale of its own, weighted.

use serde::{Deserialize, Serialize};

/// One term's weight and scale: `worst` earns nothing, `best` everything, between them it is linear.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Term {
    /// Share of the score.
    pub weight: f64,
    /// Value that earns 0 points.
    pub worst: f64,
    /// Value that earns 1 point.
    pub best: f64,
}

/// The terms of the score.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RankingConfig {
    /// Share of trades with a gain.
    pub win_rate: Term,
    /// Annualised Sharpe ratio.
    pub sharpe: Term,
    /// Mean return of a trade after costs, as a share.
    pub avg_pnl: Term,
    /// Largest fall from a peak, as a share.
    pub max_drawdown: Term,
}

impl Default for RankingConfig {
    fn default() -> Self {
        RankingConfig {
            win_rate: Term { weight: 0.3, worst: 0.0, best: 1.0 },
            sharpe: Term { weight: 0.3, worst: -3.0, best: 3.0 },
            avg_pnl: Term { weight: 0.2, worst: -0.001, best: 0.001 },
            max_drawdown: Term { weight: 0.2, worst: 1.0, best: 0.0 },
        }
    }
}

impl RankingConfig {
    /// Settings that cannot be, by key, with the reason.
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let terms = [
            ("win_rate", self.win_rate),
            ("sharpe", self.sharpe),
            ("avg_pnl", self.avg_pnl),
            ("max_drawdown", self.max_drawdown),
        ];
        let mut problems: Vec<(&'static str, String)> = terms
            .into_iter()
            .filter_map(|(key, term)| {
                let why = if !(0.0..=1.0).contains(&term.weight) {
                    format!("{key}: a weight of {} does not lie between 0 and 1", term.weight)
                } else if !term.worst.is_finite()
                    || !term.best.is_finite()
                    || (term.best - term.worst).abs() < f64::MIN_POSITIVE
                {
                    format!("{key}: from {} to {} is no scale", term.worst, term.best)
                } else {
                    return None;
                };
                Some((key, why))
            })
            .collect();
        let total: f64 = terms.iter().map(|(_, term)| term.weight).sum();
        if problems.is_empty() && (total - 1.0).abs() > 1e-9 {
            problems.push(("win_rate", format!("the weights add up to {total}, not to 1")));
        }
        problems
    }
}

/// What a version's trades were worth; a figure without a value earns nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Terms {
    /// Share of trades with a gain.
    pub win_rate: Option<f64>,
    /// Annualised Sharpe ratio.
    pub sharpe: Option<f64>,
    /// Mean return of a trade, as a share.
    pub avg_pnl: Option<f64>,
    /// Largest fall from a peak, as a share.
    pub max_drawdown: Option<f64>,
}

/// One term of a score.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Points {
    /// The figure itself.
    pub measured: Option<f64>,
    /// On its scale, 0 to 1.
    pub points: f64,
    /// Points times weight.
    pub weighted: f64,
}

/// A score with its terms.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Score {
    /// Share of trades with a gain.
    pub win_rate: Points,
    /// Sharpe ratio.
    pub sharpe: Points,
    /// Mean return of a trade.
    pub avg_pnl: Points,
    /// Largest fall from a peak.
    pub max_drawdown: Points,
    /// Sum of the weighted points, 0 to 1.
    pub total: f64,
}

impl Score {
    /// The terms in order, with their names for people.
    pub fn terms(&self) -> [(&'static str, Points); 4] {
        [
            ("win rate", self.win_rate),
            ("Sharpe", self.sharpe),
            ("mean PnL", self.avg_pnl),
            ("drawdown", self.max_drawdown),
        ]
    }
}

/// Scores.
pub fn score(terms: &Terms, config: &RankingConfig) -> Score {
    let points = |measured: Option<f64>, term: Term| {
        let points = measured
            .map_or(0.0, |value| ((value - term.worst) / (term.best - term.worst)).clamp(0.0, 1.0));
        Points { measured, points, weighted: points * term.weight }
    };
    let win_rate = points(terms.win_rate, config.win_rate);
    let sharpe = points(terms.sharpe, config.sharpe);
    let avg_pnl = points(terms.avg_pnl, config.avg_pnl);
    let max_drawdown = points(terms.max_drawdown, config.max_drawdown);
    let total = [win_rate, sharpe, avg_pnl, max_drawdown].iter().map(|term| term.weighted).sum();
    Score { win_rate, sharpe, avg_pnl, max_drawdown, total }
}
