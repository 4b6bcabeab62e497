//! The index: every key and where its versions stand, in memory.
//!
//! ```text
//! Index ── tree/      a counted B+tree: inner nodes know the live keys below, leaves hold up to 64 keys
//!          ├─ packed_keys   the keys of a node, their common prefix stored once
//!          ├─ packed_rows   16 bytes for where a version stands, when the key was created, how often it was put
//!          └─ older         versions behind the newest, only of keys changed since the last compaction
//! ```
//! It answers what etcd's `mvcc` package calls the key index. Values are not here; whoever wants one reads it from the
//! backend at the revision the index names.

mod growth;
#[cfg(test)]
mod model;
mod older;
mod packed_keys;
mod packed_rows;
mod range;
mod row;
#[cfg(test)]
mod tests;
mod tree;

use std::ops::ControlFlow;

pub use range::KeyRange;
pub use row::{RestoredRow, Row, Version};

use super::revision::Revision;
use tree::{Bounds, Node, Written};

/// The way [`Index::visit`] walks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    #[default]
    Ascending,
    Descending,
}

/// Every key that still has a row in the history, live or not, in key order.
#[derive(Debug, Default)]
pub struct Index {
    root: Node,
    keys: usize,
}

impl Index {
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a put at `at`, which is newer than every row of the key: the new version, and where the live version
    /// before it stands.
    pub fn put(&mut self, key: &[u8], at: Revision) -> (Version, Option<Revision>) {
        let mut put = None;
        self.write(key, |before| {
            let version = Row::put_after(before, at);
            put = Some((version, before.and_then(|row| row.live()).map(|live| live.modified)));
            Some(Row::Put(version))
        });
        put.unwrap_or((Row::put_after(None, at), None))
    }

    /// Records a deletion at `at`, which is newer than every row of the key: where the version that died stands, or
    /// `None` (and no change) when the key is not live.
    pub fn delete(&mut self, key: &[u8], at: Revision) -> Option<Revision> {
        let written = self.write(key, |before| before?.live().map(|_| Row::Tombstone(at)))?;
        Some(written.before?.at())
    }

    /// The key as of main revision `at`; any `at` from the newest revision on means now.
    pub fn get(&self, key: &[u8], at: i64) -> Option<Version> {
        let (leaf, slot) = self.root.find(key)?;
        leaf.row(slot, at)?.live()
    }

    /// Keys of the range that are live now. Two descents of the tree: O(log n).
    pub fn count(&self, range: &KeyRange) -> usize {
        self.count_at(range, NOW)
    }

    /// Keys of the range that were live at main revision `at`, which no compaction has passed. Two descents, and a look at
    /// those leaves in which a key was born or died since.
    pub fn count_at(&self, range: &KeyRange, at: i64) -> usize {
        match range.single() {
            Some(key) => usize::from(self.get(key, at).is_some()),
            None if range.is_empty() => 0,
            None => self.root.count(bounds(range), at),
        }
    }

    /// Visits the keys of the range that are live at main revision `at` (`None`: now), until `f` breaks.
    ///
    /// It starts anywhere in O(log n), so a long walk can be cut into chunks and go on with [`KeyRange::after`] or
    /// [`KeyRange::before`]; with `at` given, writes between the chunks don't show.
    pub fn visit(
        &self,
        range: &KeyRange,
        at: Option<i64>,
        order: Order,
        mut f: impl FnMut(&[u8], Version) -> ControlFlow<()>,
    ) {
        let at = at.unwrap_or(NOW);
        // Whether `f` went through or broke off is the caller's own knowledge.
        let _ = match range.single() {
            Some(key) => self.get(key, at).map_or(ControlFlow::Continue(()), |version| f(key, version)),
            None if range.is_empty() => ControlFlow::Continue(()),
            None => self.root.visit(bounds(range), at, order, &mut Vec::new(), &mut f),
        };
    }

    /// Removes the rows of one key that compaction at `revision` makes unreachable and reports where they stood, oldest
    /// first: every row up to `revision` but the newest of them, and that one too if it is a tombstone. Forgets the key
    /// when nothing is left of it.
    pub fn compact_key(&mut self, key: &[u8], revision: i64, dropped: impl FnMut(Revision)) {
        let gone = self.root.compact_root(key, revision, dropped);
        self.keys -= usize::from(gone);
    }

    /// True if compaction at `compacted` keeps the row of this key at `row`: it is the newest up to there and no tombstone.
    pub fn keeps(&self, key: &[u8], row: Revision, compacted: i64) -> bool {
        self.get(key, compacted).is_some_and(|version| version.modified == row)
    }

    /// Takes in a row read back from disk. The rows of a key come in revision order; one that isn't newer than what is
    /// known is passed over, so that reading a stretch twice does no harm.
    pub fn restore(&mut self, key: &[u8], row: RestoredRow) {
        self.write(key, |before| before.is_none_or(|before| before.at() < row.at()).then_some(row));
    }

    /// Keys held, those included whose tombstone waits for compaction.
    pub fn len_keys(&self) -> usize {
        self.keys
    }

    /// Bytes of memory the index holds, without the allocator's own share. It looks at every leaf (about a millisecond for a
    /// million keys): for metrics, not for every request.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.root.heap_bytes()
    }

    fn write(&mut self, key: &[u8], decide: impl FnOnce(Option<Row>) -> Option<Row>) -> Option<Written> {
        let written = self.root.write_root(key, decide)?;
        debug_assert!(written.before.is_none_or(|before| before.at() < written.after.at()), "revisions only grow");
        self.keys += usize::from(written.before.is_none());
        Some(written)
    }
}

/// A main revision that no row is behind.
const NOW: i64 = i64::MAX;

fn bounds(range: &KeyRange) -> Bounds<'_> {
    let (from, to) = range.bounds();
    Bounds { from: Some(from), to }
}
