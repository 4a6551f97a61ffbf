//! ADWIN: a window over a stream that drops its older part when that has another mean (Bifet & Gavaldà 2007), with an exponential
//! histogram. Values are those of river's `AdaptiveWindowing` (tests/golden/streams_river.py).
//!
//! river's cut counts only what a window has beyond its shortest length, so it is a little wider than [`super::adwin_cut`].

use std::collections::VecDeque;

/// How a stream is watched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adwin {
    /// Confidence.
    pub delta: f64,
    /// Looks for a cut after so many values.
    pub clock: usize,
    /// Buckets of one size before two become one.
    pub max_buckets: usize,
    /// The shortest window on either side of a cut.
    pub min_window: usize,
    /// Values before the first look.
    pub grace: usize,
}

impl Default for Adwin {
    fn default() -> Self {
        Adwin { delta: 0.002, clock: 32, max_buckets: 5, min_window: 5, grace: 10 }
    }
}

/// Where a stream stands.
#[derive(Debug, Clone, PartialEq)]
pub struct AdwinState {
    /// Numbers of the values, from 1, at which the older part was dropped.
    pub cut_at: Vec<usize>,
    /// Values in the window.
    pub width: f64,
    /// Their mean; `None` of nothing.
    pub mean: Option<f64>,
}

/// A sum of values and of their squared distances to their mean.
type Bucket = (f64, f64);

/// The window; `rows[k]` holds buckets of 2ᵏ values, the oldest first in a row and the oldest rows last.
struct Window {
    rows: Vec<VecDeque<Bucket>>,
    width: f64,
    total: f64,
    squares: f64,
}

impl Adwin {
    /// Looks at a stream from its beginning.
    pub fn look(&self, stream: &[f64]) -> AdwinState {
        let mut window =
            Window { rows: vec![VecDeque::new()], width: 0.0, total: 0.0, squares: 0.0 };
        let mut cut_at = Vec::new();
        for (index, value) in stream.iter().enumerate() {
            window.insert(*value, self.max_buckets);
            let at = index + 1;
            if at % self.clock == 0 && window.width > self.grace as f64 {
                let mut cut = false;
                while self.is_cut(&window) {
                    window.drop_oldest();
                    cut = true;
                }
                if cut {
                    cut_at.push(at);
                }
            }
        }
        let mean = (window.width > 0.0).then(|| window.total / window.width);
        AdwinState { cut_at, width: window.width, mean }
    }

    /// Whether any cut between two buckets parts two means.
    fn is_cut(&self, window: &Window) -> bool {
        let (mut n_old, mut old) = (0.0, 0.0);
        for (power, row) in window.rows.iter().enumerate().rev() {
            for (place, (total, _)) in row.iter().enumerate() {
                n_old += size(power);
                old += total;
                if power == 0 && place + 1 == row.len() {
                    return false;
                }
                let n_new = window.width - n_old;
                let least = self.min_window as f64;
                if n_old < least || n_new < least {
                    continue;
                }
                let apart = (old / n_old - (window.total - old) / n_new).abs();
                let log = (2.0 * window.width.ln() / self.delta).ln();
                let beyond = |n: f64| 1.0 / (n - least + 1.0);
                let reciprocal = beyond(n_old) + beyond(n_new);
                let variance = window.squares / window.width;
                let bound =
                    (2.0 * reciprocal * variance * log).sqrt() + 2.0 / 3.0 * log * reciprocal;
                if apart > bound {
                    return true;
                }
            }
        }
        false
    }
}

impl Window {
    fn insert(&mut self, value: f64, max_buckets: usize) {
        self.rows[0].push_back((value, 0.0));
        self.width += 1.0;
        if self.width > 1.0 {
            let before = self.width - 1.0;
            self.squares += before * (value - self.total / before).powi(2) / self.width;
        }
        self.total += value;
        let mut power = 0;
        while self.rows[power].len() > max_buckets {
            let row = &mut self.rows[power];
            let (Some(first), Some(second)) = (row.pop_front(), row.pop_front()) else { return };
            let n = size(power);
            let between = n * (first.0 / n - second.0 / n).powi(2) / 2.0;
            if self.rows.len() == power + 1 {
                self.rows.push(VecDeque::new());
            }
            power += 1;
            self.rows[power].push_back((first.0 + second.0, first.1 + second.1 + between));
        }
    }

    fn drop_oldest(&mut self) {
        let n = size(self.rows.len() - 1);
        let Some((total, squares)) = self.rows.last_mut().and_then(VecDeque::pop_front) else {
            return;
        };
        self.width -= n;
        self.total -= total;
        let apart = total / n - self.total / self.width;
        self.squares -= squares + n * self.width * apart * apart / (n + self.width);
        while self.rows.len() > 1 && self.rows.last().is_some_and(VecDeque::is_empty) {
            self.rows.pop();
        }
    }
}

/// Values in a bucket of a row.
fn size(power: usize) -> f64 {
    2.0f64.powi(i32::try_from(power).unwrap_or(i32::MAX))
}
