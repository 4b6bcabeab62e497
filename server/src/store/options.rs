//! Sizes and paces of a store.

use std::time::Duration;

use super::watch;

/// How a store uses memory, files and time.
#[derive(Debug, Clone)]
pub struct Options {
    /// RocksDB's block cache in bytes, shared by all column families.
    pub cache_bytes: usize,
    /// One memtable of the key rows in bytes; two may exist at a time.
    pub write_buffer_bytes: usize,
    /// Files RocksDB keeps open.
    pub max_open_files: i32,
    /// Rows one step of a compaction looks at while it holds back writers.
    pub compaction_batch_rows: usize,
    /// Pause between two steps of a compaction.
    pub compaction_pause: Duration,
    /// Keep a hash of every compaction: each reads the whole history once, and none is skipped in favour of a later one.
    pub compaction_hashes: bool,
    /// Bounds of what watchers cost.
    pub watch: watch::Options,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: 64 << 20,
            write_buffer_bytes: 16 << 20,
            max_open_files: 1024,
            // etcd's --compaction-batch-limit and --compaction-sleep-interval.
            compaction_batch_rows: 1000,
            compaction_pause: Duration::from_millis(10),
            compaction_hashes: false,
            watch: watch::Options::default(),
        }
    }
}
