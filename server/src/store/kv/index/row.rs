//! What one revision did to one key.

use crate::store::kv::revision::Revision;

/// What a live key looks like at some revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Version {
    /// Where this version was written, and so where its value is stored.
    pub modified: Revision,
    /// Main revision of the put that brought the key to life.
    pub created: i64,
    /// Puts since then, this one included: 1 for the first.
    pub version: i64,
}

/// A row of the history: one put or one deletion of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Row {
    Put(Version),
    Tombstone(Revision),
}

/// What start-up reads back from disk and hands to [`super::Index::restore`].
pub type RestoredRow = Row;

impl Row {
    pub fn at(&self) -> Revision {
        match self {
            Row::Put(version) => version.modified,
            Row::Tombstone(at) => *at,
        }
    }

    pub fn live(&self) -> Option<Version> {
        match self {
            Row::Put(version) => Some(*version),
            Row::Tombstone(_) => None,
        }
    }

    /// The main revision from which on the key has been as alive or dead as this row leaves it.
    pub(super) fn turned(&self) -> i64 {
        match self {
            Row::Put(version) => version.created,
            Row::Tombstone(at) => at.main,
        }
    }

    /// What a put at `at` makes of a key whose newest row is `before`.
    pub(super) fn put_after(before: Option<Row>, at: Revision) -> Version {
        match before.and_then(|row| row.live()) {
            Some(before) => Version { modified: at, version: before.version + 1, ..before },
            None => Version { modified: at, created: at.main, version: 1 },
        }
    }
}
