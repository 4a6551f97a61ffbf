//! Pages for people: one self-contained HTML file that a desk head would read. [`version_page`] is the page of a
//! version, made from a [`VersionReport`], [`daily_page`] that of a fine-tune, [`monthly_page`] the ranking, [`watch_page`]
//! what an operator watches.
//!
//! Invariant: a page needs nothing but itself (no network, no script, styles and plots inline), every text in it is
//! escaped, and a figure without a value says why. [`prometheus`] writes figures for a machine. Not here: where the figures come from (`jobs`).

mod charts;
mod daily;
mod days;
mod document;
mod gate;
mod monthly;
mod plot;
pub mod prometheus;
mod text;
mod verdict;
mod version;
mod watch;

pub use charts::{Epoch, Trading};
pub use daily::{DailyPage, MorningRow, daily_page};
pub use monthly::{MonthlyFirst, MonthlyPage, MonthlyRow, monthly_markdown, monthly_page};
pub use version::{FeatureRow, GapRow, PartRow, Quality, Rival, VersionReport, version_page};
pub use watch::{
    AlertText, BetsSeen, Calibrated, DayDrift, DayMeasured, DayReturned, DaySaid, DayState,
    JobDays, JobNow, LastLook, MemberSeen, MixtureSeen, MoveOn, ProductionNow, SeriesNow, Started,
    Told, TrialNow, Wanted, WatchPage, WindowNow, headline, watch_page,
};
