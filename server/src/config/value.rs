//! Values as Go's `flag` package reads them, so that what etcd accepts is accepted here and nothing else is.

use std::time::Duration;

use super::url::Url;

/// A flag's value, read by its [`Kind`](super::table::Kind).
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Bool(bool),
    Uint(u64),
    Int(i64),
    /// Nanoseconds; Go's durations are signed.
    Duration(i64),
    Text(String),
    List(Vec<String>),
    Urls(Vec<Url>),
}

/// `true` and `false` in Go's spellings.
pub fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// Why a number was not taken; the texts are Go's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("parse error")]
    Syntax,
    #[error("value out of range")]
    Range,
}

/// An unsigned number: decimal, or with 0x, 0o, 0b or a leading 0 for octal; underscores between digits.
pub fn parse_uint(text: &str) -> Result<u64, Error> {
    let (digits, radix) = split_radix(text);
    if digits.is_empty() || digits.starts_with('_') || digits.ends_with('_') || digits.contains("__") {
        return Err(Error::Syntax);
    }
    let plain: String = digits.chars().filter(|c| *c != '_').collect();
    if !plain.chars().all(|c| c.is_digit(radix)) {
        return Err(Error::Syntax);
    }
    u64::from_str_radix(&plain, radix).map_err(|_| Error::Range)
}

/// As [`parse_uint`], with an optional sign.
pub fn parse_int(text: &str) -> Result<i64, Error> {
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let size = i128::from(parse_uint(digits)?);
    i64::try_from(if negative { -size } else { size }).map_err(|_| Error::Range)
}

fn split_radix(text: &str) -> (&str, u32) {
    let lower = text.get(..2).map(str::to_ascii_lowercase);
    match lower.as_deref() {
        Some("0x") => (&text[2..], 16),
        Some("0o") => (&text[2..], 8),
        Some("0b") => (&text[2..], 2),
        _ if text.len() > 1 && text.starts_with('0') => (text[1..].trim_start_matches('_'), 8),
        _ => (text, 10),
    }
}

const UNITS: [(&str, i64); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("\u{b5}s", 1_000),
    ("\u{3bc}s", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// A duration such as `100ms`, `1h30m`, `-1.5s` or `0`, in nanoseconds.
pub fn parse_duration(text: &str) -> Result<i64, Error> {
    let (negative, mut rest) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(Error::Syntax);
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_len = rest.find(|c: char| c != '.' && !c.is_ascii_digit()).ok_or(Error::Syntax)?;
        let (number, tail) = rest.split_at(number_len);
        let unit_len = tail.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_len);
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(Error::Syntax)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') {
            return Err(Error::Syntax);
        }
        let whole = if whole.is_empty() { 0 } else { whole.parse::<i64>().map_err(|_| Error::Range)? };
        total += i128::from(whole) * i128::from(*size);
        // 18 digits are more than a nanosecond of an hour can show.
        let fraction = &fraction[..fraction.len().min(18)];
        if !fraction.is_empty() {
            let numerator = fraction.parse::<i128>().map_err(|_| Error::Syntax)?;
            total += numerator * i128::from(*size) / 10_i128.pow(fraction.len() as u32);
        }
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).map_err(|_| Error::Range)
}

/// The duration, or `None` when it is negative.
pub fn to_duration(nanoseconds: i64) -> Option<Duration> {
    u64::try_from(nanoseconds).ok().map(Duration::from_nanos)
}

/// A duration as flags have it, if the text is one.
pub fn duration(text: &str) -> Option<Duration> {
    to_duration(parse_duration(text).ok()?)
}

/// A duration as Go prints it: `1h0m0s`, `1.5s`, `100ms`, `0s`.
pub fn format_duration(nanoseconds: i64) -> String {
    let sign = if nanoseconds < 0 { "-" } else { "" };
    let size = nanoseconds.unsigned_abs();
    let decimal = |unit: u64, name: &str| {
        let digits = unit.ilog10() as usize;
        let fraction = format!("{:0digits$}", size % unit);
        let fraction = fraction.trim_end_matches('0');
        let dot = if fraction.is_empty() { "" } else { "." };
        format!("{sign}{}{dot}{fraction}{name}", size / unit)
    };
    match size {
        0 => "0s".to_owned(),
        1..1_000 => format!("{sign}{size}ns"),
        1_000..1_000_000 => decimal(1_000, "\u{b5}s"),
        1_000_000..1_000_000_000 => decimal(1_000_000, "ms"),
        1_000_000_000..60_000_000_000 => decimal(1_000_000_000, "s"),
        _ => {
            let seconds = size % 60_000_000_000;
            let minutes = size / 60_000_000_000;
            let fraction = format!("{:09}", seconds % 1_000_000_000);
            let fraction = fraction.trim_end_matches('0');
            let dot = if fraction.is_empty() { "" } else { "." };
            let seconds = seconds / 1_000_000_000;
            let hours = minutes / 60;
            let hours = if hours > 0 { format!("{hours}h") } else { String::new() };
            format!("{sign}{hours}{}m{seconds}{dot}{fraction}s", minutes % 60)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, nanoseconds) in [
            ("0", Ok(0)),
            ("100ms", Ok(100_000_000)),
            ("1h30m", Ok(5_400_000_000_000)),
            ("-1.5s", Ok(-1_500_000_000)),
            (".5s", Ok(500_000_000)),
            ("1.s", Ok(1_000_000_000)),
            ("3\u{b5}s", Ok(3_000)),
            ("", Err(Error::Syntax)),
            ("5", Err(Error::Syntax)),
            ("5 s", Err(Error::Syntax)),
            ("1d", Err(Error::Syntax)),
            (".s", Err(Error::Syntax)),
            ("1.2.3s", Err(Error::Syntax)),
            ("9999999h", Err(Error::Range)),
        ] {
            assert_eq!(parse_duration(text), nanoseconds, "{text}");
        }
    }

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        for (text, printed) in [
            ("0", "0s"),
            ("1ns", "1ns"),
            ("1500ns", "1.5\u{b5}s"),
            ("100ms", "100ms"),
            ("1500ms", "1.5s"),
            ("60s", "1m0s"),
            ("2h", "2h0m0s"),
            ("-90m0.5s", "-1h30m0.5s"),
        ] {
            assert_eq!(format_duration(parse_duration(text).unwrap()), printed);
        }
    }

    #[test]
    fn numbers_are_read_as_go_reads_them() {
        for (text, number) in [
            ("10", Ok(10)),
            ("-1", Ok(-1)),
            ("+7", Ok(7)),
            ("0x1F", Ok(31)),
            ("010", Ok(8)),
            ("1_000", Ok(1000)),
            ("0", Ok(0)),
            ("", Err(Error::Syntax)),
            ("1.5", Err(Error::Syntax)),
            ("1__0", Err(Error::Syntax)),
            ("08", Err(Error::Syntax)),
            ("9223372036854775808", Err(Error::Range)),
        ] {
            assert_eq!(parse_int(text), number, "{text}");
        }
        assert_eq!(parse_uint("-1"), Err(Error::Syntax));
        assert_eq!(parse_uint("18446744073709551616"), Err(Error::Range));
    }
}
