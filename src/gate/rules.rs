//! [`judge`]: the rules, one function each.

use super::{
    Bound, DayTest, Evidence, GateConfig, Incumbent, OtherQuestion, Outcome, Preset, Reference,
    Rule, Track, Unit, Verdict,
    day_test::{Found, lond},
};
use crate::{
    evaluate::{self, CompareError, Comparison, DayDifference, Figures, Predictions, Unseen},
    stats::{self, Discordant, TTest},
};

/// Under so many versions the probability of backtest overfitting says little (FORMULAS 4.10).
const MIN_VERSIONS: usize = 10;
/// Under so many common days it says nothing: noise alone gives 0.5 ± 0.2 on 480 of them.
const MIN_PBO_DAYS: usize = 32;
/// A model none of whose probabilities has a standard deviation above this has collapsed, whatever it calls: what it says does
/// not depend on what it sees.
pub const MIN_SPREAD: f64 = 0.001;
/// A refresh may take so many times as long as what it replaces.
const LATENCY_RATIO: f64 = 1.5;
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
            Reference::Incumbent(incumbent) => incumbent.name(),
            Reference::OtherQuestion(other) => other.version.to_string(),
            Reference::Baselines(_) => Verdict::BASELINES.to_owned(),
        },
        move_id: evidence.move_id.map(str::to_owned),
        until: evidence.until,
        n: evidence.candidate.len(),
        n_days: figures.as_ref().map_or(0, |figures| figures.n_days),
        n_trials: evidence.n_trials,
        budget: (evidence.track == Track::Change && config.preset == Preset::Standard)
            .then_some(evidence.budget),
        rules,
    }
}

/// What [`judge`] would say: whether it passes, and whether a refusal lacks evidence. What no longer matters once a rule has refused
/// is not measured: the figures resample the days.
pub(super) fn decide(evidence: &Evidence<'_>, config: &GateConfig) -> (bool, bool) {
    let mut rules = decisive(evidence, config);
    rules.extend([
        class_prior(evidence, config),
        collapse(evidence),
        train_gap(evidence, config),
        latency(evidence, config),
    ]);
    let mut refusals = rules.iter().filter(|rule| rule.verdict.refuses()).peekable();
    if refusals.peek().is_some() {
        return (false, refusals.all(Rule::lacks_evidence));
    }
    let verdict = judge(evidence, config);
    (verdict.passed, verdict.lacks_evidence())
}

/// What a refresh is held against in every rule; none where a rule is absolute.
fn incumbent<'a>(evidence: &Evidence<'a>, config: &GateConfig) -> Option<Incumbent<'a>> {
    match (evidence.track, config.preset, evidence.reference) {
        (Track::Refresh, Preset::Standard, Reference::Incumbent(incumbent)) => Some(incumbent),
        _ => None,
    }
}

/// The tests by trading day that ask for something: not inferior, or superior.
fn decisive(evidence: &Evidence<'_>, config: &GateConfig) -> Vec<Rule> {
    let other = match &evidence.reference {
        Reference::OtherQuestion(other) => Some(superior_skill(evidence, config, other)),
        _ => None,
    };
    let rivals = rivals(evidence).into_iter().map(|rival| match evidence.track {
        Track::Refresh | Track::Admission => not_inferior(evidence, config, &rival),
        Track::Change => superior(evidence, config, &rival),
    });
    other.into_iter().chain(rivals).collect()
}

fn standard(evidence: &Evidence<'_>, config: &GateConfig, figures: Option<&Figures>) -> Vec<Rule> {
    let mut rules = decisive(evidence, config);
    rules.extend([
        class_prior(evidence, config),
        collapse(evidence),
        class_shares(evidence, figures, config),
        train_gap(evidence, config),
        latency(evidence, config),
        calibration(evidence, figures, config),
        overfitting(evidence, config),
        sharpe_shown(evidence),
    ]);
    rules
}

/// The founding documents' rules, whatever the track.
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
            name: incumbent.name(),
            predictions: incumbent.predictions,
            age_days: incumbent.age_days,
        }],
        // Both at the full level: a candidate that is no better than one of the two passes that test as rarely as it should,
        // whatever the other says (an intersection-union test).
        Reference::Baselines(baselines) => {
            vec![baseline(PRIOR, evidence.class_prior), baseline(INDICATOR, baselines.indicator)]
        }
        Reference::OtherQuestion(other) => {
            vec![baseline(PRIOR, evidence.class_prior), baseline(INDICATOR, other.indicator)]
        }
    }
}

