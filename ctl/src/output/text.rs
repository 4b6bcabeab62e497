//! Lines of output, which may hold keys and values of any bytes.

use std::fmt::Display;

use crate::go;

/// Output under construction.
#[derive(Debug, Default)]
pub struct Text(Vec<u8>);

impl Text {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn line(&mut self, line: impl Display) {
        self.bytes_line(line.to_string().as_bytes());
    }

    pub fn bytes_line(&mut self, line: &[u8]) {
        self.0.extend_from_slice(line);
        self.0.push(b'\n');
    }

    /// A line of the `fields` format.
    pub fn field(&mut self, name: &str, value: impl Display) {
        self.line(format_args!("\"{name}\" : {value}"));
    }

    /// A line of the `fields` format with its value in quotes.
    pub fn quoted_field(&mut self, name: &str, value: &[u8]) {
        self.field(name, go::quote(value));
    }

    pub fn append(&mut self, other: Text) {
        self.0.extend(other.0);
    }

    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
