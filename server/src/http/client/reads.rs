//! Reads, timed: what no entry of the log counts, and which of them took too long.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_proto::served::etcdserverpb as pb;
use tonic::Status;

use crate::metrics::Metrics;
use crate::operation::Operation;

/// Bytes of a key that a log line shows.
const SHOWN_KEY_BYTES: usize = 256;

/// Cheap to clone.
#[derive(Clone)]
pub struct Reads {
    metrics: Arc<Metrics>,
    /// A read that takes longer is logged.
    slow: Duration,
}

impl Reads {
    pub fn new(metrics: Arc<Metrics>, slow: Duration) -> Self {
        Self { metrics, slow }
    }

    /// A read from its arrival to its answer.
    pub async fn timed<T>(
        &self,
        operation: Operation,
        read: impl Future<Output = Result<T, Status>>,
        describe: impl FnOnce() -> String,
    ) -> Result<T, Status> {
        let begun = Instant::now();
        let outcome = read.await;
        let took = begun.elapsed();
        self.metrics.server.request_duration.observe(operation, outcome.is_ok(), took);
        if took > self.slow {
            self.metrics.server.slow_apply.inc();
            let error = outcome.as_ref().err().map(|status| status.message().to_owned()).unwrap_or_default();
            let prefix = if operation == Operation::Range { "read-only range " } else { "read-only txn " };
            tracing::warn!(
                took = ?took,
                "expected-duration" = ?self.slow,
                prefix,
                request = describe(),
                error,
                "apply request took too long"
            );
        }
        outcome
    }

    /// A range, once it may be read.
    pub async fn in_store<T>(&self, read: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let begun = Instant::now();
        let outcome = read.await;
        self.metrics.server.range_duration.observe(Operation::Range, outcome.is_ok(), begun.elapsed());
        outcome
    }
}

/// A range as a log line shows it.
pub fn describe_range(request: &pb::RangeRequest) -> String {
    let mut text = format!("key:{}", shown(&request.key));
    if !request.range_end.is_empty() {
        let _ = write!(text, " range_end:{}", shown(&request.range_end));
    }
    for (name, number) in [("limit", request.limit), ("revision", request.revision)] {
        if number != 0 {
            let _ = write!(text, " {name}:{number}");
        }
    }
    for (name, is_set) in [("serializable", request.serializable), ("count_only", request.count_only)] {
        if is_set {
            let _ = write!(text, " {name}:true");
        }
    }
    text
}

/// A transaction as a log line shows it, worded when there is one: how much it has, and never values.
pub fn describe_txn(request: &pb::TxnRequest) -> impl FnOnce() -> String + use<> {
    let (compares, success, failure) = (request.compare.len(), request.success.len(), request.failure.len());
    move || format!("compare:{compares} success:{success} failure:{failure}")
}

fn shown(key: &[u8]) -> String {
    let shown = &key[..key.len().min(SHOWN_KEY_BYTES)];
    let cut = if shown.len() < key.len() { "..." } else { "" };
    format!("\"{}{cut}\"", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_shown_with_what_it_sets() {
        let request = pb::RangeRequest {
            key: b"a\"\xff"[..].into(),
            range_end: b"b"[..].into(),
            limit: 3,
            count_only: true,
            ..Default::default()
        };
        assert_eq!(describe_range(&request), r#"key:"a\"\xff" range_end:"b" limit:3 count_only:true"#);
    }

    #[test]
    fn a_long_key_is_cut() {
        let request = pb::RangeRequest { key: vec![b'k'; 300].into(), ..Default::default() };
        assert_eq!(describe_range(&request), format!("key:\"{}...\"", "k".repeat(256)));
    }
}
