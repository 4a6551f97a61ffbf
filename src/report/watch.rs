//! `aifx report`: what an operator should know of a line, on one page. [`WatchPage`] in, one self-contained HTML page out.
//!
//! Everything in it came from tables that other programs may write to: every text is escaped by the writer, and what is not
//! there is said in words. Not here: gathering it (`jobs::watch_report`).

mod page;

pub use page::{
    AlertText, BetsSeen, Calibrated, DayDrift, DayMeasured, DayReturned, DaySaid, DayState,
    JobDays, JobNow, LastLook, MemberSeen, MixtureSeen, MoveOn, ProductionNow, SeriesNow, Started,
    Told, TrialNow, Wanted, WatchPage, WindowNow,
};

use chrono::{DateTime, NaiveDate, Utc};
use maud::{Markup, html};

use super::{
    charts::{self, Reliability, legend},
    days::{self, Cell, Row},
    document::document,
    plot::{Axis, Frame, Unit},
    text::{count, day, minute, number, or_why, percent, signed_percent},
};

const STYLE: &str = concat!(include_str!("version.css"), include_str!("watch.css"));
/// Names of moves that still fit beside each other on the equity line.
const NAMED_MOVES: usize = 6;
/// Room that a name in a plot takes, in its units.
const NAME_WIDTH: f64 = 44.0;
const NAME_HEIGHT: f64 = 13.0;
/// Rows of a list that are in sight at once; the others are folded away.
const IN_SIGHT: usize = 12;
/// Answers by what they said, in the order of [`DaySaid::n`]: class of the style, name.
const ANSWERS: [(&str, &str); 5] =
    [("f1", "buy"), ("f2", "sell"), ("hold", "hold"), ("gone", "no answer"), ("bad", "other")];

/// The page, complete.
pub fn watch_page(page: &WatchPage) -> String {
    let title = format!("{}: the watch", page.line);
    let days = span(page);
    document(
        &title,
        STYLE,
        &html! {
                    header {
                        h1 { (title) }
                        p { "as of " (minute(page.as_of)) " UTC, looking back to " (day(page.from)) }
                    }
                    (head(page))
                    (tiles(page))
                    (ringing(page))
                    h2 { "Results" }
                    div.grid { (equity(page, &days)) (accuracy(page, &days)) }
                    (windows(page))
                    (bets(page))
                    (mixture(page, &days))
                    (moves(page))
                    (probation(page))
                    h2 { "What it answers" }
                    div.grid { (shares(page, &days)) (calibration(page)) }
                    h2 { "The market against what it learned from" }
                    div.grid { (drift(page, &days)) }
                    h2 { "Jobs and data" }
                    div.grid { (calendar(page, &days)) (jobs(page)) (series(page)) }
                    (wanted(page))
                    (past_alerts(page))
                    footer { "Everything on this page is inside it; nothing is loaded from elsewhere." }
        },
    )
}

/// Every day of the page.
fn span(page: &WatchPage) -> Vec<NaiveDate> {
    let (first, last) = (page.from.date_naive(), page.as_of.date_naive());
    first.iter_days().skip(1).take_while(|day| *day <= last).collect()
}

fn open(page: &WatchPage) -> impl Iterator<Item = &AlertText> {
    page.alerts.iter().filter(|alert| alert.resolved.is_none())
}

fn late(page: &WatchPage) -> impl Iterator<Item = &SeriesNow> {
    page.series.iter().filter(|series| series.closed_at.is_none() || series.n_missing > 0)
}

/// The headline, the mood and what follows from it.
pub fn headline(page: &WatchPage) -> (&'static str, String) {
    let n_ringing = open(page).count();
    let rings = match n_ringing {
        0 => "nothing rings".to_owned(),
        1 => "1 alert rings".to_owned(),
        n => format!("{n} alerts ring"),
    };
    match (&page.production, &page.last_look) {
        (None, _) => ("open", format!("No version answers; {rings}")),
        (Some(now), None) => {
            ("open", format!("{} answers; the monitor has never looked; {rings}", now.version))
        }
        (Some(now), Some(_)) => {
            let n_overdue = page.jobs.iter().filter(|job| job.overdue.is_some()).count();
            let overdue = match n_overdue {
                0 => String::new(),
                1 => ", 1 job is overdue".to_owned(),
                n => format!(", {n} jobs are overdue"),
            };
            let mood = if n_ringing > 0 {
                "bad"
            } else if n_overdue > 0 || late(page).next().is_some() {
                "open"
            } else {
                "good"
            };
            (mood, format!("{} answers, {rings}{overdue}", now.version))
        }
    }
}

