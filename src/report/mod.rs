//! HTML pages with plots: self-contained, light and dark, nothing fetched, nothing run.
//!
//! [`version_page`] is the page of one version. Every text goes through maud, which escapes it. Not here: the figures.

mod plot;
mod version;

pub use version::{EpochLoss, VersionReport, version_page};
