//! When to take a snapshot, so that the log can be purged.
//!
//! A snapshot is a flush of the store. Taken every `--snapshot-count` entries as etcd does, it would cut tiny files
//! under load, so a write-heavy member waits until the flush is worth it: it bounds replay after a crash to
//! `UNFLUSHED_ENTRIES`, well under a second of apply.

use std::sync::{Arc, Weak};

use openraft::async_runtime::watch::WatchReceiver;

use super::handle::Inner;
use super::types;

/// Entries after which a snapshot is taken even under a steady load of small requests.
const UNFLUSHED_ENTRIES: u64 = 200_000;
/// With less load than this many entries since the last look, the plain count decides.
const BUSY_ENTRIES: u64 = 5_000;
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

pub fn keep(inner: &Arc<Inner>, snapshot_count: u64) {
    let inner: Weak<Inner> = Arc::downgrade(inner);
    tokio::spawn(async move {
        let mut looked_at = None;
        loop {
            tokio::time::sleep(LOOK).await;
            let Some(inner) = inner.upgrade() else { return };
            let (applied, snapshot) = {
                let metrics = inner.raft.metrics();
                let metrics = metrics.borrow_watched();
                (
                    types::position_or_start(metrics.last_applied.as_ref()).index,
                    types::position_or_start(metrics.snapshot.as_ref()).index,
                )
            };
            let busy = applied - looked_at.unwrap_or(applied) >= BUSY_ENTRIES;
            looked_at = Some(applied);
            let waiting = applied.saturating_sub(snapshot);
            // Purged now, the log would begin behind the snapshot that a member is receiving, and it would need another one.
            if inner.transport.needs_entries_behind_snapshot() {
                continue;
            }
            let due = waiting >= snapshot_count && (!busy || waiting >= UNFLUSHED_ENTRIES);
            if due && inner.raft.trigger().snapshot().await.is_err() {
                return;
            }
        }
    });
}