fn head(page: &WatchPage) -> Markup {
    let (mood, text) = headline(page);
    let sign = match mood {
        "good" => "✓",
        "bad" => "✗",
        _ => "?",
    };
    html! {
        section class=(format!("verdict {mood}")) {
            strong.head { (sign) " " (text) }
            p { (look_sentence(page)) }
        }
    }
}

fn look_sentence(page: &WatchPage) -> String {
    let Some(look) = &page.last_look else {
        return "aifx monitor has not looked at this line yet; it runs every hour once aifx cron install has been run."
            .to_owned();
    };
    let hours = (page.as_of - look.at).num_minutes() as f64 / 60.0;
    let stale =
        if hours > 3.0 { " It should look every hour: what is below may be old." } else { "" };
    let verdict = match look.verdict.as_str() {
        "none" => "and had nothing to say".to_owned(),
        other => match other.strip_prefix("alert:") {
            Some(names) => format!("and heard {}", shortened(&names.replace(',', ", "), 200)),
            None => format!("and said {}", shortened(other, 200)),
        },
    };
    format!("The monitor last looked {} ({} UTC) {verdict}.{stale}", ago(hours), minute(look.at))
}

/// `20 min ago`, `5 h ago`, `3.2 days ago`.
fn ago(hours: f64) -> String {
    format!("{} ago", for_long(hours))
}

fn for_long(hours: f64) -> String {
    if hours.abs() < 1.5 {
        format!("{:.0} min", hours * 60.0)
    } else if hours.abs() < 48.0 {
        format!("{hours:.0} h")
    } else {
        format!("{:.1} days", hours / 24.0)
    }
}

fn hours_since(page: &WatchPage, at: DateTime<Utc>) -> f64 {
    (page.as_of - at).num_minutes() as f64 / 60.0
}

/// At most so many characters; a table may hold a novel.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most).chain(['…']).collect()
}

fn tiles(page: &WatchPage) -> Markup {
    let tile = |name: &str, value: Option<String>, under: String, class: &str| {
        html! {
            div.tile {
                span { (name) }
                @match value {
                    Some(value) => b class=(class) { (value) },
                    None => b.na { "n/a" },
                }
                span { (under) }
            }
        }
    };
    let n_ringing = open(page).count();
    let total: f64 = page.returns.iter().map(|one| one.account_return).sum();
    let n_trades: u64 = page.returns.iter().map(|one| one.n_trades).sum();
    let n_won: u64 = page.returns.iter().map(|one| one.n_won).sum();
    let measured = page.measured.iter().rev().find_map(|one| one.accuracy);
    let n_late = late(page).count();
    let last = |name: &str| page.jobs.iter().find(|job| job.name == name).and_then(|job| job.last);
    html! {
        section.tiles aria-label="Key figures" {
            @match &page.production {
                Some(now) => (tile("Model age", Some(for_long(hours_since(page, now.made_at))), match now.promoted_at {
                    Some(at) => format!("made {}, promoted {}", day(now.made_at), day(at)),
                    None => format!("made {}, never promoted on the record", day(now.made_at)),
                }, "")),
                None => (tile("Model age", None, "nothing is in production".to_owned(), "")),
            }
            (tile("Ringing", Some(n_ringing.to_string()), format!("{} alerts in the period", page.alerts.len()), if n_ringing > 0 { "sad" } else { "" }))
            (tile("Account return", (n_trades > 0).then(|| signed_percent(total)), match n_trades {
                0 => "no trade has closed".to_owned(),
                n => format!("after costs, {} trades, {} won", count(n as usize), percent(n_won as f64 / n as f64)),
            }, ""))
            (tile("Accuracy", measured.map(percent), match page.production.as_ref().and_then(|now| now.test_accuracy) {
                Some(then) => format!("{} on its test days", percent(then)),
                None => "the last window of the monitor".to_owned(),
            }, ""))
            (tile("Last answer", last("predict").map(|at| ago(hours_since(page, at))), last("outcomes").map_or_else(|| "none is settled yet".to_owned(), |at| format!("the last was settled {}", ago(hours_since(page, at)))), ""))
            (tile("Series", Some(format!("{} of {}", page.series.len() - n_late, page.series.len())), if n_late == 0 { "are up to date".to_owned() } else { "are up to date; others are late".to_owned() }, if n_late > 0 { "sad" } else { "" }))
        }
    }
}

