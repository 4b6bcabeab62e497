use std::sync::Arc;
use std::time::Duration;

use super::disk::{Disk, RealDisk};

/// Bounds and ports of a log.
#[derive(Clone)]
pub struct Options {
    /// Size a segment is given in advance, in bytes. Default 64 MB, as etcd. A single larger record makes a larger segment.
    pub segment_bytes: u64,
    /// Most bytes of durable entries kept in memory, each counted as its data and [`ENTRY_OVERHEAD_BYTES`]. Default 16 MiB. Entries
    /// that aren't durable yet are kept beyond it; `queue_bytes` bounds those.
    pub tail_bytes: usize,
    /// Bytes that may wait to be written. Default 16 MiB; the one command that crosses the bound is still let in.
    pub queue_bytes: usize,
    /// Commands that may wait to be written. Default 4096.
    pub queue_commands: usize,
    /// Told how long syncs take and how much is written.
    pub observer: Arc<dyn Observer>,
    /// Where the files are.
    pub disk: Arc<dyn Disk>,
}

/// What an entry costs in memory besides its data: its slot, its place in an allocation, and the allocator's share. It also bounds
/// the number of entries by the number of bytes.
pub const ENTRY_OVERHEAD_BYTES: usize = 96;

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes: 64_000_000,
            tail_bytes: 16 << 20,
            queue_bytes: 16 << 20,
            queue_commands: 4096,
            observer: Arc::new(Unobserved),
            disk: Arc::new(RealDisk::default()),
        }
    }
}

/// Called on the log's thread; must be quick.
pub trait Observer: Send + Sync + 'static {
    /// A sync of a segment took this long.
    fn fsync(&self, _took: Duration) {}
    /// This many bytes were handed to the file system, which took this long.
    fn written(&self, _bytes: usize, _took: Duration) {}
    /// The next segment could not be prepared because the disk is full. Nothing is lost yet: the current segment still has room.
    fn low_space(&self) {}
}

struct Unobserved;

impl Observer for Unobserved {}
