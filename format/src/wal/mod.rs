//! etcd's write-ahead log, as bytes: frames, records and file names. No file is opened here.
//!
//! A segment is a row of frames. A frame is an 8-byte little-endian length field and a record padded to 8 bytes, so that a
//! length field never straddles a sector. A record is `walpb.Record { type, crc, data }`; its `crc` is the CRC-32C of the
//! data of every record since the chain began, so that a lost or swapped record shows. Each segment opens with a crc
//! record (the chain so far) and a metadata record. The rules are those of etcd's `server/storage/wal` (3.7).
//!
//! [`Encoder`] appends frames to a buffer; [`Decoder`] reads one segment and tells a torn tail, which a crash leaves and
//! which is cut off, from damage, which must stop the start.

mod decoder;
mod encoder;
mod frame;
mod record;
mod segment_name;

pub use decoder::{Decoder, Error};
pub use encoder::Encoder;
pub use frame::FRAME_OVERHEAD_BYTES_MAX;
pub use record::{ConfState, Entry, EntryType, Record, Snapshot, State};
pub use segment_name::SegmentName;
