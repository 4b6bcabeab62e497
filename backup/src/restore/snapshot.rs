//! The snapshot of a cluster that runs, as its members send it: the database and its SHA-256 behind it.

use std::path::Path;
use std::time::Duration;

use quorate_proto::etcdserverpb::{SnapshotRequest, StatusRequest, maintenance_client::MaintenanceClient};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tonic::transport::Channel;

use super::Error;

const CHECKSUM_BYTES: usize = 32;
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
/// Between two pieces of a snapshot. A member first writes a copy of a large database.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// What a member says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct About {
    pub cluster_id: u64,
    pub member_id: u64,
    pub database_bytes: u64,
}

pub async fn about(member: Channel) -> Result<About, Error> {
    let mut client = MaintenanceClient::new(member);
    let answer = tokio::time::timeout(ANSWER_LIMIT, client.status(StatusRequest {}))
        .await
        .map_err(|_| Error::Cut)?
        .map_err(Error::Call)?;
    let status = answer.into_inner();
    let header = status.header.unwrap_or_default();
    let database_bytes = status.db_size.max(0).cast_unsigned();
    Ok(About { cluster_id: header.cluster_id, member_id: header.member_id, database_bytes })
}

/// Writes the database, without the checksum, which is compared. The caller need not sync what it removes.
pub async fn fetch(member: Channel, path: &Path) -> Result<(), Error> {
    let unusable = |source| Error::Folder { path: path.to_owned(), source };
    let mut client = MaintenanceClient::new(member);
    let pieces =
        tokio::time::timeout(SILENCE_LIMIT, client.snapshot(SnapshotRequest {})).await.map_err(|_| Error::Cut)?;
    let mut pieces = pieces.map_err(Error::Call)?.into_inner();
    let mut file = File::create_new(path).await.map_err(unusable)?;
    let mut checksum = Sha256::new();
    // The last bytes that came, which may be the checksum or its begin.
    let mut held = Vec::new();
    loop {
        let piece = tokio::time::timeout(SILENCE_LIMIT, pieces.message()).await.map_err(|_| Error::Cut)?;
        let Some(piece) = piece.map_err(Error::Call)? else { break };
        held.extend_from_slice(&piece.blob);
        let known = held.len().saturating_sub(CHECKSUM_BYTES);
        checksum.update(&held[..known]);
        file.write_all(&held[..known]).await.map_err(unusable)?;
        held.drain(..known);
    }
    file.flush().await.map_err(unusable)?;
    if held.len() < CHECKSUM_BYTES {
        return Err(Error::Cut);
    }
    let actual: [u8; CHECKSUM_BYTES] = checksum.finalize().into();
    if held == actual { Ok(()) } else { Err(Error::Checksum) }
}
