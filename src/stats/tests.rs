//! Golden values: those worked out in the sources, and scipy, statsmodels and arch (tests/golden/stats_scipy.py).

use proptest::{collection::vec, prelude::*};

use super::*;

fn close(value: f64, expected: f64, tolerance: f64) {
    assert!((value - expected).abs() <= tolerance, "{value} is not {expected}");
}

/// The generator behind the golden vectors: x ← (1103515245 x + 12345) mod 2³¹, less one half.
fn generated(seed: u64, n: usize) -> Vec<f64> {
    let mut x = seed;
    std::iter::repeat_with(|| {
        x = (1_103_515_245 * x + 12_345) % (1 << 31);
        x as f64 / f64::from(1u32 << 31) - 0.5
    })
    .take(n)
    .collect()
}

fn of(n_hits: u64, n: u64) -> Proportion {
    Proportion { n_hits, n }
}

#[test]
fn proportions_are_compared_as_newcombe_does() {
    let two = TwoProportions { first: of(330, 600), second: of(300, 600) };
    close(two.z().unwrap(), 1.734220, 5e-7);
    close(two.p().unwrap(), 0.082879, 5e-7);
    let (low, high) = two.newcombe(0.95).unwrap();
    close(low, -0.006484, 5e-7);
    close(high, 0.106035, 5e-7);
    assert_eq!(TwoProportions { first: of(0, 10), second: of(0, 10) }.z(), None);
    assert_eq!(TwoProportions { first: of(0, 0), second: of(1, 2) }.newcombe(0.95), None);
    // None of ten and all of ten stay within what a share can be.
    close(of(0, 10).wilson(0.95).unwrap().0, 0.0, 1e-15);
    close(of(10, 10).wilson(0.95).unwrap().1, 1.0, 1e-15);
}

#[test]
fn welch_is_that_of_the_worked_example() {
    let first = [1.2, 0.8, 1.5, 0.3, 0.9, 1.1];
    let test = TTest::welch(&first, &[0.2, 0.5, 0.1, 0.9]).unwrap();
    close(test.t().unwrap(), 2.210066, 5e-7);
    close(test.df, 7.189287, 5e-7);
    close(test.p_two_sided(), 0.061794, 5e-7);
    close(test.p_above(), 0.061794 / 2.0, 5e-7);
    assert_eq!(TTest::welch(&first, &[0.1]), None);
    assert_eq!(TTest::welch(&[1.0, 1.0], &[2.0, 2.0]), None);
}

#[test]
fn without_spread_an_effect_is_what_it_is() {
    let same = TTest::one_sample(&[0.0; 6], 0.0).unwrap();
    assert_eq!((same.t(), same.p_two_sided(), same.p_above()), (None, 1.0, 1.0));
    let certain = TTest::one_sample(&[0.25; 6], 0.0).unwrap();
    assert_eq!((certain.p_two_sided(), certain.interval(0.95)), (0.0, (0.25, 0.25)));
    assert_eq!(TTest::one_sample(&[1.0], 0.0), None);
    assert_eq!(TTest::one_sample(&[1.0, f64::NAN], 0.0), None);
}

/// The paper's example: 2.5 a year over five years of days, one hundred trials.
#[test]
fn the_deflated_sharpe_ratio_is_that_of_the_paper() {
    let moments =
        ReturnMoments { n: 1250, sharpe: 2.5 / 250f64.sqrt(), skewness: -3.0, kurtosis: 10.0 };
    close(expected_maximum(100.0), 2.530603, 5e-7);
    let benchmark = deflated_benchmark(0.5 / 250.0, 100.0);
    close(benchmark, 0.113172, 5e-7);
    close(benchmark * 250f64.sqrt(), 1.789406, 5e-7);
    close(probabilistic_sharpe(&moments, benchmark).unwrap(), 0.900397, 5e-7);
    for (n_trials, expected) in [(1.0, 0.0), (10.0, 1.574598), (52.0, 2.291293), (417.0, 2.997533)]
    {
        close(expected_maximum(n_trials), expected, 5e-7);
    }
    close(effective_trials(100, 0.0), 100.0, 1e-12);
    close(effective_trials(100, 1.0), 1.0, 1e-12);
    // The record is as long as it takes: at that length, the probability is the confidence.
    let needed = min_track_record(&moments, benchmark, 0.05).unwrap();
    let there = ReturnMoments { n: needed.round() as usize, ..moments };
    close(probabilistic_sharpe(&there, benchmark).unwrap(), 0.95, 1e-4);
    assert_eq!(min_track_record(&moments, 0.2, 0.05), None);
    assert_eq!(ReturnMoments::of(&[0.01; 30]), None);
}