/// Why there is nothing to see.
fn nothing(text: &str) -> Markup {
    html! { p.nothing { (text) } }
}

fn ringing(page: &WatchPage) -> Markup {
    let open: Vec<&AlertText> = open(page).collect();
    if open.is_empty() {
        return html! {};
    }
    html! {
        h2 { "What rings" }
        div.card { (alert_table(&open)) }
    }
}

fn past_alerts(page: &WatchPage) -> Markup {
    let past: Vec<&AlertText> =
        page.alerts.iter().filter(|alert| alert.resolved.is_some()).collect();
    html! {
        h2 { "Alerts that are over" }
        div.card {
            @if past.is_empty() {
                (nothing("No alert was raised and closed in this period."))
            } @else {
                (alert_table(&past[..past.len().min(IN_SIGHT)]))
                @if past.len() > IN_SIGHT {
                    details { summary { "The other " (past.len() - IN_SIGHT) } (alert_table(&past[IN_SIGHT..])) }
                }
            }
        }
    }
}

fn alert_table(alerts: &[&AlertText]) -> Markup {
    let when = |alert: &AlertText| {
        let since = alert.since.map_or_else(|| "n/a".to_owned(), minute);
        let until = match alert.resolved {
            Some(at) => format!("{since} to {}", minute(at)),
            None => format!("since {since}"),
        };
        let times =
            if alert.n_seen == 1 { "once".to_owned() } else { format!("{} times", alert.n_seen) };
        format!("{until} UTC, seen {times}")
    };
    html! {
        table.alerts {
            tbody { @for alert in alerts { tr {
                td { strong { (shortened(&alert.cause, 60)) } @if alert.severity != "critical" { br; span.soft { (shortened(&alert.severity, 20)) } } }
                td.what { (shortened(&alert.message, 600)) br; span.soft { (when(alert)) } }
            } } }
        }
    }
}

fn day_axis<'a>(days: &'a [NaiveDate]) -> Axis<'a> {
    Axis { name: "", low: -0.5, high: days.len().max(2) as f64 - 0.5, unit: Unit::Days(days) }
}

/// The place of a day among the days.
fn place(days: &[NaiveDate], day: NaiveDate) -> Option<usize> {
    days.binary_search(&day).ok()
}

fn equity(page: &WatchPage, days: &[NaiveDate]) -> Markup {
    let summed = |of: &dyn Fn(&DayReturned) -> f64| -> Vec<(f64, f64)> {
        let mut sums = vec![0.0; days.len()];
        for one in &page.returns {
            if let Some(place) = place(days, one.day) {
                sums[place] += of(one);
            }
        }
        let mut total = 0.0;
        let mut at = |(place, day): (usize, &f64)| {
            total += day;
            (place as f64, total)
        };
        sums.iter().enumerate().map(&mut at).collect()
    };
    let line = summed(&|one| one.account_return);
    let equal = summed(&|one| one.equal_return);
    let frame = Frame {
        title: "Return of the account after costs, by day, with every move of production",
        height: 290.0,
        x: day_axis(days),
        y: Axis::around(
            "share of the account",
            line.iter().chain(&equal).map(|(_, y)| *y),
            &[0.0],
            Unit::Percent,
        ),
    };
    let height_at = |place: usize| line.get(place).map_or(0.0, |(_, y)| *y);
    let named = page.moves.len() <= NAMED_MOVES;
    html! {
        figure.card {
            h3 { "Equity, and every move of production" }
            @if page.returns.is_empty() && page.moves.is_empty() {
                (nothing("No signal of production has been settled in this period: aifx predict answers closed candles, aifx outcomes settles them."))
            } @else {
                (legend(&[("s1", "account, sizes as configured"), ("s2", "every call at equal size"), ("up", "promotion"), ("down", "rollback")]))
                (frame.svg(&html! {
                    (frame.level(0.0))
                    (frame.line(&equal, "s2"))
                    (frame.line(&line, "s1"))
                    @for (row, one) in page.moves.iter().enumerate() {
                        @if let Some(place) = place(days, one.at.date_naive()) {
                            (frame.flag(place as f64, height_at(place), one.is_rollback, &move_text(one), named.then_some((row % 3, one.to.as_str()))))
                        }
                    }
                }))
                figcaption {
                    "Settled signals of production after spread and slippage, not reinvested, each at the size that it was given, and beside it every buy and sell at " (percent(page.bets.equal_size)) "; answers of shadows never count."
                    @if page.returns.is_empty() { " No trade has closed in this period." }
                    @if page.n_unknown > 0 { " " (count(page.n_unknown as usize)) " trades without a size or a result are left out." }
                }
            }
        }
    }
}

