//! The page of one version: what it was trained on, and what that is worth.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::plot::{self, Frame, Line};
use crate::{
    backtest::{self, Backtest},
    dataset::{Dropped, Purged},
    evaluate::{Comparison, Figures},
    features::FeatureSet,
    lineage::{LineName, Version},
    market::calendar::Gap,
};

/// Gaps that are listed; the rest is counted.
const MAX_GAPS: usize = 20;

/// Losses of one epoch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EpochLoss {
    /// From 1.
    pub epoch: u32,
    /// On the training part, with class weights and dropout.
    pub train: f64,
    /// On validation.
    pub validation: f64,
}

/// Everything that the page shows.
#[derive(Debug)]
pub struct VersionReport<'a> {
    /// The line.
    pub line: &'a LineName,
    /// The version.
    pub version: Version,
    /// What it was fine-tuned from.
    pub parent: Option<Version>,
    /// The instant that the run took for now.
    pub as_of: DateTime<Utc>,
    /// Last instant that it or an ancestor has seen.
    pub seen_until: DateTime<Utc>,
    /// Names and values of what it was made of, in order.
    pub made_of: Vec<(&'static str, String)>,
    /// Names of the classes.
    pub classes: &'a [String],
    /// On samples that nobody has seen.
    pub test: &'a Figures,
    /// On validation.
    pub validation: &'a Figures,
    /// On training.
    pub train: &'a Figures,
    /// Baselines on the test samples.
    pub baselines: &'a BTreeMap<&'static str, Figures>,
    /// The model against them.
    pub comparisons: &'a BTreeMap<&'static str, Comparison>,
    /// Trades over the test part.
    pub backtests: &'a BTreeMap<&'static str, Backtest>,
    /// One entry an epoch.
    pub history: Vec<EpochLoss>,
    /// The epoch whose weights were kept.
    pub best_epoch: u32,
    /// What it sees.
    pub set: &'static FeatureSet,
    /// Series and gaps that no weekend or holiday explains.
    pub gaps: Vec<(String, Gap)>,
    /// Windows that were left out.
    pub dropped: Dropped,
    /// Samples left out at the cuts.
    pub purged: Purged,
    /// Training samples of each class.
    pub class_counts: Vec<usize>,
}

/// The page.
pub fn version_page(report: &VersionReport<'_>) -> String {
    let title = format!("{} {}", report.line, report.version);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (report.line) " " strong { (report.version) } }
                    p.sub { "trained as of " (instant(report.as_of)) ", has seen data until " (instant(report.seen_until))
                        @if let Some(parent) = report.parent { ", fine-tuned from " (parent) } }
                }
                main {
                    (verdicts(report))
                    (metrics(report))
                    div.grid {
                        (losses(report))
                        (equity(report))
                        (drawdown(report))
                        (calibration(report))
                        (shares(report))
                    }
                    (confusion(report))
                    (trades(report))
                    (made_of(report))
                    (quality(report))
                    (features(report.set))
                }
                footer { "Figures marked unseen are on samples that were decided after everything the model has seen. "
                    "The trading day is the unit of every interval." }
            }
        }
    };
    page.into_string()
}

fn instant(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

fn percent(value: f64) -> String {
    format!("{:.1} %", value * 100.0)
}

fn or_na(value: Option<f64>, show: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "n/a".to_owned(), show)
}

/// One sentence a baseline.
fn verdicts(report: &VersionReport<'_>) -> Markup {
    let collapsed = report.test.answer_shares.iter().enumerate().find(|(_, share)| **share > 0.95);
    html! {
        section {
            h2 { "Is it any good?" }
            @for (name, comparison) in report.comparisons {
                @let (class, text) = verdict(name, comparison);
                p class=(format!("verdict {class}")) { (text) }
            }
            @if let Some((class, share)) = collapsed {
                p.verdict.bad { "It answers " strong { (report.classes.get(class).map_or("?", String::as_str)) } " to "
                    (percent(*share)) " of the samples: a model that says one thing is of no use, whatever its log-loss." }
            }
        }
    }
}

