//! Cutting samples by time: purge, classes of quantile rules, the scaler, the scaled windows.

use serde::{Deserialize, Serialize};

use super::{Dataset, DatasetError, Folds, Part, Sample, TrainPart, Windows};
use crate::{
    labels::{Cuts, NO_CLASS},
    market::Micros,
};

/// Scaled values are clipped here, in interquartile ranges from the median.
const CLIP: f64 = 10.0;

/// How samples are cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitConfig {
    /// Shares of training, validation and test, in order of time; they add up to 1.
    pub shares: [f64; 3],
    /// Fewer samples than this in any part are too few.
    pub min_part: usize,
}

/// Samples left out at the cuts, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Their label's horizon reaches over a cut.
    pub label: usize,
    /// Their window reaches back over a cut.
    pub window: usize,
}

/// Robust scaling, fitted on a training part: `clip((x - median) / iqr, ±10)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scaler {
    /// Median of each feature.
    pub median: Vec<f64>,
    /// Interquartile range of each feature; 1 where the feature is constant.
    pub iqr: Vec<f64>,
}

impl Dataset<'_> {
    /// Cuts by time, never between decisions of one instant, and purges what reaches over a cut (López de Prado 2018,
    /// chapter 7): samples before a cut whose label is not settled before it, and samples after it whose window begins
    /// before it. `classes` names the classes; for a quantile rule their edges are fitted on the training part.
    ///
    /// # Errors
    /// [`DatasetError::TooFew`] and [`DatasetError::OneClass`].
    pub fn split(&self, config: &SplitConfig, classes: &[&str]) -> Result<Folds, DatasetError> {
        let n = self.samples.len();
        let cut = |share: f64| {
            let place = ((n as f64) * share).floor() as usize;
            self.samples
                .get(place.min(n.saturating_sub(1)))
                .map_or(Micros::MAX, |s| s.decided_at_us)
        };
        let [train_share, validation_share, _] = config.shares;
        let cuts = [cut(train_share), cut(train_share + validation_share)];
        let mut parts = [Part::default(), Part::default(), Part::default()];
        let mut purged = Purged::default();
        for &sample in &self.samples {
            let part = cuts.iter().filter(|cut| sample.decided_at_us >= **cut).count();
            let begins = part.checked_sub(1).map_or(Micros::MIN, |before| cuts[before]);
            let ends = cuts.get(part).copied().unwrap_or(Micros::MAX);
            if sample.label_until_us >= ends {
                purged.label += 1;
            } else if sample.window_from_us < begins {
                purged.window += 1;
            } else {
                parts[part].samples.push(sample);
            }
        }
        let [mut train, mut validation, mut test] = parts;
        if [&train, &validation, &test].iter().any(|part| part.len() < config.min_part.max(1)) {
            return Err(DatasetError::TooFew {
                n_samples: n,
                n_train: train.len(),
                n_validation: validation.len(),
                n_test: test.len(),
                n_purged: purged.label + purged.window,
                needed: config.min_part.max(1),
            });
        }
        if let Some(cuts) = self.fit_cuts(&train) {
            for part in [&mut train, &mut validation, &mut test] {
                for sample in &mut part.samples {
                    sample.class = cuts.class(self.forward_return(sample));
                }
            }
        }
        let counts = train.class_counts(classes.len());
        if counts.iter().filter(|count| **count > 0).count() < 2 {
            let only = counts.iter().position(|count| *count > 0).unwrap_or(0);
            return Err(DatasetError::OneClass {
                class: classes[only].to_owned(),
                n_samples: train.len(),
            });
        }
        let all: Vec<Sample> =
            [&train, &validation, &test].iter().flat_map(|part| part.samples.clone()).collect();
        let train = TrainPart(train);
        let scaler = self.fit_scaler(&train);
        Ok(Folds {
            windows: self.scale(&scaler),
            train,
            validation,
            test,
            scaler,
            classes: classes.iter().map(|&name| name.to_owned()).collect(),
            purged,
            sha256: self.sha256(&all),
        })
    }
}

