//! [`Pair`]: two currencies, canonical `EUR/USD` whatever was typed.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A currency pair: base and quote symbols, upper case, 2 to 10 ASCII letters or digits each.
///
/// Prints `EUR/USD`; parses `EUR/USD`, `EURUSD`, `EUR-USD` and `eur_usd`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pair {
    base: String,
    quote: String,
}

/// Text that names no pair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{given} is not a currency pair; write it like EUR/USD")]
pub struct PairError {
    given: String,
}

impl Pair {
    /// The first currency: what is bought and sold.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The second currency: what the price is in.
    pub fn quote(&self) -> &str {
        &self.quote
    }

    /// `EURUSD`: the form for file names.
    pub fn compact(&self) -> String {
        format!("{}{}", self.base, self.quote)
    }
}

impl FromStr for Pair {
    type Err = PairError;

    fn from_str(text: &str) -> Result<Self, PairError> {
        // A hostile name can be 10 kB long or hold control bytes: the message shows a short, printable piece.
        let refuse =
            || PairError { given: format!("{:?}", text.chars().take(24).collect::<String>()) };
        let symbol =
            |s: &str| (2..=10).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_alphanumeric());
        let (base, quote) = match text.split_once(['/', '-', '_']) {
            Some(parts) => parts,
            // Without a separator only two ISO currencies of three letters can be told apart.
            None if text.len() == 6 && text.is_ascii() => text.split_at(3),
            None => return Err(refuse()),
        };
        if !symbol(base) || !symbol(quote) || base.eq_ignore_ascii_case(quote) {
            return Err(refuse());
        }
        Ok(Pair { base: base.to_ascii_uppercase(), quote: quote.to_ascii_uppercase() })
    }
}

impl TryFrom<String> for Pair {
    type Error = PairError;

    fn try_from(text: String) -> Result<Self, PairError> {
        text.parse()
    }
}

impl From<Pair> for String {
    fn from(pair: Pair) -> String {
        pair.to_string()
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.base, self.quote)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_spelling_prints_canonically() {
        for text in ["EUR/USD", "EURUSD", "EUR-USD", "eur_usd", "eurusd"] {
            assert_eq!(
                text.parse::<Pair>().map(|p| p.to_string()),
                Ok("EUR/USD".to_owned()),
                "{text}"
            );
        }
        assert_eq!("BTC/USDT".parse::<Pair>().map(|p| p.compact()), Ok("BTCUSDT".to_owned()));
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        let long = "A".repeat(10_000);
        for text in [
            "",
            "EUR",
            "EUR/",
            "/USD",
            "E/USD",
            "EUR/USD/JPY",
            "EUR USD",
            "../../etc",
            "€UR/USD",
            "\"; DROP TABLE candles;--",
            "EUR\0USD",
            "EUR/EUR",
            &long,
        ] {
            let error = text.parse::<Pair>().expect_err(text).to_string();
            assert!(error.contains("EUR/USD") && error.len() < 120, "{error}");
        }
    }

    proptest! {
        #[test]
        fn parse_inverts_print(base in "[A-Z0-9]{2,10}", quote in "[A-Z0-9]{2,10}") {
            prop_assume!(base != quote);
            let pair: Pair = format!("{base}/{quote}").parse().map_err(|e: PairError| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(pair.to_string().parse::<Pair>(), Ok(pair));
        }
    }
}
