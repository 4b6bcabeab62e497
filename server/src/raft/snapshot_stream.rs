//! A snapshot on the wire: its head, then its files in pieces, each with a checksum.

use std::io::Read;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures::Stream;
use openraft::errors::{NetworkError, StreamingError, Unreachable};
use openraft::raft::SnapshotResponse;
use quorate_proto::peer::{self, peer_client::PeerClient, snapshot_chunk::Chunk};
use tonic::transport::Channel;

use super::snapshot::{Folder, Snapshot, SnapshotMeta};
use super::transport::Transport;
use super::types::{StoredMembership, TypeConfig, Vote};
use super::{membership, wire};

type C = TypeConfig;

/// Bytes of file content in one message.
const PIECE_BYTES: usize = 512 << 10;
/// Pieces read ahead of the network.
const PIECES_AHEAD: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a snapshot must begin with its head")]
    NoHead,
    #[error("the snapshot's file name {0:?} is not a plain name")]
    Name(String),
    #[error("a piece of the snapshot is out of order or too long (file {file}, offset {offset})")]
    Order { file: u32, offset: u64 },
    #[error("a piece of the snapshot file {name} at offset {offset} does not match its checksum")]
    Checksum { name: String, offset: u64 },
    #[error("the snapshot ended before all of its files were complete")]
    Incomplete,
    #[error("the sender stopped")]
    Sender(#[source] tonic::Status),
    #[error("failed to write the received snapshot")]
    Io(#[from] std::io::Error),
    #[error("the snapshot's head can't be read")]
    Head(#[from] wire::Error),
}

pub async fn send(
    transport: &Transport,
    mut client: PeerClient<Channel>,
    target: u64,
    vote: Vote,
    snapshot: Snapshot,
) -> Result<SnapshotResponse<C>, StreamingError<C>> {
    let folder = snapshot
        .snapshot
        .path()
        .ok_or_else(|| StreamingError::Network(NetworkError::from_string("the snapshot has no files")))?;
    let files = list(&folder).map_err(|error| StreamingError::Network(NetworkError::new(&error)))?;
    let head = peer::SnapshotHead {
        vote: Some(wire::vote_to_wire(&vote)),
        last_log_id: snapshot.meta.last_log_id.as_ref().map(wire::log_id_to_wire),
        membership: membership::encode(snapshot.meta.last_membership.membership()),
        membership_log_id: snapshot.meta.last_membership.log_id().as_ref().map(wire::log_id_to_wire),
        files: files.clone(),
    };
    let (pieces, stream) = tokio::sync::mpsc::channel(PIECES_AHEAD);
    let (progress, mut progressed) = tokio::sync::watch::channel(());
    let reader = tokio::task::spawn_blocking(move || read_into(&folder, head, files, &pieces, &progress));
    let request = transport.request(target, tokio_stream::wrappers::ReceiverStream::new(stream));
    let call = client.install_snapshot(request);
    tokio::pin!(call);
    let stall = transport.timing().snapshot_stall;
    let response = loop {
        tokio::select! {
            response = &mut call => break response,
            moved = tokio::time::timeout(stall, progressed.changed()) => match moved {
                Ok(Ok(())) => {}
                // All is sent: what remains is the receiver's installation, bounded the same way.
                Ok(Err(_)) => match tokio::time::timeout(stall, &mut call).await {
                    Ok(response) => break response,
                    Err(_) => return Err(stalled(stall)),
                },
                Err(_) => return Err(stalled(stall)),
            },
        }
    };
    // The folder lives until the reader has ended, whatever the receiver said.
    drop(snapshot);
    match reader.await {
        Ok(Ok(())) | Ok(Err(SendError::Closed)) => {}
        Ok(Err(SendError::Io(error))) => return Err(StreamingError::Network(NetworkError::new(&error))),
        Err(error) => return Err(StreamingError::Network(NetworkError::new(&error))),
    }
    let response = response.map_err(|status| match status.code() {
        tonic::Code::Unavailable | tonic::Code::FailedPrecondition => {
            StreamingError::Unreachable(Unreachable::from_string(status.message()))
        }
        _ => StreamingError::Network(NetworkError::from_string(status.message())),
    })?;
    let vote = wire::vote_from_wire(response.into_inner().vote)
        .map_err(|error| StreamingError::Network(NetworkError::new(&error)))?;
    Ok(SnapshotResponse::new(vote))
}

fn stalled(bound: std::time::Duration) -> StreamingError<C> {
    StreamingError::Network(NetworkError::from_string(format!("the snapshot made no progress for {bound:?}")))
}

enum SendError {
    /// The call ended; its status says why.
    Closed,
    Io(std::io::Error),
}

fn read_into(
    folder: &Path,
    head: peer::SnapshotHead,
    files: Vec<peer::SnapshotFile>,
    pieces: &tokio::sync::mpsc::Sender<peer::SnapshotChunk>,
    progress: &tokio::sync::watch::Sender<()>,
) -> Result<(), SendError> {
    let send = |chunk| {
        pieces.blocking_send(peer::SnapshotChunk { chunk: Some(chunk) }).map_err(|_| SendError::Closed)?;
        progress.send_replace(());
        Ok(())
    };
    send(Chunk::Head(head))?;
    for (number, file) in (0..).zip(files) {
        let mut source = std::fs::File::open(folder.join(&file.name)).map_err(SendError::Io)?;
        let mut offset = 0;
        while offset < file.size {
            let mut data = vec![0; PIECE_BYTES.min((file.size - offset) as usize)];
            source.read_exact(&mut data).map_err(SendError::Io)?;
            let data = Bytes::from(data);
            let crc32c = crc32c::crc32c(&data);
            let length = data.len() as u64;
            send(Chunk::Data(peer::SnapshotData { file: number, offset, data, crc32c }))?;
            offset += length;
        }
    }
    Ok(())
}

fn list(folder: &Path) -> std::io::Result<Vec<peer::SnapshotFile>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            files.push(peer::SnapshotFile { name, size: metadata.len() });
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// A snapshot as received: its files are complete, checked and synced in a folder of their own.
pub struct Received {
    pub vote: Vote,
    pub snapshot: Snapshot,
}

/// Writes the pieces into `folder`, which must not exist; on failure nothing of it remains.
pub async fn receive(
    pieces: impl Stream<Item = Result<peer::SnapshotChunk, tonic::Status>> + Unpin,
    folder: PathBuf,
) -> Result<Received, Error> {
    tokio::fs::create_dir(&folder).await?;
    let owned = Folder::owned(folder.clone());
    let (head, files) = write(pieces, &folder).await?;
    let membership = wire::membership_from_wire(&head.membership)?;
    let meta = SnapshotMeta {
        last_log_id: wire::log_id_from_wire(head.last_log_id)?,
        last_membership: StoredMembership::new(wire::log_id_from_wire(head.membership_log_id)?, membership),
    };
    tracing::info!(files, path = %folder.display(), "received a raft snapshot");
    Ok(Received { vote: wire::vote_from_wire(head.vote)?, snapshot: Snapshot { meta, snapshot: owned } })
}

async fn write(
    mut pieces: impl Stream<Item = Result<peer::SnapshotChunk, tonic::Status>> + Unpin,
    folder: &Path,
) -> Result<(peer::SnapshotHead, usize), Error> {
    use futures::StreamExt;
    use tokio::io::AsyncWriteExt;

    let head = match pieces.next().await.transpose().map_err(Error::Sender)? {
        Some(peer::SnapshotChunk { chunk: Some(Chunk::Head(head)) }) => head,
        _ => return Err(Error::NoHead),
    };
    for (number, file) in (0..).zip(&head.files) {
        if file.name.is_empty() || file.name.contains(['/', '\\', '\0']) || file.name == ".." || file.name == "." {
            return Err(Error::Name(file.name.clone()));
        }
        let mut target = tokio::fs::File::create_new(folder.join(&file.name)).await?;
        let mut offset = 0;
        while offset < file.size {
            let piece = match pieces.next().await.transpose().map_err(Error::Sender)? {
                Some(peer::SnapshotChunk { chunk: Some(Chunk::Data(piece)) }) => piece,
                Some(_) => return Err(Error::Order { file: number, offset }),
                None => return Err(Error::Incomplete),
            };
            let length = piece.data.len() as u64;
            if piece.file != number || piece.offset != offset || length == 0 || length > file.size - offset {
                return Err(Error::Order { file: piece.file, offset: piece.offset });
            }
            if crc32c::crc32c(&piece.data) != piece.crc32c {
                return Err(Error::Checksum { name: file.name.clone(), offset });
            }
            target.write_all(&piece.data).await?;
            offset += length;
        }
        target.sync_all().await?;
    }
    tokio::fs::File::open(folder).await?.sync_all().await?;
    let count = head.files.len();
    Ok((head, count))
}
