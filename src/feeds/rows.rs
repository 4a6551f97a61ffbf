//! Rows: fields, numbers and times of a text whose [`Layout`] is known.

use std::borrow::Cow;

use chrono::{Datelike, NaiveDate};

use super::{
    Refusals, SourceZone,
    bytes::{MAX_LINE_BYTES, long_line},
    clock::{LocalClock, offset_us},
    layout::{Layout, Prices, Stamp},
};
use crate::{
    fault::Fault,
    market::{CandleColumns, DAY_US, HOUR_US, MINUTE_US, Micros, SECOND_US},
};

/// Parsed rows in the order of the file; prices are numbers, not yet checked.
pub(super) struct RawRows {
    pub(super) columns: CandleColumns,
    /// Line of each row.
    pub(super) lines: Vec<u64>,
    /// Rows that could not be parsed.
    pub(super) refused: Refusals,
    /// What the pair and timeframe columns say, in each row the same.
    pub(super) said: [Option<String>; 2],
    /// Rows whose time said no zone.
    pub(super) n_naive: u64,
}

pub(super) fn parse(text: &str, layout: &Layout, zone: SourceZone) -> Result<RawRows, Fault> {
    let n_guess = text.len() / 40;
    let mut raw = RawRows {
        columns: CandleColumns::with_capacity(n_guess),
        lines: Vec::with_capacity(n_guess),
        refused: Refusals::default(),
        said: [None, None],
        n_naive: 0,
    };
    let mut clock = LocalClock::new(zone);
    let mut fields: Vec<&[u8]> = Vec::with_capacity(16);
    for (number, line) in Lines::of(text) {
        if line.len() > MAX_LINE_BYTES {
            return Err(long_line(number));
        }
        if number < layout.first_row || line.trim_ascii().is_empty() {
            continue;
        }
        split(line, layout.separator, &mut fields);
        for (column, said) in layout.said.iter().zip(&mut raw.said) {
            if let Some(field) = column.and_then(|column| fields.get(column)) {
                same(number, field, said)?;
            }
        }
        match row(&fields, layout, &mut clock) {
            Ok(Row { at_us, prices, volume, naive }) => {
                raw.columns.push_raw(at_us, prices, volume);
                raw.lines.push(number);
                raw.n_naive += u64::from(naive);
            }
            Err(reason) => raw.refused.push(number, reason),
        }
    }
    Ok(raw)
}

/// A file is of one pair and one timeframe: the first row says which.
fn same(line: u64, field: &[u8], said: &mut Option<String>) -> Result<(), Fault> {
    match said {
        Some(first) if first.as_bytes() == field => Ok(()),
        Some(first) => Err(Fault::input(format!(
            "line {line}: the file mixes {first:?} with {}",
            shown(field)
        ))
        .hint("split it into a file for each pair and timeframe")),
        None => {
            *said = Some(String::from_utf8_lossy(field).into_owned());
            Ok(())
        }
    }
}

/// Lines with their numbers from 1, without line ends and without a byte order mark.
pub(super) struct Lines<'a> {
    rest: &'a [u8],
    number: u64,
}

impl<'a> Lines<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Lines { rest: text.strip_prefix('\u{feff}').unwrap_or(text).as_bytes(), number: 0 }
    }
}

impl<'a> Iterator for Lines<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let end = self.rest.iter().position(|&byte| byte == b'\n');
        let (line, rest) = match end {
            Some(end) => (&self.rest[..end], &self.rest[end + 1..]),
            None => (self.rest, &[][..]),
        };
        self.rest = rest;
        self.number += 1;
        Some((self.number, line.strip_suffix(b"\r").unwrap_or(line)))
    }
}

/// Fields of a line, quotes taken off.
pub(super) fn split<'a>(line: &'a [u8], separator: u8, fields: &mut Vec<&'a [u8]>) {
    fields.clear();
    let mut rest = line;
    loop {
        if let Some(quoted) = rest.strip_prefix(b"\"")
            && let Some(end) = quoted.iter().position(|&byte| byte == b'"')
            && quoted.get(end + 1).is_none_or(|&byte| byte == separator)
        {
            fields.push(&quoted[..end]);
            match quoted.get(end + 2..) {
                Some(next) => rest = next,
                None => return,
            }
            continue;
        }
        match rest.iter().position(|&byte| byte == separator) {
            Some(end) => {
                fields.push(&rest[..end]);
                rest = &rest[end + 1..];
            }
            None => {
                fields.push(rest);
                return;
            }
        }
    }
}

