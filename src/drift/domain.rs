//! Whether a small model can tell the rows of now from those that were learned from: what no feature shows by itself may show in
//! how they go together.
//!
//! A logistic regression with a ridge, on features in standard deviations of the reference, whose folds are blocks of days; its area
//! under the ROC curve is judged by that of the reference's own blocks of days, each told from the rest (FORMULAS 4.3). Slow features
//! make every few days recognisable: an area of 0.8 is nothing by itself. Not here: whether anything follows.

use chrono::{Days, NaiveDate};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::Rows;
use crate::stats;

/// Rows of either side in one fit; more tell no more.
const MAX_ROWS: usize = 600;
/// Blocks of the reference that the area is judged by.
const BLOCKS: usize = 24;
/// Fewer say nothing.
const MIN_BLOCKS: usize = 10;
/// Weight of the ridge, in rows.
const RIDGE: f64 = 10.0;
/// Newton's steps: the fit is convex and has settled by then.
const STEPS: usize = 6;
/// A step this small is the last: the next would be its square.
const SETTLED: f64 = 1e-4;

/// How well blocks of days of the reference can be told from its other days. Small enough to be kept with a version, since it
/// takes many fits and one look takes one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DomainNull {
    /// Rows of a block.
    n_rows: usize,
    /// Their areas under the ROC curve, ascending.
    areas: Vec<f64>,
}

/// How well the last days can be told from the reference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Domain {
    /// Area under the ROC curve of days that the fit has not seen; 0.5: not at all.
    pub auc: f64,
    /// Share of the reference's blocks of days that can be told from the rest as well.
    pub p: f64,
    /// The median of theirs.
    pub usual: f64,
    /// Blocks of the reference.
    pub n_blocks: usize,
    /// Rows of a block, and of now.
    pub n_rows: usize,
}

impl DomainNull {
    /// Tells blocks of `n_rows` rows of the reference from the rest of it, without the days beside them; `None` where it holds
    /// fewer than [`MIN_BLOCKS`] that span days enough for two folds.
    pub fn of(reference: &Rows, n_rows: usize) -> Option<DomainNull> {
        let known = Sample::of(reference, &scale(reference)?);
        let last = known.days.len().checked_sub(n_rows.max(1))?;
        let step = (last / BLOCKS).max(n_rows);
        let starts: Vec<usize> = (0..=last).step_by(step).collect();
        let area = |first: &usize| {
            let block = *first..first + n_rows;
            let near =
                known.days[block.start] - Days::new(1)..=known.days[block.end - 1] + Days::new(1);
            let rest = known.only(|row| !near.contains(&known.days[row]));
            told_apart(&rest, &known.only(|row| block.contains(&row)))
        };
        let mut areas: Vec<f64> = starts.par_iter().filter_map(area).collect();
        areas.sort_by(f64::total_cmp);
        (areas.len() >= MIN_BLOCKS).then_some(DomainNull { n_rows, areas })
    }
}

impl Domain {
    /// Tells the last rows of `now` from the reference; `None` where there are fewer than a block takes, of one day only, or of
    /// other features.
    pub fn of(null: &DomainNull, reference: &Rows, now: &Rows) -> Option<Domain> {
        let fits = now.len() >= null.n_rows && now.columns.len() == reference.columns.len();
        let scale = fits.then(|| scale(reference))??;
        let asked = Sample::of(now, &scale);
        let asked = asked.only(|row| row + null.n_rows >= now.len());
        let auc = told_apart(&Sample::of(reference, &scale), &asked)?;
        let n = null.areas.len();
        let as_well = n - null.areas.partition_point(|one| *one < auc);
        Some(Domain {
            auc,
            p: (1 + as_well) as f64 / (1 + n) as f64,
            usual: stats::quantile_sorted(&null.areas, 0.5)?,
            n_blocks: n,
            n_rows: null.n_rows,
        })
    }
}

/// Mean and standard deviation of each feature.
fn scale(reference: &Rows) -> Option<Vec<(f64, f64)>> {
    let of = |column: &Vec<f64>| Some((stats::mean(column)?, stats::sample_sd(column)?));
    reference.columns.iter().map(of).collect()
}

/// Standardised rows with their days, row-major, a constant last.
struct Sample {
    width: usize,
    values: Vec<f64>,
    days: Vec<NaiveDate>,
}

impl Sample {
    fn of(rows: &Rows, scale: &[(f64, f64)]) -> Sample {
        let width = scale.len() + 1;
        let mut values = Vec::with_capacity(rows.len() * width);
        for row in 0..rows.len() {
            let standard = |(column, (mean, sd)): (&Vec<f64>, &(f64, f64))| {
                // A wild value is one row, not the fit.
                if *sd > 0.0 { ((column[row] - mean) / sd).clamp(-5.0, 5.0) } else { 0.0 }
            };
            values.extend(rows.columns.iter().zip(scale).map(standard));
            values.push(1.0);
        }
        Sample { width, values, days: rows.days.clone() }
    }

