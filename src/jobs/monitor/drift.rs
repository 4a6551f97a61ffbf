//! Whether the features have left what production learned from.
//!
//! Not here: the statistics (`crate::drift`), what follows.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use super::{Alarm, scene::Scene};
use crate::{
    drift::{Calibration, WindowVerdict},
    market::calendar,
};

/// Windows of features, trading days: the longest that the reference holds enough of.
const DRIFT_DAYS: [usize; 5] = [5, 4, 3, 2, 1];
/// One-sided level of the drift of a window.
const DRIFT_P: f64 = 0.05;

/// A window of features against the reference.
#[derive(Debug, Clone, Serialize)]
pub struct Drift {
    /// Trading days of the window.
    pub days: usize,
    /// Rows of the window, all series together.
    pub n_rows: usize,
    /// The window that ends now.
    pub verdict: WindowVerdict,
    /// The one a quarter of a window before.
    pub before: WindowVerdict,
    /// Names of the features, in the order of the verdicts.
    pub features: Vec<&'static str>,
}

impl Drift {
    /// Whether both windows in a row lie further off than chance takes them.
    fn rings(&self) -> bool {
        self.verdict.p <= DRIFT_P && self.before.p <= DRIFT_P
    }

    /// The features that moved most, with their own p.
    fn most(&self, n: usize) -> Vec<(&'static str, f64, f64)> {
        let mut all: Vec<_> = self
            .features
            .iter()
            .zip(&self.verdict.features)
            .map(|(name, one)| (*name, one.z, one.p))
            .collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1));
        all.truncate(n);
        all
    }
}

/// The last windows of features against what production learned from; nothing where there is not enough of either.
pub(super) fn of(scene: &Scene) -> Option<Drift> {
    let (from, until) = scene.learned;
    let set = scene.material.features.first()?.set;
    // Rows of all series in order of time, where every feature is defined.
    let mut rows: Vec<(i64, usize, usize)> = Vec::new();
    for (series, (candles, features)) in
        scene.material.candles.iter().zip(&scene.material.features).enumerate()
    {
        let first = features.first_complete_row();
        rows.extend((first..candles.len()).map(|row| (candles.close_at_us(row), series, row)));
    }
    rows.sort_unstable();
    let columns = |rows: &[(i64, usize, usize)]| -> Vec<Vec<f64>> {
        let of = |feature: usize| -> Vec<f64> {
            rows.iter()
                .map(|&(_, series, row)| scene.material.features[series].columns[feature][row])
                .collect()
        };
        (0..set.features.len()).map(of).collect()
    };
    let place = |at: DateTime<Utc>| rows.partition_point(|row| row.0 <= at.timestamp_micros());
    let reference = &rows[place(from)..place(until)];
    let closes: Vec<i64> = reference.iter().map(|row| row.0).collect();
    let days = calendar::trading_days(&closes);
    let news = &rows[place(until)..];
    let news_closes: Vec<i64> = news.iter().map(|row| row.0).collect();
    let news_days: Vec<NaiveDate> = calendar::trading_days(&news_closes);
    let of_reference = columns(reference);
    DRIFT_DAYS.into_iter().find_map(|n_days| {
        let mut last: Vec<NaiveDate> = news_days.clone();
        last.dedup();
        let first = *last.get(last.len().checked_sub(n_days)?)?;
        let n_rows = news_days.iter().filter(|day| **day >= first).count();
        let step = (n_rows / 4).max(1);
        if news.len() < n_rows + step {
            return None;
        }
        let calibration = Calibration::of(&of_reference, &days, n_rows)?;
        let ending = |back: usize| {
            let end = news.len() - back;
            calibration.judge(&columns(&news[end - n_rows..end]))
        };
        Some(Drift {
            days: n_days,
            n_rows,
            verdict: ending(0)?,
            before: ending(step)?,
            features: set.features.iter().map(|feature| feature.name).collect(),
        })
    })
}

/// Whether it rings, in words.
pub(super) fn alarm(drift: Option<&Drift>) -> Alarm {
    let Some(drift) = drift else {
        let text =
            "not enough history: the reference holds too few windows, or too little has come since";
        return Alarm { name: "drift", rings: false, text: text.into() };
    };
    let most: Vec<String> =
        drift.most(3).iter().map(|(name, z, p)| format!("{name} (z {z:.1}, p {p:.3})")).collect();
    Alarm {
        name: "drift",
        rings: drift.rings(),
        text: format!(
            "the last {} trading days lie z {:.2} off (p {:.3}, the window before p {:.3}, by {} windows of the reference); \
             most: {}; two windows in a row below {DRIFT_P} ring",
            drift.days,
            drift.verdict.z,
            drift.verdict.p,
            drift.before.p,
            drift.verdict.n_windows,
            most.join(", ")
        ),
    }
}
