//! Locks and elections by the cluster's keys, in the way of etcd's client package `concurrency`: who contends for a name has a
//! key under it with a lease, and the oldest key has won.

mod contender;
mod leaders;
mod session;
mod signals;

pub(super) use contender::{Contender, LOST};
pub(super) use leaders::Leaders;
pub(super) use session::Session;
pub(super) use signals::Signals;
