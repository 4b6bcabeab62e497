//! `time.Duration`: `1h30m`, `2.5s`, `100ms`.

use std::time::Duration;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Units with their length in nanoseconds. The micro sign has two code points, and `u` stands for it on keyboards.
const UNITS: [(&str, u128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", NANOS_PER_SECOND),
    ("m", 60 * NANOS_PER_SECOND),
    ("h", 3600 * NANOS_PER_SECOND),
];

/// Reads a duration of numbers with units; negative ones are refused, since no flag of ours has a use for them.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("time: invalid duration {}", super::quote(text.as_bytes()));
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.starts_with('-') {
        return Err(format!("{}: it must not be negative", invalid()));
    }
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut nanos: u128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, behind) = rest.split_at(number_end);
        let unit_end = behind.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(behind.len());
        let (unit, behind) = behind.split_at(unit_end);
        if unit.is_empty() {
            return Err(format!("time: missing unit in duration {}", super::quote(text.as_bytes())));
        }
        let Some(&(_, length)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            let (unit, text) = (super::quote(unit.as_bytes()), super::quote(text.as_bytes()));
            return Err(format!("time: unknown unit {unit} in duration {text}"));
        };
        nanos = scaled(number, length).and_then(|part| nanos.checked_add(part)).ok_or_else(invalid)?;
        rest = behind;
    }
    // Go keeps durations in an int64.
    u64::try_from(nanos)
        .ok()
        .filter(|nanos| i64::try_from(*nanos).is_ok())
        .map(Duration::from_nanos)
        .ok_or_else(invalid)
}

/// `number` (digits with at most one point) times `length`.
fn scaled(number: &str, length: u128) -> Option<u128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    // Digits beyond the tenth are worth less than a nanosecond even in hours; `get` also refuses a second point.
    let fraction = fraction.get(..fraction.len().min(15))?;
    let mut sum = if whole.is_empty() { 0 } else { whole.parse::<u64>().ok().map(u128::from)?.checked_mul(length)? };
    if !fraction.is_empty() {
        let digits: u128 = fraction.parse().ok()?;
        sum = sum.checked_add(digits * length / 10u128.pow(u32::try_from(fraction.len()).ok()?))?;
    }
    Some(sum)
}

/// The shortest form with the largest fitting unit: `1m2.5s`, `4.94ms`, `120µs`, `0s`.
pub fn format_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", decimal(nanos, 1_000)),
        1_000_000..NANOS_PER_SECOND => format!("{}ms", decimal(nanos, 1_000_000)),
        _ => {
            let seconds = decimal(nanos % (60 * NANOS_PER_SECOND), NANOS_PER_SECOND);
            let minutes = nanos / (60 * NANOS_PER_SECOND);
            match minutes {
                0 => format!("{seconds}s"),
                1..60 => format!("{minutes}m{seconds}s"),
                _ => format!("{}h{}m{seconds}s", minutes / 60, minutes % 60),
            }
        }
    }
}

/// `value / unit` without trailing zeros.
fn decimal(value: u128, unit: u128) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_in_go() {
        for (text, nanos) in [
            ("0", 0),
            ("5s", 5_000_000_000),
            ("100ms", 100_000_000),
            ("1h30m", 5_400_000_000_000),
            ("1.5s", 1_500_000_000),
            (".5s", 500_000_000),
            ("1.s", 1_000_000_000),
            ("3µs", 3_000),
            ("+2ns", 2),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_nanos(nanos)), "{text}");
        }
    }

    #[test]
    fn a_bad_duration_is_named() {
        assert_eq!(parse_duration("5").unwrap_err(), r#"time: missing unit in duration "5""#);
        assert_eq!(parse_duration("5x").unwrap_err(), r#"time: unknown unit "x" in duration "5x""#);
        for text in ["", "s", ".s", "1.2.3s", "-1s", "9999999999h"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_print_as_in_go() {
        for (nanos, text) in [
            (0, "0s"),
            (7, "7ns"),
            (1_500, "1.5µs"),
            (4_944_717, "4.944717ms"),
            (2_000_000_000, "2s"),
            (62_500_000_000, "1m2.5s"),
            (3_600_000_000_000, "1h0m0s"),
        ] {
            assert_eq!(format_duration(Duration::from_nanos(nanos)), text);
        }
    }
}
