//! Locks and elections, in the way of etcd's client package `concurrency`: who contends for a name has a key under it with a
//! lease, and the oldest key has won.
//!
//! `lock` and `election` are the services, `contender` is a place in the queue, `observe` follows leaders, `request` words
//! what they ask of the store, and `caller` asks it in the caller's name.

mod caller;
mod contender;
mod election;
mod lock;
mod observe;
mod request;

pub use caller::Inner;
pub use election::Service as ElectionService;
pub use lock::Service as LockService;
