//! Figures that more than one page shows: trades, losses by epoch, calibration, legends. Not here: the marks that they are
//! drawn with (`plot`).

use chrono::{Datelike, NaiveDate};
use maud::{Markup, html};

use super::{
    plot::{self, Axis, Frame, Unit},
    text::{count, number, or_why, percent, signed, signed_percent},
};
use crate::{
    backtest::Backtest,
    evaluate::{Bin, Figures},
};

/// A row of a table of figures: its name, and how its value is written.
pub(super) type Row<'a, T> = (&'a str, &'a dyn Fn(&T) -> String);

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

/// Equity, drawdown and their figures, of at most three strategies.
pub(super) fn trading(all: &[Trading], costs: &str, note: &str) -> Markup {
    let strokes = ["s1", "s2", "s3"];
    let lines: Vec<(&str, &Trading)> = strokes.into_iter().zip(all).collect();
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
                figcaption { "Test days, unseen. Every pair holds an equal part of the capital; the account stakes on each call the size that it would have had, guards aside. A position counts on the day on which it ends. Costs: " (costs) "." }
            }
            figure.card {
                h3 { "Drawdown" }
                (legend(&entries))
                (lower.svg(&html! {
                    @if let Some(first) = drawdowns.first() { (lower.area(first, 0.0, "f1")) }
                    @for (curve, (stroke, _)) in drawdowns.iter().zip(&lines).rev() { (lower.line(curve, stroke)) }
                }))
                figcaption { (note) }
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

pub(super) fn drawdown(equity: &[f64]) -> Vec<f64> {
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
        ("Largest realised drawdown", &|f| or_why(f.max_drawdown.map(percent), "no trading day")),
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

/// Loss by epoch, with the epoch that was kept.
pub(super) fn losses(history: &[Epoch], best_epoch: u32) -> Markup {
    let points = |pick: &dyn Fn(&Epoch) -> f64| -> Vec<(f64, f64)> {
        history.iter().map(|epoch| (f64::from(epoch.epoch), pick(epoch))).collect()
    };
    let (train, validation) = (points(&|e| e.train_loss), points(&|e| e.validation_loss));
    let last = history.last().map_or(1.0, |epoch| f64::from(epoch.epoch));
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
    let best = history.iter().find(|epoch| epoch.epoch == best_epoch);
    html! {
            figure.card {
                h3 { "Loss" }
                (legend(&[("s1", "validation"), ("s2", "training")]))
                @if history.is_empty() { p { "n/a (no epoch was recorded)" } } @else {
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
    }
}

/// Reliability and confidence, two figures.
pub(super) fn calibration(test: &Figures, note: &str) -> Markup {
    html! {
        (reliability(&Reliability { n: test.n, bins: &test.reliability, ece: test.ece, ece_by_chance: test.ece_null.p95 }, note))
        figure.card {
            h3 { "How sure it is" }
            (confidence_bars(test))
            figcaption { "Share of the unseen samples in each bin of the diagram beside it, by its mean confidence in per cent." }
        }
    }
}

/// What a reliability diagram is drawn from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reliability<'a> {
    /// Samples.
    pub(super) n: usize,
    /// Answers of similar confidence.
    pub(super) bins: &'a [Bin],
    /// Expected calibration error.
    pub(super) ece: f64,
    /// The 95th percentile of that of a calibrated model.
    pub(super) ece_by_chance: f64,
}

/// Share right against confidence.
pub(super) fn reliability(test: &Reliability<'_>, note: &str) -> Markup {
    let lowest = test.bins.iter().flat_map(|bin| [bin.confidence, bin.accuracy]);
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
    let inside = test.ece <= test.ece_by_chance;
    html! {
        figure.card {
            h3 { "Calibration" }
            (frame.svg(&html! {
                (frame.line(&[(low, low), (1.0, 1.0)], "level"))
                @for bin in test.bins {
                    @let band = chance(bin.confidence, bin.n);
                    (frame.whisker(bin.confidence, (bin.confidence - band).max(low), (bin.confidence + band).min(1.0), ""))
                }
                @for bin in test.bins {
                    @let said = format!("{} samples: confidence {}, right {}", count(bin.n), percent(bin.confidence), percent(bin.accuracy));
                    (frame.dot(bin.confidence, bin.accuracy, radius(bin.n), "f1", &said))
                }
            }))
            figcaption {
                "On the diagonal, “70 % sure” is right 70 % of the time. Grey: where chance alone puts a calibrated model; larger dots hold more samples. "
                "Expected error " (percent(test.ece)) ", chance alone up to " (percent(test.ece_by_chance)) " (95 %): "
                (if inside { "calibrated, as far as can be told." } else { "not calibrated." })
                (note)
            }
        }
    }
}

fn confidence_bars(test: &Figures) -> Markup {
    let share = |n: usize| n as f64 / test.n.max(1) as f64;
    let groups: Vec<(String, Vec<f64>)> = test
        .reliability
        .iter()
        .map(|bin| (format!("{:.0}", bin.confidence * 100.0), vec![share(bin.n)]))
        .collect();
    plot::bars("Share of samples by confidence", &["samples"], &groups)
}

/// Names beside a sample of their stroke or fill.
pub(super) fn legend(entries: &[(&str, &str)]) -> Markup {
    html! {
        ul.legend {
            @for (class, name) in entries {
                li {
                    svg viewBox="0 0 26 10" aria-hidden="true" {
                        @if *class == "level" { line.level x1="0" x2="26" y1="5" y2="5" {} }
                        @else if *class == "up" { path class="up" d="M7 10L19 10L13 0Z" {} }
                        @else if *class == "down" { path class="down" d="M7 0L19 0L13 10Z" {} }
                        @else if class.starts_with('s') { path class=(format!("line {class}")) d="M0 5L26 5" {} }
                        @else { rect class=(class) x="6" y="0" width="14" height="10" rx="2" {} }
                    }
                    (name)
                }
            }
        }
    }
}

/// With a capital.
pub(super) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}
