//! [`freshness`]: how fast versions lose what they are worth, and how often that asks for a new one.
//!
//! Skill is what a version's log-loss saves against the class prior on a day that it has not seen; age is the time since the last
//! instant that it saw. Several versions on one day are one observation, their mean: the trading day is the unit. Values in,
//! values out. Not here: which versions are asked (`jobs`).

use std::collections::BTreeMap;

use chrono::NaiveDate;
use serde::Serialize;

use crate::stats::{self, TTest};

/// Where classes of age begin, days; the last one is open.
const EDGES: [u32; 11] = [0, 1, 2, 3, 5, 7, 10, 14, 21, 28, 42];
/// Fewer days than this say nothing of an age.
const MIN_DAYS: usize = 5;
/// Of the intervals.
const LEVEL: f64 = 0.95;
/// One-sided level at which skill has halved by more than chance.
const ALPHA: f64 = 0.05;

/// One version on one day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SkillOfDay {
    /// Which version, by any number.
    pub version: usize,
    /// The trading day.
    pub day: NaiveDate,
    /// Days since the version's last instant of data, at least 0.
    pub age_days: f64,
    /// Log-loss of the class prior less the version's, nats.
    pub skill: f64,
}

/// Skill at an age.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AgeClass {
    /// From this age on, days.
    pub from_days: u32,
    /// And before this one; none: without end.
    pub until_days: Option<u32>,
    /// Trading days.
    pub n_days: usize,
    /// Versions that had the age on one of them.
    pub n_versions: usize,
    /// Mean over days, nats saved against the class prior.
    pub skill: f64,
    /// 95 % over days, by Student's t; none under five.
    pub interval: Option<(f64, f64)>,
}

/// Skill against age.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Freshness {
    /// The ages that were seen, youngest first.
    pub ages: Vec<AgeClass>,
    /// The age from which on a version should have been replaced, days; none where the days cannot tell.
    pub retrain_after_days: Option<u32>,
    /// Why that age, or why none.
    pub why: String,
}

/// Pools days by age. The implied interval is the first age whose skill has nothing left in it at 95 %, or is less than half of the
/// youngest versions' by more than chance (Welch, one-sided 5 %), and stays so over all older ages. `None` of nothing.
pub fn freshness(days: &[SkillOfDay]) -> Option<Freshness> {
    if days.is_empty() {
        return None;
    }
    let ends = EDGES.iter().skip(1).map(|edge| Some(*edge)).chain([None]);
    let ages: Vec<AgeClass> = EDGES
        .iter()
        .zip(ends)
        .filter_map(|(from, until)| {
            let class: Vec<SkillOfDay> = of_age(days, *from, until);
            let skills = by_day(&class);
            let mut versions: Vec<usize> = class.iter().map(|one| one.version).collect();
            versions.sort_unstable();
            versions.dedup();
            Some(AgeClass {
                from_days: *from,
                until_days: until,
                n_days: skills.len(),
                n_versions: versions.len(),
                skill: stats::mean(&skills)?,
                interval: interval(&skills),
            })
        })
        .collect();
    let (retrain_after_days, why) = match implied(days, &ages) {
        Ok((age, why)) => (Some(age), why),
        Err(why) => (None, why),
    };
    Some(Freshness { ages, retrain_after_days, why })
}

fn of_age(days: &[SkillOfDay], from: u32, until: Option<u32>) -> Vec<SkillOfDay> {
    let inside = |one: &&SkillOfDay| {
        one.age_days >= f64::from(from) && until.is_none_or(|until| one.age_days < f64::from(until))
    };
    days.iter().filter(inside).copied().collect()
}

/// The mean of each day, in order.
fn by_day(days: &[SkillOfDay]) -> Vec<f64> {
    let mut sums: BTreeMap<NaiveDate, (f64, f64)> = BTreeMap::new();
    for one in days {
        let (sum, n) = sums.entry(one.day).or_default();
        (*sum, *n) = (*sum + one.skill, *n + 1.0);
    }
    sums.into_values().map(|(sum, n)| sum / n).collect()
}

fn interval(skills: &[f64]) -> Option<(f64, f64)> {
    let enough = skills.len() >= MIN_DAYS;
    TTest::one_sample(skills, 0.0).filter(|_| enough).map(|test| test.interval(LEVEL))
}