struct Row {
    at_us: Micros,
    prices: [f64; 4],
    volume: f64,
    naive: bool,
}

fn row(fields: &[&[u8]], layout: &Layout, clock: &mut LocalClock) -> Result<Row, String> {
    let columns = &layout.prices;
    let n = fields.len();
    if n != layout.width && !(layout.second.is_some() && n == 6) {
        return Err(format!(
            "{n} of {} fields{}",
            layout.width,
            if n < layout.width { ": the row is cut off" } else { "" }
        ));
    }
    let (local_us, mut offset) = stamp(fields, &layout.stamp)?;
    if layout.points && matches!(layout.stamp, Stamp::One(at) if epoch_us(fields[at]).is_some()) {
        // MetaTrader counts the seconds of its broker's clock.
        offset = None;
    }
    let at_us = match offset {
        Some(offset_us) => local_us - offset_us,
        None => clock.instant(local_us).ok_or_else(|| {
            let at = crate::market::instant(local_us).format("%F %T");
            format!("column 1: the clocks of {} jumped over {at}", clock.zone())
        })?,
    };
    let columns = match &layout.second {
        Some(second) if n == layout.width && fields[columns.ohlc[0]].is_empty() => second,
        Some(second) if n == layout.width && !fields[second.ohlc[0]].is_empty() => {
            return Err("both sets of prices are filled".to_owned());
        }
        _ => columns,
    };
    let (prices, volume) = numbers(fields, columns)?;
    Ok(Row { at_us, prices, volume, naive: offset.is_none() })
}

fn numbers(fields: &[&[u8]], columns: &Prices) -> Result<([f64; 4], f64), String> {
    let mut prices = [0.0; 4];
    for ((price, &column), name) in
        prices.iter_mut().zip(&columns.ohlc).zip(["open", "high", "low", "close"])
    {
        *price = number(fields[column])
            .ok_or_else(|| bad_field(fields[column], column, name, "a number"))?;
    }
    let volume = match columns.volume {
        Some(column) => number(fields[column])
            .ok_or_else(|| bad_field(fields[column], column, "volume", "a number"))?,
        None => 0.0,
    };
    Ok((prices, volume))
}

fn bad_field(field: &[u8], column: usize, name: &str, what: &str) -> String {
    if field.is_empty() {
        return format!("column {}: {name} is empty", column + 1);
    }
    format!("column {}: {name} {} is not {what}", column + 1, shown(field))
}

/// The beginning of a field, printable.
pub(super) fn shown(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field);
    format!("{:?}", text.chars().take(32).collect::<String>())
}

/// A decimal number; the nearest `f64`, as the standard library reads it.
pub(super) fn number(field: &[u8]) -> Option<f64> {
    // At most 15 digits and a power of ten that is exact: one division rounds correctly (Clinger 1990).
    const POWERS: [f64; 16] =
        [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];
    if (1..=16).contains(&field.len()) {
        let (mut mantissa, mut n_digits, mut n_after, mut point) = (0u64, 0, 0, 0);
        let plain = field.iter().all(|&byte| match byte {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + u64::from(byte - b'0');
                n_digits += 1;
                n_after += point;
                true
            }
            b'.' if point == 0 => {
                point = 1;
                true
            }
            _ => false,
        });
        if plain && (1..=15).contains(&n_digits) {
            return Some(mantissa as f64 / POWERS[n_after]);
        }
    }
    let text = std::str::from_utf8(field).ok()?.trim();
    // A comma is inside a field only where it is no separator: then it is the decimal one.
    let text = match text.split_once(',') {
        Some((whole, rest)) if !rest.contains([',', '.']) && !whole.contains('.') => {
            Cow::Owned(text.replace(',', "."))
        }
        _ => Cow::Borrowed(text),
    };
    text.parse().ok()
}

