//! The snapshot of a cluster: the database and its SHA-256 behind it, as members send it and `etcdctl snapshot save` keeps it.

use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use futures::{Stream, TryStreamExt};
use object_store::path::Path as Location;
use object_store::{ObjectStore, ObjectStoreExt};
use quorate_proto::etcdserverpb::{SnapshotRequest, StatusRequest, maintenance_client::MaintenanceClient};
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio_stream::StreamExt as _;
use tonic::transport::Channel;

use super::Error;
use crate::store::Cause;

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
    let mut client = MaintenanceClient::new(member);
    let pieces =
        tokio::time::timeout(SILENCE_LIMIT, client.snapshot(SnapshotRequest {})).await.map_err(|_| Error::Cut)?;
    let pieces = pieces.map_err(Error::Call)?.into_inner();
    let pieces = pieces.map(|piece| piece.map(|piece| piece.blob).map_err(Error::Call));
    write(pieces.timeout(SILENCE_LIMIT).map(|piece| piece.map_err(|_| Error::Cut)?), path).await
}

/// Writes the database of a snapshot file that lies in a store.
pub async fn carry(store: &dyn ObjectStore, name: &str, path: &Path) -> Result<(), Error> {
    let failed = |error| Error::File { name: name.to_owned(), source: Cause(error) };
    let found = store.get(&Location::from(name)).await.map_err(failed)?;
    write(found.into_stream().map_err(failed), path).await
}

async fn write<P: AsRef<[u8]>>(pieces: impl Stream<Item = Result<P, Error>>, path: &Path) -> Result<(), Error> {
    let unusable = |source| Error::Folder { path: path.to_owned(), source };
    let mut pieces = pin!(pieces);
    let mut file = File::create_new(path).await.map_err(unusable)?;
    let mut checksum = Sha256::new();
    // The last bytes that came, which may be the checksum or its begin.
    let mut held = Vec::new();
    loop {
        let Some(piece) = pieces.next().await else { break };
        held.extend_from_slice(piece?.as_ref());
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

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn a_file_without_its_checksum_or_with_another_is_refused() {
        let (store, folder) = (InMemory::new(), tempfile::tempdir().unwrap());
        let database = vec![7_u8; 100_000];
        let checksum = Sha256::digest(&database);
        let whole = [&database[..], &checksum[..]].concat();
        let altered = [&[8][..], &whole[1..]].concat();
        for (name, bytes, is_good) in
            [("whole", whole, true), ("bare", database.clone(), false), ("altered", altered, false)]
        {
            store.put(&Location::from(name), bytes.into()).await.unwrap();
            let path = folder.path().join(name);
            let carried = carry(&store, name, &path).await;
            assert_eq!(carried.is_ok(), is_good, "{name}: {carried:?}");
            assert!(!is_good || std::fs::read(&path).unwrap() == database);
        }
        let absent = carry(&store, "absent", &folder.path().join("absent")).await.unwrap_err();
        assert_eq!(absent.reason(), crate::report::Reason::BackupMissing, "{absent}");
    }
}
