use std::io;
use std::path::PathBuf;

use quorate_format::{bbolt, revision};

/// Why there is no folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// In etcd's words.
    #[error("{0}")]
    Members(String),
    #[error("mkdir {}", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("open {}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("fsync {}", path.display())]
    Sync { path: PathBuf, source: io::Error },
    #[error("could not put the restored folder in its place")]
    Publish(#[source] io::Error),
    #[error(transparent)]
    Database(#[from] bbolt::Error),
    #[error(transparent)]
    Revision(#[from] revision::Error),
    #[error("--bump-revision={amount} is too much: the latest revision is {latest}")]
    BumpTooFar { amount: u64, latest: i64 },
    #[error("revision {wanted} is compacted: the snapshot has only those from {compacted} on")]
    Compacted { wanted: i64, compacted: i64 },
    #[error("the changes name more than {0} leases that are not in the snapshot")]
    TooManyLeases(usize),
    #[error("the lease {0:x} of the snapshot can't be read")]
    Lease(i64),
    #[error("the changes can't be read")]
    Changes(#[source] Box<dyn std::error::Error + Send + Sync>),
}
