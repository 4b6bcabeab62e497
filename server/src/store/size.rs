//! How large the store counts itself.
//!
//! Counted, not measured: what RocksDB has on disk depends on when it last compacted, and a quota must not. The count follows what
//! a bbolt file would hold: every row with a fixed overhead, in pages of 4 KiB.

use super::backend::Family;

/// The element header of a row in a bbolt leaf page.
const ROW_OVERHEAD_BYTES: i64 = 16;
const PAGE_BYTES: i64 = 4096;
/// A database without rows: two meta pages, the free list, the root and one leaf.
const EMPTY_BYTES: i64 = 5 * PAGE_BYTES;

/// Sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// The largest `in_use` since the last defragmentation: what a quota is compared with.
    pub total: i64,
    /// The rows that are there.
    pub in_use: i64,
}

/// What one row adds to the sum behind [`Size`]. The store's own facts are few and stand in the size of an empty database.
pub(super) fn row_bytes(family: Family, key: usize, value: usize) -> i64 {
    match family {
        Family::Meta | Family::Auth => 0,
        _ => ROW_OVERHEAD_BYTES + key as i64 + value as i64,
    }
}

/// Pages for so many bytes of rows.
pub(super) fn in_use(rows_bytes: i64) -> i64 {
    EMPTY_BYTES
        + rows_bytes.div_euclid(PAGE_BYTES) * PAGE_BYTES
        + if rows_bytes % PAGE_BYTES == 0 { 0 } else { PAGE_BYTES }
}
