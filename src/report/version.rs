//! `report.html` of a version: [`VersionReport`] in, one HTML page out.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Serialize;

use super::{
    charts::{self, Epoch, Row, Trading},
    document::document,
    gate,
    plot::{self, ForestRow, Unit},
    text::{count, day, minute, number, or_why, percent, signed_percent},
    verdict::{self, Mood},
};
use crate::evaluate::{Comparison, Figures, Interval};

const STYLE: &str = include_str!("version.css");
/// Rows of a list that may be long; the rest is counted.
const MAX_ROWS: usize = 12;
// Rows of the table of figures that have an interval.
const ACCURACY: &str = "Accuracy";
const BALANCED: &str = "Balanced accuracy";
const LOG_LOSS: &str = "Log-loss, nats ↓";
const MACRO_F1: &str = "Macro F1";

/// Everything that the page of a version says.
#[derive(Debug, Clone)]
pub struct VersionReport {
    /// The line.
    pub line: String,
    /// The version.
    pub version: String,
    /// What it was fine-tuned from; `None` for a training from scratch.
    pub parent: Option<String>,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
    /// Last instant that the version, or an ancestor, was trained, tuned or calibrated on.
    pub seen_until: DateTime<Utc>,
    /// Pairs that share the model.
    pub pairs: Vec<String>,
    /// Timeframes that share the model.
    pub timeframes: Vec<String>,
    /// Names of the classes, in order.
    pub classes: Vec<String>,
    /// The label rule, in words.
    pub label: String,
    /// The architecture, in words.
    pub model: String,
    /// Candles in one window.
    pub lookback: usize,
    /// Costs of a trade, in words.
    pub costs: String,
    /// Samples in one step.
    pub batch: usize,
    /// Learning rate that the training began with.
    pub lr: f64,
    /// Seed of all random numbers.
    pub seed: u64,
    /// Threads that it was trained with; they too decide the last bits.
    pub threads: usize,
    /// SHA-256 over the content of the dataset.
    pub dataset_sha256: String,
    /// SHA-256 of the configuration file.
    pub config_sha256: String,
    /// Name of the feature set.
    pub feature_set: String,
    /// Its features, in order.
    pub features: Vec<FeatureRow>,
    /// Training, validation and test, in order.
    pub parts: Vec<PartRow>,
    /// The model on the test part, which it has not seen.
    pub test: Figures,
    /// The model on the validation part, which it was stopped and calibrated on.
    pub validation: Figures,
    /// The model on the training part.
    pub train: Figures,
    /// The baselines on the test part, and how the model compares with them.
    pub rivals: Vec<Rival>,
    /// Logits are divided by it; above 1 the raw model was too sure of itself.
    pub temperature: f64,
    /// The epochs, in order.
    pub history: Vec<Epoch>,
    /// The epoch whose weights were kept.
    pub best_epoch: u32,
    /// Trades over the test days: the model first, then others.
    pub trading: Vec<Trading>,
    /// What the samples were made of.
    pub quality: Quality,
    /// Wall time of the training.
    pub training_s: f64,
    /// The gate's answer, where it judged.
    pub gate: Option<crate::gate::Verdict>,
    /// Version of aifx.
    pub aifx: String,
    /// Version of LibTorch.
    pub libtorch: String,
}

/// One feature.
#[derive(Debug, Clone, Serialize)]
pub struct FeatureRow {
    /// Its column.
    pub name: String,
    /// What it is.
    pub definition: String,
}

/// One part of the samples.
#[derive(Debug, Clone)]
pub struct PartRow {
    /// `training`, `validation`, `test`.
    pub name: &'static str,
    /// Samples.
    pub n: usize,
    /// First and last decision; `None` without samples.
    pub window: Option<(DateTime<Utc>, DateTime<Utc>)>,
}

/// A baseline on the same samples.
#[derive(Debug, Clone)]
pub struct Rival {
    /// What it is called inside a sentence, such as `majority class`.
    pub title: String,
    /// Its figures on the test part.
    pub figures: Figures,
    /// The model against it; positive is better.
    pub comparison: Comparison,
}

