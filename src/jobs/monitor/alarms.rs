//! The questions that need no statistics: late jobs and candles, full disks, old models, answers that are all alike.

use chrono::{DateTime, Utc};

use super::{Alarm, Trigger, scene::Scene};
use crate::{
    config::{App, LineConfig, TriggerAction},
    db::Db,
    jobs::{collect, doctor, overdue::Overdue, probation::Watched},
    lineage::{LineName, Version},
};

/// Signals that a collapse is looked for in.
const LAST_SIGNALS: i64 = 200;
/// With fewer of them nothing is said of a collapse (FORMULAS 4.16).
const MIN_SIGNALS: usize = 100;
/// Above this share of one answer a model has collapsed.
const COLLAPSED: f64 = 0.95;
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

/// Whether production answers the same to everything.
pub(super) fn collapse(
    db: &mut Db,
    name: &LineName,
    version: Version,
    as_of: DateTime<Utc>,
) -> anyhow::Result<Alarm> {
    let counts = db.answers_by_signal(name, version, as_of, LAST_SIGNALS)?;
    let n: i64 = counts.iter().map(|(_, n)| n).sum();
    let most = counts.iter().max_by_key(|(_, n)| *n);
    let enough = usize::try_from(n).is_ok_and(|n| n >= MIN_SIGNALS);
    let share = most.map_or(0.0, |(_, most)| *most as f64 / n.max(1) as f64);
    Ok(Alarm {
        name: "collapse",
        rings: enough && share > COLLAPSED,
        text: match most {
            Some((signal, _)) if enough => format!(
                "{:.1} % of the last {n} answers are {signal}; above {:.0} % a model says nothing",
                share * 100.0,
                COLLAPSED * 100.0
            ),
            _ => format!("{n} answers of {version}, where {MIN_SIGNALS} are needed to tell"),
        },
    })
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
