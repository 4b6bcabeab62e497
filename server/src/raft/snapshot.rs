//! Raft snapshots: RocksDB checkpoints, cut when a follower needs one.
//!
//! A snapshot has two uses. To let the log be purged it only has to be durable, which a flush of the store makes it: no
//! file is copied. To bring a follower up it has to be a folder of files: then a checkpoint (hard links) is cut and
//! removed again when it was sent.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::storage::RaftSnapshotBuilder;
use parking_lot::Mutex;

use super::state_machine::stored_membership;
use super::types::{self, TypeConfig};
use crate::store::Store;

pub type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;
pub type Snapshot = openraft::alias::SnapshotOf<TypeConfig, Folder>;

/// The files of a snapshot; the folder goes when the last handle goes.
#[derive(Clone, Debug)]
pub struct Folder(Option<Arc<Owned>>);

#[derive(Debug)]
struct Owned {
    path: PathBuf,
    source: u64,
}

impl Folder {
    /// A snapshot that lives in the store itself: it lets the log be purged and has no files to send.
    fn in_place() -> Self {
        Self(None)
    }

    /// `source`: tables with the same name in folders of one source are the same.
    pub fn owned(path: PathBuf, source: u64) -> Self {
        Self(Some(Arc::new(Owned { path, source })))
    }

    pub fn path(&self) -> Option<PathBuf> {
        self.0.as_ref().map(|owned| owned.path.clone())
    }

    pub fn source(&self) -> u64 {
        self.0.as_ref().map(|owned| owned.source).unwrap_or_default()
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %self.path.display(), %error, "failed to remove a snapshot folder");
        }
    }
}

pub struct Builder {
    store: Store,
    /// Where folders to send are cut: the store's file system, so that hard links work.
    dir: PathBuf,
    newest: Arc<Mutex<Option<SnapshotMeta>>>,
}

impl Builder {
    pub(super) fn new(store: Store, dir: PathBuf, newest: Arc<Mutex<Option<SnapshotMeta>>>) -> Self {
        Self { store, dir, newest }
    }

    /// Cuts a folder of files to send to a follower.
    pub(super) async fn checkpoint(&self) -> io::Result<Snapshot> {
        let store = self.store.clone();
        let folder = checkpoint_folder(&self.dir);
        let target = folder.clone();
        let copy = blocking(move || store.checkpoint(&target).map_err(io::Error::other)).await?;
        let meta = SnapshotMeta {
            last_log_id: types::log_id(copy.applied),
            last_membership: stored_membership(copy.membership)?,
        };
        *self.newest.lock() = Some(meta.clone());
        Ok(Snapshot { meta, snapshot: Folder::owned(folder, copy.source) })
    }
}

impl RaftSnapshotBuilder<TypeConfig> for Builder {
    type SnapshotData = Folder;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        let store = self.store.clone();
        let flushing = store.clone();
        let flushed = blocking(move || flushing.flush().map_err(io::Error::other)).await?;
        // Read after the flush: it may be newer than the flushed position, which openraft allows, but never older, which
        // would lose it when the log is purged.
        let membership = stored_membership(store.membership())?;
        let meta = SnapshotMeta { last_log_id: types::log_id(flushed), last_membership: membership };
        *self.newest.lock() = Some(meta.clone());
        Ok(Snapshot { meta, snapshot: Folder::in_place() })
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn checkpoint_folder(dir: &Path) -> PathBuf {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    dir.join(format!("outgoing-{}-{number}", std::process::id()))
}