fn move_text(one: &MoveOn) -> String {
    let what = if one.is_rollback { "rollback" } else { "promotion" };
    let from = one.from.as_deref().map(|from| format!(" from {from}")).unwrap_or_default();
    format!("{}: {what}{from} to {}", minute(one.at), one.to)
}

fn accuracy(page: &WatchPage, days: &[NaiveDate]) -> Markup {
    let points: Vec<(f64, f64)> = page
        .measured
        .iter()
        .filter_map(|one| Some((place(days, one.day)? as f64, one.accuracy?)))
        .collect();
    let then = page.production.as_ref().and_then(|now| now.test_accuracy);
    let frame = Frame {
        title: "Accuracy over the monitor's longest window, by day of the look",
        height: 290.0,
        x: day_axis(days),
        y: Axis::around(
            "share right",
            points.iter().map(|(_, y)| *y).chain(then),
            &[],
            Unit::Percent,
        ),
    };
    let last = page.measured.iter().rev().find_map(|one| one.log_loss);
    html! {
        figure.card {
            h3 { "Accuracy, 30 days back" }
            @if points.is_empty() {
                (nothing("The monitor has not scored an answer yet: it takes answered candles whose label is known, and that production had not seen."))
            } @else {
                (legend(&[("s1", "as measured"), ("level", "on its test days")]))
                (frame.svg(&html! {
                    @if let Some(then) = then { (frame.level(then)) }
                    (frame.line(&points, "s1"))
                    @for (x, y) in &points { (frame.dot(*x, *y, 2.0, "f1", &percent(*y))) }
                }))
                figcaption {
                    "Each day's last look, over the answers of the 30 days before it that the version in production had not seen."
                    @if let Some(last) = last { " Log-loss of the last: " (number(last, 4)) " nats." }
                }
            }
        }
    }
}

fn windows(page: &WatchPage) -> Markup {
    if page.windows.is_empty() {
        return html! {};
    }
    let or = |value: Option<String>| value.unwrap_or_else(|| "n/a".to_owned());
    html! {
        h3.apart { "The last look, window by window" }
        div.card {
            div.scroll { table {
                thead { tr { th { "Window" } th.num { "Answers" } th.num { "Accuracy" } th.num { "Indicator rule" } th.num { "Log-loss" } th.num { "Return" } th.num { "Won" } th.num { "Delay" } } }
                tbody { @for one in &page.windows { tr {
                    td { (shortened(&one.name, 40)) }
                    td.num { (count(one.n)) }
                    td.num { (or(one.accuracy.map(percent))) }
                    td.num { (or(one.indicator_accuracy.map(percent))) }
                    td.num { (or(one.log_loss.map(|value| number(value, 4)))) }
                    td.num { (or(one.roi.map(signed_percent))) }
                    td.num { (or(one.win_rate.map(percent))) }
                    td.num { (or(one.delay_s.map(|seconds| for_long(seconds / 3600.0)))) }
                } } }
            } }
            p.soft { "Answers that the version in production had not seen, as the monitor scores them: one position a series at a time, equal parts of the capital. The account above counts what was really answered, at its size." }
        }
    }
}

/// Which calls were bets.
fn bets(page: &WatchPage) -> Markup {
    let n: u64 = page.bets.calls.iter().map(|(_, n)| n).sum();
    html! {
        h2 { "Calls and bets" }
        div.card {
            @if let Some(why) = &page.bets.stopped { p.sad { strong { (shortened(why, 400)) } } }
            @if n == 0 {
                (nothing("Production has called no buy and no sell in this period."))
            } @else {
                div.scroll { table {
                    thead { tr { th { "Buys and sells" } th.num { "Calls" } th.num { "Share" } } }
                    tbody { @for (why, calls) in &page.bets.calls { tr {
                        td { @if why.is_empty() { "with a size" } @else { "size 0: " (shortened(why, 60)) } }
                        td.num { (count(*calls as usize)) }
                        td.num { (percent(*calls as f64 / n as f64)) }
                    } } }
                } }
            }
            p.soft { "The signal is the likeliest class, a call that is scored whatever its size; a bet is a call with a size. No bets is the right answer where nothing is expected to pay for its costs. Breaker: " (shortened(&page.bets.breaker, 200)) "." }
        }
    }
}

