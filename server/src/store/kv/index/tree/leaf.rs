//! A leaf: some sixty keys, side by side.

use std::ops::{ControlFlow, Range};

use super::super::Order;
use super::super::older::Older;
use super::super::packed_keys::{PackedKeys, separator};
use super::super::packed_rows::PackedRows;
use super::super::row::{Row, Version};
use super::{Bounds, Node, Split, Written};
use crate::store::kv::revision::Revision;

/// Keys of a leaf, at most: few enough to shift on an insert, enough that what is stored once a leaf doesn't show.
pub const MAX_KEYS: usize = 64;
/// Bytes of keys in a leaf of more than one, at most, so that long keys don't make inserts slow.
pub const MAX_BYTES: usize = 16 << 10;
/// A leaf with fewer keys joins a neighbour if both together stay below three quarters.
pub const FEW_KEYS: usize = MAX_KEYS / 4;
/// So many inserts, each right behind the one before, are taken for a series that goes on.
const SERIES: u8 = 8;

#[derive(Debug, Default)]
pub struct Leaf {
    keys: PackedKeys,
    /// The newest row of each key.
    rows: PackedRows,
    older: Older,
    /// Slot of the latest insert, and how many before it went up slot by slot; 0 = unknown.
    latest: u8,
    series: u8,
}

impl Leaf {
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn search(&self, key: &[u8]) -> Result<usize, usize> {
        self.keys.search(key)
    }

    /// The newest row of the key in `slot` at or before main revision `at`.
    pub fn row(&self, slot: usize, at: i64) -> Option<Row> {
        let newest = self.rows.get(slot);
        if newest.at().main <= at { Some(newest) } else { self.older.newest(slot, at) }
    }

    pub fn write(&mut self, key: &[u8], decide: impl FnOnce(Option<Row>) -> Option<Row>) -> Option<Written> {
        match self.search(key) {
            Ok(slot) => {
                let before = self.rows.get(slot);
                let after = decide(Some(before))?;
                self.older.push(slot, before);
                self.rows.set(slot, after);
                Some(Written { before: Some(before), after, split: None })
            }
            Err(slot) => {
                let after = decide(None)?;
                self.insert(slot, key, after);
                let full = self.len() > MAX_KEYS || (self.len() > 1 && self.keys.packed_bytes() > MAX_BYTES);
                let split = full.then(|| self.split(slot));
                Some(Written { before: None, after, split })
            }
        }
    }

    pub fn count(&self, bounds: Bounds<'_>, at: i64) -> usize {
        let live = |&slot: &usize| {
            let newest = self.rows.get(slot);
            if newest.turned() <= at {
                newest.live().is_some()
            } else {
                self.row(slot, at).is_some_and(|row| row.live().is_some())
            }
        };
        self.slots(bounds).filter(live).count()
    }

