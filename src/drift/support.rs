//! [`Support`]: how far a window lies from everything that a version has learned from, and where that is too far.
//!
//! A window is represented by its last row, scaled as the model sees it: features look back by themselves (the longest over
//! sixty candles), and each of the other rows was the last one of a window before, so that it was judged then. The index is
//! the distance to the nearest of at most 2,000 reference rows over the mean distance of two rows (FreqAI's dissimilarity
//! index); the threshold is that of the area of applicability (Meyer & Pebesma, Methods Ecol. Evol. 2021): the same index of
//! the training rows themselves, each from rows of other days only, without their outliers (FORMULAS 4.15).
//! Invariant: made from training rows only. Not here: what becomes of a signal outside (`signal`, `jobs`).

use std::collections::HashSet;

use chrono::NaiveDate;
use rand::{RngExt, SeedableRng, seq::index};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::stats;

/// Reference rows that are kept at most: 300 kB with 38 features.
pub const MAX_MEDOIDS: usize = 2000;
/// One reference row for so many training rows.
const ROWS_A_MEDOID: usize = 5;
/// Training rows that are looked at: more move the threshold less than one week to the next does.
const MAX_ROWS: usize = MAX_MEDOIDS * ROWS_A_MEDOID;
/// Fewer trading days than this cannot tell what other days are like.
pub const MIN_DAYS: usize = 10;
/// Trading days of a week, the span of [`Support::worst_week`].
const WEEK_DAYS: usize = 5;
/// Rows that the mean distance of two is taken over.
const MAX_PAIRED: usize = 2000;
/// The whisker of a box plot, in interquartile ranges above the third quartile (Tukey 1977).
const WHISKER: f64 = 1.5;

/// The reference rows of a version, with the index that is too far.
///
/// Invariant: at least one reference row, all numbers finite, the mean distance above 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Support {
    n_features: usize,
    n_medoids: usize,
    /// `[n_features, n_medoids]` row-major: a feature of all reference rows stands together, for the sake of speed.
    medoids: Vec<f32>,
    /// Mean Euclidean distance of two training rows, in scaled units.
    mean_distance: f64,
    threshold: f64,
    share_beyond: f64,
    worst_week: f64,
}

