//! What log and raft report about their pace and the other members, as metrics.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::metrics::{Metrics, Peer};
use crate::operation::Operation;
use crate::raft::{self, Direction};
use crate::store::{self, Done};
use crate::traffic::Meter;
use crate::wal;

/// The log's times.
pub struct WalTimes(pub Arc<Metrics>);

impl wal::Observer for WalTimes {
    fn fsync(&self, took: Duration) {
        self.0.disk.wal_fsync_duration.observe(took.as_secs_f64());
    }

    fn written(&self, bytes: usize, took: Duration) {
        self.0.disk.wal_write_bytes.inc_by(bytes as i64);
        self.0.disk.wal_write_duration.observe(took.as_secs_f64());
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

    fn heartbeat_failed(&self) {
        self.metrics.server.heartbeat_send_failures.inc();
    }

    fn read_barrier_failed(&self, gave_up: bool) {
        let server = &self.metrics.server;
        if gave_up {
            server.read_indexes_failed.inc()
        } else {
            server.slow_read_indexes.inc()
        };
    }

    fn promoted(&self, refusal: Option<&str>) {
        match refusal {
            None => self.metrics.server.learner_promote_successes.inc(),
            Some(reason) => {
                let labels = [("Reason", reason.to_owned())];
                self.metrics.server.learner_promote_failures.get_or_create(&labels).inc()
            }
        };
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
                if direction == Direction::Receive {
                    self.metrics.disk.snap_db_save_duration.observe(took.as_secs_f64());
                }
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

/// What the store does, and how long it takes.
pub struct StoreTimes(pub Arc<Metrics>);

impl store::Observer for StoreTimes {
    fn executed(&self, operation: Operation, success: bool, took: Duration) {
        self.0.server.apply_duration.observe(operation, success, took);
    }

    fn wrote(&self, done: &Done) {
        let (mvcc, lease) = (&self.0.mvcc, &self.0.lease);
        mvcc.range.inc_by(done.ranges);
        mvcc.put.inc_by(done.puts);
        mvcc.delete.inc_by(done.deletes);
        mvcc.txn.inc_by(done.txns);
        mvcc.total_put_size.inc_by(done.put_bytes as i64);
        lease.granted.inc_by(done.granted.len() as u64);
        lease.revoked.inc_by(done.revoked);
        done.granted.iter().for_each(|ttl_s| lease.ttl.observe(*ttl_s as f64));
    }

    fn ranged(&self, ranges: u64) {
        self.0.mvcc.range.inc_by(ranges);
    }

    fn holds_rows(&self, begins: bool) {
        self.0.mvcc.db_open_read_transactions.inc_by(if begins { 1 } else { -1 });
    }

    fn hashed(&self, up_to_revision: bool, took: Duration) {
        let mvcc = &self.0.mvcc;
        let duration = if up_to_revision { &mvcc.hash_rev_duration } else { &mvcc.hash_duration };
        duration.observe(took.as_secs_f64());
    }

    fn defragmenting(&self, took: Option<Duration>) {
        self.0.disk.defrag_inflight.set(i64::from(took.is_none()));
        if let Some(took) = took {
            self.0.disk.backend_defrag_duration.observe(took.as_secs_f64());
        }
    }

    fn compaction_step(&self, rows: u64, took: Duration, index_held: Duration) {
        let mvcc = &self.0.mvcc;
        mvcc.compaction_keys.inc_by(rows);
        mvcc.compaction_pause_ms.observe(took.as_secs_f64() * 1000.0);
        mvcc.index_compaction_pause_ms.observe(index_held.as_secs_f64() * 1000.0);
    }

    fn compacted(&self, took: Duration) {
        self.0.mvcc.compaction_total_ms.observe(took.as_secs_f64() * 1000.0);
        self.0.mvcc.compaction_last.set(jiff::Timestamp::now().as_second());
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
