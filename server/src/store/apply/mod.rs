//! The only writer: committed entries become rows, events and replies here.
//!
//! Everything in this folder is a function of the entries alone. A request is checked before it changes anything, so a refused
//! one leaves no trace; what fails afterwards is storage, and the process must stop.

mod alarm;
mod auth;
mod cluster;
mod compaction;
mod dispatch;
mod execution;
mod kv;
mod lease;
mod permit;
mod txn;
mod writer;

use bytes::Bytes;
use quorate_proto::served::etcdserverpb as pb;

pub use writer::Writer;

use super::error::Refusal;
use crate::position::Position;

/// A committed entry of the log.
#[derive(Debug, Clone)]
pub struct Entry {
    pub position: Position,
    pub payload: Payload,
}

#[derive(Debug, Clone)]
pub enum Payload {
    /// Nothing to do but to note the position.
    Blank,
    Request(Box<pb::InternalRaftRequest>),
    /// The membership as of this entry.
    Membership {
        /// In the raft room's encoding, kept verbatim with the position.
        data: Bytes,
        /// Ids of the members that it leaves out and the one before had.
        removed: Vec<u64>,
    },
}

/// What an entry came to.
pub type Outcome = Result<Response, Refusal>;

/// The reply to an entry. Headers carry only the revision; the rest is the caller's.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    Empty,
    Range(pb::RangeResponse),
    Put(pb::PutResponse),
    DeleteRange(pb::DeleteRangeResponse),
    Txn(pb::TxnResponse),
    Compaction(pb::CompactionResponse),
    LeaseGrant(pb::LeaseGrantResponse),
    LeaseRevoke(pb::LeaseRevokeResponse),
    LeaseCheckpoint(pb::LeaseCheckpointResponse),
    Alarm(pb::AlarmResponse),
    /// The token.
    Authenticate(String),
}

pub(in crate::store) fn header(revision: i64) -> Option<pb::ResponseHeader> {
    Some(pb::ResponseHeader { revision, ..Default::default() })
}
