//! `Maintenance.Snapshot`: the store as a bbolt file that etcd's own tools read, followed by its SHA-256.
//!
//! The file is written beside the store from one consistent view and then streamed: its size must be known before the
//! first piece is sent, and a slow reader must not hold a view of the store open.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use futures::Stream;
use quorate_format::bbolt;
use quorate_proto::served::etcdserverpb as pb;
use sha2::{Digest, Sha256};
use tonic::Status;

use super::member::Member;
use crate::background;
use crate::metrics::Metrics;
use crate::raft;
use crate::store::{self, Bucket, Exported, MemberRows};

pub type Pieces = Pin<Box<dyn Stream<Item = Result<pb::SnapshotResponse, Status>> + Send>>;

/// etcd's piece size.
const PIECE_BYTES: usize = 32 << 10;
/// Pieces read ahead of the client.
const PIECES_AHEAD: usize = 16;

pub async fn start(member: &Member, metrics: &Arc<Metrics>) -> Result<Pieces, Status> {
    let begun = Instant::now();
    let exporting = member.clone();
    let version = member.storage_version().unwrap_or_default();
    tracing::info!("sending database snapshot to client");
    let file = background::run("snapshot", move || export(&exporting))
        .await
        .map_err(|error| Status::internal(error.to_string()))?
        .map_err(|error| {
            tracing::error!(error = &error as &dyn std::error::Error, "failed to write a database snapshot");
            Status::internal(format!("etcdserver: failed to write the snapshot: {error}"))
        })?;
    let (pieces, stream) = tokio::sync::mpsc::channel(PIECES_AHEAD);
    let metrics = metrics.clone();
    let sending = move || match send(file, version, &pieces) {
        Ok(()) => metrics.disk.backend_snapshot_duration.observe(begun.elapsed().as_secs_f64()),
        Err(error) => {
            // The client may have gone; then this is dropped.
            let _ = pieces.blocking_send(Err(Status::internal(format!("failed to read the snapshot: {error}"))));
        }
    };
    background::start("snapshot", sending).await.map_err(|error| Status::internal(error.to_string()))?;
    Ok(Box::pin(tokio_stream::wrappers::ReceiverStream::new(stream)))
}

#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("the store can't be read")]
    Store(#[from] store::Error),
    #[error("the file can't be written")]
    File(#[from] io::Error),
    #[error("the database can't be written")]
    Database(#[from] bbolt::Error),
}

/// The store's buckets as a bbolt file without a name: it is gone when the last reader is.
fn export(member: &Member) -> Result<File, ExportError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = member.snapshot_dir().join(format!("outgoing-{}-{number}.db", std::process::id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    let mut database = bbolt::RowWriter::create(file)?;
    let mut begun = 0;
    let written = member.store().export(describe, |bucket, key, value| -> Result<(), ExportError> {
        // Buckets without rows exist too, as upstream's tools expect.
        while let Some(next) = Bucket::ALL.get(begun).filter(|next| **next <= bucket) {
            database.begin(next.name())?;
            begun += 1;
        }
        Ok(database.put(bucket.name(), key, value)?)
    });
    written?;
    for bucket in &Bucket::ALL[begun..] {
        database.begin(bucket.name())?;
    }
    Ok(database.finish()?.0)
}

/// The rows about members in etcd's form, from what the store keeps for raft.
fn describe(exported: &Exported) -> MemberRows {
    let members = exported.membership.as_ref().map(|(_, data)| raft::members_of(data));
    let members = match members {
        Some(Ok(members)) => members,
        // A store without a membership has no rows about members either.
        Some(Err(_)) | None => return MemberRows::default(),
    };
    let ids =
        |learners: bool| members.iter().filter(move |member| member.is_learner == learners).map(|member| member.id);
    let mut state = serde_json::json!({ "voters": ids(false).collect::<Vec<_>>(), "auto_leave": false });
    let learners: Vec<u64> = ids(true).collect();
    if !learners.is_empty() {
        state["learners"] = learners.into();
    }
    let mut rows: Vec<(Bytes, Bytes)> = members
        .iter()
        .map(|member| {
            let own = exported.attributes.iter().find(|(id, _)| *id == member.id).map(|(_, own)| own.clone());
            let own = own.unwrap_or_default();
            let mut row = serde_json::json!({ "id": member.id, "peerURLs": member.peer_urls });
            if member.is_learner {
                row["isLearner"] = true.into();
            }
            if !own.name.is_empty() {
                row["name"] = own.name.into();
            }
            if !own.client_urls.is_empty() {
                row["clientURLs"] = own.client_urls.into();
            }
            (Bytes::from(format!("{:x}", member.id)), Bytes::from(row.to_string()))
        })
        .collect();
    rows.sort();
    MemberRows { members: rows, conf_state: Some(Bytes::from(state.to_string())) }
}

fn send(
    mut file: File,
    version: String,
    pieces: &tokio::sync::mpsc::Sender<Result<pb::SnapshotResponse, Status>>,
) -> io::Result<()> {
    let mut remaining = file.metadata()?.len();
    file.rewind()?;
    let mut hash = Sha256::new();
    while remaining > 0 {
        let mut blob = vec![0; PIECE_BYTES.min(remaining as usize)];
        file.read_exact(&mut blob)?;
        hash.update(&blob);
        remaining -= blob.len() as u64;
        let piece = pb::SnapshotResponse {
            header: None,
            remaining_bytes: remaining,
            blob: Bytes::from(blob),
            version: version.clone(),
        };
        if pieces.blocking_send(Ok(piece)).is_err() {
            tracing::warn!(remaining, "a client left before it had the whole snapshot");
            return Ok(());
        }
    }
    let digest = pb::SnapshotResponse {
        header: None,
        remaining_bytes: 0,
        blob: Bytes::copy_from_slice(&hash.finalize()),
        version,
    };
    // A client that left now has all data and no digest, and will say so.
    let _ = pieces.blocking_send(Ok(digest));
    tracing::info!("successfully sent database snapshot to client");
    Ok(())
}
