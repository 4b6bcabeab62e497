//! How long a stream's messages wait for the client to take them.

use std::sync::Arc;
use std::time::Instant;

use quorate_proto::served::etcdserverpb as pb;

use crate::metrics::Metrics;

/// Times one stream's messages, one after the other.
pub(super) struct Pace {
    metrics: Option<Arc<Metrics>>,
    sending: Option<Sending>,
}

struct Sending {
    begun: Instant,
    kind: Kind,
}

enum Kind {
    Events(usize),
    Progress,
    Control,
}

impl Pace {
    pub(super) fn new(metrics: Option<Arc<Metrics>>) -> Self {
        Self { metrics, sending: None }
    }

    /// The message is handed to the connection.
    pub(super) fn begin(&mut self, reply: &pb::WatchResponse) {
        let Some(metrics) = &self.metrics else { return };
        metrics.mvcc.events.inc_by(reply.events.len() as u64);
        let kind = match reply.events.len() {
            0 if reply.created || reply.canceled => Kind::Control,
            0 => Kind::Progress,
            events => Kind::Events(events),
        };
        self.sending = Some(Sending { begun: Instant::now(), kind });
    }

    /// The connection asks for the next one, so it has taken the last.
    pub(super) fn end(&mut self) {
        let (Some(metrics), Some(sending)) = (&self.metrics, self.sending.take()) else { return };
        let seconds = sending.begun.elapsed().as_secs_f64();
        let times = &metrics.watch_send_loop;
        match sending.kind {
            Kind::Events(count) => {
                times.events.observe(seconds);
                times.per_event.observe(seconds / count as f64);
            }
            Kind::Progress => times.progress.observe(seconds),
            Kind::Control => times.control.observe(seconds),
        }
    }
}
