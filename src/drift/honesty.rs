//! How often drift rings where nothing has changed, and how soon where something has: [`run`] plays simulated months, hour by
//! hour, through [`Calibration::judge`], as `monitor` does, and counts.
//!
//! Two worlds. *Indicators*: columns with a memory of .5 to .97 an hour, half of them sharing a factor, all of them a volatility
//! that clusters. *Candles*: the market of `simulate` without an edge, through the features of `v1`. What is changed, and when, is
//! known. Not here: judging (the other files), the textbook's rules on the same rows (`scripts/bench_drift.sh`).

use chrono::{DateTime, Datelike, Days, NaiveDate, Utc, Weekday};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use rayon::prelude::*;
use serde::Serialize;

use super::{CALM_HOURS, Calibration, Kind, Look, Rows, Verdict, concept::LossReference};
use crate::{
    features::{self, V1},
    market::{Candles, Pair, Timeframe, calendar, instant},
    simulate::{self, SimulateConfig},
    stats::{self, Proportion},
};

const HOURS: usize = 24;
/// Trading days in 90 days of the calendar: the reference.
const REFERENCE_DAYS: usize = 64;
/// Trading days in 30 days of the calendar: what is watched.
const WATCHED_DAYS: usize = 22;
/// Hours that a change may take to be found.
const WITHIN: usize = 3 * HOURS;
/// Memory of the log volatility an hour, and its standard deviation.
const VOLATILITY_MEMORY: f64 = 0.97;
const VOLATILITY_SD: f64 = 0.2;
/// Share of the factor's variance, and of the log volatility's, that the pairs have in common.
const COMMON: f64 = 0.4;
const COMMON_VOLATILITY: f64 = 0.5;
/// Hours before the reference that the worlds take to forget how they began.
const WARM_UP: usize = 600;
/// The pairs of a line.
const PAIRS: [&str; 5] = ["EUR/USD", "GBP/USD", "USD/JPY", "AUD/USD", "USD/CAD"];
/// Where the candles end: a Friday at 21:00 UTC.
const END_US: i64 = 1_761_944_400_000_000;

/// What is done to a market, from one hour on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Nothing.
    None,
    /// Returns, or what is new in each indicator, become so many times as large.
    Volatility(f64),
    /// So many features, picked anew each time, rise by so many standard deviations of the reference.
    Shift(usize, f64),
    /// One feature repeats its last value, in all pairs.
    Frozen,
    /// High and low lie further out by this part of the mean range each: a vendor whose spread is wider.
    Spread(f64),
}

/// Where it is done.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum World {
    /// Columns of indicators: how many features, of how many pairs.
    Indicators(usize, usize),
    /// Candles, so many pairs, through the 38 features of `v1`.
    Candles(usize),
}

/// What came of a market in which nothing changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Quiet {
    /// Which world.
    pub world: World,
    /// Months that were watched.
    pub months: usize,
    /// Looks, one an hour.
    pub looks: usize,
    /// Share of the looks that rang.
    pub ringing: f64,
    /// Alarms a month: from the look that rings until nothing has for [`CALM_HOURS`].
    pub alarms_a_month: f64,
    /// Months with more than one.
    pub months_with_more: usize,
    /// Share of the looks that rang, by kind of evidence.
    pub by_kind: Vec<(Kind, f64)>,
}

/// How a change was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Found {
    /// What was done.
    pub change: Change,
    /// Where.
    pub world: World,
    /// How often it was done.
    pub n: usize,
    /// Share found within three days.
    pub share: f64,
    /// 95 % interval of it (Wilson).
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// Hours until half of all were found; none where fewer than half were.
    pub median_delay_hours: Option<usize>,
    /// Share found by each kind of evidence.
    pub by_kind: Vec<(Kind, f64)>,
    /// Whether it has to be found in 95 of 100.
    pub must: bool,
}

/// What came of everything.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Honesty {
    /// Markets in which nothing changed.
    pub quiet: Vec<Quiet>,
    /// Markets in which something did.
    pub found: Vec<Found>,
    /// The daily loss of a model with a clear edge, its labels flipped or not.
    pub concept: Concept,
}

