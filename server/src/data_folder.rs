//! The data folder: made for one process, held by one process.
//!
//! ```text
//! <data-dir>/member/wal/    the log, in etcd's format (or --wal-dir)
//! <data-dir>/member/store/  the store's RocksDB, and snapshots on their way in and out beside it
//! <data-dir>/member/snap/   only in a folder made by etcd or restored by etcdutl: what the store is imported from
//! <data-dir>/fixtures/      certificates of --auto-tls and --peer-auto-tls
//! <data-dir>/member/LOCK    held while a server runs
//! ```

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file that says that the member of this folder was removed.
const REMOVED: &str = "removed";
/// A file that says that this folder has had a log.
const BEGUN: &str = "begun";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot write {}", path.display())]
    Mark { path: PathBuf, source: io::Error },
    #[error("cannot create the data folder {}", path.display())]
    Create { path: PathBuf, source: io::Error },
    #[error("the data folder {} is not writable by this user", path.display())]
    NotWritable { path: PathBuf, source: io::Error },
    #[error(
        "the data folder {} is in use by another process; stop that server, or give this one a folder of its own by --data-dir",
        .0.display()
    )]
    InUse(PathBuf),
    #[error("{} says that this folder is a proxy's: start it with --discovery and --discovery-fallback=proxy again, or give this \
         member another --data-dir", .0.display())]
    Proxy(PathBuf),
    #[error("cannot tidy the data folder {}", path.display())]
    Tidy { path: PathBuf, source: io::Error },
}

/// The folder, locked until this is dropped.
#[derive(Debug)]
pub struct DataFolder {
    member: PathBuf,
    _lock: File,
}

impl DataFolder {
    /// Opens or makes `<data_dir>/member`, readable by its owner alone.
    pub fn open(data_dir: &Path) -> Result<Self, Error> {
        let proxy = data_dir.join("proxy");
        if proxy.exists() {
            return Err(Error::Proxy(proxy));
        }
        let member = data_dir.join("member");
        create(&member)?;
        let path = member.join("LOCK");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(|source| Error::NotWritable { path: member.clone(), source })?;
        match rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => return Err(Error::InUse(data_dir.to_owned())),
            Err(error) => return Err(Error::NotWritable { path, source: error.into() }),
        }
        // Empty in a folder of ours, but tools that inspect a data folder look for it.
        create(&member.join("snap"))?;
        let folder = Self { member, _lock: lock };
        folder.remove_leftovers()?;
        Ok(folder)
    }

    pub fn store(&self) -> PathBuf {
        self.member.join("store")
    }

    /// Notes that the member was removed: the cluster will not tell it again, and its data must not be used again.
    pub fn mark_removed(&self) -> Result<(), Error> {
        let path = self.member.join(REMOVED);
        fs::write(&path, []).map_err(|source| Error::Mark { path, source })
    }

    /// Notes, on disk when this returns, that there is a log: without it the member would be another.
    pub fn mark_begun(&self) -> Result<(), Error> {
        let path = self.member.join(BEGUN);
        if path.exists() {
            return Ok(());
        }
        let made = File::create(&path).and_then(|file| file.sync_all());
        made.and_then(|()| File::open(&self.member)?.sync_all()).map_err(|source| Error::Mark { path, source })
    }

    pub fn has_begun(&self) -> bool {
        self.member.join(BEGUN).exists()
    }

    pub fn is_removed(&self) -> bool {
        self.member.join(REMOVED).exists()
    }

    /// Where snapshots are received.
    pub fn member(&self) -> &Path {
        &self.member
    }

    /// etcd's own database file, in a folder that etcd or `etcdutl` made.
    pub fn etcd_database(&self) -> PathBuf {
        self.member.join("snap").join("db")
    }

    /// Snapshots that were on their way out when the last process ended.
    fn remove_leftovers(&self) -> Result<(), Error> {
        let failed = |source| Error::Tidy { path: self.member.clone(), source };
        for entry in std::fs::read_dir(&self.member).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with("outgoing-") {
                std::fs::remove_dir_all(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }
}

/// A folder that only its owner may read.
fn create(path: &Path) -> Result<(), Error> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| Error::Create { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_refused_and_free_again_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let held = DataFolder::open(dir.path()).unwrap();
        assert!(matches!(DataFolder::open(dir.path()), Err(Error::InUse(_))));
        drop(held);
        assert!(DataFolder::open(dir.path()).is_ok());
    }

    #[test]
    fn snapshots_on_their_way_out_at_a_crash_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let leftover = dir.path().join("member/outgoing-1-2");
        std::fs::create_dir_all(&leftover).unwrap();
        DataFolder::open(dir.path()).unwrap();
        assert!(!leftover.exists());
    }
}
