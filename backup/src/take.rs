//! A backup: a member's snapshot into the spool, compared with what the member says, sealed into the store, read back, and only then
//! declared by its manifest.

use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use object_store::ObjectStore;
use quorate_format::bbolt::Reader;
use quorate_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_proto::etcdserverpb::{HashKvRequest, StatusRequest, StatusResponse};
use rand::distr::{Alphanumeric, SampleString};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::etcd::{self, Members};
use crate::manifest::{Compression, FORMAT, Hash, Manifest};
use crate::report::{Reason, sentence};
use crate::restore::{self, snapshot};
use crate::seal::{Keys, Seal};
use crate::{carry, catalogue, contents, layout, store};

/// Snapshots that are begun: a member may go away, or compact what was just copied.
const TRIES: usize = 3;
const QUESTION: Duration = Duration::from_secs(10);
/// For what a failed attempt has left in the store; pruning finds the rest.
const CLEARING: Duration = Duration::from_secs(10);
/// In the spool.
const SNAPSHOT: &str = "snapshot.db";
/// A member reads all its keys for a hash.
const HASHING: Duration = Duration::from_secs(600);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no member gives a snapshot: {0}")]
    Nobody(String),
    #[error("the members are of cluster {found:x}, not of {wanted:x}")]
    WrongCluster { wanted: u64, found: u64 },
    #[error(
        "the snapshot of {endpoint} has hash {own} at revision {revision}, and the member says {said}: one of them is damaged"
    )]
    Mismatch { endpoint: String, revision: i64, own: u32, said: u32 },
    #[error("{endpoint} has compacted past revision {revision} while it was copied, again and again")]
    Compacted { endpoint: String, revision: i64 },
    #[error("{endpoint} can't say its hash at revision {revision}, which was compacted and is followed by others")]
    Moved { endpoint: String, revision: i64 },
    #[error("{endpoint} can't say its hash: {}", status.message())]
    Hash { endpoint: String, status: Box<tonic::Status> },
    #[error("{} can't be used", path.display())]
    Spool { path: PathBuf, source: io::Error },
    #[error(
        "there is a backup {id} already, of cluster {cluster_id}: give another id, or each cluster a prefix of its own"
    )]
    Taken { id: String, cluster_id: String },
    #[error("told to stop")]
    Stopped,
    #[error("the manifest can't be written")]
    Manifest(#[source] serde_json::Error),
    #[error(transparent)]
    Contents(#[from] contents::Error),
    #[error(transparent)]
    Snapshot(#[from] restore::Error),
    #[error(transparent)]
    Etcd(#[from] etcd::Error),
    #[error(transparent)]
    Carry(#[from] carry::Error),
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the work was given up")]
    GivenUp,
}

impl Error {
    pub fn reason(&self) -> Reason {
        match self {
            Self::Nobody(_) | Self::Compacted { .. } | Self::Moved { .. } | Self::Hash { .. } => {
                Reason::ClusterUnavailable
            }
            Self::WrongCluster { .. } => Reason::WrongCluster,
            Self::Mismatch { .. } | Self::Contents(_) => Reason::HashMismatch,
            Self::Spool { source, .. } if source.kind() == io::ErrorKind::StorageFull => Reason::NoSpace,
            Self::Taken { .. } => Reason::BackupExists,
            Self::Stopped => Reason::Stopped,
            Self::Snapshot(error) => error.reason(),
            Self::Etcd(etcd::Error::Connect { .. }) => Reason::ClusterUnavailable,
            Self::Etcd(_) => Reason::InvalidArguments,
            Self::Carry(error) => error.reason(),
            Self::Catalogue(error) => error.reason(),
            Self::Store(error) => error.reason(),
            Self::Spool { .. } | Self::Manifest(_) | Self::GivenUp => Reason::Other,
        }
    }
}

/// What is to be backed up, and how.
pub struct Order<'a> {
    pub members: &'a Members,
    pub cluster_id: u64,
    pub id: &'a str,
    pub spool: &'a Path,
    pub seal: Seal,
    pub keys: Keys,
}

/// A snapshot in the spool, which agrees with its member.
struct Snapshot {
    member_id: u64,
    version: String,
    raft_term: u64,
    taken: Timestamp,
    contents: contents::Contents,
    hash: Hash,
    rows: u64,
}

/// Until it is done, or told to stop. What it has written is cleared away if it fails, unless the manifest may have arrived.
///
/// Two that make a backup with one id leave each other's parts alone: the first manifest counts, for both.
pub async fn take(store: &dyn ObjectStore, order: &Order<'_>, stop: &CancellationToken) -> Result<Manifest, Error> {
    match catalogue::read(store, order.id).await {
        // An earlier try has finished, and its answer was lost.
        Ok(manifest) => return of_cluster(manifest, &format!("{:x}", order.cluster_id)),
        Err(catalogue::Error::Missing(_)) => {}
        Err(error) => return Err(error.into()),
    }
    let attempt = Alphanumeric.sample_string(&mut rand::rng(), 8);
    let is_declared = Cell::new(false);
    let done = tokio::select! {
        done = make(store, order, &attempt, &is_declared) => done,
        () = stop.cancelled() => Err(Error::Stopped),
    };
    remove(&order.spool.join(SNAPSHOT));
    let cleared = async {
        match &done {
            Ok(manifest) => catalogue::clear_attempts(store, manifest).await,
            Err(_) if is_declared.get() => Ok(()),
            Err(_) => catalogue::clear(store, &layout::below(order.id, &attempt)).await,
        }
    };
    match tokio::time::timeout(CLEARING, cleared).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(error = &error as &dyn std::error::Error, "parts of no use are left"),
        Err(_) => tracing::warn!("parts of no use are left: the store is slow"),
    }
    done
}

fn of_cluster(found: Manifest, cluster_id: &str) -> Result<Manifest, Error> {
    let is_same = found.cluster_id == cluster_id;
    if is_same { Ok(found) } else { Err(Error::Taken { id: found.id, cluster_id: found.cluster_id }) }
}

async fn make(
    store: &dyn ObjectStore,
    order: &Order<'_>,
    attempt: &str,
    is_declared: &Cell<bool>,
) -> Result<Manifest, Error> {
    let started = Timestamp::now();
    let snapshot = fetch(order).await?;
    let arrived = carry::up(store, order.id, attempt, &order.spool.join(SNAPSHOT), &order.seal).await?;
    let mut manifest = Manifest {
        format: FORMAT,
        id: order.id.to_owned(),
        cluster_id: format!("{:x}", order.cluster_id),
        member_id: format!("{:x}", snapshot.member_id),
        etcd_version: snapshot.version,
        started,
        taken: snapshot.taken,
        finished: started,
        revision: snapshot.contents.revision,
        compact_revision: snapshot.contents.compact_revision,
        raft_term: snapshot.raft_term,
        keys: snapshot.rows,
        hash: snapshot.hash,
        database_bytes: arrived.database_bytes,
        database_sha256: arrived.database_sha256,
        compression: order.seal.compression,
        encryption: order.seal.encryption(),
        parts: arrived.parts,
    };
    // What the store gives back is compared with what was given to it.
    if order.seal.recipients.is_empty() || !order.keys.identities.is_empty() {
        carry::down(store, &manifest, &order.keys, io::sink()).await?;
    } else {
        carry::check_parts(store, &manifest).await?;
    }
    manifest.finished = Timestamp::now();
    is_declared.set(true);
    declare(store, manifest).await
}

/// Makes it a backup. If there is one with this id already, that counts.
async fn declare(store: &dyn ObjectStore, manifest: Manifest) -> Result<Manifest, Error> {
    let text = manifest.clone().write().map_err(Error::Manifest)?;
    match store::put_new(store, &layout::manifest(&manifest.id), Bytes::from(text)).await {
        Err(error) if error.reason() == Reason::BackupExists => {
            of_cluster(catalogue::read(store, &manifest.id).await?, &manifest.cluster_id)
        }
        put => Ok(put.map(|()| manifest)?),
    }
}

/// From whichever member can give one.
async fn fetch(order: &Order<'_>) -> Result<Snapshot, Error> {
    let mut last = Error::Nobody("no endpoint was given".to_owned());
    for _ in 0..TRIES {
        for (endpoint, channel, status) in candidates(order).await? {
            match fetch_from(order, &endpoint, channel, &status).await {
                Ok(snapshot) => return Ok(snapshot),
                // Another member's disk may be whole, but nobody would hear of this one's.
                Err(error @ (Error::Mismatch { .. } | Error::Spool { .. })) => return Err(error),
                Err(error) if error.reason() == Reason::NoSpace => return Err(error),
                Err(error) => {
                    tracing::warn!(endpoint, error = &error as &dyn std::error::Error, "no snapshot from this member");
                    last = error;
                }
            }
        }
    }
    Err(last)
}

/// Members of this cluster: followers first, since the leader has more to do.
async fn candidates(order: &Order<'_>) -> Result<Vec<(String, Channel, StatusResponse)>, Error> {
    let mut found = Vec::new();
    let mut silent = Vec::new();
    for endpoint in &order.members.endpoints {
        let asked = async {
            let channel = order.members.connect(endpoint).await.map_err(|error| sentence(&error))?;
            let asked = MaintenanceClient::new(channel.clone()).status(StatusRequest {}).await;
            Ok::<_, String>((channel, asked.map_err(|status| status.message().to_owned())?.into_inner()))
        };
        match tokio::time::timeout(QUESTION, asked).await {
            Ok(Ok((channel, status))) => found.push((endpoint.clone(), channel, status)),
            Ok(Err(why)) => silent.push(format!("{endpoint}: {why}")),
            Err(_) => silent.push(format!("{endpoint}: it doesn't answer")),
        }
    }
    let id = |status: &StatusResponse| status.header.as_ref().map_or(0, |header| header.cluster_id);
    if let Some((_, _, other)) = found.iter().find(|(_, _, status)| id(status) != order.cluster_id) {
        return Err(Error::WrongCluster { wanted: order.cluster_id, found: id(other) });
    }
    let newest = found.iter().map(|(_, _, status)| status.raft_applied_index).max().unwrap_or_default();
    // One that is far behind would make an old backup; one without a leader, too.
    found.retain(|(_, _, status)| status.leader != 0 && status.raft_applied_index.saturating_add(10_000) >= newest);
    if found.is_empty() {
        return Err(Error::Nobody(if silent.is_empty() { "none has a leader".to_owned() } else { silent.join("; ") }));
    }
    let own = |status: &StatusResponse| status.header.as_ref().map_or(0, |header| header.member_id);
    found.sort_by_key(|(_, _, status)| (own(status) == status.leader, status.is_learner));
    Ok(found)
}

async fn fetch_from(
    order: &Order<'_>,
    endpoint: &str,
    channel: Channel,
    status: &StatusResponse,
) -> Result<Snapshot, Error> {
    let spool = |source| Error::Spool { path: order.spool.to_owned(), source };
    let path = order.spool.join(SNAPSHOT);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(spool(error)),
        _ => {}
    }
    snapshot::fetch(channel.clone(), &path).await?;
    let taken = Timestamp::now();
    let reader = Reader::open(&path).map_err(contents::Error::from)?;
    let contents = contents::of(&reader).map_err(contents::Error::from)?;
    let hash = comparable(endpoint, channel, contents).await?;
    let (own, rows) =
        tokio::task::spawn_blocking(move || contents::hash(&reader, hash.revision, hash.compact_revision))
            .await
            .map_err(|_| Error::GivenUp)??;
    if own != hash.hash {
        let (endpoint, revision) = (endpoint.to_owned(), hash.revision);
        return Err(Error::Mismatch { endpoint, revision, own, said: hash.hash });
    }
    let member_id = status.header.as_ref().map_or(0, |header| header.member_id);
    let (version, raft_term) = (status.version.clone(), status.raft_term);
    Ok(Snapshot { member_id, version, raft_term, taken, contents, hash, rows })
}

/// What the member says of its keys at the snapshot's revision.
///
/// At the revision of a compaction, etcd answers what it found before, with rows that are gone now: it says the compaction before
/// as its last. Without a revision it looks again.
async fn comparable(endpoint: &str, channel: Channel, contents: contents::Contents) -> Result<Hash, Error> {
    let contents::Contents { revision, compact_revision } = contents;
    let hash = said(endpoint, channel.clone(), revision).await?;
    if hash.compact_revision >= compact_revision {
        return Ok(hash);
    }
    let hash = said(endpoint, channel, 0).await?;
    match hash.revision == revision && hash.compact_revision >= compact_revision {
        true => Ok(hash),
        false => Err(Error::Moved { endpoint: endpoint.to_owned(), revision }),
    }
}

/// At this revision, or at its newest if it is 0.
async fn said(endpoint: &str, channel: Channel, revision: i64) -> Result<Hash, Error> {
    let failed = |status| Error::Hash { endpoint: endpoint.to_owned(), status: Box::new(status) };
    let mut request = tonic::Request::new(HashKvRequest { revision });
    request.set_timeout(HASHING);
    match MaintenanceClient::new(channel).hash_kv(request).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            // Of a store that has no revision but its first, etcd says 0.
            let compact_revision = if answer.compact_revision > 0 { answer.compact_revision } else { -1 };
            let newest = answer.header.map_or(0, |header| header.revision);
            let revision = match (revision, answer.hash_revision) {
                // etcd 3.4 doesn't say it.
                (0, 0) => newest,
                (0, said) => said,
                (asked, _) => asked,
            };
            Ok(Hash { hash: answer.hash, revision, compact_revision })
        }
        Err(status) if status.message().contains("compacted") => {
            Err(Error::Compacted { endpoint: endpoint.to_owned(), revision })
        }
        Err(status) => Err(failed(status)),
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(path = %path.display(), %error, "the spool is not cleared");
    }
}

