//! A snapshot on its way out: its head, then its files in pieces, each with a checksum. What the receiver has from an earlier try is
//! not sent again.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use openraft::errors::{NetworkError, StreamingError, Unreachable};
use openraft::raft::SnapshotResponse;
use quorate_proto::peer::{self, peer_client::PeerClient, snapshot_answer::Answer, snapshot_chunk::Chunk};
use tokio::sync::{mpsc, watch};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};

use super::snapshot::Snapshot;
use super::transport::Transport;
use super::types::{TypeConfig, Vote};
use super::{membership, wire};

type C = TypeConfig;

/// Bytes of file content in one message.
const PIECE_BYTES: usize = 512 << 10;
/// Pieces read ahead of the network.
const PIECES_AHEAD: usize = 4;

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
        source: snapshot.snapshot.source(),
    };
    // Before anything can fail: the log is not purged from here on.
    let _sending = transport.sending_snapshot();
    let stall = transport.timing().snapshot_stall;
    let (pieces, stream) = mpsc::channel(PIECES_AHEAD);
    let full = |_| StreamingError::Network(NetworkError::from_string("a new queue is full"));
    pieces.try_send(peer::SnapshotChunk { chunk: Some(Chunk::Head(head)) }).map_err(full)?;
    let request = transport.request(target, tokio_stream::wrappers::ReceiverStream::new(stream));
    let opening = async {
        let mut answers = client.install_snapshot(request).await?.into_inner();
        let kept = answers.message().await?;
        Ok((kept, answers))
    };
    let opened = tokio::time::timeout(stall, opening).await.map_err(|_| stalled(stall))?;
    let (kept, mut answers) = opened.map_err(failed)?;
    let Some(peer::SnapshotAnswer { answer: Some(Answer::Kept(kept)) }) = kept else { return Err(no_answer()) };
    let kept: BTreeSet<u32> = kept.files.into_iter().collect();

    let (progress, progressed) = watch::channel(());
    let reader = tokio::task::spawn_blocking(move || read_into(&folder, &files, &kept, &pieces, &progress));
    let response = answer(&mut answers, progressed, stall).await;
    // The folder lives until the reader has ended, whatever the receiver said; it ends when the call does.
    drop(answers);
    let read = reader.await;
    drop(snapshot);
    match read {
        Ok(Ok(())) | Ok(Err(SendError::Closed)) => {}
        Ok(Err(SendError::Io(error))) => return Err(StreamingError::Network(NetworkError::new(&error))),
        Err(error) => return Err(StreamingError::Network(NetworkError::new(&error))),
    }
    let vote =
        wire::vote_from_wire(response?.vote).map_err(|error| StreamingError::Network(NetworkError::new(&error)))?;
    Ok(SnapshotResponse::new(vote))
}

/// The receiver's last word, while pieces go out, and for a while after the last.
async fn answer(
    answers: &mut Streaming<peer::SnapshotAnswer>,
    mut progressed: watch::Receiver<()>,
    stall: Duration,
) -> Result<peer::SnapshotResponse, StreamingError<C>> {
    let message = answers.message();
    tokio::pin!(message);
    let message = loop {
        tokio::select! {
            message = &mut message => break message,
            moved = tokio::time::timeout(stall, progressed.changed()) => match moved {
                Ok(Ok(())) => {}
                // All is sent: what remains is the receiver's installation, bounded the same way.
                Ok(Err(_)) => break tokio::time::timeout(stall, message).await.map_err(|_| stalled(stall))?,
                Err(_) => return Err(stalled(stall)),
            },
        }
    };
    match message.map_err(failed)? {
        Some(peer::SnapshotAnswer { answer: Some(Answer::Response(response)) }) => Ok(response),
        _ => Err(no_answer()),
    }
}

fn failed(status: Status) -> StreamingError<C> {
    match status.code() {
        Code::Unavailable | Code::FailedPrecondition => {
            StreamingError::Unreachable(Unreachable::from_string(status.message()))
        }
        _ => StreamingError::Network(NetworkError::from_string(status.message())),
    }
}

fn no_answer() -> StreamingError<C> {
    StreamingError::Network(NetworkError::from_string("the receiver of the snapshot did not answer as it should"))
}

fn stalled(bound: Duration) -> StreamingError<C> {
    StreamingError::Network(NetworkError::from_string(format!("the snapshot made no progress for {bound:?}")))
}

enum SendError {
    /// The call ended; its status says why.
    Closed,
    Io(io::Error),
}

fn read_into(
    folder: &Path,
    files: &[peer::SnapshotFile],
    kept: &BTreeSet<u32>,
    pieces: &mpsc::Sender<peer::SnapshotChunk>,
    progress: &watch::Sender<()>,
) -> Result<(), SendError> {
    for (number, file) in (0..).zip(files).filter(|(number, _)| !kept.contains(number)) {
        let mut source = File::open(folder.join(&file.name)).map_err(SendError::Io)?;
        let mut offset = 0;
        while offset < file.size {
            let mut data = vec![0; PIECE_BYTES.min((file.size - offset) as usize)];
            source.read_exact(&mut data).map_err(SendError::Io)?;
            let data = Bytes::from(data);
            let crc32c = crc32c::crc32c(&data);
            let length = data.len() as u64;
            let chunk = Chunk::Data(peer::SnapshotData { file: number, offset, data, crc32c });
            pieces.blocking_send(peer::SnapshotChunk { chunk: Some(chunk) }).map_err(|_| SendError::Closed)?;
            progress.send_replace(());
            offset += length;
        }
    }
    Ok(())
}

fn list(folder: &Path) -> io::Result<Vec<peer::SnapshotFile>> {
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
