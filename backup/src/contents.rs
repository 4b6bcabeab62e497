//! The hash of a snapshot that members compare, and what else it says of itself.

use quorate_format::bbolt::{self, Reader};
use quorate_format::hash_kv::{self, Hasher};
use quorate_format::revision::{self, RevisionKey};

use crate::kept::{KEYS_MAX, Kept};

pub use quorate_format::contents::{Contents, of};

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

impl From<quorate_format::contents::Error> for Error {
    fn from(error: quorate_format::contents::Error) -> Self {
        match error {
            quorate_format::contents::Error::Database(error) => Self::Database(error),
            quorate_format::contents::Error::Row(error) => Self::Row(error),
        }
    }
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