/// Shares of the mixture from the midnight of each day on, one above the other, and what its members lost.
fn mixture(page: &WatchPage, days: &[NaiveDate]) -> Markup {
    let Some(mixture) = &page.mixture else { return html! {} };
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in mixture.days.iter().flat_map(|(_, shares)| shares) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    // Each day's weights hold until the next row.
    let mut tops: Vec<Vec<(f64, f64)>> = vec![Vec::new(); names.len()];
    let last = days.len().saturating_sub(1) as f64;
    let places: Vec<f64> = mixture
        .days
        .iter()
        .map(|(day, _)| place(days, *day).map_or(0.0, |place| place as f64))
        .collect();
    for (row, (_, shares)) in mixture.days.iter().enumerate() {
        let until = places.get(row + 1).copied().unwrap_or(last);
        let mut sum = 0.0;
        for (name, top) in names.iter().zip(&mut tops) {
            sum +=
                shares.iter().filter(|(one, _)| one == name).map(|(_, share)| share).sum::<f64>();
            top.extend([(places[row], sum), (until, sum)]);
        }
    }
    let frame = Frame {
        title: "Shares of the mixture from each midnight on, the class prior at the bottom, then the trainings in order of making",
        height: 240.0,
        x: day_axis(days),
        y: Axis { name: "share of the answer", low: 0.0, high: 1.0, unit: Unit::Percent },
    };
    let class = |place: usize| match place {
        0 => "prior".to_owned(),
        _ => format!("m{}", (place - 1) % 4),
    };
    // The name of a training stands where its share was largest, if there is room for it.
    let mut named: Vec<(f64, f64, &str)> = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let top = &tops[place];
        let below = |at: usize| if place == 0 { 0.0 } else { tops[place - 1][at].1 };
        let shares = (0..top.len()).map(|at| (at, top[at].1 - below(at)));
        let Some((at, share)) = shares.max_by(|a, b| a.1.total_cmp(&b.1)) else { continue };
        let (x, y) = (top[at].0, below(at) + share / 2.0);
        let is_near = |(other_x, other_y, _): &(f64, f64, &str)| {
            (frame.px(x) - frame.px(*other_x)).abs() < NAME_WIDTH
                && (frame.py(y) - frame.py(*other_y)).abs() < NAME_HEIGHT
        };
        if share > 0.08 && !named.iter().any(is_near) {
            named.push((x, y, name));
        }
    }
    html! {
        h2 { "The mixture" }
        div.grid {
            figure.card {
                h3 { "How the weights moved" }
                @if mixture.days.is_empty() {
                    (nothing("No weights have been learned in this period yet: the first follow at the midnight after the first answers have settled."))
                } @else {
                    (frame.svg(&html! {
                        @for (place, top) in tops.iter().enumerate().rev() { (frame.area(top, 0.0, &format!("stack {}", class(place)))) }
                        @for (x, y, name) in &named { (frame.label(*x, *y, name)) }
                    }))
                    figcaption { "From each midnight on, by what had happened until then; the class prior lies at the bottom, above it the trainings in order of making, fine-tunes under the name of their training." }
                }
            }
            div.card {
                h3 { "What each lost" }
                div.scroll { table {
                    thead { tr { th { "Member" } th.num { "Weight" } th.num { "Log-loss" } th.num { "Mixture" } th.num { "Answers" } } }
                    tbody { @for one in &mixture.members { tr {
                        td { (if one.name == "prior" { "class prior" } else { one.name.as_str() }) }
                        td.num { (percent(one.weight)) }
                        td.num { (or_why(one.log_loss.map(|loss| number(loss, 4)), "none yet")) }
                        td.num { (or_why(one.of_mixture.map(|loss| number(loss, 4)), "none yet")) }
                        td.num { (count(one.n as usize)) }
                    } } }
                } }
                p.soft { "Mean log-loss of the answers that have settled in this period, nats; beside it that of the mixture on the same answers. Proven, were weights updated after every answer: the mixture loses at most ln(1/weight)/rate more than any member over any stretch, and a little a day for spreading weight. With nightly updates what always holds is that a member of weight w raises the loss of an answer by at most −ln(1 − w)." }
            }
        }
    }
}

