//! The page of a made-up version with figures of a real size: `target/report-example/version.html`, to be looked at.
#![allow(clippy::disallowed_methods, reason = "tests write the pages that people look at")]

use chrono::{NaiveDate, TimeDelta};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::backtest::Backtest;
use crate::{
    backtest::Figures as Traded,
    evaluate::{Predictions, Unseen, compare},
    lineage::SeenUntil,
};

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("an instant")
}

/// Answers whose top probability is right a little less often than it says; `skill` from 0 to 1.
fn predictions(seed: u64, n: usize, skill: f64) -> Predictions<Unseen> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // The truth is drawn from a stream of its own: every rival answers the same samples.
    let mut market = ChaCha8Rng::seed_from_u64(7);
    let start = at("2018-11-12T00:00:00Z").timestamp_micros();
    let (mut probabilities, mut truth, mut decided) = (Vec::new(), Vec::new(), Vec::new());
    for sample in 0..n {
        let roll: f64 = market.random();
        let class = if roll < 0.27 {
            0
        } else if roll < 0.74 {
            1
        } else {
            2
        };
        let mut row = [0.27, 0.47, 0.26];
        let lean = skill * 0.5 * rng.random::<f64>();
        let guess = if rng.random::<f64>() < 0.55 { class } else { rng.random_range(0..3) };
        row = row.map(|p| p * (1.0 - lean));
        row[guess] += lean;
        probabilities.extend(row);
        truth.push(class as u8);
        decided.push(start + (sample as i64 / 5) * 3_600_000_000);
    }
    let series = (0..n).map(|sample| (sample % 5) as u32).collect();
    Predictions::new(3, probabilities, truth, decided, series)
        .expect("distributions")
        .after(SeenUntil::new(at("2018-11-11T00:00:00Z")))
}

fn traded(seed: u64, drift: f64) -> Backtest {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let first = NaiveDate::from_ymd_opt(2018, 11, 12).expect("a day");
    let days: Vec<NaiveDate> = first.iter_days().take(19).collect();
    let daily: Vec<f64> =
        days.iter().map(|_| drift + 0.004 * (rng.random::<f64>() - 0.5)).collect();
    let equity: Vec<f64> = daily
        .iter()
        .scan(1.0, |equity, day| {
            *equity *= 1.0 + day;
            Some(*equity)
        })
        .collect();
    let figures = Traded {
        n_series: 5,
        n_candles: 2160,
        n_days: days.len(),
        n_signals: 412,
        n_trades: 187,
        n_open: 2,
        win_rate: Some(0.513),
        avg_pnl: Some(0.000_021),
        total_pnl: 0.0039,
        profit_factor: Some(1.04),
        roi: equity.last().map(|last| last - 1.0),
        sharpe: None,
        sharpe_se: None,
        max_drawdown: Some(charts::drawdown(&equity).into_iter().fold(0.0, f64::min).abs()),
        exposure: Some(0.36),
        signals_per_day: Some(21.7),
    };
    Backtest { figures, days, daily_returns: daily, equity, trades: Vec::new() }
}

fn example(skill: f64) -> VersionReport {
    let model = predictions(1, 2100, skill);
    let rival = |title: &str, seed, skill| {
        let reference = predictions(seed, 2100, skill);
        Rival {
            title: title.to_owned(),
            figures: reference.figures().expect("samples"),
            comparison: compare(&model, &reference).expect("the same samples"),
        }
    };
    let seen = |seed| {
        let mut figures = predictions(seed, 2000, skill).figures().expect("samples");
        figures.out_of_sample = false;
        figures
    };
    let epoch = |epoch: u32| {
        let t = f64::from(epoch);
        Epoch {
            epoch,
            train_loss: 1.02 + 0.09 * (-t / 6.0).exp() - 0.002 * t,
            validation_loss: 1.035 + 0.05 * (-t / 4.0).exp() + 0.000_25 * (t - 9.0).powi(2) / 3.0,
        }
    };
    let part =
        |name, n, from: &str, to: &str| PartRow { name, n, window: Some((at(from), at(to))) };
    VersionReport {
        line: "fx-direction".into(),
        version: "v1.4".into(),
        parent: None,
        as_of: at("2018-12-01T00:00:00Z"),
        seen_until: at("2018-11-11T23:00:00Z"),
        pairs: ["EUR/USD", "GBP/USD", "USD/JPY", "AUD/USD", "USD/CAD"].map(String::from).into(),
        timeframes: vec!["1h".into()],
        classes: ["sell", "hold", "buy"].map(String::from).into(),
        label: "volatility: ±1 × rolling volatility over the horizon of 4 h".into(),
        model: "LSTM 128 → 64, dense 32, dropout 0.3 · 0.3 · 0.2".into(),
        lookback: 60,
        costs: "spread 1.0 pips, slippage 0.2 pips each way".into(),
        batch: 32,
        lr: 1e-3,
        seed: 42,
        threads: 2,
        dataset_sha256: "9f2c".repeat(16),
        config_sha256: "03ab".repeat(16),
        feature_set: "v1".into(),
        features: crate::features::V1
            .features
            .iter()
            .map(|feature| FeatureRow {
                name: feature.name.into(),
                definition: feature.definition.into(),
            })
            .collect(),
        parts: vec![
            part("training", 5188, "2018-09-03T00:00:00Z", "2018-11-01T20:00:00Z"),
            part("validation", 1098, "2018-11-02T01:00:00Z", "2018-11-14T12:00:00Z"),
            part("test", 2100, "2018-11-14T16:00:00Z", "2018-11-30T18:00:00Z"),
        ],
        test: model.figures().expect("samples"),
        validation: seen(11),
        train: seen(12),
        rivals: vec![rival("majority class", 2, 0.0), rival("indicator rule", 3, 0.05)],
        temperature: 1.18,
        history: (1..=17).map(epoch).collect(),
        best_epoch: 9,
        trading: vec![
            Trading { name: "model".into(), backtest: traded(5, 0.0003) },
            Trading { name: "indicator rule".into(), backtest: traded(6, -0.0006) },
        ],
        quality: Quality {
            n_candles: 11_420,
            extended_to_days: None,
            dropped: vec![
                ("not enough history", 0),
                ("window over a gap", 61),
                ("no label yet", 20),
            ],
            purged: vec![("the cuts, label", 40), ("the cuts, window", 600)],
            gaps: (1..4)
                .map(|hours| GapRow {
                    series: "USD/CAD 1h".into(),
                    after: at("2018-10-03T10:00:00Z"),
                    before: at("2018-10-03T11:00:00Z") + TimeDelta::hours(hours),
                    n_missing: hours as u32,
                })
                .collect(),
        },
        training_s: 48.2,
        gate: None,
        aifx: "0.1.0".into(),
        libtorch: "2.13.0".into(),
    }
}

