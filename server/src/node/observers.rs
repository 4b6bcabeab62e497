//! What log and raft report about their pace and the other members, as metrics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::metrics::{Metrics, Peer};
use crate::raft;
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
    peers: Mutex<HashMap<u64, Arc<Peer>>>,
}

impl RaftTimes {
    pub fn new(metrics: Arc<Metrics>, member_id: u64) -> Self {
        Self { metrics, member_id, peers: Mutex::default() }
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

    fn applied(&self, took: Duration) {
        self.metrics.disk.backend_commit_duration.observe(took.as_secs_f64());
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
