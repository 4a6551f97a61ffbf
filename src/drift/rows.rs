//! [`Rows`]: features of all series of a line in order of time, and what is made of them once, however often they are looked at.
//!
//! Not here: what a window of them is worth (`calibration`).

use chrono::NaiveDate;

/// Rows of features, all series of a line together, in order of time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Rows {
    /// `columns[feature][row]`, all finite.
    pub columns: Vec<Vec<f64>>,
    /// Trading day of each row, ascending.
    pub days: Vec<NaiveDate>,
    /// Which series each row belongs to, counted from 0; ascending among the rows of one instant.
    pub series: Vec<usize>,
}

impl Rows {
    /// How many rows.
    pub fn len(&self) -> usize {
        self.days.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.days.is_empty()
    }

    /// Whether every column and the series have one entry a day entry.
    pub(super) fn is_whole(&self) -> bool {
        let n = self.len();
        self.series.len() == n && self.columns.iter().all(|column| column.len() == n)
    }

    /// Series: one more than the largest number.
    pub(super) fn n_series(&self) -> usize {
        self.series.iter().max().map_or(0, |last| last + 1)
    }

    /// The row of the same series before each; `None` for the first.
    pub(super) fn before(&self) -> Vec<Option<usize>> {
        let mut last = vec![None; self.n_series()];
        self.series.iter().enumerate().map(|(row, &one)| last[one].replace(row)).collect()
    }
}

/// First-order memory of a feature: x = intercept + memory × the value before + a surprise of standard deviation `sd`.
///
/// What is left is nearly independent from row to row, so that a step of the level and a change of the scale stand out that the
/// slow feature itself would hide.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct Memory {
    pub(super) intercept: f64,
    /// Least squares, kept within 0 to 1.
    pub(super) memory: f64,
    /// Of the surprises; 0: the feature never moves, and nothing is said of it.
    pub(super) sd: f64,
}

impl Memory {
    pub(super) fn fit(column: &[f64], before: &[Option<usize>]) -> Memory {
        let pairs = || {
            let pair = |(row, at): (usize, &Option<usize>)| at.map(|at| (column[at], column[row]));
            before.iter().enumerate().filter_map(pair)
        };
        let n = pairs().count().max(1) as f64;
        let (sum_x, sum_y) = pairs().fold((0.0, 0.0), |(a, b), (x, y)| (a + x, b + y));
        let (mean_x, mean_y) = (sum_x / n, sum_y / n);
        let (xx, xy) = pairs().fold((0.0, 0.0), |(xx, xy), (x, y)| {
            (xx + (x - mean_x).powi(2), xy + (x - mean_x) * (y - mean_y))
        });
        let memory = if xx > 0.0 { (xy / xx).clamp(0.0, 1.0) } else { 0.0 };
        let intercept = mean_y - memory * mean_x;
        let squares: f64 = pairs().map(|(x, y)| (y - intercept - memory * x).powi(2)).sum();
        Memory { intercept, memory, sd: (squares / n).sqrt() }
    }

    /// How large a step of the level is that came with a surprise, in standard errors: least squares over what came with it and after
    /// it (Chen & Liu, JASA 1993). Rows are told backwards; `after` holds the sum and number of those that followed. `None` while
    /// too few have followed: one candle of news is no new level.
    pub(super) fn step(&self, surprise: f64, after: &mut (f64, usize)) -> Option<f64> {
        let rest = 1.0 - self.memory;
        let (sum, n) = *after;
        *after = (sum + surprise, n + 1);
        let error = (1.0 + rest * rest * n as f64).sqrt();
        (n >= SETTLED).then(|| (surprise + rest * sum) / error)
    }

    /// What each row of a column brought that the one before did not tell: nothing for the first of a series.
    pub(super) fn surprises(
        &self,
        column: &[f64],
        series: &[usize],
        before: &[Option<usize>],
    ) -> Surprises {
        let n_series = series.iter().max().map_or(0, |last| last + 1);
        let usual = self.sd * self.sd;
        let mut lately = vec![usual; n_series];
        let of = |(row, at): (usize, &Option<usize>)| {
            let Some(at) = at.filter(|_| usual > 0.0) else { return (0.0, 0.0) };
            let surprise = column[row] - self.intercept - self.memory * column[at];
            let lately = &mut lately[series[row]];
            let variance = USUAL * usual + (1.0 - USUAL) * *lately;
            *lately += FORGETS * ((surprise * surprise).min(MOST * variance) - *lately);
            (surprise.abs(), surprise / variance.sqrt())
        };
        let (size, standard) = before.iter().enumerate().map(of).unzip();
        let same = |(row, at): (usize, &Option<usize>)| {
            at.is_some_and(|at| column[at].to_bits() == column[row].to_bits())
        };
        Surprises { size, standard, repeats: before.iter().enumerate().map(same).collect() }
    }
}

/// What the rows of one column bring, row by row.
#[derive(Debug)]
pub(super) struct Surprises {
    /// Sizes, in the unit of the feature.
    pub(super) size: Vec<f64>,
    /// In standard deviations of those just before: wild weeks have large ones, and that is no step.
    pub(super) standard: Vec<f64>,
    /// Whether the value is that of the row before.
    pub(super) repeats: Vec<bool>,
}

/// Rows after a step before it is believed.
const SETTLED: usize = 6;
/// Weight of the reference's variance beside that of late.
const USUAL: f64 = 0.2;
/// Share of the variance of late that one row replaces: half of it in a day of hours.
const FORGETS: f64 = 0.03;
/// One surprise counts for no more than this many variances.
const MOST: f64 = 16.0;
