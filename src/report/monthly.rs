//! The monthly ranking, for people: [`MonthlyPage`] in; [`monthly_page`] gives one self-contained HTML page,
//! [`monthly_markdown`] the same in text for a chat or a repository.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{
    charts::{self, Epoch, Trading},
    document::document,
    gate, plot,
    text::{count, minute, number, percent, signed, signed_percent},
};
use crate::{
    backtest,
    evaluate::{Figures, Interval},
    gate::Verdict,
    rank::{AgeClass, Degradation, Freshness, Score},
};

const STYLE: &str = include_str!("version.css");
/// Bars side by side that can still be read.
const MAX_BARS: usize = 8;
const NOTHING: &str = "n/a";

/// Everything that the report says.
#[derive(Debug, Clone)]
pub struct MonthlyPage {
    /// The line.
    pub line: String,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
    /// Since when versions were scored.
    pub from: Option<DateTime<Utc>>,
    /// What to do.
    pub recommendation: String,
    /// Whether the first was promoted.
    pub promoted: bool,
    /// Every live version, best first.
    pub rows: Vec<MonthlyRow>,
    /// The one that ranks first.
    pub first: Option<MonthlyFirst>,
    /// Trades of the first three.
    pub trading: Vec<Trading>,
    /// Costs of a trade, in words.
    pub costs: String,
    /// The gate on the best that was not in production.
    pub verdict: Option<Verdict>,
    /// Which that was.
    pub judged: Option<String>,
    /// Production now against production at its promotion.
    pub degradation: Option<Degradation>,
    /// Skill against the age of versions.
    pub freshness: Option<Freshness>,
    /// Versions that were deleted.
    pub retired: Vec<String>,
}

/// One version.
#[derive(Debug, Clone)]
pub struct MonthlyRow {
    /// Which.
    pub version: String,
    /// Where it stood.
    pub status: &'static str,
    /// From 1.
    pub rank: Option<usize>,
    /// Whether it may be the best, at 90 %.
    pub in_set: Option<bool>,
    /// p of that.
    pub p: Option<f64>,
    /// Unseen samples.
    pub n: usize,
    /// Trading days that they lie on.
    pub n_days: usize,
    /// Days of the month that it had seen.
    pub n_days_seen: usize,
    /// Of the samples, those that it answered when the candle closed; the rest are replayed.
    pub n_stored: usize,
    /// On the unseen samples.
    pub figures: Option<Figures>,
    /// Log-loss saved against the class prior.
    pub saved: Option<Interval>,
    /// After costs.
    pub trades: Option<backtest::Figures>,
    /// With its terms.
    pub score: Option<Score>,
    /// Why it has no rank.
    pub why: Option<String>,
}

/// More of the version that ranks first.
#[derive(Debug, Clone)]
pub struct MonthlyFirst {
    /// Which.
    pub version: String,
    /// On the unseen samples.
    pub figures: Figures,
    /// Names of the classes.
    pub classes: Vec<String>,
    /// Its training.
    pub history: Vec<Epoch>,
}

/// The page, complete.
pub fn monthly_page(page: &MonthlyPage) -> String {
    let title = format!("{} · {}", page.line, page.as_of.format("%B %Y"));
    document(
        &title,
        STYLE,
        &html! {
                    header {
                        h1 { (title) }
                        p { "monthly ranking as of " (minute(page.as_of)) " UTC" }
                    }
                    section class=(format!("verdict {}", mood(page))) {
                        strong.head { (capitalised(&page.recommendation)) }
                        p { (range(page)) }
                    }
                    (ranking(page))
                    (scores(page))
                    (degradation(page))
                    @if let Some(found) = &page.freshness { (freshness(found)) }
                    @if let (Some(verdict), Some(judged)) = (&page.verdict, &page.judged) {
                        p.soft { "Below: the gate on " (judged) ", the best that was not in production." }
                        (gate::section(verdict))
                    }
                    @if let Some(first) = &page.first { (closer(first)) }
                    (charts::trading(&page.trading, &page.costs, "The first three of the ranking, each over the days that it had not seen."))
                    @if !page.retired.is_empty() {
                        h2 { "Retired" }
                        div.card { p { "Fine-tunes older than three months were deleted: " (page.retired.join(", ")) "." } }
                    }
                    footer { "Everything on this page is inside it; nothing is loaded from elsewhere." }
        },
    )
}

fn mood(page: &MonthlyPage) -> &'static str {
    let degraded = page.degradation.is_some_and(|found| found.is_degraded);
    match (page.promoted, degraded) {
        (true, _) => "good",
        (false, true) => "bad",
        (false, false) => "open",
    }
}

