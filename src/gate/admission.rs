//! [`admit`]: whether a network may join a mixture. It need not beat anybody: its weight is learned from what happens.
//!
//! Not here: the duel for what cannot be mixed (`rules`).

use super::{
    Bound, DayTest, GateConfig, Outcome, Preset, Rule, Track, Unit, Verdict, day_test::Found,
};
use crate::{
    evaluate::{self, Predictions, Unseen},
    stats,
};

/// One-sided level at which a network is shown to be worse than the class prior.
const LEVEL: f64 = 0.01;
/// A class probability that moves less than this between the quartiles of the answers stands still.
const LEAST_MOVEMENT: f64 = 0.002;

/// What is known of a network that is to join.
#[derive(Debug, Clone, Copy)]
pub struct Joining<'a> {
    /// Its answers to its own test days.
    pub network: &'a Predictions<Unseen>,
    /// Class shares of its training part, on the same samples.
    pub class_prior: &'a Predictions<Unseen>,
    /// The network whose place and weight it takes: its name and its answers to the same samples.
    pub replaces: Option<(&'a str, &'a Predictions<Unseen>)>,
    /// Time of one prediction by all networks together, milliseconds.
    pub latency_ms: f64,
    /// What the mixture answers as now: a version's name.
    pub against: &'a str,
    /// Versions of the line that were ever scored, this one included.
    pub n_trials: u64,
}

/// Whether it is sound: its probabilities move, it is not shown worse than knowing nothing, and all of them together answer
/// in time.
pub fn admit(joining: &Joining<'_>, config: &GateConfig) -> Verdict {
    let mut rules =
        vec![moves(joining), not_worse(joining, ("the class prior", joining.class_prior), config)];
    // What enters with a weight that another has earned is held against that one too.
    rules.extend(joining.replaces.map(|replaced| not_worse(joining, replaced, config)));
    rules.push(latency(joining, config));
    let figures = joining.network.figures();
    Verdict {
        passed: !rules.iter().any(|rule| rule.verdict.refuses()),
        track: Track::Admission,
        preset: Preset::Standard,
        against: joining.against.to_owned(),
        // It speaks for the network by itself, whatever answers now.
        move_id: None,
        until: None,
        n: joining.network.len(),
        n_days: figures.map_or(0, |figures| figures.n_days),
        n_trials: joining.n_trials,
        budget: None,
        rules,
    }
}

fn moves(joining: &Joining<'_>) -> Rule {
    let rule =
        Rule::new("probabilities move", Bound::AtLeast, Unit::Share).threshold(LEAST_MOVEMENT);
    let widest = (0..joining.network.n_classes())
        .filter_map(|class| {
            let mut values: Vec<f64> = (0..joining.network.len())
                .map(|sample| joining.network.row(sample)[class])
                .collect();
            let [low, _, high] = stats::quartiles(&mut values)?;
            Some(high - low)
        })
        .max_by(f64::total_cmp);
    let detail = widest.map_or("there are no answers".to_owned(), |range| {
        format!("between the quartiles of its answers a class moves by up to {range:.4}")
    });
    rule.measured(widest, detail)
}

/// Passes unless the network is shown worse than `other` at [`LEVEL`].
fn not_worse(
    joining: &Joining<'_>,
    (name, other): (&str, &Predictions<Unseen>),
    config: &GateConfig,
) -> Rule {
    let rule = Rule::new("not worse than", Bound::AtLeast, Unit::P).against(name).threshold(LEVEL);
    let comparison = match evaluate::compare(joining.network, other) {
        Ok(comparison) => comparison,
        Err(error) => return rule.measured(None, format!("not enough evidence: {error}")),
    };
    let test = DayTest::of(&comparison, 0.0, LEVEL, config.min_days);
    let Some(found) = test.found else {
        // Too few days to show anything: nothing is shown against it either, and its weight is learned.
        let detail = format!("{} trading days show nothing yet", test.n_days);
        return Rule { test: Some(test), verdict: Outcome::Shown, detail, ..rule };
    };
    let days: Vec<f64> = comparison.days.iter().map(|day| day.log_loss).collect();
    let detail = format!(
        "log-loss {} by {:.4} nats a day than that of {name} ({} days, {} samples)",
        if found.effect < 0.0 { "worse" } else { "better" },
        found.effect.abs(),
        test.n_days,
        test.n
    );
    Rule { test: Some(test), ..rule.measured(Found::p_worse(&days), detail) }
}

