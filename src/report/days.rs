//! Plots whose columns are days: rows of cells ([`grid`]) and stacked shares ([`stack`]). Colours are classes of the page's
//! style, so that light and dark hold here too; quiet cells are one path a row, so that a quarter of 38 features stays small.
//!
//! Not here: what a cell means (`watch`).

use chrono::NaiveDate;
use maud::{Markup, html};

use super::{
    plot::{self, Frame, at},
    text::percent,
};

const LEFT: f64 = 122.0;
const TOP: f64 = 4.0;
const BOTTOM: f64 = 20.0;

/// A row of cells.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// What stands on its left.
    pub(super) name: String,
    /// Cells by the place of their day.
    pub(super) cells: Vec<Cell>,
}

/// A day of a row.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    /// Place among the days.
    pub(super) day: usize,
    /// Class of the style.
    pub(super) class: &'static str,
    /// What is said of it; a cell with nothing to say costs next to nothing.
    pub(super) said: Option<String>,
}

/// Rows of cells over `days`, each `row_h` high.
pub(super) fn grid(title: &str, days: &[NaiveDate], rows: &[Row], row_h: f64) -> Markup {
    let height = TOP + row_h * rows.len() as f64 + BOTTOM;
    let width = (plot::WIDTH - LEFT - plot::RIGHT) / days.len().max(1) as f64;
    let left = |day: usize| LEFT + width * day as f64;
    // A gap between cells where there is room for one.
    let cell_w = if width > 3.0 { width - 0.6 } else { width };
    let cell_h = row_h - 2.0;
    plot::canvas(
        title,
        height,
        &html! {
            @for (place, row) in rows.iter().enumerate() {
                @let y = TOP + row_h * place as f64;
                text.tick x=(LEFT - 6.0) y=(at(y + row_h / 2.0)) dy="0.32em" text-anchor="end" { (clipped(&row.name)) }
                @for class in silent_classes(row) {
                    @let path: String = row.cells.iter().filter(|cell| cell.said.is_none() && cell.class == class)
                        .map(|cell| format!("M{} {}h{}v{}h-{}z", at(left(cell.day)), at(y + 1.0), at(cell_w), at(cell_h), at(cell_w)))
                        .collect();
                    path class=(class) d=(path) {}
                }
                @for cell in &row.cells {
                    @if let Some(said) = &cell.said {
                        rect class=(cell.class) x=(at(left(cell.day))) y=(at(y + 1.0)) width=(at(cell_w)) height=(at(cell_h)) { title { (said) } }
                    }
                }
            }
            @for (day, text) in plot::day_ticks(days, 0.0, days.len() as f64) {
                @let x = LEFT + width * (day + 0.5);
                @let anchor = if x > plot::WIDTH - 40.0 { "end" } else { "middle" };
                text.tick x=(at(x)) y=(at(height - 5.0)) text-anchor=(anchor) { (text) }
            }
        },
    )
}

fn silent_classes(row: &Row) -> Vec<&'static str> {
    let mut classes: Vec<&'static str> =
        row.cells.iter().filter(|cell| cell.said.is_none()).map(|cell| cell.class).collect();
    classes.sort_unstable();
    classes.dedup();
    classes
}

/// A long name would leave the picture.
fn clipped(name: &str) -> String {
    const MOST: usize = 18;
    if name.chars().count() <= MOST {
        return name.to_owned();
    }
    name.chars().take(MOST - 1).chain(['…']).collect()
}

/// Shares of each day, one above the other: `parts[class] = (class of the style, name, counts by place of the day)`.
pub(super) fn stack(frame: &Frame<'_>, parts: &[(&str, &str, Vec<u64>)], n_days: usize) -> Markup {
    let total = |day: usize| -> u64 {
        parts.iter().map(|(_, _, counts)| counts.get(day).copied().unwrap_or(0)).sum()
    };
    let width = (frame.px(1.0) - frame.px(0.0)).abs();
    let cell_w = if width > 3.0 { width - 0.6 } else { width };
    let mut below = vec![0u64; n_days];
    let mut paths = Vec::new();
    for (class, name, counts) in parts {
        let mut path = String::new();
        for (day, below) in below.iter_mut().enumerate() {
            let n = counts.get(day).copied().unwrap_or(0);
            let all = total(day);
            if n == 0 || all == 0 {
                continue;
            }
            let low = *below as f64 / all as f64;
            *below += n;
            let high = *below as f64 / all as f64;
            let (top, bottom) = (frame.py(high), frame.py(low));
            path.push_str(&format!(
                "M{} {}h{}v{}h-{}z",
                at(frame.px(day as f64) - cell_w / 2.0),
                at(top),
                at(cell_w),
                at((bottom - top).max(0.3)),
                at(cell_w)
            ));
        }
        let sum: u64 = counts.iter().sum();
        let all: u64 = (0..n_days).map(total).sum();
        let said = format!("{name}: {} of all days", percent(sum as f64 / all.max(1) as f64));
        paths.push((*class, path, said));
    }
    html! {
        @for (class, path, said) in paths { path class=(class) d=(path) { title { (said) } } }
    }
}

#[cfg(test)]
mod tests {
    use chrono::Days;

    use super::*;
    use crate::report::plot::{Axis, Unit};

    fn days(n: u64) -> Vec<NaiveDate> {
        let first = NaiveDate::from_ymd_opt(2026, 1, 1).expect("a day");
        (0..n).map(|day| first + Days::new(day)).collect()
    }

    #[test]
    fn quiet_cells_are_one_path_a_row_and_the_others_say_why() {
        let cell = |day: usize| Cell {
            day,
            class: if day == 3 { "w4" } else { "w0" },
            said: (day == 3).then(|| "z <9> & more".to_owned()),
        };
        let row =
            Row { name: "a_feature_with_a_long_name".into(), cells: (0..90).map(cell).collect() };
        let svg = grid("t", &days(90), &[row.clone(), row], 14.0).into_string();
        assert_eq!(svg.matches("<path").count(), 2);
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.contains("z &lt;9&gt; &amp; more") && svg.contains("a_feature_with_a_…"));
        assert!(!grid("t", &[], &[], 14.0).into_string().contains("NaN"));
    }

    #[test]
    fn the_shares_of_a_day_fill_it_and_a_day_without_answers_stays_empty() {
        let axis = |high| Axis { name: "", low: 0.0, high, unit: Unit::Unwritten };
        let frame = Frame { title: "t", height: 200.0, x: axis(3.0), y: axis(1.0) };
        let svg = stack(&frame, &[("f1", "buy", vec![1, 0, 2]), ("f2", "sell", vec![3, 0, 0])], 3);
        let svg = svg.into_string();
        // Buy on two days, sell on one.
        assert_eq!(svg.matches('M').count(), 3);
        assert!(!svg.contains("NaN"));
        let heights: f64 = svg
            .split('v')
            .skip(1)
            .filter_map(|piece| piece.split('h').next()?.parse::<f64>().ok())
            .sum();
        let whole = frame.py(0.0) - frame.py(1.0);
        assert!((heights - 2.0 * whole).abs() < 1.0, "{heights} of {whole}");
    }
}
