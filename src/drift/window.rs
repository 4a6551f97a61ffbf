//! [`Calibration`]: one verdict on a window of rows, over all features, judged by windows of the reference itself.
//!
//! Candles are no independent rows: the textbook thresholds fire on most quiet days. So the distance of a window from the
//! reference is compared with the distances of the reference's own windows, each from a reference without it and a day on either
//! side (subsampling: Politis, Romano & Wolf 1999; FORMULAS 4.3). Not here: which rows are looked at, and when that is said.

use chrono::{Days, NaiveDate};
use serde::Serialize;

use crate::stats::{self, kolmogorov_smirnov};

/// Fewer windows than this in the reference give no verdict.
pub const MIN_WINDOWS: usize = 60;
/// More windows than this tell no more, and short ones would be thousands.
const MAX_WINDOWS: usize = 250;

/// What the reference's own windows are like.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// Rows of a window.
    n_rows: usize,
    /// Values of the reference in ascending order, a feature each.
    sorted: Vec<Vec<f64>>,
    /// Distances of the reference's windows, a feature each.
    distances: Vec<Vec<f64>>,
    /// Their median and standard deviation, a feature each.
    scale: Vec<(f64, f64)>,
    /// The mean of z over the features, a window each.
    overall: Vec<f64>,
}

/// How far a window lies from the reference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WindowVerdict {
    /// Mean of z over the features.
    pub z: f64,
    /// Share of the reference's windows that lie as far off.
    pub p: f64,
    /// Windows of the reference that it was judged by.
    pub n_windows: usize,
    /// The features by themselves, in their order.
    pub features: Vec<FeatureDrift>,
}

/// How far one feature has moved.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FeatureDrift {
    /// Kolmogorov–Smirnov distance, 0 to 1.
    pub distance: f64,
    /// The distance in standard deviations above the median window.
    pub z: f64,
    /// Share of the reference's windows that lie as far off.
    pub p: f64,
}

impl Calibration {
    /// Learns from a reference: `columns[feature][row]` in order of time, all finite, and the trading day of each row; windows of
    /// `n_rows`. `None` where the reference holds fewer than [`MIN_WINDOWS`].
    ///
    /// # Panics
    /// When a column has not one value a day entry.
    pub fn of(columns: &[Vec<f64>], days: &[NaiveDate], n_rows: usize) -> Option<Calibration> {
        assert!(columns.iter().all(|column| column.len() == days.len()), "one value a row");
        let step = (n_rows / 4).max(days.len().saturating_sub(n_rows).div_ceil(MAX_WINDOWS)).max(1);
        let starts: Vec<usize> = (0..=days.len().checked_sub(n_rows)?).step_by(step).collect();
        if starts.len() < MIN_WINDOWS || n_rows == 0 || columns.is_empty() {
            return None;
        }
        // What is left of the reference for each window: rows before and after it and its neighbouring days.
        let outside: Vec<(usize, usize)> = starts
            .iter()
            .map(|&start| {
                let (first, last) = (days[start], days[start + n_rows - 1]);
                let before = first.checked_sub_days(Days::new(1)).unwrap_or(first);
                let after = last.checked_add_days(Days::new(1)).unwrap_or(last);
                let from = days.partition_point(|day| *day < before);
                (from, days.partition_point(|day| *day <= after))
            })
            .collect();
        let of_column = |column: &Vec<f64>| -> Option<(Vec<f64>, Vec<f64>)> {
            let mut order: Vec<usize> = (0..column.len()).collect();
            order.sort_by(|a, b| column[*a].total_cmp(&column[*b]));
            let distances = starts
                .iter()
                .zip(&outside)
                .map(|(&start, &(from, to))| {
                    let of = |keep: &dyn Fn(usize) -> bool| -> Vec<f64> {
                        order.iter().filter(|row| keep(**row)).map(|row| column[*row]).collect()
                    };
                    let window = of(&|row| (start..start + n_rows).contains(&row));
                    let rest = of(&|row| !(from..to).contains(&row));
                    kolmogorov_smirnov(&window, &rest).map(|found| found.distance)
                })
                .collect::<Option<Vec<f64>>>()?;
            Some((order.iter().map(|row| column[*row]).collect(), distances))
        };
        let (sorted, distances): (Vec<_>, Vec<_>) =
            columns.iter().map(of_column).collect::<Option<Vec<_>>>()?.into_iter().unzip();
        let scale: Vec<(f64, f64)> = distances
            .iter()
            .map(|all| Some((stats::median(&mut all.clone())?, stats::sample_sd(all)?)))
            .collect::<Option<_>>()?;
        let overall = (0..starts.len())
            .map(|window| mean_z(distances.iter().map(|all| all[window]), &scale))
            .collect();
        Some(Calibration { n_rows, sorted, distances, scale, overall })
    }

