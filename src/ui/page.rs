//! [`Page`]: text for people, line by line, with the few shapes that reports need.

use anstyle::{AnsiColor, Style};
use unicode_width::UnicodeWidthStr;

/// What a piece of text means; a terminal with colour shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    Plain,
    /// A heading.
    Strong,
    /// As hoped.
    Good,
    /// Look here.
    Warn,
    /// Wrong.
    Bad,
    /// Of less weight.
    Dim,
}

/// A report under construction.
#[derive(Debug)]
pub struct Page {
    text: String,
    colour: bool,
}

impl Page {
    pub(super) fn new(colour: bool) -> Self {
        Page { text: String::new(), colour }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Text with a tone, for use inside a line.
    pub fn paint(&self, tone: Tone, text: &str) -> String {
        let colour = |colour: AnsiColor| Style::new().fg_color(Some(colour.into()));
        let style = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Strong => Style::new().bold(),
            Tone::Good => colour(AnsiColor::Green),
            Tone::Warn => colour(AnsiColor::Yellow),
            Tone::Bad => colour(AnsiColor::Red).bold(),
            Tone::Dim => Style::new().dimmed(),
        };
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }

    /// One line.
    pub fn line(&mut self, text: impl AsRef<str>) {
        self.text.push_str(super::printable_line(text.as_ref(), self.colour).as_ref());
        self.text.push('\n');
    }

    /// One line with a tone.
    pub fn toned(&mut self, tone: Tone, text: impl AsRef<str>) {
        let painted = self.paint(tone, text.as_ref());
        self.line(painted);
    }

    /// `name   value`, names in one column.
    pub fn field(&mut self, name: &str, value: impl AsRef<str>) {
        let name = format!("{name:<18}");
        let name = self.paint(Tone::Dim, &name);
        self.line(format!("  {name} {}", value.as_ref()));
    }

    /// What went wrong with some of many, of which `n` did and the first are named.
    pub fn problems(&mut self, named: &[String], n: usize) {
        for problem in named {
            self.toned(Tone::Warn, format!("  {problem}"));
        }
        if n > named.len() {
            self.line(format!("  and {} more", n - named.len()));
        }
    }

    /// An empty line.
    pub fn gap(&mut self) {
        self.text.push('\n');
    }

    /// A table: the first column to the left, `right` columns to the right as numbers are.
    pub fn table(&mut self, header: &[&str], right: &[usize], rows: &[Vec<String>]) {
        let width = |column: usize| {
            rows.iter()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.width())
                .chain(header.get(column).map(|cell| cell.width()))
                .max()
                .unwrap_or(0)
        };
        let widths: Vec<usize> = (0..header.len()).map(width).collect();
        let render = |cells: Vec<&str>| {
            let mut line = String::from(" ");
            for (column, cell) in cells.iter().enumerate() {
                let fill = " ".repeat(widths[column].saturating_sub(cell.width()));
                line.push(' ');
                if right.contains(&column) {
                    line.push_str(&fill);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&fill);
                }
                line.push(' ');
            }
            line.trim_end().to_owned()
        };
        let head = render(header.to_vec());
        self.toned(Tone::Dim, head);
        for row in rows {
            let mut cells: Vec<&str> = row.iter().map(String::as_str).collect();
            cells.resize(header.len(), "");
            let line = render(cells);
            self.line(line);
        }
    }
}