fn latency(joining: &Joining<'_>, config: &GateConfig) -> Rule {
    let detail = format!("a single prediction of all networks takes {:.2} ms", joining.latency_ms);
    Rule::new("latency", Bound::Below, Unit::Ms)
        .threshold(config.max_latency_ms)
        .measured(Some(joining.latency_ms), detail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lineage::SeenUntil;

    const DAY_US: i64 = 86_400_000_000;

    fn answers(of: impl Fn(usize) -> [f64; 3], n_days: usize) -> Predictions<Unseen> {
        let n = n_days * 24;
        let probabilities = (0..n).flat_map(of).collect();
        let truth = (0..n).map(|i| (i % 3) as u8).collect();
        let at = (0..n).map(|i| i as i64 * DAY_US / 24 + 1).collect();
        Predictions::new(3, probabilities, truth, at, vec![0; n])
            .expect("distributions")
            .after(SeenUntil::new(chrono::DateTime::UNIX_EPOCH - chrono::TimeDelta::days(1)))
    }

    fn verdict(network: impl Fn(usize) -> [f64; 3], n_days: usize, latency_ms: f64) -> Verdict {
        let (network, prior) = (answers(network, n_days), answers(|_| [1.0 / 3.0; 3], n_days));
        let joining = Joining {
            network: &network,
            class_prior: &prior,
            replaces: None,
            latency_ms,
            against: "v1.0",
            n_trials: 2,
        };
        admit(&joining, &GateConfig::default())
    }

    fn refusals(verdict: &Verdict) -> Vec<String> {
        verdict.refusals().map(Rule::title).collect()
    }

    #[test]
    fn a_network_that_is_no_better_joins_and_one_that_is_broken_does_not() {
        // Moves by chance alone: as good as nothing, and not shown to be worse.
        let noise = |i: usize| {
            let tilt = ((i * 2_654_435_761) % 1000) as f64 / 20_000.0;
            [1.0 / 3.0 - tilt, 1.0 / 3.0, 1.0 / 3.0 + tilt]
        };
        let sound = verdict(noise, 20, 2.0);
        assert!(sound.passed, "{:?}", refusals(&sound));
        assert_eq!(sound.track, Track::Admission);
        // Sure, and wrong.
        let wrong = |i: usize| match i % 3 {
            0 => [0.1, 0.1, 0.8],
            1 => [0.8, 0.1, 0.1],
            _ => [0.1, 0.8, 0.1],
        };
        assert_eq!(refusals(&verdict(wrong, 20, 2.0)), ["not worse than the class prior"]);
        assert_eq!(refusals(&verdict(|_| [0.2, 0.6, 0.2], 3, 2.0)), ["probabilities move"]);
        assert_eq!(refusals(&verdict(noise, 20, 2e3)), ["latency"]);
        assert!(verdict(noise, 2, 2.0).passed, "few days show nothing against it");
    }

    #[test]
    fn a_fine_tune_takes_a_place_unless_it_is_shown_worse_than_what_had_it() {
        let sure = |right: f64| {
            move |i: usize| {
                let mut row = [(1.0 - right) / 2.0; 3];
                // Not the same on all days, so that the days have a spread.
                row[i % 3] = right - ((i / 24) % 3) as f64 / 100.0;
                let rest = (1.0 - row[i % 3]) / 2.0;
                std::array::from_fn(|k| if k == i % 3 { row[i % 3] } else { rest })
            }
        };
        let of = |tuned: f64, untouched: f64| {
            let (network, untouched) = (answers(sure(tuned), 14), answers(sure(untouched), 14));
            let prior = answers(|_| [1.0 / 3.0; 3], 14);
            let joining = Joining {
                network: &network,
                class_prior: &prior,
                replaces: Some(("v1.0", &untouched)),
                latency_ms: 1.0,
                against: "v1.0",
                n_trials: 2,
            };
            refusals(&admit(&joining, &GateConfig::default()))
        };
        assert_eq!(of(0.45, 0.45), [] as [&str; 0]);
        assert_eq!(of(0.5, 0.45), [] as [&str; 0]);
        assert_eq!(of(0.45, 0.5), ["not worse than v1.0"], "though far better than the prior");
    }
}
