//! What ranges and transactions read from: the writer's unfinished batch, the state under its lock, or a pinned revision.

use bytes::Bytes;

use super::{Selection, index::Version, revision::Revision};
use crate::store::error::{Error, Refusal};

pub(in crate::store) trait Source {
    /// What replies carry as revision.
    fn revision(&self) -> i64;

    /// Reads below are refused.
    fn compacted(&self) -> i64;

    /// The live version of a key.
    fn version(&self, key: &[u8]) -> Result<Option<Version>, Error>;

    /// Walks the index until the selection has what it needs; the number of keys in its range.
    fn select(&self, selection: &mut Selection<'_>) -> Result<i64, Error>;

    /// The rows at these revisions, which the index has named.
    fn rows(&self, revisions: &[Revision]) -> Result<Vec<Bytes>, Error>;
}

/// `Ok` if a range of a transaction can be read at `revision`, 0 being now.
pub(in crate::store) fn check_revision(source: &impl Source, revision: i64) -> Result<(), Refusal> {
    match revision {
        0 => Ok(()),
        _ if revision > source.revision() => Err(Refusal::FutureRevision),
        // Negative revisions too, as etcd.
        _ if revision < source.compacted() => Err(Refusal::Compacted),
        _ => Ok(()),
    }
}