fn not_inferior(evidence: &Evidence<'_>, config: &GateConfig, rival: &Rival<'_>) -> Rule {
    let skill = evaluate::compare(rival.predictions, evidence.class_prior)
        .ok()
        .and_then(|found| stats::mean(&differences(&found)))
        .unwrap_or(0.0);
    let margin = config.margin_nats(skill, rival.age_days);
    let of_margin = format!(
        "it may be worse by {margin:.4} nats, where {} of {:.0} days saves {skill:.4} against {PRIOR}",
        rival.name, rival.age_days
    );
    by_day("not inferior to", evidence, config, rival, (margin, config.alpha), &of_margin)
}

/// The level of the next test of the change track, and that in words.
fn change_level(evidence: &Evidence<'_>, config: &GateConfig) -> (f64, String) {
    let budget = evidence.budget;
    // A year's first test would get more than a single decision may be wrong; taking less keeps what LOND promises.
    let alpha = lond(config.change_budget, budget.n_tests, budget.n_promotions).min(config.alpha);
    let of_budget = format!(
        "change {} of the year, {} promoted before, may be wrong with probability {alpha:.2e} of a budget of {}",
        budget.n_tests.max(1),
        budget.n_promotions,
        config.change_budget
    );
    (alpha, of_budget)
}

fn superior(evidence: &Evidence<'_>, config: &GateConfig, rival: &Rival<'_>) -> Rule {
    let (alpha, of_budget) = change_level(evidence, config);
    by_day("superior to", evidence, config, rival, (0.0, alpha), &of_budget)
}

/// Where the two answer other questions: what each saves against its own class prior, as a share of that prior's log-loss, day by
/// day.
fn superior_skill(evidence: &Evidence<'_>, config: &GateConfig, other: &OtherQuestion<'_>) -> Rule {
    let (alpha, of_budget) = change_level(evidence, config);
    let name = other.version.to_string();
    let rule = Rule::new("more skill than", Bound::AtMost, Unit::P).against(&name).threshold(alpha);
    let saved = |ours: &Predictions<Unseen>, prior: &Predictions<Unseen>| {
        let found = evaluate::compare(ours, prior)?;
        let losses: Vec<f64> = (0..prior.len()).map(|sample| prior.loss(sample)).collect();
        Ok((found.days, stats::mean(&losses).unwrap_or(f64::NAN)))
    };
    let both = saved(evidence.candidate, evidence.class_prior)
        .and_then(|ours| Ok((ours, saved(other.predictions, other.class_prior)?)));
    let ((ours, our_prior), (theirs, their_prior)) = match both {
        Ok(both) => both,
        Err(error) => return rule.incomparable(&error),
    };
    let paired = ours.iter().filter_map(|day| {
        let same = theirs.iter().find(|other| other.day == day.day)?;
        let log_loss = day.log_loss / our_prior - same.log_loss / their_prior;
        Some(DayDifference { day: day.day, n: day.n.min(same.n), log_loss, accuracy: 0.0 })
    });
    let found = Comparison::of_days(paired.collect(), Discordant { n_first: 0, n_second: 0 });
    let test = DayTest::of(&found, 0.0, alpha, config.min_days);
    let Some(found) = test.found else { return rule.too_few_days(test) };
    let side = if found.effect < 0.0 { "less" } else { "more" };
    let mut detail = format!(
        "on its own labels it saves {:.2} points {side} of its class prior's log-loss than {name} saves of its own on its own \
         labels ({:+.2} to {:+.2}, {} days); p {}; {of_budget}",
        100.0 * found.effect.abs(),
        100.0 * found.low,
        100.0 * found.high,
        test.n_days,
        p_in_words(found.p)
    );
    if !test.passes()
        && let Some(days) = test.days_needed
    {
        detail.push_str(&format!("; one like this takes about {days} days"));
    }
    Rule { test: Some(test), ..rule.measured(Some(found.p), detail) }
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

/// A model that says the same whatever it sees never passes, and never was what a market asked for: one that rarely finds
/// anything worth saying moves its probabilities all the same.
fn collapse(evidence: &Evidence<'_>) -> Rule {
    let rule = Rule::new("no collapse", Bound::AtLeast, Unit::Share).threshold(MIN_SPREAD);
    let answers = evidence.candidate;
    let spread = |class: usize| {
        let column: Vec<f64> =
            (0..answers.len()).map(|sample| answers.row(sample)[class]).collect();
        stats::sample_sd(&column)
    };
    let largest = (0..answers.n_classes()).filter_map(spread).max_by(f64::total_cmp);
    let detail = largest.map_or("there are no answers".to_owned(), |spread| {
        format!("the probabilities move by {:.2} points (one standard deviation)", 100.0 * spread)
    });
    rule.measured(largest, detail)
}

/// p of a figure that is larger, day by day, than the reference's, were it not: small where it is shown to be larger. `None` under
/// two days.
fn p_larger(days: &[(f64, f64)]) -> Option<f64> {
    let differences: Vec<f64> = days.iter().map(|(ours, theirs)| ours - theirs).collect();
    Some(TTest::one_sample(&differences, 0.0)?.p_above())
}

/// Decides what has passed its fixed bar by whether what answers now is better: a bar must not keep a worse one in place.
fn relative(
    rule: Rule,
    measured: f64,
    mut detail: String,
    incumbent: &Incumbent<'_>,
    alpha: f64,
    days: &[(f64, f64)],
) -> Rule {
    let mean = |of: fn(&(f64, f64)) -> f64| {
        stats::mean(&days.iter().map(of).collect::<Vec<f64>>()).unwrap_or(f64::NAN)
    };
    let p = p_larger(days);
    let is_worse = p.is_some_and(|p| p <= alpha);
    detail.push_str(&format!(
        "; by day {:.3} where {} has {:.3} (p of being no worse {}): {}",
        mean(|day| day.0),
        incumbent.version,
        mean(|day| day.1),
        p.map_or("not known".to_owned(), p_in_words),
        if is_worse { "shown worse" } else { "not shown worse" }
    ));
    let verdict = if is_worse { Outcome::Failed } else { Outcome::Passed };
    Rule { verdict, ..rule.measured(Some(measured), detail) }
}

fn class_shares(evidence: &Evidence<'_>, figures: Option<&Figures>, config: &GateConfig) -> Rule {
    let rule = Rule::new("no class collapse", Bound::AtMost, Unit::Share)
        .threshold(config.max_class_share);
    let Some((_, share)) = figures.and_then(|figures| largest(&figures.answer_shares)) else {
        return rule.measured(None, "there are no answers".to_owned());
    };
    let detail = format!("{:.1} % of the answers are of one class", 100.0 * share);
    match incumbent(evidence, config) {
        Some(incumbent) if share > config.max_class_share => {
            let largest_of = |answers: &Predictions<Unseen>, samples: &[usize]| {
                let mut counts = vec![0.0; answers.n_classes()];
                for sample in samples {
                    counts[usize::from(answers.answer(*sample))] += 1.0;
                }
                largest(&counts).map_or(0.0, |(_, n)| n / samples.len() as f64)
            };
            let days =
                evaluate::paired_by_day(evidence.candidate, incumbent.predictions, largest_of);
            relative(rule, share, detail, &incumbent, config.alpha, &days)
        }
        _ => rule.measured(Some(share), detail),
    }
}

fn largest(values: &[f64]) -> Option<(usize, f64)> {
    values.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1))
}

