//! SVG plots as text: axes with round ticks, lines, bars, heat maps; colours are CSS variables of the page.

use std::fmt::Write;

const WIDTH: f64 = 560.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 14.0;
const BOTTOM: f64 = 40.0;

/// A line in a plot.
pub(super) struct Line<'a> {
    /// What it is, for the legend.
    pub(super) name: &'a str,
    /// Which of the page's colours, from 1.
    pub(super) colour: usize,
    /// Its points.
    pub(super) points: Vec<(f64, f64)>,
    /// Whether it is dashed.
    pub(super) dashed: bool,
}

/// What a plot looks like around its lines.
pub(super) struct Frame<'a> {
    /// For readers who cannot see it.
    pub(super) title: &'a str,
    /// Under the horizontal axis.
    pub(super) x: &'a str,
    /// Beside the vertical axis.
    pub(super) y: &'a str,
    /// A vertical mark with its text.
    pub(super) mark: Option<(f64, String)>,
    /// Labels of the ends of the horizontal axis, instead of numbers.
    pub(super) ends: Option<(String, String)>,
}

struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Scale {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| value.is_finite()) {
            low = low.min(value);
            high = high.max(value);
        }
        if !low.is_finite() {
            (low, high) = (0.0, 1.0);
        }
        let room = if high > low { (high - low) * 0.05 } else { high.abs().max(1.0) * 0.05 };
        Scale { low: low - room, high: high + room, from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round numbers inside, at most eight.
    fn ticks(&self) -> Vec<f64> {
        let raw = (self.high - self.low) / 7.0;
        let magnitude = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0]
            .map(|m| m * magnitude)
            .into_iter()
            .find(|s| *s >= raw)
            .unwrap_or(raw);
        let mut ticks = Vec::new();
        let mut tick = (self.low / step).ceil() * step;
        while tick <= self.high {
            ticks.push(tick);
            tick += step;
        }
        ticks
    }
}

