//! What to do next: pure. (what there is, now) -> a plan with everything that acting needs, and at most one step that changes members.
//!
//! - [`membership`]: the order of precedence of everything that changes members, and the one step that comes next.
//! - [`grow`], [`shrink`], [`replace`]: the steps of each kind of change, from whatever an interrupted one left behind.
//! - [`presence`]: which members are to have a pod and a volume. [`quorum`]: what may be risked.
//! - [`step`]: what a step is.

pub mod grow;
pub mod membership;
pub mod presence;
pub mod quorum;
pub mod replace;
pub mod shrink;
pub mod step;

pub use membership::next;
pub use step::{Decision, Situation, Step};

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod membership_test;
