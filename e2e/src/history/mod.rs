//! What concurrent clients of a cluster saw, and whether a strictly serializable store can have answered so.
//!
//! - [`operation`]: one call of a client with its real-time interval and outcome.
//! - [`committed`]: the events of all revisions, read by a watch from the first one.
//! - [`traffic`]: clients that call and record.
//! - [`check`]: the verdict. Every answer carries a revision, so the order need not be searched for: sort by revision,
//!   then verify that real time and every answer agree with that order. Near-linear, so histories may be long.

mod check;
mod committed;
mod operation;
mod traffic;

pub use check::{Verdict, Violation, check};
pub use committed::{Committed, Event};
pub use operation::{Call, Operation, Outcome, Version};
pub use traffic::{Dial, Progress, Traffic};
