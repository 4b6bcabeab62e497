//! JSON as Go's `encoding/json` writes structs: fields in their order, zero fields left out where the struct says so.

use std::fmt::{self, Display, Formatter, Write};

/// A value to print. Objects keep the order they were built in.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Text(String),
    List(Vec<Json>),
    Object(Vec<(&'static str, Json)>),
}

impl Json {
    /// Bytes are base64 in Go's JSON.
    pub fn bytes(bytes: &[u8]) -> Self {
        Json::Text(base64(bytes))
    }

    /// A nil slice of Go, which etcd has in place of an empty one, is `null`.
    pub fn list_or_null(list: impl IntoIterator<Item = Json>) -> Self {
        let list: Vec<Json> = list.into_iter().collect();
        if list.is_empty() { Json::Null } else { Json::List(list) }
    }

    /// Go's `omitempty`.
    fn is_empty(&self) -> bool {
        match self {
            Json::Null | Json::Bool(false) | Json::Int(0) | Json::Uint(0) => true,
            Json::Bool(_) | Json::Int(_) | Json::Uint(_) => false,
            Json::Text(text) => text.is_empty(),
            Json::List(list) => list.is_empty(),
            // A pointer to a struct is empty only if it is nil.
            Json::Object(_) => false,
        }
    }
}

/// Builds an object field by field.
#[derive(Default)]
pub struct Object(Vec<(&'static str, Json)>);

impl Object {
    pub fn new() -> Self {
        Self::default()
    }

    /// A field that is always there.
    pub fn always(mut self, name: &'static str, value: impl Into<Json>) -> Self {
        self.0.push((name, value.into()));
        self
    }

    /// A field that is left out when it is zero.
    pub fn nonzero(mut self, name: &'static str, value: impl Into<Json>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.0.push((name, value));
        }
        self
    }

    /// The fields of another object, here.
    pub fn flattened(mut self, other: Object) -> Self {
        self.0.extend(other.0);
        self
    }
}

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        Json::Object(object.0)
    }
}

impl From<bool> for Json {
    fn from(value: bool) -> Self {
        Json::Bool(value)
    }
}

impl From<i64> for Json {
    fn from(value: i64) -> Self {
        Json::Int(value)
    }
}

impl From<i32> for Json {
    fn from(value: i32) -> Self {
        Json::Int(value.into())
    }
}

impl From<u64> for Json {
    fn from(value: u64) -> Self {
        Json::Uint(value)
    }
}

impl From<u32> for Json {
    fn from(value: u32) -> Self {
        Json::Uint(value.into())
    }
}

impl From<&str> for Json {
    fn from(value: &str) -> Self {
        Json::Text(value.to_owned())
    }
}

impl From<String> for Json {
    fn from(value: String) -> Self {
        Json::Text(value)
    }
}

impl From<&[String]> for Json {
    fn from(list: &[String]) -> Self {
        Json::List(list.iter().map(|text| Json::from(text.as_str())).collect())
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Self {
        value.map_or(Json::Null, Into::into)
    }
}

impl<T: Into<Json>> From<Vec<T>> for Json {
    fn from(list: Vec<T>) -> Self {
        Json::List(list.into_iter().map(Into::into).collect())
    }
}

impl Display for Json {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(value) => write!(f, "{value}"),
            Json::Int(value) => write!(f, "{value}"),
            Json::Uint(value) => write!(f, "{value}"),
            Json::Text(text) => write_text(f, text),
            Json::List(list) => {
                f.write_char('[')?;
                for (i, value) in list.iter().enumerate() {
                    if i > 0 {
                        f.write_char(',')?;
                    }
                    write!(f, "{value}")?;
                }
                f.write_char(']')
            }
            Json::Object(fields) => {
                f.write_char('{')?;
                for (i, (name, value)) in fields.iter().enumerate() {
                    if i > 0 {
                        f.write_char(',')?;
                    }
                    write_text(f, name)?;
                    write!(f, ":{value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

/// Go also escapes what could end a script element of HTML, and the two line separators that JavaScript once minded.
fn write_text(f: &mut Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\x08' => f.write_str("\\b")?,
            '\x0c' => f.write_str("\\f")?,
            '\0'..' ' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => write!(f, "\\u{:04x}", c as u32)?,
            _ => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

/// Standard alphabet with padding.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let group = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4 {
            let digit = ALPHABET[(group >> (18 - 6 * i) & 63) as usize];
            out.push(if i <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_pads() {
        let all: Vec<String> = ["", "f", "fo", "foo", "foob"].iter().map(|text| base64(text.as_bytes())).collect();
        assert_eq!(all, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }

    #[test]
    fn zero_fields_are_left_out_on_request_only() {
        let object = Object::new().nonzero("a", 0).always("b", 0).nonzero("c", "").always("d", Json::list_or_null([]));
        assert_eq!(Json::from(object).to_string(), r#"{"b":0,"d":null}"#);
    }

    #[test]
    fn text_is_escaped_as_in_go() {
        assert_eq!(Json::from("<a&\"\u{1}é\u{2028}>").to_string(), r#""\u003ca\u0026\"\u0001é\u2028\u003e""#);
    }
}