fn range(page: &MonthlyPage) -> String {
    let n_ranked = page.rows.iter().filter(|row| row.rank.is_some()).count();
    let days = match page.from {
        Some(from) => format!("the days from {} to {} UTC", minute(from), minute(page.as_of)),
        None => "the last 30 days".into(),
    };
    format!(
        "{n_ranked} of {} live versions could be ranked, each on those of {days} that it had not seen.",
        page.rows.len()
    )
}

fn capitalised(text: &str) -> String {
    charts::capitalised(text)
}

/// The cells of a version, as a page and a text show them.
fn cells(row: &MonthlyRow) -> [String; 12] {
    let figure = |value: fn(&Figures) -> String| {
        row.figures.as_ref().map_or_else(|| NOTHING.to_owned(), value)
    };
    let traded = |value: fn(&backtest::Figures) -> Option<String>| {
        row.trades.as_ref().and_then(value).unwrap_or_else(|| NOTHING.to_owned())
    };
    let set = match (row.in_set, row.p) {
        (Some(true), Some(p)) => format!("in, p {}", number(p, 2)),
        (Some(false), Some(p)) => format!("out, p {}", number(p, 2)),
        _ => NOTHING.into(),
    };
    [
        place(row),
        row.version.clone(),
        row.status.to_owned(),
        set,
        format!("{} ({} seen)", row.n_days, row.n_days_seen),
        match row.n_stored {
            0 => count(row.n),
            n_stored => format!("{} ({} live)", count(row.n), count(n_stored)),
        },
        figure(|figures| {
            let range = figures.intervals.map(|found| {
                format!(" ({} to {})", percent(found.accuracy.0), percent(found.accuracy.1))
            });
            format!("{}{}", percent(figures.accuracy), range.unwrap_or_default())
        }),
        row.saved.map_or_else(
            || NOTHING.to_owned(),
            |found| {
                format!(
                    "{} ({} to {})",
                    signed(found.mean, 4),
                    signed(found.low, 4),
                    signed(found.high, 4)
                )
            },
        ),
        traded(|figures| {
            let error = figures.sharpe_se.map(|error| format!(" ± {}", number(error, 1)));
            Some(format!("{}{}", number(figures.sharpe?, 2), error.unwrap_or_default()))
        }),
        traded(|figures| {
            Some(format!("{} ({} trades)", signed_percent(figures.roi?), figures.n_trades))
        }),
        traded(|figures| figures.max_drawdown.map(percent)),
        row.score.map_or_else(|| NOTHING.to_owned(), |score| number(score.total, 3)),
    ]
}

const HEADS: [&str; 12] = [
    "Rank",
    "Version",
    "Status",
    "Best? (90 %)",
    "Unseen days",
    "Samples",
    "Accuracy (95 %)",
    "Log-loss saved (95 %)",
    "Sharpe",
    "Return",
    "Drawdown",
    "Score",
];

/// Versions that are in sight at once; the others are folded away.
const IN_SIGHT: usize = 10;

fn ranked(rows: &[&MonthlyRow]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { @for head in HEADS { th { (head) } } } }
            tbody { @for row in rows {
                tr { @for cell in cells(row) { td { (cell) } } }
                @if let Some(why) = &row.why { tr { td {} td.why colspan="11" { (why) } } }
            } }
        } }
    }
}

fn ranking(page: &MonthlyPage) -> Markup {
    let (mut shown, mut folded) = (Vec::new(), Vec::new());
    for (place, row) in page.rows.iter().enumerate() {
        let in_sight = place < IN_SIGHT || row.status == "production";
        if in_sight { shown.push(row) } else { folded.push(row) }
    }
    html! {
        h2 { "The ranking" }
        div.card {
            (ranked(&shown))
            @if !folded.is_empty() {
                details { summary { "The other " (folded.len()) " versions" } (ranked(&folded)) }
            }
            p.soft {
                "Versions that cannot be told from the best by their daily log-loss come first (model confidence set, 90 %); the score orders inside. "
                "Log-loss saved is against the class shares known when the month began; across zero: not told apart. Days that a version, or an ancestor, had seen are left out. “Live” samples were answered when the candle closed, the others are replayed."
            }
        }
    }
}

