//! `report.html` of a version: [`VersionReport`] in, one HTML page out.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

use super::{
    gate,
    plot::{self, Axis, ForestRow, Frame, Unit},
    text::{count, day, minute, number, or_why, percent, signed, signed_percent},
    verdict::{self, Mood},
};
use crate::{
    backtest::Backtest,
    evaluate::{Comparison, Figures, Interval},
};

const STYLE: &str = include_str!("version.css");
/// Rows of a list that may be long; the rest is counted.
const MAX_ROWS: usize = 12;
// Rows of the table of figures that have an interval.
const ACCURACY: &str = "Accuracy";
const BALANCED: &str = "Balanced accuracy";
const LOG_LOSS: &str = "Log-loss, nats ↓";
const MACRO_F1: &str = "Macro F1";

/// A row of a table of figures: its name, and how its value is written.
type Row<'a, T> = (&'a str, &'a dyn Fn(&T) -> String);

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

/// One pass over the training part.
#[derive(Debug, Clone, Copy)]
pub struct Epoch {
    /// From 1.
    pub epoch: u32,
    /// Class-weighted, with dropout, nats.
    pub train_loss: f64,
    /// Without weights or dropout, nats.
    pub validation_loss: f64,
}

/// Trades of one strategy over the test days.
#[derive(Debug, Clone)]
pub struct Trading {
    /// Who traded, such as `model`.
    pub name: String,
    /// What came of it.
    pub backtest: Backtest,
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
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
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
                (trading(report))
                (training(report))
                (data(report))
                (recipe(report))
                footer {
                    "Written by aifx " (report.aifx) " with LibTorch " (report.libtorch)
                    ". Everything on this page is inside it; nothing is loaded from elsewhere."
                }
            } }
        }
    }
    .into_string()
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
            (tile("Largest drawdown", drawdown.map(percent), if drawdown.is_some() { "of equity".to_owned() } else { "no trading day".to_owned() }))
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
    columns.extend(report.rivals.iter().map(|rival| (capitalised(&rival.title), &rival.figures)));
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
                (legend(&[("f1", "was"), ("f2", "answered")]))
                (plot::bars("Share of each class among truth and answers", &["was", "answered"], &groups))
                figcaption { "Unseen samples." }
            }
            (calibration(report))
        }
    }
}

fn calibration(report: &VersionReport) -> Markup {
    let test = &report.test;
    let lowest = test.reliability.iter().flat_map(|bin| [bin.confidence, bin.accuracy]);
    let low = (lowest.fold(0.5, f64::min) - 0.05).max(0.0);
    let axis = |name| Axis { name, low, high: 1.0, unit: Unit::Percent };
    let frame = Frame {
        title: "Reliability diagram: share right against confidence",
        height: 320.0,
        x: axis("confidence"),
        y: axis("share right"),
    };
    // A proportion near p of n samples, by the normal approximation: how far chance alone carries a dot.
    let chance = |p: f64, n: usize| 1.96 * (p * (1.0 - p) / n.max(1) as f64).sqrt();
    let radius = |n: usize| 3.0 + 9.0 * (n as f64 / test.n.max(1) as f64).sqrt();
    let inside = test.ece <= test.ece_null.p95;
    html! {
        figure.card {
            h3 { "Calibration" }
            (frame.svg(&html! {
                (frame.line(&[(low, low), (1.0, 1.0)], "level"))
                @for bin in &test.reliability {
                    @let band = chance(bin.confidence, bin.n);
                    (frame.whisker(bin.confidence, (bin.confidence - band).max(low), (bin.confidence + band).min(1.0), ""))
                }
                @for bin in &test.reliability {
                    @let said = format!("{} samples: confidence {}, right {}", count(bin.n), percent(bin.confidence), percent(bin.accuracy));
                    (frame.dot(bin.confidence, bin.accuracy, radius(bin.n), "f1", &said))
                }
            }))
            figcaption {
                "On the diagonal, “70 % sure” is right 70 % of the time. Grey: where chance alone puts a calibrated model; larger dots hold more samples. "
                "Expected error " (percent(test.ece)) ", chance alone up to " (percent(test.ece_null.p95)) " (95 %): "
                (if inside { "calibrated, as far as can be told." } else { "not calibrated." })
                " Temperature " (number(report.temperature, 2)) ", fitted on validation."
            }
        }
        figure.card {
            h3 { "How sure it is" }
            (confidence_bars(report))
            figcaption { "Share of the unseen samples in each bin of the diagram beside it, by its mean confidence in per cent." }
        }
    }
}

