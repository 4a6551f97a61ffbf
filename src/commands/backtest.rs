//! `aifx backtest`: a version or a baseline over any range, after costs.

use std::path::PathBuf;

use chrono::{DateTime, Utc};

use super::Setup;
use crate::{
    fault::Exit,
    jobs::backtest::{
        self, BacktestReport, Contestant, Request,
        answers::{self, AnswersReport},
        signals::{self, SignalsReport},
    },
    lineage::LineName,
    ui::{Page, Report, Tone, Ui},
};

/// Trade the signals of a version, or of a baseline, over any range
///
/// A signal at a candle's close enters at the next open plus half the spread and slippage; one position a pair and
/// timeframe; exit at stop-loss, take-profit or the horizon.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example: aifx backtest v1.0 --start 2018-10-01T00:00:00Z --end 2018-12-01T00:00:00Z"
)]
pub struct BacktestArgs {
    /// A version, `majority` or `indicator`
    contestant: Contestant,
    /// Line, where there are several
    #[arg(long)]
    line: Option<LineName>,
    /// Candles that open at or after this instant [default: weekly.days before the end]
    #[arg(long, value_parser = super::parse_instant)]
    start: Option<DateTime<Utc>>,
    /// Candles that open before this instant [default: --as-of, or now]
    #[arg(long, value_parser = super::parse_instant)]
    end: Option<DateTime<Utc>>,
    /// Close at this loss, as a share of the entry price, such as 0.005
    #[arg(long)]
    stop_loss: Option<f64>,
    /// Close at this profit, as a share of the entry price
    #[arg(long)]
    take_profit: Option<f64>,
    /// Every answer a position of its own, with the levels, time-out and confidence under `signals` in aifx.yaml, entered at the
    /// close: what `predict` and `outcomes` write down
    #[arg(long, conflicts_with_all = ["stop_loss", "take_profit"])]
    each_signal: bool,
    /// Write what the version's own network says to each candle, as CSV: version,pair,timeframe,candle,decided_at,label, a column
    /// p_CLASS for each class, and net_sell,net_buy (what either would have paid after costs, as a share of the entry price).
    /// label and net columns are empty while they are not settled
    #[arg(long, value_name = "FILE", conflicts_with_all = ["stop_loss", "take_profit", "each_signal"])]
    answers: Option<PathBuf>,
}

impl Report for AnswersReport {
    const SCHEMA: &'static str = "aifx.backtest-answers/1";

    fn write(&self, page: &mut Page) {
        let (start, end) = (self.start.format("%F %H:%MZ"), self.end.format("%F %H:%MZ"));
        page.line(format!("{} of {}, {start} to {end}, candle by candle", self.version, self.line));
        page.field("written", self.file.display().to_string());
        page.field("candles", format!("{}, {} with a settled label", self.rows, self.labelled));
        if let Some(seen) = self.seen_until.filter(|seen| *seen > self.start) {
            page.toned(
                Tone::Warn,
                format!("  the version has seen this range up to {}", seen.format("%F %H:%MZ")),
            );
        }
    }
}

impl Report for SignalsReport {
    const SCHEMA: &'static str = "aifx.backtest-signals/1";

    fn write(&self, page: &mut Page) {
        let (start, end) = (self.start.format("%F %H:%MZ"), self.end.format("%F %H:%MZ"));
        page.line(format!("{} of {}, {start} to {end}, signal by signal", self.version, self.line));
        let rows: Vec<Vec<String>> = self
            .series
            .iter()
            .map(|one| {
                let mut row = vec![one.pair.to_string(), one.timeframe.to_string()];
                let counts = [one.n_answers, one.n_abstained, one.n_settled, one.wins, one.losses];
                row.extend(counts.iter().map(ToString::to_string));
                row.extend([format!("{:+.6}", one.pnl), format!("{:+.6}", one.pnl_net)]);
                row
            })
            .collect();
        page.table(
            &[
                "pair",
                "timeframe",
                "answers",
                "abstained",
                "settled",
                "won",
                "lost",
                "PnL",
                "after costs",
            ],
            &[2, 3, 4, 5, 6, 7, 8],
            &rows,
        );
    }
}

impl Report for BacktestReport {
    const SCHEMA: &'static str = "aifx.backtest/1";

    fn write(&self, page: &mut Page) {
        let (start, end) = (self.start.format("%F %H:%MZ"), self.end.format("%F %H:%MZ"));
        page.line(format!("{} of {}, {start} to {end}", self.contestant, self.line));
        if !self.out_of_sample {
            let seen = self
                .seen_until
                .map_or_else(String::new, |seen| seen.format("%F %H:%MZ").to_string());
            page.toned(
                Tone::Warn,
                format!("  the version has seen this range up to {seen}: these figures flatter it"),
            );
        }
        let figures = &self.figures;
        let percent = |value: Option<f64>| {
            value.map_or("n/a".to_owned(), |value| format!("{:.2} %", value * 100.0))
        };
        let number =
            |value: Option<f64>| value.map_or("n/a".to_owned(), |value| format!("{value:.2}"));
        page.field(
            "candles",
            format!(
                "{} of {} series, {} days",
                figures.n_candles, figures.n_series, figures.n_days
            ),
        );
        page.field(
            "trades",
            format!(
                "{} closed, {} still open, {} signals",
                figures.n_trades, figures.n_open, figures.n_signals
            ),
        );
        page.field("win rate", percent(figures.win_rate));
        page.field("return a trade", percent(figures.avg_pnl));
        page.field("return", percent(figures.roi));
        page.field("profit factor", number(figures.profit_factor));
        let sharpe = match (figures.sharpe, figures.sharpe_se) {
            (Some(sharpe), Some(se)) => format!("{sharpe:.2} ± {se:.2} (standard error)"),
            _ => "n/a (under 20 days, or no variation)".to_owned(),
        };
        page.field("Sharpe", sharpe);
        page.field("realised drawdown", percent(figures.max_drawdown));
        page.field("exposure", percent(figures.exposure));
        page.field("signals a day", number(figures.signals_per_day));
        if let Some(sized) = &self.sized {
            page.gap();
            page.line("the account, sizes as configured (above: every call at equal size)");
            page.field("trades", format!("{} of {} calls", sized.n_trades, figures.n_signals));
            page.field("return", percent(sized.roi));
            page.field("win rate", percent(sized.win_rate));
            page.field("realised drawdown", percent(sized.max_drawdown));
        }
    }
}

pub(super) fn run(args: &BacktestArgs, setup: Setup<'_>, ui: &mut Ui) -> anyhow::Result<Exit> {
    let app = setup.app(ui)?;
    let request = Request {
        line: args.line.clone(),
        contestant: args.contestant,
        start: args.start,
        end: args.end,
        stop_loss: args.stop_loss,
        take_profit: args.take_profit,
    };
    if let Some(file) = &args.answers {
        return ui.show(&answers::run(&app, &request, file)?);
    }
    if args.each_signal {
        return ui.show(&signals::run(&app, &request)?);
    }
    ui.show(&backtest::run(&app, &request)?)
}
