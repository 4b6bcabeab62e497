//! STORE: what the cluster has agreed on.
//!
//! Deterministic: no clock, no network, no randomness. The same entries give the same rows, events and replies on every member,
//! however they are cut into batches.
//!
//! A write: [`apply::Writer::apply`] -> `apply/kv` -> `kv/index` and one write batch of the `backend` -> [`watch::Hub::publish`].
//! A read: [`Store::range`] -> `kv/selection` finds the rows in the index -> the `backend` gives their bytes.

pub mod alarm;
pub mod apply;
pub mod auth;
pub mod backend;
mod cluster;
mod error;
mod handle;
pub mod kv;
pub mod lease;
mod observer;
mod open;
mod options;
mod shared;
mod size;
pub mod snapshot;
mod state;
pub mod watch;

#[cfg(test)]
mod tests;

pub use apply::Writer;
pub use cluster::Downgrade;
pub use error::{Error, Refusal};
pub use handle::Store;
pub use kv::hash::HashKv;
pub use lease::LeaseView;
pub use observer::{Done, Observer};
pub use options::Options;
pub use size::Size;
pub use snapshot::{
    export::{Bucket, Exported, MemberRows},
    import::{Imported, import},
};
