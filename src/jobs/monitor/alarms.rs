//! The questions that need no statistics: late jobs and candles, full disks, old models, answers that are all alike.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Alarm, Promised, Trigger, scene::Scene};
use crate::{
    config::{App, LineConfig, TriggerAction},
    db::{Db, signals::Said},
    evaluate::last_run,
    gate,
    jobs::{collect, doctor, overdue::Overdue, probation::Watched, weekly},
    lineage::{LineName, Status, Version},
    stats,
};

/// The alarm of answers that are all alike, or say nothing.
pub(super) const COLLAPSE: &str = "collapse";
/// Signals that a collapse is looked for in.
pub(super) const LAST_SIGNALS: i64 = 200;
/// With fewer of them nothing is said of a collapse (FORMULAS 4.16).
const MIN_SIGNALS: usize = 100;
/// Above this share of one answer a model has collapsed.
const COLLAPSED: f64 = 0.95;
/// A run so many times the longest of the test days is no chance.
const RUN_FACTOR: usize = 2;
/// A shorter run is none, whatever the test days were like.
const MIN_RUN: usize = 6;
/// The alarm of a promotion that was a mistake.
pub(super) const PROBATION: &str = "probation";

/// Whether a job should have run and did not, and is not caught up now.
pub(super) fn overdue_jobs(overdue: &[Overdue], triggers: &[Trigger]) -> Alarm {
    let starts = |job: &str| triggers.iter().any(|one| one.job == job && one.held.is_none());
    let text = |late: &Overdue| match starts(late.job) {
        true => format!("{late}, and is caught up now"),
        false => late.to_string(),
    };
    let texts: Vec<String> = overdue.iter().map(text).collect();
    Alarm {
        name: "overdue",
        rings: overdue.iter().any(|late| !starts(late.job)),
        text: if texts.is_empty() { "no job is overdue".into() } else { texts.join("; ") },
    }
}

/// Whether somebody should train a model, where the monitor may not.
pub(super) fn training(line: &LineConfig, triggers: &[Trigger]) -> Alarm {
    let asks = line.triggers.action == TriggerAction::Ask;
    let text = |one: &Trigger| {
        let held = one.held.as_ref().map_or_else(|| "it starts now".to_owned(), Clone::clone);
        format!("{} is wanted ({held}): {}", one.job, one.reason)
    };
    let texts: Vec<String> = triggers.iter().map(text).collect();
    Alarm {
        name: "training",
        rings: asks && !triggers.is_empty(),
        text: if texts.is_empty() { "no training is wanted".into() } else { texts.join("; ") },
    }
}

/// Whether the next version may not fit.
pub(super) fn disk(app: &App) -> anyhow::Result<Alarm> {
    let models = app.models();
    let (free, place) = doctor::free_space(&app.home, &models);
    let free = free?;
    Ok(Alarm {
        name: "disk",
        rings: free < doctor::FEW_FREE_BYTES,
        text: format!("{} MiB are free in {}", free >> 20, place.display()),
    })
}

/// Whether production is too old to be trusted.
pub(super) fn model_age(app: &App, line: &LineConfig, made_at: DateTime<Utc>) -> Alarm {
    let days = (app.as_of - made_at).num_minutes() as f64 / (24.0 * 60.0);
    let most = line.triggers.max_age_days;
    Alarm {
        name: "model-age",
        rings: most > 0.0 && days > most,
        text: format!("production was made {days:.1} days ago, of {most} allowed"),
    }
}

/// Largest standard deviation of the probability of a class over answers; `None` under two answers that have any.
fn spread(said: &[Said]) -> Option<f64> {
    let n_classes = said.iter().map(|one| one.probabilities.len()).max()?;
    let of = |class: usize| {
        let column: Vec<f64> =
            said.iter().filter_map(|one| one.probabilities.get(class).copied()).collect();
        stats::sample_sd(&column)
    };
    (0..n_classes).filter_map(of).max_by(f64::total_cmp)
}

/// The class that nearly all of the last answers call, with its share; `None` where there is none or too few answers.
fn alike(said: &[Said]) -> Option<(&str, f64)> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in said {
        *counts.entry(one.signal.as_str()).or_default() += 1;
    }
    let (signal, most) = counts.into_iter().max_by_key(|(_, n)| *n)?;
    let share = most as f64 / said.len() as f64;
    (said.len() >= MIN_SIGNALS && share > COLLAPSED).then_some((signal, share))
}

