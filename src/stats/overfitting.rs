//! PBO: how often the best in sample is below the middle out of sample, by combinatorially symmetric cross-validation
//! (Bailey, Borwein, López de Prado & Zhu, Journal of Computational Finance 2017).

use serde::Serialize;

/// What all the ways of halving the days say of a search.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Overfitting {
    /// Probability of backtest overfitting: share of halves whose winner came out in the lower half of the other.
    pub pbo: f64,
    /// Share of halves whose winner lost out of sample.
    pub p_loss: f64,
    /// Halves.
    pub n_splits: usize,
}

/// More blocks than this make more halves (12,870) than are worth the time.
const MAX_BLOCKS: usize = 16;

/// Daily returns of `n_versions` versions, `[days, versions]` row-major, in `n_blocks` (even) blocks of consecutive days,
/// judged by their Sharpe ratio. Days beyond a multiple of the blocks, the first ones, are left out.
///
/// `None` for fewer than two versions, fewer than two days a block, or a number of blocks that is odd, under 2 or above 16.
/// Under ten versions the figure says little (FORMULAS 4.10); whether to show it is the caller's.
pub fn overfitting(returns: &[f64], n_versions: usize, n_blocks: usize) -> Option<Overfitting> {
    if n_versions < 2 || !n_blocks.is_multiple_of(2) || !(2..=MAX_BLOCKS).contains(&n_blocks) {
        return None;
    }
    let block_days = returns.len() / n_versions / n_blocks;
    if block_days < 2 || !returns.len().is_multiple_of(n_versions) {
        return None;
    }
    let skipped = returns.len() / n_versions - block_days * n_blocks;
    let blocks: Vec<Vec<Sums>> = returns[skipped * n_versions..]
        .chunks(block_days * n_versions)
        .map(|block| Sums::of(block, n_versions))
        .collect();
    let (mut n_splits, mut n_low, mut n_lost) = (0usize, 0usize, 0usize);
    let halves = (0u32..1 << n_blocks).filter(|half| half.count_ones() as usize == n_blocks / 2);
    for half in halves {
        let sharpes = |inside: bool| -> Vec<f64> {
            let chosen = |block: &usize| (half >> block & 1 == 1) == inside;
            let sum = |version: usize| {
                (0..n_blocks)
                    .filter(chosen)
                    .fold(Sums::default(), |sum, block| sum.plus(blocks[block][version]))
            };
            (0..n_versions).map(|version| sum(version).sharpe()).collect()
        };
        let (seen, unseen) = (sharpes(true), sharpes(false));
        let best = (1..n_versions).fold(0, |best, v| if seen[v] > seen[best] { v } else { best });
        // Versions that tie share the middle of their ranks.
        let below = unseen.iter().filter(|sharpe| **sharpe < unseen[best]).count() as f64;
        let level = unseen.iter().filter(|sharpe| **sharpe <= unseen[best]).count() as f64;
        let rank = (below + level + 1.0) / 2.0;
        n_splits += 1;
        // The logit of ω = rank/(N + 1) is at most 0 where ω is at most one half.
        n_low += usize::from(rank <= (n_versions + 1) as f64 / 2.0);
        n_lost += usize::from(unseen[best] < 0.0);
    }
    let share = |n: usize| n as f64 / n_splits as f64;
    Some(Overfitting { pbo: share(n_low), p_loss: share(n_lost), n_splits })
}

/// What a Sharpe ratio needs of a block, so that halves are sums of blocks.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    n: f64,
    sum: f64,
    squares: f64,
}

impl Sums {
    fn of(block: &[f64], n_versions: usize) -> Vec<Sums> {
        let mut sums = vec![Sums::default(); n_versions];
        for day in block.chunks(n_versions) {
            for (sums, value) in sums.iter_mut().zip(day) {
                *sums = sums.plus(Sums { n: 1.0, sum: *value, squares: value * value });
            }
        }
        sums
    }

    fn plus(self, other: Sums) -> Sums {
        Sums {
            n: self.n + other.n,
            sum: self.sum + other.sum,
            squares: self.squares + other.squares,
        }
    }

    /// Mean over standard deviation (n - 1). A version without spread, such as one that never traded, gets 0.
    fn sharpe(self) -> f64 {
        let mean = self.sum / self.n;
        let variance = (self.squares - self.sum * mean) / (self.n - 1.0);
        if variance > 1e-12 * mean * mean && variance > 0.0 { mean / variance.sqrt() } else { 0.0 }
    }
}