/// A row's time as if its clock were UTC, and the offset that the value itself carries.
fn stamp(fields: &[&[u8]], stamp: &Stamp) -> Result<(Micros, Option<Micros>), String> {
    match *stamp {
        Stamp::One(column) => instant(fields[column].trim_ascii())
            .ok_or_else(|| bad_field(fields[column], column, "time", "a date and time")),
        Stamp::Two(date_column, time_column) => {
            let (date, time) = (fields[date_column], fields[time_column]);
            let (days_us, _) = date_us(date)
                .filter(|(_, rest)| rest.is_empty())
                .ok_or_else(|| bad_field(date, date_column, "date", "a date"))?;
            let (time_us, offset) =
                time_us(time).ok_or_else(|| bad_field(time, time_column, "time", "a time"))?;
            Ok((days_us + time_us, offset))
        }
        Stamp::MillisOf(midnight_us) => {
            let field = fields[0];
            let ms = std::str::from_utf8(field).ok().and_then(|text| text.parse::<i64>().ok());
            ms.filter(|ms| (0..86_400_000).contains(ms))
                .map(|ms| (midnight_us + ms * 1000, None))
                .ok_or_else(|| bad_field(field, 0, "time", "a count of milliseconds in a day"))
        }
    }
}

/// A date, or a date and a time, in any order and punctuation that a vendor uses.
pub(super) fn instant(field: &[u8]) -> Option<(Micros, Option<Micros>)> {
    if let Some(at_us) = epoch_us(field) {
        return Some((at_us, Some(0)));
    }
    let (days_us, rest) = date_us(field)?;
    match rest {
        [] => Some((days_us, None)),
        [b'T' | b't' | b' ', time @ ..] => {
            let (time_us, offset) = time_us(time)?;
            Some((days_us + time_us, offset))
        }
        _ => None,
    }
}

/// Seconds since 1970 in ten digits, milliseconds in thirteen: from September 2001 on.
fn epoch_us(field: &[u8]) -> Option<Micros> {
    let unit_us = match field.len() {
        10 => SECOND_US,
        13 => SECOND_US / 1000,
        _ => return None,
    };
    let counts = field.iter().all(u8::is_ascii_digit) && field[0] != b'0';
    let count: Micros = std::str::from_utf8(field).ok().filter(|_| counts)?.parse().ok()?;
    Some(count * unit_us)
}

