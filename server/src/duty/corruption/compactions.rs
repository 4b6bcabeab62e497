//! `CompactHashCheck`: the leader compares what all members kept of the last compactions.

use std::time::Duration;

use super::judge::Verdict;
use super::members::Members;

/// Runs until raft stops. `None`: never compares.
pub async fn compare_compactions(members: Members, interval: Option<Duration>) {
    let Some(interval) = interval else { return };
    tracing::info!(local_member_id = format!("{:x}", members.own_id()), ?interval, "enabled compaction hash checking");
    let mut checked = 0;
    loop {
        tokio::time::sleep(interval).await;
        if members.raft.is_leader() {
            checked = look(&members, checked).await;
        }
    }
}

/// The newest compaction that all members have kept says everything about the older ones. Returns the last one that needs no
/// second look.
async fn look(members: &Members, checked: i64) -> i64 {
    for kept in members.store.compaction_hashes() {
        if kept.hash_revision <= checked {
            break;
        }
        let comparison = match members.compare_compaction(kept).await {
            Ok(comparison) => comparison,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "failed to compare the hashes of a compaction"
                );
                break;
            }
        };
        comparison.log_not_compared();
        let is_settled = match comparison.verdict() {
            Verdict::Same => comparison.not_compared.is_empty(),
            Verdict::Differ(_) | Verdict::NoMajority => members.raise(&comparison).await,
        };
        if is_settled {
            tracing::info!(
                number_of_peers_checked = comparison.said.len() - 1,
                revision = kept.hash_revision,
                compact_revision = kept.compact_revision,
                "finished compaction hash check"
            );
            return kept.hash_revision;
        }
    }
    checked
}
