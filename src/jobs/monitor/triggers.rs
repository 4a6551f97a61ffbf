//! What follows from what was seen: which training is wanted, why, and whether it may start now.
//!
//! A missed job of the schedule is caught up by itself; what has gone stale is trained from scratch, and what has merely not
//! learned of late is fine-tuned. What did not help is not repeated as often: each refusal of a training that was asked for
//! doubles the cool-down until something is promoted, and labels that are nearly all of one class are no cause for a training. Whether a job has run within its cool-down is read from the training log: nothing is
//! remembered elsewhere. Not here: the jobs, the gate that decides what they are worth.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::LineWatch;
use crate::{
    config::{App, LineConfig, TriggerAction, Triggers},
    db::{Db, model_versions::VersionRow, promotions::Action, training_log::JobTimes},
    fault::{self, Exit, Fault},
    gate::Verdict,
    jobs::{Watch, daily, monthly, overdue::Overdue, weekly},
    lineage::LineName,
};

/// A fine-tune looks back no further than two weeks.
const MAX_HOURS: u32 = 14 * 24;

/// A line whose labels are of one class in more than this share has labels to change, not a model to train.
const MAX_CLASS_SHARE: f64 = 0.6;
/// The cool-down is doubled at most so often: three days become 24.
const MAX_DOUBLINGS: u32 = 3;

/// What became of the trainings before.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Past {
    /// Trainings that something else than the schedule asked for and that the gate refused, since the last promotion.
    pub(super) refusals: u32,
    /// Share of the commonest class among the labels of the last training from scratch.
    pub(super) largest_class: Option<f64>,
    /// Whether the gate refused the last training of the schedule, and not for want of evidence.
    pub(super) refused_on_evidence: bool,
}

impl Past {
    /// Reads it.
    ///
    /// # Errors
    /// When the database fails.
    pub(super) fn gather(
        db: &mut Db,
        line: &LineName,
        as_of: DateTime<Utc>,
    ) -> anyhow::Result<Past> {
        let (rows, moves) = db.standing_at(line, as_of)?;
        let promoted = moves.iter().rev().find(|step| step.action == Action::Promote.name());
        let periods = db.periods_of_versions(line, as_of)?;
        let verdict = |row: &VersionRow| -> Option<Verdict> {
            serde_json::from_value(row.gate.clone()?).ok()
        };
        let periods = &periods;
        let of_period = |prefix: &'static str| {
            let made = move |row: &&VersionRow| {
                periods
                    .iter()
                    .any(|(version, period)| *version == row.version && period.starts_with(prefix))
            };
            rows.iter().filter(made)
        };
        let since = |row: &&VersionRow| promoted.is_none_or(|step| row.created_at > step.as_of);
        let refusals = of_period("asked:")
            .filter(since)
            .filter(|row| verdict(row).is_some_and(|verdict| !verdict.passed))
            .count();
        let newest = |rows: &mut dyn Iterator<Item = &'_ VersionRow>| -> Option<VersionRow> {
            rows.max_by_key(|row| (row.created_at, row.version)).cloned()
        };
        let scheduled = newest(&mut of_period("weekly:"));
        let scratch = newest(&mut rows.iter().filter(|row| row.version.daily().is_none()));
        let shares = scratch.and_then(|row| {
            let kept = row.metrics.pointer("/train/truth_shares")?.clone();
            serde_json::from_value::<Vec<f64>>(kept).ok()
        });
        Ok(Past {
            refusals: u32::try_from(refusals).unwrap_or(u32::MAX),
            largest_class: shares.and_then(|shares| shares.into_iter().max_by(f64::total_cmp)),
            refused_on_evidence: scheduled
                .as_ref()
                .and_then(verdict)
                .is_some_and(|verdict| !verdict.passed && !verdict.lacks_evidence()),
        })
    }

    /// How long a training that was asked for waits after the last one.
    fn cooldown(&self, triggers: &Triggers) -> TimeDelta {
        TimeDelta::hours(triggers.cooldown_hours.into()) * (1 << self.refusals.min(MAX_DOUBLINGS))
    }
}

