//! [`judge`]: the rules, one function each.

use super::{
    Bound, DayTest, Evidence, GateConfig, Outcome, Preset, Reference, Rule, Track, Unit, Verdict,
    day_test::{Found, lond},
};
use crate::{
    evaluate::{self, CompareError, Comparison, Figures, Predictions, Unseen},
    stats,
};

/// Under so many versions the probability of backtest overfitting says little (FORMULAS 4.10).
const MIN_VERSIONS: u64 = 10;
const PRIOR: &str = "the class prior";
const INDICATOR: &str = "the indicator rule";

/// Judges: every rule of the preset is measured, and one that is not passed is a refusal.
pub fn judge(evidence: &Evidence<'_>, config: &GateConfig) -> Verdict {
    let figures = evidence.candidate.figures();
    let rules = match config.preset {
        Preset::Standard => standard(evidence, config, figures.as_ref()),
        Preset::Classic => classic(evidence, config),
    };
    Verdict {
        passed: !rules.iter().any(|rule| rule.verdict.refuses()),
        track: evidence.track,
        preset: config.preset,
        against: match &evidence.reference {
            Reference::Incumbent(incumbent) => incumbent.version.to_string(),
            Reference::Baselines(_) => "the baselines".to_owned(),
        },
        n: evidence.candidate.len(),
        n_days: figures.as_ref().map_or(0, |figures| figures.n_days),
        n_trials: evidence.n_trials,
        budget: (evidence.track == Track::Change).then_some(evidence.budget),
        rules,
    }
}

fn standard(evidence: &Evidence<'_>, config: &GateConfig, figures: Option<&Figures>) -> Vec<Rule> {
    let mut rules: Vec<Rule> = rivals(evidence)
        .into_iter()
        .map(|rival| match evidence.track {
            Track::Refresh | Track::Admission => not_inferior(evidence, config, &rival),
            Track::Change => superior(evidence, config, &rival),
        })
        .collect();
    rules.extend([
        class_prior(evidence, config),
        class_collapse(figures, config),
        train_gap(evidence, config),
        latency(evidence, config),
        calibration(figures),
        overfitting(evidence, config),
        sharpe_shown(evidence),
    ]);
    rules
}

fn classic(evidence: &Evidence<'_>, config: &GateConfig) -> Vec<Rule> {
    let gains = rivals(evidence).into_iter().map(|rival| accuracy_gain(evidence, config, &rival));
    gains
        .chain([sharpe_no_worse(evidence), train_gap(evidence, config), latency(evidence, config)])
        .collect()
}

/// One that the candidate must hold against.
struct Rival<'a> {
    name: String,
    predictions: &'a Predictions<Unseen>,
    age_days: f64,
}

fn rivals<'a>(evidence: &Evidence<'a>) -> Vec<Rival<'a>> {
    let baseline =
        |name: &str, predictions| Rival { name: name.to_owned(), predictions, age_days: 0.0 };
    match evidence.reference {
        Reference::Incumbent(incumbent) => vec![Rival {
            name: incumbent.version.to_string(),
            predictions: incumbent.predictions,
            age_days: incumbent.age_days,
        }],
        // Both at the full level: a candidate that is no better than one of the two passes that test as rarely as it should,
        // whatever the other says (an intersection-union test).
        Reference::Baselines(baselines) => {
            vec![baseline(PRIOR, evidence.class_prior), baseline(INDICATOR, baselines.indicator)]
        }
    }
}

fn not_inferior(evidence: &Evidence<'_>, config: &GateConfig, rival: &Rival<'_>) -> Rule {
    let share = config.margin_share(rival.age_days);
    let margin = share * mean_loss(rival.predictions, evidence.candidate).unwrap_or(0.0);
    let of_margin = format!(
        "it may be worse by {margin:.4} nats, {:.1} % of the log-loss of {} at an age of {:.0} days",
        100.0 * share,
        rival.name,
        rival.age_days
    );
    by_day("not inferior to", evidence, config, rival, (margin, config.alpha), &of_margin)
}

