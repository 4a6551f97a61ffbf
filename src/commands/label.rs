//! `aifx label`: the class balance of the training label.

use super::Setup;
use crate::{
    fault::Exit,
    jobs::{
        label::{self, BalancesReport, LabelReport, Request},
        outcomes,
    },
    labels::AskedRule,
    lineage::LineName,
    ui::{Page, Report, Tone, Ui},
};

/// Label candles by what the market did next, and show the class balance
///
/// A label whose horizon the data has not reached is pending. Where one class holds more than 60 % of the labels, a model learns to
/// answer little else: the multiple of the volatility rule that would balance them is named, and --balance shows what others would
/// do. Signals are settled by `aifx outcomes` at their stop-loss, take-profit or time-out; `--settle` does it by the
/// fixed rule instead.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example: aifx label --rule fixed:0.005 --days 30")]
pub struct LabelArgs {
    /// Line, where there are several
    #[arg(long)]
    line: Option<LineName>,
    /// fixed:0.005, volatility:0.35, triple-barrier:0.005:0.005 or quartile; volatility alone is the line's [default: the line's]
    #[arg(long)]
    rule: Option<AskedRule>,
    /// Days of candles to look at [default: weekly.days]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    days: Option<u32>,
    /// Show the shares that the volatility rule would deal by its multiple, series by series
    #[arg(long, conflicts_with_all = ["rule", "settle"])]
    balance: bool,
    /// Settle the open signals instead, as AIFX does: by the movement over the horizon, ±0.5 % of entry or this share
    #[arg(long, value_name = "SHARE", num_args = 0..=1, default_missing_value = "0.005", value_parser = share)]
    #[arg(conflicts_with_all = ["rule", "days"])]
    settle: Option<f64>,
    /// With --settle: count, and change nothing
    #[arg(long, requires = "settle")]
    dry_run: bool,
}

fn share(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| format!("{text:?} is no number"))?;
    if value > 0.0 && value < 1.0 {
        Ok(value)
    } else {
        Err(format!("{value} is not above 0 and below 1; half a per cent is 0.005"))
    }
}

impl Report for LabelReport {
    const SCHEMA: &'static str = "aifx.label/1";

    fn write(&self, page: &mut Page) {
        page.line(format!("{}: label {} over the last {} days", self.line, self.rule, self.days));
        page.field("settled", self.settled.to_string());
        page.field("pending", self.pending.to_string());
        let names: Vec<&str> = self.counts.keys().map(String::as_str).collect();
        let row = |name: &str, counts: &[usize]| {
            let n: usize = counts.iter().sum();
            let share = |count: &usize| {
                format!("{count} ({:.1} %)", 100.0 * *count as f64 / n.max(1) as f64)
            };
            std::iter::once(name.to_owned()).chain(counts.iter().map(share)).collect::<Vec<_>>()
        };
        let mut rows: Vec<_> = self.series.iter().map(|(name, counts)| row(name, counts)).collect();
        let total: Vec<usize> =
            self.counts.values().map(|count| count.as_u64().unwrap_or(0) as usize).collect();
        rows.push(row("all", &total));
        let mut header = vec!["series"];
        header.extend(&names);
        let right: Vec<usize> = (1..header.len()).collect();
        page.gap();
        page.table(&header, &right, &rows);
        if let Some(cure) = self.balance.cure() {
            page.gap();
            page.toned(Tone::Warn, format!("warning: {cure}"));
        }
        for note in self.notes.iter().chain(&self.costs) {
            page.gap();
            page.toned(Tone::Warn, format!("note: {note}"));
        }
    }
}

impl Report for BalancesReport {
    const SCHEMA: &'static str = "aifx.label-balance/1";

    fn write(&self, page: &mut Page) {
        page.line(format!(
            "{}: shares of hold by the multiple of the volatility rule over the last {} days; its rule is {}",
            self.line, self.days, self.rule
        ));
        let series = |row: &label::BalanceRow| format!("{} {}", row.pair, row.timeframe);
        let mut names: Vec<String> = self.balance.iter().map(series).collect();
        names.dedup();
        let mut multiples: Vec<f64> = self.balance.iter().map(|row| row.multiple).collect();
        multiples.sort_by(f64::total_cmp);
        multiples.dedup();
        let cell = |multiple: f64, name: &String| {
            let found = self
                .balance
                .iter()
                .find(|row| row.multiple.total_cmp(&multiple).is_eq() && series(row) == *name);
            found.map_or("n/a".to_owned(), |row| format!("{:.1} %", row.hold * 100.0))
        };
        let rows: Vec<Vec<String>> = multiples
            .iter()
            .map(|&multiple| {
                let cells = names.iter().map(|name| cell(multiple, name));
                std::iter::once(format!("{multiple:.2}")).chain(cells).collect()
            })
            .collect();
        let mut header = vec!["multiple"];
        header.extend(names.iter().map(String::as_str));
        let right: Vec<usize> = (0..header.len()).collect();
        page.gap();
        page.table(&header, &right, &rows);
        page.gap();
        for (name, multiple) in &self.balancing {
            let multiple = multiple.map_or("too few candles".to_owned(), |multiple| {
                format!("multiple: {multiple:.2} makes about 38 % hold")
            });
            page.field(name, multiple);
        }
    }
}

pub(super) fn run(args: &LabelArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    if let Some(threshold) = args.settle {
        let request = outcomes::Request {
            line: args.line.clone(),
            dry_run: args.dry_run,
            threshold: Some(threshold),
        };
        return ui.show(&outcomes::run(&app, &request)?);
    }
    let request = Request { line: args.line.clone(), rule: args.rule, days: args.days };
    if args.balance {
        return ui.show(&label::balances(&app, &request)?);
    }
    ui.show(&label::run(&app, &request)?)
}
