//! The log's file operations, as a port: the real file system, and one in memory that loses what was not synced.

mod memory;
mod real;

use std::io;
use std::path::Path;
use std::sync::Arc;

pub use memory::{Fault, MemoryDisk, Operation};
pub use real::RealDisk;

/// Names and folders. Creating, renaming and removing is durable only after [`Disk::sync_dir`] of the folder.
pub trait Disk: Send + Sync + 'static {
    /// An empty file to read and write; replaces one of that name.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// An existing file to read and write.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Replaces an existing file or empty folder of the new name.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// The folder and all in it; fine if there is none.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    /// The folder and those above it; fine if it is there.
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    /// Names in a folder, in no order. A folder that isn't there is an error of kind `NotFound`.
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// A file, from any thread. It stays readable when it is removed.
pub trait File: Send + Sync + 'static {
    fn size(&self) -> io::Result<u64>;
    /// 0 at the end of the file.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Reserves space through `size` and grows the file to it with zeros; what is there stays.
    fn allocate(&self, size: u64) -> io::Result<()>;
    /// Makes the data durable, and the size if it changed.
    fn sync_data(&self) -> io::Result<()>;
    /// Makes the data and everything about the file durable.
    fn sync_all(&self) -> io::Result<()>;
}