fn superior(evidence: &Evidence<'_>, config: &GateConfig, rival: &Rival<'_>) -> Rule {
    let budget = evidence.budget;
    // A year's first test would get more than a single decision may be wrong; taking less keeps what LOND promises.
    let alpha = lond(config.change_budget, budget.n_tests, budget.n_promotions).min(config.alpha);
    let of_budget = format!(
        "change {} of the year, {} promoted before, may be wrong with probability {alpha:.2e} of a budget of {}",
        budget.n_tests.max(1),
        budget.n_promotions,
        config.change_budget
    );
    by_day("superior to", evidence, config, rival, (0.0, alpha), &of_budget)
}

fn by_day(
    name: &str,
    evidence: &Evidence<'_>,
    config: &GateConfig,
    rival: &Rival<'_>,
    (margin, alpha): (f64, f64),
    terms: &str,
) -> Rule {
    let rule = Rule::new(name, Bound::AtMost, Unit::P).against(&rival.name).threshold(alpha);
    let comparison = match evaluate::compare(evidence.candidate, rival.predictions) {
        Ok(comparison) => comparison,
        Err(error) => return rule.incomparable(&error),
    };
    let test = DayTest::of(&comparison, margin, alpha, config.min_days);
    let Some(found) = test.found else { return rule.too_few_days(test) };
    let mut detail = format!(
        "{}; p {}; {terms}",
        effect_in_words(&rival.name, &test, &found),
        p_in_words(found.p)
    );
    if !test.passes() {
        detail.push_str(&power_in_words(&test, &found));
    }
    Rule { test: Some(test), ..rule.measured(Some(found.p), detail) }
}

fn p_in_words(p: f64) -> String {
    if p < 0.001 { format!("{p:.1e}") } else { format!("{p:.3}") }
}

fn effect_in_words(name: &str, test: &DayTest, found: &Found) -> String {
    let side = if found.effect < 0.0 { "worse" } else { "better" };
    // As many digits as tell the level from 100 %.
    let decimals = (-(2.0 * test.alpha).log10()).ceil().max(1.0) as usize - 1;
    format!(
        "log-loss {side} than that of {name} by {:.4} nats ({:.decimals$} % interval {:+.4} to {:+.4}, {} days, {} samples)",
        found.effect.abs(),
        100.0 * found.level,
        found.low,
        found.high,
        test.n_days,
        test.n
    )
}

fn power_in_words(test: &DayTest, found: &Found) -> String {
    let could = format!(
        "; {} days pass four in five candidates whose true difference is {:+.4} nats",
        test.n_days, found.detectable
    );
    match test.days_needed {
        Some(days) => format!("{could}, and one like this takes about {days} days"),
        None => format!("{could}, and one like this is on the wrong side whatever the days"),
    }
}

/// Refused when a one-sided test by day shows the candidate worse: its interval lies below 0. A test that it is *not*
/// worse would refuse most candidates on the market as it is, where a few days tell models and prior hardly apart; the test
/// against what is in production is the one that asks for proof.
fn class_prior(evidence: &Evidence<'_>, config: &GateConfig) -> Rule {
    let rule =
        Rule::new("not worse than", Bound::AtLeast, Unit::P).against(PRIOR).threshold(config.alpha);
    let comparison = match evaluate::compare(evidence.candidate, evidence.class_prior) {
        Ok(comparison) => comparison,
        Err(error) => return rule.incomparable(&error),
    };
    let test = DayTest::of(&comparison, 0.0, config.alpha, config.min_days);
    let Some(found) = test.found else { return rule.too_few_days(test) };
    let p = Found::p_worse(&differences(&comparison));
    let detail = effect_in_words(PRIOR, &test, &found);
    Rule { test: Some(test), ..rule.measured(p, detail) }
}

