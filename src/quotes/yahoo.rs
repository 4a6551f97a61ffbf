//! Yahoo's chart API: `GET /v8/finance/chart/EURUSD=X?period1=…&period2=…&interval=1h`.

use chrono::TimeDelta;
use serde::Deserialize;

use super::{Provider, Quotes, Wanted, checked, http::Client};
use crate::{fault::Fault, market::Timeframe};

pub(super) struct Yahoo {
    base: String,
    client: Client,
}

impl Yahoo {
    pub(super) fn new(base: String, client: Client) -> Yahoo {
        Yahoo { base: base.trim_end_matches('/').to_owned(), client }
    }
}

/// The interval's name and how many days back Yahoo has it.
fn interval(timeframe: Timeframe) -> Option<(&'static str, i64)> {
    Some(match timeframe {
        Timeframe::Min1 => ("1m", 7),
        Timeframe::Min5 => ("5m", 59),
        Timeframe::Min15 => ("15m", 59),
        Timeframe::Min30 => ("30m", 59),
        Timeframe::Hour1 => ("1h", 729),
        Timeframe::Hour4 => return None,
        Timeframe::Day1 => ("1d", 365 * 20),
        Timeframe::Week1 => ("1wk", 365 * 20),
        Timeframe::Month1 => ("1mo", 365 * 20),
    })
}

#[derive(Deserialize)]
struct Answer {
    chart: Chart,
}

#[derive(Deserialize)]
struct Chart {
    result: Option<Vec<Series>>,
    error: Option<ApiError>,
}

#[derive(Deserialize)]
struct ApiError {
    code: String,
    description: String,
}

#[derive(Deserialize)]
struct Series {
    /// Missing where there is no candle in the range.
    #[serde(default)]
    timestamp: Vec<i64>,
    indicators: Indicators,
}

#[derive(Deserialize)]
struct Indicators {
    quote: Vec<Columns>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Columns {
    open: Vec<Option<f64>>,
    high: Vec<Option<f64>>,
    low: Vec<Option<f64>>,
    close: Vec<Option<f64>>,
    volume: Vec<Option<f64>>,
}

impl Provider for Yahoo {
    fn candles(&self, wanted: &Wanted) -> Result<Quotes, Fault> {
        let (name, _) = interval(wanted.timeframe)
            .ok_or_else(|| Fault::input(format!("Yahoo has no candles of {}", wanted.timeframe)))?;
        let url = format!(
            "{}/v8/finance/chart/{}=X?period1={}&period2={}&interval={name}&includePrePost=false",
            self.base,
            wanted.pair.compact(),
            wanted.from.timestamp(),
            wanted.as_of.timestamp(),
        );
        self.client.get(&url, |body| read(body, wanted))
    }

    fn reach(&self, timeframe: Timeframe) -> Option<TimeDelta> {
        interval(timeframe).map(|(_, days)| TimeDelta::days(days))
    }
}

fn read(body: &str, wanted: &Wanted) -> Result<Quotes, String> {
    let answer: Answer = serde_json::from_str(body)
        .map_err(|error| format!("the answer is not what the chart API gives: {error}"))?;
    if let Some(error) = answer.chart.error {
        return Err(format!("Yahoo says {}: {}", error.code, error.description));
    }
    let series = answer.chart.result.and_then(|mut list| list.pop());
    let series = series.ok_or("the answer holds no series")?;
    let mut quote = series.indicators.quote;
    let columns = quote.pop().unwrap_or_default();
    let n = series.timestamp.len();
    let lengths = [&columns.open, &columns.high, &columns.low, &columns.close].map(Vec::len);
    if n > 0 && lengths.iter().any(|length| *length != n) {
        return Err(format!("the answer has {n} instants and {lengths:?} prices"));
    }
    let rows = series.timestamp.iter().enumerate().map(|(row, at)| {
        let of = |column: &[Option<f64>]| column.get(row).copied().flatten();
        let prices = [&columns.open, &columns.high, &columns.low, &columns.close, &columns.volume];
        (at.saturating_mul(1_000_000), prices.map(|column| of(column)))
    });
    Ok(checked(rows, wanted))
}
