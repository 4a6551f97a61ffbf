//! What the figures say, in words: never more than the days allow. Not here: whether it is good enough (`gate`).

use super::{
    text::{count, number, percent, signed},
    version::{Rival, VersionReport},
};
use crate::evaluate::Interval;

/// An answer share above which a model says the same to everything (DESIGN section 11).
const COLLAPSED: f64 = 0.95;
/// A class share above which a label hardly tells anything (DESIGN section 7).
const ONE_SIDED: f64 = 0.90;

/// How a verdict looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Good,
    Open,
    Bad,
}

/// The headline and the sentences under it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict {
    pub(super) mood: Mood,
    pub(super) headline: String,
    pub(super) sentences: Vec<String>,
}

/// How the model stands against one baseline on log-loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Better,
    Open,
    Worse,
    TooFewDays,
}

fn standing(interval: Option<&Interval>) -> Standing {
    match interval {
        None => Standing::TooFewDays,
        Some(interval) if interval.low > 0.0 => Standing::Better,
        Some(interval) if interval.high < 0.0 => Standing::Worse,
        Some(_) => Standing::Open,
    }
}

pub(super) fn verdict(report: &VersionReport) -> Verdict {
    let standings: Vec<(&Rival, Standing)> = report
        .rivals
        .iter()
        .map(|rival| (rival, standing(rival.comparison.log_loss.as_ref())))
        .collect();
    let names = |wanted: Standing| {
        let named = standings.iter().filter(|(_, standing)| *standing == wanted);
        named.map(|(rival, _)| format!("the {}", rival.title)).collect::<Vec<_>>().join(" and ")
    };
    let all = |wanted: Standing| {
        !standings.is_empty() && standings.iter().all(|(_, standing)| *standing == wanted)
    };
    let any = |wanted: Standing| standings.iter().any(|(_, standing)| *standing == wanted);
    let days = report.test.n_days;
    let (mood, headline) = if let Some(class) = collapsed(report) {
        (Mood::Bad, format!("It answers “{class}” to nearly everything"))
    } else if any(Standing::Worse) {
        (Mood::Bad, format!("Worse than {} on days it had not seen", names(Standing::Worse)))
    } else if any(Standing::TooFewDays) || standings.is_empty() {
        (Mood::Open, format!("Not enough evidence: {days} unseen trading days"))
    } else if all(Standing::Better) {
        (Mood::Good, format!("Better than {} on days it had not seen", names(Standing::Better)))
    } else if any(Standing::Better) {
        let better = names(Standing::Better);
        (Mood::Open, format!("Better than {better}, not shown against {}", names(Standing::Open)))
    } else {
        (Mood::Open, format!("No better than its baselines, as far as {days} days can tell"))
    };
    let mut sentences: Vec<String> = standings.iter().map(|(rival, _)| sentence(rival)).collect();
    sentences.extend(calibration(report));
    sentences.extend(trading(report));
    Verdict { mood, headline, sentences }
}

fn sentence(rival: &Rival) -> String {
    let comparison = &rival.comparison;
    let days = comparison.n_days;
    let Some(loss) = &comparison.log_loss else {
        return format!(
            "Against the {}: {days} trading days are too few to compare on; five are the least.",
            rival.title
        );
    };
    let interval = format!(
        "{} nats a sample (95 % interval {} to {}, {days} trading days)",
        signed(loss.mean, 4),
        signed(loss.low, 4),
        signed(loss.high, 4),
    );
    let accuracy = comparison.accuracy.as_ref().map_or_else(String::new, |accuracy| {
        format!("; accuracy {} points", signed(accuracy.mean * 100.0, 1))
    });
    let told = match standing(Some(loss)) {
        Standing::Better => "its log-loss is better",
        Standing::Worse => "its log-loss is worse",
        _ => "its log-loss cannot be told apart",
    };
    let needed = match (standing(Some(loss)), comparison.days_needed) {
        (Standing::Open, Some(needed)) => format!(
            ". To see a difference of this size, about {} days would be needed",
            count(usize::try_from(needed).unwrap_or(usize::MAX))
        ),
        _ => String::new(),
    };
    format!("Against the {}: {told}, saving {interval}{accuracy}{needed}.", rival.title)
}

fn calibration(report: &VersionReport) -> Option<String> {
    let test = &report.test;
    let beyond = test.ece > test.ece_null.p95;
    beyond.then(|| {
        format!(
            "Its confidence is off by {} on average; a calibrated model would stay below {} on as many samples.",
            percent(test.ece),
            percent(test.ece_null.p95)
        )
    })
}

fn trading(report: &VersionReport) -> Option<String> {
    let figures = &report.trading.first()?.backtest.figures;
    let roi = figures.roi?;
    let (words, trades) = (if roi > 0.0 { "gained" } else { "lost" }, count(figures.n_trades));
    let sharpe = match (figures.sharpe, figures.sharpe_se) {
        (Some(sharpe), Some(error)) => {
            format!(", Sharpe {} ± {}", number(sharpe, 2), number(error, 2))
        }
        _ => String::new(),
    };
    Some(match figures.n_trades {
        0 => "It made no trade over the test days.".to_owned(),
        _ => format!(
            "Traded after costs over the test days it {words} {} in {trades} trades{sharpe}; too few days to decide anything by.",
            percent(roi.abs())
        ),
    })
}

/// The class that the model answers to nearly everything, if there is one.
pub(super) fn collapsed(report: &VersionReport) -> Option<&str> {
    largest(&report.test.answer_shares, COLLAPSED)
        .and_then(|class| report.classes.get(class))
        .map(String::as_str)
}

/// The class that nearly all training samples have, if there is one.
pub(super) fn one_sided(report: &VersionReport) -> Option<(&str, f64)> {
    let shares = &report.train.truth_shares;
    let class = largest(shares, ONE_SIDED)?;
    Some((report.classes.get(class)?, *shares.get(class)?))
}

fn largest(shares: &[f64], above: f64) -> Option<usize> {
    shares.iter().position(|share| *share > above)
}
