//! Samples, windows, the scaler, and folds cut by time with a purge.
//!
//! [`build`] finds the samples of all series in order of decision; [`Dataset::split`] cuts them into [`Folds`], and
//! [`Dataset::around`] takes test blocks out of the middle.
//! Invariant: no label span of a training sample reaches into a later part; a scaler comes from a training part only.
//! Not here: features and labels themselves, tensors (LEARNING).

mod scaler;
mod split;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    features::Features,
    labels::{Labels, NO_CLASS},
    market::{Candles, Micros, calendar, instant},
};

pub use scaler::{Scaler, ScalerError};
pub use split::{Embargo, Parts, Purged, Shortened, SplitConfig};

/// One series that samples come from. All three cover the same candles.
#[derive(Debug, Clone, Copy)]
pub struct SeriesInput<'a> {
    /// The candles.
    pub candles: &'a Candles,
    /// Their features.
    pub features: &'a Features,
    /// Their labels.
    pub labels: &'a Labels,
}

/// Which samples are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetConfig {
    /// Candles in one window, at least 1.
    pub lookback: usize,
    /// Decisions from this instant on; candles before are context only.
    pub from_us: Option<Micros>,
    /// Decisions before this instant.
    pub until_us: Option<Micros>,
}

/// Scaled features of all series, one series after another. A window is a view: rows `row + 1 - lookback ..= row`.
#[derive(Debug, Clone)]
pub struct Windows {
    /// `[n_rows, n_features]`, row-major.
    pub values: Vec<f32>,
    /// Columns.
    pub n_features: usize,
    /// Candles in one window.
    pub lookback: usize,
}

/// One sample: a window, its decision and its label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// Last row of its window in [`Windows::values`].
    pub row: u32,
    /// Which series (index into the dataset's list).
    pub series: u32,
    /// The class.
    pub class: u8,
    /// Open of the window's first candle.
    pub window_from_us: Micros,
    /// Close of the window's last candle: the decision, and the entry.
    pub decided_at_us: Micros,
    /// End of the label's horizon.
    pub label_until_us: Micros,
}

/// Samples in order of decision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    /// The samples.
    pub samples: Vec<Sample>,
}

/// The part that may be learned from: the only one that a scaler can be fitted on. Only a cut makes one, so that what
/// is in it was purged; it reads as a [`Part`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrainPart(Part);

/// What `train::fit` learns from.
#[derive(Debug, Clone)]
pub struct Folds {
    /// Scaled windows of all parts.
    pub windows: Windows,
    /// First part.
    pub train: TrainPart,
    /// Second part: early stopping and calibration.
    pub validation: Part,
    /// Last part: seen by nobody.
    pub test: Part,
    /// As fitted on `train`.
    pub scaler: Scaler,
    /// Names of the classes, in order of their numbers.
    pub classes: Vec<String>,
    /// What was left out at the cuts.
    pub purged: Purged,
    /// Where the parts have fewer trading days than were asked for.
    pub shortened: Option<Shortened>,
    /// SHA-256 over the content, hex.
    pub sha256: String,
}

/// Candles of the wanted range that made no sample, by reason; each counts once, for the first reason that holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// Not enough history before them for a window of defined features.
    pub warm_up: usize,
    /// Their window spans a gap that no weekend or holiday explains.
    pub gap: usize,
    /// Their label does not exist (yet).
    pub unlabelled: usize,
}

impl Dropped {
    /// All of them.
    pub fn total(&self) -> usize {
        self.warm_up + self.gap + self.unlabelled
    }
}

/// Samples of all series, in order of decision, before any cut.
#[derive(Debug, Clone)]
pub struct Dataset<'a> {
    series: Vec<SeriesInput<'a>>,
    /// First row of each series in the windows of all.
    offsets: Vec<usize>,
    config: DatasetConfig,
    /// No label has a class yet: the rule takes its edges from the training part.
    is_open: bool,
    samples: Vec<Sample>,
    dropped: Dropped,
    n_gaps: usize,
}

/// Why there is no dataset.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum DatasetError {
    /// No series, or series of different shapes: a bug of the caller.
    #[error("{0}")]
    Shape(&'static str),
    /// More rows than a sample can point at.
    #[error("{n_rows} candles are more than one dataset can hold ({limit})", limit = u32::MAX)]
    TooLarge {
        /// Rows.
        n_rows: usize,
    },
    /// A feature is not a number where it should be one.
    #[error("feature {feature} is {value} at {at}")]
    NotFinite {
        /// Which feature.
        feature: &'static str,
        /// Its value.
        value: f64,
        /// The candle.
        at: chrono::DateTime<chrono::Utc>,
    },
    /// Too few samples for three parts.
    #[error(
        "{n_samples} samples are too few: training, validation and test got {n_train}, {n_validation} and {n_test} \
         after {n_purged} were purged at the cuts, and each needs at least {needed}; of {n_candles} candles in range \
         {} had too little history for a window of {lookback}, {} a gap in it, and {} no label (yet)",
        dropped.warm_up, dropped.gap, dropped.unlabelled
    )]
    TooFew {
        /// Before the cuts.
        n_samples: usize,
        /// In training.
        n_train: usize,
        /// In validation.
        n_validation: usize,
        /// In test.
        n_test: usize,
        /// Left out at the cuts.
        n_purged: usize,
        /// Wanted in each.
        needed: usize,
        /// In the wanted range.
        n_candles: usize,
        /// Candles in one window.
        lookback: usize,
        /// Candles of the range that made no sample.
        dropped: Dropped,
    },
    /// Only one class in the training part.
    #[error(
        "all {n_samples} training labels are {class}: there is nothing to tell apart (the largest move within a \
         horizon was {:.3} %)",
        largest_move * 100.0
    )]
    OneClass {
        /// The class.
        class: String,
        /// Training samples.
        n_samples: usize,
        /// Of the training part: the largest forward return, either way, as a share of the entry.
        largest_move: f64,
    },
}

