//! How a verdict of the gate reads, wherever one is shown.

use crate::{
    gate::{Outcome, Rule, Unit, Verdict},
    ui::{Page, Tone},
};

/// The rules as a table, the summary above it.
pub(super) fn write(page: &mut Page, verdict: &Verdict) {
    let tone = if verdict.passed { Tone::Good } else { Tone::Warn };
    let word = if verdict.passed { "passed" } else { "refused" };
    page.toned(
        tone,
        format!(
            "gate: {word} against {} on the {} track, {} samples over {} days, trial {} of the line",
            verdict.against,
            verdict.track.name(),
            verdict.n,
            verdict.n_days,
            verdict.n_trials
        ),
    );
    let rows: Vec<Vec<String>> = verdict
        .rules
        .iter()
        .map(|rule| {
            vec![
                rule.title(),
                value(rule.measured, rule.unit),
                value(rule.threshold, rule.unit),
                rule.verdict.name().to_owned(),
            ]
        })
        .collect();
    page.table(&["rule", "measured", "threshold", "verdict"], &[1, 2], &rows);
    for rule in verdict.rules.iter().filter(|rule| says_more(rule)) {
        page.line(format!("  {}: {}", rule.title(), rule.detail));
    }
    if let Some(days) = verdict.days_needed() {
        page.field("it takes", format!("{days} days that neither side has seen"));
    }
}

fn says_more(rule: &Rule) -> bool {
    rule.verdict != Outcome::Passed || rule.test.is_some()
}

fn value(value: Option<f64>, unit: Unit) -> String {
    let Some(value) = value else { return "n/a".into() };
    match unit {
        Unit::P => format!("p {value:.4}"),
        Unit::Share => format!("{:.1} %", value * 100.0),
        Unit::Ms => format!("{value:.2} ms"),
        Unit::Number => format!("{value:.3}"),
    }
}
