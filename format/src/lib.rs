//! File formats shared with etcd's own tools, so that either side can read what the other wrote.
//!
//! - [`wal`]: the write-ahead log's frames, records and file names.
//! - [`bbolt`]: the database file, written and read front to back.
//! - [`snapshot_file`]: a database and the checksum behind it.
//! - [`revision`]: the keys of etcd's `key` bucket.
//! - [`go_quote`]: quoted strings, in which etcd's tools show bytes and take them.
//! - [`contents`]: up to where a database has the history of keys.
//! - [`hash_kv`]: the hash over the history of keys that members compare.

pub mod bbolt;
pub mod contents;
pub mod go_quote;
pub mod hash_kv;
pub mod revision;
pub mod snapshot_file;
pub mod wal;

mod protobuf;

/// The checksum of all these formats, carried on over more bytes (CRC-32C, Castagnoli).
pub use crc32c::crc32c_append;