    fn only(&self, keep: impl Fn(usize) -> bool) -> Sample {
        let kept: Vec<usize> = (0..self.days.len()).filter(|row| keep(*row)).collect();
        Sample {
            width: self.width,
            values: kept.iter().flat_map(|row| self.row(*row)).copied().collect(),
            days: kept.iter().map(|row| self.days[*row]).collect(),
        }
    }

    fn row(&self, row: usize) -> &[f64] {
        &self.values[row * self.width..][..self.width]
    }

    /// Rows at equal steps, of which there are at most [`MAX_ROWS`].
    fn thinned(&self, keep: impl Fn(usize) -> bool) -> Vec<&[f64]> {
        let kept: Vec<usize> = (0..self.days.len()).filter(|row| keep(*row)).collect();
        let step = kept.len().div_ceil(MAX_ROWS).max(1);
        kept.into_iter().step_by(step).map(|row| self.row(row)).collect()
    }

    /// The fold of each row: days in turn, in order of time.
    fn folds(&self, n: usize) -> Vec<usize> {
        let mut fold = 0;
        let mut folds = Vec::with_capacity(self.days.len());
        for row in 0..self.days.len() {
            if row > 0 && self.days[row] != self.days[row - 1] {
                fold = (fold + 1) % n;
            }
            folds.push(fold);
        }
        folds
    }
}