fn verdict(name: &str, comparison: &Comparison) -> (&'static str, String) {
    let Some(loss) = comparison.log_loss else {
        let days = comparison.n_days;
        return (
            "flat",
            format!(
                "Against the {name} rule there is not enough evidence: {days} days, at least 5 are needed."
            ),
        );
    };
    let accuracy = or_na(comparison.accuracy.map(|interval| interval.mean), |mean| {
        format!("{:+.1} points", mean * 100.0)
    });
    let interval = format!(
        "log-loss {:+.4} (95 % interval {:+.4} to {:+.4}), accuracy {accuracy}, over {} trading days and {} samples",
        -loss.mean, -loss.high, -loss.low, comparison.n_days, comparison.n
    );
    if loss.low > 0.0 {
        ("good", format!("Better than the {name} rule: {interval}."))
    } else if loss.high < 0.0 {
        ("bad", format!("Worse than the {name} rule: {interval}."))
    } else {
        let needed = comparison.days_needed.map_or_else(String::new, |days| {
            format!(" An effect of this size takes about {days} days to be seen.")
        });
        ("flat", format!("Not to be told apart from the {name} rule: {interval}.{needed}"))
    }
}

fn metrics(report: &VersionReport<'_>) -> Markup {
    let row = |name: &str, seen: bool, f: &Figures| {
        html! {
            tr {
                th scope="row" { (name) }
                td { @if seen { span.seen { "seen" } } @else { span.unseen { "unseen" } } }
                td.n { (f.n) } td.n { (f.n_days) } td.n { (percent(f.accuracy)) } td.n { (percent(f.balanced_accuracy)) }
                td.n { (format!("{:.4}", f.log_loss)) } td.n { (format!("{:.4}", f.brier)) } td.n { (format!("{:.3}", f.macro_f1)) }
                td.n { (format!("{:.3}", f.ece)) small { " (≤ " (format!("{:.3}", f.ece_null.p95)) ")" } }
            }
        }
    };
    html! {
        section {
            h2 { "Figures" }
            div.scroll { table {
                thead { tr { th { "" } th { "samples" } th.n { "n" } th.n { "days" } th.n { "accuracy" } th.n { "balanced" }
                    th.n { "log-loss" } th.n { "Brier" } th.n { "macro F1" } th.n { "ECE (calibrated ≤)" } } }
                tbody {
                    (row("model, test", false, report.test))
                    @for (name, figures) in report.baselines { (row(&format!("{name}, test"), false, figures)) }
                    (row("model, validation", true, report.validation))
                    (row("model, training", true, report.train))
                }
            } }
            p.sub { "Test: " (instant(report.test.from)) " to " (instant(report.test.to)) ". In brackets: the calibration error that a "
                "perfectly calibrated model stays under 95 times of 100 on as many samples." }
        }
    }
}

fn card(title: &str, plot: String, note: &str) -> Markup {
    html! { section.card { h2 { (title) } (PreEscaped(plot)) @if !note.is_empty() { p.sub { (note) } } } }
}

fn losses(report: &VersionReport<'_>) -> Markup {
    let points = |of: fn(&EpochLoss) -> f64| {
        report.history.iter().map(|row| (f64::from(row.epoch), of(row))).collect()
    };
    let lines = [
        Line {
            name: "training (weighted, with dropout)",
            colour: 1,
            points: points(|row| row.train),
            dashed: true,
        },
        Line { name: "validation", colour: 2, points: points(|row| row.validation), dashed: false },
    ];
    let frame = Frame {
        title: "Loss by epoch",
        x: "epoch",
        y: "loss, nats",
        mark: Some((f64::from(report.best_epoch), format!("kept: {}", report.best_epoch))),
        ends: None,
    };
    card("Loss", plot::lines(&frame, &lines), "")
}

