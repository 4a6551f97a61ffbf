//! What a file's name says: pair, timeframe, date. A guess that flags override and the content must not contradict.

use chrono::NaiveDate;

use crate::market::{Pair, Timeframe};

/// Currencies that are recognised in a name without a separator.
const CURRENCIES: [&str; 46] = [
    "USD", "EUR", "GBP", "JPY", "CHF", "AUD", "CAD", "NZD", "SEK", "NOK", "DKK", "PLN", "CZK",
    "HUF", "RON", "BGN", "TRY", "RUB", "ZAR", "MXN", "BRL", "CLP", "COP", "ARS", "PEN", "CNY",
    "CNH", "HKD", "SGD", "INR", "KRW", "TWD", "THB", "IDR", "MYR", "PHP", "ILS", "SAR", "AED",
    "ISK", "XAU", "XAG", "XPT", "XPD", "BTC", "ETH",
];

/// What a name says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Named {
    pub(super) pair: Option<Pair>,
    pub(super) timeframe: Option<Timeframe>,
    pub(super) date: Option<NaiveDate>,
    /// HistData's own names: `DAT_ASCII_…`, `DAT_MT_…`.
    pub(super) histdata: bool,
    /// It holds what sellers ask, not what buyers bid.
    pub(super) ask: bool,
}

impl Named {
    /// What this name does not say, another does.
    pub(super) fn or(self, other: Named) -> Named {
        Named {
            pair: self.pair.or(other.pair),
            timeframe: self.timeframe.or(other.timeframe),
            date: self.date.or(other.date),
            histdata: self.histdata || other.histdata,
            ask: self.ask || other.ask,
        }
    }
}

pub(super) fn read(name: &str) -> Named {
    let mut named = Named { histdata: name.starts_with("DAT_"), ..Named::default() };
    let tokens: Vec<&str> = name
        .split(|c: char| !c.is_ascii_alphanumeric())
        .filter(|token| !token.is_empty())
        .collect();
    for (at, token) in tokens.iter().enumerate() {
        let (pair, rest) = match (pair_before(token), tokens.get(at + 1)) {
            (Some((pair, rest)), _) => (Some(pair), rest),
            (None, Some(next)) if token.len() == 3 && next.len() == 3 => {
                (pair_before(&format!("{token}{next}")).map(|(pair, _)| pair), "")
            }
            _ => (None, ""),
        };
        if named.pair.is_none() && pair.is_some() {
            named.pair = pair;
            named.timeframe = named.timeframe.or(minutes(rest)).or(short_timeframe(rest));
        }
        named.timeframe = named.timeframe.or(short_timeframe(token));
        named.ask |= token.eq_ignore_ascii_case("ask");
        if token.len() == 8 && named.date.is_none() {
            named.date = NaiveDate::parse_from_str(token, "%Y%m%d").ok();
        }
    }
    named
}

/// A pair at the beginning of a token, and what follows it.
fn pair_before(token: &str) -> Option<(Pair, &str)> {
    let (symbols, rest) = token.split_at_checked(6)?;
    let known = |symbol: &str| CURRENCIES.iter().any(|c| c.eq_ignore_ascii_case(symbol));
    let (base, quote) = symbols.split_at_checked(3)?;
    if !known(base) || !known(quote) {
        return None;
    }
    Some((symbols.parse().ok()?, rest))
}

/// MetaTrader counts a chart's period in minutes: `EURUSD60`.
fn minutes(digits: &str) -> Option<Timeframe> {
    Some(match digits {
        "1" => Timeframe::Min1,
        "5" => Timeframe::Min5,
        "15" => Timeframe::Min15,
        "30" => Timeframe::Min30,
        "60" => Timeframe::Hour1,
        "240" => Timeframe::Hour4,
        "1440" => Timeframe::Day1,
        "10080" => Timeframe::Week1,
        "43200" => Timeframe::Month1,
        _ => return None,
    })
}

fn short_timeframe(token: &str) -> Option<Timeframe> {
    // `1M` is a month and `1m` a minute, while MetaTrader's `M1` is a minute and `MN1` a month.
    if let Ok(timeframe) = token.parse() {
        return Some(timeframe);
    }
    Some(match token.to_ascii_lowercase().as_str() {
        "1m" | "m1" | "minute" => Timeframe::Min1,
        "5m" | "m5" => Timeframe::Min5,
        "15m" | "m15" => Timeframe::Min15,
        "30m" | "m30" => Timeframe::Min30,
        "1h" | "h1" | "60m" | "60min" | "hour" | "hourly" => Timeframe::Hour1,
        "4h" | "h4" => Timeframe::Hour4,
        "1d" | "d1" | "day" | "daily" => Timeframe::Day1,
        "1w" | "w1" | "1wk" | "weekly" => Timeframe::Week1,
        "mn" | "mn1" | "1mo" | "monthly" => Timeframe::Month1,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_vendors_are_read() {
        use Timeframe::{Day1, Hour1, Hour4, Min1, Month1};
        for (name, pair, timeframe) in [
            ("EURUSD_1h.csv", "EUR/USD", Some(Hour1)),
            ("EURUSD_1m.csv.gz", "EUR/USD", Some(Min1)),
            ("EURUSD_1M.csv", "EUR/USD", Some(Month1)),
            ("DAT_ASCII_EURUSD_M1_2018.csv", "EUR/USD", Some(Min1)),
            ("histdata_DAT_ASCII_EURUSD_M1_2018_head.csv", "EUR/USD", Some(Min1)),
            ("metatrader4_EURUSD60_head.csv", "EUR/USD", Some(Hour1)),
            ("metatrader5_points_USDJPYh1_head.csv", "USD/JPY", Some(Hour1)),
            ("GBPUSD240.csv", "GBP/USD", Some(Hour4)),
            ("EURUSDMN1.csv", "EUR/USD", Some(Month1)),
            ("fxcm_gbpusd-m1-bid-2012_head.csv", "GBP/USD", Some(Min1)),
            ("yfinance_merged_CHFJPY_1h_slice.csv", "CHF/JPY", Some(Hour1)),
            ("lean_oanda_minute_eurusd_20140505_quote.zip", "EUR/USD", Some(Min1)),
            ("lean_fxcm_daily_eurusd.zip", "EUR/USD", Some(Day1)),
            ("dukascopy_EURUSD_1H_ASK_head.csv", "EUR/USD", Some(Hour1)),
            ("EUR_USD 2018.csv", "EUR/USD", None),
        ] {
            let named = read(name);
            assert_eq!(named.pair.map(|pair| pair.to_string()).as_deref(), Some(pair), "{name}");
            assert_eq!(named.timeframe, timeframe, "{name}");
        }
        assert_eq!(read("candles.csv"), Named::default());
        assert_eq!(read("Ünïcödé😀.csv").pair, None);
        assert_eq!(
            read("20140505_eurusd_minute_quote.csv").date,
            NaiveDate::from_ymd_opt(2014, 5, 5)
        );
    }
}
