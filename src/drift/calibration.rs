//! [`Calibration`]: whether a window of rows has left the reference, judged by windows of the reference itself.
//!
//! Candles are no independent rows: the textbook thresholds fire on most quiet days. So what is measured of a window is held
//! against the same measure of the reference's own windows, each against a reference without it and a day on either side
//! (subsampling: Politis, Romano & Wolf 1999; FORMULAS 4.3). Not here: which rows are looked at, and when that is said.

use std::ops::Range;

use chrono::{Days, NaiveDate};
use serde::{Deserialize, Serialize};

use super::{
    DomainNull, FeatureReference, Rows,
    rows::{Memory, Surprises},
    verdict::{Evidence, FeatureDrift, Kind, Look, Measure, Verdict},
};
use crate::stats;

/// Fewer windows than this in the reference give no verdict.
pub const MIN_WINDOWS: usize = 60;
/// Nor do fewer that have no row in common: the furthest of them would say nothing about the next.
pub const MIN_APART: usize = 20;
/// More rows of a reference than this tell no more: the most recent ones count, so that a line of minutes takes no gigabytes.
pub const MAX_ROWS: usize = 50_000;
/// More windows than this tell no more, and short ones would be thousands.
const MAX_WINDOWS: usize = 250;
/// The longest window, trading days: what has happened has to be found within three.
const LONGEST_DAYS: usize = 3;
/// Fewer rows of a series than this are no window.
const MIN_ROWS: usize = 24;
/// Two windows in a row lie this part of a window apart.
const STEPS: usize = 12;
/// Points of the reference's distribution that are kept.
const N_POINTS: usize = 200;
/// The furthest window counts as at least so many standard deviations off.
const SDS: f64 = 2.5;
/// No feature counts for more than this in a mean over features, in standard deviations of its windows.
const MOST_Z: f64 = 8.0;
/// Shares of repeated values closer to each other than this are alike.
const LEAST_REPEATS: f64 = 0.1;

/// What the reference's own windows are like. Small enough to be kept with a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Trading days of a window.
    pub days: usize,
    /// Rows of a window, all series together.
    pub n_rows: usize,
    /// Series that the rows belong to.
    pub n_series: usize,
    /// Windows of the reference.
    pub n_windows: usize,
    /// How many of them have no row in common.
    pub n_apart: usize,
    /// What was learned of each feature, in their order.
    features: Vec<FeatureNull>,
    /// How far the reference's windows go, a kind of evidence each.
    evidence: Vec<(Kind, Null)>,
    /// How well they can be told from the rest; versions made before there was such a thing keep nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<DomainNull>,
}

/// A measure over the reference's windows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Null {
    median: f64,
    sd: f64,
    /// The windows in ascending order, rounded.
    windows: Vec<f32>,
}

/// A measure whose shares nobody asks for: what its windows are like.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Spread {
    median: f64,
    sd: f64,
}

/// What was learned of a feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct FeatureNull {
    reference: FeatureReference,
    /// The values of the reference at equal steps of their rank, ascending.
    points: Vec<f64>,
    memory: Memory,
    /// Mean size of the reference's surprises.
    surprise: f64,
    /// As `points`, of the standardised surprises.
    fresh_points: Vec<f32>,
    fresh: Spread,
    step: Spread,
    scale: Spread,
    repeats: Spread,
    distance: Null,
    wasserstein: Null,
    stability: Null,
}

/// Rows with what is made of them once.
#[derive(Debug)]
pub struct Prepared<'a> {
    rows: &'a Rows,
    /// A feature each.
    surprises: Vec<Surprises>,
}

impl Calibration {
    /// Learns from a reference. `None` where it holds fewer than [`MIN_WINDOWS`] windows, or [`MIN_APART`] of them without a row
    /// in common, or its rows are not one a day entry.
    pub fn of(names: &[&str], reference: &Rows) -> Option<Calibration> {
        let mut days = reference.days.clone();
        days.dedup();
        let n_series = reference.n_series();
        if !reference.is_whole() || n_series == 0 || names.len() != reference.columns.len() {
            return None;
        }
        // Rows of a usual day: a window has as many of them as it has days, whatever is missing of late.
        let mut counts: Vec<f64> = days.chunk_by(|a, b| a == b).map(|_| 0.0).collect();
        for (count, day) in counts.iter_mut().zip(&days) {
            let from = reference.days.partition_point(|one| one < day);
            *count = (reference.days.partition_point(|one| one <= day) - from) as f64;
        }
        let a_day = (stats::median(&mut counts)? as usize).max(1);
        let shortest = (MIN_ROWS * n_series).div_ceil(a_day);
        let fitting = |n_days: &usize| reference.len() / (n_days * a_day) >= MIN_APART;
        let n_days = (shortest..=LONGEST_DAYS.max(shortest)).rev().find(fitting)?;
        Calibration::of_windows(names, reference, n_days, n_days * a_day)
    }

