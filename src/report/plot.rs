//! SVG plots: a [`Frame`] with axes and nice ticks, and marks drawn in it. Colours are CSS classes `s1`…`s3` (strokes)
//! and `f1`…`f3` (fills), so that a page's light and dark palettes hold for plots too.
//!
//! Not here: what is plotted (`version`), and rows of days (`days`).

use chrono::NaiveDate;
use maud::{Markup, html};

/// Width of every plot in its own units; the page scales it. Narrow, so that text stays readable on a phone.
pub(super) const WIDTH: f64 = 460.0;
const LEFT: f64 = 62.0;
pub(super) const RIGHT: f64 = 14.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 38.0;
/// Points of one line; more cannot be told apart on paper.
const MAX_POINTS: usize = 2000;

/// How the numbers of an axis are written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Unit<'a> {
    Number,
    Percent,
    /// Values are places in this list of days.
    Days(&'a [NaiveDate]),
    /// The axis has no ticks.
    Unwritten,
}

/// One axis.
#[derive(Debug, Clone, Copy)]
pub(super) struct Axis<'a> {
    pub(super) name: &'a str,
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) unit: Unit<'a>,
}

impl<'a> Axis<'a> {
    /// An axis around all of `values`, with a little room; `always` lies on it whatever they are.
    pub(super) fn around(
        name: &'a str,
        values: impl Iterator<Item = f64>,
        always: &[f64],
        unit: Unit<'a>,
    ) -> Self {
        let finite = values.chain(always.iter().copied()).filter(|value| value.is_finite());
        let (low, high) = finite
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let room = if high > low { (high - low) * 0.06 } else { low.abs().max(1e-3) * 0.1 };
        Axis { name, low: low - room, high: high + room, unit }
    }

    fn span(&self) -> f64 {
        (self.high - self.low).max(f64::MIN_POSITIVE)
    }

    fn ticks(&self) -> Vec<(f64, String)> {
        match self.unit {
            Unit::Unwritten => Vec::new(),
            Unit::Days(days) => day_ticks(days, self.low, self.high),
            Unit::Number => {
                let (step, values) = ticks(self.low, self.high, 5);
                let decimals = decimals(step);
                values.into_iter().map(|v| (v, super::text::number(v, decimals))).collect()
            }
            Unit::Percent => {
                let (step, values) = ticks(self.low * 100.0, self.high * 100.0, 5);
                let decimals = decimals(step);
                let text = |v: f64| format!("{} %", super::text::number(v, decimals));
                values.into_iter().map(|v| (v / 100.0, text(v))).collect()
            }
        }
    }
}

/// Steps of 1, 2 or 5 times a power of ten, about `wanted` of them (Heckbert, "Nice numbers for graph labels", 1990).
fn ticks(low: f64, high: f64, wanted: usize) -> (f64, Vec<f64>) {
    let raw = (high - low) / wanted as f64;
    if !raw.is_finite() || raw <= 0.0 {
        return (1.0, Vec::new());
    }
    let power = 10f64.powf(raw.log10().floor());
    let step = match raw / power {
        m if m <= 1.0 => power,
        m if m <= 2.0 => 2.0 * power,
        m if m <= 5.0 => 5.0 * power,
        _ => 10.0 * power,
    };
    let first = (low / step).ceil() as i64;
    let last = (high / step).floor() as i64;
    // At most ten of them, by the choice of the step.
    (step, (first..=last).take(20).map(|i| i as f64 * step).collect())
}

fn decimals(step: f64) -> usize {
    (-step.log10().floor()).clamp(0.0, 8.0) as usize
}

pub(super) fn day_ticks(days: &[NaiveDate], low: f64, high: f64) -> Vec<(f64, String)> {
    let (Some(first), Some(last)) = (days.first(), days.last()) else { return Vec::new() };
    let long = (*last - *first).num_days() > 400;
    let step = (days.len() - 1).div_ceil(4).max(1);
    let mut list: Vec<(f64, String)> = days
        .iter()
        .enumerate()
        .step_by(step)
        .map(|(place, day)| {
            let text = if long { day.format("%b %Y") } else { day.format("%-d %b") };
            (place as f64, text.to_string())
        })
        .filter(|(place, _)| (low..=high).contains(place))
        .collect();
    list.dedup_by(|a, b| a.1 == b.1);
    list
}