/// A job that is wanted, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Trigger {
    /// The command.
    pub job: &'static str,
    /// Why, for the training log.
    pub reason: String,
    /// Whether a run of the schedule is caught up.
    pub missed: bool,
    /// How far a fine-tune looks back, where that is further than it usually does: to the last training.
    pub hours: Option<u32>,
    /// Why it does not start now.
    pub held: Option<String>,
    /// How it ended; none where it did not start.
    pub ended: Option<String>,
}

/// What the alarms, overdue jobs and new samples of a line ask for. `n_new`: labelled samples since the last training.
pub(super) fn wanted(
    seen: &LineWatch,
    overdue: &[Overdue],
    n_new: usize,
    last: &[JobTimes],
    past: &Past,
    triggers: &Triggers,
    as_of: DateTime<Utc>,
) -> Vec<Trigger> {
    let trigger = |job: &'static str, reason: String, missed_since: Option<DateTime<Utc>>| {
        let held = held(job, missed_since, last, past, triggers, as_of);
        Trigger { job, reason, missed: missed_since.is_some(), hours: None, held, ended: None }
    };
    // A model from scratch comes before its refresh, and both before the ranking.
    let order = ["train-weekly", "train-daily", "evaluate-monthly"];
    let late = order.into_iter().filter_map(|job| {
        let late = overdue.iter().find(|late| late.job == job)?;
        Some(trigger(job, format!("missed: {late}"), Some(late.since)))
    });
    let mut list: Vec<Trigger> = late.filter(|_| triggers.missed).collect();
    let is_cause = |name: &str| match name {
        "drift" | "concept" => triggers.drift,
        "collapse" => triggers.collapse,
        "accuracy" => true,
        // The schedule has just tried, and the days spoke against it: another try on nearly the same days is no cure of age.
        "model-age" => !past.refused_on_evidence,
        _ => false,
    };
    let causes = seen.alarms.iter().filter(|alarm| alarm.rings && is_cause(alarm.name));
    let causes: Vec<String> =
        causes.map(|alarm| format!("{}: {}", alarm.name, alarm.text)).collect();
    let is_late = |job: &str| list.iter().any(|one| one.job == job);
    if !causes.is_empty() && !is_late("train-weekly") {
        list.insert(0, trigger("train-weekly", causes.join("; "), None));
    } else if triggers.new_samples > 0
        && n_new >= triggers.new_samples as usize
        && !is_late("train-daily")
    {
        let reason = format!(
            "new-samples: {n_new} labelled samples since the last training, of {} that are enough",
            triggers.new_samples
        );
        let hours =
            last_trained(last).and_then(|at| u32::try_from((as_of - at).num_hours() + 1).ok());
        list.push(Trigger { hours, ..trigger("train-daily", reason, None) });
    }
    list
}

/// When a training last completed, whatever the gate said of it.
pub(super) fn last_trained(last: &[JobTimes]) -> Option<DateTime<Utc>> {
    let trainings = last.iter().filter(|run| ["weekly", "daily"].contains(&run.job.as_str()));
    trainings.filter_map(|run| run.completed).max()
}

/// Why a job does not start, if it does not. What was missed waits only where it has been tried since.
fn held(
    job: &str,
    missed_since: Option<DateTime<Utc>>,
    last: &[JobTimes],
    past: &Past,
    triggers: &Triggers,
    as_of: DateTime<Utc>,
) -> Option<String> {
    if triggers.action == TriggerAction::Ask {
        return Some("triggers.action is ask".into());
    }
    let one_sided = past.largest_class.filter(|share| *share > MAX_CLASS_SHARE);
    if let Some(share) = one_sided.filter(|_| missed_since.is_none()) {
        return Some(format!(
            "{:.0} % of the labels are of one class, which no training cures: another label rule does",
            100.0 * share
        ));
    }
    // The training log calls `train-daily` daily.
    let (_, name) = job.split_once('-')?;
    let began = last.iter().find(|run| run.job == name)?.began;
    let cooldown = match missed_since {
        Some(_) => TimeDelta::hours(triggers.cooldown_hours.into()),
        None => past.cooldown(triggers),
    };
    let until = began + cooldown;
    let tried = missed_since.is_none_or(|since| began >= since);
    (tried && as_of < until).then(|| {
        format!(
            "it last ran at {}; cool-down until {}",
            began.format("%F %H:%M UTC"),
            until.format("%F %H:%M UTC")
        )
    })
}