    fn of_windows(
        names: &[&str],
        reference: &Rows,
        days: usize,
        n_rows: usize,
    ) -> Option<Calibration> {
        let step = (reference.len() - n_rows).div_ceil(MAX_WINDOWS).max(1);
        let starts: Vec<usize> = (0..=reference.len() - n_rows).step_by(step).collect();
        if starts.len() < MIN_WINDOWS {
            return None;
        }
        let before = reference.before();
        // What stays of the reference for each window: rows before and after it and its neighbouring days.
        let outside: Vec<(usize, usize)> = starts
            .iter()
            .map(|&start| {
                let (first, last) = (reference.days[start], reference.days[start + n_rows - 1]);
                let from = first.checked_sub_days(Days::new(1)).unwrap_or(first);
                let to = last.checked_add_days(Days::new(1)).unwrap_or(last);
                let place = |day: NaiveDate| reference.days.partition_point(|one| *one < day);
                (place(from), reference.days.partition_point(|one| *one <= to))
            })
            .collect();
        let mut features = Vec::with_capacity(names.len());
        let mut measures: Vec<Vec<Measure>> = Vec::with_capacity(names.len());
        for (feature, name) in names.iter().enumerate() {
            let column = &reference.columns[feature];
            let order = by_value(column);
            let about = FeatureReference::of(name, column);
            let memory = Memory::fit(column, &before);
            let surprises = memory.surprises(column, &reference.series, &before);
            let surprise = stats::mean(&surprises.size)?;
            let fresh = &surprises.standard;
            let fresh_order = by_value(fresh);
            let of_windows: Vec<Measure> = starts
                .iter()
                .zip(&outside)
                .map(|(&start, &(from, to))| {
                    let window = start..start + n_rows;
                    let out = from..to;
                    let apart = leave_out(column, &order, &window, &out);
                    let stability = stability(column, &about, &window, &out);
                    let (fresh, _) = leave_out(fresh, &fresh_order, &window, &out);
                    let inner = inside(&surprises, &reference.series, &window, (&memory, surprise));
                    let wasserstein = if about.sd > 0.0 { apart.1 / about.sd } else { 0.0 };
                    Measure { distance: apart.0, wasserstein, stability, fresh, ..inner }
                })
                .collect();
            let null = |of: fn(&Measure) -> f64| Null::of(of_windows.iter().map(of).collect());
            let spread = |of: fn(&Measure) -> f64| Spread::of(of_windows.iter().map(of).collect());
            let fresh_points = points(fresh, &fresh_order);
            features.push(FeatureNull {
                reference: about,
                points: points(column, &order),
                memory,
                surprise,
                fresh_points: fresh_points.into_iter().map(|one| one as f32).collect(),
                fresh: spread(|one| one.fresh)?,
                step: spread(|one| one.step)?,
                scale: spread(|one| one.scale)?,
                repeats: spread(|one| one.repeats)?,
                distance: null(|one| one.distance)?,
                wasserstein: null(|one| one.wasserstein)?,
                stability: null(|one| one.stability)?,
            });
            measures.push(of_windows);
        }
        share_spread(&mut features, |one| &mut one.distance.sd);
        share_spread(&mut features, |one| &mut one.fresh.sd);
        share_spread(&mut features, |one| &mut one.step.sd);
        let evidence = Kind::ALL
            .into_iter()
            .map(|kind| {
                let values: Vec<f64> = (0..starts.len())
                    .map(|window| {
                        let of_window = measures.iter().map(|one| one[window]);
                        strength(kind, &features, of_window).0
                    })
                    .collect();
                Some((kind, Null::of(values)?))
            })
            .collect::<Option<Vec<_>>>()?;
        Some(Calibration {
            days,
            n_rows,
            n_series: reference.n_series(),
            n_windows: starts.len(),
            n_apart: reference.len() / n_rows,
            features,
            evidence,
            domain: None,
        })
    }

