//! WAL: the durable order of the log, and nothing about what is in it.
//!
//! A log is a folder of segments in etcd's format, so that etcd's tools read it (`quorate_format::wal` has the bytes). Entries, votes
//! and snapshot markers are one stream, written by one thread:
//! - [`Wal`] is the handle: it checks and queues commands, and answers reads from what is queued, in memory or on disk;
//! - `writer` takes all that is queued, writes it, syncs once and calls back: what arrives during a sync is the next batch;
//! - `recovery` reads a log back at start, and tells a torn end, which is cut, from damage, which refuses to start;
//! - [`Disk`](disk::Disk) is the port to the files, so that a simulation can tear writes and lose syncs.
//!
//! Invariants: a callback means durable; callbacks come in the order of the commands; a failed write or sync ends the log and is never
//! tried again; everything that waits or is kept is bounded by [`Options`].

pub mod disk;

mod catalog;
mod create;
mod entry;
mod error;
mod leftovers;
mod log;
mod options;
mod read;
mod recovery;
mod replay;
mod segment;
mod shared;
mod spare;
mod tail;
mod terms;
mod writer;

#[cfg(test)]
mod tests;

pub use entry::{ConfState, Entry, EntryKind, HardState, Metadata};
pub use error::{Error, Failure};
pub use log::Wal;
pub use options::{ENTRY_OVERHEAD_BYTES, Observer, Options};
pub use recovery::Recovered;
pub use writer::{Step, Writer};
