//! Who are the first members: the identity every one of them computes alone, and the lists it is computed from.

mod begin;
mod error;
pub mod identity;
mod import;
pub mod static_list;

pub use begin::{Identified, begin};
pub use error::Error;
pub use identity::{cluster_id, member_id};
pub use import::import;
pub use static_list::{InitialCluster, Member};
