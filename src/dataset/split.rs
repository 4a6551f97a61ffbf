//! Cutting samples by time: [`Dataset::split`] into three parts, [`Dataset::around`] test blocks; purge and embargo.

use std::{fmt, ops::Range};

use serde::{Deserialize, Serialize};

use super::{Dataset, DatasetError, Folds, Part, Sample, Scaler, TrainPart};
use crate::{
    labels::{Cuts, NO_CLASS},
    market::{Micros, calendar},
};

/// A part that is asked for in trading days takes at most this share of them.
const MOST_OF_DAYS: f64 = 0.15;

/// Where the parts begin and end.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parts {
    /// Shares of training, validation and test, in order of time; they add up to 1.
    Shares([f64; 3]),
    /// Trading days of validation and test, the last ones; the rest is training.
    Days {
        /// Before the test part.
        validation: u32,
        /// At the end.
        test: u32,
    },
}

/// Parts of fewer trading days than were asked for, because there are too few of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Shortened {
    /// Trading days asked for, of validation and of test.
    pub asked: [u32; 2],
    /// Trading days taken, of validation and of test.
    pub taken: [u32; 2],
    /// Trading days that there are.
    pub trading_days: usize,
}

impl fmt::Display for Shortened {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shortened { asked, taken, trading_days } = self;
        write!(
            f,
            "{trading_days} trading days are too few for validation and test parts of {} and {}: they take {} and {} (at most {:.0} % each)",
            asked[0],
            asked[1],
            taken[0],
            taken[1],
            MOST_OF_DAYS * 100.0
        )
    }
}

/// How samples are cut.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SplitConfig {
    /// Where.
    pub parts: Parts,
    /// Fewer samples than this in any part are too few.
    pub min_part: usize,
}

/// Whether training samples that follow a test block wait until their windows have left it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Embargo {
    /// One lookback: a window that still holds a candle of the test block, or of its labels, is left out.
    #[default]
    Lookback,
    /// None. Every report says so.
    Off,
}

/// Samples left out at the cuts, by reason.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purged {
    /// Their label's horizon reaches over a cut.
    pub label: usize,
    /// Their window reaches back over a cut.
    pub window: usize,
}

impl Purged {
    /// All of them.
    pub fn total(&self) -> usize {
        self.label + self.window
    }
}