    /// With how well windows of the same reference can be told from the rest of it: many fits, for what is kept.
    pub fn with_domain(self, reference: &Rows) -> Calibration {
        Calibration { domain: DomainNull::of(reference, self.n_rows), ..self }
    }

    /// Rows made ready to be looked at, however many windows of them; `None` where they have other features or series.
    pub fn prepare<'a>(&self, rows: &'a Rows) -> Option<Prepared<'a>> {
        let fits = rows.is_whole()
            && rows.columns.len() == self.features.len()
            && rows.n_series() <= self.n_series;
        let before = rows.before();
        let of_feature = |(one, column): (&FeatureNull, &Vec<f64>)| {
            one.memory.surprises(column, &rows.series, &before)
        };
        let surprises = || self.features.iter().zip(&rows.columns).map(of_feature).collect();
        fits.then(|| Prepared { rows, surprises: surprises() })
    }

    /// Judges the window that ends before row `end`; `None` where fewer than [`Calibration::n_rows`] come before it.
    pub fn judge(&self, prepared: &Prepared<'_>, end: usize) -> Option<Verdict> {
        let window = end.checked_sub(self.n_rows)?..end;
        let measures: Vec<Measure> = self
            .features
            .iter()
            .enumerate()
            .map(|(feature, null)| {
                let mut values = prepared.rows.columns[feature].get(window.clone())?.to_vec();
                values.sort_by(f64::total_cmp);
                let counts = null.reference.counts(&values);
                let fresh_points: Vec<f64> =
                    null.fresh_points.iter().map(|one| f64::from(*one)).collect();
                let surprises = &prepared.surprises[feature];
                let mut fresh: Vec<f64> = surprises.standard[window.clone()].to_vec();
                fresh.sort_by(f64::total_cmp);
                let inner = inside(
                    surprises,
                    &prepared.rows.series,
                    &window,
                    (&null.memory, null.surprise),
                );
                Some(Measure {
                    distance: stats::distance(&values, &null.points)?,
                    wasserstein: null.normed(stats::wasserstein(&values, &null.points)?),
                    fresh: stats::distance(&fresh, &fresh_points)?,
                    stability: stats::stability_index(&null.reference.shares, &counts)?,
                    ..inner
                })
            })
            .collect::<Option<_>>()?;
        let evidence = self
            .evidence
            .iter()
            .map(|(kind, null)| {
                let (value, feature) = strength(*kind, &self.features, measures.iter().copied());
                let reach = null.reach(*kind, value);
                Evidence { kind: *kind, value, reach, p: null.p(value), feature }
            })
            .collect();
        let features = self.features.iter().zip(&measures);
        Some(Verdict { evidence, features: features.map(|(null, one)| null.drift(one)).collect() })
    }

    /// Rows between two windows in a row: six hours of three days.
    pub fn step(&self) -> usize {
        (self.n_rows / STEPS).max(1)
    }

    /// Looks at the two windows in a row of which the last ends before row `end`; `None` as for [`Calibration::judge`].
    pub fn look(&self, prepared: &Prepared<'_>, end: usize) -> Option<Look> {
        let before = self.judge(prepared, end.checked_sub(self.step())?)?;
        Some(Look { verdict: self.judge(prepared, end)?, before })
    }

    /// Names of the features, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.features.iter().map(|one| one.reference.name.as_str())
    }
}

/// The spread of some twenty windows is itself an estimate: no feature is held for quieter than the middle one of all, so that one
/// which happened to be quiet does not ring for little.
fn share_spread(features: &mut [FeatureNull], of: fn(&mut FeatureNull) -> &mut f64) {
    let mut all: Vec<f64> = features.iter_mut().map(|one| *of(one)).collect();
    let middle = stats::median(&mut all).unwrap_or(0.0);
    for sd in features.iter_mut().map(of).filter(|sd| **sd > 0.0) {
        *sd = sd.max(middle);
    }
}

impl Spread {
    fn of(mut values: Vec<f64>) -> Option<Spread> {
        let sd = stats::sample_sd(&values)?;
        Some(Spread { median: stats::median(&mut values)?, sd })
    }

    /// Standard deviations above the median window; 0 where all windows are one.
    fn z(&self, value: f64) -> f64 {
        if self.sd > 0.0 { (value - self.median) / self.sd } else { 0.0 }
    }
}

impl Null {
    fn of(mut values: Vec<f64>) -> Option<Null> {
        values.sort_by(f64::total_cmp);
        let rounded = |one: &f64| ((one * 1e4).round() / 1e4) as f32;
        let windows = values.iter().map(rounded).collect();
        let Spread { median, sd } = Spread::of(values)?;
        Some(Null { median, sd, windows })
    }

