//! How far two samples lie apart: Kolmogorov–Smirnov, Wasserstein, population stability index (FORMULAS 4.3).
//!
//! Distances, not verdicts: textbook thresholds assume independent rows, which candles are not. What a distance is worth is
//! judged by its own distribution over windows of the reference (`drift`).

/// Up to this many pairs of values the p of Kolmogorov–Smirnov is exact.
const EXACT_PAIRS: usize = 10_000;

/// Two-sample Kolmogorov–Smirnov test (Smirnov 1939).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KolmogorovSmirnov {
    /// sup |F − G|, 0 to 1.
    pub distance: f64,
    /// Two-sided, for independent values: exact up to n·m = 10,000, else by Stephens 1970.
    pub p: f64,
}

/// Compares two samples in ascending order; `None` where one is empty.
pub fn kolmogorov_smirnov(x: &[f64], y: &[f64]) -> Option<KolmogorovSmirnov> {
    let (n, m) = (x.len(), y.len());
    let apart = apart(x, y)?;
    let distance = apart as f64 / (n * m) as f64;
    let p = if n * m <= EXACT_PAIRS { exact_p(n, m, apart) } else { asymptotic_p(n, m, distance) };
    Some(KolmogorovSmirnov { distance, p })
}

/// sup |F − G| of two samples in ascending order, 0 to 1; `None` where one is empty.
pub fn distance(x: &[f64], y: &[f64]) -> Option<f64> {
    Some(apart(x, y)? as f64 / (x.len() * y.len()) as f64)
}

/// The distance in units of 1/(n m), where the exact test counts.
fn apart(x: &[f64], y: &[f64]) -> Option<usize> {
    if x.is_empty() || y.is_empty() {
        return None;
    }
    let (n, m) = (x.len(), y.len());
    let mut apart = 0usize;
    walk(x, y, |_, below_x, below_y| apart = apart.max((below_x * m).abs_diff(below_y * n)));
    Some(apart)
}

/// Q(λ) with λ = (√nₑ + 0.12 + 0.11/√nₑ) D (Stephens 1970).
fn asymptotic_p(n: usize, m: usize, distance: f64) -> f64 {
    let root = ((n * m) as f64 / (n + m) as f64).sqrt();
    let lambda = (root + 0.12 + 0.11 / root) * distance;
    if lambda < 0.2 {
        // The series does not converge there, and its value is 1 to twelve places.
        return 1.0;
    }
    let term = |j: i32| {
        let sign = if j % 2 == 1 { 1.0 } else { -1.0 };
        sign * (-2.0 * f64::from(j * j) * lambda * lambda).exp()
    };
    (2.0 * (1..=100).map(term).sum::<f64>()).clamp(0.0, 1.0)
}

/// The share of all ways to mix n and m values whose distance reaches `apart`/(n m): paths through a lattice, counted as shares so
/// that no number overflows.
fn exact_p(n: usize, m: usize, apart: usize) -> f64 {
    let stays = |i: usize, j: usize| (i * m).abs_diff(j * n) < apart;
    // `ways[j]`: probability that a random path reaches (i, j) without having been too far apart.
    let mut ways = vec![0.0; m + 1];
    for i in 0..=n {
        for j in 0..=m {
            if i == 0 && j == 0 {
                ways[0] = if apart == 0 { 0.0 } else { 1.0 };
                continue;
            }
            if !stays(i, j) {
                ways[j] = 0.0;
                continue;
            }
            // A step is drawn from what is left of either sample.
            let from_x = if i == 0 {
                0.0
            } else {
                ways[j] * (n - i + 1) as f64 / (n - i + 1 + m - j) as f64
            };
            let from_y = if j == 0 {
                0.0
            } else {
                ways[j - 1] * (m - j + 1) as f64 / (m - j + 1 + n - i) as f64
            };
            ways[j] = from_x + from_y;
        }
    }
    (1.0 - ways[m]).clamp(0.0, 1.0)
}

/// Wasserstein distance of the first order, ∫|F − G|, in the unit of the values; both samples ascending. `None` where one is
/// empty.
pub fn wasserstein(x: &[f64], y: &[f64]) -> Option<f64> {
    if x.is_empty() || y.is_empty() {
        return None;
    }
    let (n, m) = (x.len() as f64, y.len() as f64);
    let mut sum = 0.0;
    let mut before: Option<(f64, f64)> = None;
    walk(x, y, |value, below_x, below_y| {
        if let Some((from, apart)) = before {
            sum += (value - from) * apart;
        }
        before = Some((value, (below_x as f64 / n - below_y as f64 / m).abs()));
    });
    Some(sum)
}

/// Visits each distinct value in order, with how many of either sample are at most it.
fn walk(x: &[f64], y: &[f64], mut visit: impl FnMut(f64, usize, usize)) {
    let (mut i, mut j) = (0, 0);
    while i < x.len() || j < y.len() {
        let value = match (x.get(i), y.get(j)) {
            (Some(a), Some(b)) => a.min(*b),
            (Some(a), None) => *a,
            (None, Some(b)) => *b,
            (None, None) => return,
        };
        while x.get(i).is_some_and(|a| *a <= value) {
            i += 1;
        }
        while y.get(j).is_some_and(|b| *b <= value) {
            j += 1;
        }
        visit(value, i, j);
    }
}

/// Population stability index (Lewis 1994; Siddiqi 2006): `counts` of a window in the bins of a reference with `shares`, a half
/// added to each count. `None` without a value, or where the bins do not match.
pub fn stability_index(shares: &[f64], counts: &[usize]) -> Option<f64> {
    let n: usize = counts.iter().sum();
    if n == 0 || shares.len() != counts.len() || shares.iter().any(|share| *share <= 0.0) {
        return None;
    }
    let all = n as f64 + counts.len() as f64 / 2.0;
    let term = |(p, count): (&f64, &usize)| {
        let q = (*count as f64 + 0.5) / all;
        (q - p) * (q / p).ln()
    };
    Some(shares.iter().zip(counts).map(term).sum())
}