#[test]
fn overfitting_is_that_of_the_worked_example() {
    let figure = overfitting(&generated(12345, 64 * 5), 5, 8).unwrap();
    assert_eq!(figure.n_splits, 70);
    close(figure.pbo, 66.0 / 70.0, 1e-12);
    close(figure.p_loss, 0.914286, 5e-7);
    // One version that is better every day is never overfitted.
    let better: Vec<f64> = generated(7, 64 * 5)
        .iter()
        .enumerate()
        .map(|(i, x)| if i % 5 == 2 { x + 2.0 } else { *x })
        .collect();
    let figure = overfitting(&better, 5, 8).unwrap();
    assert_eq!((figure.pbo, figure.p_loss), (0.0, 0.0));
    for (n_versions, n_blocks) in [(1, 8), (5, 7), (5, 0), (5, 18), (5, 64), (7, 8)] {
        assert_eq!(overfitting(&better, n_versions, n_blocks), None);
    }
}

#[test]
fn the_interval_of_the_bootstrap_covers_as_often_as_it_says() {
    // 200 samples of 60 independent values around 0: a 95 % interval misses about 10 of them.
    let n_missed = (0..200)
        .filter(|&seed| {
            let values = generated(1 + 7919 * seed, 60);
            let bootstrap = StationaryBootstrap { mean_block: 1.0, n_resamples: 400, seed };
            let found = bootstrap.mean(&values).unwrap();
            found.low > 0.0 || found.high < 0.0
        })
        .count();
    assert!((3..=22).contains(&n_missed), "{n_missed} of 200 missed");
}

#[test]
fn the_bootstrap_repeats_by_seed_and_keeps_blocks_together() {
    let bootstrap = StationaryBootstrap { mean_block: 10.0, n_resamples: 200, seed: 1 };
    let values = generated(3, 100);
    assert_eq!(bootstrap.mean(&values), bootstrap.mean(&values));
    let other = StationaryBootstrap { seed: 2, ..bootstrap };
    assert_ne!(bootstrap.mean(&values), other.mean(&values));
    let mut n_steps = 0;
    bootstrap.resample(100, |indices| {
        n_steps += indices.windows(2).filter(|pair| (pair[0] + 1) % 100 == pair[1]).count();
        0.0
    });
    // Nine steps of ten go on, and a jump lands on the next one in 1 of 100.
    close(n_steps as f64 / (200.0 * 99.0), 0.9 + 0.1 / 100.0, 0.01);
    assert_eq!(bootstrap.mean(&[]), None);
    assert_eq!(percentile_interval(vec![f64::NAN; 3]), None);
}

