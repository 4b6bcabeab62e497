//! Logs in etcd's shape, so that collectors set up for etcd read ours.
//!
//! Write lines with `tracing`'s macros. What becomes of a field:
//! - `message` is `msg`; field names may be quoted (`"member-id" = id`) to have etcd's dashes;
//! - numbers and booleans stay what they are, `&str` is always text;
//! - `%value` and `?value` are text, except that a text which is a JSON array or object is taken as that: `?urls` of a
//!   list of strings prints a list of strings;
//! - `fatal = true` on an error line makes its level `fatal`; the caller ends the process.
//!
//! Lines of other crates are kept from level warn up, openraft's from level error.

mod journal;
mod line;
pub mod profile;
mod sink;
pub mod traces;

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

use crate::config::{Log, LogFormat, LogLevel};
use sink::Sink;

/// Crates whose lines follow the configured level.
const OWN_TARGETS: &str = "quorate";

/// openraft warns at every beat that a member does not answer; the raft room says it once.
const REPEATING_TARGET: &str = "openraft";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot open {path} of --log-outputs")]
    Open { path: String, source: std::io::Error },
    #[error("can't find journal ({} of --log-outputs=systemd/journal)", journal::SOCKET)]
    Journal(#[source] std::io::Error),
    #[error("a log is already open in this process")]
    Twice,
}

/// Changes the level while the process runs.
#[derive(Debug, Clone, Default)]
pub struct Handle {
    level: Arc<AtomicU8>,
}

/// Opens the log of the process. Fails when an output cannot be opened or a log is open already.
pub fn init(log: &Log) -> Result<Handle, Error> {
    let layer = EtcdLayer::new(log)?;
    let handle = Handle { level: Arc::clone(&layer.level) };
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer)).map_err(|_| Error::Twice)?;
    Ok(handle)
}

/// Makes a panic a line of the log. Without it the text goes to standard error in a shape no collector reads.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let reason = panic.payload_as_str().unwrap_or("panic");
        tracing::error!(fatal = true, place, reason, "panicked");
    }));
}

impl Handle {
    pub fn level(&self) -> LogLevel {
        decode(self.level.load(Ordering::Relaxed))
    }

    pub fn set_level(&self, level: LogLevel) {
        self.level.store(encode(level), Ordering::Relaxed);
        tracing::callsite::rebuild_interest_cache();
    }
}

struct EtcdLayer {
    level: Arc<AtomicU8>,
    format: LogFormat,
    sinks: Vec<Sink>,
}

impl EtcdLayer {
    fn new(log: &Log) -> Result<Self, Error> {
        let sinks = log.outputs.iter().map(|output| Sink::open(output, log.rotation)).collect::<Result<_, _>>()?;
        Ok(Self { level: Arc::new(AtomicU8::new(encode(log.level))), format: log.format, sinks })
    }

    fn lets_through(&self, metadata: &Metadata<'_>) -> bool {
        let own = metadata.target().starts_with(OWN_TARGETS);
        let least = match self.level.load(Ordering::Relaxed) {
            0 if own => Level::DEBUG,
            1 if own => Level::INFO,
            1..=2 if metadata.target().starts_with(REPEATING_TARGET) => Level::ERROR,
            0..=2 => Level::WARN,
            3 => Level::ERROR,
            // Panic and fatal: only lines that end the process.
            _ => return *metadata.level() == Level::ERROR && metadata.fields().field("fatal").is_some(),
        };
        *metadata.level() <= least
    }
}

fn encode(level: LogLevel) -> u8 {
    match level {
        LogLevel::Debug => 0,
        LogLevel::Info => 1,
        LogLevel::Warn => 2,
        LogLevel::Error => 3,
        LogLevel::Panic => 4,
        LogLevel::Fatal => 5,
    }
}

fn decode(level: u8) -> LogLevel {
    match level {
        0 => LogLevel::Debug,
        1 => LogLevel::Info,
        2 => LogLevel::Warn,
        3 => LogLevel::Error,
        4 => LogLevel::Panic,
        _ => LogLevel::Fatal,
    }
}