impl Dataset<'_> {
    /// Cuts by time, never between decisions of one instant, and purges what reaches over a cut (López de Prado 2018,
    /// chapter 7): samples before a cut whose label is not settled before it, and samples after it whose window begins
    /// before it. No training follows a test here, so there is nothing to embargo. `classes` names the classes; for a
    /// quantile rule their edges are fitted on the training part.
    ///
    /// # Errors
    /// [`DatasetError::TooFew`] and [`DatasetError::OneClass`]; [`DatasetError::Shape`] for shares that are none.
    pub fn split(&self, config: &SplitConfig, classes: &[&str]) -> Result<Folds, DatasetError> {
        self.check_classes(classes)?;
        let (cuts, shortened) = match config.parts {
            Parts::Shares(shares) => (self.cuts_by_shares(shares)?, None),
            Parts::Days { validation, test } => self.cuts_by_days([validation, test])?,
        };
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
        // Quartiles need four returns to lie between.
        let needed = config.min_part.max(if self.is_open { 4 } else { 1 });
        if [&train, &validation, &test].iter().any(|part| part.len() < needed) {
            return Err(DatasetError::TooFew {
                n_samples: self.samples.len(),
                n_train: train.len(),
                n_validation: validation.len(),
                n_test: test.len(),
                n_purged: purged.total(),
                needed,
                n_candles: self.samples.len() + self.dropped.total(),
                lookback: self.config.lookback,
                dropped: self.dropped,
            });
        }
        if let Some(cuts) = self.fit_cuts(&train) {
            for part in [&mut train, &mut validation, &mut test] {
                self.assign(part, &cuts);
            }
        }
        self.check_classes_differ(&train, classes)?;
        let train = TrainPart(train);
        let scaler = Scaler::fit(&train, self);
        Ok(Folds {
            windows: scaler.windows(self),
            sha256: self.sha256(classes, [&train, &validation, &test]),
            train,
            validation,
            test,
            scaler,
            classes: classes.iter().map(|&name| name.to_owned()).collect(),
            purged,
            shortened,
        })
    }

    /// The samples outside contiguous test blocks that may be trained on (López de Prado 2018, chapters 7 and 12), for
    /// walk-forward and combinatorial folds. `blocks` are ranges of [`Dataset::samples`], in order and disjoint.
    ///
    /// A block spans from its first decision to the last end of *any* of its labels. A sample whose label span (decision
    /// to end of horizon) meets that is purged; after it, with [`Embargo::Lookback`], so is one whose window begins
    /// before it ended. In candles, not by the clock: a lookback over a weekend is as long as one within a week.
    ///
    /// # Panics
    /// When a block reaches beyond the samples.
    pub fn around(&self, blocks: &[Range<usize>], embargo: Embargo) -> (TrainPart, Purged) {
        let spans: Vec<(Micros, Micros)> = blocks
            .iter()
            .filter_map(|block| {
                let test = &self.samples[block.clone()];
                let until = test.iter().map(|sample| sample.label_until_us).max()?;
                Some((test[0].decided_at_us, until))
            })
            .collect();
        let mut train = Part::default();
        let mut purged = Purged::default();
        for (index, sample) in self.samples.iter().enumerate() {
            let meets = |&(from, until): &(Micros, Micros)| {
                sample.decided_at_us <= until && sample.label_until_us >= from
            };
            let looks_into = |&(from, until): &(Micros, Micros)| {
                sample.decided_at_us > from && sample.window_from_us < until
            };
            if blocks.iter().any(|block| block.contains(&index)) {
                continue;
            } else if spans.iter().any(meets) {
                purged.label += 1;
            } else if embargo == Embargo::Lookback && spans.iter().any(looks_into) {
                purged.window += 1;
            } else {
                train.samples.push(*sample);
            }
        }
        (TrainPart(train), purged)
    }

    /// Where validation and test begin, by trading days. Each part has as many days of samples as were asked for after the purge
    /// of windows that reach back over its beginning, so that a slow timeframe has some too. A part that would take more than
    /// [`MOST_OF_DAYS`] of the trading days spans that share of them instead, the purge within it.
    fn cuts_by_days(
        &self,
        asked: [u32; 2],
    ) -> Result<([Micros; 2], Option<Shortened>), DatasetError> {
        if asked.contains(&0) {
            return Err(DatasetError::Shape("a part of a split has at least one trading day"));
        }
        let at_us: Vec<Micros> = self.samples.iter().map(|sample| sample.decided_at_us).collect();
        let days = calendar::trading_days(&at_us);
        // The first sample of each trading day.
        let starts: Vec<usize> =
            (0..days.len()).filter(|&i| i == 0 || days[i] != days[i - 1]).collect();
        let most = ((starts.len() as f64 * MOST_OF_DAYS) as u32).max(1);
        let taken = asked.map(|days| days.min(most));
        let begins = |end: usize, n_days: u32, is_whole: bool, until_us: Micros| {
            // Of the samples before `end`, those that no purge at the end of the part takes.
            let stay = |&i: &usize| self.samples[i].label_until_us < until_us;
            let last = (0..end).rev().find(stay)?;
            let of_last = starts.partition_point(|&start| start <= last);
            let first = starts[of_last.saturating_sub(n_days as usize)];
            let window = (first..end).filter(stay).map(|i| self.samples[i].window_from_us).min()?;
            Some(if is_whole { window } else { at_us[first] })
        };
        let is_whole = |part: usize| taken[part] == asked[part];
        let test = begins(at_us.len(), taken[1], is_whole(1), Micros::MAX).unwrap_or(Micros::MAX);
        let before = at_us.partition_point(|&at_us| at_us < test);
        let validation = begins(before, taken[0], is_whole(0), test).unwrap_or(test);
        let shortened = Shortened { asked, taken, trading_days: starts.len() };
        Ok(([validation, test], (taken != asked).then_some(shortened)))
    }

    /// The first decisions of validation and of test, by shares of the samples.
    fn cuts_by_shares(&self, shares: [f64; 3]) -> Result<[Micros; 2], DatasetError> {
        let sum: f64 = shares.iter().sum();
        if shares.iter().any(|share| !share.is_finite() || *share <= 0.0)
            || (sum - 1.0).abs() > 1e-6
        {
            return Err(DatasetError::Shape("the shares of a split are positive and add up to 1"));
        }
        let n = self.samples.len();
        let cut = |share: f64| {
            let place = ((n as f64) * share).floor() as usize;
            self.samples.get(place).map_or(Micros::MAX, |sample| sample.decided_at_us)
        };
        Ok([cut(shares[0]), cut(shares[0] + shares[1])])
    }

    fn check_classes(&self, classes: &[&str]) -> Result<(), DatasetError> {
        let is_named = |sample: &Sample| usize::from(sample.class) < classes.len();
        if self.is_open && classes.len() != 4 {
            Err(DatasetError::Shape("no label has a class, and only quartiles come later"))
        } else if !self.is_open && !self.samples.iter().all(is_named) {
            Err(DatasetError::Shape("a label has a class without a name"))
        } else {
            Ok(())
        }
    }

    fn check_classes_differ(&self, train: &Part, classes: &[&str]) -> Result<(), DatasetError> {
        let counts = train.class_counts(classes.len());
        let only = counts.iter().position(|count| *count == train.len());
        only.map_or(Ok(()), |only| {
            let moves = train.samples.iter().map(|sample| self.forward_return(sample).abs());
            Err(DatasetError::OneClass {
                class: classes[only].to_owned(),
                n_samples: train.len(),
                largest_move: moves.fold(0.0, f64::max),
            })
        })
    }

    fn forward_return(&self, sample: &Sample) -> f64 {
        let series = sample.series as usize;
        self.series[series].labels.forward_return[sample.row as usize - self.offsets[series]]
    }

    /// Quartiles of the training part's forward returns, where the rule left the classes open.
    fn fit_cuts(&self, train: &Part) -> Option<Cuts> {
        train.samples.iter().find(|sample| sample.class == NO_CLASS)?;
        let returns: Vec<f64> = train.samples.iter().map(|s| self.forward_return(s)).collect();
        Cuts::fit(&returns)
    }

    fn assign(&self, part: &mut Part, cuts: &Cuts) {
        for sample in &mut part.samples {
            sample.class = cuts.class(self.forward_return(sample));
        }
    }
}