fn equity(report: &VersionReport<'_>) -> Markup {
    let mut lines = Vec::new();
    let mut days: Vec<chrono::NaiveDate> = Vec::new();
    for (index, name) in ["model", "indicator"].into_iter().enumerate() {
        if let Some(backtest) = report.backtests.get(name) {
            let points = std::iter::once(1.0)
                .chain(backtest.equity.iter().copied())
                .enumerate()
                .map(|(i, e)| (i as f64, e));
            lines.push(Line {
                name,
                colour: index + 1,
                points: points.collect(),
                dashed: index > 0,
            });
            if days.is_empty() {
                days.clone_from(&backtest.days);
            }
        }
    }
    let ends =
        days.first().zip(days.last()).map(|(first, last)| (first.to_string(), last.to_string()));
    let frame =
        Frame { title: "Equity after costs", x: "trading day", y: "equity", mark: None, ends };
    let fall = or_na(report.backtests.get("model").and_then(|b| b.figures.max_drawdown), percent);
    card(
        "Equity after costs",
        plot::lines(&frame, &lines),
        &format!("Largest fall of the model's equity from a peak: {fall}."),
    )
}

fn drawdown(report: &VersionReport<'_>) -> Markup {
    let mut lines = Vec::new();
    for (index, name) in ["model", "indicator"].into_iter().enumerate() {
        if let Some(backtest) = report.backtests.get(name) {
            let mut peak = 1.0f64;
            let falls =
                std::iter::once(&1.0).chain(&backtest.equity).enumerate().map(|(day, equity)| {
                    peak = peak.max(*equity);
                    (day as f64, (equity / peak - 1.0) * 100.0)
                });
            lines.push(Line {
                name,
                colour: index + 1,
                points: falls.collect(),
                dashed: index > 0,
            });
        }
    }
    let frame = Frame {
        title: "Drawdown after costs",
        x: "trading day",
        y: "below the peak, %",
        mark: None,
        ends: None,
    };
    card(
        "Drawdown",
        plot::lines(&frame, &lines),
        "How far equity lies below its highest point so far.",
    )
}

fn calibration(report: &VersionReport<'_>) -> Markup {
    let bins = &report.test.reliability;
    let low = bins.iter().flat_map(|bin| [bin.confidence, bin.accuracy]).fold(1.0, f64::min);
    let lines = [
        Line {
            name: "as it should be",
            colour: 3,
            points: vec![(low, low), (1.0, 1.0)],
            dashed: true,
        },
        Line {
            name: "model",
            colour: 1,
            points: bins.iter().map(|bin| (bin.confidence, bin.accuracy)).collect(),
            dashed: false,
        },
    ];
    let frame = Frame {
        title: "Calibration",
        x: "confidence of the answer",
        y: "share right",
        mark: None,
        ends: None,
    };
    let inside = if report.test.ece <= report.test.ece_null.p95 { "inside" } else { "outside" };
    let note = format!(
        "Calibration error {:.3}, {inside} what a calibrated model shows (up to {:.3}).",
        report.test.ece, report.test.ece_null.p95
    );
    card("Calibration", plot::lines(&frame, &lines), &note)
}

fn shares(report: &VersionReport<'_>) -> Markup {
    let frame = Frame { title: "Shares of the classes", x: "", y: "share", mark: None, ends: None };
    let series = [
        ("truth", report.test.truth_shares.clone()),
        ("answers", report.test.answer_shares.clone()),
    ];
    card("What it answers", plot::bars(&frame, report.classes, &series), "")
}