/// The room that marks are drawn in.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame<'a> {
    /// What a reader who does not see the plot is told.
    pub(super) title: &'a str,
    pub(super) height: f64,
    pub(super) x: Axis<'a>,
    pub(super) y: Axis<'a>,
}

impl Frame<'_> {
    pub(super) fn px(&self, x: f64) -> f64 {
        LEFT + (x - self.x.low) / self.x.span() * (WIDTH - LEFT - RIGHT)
    }

    pub(super) fn py(&self, y: f64) -> f64 {
        self.height - BOTTOM - (y - self.y.low) / self.y.span() * (self.height - BOTTOM - TOP)
    }

    /// The whole plot: grid, ticks, names, then the marks.
    pub(super) fn svg(&self, marks: &Markup) -> Markup {
        let bottom = self.height - BOTTOM;
        canvas(
            self.title,
            self.height,
            &html! {
                @for (value, text) in self.y.ticks() {
                    @let y = at(self.py(value));
                    line.rule x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {}
                    text.tick x=(LEFT - 6.0) y=(y) dy="0.32em" text-anchor="end" { (text) }
                }
                @for (value, text) in self.x.ticks() {
                    @let x = at(self.px(value));
                    line.tickmark x1=(x) x2=(x) y1=(bottom) y2=(bottom + 4.0) {}
                    // A long text at an edge would leave the picture.
                    @let anchor = if self.px(value) > WIDTH - 40.0 { "end" } else { "middle" };
                text.tick x=(x) y=(bottom + 16.0) text-anchor=(anchor) { (text) }
                }
                line.axis x1=(LEFT) x2=(WIDTH - RIGHT) y1=(bottom) y2=(bottom) {}
                @if !self.x.name.is_empty() {
                    text.name x=(at((LEFT + WIDTH - RIGHT) / 2.0)) y=(self.height - 5.0) text-anchor="middle" { (self.x.name) }
                }
                @if !self.y.name.is_empty() {
                    @let middle = at((TOP + bottom) / 2.0);
                    text.name transform=(format!("translate(11 {middle}) rotate(-90)")) text-anchor="middle" { (self.y.name) }
                }
                (marks)
            },
        )
    }

    /// A line through points; it breaks where a value is not finite.
    pub(super) fn line(&self, points: &[(f64, f64)], class: &str) -> Markup {
        let step = points.len().div_ceil(MAX_POINTS).max(1);
        let last = points.len().saturating_sub(1);
        let mut path = String::new();
        let mut pen_down = false;
        for (index, &(x, y)) in points.iter().enumerate() {
            if index % step != 0 && index != last {
                continue;
            }
            if !(x.is_finite() && y.is_finite()) {
                pen_down = false;
                continue;
            }
            let letter = if pen_down { 'L' } else { 'M' };
            path.push_str(&format!("{letter}{} {}", at(self.px(x)), at(self.py(y))));
            pen_down = true;
        }
        html! { path class=(format!("line {class}")) d=(path) {} }
    }

    /// The area between a line and `base`.
    pub(super) fn area(&self, points: &[(f64, f64)], base: f64, class: &str) -> Markup {
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return html! {} };
        let mut path = format!("M{} {}", at(self.px(first.0)), at(self.py(base)));
        let step = points.len().div_ceil(MAX_POINTS).max(1);
        for &(x, y) in points.iter().step_by(step).chain([last]) {
            path.push_str(&format!("L{} {}", at(self.px(x)), at(self.py(y))));
        }
        path.push_str(&format!("L{} {}Z", at(self.px(last.0)), at(self.py(base))));
        html! { path class=(format!("area {class}")) d=(path) {} }
    }

    /// A name in the middle of a place, kept within the plot.
    pub(super) fn label(&self, x: f64, y: f64, name: &str) -> Markup {
        let px = self.px(x).clamp(LEFT + 24.0, WIDTH - RIGHT - 24.0);
        html! { text.name x=(at(px)) y=(at(self.py(y))) dy="0.32em" text-anchor="middle" { (name) } }
    }

    /// A level across the plot.
    pub(super) fn level(&self, y: f64) -> Markup {
        let y = at(self.py(y));
        html! { line.level x1=(LEFT) x2=(WIDTH - RIGHT) y1=(y) y2=(y) {} }
    }

    /// A place on the x axis, with a word on it.
    pub(super) fn marker(&self, x: f64, y: f64, word: &str, class: &str) -> Markup {
        let (px, py) = (self.px(x), self.py(y));
        let (anchor, shift) = if px > WIDTH * 0.6 { ("end", -7.0) } else { ("start", 7.0) };
        html! {
            line.level x1=(at(px)) x2=(at(px)) y1=(TOP) y2=(self.height - BOTTOM) {}
            circle class=(class) cx=(at(px)) cy=(at(py)) r="4.5" {}
            text.note x=(at(px + shift)) y=(TOP + 10.0) text-anchor=(anchor) { (word) }
        }
    }

    /// A move at a place of the x axis: up, or back down. With `name`, its row and the word that stands beside it.
    pub(super) fn flag(
        &self,
        x: f64,
        y: f64,
        is_back: bool,
        said: &str,
        name: Option<(usize, &str)>,
    ) -> Markup {
        let (px, py) = (self.px(x), self.py(y));
        let (class, tip) = if is_back { ("down", 6.0) } else { ("up", -6.0) };
        let (anchor, shift) = if px > WIDTH * 0.6 { ("end", -5.0) } else { ("start", 5.0) };
        html! {
            // Where moves are many, a line each would be all that is seen.
            @if is_back || name.is_some() {
                line.level x1=(at(px)) x2=(at(px)) y1=(TOP) y2=(self.height - BOTTOM) {}
            }
            path class=(class) d=(format!("M{} {}L{} {}L{} {}Z", at(px - 6.0), at(py - tip), at(px + 6.0), at(py - tip), at(px), at(py + tip))) {
                title { (said) }
            }
            @if let Some((row, word)) = name {
                text.note x=(at(px + shift)) y=(at(TOP + 10.0 + 13.0 * row as f64)) text-anchor=(anchor) {
                    (word.chars().take(24).collect::<String>())
                }
            }
        }
    }

    /// A dot; its area says how much stands behind it.
    pub(super) fn dot(&self, x: f64, y: f64, radius: f64, class: &str, said: &str) -> Markup {
        html! {
            circle class=(class) cx=(at(self.px(x))) cy=(at(self.py(y))) r=(at(radius)) { title { (said) } }
        }
    }

    /// A range of y at one x.
    pub(super) fn whisker(&self, x: f64, low: f64, high: f64, class: &str) -> Markup {
        let x = at(self.px(x));
        html! {
            line class=(format!("whisker {class}")) x1=(x) x2=(x) y1=(at(self.py(low))) y2=(at(self.py(high))) {}
        }
    }
}

