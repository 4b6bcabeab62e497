//! Comparing members. The same entries make the same history everywhere, so a member whose history has another hash holds
//! damaged data.
//!
//! ```text
//!  initial      a member that comes back, before it serves ──┐
//!  periodic     the leader, by --corrupt-check-time ─────────┼─> members: asks all ──> judge ──> alarm, or the member's end
//!  compactions  the leader, by --compact-hash-check-time ────┘
//! ```

mod compactions;
mod initial;
mod judge;
mod members;
mod periodic;

pub use compactions::compare_compactions;
pub use initial::compare_before_serving;
pub use members::Members;
pub use periodic::compare_periodically;
