//! `--corrupt-check-time`: the leader compares all members at one revision.

use std::time::Duration;

use super::members::Members;

/// Runs until raft stops. `None`: never compares.
pub async fn compare_periodically(members: Members, interval: Option<Duration>) {
    let Some(interval) = interval else { return };
    tracing::info!(local_member_id = format!("{:x}", members.own_id()), ?interval, "enabled corruption checking");
    loop {
        tokio::time::sleep(interval).await;
        if !members.raft.is_leader() {
            continue;
        }
        match members.compare_now().await {
            Ok(comparison) => {
                comparison.log_not_compared();
                // What fails is found again next time.
                members.raise(&comparison).await;
                tracing::info!(
                    number_of_peers_checked = comparison.said.len() - 1,
                    revision = comparison.own.hash_revision,
                    "finished peer corruption check"
                );
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "failed to check hash KV");
            }
        }
    }
}