/// Whether the labels are why production calls one class to nearly everything: its probabilities may move all the same.
pub(super) fn labels(said: &[Said], cure: Option<&str>) -> Alarm {
    let alarm = |rings, text| Alarm { name: "labels", rings, text };
    match (alike(said), cure) {
        (Some((signal, share)), Some(cure)) => {
            let percent = share * 100.0;
            alarm(
                true,
                format!("{percent:.1} % of the last {} answers are {signal}; {cure}", said.len()),
            )
        }
        (None, Some(cure)) => alarm(false, cure.to_owned()),
        (_, None) => alarm(false, "no class holds nearly all labels".to_owned()),
    }
}

/// Whether production says the same to everything: nearly all of its last signals are alike, or it has answered one class for far
/// longer than it ever did on the days that it was judged by (in decisions), and its probabilities do not move.
pub(super) fn collapse(
    line: &LineConfig,
    said: &[Said],
    promised: &Promised,
    version: Version,
) -> Alarm {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for one in said {
        *counts.entry(one.signal.as_str()).or_default() += 1;
    }
    let n = said.len();
    let (signal, most) = counts.into_iter().max_by_key(|(_, n)| *n).unwrap_or_default();
    let share = most as f64 / n.max(1) as f64;
    let is_alike = alike(said).is_some();
    let run = last_run(said.iter().map(|one| (one.candle_at, one.likeliest.as_str())));
    let longest = run.zip(promised.longest_runs.as_ref()).and_then(|((_, class), runs)| {
        let place = line.label.class_names().iter().position(|name| *name == class)?;
        runs.get(place).copied()
    });
    let bound = longest.map(|longest| (RUN_FACTOR * longest + 1).max(MIN_RUN));
    let is_stuck = run.zip(bound).is_some_and(|((run, _), bound)| run >= bound);
    // A model that finds little to say moves its probabilities all the same.
    let in_question = match (is_alike, is_stuck, run) {
        (false, true, Some((run, _))) => last_instants(said, run),
        _ => said,
    };
    let spread = spread(in_question);
    let is_still = spread.is_none_or(|spread| spread < gate::MIN_SPREAD);
    let shares = match n {
        0 => format!("{version} has answered nothing yet"),
        _ => format!(
            "{:.1} % of the last {n} answers of {version} are {signal} (above {:.0} % of {MIN_SIGNALS} or more ring)",
            share * 100.0,
            COLLAPSED * 100.0
        ),
    };
    let runs = match (run, bound, longest) {
        (Some((run, class)), Some(bound), Some(longest)) => format!(
            "; {class} was the likeliest for all pairs at the last {run} candles, {longest} in a row was the most on its test days ({bound} ring)"
        ),
        (None, ..) if n > 0 => "; those of the last candle differ".to_owned(),
        _ => String::new(),
    };
    let moves = match spread {
        Some(spread) if is_alike || is_stuck => format!(
            "; their probabilities move by {:.2} points (one standard deviation, under {:.2} ring)",
            spread * 100.0,
            gate::MIN_SPREAD * 100.0
        ),
        _ => String::new(),
    };
    Alarm {
        name: COLLAPSE,
        rings: (is_alike || is_stuck) && is_still,
        text: format!("{shares}{runs}{moves}"),
    }
}

/// The answers to the last `n` candles that were answered.
fn last_instants(said: &[Said], n: usize) -> &[Said] {
    let mut first = said.len();
    let groups: Vec<&[Said]> = said.chunk_by(|a, b| a.candle_at == b.candle_at).collect();
    for group in groups.iter().rev().take(n) {
        first -= group.len();
    }
    &said[first..]
}

/// Whether candles are late or odd.
pub(super) fn data(scene: &Scene, as_of: DateTime<Utc>) -> Alarm {
    let bad: Vec<String> = scene
        .material
        .candles
        .iter()
        .filter_map(|candles| {
            let (verdict, reason) = collect::verdict(candles, as_of);
            let series = format!("{} {}", candles.pair(), candles.timeframe());
            (verdict != "fresh")
                .then(|| format!("{series}: {verdict}, {}", reason.unwrap_or_default()))
        })
        .collect();
    Alarm {
        name: "data",
        rings: !bad.is_empty(),
        text: if bad.is_empty() {
            format!("all {} series are fresh", scene.material.candles.len())
        } else {
            bad.join("; ")
        },
    }
}

/// Whether the version that should answer cannot be loaded.
pub(super) fn production(version: Version, loads: &Result<(), String>) -> Alarm {
    Alarm {
        name: "production",
        rings: loads.is_err(),
        text: match loads {
            Ok(()) => format!("{version} is whole and loads"),
            Err(why) => format!(
                "{version} cannot be loaded: {why}; the version before it answers; `aifx models verify` says more"
            ),
        },
    }
}

