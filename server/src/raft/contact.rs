//! Whether the leader that raft names is still there.
//!
//! openraft lets a leader lead on when it no longer reaches a quorum, and a follower remember its leader until there is
//! another. Both are harmless for the data, as nothing is acknowledged meanwhile. But clients, probes and alerts must be
//! told that there is no leader, as etcd tells them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use openraft::Instant as _;
use openraft::alias::WatchReceiverOf;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::metrics::RaftMetrics;
use parking_lot::Mutex;

use super::types::TypeConfig;

/// Looks at the last signs of life.
pub struct Contact {
    own: u64,
    metrics: WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>,
    /// When a leader last called.
    heard: Arc<Mutex<Instant>>,
    election: Duration,
}

impl Contact {
    pub fn new(
        own: u64,
        metrics: WatchReceiverOf<TypeConfig, RaftMetrics<TypeConfig>>,
        heard: Arc<Mutex<Instant>>,
        election: Duration,
    ) -> Self {
        Self { own, metrics, heard, election }
    }

    /// Time between two looks.
    pub fn pace(&self) -> Duration {
        self.election / 10
    }

    pub fn is_alive(&self, leader: u64) -> bool {
        if leader != self.own {
            // Heartbeats are late when processors are busy: a little longer than an election takes to begin.
            return self.heard.lock().elapsed() < self.election * 3 / 2;
        }
        let metrics = self.metrics.borrow_watched();
        let is_alone = metrics.membership_config.voter_ids().count() == 1;
        // `None`: elected a moment ago.
        is_alone || metrics.last_quorum_acked.is_none_or(|acked| acked.into_inner().elapsed() < self.election)
    }
}