/// The age and its reason, or why there is none.
fn implied(days: &[SkillOfDay], ages: &[AgeClass]) -> Result<(u32, String), String> {
    let young = ages.iter().find_map(|age| Some((age, age.interval?)));
    let Some((young, (low, high))) = young else {
        return Err(format!("no age was seen on {MIN_DAYS} days"));
    };
    let youngest = match young.until_days {
        Some(until) => format!("versions of {} to {until} days", young.from_days),
        None => format!("versions of {} days and more", young.from_days),
    };
    if low <= 0.0 {
        return Err(format!(
            "{youngest} save {:+.4} nats ({low:+.4} to {high:+.4}), which cannot be told from nothing: there is no skill that \
             age could take",
            young.skill
        ));
    }
    let young_days = by_day(&of_age(days, young.from_days, young.until_days));
    let mut oldest = young.from_days;
    for age in ages.iter().filter(|age| age.from_days > young.from_days) {
        let Some((low, high)) = age.interval else { continue };
        oldest = age.from_days;
        // What comes back with more age was not lost.
        let older = by_day(&of_age(days, age.from_days, None));
        let ever_after = stats::mean(&older).unwrap_or(0.0);
        let said = format!(
            "versions of {} days{} save {:+.4} nats ({low:+.4} to {high:+.4})",
            age.from_days,
            age.until_days.map_or(" and more".to_owned(), |until| format!(" to {until}")),
            age.skill
        );
        if high <= 0.0 && ever_after <= 0.0 {
            return Ok((age.from_days, format!("{said}: no skill is left")));
        }
        let own = by_day(&of_age(days, age.from_days, age.until_days));
        let p = TTest::welch(&young_days, &own).map_or(1.0, |test| test.p_above());
        let half = young.skill / 2.0;
        if age.skill <= half && ever_after <= half && p < ALPHA {
            let why = format!(
                "{said}, less than half of the {:+.4} that {youngest} save (one-sided p {p:.3})",
                young.skill
            );
            return Ok((age.from_days, why));
        }
    }
    Err(match oldest > young.from_days {
        true => format!(
            "skill has not fallen to half by more than chance, up to ages of {oldest} days and more"
        ),
        false => format!("only {youngest} were seen on {MIN_DAYS} days"),
    })
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Distribution, Normal};

    use super::*;

    /// Weekly versions, each asked on the 40 days after its data, on `n_days` days; days share their luck.
    fn market(skill: impl Fn(f64) -> f64, n_days: i64, noise: f64, seed: u64) -> Vec<SkillOfDay> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let luck = Normal::new(0.0, noise).expect("a spread");
        let first: NaiveDate = "2025-01-01".parse().expect("a day");
        let mut days = Vec::new();
        for day in 0..n_days {
            let of_day = luck.sample(&mut rng);
            for version in 0..(n_days / 7 + 6) {
                let made = version * 7 - 40;
                let age = (day - made) as f64 + 0.5;
                if age > 0.0 && age < 40.0 {
                    let own = luck.sample(&mut rng) * 0.3;
                    days.push(SkillOfDay {
                        version: version as usize,
                        day: first + chrono::TimeDelta::days(day),
                        age_days: age,
                        skill: skill(age) + of_day + own,
                    });
                }
            }
        }
        days
    }

    #[test]
    fn skill_that_halves_in_ten_days_asks_for_a_version_about_then() {
        let mut found = Vec::new();
        for seed in 0..40 {
            let days = market(|age| 0.02 * 0.5f64.powf(age / 10.0), 60, 0.005, seed);
            let freshness = freshness(&days).expect("days");
            found.push(freshness.retrain_after_days);
            assert!(freshness.ages[0].skill > freshness.ages.last().expect("ages").skill);
        }
        let about = found.iter().filter(|age| age.is_some_and(|age| (7..=21).contains(&age)));
        assert!(about.count() >= 38, "{found:?}");
    }

    #[test]
    fn skill_that_stays_or_was_never_there_asks_for_nothing() {
        let rings = |skill: f64, noise: f64| {
            (0..200)
                .filter_map(|seed| freshness(&market(|_| skill, 30, noise, 1000 + seed)))
                .filter(|found| found.retrain_after_days.is_some())
                .count()
        };
        assert_eq!(rings(0.02, 0.005), 0);
        let noisy = rings(0.01, 0.015);
        assert!(noisy <= 10, "{noisy} of 200");
        let none = freshness(&market(|_| -0.01, 30, 0.005, 1)).expect("days");
        assert_eq!(none.retrain_after_days, None);
        assert!(none.why.contains("no skill that age could take"), "{}", none.why);
    }

    #[test]
    fn few_days_say_so_and_the_days_of_an_age_are_counted_once() {
        assert_eq!(freshness(&[]), None);
        let first: NaiveDate = "2025-01-06".parse().expect("a day");
        let one = |version, day: i64, age_days, skill| SkillOfDay {
            version,
            day: first + chrono::TimeDelta::days(day),
            age_days,
            skill,
        };
        let few = freshness(&[one(0, 0, 0.5, 0.1), one(1, 0, 0.7, 0.3)]).expect("days");
        assert_eq!((few.ages.len(), few.ages[0].n_days, few.ages[0].n_versions), (1, 1, 2));
        assert!((few.ages[0].skill - 0.2).abs() < 1e-12 && few.ages[0].interval.is_none());
        assert_eq!(few.why, "no age was seen on 5 days");
        // Nothing left: five days of 0.1, then five that lose.
        let jitter = |day: i64| 0.001 * (day % 2) as f64;
        let days: Vec<SkillOfDay> = (0..5)
            .map(|day| one(0, day, 0.5, 0.1 + jitter(day)))
            .chain((5..10).map(|day| one(0, day, 8.0, -0.1 + jitter(day))))
            .collect();
        let found = freshness(&days).expect("days");
        assert_eq!(found.retrain_after_days, Some(7), "{}", found.why);
        assert!(found.why.ends_with("no skill is left"), "{}", found.why);
        // Student's t by hand: mean 0.1004, sd 0.000548, t 2.776 of four degrees of freedom.
        let (low, high) = found.ages[0].interval.expect("five days");
        assert!((low - 0.09972).abs() < 1e-5 && (high - 0.10108).abs() < 1e-5, "{low} {high}");
    }
}
