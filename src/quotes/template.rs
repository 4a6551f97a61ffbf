//! Any address that answers with a CSV file of candles, in one of the formats that `import` knows.

use chrono::{SecondsFormat, TimeDelta};

use super::{Provider, Quotes, Wanted, checked, http::Client};
use crate::{
    fault::Fault,
    feeds::{self, OnBadRow, ReadOptions},
    market::Timeframe,
};

pub(super) struct Template {
    url: String,
    client: Client,
}

impl Template {
    pub(super) fn new(url: String, client: Client) -> Template {
        Template { url, client }
    }

    fn address(&self, wanted: &Wanted) -> String {
        let at = |at: chrono::DateTime<chrono::Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        self.url
            .replace("{pair}", &wanted.pair.compact())
            .replace("{base}", wanted.pair.base())
            .replace("{quote}", wanted.pair.quote())
            .replace("{timeframe}", wanted.timeframe.name())
            .replace("{from}", &at(wanted.from))
            .replace("{to}", &at(wanted.as_of))
    }
}

impl Provider for Template {
    fn candles(&self, wanted: &Wanted) -> Result<Quotes, Fault> {
        self.client.get(&self.address(wanted), |body| {
            let options = ReadOptions {
                pair: Some(wanted.pair.clone()),
                timeframe: Some(wanted.timeframe),
                tz: None,
                on_bad_row: OnBadRow::Skip,
                as_of: wanted.as_of,
            };
            let file = feeds::parse("the answer", body, &options).map_err(|e| format!("{e:#}"))?;
            let columns = &file.columns;
            let rows = (0..columns.len()).map(|row| {
                let of = |column: &[f64]| Some(column[row]);
                let prices = [
                    of(&columns.open),
                    of(&columns.high),
                    of(&columns.low),
                    of(&columns.close),
                    of(&columns.volume),
                ];
                (columns.open_at_us[row], prices)
            });
            let quotes = checked(rows, wanted);
            Ok(Quotes { n_refused: file.n_refused, n_forming: file.n_forming, ..quotes })
        })
    }

    fn reach(&self, _: Timeframe) -> Option<TimeDelta> {
        Some(TimeDelta::days(365))
    }
}