/// How the daily loss was watched.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Concept {
    /// Markets, each with ten test days.
    pub n: usize,
    /// Share right before the flip, all markets together.
    pub accuracy: f64,
    /// Share found within thirty days of the flip.
    pub share: f64,
    /// Trading days until half of all were found; none where fewer were.
    pub median_delay_days: Option<usize>,
    /// Mean days to a false alarm, those that never rang with all of their [`QUIET_DAYS`].
    pub false_alarm_days: f64,
    /// Share of quiet markets that rang within twenty-two days: what a line sees a month at most.
    pub false_alarms_a_month: f64,
}

/// Days that a market without a flip is watched.
pub const QUIET_DAYS: usize = 500;
/// Test days that the loss is held against.
const TEST_DAYS: usize = 10;
/// Days that a flip is looked for.
const FLIPPED_DAYS: usize = 30;
/// Spread of the model's log odds: right in two of three.
const EDGE: f64 = 1.0;
/// How much of the log odds is left after an hour, and of what makes labels overlap.
const PERSISTENCE: f64 = 0.9;
const OVERLAP: f64 = 0.75;

/// Plays `months` quiet months of each world, and half as many of each change; the same seed gives the same counts on any number
/// of threads.
pub fn run(months: usize, seed: u64) -> Honesty {
    let (line, one, ten) =
        (World::Indicators(38, 5), World::Indicators(38, 1), World::Indicators(10, 5));
    let candles = World::Candles(5);
    let quiet = [line, ten, candles, one].map(|world| quiet(world, months, seed)).to_vec();
    let cases = [
        (Change::Volatility(2.0), line, true),
        (Change::Volatility(2.0), candles, true),
        (Change::Shift(3, 2.0), line, true),
        (Change::Shift(3, 2.0), candles, true),
        (Change::Shift(1, 2.0), ten, true),
        (Change::Frozen, line, true),
        (Change::Frozen, candles, true),
        (Change::Spread(0.25), candles, true),
        (Change::Spread(0.1), candles, false),
        (Change::Shift(3, 1.0), line, false),
        (Change::Shift(3, 1.0), candles, false),
        (Change::Volatility(2.0), one, false),
        (Change::Shift(3, 2.0), one, false),
    ];
    let found =
        cases.map(|(change, world, must)| found(change, world, must, months.div_ceil(2), seed));
    Honesty { quiet, found: found.to_vec(), concept: concept(months, seed) }
}

/// A quiet month as [`run`] plays it, and its rows of reference: for the textbook's rules on the same rows.
pub fn month(world: World, seed: u64, month: u64) -> (Rows, usize) {
    let market = Market::of(world, Change::None, stream(seed, 0, month));
    (market.rows, market.watched)
}

/// Ten test days of a model with a clear edge, then days of the same or of flipped labels.
fn concept(n: usize, seed: u64) -> Concept {
    let all: Vec<(f64, Option<usize>, Option<usize>)> = (0..n as u64)
        .into_par_iter()
        .map(|market| {
            let mut rng = ChaCha8Rng::seed_from_u64(stream(seed, 2, market));
            let (test, right) = losses(&mut rng, TEST_DAYS, false);
            let reference = LossReference::of(&test, seed).expect("ten days that differ");
            // Some quiet days come first, as they do to a model that works.
            let quiet = losses(&mut rng, QUIET_DAYS, false).0;
            let flipped = losses(&mut rng, FLIPPED_DAYS, true).0;
            let stream = [&quiet[..5], &flipped[..]].concat();
            let found = reference.look(&stream).fired_on.filter(|day| *day > 5).map(|day| day - 5);
            (right, found, reference.look(&quiet).fired_on)
        })
        .collect();
    let mut delays: Vec<usize> = all.iter().filter_map(|one| one.1).collect();
    delays.sort_unstable();
    let n_f = n.max(1) as f64;
    let quiet = |day: Option<usize>| day.unwrap_or(QUIET_DAYS) as f64;
    Concept {
        n,
        accuracy: all.iter().map(|one| one.0).sum::<f64>() / n_f,
        share: delays.len() as f64 / n_f,
        median_delay_days: delays.get(n / 2).copied(),
        false_alarm_days: all.iter().map(|one| quiet(one.2)).sum::<f64>() / n_f,
        false_alarms_a_month: all
            .iter()
            .filter(|one| one.2.is_some_and(|day| day <= WATCHED_DAYS))
            .count() as f64
            / n_f,
    }
}

