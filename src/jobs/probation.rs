//! Probation of what was promoted: what it answered since against what it replaced, day by day, and the way back.
//!
//! Which promotions are watched is derived from the moves (`Cast::trials`), and so is which versions a rollback bars: nothing is
//! remembered elsewhere. Not here: the test (`gate::Probation`), when it is asked for (`monitor`).

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    clock, loading,
    material::Material,
    replay::{Cast, Trial},
    rollback,
};
use crate::{
    config::{App, LineConfig},
    dataset::Sample,
    db::promotions::{Action, MoveRow},
    evaluate::compare,
    gate::Probation,
    lineage::{LineName, Version},
    market::{calendar, instant},
};

/// Who moves production back by itself.
pub(crate) const ACTOR: &str = "probation";

/// A promotion that is watched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Watched {
    /// What was promoted.
    pub version: Version,
    /// What it replaced.
    pub replaced: Version,
    /// When.
    pub since: DateTime<Utc>,
    /// How it stands; none where one of them cannot answer.
    pub verdict: Option<Probation>,
    /// Why there is none.
    pub why: Option<String>,
}

impl Watched {
    /// Whether it should go back.
    pub(crate) fn is_worse(&self) -> bool {
        self.verdict.as_ref().is_some_and(|verdict| verdict.worse_since.is_some())
    }
}

impl std::fmt::Display for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Watched { version, replaced, since, .. } = self;
        let since = since.format("%F %H:%M UTC");
        write!(f, "{version} against {replaced}, which it replaced on {since}: ")?;
        match (&self.verdict, &self.why) {
            (Some(Probation { n_days, saved: Some(saved), half_width, p, worse_since }), _) => {
                write!(f, "{n_days} whole days, {saved:+.4} nats a day saved")?;
                if let Some(half_width) = half_width {
                    write!(f, " (± {half_width:.4})")?;
                }
                match worse_since {
                    Some(day) => write!(f, ", worse by more than chance since {day} (p {p:.4})"),
                    None => write!(f, ", no worse than chance allows (p {p:.4})"),
                }
            }
            (Some(_), _) => write!(f, "no whole day yet"),
            (None, why) => write!(f, "{}", why.as_deref().unwrap_or("no verdict")),
        }
    }
}

/// How the watched promotions stand. `samples` are settled ones in order of decision.
pub(crate) fn look(
    app: &App,
    line: &LineConfig,
    cast: &mut Cast,
    material: &Material,
    samples: &[Sample],
) -> Vec<Watched> {
    let trials = cast.trials(app.as_of, line.probation.days);
    let mut seen = Vec::with_capacity(trials.len());
    for trial in trials {
        let found = judge(app, line, cast, &trial, material, samples);
        let (verdict, why) = match found {
            Ok(verdict) => (Some(verdict), None),
            Err(why) => (None, Some(why)),
        };
        let Trial { promoted: version, replaced, since } = trial;
        seen.push(Watched { version, replaced, since, verdict, why });
    }
    seen
}

fn judge(
    app: &App,
    line: &LineConfig,
    cast: &mut Cast,
    trial: &Trial,
    material: &Material,
    samples: &[Sample],
) -> Result<Probation, String> {
    let n_classes = line.label.n_classes();
    // Whole days only: from the one after the promotion to the last of which every label has settled.
    let day_of = |at: DateTime<Utc>| calendar::trading_days(&[at.timestamp_micros()])[0];
    let horizon_us = line.timeframes.iter().map(|one| one.horizon_us()).max().unwrap_or(0);
    let settled = instant(app.as_of.timestamp_micros() - horizon_us);
    let (first, last) = (day_of(trial.since), day_of(settled));
    let at_us: Vec<i64> = samples.iter().map(|sample| sample.decided_at_us).collect();
    let days = calendar::trading_days(&at_us);
    let range = days.partition_point(|day| *day <= first)..days.partition_point(|day| *day < last);
    let asked = samples.get(range).unwrap_or_default();
    let replaced = cast
        .unseen(trial.replaced, material, asked, n_classes)
        .map_err(|why| format!("{} cannot answer: {why}", trial.replaced))?;
    let (policy, _) =
        cast.policy(material, asked, n_classes).map_err(|error| format!("{error:#}"))?;
    let found = compare(&policy, &replaced.predictions).map_err(|error| error.to_string())?;
    Ok(Probation::of(&found.days, &line.probation))
}

/// Goes back to what a watched promotion replaced, from the production that was looked at: one that came meanwhile is not taken
/// back for what another did.
///
/// # Errors
/// As `rollback`.
pub(crate) fn take_back(
    app: &App,
    line: &LineName,
    production: Version,
    watched: &Watched,
) -> anyhow::Result<()> {
    clock::check(app, &mut app.db("probation")?)?;
    let models = app.models();
    let reason = watched.to_string();
    let request = rollback::Request {
        models: &models,
        line,
        from: Some(production),
        to: Some(watched.replaced),
        reason: Some(&reason),
        actor: ACTOR,
        wait: Duration::ZERO,
        dry_run: false,
        as_of: app.as_of,
    };
    rollback::run(&request, &|| app.db("probation"), &loading::probe)?;
    Ok(())
}

/// The move by which probation took a version back, or one that it was fine-tuned from. `moves` are those of the line, newest
/// first.
pub(crate) fn barred(moves: &[MoveRow], version: Version) -> Option<&MoveRow> {
    moves.iter().enumerate().find_map(|(place, back)| {
        let is_ours =
            back.action == Action::Rollback.name() && back.actor.as_deref() == Some(ACTOR);
        let undone = moves[place + 1..]
            .iter()
            .take_while(|step| step.action == Action::Promote.name() && step.to != back.to);
        (is_ours && undone.into_iter().any(|step| step.to == version)).then_some(back)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(action: &str, actor: &str, to: &str) -> MoveRow {
        MoveRow {
            move_id: None,
            action: action.into(),
            from: None,
            to: to.parse().expect("a version"),
            actor: Some(actor.into()),
            reason: None,
            forced: false,
            as_of: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_probation_took_back_is_barred_and_nothing_else() {
        let moves = [
            step("rollback", ACTOR, "v1.0"),
            step("promote", "train-daily", "v1.1-daily-20250102"),
            step("promote", "train-weekly", "v1.1"),
            step("promote", "train-weekly", "v1.0"),
            step("rollback", "somebody", "v0.8"),
            step("promote", "train-weekly", "v0.9"),
        ];
        let is_barred =
            |version: &str| barred(&moves, version.parse().expect("a version")).is_some();
        assert!(is_barred("v1.1") && is_barred("v1.1-daily-20250102"));
        assert!(!is_barred("v1.0") && !is_barred("v0.9") && !is_barred("v0.8"));
    }
}