/// `2018-01-31`, `2018.01.31`, `2018/01/31`, `20180131`, and day first `31.01.2018`; then what follows.
pub(super) fn date_us(field: &[u8]) -> Option<(Micros, &[u8])> {
    let (year, month, day, rest) = match *field {
        [a, b, c, d, s @ (b'-' | b'.' | b'/'), e, f, t, g, h, ..] if s == t => {
            (digits(&[a, b, c, d])?, digits(&[e, f])?, digits(&[g, h])?, &field[10..])
        }
        [a, b, b'.', c, d, b'.', e, f, g, h, ..] => {
            (digits(&[e, f, g, h])?, digits(&[c, d])?, digits(&[a, b])?, &field[10..])
        }
        [a, b, c, d, e, f, g, h, ..] => {
            (digits(&[a, b, c, d])?, digits(&[e, f])?, digits(&[g, h])?, &field[8..])
        }
        _ => return None,
    };
    // Years that a calendar of trading never holds are a wrong column.
    if !(1900..2200).contains(&year) {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    let days = i64::from(date.num_days_from_ce() - 719_163);
    Some((days * DAY_US, rest))
}

/// `13:00`, `13:00:00`, `13:00:00.000`, `130000`, then perhaps `Z` or an offset.
fn time_us(field: &[u8]) -> Option<(Micros, Option<Micros>)> {
    let (hour, minute, second, rest) = match *field {
        [a, b, b':', c, d, b':', e, f, ..] => {
            (digits(&[a, b])?, digits(&[c, d])?, digits(&[e, f])?, &field[8..])
        }
        [a, b, b':', c, d, ..] => (digits(&[a, b])?, digits(&[c, d])?, 0, &field[5..]),
        [a, b, c, d, e, f, ..] => {
            (digits(&[a, b])?, digits(&[c, d])?, digits(&[e, f])?, &field[6..])
        }
        _ => return None,
    };
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let mut us =
        i64::from(hour) * HOUR_US + i64::from(minute) * MINUTE_US + i64::from(second) * SECOND_US;
    let mut rest = rest;
    if let [b'.', fraction @ ..] = rest {
        let n = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if n == 0 || n > 9 {
            return None;
        }
        let mut unit_us = SECOND_US / 10;
        for digit in &fraction[..n] {
            us += i64::from(digit - b'0') * unit_us;
            unit_us /= 10;
        }
        rest = &fraction[n..];
    }
    // Dukascopy writes `GMT+0200` after the time in some downloads.
    let rest = rest.strip_prefix(b" ").unwrap_or(rest);
    let rest = rest.strip_prefix(b"GMT").unwrap_or(rest);
    let offset = match rest {
        [] => None,
        b"Z" | b"z" | b"UTC" => Some(0),
        offset => Some(offset_us(offset)?),
    };
    Some((us, offset))
}

fn digits(bytes: &[u8]) -> Option<u32> {
    bytes
        .iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn times_of_all_vendors_are_read() {
        for (text, utc) in [
            ("2018-01-31T22:00:00Z", "2018-01-31T22:00:00Z"),
            ("2012-02-01 00:01:00+00:00", "2012-02-01T00:01:00Z"),
            ("2012-02-01 00:01:00.250-05:00", "2012-02-01T05:01:00.250Z"),
            ("20180101 170000", "2018-01-01T17:00:00Z"),
            ("20070330 00:00", "2007-03-30T00:00:00Z"),
            ("2010.10.07 13:00", "2010-10-07T13:00:00Z"),
            ("01.02.2017 22:00:00.000", "2017-02-01T22:00:00Z"),
            ("01.02.2017 22:00:00.000 GMT+0200", "2017-02-01T20:00:00Z"),
            ("2024-02-29", "2024-02-29T00:00:00Z"),
            ("1517436000", "2018-01-31T22:00:00Z"),
            ("1517436000250", "2018-01-31T22:00:00.250Z"),
        ] {
            let (us, offset) = instant(text.as_bytes()).expect(text);
            let expected: chrono::DateTime<chrono::Utc> = utc.parse().expect(utc);
            assert_eq!(us - offset.unwrap_or(0), expected.timestamp_micros(), "{text}");
        }
        for text in
            ["", "2023-02-29", "2018-01-31T24:00:00Z", "0514764800", "2018-01-31x", "31/01/2018"]
        {
            assert_eq!(instant(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn fields_keep_what_quotes_hold() {
        let mut fields = Vec::new();
        for (line, separator, expected) in [
            ("a,b,,c", b',', vec!["a", "b", "", "c"]),
            ("\"1,5\",2", b',', vec!["1,5", "2"]),
            ("1,\"2\"", b',', vec!["1", "2"]),
            ("\"1\",", b',', vec!["1", ""]),
            ("\"1,2", b',', vec!["\"1", "2"]),
            ("", b',', vec![""]),
        ] {
            split(line.as_bytes(), separator, &mut fields);
            let expected: Vec<&[u8]> = expected.into_iter().map(str::as_bytes).collect();
            assert_eq!(fields, expected, "{line}");
        }
    }

    #[test]
    fn a_decimal_comma_is_read_and_a_thousands_comma_is_not() {
        assert_eq!(number(b"1,3988"), Some(1.3988));
        for text in ["1,398.8", "1.398,8", "1,398,800", "", ".", "1.2.3", "12x", "--1"] {
            assert_eq!(number(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn numbers_are_those_of_the_standard_library(text in "[0-9]{1,9}(\\.[0-9]{0,9})?") {
            let expected = text.parse::<f64>().ok();
            prop_assert_eq!(number(text.as_bytes()), expected);
        }

        #[test]
        fn no_bytes_make_the_reader_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = (instant(&bytes), number(&bytes), time_us(&bytes));
        }
    }
}
