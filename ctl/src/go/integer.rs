//! `strconv.ParseInt` and `ParseUint` with their error texts.

use std::num::{IntErrorKind, ParseIntError};

/// A signed 64-bit number without a prefix, whatever the base.
pub fn parse_int(text: &str, base: u32) -> Result<i64, String> {
    i64::from_str_radix(text, base).map_err(|error| describe("ParseInt", text, &error))
}

/// An unsigned 64-bit number, which Go reads without any sign.
pub fn parse_uint(text: &str, base: u32) -> Result<u64, String> {
    if text.starts_with('+') {
        return Err(invalid_syntax("ParseUint", text));
    }
    u64::from_str_radix(text, base).map_err(|error| describe("ParseUint", text, &error))
}

/// A number as a flag takes it: decimal, or with the prefix `0x`, `0o` or `0b`.
pub fn parse_flag_int(text: &str) -> Result<i64, String> {
    for (prefix, base) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            return i64::from_str_radix(digits, base).map_err(|error| describe("ParseInt", text, &error));
        }
    }
    parse_int(text, 10)
}

fn describe(function: &str, text: &str, error: &ParseIntError) -> String {
    match error.kind() {
        IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => {
            format!("strconv.{function}: parsing {}: value out of range", super::quote(text.as_bytes()))
        }
        _ => invalid_syntax(function, text),
    }
}

fn invalid_syntax(function: &str, text: &str) -> String {
    format!("strconv.{function}: parsing {}: invalid syntax", super::quote(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fail_with_the_texts_of_go() {
        assert_eq!(parse_int("zz", 16).unwrap_err(), r#"strconv.ParseInt: parsing "zz": invalid syntax"#);
        assert_eq!(
            parse_int("99999999999999999999", 10).unwrap_err(),
            r#"strconv.ParseInt: parsing "99999999999999999999": value out of range"#
        );
        assert_eq!(parse_uint("-1", 16).unwrap_err(), r#"strconv.ParseUint: parsing "-1": invalid syntax"#);
    }

    #[test]
    fn flags_take_prefixed_numbers() {
        assert_eq!(parse_flag_int("0x10"), Ok(16));
        assert_eq!(parse_flag_int("-3"), Ok(-3));
    }
}