fn class_collapse(figures: Option<&Figures>, config: &GateConfig) -> Rule {
    let rule = Rule::new("no class collapse", Bound::AtMost, Unit::Share)
        .threshold(config.max_class_share);
    let largest =
        figures.and_then(|figures| figures.answer_shares.iter().copied().max_by(f64::total_cmp));
    let detail = largest.map_or("there are no answers".to_owned(), |share| {
        format!("{:.1} % of the answers are of one class", 100.0 * share)
    });
    rule.measured(largest, detail)
}

fn train_gap(evidence: &Evidence<'_>, config: &GateConfig) -> Rule {
    let rule = Rule::new("training gap", Bound::Below, Unit::Share).threshold(config.max_train_gap);
    match (evidence.train_accuracy, evidence.validation_accuracy) {
        (Some(train), Some(validation)) => {
            let detail = format!(
                "accuracy is {:.1} % in training and {:.1} % in validation",
                100.0 * train,
                100.0 * validation
            );
            rule.measured(Some((train - validation).abs()), detail)
        }
        _ => rule.measured(None, "the accuracy in training or validation is not known".to_owned()),
    }
}

fn latency(evidence: &Evidence<'_>, config: &GateConfig) -> Rule {
    let rule = Rule::new("latency", Bound::Below, Unit::Ms).threshold(config.max_latency_ms);
    let detail =
        evidence.latency_ms.map_or("the time of a prediction is not known".to_owned(), |ms| {
            format!("a single prediction takes {ms:.2} ms")
        });
    rule.measured(evidence.latency_ms, detail)
}

fn calibration(figures: Option<&Figures>) -> Rule {
    let rule = Rule::new("calibration", Bound::AtMost, Unit::Number);
    let Some(figures) = figures else {
        return rule.measured(None, "there are no answers".to_owned());
    };
    let detail = format!(
        "the calibration error is {:.3}, that of a calibrated model at most {:.3} in 95 of 100 cases",
        figures.ece, figures.ece_null.p95
    );
    rule.threshold(figures.ece_null.p95).measured(Some(figures.ece), detail)
}

/// A veto, never a pass: noise alone gives 0.5 ± 0.2 (FORMULAS 4.10).
fn overfitting(evidence: &Evidence<'_>, config: &GateConfig) -> Rule {
    let rule = Rule::new("overfitting", Bound::AtMost, Unit::Share).threshold(config.max_pbo);
    let n = evidence.n_trials;
    if n < MIN_VERSIONS {
        return rule
            .shown(None, format!("not computed: {n} of {MIN_VERSIONS} versions were scored"));
    }
    match evidence.pbo {
        Some(pbo) => {
            let detail = format!(
                "in {:.0} of 100 halvings of the days the best version is below the middle on the other half",
                100.0 * pbo
            );
            rule.measured(Some(pbo), detail)
        }
        None => rule.shown(
            None,
            format!("not computed: the {n} versions have too few days out of sample in common"),
        ),
    }
}

fn sharpe_shown(evidence: &Evidence<'_>) -> Rule {
    let rule = Rule::new("Sharpe ratio", Bound::None, Unit::Number);
    let Some(found) = evidence.sharpe else {
        return rule
            .shown(None, "there is none: no trades, or returns that do not vary".to_owned());
    };
    let error = found.standard_error.map_or(String::new(), |error| format!(" ± {error:.2}"));
    let deflated = found.deflated.map_or(String::new(), |p| {
        format!(
            ", above what the best of {} versions shows by chance with probability {p:.2}",
            evidence.n_trials
        )
    });
    let detail = format!("{:.2}{error} a year over {} days{deflated}", found.sharpe, found.n_days);
    rule.shown(Some(found.sharpe), detail)
}