/// A refresh is refused above the bar only where the incumbent's own gap is smaller; a change where more than chance is above it.
fn train_gap(evidence: &Evidence<'_>, config: &GateConfig) -> Rule {
    let max = config.max_train_gap;
    let rule = Rule::new("training gap", Bound::Below, Unit::Share).threshold(max);
    let (Some(train), Some(validation)) = (evidence.train_accuracy, evidence.validation_accuracy)
    else {
        let why = "the accuracy in training or validation is not known";
        return rule.measured(None, why.to_owned());
    };
    let gap = (train - validation).abs();
    let detail = format!(
        "accuracy is {:.1} % in training and {:.1} % in validation",
        100.0 * train,
        100.0 * validation
    );
    let points = |share: f64| format!("{:.1} points", 100.0 * share);
    if let Some(incumbent) = incumbent(evidence, config).filter(|_| gap >= max) {
        let version = incumbent.version;
        return match incumbent.train_gap.filter(|gap| gap.is_finite()) {
            Some(theirs) => Rule { bound: Bound::AtMost, ..rule.threshold(theirs.max(max)) }
                .measured(Some(gap), format!("{detail}; {version} has a gap of {}", points(theirs))),
            None => rule.shown(
                Some(gap),
                format!("{detail}; that of {version} is not recorded, so nothing says whether it is worse"),
            ),
        };
    }
    match evidence.gap_error.filter(|error| error.is_finite() && config.preset == Preset::Standard)
    {
        Some(error) if evidence.track == Track::Change => {
            let chance = stats::normal_quantile(1.0 - config.alpha) * error;
            let detail = format!("{detail}; up to {} may be chance", points(max + chance));
            rule.threshold(max + chance).measured(Some(gap), detail)
        }
        _ => rule.measured(Some(gap), detail),
    }
}