/// Runs a wanted job; how it ended, in words. What stops the process stops the monitor; anything else is said and on the
/// job's own record.
///
/// # Errors
/// When the process was asked to stop.
pub(super) fn start(
    app: &App,
    line: (&LineName, &LineConfig),
    trigger: &Trigger,
    watch: &mut dyn Watch,
) -> anyhow::Result<String> {
    let reason = Some(trigger.reason.clone());
    let device = "auto".to_owned();
    let wait = Duration::ZERO;
    let ended = match trigger.job {
        "train-daily" => {
            let request = daily::Request {
                line: Some(line.0.clone()),
                hours: trigger.hours.map(|hours| {
                    hours.max(line.1.daily.hours).min(MAX_HOURS.max(line.1.daily.hours))
                }),
                reason,
                device,
                wait,
                ..daily::Request::default()
            };
            daily::run(app, &request, watch)
                .map(|report| said(report.status, report.version, report.reason))
        }
        "train-weekly" => {
            let request = weekly::Request {
                line: Some(line.0.clone()),
                reason,
                device,
                wait,
                as_of_given: app.as_of_given,
                triggered: !trigger.missed,
                ..weekly::Request::default()
            };
            weekly::run(app, &request, watch)
                .map(|report| said(report.status, report.version, report.reason))
        }
        _ => {
            let request = monthly::Request {
                line: Some(line.0.clone()),
                wait,
                ..monthly::Request::default()
            };
            monthly::run(app, &request, watch)
                .map(|report| said(report.status, None::<String>, report.reason))
        }
    };
    match ended {
        Err(error) if is_stop(&error) => Err(error),
        Err(error) => Ok(format!("failed: {error:#}")),
        Ok(text) => Ok(text),
    }
}

fn is_stop(error: &anyhow::Error) -> bool {
    let exit = fault::find(error).map(Fault::exit);
    matches!(exit, Some(Exit::Interrupted | Exit::Terminated))
}

