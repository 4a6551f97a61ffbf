//! Whether production knows more than its class prior, and whether the line's breaker has tripped.
//!
//! Not here: what follows for sizes (`jobs::bets`), the tests (`stats`, `signal`).

use chrono::{DateTime, Utc};

use super::{Alarm, scene::Scene};
use crate::{
    config::{App, LineConfig},
    db::Db,
    evaluate::compare,
    jobs::{
        bets,
        replay::{self, Cast},
    },
    lineage::{LineName, SeenUntil},
    market::{calendar, instant},
    stats::{DailyTest, FIRST_LOOK_DAYS},
};

/// Chance that production as good as its class prior is found to be worse, however often one looks.
const ALPHA: f64 = 0.05;

/// What production answered since `since` against its class prior, by whole trading day.
pub(super) fn no_skill(
    app: &App,
    line: &LineConfig,
    cast: &mut Cast,
    scene: &Scene,
    since: DateTime<Utc>,
) -> Alarm {
    let alarm = |rings, text| Alarm { name: bets::NO_SKILL, rings, text };
    match test(app, line, cast, scene, since) {
        Err(why) => alarm(false, why),
        Ok(test) => {
            let since = since.format("%F");
            let Some(mean) = test.mean else {
                return alarm(false, format!("no whole settled day since {since}"));
            };
            let against = match test.half_width {
                Some(half) => format!("{mean:+.4} ± {half:.4}"),
                None => format!("{mean:+.4}"),
            };
            let found = match test.found {
                Some(_) => "worse by more than chance: its answers are not bet on",
                None => "not shown to be worse",
            };
            let text = format!(
                "production saves {against} nats a day over its class prior on {} days since {since} (p {:.4}), {found}",
                test.n_days, test.p
            );
            alarm(test.found.is_some(), text)
        }
    }
}

fn test(
    app: &App,
    line: &LineConfig,
    cast: &mut Cast,
    scene: &Scene,
    since: DateTime<Utc>,
) -> Result<DailyTest, String> {
    let n_classes = line.label.n_classes();
    let version = scene.production.version;
    let prior = cast
        .class_shares(version, n_classes)
        .ok_or_else(|| format!("{version} does not keep its class prior"))?;
    let day_of = |at: DateTime<Utc>| calendar::trading_day(at.timestamp_micros());
    let horizon_us = line.timeframes.iter().map(|one| one.horizon_us()).max().unwrap_or(0);
    let (first, last) = (day_of(since), day_of(instant(app.as_of.timestamp_micros() - horizon_us)));
    let at_us: Vec<i64> = scene.samples.iter().map(|sample| sample.decided_at_us).collect();
    let days = calendar::trading_days(&at_us);
    let range = days.partition_point(|day| *day <= first)..days.partition_point(|day| *day < last);
    let asked = scene.samples.get(range).unwrap_or_default();
    let Some(begins) = asked.first() else { return Ok(DailyTest::of(&[], ALPHA, FIRST_LOOK_DAYS)) };
    let (policy, _) =
        cast.policy(&scene.material, asked, n_classes).map_err(|error| format!("{error:#}"))?;
    let before = SeenUntil::new(instant(begins.decided_at_us - 1));
    let prior = replay::predictions(asked, prior.repeat(asked.len()), n_classes)
        .map_err(|error| error.to_string())?
        .after(before);
    let found = compare(&policy, &prior).map_err(|error| error.to_string())?;
    let saved: Vec<f64> = found.days.iter().map(|day| day.log_loss).collect();
    Ok(DailyTest::of(&saved, ALPHA, FIRST_LOOK_DAYS))
}

/// Whether the line has stopped betting.
pub(super) fn breaker(
    app: &App,
    db: &mut Db,
    (name, line): (&LineName, &LineConfig),
) -> anyhow::Result<Alarm> {
    let (breaker, since) = bets::breaker(db, (name, line), app.as_of)?;
    let tripped = bets::tripped(&breaker, line);
    let since = since.map_or_else(String::new, |at| format!(" since {}", at.format("%F")));
    Ok(Alarm {
        name: bets::BREAKER,
        rings: tripped.is_some(),
        text: tripped.unwrap_or_else(|| format!("{breaker}{since}")),
    })
}
