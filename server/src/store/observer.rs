//! What a store tells about its work, for whoever counts it.

use std::time::Duration;

use crate::operation::Operation;

/// Called where the work is done, sometimes under the writer's lock: implementations must be quick and must not block.
pub trait Observer: Send + Sync {
    /// A request of the log was carried out, or refused.
    fn executed(&self, operation: Operation, success: bool, took: Duration);
    /// What the requests of a batch have done.
    fn wrote(&self, done: &Done);
    /// Ranges that were answered to readers.
    fn ranged(&self, ranges: u64);
    /// A range for readers began, or ended, to hold the rows of its moment.
    fn holds_rows(&self, begins: bool);
    /// A hash was made: of all rows, or of the history up to a revision.
    fn hashed(&self, up_to_revision: bool, took: Duration);
    /// A defragmentation begins; `took`: it has ended.
    fn defragmenting(&self, took: Option<Duration>);
    /// One step of removing compacted rows: how many went, how long it took, and how long of that the index was held.
    fn compaction_step(&self, rows: u64, took: Duration, index_held: Duration);
    /// All rows of a compaction are gone.
    fn compacted(&self, took: Duration);
}

/// What some requests have done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    pub ranges: u64,
    pub puts: u64,
    /// Bytes of the keys and values that were put.
    pub put_bytes: u64,
    /// Requests to delete, whatever they found.
    pub deletes: u64,
    /// Transactions with another number of operations than one, as etcd counts them.
    pub txns: u64,
    /// Times to live of leases that were granted, in seconds.
    pub granted: Vec<i64>,
    pub revoked: u64,
}

impl Done {
    pub(super) fn operations(&self) -> u64 {
        self.ranges + self.puts + self.deletes
    }
}