fn scores(page: &MonthlyPage) -> Markup {
    let scored: Vec<(&MonthlyRow, Score)> =
        page.rows.iter().filter_map(|row| Some((row, row.score?))).collect();
    if scored.is_empty() {
        return html! {};
    }
    let groups: Vec<(String, Vec<f64>)> =
        scored.iter().take(MAX_BARS).map(|(row, score)| (place(row), vec![score.total])).collect();
    html! {
        h2 { "The score" }
        div.grid {
            figure.card {
                h3 { "Score by version" }
                (plot::bars("Ranking score by version", &["score"], &groups))
                figcaption { "By rank, in per cent of all points" @if scored.len() > MAX_BARS { "; the first " (MAX_BARS) } "." }
            }
            div.card {
                h3 { "Its terms" }
                div.scroll { table {
                    thead { tr {
                        th { "Rank" }
                        th { "Version" }
                        @for (name, _) in scored[0].1.terms() { th.num { (name) } }
                        th.num { "Score" }
                    } }
                    tbody { @for (row, score) in scored.iter().take(IN_SIGHT) { tr {
                        td { (place(row)) }
                        td { (row.version) }
                        @for (name, term) in score.terms() {
                            td.num { (number(term.weighted, 3)) br; span.soft { (measured(name, term.measured)) } }
                        }
                        td.num { (number(score.total, 3)) }
                    } } }
                } }
                p.soft { @if scored.len() > IN_SIGHT { "The first " (IN_SIGHT) ". " } "Weighted points, below them the figure that earned them; a figure without a value earns none." }
            }
        }
    }
}

fn measured(name: &str, value: Option<f64>) -> String {
    let Some(value) = value else { return NOTHING.into() };
    match name {
        "Sharpe" => number(value, 2),
        "mean PnL" => format!("{} bp", signed(value * 1e4, 2)),
        _ => percent(value),
    }
}

/// The rank, or a dash: names of versions are too long for bars.
fn place(row: &MonthlyRow) -> String {
    row.rank.map_or_else(|| "–".to_owned(), |rank| rank.to_string())
}

fn degradation_sentence(page: &MonthlyPage) -> String {
    match &page.degradation {
        None => "Whether production is worth less than at its promotion cannot be said: it takes five days on each side.".into(),
        Some(found) => format!(
            "Against the class prior, production saves {} nats a sample now and saved {} on its test days: {} ({} to {}, one-sided p {}, {} days against {}). {}",
            signed(-found.now, 4),
            signed(-found.then, 4),
            signed(-found.effect, 4),
            signed(-found.high, 4),
            signed(-found.low, 4),
            number(found.p, 3),
            found.n_days.1,
            found.n_days.0,
            if found.is_degraded { "That is more than chance: retrain." } else { "That is within chance." },
        ),
    }
}

fn degradation(page: &MonthlyPage) -> Markup {
    html! {
        h2 { "Is production worth less than it was?" }
        div.card { p { (degradation_sentence(page)) } }
    }
}

fn freshness_sentence(found: &Freshness) -> String {
    match found.retrain_after_days {
        Some(days) => format!("A version should be replaced after {days} days: {}.", found.why),
        None => format!("How often a new version is needed cannot be said: {}.", found.why),
    }
}

/// The ages of a class, days.
fn ages(age: &AgeClass) -> String {
    match age.until_days {
        Some(until) if until == age.from_days + 1 => age.from_days.to_string(),
        Some(until) => format!("{} to {}", age.from_days, until - 1),
        None => format!("{} and more", age.from_days),
    }
}

fn freshness(found: &Freshness) -> Markup {
    let ends = found.ages.iter().flat_map(|age| {
        let (low, high) = age.interval.unwrap_or((age.skill, age.skill));
        [low, high]
    });
    // In the middle of the days that a class holds; the last one is open.
    let x = |age: &AgeClass| {
        f64::from(age.from_days + age.until_days.unwrap_or(age.from_days + 15) - 1) / 2.0
    };
    let last = found.ages.last().map_or(1.0, x);
    let frame = plot::Frame {
        title: "Log-loss saved against the class prior, by age of the version",
        height: 270.0,
        x: plot::Axis { name: "age, days", low: -0.5, high: last + 1.0, unit: plot::Unit::Number },
        y: plot::Axis::around("nats saved", ends, &[0.0], plot::Unit::Number),
    };
    let points: Vec<(f64, f64)> = found.ages.iter().map(|age| (x(age), age.skill)).collect();
    html! {
        h2 { "How fast do versions age?" }
        div.grid {
            figure.card {
                h3 { "Skill by age" }
                (frame.svg(&html! {
                    (frame.level(0.0))
                    @for age in &found.ages {
                        @if let Some((low, high)) = age.interval { (frame.whisker(x(age), low, high, "")) }
                    }
                    (frame.line(&points, "s1"))
                    @for age in &found.ages {
                        (frame.dot(x(age), age.skill, 4.0, "f1", &format!("{} days: {}", ages(age), signed(age.skill, 4))))
                    }
                }))
                figcaption { "Days since the last instant that a version had seen (of a weekly one the end of validation, its test part comes after); grey: 95 % over days. Above zero it knows more than the class shares." }
            }
            div.card {
                h3 { "What follows" }
                p { (freshness_sentence(found)) }
                div.scroll { table {
                    thead { tr { th { "Age, days" } th.num { "Days" } th.num { "Versions" } th.num { "Saved (95 %)" } } }
                    tbody { @for age in &found.ages { tr {
                        td { (ages(age)) }
                        td.num { (age.n_days) }
                        td.num { (age.n_versions) }
                        td.num {
                            (signed(age.skill, 4))
                            @if let Some((low, high)) = age.interval { " (" (signed(low, 4)) " to " (signed(high, 4)) ")" }
                        }
                    } } }
                } }
                p.soft { "Live versions and the newest archived ones, on days that they had not seen; several on one day count once." }
            }
        }
    }
}