    pub fn visit<F>(&self, bounds: Bounds<'_>, at: i64, order: Order, key: &mut Vec<u8>, f: &mut F) -> ControlFlow<()>
    where
        F: FnMut(&[u8], Version) -> ControlFlow<()>,
    {
        let shared = self.keys.shared();
        key.clear();
        key.extend_from_slice(shared);
        let mut visit = |slot| match self.row(slot, at) {
            Some(Row::Put(version)) => {
                key.truncate(shared.len());
                key.extend_from_slice(self.keys.rest(slot));
                f(key, version)
            }
            _ => ControlFlow::Continue(()),
        };
        match order {
            Order::Ascending => self.slots(bounds).try_for_each(&mut visit),
            Order::Descending => self.slots(bounds).rev().try_for_each(&mut visit),
        }
    }

    pub fn compact(&mut self, key: &[u8], revision: i64, mut dropped: impl FnMut(Revision)) -> bool {
        let Ok(slot) = self.search(key) else {
            return false;
        };
        let newest = self.rows.get(slot);
        let behind = newest.at().main > revision;
        self.older.compact(slot, revision, behind, &mut dropped);
        let gone = !behind && newest.live().is_none();
        if gone {
            dropped(newest.at());
            self.keys.remove(slot);
            self.rows.remove(slot..slot + 1);
            self.older.key_removed(slot);
            self.series = 0;
        }
        gone
    }

    pub fn tally(&self) -> (usize, i64) {
        let live = self.rows.iter().filter(|row| row.live().is_some()).count();
        (live, self.rows.iter().map(|row| row.turned()).max().unwrap_or(i64::MIN))
    }

    /// True if one leaf can hold these keys and the next one's and still has room to grow.
    pub fn can_absorb(&self, next: &Self) -> bool {
        self.len() + next.len() <= MAX_KEYS / 4 * 3
            && self.keys.plain_bytes() + next.keys.plain_bytes() <= MAX_BYTES / 2
    }

    /// Takes in the keys of the leaf behind this one.
    pub fn absorb(&mut self, next: Self) {
        self.older.append(next.older, self.len());
        self.keys.append(&next.keys);
        self.rows.append(&next.rows);
        self.series = 0;
    }

    pub fn heap_bytes(&self) -> usize {
        self.keys.heap_bytes() + self.rows.heap_bytes() + self.older.heap_bytes()
    }

    fn slots(&self, bounds: Bounds<'_>) -> Range<usize> {
        let from = bounds.from.map_or(0, |from| self.keys.below(from));
        from..bounds.to.map_or(self.len(), |to| self.keys.below(to))
    }

    fn insert(&mut self, slot: usize, key: &[u8], row: Row) {
        self.keys.insert(slot, key);
        self.rows.insert(slot, row);
        self.older.key_inserted(slot);
        let goes_on = self.series > 0 && slot == usize::from(self.latest) + 1;
        self.series = if goes_on { self.series.saturating_add(1) } else { 1 };
        self.latest = slot as u8;
    }

    /// Cuts off the upper part. Keys that arrive in order leave full leaves behind: the cut is then next to the latest
    /// insert instead of in the middle. That it takes a series keeps any other pattern from leaving near-empty leaves.
    fn split(&mut self, inserted: usize) -> Split {
        let len = self.len();
        let series = self.series >= SERIES;
        let at = match inserted + 1 {
            _ if self.keys.packed_bytes() > MAX_BYTES => self.keys.middle_by_bytes(),
            next if series && next == len => inserted,
            next if series => next,
            _ => len / 2,
        };
        let mut right = Leaf {
            keys: self.keys.part(at..len),
            rows: self.rows.part(at..len),
            older: self.older.split_off(at),
            ..Leaf::default()
        };
        let separator = separator(&self.keys.key(at - 1), &self.keys.key(at));
        self.keys = self.keys.part(0..at);
        self.rows = self.rows.part(0..at);
        if series && inserted >= at {
            (right.latest, right.series) = ((inserted - at) as u8, self.series);
            self.series = 0;
        } else if !series {
            self.series = 0;
        }
        Split { separator, right: Node::Leaf(right) }
    }

    #[cfg(test)]
    pub fn check(&self, bounds: Bounds<'_>) {
        let keys: Vec<_> = (0..self.keys.len()).map(|i| self.keys.key(i)).collect();
        assert_eq!(keys.len(), self.rows.len());
        assert!(keys.len() <= MAX_KEYS);
        assert!(keys.is_sorted_by(|a, b| a < b));
        assert!(keys.iter().all(|key| bounds.from.is_none_or(|from| &**key >= from)));
        assert!(keys.iter().all(|key| bounds.to.is_none_or(|to| &**key < to)));
        self.older.check(keys.len());
        for slot in 0..keys.len() {
            let older = self.older.rows(slot).into_iter().flat_map(|rows| rows.iter());
            assert!(older.chain([self.rows.get(slot)]).is_sorted_by(|a, b| a.at() < b.at()));
        }
    }
}