    fn z(&self, value: f64) -> f64 {
        Spread { median: self.median, sd: self.sd }.z(value)
    }

    /// (1 + how many windows lie as far) / (1 + how many).
    fn p(&self, value: f64) -> f64 {
        let below = self.windows.partition_point(|one| f64::from(*one) < value);
        (1 + self.windows.len() - below) as f64 / (1 + self.windows.len()) as f64
    }

    /// 0 for the median window, 1 for the furthest.
    fn reach(&self, kind: Kind, value: f64) -> f64 {
        let furthest = self.windows.last().map_or(0.0, |one| f64::from(*one));
        let least = if kind == Kind::Frozen { LEAST_REPEATS } else { f64::MIN_POSITIVE };
        (value - self.median) / (furthest - self.median).max(SDS * self.sd).max(least)
    }
}

impl FeatureNull {
    fn normed(&self, wasserstein: f64) -> f64 {
        if self.reference.sd > 0.0 { wasserstein / self.reference.sd } else { 0.0 }
    }

    fn drift(&self, measure: &Measure) -> FeatureDrift {
        FeatureDrift {
            measure: *measure,
            z: self.distance.z(measure.distance),
            p: self.distance.p(measure.distance),
            p_wasserstein: self.wasserstein.p(measure.wasserstein),
            p_stability: self.stability.p(measure.stability),
        }
    }
}

/// How strong one kind of evidence is in a window, and the feature that it rests on where it is one.
fn strength(
    kind: Kind,
    features: &[FeatureNull],
    measures: impl Iterator<Item = Measure>,
) -> (f64, Option<usize>) {
    let each = features.iter().zip(measures);
    let mean = |each: &mut dyn Iterator<Item = f64>| {
        each.map(|z| z.clamp(-MOST_Z, MOST_Z)).sum::<f64>() / features.len().max(1) as f64
    };
    let most = |each: &mut dyn Iterator<Item = f64>| {
        let most = each.enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
        most.map_or((0.0, None), |(feature, value)| (value, Some(feature)))
    };
    match kind {
        Kind::Everything => {
            (mean(&mut each.map(|(null, one)| null.distance.z(one.distance))), None)
        }
        Kind::Surprise => most(&mut each.map(|(null, one)| null.fresh.z(one.fresh))),
        Kind::Step => most(&mut each.map(|(null, one)| null.step.z(one.step))),
        Kind::Scale => (mean(&mut each.map(|(null, one)| null.scale.z(one.scale))), None),
        Kind::Frozen => most(&mut each.map(|(null, one)| one.repeats - null.repeats.median)),
    }
}

/// What is measured of a window by itself: its largest step, its scale, its repeated values.
fn inside(
    surprises: &Surprises,
    series: &[usize],
    window: &Range<usize>,
    (memory, surprise): (&Memory, f64),
) -> Measure {
    let (mut step, mut after) = (0.0f64, (0.0, 0));
    let (mut sum, mut n) = (0.0, 0u32);
    for row in window.clone().rev() {
        // What all series bring at one instant counts as one: news moves a pair, a broken or other feed moves all of them.
        (sum, n) = (sum + surprises.standard[row], n + 1);
        if row == window.start || series[row - 1] >= series[row] {
            let together = sum / f64::from(n).sqrt();
            step = step.max(memory.step(together, &mut after).map_or(0.0, f64::abs));
            (sum, n) = (0.0, 0);
        }
    }
    // The younger half: volatility has a memory of days, and what was before says little of it.
    let young = window.end - window.len().div_ceil(2)..window.end;
    let scale = surprises.size[young.clone()].iter().sum::<f64>() / young.len().max(1) as f64;
    let scale = if surprise > 0.0 { (scale / surprise).max(1e-3).ln() } else { 0.0 };
    let n_repeats = surprises.repeats[window.clone()].iter().filter(|same| **same).count();
    let repeats = n_repeats as f64 / window.len().max(1) as f64;
    Measure { step, scale, repeats, ..Measure::default() }
}

/// Row numbers in ascending order of their values.
fn by_value(column: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..column.len()).collect();
    order.sort_by(|a, b| column[*a].total_cmp(&column[*b]));
    order
}

