//! What to do next: pure. (what there is, now) -> a plan with everything that acting needs, and at most one step that changes members.
//!
//! - [`membership`]: the order of precedence of everything that changes members, and the one step that comes next.
//! - [`grow`], [`shrink`], [`replace`]: the steps of each kind of change, from whatever an interrupted one left behind.
//! - [`recover`]: a new beginning after a quorum was lost for good, with the user's consent.
//! - [`restore`]: the data of a backup in the place of a running cluster's, and [`order`], the resource that asks for it.
//! - [`migrate`]: following another etcd until this cluster takes over. [`backup`], [`schedule`]: the resources of these names. [`rehearsal`]: what proves that backups
//!   can be restored.
//! - [`roll`]: restarts for what changed in the resource; [`readdress`]: another scheme for members among themselves. [`version`]: which image may be run. [`volume`]: room that is missing.
//! - [`auth`]: users, roles and permissions.
//! - [`presence`]: which members are to have a pod and a volume. [`quorum`]: what may be risked.
//! - [`step`]: what a step is.

pub mod auth;
pub mod backup;
pub mod grow;
pub mod membership;
pub mod migrate;
pub mod order;
pub mod presence;
pub mod quorum;
pub mod readdress;
pub mod recover;
pub mod rehearsal;
pub mod replace;
pub mod restore;
pub mod roll;
pub mod schedule;
pub mod shrink;
pub mod step;
pub mod version;
pub mod volume;

pub use membership::next;
pub use step::{Decision, Situation, Step};

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod membership_test;
#[cfg(test)]
mod readdress_test;
#[cfg(test)]
mod recover_test;
#[cfg(test)]
mod restore_test;
#[cfg(test)]
mod roll_test;
#[cfg(test)]
mod spanning_test;
