//! One event as one line of text.

use std::fmt::{Debug, Write as _};

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::config::LogFormat;

pub(super) struct Line {
    /// etcd's name of it.
    pub level: &'static str,
    /// `folder/file:line`.
    pub caller: String,
    /// With its end.
    pub text: String,
}

pub(super) fn render(event: &Event<'_>, format: LogFormat, now: jiff::Timestamp) -> Line {
    let mut fields = Fields::default();
    event.record(&mut fields);
    let metadata = event.metadata();
    let level = match *metadata.level() {
        Level::ERROR if fields.fatal => "fatal",
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        _ => "debug",
    };
    let time = now.strftime("%Y-%m-%dT%H:%M:%S%.6fZ");
    let caller = format!("{}:{}", short_path(metadata.file().unwrap_or("unknown")), metadata.line().unwrap_or(0));
    let mut line = String::with_capacity(256);
    match format {
        LogFormat::Json => {
            let _ = write!(line, r#"{{"level":"{level}","ts":"{time}","caller":"#);
            push(&mut line, &Value::String(caller.clone()), "");
            line.push_str(r#","msg":"#);
            push(&mut line, &Value::String(fields.message), "");
            for (name, value) in &fields.others {
                let _ = write!(line, r#","{name}":"#);
                push(&mut line, value, "");
            }
            line.push('}');
        }
        LogFormat::Console => {
            let _ = write!(line, "{time}\t{level}\t{caller}\t{}", fields.message);
            for (at, (name, value)) in fields.others.iter().enumerate() {
                let _ = write!(line, "{}\"{name}\": ", if at == 0 { "\t{" } else { ", " });
                push(&mut line, value, " ");
            }
            if !fields.others.is_empty() {
                line.push('}');
            }
        }
    }
    line.push('\n');
    Line { level, caller, text: line }
}

/// The file with its folder, as etcd shows a caller.
fn short_path(path: &str) -> &str {
    match path.rmatch_indices('/').nth(1) {
        Some((at, _)) => &path[at + 1..],
        None => path,
    }
}

/// Writes a value with `space` after commas and colons.
fn push(line: &mut String, value: &Value, space: &str) {
    match value {
        Value::Array(items) => {
            line.push('[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    line.push(',');
                    line.push_str(space);
                }
                push(line, item, space);
            }
            line.push(']');
        }
        Value::Object(entries) => {
            line.push('{');
            for (at, (name, item)) in entries.iter().enumerate() {
                if at > 0 {
                    line.push(',');
                    line.push_str(space);
                }
                push(line, &Value::String(name.clone()), space);
                line.push(':');
                line.push_str(space);
                push(line, item, space);
            }
            line.push('}');
        }
        plain => {
            let _ = write!(line, "{plain}");
        }
    }
}

#[derive(Default)]
struct Fields {
    message: String,
    fatal: bool,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("fatal", Value::Bool(fatal)) => self.fatal = fatal,
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        let number = serde_json::Number::from_f64(value);
        self.add(field, number.map_or_else(|| Value::String(value.to_string()), Value::Number));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::Bool(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::String(value.to_owned()));
    }

    /// An error prints with everything below it.
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut below = value.source();
        while let Some(error) = below {
            let _ = write!(text, ": {error}");
            below = error.source();
        }
        self.add(field, Value::String(text));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        let structured = match text.as_bytes().first() {
            Some(b'[' | b'{') if field.name() != "message" => serde_json::from_str(&text).ok(),
            _ => None,
        };
        self.add(field, structured.unwrap_or(Value::String(text)));
    }
}