fn points(column: &[f64], order: &[usize]) -> Vec<f64> {
    let place = |i: usize| (2 * i + 1) * column.len() / (2 * N_POINTS);
    (0..N_POINTS).map(|i| column[order[place(i)]]).collect()
}

/// Kolmogorov–Smirnov and Wasserstein distance between a window and the rows that are not left out, `order` being all rows by
/// value.
fn leave_out(
    column: &[f64],
    order: &[usize],
    window: &Range<usize>,
    out: &Range<usize>,
) -> (f64, f64) {
    let (n, m) = (window.len() as f64, (order.len() - out.len()).max(1) as f64);
    let (mut below_window, mut below_rest) = (0usize, 0usize);
    let (mut distance, mut area, mut last) = (0.0f64, 0.0, f64::NAN);
    for &row in order {
        let value = column[row];
        if value > last {
            let apart = (below_window as f64 / n - below_rest as f64 / m).abs();
            distance = distance.max(apart);
            area += apart * (value - last);
        }
        last = value;
        if window.contains(&row) {
            below_window += 1;
        } else if !out.contains(&row) {
            below_rest += 1;
        }
    }
    (distance, area)
}

/// Stability index of a window, by the shares of the rows that are not left out.
fn stability(
    column: &[f64],
    about: &FeatureReference,
    window: &Range<usize>,
    out: &Range<usize>,
) -> f64 {
    let counts = |rows: &Range<usize>| {
        let mut values = column[rows.clone()].to_vec();
        values.sort_by(f64::total_cmp);
        about.counts(&values)
    };
    let rest: Vec<f64> = counts(out)
        .iter()
        .zip(&about.shares)
        .map(|(gone, share)| (share * column.len() as f64 - *gone as f64 + 0.5).max(0.5))
        .collect();
    let all: f64 = rest.iter().sum();
    let shares: Vec<f64> = rest.into_iter().map(|count| count / all).collect();
    stats::stability_index(&shares, &counts(window)).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;
    use rand_distr::StandardNormal;

    use super::*;

    const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
    const HOURS: usize = 24;

    /// Autoregressive columns of two series; the last column never moves.
    fn market(seed: u64, n_days: usize) -> Rows {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut state = [[0.0; NAMES.len()]; 2];
        let mut rows = Rows { columns: vec![Vec::new(); NAMES.len()], ..Rows::default() };
        let first = NaiveDate::from_ymd_opt(2018, 1, 1).expect("a day");
        for hour in 0..n_days * HOURS {
            for (series, state) in state.iter_mut().enumerate() {
                for (feature, value) in state.iter_mut().enumerate().take(NAMES.len() - 1) {
                    let memory = 0.5 + 0.1 * feature as f64;
                    let new: f64 = rng.sample(StandardNormal);
                    *value = memory * *value + (1.0 - memory * memory).sqrt() * new;
                }
                for (column, value) in rows.columns.iter_mut().zip(*state) {
                    column.push(value);
                }
                rows.days.push(first + Days::new((hour / HOURS) as u64));
                rows.series.push(series);
            }
        }
        rows
    }

    fn head(rows: &Rows, n: usize) -> Rows {
        Rows {
            columns: rows.columns.iter().map(|one| one[..n].to_vec()).collect(),
            days: rows.days[..n].to_vec(),
            series: rows.series[..n].to_vec(),
        }
    }

    /// The look at the end of three days in which the columns are what `change` makes of them.
    fn look_after(seed: u64, change: impl Fn(usize, &mut [f64])) -> (Calibration, Look) {
        let mut rows = market(seed, 70);
        let learned = 64 * HOURS * 2;
        let calibration = Calibration::of(&NAMES, &head(&rows, learned)).expect("windows");
        let from = rows.len() - calibration.n_rows;
        for (feature, column) in rows.columns.iter_mut().enumerate() {
            change(feature, &mut column[from..]);
        }
        let prepared = calibration.prepare(&rows).expect("the same features");
        let look = calibration.look(&prepared, rows.len()).expect("rows enough");
        (calibration, look)
    }

    fn ringing(look: &Look) -> Vec<(Kind, Option<usize>)> {
        look.ringing().map(|one| (one.kind, one.feature)).collect()
    }

    #[test]
    fn what_has_changed_rings_and_says_where() {
        for seed in 1..=5 {
            let (calibration, quiet) = look_after(seed, |_, _| {});
            assert_eq!(ringing(&quiet), [], "seed {seed}: {:?}", quiet.verdict.evidence);
            assert_eq!((calibration.days, calibration.n_rows, calibration.n_apart), (3, 144, 21));
            assert!(
                calibration.n_windows <= MAX_WINDOWS + 1 && calibration.n_windows >= MIN_WINDOWS
            );

            let (_, moved) = look_after(seed, |feature, column| {
                let by = if feature == 1 { 2.0 } else { 0.0 };
                column.iter_mut().for_each(|value| *value += by);
            });
            assert!(ringing(&moved).iter().any(|one| one.1 == Some(1)), "{:?}", ringing(&moved));
            assert!(moved.verdict.features[1].p < 0.005, "{:?}", moved.verdict.features[1]);

            let (_, frozen) = look_after(seed, |feature, column| {
                if feature == 3 {
                    for row in 2..column.len() {
                        column[row] = column[row - 2];
                    }
                }
            });
            assert!(ringing(&frozen).contains(&(Kind::Frozen, Some(3))), "{:?}", ringing(&frozen));

            let (_, wild) = look_after(seed, |_, column| column.iter_mut().for_each(|x| *x *= 2.0));
            assert!(ringing(&wild).contains(&(Kind::Scale, None)), "{:?}", ringing(&wild));
        }
    }

    #[test]
    fn what_is_kept_with_a_version_judges_the_same() {
        let rows = market(9, 70);
        let calibration = Calibration::of(&NAMES, &head(&rows, 64 * HOURS * 2)).expect("windows");
        let bytes = serde_json::to_vec(&calibration).expect("plain numbers");
        let kept: Calibration = serde_json::from_slice(&bytes).expect("its own bytes");
        assert_eq!(kept, calibration);
        assert!(bytes.len() < 16_000 * NAMES.len(), "{} bytes", bytes.len());
        assert_eq!(kept.names().collect::<Vec<_>>(), NAMES);
    }

    #[test]
    fn too_little_is_not_judged() {
        let rows = market(3, 70);
        // Two days are the shortest window of 24 rows a series that 20 of fit in, then one.
        let of = |n_days: usize| Calibration::of(&NAMES, &head(&rows, n_days * HOURS * 2));
        assert_eq!(of(59).map(|one| one.days), Some(2));
        assert_eq!(of(60).map(|one| one.days), Some(3));
        assert_eq!(of(20).map(|one| one.days), Some(1));
        assert_eq!(of(19), None);
        assert_eq!(Calibration::of(&NAMES[1..], &rows), None, "a name a column");
        let calibration = of(60).expect("windows");
        let other = Rows { columns: rows.columns[1..].to_vec(), ..rows.clone() };
        assert!(calibration.prepare(&other).is_none());
        let prepared = calibration.prepare(&rows).expect("the same features");
        assert!(calibration.judge(&prepared, calibration.n_rows - 1).is_none());
        assert!(calibration.judge(&prepared, calibration.n_rows).is_some());
        assert!(calibration.judge(&prepared, rows.len() + 1).is_none());
        assert!(calibration.look(&prepared, calibration.n_rows).is_none(), "one window only");
        // A feature that never moves says nothing.
        let still = calibration.judge(&prepared, rows.len()).expect("a verdict").features[5];
        assert!(still.z.abs() < 1e-12 && (still.p - 1.0).abs() < 1e-12, "{still:?}");
    }

    /// The distance of a window from the reference's kept points is that from all of its values, but for the grid.
    #[test]
    fn points_stand_for_all_values() {
        let rows = market(5, 70);
        let learned = 64 * HOURS * 2;
        let calibration = Calibration::of(&NAMES, &head(&rows, learned)).expect("windows");
        let prepared = calibration.prepare(&rows).expect("the same features");
        let verdict = calibration.judge(&prepared, rows.len()).expect("a verdict");
        for (feature, found) in verdict.features.iter().enumerate().take(5) {
            let column = &rows.columns[feature];
            let sorted = |values: &[f64]| {
                let mut values = values.to_vec();
                values.sort_by(f64::total_cmp);
                values
            };
            let (all, window) =
                (sorted(&column[..learned]), sorted(&column[rows.len() - calibration.n_rows..]));
            let exact = stats::distance(&window, &all).expect("values");
            assert!((found.measure.distance - exact).abs() <= 1.0 / N_POINTS as f64, "{feature}");
            let sd = FeatureReference::of("x", &all).sd;
            let exact = stats::wasserstein(&window, &all).expect("values") / sd;
            assert!((found.measure.wasserstein - exact).abs() < 0.02, "{feature}");
        }
    }
}