/// Why bytes are no [`Support`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SupportError {
    /// No safetensors.
    #[error("not safetensors: {0}")]
    Format(String),
    /// A tensor is missing, or has another type or shape.
    #[error("{0} is missing or has another shape")]
    Tensor(&'static str),
    /// A number that cannot be.
    #[error("{0} is not a number that can be")]
    Value(&'static str),
    /// Made for another set of features.
    #[error("its rows have {found} features where the model has {expected}")]
    Features {
        /// Of the model.
        expected: usize,
        /// Of the file.
        found: usize,
    },
}

impl Support {
    /// Learns from training rows: `rows` is `[n, n_features]` row-major, scaled and finite, `days` the trading day of each, in
    /// order of time. A fifth of the rows (at most [`MAX_MEDOIDS`]) is kept: seeded by k-means++ (Arthur & Vassilvitskii 2007),
    /// then the real row nearest each cluster's mean. Equal seeds give equal bytes. `None` under [`MIN_DAYS`] days, or where all
    /// rows are one.
    ///
    /// # Panics
    /// When `rows` has not `n_features` values a day entry.
    pub fn of(rows: &[f32], n_features: usize, days: &[NaiveDate], seed: u64) -> Option<Support> {
        assert_eq!(rows.len(), n_features * days.len(), "one row a day entry");
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut kept: Vec<usize> = match days.len() > MAX_ROWS {
            true => index::sample(&mut rng, days.len(), MAX_ROWS).into_vec(),
            false => (0..days.len()).collect(),
        };
        kept.sort_unstable();
        let table = Table::of(rows, n_features, &kept);
        let days: Vec<NaiveDate> = kept.iter().map(|&row| days[row]).collect();
        let medoids = table.medoids((table.n_rows / ROWS_A_MEDOID).clamp(1, MAX_MEDOIDS), &mut rng);
        Support::around(&table, &days, &medoids)
    }

    /// The same around reference rows that are given, ascending.
    fn around(table: &Table, days: &[NaiveDate], medoids: &[usize]) -> Option<Support> {
        let mut number = 0usize;
        let day_numbers: Vec<usize> = (0..days.len())
            .map(|row| {
                number += usize::from(row > 0 && days[row] != days[row - 1]);
                number
            })
            .collect();
        let n_days = day_numbers.last()? + 1;
        if n_days < MIN_DAYS || medoids.is_empty() {
            return None;
        }
        let mean_distance = table.mean_distance().filter(|mean| *mean > 0.0)?;
        let reference = table.only(medoids);
        let medoid_days: Vec<usize> = medoids.iter().map(|&row| day_numbers[row]).collect();
        // Features remember some days: a row's own day and its neighbours would always be near.
        let elsewhere = |row: usize| -> Option<f64> {
            let day = day_numbers[row];
            let from = medoid_days.partition_point(|other| other + 1 < day);
            let until = medoid_days.partition_point(|other| *other <= day + 1);
            let squared = reference.squared_distances(&table.row(row));
            let near = squared[..from].iter().chain(&squared[until..]).copied();
            near.min_by(f32::total_cmp).map(|near| f64::from(near).sqrt() / mean_distance)
        };
        let indices: Vec<Option<f64>> = (0..table.n_rows).into_par_iter().map(elsewhere).collect();
        let mut sorted: Vec<f64> = indices.iter().copied().flatten().collect();
        sorted.sort_by(f64::total_cmp);
        let low = stats::quantile_sorted(&sorted, 0.25)?;
        let high = stats::quantile_sorted(&sorted, 0.75)?;
        let whisker = high + WHISKER * (high - low);
        let threshold = *sorted.iter().rev().find(|index| **index <= whisker)?;
        let n_beyond = sorted.iter().filter(|index| **index > threshold).count();
        let mut by_day = vec![(0usize, 0usize); n_days];
        for (index, day) in indices.iter().zip(&day_numbers) {
            let Some(index) = index else { continue };
            by_day[*day].0 += 1;
            by_day[*day].1 += usize::from(*index > threshold);
        }
        let share = |days: &[(usize, usize)]| {
            let (n, beyond) = days.iter().fold((0, 0), |sum, day| (sum.0 + day.0, sum.1 + day.1));
            beyond as f64 / n.max(1) as f64
        };
        Some(Support {
            n_features: table.n_features,
            n_medoids: reference.n_rows,
            medoids: reference.values,
            mean_distance,
            threshold,
            share_beyond: n_beyond as f64 / sorted.len() as f64,
            worst_week: by_day.windows(WEEK_DAYS).map(share).fold(0.0, f64::max),
        })
    }

    /// Dissimilarity of rows, `[n, n_features]` row-major and scaled as the training rows were: 0 on a reference row, 1 as far off
    /// as two training rows are on average.
    ///
    /// # Panics
    /// When `rows` is no whole number of rows.
    pub fn dissimilarity(&self, rows: &[f32]) -> Vec<f64> {
        assert_eq!(rows.len() % self.n_features, 0, "whole rows");
        let of = |row: &[f32]| {
            let squared = squared_distances(&self.medoids, self.n_medoids, row);
            let near = squared.into_iter().min_by(f32::total_cmp).unwrap_or(f32::NAN);
            f64::from(near).sqrt() / self.mean_distance
        };
        rows.par_chunks(self.n_features).with_min_len(16).map(of).collect()
    }

    /// A row with a larger dissimilarity lies outside.
    pub fn threshold(&self) -> f64 {
        self.threshold
    }

    /// Share of the training rows that lie beyond the threshold when their own days are left out, 0 to 1.
    pub fn share_beyond(&self) -> f64 {
        self.share_beyond
    }

    /// The largest such share over five trading days in a row.
    pub fn worst_week(&self) -> f64 {
        self.worst_week
    }

    /// Reference rows that are kept.
    pub fn n_medoids(&self) -> usize {
        self.n_medoids
    }

    /// Features of a row.
    pub fn n_features(&self) -> usize {
        self.n_features
    }

    /// As safetensors: `medoids` `[n, n_features]` F32, and one F64 each of `mean_distance`, `threshold`, `share_beyond` and
    /// `worst_week`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let (n, width) = (self.n_medoids, self.n_features);
        let at = |row: usize, feature: usize| self.medoids[feature * n + row].to_le_bytes();
        let rows: Vec<u8> =
            (0..n).flat_map(|row| (0..width).flat_map(move |feature| at(row, feature))).collect();
        let numbers = self.numbers().map(|(name, value)| (name, value.to_le_bytes()));
        let view = |dtype, shape, bytes| {
            TensorView::new(dtype, shape, bytes).expect("as many bytes as the shape takes")
        };
        let mut tensors = vec![("medoids", view(Dtype::F32, vec![n, width], &rows))];
        tensors.extend(numbers.iter().map(|(name, b)| (*name, view(Dtype::F64, vec![1], &b[..]))));
        safetensors::serialize(tensors, None).expect("names and views are well formed")
    }

    /// Reads back what [`Support::to_bytes`] wrote, for a model of `n_features`.
    ///
    /// # Errors
    /// [`SupportError`] naming the first thing that does not fit.
    pub fn from_bytes(bytes: &[u8], n_features: usize) -> Result<Support, SupportError> {
        let tensors =
            SafeTensors::deserialize(bytes).map_err(|e| SupportError::Format(e.to_string()))?;
        let number = |name: &'static str| {
            let tensor = tensors.tensor(name).map_err(|_| SupportError::Tensor(name))?;
            let bytes: [u8; 8] =
                tensor.data().try_into().map_err(|_| SupportError::Tensor(name))?;
            match (tensor.dtype(), f64::from_le_bytes(bytes)) {
                (Dtype::F64, value) if value.is_finite() && value >= 0.0 => Ok(value),
                (Dtype::F64, _) => Err(SupportError::Value(name)),
                _ => Err(SupportError::Tensor(name)),
            }
        };
        let medoids = tensors.tensor("medoids").map_err(|_| SupportError::Tensor("medoids"))?;
        let (n, found) = match (medoids.dtype(), medoids.shape()) {
            (Dtype::F32, [n, found]) if *n > 0 => (*n, *found),
            _ => return Err(SupportError::Tensor("medoids")),
        };
        if found != n_features {
            return Err(SupportError::Features { expected: n_features, found });
        }
        let values = medoids.data().chunks_exact(4);
        let rows: Vec<f32> = values.map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        if rows.iter().any(|value| !value.is_finite()) {
            return Err(SupportError::Value("medoids"));
        }
        let every: Vec<usize> = (0..n).collect();
        let mean_distance = number("mean_distance")?;
        if mean_distance <= 0.0 {
            return Err(SupportError::Value("mean_distance"));
        }
        Ok(Support {
            n_features,
            n_medoids: n,
            medoids: Table::of(&rows, n_features, &every).values,
            mean_distance,
            threshold: number("threshold")?,
            share_beyond: number("share_beyond")?,
            worst_week: number("worst_week")?,
        })
    }

    fn numbers(&self) -> [(&'static str, f64); 4] {
        [
            ("mean_distance", self.mean_distance),
            ("threshold", self.threshold),
            ("share_beyond", self.share_beyond),
            ("worst_week", self.worst_week),
        ]
    }
}