impl<S: Subscriber> Layer<S> for EtcdLayer {
    /// Decided once for each call site, until the level changes.
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if metadata.is_event() && self.lets_through(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_event() && self.lets_through(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.level.load(Ordering::Relaxed) {
            0 => LevelFilter::DEBUG,
            1 => LevelFilter::INFO,
            2 => LevelFilter::WARN,
            _ => LevelFilter::ERROR,
        })
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = line::render(event, self.format, jiff::Timestamp::now());
        for sink in &self.sinks {
            sink.write(&line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::LogOutput;

    /// The lines written by `scene`, without their times.
    fn check(level: LogLevel, format: LogFormat, scene: impl FnOnce(&Handle)) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path: PathBuf = folder.path().join("log");
        let log = Log { level, format, outputs: vec![LogOutput::File(path.clone())], rotation: None };
        let layer = EtcdLayer::new(&log).unwrap();
        let handle = Handle { level: Arc::clone(&layer.level) };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || scene(&handle));
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| without(without(line, "\"ts\":\"", "\","), "\"caller\":\"", "\",")).collect()
    }

    fn without(line: impl AsRef<str>, from: &str, to: &str) -> String {
        let line = line.as_ref();
        match line.split_once(from) {
            Some((before, rest)) => format!("{before}{}", rest.split_once(to).unwrap().1),
            None => line.to_owned(),
        }
    }

    #[test]
    fn lines_have_etcds_json() {
        let lines = check(LogLevel::Info, LogFormat::Json, |_| {
            let urls = vec!["http://a:1".to_owned(), "http://b:2".to_owned()];
            tracing::info!(target: "quorate_server::x", count = 3, "peer-urls" = ?urls, ok = true, "added \"member\"");
            tracing::error!(target: "quorate_server::x", fatal = true, error = %"[broken", text = "[1]", "failed");
            tracing::warn!(target: "quorate_server::x", took = ?std::time::Duration::from_millis(15), share = 0.5, "slow");
        });
        assert_eq!(
            lines,
            [
                r#"{"level":"info","msg":"added \"member\"","count":3,"peer-urls":["http://a:1","http://b:2"],"ok":true}"#,
                r#"{"level":"fatal","msg":"failed","error":"[broken","text":"[1]"}"#,
                r#"{"level":"warn","msg":"slow","took":"15ms","share":0.5}"#,
            ]
        );
    }

    #[test]
    fn console_lines_have_tabs_and_fields_at_the_end() {
        let lines = check(LogLevel::Info, LogFormat::Console, |_| {
            tracing::info!(target: "quorate_server::x", args = ?["a", "b"], n = 1, "Running: ");
            tracing::info!(target: "quorate_server::x", "ready");
        });
        let columns: Vec<Vec<&str>> = lines.iter().map(|line| line.split('\t').collect()).collect();
        assert!(columns[0][0].ends_with('Z') && columns[0][2].starts_with("telemetry/mod.rs:"));
        assert_eq!(
            (columns[0][1], &columns[0][3..]),
            ("info", ["Running: ", r#"{"args": ["a", "b"], "n": 1}"#].as_slice())
        );
        assert_eq!(columns[1][3..], ["ready"]);
    }

    #[test]
    fn the_level_changes_while_running_and_other_crates_are_quiet() {
        let lines = check(LogLevel::Warn, LogFormat::Json, |handle| {
            let burst = || {
                tracing::debug!(target: "quorate_server::x", "own debug");
                tracing::info!(target: "quorate_server::x", "own info");
                tracing::info!(target: "h2", "other info");
                tracing::error!(target: "quorate_server::x", "own error");
                tracing::error!(target: "quorate_server::x", fatal = true, "own fatal");
            };
            for level in [LogLevel::Warn, LogLevel::Debug, LogLevel::Fatal] {
                handle.set_level(level);
                burst();
            }
        });
        let messages: Vec<&str> =
            lines.iter().map(|line| line.split("\"msg\":\"").nth(1).unwrap().trim_end_matches("\"}")).collect();
        assert_eq!(
            messages,
            ["own error", "own fatal", "own debug", "own info", "own error", "own fatal", "own fatal"]
        );
    }
}