impl Dataset<'_> {
    fn place(&self, sample: &Sample) -> (usize, usize) {
        let series = sample.series as usize;
        (series, sample.row as usize - self.offsets[series])
    }

    fn forward_return(&self, sample: &Sample) -> f64 {
        let (series, row) = self.place(sample);
        self.series[series].labels.forward_return[row]
    }

    /// Quartiles of the training part's forward returns, where the rule left the classes open.
    fn fit_cuts(&self, train: &Part) -> Option<Cuts> {
        train.samples.iter().find(|sample| sample.class == NO_CLASS)?;
        let returns: Vec<f64> = train.samples.iter().map(|s| self.forward_return(s)).collect();
        Cuts::fit(&returns)
    }

    /// Median and interquartile range of each feature over the rows that training windows cover, each row once.
    fn fit_scaler(&self, TrainPart(train): &TrainPart) -> Scaler {
        let mut covered = vec![false; self.n_rows()];
        for sample in &train.samples {
            let last = sample.row as usize;
            covered[last + 1 - self.config.lookback..=last].fill(true);
        }
        let n_features = self.series[0].features.columns.len();
        let mut scaler = Scaler { median: Vec::new(), iqr: Vec::new() };
        let mut values = Vec::with_capacity(covered.iter().filter(|row| **row).count());
        for feature in 0..n_features {
            values.clear();
            for (input, &offset) in self.series.iter().zip(&self.offsets) {
                let column = &input.features.columns[feature];
                let rows = &covered[offset..offset + column.len()];
                values.extend(column.iter().zip(rows).filter(|(_, row)| **row).map(|(x, _)| *x));
            }
            let [low, middle, high] = [0.25, 0.5, 0.75].map(|q| quantile(&mut values, q));
            let iqr = high - low;
            scaler.median.push(middle);
            // A constant feature carries nothing; a range of 1 keeps it at 0 instead of dividing by 0.
            scaler.iqr.push(if iqr > 0.0 { iqr } else { 1.0 });
        }
        scaler
    }

    fn n_rows(&self) -> usize {
        self.series.iter().map(|input| input.candles.len()).sum()
    }

    /// All rows scaled, row-major. Rows before a feature is defined hold 0; no window covers them.
    fn scale(&self, scaler: &Scaler) -> Windows {
        let n_features = scaler.median.len();
        let mut values = vec![0.0f32; self.n_rows() * n_features];
        for (input, &offset) in self.series.iter().zip(&self.offsets) {
            let rows = &mut values[offset * n_features..];
            scaler.apply(&input.features.columns, rows);
        }
        Windows { values, n_features, lookback: self.config.lookback }
    }
}

impl Scaler {
    /// Scales columns into `rows` (`[n, features]`, row-major, at least as long as the columns). What is not a number
    /// (before a feature is defined) becomes 0; windows over such rows are the caller's to refuse.
    pub fn apply(&self, columns: &[Vec<f64>], rows: &mut [f32]) {
        let n_features = self.median.len();
        for (feature, column) in columns.iter().enumerate() {
            let (median, iqr) = (self.median[feature], self.iqr[feature]);
            for (row, &value) in column.iter().enumerate() {
                let scaled = ((value - median) / iqr).clamp(-CLIP, CLIP);
                rows[row * n_features + feature] =
                    if scaled.is_nan() { 0.0 } else { scaled as f32 };
            }
        }
    }
}

/// Quantile by linear interpolation between order statistics (numpy's default); reorders `values`, which are finite
/// and not none.
fn quantile(values: &mut [f64], q: f64) -> f64 {
    let place = q * (values.len() - 1) as f64;
    let below = place.floor() as usize;
    let (_, &mut low, above) = values.select_nth_unstable_by(below, f64::total_cmp);
    let high = above.iter().copied().fold(f64::INFINITY, f64::min);
    let share = place - below as f64;
    if share > 0.0 { low + (high - low) * share } else { low }
}