/// Whether a version waits that nobody has put in: a line without production answers nothing, and no night refreshes it.
pub(super) fn first_version(db: &mut Db, line: &LineName) -> anyhow::Result<Alarm> {
    let versions = db.versions(Some(line))?;
    let staging = versions.iter().filter(|row| row.status == Status::Staging);
    let waits = staging.map(|row| row.version).max();
    Ok(Alarm {
        name: "production",
        rings: waits.is_some(),
        text: match waits {
            Some(version) => weekly::first_version(line, version),
            None => "the line has no version yet".to_owned(),
        },
    })
}

/// Says what would balance the labels where it may be why a model answers one class, is old, or is trained again and again.
pub(super) fn add_cure(alarms: &mut [Alarm], cure: &str) {
    const OF_LABELS: [&str; 4] = [COLLAPSE, "model-age", "training", "production"];
    for alarm in alarms.iter_mut().filter(|alarm| OF_LABELS.contains(&alarm.name)) {
        alarm.text = format!("{}; {cure}", alarm.text);
    }
}

/// Whether what was promoted is worse than what it replaced.
pub(super) fn probation(line: &LineConfig, watched: &[Watched]) -> Alarm {
    let worse = watched.iter().find(|one| one.is_worse());
    let days = line.probation.days;
    Alarm {
        name: PROBATION,
        rings: worse.is_some(),
        text: match (worse, watched) {
            (Some(worse), _) => worse.to_string(),
            (None, []) => {
                format!("nothing was promoted in the last {days} days that could be taken back")
            }
            (None, watched) => {
                let texts: Vec<String> = watched.iter().map(ToString::to_string).collect();
                texts.join("; ")
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    /// Answers of two pairs to candles of an hour, a letter each.
    fn said(answers: &str) -> Vec<Said> {
        let of = |(hour, pair): (usize, &str)| -> Vec<Said> {
            let one = |letter: char| {
                let class = if letter == 'h' { "hold" } else { "buy" };
                Said {
                    candle_at: DateTime::UNIX_EPOCH + TimeDelta::hours(hour as i64),
                    signal: class.into(),
                    likeliest: class.into(),
                    probabilities: vec![0.2, 0.6, 0.2],
                }
            };
            pair.chars().map(one).collect()
        };
        answers.split(' ').enumerate().flat_map(of).collect()
    }

    #[test]
    fn the_cure_stands_where_labels_may_be_the_cause() {
        let alarm = |name| Alarm { name, rings: true, text: "why".into() };
        let mut alarms = [alarm(COLLAPSE), alarm("disk"), alarm("model-age"), alarm("training")];
        add_cure(&mut alarms, "multiple: 0.34");
        let texts: Vec<&str> = alarms.iter().map(|alarm| alarm.text.as_str()).collect();
        assert_eq!(
            texts,
            ["why; multiple: 0.34", "why", "why; multiple: 0.34", "why; multiple: 0.34"]
        );
    }

    #[test]
    fn a_model_that_says_one_thing_for_longer_than_ever_has_collapsed() {
        let version = "v1.0".parse().expect("a version");
        let line = LineConfig::default();
        let rings = |said: &[Said], runs: Option<Vec<usize>>| {
            let promised = Promised { longest_runs: runs, ..Promised::default() };
            collapse(&line, said, &promised, version).rings
        };
        let held = said("hb bh hh hh hh hh hh hh");
        // The same calls with probabilities that move: it finds little to say, and has not collapsed.
        let moving: Vec<Said> = held
            .iter()
            .enumerate()
            .map(|(place, one)| {
                let lean = 0.01 * (place % 5) as f64;
                Said { probabilities: vec![0.2 + lean, 0.6, 0.2 - lean], ..one.clone() }
            })
            .collect();
        assert!(!rings(&moving, Some(vec![0, 2, 9])));
        assert!(rings(&held, Some(vec![0, 2, 9])), "six in a row where two were the most");
        assert!(!rings(&held, Some(vec![0, 3, 9])), "seven would ring");
        assert!(!rings(&held[..14], Some(vec![0, 0, 0])), "five are none, whatever was before");
        assert!(!rings(&held, None), "nothing is known of the test days");
        let all: Vec<Said> = said(&["hh"; 60].join(" "));
        assert!(rings(&all, None), "all of the last hundred");
        assert!(!rings(&all[..98], None));
        assert!(!rings(&[], None));
    }
}
