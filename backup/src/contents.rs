//! What a snapshot has: its revision, its compaction, and the hash that members compare.

use quorate_format::bbolt::{self, Reader};
use quorate_format::hash_kv::{self, Hasher};
use quorate_format::revision::{self, RevisionKey};

use crate::kept::{KEYS_MAX, Kept};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the snapshot is no database")]
    Database(#[from] bbolt::Error),
    #[error("the snapshot has a row that is none")]
    Row(#[from] revision::Error),
    #[error("the snapshot has a row that is none")]
    Value(#[from] hash_kv::NotAKeyValue),
    #[error("the snapshot has four billion rows: compact the cluster")]
    TooMany,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// The newest; 1 if nothing was ever written.
    pub revision: i64,
    /// The last compaction; -1 if there was none.
    pub compact_revision: i64,
}

pub fn of(reader: &Reader) -> Result<Contents, Error> {
    let last = match reader.bucket(b"key")? {
        Some(keys) => keys.last()?,
        None => None,
    };
    let last = last.map(|row| RevisionKey::parse(&row.key)).transpose()?.map_or(0, |key| key.revision.main);
    let finished = compaction(reader, b"finishedCompactRev")?.unwrap_or(-1);
    // A server carries on a compaction that was only scheduled.
    let scheduled = compaction(reader, b"scheduledCompactRev")?.filter(|revision| *revision > 0).unwrap_or(-1);
    let compact_revision = finished.max(scheduled);
    Ok(Contents { revision: last.max(compact_revision).max(1), compact_revision })
}

fn compaction(reader: &Reader, name: &[u8]) -> Result<Option<i64>, Error> {
    let Some(meta) = reader.bucket(b"meta")? else { return Ok(None) };
    let Some(value) = meta.get(name)? else { return Ok(None) };
    Ok(Some(RevisionKey::parse(&value)?.revision.main))
}

/// The hash at a revision, as a member says it that is compacted up to another, and how many rows there are.
pub fn hash(reader: &Reader, revision: i64, compact_revision: i64) -> Result<(u32, u64), Error> {
    let mut hasher = Hasher::new(compact_revision, revision);
    let Some(keys) = reader.bucket(b"key")? else { return Ok((hasher.finish(), 0)) };
    // Nothing is asked of it if nothing was compacted.
    let kept = if compact_revision > 0 { Kept::find(&keys, revision, KEYS_MAX)? } else { Kept::default() };
    let mut rows = keys.rows();
    let mut count: u32 = 0;
    while let Some(row) = rows.next()? {
        hasher.row(RevisionKey::parse(&row.key)?, &row.key, &row.value, |_| kept.has(count));
        count = count.checked_add(1).ok_or(Error::TooMany)?;
    }
    Ok((hasher.finish(), count.into()))
}
