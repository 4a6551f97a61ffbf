//! The page of a made-up line with figures of a real size: `target/report-example/watch.html`, to be looked at.
#![allow(clippy::disallowed_methods, reason = "tests write the pages that people look at")]

use chrono::{Days, TimeDelta};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::evaluate::Bin;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// Three trainings of which one leaves.
fn mixture(evil: &str, day: &dyn Fn(u64) -> NaiveDate) -> MixtureSeen {
    let member = |name: &str, weight| MemberSeen {
        name: format!("{name}{evil}"),
        weight,
        n: 5200,
        log_loss: Some(1.071),
        of_mixture: Some(1.064),
    };
    let share = |name: &str, share| (format!("{name}{evil}"), share);
    let days = (5..90).map(|n| {
        let (a, b) = (0.1 + 0.1 * ((n % 17) as f64 / 17.0), if n < 40 { 0.5 } else { 0.0 });
        let c = 0.15;
        (
            day(n),
            vec![
                share("prior", a),
                share("v1.2", b),
                share("v1.3", c),
                share("v1.4", 1.0 - a - b - c),
            ],
        )
    });
    MixtureSeen {
        members: vec![
            member("prior", 0.12),
            member("v1.3", 0.15),
            member("v1.4-daily-20260304", 0.73),
        ],
        days: days.collect(),
    }
}

/// A quarter of a line with 38 features, of which every cell has something to say: the largest that a page gets.
fn example(evil: &str) -> WatchPage {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let as_of = at("2026-03-04T10:30:00Z");
    let from = as_of - TimeDelta::days(90);
    let day = |n: u64| from.date_naive() + Days::new(n + 1);
    let alert = |resolved: Option<&str>| AlertText {
        cause: format!("drift{evil}"),
        severity: format!("warning{evil}"),
        message: format!("the last 5 trading days lie z 2.80 off{evil}"),
        since: Some(at("2026-03-02T03:20:00Z")),
        resolved: resolved.map(at),
        n_seen: 55,
    };
    let state = |n: u64| DayState::ALL[n as usize % DayState::ALL.len()];
    WatchPage {
        line: "fx-direction".into(),
        as_of,
        from,
        production: Some(ProductionNow {
            version: "v1.4".into(),
            made_at: as_of - TimeDelta::days(9),
            promoted_at: Some(as_of - TimeDelta::days(8)),
            test_accuracy: Some(0.463),
        }),
        alerts: vec![alert(None), alert(Some("2026-03-03T03:20:00Z"))],
        last_look: Some(LastLook {
            at: as_of - TimeDelta::minutes(10),
            verdict: format!("alert:drift{evil}"),
        }),
        jobs: vec![JobNow {
            name: "monitor".into(),
            last: Some(as_of - TimeDelta::minutes(10)),
            overdue: Some(format!("since then{evil}")),
        }],
        returns: (0..90)
            .map(|n| DayReturned {
                day: day(n),
                n_trades: 20,
                n_won: 10,
                account_return: 0.004 * (rng.random::<f64>() - 0.48),
                n_calls: 60,
                equal_return: 0.006 * (rng.random::<f64>() - 0.52),
            })
            .collect(),
        n_unknown: 3,
        bets: BetsSeen {
            calls: vec![
                ("no edge after costs".into(), 5100),
                (String::new(), 240),
                (format!("support{evil}"), 12),
            ],
            equal_size: 0.05,
            breaker: format!(
                "61 days with a closed bet, the account +0.41 %, drawdown 1.20 %, losing p 1.000{evil}"
            ),
            stopped: None,
        },
        mixture: Some(mixture(evil, &day)),
        moves: (0..4)
            .map(|n| MoveOn {
                at: from + TimeDelta::days(20 * n + 3),
                is_rollback: n == 2,
                from: (n > 0).then(|| format!("v1.{n}{evil}")),
                to: format!("v1.{}{evil}", n + 1),
                actor: Some(format!("operator{evil}")),
                reason: Some(format!("better{evil}")),
                forced: n == 1,
            })
            .collect(),
        measured: (0..90)
            .map(|n| DayMeasured {
                day: day(n),
                accuracy: (n != 40).then(|| 0.44 + 0.05 * rng.random::<f64>()),
                log_loss: Some(1.02),
            })
            .collect(),
        windows: ["24 hours", "7 days"]
            .map(|name| WindowNow {
                name: format!("{name}{evil}"),
                n: 2400,
                accuracy: Some(0.46),
                indicator_accuracy: Some(0.41),
                log_loss: Some(1.02),
                roi: Some(-0.003),
                win_rate: None,
                delay_s: Some(125.0),
            })
            .to_vec(),
        drift: (0..90)
            .map(|n| DayDrift {
                day: day(n),
                z: Some(1.4),
                p: Some(0.01),
                features: (0..38)
                    .map(|feature| {
                        let z = 2.0 + 4.0 * rng.random::<f64>();
                        (format!("feature_number_{feature}{evil}"), Some(z), Some(0.004))
                    })
                    .collect(),
                rings: if n % 9 == 0 { vec![format!("step{evil}")] } else { Vec::new() },
                told: Some(Told { auc: 0.91, usual: 0.8, p: 0.01 * n as f64 }),
            })
            .collect(),
        probation: [false, true]
            .map(|is_worse| TrialNow {
                version: format!("v1.4{evil}"),
                replaced: "v1.3".into(),
                since: as_of - TimeDelta::days(8),
                n_days: Some(6),
                saved: Some((-0.0123, is_worse.then_some(0.01))),
                p: Some(0.2),
                verdict: format!("no worse than chance allows{evil}"),
                is_worse,
            })
            .to_vec(),
        held: vec![Wanted {
            job: "train-weekly".into(),
            reason: format!("drift: far off{evil}"),
            held: format!("it last ran at 2026-03-03 03:20 UTC; cool-down{evil}"),
        }],
        started: (0..14)
            .map(|n| Started {
                at: as_of - TimeDelta::days(n),
                job: "train-daily".into(),
                reason: format!("new-samples: 512{evil}"),
                ended: (n > 0).then(|| (state(n as u64), format!("v1.3{evil}"))),
            })
            .collect(),
        calibration: Some(Calibrated {
            at: as_of,
            window: format!("over the 30 days before{evil}"),
            n: 900,
            bins: vec![
                Bin { n: 300, confidence: 0.4, accuracy: 0.38 },
                Bin { n: 600, confidence: 0.6, accuracy: 0.63 },
            ],
            ece: 0.02,
            ece_by_chance: 0.04,
        }),
        said: (0..90).map(|n| DaySaid { day: day(n), n: [30, 25, 60, n % 4, n % 2] }).collect(),
        series: vec![
            SeriesNow {
                name: "EUR/USD 1h".into(),
                closed_at: Some(at("2026-03-04T10:00:00Z")),
                n_missing: 0,
                quality: Some((format!("gap{evil}"), as_of)),
            },
            SeriesNow { name: "USD/CAD 1h".into(), closed_at: None, n_missing: 0, quality: None },
        ],
        calendar: ["collect", "train-daily"]
            .into_iter()
            .map(|name| JobDays {
                name: name.into(),
                days: (0..90).map(|n| (day(n), state(n), format!("3 times; why{evil}"))).collect(),
            })
            .collect(),
    }
}

