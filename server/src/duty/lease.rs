//! Expiry of leases. Only the leader counts time, by its own monotonic clock; renewals don't go through the log.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use quorate_proto::served::etcdserverpb as pb;
use tokio::time::Instant;

use crate::metrics::Metrics;
use crate::raft;
use crate::store::Store;

/// How often the leader looks for expired leases; etcd's interval.
const LOOK: Duration = Duration::from_millis(500);
/// Leases revoked in one look; the rest follows in the next. Each is one entry of the log.
const REVOKED_A_LOOK: usize = 1000;
/// A lease longer than this has its remaining time recorded in the log as often as this; etcd's interval.
const CHECKPOINT: Duration = Duration::from_secs(300);
/// Leases in one checkpoint entry.
const CHECKPOINTS_AN_ENTRY: usize = 1000;

#[derive(Clone)]
pub struct Lessor(Arc<Inner>);

struct Inner {
    raft: raft::Handle,
    store: Store,
    /// What a new leader adds to every lease: while no one led, no one could renew.
    extension: Duration,
    metrics: Arc<Metrics>,
    terms: Mutex<Terms>,
}

/// The deadlines a leader keeps; empty on other members.
#[derive(Default)]
struct Terms {
    /// The raft term in which these deadlines were made; 0 when this member does not lead.
    leading: u64,
    deadlines: HashMap<i64, Deadline>,
}

#[derive(Clone, Copy)]
struct Deadline {
    at: Instant,
    /// When the remaining time is recorded next.
    checkpoint: Instant,
}

impl Deadline {
    fn after(ttl_s: i64, extension: Duration) -> Self {
        let now = Instant::now();
        Self { at: now + Duration::from_secs(ttl_s.max(0) as u64) + extension, checkpoint: now + CHECKPOINT }
    }

    fn remaining_s(&self) -> i64 {
        self.at.saturating_duration_since(Instant::now()).as_secs() as i64
    }
}

impl Lessor {
    /// Starts counting; ends with the runtime.
    pub fn start(raft: raft::Handle, store: Store, metrics: Arc<Metrics>, election_timeout: Duration) -> Self {
        let terms = Mutex::default();
        let lessor = Self(Arc::new(Inner { raft, store, extension: election_timeout, metrics, terms }));
        let inner = Arc::downgrade(&lessor.0);
        tokio::spawn(async move {
            let mut look = tokio::time::interval(LOOK);
            look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                look.tick().await;
                let Some(inner) = inner.upgrade() else { return };
                inner.look().await;
            }
        });
        lessor
    }

    pub fn leads(&self) -> bool {
        self.0.raft.is_leader()
    }

    /// On the leader: starts the lease's time anew and returns it in seconds; `None` if it is unknown or expired.
    pub async fn renew(&self, id: i64) -> Option<i64> {
        let lease = self.0.store.lease_time(id)?;
        let deadline = Deadline::after(lease.ttl, Duration::ZERO);
        {
            let mut terms = self.0.follow_term();
            match terms.deadlines.get(&id) {
                // Its revocation is on the way: a renewal now could be answered and then undone.
                Some(before) if before.at <= Instant::now() => return None,
                _ => terms.deadlines.insert(id, deadline),
            };
        }
        self.0.metrics.lease.renewed.inc();
        if lease.remaining_ttl > 0 {
            // A recorded remainder would shorten the lease under the next leader.
            self.0.checkpoint(vec![pb::LeaseCheckpoint { id, remaining_ttl: 0 }]).await;
        }
        Some(lease.ttl)
    }

    /// On the leader: whole seconds left; `None` if the lease is unknown.
    pub fn remaining_s(&self, id: i64) -> Option<i64> {
        let lease = self.0.store.lease_time(id)?;
        let mut terms = self.0.follow_term();
        // The clock of a lease that was granted a moment ago starts now.
        let deadline = terms.deadlines.entry(id).or_insert_with(|| Deadline::after(lease.ttl, Duration::ZERO));
        Some(deadline.remaining_s())
    }
}

impl Inner {
    /// Deadlines belong to a term: a new leader counts every lease from its election.
    fn follow_term(&self) -> parking_lot::MutexGuard<'_, Terms> {
        let status = self.raft.status();
        let leading = if status.leader == self.raft.identity().member_id { status.term } else { 0 };
        let mut terms = self.terms.lock();
        if terms.leading != leading {
            terms.leading = leading;
            terms.deadlines.clear();
            if leading != 0 {
                for lease in self.store.lease_times() {
                    let ttl = if lease.remaining_ttl > 0 { lease.remaining_ttl } else { lease.ttl };
                    terms.deadlines.insert(lease.id, Deadline::after(ttl, self.extension));
                }
            }
        }
        terms
    }

    async fn look(&self) {
        let now = Instant::now();
        let (expired, due) = {
            let mut terms = self.follow_term();
            if terms.leading == 0 {
                return;
            }
            let leases = self.store.lease_times();
            let known: std::collections::HashSet<i64> = leases.iter().map(|lease| lease.id).collect();
            terms.deadlines.retain(|id, _| known.contains(id));
            let mut expired = Vec::new();
            let mut due = Vec::new();
            for lease in leases {
                let deadline =
                    terms.deadlines.entry(lease.id).or_insert_with(|| Deadline::after(lease.ttl, Duration::ZERO));
                if deadline.at <= now {
                    expired.push(lease.id);
                } else if deadline.checkpoint <= now && lease.ttl > CHECKPOINT.as_secs() as i64 {
                    deadline.checkpoint = now + CHECKPOINT;
                    due.push(pb::LeaseCheckpoint { id: lease.id, remaining_ttl: deadline.remaining_s().max(1) });
                }
            }
            expired.truncate(REVOKED_A_LOOK);
            (expired, due)
        };
        let revoked = futures::future::join_all(expired.iter().map(|id| self.revoke(*id)));
        let recorded =
            futures::future::join_all(due.chunks(CHECKPOINTS_AN_ENTRY).map(|due| self.checkpoint(due.to_vec())));
        futures::join!(revoked, recorded);
    }

    async fn revoke(&self, id: i64) {
        let request = pb::LeaseRevokeRequest { id };
        let request = pb::InternalRaftRequest { lease_revoke: Some(request), ..Default::default() };
        match self.raft.propose_as_root(request).await {
            Ok(_) => {
                self.metrics.lease.expired.inc();
            }
            Err(raft::Error::Refused(_)) => {}
            // The next look tries again, here or on the next leader.
            Err(error) => {
                tracing::warn!(lease = format!("{id:016x}"), %error, "failed to revoke an expired lease");
            }
        }
    }

    async fn checkpoint(&self, checkpoints: Vec<pb::LeaseCheckpoint>) {
        let request = pb::LeaseCheckpointRequest { checkpoints };
        let request = pb::InternalRaftRequest { lease_checkpoint: Some(request), ..Default::default() };
        if let Err(error) = self.raft.propose_as_root(request).await {
            tracing::warn!(%error, "failed to record the remaining time of leases");
        }
    }
}