pub(super) fn canvas(title: &str, height: f64, inner: &Markup) -> Markup {
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {height}")) role="img" aria-label=(title) {
            title { (title) }
            (inner)
        }
    }
}

/// One decimal is a tenth of a pixel.
pub(super) fn at(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

/// Groups of bars: `groups[i] = (name, values)`, values are shares; `series` names them.
pub(super) fn bars(title: &str, series: &[&str], groups: &[(String, Vec<f64>)]) -> Markup {
    let highest = groups.iter().flat_map(|(_, values)| values.iter().copied()).fold(0.05, f64::max);
    let n = groups.len().max(1) as f64;
    let frame = Frame {
        title,
        height: 250.0,
        x: Axis { name: "", low: 0.0, high: n, unit: Unit::Unwritten },
        y: Axis { name: "", low: 0.0, high: (highest * 1.15).min(1.08), unit: Unit::Percent },
    };
    let n_series = series.len().max(1) as f64;
    // Many bars leave no room for the sign; the axis has it.
    let unit = if groups.len() * series.len() > 8 { "" } else { " %" };
    let (slot, width) = (0.76 / n_series, 0.72 / n_series);
    frame.svg(&html! {
        @for (group, (name, values)) in groups.iter().enumerate() {
            @for (index, value) in values.iter().enumerate() {
                @let left = frame.px(group as f64 + 0.12 + slot * index as f64);
                @let right = frame.px(group as f64 + 0.12 + slot * index as f64 + width);
                @let top = frame.py(*value);
                rect class=(format!("f{}", index + 1)) x=(at(left)) y=(at(top)) width=(at(right - left))
                    height=(at((frame.py(0.0) - top).max(0.5))) {
                    title { (series.get(index).copied().unwrap_or_default()) " " (name) ": " (super::text::percent(*value)) }
                }
                text.note x=(at((left + right) / 2.0)) y=(at(top - 4.0)) text-anchor="middle" {
                    (format!("{:.0}{unit}", value * 100.0))
                }
            }
            text.tick.strong x=(at(frame.px(group as f64 + 0.5))) y="230" text-anchor="middle" { (name) }
        }
    })
}

/// Counts by truth (rows) and answer (columns), shaded by the share of their row.
pub(super) fn heat_map(title: &str, names: &[String], counts: &[Vec<usize>]) -> Markup {
    let n = names.len().max(1) as f64;
    let (left, top) = (96.0, 40.0);
    let (cell_w, cell_h) = ((WIDTH - left - 8.0) / n, (186.0 / n).max(34.0));
    let height = top + cell_h * n + 8.0;
    canvas(
        title,
        height,
        &html! {
            text.name x=(at(left + cell_w * n / 2.0)) y="13" text-anchor="middle" { "answered" }
            text.name transform=(format!("translate(13 {}) rotate(-90)", at(top + cell_h * n / 2.0))) text-anchor="middle" { "was" }
            @for (index, name) in names.iter().enumerate() {
                @let i = index as f64;
                text.tick.strong x=(at(left + cell_w * (i + 0.5))) y="31" text-anchor="middle" { (name) }
                text.tick.strong x=(left - 8.0) y=(at(top + cell_h * (i + 0.5))) dy="0.32em" text-anchor="end" { (name) }
            }
            @for (truth, row) in counts.iter().enumerate() {
                @let total: usize = row.iter().sum();
                @for (answer, n) in row.iter().enumerate() {
                    @let share = if total == 0 { 0.0 } else { *n as f64 / total as f64 };
                    @let (x, y) = (left + cell_w * answer as f64, top + cell_h * truth as f64);
                    rect.cell x=(at(x + 1.0)) y=(at(y + 1.0)) width=(at(cell_w - 2.0)) height=(at(cell_h - 2.0)) {}
                    rect.heat x=(at(x + 1.0)) y=(at(y + 1.0)) width=(at(cell_w - 2.0)) height=(at(cell_h - 2.0))
                        fill-opacity=(format!("{share:.3}")) {}
                    @let tone = if share > 0.55 { "on" } else { "off" };
                    text class=(format!("count {tone}")) x=(at(x + cell_w / 2.0)) y=(at(y + cell_h / 2.0 - 3.0)) text-anchor="middle" {
                        (super::text::count(*n))
                    }
                    text class=(format!("share {tone}")) x=(at(x + cell_w / 2.0)) y=(at(y + cell_h / 2.0 + 12.0)) text-anchor="middle" {
                        @if total == 0 { "no sample" } @else { (super::text::percent(share)) }
                    }
                }
            }
        },
    )
}

/// A row of a forest plot: a name and, where there is one, mean with both ends.
pub(super) type ForestRow = (String, Option<[f64; 3]>);

/// Differences with their intervals beside zero; right is better.
pub(super) fn forest(title: &str, name: &str, unit: Unit<'_>, rows: &[ForestRow]) -> Markup {
    let (row_h, top, left) = (46.0, 22.0, 14.0);
    let height = top + row_h * rows.len().max(1) as f64 + 44.0;
    let ends = rows.iter().flat_map(|(_, row)| row.iter().flatten().copied());
    let x = Axis::around(name, ends, &[0.0], unit);
    let px = |value: f64| left + (value - x.low) / x.span() * (WIDTH - left - RIGHT);
    let bottom = height - BOTTOM;
    canvas(
        title,
        height,
        &html! {
            @for (value, text) in x.ticks() {
                @let place = at(px(value));
                line.rule x1=(place) x2=(place) y1=(top) y2=(bottom) {}
                @let anchor = if px(value) > WIDTH - 34.0 { "end" } else if px(value) < 30.0 { "start" } else { "middle" };
                text.tick x=(place) y=(bottom + 16.0) text-anchor=(anchor) { (text) }
            }
                @let zero = px(0.0);
            @if zero > 120.0 { text.note x=(at(zero - 6.0)) y="12" text-anchor="end" { "← worse" } }
            @if zero < WIDTH - 120.0 { text.note x=(at(zero + 6.0)) y="12" text-anchor="start" { "better →" } }
            text.name x=(at(WIDTH / 2.0)) y=(height - 5.0) text-anchor="middle" { (name) }
            @for (index, (label, row)) in rows.iter().enumerate() {
                @let y = top + row_h * index as f64;
                text.tick.strong.halo x=(left) y=(y + 13.0) { (label) }
            // Not through the names: they stand where zero often is.
            line.zero x1=(at(zero)) x2=(at(zero)) y1=(y + 19.0) y2=(y + 37.0) {}
                @match row {
                    Some([mean, low, high]) => {
                        @let tone = if *low > 0.0 { "good" } else if *high < 0.0 { "bad" } else { "open" };
                        line class=(format!("interval {tone}")) x1=(at(px(*low))) x2=(at(px(*high))) y1=(y + 28.0) y2=(y + 28.0) {}
                        @for end in [low, high] {
                            line class=(format!("interval {tone}")) x1=(at(px(*end))) x2=(at(px(*end))) y1=(y + 23.0) y2=(y + 33.0) {}
                        }
                        circle class=(format!("mean {tone}")) cx=(at(px(*mean))) cy=(y + 28.0) r="5" {}
                    }
                    None => text.note x=(left) y=(y + 32.0) { "n/a (fewer than five trading days)" }
                }
            }
        },
    )
}

/// Stretches of one whole, one after another: `(share of the whole, class)`.
pub(super) fn strip(title: &str, parts: &[(f64, &str)]) -> Markup {
    let whole: f64 = parts.iter().map(|(share, _)| share).sum::<f64>().max(f64::MIN_POSITIVE);
    let lefts = parts.iter().scan(0.0, |next, (share, _)| {
        let left = *next;
        *next += share / whole * WIDTH;
        Some(left)
    });
    canvas(
        title,
        26.0,
        &html! {
            @for (left, (share, class)) in lefts.zip(parts) {
                @let width = (share / whole * WIDTH - 2.0).max(1.0);
                rect class=(class) x=(at(left)) y="2" width=(at(width)) height="20" rx="2" {}
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        let check = |low, high, wanted: &[f64]| {
            let (_, found) = ticks(low, high, 5);
            assert_eq!(found.len(), wanted.len(), "{found:?}");
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-9), "{found:?}");
        };
        check(0.0, 1.0, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
        check(0.93, 1.08, &[0.95, 1.0, 1.05]);
        check(-0.013, 0.021, &[-0.01, 0.0, 0.01, 0.02]);
        check(1.0, 1.0, &[]);
    }

    proptest! {
        #[test]
        fn ticks_lie_on_the_axis_and_are_few(low in -1e6..1e6f64, span in 1e-6..1e6f64) {
            let (_, found) = ticks(low, low + span, 5);
            prop_assert!(found.len() <= 11);
            let near = span * 1e-6;
            prop_assert!(found.iter().all(|v| *v >= low - near && *v <= low + span + near));
        }
    }

    #[test]
    fn a_line_breaks_where_a_value_is_missing_and_long_ones_are_thinned() {
        let axis = Axis { name: "", low: 0.0, high: 10.0, unit: Unit::Number };
        let frame = Frame { title: "t", height: 200.0, x: axis, y: axis };
        let broken = frame.line(&[(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)], "s1").into_string();
        assert_eq!(broken.matches('M').count(), 2);
        assert!(!broken.contains("NaN"));
        let long: Vec<(f64, f64)> = (0..50_000).map(|i| (f64::from(i) / 5e3, 1.0)).collect();
        assert!(frame.line(&long, "s1").into_string().len() < 60_000);
    }

    #[test]
    fn nothing_to_plot_is_an_empty_plot() {
        let axis = Axis::around("", [f64::NAN].into_iter(), &[], Unit::Number);
        let frame = Frame { title: "t", height: 200.0, x: axis, y: axis };
        let svg = frame.svg(&frame.line(&[], "s1")).into_string();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
        assert!(!forest("t", "n", Unit::Number, &[]).into_string().contains("NaN"));
    }
}