fn moves(page: &WatchPage) -> Markup {
    let table = |moves: &[&MoveOn]| {
        html! {
            div.scroll { table {
                thead { tr { th { "When (UTC)" } th { "Move" } th { "Who, and why" } } }
                tbody { @for one in moves { tr {
                    td.when { (minute(one.at)) }
                    td.when { (if one.is_rollback { "▼ " } else { "▲ " }) (shortened(one.from.as_deref().unwrap_or("none"), 40)) " → " (shortened(&one.to, 40))
                        br; span.soft { (if one.is_rollback { "rollback" } else { "promotion" }) @if one.forced { ", against the gate" } } }
                    td.why { strong { (shortened(one.actor.as_deref().unwrap_or("n/a"), 60)) } " " (shortened(one.reason.as_deref().unwrap_or(""), 300)) }
                } } }
            } }
        }
    };
    let newest: Vec<&MoveOn> = page.moves.iter().rev().collect();
    html! {
        h3.apart { "Moves of production" }
        div.card {
            @if newest.is_empty() {
                (nothing("Production did not move in this period."))
            } @else {
                (table(&newest[..newest.len().min(IN_SIGHT)]))
                @if newest.len() > IN_SIGHT {
                    details { summary { "The other " (newest.len() - IN_SIGHT) } (table(&newest[IN_SIGHT..])) }
                }
            }
        }
    }
}

fn probation(page: &WatchPage) -> Markup {
    if page.probation.is_empty() {
        return html! {};
    }
    html! {
        h3.apart { "On probation" }
        div.card {
            div.scroll { table {
                thead { tr { th { "Promoted" } th { "Instead of" } th { "Since (UTC)" } th.num { "Whole days" } th.num { "Saved a day" } th.num { "p" } th { "" } } }
                tbody { @for one in &page.probation { tr {
                    td { (shortened(&one.version, 40)) }
                    td { (shortened(&one.replaced, 40)) }
                    td.when { (minute(one.since)) }
                    td.num { (one.n_days.map_or_else(|| "n/a".to_owned(), count)) }
                    td.num { @match one.saved {
                        Some((saved, half_width)) => { (format!("{saved:+.4}")) @if let Some(half_width) = half_width { " ± " (number(half_width, 4)) } },
                        None => "n/a",
                    } }
                    td.num { (one.p.map_or_else(|| "n/a".to_owned(), |p| number(p, 3))) }
                    td.why { span.tag.seen[one.is_worse].unseen[!one.is_worse] { (if one.is_worse { "worse" } else { "stays" }) } " " (shortened(&one.verdict, 200)) }
                } } }
            } }
            p.soft { "Both answer the same candles; saved is the log-loss of what was replaced less that of what was promoted, nats, mean over days. A promotion that is worse by more than chance goes back by itself." }
        }
    }
}

fn wanted(page: &WatchPage) -> Markup {
    let started = |started: &[Started]| {
        html! {
            div.scroll { table {
                thead { tr { th { "Started (UTC)" } th { "Job" } th { "How it ended" } th { "Why" } } }
                tbody { @for one in started { tr {
                    td.when { (minute(one.at)) }
                    td.when { (one.job) }
                    td.why { @match &one.ended {
                        Some((state, said)) => { strong { (state.name()) } " " (shortened(said, 120)) },
                        None => "no run on the record",
                    } }
                    td.why { (shortened(&one.reason, 300)) }
                } } }
            } }
        }
    };
    html! {
        h3.apart { "Trainings that the monitor asked for" }
        div.card {
            @if page.held.is_empty() && page.started.is_empty() {
                (nothing("None in this period: no job was missed, nothing went stale, and no heap of new samples was waiting."))
            }
            @for one in &page.held {
                p { span.tag.seen { "wanted" } " " strong { (one.job) } ", not started: " (shortened(&one.held, 120)) ". " span.soft { (shortened(&one.reason, 300)) } }
            }
            @if !page.started.is_empty() {
                (started(&page.started[..page.started.len().min(IN_SIGHT)]))
                @if page.started.len() > IN_SIGHT {
                    details { summary { "The other " (page.started.len() - IN_SIGHT) } (started(&page.started[IN_SIGHT..])) }
                }
            }
        }
    }
}

