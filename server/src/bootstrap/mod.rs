//! Who are the first members: the identity every one of them computes alone, and the lists it is computed from.

mod begin;
mod error;
mod force;
mod import;
mod join;
mod peers;
pub mod static_list;

pub use begin::{Identified, begin};
pub use error::Error;
pub use force::force_new_cluster;
pub use import::import;
pub use static_list::{InitialCluster, Member};
