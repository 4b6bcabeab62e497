//! A snapshot from the leader, for a member whose log is too far behind.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use quorate_proto::peer;
use tonic::{Status, Streaming};

use super::forward::status;
use crate::raft::Handle;

pub async fn install(
    raft: &Handle,
    dir: &Path,
    pieces: Streaming<peer::SnapshotChunk>,
) -> Result<peer::SnapshotResponse, Status> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = dir.join(format!("{INCOMING}{}-{number}", std::process::id()));
    tracing::info!("receiving database snapshot");
    match raft.install_snapshot(pieces, folder).await {
        Ok(response) => Ok(response),
        Err(refusal) => {
            tracing::warn!(error = &refusal as &dyn std::error::Error, "failed to receive database snapshot");
            Err(status(refusal))
        }
    }
}

/// How folders of snapshots under way begin; what is left of them after a crash is removed at the start.
pub const INCOMING: &str = "incoming-";
