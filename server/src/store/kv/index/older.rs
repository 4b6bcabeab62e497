//! The versions behind the newest ones.

use super::growth;
use super::packed_rows::PackedRows;
use super::row::Row;
use crate::store::kv::revision::Revision;

/// For those keys of a leaf that have more rows than their newest: the others, oldest first.
///
/// Compaction empties it, so only keys changed since cost anything.
#[derive(Debug, Default)]
pub struct Older {
    /// Sorted by the key's slot in the leaf. No list is empty.
    keys: Vec<(u32, PackedRows)>,
}

impl Older {
    pub fn rows(&self, slot: usize) -> Option<&PackedRows> {
        let i = self.find(slot).ok()?;
        Some(&self.keys[i].1)
    }

    /// The newest row of the key at or before main revision `at`.
    pub fn newest(&self, slot: usize, at: i64) -> Option<Row> {
        let rows = self.rows(slot)?;
        Some(rows.get(rows.up_to(at).checked_sub(1)?))
    }

    pub fn push(&mut self, slot: usize, row: Row) {
        let i = self.find(slot).unwrap_or_else(|i| {
            growth::reserve(&mut self.keys, 1);
            self.keys.insert(i, (slot as u32, PackedRows::default()));
            i
        });
        self.keys[i].1.push(row);
    }

    /// Drops the rows up to main revision `revision`, but the newest of them if `keep_live` and it is a put.
    pub fn compact(&mut self, slot: usize, revision: i64, keep_live: bool, dropped: impl FnMut(Revision)) {
        let Ok(i) = self.find(slot) else { return };
        let rows = &mut self.keys[i].1;
        let mut end = rows.up_to(revision);
        if keep_live && end > 0 && rows.get(end - 1).live().is_some() {
            end -= 1;
        }
        (0..end).map(|i| rows.get(i).at()).for_each(dropped);
        if end == rows.len() {
            self.keys.remove(i);
        } else if end > 0 {
            rows.remove(0..end);
        }
    }

    /// A key was put into the leaf at `slot`.
    pub fn key_inserted(&mut self, slot: usize) {
        self.keys.iter_mut().rev().take_while(|(at, _)| *at as usize >= slot).for_each(|(at, _)| *at += 1);
    }

    /// The key at `slot`, which has no older rows any more, left the leaf.
    pub fn key_removed(&mut self, slot: usize) {
        self.keys.iter_mut().rev().take_while(|(at, _)| *at as usize > slot).for_each(|(at, _)| *at -= 1);
    }

    /// Hands over the keys from `slot` on, which becomes their first.
    pub fn split_off(&mut self, slot: usize) -> Self {
        let i = self.find(slot).unwrap_or_else(|i| i);
        let mut right = Self { keys: self.keys.split_off(i) };
        right.keys.iter_mut().for_each(|(at, _)| *at -= slot as u32);
        self.keys.shrink_to_fit();
        right
    }

    /// Takes in the keys of the leaf behind this one, which has `slots` keys.
    pub fn append(&mut self, next: Self, slots: usize) {
        self.keys.extend(next.keys.into_iter().map(|(at, rows)| (at + slots as u32, rows)));
    }

    pub fn heap_bytes(&self) -> usize {
        let lists: usize = self.keys.iter().map(|(_, rows)| rows.heap_bytes()).sum();
        lists + self.keys.capacity() * size_of::<(u32, PackedRows)>()
    }

    fn find(&self, slot: usize) -> Result<usize, usize> {
        self.keys.binary_search_by_key(&slot, |(at, _)| *at as usize)
    }

    #[cfg(test)]
    pub fn check(&self, slots: usize) {
        assert!(self.keys.is_sorted_by(|a, b| a.0 < b.0));
        assert!(self.keys.iter().all(|(at, rows)| (*at as usize) < slots && rows.len() > 0));
    }
}
