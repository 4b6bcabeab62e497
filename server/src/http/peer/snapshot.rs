//! A snapshot from the leader, for a member whose log is too far behind.

use std::path::Path;
use std::pin::Pin;

use futures::{Stream, stream};
use quorate_proto::peer::{self, snapshot_answer::Answer};
use tonic::{Status, Streaming};

use super::forward::status;
use crate::raft::{Handle, Refusal};

pub type Answers = Pin<Box<dyn Stream<Item = Result<peer::SnapshotAnswer, Status>> + Send>>;

/// Answers twice: by what is here already, and when all is here and installed.
pub async fn install(
    raft: Handle,
    from: u64,
    dir: &Path,
    pieces: Streaming<peer::SnapshotChunk>,
) -> Result<Answers, Status> {
    let transfer = raft.receiving_from(from);
    let incoming = raft.begin_snapshot(pieces, dir).await.map_err(refused)?;
    tracing::info!(kept = incoming.kept().len(), "receiving database snapshot");
    let kept = Answer::Kept(peer::SnapshotKept { files: incoming.kept().to_vec() });
    let kept = stream::iter([Ok(peer::SnapshotAnswer { answer: Some(kept) })]);
    let installed = stream::once(async move {
        let response = raft.install_snapshot(incoming).await.map_err(refused)?;
        transfer.succeeded();
        Ok(peer::SnapshotAnswer { answer: Some(Answer::Response(response)) })
    });
    Ok(Box::pin(stream::StreamExt::chain(kept, installed)))
}

fn refused(refusal: Refusal) -> Status {
    tracing::warn!(error = &refusal as &dyn std::error::Error, "failed to receive database snapshot");
    status(refusal)
}
