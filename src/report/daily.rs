//! `report.html` of a fine-tune: [`DailyPage`] in, one HTML page out. Every morning of the rehearsal is on it.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    document::document,
    gate,
    plot::{self, ForestRow, Unit},
    text::{count, minute, number, percent, signed},
};
use crate::{
    evaluate::{Comparison, Figures},
    gate::Verdict,
    lineage::{LineName, Version},
};

const STYLE: &str = include_str!("version.css");

/// Everything that the page says.
#[derive(Debug)]
pub struct DailyPage<'a> {
    /// The line.
    pub line: &'a LineName,
    /// The version.
    pub version: Version,
    /// What it was fine-tuned from.
    pub parent: Version,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
    /// Samples learned from.
    pub n_learned: usize,
    /// The rehearsal, morning by morning.
    pub mornings: Vec<MorningRow>,
    /// The fine-tunes on the days that followed them; none where no morning could be rehearsed.
    pub tuned: Option<&'a Figures>,
    /// Production untouched, on the same samples.
    pub untouched: Option<Figures>,
    /// One against the other; positive is better.
    pub comparison: &'a Comparison,
    /// The gate's answer.
    pub verdict: &'a Verdict,
}

/// One morning.
#[derive(Debug, Clone)]
pub struct MorningRow {
    /// When the fine-tune would have run.
    pub at: DateTime<Utc>,
    /// What was in production then.
    pub production: Option<Version>,
    /// Samples learned from.
    pub n_learned: usize,
    /// Samples of the day that followed.
    pub n_answered: usize,
    /// Log-loss saved by the fine-tune over that day, nats.
    pub saved: Option<f64>,
    /// Why it was left out.
    pub left_out: Option<String>,
}

/// Writes the page.
pub fn daily_page(page: &DailyPage<'_>) -> Vec<u8> {
    let title = format!("{} {}", page.line, page.version);
    let rehearsed = page.mornings.iter().filter(|morning| morning.left_out.is_none()).count();
    let (class, head) = if page.verdict.passed {
        ("good", "✓ Fine-tuning as practised helps, or does no harm: production was refreshed")
    } else {
        ("open", "? The rehearsal does not speak for it: it stays in staging")
    };
    document(&title, STYLE, &html! {
                header {
                    h1 { (title) }
                    p { "fine-tuned from " (page.parent) " on " (count(page.n_learned)) " samples, " (minute(page.as_of)) " UTC" }
                }
                section class=(format!("verdict {class}")) {
                    strong.head { (head) }
                    p { (page.verdict.summary()) }
                }
                (figures(page))
                h2 { "The rehearsal, morning by morning" }
                div.card {
                    p.soft { "Each morning, what was in production was fine-tuned on what was known and answered the day that followed, beside itself untouched. "
                        (rehearsed) " of " (page.mornings.len()) " mornings could be rehearsed." }
                    div.scroll { table {
                        thead { tr { th { "Morning (UTC)" } th { "Production" } th.num { "Learned" } th.num { "Answered" } th.num { "Log-loss saved" } th { "Left out" } } }
                        tbody { @for morning in &page.mornings { (row(morning)) } }
                    } }
                }
                (gate::section(page.verdict))
                footer { "Everything on this page is inside it; nothing is loaded from elsewhere." }
    })
    .into_bytes()
}

fn row(morning: &MorningRow) -> Markup {
    html! { tr {
        td { (minute(morning.at)) }
        td { (morning.production.map_or_else(|| "none".to_owned(), |version| version.to_string())) }
        td.num { (count(morning.n_learned)) }
        td.num { (count(morning.n_answered)) }
        td.num { (morning.saved.map_or_else(|| "n/a".to_owned(), |saved| signed(saved, 4))) }
        td.why { (morning.left_out.as_deref().unwrap_or_default()) }
    } }
}

fn figures(page: &DailyPage<'_>) -> Markup {
    let (Some(tuned), Some(untouched)) = (page.tuned, page.untouched.as_ref()) else {
        return html! { p.warn { "No morning could be rehearsed: there is nothing to compare." } };
    };
    let forest = vec![(
        "against production untouched".to_owned(),
        page.comparison.log_loss.map(|interval| [interval.mean, interval.low, interval.high]),
    )] as Vec<ForestRow>;
    let line = |name: &str, value: fn(&Figures) -> String| {
        html! { tr { td { (name) } td.num { (value(tuned)) } td.num { (value(untouched)) } } }
    };
    html! {
        h2 { "Fine-tuned against untouched" }
        div.grid {
            figure.card {
                h3 { "Log-loss saved" }
                (plot::forest("Log-loss of production less that of its fine-tunes, with 95 % interval", "nats a sample", Unit::Number, &forest))
                figcaption { "By trading day, " (page.comparison.n_days) " of them. Across zero: not told apart." }
            }
            div.card { div.scroll { table {
                thead { tr { th { "Over the same samples" } th.num { "fine-tuned" } th.num { "untouched" } } }
                tbody {
                    (line("Samples", |figures| count(figures.n)))
                    (line("Accuracy", |figures| percent(figures.accuracy)))
                    (line("Balanced accuracy", |figures| percent(figures.balanced_accuracy)))
                    (line("Log-loss, nats ↓", |figures| number(figures.log_loss, 4)))
                    (line("Brier ↓", |figures| number(figures.brier, 4)))
                    (line("Calibration error ↓", |figures| percent(figures.ece)))
                    (line("Largest class share", |figures| percent(figures.answer_shares.iter().copied().fold(0.0, f64::max))))
                }
            } } }
        }
    }
}