    /// Rows that a window has.
    pub fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// Judges a window, `columns[feature][row]`; `None` where it has not [`Calibration::n_rows`] rows or other features.
    pub fn judge(&self, columns: &[Vec<f64>]) -> Option<WindowVerdict> {
        if columns.len() != self.sorted.len() || columns.iter().any(|one| one.len() != self.n_rows)
        {
            return None;
        }
        let distances: Vec<f64> = columns
            .iter()
            .zip(&self.sorted)
            .map(|(column, reference)| {
                let mut window = column.clone();
                window.sort_by(f64::total_cmp);
                kolmogorov_smirnov(&window, reference).map(|found| found.distance)
            })
            .collect::<Option<_>>()?;
        let z = mean_z(distances.iter().copied(), &self.scale);
        let features = distances.iter().zip(&self.distances).zip(&self.scale);
        Some(WindowVerdict {
            z,
            p: share_as_far(&self.overall, z),
            n_windows: self.overall.len(),
            features: features
                .map(|((&distance, own), &scale)| FeatureDrift {
                    distance,
                    z: in_sd(distance, scale),
                    p: share_as_far(own, distance),
                })
                .collect(),
        })
    }
}

fn in_sd(distance: f64, (median, sd): (f64, f64)) -> f64 {
    if sd > 0.0 { (distance - median) / sd } else { 0.0 }
}

fn mean_z(distances: impl Iterator<Item = f64>, scale: &[(f64, f64)]) -> f64 {
    let sum: f64 = distances.zip(scale).map(|(distance, scale)| in_sd(distance, *scale)).sum();
    sum / scale.len().max(1) as f64
}

/// (1 + how many are at least it) / (1 + how many).
fn share_as_far(own: &[f64], value: f64) -> f64 {
    let as_far = own.iter().filter(|one| **one >= value).count();
    (1 + as_far) as f64 / (1 + own.len()) as f64
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    const N_FEATURES: usize = 12;
    const DAY_ROWS: usize = 24;

    /// Autoregressive columns with a factor in common, as indicators of one price are.
    fn market(rng: &mut ChaCha8Rng, n_rows: usize) -> (Vec<Vec<f64>>, Vec<NaiveDate>) {
        let mut normal = || -> f64 { StandardNormal.sample(rng) };
        let mut factor = 0.0;
        let mut state = [0.0; N_FEATURES];
        let mut columns: Vec<Vec<f64>> = vec![Vec::new(); N_FEATURES];
        for _ in 0..n_rows {
            factor = 0.8 * factor + normal();
            for (feature, state) in state.iter_mut().enumerate() {
                let memory = 0.5 + 0.4 * feature as f64 / N_FEATURES as f64;
                *state = memory * *state + normal();
                let share = if feature % 2 == 0 { 0.7 } else { 0.0 };
                columns[feature].push(*state + share * factor);
            }
        }
        let first = NaiveDate::from_ymd_opt(2018, 1, 1).expect("a day");
        let day = |row: usize| first + Days::new((row / DAY_ROWS) as u64);
        (columns, (0..n_rows).map(day).collect())
    }

    fn part(columns: &[Vec<f64>], from: usize, to: usize, shift: f64) -> Vec<Vec<f64>> {
        let moved = |feature: usize| if feature < 4 { shift } else { 0.0 };
        columns
            .iter()
            .enumerate()
            .map(|(feature, column)| column[from..to].iter().map(|x| x + moved(feature)).collect())
            .collect()
    }

    #[test]
    fn quiet_windows_are_rarely_and_moved_ones_mostly_found() {
        let (n_reference, n_window) = (90 * DAY_ROWS, 5 * DAY_ROWS);
        let (mut n_quiet, mut n_moved) = (0, 0);
        let n_markets = 40;
        for seed in 0..n_markets {
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let (columns, days) = market(&mut rng, n_reference + 20 * DAY_ROWS);
            let reference = part(&columns, 0, n_reference, 0.0);
            let calibration =
                Calibration::of(&reference, &days[..n_reference], n_window).expect("windows");
            let from = n_reference + 10 * DAY_ROWS;
            let verdict = |shift: f64| {
                let window = part(&columns, from, from + n_window, shift);
                calibration.judge(&window).expect("a verdict")
            };
            n_quiet += u32::from(verdict(0.0).p <= 0.05);
            let moved = verdict(2.5);
            n_moved += u32::from(moved.p <= 0.05);
            assert!(moved.features[0].p <= moved.features[9].p, "{moved:?}");
        }
        // Nominal 5 % of 40 is 2; more than 7 has a chance of one in a thousand.
        assert!(n_quiet <= 7, "{n_quiet} of {n_markets} quiet windows");
        assert!(
            f64::from(n_moved) >= 0.8 * n_markets as f64,
            "{n_moved} of {n_markets} moved windows"
        );
    }

    #[test]
    fn too_short_a_reference_gives_no_verdict() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let (columns, days) = market(&mut rng, 400);
        assert_eq!(Calibration::of(&columns, &days, 120), None);
        assert_eq!(Calibration::of(&columns, &days, 401), None);
        let calibration = Calibration::of(&columns, &days, 20).expect("windows enough");
        let short = Calibration::of(&columns, &days, 1).expect("windows enough");
        assert!(short.overall.len() <= MAX_WINDOWS + 1, "{}", short.overall.len());
        assert_eq!(calibration.judge(&part(&columns, 0, 19, 0.0)), None, "a row is missing");
        assert_eq!(calibration.judge(&columns[..3]), None);
        // A feature that never moves says nothing.
        let constant = vec![vec![1.0; 400]];
        let calibration = Calibration::of(&constant, &days, 20).expect("windows");
        let verdict = calibration.judge(&[vec![1.0; 20]]).expect("a verdict");
        assert!((verdict.p - 1.0).abs() < 1e-12, "{verdict:?}");
    }
}
