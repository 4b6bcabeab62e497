//! The bbolt file format, written and read in one pass each: etcd's database and the body of a snapshot file.
//!
//! A file is pages of one size. Pages 0 and 1 are meta pages; the valid one with the higher transaction id points at the
//! root bucket, a B+tree of branch and leaf pages whose values are the headers of the other buckets' trees. A page that
//! doesn't fit its content continues in the pages behind it (overflow). The layout is bbolt's, version 2.
//!
//! [`Writer`] takes each bucket's rows in key order and never goes back, except for the meta pages at the end: a file
//! that was not finished is invalid. [`Reader`] trusts nothing in the file: a hostile one gives an [`Error`].

mod check;
mod layout;
mod reader;
mod rows;
mod tree;
mod writer;

pub use layout::{KEY_BYTES_MAX, PAGE_BYTES, VALUE_BYTES_MAX};
pub use reader::{Bucket, Reader};
pub use rows::{Row, Rows};
pub use writer::{BucketWriter, RowWriter, Writer};

use std::io;

/// Why a file can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("reading the database file")]
    Read(#[source] io::Error),
    #[error("writing the database file")]
    Write(#[source] io::Error),
    /// Neither meta page is valid.
    #[error("invalid database: no valid meta page (not a bbolt file, or its beginning is damaged)")]
    Invalid,
    /// The file is shorter than its meta page says.
    #[error("invalid database: {want_bytes} bytes expected, the file has {have_bytes}")]
    CutShort { want_bytes: u64, have_bytes: u64 },
    #[error("damaged database: page {page}: {reason}")]
    Damaged { page: u64, reason: &'static str },
    /// Rows of a bucket are put in strictly ascending order of their keys.
    #[error("keys out of order in bucket {bucket:?}")]
    KeyOrder { bucket: String },
    #[error("a key of {key_bytes} bytes (1 to {KEY_BYTES_MAX} allowed) in bucket {bucket:?}")]
    KeySize { bucket: String, key_bytes: usize },
    #[error("a value of {value_bytes} bytes (at most {VALUE_BYTES_MAX} allowed) in bucket {bucket:?}")]
    ValueSize { bucket: String, value_bytes: usize },
    #[error("bucket {bucket:?} was written twice")]
    BucketTwice { bucket: String },
}