impl Part {
    /// Last row of each sample's window.
    pub fn rows(&self) -> Vec<u32> {
        self.samples.iter().map(|sample| sample.row).collect()
    }

    /// Class of each sample.
    pub fn classes(&self) -> Vec<u8> {
        self.samples.iter().map(|sample| sample.class).collect()
    }

    /// Instant of each decision.
    pub fn decided_at_us(&self) -> Vec<Micros> {
        self.samples.iter().map(|sample| sample.decided_at_us).collect()
    }

    /// Series of each sample.
    pub fn series(&self) -> Vec<u32> {
        self.samples.iter().map(|sample| sample.series).collect()
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Samples of each class.
    pub fn class_counts(&self, n_classes: usize) -> Vec<usize> {
        let mut counts = vec![0; n_classes];
        for sample in &self.samples {
            counts[usize::from(sample.class)] += 1;
        }
        counts
    }

    /// First and last decision.
    pub fn window(&self) -> Option<(Micros, Micros)> {
        Some((self.samples.first()?.decided_at_us, self.samples.last()?.decided_at_us))
    }
}

impl std::ops::Deref for TrainPart {
    type Target = Part;

    fn deref(&self) -> &Part {
        &self.0
    }
}

impl TrainPart {
    /// A training part that no cut made, for tests of what learns from one.
    #[cfg(test)]
    pub(crate) fn of_test(part: Part) -> TrainPart {
        TrainPart(part)
    }

    /// Which of `n_rows` rows of the windows some window of this part covers, each once however many do.
    pub fn covered_rows(&self, lookback: usize, n_rows: usize) -> Vec<bool> {
        let mut covered = vec![false; n_rows];
        for sample in &self.samples {
            let last = sample.row as usize;
            covered[last + 1 - lookback..=last].fill(true);
        }
        covered
    }

    /// Deals the labels anew among the samples: whatever is learned from them then is chance.
    pub fn shuffle_labels(&mut self, seed: u64) {
        use rand::{SeedableRng, seq::SliceRandom};
        let mut classes = self.0.classes();
        classes.shuffle(&mut rand_chacha::ChaCha8Rng::seed_from_u64(seed));
        for (sample, class) in self.0.samples.iter_mut().zip(classes) {
            sample.class = class;
        }
    }
}

/// Finds every sample of every series, in order of decision.
///
/// A candle of the wanted range becomes a sample when its window lies behind it complete (all features defined, no
/// unexplained gap inside) and its label exists. Labels of a quantile rule exist where the forward return does; their
/// classes come with the split.
///
/// # Errors
/// [`DatasetError`] when the series do not fit together or a feature is not finite where a window needs it.
pub fn build<'a>(
    series: &[SeriesInput<'a>],
    config: &DatasetConfig,
) -> Result<Dataset<'a>, DatasetError> {
    let Some(first) = series.first() else {
        return Err(DatasetError::Shape("a dataset needs at least one series"));
    };
    if config.lookback == 0 {
        return Err(DatasetError::Shape("a window holds at least one candle"));
    }
    let mut offsets = Vec::with_capacity(series.len());
    let mut n_rows = 0usize;
    for input in series {
        let n = input.candles.len();
        let labels = input.labels;
        let fits = input.features.set == first.features.set
            && input.features.columns.len() == first.features.set.features.len()
            && input.features.columns.iter().all(|column| column.len() == n)
            && [labels.class.len(), labels.forward_return.len(), labels.until_us.len()] == [n; 3];
        if !fits {
            return Err(DatasetError::Shape("candles, features and labels differ in length"));
        }
        offsets.push(n_rows);
        n_rows += n;
    }
    if u32::try_from(n_rows).is_err() {
        return Err(DatasetError::TooLarge { n_rows });
    }
    // A quantile rule leaves every class open until the split knows the training part.
    let is_open = series.iter().all(|s| s.labels.class.iter().all(|&class| class == NO_CLASS));
    let mut dataset = Dataset {
        series: series.to_vec(),
        offsets,
        config: config.clone(),
        is_open,
        samples: Vec::new(),
        dropped: Dropped::default(),
        n_gaps: 0,
    };
    for index in 0..series.len() {
        dataset.check_finite(index)?;
        dataset.find_samples(index);
    }
    // Stable, and so in order of series where pairs decide at one instant; each series is a sorted run already.
    dataset.samples.sort_by_key(|sample| sample.decided_at_us);
    Ok(dataset)
}

