//! What can go wrong in the store: a request it must refuse, or storage that failed.

use std::{io, path::PathBuf};

use super::auth;
use crate::position::Position;

/// A failure of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request's own fault; the store is as before.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// RocksDB failed. After a failed write the process must stop: memory is ahead of the disk.
    #[error("database operation failed")]
    Database(#[from] rocksdb::Error),
    #[error("file operation on {} failed", path.display())]
    File { path: PathBuf, source: io::Error },
    /// What is stored cannot be what this store wrote.
    #[error("stored data is damaged: {0}")]
    Damaged(String),
    /// An entry at or below the applied position reached the store: its caller lost count.
    #[error("entry {entry} is not behind the applied position {applied}")]
    OutOfOrder { entry: Position, applied: Position },
    /// The folder cannot be used as asked; the text says what to do.
    #[error("{0}")]
    Folder(String),
}

impl From<auth::Refusal> for Error {
    fn from(refusal: auth::Refusal) -> Self {
        Self::Refused(refusal.into())
    }
}

impl Error {
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

/// Why the store refuses a request. Every member that applies the same entry comes to the same refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("key not found")]
    KeyNotFound,
    #[error("required revision has been compacted")]
    Compacted,
    #[error("required revision is a future revision")]
    FutureRevision,
    #[error("requested lease not found")]
    LeaseNotFound,
    #[error("lease already exists")]
    LeaseExists,
    #[error("too large lease TTL")]
    LeaseTtlTooLarge,
    /// A NOSPACE alarm is raised.
    #[error("database space exceeded")]
    NoSpace,
    /// A CORRUPT alarm is raised.
    #[error("corrupt cluster")]
    Corrupt,
    #[error(transparent)]
    Auth(#[from] auth::Refusal),
    /// A kind of request this store does not know, by its name.
    #[error("{0} is not supported")]
    NotSupported(&'static str),
}