fn said(status: &str, version: Option<impl std::fmt::Display>, reason: Option<String>) -> String {
    let version = version.map(|version| format!(" {version}")).unwrap_or_default();
    let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
    format!("{status}{version}{reason}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::monitor::{Alarm, AnswersSeen, Promised};

    fn seen(ringing: &[&'static str]) -> LineWatch {
        let alarm = |name: &&'static str| Alarm { name, rings: true, text: "why".into() };
        LineWatch {
            line: "fx-direction".parse().expect("a name"),
            version: None,
            alarms: ringing.iter().map(alarm).collect(),
            results: Vec::new(),
            n_stored: 0,
            promised: Promised::default(),
            drift: None,
            domain: None,
            outlook: Vec::new(),
            answers: AnswersSeen::default(),
            probation: Vec::new(),
            triggers: Vec::new(),
        }
    }

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    #[test]
    fn what_is_stale_is_trained_anew_what_is_late_is_caught_up_and_neither_twice() {
        let now = at("2025-10-21T12:20:00Z");
        let triggers = Triggers::default();
        let jobs = |seen: &LineWatch,
                    late: &[Overdue],
                    n_new,
                    last: &[JobTimes],
                    triggers: &Triggers|
         -> Vec<_> {
            let list = wanted(seen, late, n_new, last, &Past::default(), triggers, now).into_iter();
            list.map(|one| (one.job, one.missed, one.held.is_some())).collect()
        };
        assert_eq!(jobs(&seen(&["disk", "data", "overdue"]), &[], 499, &[], &triggers), []);
        assert_eq!(jobs(&seen(&[]), &[], 500, &[], &triggers), [("train-daily", false, false)]);
        let stale = seen(&["collapse", "model-age"]);
        assert_eq!(jobs(&stale, &[], 900, &[], &triggers), [("train-weekly", false, false)]);
        let reason = &wanted(&stale, &[], 0, &[], &Past::default(), &triggers, now)[0].reason;
        assert_eq!(reason, "collapse: why; model-age: why");
        let late = |job| Overdue { job, since: at("2025-10-19T01:00:00Z"), missed: 2, last: None };
        assert_eq!(
            jobs(&stale, &[late("train-daily"), late("train-weekly")], 900, &[], &triggers),
            [("train-weekly", true, false), ("train-daily", true, false)]
        );
        let ran =
            |job: &str, began| JobTimes { job: job.into(), began: at(began), completed: None };
        let last = [ran("weekly", "2025-10-18T12:30:00Z"), ran("daily", "2025-10-18T12:10:00Z")];
        // Missed, and not tried since; then tried, and failed again.
        let night = |job| Overdue { since: at("2025-10-21T01:00:00Z"), ..late(job) };
        assert_eq!(
            jobs(&seen(&[]), &[night("train-daily")], 0, &last, &triggers),
            [("train-daily", true, false)]
        );
        let tried = [ran("daily", "2025-10-21T11:20:00Z")];
        assert_eq!(
            jobs(&seen(&[]), &[night("train-daily")], 0, &tried, &triggers),
            [("train-daily", true, true)]
        );
        assert_eq!(jobs(&stale, &[], 0, &last, &triggers), [("train-weekly", false, true)]);
        assert_eq!(jobs(&seen(&[]), &[], 500, &last, &triggers), [("train-daily", false, false)]);
        let ask = Triggers { action: TriggerAction::Ask, drift: false, missed: false, ..triggers };
        assert_eq!(
            jobs(&stale, &[late("train-weekly")], 0, &[], &ask),
            [("train-weekly", false, true)]
        );
        assert_eq!(jobs(&seen(&["drift"]), &[], 0, &[], &ask), []);
    }

    #[test]
    fn what_did_not_help_is_not_repeated_as_often() {
        let now = at("2025-10-21T12:20:00Z");
        let triggers = Triggers::default();
        let ran = |began| [JobTimes { job: "weekly".into(), began: at(began), completed: None }];
        let of = |ringing: &[&'static str], late: &[Overdue], last: &[JobTimes], past: &Past| {
            let list = wanted(&seen(ringing), late, 0, last, past, &triggers, now).into_iter();
            list.map(|one| (one.job, one.held)).collect::<Vec<_>>()
        };
        let past = |refusals| Past { refusals, ..Past::default() };
        // Three days after the last; each refusal doubles them, up to 24.
        for (refusals, began, is_held) in [
            (0, "2025-10-18T12:20:00Z", false),
            (1, "2025-10-18T12:20:00Z", true),
            (1, "2025-10-15T12:20:00Z", false),
            (2, "2025-10-15T12:20:00Z", true),
            (9, "2025-09-27T12:21:00Z", true),
            (9, "2025-09-27T12:20:00Z", false),
        ] {
            let list = of(&["collapse"], &[], &ran(began), &past(refusals));
            assert_eq!(
                (list[0].0, list[0].1.is_some()),
                ("train-weekly", is_held),
                "{refusals} {began}"
            );
        }
        // Labels of one class: only a missed run trains.
        let one_sided = Past { largest_class: Some(0.61), ..Past::default() };
        let list = of(&["collapse"], &[], &[], &one_sided);
        assert!(
            list[0].1.as_ref().is_some_and(|why| why.contains("61 % of the labels")),
            "{list:?}"
        );
        let late = Overdue {
            job: "train-weekly",
            since: at("2025-10-19T01:00:00Z"),
            missed: 1,
            last: None,
        };
        assert_eq!(of(&["collapse"], &[late], &[], &one_sided), [("train-weekly", None)]);
        let even = Past { largest_class: Some(0.6), ..Past::default() };
        assert_eq!(of(&["collapse"], &[], &[], &even), [("train-weekly", None)]);
        // Age alone does not ask again for what the days have just spoken against; anything else does.
        let refused = Past { refused_on_evidence: true, ..Past::default() };
        assert_eq!(of(&["model-age"], &[], &[], &refused), []);
        assert_eq!(of(&["model-age", "drift"], &[], &[], &refused), [("train-weekly", None)]);
        assert_eq!(of(&["model-age"], &[], &[], &Past::default()), [("train-weekly", None)]);
    }
}
