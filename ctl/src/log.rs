//! Log lines on standard error, one JSON object each, as etcd's tools write them.

use std::io::{self, Write};

use crate::output::Json;

/// Writes one line; fields follow the message in their order.
pub fn line(level: &'static str, message: &str, fields: Vec<(&'static str, Json)>) {
    let mut object = vec![
        ("level", Json::from(level)),
        ("ts", Json::from(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())),
        ("msg", Json::from(message)),
    ];
    object.extend(fields);
    // Nobody is left to tell when standard error is gone.
    let _ = writeln!(io::stderr(), "{}", Json::Object(object));
}

pub fn info(message: &str, fields: Vec<(&'static str, Json)>) {
    line("info", message, fields);
}

pub fn warn(message: &str, fields: Vec<(&'static str, Json)>) {
    line("warn", message, fields);
}
