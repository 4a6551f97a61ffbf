//! [`AnswerDay`]: what a model answered on a trading day and what that cost, which later days are held against.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::{Predictions, Unseen};
use crate::{market::calendar, stats};

/// One trading day of answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerDay {
    /// The day.
    pub day: NaiveDate,
    /// Answers.
    pub n: usize,
    /// Mean log-loss, nats.
    pub loss: f64,
    /// Mean probability of the class that was answered.
    pub confidence: f64,
    /// Share of each class among the answers.
    pub shares: Vec<f64>,
}

/// The days of a version's test part, kept with it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnswerDays {
    /// In order.
    pub days: Vec<AnswerDay>,
    /// First percentile of the probability of the class that was answered, sample by sample.
    pub confidence_p01: f64,
}

impl Predictions<Unseen> {
    /// Its trading days, in order; `None` without a sample.
    pub fn days(&self) -> Option<AnswerDays> {
        let confidence = |sample: usize| self.row(sample).iter().copied().fold(0.0, f64::max);
        let mut all: Vec<f64> = (0..self.len()).map(confidence).collect();
        all.sort_by(f64::total_cmp);
        let confidence_p01 = stats::quantile_sorted(&all, 0.01)?;
        let of_sample = calendar::trading_days(&self.decided_at_us);
        let mut days: Vec<AnswerDay> = Vec::new();
        for (sample, &day) in of_sample.iter().enumerate() {
            if days.last().is_none_or(|last| last.day != day) {
                let shares = vec![0.0; self.n_classes];
                days.push(AnswerDay { day, n: 0, loss: 0.0, confidence: 0.0, shares });
            }
            let Some(last) = days.last_mut() else { continue };
            last.n += 1;
            last.loss += self.loss(sample);
            last.confidence += confidence(sample);
            last.shares[usize::from(self.answer(sample))] += 1.0;
        }
        for day in &mut days {
            let n = day.n as f64;
            day.loss /= n;
            day.confidence /= n;
            day.shares.iter_mut().for_each(|count| *count /= n);
        }
        Some(AnswerDays { days, confidence_p01 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::SeenUntil;

    #[test]
    fn a_day_of_answers_is_their_mean() {
        // Monday 12:00 and 13:00 UTC, then Tuesday.
        let monday = 1_704_715_200_000_000;
        let hour = crate::market::HOUR_US;
        let predictions = Predictions::new(
            2,
            vec![0.8, 0.2, 0.4, 0.6, 0.5, 0.5],
            vec![0, 0, 1],
            vec![monday, monday + hour, monday + 24 * hour],
            vec![0, 0, 0],
        )
        .expect("predictions")
        .after(SeenUntil::new(chrono::DateTime::UNIX_EPOCH));
        let found = predictions.days().expect("days");
        assert_eq!(found.days.iter().map(|day| day.n).collect::<Vec<_>>(), [2, 1]);
        let first = &found.days[0];
        assert!((first.loss + (0.8f64.ln() + 0.4f64.ln()) / 2.0).abs() < 1e-12, "{first:?}");
        assert!((first.confidence - 0.7).abs() < 1e-12, "{first:?}");
        assert_eq!(first.shares, [0.5, 0.5]);
        assert!((found.confidence_p01 - 0.502).abs() < 1e-12, "{}", found.confidence_p01);
        let none = predictions.after(SeenUntil::new(chrono::DateTime::<chrono::Utc>::MAX_UTC));
        assert_eq!(none.days(), None);
    }
}