fn latency(evidence: &Evidence<'_>, config: &GateConfig) -> Rule {
    let rule = Rule::new("latency", Bound::Below, Unit::Ms).threshold(config.max_latency_ms);
    let Some(ms) = evidence.latency_ms else {
        return rule.measured(None, "the time of a prediction is not known".to_owned());
    };
    let detail = format!("a single prediction takes {ms:.2} ms");
    let theirs = incumbent(evidence, config)
        .and_then(|incumbent| Some((incumbent.version, incumbent.latency_ms?)))
        .filter(|(_, theirs)| theirs.is_finite());
    match theirs {
        Some((version, theirs)) => rule
            .threshold(config.max_latency_ms.max(LATENCY_RATIO * theirs))
            .measured(Some(ms), format!("{detail}, of {version} {theirs:.2} ms")),
        None => rule.measured(Some(ms), detail),
    }
}

fn calibration(evidence: &Evidence<'_>, figures: Option<&Figures>, config: &GateConfig) -> Rule {
    let rule = Rule::new("calibration", Bound::AtMost, Unit::Number);
    let Some(figures) = figures else {
        return rule.measured(None, "there are no answers".to_owned());
    };
    let detail = format!(
        "the calibration error is {:.3}, that of a calibrated model at most {:.3} in 95 of 100 cases",
        figures.ece, figures.ece_null.p95
    );
    let rule = rule.threshold(figures.ece_null.p95);
    match incumbent(evidence, config) {
        Some(incumbent) if figures.ece > figures.ece_null.p95 => {
            let days = evaluate::paired_by_day(
                evidence.candidate,
                incumbent.predictions,
                Predictions::calibration_error,
            );
            relative(rule, figures.ece, detail, &incumbent, config.alpha, &days)
        }
        _ => rule.measured(Some(figures.ece), detail),
    }
}

/// A veto, never a pass: noise alone gives 0.5 ± 0.2 (FORMULAS 4.10). The one rule that is shown where it cannot be measured.
fn overfitting(evidence: &Evidence<'_>, config: &GateConfig) -> Rule {
    let rule = Rule::new("overfitting", Bound::AtMost, Unit::Share).threshold(config.max_pbo);
    let found = evidence.pbo;
    let on = format!(
        "{} versions that trade have {} unseen days in common",
        found.n_versions, found.n_days
    );
    if found.n_versions < MIN_VERSIONS || found.n_days < MIN_PBO_DAYS {
        let takes = format!("it takes {MIN_VERSIONS} versions and {MIN_PBO_DAYS} days to tell");
        return rule.shown(found.pbo, format!("{on}; {takes}"));
    }
    match found.pbo {
        Some(pbo) => {
            let detail = format!(
                "{on}; in {:.0} of 100 halvings of them the best version is below the middle on the other half",
                100.0 * pbo
            );
            rule.measured(Some(pbo), detail)
        }
        None => rule.shown(None, format!("{on}, and they cannot be halved")),
    }
}

fn sharpe_shown(evidence: &Evidence<'_>) -> Rule {
    let rule = Rule::new("Sharpe ratio", Bound::None, Unit::Number);
    let Some(found) = evidence.sharpe else {
        return rule.shown(
            None,
            "there is none: no trades, under 20 days, or returns that do not vary".into(),
        );
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
        Reference::Incumbent(incumbent) => (incumbent.name(), incumbent.sharpe),
        Reference::OtherQuestion(other) => (other.version.to_string(), other.sharpe),
        Reference::Baselines(baselines) => (INDICATOR.to_owned(), baselines.sharpe),
    };
    let rule = Rule::new("Sharpe no worse than", Bound::AtLeast, Unit::Number).against(&name);
    let (Some(ours), Some(theirs)) = (evidence.sharpe, theirs) else {
        let why = format!(
            "not enough evidence: the candidate or {name} has no Sharpe ratio; that takes trades and {} days",
            super::MIN_SHARPE_DAYS
        );
        return rule.measured(None, why);
    };
    let detail = format!("{:.2} a year against {theirs:.2} of {name}", ours.sharpe);
    rule.threshold(theirs).measured(Some(ours.sharpe), detail)
}

fn differences(comparison: &Comparison) -> Vec<f64> {
    comparison.days.iter().map(|day| day.log_loss).collect()
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
