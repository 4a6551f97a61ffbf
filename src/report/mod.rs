//! Pages for people: one self-contained HTML file that a desk head would read. [`version_page`] is the page of a
//! version, made from a [`VersionReport`], [`daily_page`] that of a fine-tune.
//!
//! Invariant: a page needs nothing but itself (no network, no script, styles and plots inline), every text in it is
//! escaped, and a figure without a value says why. Not here: where the figures come from (`jobs`).

mod daily;
mod gate;
mod plot;
mod text;
mod verdict;
mod version;

pub use daily::{DailyPage, MorningRow, daily_page};
pub use version::{
    Epoch, FeatureRow, GapRow, PartRow, Quality, Rival, Trading, VersionReport, version_page,
};
