//! Numbers and instants as a page writes them; [`or_why`] for those that may be missing.

use chrono::{DateTime, Utc};

/// `12,345`.
pub(super) fn count(n: usize) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `41.3 %`, never broken over two lines.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", tidy(share * 100.0, 1))
}

/// `+1.20 %`: a return.
pub(super) fn signed_percent(share: f64) -> String {
    format!("{:+.2}\u{a0}%", tidy(share * 100.0, 2))
}

/// A number with so many decimals.
pub(super) fn number(value: f64, decimals: usize) -> String {
    format!("{:.decimals$}", tidy(value, decimals))
}

/// A number with its sign.
pub(super) fn signed(value: f64, decimals: usize) -> String {
    format!("{:+.decimals$}", tidy(value, decimals))
}

/// What rounds to zero is zero: no `-0.0`.
fn tidy(value: f64, decimals: usize) -> f64 {
    let half = 0.5 * 10f64.powi(-i32::try_from(decimals).unwrap_or_default());
    if value.abs() < half { 0.0 } else { value }
}

/// The value, or `n/a (why)`.
pub(super) fn or_why(value: Option<String>, why: &str) -> String {
    value.unwrap_or_else(|| format!("n/a ({why})"))
}

/// `2018-11-30 22:00`.
pub(super) fn minute(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

/// `2018-11-30`.
pub(super) fn day(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!([count(7), count(1234), count(1_234_567)], ["7", "1,234", "1,234,567"]);
        assert_eq!(percent(0.4126), "41.3\u{a0}%");
        assert_eq!(signed_percent(-0.000_001), "+0.00\u{a0}%");
        assert_eq!(signed(-0.0123, 3), "-0.012");
        assert_eq!(or_why(None, "no trade"), "n/a (no trade)");
    }
}