fn shares(page: &WatchPage, days: &[NaiveDate]) -> Markup {
    let mut counts = vec![vec![0u64; days.len()]; ANSWERS.len()];
    for one in &page.said {
        if let Some(place) = place(days, one.day) {
            for (class, n) in one.n.iter().enumerate() {
                counts[class][place] += n;
            }
        }
    }
    let parts: Vec<(&str, &str, Vec<u64>)> = ANSWERS
        .iter()
        .zip(counts)
        .filter(|(_, counts)| counts.iter().any(|n| *n > 0))
        .map(|((class, name), counts)| (*class, *name, counts))
        .collect();
    let entries: Vec<(&str, &str)> = parts.iter().map(|(class, name, _)| (*class, *name)).collect();
    let frame = Frame {
        title: "Share of each answer, by day of the candle",
        height: 290.0,
        x: day_axis(days),
        y: Axis { name: "share of answers", low: 0.0, high: 1.0, unit: Unit::Percent },
    };
    html! {
        figure.card {
            h3 { "Answers by class" }
            @if parts.is_empty() {
                (nothing("Production has answered no candle in this period: aifx predict answers each one as it closes."))
            } @else {
                (legend(&entries))
                (frame.svg(&days::stack(&frame, &parts, days.len())))
                figcaption { "A model that has collapsed fills the picture with one colour. Days without a column had no answers: the market is closed at weekends." }
            }
        }
    }
}

fn calibration(page: &WatchPage) -> Markup {
    match &page.calibration {
        Some(found) => {
            let note = format!(" Measured {} UTC, {}.", minute(found.at), found.window);
            charts::reliability(
                &Reliability {
                    n: found.n,
                    bins: &found.bins,
                    ece: found.ece,
                    ece_by_chance: found.ece_by_chance,
                },
                &note,
            )
        }
        None => html! {
            figure.card {
                h3 { "Calibration" }
                (nothing("There are no scored answers to hold confidence against: the monitor draws this from settled answers that production had not seen."))
            }
        },
    }
}

/// The class of a distance in standard deviations.
fn heat(z: f64) -> &'static str {
    match z {
        z if z < 1.0 => "w0",
        z if z < 2.0 => "w1",
        z if z < 3.0 => "w2",
        z if z < 5.0 => "w3",
        _ => "w4",
    }
}

fn drift(page: &WatchPage, days: &[NaiveDate]) -> Markup {
    let seen: Vec<&DayDrift> = page.drift.iter().filter(|one| !one.features.is_empty()).collect();
    if seen.is_empty() {
        return html! {
            figure.card {
                h3 { "Drift by feature and day" }
                (nothing("There is no look at the features yet: the monitor needs enough trading days since production's data ended, and a reference that is long enough to judge them by."))
            }
        };
    }
    // The features that moved most of late come first.
    let mut names: Vec<(&str, f64)> = Vec::new();
    for one in &seen {
        for (name, z, _) in &one.features {
            let z = z.unwrap_or(f64::NEG_INFINITY);
            match names.iter_mut().find(|(have, _)| have == name) {
                // Later looks weigh more.
                Some((_, sum)) => *sum = 0.9 * *sum + z.max(0.0),
                None => names.push((name, z.max(0.0))),
            }
        }
    }
    names.sort_by(|a, b| b.1.total_cmp(&a.1));
    let overall = Row {
        name: "all features".to_owned(),
        cells: seen
            .iter()
            .filter_map(|one| {
                let (day, z) = (place(days, one.day)?, one.z?);
                let rings = !one.rings.is_empty();
                let kinds = shortened(&one.rings.join(", "), 60);
                let p = one.p.map(|p| format!(", p {}", number(p, 3))).unwrap_or_default();
                let said = format!("{}: rings by {kinds}; mean z {}{p}", one.day, number(z, 2));
                let class = if rings { "wbad" } else { heat(z) };
                Some(Cell { day, class, said: rings.then_some(said) })
            })
            .collect(),
    };
    let told = Row {
        name: "told apart".to_owned(),
        cells: seen
            .iter()
            .filter_map(|one| {
                let (day, told) = (place(days, one.day)?, one.told?);
                let said =
                    format!("{}: area {}, p {}", one.day, number(told.auc, 2), number(told.p, 3));
                let class = if told.p <= 0.05 { "w3" } else { "w0" };
                Some(Cell { day, class, said: (told.p <= 0.05).then_some(said) })
            })
            .collect(),
    };
    let last_told = seen.iter().rev().find_map(|one| one.told);
    let row = |name: &str| Row {
        name: name.to_owned(),
        cells: seen
            .iter()
            .filter_map(|one| {
                let day = place(days, one.day)?;
                let (_, z, p) = one.features.iter().find(|(have, _, _)| have == name)?;
                let z = (*z)?;
                let p = p.map(|p| format!(", p {}", number(p, 3))).unwrap_or_default();
                let said = format!("{} {name}: z {}{p}", one.day, number(z, 1));
                Some(Cell { day, class: heat(z), said: (z >= 2.0).then_some(said) })
            })
            .collect(),
    };
    // Side by side where there is room: a feature a line is high.
    let (first, rest) = names.split_at(names.len().div_ceil(2));
    let first: Vec<Row> = [overall]
        .into_iter()
        .chain(last_told.map(|_| told))
        .chain(first.iter().map(|(name, _)| row(name)))
        .collect();
    let rest: Vec<Row> = rest.iter().map(|(name, _)| row(name)).collect();
    let shades = [
        ("w0", "z below 1"),
        ("w1", "1 to 2"),
        ("w2", "2 to 3"),
        ("w3", "3 to 5"),
        ("w4", "5 and more"),
    ];
    let with_all: Vec<_> = [("wbad", "rings")].into_iter().chain(shades).collect();
    html! {
        figure.card {
            h3 { "Drift by feature and day" }
            (legend(&with_all))
            (days::grid("Drift of the features that moved most, by day of the look", days, &first, 15.0))
            figcaption { "z: distance from what production learned from, in standard deviations of the reference's own windows of the same length. Those that moved most of late stand on top. Blank: no look on that day."
                @if let Some(told) = last_told {
                    " Told apart: a logistic model tells the last days from the reference with an area under the curve of "
                    (number(told.auc, 2)) ", " (number(told.usual, 2)) " is usual (p " (number(told.p, 3)) "); it rings nothing."
                } }
        }
        figure.card {
            h3 { "The other features" }
            (legend(&shades))
            @if rest.is_empty() { (nothing("There are no others.")) } @else {
                (days::grid("Drift of the other features, by day of the look", days, &rest, 15.0))
            }
        }
    }
}

