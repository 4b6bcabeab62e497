//! Calls by the version of the client library that made them.

use std::collections::HashMap;

use parking_lot::RwLock;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::families::{Builder, Labels};

/// Versions with series of their own. Clients say theirs as they like, and each is kept until the process ends.
const VERSIONS: usize = 64;
/// A longer one is none.
const VERSION_BYTES: usize = 64;
/// Stands for all that are too many or too long.
const OTHER: &str = "other";
/// Of a client that says none; etcd's word.
const UNKNOWN: &str = "unknown";

/// `etcd_server_client_requests_total`.
pub struct ClientVersions {
    family: Family<Labels<2>, Counter>,
    seen: RwLock<HashMap<String, Calls>>,
}

#[derive(Clone, Default)]
struct Calls {
    unary: Counter,
    stream: Counter,
}

impl ClientVersions {
    pub(super) fn new(b: &mut Builder) -> Self {
        let family = b.counters("etcd_server_client_requests_total", "Client requests by client version");
        Self { family, seen: RwLock::default() }
    }

    /// A call began.
    pub fn count(&self, version: Option<&str>, streams: bool) {
        let version = version.filter(|version| !version.is_empty()).unwrap_or(UNKNOWN);
        if let Some(calls) = self.seen.read().get(version) {
            return calls.count(streams);
        }
        self.add(version).count(streams);
    }

    fn add(&self, version: &str) -> Calls {
        let mut seen = self.seen.write();
        let is_other = version.len() > VERSION_BYTES || (seen.len() >= VERSIONS && !seen.contains_key(version));
        let version = if is_other { OTHER } else { version };
        let counter = |kind: &str| {
            let labels = [("type", kind.to_owned()), ("client_api_version", version.to_owned())];
            self.family.get_or_create(&labels).clone()
        };
        seen.entry(version.to_owned())
            .or_insert_with(|| Calls { unary: counter("unary"), stream: counter("stream") })
            .clone()
    }
}

impl Calls {
    fn count(&self, streams: bool) {
        if streams {
            self.stream.inc()
        } else {
            self.unary.inc()
        };
    }
}

#[cfg(test)]
mod tests {
    use crate::metrics::Metrics;

    fn lines(metrics: &Metrics) -> Vec<String> {
        let text = metrics.render();
        let lines = text.lines().filter(|line| line.starts_with("etcd_server_client_requests_total{"));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn calls_are_counted_by_version_and_kind() {
        let metrics = Metrics::new(false);
        metrics.server.client_versions.count(Some("3.7.3"), false);
        metrics.server.client_versions.count(Some("3.7.3"), true);
        metrics.server.client_versions.count(None, false);
        let mut found = lines(&metrics);
        found.retain(|line| !line.ends_with(" 0"));
        found.sort();
        assert_eq!(
            found,
            [
                r#"etcd_server_client_requests_total{type="stream",client_api_version="3.7.3"} 1"#,
                r#"etcd_server_client_requests_total{type="unary",client_api_version="3.7.3"} 1"#,
                r#"etcd_server_client_requests_total{type="unary",client_api_version="unknown"} 1"#,
            ]
        );
    }

    #[test]
    fn clients_cannot_make_series_without_end() {
        let metrics = Metrics::new(false);
        for number in 0..1000 {
            metrics.server.client_versions.count(Some(&format!("3.7.{number}")), false);
        }
        metrics.server.client_versions.count(Some(&"9".repeat(4096)), false);
        let found = lines(&metrics);
        assert!(found.len() <= 2 * (super::VERSIONS + 1), "{}", found.len());
        let other = r#"etcd_server_client_requests_total{type="unary",client_api_version="other"} 937"#;
        assert!(found.iter().any(|line| line == other), "{found:?}");
    }
}