fn closer(first: &MonthlyFirst) -> Markup {
    html! {
        h2 { (first.version) ", which ranks first" }
        div.grid {
            figure.card {
                h3 { "Truth and answers" }
                (plot::heat_map("Confusion matrix on unseen samples: rows are what was, columns what was answered", &first.classes, &first.figures.confusion))
                figcaption { "Unseen samples; percentages are of each row." }
            }
            (charts::losses(&first.history, kept(&first.history)))
            (charts::calibration(&first.figures, ""))
        }
    }
}

/// The epoch with the lowest validation loss, whose weights a training keeps; 0 for a fine-tune, which has none.
fn kept(history: &[Epoch]) -> u32 {
    let judged = history.iter().filter(|epoch| epoch.validation_loss.is_finite());
    judged
        .min_by(|a, b| a.validation_loss.total_cmp(&b.validation_loss))
        .map_or(0, |best| best.epoch)
}

/// The report as Markdown.
pub fn monthly_markdown(page: &MonthlyPage) -> String {
    let mut text = format!(
        "# {}: monthly ranking, {}\n\n**{}**\n\n{}\n\n",
        escaped(&page.line),
        page.as_of.format("%Y-%m"),
        escaped(&capitalised(&page.recommendation)),
        range(page),
    );
    let mut row = |cells: &[String]| {
        text.push_str("| ");
        text.push_str(&cells.join(" | "));
        text.push_str(" |\n");
    };
    row(&HEADS.map(str::to_owned));
    row(&HEADS.map(|_| "---".to_owned()));
    for version in &page.rows {
        row(&cells(version).map(|cell| escaped(&cell)));
    }
    for version in &page.rows {
        if let Some(why) = &version.why {
            text.push_str(&format!("\n- {}: {}", version.version, escaped(why)));
        }
    }
    text.push_str("\n\n## Score\n\n| Version | Win rate | Sharpe | Mean PnL | Drawdown | Score |\n| --- | --- | --- | --- | --- | --- |\n");
    for version in &page.rows {
        let Some(score) = version.score else { continue };
        let terms: Vec<String> = score
            .terms()
            .iter()
            .map(|(name, term)| {
                format!("{} ({})", number(term.weighted, 3), measured(name, term.measured))
            })
            .collect();
        let line = format!(
            "| {} | {} | {} |\n",
            version.version,
            terms.join(" | "),
            number(score.total, 3)
        );
        text.push_str(&line);
    }
    text.push_str(&format!("\n## Production\n\n{}\n", degradation_sentence(page)));
    if let Some(found) = &page.freshness {
        text.push_str(&format!("\n## Freshness\n\n{}\n\n", escaped(&freshness_sentence(found))));
        text.push_str(
            "| Age, days | Days | Versions | Log-loss saved |\n| --- | --- | --- | --- |\n",
        );
        for age in &found.ages {
            let skill = signed(age.skill, 4);
            text.push_str(&format!(
                "| {} | {} | {} | {skill} |\n",
                ages(age),
                age.n_days,
                age.n_versions
            ));
        }
    }
    if let (Some(verdict), Some(judged)) = (&page.verdict, &page.judged) {
        text.push_str(&format!("\n## The gate on {judged}\n\n{}\n\n", escaped(&verdict.summary())));
        text.push_str("| Rule | Verdict | In words |\n| --- | --- | --- |\n");
        for rule in &verdict.rules {
            let (title, name) = (escaped(&rule.title()), rule.verdict.name());
            text.push_str(&format!("| {title} | {name} | {} |\n", escaped(&rule.detail)));
        }
    }
    if !page.retired.is_empty() {
        text.push_str(&format!("\n## Retired\n\n{}\n", page.retired.join(", ")));
    }
    text
}

/// What Markdown would take for its own.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '|' | '*' | '_' | '`' | '<' | '[' | '#' => {
                out.push('\\');
                out.push(letter);
            }
            '\n' | '\r' => out.push(' '),
            _ => out.push(letter),
        }
    }
    out
}
