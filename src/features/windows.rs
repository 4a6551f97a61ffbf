//! Sliding windows over one block of rows: means, sums of squared deviations, highest and lowest.
//!
//! A window of 2n rows is two windows of n: each function makes the windows ending at every row from shorter ones,
//! for all rows at once. So a value depends on the rows of its window alone, bit for bit, whatever came before; nothing
//! is ever subtracted from a running sum, so nothing drifts; and equal values have exactly zero deviation.
//! Not here: recursions that never forget (`recursive`), what the features are (`v1`).

/// Rows before a block that its windows reach back over; at least the longest window, and what is built on it.
pub(super) const REACH: usize = 64;
/// Rows that are computed together: what is live stays in the second-level cache.
pub(super) const BLOCK: usize = 512;
// The longest window is 60 returns, which begin at the close before them; a block must be able to pass its end on.
const _: () = assert!(REACH > 60 && BLOCK >= REACH);
/// A quantity over one block and the rows before it. Rows whose window reaches out of it hold no meaning.
pub(super) type Lane = [f64; REACH + BLOCK];

/// Mean, and sum of squared deviations from it, of the windows of one length that end at each row.
#[derive(Debug, Clone)]
pub(super) struct Moments {
    pub(super) mean: Lane,
    pub(super) deviation: Lane,
}

impl Moments {
    pub(super) const ZERO: Moments =
        Moments { mean: [0.0; REACH + BLOCK], deviation: [0.0; REACH + BLOCK] };
}

/// Windows of length 2, 4, 8, 16 and 32 over one quantity, and those joined from them.
#[derive(Debug, Clone)]
pub(super) struct Ladder {
    pub(super) two: Moments,
    pub(super) four: Moments,
    pub(super) eight: Moments,
    pub(super) sixteen: Moments,
    pub(super) thirty_two: Moments,
}

impl Ladder {
    pub(super) const ZERO: Ladder = Ladder {
        two: Moments::ZERO,
        four: Moments::ZERO,
        eight: Moments::ZERO,
        sixteen: Moments::ZERO,
        thirty_two: Moments::ZERO,
    };

    /// Windows up to 16 rows over `values`.
    #[inline(always)]
    pub(super) fn climb_to_16(&mut self, values: &Lane, n: usize) {
        assert!(n <= values.len());
        for row in 1..n {
            let (new, old) = (values[row], values[row - 1]);
            self.two.mean[row] = 0.5 * (new + old);
            self.two.deviation[row] = 0.5 * (new - old) * (new - old);
        }
        join::<2, 2>(&self.two, &self.two, &mut self.four, n);
        join::<4, 4>(&self.four, &self.four, &mut self.eight, n);
        join::<8, 8>(&self.eight, &self.eight, &mut self.sixteen, n);
    }

    /// Windows of 32 rows, after [`Ladder::climb_to_16`].
    #[inline(always)]
    pub(super) fn climb_to_32(&mut self, n: usize) {
        join::<16, 16>(&self.sixteen, &self.sixteen, &mut self.thirty_two, n);
    }
}

/// Windows of `NEW + OLD` rows: the newest `NEW` of them, and the `OLD` before those.
/// Pairwise update of Chan, Golub and LeVeque (1979).
#[inline(always)]
pub(super) fn join<const NEW: usize, const OLD: usize>(
    newer: &Moments,
    older: &Moments,
    out: &mut Moments,
    n: usize,
) {
    let (new, old) = (NEW as f64, OLD as f64);
    let (weight, cross) = (old / (new + old), new * old / (new + old));
    assert!(n <= out.mean.len());
    for row in NEW..n {
        let step = older.mean[row - NEW] - newer.mean[row];
        out.mean[row] = newer.mean[row] + step * weight;
        out.deviation[row] =
            newer.deviation[row] + older.deviation[row - NEW] + step * step * cross;
    }
}

/// As [`join`], for the means alone.
#[inline(always)]
pub(super) fn join_means<const NEW: usize, const OLD: usize>(
    newer: &Lane,
    older: &Lane,
    out: &mut Lane,
    n: usize,
) {
    let weight = OLD as f64 / (NEW + OLD) as f64;
    assert!(n <= out.len());
    for row in NEW..n {
        out[row] = newer[row] + (older[row - NEW] - newer[row]) * weight;
    }
}

/// Sum of the absolute distances of the last 20 values from a centre that goes with each row.
#[inline(always)]
pub(super) fn distance_20(values: &Lane, centre: &Lane, out: &mut Lane, n: usize) {
    assert!(n <= out.len());
    for row in 19..n {
        let mut sum = 0.0;
        for back in 0..20 {
            sum += (values[row - back] - centre[row]).abs();
        }
        out[row] = sum;
    }
}

/// The greater; for numbers only, so that one instruction does it.
#[inline(always)]
pub(super) fn greater(a: f64, b: f64) -> f64 {
    if a > b { a } else { b }
}

/// The smaller; for numbers only.
#[inline(always)]
pub(super) fn smaller(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

/// The extreme of 14 rows by `pick` ([`greater`] or [`smaller`]), in four steps; `spare` is for what lies between.
#[inline(always)]
pub(super) fn extreme_14(
    values: &[f64],
    spare: &mut Lane,
    out: &mut Lane,
    pick: impl Fn(f64, f64) -> f64,
) {
    let n = values.len();
    assert!(n <= out.len());
    for row in 1..n {
        out[row] = pick(values[row], values[row - 1]);
    }
    for row in 3..n {
        spare[row] = pick(out[row], out[row - 2]);
    }
    for row in 7..n {
        out[row] = pick(spare[row], spare[row - 4]);
    }
    // Backwards-looking and in place would read rows already overwritten; the second lane takes the result.
    for row in 13..n {
        spare[row] = pick(out[row], out[row - 6]);
    }
    out[..n].copy_from_slice(&spare[..n]);
}