/// By its flag's value.
pub fn compression(text: &str) -> Result<Compression, String> {
    match text {
        "zstd" => Ok(Compression::Zstd),
        "none" => Ok(Compression::None),
        _ => Err("use zstd or none".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    use super::*;

    async fn arrive(store: &InMemory, attempt: &str) -> Manifest {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), [7; 4096]).unwrap();
        let seal = Seal { compression: Compression::None, recipients: Vec::new() };
        let arrived = carry::up(store, "id", attempt, file.path(), &seal).await.unwrap();
        carry::tests::manifest("id", arrived, &seal)
    }

    #[tokio::test]
    async fn of_two_attempts_with_one_id_the_first_manifest_counts_for_both() {
        let store = InMemory::new();
        let (slow, quick) = (arrive(&store, "slow").await, arrive(&store, "quick").await);
        assert_eq!(declare(&store, quick.clone()).await.unwrap(), quick);
        let counts = declare(&store, slow).await.unwrap();
        assert_eq!(counts, quick);
        catalogue::clear_attempts(&store, &counts).await.unwrap();
        carry::down(&store, &quick, &Keys::default(), io::sink()).await.unwrap();
    }

    fn order<'a>(members: &'a Members, spool: &'a Path) -> Order<'a> {
        let seal = Seal { compression: Compression::None, recipients: Vec::new() };
        Order { members, cluster_id: 7, id: "id", spool, seal, keys: Keys::default() }
    }

    #[tokio::test]
    async fn a_backup_that_is_there_is_not_made_again() {
        let store = InMemory::new();
        let manifest = declare(&store, arrive(&store, "one").await).await.unwrap();
        let (members, spool) = (Members::default(), tempfile::tempdir().unwrap());
        let same = Order { cluster_id: 0xc1, ..order(&members, spool.path()) };
        assert_eq!(take(&store, &same, &CancellationToken::new()).await.unwrap(), manifest);
        // Another cluster's is no backup of this one.
        let other = order(&members, spool.path());
        let refused = take(&store, &other, &CancellationToken::new()).await.unwrap_err();
        assert_eq!(refused.reason(), Reason::BackupExists, "{refused}");
    }

    #[tokio::test]
    async fn without_members_or_told_to_stop_nothing_is_left() {
        let store = InMemory::new();
        // Parts of an attempt that may still be at work.
        arrive(&store, "another").await;
        let (members, spool) = (Members::default(), tempfile::tempdir().unwrap());
        let order = order(&members, spool.path());
        let stop = CancellationToken::new();
        assert_eq!(take(&store, &order, &stop).await.unwrap_err().reason(), Reason::ClusterUnavailable);
        stop.cancel();
        let stuck = Members { endpoints: vec!["http://192.0.2.1:1".to_owned()], ..Members::default() };
        let order = Order { members: &stuck, ..order };
        assert_eq!(take(&store, &order, &stop).await.unwrap_err().reason(), Reason::Stopped);
        assert!(store.head(&object_store::path::Path::from("backups/id/another/00000")).await.is_ok());
    }
}