fn confusion(report: &VersionReport<'_>) -> Markup {
    html! {
        section {
            h2 { "Confusion" }
            div.scroll { table.heat {
                thead { tr { th { "truth \\ answer" } @for name in report.classes { th.n { (name) } } th.n { "samples" } } }
                tbody { @for (name, row) in report.classes.iter().zip(&report.test.confusion) {
                    @let n: usize = row.iter().sum();
                    tr { th scope="row" { (name) }
                        @for count in row {
                            @let share = *count as f64 / n.max(1) as f64;
                            td.n style=(format!("--heat:{share:.2}")) { (count) small { " " (percent(share)) } }
                        }
                        td.n { (n) }
                    }
                } }
            } }
        }
    }
}

fn trades(report: &VersionReport<'_>) -> Markup {
    type Show = fn(&backtest::Figures) -> String;
    let rows: [(&str, Show); 10] = [
        ("trades closed", |f| f.n_trades.to_string()),
        ("win rate", |f| or_na(f.win_rate, percent)),
        ("average return of a trade", |f| or_na(f.avg_pnl, |v| format!("{:.3} %", v * 100.0))),
        ("return", |f| or_na(f.roi, |v| format!("{:.2} %", v * 100.0))),
        ("profit factor", |f| or_na(f.profit_factor, |v| format!("{v:.2}"))),
        ("Sharpe ± standard error", |f| match (f.sharpe, f.sharpe_se) {
            (Some(sharpe), Some(se)) => format!("{sharpe:.2} ± {se:.2}"),
            _ => "n/a".to_owned(),
        }),
        ("largest drawdown", |f| or_na(f.max_drawdown, |v| format!("{:.2} %", v * 100.0))),
        ("exposure", |f| or_na(f.exposure, percent)),
        ("signals a day", |f| or_na(f.signals_per_day, |v| format!("{v:.2}"))),
        ("days", |f| f.n_days.to_string()),
    ];
    html! {
        section {
            h2 { "Trades over the test part, after costs" }
            div.scroll { table {
                thead { tr { th { "" } @for name in report.backtests.keys().rev() { th.n { (name) } } } }
                tbody { @for (name, show) in rows { tr { th scope="row" { (name) }
                    @for backtest in report.backtests.values().rev() { td.n { (show(&backtest.figures)) } } } } }
            } }
            p.sub { "A Sharpe ratio over so few days has a standard error of several units: it is shown, and decides nothing." }
        }
    }
}

fn made_of(report: &VersionReport<'_>) -> Markup {
    html! {
        section {
            h2 { "What it was made of" }
            dl { @for (name, value) in &report.made_of { dt { (name) } dd { (value) } } }
        }
    }
}

fn quality(report: &VersionReport<'_>) -> Markup {
    let n: usize = report.class_counts.iter().sum();
    let largest = report.class_counts.iter().enumerate().max_by_key(|(_, count)| **count);
    let Dropped { warm_up, gap, unlabelled, .. } = report.dropped;
    html! {
        section {
            h2 { "Data quality" }
            @if let Some((class, count)) = largest {
                @let share = *count as f64 / n.max(1) as f64;
                @if share > 0.90 {
                    p.verdict.bad { (percent(share)) " of the training labels are "
                        (report.classes.get(class).map_or("?", String::as_str)) ": a model learns to answer nothing else from that." }
                }
            }
            dl {
                dt { "training labels" } dd { @for (name, count) in report.classes.iter().zip(&report.class_counts) {
                    (name) " " (count) " (" (percent(*count as f64 / n.max(1) as f64)) ") " } }
                dt { "windows left out" } dd { (warm_up) " without enough history, " (gap) " across a gap, " (unlabelled) " whose label is not settled" }
                dt { "purged at the cuts" } dd { (report.purged.label) " by label, " (report.purged.window) " by window" }
                dt { "gaps" } dd { (report.gaps.len()) " that no weekend or holiday explains" }
            }
            @if !report.gaps.is_empty() {
                details { summary { "the first " (report.gaps.len().min(MAX_GAPS)) " gaps" }
                    div.scroll { table {
                        thead { tr { th { "series" } th { "after" } th { "before" } th.n { "candles missing" } } }
                        tbody { @for (series, gap) in report.gaps.iter().take(MAX_GAPS) {
                            tr { td { (series) } td { (instant(gap.after)) } td { (instant(gap.before)) } td.n { (gap.n_missing) } } } }
                    } } }
            }
        }
    }
}