fn accuracy_gain(evidence: &Evidence<'_>, config: &GateConfig, rival: &Rival<'_>) -> Rule {
    let rule = Rule::new("more accurate than", Bound::AtLeast, Unit::Share)
        .against(&rival.name)
        .threshold(config.min_accuracy_gain);
    let comparison = match evaluate::compare(evidence.candidate, rival.predictions) {
        Ok(comparison) => comparison,
        Err(error) => return rule.incomparable(&error),
    };
    let test = DayTest::of(&comparison, 0.0, config.alpha, config.min_days);
    if test.found.is_none() {
        return rule.too_few_days(test);
    }
    let [ours, theirs] = [comparison.mcnemar.n_candidate, comparison.mcnemar.n_reference];
    let gain = (ours as f64 - theirs as f64) / comparison.n as f64;
    let detail = format!(
        "{:+.1} points of accuracy against {} ({} days, {} samples)",
        100.0 * gain,
        rival.name,
        test.n_days,
        test.n
    );
    Rule { test: Some(test), ..rule.measured(Some(gain), detail) }
}

fn sharpe_no_worse(evidence: &Evidence<'_>) -> Rule {
    let (name, theirs) = match &evidence.reference {
        Reference::Incumbent(incumbent) => (incumbent.version.to_string(), incumbent.sharpe),
        Reference::Baselines(baselines) => (INDICATOR.to_owned(), baselines.sharpe),
    };
    let rule = Rule::new("Sharpe no worse than", Bound::AtLeast, Unit::Number).against(&name);
    let (Some(ours), Some(theirs)) = (evidence.sharpe, theirs) else {
        return rule.measured(None, format!("the candidate or {name} has no Sharpe ratio"));
    };
    let detail = format!("{:.2} a year against {theirs:.2} of {name}", ours.sharpe);
    rule.threshold(theirs).measured(Some(ours.sharpe), detail)
}

fn differences(comparison: &Comparison) -> Vec<f64> {
    comparison.days.iter().map(|day| day.log_loss).collect()
}

/// Mean log-loss of `predictions` over the time that `other` covers, nats; `None` where it has no sample there.
fn mean_loss(predictions: &Predictions<Unseen>, other: &Predictions<Unseen>) -> Option<f64> {
    let (from, to) = (*other.decided_at_us().first()?, *other.decided_at_us().last()?);
    let at = predictions.decided_at_us();
    let range = at.partition_point(|at| *at < from)..at.partition_point(|at| *at <= to);
    stats::mean(&range.map(|sample| predictions.loss(sample)).collect::<Vec<_>>())
}

impl Rule {
    pub(super) fn new(name: &str, bound: Bound, unit: Unit) -> Rule {
        Rule {
            name: name.to_owned(),
            against: None,
            measured: None,
            threshold: None,
            bound,
            unit,
            verdict: Outcome::Insufficient,
            detail: String::new(),
            test: None,
        }
    }

    pub(super) fn against(self, name: &str) -> Rule {
        Rule { against: Some(name.to_owned()), ..self }
    }

    pub(super) fn threshold(self, threshold: f64) -> Rule {
        Rule { threshold: Some(threshold), ..self }
    }

    /// Decides by the threshold; what could not be measured is not enough evidence.
    pub(super) fn measured(self, measured: Option<f64>, detail: String) -> Rule {
        let measured = measured.filter(|value| value.is_finite());
        let verdict = match (measured, self.threshold) {
            (Some(value), Some(threshold)) if self.bound.holds(value, threshold) => Outcome::Passed,
            (Some(_), Some(_)) => Outcome::Failed,
            _ => Outcome::Insufficient,
        };
        Rule { measured, verdict, detail, ..self }
    }

    fn shown(self, measured: Option<f64>, detail: String) -> Rule {
        Rule { measured, verdict: Outcome::Shown, detail, ..self }
    }

    fn too_few_days(self, test: DayTest) -> Rule {
        let against = self.against.clone().unwrap_or_default();
        let takes = test.days_needed.map_or(String::new(), |days| format!("; it takes {days}"));
        let detail = format!(
            "not enough evidence: {} trading days are out of sample for the candidate and {against}{takes}",
            test.n_days
        );
        Rule { test: Some(test), ..self.measured(None, detail) }
    }

    fn incomparable(self, error: &CompareError) -> Rule {
        self.measured(None, format!("not enough evidence: {error}"))
    }
}