/// Rows by feature: `[n_features, n_rows]` row-major, so that distances from one row to all are sums of long columns.
struct Table {
    values: Vec<f32>,
    n_features: usize,
    n_rows: usize,
}

impl Table {
    /// The rows `kept` of `[n, n_features]` row-major ones.
    fn of(rows: &[f32], n_features: usize, kept: &[usize]) -> Table {
        let at = |feature: usize| kept.iter().map(move |row| rows[row * n_features + feature]);
        Table { values: (0..n_features).flat_map(at).collect(), n_features, n_rows: kept.len() }
    }

    fn row(&self, row: usize) -> Vec<f32> {
        (0..self.n_features).map(|feature| self.values[feature * self.n_rows + row]).collect()
    }

    fn only(&self, kept: &[usize]) -> Table {
        let at =
            |feature: usize| kept.iter().map(move |row| self.values[feature * self.n_rows + row]);
        Table {
            values: (0..self.n_features).flat_map(at).collect(),
            n_features: self.n_features,
            n_rows: kept.len(),
        }
    }

    fn squared_distances(&self, row: &[f32]) -> Vec<f32> {
        squared_distances(&self.values, self.n_rows, row)
    }

    /// At most `k` rows that stand for all, ascending; fewer where there are fewer different ones.
    fn medoids(&self, k: usize, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let mut near = vec![f32::INFINITY; self.n_rows];
        let mut cluster = vec![0usize; self.n_rows];
        let mut seeds: Vec<usize> = Vec::with_capacity(k);
        while seeds.len() < k {
            let total: f64 = near.iter().map(|squared| f64::from(*squared)).sum();
            let seed = match seeds.is_empty() {
                true => rng.random_range(0..self.n_rows.max(1)),
                // What is left are doubles of rows that are there.
                false if total <= 0.0 => break,
                false => {
                    let mut left = rng.random::<f64>() * total;
                    let found = near.iter().position(|squared| {
                        left -= f64::from(*squared);
                        left < 0.0 && *squared > 0.0
                    });
                    // Rounding may leave a rest behind the last row.
                    found.or_else(|| near.iter().rposition(|squared| *squared > 0.0)).unwrap_or(0)
                }
            };
            if self.n_rows == 0 {
                break;
            }
            let from_seed = self.squared_distances(&self.row(seed));
            for (row, squared) in from_seed.into_iter().enumerate() {
                if squared < near[row] {
                    (near[row], cluster[row]) = (squared, seeds.len());
                }
            }
            seeds.push(seed);
        }
        let mut members: Vec<Vec<usize>> = vec![Vec::new(); seeds.len()];
        cluster.iter().enumerate().for_each(|(row, &of)| members[of].push(row));
        let of_each = |rows: &Vec<usize>| -> Option<usize> {
            let cluster = self.only(rows);
            let mean: Vec<f32> = (0..self.n_features)
                .map(|feature| {
                    let column = &cluster.values[feature * rows.len()..][..rows.len()];
                    (column.iter().map(|x| f64::from(*x)).sum::<f64>() / rows.len() as f64) as f32
                })
                .collect();
            let squared = cluster.squared_distances(&mean);
            let place = (0..rows.len()).min_by(|a, b| squared[*a].total_cmp(&squared[*b]))?;
            Some(rows[place])
        };
        let medoids: HashSet<usize> = members.par_iter().filter_map(of_each).collect();
        let mut medoids: Vec<usize> = medoids.into_iter().collect();
        medoids.sort_unstable();
        medoids
    }

