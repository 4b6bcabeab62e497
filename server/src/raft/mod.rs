//! RAFT: agreement on the order of entries. Adapters to openraft, and nothing about keys.
//!
//! ```text
//!  http ──propose──> propose ──local──────────────> openraft ──> log_store ──> wal
//!                       └──forward──> leader           │  └─> network, transport ──> another member's http/peer
//!  http ──read_barrier─> read ──────────────────> ReadIndex round       state_machine ──> store
//! ```
//!
//! This is the only room that names openraft, and openraft's numbers (indexes and terms from 0) don't leave it.

mod acknowledged;
mod contact;
mod forward;
mod handle;
mod hash;
mod log_store;
mod membership;
mod network;
mod observer;
mod propose;
mod read;
mod reconfigure;
mod request_id;
mod settle;
mod snapshot;
mod snapshot_cadence;
mod snapshot_receive;
mod snapshot_send;
mod start;
mod state_machine;
mod status;
#[cfg(test)]
mod storage_test;
mod strict;
mod succession;
mod transport;
mod types;
mod wire;

mod peer;

pub use acknowledged::Acknowledged;
pub use handle::{Error, Handle};
pub use membership::{Error as MembershipError, entry as membership_entry, members as members_of};
pub use observer::{Direction, Observer, Transfer};
pub use peer::Refusal;
pub use reconfigure::{Change, Refusal as ChangeRefusal, Rules};
pub use snapshot_receive::{Incoming as IncomingSnapshot, tidy as tidy_snapshots};
pub use start::{Error as StartError, Options, start};
pub use status::{Member, Status};
pub use strict::Refusal as StrictRefusal;
pub use transport::{ACKNOWLEDGED_HEADER, CLUSTER_ID_HEADER, FROM_HEADER, Identity, REMOVED_HEADER, TO_HEADER};
pub use wire::MAX_MESSAGE_BYTES;