fn confidence_bars(report: &VersionReport) -> Markup {
    let test = &report.test;
    let share = |n: usize| n as f64 / test.n.max(1) as f64;
    let groups: Vec<(String, Vec<f64>)> = test
        .reliability
        .iter()
        .map(|bin| (format!("{:.0}", bin.confidence * 100.0), vec![share(bin.n)]))
        .collect();
    plot::bars("Share of samples by confidence", &["samples"], &groups)
}

fn trading(report: &VersionReport) -> Markup {
    let strokes = ["s1", "s2", "s3"];
    let lines: Vec<(&str, &Trading)> = strokes.into_iter().zip(&report.trading).collect();
    let Some(days) = lines.iter().map(|(_, t)| &t.backtest.days).max_by_key(|days| days.len())
    else {
        return html! { h2 { "Traded after costs" } p { "n/a (nothing was traded)" } };
    };
    let entries: Vec<(&str, &str)> = lines.iter().map(|(s, t)| (*s, t.name.as_str())).collect();
    let years = years(days);
    let x = Axis {
        name: &years,
        low: 0.0,
        high: (days.len().max(2) - 1) as f64,
        unit: Unit::Days(days),
    };
    let place = |day: usize, t: &Trading| {
        // Every strategy trades the same candles; where one has fewer days they are found by date.
        t.backtest.days.get(day).and_then(|day| days.binary_search(day).ok()).unwrap_or(day) as f64
    };
    let equity: Vec<Vec<(f64, f64)>> = lines
        .iter()
        .map(|(_, t)| {
            t.backtest.equity.iter().enumerate().map(|(d, e)| (place(d, t), e - 1.0)).collect()
        })
        .collect();
    let drawdowns: Vec<Vec<(f64, f64)>> = lines
        .iter()
        .map(|(_, t)| {
            let values = drawdown(&t.backtest.equity);
            values.into_iter().enumerate().map(|(d, v)| (place(d, t), v)).collect()
        })
        .collect();
    let around = |name, curves: &[Vec<(f64, f64)>]| {
        Axis::around(name, curves.iter().flatten().map(|(_, y)| *y), &[0.0], Unit::Percent)
    };
    let upper = Frame {
        title: "Return since the first test day, after costs",
        height: 270.0,
        x,
        y: around("return", &equity),
    };
    let lower = Frame {
        title: "Fall of equity from its highest point so far",
        height: 270.0,
        x,
        y: around("drawdown", &drawdowns),
    };
    html! {
        h2 { "Traded after costs" }
        div.grid {
            figure.card {
                h3 { "Equity" }
                (legend(&entries))
                (upper.svg(&html! {
                    (upper.level(0.0))
                    @for (curve, (stroke, _)) in equity.iter().zip(&lines).rev() { (upper.line(curve, stroke)) }
                }))
                figcaption { "Test days, unseen. Every pair holds an equal part of the capital. Costs: " (report.costs) "." }
            }
            figure.card {
                h3 { "Drawdown" }
                (legend(&entries))
                (lower.svg(&html! {
                    @if let Some(model) = drawdowns.first() { (lower.area(model, 0.0, "f1")) }
                    @for (curve, (stroke, _)) in drawdowns.iter().zip(&lines).rev() { (lower.line(curve, stroke)) }
                }))
                figcaption { "The majority class does not trade when it is “hold”: it would stay at 0 %." }
            }
            div.card.wide { (trading_table(&lines)) }
        }
    }
}

/// `2018`, or `2018–2019`.
fn years(days: &[NaiveDate]) -> String {
    match (days.first(), days.last()) {
        (Some(first), Some(last)) if first.year() != last.year() => {
            format!("{}–{}", first.year(), last.year())
        }
        (Some(first), _) => first.year().to_string(),
        _ => String::new(),
    }
}

fn drawdown(equity: &[f64]) -> Vec<f64> {
    let fall = |peak: &mut f64, value: &f64| {
        *peak = peak.max(*value);
        Some(value / *peak - 1.0)
    };
    equity.iter().scan(1.0, fall).collect()
}