fn number(value: f64) -> String {
    let text = format!("{value:.4}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".to_owned() } else { text.to_owned() }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Lines over a frame with a legend.
pub(super) fn lines(frame: &Frame<'_>, lines: &[Line<'_>]) -> String {
    let all = || lines.iter().flat_map(|line| line.points.iter());
    let x = Scale::of(all().map(|p| p.0), LEFT, WIDTH - RIGHT);
    let y = Scale::of(all().map(|p| p.1), HEIGHT - BOTTOM, TOP);
    let mut svg = open(frame.title);
    for tick in y.ticks() {
        let at = y.at(tick);
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{}" y1="{at:.1}" y2="{at:.1}"/><text class="tick" x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            number(tick),
        );
    }
    match &frame.ends {
        Some((first, last)) => {
            for (at, anchor, text) in [(LEFT, "start", first), (WIDTH - RIGHT, "end", last)] {
                let _ = write!(
                    svg,
                    r#"<text class="tick" x="{at}" y="{}" text-anchor="{anchor}">{}</text>"#,
                    HEIGHT - BOTTOM + 16.0,
                    escape(text),
                );
            }
        }
        None => {
            for tick in x.ticks() {
                let _ = write!(
                    svg,
                    r#"<text class="tick" x="{:.1}" y="{}" text-anchor="middle">{}</text>"#,
                    x.at(tick),
                    HEIGHT - BOTTOM + 16.0,
                    number(tick),
                );
            }
        }
    }
    if let Some((at, text)) = &frame.mark {
        let at = x.at(*at);
        let right = at > WIDTH * 0.7;
        let (text_x, anchor) = if right { (at - 5.0, "end") } else { (at + 5.0, "start") };
        let _ = write!(
            svg,
            r#"<line class="mark" x1="{at:.1}" x2="{at:.1}" y1="{TOP}" y2="{}"/><text class="tick" x="{text_x:.1}" y="{}" text-anchor="{anchor}">{}</text>"#,
            HEIGHT - BOTTOM,
            TOP + 10.0,
            escape(text),
        );
    }
    for line in lines {
        let points: Vec<String> =
            line.points.iter().map(|(a, b)| format!("{:.1},{:.1}", x.at(*a), y.at(*b))).collect();
        let dash = if line.dashed { r#" stroke-dasharray="5 4""# } else { "" };
        let _ = write!(
            svg,
            r#"<polyline fill="none" style="stroke:var(--c{})" stroke-width="2"{dash} points="{}"/>"#,
            line.colour,
            points.join(" "),
        );
        if line.points.len() <= 20 {
            for (a, b) in &line.points {
                let _ = write!(
                    svg,
                    r#"<circle style="fill:var(--c{})" r="2.5" cx="{:.1}" cy="{:.1}"/>"#,
                    line.colour,
                    x.at(*a),
                    y.at(*b),
                );
            }
        }
    }
    axis_names(&mut svg, frame.x, frame.y);
    svg.push_str("</svg>");
    let legend: Vec<String> = lines
        .iter()
        .filter(|line| !line.name.is_empty())
        .map(|line| {
            format!(
                r#"<span><i style="background:var(--c{})"></i>{}</span>"#,
                line.colour,
                escape(line.name)
            )
        })
        .collect();
    format!(r#"{svg}<p class="legend">{}</p>"#, legend.join(" "))
}

/// Groups of bars: one group a name, one bar a series.
pub(super) fn bars(frame: &Frame<'_>, names: &[String], series: &[(&str, Vec<f64>)]) -> String {
    let values = series.iter().flat_map(|(_, values)| values.iter().copied());
    let mut y = Scale::of(values.chain([0.0]), HEIGHT - BOTTOM, TOP);
    y.low = 0.0;
    let mut svg = open(frame.title);
    for tick in y.ticks() {
        let at = y.at(tick);
        let _ = write!(
            svg,
            r#"<line class="grid" x1="{LEFT}" x2="{}" y1="{at:.1}" y2="{at:.1}"/><text class="tick" x="{}" y="{:.1}" text-anchor="end">{}</text>"#,
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            number(tick),
        );
    }
    let group = (WIDTH - LEFT - RIGHT) / names.len().max(1) as f64;
    let bar = group * 0.7 / series.len().max(1) as f64;
    for (index, name) in names.iter().enumerate() {
        let start = LEFT + group * index as f64 + group * 0.15;
        for (place, (_, values)) in series.iter().enumerate() {
            let top = y.at(values[index]);
            let _ = write!(
                svg,
                r#"<rect style="fill:var(--c{})" x="{:.1}" y="{top:.1}" width="{:.1}" height="{:.1}"><title>{} {:.1} %</title></rect>"#,
                place + 1,
                start + bar * place as f64,
                bar - 2.0,
                (HEIGHT - BOTTOM - top).max(0.0),
                escape(name),
                values[index] * 100.0,
            );
        }
        let _ = write!(
            svg,
            r#"<text class="tick" x="{:.1}" y="{}" text-anchor="middle">{}</text>"#,
            start + group * 0.35,
            HEIGHT - BOTTOM + 16.0,
            escape(name),
        );
    }
    axis_names(&mut svg, frame.x, frame.y);
    svg.push_str("</svg>");
    let legend: Vec<String> = series
        .iter()
        .enumerate()
        .map(|(place, (name, _))| {
            format!(
                r#"<span><i style="background:var(--c{})"></i>{}</span>"#,
                place + 1,
                escape(name)
            )
        })
        .collect();
    format!(r#"{svg}<p class="legend">{}</p>"#, legend.join(" "))
}

fn open(title: &str) -> String {
    format!(
        r#"<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{0}"><title>{0}</title>"#,
        escape(title)
    )
}

fn axis_names(svg: &mut String, x: &str, y: &str) {
    let _ = write!(
        svg,
        r#"<text class="axis" x="{:.1}" y="{}" text-anchor="middle">{}</text><text class="axis" transform="translate(14 {:.1}) rotate(-90)" text-anchor="middle">{}</text>"#,
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 6.0,
        escape(x),
        (TOP + HEIGHT - BOTTOM) / 2.0,
        escape(y),
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Scale::of([0.0, 0.93].into_iter(), 0.0, 100.0);
        assert_eq!(
            scale.ticks().iter().map(|t| number(*t)).collect::<Vec<_>>(),
            ["0", "0.2", "0.4", "0.6", "0.8"]
        );
        assert!(!Scale::of([5.0, 5.0].into_iter(), 0.0, 1.0).ticks().is_empty());
        assert!(!Scale::of(std::iter::empty(), 0.0, 1.0).ticks().is_empty());
    }

    #[test]
    fn hostile_names_are_escaped() {
        let frame = Frame { title: "<script>", x: "x", y: "y", mark: None, ends: None };
        let line = Line {
            name: "\"><script>",
            colour: 1,
            points: vec![(0.0, 0.0), (1.0, 1.0)],
            dashed: false,
        };
        assert!(!lines(&frame, &[line]).contains("<script>"));
    }
}
