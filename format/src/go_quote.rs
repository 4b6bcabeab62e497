//! Go's double-quoted strings, over bytes: keys and values need not be UTF-8.

use std::fmt::Write;

/// Why a text is no quoted string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid quoted string")]
pub struct BadQuote;

/// As `%q` prints it: printable characters as they are, everything else escaped.
pub fn quote(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() + 2);
    out.push('"');
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_char(&mut out, c);
        }
        for byte in chunk.invalid() {
            push_fmt(&mut out, format_args!("\\x{byte:02x}"));
        }
    }
    out.push('"');
    out
}

fn push_char(out: &mut String, c: char) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\x07' => out.push_str("\\a"),
        '\x08' => out.push_str("\\b"),
        '\x0c' => out.push_str("\\f"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\x0b' => out.push_str("\\v"),
        _ if is_printable(c) => out.push(c),
        '\0'..' ' | '\x7f' => push_fmt(out, format_args!("\\x{:02x}", c as u32)),
        '\0'..='\u{ffff}' => push_fmt(out, format_args!("\\u{:04x}", c as u32)),
        _ => push_fmt(out, format_args!("\\U{:08x}", c as u32)),
    }
}

fn push_fmt(out: &mut String, text: std::fmt::Arguments<'_>) {
    // A String takes everything.
    let _ = out.write_fmt(text);
}

/// Rust and Go draw the line in the same place (both from the Unicode categories), except that Rust also escapes a combining
/// mark at the start of a text, hence the letter before it.
fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    let mut buffer = [b'x'; 5];
    let length = c.encode_utf8(&mut buffer[1..]).len();
    str::from_utf8(&buffer[..=length]).is_ok_and(|text| !text.escape_debug().any(|escaped| escaped == '\\'))
}

/// Reads the quoted string at the start of `text`, `"…"` with escapes or `` `…` `` without, and gives what is behind it.
pub fn unquote_prefix(text: &str) -> Result<(Vec<u8>, &str), BadQuote> {
    if let Some(raw) = text.strip_prefix('`') {
        let (inside, behind) = raw.split_once('`').ok_or(BadQuote)?;
        return Ok((inside.replace('\r', "").into_bytes(), behind));
    }
    let mut rest = text.strip_prefix('"').ok_or(BadQuote)?;
    let mut out = Vec::new();
    loop {
        let mut chars = rest.chars();
        match chars.next().ok_or(BadQuote)? {
            '"' => return Ok((out, chars.as_str())),
            '\n' => return Err(BadQuote),
            '\\' => rest = unescape(chars.as_str(), &mut out)?,
            c => {
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                rest = chars.as_str();
            }
        }
    }
}

/// Reads one escape without its backslash.
fn unescape<'a>(text: &'a str, out: &mut Vec<u8>) -> Result<&'a str, BadQuote> {
    let kind = text.chars().next().ok_or(BadQuote)?;
    let simple = match kind {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        '"' => b'"',
        'x' => {
            let (value, rest) = digits(&text[1..], 2, 16)?;
            out.push(u8::try_from(value).map_err(|_| BadQuote)?);
            return Ok(rest);
        }
        '0'..='7' => {
            let (value, rest) = digits(text, 3, 8)?;
            out.push(u8::try_from(value).map_err(|_| BadQuote)?);
            return Ok(rest);
        }
        'u' | 'U' => {
            let (value, rest) = digits(&text[1..], if kind == 'u' { 4 } else { 8 }, 16)?;
            let c = char::from_u32(value).ok_or(BadQuote)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Ok(rest);
        }
        _ => return Err(BadQuote),
    };
    out.push(simple);
    Ok(&text[1..])
}

fn digits(text: &str, count: usize, base: u32) -> Result<(u32, &str), BadQuote> {
    let (digits, rest) = text.split_at_checked(count).ok_or(BadQuote)?;
    if !digits.chars().all(|c| c.is_digit(base)) {
        return Err(BadQuote);
    }
    Ok((u32::from_str_radix(digits, base).map_err(|_| BadQuote)?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_quote_as_in_go() {
        assert_eq!(quote(b"a\"b\\\n\x00\x7f\xff"), r#""a\"b\\\n\x00\x7f\xff""#);
        assert_eq!(quote("é\u{301}\u{a0}\u{e000}\u{e0001}世".as_bytes()), "\"é\u{301}\\u00a0\\ue000\\U000e0001世\"");
    }

    #[test]
    fn a_quoted_string_reads_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        let quoted = quote(&bytes);
        assert_eq!(unquote_prefix(&quoted), Ok((bytes, "")));
    }

    #[test]
    fn the_rest_is_given_back() {
        assert_eq!(unquote_prefix(r#""k\x41\101é") > 1"#), Ok(("kAAé".into(), ") > 1")));
        assert_eq!(unquote_prefix("`a\"b`c"), Ok((b"a\"b".to_vec(), "c")));
    }

    #[test]
    fn broken_strings_are_refused() {
        for text in ["", "k", "\"k", "\"\\q\"", "\"\\x4\"", "\"\\u00zz\"", "\"\\", "\"\\xé\"", "\"\\777\""] {
            assert_eq!(unquote_prefix(text), Err(BadQuote), "{text}");
        }
    }
}
