//! Up to where a database has the history of keys: its newest revision, and what was compacted.

use crate::bbolt::{self, Reader};
use crate::revision::{self, RevisionKey};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Database(#[from] bbolt::Error),
    #[error("cannot parse revision key: {0}")]
    Row(#[from] revision::Error),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The newest. An empty store is at 1, and what a compaction removed may have been the newest.
    pub revision: i64,
    /// The last compaction asked for; -1 if there was none.
    pub compact_revision: i64,
}

pub fn of(reader: &Reader) -> Result<Contents, Error> {
    let last = match reader.bucket(b"key")? {
        Some(keys) => keys.last()?,
        None => None,
    };
    let last = last.map(|row| RevisionKey::parse(&row.key)).transpose()?.map_or(0, |key| key.revision.main);
    let finished = compaction(reader, b"finishedCompactRev")?.unwrap_or(-1);
    // A server carries on a compaction that was only scheduled, so that its revision counts from then on.
    let scheduled = compaction(reader, b"scheduledCompactRev")?.filter(|revision| *revision > 0).unwrap_or(-1);
    let compact_revision = finished.max(scheduled);
    Ok(Contents { revision: last.max(compact_revision).max(1), compact_revision })
}

/// A revision in the `meta` bucket.
fn compaction(reader: &Reader, name: &[u8]) -> Result<Option<i64>, Error> {
    let Some(meta) = reader.bucket(b"meta")? else { return Ok(None) };
    let Some(value) = meta.get(name)? else { return Ok(None) };
    Ok(Some(RevisionKey::parse(&value)?.revision.main))
}