#[test]
fn the_example_page_can_be_looked_at() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/report-example");
    std::fs::create_dir_all(&folder).expect("a folder");
    for (name, skill) in [("version", 0.9), ("unsure", 0.02)] {
        let page = version_page(&example(skill));
        assert!(page.len() < 1_000_000, "{} bytes", page.len());
        std::fs::write(folder.join(format!("{name}.html")), page).expect("written");
    }
}

#[test]
fn a_page_needs_nothing_but_itself() {
    let page = version_page(&example(0.5));
    for outside in ["http:", "https:", "src=", "<link", "<script", "@import", "url(", "<iframe"] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf "));
    // Every plot says what it shows to those who do not see it.
    assert_eq!(
        page.matches("<svg").count(),
        page.matches("role=\"img\"").count() + page.matches("aria-hidden=\"true\"><").count()
    );
}

#[test]
fn hostile_text_is_escaped() {
    let evil = "<script>alert(1)</script>\" onload=\"x";
    let mut report = example(0.5);
    report.line = evil.into();
    report.pairs = vec![evil.into()];
    report.classes = vec![evil.into(), "hold".into(), "buy".into()];
    report.model = evil.into();
    report.rivals[0].title = evil.into();
    report.trading[0].name = evil.into();
    report.quality.gaps[0].series = evil.into();
    report.features[0].definition = evil.into();
    let page = version_page(&report);
    assert!(!page.contains("<script") && !page.contains("\" onload"), "not escaped");
    assert!(page.contains("&lt;script&gt;"));
}

#[test]
fn a_figure_without_a_value_says_why() {
    let mut report = example(0.5);
    let few = predictions(1, 200, 0.5);
    report.rivals[0].comparison =
        compare(&few, &predictions(2, 200, 0.0)).expect("the same samples");
    report.rivals.truncate(1);
    let figures = &mut report.trading[0].backtest.figures;
    (figures.n_trades, figures.win_rate, figures.avg_pnl) = (0, None, None);
    (figures.profit_factor, figures.max_drawdown, figures.roi) = (None, None, None);
    report.history.clear();
    report.parts[2].window = None;
    let page = version_page(&report);
    for text in [
        "n/a (no trade)",
        "n/a (no losing trade)",
        "n/a (no trading day)",
        "n/a (fewer than 20 days, or all alike)",
        "n/a (fewer than five trading days)",
        "n/a (no epoch was recorded)",
        "n/a (empty)",
        "Not enough evidence",
    ] {
        assert!(page.contains(text), "{text}");
    }
    report.trading.clear();
    assert!(version_page(&report).contains("n/a (nothing was traded)"));
}

#[test]
fn the_headline_says_no_more_than_the_days_allow() {
    let headline = |report: &VersionReport| verdict::verdict(report).headline;
    let good = example(0.9);
    assert_eq!(
        headline(&good),
        "Better than the majority class and the indicator rule on days it had not seen"
    );
    let mut report = good.clone();
    let turn = |interval: &mut Option<Interval>, mean: f64, half: f64| {
        let found = interval.as_mut().expect("enough days");
        (found.mean, found.low, found.high) = (mean, mean - half, mean + half);
    };
    turn(&mut report.rivals[1].comparison.log_loss, 0.001, 0.01);
    assert_eq!(
        headline(&report),
        "Better than the majority class, not shown against the indicator rule"
    );
    turn(&mut report.rivals[0].comparison.log_loss, 0.001, 0.01);
    assert!(headline(&report).starts_with("No better than its baselines, as far as"));
    turn(&mut report.rivals[0].comparison.log_loss, -0.02, 0.01);
    assert_eq!(headline(&report), "Worse than the majority class on days it had not seen");
    report.test.answer_shares = vec![0.01, 0.98, 0.01];
    assert_eq!(headline(&report), "It answers “hold” to nearly everything");
    assert!(version_page(&report).contains("Collapse: more than 95 %"));
    report.train.truth_shares = vec![0.03, 0.94, 0.03];
    assert!(version_page(&report).contains("94.0\u{a0}% of the training samples are “hold”"));
}