    /// Mean Euclidean distance of two different rows, over evenly spread ones where there are many; `None` under two.
    fn mean_distance(&self) -> Option<f64> {
        let step = self.n_rows.div_ceil(MAX_PAIRED).max(1);
        let kept: Vec<usize> = (0..self.n_rows).step_by(step).collect();
        let some = self.only(&kept);
        let sums: Vec<f64> = (0..some.n_rows)
            .into_par_iter()
            .map(|row| {
                let squared = some.squared_distances(&some.row(row));
                squared.into_iter().map(|squared| f64::from(squared).sqrt()).sum()
            })
            .collect();
        let n = some.n_rows as f64;
        (some.n_rows > 1).then(|| sums.iter().sum::<f64>() / (n * (n - 1.0)))
    }
}

/// Squared Euclidean distances from a row to each of `n` rows that stand by feature.
fn squared_distances(columns: &[f32], n: usize, row: &[f32]) -> Vec<f32> {
    let mut sums = vec![0.0f32; n];
    for (column, value) in columns.chunks_exact(n.max(1)).zip(row) {
        for (sum, other) in sums.iter_mut().zip(column) {
            let difference = other - value;
            *sum += difference * difference;
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand_distr::{Distribution, StandardNormal};

    use super::*;

    fn days(n_rows: usize, a_day: usize) -> Vec<NaiveDate> {
        let first: NaiveDate = "2024-01-01".parse().expect("a day");
        (0..n_rows).map(|row| first + chrono::Days::new((row / a_day) as u64)).collect()
    }

    /// Autocorrelated rows as features are: each remembers `rho` of the row before.
    fn market(n_rows: usize, n_features: usize, rho: f64, seed: u64) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut now = vec![0.0f64; n_features];
        let mut rows = Vec::with_capacity(n_rows * n_features);
        for _ in 0..n_rows {
            for value in &mut now {
                let news: f64 = StandardNormal.sample(&mut rng);
                *value = rho * *value + (1.0 - rho * rho).sqrt() * news;
                rows.push(*value as f32);
            }
        }
        rows
    }

    fn share_outside(support: &Support, rows: &[f32]) -> f64 {
        let indices = support.dissimilarity(rows);
        let n_outside = indices.iter().filter(|index| **index > support.threshold()).count();
        n_outside as f64 / indices.len() as f64
    }

    #[test]
    fn news_like_the_reference_lie_inside_and_others_do_not() {
        let (width, n) = (8, 24 * 60);
        let rows = market(n, width, 0.9, 1);
        let support = Support::of(&rows, width, &days(n, 24), 7).expect("sixty days");
        assert_eq!(support.n_medoids(), n / ROWS_A_MEDOID);
        assert!(support.share_beyond() < 0.05, "{}", support.share_beyond());
        assert!(support.worst_week() >= support.share_beyond());
        let news = market(24 * 20, width, 0.9, 2);
        assert!(share_outside(&support, &news) < 0.05, "{}", share_outside(&support, &news));
        let wild: Vec<f32> = news.iter().map(|value| value * 4.0).collect();
        assert!(share_outside(&support, &wild) > 0.8, "{}", share_outside(&support, &wild));
        let one_moved: Vec<f32> =
            news.iter().enumerate().map(|(i, x)| x + 6.0 * f32::from(i % width == 0)).collect();
        assert!(share_outside(&support, &one_moved) > 0.5);
        let first = &rows[..width];
        assert!(support.dissimilarity(first)[0] < 1.0, "a training row is near its like");
    }

    #[test]
    fn equal_seeds_give_equal_bytes_which_read_back() {
        let (width, n) = (5, 600);
        let rows = market(n, width, 0.5, 3);
        let support = Support::of(&rows, width, &days(n, 24), 7).expect("days");
        let bytes = support.to_bytes();
        assert_eq!(Support::of(&rows, width, &days(n, 24), 7).expect("days").to_bytes(), bytes);
        assert_ne!(Support::of(&rows, width, &days(n, 24), 8).expect("days").to_bytes(), bytes);
        assert_eq!(Support::from_bytes(&bytes, width), Ok(support));
        assert_eq!(
            Support::from_bytes(&bytes, 6),
            Err(SupportError::Features { expected: 6, found: 5 })
        );
        assert!(matches!(Support::from_bytes(b"nonsense", 5), Err(SupportError::Format(_))));
        let mut broken = bytes.clone();
        let end = broken.len();
        // The last tensor is the last to be read: a number that is none.
        broken[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
        assert!(matches!(Support::from_bytes(&broken, 5), Err(SupportError::Value(_))));
    }

    #[test]
    fn nothing_comes_of_few_days_and_of_rows_that_are_one() {
        let rows = market(24 * 9, 3, 0.5, 4);
        assert_eq!(Support::of(&rows, 3, &days(24 * 9, 24), 1), None);
        assert_eq!(Support::of(&[], 3, &[], 1), None);
        assert_eq!(Support::of(&[1.0; 600], 3, &days(200, 10), 1), None);
    }

    #[test]
    fn two_thousand_rows_are_kept_of_many() {
        let (width, n) = (3, MAX_ROWS + 500);
        let rows = market(n, width, 0.5, 5);
        let support = Support::of(&rows, width, &days(n, 240), 7).expect("days");
        assert_eq!(support.n_medoids(), MAX_MEDOIDS);
        assert!(support.to_bytes().len() < 500 << 10);
    }

    #[derive(serde::Deserialize)]
    struct Golden {
        n_rows: usize,
        n_features: usize,
        rows_a_day: usize,
        seed: u64,
        medoids: Vec<usize>,
        mean_distance: f64,
        threshold: f64,
        share_beyond: f64,
        worst_week: f64,
        asked_seed: u64,
        dissimilarity: Vec<f64>,
    }

    /// The generator of FORMULAS.
    fn generated(seed: u64, n: usize) -> Vec<f32> {
        let mut x = seed;
        (0..n)
            .map(|_| {
                x = (1_103_515_245 * x + 12345) % (1 << 31);
                (x as f64 / f64::from(1u32 << 31) - 0.5) as f32
            })
            .collect()
    }

    /// Against scikit-learn's neighbours and scipy's distances: tests/golden/support_sklearn.py.
    #[test]
    fn index_and_threshold_are_those_of_an_independent_implementation() {
        let golden: Vec<Golden> =
            serde_json::from_str(include_str!("../../tests/golden/support.json")).expect("JSON");
        assert!(golden.len() >= 3);
        for case in golden {
            let width = case.n_features;
            let rows = generated(case.seed, case.n_rows * width);
            let every: Vec<usize> = (0..case.n_rows).collect();
            let table = Table::of(&rows, width, &every);
            let days = days(case.n_rows, case.rows_a_day);
            let support = Support::around(&table, &days, &case.medoids).expect("enough days");
            for (name, is, golden) in [
                ("mean distance", support.mean_distance, case.mean_distance),
                ("threshold", support.threshold, case.threshold),
                ("share", support.share_beyond, case.share_beyond),
                ("worst week", support.worst_week, case.worst_week),
            ] {
                assert!((is - golden).abs() < 1e-6, "{name}: {is} {golden}");
            }
            let asked = generated(case.asked_seed, case.dissimilarity.len() * width);
            for (is, golden) in support.dissimilarity(&asked).iter().zip(&case.dissimilarity) {
                assert!((is - golden).abs() < 1e-6, "{is} {golden}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn shares_are_shares_and_the_threshold_is_one_of_the_indices(
            n in 120usize..400, rho in 0.0..0.95f64, seed in 0u64..1000
        ) {
            let rows = market(n, 4, rho, seed);
            let support = Support::of(&rows, 4, &days(n, 10), seed).expect("twelve days");
            prop_assert!(support.threshold() > 0.0);
            prop_assert!((0.0..=0.25).contains(&support.share_beyond()), "{}", support.share_beyond());
            prop_assert!((0.0..=1.0).contains(&support.worst_week()));
            let mut far = rows.clone();
            far.iter_mut().for_each(|value| *value += 1000.0);
            prop_assert!(share_outside(&support, &far) > 0.999);
        }
    }
}
