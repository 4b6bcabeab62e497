//! What log and raft report about their pace and the other members, as metrics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::metrics::{Metrics, Peer};
use crate::operation::Operation;
use crate::raft::{self, Direction};
use crate::store::apply;
use crate::traffic::Meter;
use crate::wal;

/// The log's times.
pub struct WalTimes(pub Arc<Metrics>);

impl wal::Observer for WalTimes {
    fn fsync(&self, took: Duration) {
        self.0.disk.wal_fsync_duration.observe(took.as_secs_f64());
    }

    fn written(&self, bytes: usize) {
        self.0.disk.wal_write_bytes.inc_by(bytes as i64);
    }
}

/// Raft's view of the others, and the store's times.
pub struct RaftTimes {
    metrics: Arc<Metrics>,
    member_id: u64,
    /// A batch that takes longer to apply is logged.
    slow_apply: Duration,
    peers: Mutex<HashMap<u64, Arc<Peer>>>,
}

impl RaftTimes {
    pub fn new(metrics: Arc<Metrics>, member_id: u64, slow_apply: Duration) -> Self {
        Self { metrics, member_id, slow_apply, peers: Mutex::default() }
    }

    fn peer(&self, member_id: u64) -> Arc<Peer> {
        let mut peers = self.peers.lock();
        let peer = peers.entry(member_id);
        peer.or_insert_with(|| Arc::new(self.metrics.peers.peer(self.member_id, member_id))).clone()
    }
}

impl raft::Observer for RaftTimes {
    fn meter(&self, member_id: u64) -> Arc<dyn Meter> {
        Arc::new(PeerMeter(self.peer(member_id)))
    }

    fn round_trip(&self, member_id: u64, took: Duration) {
        self.peer(member_id).round_trip.observe(took.as_secs_f64());
    }

    fn send_failed(&self, member_id: u64) {
        self.peer(member_id).sent_failures.inc();
    }

    fn active(&self, member_id: u64, active: bool) {
        let peer = self.peer(member_id);
        peer.active.set(i64::from(active));
        if !active {
            peer.disconnected.inc();
        }
    }

    fn proposed(&self, operation: Operation, decided: bool, took: Duration) {
        self.metrics.server.request_duration.observe(operation, decided, took);
    }

    fn applied(&self, entries: usize, last: u64, took: Duration) {
        self.metrics.disk.backend_commit_duration.observe(took.as_secs_f64());
        if took > self.slow_apply {
            self.metrics.server.slow_apply.inc();
            tracing::warn!(
                took = ?took,
                "expected-duration" = ?self.slow_apply,
                prefix = "",
                request = format!("{entries} entries up to {last}"),
                "apply request took too long"
            );
        }
    }

    fn transfer_began(&self, member_id: u64, direction: Direction) {
        let peer = self.peer(member_id);
        match direction {
            Direction::Send => peer.snapshot_send_inflights.inc(),
            Direction::Receive => peer.snapshot_receive_inflights.inc(),
        };
    }

    fn transfer_ended(&self, member_id: u64, direction: Direction, took: Option<Duration>) {
        let peer = self.peer(member_id);
        let (inflights, succeeded, failed, duration) = match direction {
            Direction::Send => (
                &peer.snapshot_send_inflights,
                &peer.snapshot_send_success,
                &peer.snapshot_send_failures,
                &peer.snapshot_send_duration,
            ),
            Direction::Receive => (
                &peer.snapshot_receive_inflights,
                &peer.snapshot_receive_success,
                &peer.snapshot_receive_failures,
                &peer.snapshot_receive_duration,
            ),
        };
        inflights.dec();
        match took {
            Some(took) => {
                succeeded.inc();
                duration.observe(took.as_secs_f64());
            }
            None => {
                failed.inc();
            }
        }
    }

    fn installing(&self, begins: bool) {
        self.metrics.server.snapshot_apply_in_progress.set(i64::from(begins));
    }
}

/// The store's times of single entries.
pub struct ApplyTimes(pub Arc<Metrics>);

impl apply::Observer for ApplyTimes {
    fn executed(&self, operation: Operation, success: bool, took: Duration) {
        self.0.server.apply_duration.observe(operation, success, took);
    }
}

struct PeerMeter(Arc<Peer>);

impl Meter for PeerMeter {
    fn received(&self, bytes: u64) {
        self.0.received_bytes.inc_by(bytes);
    }

    fn sent(&self, bytes: u64) {
        self.0.sent_bytes.inc_by(bytes);
    }
}