fn calendar(page: &WatchPage, days: &[NaiveDate]) -> Markup {
    let rows: Vec<Row> = page
        .calendar
        .iter()
        .map(|job| Row {
            name: job.name.clone(),
            cells: job
                .days
                .iter()
                .filter_map(|(day, state, said)| {
                    let said = (*state != DayState::Done || !said.is_empty())
                        .then(|| format!("{day} {}: {}", state.name(), shortened(said, 200)));
                    Some(Cell { day: place(days, *day)?, class: state.class(), said })
                })
                .collect(),
        })
        .collect();
    let entries: Vec<(&str, &str)> =
        DayState::ALL.iter().map(|state| (state.class(), state.name())).collect();
    html! {
        figure.card {
            h3 { "Job calendar" }
            @if rows.iter().all(|row| row.cells.is_empty()) {
                (nothing("No job has run on this line in this period; aifx cron install starts them by the clock."))
            } @else {
                (legend(&entries))
                (days::grid("What each job did, by day", days, &rows, 24.0))
                figcaption { "The last run of each job on each day, UTC. collect, predict and outcomes are known by what they leave; missed is said of nightly jobs, collect and monitor." }
            }
        }
    }
}

fn jobs(page: &WatchPage) -> Markup {
    html! {
        div.card {
            h3 { "When jobs last ended well" }
            div.scroll { table {
                thead { tr { th { "Job" } th { "Last (UTC)" } th { "" } } }
                tbody { @for job in &page.jobs { tr {
                    td { (job.name) }
                    td.when { (job.last.map_or_else(|| "never".to_owned(), minute)) }
                    td.why { @if let Some(late) = &job.overdue { span.tag.seen { "overdue" } " " (late) } @else if let Some(last) = job.last { (ago(hours_since(page, last))) } }
                } } }
            } }
        }
    }
}

fn series(page: &WatchPage) -> Markup {
    html! {
        div.card.wide {
            h3 { "Data" }
            div.scroll { table {
                thead { tr { th { "Series" } th { "Is it there?" } th { "Last candle closed (UTC)" } th { "The last collect said" } } }
                tbody { @for one in &page.series { tr {
                    td.when { (one.name) }
                    td { @match (one.closed_at, one.n_missing) {
                        (None, _) => span.tag.seen { "nothing" },
                        (Some(_), 0) => span.tag.unseen { "up to date" },
                        (Some(_), n) => { span.tag.seen { "late" } " " (count(n)) " missing" },
                    } }
                    td.when { @match one.closed_at {
                        Some(at) => { (minute(at)) br; span.soft { (ago(hours_since(page, at))) } },
                        None => "no candle",
                    } }
                    td.why { @match &one.quality {
                        Some((said, at)) => { (shortened(said, 200)) " (" (minute(*at)) ")" },
                        None => "never collected",
                    } }
                } } }
            } }
            p.soft { "A closed market is no delay: only candles that should have closed by now are missing." }
        }
    }
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
