//! What the page says: plain values, made by `jobs::watch_report`.

use chrono::{DateTime, NaiveDate, Utc};

use crate::evaluate::Bin;

/// Everything that the page says.
#[derive(Debug, Clone, Default)]
pub struct WatchPage {
    /// The line.
    pub line: String,
    /// The instant that the report took for now.
    pub as_of: DateTime<Utc>,
    /// Since when it looks back.
    pub from: DateTime<Utc>,
    /// The version that answers.
    pub production: Option<ProductionNow>,
    /// Alerts, open ones first.
    pub alerts: Vec<AlertText>,
    /// The last look of the monitor.
    pub last_look: Option<LastLook>,
    /// The jobs, in the order of a day.
    pub jobs: Vec<JobNow>,
    /// What trades brought, by day; days without a trade are left out.
    pub returns: Vec<DayReturned>,
    /// Trades in no sum: without a size or a result.
    pub n_unknown: u64,
    /// Which calls were bets, and what keeps others from being some.
    pub bets: BetsSeen,
    /// The networks that answer together; none where one answers alone.
    pub mixture: Option<MixtureSeen>,
    /// Moves of production, oldest first.
    pub moves: Vec<MoveOn>,
    /// Promotions that may yet be taken back, by the last look.
    pub probation: Vec<TrialNow>,
    /// Jobs that the last look wanted and did not start.
    pub held: Vec<Wanted>,
    /// Jobs that the monitor started, newest first.
    pub started: Vec<Started>,
    /// What the monitor measured, by day.
    pub measured: Vec<DayMeasured>,
    /// The last look's windows, shortest first.
    pub windows: Vec<WindowNow>,
    /// What the features looked like, by day.
    pub drift: Vec<DayDrift>,
    /// How far answers and what came agree, over the last look's longest window.
    pub calibration: Option<Calibrated>,
    /// What was answered, by day of the candle.
    pub said: Vec<DaySaid>,
    /// Each series of the line.
    pub series: Vec<SeriesNow>,
    /// What the jobs did, by day.
    pub calendar: Vec<JobDays>,
}

/// The version that answers.
#[derive(Debug, Clone)]
pub struct ProductionNow {
    /// Which.
    pub version: String,
    /// When it was made.
    pub made_at: DateTime<Utc>,
    /// When it came into production, where that is known.
    pub promoted_at: Option<DateTime<Utc>>,
    /// Accuracy on its test days.
    pub test_accuracy: Option<f64>,
}

/// An alert.
#[derive(Debug, Clone)]
pub struct AlertText {
    /// What it is about.
    pub cause: String,
    /// `info`, `warning` or `critical`.
    pub severity: String,
    /// For people.
    pub message: String,
    /// First seen.
    pub since: Option<DateTime<Utc>>,
    /// Gone since; none while it rings.
    pub resolved: Option<DateTime<Utc>>,
    /// How often it was seen.
    pub n_seen: i64,
}

/// The last look of the monitor.
#[derive(Debug, Clone)]
pub struct LastLook {
    /// When.
    pub at: DateTime<Utc>,
    /// `none`, or what rang.
    pub verdict: String,
}

/// A job.
#[derive(Debug, Clone)]
pub struct JobNow {
    /// The command.
    pub name: String,
    /// When it last ended well.
    pub last: Option<DateTime<Utc>>,
    /// That it is late, in words.
    pub overdue: Option<String>,
}

/// What the trades that closed on a day brought.
#[derive(Debug, Clone, Copy)]
pub struct DayReturned {
    /// The day.
    pub day: NaiveDate,
    /// Trades.
    pub n_trades: u64,
    /// Of those, the won ones.
    pub n_won: u64,
    /// Share of the account, each trade at its size.
    pub account_return: f64,
    /// Calls that closed, whatever their size.
    pub n_calls: u64,
    /// Share of the account that the same calls brought at equal size.
    pub equal_return: f64,
}

/// Calls and bets.
#[derive(Debug, Clone, Default)]
pub struct BetsSeen {
    /// Buys and sells by why they have no size, most first; no words: they have one.
    pub calls: Vec<(String, u64)>,
    /// The size that each call has in the account of equal sizes.
    pub equal_size: f64,
    /// How the account stands since the breaker began to count.
    pub breaker: String,
    /// Why nothing is staked now, where that is so.
    pub stopped: Option<String>,
}

/// A mixture and how its weights moved.
#[derive(Debug, Clone, Default)]
pub struct MixtureSeen {
    /// The class prior, then the networks in order of making, with the weights that hold now.
    pub members: Vec<MemberSeen>,
    /// By day from whose midnight they held: shares of the class prior and of each training, by its name.
    pub days: Vec<(NaiveDate, Vec<(String, f64)>)>,
}

/// A component of the mixture that answers.
#[derive(Debug, Clone)]
pub struct MemberSeen {
    /// `prior` or a version.
    pub name: String,
    /// Share of the answer.
    pub weight: f64,
    /// Settled answers of the period that it gave.
    pub n: u64,
    /// Its own mean log-loss on them, nats.
    pub log_loss: Option<f64>,
    /// That of the mixture on the same answers.
    pub of_mixture: Option<f64>,
}

/// A move of production.
#[derive(Debug, Clone)]
pub struct MoveOn {
    /// When.
    pub at: DateTime<Utc>,
    /// Whether it went back.
    pub is_rollback: bool,
    /// Production before.
    pub from: Option<String>,
    /// Production after.
    pub to: String,
    /// Who or what.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Against the gate.
    pub forced: bool,
}

