//! What the store must answer about the past.

use std::sync::Arc;

use bytes::Bytes;

use super::Frame;
use crate::store::kv::revision::Revision;

/// The stored past, read by streams that are behind the ring. Every method may read the disk unless it says otherwise,
/// is called away from the writer and from asynchronous tasks, and sees every revision that was published before the call.
pub trait History: Send + Sync + 'static {
    /// Whole revisions within `from..=to`, ascending and without a gap from `from` on. May stop early once about
    /// `limit_bytes` were collected, but never before the first revision; empty means that the span holds nothing.
    /// Revisions up to the compact revision may be incomplete: the caller checks [`History::compact_revision`] afterwards.
    fn events(&self, from: i64, to: i64, limit_bytes: usize) -> Result<Vec<Arc<Frame>>, Error>;

    /// The encoded `mvccpb.KeyValue` stored at this revision, if it is still there.
    fn kv_at(&self, revision: Revision) -> Result<Option<Bytes>, Error>;

    /// Like [`History::kv_at`], answering only what memory holds, at once. `None` means: unknown, ask `kv_at`.
    fn kv_in_memory(&self, _revision: Revision) -> Option<Bytes> {
        None
    }

    /// The newest readable revision. Answers from memory.
    fn revision(&self) -> i64;

    /// Revisions below this one are gone (0 or less: nothing was compacted). Answers from memory.
    fn compact_revision(&self) -> i64;
}

/// Why the past could not be read. A watcher cannot go on without it: its stream ends, and the client resumes elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read the history")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the task that read the history did not finish")]
    Task(#[source] tokio::task::JoinError),
}

impl Error {
    pub fn storage(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Storage(source.into())
    }
}