impl Dataset<'_> {
    /// The samples, in order of decision.
    pub fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// Candles of the wanted range that made no sample.
    pub fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Gaps in all series that no weekend or holiday explains.
    pub fn n_gaps(&self) -> usize {
        self.n_gaps
    }

    /// Candles of all series.
    fn n_rows(&self) -> usize {
        self.series.iter().map(|input| input.candles.len()).sum()
    }

    /// The first row from which on all features are defined must begin a matrix without holes.
    fn check_finite(&self, index: usize) -> Result<(), DatasetError> {
        let SeriesInput { candles, features, .. } = self.series[index];
        let from = features.first_complete_row();
        for (feature, column) in features.set.features.iter().zip(&features.columns) {
            if let Some(at) = column[from..].iter().position(|value| !value.is_finite()) {
                return Err(DatasetError::NotFinite {
                    feature: feature.name,
                    value: column[from + at],
                    at: instant(candles.open_at_us()[from + at]),
                });
            }
        }
        Ok(())
    }

    fn find_samples(&mut self, index: usize) {
        let SeriesInput { candles, features, labels } = self.series[index];
        let DatasetConfig { lookback, from_us, until_us } = self.config;
        let timeframe = candles.timeframe();
        let open_at_us = candles.open_at_us();
        let gaps = calendar::gaps(timeframe, open_at_us);
        self.n_gaps += gaps.len();
        let mut gap_rows = gaps.iter().map(|gap| gap.row).peekable();
        let row_at = |at_us| open_at_us.partition_point(|&open| timeframe.close_at(open) < at_us);
        let (first, end) = (from_us.map_or(0, row_at), until_us.map_or(open_at_us.len(), row_at));
        // The first row after the last gap, or where features begin: a window may not reach before it.
        let complete_from = features.first_complete_row();
        let mut unbroken_from = 0;
        for row in first..end {
            while let Some(gap_row) = gap_rows.next_if(|&gap_row| gap_row <= row) {
                unbroken_from = gap_row;
            }
            let class = labels.class[row];
            let is_settled =
                class != NO_CLASS || (self.is_open && labels.forward_return[row].is_finite());
            if row + 1 < complete_from + lookback {
                self.dropped.warm_up += 1;
            } else if row + 1 < unbroken_from + lookback {
                self.dropped.gap += 1;
            } else if !is_settled {
                self.dropped.unlabelled += 1;
            } else {
                self.samples.push(Sample {
                    row: u32::try_from(self.offsets[index] + row).expect("checked against u32"),
                    series: u32::try_from(index).expect("fewer series than rows"),
                    class,
                    window_from_us: open_at_us[row + 1 - lookback],
                    decided_at_us: timeframe.close_at(open_at_us[row]),
                    label_until_us: labels.until_us[row],
                });
            }
        }
    }

    /// SHA-256 over all that decides what is learned: series, instants, feature bits, and the samples of each part with
    /// their classes and spans. Rows before a feature is defined are left out: no window holds them.
    fn sha256(&self, classes: &[&str], parts: [&Part; 3]) -> String {
        let mut content = Content::default();
        content.text("aifx.dataset/1");
        content.number(self.config.lookback as u64);
        for input in &self.series {
            let from = input.features.first_complete_row();
            content.text(&input.candles.pair().to_string());
            content.text(input.candles.timeframe().name());
            content.text(input.features.set.name);
            content.number((input.candles.len() - from) as u64);
            input.candles.open_at_us()[from..].iter().for_each(|at| content.number(*at as u64));
            for column in &input.features.columns {
                column[from..].iter().for_each(|value| content.number(value.to_bits()));
            }
        }
        classes.iter().for_each(|name| content.text(name));
        for part in parts {
            content.number(part.len() as u64);
            for sample in &part.samples {
                // Where the row lies is told by series and instant: history before the windows may differ.
                content.number(u64::from(sample.series) << 8 | u64::from(sample.class));
                content.number(sample.decided_at_us as u64);
                content.number(sample.label_until_us as u64);
            }
        }
        content.hex()
    }
}

/// A hash fed by numbers; they are gathered first, since a call into the hash costs more than eight bytes of it.
#[derive(Default)]
struct Content {
    hasher: Sha256,
    gathered: Vec<u8>,
}

impl Content {
    const GATHER_BYTES: usize = 1 << 16;

    fn number(&mut self, value: u64) {
        self.gathered.extend_from_slice(&value.to_le_bytes());
        if self.gathered.len() >= Self::GATHER_BYTES {
            self.flush();
        }
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.gathered.extend_from_slice(text.as_bytes());
    }

    fn flush(&mut self) {
        self.hasher.update(&self.gathered);
        self.gathered.clear();
    }

    fn hex(mut self) -> String {
        self.flush();
        self.hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}