/// Mean log-loss a day of a calibrated model of two classes, five pairs an hour, and the share right; flipped: the other class came.
fn losses(rng: &mut ChaCha8Rng, n_days: usize, flipped: bool) -> (Vec<f64>, f64) {
    let (mut odds, mut latent) = ([0.0; PAIRS.len()], [0.0; PAIRS.len()]);
    let lasting = |before: f64, memory: f64, rng: &mut ChaCha8Rng| {
        memory * before + (1.0 - memory * memory).sqrt() * normal(rng)
    };
    let mut n_right = 0usize;
    let days = (0..n_days)
        .map(|_| {
            let mut sum = 0.0;
            for _ in 0..HOURS {
                for (odds, latent) in odds.iter_mut().zip(&mut latent) {
                    *odds = lasting(*odds, PERSISTENCE, rng);
                    *latent = lasting(*latent, OVERLAP, rng);
                    let up = 1.0 / (1.0 + (-2.0 * EDGE * *odds).exp());
                    let came = (stats::normal_cdf(*latent) < up) != flipped;
                    sum -= if came { up } else { 1.0 - up }.ln();
                    n_right += usize::from(came == (up > 0.5));
                }
            }
            sum / (HOURS * PAIRS.len()) as f64
        })
        .collect();
    (days, n_right as f64 / (n_days * HOURS * PAIRS.len()).max(1) as f64)
}

/// A market that is watched.
struct Market {
    rows: Rows,
    /// First row after the reference, after the change, and the rows of an hour.
    watched: usize,
    changed: usize,
    hour: usize,
    calibration: Calibration,
}

impl Market {
    fn of(world: World, change: Change, seed: u64) -> Market {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (n_pairs, n_features) = match world {
            World::Indicators(n_features, n_pairs) => (n_pairs, n_features),
            World::Candles(n_pairs) => (n_pairs, V1.features.len()),
        };
        let watched = REFERENCE_DAYS * HOURS;
        // On the fifth day or the sixth.
        let changed = watched + rng.random_range(4 * HOURS..5 * HOURS);
        let n = watched + WATCHED_DAYS * HOURS;
        let mut rows = match world {
            World::Indicators(..) => indicators(&mut rng, n_features, n_pairs, n, change, changed),
            World::Candles(_) => candles(rng.random(), n_pairs, n, change, changed),
        };
        let mut left: Vec<usize> = (0..n_features).collect();
        // A clock cannot move, and freezing one is not what is meant.
        left.retain(|feature| {
            !matches!(world, World::Candles(_)) || *feature < V1.features.len() - 4
        });
        let mut pick = || left.swap_remove(rng.random_range(0..left.len()));
        match change {
            Change::Shift(n_moved, by) => {
                for _ in 0..n_moved {
                    let column = &mut rows.columns[pick()];
                    let sd = stats::sample_sd(&column[..watched * n_pairs]).unwrap_or(0.0);
                    column[changed * n_pairs..].iter_mut().for_each(|value| *value += by * sd);
                }
            }
            Change::Frozen => {
                let column = &mut rows.columns[pick()];
                for row in changed * n_pairs..column.len() {
                    column[row] = column[row - n_pairs];
                }
            }
            Change::None | Change::Volatility(_) | Change::Spread(_) => {}
        }
        let head = Rows {
            columns: rows.columns.iter().map(|one| one[..watched * n_pairs].to_vec()).collect(),
            days: rows.days[..watched * n_pairs].to_vec(),
            series: rows.series[..watched * n_pairs].to_vec(),
        };
        let names: Vec<String> = (0..n_features).map(|feature| feature.to_string()).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let calibration = Calibration::of(&names, &head).expect("ninety days hold windows enough");
        let (watched, changed) = (watched * n_pairs, changed * n_pairs);
        Market { rows, watched, changed, hour: n_pairs, calibration }
    }