/// The variance of resampled means is known (Politis & Romano 1994): that of circular autocovariances, each
/// weighed by the chance that a block lasts so long.
#[test]
fn resampled_means_vary_as_the_theory_says() {
    let values = moving_sum(&generated(9, 83), 4);
    let n = values.len();
    let bootstrap = StationaryBootstrap { mean_block: 6.0, n_resamples: 20_000, seed: 5 };
    let centre = mean(&values).unwrap();
    let around = |lag: usize| -> f64 {
        (0..n).map(|i| (values[i] - centre) * (values[(i + lag) % n] - centre)).sum::<f64>()
            / n as f64
    };
    let stays = 1.0f64 - 1.0 / bootstrap.mean_block;
    let expected = (around(0)
        + 2.0
            * (1..n)
                .map(|lag| (1.0 - lag as f64 / n as f64) * stays.powi(lag as i32) * around(lag))
                .sum::<f64>())
        / n as f64;
    let means =
        bootstrap.resample(n, |drawn| drawn.iter().map(|&i| values[i]).sum::<f64>() / n as f64);
    let found = sample_sd(&means).unwrap().powi(2);
    assert!((found / expected - 1.0).abs() < 0.04, "{found} {expected}");
    // Overlapping sums: one at a time they would seem to vary much less.
    assert!(expected > 2.0 * around(0) / n as f64);
}

#[test]
fn what_has_no_value_has_none() {
    assert_eq!(mean(&[]), None);
    assert_eq!(sample_sd(&[1.0]), None);
    assert_eq!(quartiles(&mut []), None);
    assert_eq!(quartiles(&mut [1.0, f64::NAN]), None);
    assert_eq!(quantile_sorted(&[], 0.5), None);
    assert_eq!(block_length(&[1.0; 100]), None);
    assert_eq!(lo_eta(&[1.0; 100], 252, 5), None);
    assert_eq!(days_needed(&[0.0, 0.0], 0.05, 0.8), None);
    close(Discordant { n_first: 0, n_second: 0 }.p_exact(), 1.0, 1e-12);
}

/// Rows of tests/golden/stats.csv: a name, its arguments, the expected value.
#[test]
fn values_are_those_of_scipy_statsmodels_and_arch() {
    let mut reader =
        csv::Reader::from_reader(include_str!("../../tests/golden/stats.csv").as_bytes());
    let mut n_checked = 0;
    for row in reader.deserialize() {
        let (name, arguments, expected): (String, String, f64) = row.unwrap();
        let a: Vec<f64> = arguments.split(' ').map(|text| text.parse().unwrap()).collect();
        let values = || generated(a[0] as u64, a[1] as usize);
        let count = |i: usize| a[i] as u64;
        let moving = || moving_sum(&values(), a[2] as usize);
        let value = match name.as_str() {
            "mixture_t_p" => {
                let shifted: Vec<f64> = values().into_iter().map(|value| value + a[2]).collect();
                mixture_t_p(&shifted, 1.0).unwrap()
            }
            "normal_cdf" => normal_cdf(a[0]),
            "normal_quantile" => normal_quantile(a[0]),
            "quartile" => quartiles(&mut values()).unwrap()[a[2] as usize],
            "t" => TTest::one_sample(&values(), a[2]).unwrap().t().unwrap(),
            "t_p" => TTest::one_sample(&values(), a[2]).unwrap().p_two_sided(),
            "t_p_above" => TTest::one_sample(&values(), a[2]).unwrap().p_above(),
            "t_low" => TTest::one_sample(&values(), 0.0).unwrap().interval(a[2]).0,
            "t_high" => TTest::one_sample(&values(), 0.0).unwrap().interval(a[2]).1,
            "welch_p" => {
                TTest::welch(&values(), &generated(count(2), a[3] as usize)).unwrap().p_two_sided()
            }
            "welch_low" => {
                let second = generated(count(2), a[3] as usize);
                TTest::welch(&values(), &second).unwrap().interval(0.95).0
            }
            "mcnemar" => Discordant { n_first: count(0), n_second: count(1) }.p_exact(),
            "wilson_low" => of(count(0), count(1)).wilson(a[2]).unwrap().0,
            "wilson_high" => of(count(0), count(1)).wilson(a[2]).unwrap().1,
            "newcombe_low" | "newcombe_high" => {
                let first = of(count(0), count(1));
                let second = of(count(2), count(3));
                let (low, high) = TwoProportions { first, second }.newcombe(0.95).unwrap();
                if name == "newcombe_low" { low } else { high }
            }
            "two_proportions_p" => {
                let first = of(count(0), count(1));
                TwoProportions { first, second: of(count(2), count(3)) }.p().unwrap()
            }
            "block_length" => block_length(&moving()).unwrap(),
            "skewness" => ReturnMoments::of(&moving()).unwrap().skewness,
            "kurtosis" => ReturnMoments::of(&moving()).unwrap().kurtosis,
            "lo_eta" => lo_eta(&moving(), a[3] as usize, a[4] as usize).unwrap(),
            _ => panic!("{name} is no golden value"),
        };
        let tolerance = 1e-9 * expected.abs().max(1.0);
        assert!((value - expected).abs() <= tolerance, "{name}({arguments}): {value}, {expected}");
        n_checked += 1;
    }
    assert!(n_checked > 60, "{n_checked}");
}