fn features(set: &FeatureSet) -> Markup {
    html! {
        section {
            h2 { "What it sees" }
            details { summary { (set.features.len()) " features of the set " (set.name) }
                div.scroll { table { thead { tr { th { "feature" } th { "definition" } } }
                    tbody { @for feature in set.features { tr { th scope="row" { (feature.name) } td { (feature.definition) } } } } } } }
        }
    }
}

const STYLE: &str = "
:root{--bg:#fbfbfa;--fg:#1b1f24;--dim:#5c6670;--card:#fff;--edge:#dfe3e6;--c1:#0b62a8;--c2:#c75300;--c3:#6a737d;
--good:#0a6b4a;--goodbg:#e3f4ec;--bad:#a3261b;--badbg:#fbe8e5;--flat:#4a5560;--flatbg:#eef1f3;--heat-colour:11,98,168}
@media(prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#e7eaec;--dim:#9aa5af;--card:#1c2024;--edge:#333a41;--c1:#6cb2ee;--c2:#f0a05a;
--c3:#8b96a1;--good:#7fd6b0;--goodbg:#12352a;--bad:#ff9c8f;--badbg:#43201c;--flat:#c0cad3;--flatbg:#262c32;--heat-colour:108,178,238}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}
header,main,footer{max-width:1180px;margin:0 auto;padding:0 20px}header{padding-top:28px}h1{font-size:1.7rem;font-weight:500;margin:0}
h2{font-size:1.12rem;margin:0 0 .6rem}.sub,footer{color:var(--dim);font-size:.88rem}.sub{margin:.4rem 0 0}footer{padding:16px 20px 40px}
section{background:var(--card);border:1px solid var(--edge);border-radius:10px;padding:18px 20px;margin:18px 0}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr));gap:18px}.grid section{margin:0}
.verdict{margin:.5rem 0;padding:.6rem .8rem;border-radius:8px;border-left:5px solid}
.good{background:var(--goodbg);border-color:var(--good)}.bad{background:var(--badbg);border-color:var(--bad)}.flat{background:var(--flatbg);border-color:var(--flat)}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.92rem}th,td{padding:.35rem .6rem;text-align:left;border-bottom:1px solid var(--edge);white-space:nowrap}
td:last-child:not(.n){white-space:normal}th{font-weight:600}thead th{color:var(--dim);font-weight:500}.n{text-align:right;font-variant-numeric:tabular-nums}small{color:var(--dim)}
.seen{color:var(--dim)}.unseen{color:var(--good);font-weight:600}.heat td[style]{background:rgba(var(--heat-colour),calc(var(--heat)*.45))}
dl{display:grid;grid-template-columns:minmax(9rem,max-content) 1fr;gap:.3rem 1rem;margin:0}dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
svg{width:100%;height:auto;display:block}.grid line,line.grid{stroke:var(--edge)}svg .grid{stroke:var(--edge)}.mark{stroke:var(--c3);stroke-dasharray:3 3}
.tick{fill:var(--dim);font-size:11px}.axis{fill:var(--dim);font-size:12px}.legend{margin:.3rem 0 0;font-size:.85rem;color:var(--dim);display:flex;flex-wrap:wrap;gap:.2rem 1rem}
.legend i{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.35em}summary{cursor:pointer;color:var(--c1)}
@media(max-width:560px){header,main,footer{padding-left:12px;padding-right:12px}section{padding:14px 12px}dl{grid-template-columns:1fr}dt{margin-top:.4rem}}
@media print{section{break-inside:avoid}}
";