fn trading_table(lines: &[(&str, &Trading)]) -> Markup {
    use crate::backtest::Figures as Traded;
    let few = "fewer than 20 days, or all alike";
    let rows: [Row<'_, Traded>; 12] = [
        ("Return", &|f| or_why(f.roi.map(signed_percent), "no trading day")),
        ("Sharpe ratio, annualised", &|f| or_why(f.sharpe.map(|v| number(v, 2)), few)),
        ("its standard error", &|f| or_why(f.sharpe_se.map(|v| number(v, 2)), few)),
        ("Largest drawdown", &|f| or_why(f.max_drawdown.map(percent), "no trading day")),
        ("Profit factor", &|f| or_why(f.profit_factor.map(|v| number(v, 2)), "no losing trade")),
        ("Win rate", &|f| or_why(f.win_rate.map(percent), "no trade")),
        ("Mean return of a trade", &|f| {
            let points = |v: f64| format!("{} bp", signed(v * 1e4, 2));
            or_why(f.avg_pnl.map(points), "no trade")
        }),
        ("Trades", &|f| count(f.n_trades)),
        ("still open at the end", &|f| count(f.n_open)),
        ("Signals a day", &|f| or_why(f.signals_per_day.map(|v| number(v, 1)), "no trading day")),
        ("Time in the market", &|f| or_why(f.exposure.map(percent), "no candle")),
        ("Trading days", &|f| count(f.n_days)),
    ];
    html! {
        div.scroll { table {
            thead { tr { th {} @for (_, t) in lines { th.num { (capitalised(&t.name)) } } } }
            tbody {
                @for (name, value) in rows {
                    tr { td { (name) } @for (_, t) in lines { @let text = value(&t.backtest.figures); td.num.why[text.starts_with("n/a")] { (text) } } }
                }
            }
        } }
        p.soft { "Shown, and deciding nothing: over so few days a return is mostly luck." }
    }
}

fn training(report: &VersionReport) -> Markup {
    let points = |pick: &dyn Fn(&Epoch) -> f64| -> Vec<(f64, f64)> {
        report.history.iter().map(|epoch| (f64::from(epoch.epoch), pick(epoch))).collect()
    };
    let (train, validation) = (points(&|e| e.train_loss), points(&|e| e.validation_loss));
    let last = report.history.last().map_or(1.0, |epoch| f64::from(epoch.epoch));
    let values = train.iter().chain(&validation).map(|(_, y)| *y);
    let frame = Frame {
        title: "Loss by epoch on training and validation",
        height: 270.0,
        x: Axis {
            name: "epoch",
            low: if last > 1.0 { 1.0 } else { 0.0 },
            high: last.max(2.0),
            unit: Unit::Number,
        },
        y: Axis::around("nats", values, &[], Unit::Number),
    };
    let best = report.history.iter().find(|epoch| epoch.epoch == report.best_epoch);
    html! {
        h2 { "How it was trained" }
        div.grid {
            figure.card {
                h3 { "Loss" }
                (legend(&[("s1", "validation"), ("s2", "training")]))
                @if report.history.is_empty() { p { "n/a (no epoch was recorded)" } } @else {
                    (frame.svg(&html! {
                        (frame.line(&train, "s2"))
                        (frame.line(&validation, "s1"))
                        @if let Some(best) = best {
                            (frame.marker(f64::from(best.epoch), best.validation_loss, &format!("kept: epoch {}", best.epoch), "f1"))
                        }
                    }))
                }
                figcaption { "The training loss weighs rare classes more and is taken with dropout, so the two need not meet; the shape is what tells." }
            }
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
                (legend(&names))
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

/// Names beside a sample of their stroke or fill.
fn legend(entries: &[(&str, &str)]) -> Markup {
    html! {
        ul.legend {
            @for (class, name) in entries {
                li {
                    svg viewBox="0 0 26 10" aria-hidden="true" {
                        @if class.starts_with('s') { path class=(format!("line {class}")) d="M0 5L26 5" {} }
                        @else { rect class=(class) x="6" y="0" width="14" height="10" rx="2" {} }
                    }
                    (name)
                }
            }
        }
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
#[path = "version_tests.rs"]
mod tests;
