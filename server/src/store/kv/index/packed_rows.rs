//! Rows in 16 bytes each.

use std::ops::Range;

use super::growth;
use super::row::{Row, Version};
use crate::store::kv::revision::Revision;

const SUB_BITS: u32 = 16;
const MAIN_BITS: u32 = 48;
const VERSION_BITS: u32 = 24;
const AGE_BITS: u32 = 40;

/// A list of rows, 16 bytes each as long as every one fits its bit fields, else all of them in full.
///
/// The narrow form holds `main:48 sub:16` and `main-created:40 version:24`, with version 0 for a tombstone. A node that has to
/// go wide (more than 65,536 changes in one transaction, a key with over 16 million versions) is narrow again after its next split.
#[derive(Debug)]
pub enum PackedRows {
    Narrow(Vec<[u64; 2]>),
    Wide(Vec<Row>),
}

impl Default for PackedRows {
    fn default() -> Self {
        PackedRows::Narrow(Vec::new())
    }
}

impl PackedRows {
    pub fn len(&self) -> usize {
        match self {
            PackedRows::Narrow(rows) => rows.len(),
            PackedRows::Wide(rows) => rows.len(),
        }
    }

    pub fn heap_bytes(&self) -> usize {
        match self {
            PackedRows::Narrow(rows) => rows.capacity() * size_of::<[u64; 2]>(),
            PackedRows::Wide(rows) => rows.capacity() * size_of::<Row>(),
        }
    }

    pub fn get(&self, i: usize) -> Row {
        match self {
            PackedRows::Narrow(rows) => unpack(rows[i]),
            PackedRows::Wide(rows) => rows[i],
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = Row> {
        (0..self.len()).map(|i| self.get(i))
    }

    pub fn set(&mut self, i: usize, row: Row) {
        match (&mut *self, pack(row)) {
            (PackedRows::Narrow(rows), Some(packed)) => rows[i] = packed,
            (PackedRows::Wide(rows), _) => rows[i] = row,
            (PackedRows::Narrow(_), None) => {
                self.widen();
                self.set(i, row);
            }
        }
    }

    pub fn insert(&mut self, i: usize, row: Row) {
        match (&mut *self, pack(row)) {
            (PackedRows::Narrow(rows), Some(packed)) => {
                growth::reserve(rows, 1);
                rows.insert(i, packed);
            }
            (PackedRows::Wide(rows), _) => {
                growth::reserve(rows, 1);
                rows.insert(i, row);
            }
            (PackedRows::Narrow(_), None) => {
                self.widen();
                self.insert(i, row);
            }
        }
    }

    pub fn push(&mut self, row: Row) {
        self.insert(self.len(), row);
    }

    pub fn remove(&mut self, range: Range<usize>) {
        match self {
            PackedRows::Narrow(rows) => {
                rows.drain(range);
                shrink(rows);
            }
            PackedRows::Wide(rows) => {
                rows.drain(range);
                shrink(rows);
            }
        }
    }

    /// The rows of `range` in a list of their own, of exact size and narrow if they can be.
    pub fn part(&self, range: Range<usize>) -> Self {
        let rows = range.map(|i| self.get(i));
        match rows.clone().map(pack).collect() {
            Some(narrow) => PackedRows::Narrow(exact(narrow)),
            None => PackedRows::Wide(exact(rows.collect())),
        }
    }

    pub fn append(&mut self, next: &Self) {
        for row in next.iter() {
            self.push(row);
        }
    }

    /// How many rows are at or before main revision `at`, in a list that is in revision order.
    pub fn up_to(&self, at: i64) -> usize {
        match self {
            PackedRows::Narrow(rows) => rows.partition_point(|&[place, _]| (place >> SUB_BITS) as i64 <= at),
            PackedRows::Wide(rows) => rows.partition_point(|row| row.at().main <= at),
        }
    }

    fn widen(&mut self) {
        *self = PackedRows::Wide(self.iter().collect());
    }
}

fn exact<T>(mut items: Vec<T>) -> Vec<T> {
    items.shrink_to_fit();
    items
}

/// Gives memory back once less than half of it is used.
fn shrink<T>(items: &mut Vec<T>) {
    if items.capacity() > 2 * items.len() + 4 {
        items.shrink_to_fit();
    }
}

fn pack(row: Row) -> Option<[u64; 2]> {
    let Revision { main, sub } = row.at();
    let place = fit(main, MAIN_BITS)? << SUB_BITS | fit(sub, SUB_BITS)?;
    let life = match row {
        Row::Tombstone(_) => 0,
        Row::Put(Version { version: 0, .. }) => return None,
        Row::Put(Version { created, version, .. }) => {
            fit(main.checked_sub(created)?, AGE_BITS)? << VERSION_BITS | fit(version, VERSION_BITS)?
        }
    };
    Some([place, life])
}

fn unpack([place, life]: [u64; 2]) -> Row {
    let modified = Revision { main: (place >> SUB_BITS) as i64, sub: (place & ((1 << SUB_BITS) - 1)) as i64 };
    match (life & ((1 << VERSION_BITS) - 1)) as i64 {
        0 => Row::Tombstone(modified),
        version => Row::Put(Version { modified, created: modified.main - (life >> VERSION_BITS) as i64, version }),
    }
}

fn fit(value: i64, bits: u32) -> Option<u64> {
    u64::try_from(value).ok().filter(|value| value >> bits == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(main: i64, sub: i64, created: i64, version: i64) -> Row {
        Row::Put(Version { modified: Revision { main, sub }, created, version })
    }

    #[test]
    fn a_row_survives_packing_or_is_refused() {
        let fits = [
            put(1, 0, 1, 1),
            put((1 << 48) - 1, 65_535, (1 << 48) - (1 << 40), (1 << 24) - 1),
            Row::Tombstone(Revision { main: 7, sub: 65_535 }),
        ];
        for row in fits {
            assert_eq!(unpack(pack(row).unwrap()), row);
        }
        let refused = [
            put(1 << 48, 0, 1 << 48, 1),
            put(1 << 41, 0, 1, 1),
            put(5, 65_536, 5, 1),
            put(5, 0, 5, 1 << 24),
            put(5, 0, 6, 1),
            put(5, 0, 5, 0),
            Row::Tombstone(Revision { main: 7, sub: 65_536 }),
        ];
        assert!(refused.into_iter().all(|row| pack(row).is_none()));
    }

    #[test]
    fn a_list_goes_wide_for_a_row_that_does_not_fit_and_narrow_again_without_it() {
        let mut rows = PackedRows::default();
        let given = [put(3, 0, 3, 1), put(9, 70_000, 3, 2), Row::Tombstone(Revision { main: 10, sub: 0 })];
        given.into_iter().for_each(|row| rows.push(row));
        assert!(matches!(rows, PackedRows::Wide(_)));
        assert_eq!(rows.iter().collect::<Vec<_>>(), given);
        assert_eq!([2, 3, 9, 11].map(|at| rows.up_to(at)), [0, 1, 2, 3]);
        assert!(matches!(rows.part(2..3), PackedRows::Narrow(_)));
        rows.set(1, put(9, 1, 3, 2));
        assert_eq!(rows.part(0..3).get(1), put(9, 1, 3, 2));
    }
}