/// What the samples were made of.
#[derive(Debug, Clone, Default)]
pub struct Quality {
    /// Candles read, history before the range included.
    pub n_candles: usize,
    /// Days that the range was extended to, where the days asked for held too few samples.
    pub extended_to_days: Option<u32>,
    /// Candles of the range that made no sample, by reason.
    pub dropped: Vec<(&'static str, usize)>,
    /// Samples left out at the cuts, by cut.
    pub purged: Vec<(&'static str, usize)>,
    /// Gaps that no weekend or holiday explains, largest first.
    pub gaps: Vec<GapRow>,
}

/// Candles missing where the market was open.
#[derive(Debug, Clone)]
pub struct GapRow {
    /// Pair and timeframe.
    pub series: String,
    /// Opening of the last candle before.
    pub after: DateTime<Utc>,
    /// Opening of the first candle after.
    pub before: DateTime<Utc>,
    /// Candles missing in open hours.
    pub n_missing: u32,
}

/// The page, complete.
pub fn version_page(report: &VersionReport) -> String {
    let title = format!("{} {}", report.line, report.version);
    document(
        &title,
        STYLE,
        &html! {
                    header {
                        h1 { (title) }
                        p { "as of " (minute(report.as_of)) " UTC" }
                        p { (report.pairs.join(", ")) " · " (report.timeframes.join(", ")) }
                    }
                    (verdict_box(report))
                    (tiles(report))
                    (against_baselines(report))
                    @if let Some(verdict) = &report.gate { (gate::section(verdict)) }
                    (answers(report))
                    (charts::trading(&report.trading, &report.costs, "The majority class does not trade when it is “hold”: it would stay at 0 %."))
                    (training(report))
                    (data(report))
                    (recipe(report))
                    footer {
                        "Written by aifx " (report.aifx) " with LibTorch " (report.libtorch)
                        ". Everything on this page is inside it; nothing is loaded from elsewhere."
                    }
        },
    )
}

fn verdict_box(report: &VersionReport) -> Markup {
    let verdict = verdict::verdict(report);
    let (class, sign) = match verdict.mood {
        Mood::Good => ("good", "✓"),
        Mood::Open => ("open", "?"),
        Mood::Bad => ("bad", "✗"),
    };
    html! {
        section class=(format!("verdict {class}")) {
            strong.head { span aria-hidden="true" { (sign) } " " (verdict.headline) }
            @for sentence in &verdict.sentences { p { (sentence) } }
        }
    }
}

fn tiles(report: &VersionReport) -> Markup {
    let test = &report.test;
    let traded = report.trading.first().map(|trading| &trading.backtest.figures);
    let majority = report.rivals.first().map(|rival| &rival.figures);
    let tile = |name: &str, value: Option<String>, under: String| {
        html! {
            div.tile {
                span { (name) }
                @match value {
                    Some(value) => b { (value) },
                    None => b.na { "n/a" },
                }
                span { (under) }
            }
        }
    };
    let roi = traded.and_then(|figures| figures.roi);
    let drawdown = traded.and_then(|figures| figures.max_drawdown);
    html! {
        section.tiles aria-label="Key figures" {
            (tile("Accuracy, unseen", Some(percent(test.accuracy)), majority.map_or_else(String::new, |m| format!("majority class {}", percent(m.accuracy)))))
            (tile("Log-loss, nats", Some(number(test.log_loss, 4)), majority.map_or_else(String::new, |m| format!("majority class {}", number(m.log_loss, 4)))))
            (tile("Evidence", Some(format!("{} days", count(test.n_days))), format!("{} samples", count(test.n))))
            (tile("Calibration error", Some(percent(test.ece)), format!("chance alone: up to {}", percent(test.ece_null.p95))))
            (tile("Return after costs", roi.map(signed_percent), match traded {
                Some(figures) if roi.is_some() => format!("{} trades", count(figures.n_trades)),
                _ => "no trading day".to_owned(),
            }))
            (tile("Realised drawdown", drawdown.map(percent), if drawdown.is_some() { "of equity".to_owned() } else { "no trading day".to_owned() }))
        }
    }
}

fn against_baselines(report: &VersionReport) -> Markup {
    let rows = |pick: &dyn Fn(&Comparison) -> Option<Interval>| -> Vec<ForestRow> {
        let row = |rival: &Rival| {
            let interval = pick(&rival.comparison).map(|i| [i.mean, i.low, i.high]);
            (format!("against the {}", rival.title), interval)
        };
        report.rivals.iter().map(row).collect()
    };
    let loss = rows(&|comparison| comparison.log_loss);
    let accuracy = rows(&|comparison| comparison.accuracy);
    html! {
        h2 { "Against the baselines" }
        div.grid {
            figure.card {
                h3 { "Log-loss saved" }
                (plot::forest("Log-loss of each baseline less that of the model, with 95 % intervals", "nats a sample", Unit::Number, &loss))
                figcaption { "The whole line right of zero: better. Across zero: not told apart." }
            }
            figure.card {
                h3 { "Accuracy gained" }
                (plot::forest("Accuracy of the model less that of each baseline, with 95 % intervals", "points", Unit::Percent, &accuracy))
                figcaption { "Intervals by Student’s t over trading days: samples of one day overlap and pairs move together, so a day counts once." }
            }
            div.card.wide { (metrics_table(report)) }
        }
    }
}

fn metrics_table(report: &VersionReport) -> Markup {
    let mut columns: Vec<(String, &Figures)> = vec![("Model".to_owned(), &report.test)];
    columns.extend(
        report.rivals.iter().map(|rival| (charts::capitalised(&rival.title), &rival.figures)),
    );
    columns.push(("Model, validation".to_owned(), &report.validation));
    columns.push(("Model, training".to_owned(), &report.train));
    let metrics: [Row<'_, Figures>; 11] = [
        ("Samples", &|f| count(f.n)),
        ("Trading days", &|f| count(f.n_days)),
        ("From", &|f| day(f.from)),
        ("To", &|f| day(f.to)),
        (LOG_LOSS, &|f| number(f.log_loss, 4)),
        ("Brier score ↓", &|f| number(f.brier, 4)),
        (ACCURACY, &|f| percent(f.accuracy)),
        (BALANCED, &|f| percent(f.balanced_accuracy)),
        ("Macro precision", &|f| percent(f.macro_precision)),
        (MACRO_F1, &|f| percent(f.macro_f1)),
        ("Calibration error ↓", &|f| percent(f.ece)),
    ];
    // Of the figures that are an estimate; seen ones estimate nothing.
    let interval = |name: &str, figures: &Figures| -> Option<String> {
        let intervals = figures.intervals.filter(|_| figures.out_of_sample)?;
        let shares = |(low, high)| format!("{} to {}", percent(low), percent(high));
        Some(match name {
            ACCURACY => shares(intervals.accuracy),
            BALANCED => shares(intervals.balanced_accuracy),
            MACRO_F1 => shares(intervals.macro_f1),
            LOG_LOSS => {
                let (low, high) = intervals.log_loss;
                format!("{} to {}", number(low, 4), number(high, 4))
            }
            _ => return None,
        })
    };
    html! {
        div.scroll { table {
            thead { tr {
                th {}
                @for (name, figures) in &columns {
                    th.num {
                        (name) br;
                        @if figures.out_of_sample { span.tag.unseen { "unseen" } } @else { span.tag.seen { "seen" } }
                    }
                }
            } }
            tbody {
                @for (name, value) in metrics {
                    tr { td { (name) } @for (_, figures) in &columns {
                        td.num {
                            (value(figures))
                            @if let Some(range) = interval(name, figures) { br; span.soft { (range) } }
                        }
                    } }
                }
            }
        } }
        p.soft { "“Seen” figures are of samples that the model was trained, stopped or calibrated on: they flatter it, and say nothing about tomorrow. Ranges are 95 % intervals, resampled by blocks of trading days. ↓: lower is better." }
    }
}

fn answers(report: &VersionReport) -> Markup {
    let test = &report.test;
    let names = &report.classes;
    let groups: Vec<(String, Vec<f64>)> = names
        .iter()
        .zip(test.truth_shares.iter().zip(&test.answer_shares))
        .map(|(name, (truth, answer))| (name.clone(), vec![*truth, *answer]))
        .collect();
    html! {
        h2 { "What it answers" }
        div.grid {
            figure.card {
                h3 { "Truth and answers" }
                (plot::heat_map("Confusion matrix on unseen samples: rows are what was, columns what was answered", names, &test.confusion))
                figcaption { "Unseen samples; percentages are of each row. A good model is strong along the diagonal." }
            }
            figure.card {
                h3 { "Share of each class" }
                @if let Some(class) = verdict::collapsed(report) {
                    p.warn { "Collapse: more than 95 % of its answers are “" (class) "”. Such a model says nothing about the market." }
                }
                (charts::legend(&[("f1", "was"), ("f2", "answered")]))
                (plot::bars("Share of each class among truth and answers", &["was", "answered"], &groups))
                figcaption { "Unseen samples." }
            }
            (charts::calibration(test, &format!(" Temperature {}, fitted on validation.", number(report.temperature, 2))))
        }
    }
}

fn training(report: &VersionReport) -> Markup {
    html! {
        h2 { "How it was trained" }
        div.grid {
            (charts::losses(&report.history, report.best_epoch))
            div.card {
                h3 { "Recipe" }
                dl {
                    dt { "Model" } dd { (report.model) }
                    dt { "Label" } dd { (report.label) }
                    dt { "Classes" } dd { (report.classes.join(", ")) }
                    dt { "Window" } dd { (count(report.lookback)) " candles of " (count(report.features.len())) " features (" (report.feature_set) ")" }
                    dt { "Epochs" } dd { (count(report.history.len())) ", the weights of epoch " (report.best_epoch) " were kept" }
                    dt { "Time" } dd { (number(report.training_s, 1)) " s" }
                    dt { "Parent" } dd { (report.parent.as_deref().unwrap_or("none: trained from scratch")) }
                    dt { "Steps" } dd { (count(report.batch)) " samples each, learning rate " (report.lr) }
                    dt { "Seed" } dd { (report.seed) ", on " (report.threads) " threads" }
                    dt { "Seen until" } dd { (minute(report.seen_until)) " UTC" }
                    dt { "Dataset" } dd { code { (report.dataset_sha256) } }
                    dt { "Configuration" } dd { code { (report.config_sha256) } }
                    dt { "Made by" } dd { "aifx " (report.aifx) ", LibTorch " (report.libtorch) }
                }
            }
        }
    }
}

fn data(report: &VersionReport) -> Markup {
    let quality = &report.quality;
    let classes = ["f1", "f2", "f3"];
    let strip: Vec<(f64, &str)> =
        report.parts.iter().map(|part| part.n as f64).zip(classes).collect();
    let names: Vec<(&str, &str)> =
        classes.into_iter().zip(report.parts.iter().map(|part| part.name)).collect();
    let in_all: usize = report.parts.iter().map(|part| part.n).sum();
    let missing: u64 = quality.gaps.iter().map(|gap| u64::from(gap.n_missing)).sum();
    html! {
        h2 { "What it was trained on" }
        div.grid {
            div.card {
                h3 { "Samples, in the order of time" }
                (charts::legend(&names))
                (plot::strip("Samples of training, validation and test", &strip))
                div.scroll { table {
                    thead { tr { th { "Part" } th.num { "Samples" } th.num { "From" } th.num { "To" } } }
                    tbody {
                        @for part in &report.parts {
                            tr {
                                td { (part.name) } td.num { (count(part.n)) }
                                @match part.window {
                                    Some((from, to)) => { td.num { (minute(from)) } td.num { (minute(to)) } }
                                    None => { td.num { "n/a (empty)" } td.num { "n/a (empty)" } }
                                }
                            }
                        }
                    }
                } }
                @if let Some(days) = quality.extended_to_days {
                    p.warn { "The days asked for held too few samples: the range was extended to " (days) " days." }
                }
                @if let Some((class, share)) = verdict::one_sided(report) {
                    p.warn { (percent(share)) " of the training samples are “" (class) "”: such a label hardly tells anything apart." }
                }
                p.soft { "Nothing is shuffled across a cut, and samples whose window or horizon reaches over one are left out." }
                h3 { "Class balance" }
                (shares(report))
            }
            div.card {
                h3 { "Quality" }
                div.scroll { table { tbody {
                    tr { td { "Candles read, with history" } td.num { (count(quality.n_candles)) } }
                    tr { td { "Samples" } td.num { (count(in_all)) } }
                    @for (why, n) in &quality.dropped { tr { td { "No sample: " (why) } td.num { (count(*n)) } } }
                    @for (why, n) in &quality.purged { tr { td { "Purged at " (why) } td.num { (count(*n)) } } }
                    tr { td { "Gaps in open hours" } td.num { (count(quality.gaps.len())) } }
                    tr { td { "Candles missing in them" } td.num { (missing) } }
                    tr { td { "Refused rows" } td.num.why { "n/a (reported at import)" } }
                } } }
            }
            @if !quality.gaps.is_empty() {
                div.card.wide {
                    h3 { "Largest gaps" }
                    div.scroll { table {
                        thead { tr { th { "Series" } th { "Last candle before" } th { "First candle after" } th.num { "Missing" } } }
                        tbody {
                            @for gap in quality.gaps.iter().take(MAX_ROWS) {
                                tr { td { (gap.series) } td { (minute(gap.after)) } td { (minute(gap.before)) } td.num { (count(gap.n_missing as usize)) } }
                            }
                        }
                    } }
                    @if quality.gaps.len() > MAX_ROWS { p.soft { "and " (count(quality.gaps.len() - MAX_ROWS)) " smaller ones" } }
                }
            }
        }
    }
}

fn shares(report: &VersionReport) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th { "Class" } th.num { "Training" } th.num { "Validation" } th.num { "Test" } } }
            tbody {
                @for (class, name) in report.classes.iter().enumerate() {
                    tr {
                        td { (name) }
                        @for figures in [&report.train, &report.validation, &report.test] {
                            td.num { (or_why(figures.truth_shares.get(class).map(|share| percent(*share)), "no sample")) }
                        }
                    }
                }
            }
        } }
    }
}

fn recipe(report: &VersionReport) -> Markup {
    html! {
        h2 { "Features" }
        div.card {
            details open {
                summary { "Feature set " (report.feature_set) ", " (count(report.features.len())) " columns" }
                div.scroll { table {
                    thead { tr { th { "Feature" } th { "Definition" } } }
                    tbody {
                        @for feature in &report.features {
                            tr { td { code { (feature.name) } } td { (feature.definition) } }
                        }
                    }
                } }
            }
        }
    }
}

#[cfg(test)]
#[path = "version_tests.rs"]
mod tests;
