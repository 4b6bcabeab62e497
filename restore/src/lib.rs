//! Data folders for members of a new cluster, with the keys of a snapshot and of what was written after it.
//!
//! The folder is etcd's own (`member/snap/db`, a log of one segment, a `.snap` file), whichever server starts on it:
//!
//! - [`Cluster`]: the new members and their ids, by the checks that etcd makes before a first start.
//! - [`database`]: copies the keys, appends changes, and puts the new members in.
//! - [`Staging`]: the folder while it is being written; it gets its name only when it is complete.

mod cluster;
pub mod database;
mod error;
mod initial;
mod leases;
mod log;
mod peer_url;
mod staging;

pub use cluster::{Cluster, Member};
pub use error::Error;
pub use staging::Staging;
