//! The confidence set against its golden values, the score's terms, and when a decline counts.

use super::{confidence_set::p_values, *};

/// The generator of FORMULAS.
fn generated(seed: u64, n: usize) -> Vec<f64> {
    let mut x = seed;
    (0..n)
        .map(|_| {
            x = (1_103_515_245 * x + 12_345) % (1 << 31);
            x as f64 / (1u64 << 31) as f64 - 0.5
        })
        .collect()
}

fn list(text: &str) -> Vec<f64> {
    text.split(' ').map(|value| value.parse().expect("a number")).collect()
}

#[test]
fn the_confidence_set_is_that_of_arch() {
    let golden = include_str!("../../tests/golden/rank.csv");
    let mut n_cases = 0;
    for line in golden.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [seed, n_days, block, shifts, expected] = fields.as_slice() else { panic!("{line}") };
        let (seed, n_days): (u64, usize) =
            (seed.parse().expect("a seed"), n_days.parse().expect("days"));
        let shifts = list(shifts);
        let values = generated(seed, n_days * (shifts.len() + 1));
        let columns: Vec<Vec<f64>> = shifts
            .iter()
            .enumerate()
            .map(|(version, shift)| {
                (0..n_days)
                    .map(|day| values[day] + 0.5 * values[(version + 1) * n_days + day] + shift)
                    .collect()
            })
            .collect();
        let found = p_values(&columns, block.parse().expect("a block"), 40_000, 7);
        for (found, expected) in found.iter().zip(list(expected)) {
            // Three standard errors of a share of 40,000 draws, and arch's own.
            assert!((found - expected).abs() < 0.01, "seed {seed}: {found} against {expected}");
        }
        n_cases += 1;
    }
    assert_eq!(n_cases, 5);
}

#[test]
fn who_has_too_few_days_is_not_tested_and_does_not_keep_others_from_it() {
    let noise = generated(9, 80);
    let day = |version: usize, day: usize| Some(noise[version * 20 + day]);
    let mut losses: Vec<Vec<Option<f64>>> =
        (0..4).map(|version| (0..20).map(|at| day(version, at)).collect()).collect();
    // The third has three days, the fourth six that share only two with the second's eighteen.
    losses[2] = (0..20).map(|at| (at < 3).then(|| noise[at])).collect();
    losses[1] = (0..20).map(|at| (at >= 4).then(|| noise[at + 20])).collect();
    losses[3] = (0..20).map(|at| (at < 6).then(|| noise[at + 60])).collect();
    let set = model_confidence_set(&losses, 5, 0.9, 0);
    assert_eq!((set.n_tested(), set.n_days), (2, 16));
    assert!(set.member(0).is_some() && set.member(1).is_some());
    assert_eq!((set.member(2), set.member(3), set.member(9)), (None, None, None));
    assert_eq!(model_confidence_set(&[], 5, 0.9, 0).n_tested(), 0);
    // One alone is the best there is, and equals cannot be told apart.
    assert_eq!(model_confidence_set(&losses[..1], 5, 0.9, 0).member(0), Some((true, 1.0)));
    let twins = [losses[0].clone(), losses[0].clone()];
    let set = model_confidence_set(&twins, 5, 0.9, 0);
    assert_eq!((set.member(0), set.member(1)), (Some((true, 1.0)), Some((true, 1.0))));
}

#[test]
fn a_score_is_the_sum_of_its_weighted_terms_and_what_is_missing_earns_nothing() {
    let config = RankingConfig::default();
    let terms = Terms {
        win_rate: Some(0.55),
        sharpe: Some(1.5),
        avg_pnl: Some(0.0002),
        max_drawdown: Some(0.1),
    };
    let found = score(&terms, &config);
    let expected = 0.3 * 0.55 + 0.3 * 0.75 + 0.2 * 0.6 + 0.2 * 0.9;
    assert!((found.total - expected).abs() < 1e-12, "{found:?}");
    assert!(score(&Terms::default(), &config).total.abs() < f64::EPSILON);
    let beyond = Terms { sharpe: Some(9.0), max_drawdown: Some(2.0), ..Terms::default() };
    let found = score(&beyond, &config);
    assert_eq!((found.sharpe.points, found.max_drawdown.points), (1.0, 0.0));
}

#[test]
fn scales_that_are_none_and_weights_that_do_not_add_up_are_named() {
    let mut config = RankingConfig::default();
    assert!(config.problems().is_empty());
    config.sharpe.weight = 0.4;
    assert_eq!(config.problems().len(), 1);
    config.avg_pnl.best = config.avg_pnl.worst;
    config.win_rate.weight = f64::NAN;
    let keys: Vec<_> = config.problems().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, ["win_rate", "avg_pnl"]);
}

#[test]
fn a_version_that_lost_its_edge_is_degraded_and_noise_is_not() {
    let noise = generated(3, 40);
    let then: Vec<f64> = noise[..20].iter().map(|value| value * 0.1 - 0.05).collect();
    let same: Vec<f64> = noise[20..].iter().map(|value| value * 0.1 - 0.05).collect();
    let worse: Vec<f64> = same.iter().map(|value| value + 0.05).collect();
    let found = degraded(&then, &worse).expect("enough days");
    assert!(found.is_degraded && found.low > 0.0 && found.effect > 0.0, "{found:?}");
    assert!(!degraded(&then, &same).expect("enough days").is_degraded);
    // Better is never a degradation.
    assert!(!degraded(&worse, &then).expect("enough days").is_degraded);
    assert_eq!(degraded(&then[..4], &worse), None);
}
