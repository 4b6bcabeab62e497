//! Compaction by time or by number of revisions; the leader proposes it.

use std::collections::VecDeque;
use std::time::Duration;

use quorate_proto::served::etcdserverpb as pb;

use crate::config::AutoCompaction;
use crate::raft;
use crate::store::{Refusal, Store};

const HOUR: Duration = Duration::from_secs(3600);
/// etcd's interval for the revision mode.
const REVISION_INTERVAL: Duration = Duration::from_secs(5 * 60);
/// Samples of the revision in one interval of the periodic mode; etcd's number.
const SAMPLES: u32 = 10;

/// Runs until raft stops.
pub async fn compact_periodically(raft: raft::Handle, store: Store, mode: AutoCompaction) {
    match mode {
        AutoCompaction::Off => {}
        AutoCompaction::Revision(retention) => by_revision(&raft, &store, retention).await,
        AutoCompaction::Periodic(period) => by_time(&raft, &store, period).await,
    }
}

async fn by_revision(raft: &raft::Handle, store: &Store, retention: i64) {
    let mut done = 0;
    loop {
        tokio::time::sleep(REVISION_INTERVAL).await;
        let revision = store.revision() - retention;
        if revision > 0 && revision != done && raft.is_leader() && compact(raft, revision).await {
            done = revision;
        }
    }
}

/// Keeps `period` of history: compacts every period, at most every hour, to the revision seen one period ago.
async fn by_time(raft: &raft::Handle, store: &Store, period: Duration) {
    let interval = period.min(HOUR);
    let sample = interval / SAMPLES;
    let kept = (period.as_nanos() / sample.as_nanos().max(1)) as usize + 1;
    let mut revisions = VecDeque::with_capacity(kept);
    let mut done = 0;
    let mut since = 0;
    loop {
        revisions.push_back(store.revision());
        if revisions.len() > kept {
            revisions.pop_front();
        }
        tokio::time::sleep(sample).await;
        since += 1;
        if since < SAMPLES || revisions.len() < kept {
            continue;
        }
        let Some(revision) = revisions.front().copied() else { continue };
        if revision == done || !raft.is_leader() {
            continue;
        }
        if compact(raft, revision).await {
            done = revision;
            since = 0;
        }
    }
}

async fn compact(raft: &raft::Handle, revision: i64) -> bool {
    let request = pb::CompactionRequest { revision, physical: false };
    let request = pb::InternalRaftRequest { compaction: Some(request), ..Default::default() };
    match raft.propose_as_root(request).await {
        Ok(_) => {
            tracing::info!(revision, "completed auto compaction");
            true
        }
        Err(raft::Error::Refused(Refusal::Compacted)) => true,
        Err(error) => {
            tracing::warn!(revision, %error, "failed auto compaction");
            false
        }
    }
}