#[test]
fn the_example_page_can_be_looked_at_and_stays_small() {
    let page = watch_page(&example(""));
    for word in ["<script", "http", "src=", "url(", "NaN", "@import"] {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.len() < 1_000_000, "{} bytes", page.len());
    for state in DayState::ALL {
        assert!(page.contains(&format!("class=\"{}\"", state.class())), "{state:?}");
    }
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/report-example");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("watch.html"), page).expect("written");
}

#[test]
fn whatever_a_table_says_is_text() {
    let page = watch_page(&example("</style><script>alert('&\"')</script>"));
    assert!(
        !page.contains("<script") && page.matches("</style>").count() == 1,
        "an unescaped text"
    );
    // Each of the texts is there, as text.
    assert!(page.matches("&lt;script").count() > 38);
}

#[test]
fn the_headline_says_who_answers_and_what_is_wrong() {
    let said = |change: &dyn Fn(&mut WatchPage)| {
        let mut page = example("");
        change(&mut page);
        headline(&page)
    };
    let quiet = |page: &mut WatchPage| {
        page.alerts.retain(|alert| alert.resolved.is_some());
        page.jobs[0].overdue = None;
        page.series.truncate(1);
    };
    assert_eq!(said(&|_| ()), ("bad", "v1.4 answers, 1 alert rings, 1 job is overdue".to_owned()));
    assert_eq!(said(&quiet), ("good", "v1.4 answers, nothing rings".to_owned()));
    let late = said(&|page| {
        quiet(page);
        page.series[0].n_missing = 3;
    });
    assert_eq!(late.0, "open");
    let unseen = said(&|page| page.last_look = None);
    assert_eq!(
        unseen,
        ("open", "v1.4 answers; the monitor has never looked; 1 alert rings".to_owned())
    );
    assert_eq!(said(&|page| page.production = None).0, "open");
}

#[test]
fn a_page_of_nothing_is_a_page() {
    let page = watch_page(&WatchPage::default());
    assert!(page.contains("No version answers") && !page.contains("NaN"));
}