    /// What a look at each hour from row `from` to row `to` finds.
    fn looks(&self, from: usize, to: usize) -> Vec<Vec<Kind>> {
        let prepared = self.calibration.prepare(&self.rows).expect("its own rows");
        let back = self.calibration.step().div_ceil(self.hour);
        let verdicts: Vec<Verdict> = (from - back * self.hour..=to)
            .step_by(self.hour)
            .map(|end| self.calibration.judge(&prepared, end).expect("rows enough"))
            .collect();
        let ringing = |at: usize| {
            let look = Look { verdict: verdicts[at].clone(), before: verdicts[at - back].clone() };
            look.ringing().map(|one| one.kind).collect()
        };
        (back..verdicts.len()).map(ringing).collect()
    }
}

fn quiet(world: World, months: usize, seed: u64) -> Quiet {
    let all: Vec<Vec<Vec<Kind>>> = (0..months as u64)
        .into_par_iter()
        .map(|month| {
            let market = Market::of(world, Change::None, stream(seed, 0, month));
            market.looks(market.watched + market.hour, market.rows.len())
        })
        .collect();
    let alarms = |month: &Vec<Vec<Kind>>| {
        // A look is taken each hour.
        let calm = |at: usize| month[at.saturating_sub(CALM_HOURS)..at].iter().all(Vec::is_empty);
        let begins = |at: usize| !month[at].is_empty() && calm(at);
        (0..month.len()).filter(|at| begins(*at)).count()
    };
    let n_looks: usize = all.iter().map(Vec::len).sum();
    let share = |of: &dyn Fn(&Vec<Kind>) -> bool| {
        all.iter().flatten().filter(|look| of(look)).count() as f64 / n_looks.max(1) as f64
    };
    Quiet {
        world,
        months,
        looks: n_looks,
        ringing: share(&|look| !look.is_empty()),
        alarms_a_month: all.iter().map(alarms).sum::<usize>() as f64 / months.max(1) as f64,
        months_with_more: all.iter().filter(|month| alarms(month) > 1).count(),
        by_kind: Kind::ALL.map(|kind| (kind, share(&|look| look.contains(&kind)))).to_vec(),
    }
}

fn found(change: Change, world: World, must: bool, n: usize, seed: u64) -> Found {
    let all: Vec<Vec<Vec<Kind>>> = (0..n as u64)
        .into_par_iter()
        .map(|month| {
            let market = Market::of(world, change, stream(seed, 1, month));
            let last = market.changed + WITHIN * market.hour;
            market.looks(market.changed + market.hour, last)
        })
        .collect();
    let mut delays: Vec<usize> = all
        .iter()
        .filter_map(|looks| looks.iter().position(|look| !look.is_empty()))
        .map(|at| at + 1)
        .collect();
    delays.sort_unstable();
    let proportion = Proportion { n_hits: delays.len() as u64, n: n as u64 };
    let (low, high) = proportion.wilson(0.95).unwrap_or((0.0, 1.0));
    let by = |kind: Kind| {
        let hit = |looks: &&Vec<Vec<Kind>>| looks.iter().any(|look| look.contains(&kind));
        all.iter().filter(hit).count() as f64 / n.max(1) as f64
    };
    Found {
        change,
        world,
        n,
        share: proportion.share().unwrap_or(0.0),
        low,
        high,
        // Those that were not found count as later than all that were.
        median_delay_hours: delays.get(n / 2).copied(),
        by_kind: Kind::ALL.map(|kind| (kind, by(kind))).to_vec(),
        must,
    }
}

/// A seed of its own for each market; those with a change are others than those without.
fn stream(seed: u64, part: u64, month: u64) -> u64 {
    seed.wrapping_mul(1_000_003).wrapping_add(part * 500_009 + month)
}