/// A promotion that may yet be taken back.
#[derive(Debug, Clone)]
pub struct TrialNow {
    /// What was promoted.
    pub version: String,
    /// What it replaced.
    pub replaced: String,
    /// When.
    pub since: DateTime<Utc>,
    /// Whole days on which both have an answer; none where one of them cannot answer.
    pub n_days: Option<usize>,
    /// Nats a day that the promoted one saves, and half of the 95 % confidence sequence about it.
    pub saved: Option<(f64, Option<f64>)>,
    /// The least p so far of a version that is worth as much.
    pub p: Option<f64>,
    /// The day on which it was found to be worse, or why nothing can be said.
    pub verdict: String,
    /// Whether it was found to be worse.
    pub is_worse: bool,
}

/// A job that was wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// The command.
    pub job: String,
    /// Why.
    pub reason: String,
    /// Why it did not start.
    pub held: String,
}

/// A job that the monitor started.
#[derive(Debug, Clone)]
pub struct Started {
    /// When.
    pub at: DateTime<Utc>,
    /// The command.
    pub job: String,
    /// Why.
    pub reason: String,
    /// How it ended, as far as its row says.
    pub ended: Option<(DayState, String)>,
}

/// What the monitor measured over its longest window.
#[derive(Debug, Clone, Copy)]
pub struct DayMeasured {
    /// Day of the look.
    pub day: NaiveDate,
    /// Share right.
    pub accuracy: Option<f64>,
    /// Nats.
    pub log_loss: Option<f64>,
}

/// What the answers of a window were worth.
#[derive(Debug, Clone)]
pub struct WindowNow {
    /// Such as `7 days`.
    pub name: String,
    /// Answers.
    pub n: usize,
    /// Share right.
    pub accuracy: Option<f64>,
    /// Share that the indicator rule had right on the same samples.
    pub indicator_accuracy: Option<f64>,
    /// Nats.
    pub log_loss: Option<f64>,
    /// Return of the same answers as trades after costs.
    pub roi: Option<f64>,
    /// Share of those trades with a gain.
    pub win_rate: Option<f64>,
    /// Median time from the close of a candle to its answer, seconds.
    pub delay_s: Option<f64>,
}

/// The features on a day.
#[derive(Debug, Clone, Default)]
pub struct DayDrift {
    /// Day of the look.
    pub day: NaiveDate,
    /// Mean of z over the features.
    pub z: Option<f64>,
    /// Share of the reference's windows that lie as far off.
    pub p: Option<f64>,
    /// Name, z and p of each.
    pub features: Vec<(String, Option<f64>, Option<f64>)>,
    /// The kinds of evidence that rang.
    pub rings: Vec<String>,
    /// How well a classifier can tell the days from the reference.
    pub told: Option<Told>,
}

/// How well a classifier can tell the last days from the reference.
#[derive(Debug, Clone, Copy)]
pub struct Told {
    /// Area under its ROC curve.
    pub auc: f64,
    /// The median of the reference's own blocks of days.
    pub usual: f64,
    /// Share of those that can be told as well.
    pub p: f64,
}

/// How far answers and what came agree.
#[derive(Debug, Clone)]
pub struct Calibrated {
    /// When it was measured.
    pub at: DateTime<Utc>,
    /// The window, in words.
    pub window: String,
    /// Samples.
    pub n: usize,
    /// Answers of similar confidence.
    pub bins: Vec<Bin>,
    /// Expected calibration error.
    pub ece: f64,
    /// The 95th percentile of that of a calibrated model.
    pub ece_by_chance: f64,
}

/// How often a day's answers said something.
#[derive(Debug, Clone, Copy)]
pub struct DaySaid {
    /// Day of the candles.
    pub day: NaiveDate,
    /// Buy, sell, hold, no answer, something else.
    pub n: [u64; 5],
}

/// A series of candles.
#[derive(Debug, Clone)]
pub struct SeriesNow {
    /// Pair and timeframe.
    pub name: String,
    /// Closing of the last candle.
    pub closed_at: Option<DateTime<Utc>>,
    /// Candles that should have come since.
    pub n_missing: usize,
    /// What the last collect said of it.
    pub quality: Option<(String, DateTime<Utc>)>,
}

/// A job over the days.
#[derive(Debug, Clone)]
pub struct JobDays {
    /// The command.
    pub name: String,
    /// Days on which it ran, or should have.
    pub days: Vec<(NaiveDate, DayState, String)>,
}

/// How a job's day ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DayState {
    /// It did its work.
    Done,
    /// It did its work, and the gate said no.
    Refused,
    /// It rightly did nothing.
    Skipped,
    /// It is at work.
    Running,
    /// It failed, or its process died.
    Failed,
    /// It was due and nothing ran.
    Missed,
}

impl DayState {
    pub(super) const ALL: [DayState; 6] = [
        DayState::Done,
        DayState::Refused,
        DayState::Skipped,
        DayState::Running,
        DayState::Failed,
        DayState::Missed,
    ];

    /// Class of the style.
    pub(super) fn class(self) -> &'static str {
        match self {
            DayState::Done => "jdone",
            DayState::Refused => "jrefused",
            DayState::Skipped => "jskipped",
            DayState::Running => "jrunning",
            DayState::Failed => "jfailed",
            DayState::Missed => "jmissed",
        }
    }

    /// In a word.
    pub(super) fn name(self) -> &'static str {
        match self {
            DayState::Done => "done",
            DayState::Refused => "done, gate said no",
            DayState::Skipped => "rightly skipped",
            DayState::Running => "running",
            DayState::Failed => "failed",
            DayState::Missed => "missed",
        }
    }
}