/// Sums over `n` values each: what overlapping labels look like.
fn moving_sum(values: &[f64], n: usize) -> Vec<f64> {
    values.windows(n).map(|window| window.iter().sum()).collect()
}

proptest! {
    #[test]
    fn quartiles_are_those_of_sorted_values(values in vec(-3i32..3, 1..60)) {
        let values: Vec<f64> = values.into_iter().map(f64::from).collect();
        let mut sorted = values.clone();
        sorted.sort_by(f64::total_cmp);
        let found = quartiles(&mut values.clone()).unwrap();
        for (found, q) in found.into_iter().zip([0.25, 0.5, 0.75]) {
            prop_assert!((found - quantile_sorted(&sorted, q).unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn an_interval_holds_its_share_and_lies_within_bounds(n in 1u64..500, share in 0.0..1.0f64) {
        let n_hits = (share * n as f64).round() as u64;
        let p = of(n_hits, n).share().unwrap();
        let (low, high) = of(n_hits, n).wilson(0.95).unwrap();
        prop_assert!((0.0..=p + 1e-12).contains(&low) && (p - 1e-12..=1.0).contains(&high));
    }

    #[test]
    fn the_expected_maximum_grows_with_the_trials(n in 1u32..2000) {
        let n = f64::from(n);
        prop_assert!(expected_maximum(n + 1.0) >= expected_maximum(n));
    }
}

#[test]
fn distributions_lie_apart_as_scipy_says() {
    let x = [0.1, 0.4, 0.7, 1.1, 1.5, 2.0, 2.2, 2.9];
    let y = [0.3, 0.9, 1.6, 2.5, 3.1, 3.3];
    let found = kolmogorov_smirnov(&x, &y).expect("values");
    close(found.distance, 0.375, 1e-15);
    close(found.p, 0.637363, 5e-7);
    close(wasserstein(&x, &y).expect("values"), 0.595833, 5e-7);
    // The same values many times over are as far apart, and surely so.
    let many = |values: &[f64], n: usize| -> Vec<f64> {
        values.iter().flat_map(|value| std::iter::repeat_n(*value, n)).collect()
    };
    let found = kolmogorov_smirnov(&many(&x, 60), &many(&y, 60)).expect("values");
    close(found.distance, 0.375, 1e-15);
    assert!(found.p < 1e-20, "{found:?}");
    close(wasserstein(&many(&x, 60), &many(&y, 60)).expect("values"), 0.595833, 5e-7);
    assert_eq!(kolmogorov_smirnov(&x, &[]), None);
    assert_eq!(wasserstein(&[], &y), None);
    close(kolmogorov_smirnov(&x, &x).expect("values").p, 1.0, 1e-15);
}

#[test]
fn the_stability_index_is_nothing_where_nothing_moved() {
    let shares = [0.1; 10];
    close(stability_index(&shares, &[100; 10]).expect("counts"), 0.0, 1e-12);
    // By hand: (61/121 − 1/2) ln(122/121) + (60/121 − 1/2) ln(120/121), counts 60.5 and 59.5 plus a half.
    let by_hand = |a: f64, b: f64, n: f64| {
        let (q, r) = ((a + 0.5) / (n + 1.0), (b + 0.5) / (n + 1.0));
        (q - 0.5) * (q / 0.5).ln() + (r - 0.5) * (r / 0.5).ln()
    };
    close(
        stability_index(&[0.5, 0.5], &[90, 30]).expect("counts"),
        by_hand(90.0, 30.0, 120.0),
        1e-12,
    );
    assert_eq!(stability_index(&[0.5, 0.5], &[0, 0]), None);
    assert_eq!(stability_index(&[0.5, 0.5], &[1]), None);
}

#[test]
fn a_rise_of_the_mean_fires_page_hinkley_where_the_source_says() {
    let test = PageHinkley { delta: 0.005, lambda: 5.0, alpha: 1.0, min_values: 5 };
    let stream: Vec<f64> = [vec![0.2; 50], vec![0.9; 50]].concat();
    let found = test.look(&stream);
    assert_eq!(found.fired_at, Some(58));
    close(found.statistic, 5.106724, 5e-7);
    assert_eq!(test.look(&stream[..57]).fired_at, None);
    assert_eq!(test.look(&[0.9; 500]).fired_at, None, "a level is no rise");
}

/// Values of tests/golden/streams_river.py: a generated stream that rises at one place.
#[test]
fn streams_are_watched_as_river_watches_them() {
    let cases: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/golden/streams_river.json")).expect("JSON");
    let (mut n_fired, mut n_cut) = (0, 0);
    for case in cases.as_array().expect("cases") {
        let number = |of: &serde_json::Value, place: usize| of[place].as_f64().expect("a number");
        let made = &case["stream"];
        let (seed, n, at) = (number(made, 0) as u64, number(made, 1) as usize, number(made, 2));
        let raise =
            |(i, value): (usize, f64)| value + if i as f64 >= at { number(made, 3) } else { 0.0 };
        let stream: Vec<f64> = generated(seed, n).into_iter().enumerate().map(raise).collect();
        let settings = &case["settings"];
        if case["test"] == "page-hinkley" {
            let test = PageHinkley {
                delta: number(settings, 0),
                lambda: number(settings, 1),
                alpha: number(settings, 2),
                min_values: number(settings, 3) as usize,
            };
            let found = test.look(&stream);
            assert_eq!(found.fired_at.map(|at| at as u64), case["fired_at"].as_u64(), "{case}");
            close(found.statistic, case["statistic"].as_f64().expect("a number"), 1e-9);
            n_fired += usize::from(found.fired_at.is_some());
        } else {
            let clock = number(settings, 1) as usize;
            let found =
                Adwin { delta: number(settings, 0), clock, ..Adwin::default() }.look(&stream);
            let expected: Vec<usize> =
                serde_json::from_value(case["cut_at"].clone()).expect("numbers");
            assert_eq!(found.cut_at, expected, "{case}");
            close(found.width, case["width"].as_f64().expect("a number"), 1e-9);
            close(found.mean.expect("values"), case["mean"].as_f64().expect("a number"), 1e-9);
            n_cut += found.cut_at.len();
        }
    }
    assert!(n_fired > 5 && n_cut > 5, "{n_fired} {n_cut}: the streams must move");
}

#[test]
fn windows_that_are_watched_have_the_bounds_of_the_sources() {
    close(adwin_cut(100, 100, 0.25, 0.002).expect("windows"), 0.407169, 5e-7);
    close(adwin_cut(1000, 1000, 0.25, 0.002).expect("windows"), 0.106445, 5e-7);
    assert_eq!(adwin_cut(0, 10, 0.25, 0.002), None);
}

/// Two examples worked by hand: one of days without memory, one of days with it.
#[test]
fn a_mean_that_is_looked_at_every_day_has_the_worked_p_and_interval() {
    let without = [
        0.012, -0.004, 0.021, 0.009, 0.015, -0.007, 0.018, 0.003, 0.011, 0.006, 0.020, -0.002,
        0.013, 0.008, 0.005, 0.016,
    ];
    close(memory_inflation(&without), 1.0, 1e-15);
    close(mixture_t_p(&without, 1.0).expect("values"), 0.022_069_688_8, 6e-11);
    let half = mixture_t_half_width(&without, 1.0, 0.05).expect("values");
    close(0.009 - half, 0.001_264_672_93, 6e-12);
    close(0.009 + half, 0.016_735_327_1, 6e-11);
    let with = [
        0.004, 0.010, 0.013, 0.008, 0.002, -0.003, 0.001, 0.007, 0.012, 0.015, 0.011, 0.006, 0.003,
        0.009, 0.014, 0.010, 0.005, 0.002, 0.008, 0.012,
    ];
    let k = memory_inflation(&with);
    close(k, 3.567_015_86, 6e-9);
    close(mixture_t_p(&with, 1.0).expect("values"), 0.000_308_555_449, 6e-13);
    close(mixture_t_p(&with, k).expect("values"), 0.038_262_566_8, 6e-11);
    close(mixture_t_half_width(&with, 1.0, 0.05).expect("values"), 0.003_771_699_65, 6e-12);
    close(mixture_t_half_width(&with, k, 0.05).expect("values"), 0.007_123_437_56, 6e-12);
    // In standard deviations, for the days on which there is an interval at all.
    let of = |n: usize| {
        let values = generated(9, n);
        mixture_t_half_width(&values, 1.0, 0.05)
            .map(|half| half / sample_sd(&values).expect("values"))
    };
    assert_eq!(of(6), None);
    for (n, half) in [(7, 11.522_450), (8, 2.553_811), (20, 0.774_194), (60, 0.408_303)] {
        close(of(n).expect("an interval"), half, 5e-7);
    }
}

#[test]
fn a_daily_test_finds_what_loses_and_keeps_what_it_found() {
    let mut days: Vec<f64> = (0..9).map(|i| -0.5 - 0.01 * f64::from(i % 3)).collect();
    let found = DailyTest::of(&days, 0.05, FIRST_LOOK_DAYS);
    assert_eq!(found.found, Some(7), "not before the first look: {found:?}");
    days.extend([2.0; 30]);
    let later = DailyTest::of(&days, 0.05, FIRST_LOOK_DAYS);
    assert!(later.found == Some(7) && later.mean > Some(0.0), "{later:?}");
    let gains: Vec<f64> = days[..9].iter().map(|day| -day).collect();
    let gains = DailyTest::of(&gains, 0.05, FIRST_LOOK_DAYS);
    assert!(gains.found.is_none() && gains.p < 0.05, "a gain is no loss: {gains:?}");
    close(DailyTest::of(&[], 0.05, FIRST_LOOK_DAYS).p, 1.0, 1e-15);
}

proptest! {
    #[test]
    fn exact_and_asymptotic_p_of_kolmogorov_smirnov_agree_where_both_hold(seed in 1u64..1000, shift in 0.0..0.4f64) {
        let sorted = |mut values: Vec<f64>| { values.sort_by(f64::total_cmp); values };
        let x = sorted(generated(seed, 100));
        let y = sorted(generated(seed + 7, 100).into_iter().map(|value| value + shift).collect());
        let exact = kolmogorov_smirnov(&x, &y).expect("values");
        // One value more on a side, far outside of what both have, is another sample of almost the same distance.
        let wider: Vec<f64> = [&x[..], &[9.0]].concat();
        let near = kolmogorov_smirnov(&wider, &y).expect("values");
        prop_assert!((exact.distance - near.distance).abs() <= 0.011);
        prop_assert!((exact.p - near.p).abs() < 0.15, "{exact:?} {near:?}");
    }
}