/// Columns of indicators of `n` hours.
fn indicators(
    rng: &mut ChaCha8Rng,
    n_features: usize,
    n_pairs: usize,
    n: usize,
    change: Change,
    changed: usize,
) -> Rows {
    let mut volatility = vec![0.0; n_pairs + 1];
    let mut state = vec![vec![0.0; n_features]; n_pairs];
    let mut columns = vec![Vec::with_capacity(n * n_pairs); n_features];
    let shock = VOLATILITY_SD * (1.0 - VOLATILITY_MEMORY * VOLATILITY_MEMORY).sqrt();
    for hour in 0..n + WARM_UP {
        for one in &mut volatility {
            *one = VOLATILITY_MEMORY * *one + shock * normal(rng);
        }
        let common = normal(rng);
        for (pair, state) in state.iter_mut().enumerate() {
            let factor = COMMON.sqrt() * common + (1.0 - COMMON).sqrt() * normal(rng);
            let mut scale = (COMMON_VOLATILITY.sqrt() * volatility[0]
                + (1.0 - COMMON_VOLATILITY).sqrt() * volatility[pair + 1])
                .exp();
            if let Change::Volatility(times) = change
                && hour >= changed + WARM_UP
            {
                scale *= times;
            }
            for (feature, value) in state.iter_mut().enumerate() {
                let memory = 0.5 + 0.47 * feature as f64 / (n_features - 1) as f64;
                let own = normal(rng);
                let new = if feature % 2 == 0 { (factor + own) / 2.0f64.sqrt() } else { own };
                *value = memory * *value + (1.0 - memory * memory).sqrt() * scale * new;
                if hour >= WARM_UP {
                    columns[feature].push(*value);
                }
            }
        }
    }
    let mut day = NaiveDate::from_ymd_opt(2018, 1, 1).unwrap_or_default();
    let (mut days, mut series) = (Vec::new(), Vec::new());
    for hour in 0..n {
        if hour > 0 && hour % HOURS == 0 {
            let to_next = if day.weekday() == Weekday::Fri { 3 } else { 1 };
            day = day + Days::new(to_next);
        }
        days.extend(std::iter::repeat_n(day, n_pairs));
        series.extend(0..n_pairs);
    }
    Rows { columns, days, series }
}

/// Features of simulated candles of `n` hours.
fn candles(seed: u64, n_pairs: usize, n: usize, change: Change, changed: usize) -> Rows {
    let pairs: Vec<Pair> = PAIRS[..n_pairs].iter().filter_map(|pair| pair.parse().ok()).collect();
    let config = SimulateConfig {
        pairs,
        timeframe: Timeframe::Hour1,
        n_candles: n + WARM_UP,
        seed,
        edge: 0.0,
        drift: 0.0,
        end_us: END_US,
    };
    let as_of: DateTime<Utc> = instant(END_US);
    let from = changed + WARM_UP;
    let all: Vec<Candles> = simulate::market(&config)
        .into_iter()
        .map(|made| {
            let mut columns = made.columns;
            let ranges: Vec<f64> =
                columns.high.iter().zip(&columns.low).map(|(high, low)| high - low).collect();
            let usual = stats::mean(&ranges[..from]).unwrap_or(0.0);
            let prices =
                (&mut columns.open, &mut columns.high, &mut columns.low, &mut columns.close);
            let (open, high, low, close) = prices;
            match change {
                Change::Volatility(times) => {
                    // Every price after the change, as far again from the last one before it.
                    let fixed = close[from - 1];
                    for column in [open, high, low, close] {
                        let further =
                            |price: &mut f64| *price = fixed * (*price / fixed).powf(times);
                        column[from..].iter_mut().for_each(further);
                    }
                }
                Change::Spread(part) => {
                    high[from..].iter_mut().for_each(|price| *price += part * usual);
                    low[from..].iter_mut().for_each(|price| *price -= part * usual);
                }
                Change::None | Change::Shift(..) | Change::Frozen => {}
            }
            Candles::new(made.pair, Timeframe::Hour1, as_of, columns)
                .expect("what is moved stays a candle")
        })
        .collect();
    let features = features::compute_all(&V1, &all);
    let column = |feature: usize| {
        let of_row = |row: usize| features.iter().map(move |one| one.columns[feature][row]);
        (WARM_UP..n + WARM_UP).flat_map(of_row).collect()
    };
    let closes: Vec<i64> = (WARM_UP..n + WARM_UP)
        .flat_map(|row| all.iter().map(move |candles| candles.close_at_us(row)))
        .collect();
    Rows {
        columns: (0..V1.features.len()).map(column).collect(),
        days: calendar::trading_days(&closes),
        series: (0..n).flat_map(|_| 0..n_pairs).collect(),
    }
}

fn normal(rng: &mut ChaCha8Rng) -> f64 {
    rng.sample(StandardNormal)
}
