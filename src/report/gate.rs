//! The verdict of the gate as a table, on whatever page it stands.

use maud::{Markup, html};

use super::text::{number, percent};
use crate::gate::{Outcome, Unit, Verdict};

/// Headline and rules.
pub(super) fn section(verdict: &Verdict) -> Markup {
    let word = if verdict.passed { "passed" } else { "refused" };
    html! {
        h2 { "The gate" }
        div.card {
            p { strong { (word) } " against " (verdict.against) " on the " (verdict.track.name()) " track, over "
                (verdict.n_days) " trading days that neither side has seen." }
            div.scroll { table {
                thead { tr { th { "Rule" } th.num { "Measured" } th.num { "Threshold" } th { "Verdict" } th { "In words" } } }
                tbody { @for rule in &verdict.rules { tr {
                    td { (rule.title()) }
                    td.num { (value(rule.measured, rule.unit)) }
                    td.num { (value(rule.threshold, rule.unit)) }
                    td { span class=(tag(rule.verdict)) { (rule.verdict.name()) } }
                    td.why { (rule.detail) }
                } } }
            } }
        }
    }
}

fn tag(outcome: Outcome) -> &'static str {
    if outcome.refuses() { "tag seen" } else { "tag unseen" }
}

fn value(value: Option<f64>, unit: Unit) -> String {
    let Some(value) = value else { return "n/a".into() };
    match unit {
        Unit::P => format!("p {}", number(value, 4)),
        Unit::Share => percent(value),
        Unit::Ms => format!("{} ms", number(value, 2)),
        Unit::Number => number(value, 3),
    }
}