/// The area under the ROC curve of a fit that has not seen the days that it is asked of; `None` where there are fewer than two.
fn told_apart(known: &Sample, asked: &Sample) -> Option<f64> {
    let mut days = asked.days.clone();
    days.dedup();
    let n_folds = days.len().min(5);
    if n_folds < 2 || known.days.is_empty() {
        return None;
    }
    let (known_folds, asked_folds) = (known.folds(n_folds), asked.folds(n_folds));
    let (mut of_known, mut of_asked) = (Vec::new(), Vec::new());
    for fold in 0..n_folds {
        let weights = fit(
            &known.thinned(|row| known_folds[row] != fold),
            &asked.thinned(|row| asked_folds[row] != fold),
        )?;
        let score = |row: &&[f64]| dot(row, &weights);
        of_known.extend(known.thinned(|row| known_folds[row] == fold).iter().map(score));
        of_asked.extend(asked.thinned(|row| asked_folds[row] == fold).iter().map(score));
    }
    area(of_known, &of_asked)
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// A logistic regression of 1 for `asked`, both sides of one weight, by Newton's method with a ridge on all but the constant.
fn fit(known: &[&[f64]], asked: &[&[f64]]) -> Option<Vec<f64>> {
    let width = asked.first()?.len();
    let n = (known.len() + asked.len()) as f64;
    let side = |rows: usize| n / (2.0 * rows.max(1) as f64);
    let rows = || {
        let of = |rows: &[&[f64]], truth: f64| (truth, side(rows.len()));
        let (zero, one) = (of(known, 0.0), of(asked, 1.0));
        known.iter().map(move |row| (*row, zero)).chain(asked.iter().map(move |row| (*row, one)))
    };
    let mut weights = vec![0.0; width];
    for _ in 0..STEPS {
        let mut gradient = vec![0.0; width];
        let mut hessian = vec![0.0; width * width];
        for (row, (truth, weight)) in rows() {
            let p = 1.0 / (1.0 + (-dot(row, &weights)).exp());
            let (slope, curve) = (weight * (truth - p), weight * (p * (1.0 - p)).max(1e-6));
            for (i, (gradient, value)) in gradient.iter_mut().zip(row).enumerate() {
                *gradient += slope * value;
                let scaled = curve * value;
                let line = &mut hessian[i * width..=i * width + i];
                line.iter_mut().zip(row).for_each(|(sum, other)| *sum += scaled * other);
            }
        }
        for i in 0..width - 1 {
            gradient[i] -= RIDGE * weights[i];
            hessian[i * width + i] += RIDGE;
        }
        let steps = solve(hessian, gradient, width)?;
        weights.iter_mut().zip(&steps).for_each(|(weight, step)| *weight += step);
        if steps.iter().all(|step| step.abs() < SETTLED) {
            break;
        }
    }
    Some(weights)
}

/// Solves a positive definite system of which the lower half is given (Cholesky); `None` where it is not.
fn solve(mut a: Vec<f64>, mut b: Vec<f64>, n: usize) -> Option<Vec<f64>> {
    for i in 0..n {
        for j in 0..=i {
            let sum: f64 = (0..j).map(|k| a[i * n + k] * a[j * n + k]).sum();
            let rest = a[i * n + j] - sum;
            a[i * n + j] = match i == j {
                true => (rest > 0.0).then(|| rest.sqrt())?,
                false => rest / a[j * n + j],
            };
        }
        let sum: f64 = (0..i).map(|k| a[i * n + k] * b[k]).sum();
        b[i] = (b[i] - sum) / a[i * n + i];
    }
    for i in (0..n).rev() {
        let sum: f64 = (i + 1..n).map(|k| a[k * n + i] * b[k]).sum();
        b[i] = (b[i] - sum) / a[i * n + i];
    }
    Some(b)
}

/// The chance that one of `high` scores above one of `low`, ties half (Mann & Whitney 1947).
fn area(mut low: Vec<f64>, high: &[f64]) -> Option<f64> {
    if low.is_empty() || high.is_empty() {
        return None;
    }
    low.sort_by(f64::total_cmp);
    let below = |score: &f64| {
        let under = low.partition_point(|one| one < score);
        let upto = low.partition_point(|one| one <= score);
        (under + upto) as f64 / 2.0
    };
    Some(high.iter().map(below).sum::<f64>() / (low.len() * high.len()) as f64)
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    /// Six autoregressive features of 24 rows a day; from row `bent` on two of them move together.
    fn market(seed: u64, n_days: usize, bent: usize) -> Rows {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut state = [0.0; 6];
        let mut rows = Rows { columns: vec![Vec::new(); 6], ..Rows::default() };
        let first = NaiveDate::from_ymd_opt(2025, 1, 1).expect("a day");
        for row in 0..n_days * 24 {
            for (feature, state) in state.iter_mut().enumerate() {
                let fresh: f64 = StandardNormal.sample(&mut rng);
                *state = 0.7 * *state + fresh;
                rows.columns[feature].push(*state);
            }
            if row >= bent {
                rows.columns[0][row] += 2.5;
                rows.columns[1][row] -= 2.5;
            }
            rows.days.push(first + Days::new((row / 24) as u64));
            rows.series.push(0);
        }
        rows
    }

    fn part(rows: &Rows, from: usize, to: usize) -> Rows {
        Rows {
            columns: rows.columns.iter().map(|column| column[from..to].to_vec()).collect(),
            days: rows.days[from..to].to_vec(),
            series: rows.series[from..to].to_vec(),
        }
    }

    #[test]
    fn days_that_go_together_otherwise_are_told_and_quiet_ones_are_not() {
        let (mut n_quiet, mut n_found) = (0, 0);
        for seed in 0..10 {
            let p = |bent: usize| {
                let rows = market(seed, 66, bent);
                let reference = part(&rows, 0, 60 * 24);
                let null = DomainNull::of(&reference, 3 * 24).expect("days enough");
                let found = Domain::of(&null, &reference, &part(&rows, 62 * 24, 66 * 24));
                let found = found.expect("rows enough");
                assert!(found.n_blocks >= MIN_BLOCKS && found.n_rows == 72, "{found:?}");
                found.p
            };
            n_quiet += u32::from(p(usize::MAX) <= 0.05);
            n_found += u32::from(p(60 * 24) <= 0.05);
        }
        // One in twenty is what the level says; more than three has a chance of one in a thousand.
        assert!(n_quiet <= 3, "{n_quiet} of 10 quiet");
        assert!(n_found >= 9, "{n_found} of 10 found");
        let rows = market(1, 66, usize::MAX);
        let reference = part(&rows, 0, 24 * 60);
        assert_eq!(DomainNull::of(&part(&rows, 0, 24 * 20), 72), None, "few blocks");
        let null = DomainNull::of(&reference, 72).expect("days enough");
        let few = part(&rows, 24 * 60, 24 * 62);
        assert_eq!(Domain::of(&null, &reference, &few), None, "few rows");
        let text = serde_json::to_string(&null).expect("plain values");
        assert_eq!(serde_json::from_str::<DomainNull>(&text).expect("as written"), null);
    }

    /// scikit-learn 1.9.1, LogisticRegression(C=0.1, solver="newton-cholesky", class_weight="balanced", tol=1e-12) on the rows
    /// (i·0.7 mod 1, i·0.3 mod 1) of i = 1…12, the last five of which are 1; roc_auc_score for the area.
    #[test]
    fn the_fit_and_the_area_are_those_of_others() {
        let row = |i: usize| vec![(i as f64 * 0.7) % 1.0, (i as f64 * 0.3) % 1.0, 1.0];
        let rows: Vec<Vec<f64>> = (1..=12).map(row).collect();
        let all: Vec<&[f64]> = rows.iter().map(Vec::as_slice).collect();
        let weights = fit(&all[..7], &all[7..]).expect("a fit");
        for (ours, theirs) in weights.iter().zip(GOLDEN) {
            assert!((ours - theirs).abs() < 1e-6, "{weights:?}");
        }
        assert_eq!(area(vec![0.1, 0.4, 0.35], &[0.8, 0.35]), Some(0.75));
    }

    const GOLDEN: [f64; 3] = [-0.03375612036944028, -0.025442953690908262, 0.026699117231595362];
}
