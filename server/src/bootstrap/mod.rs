//! Who are the first members: the identity every one of them computes alone, and the lists it is computed from.

mod begin;
mod discovery;
mod error;
mod force;
mod import;
mod join;
mod peers;
mod srv;
pub mod static_list;

pub use begin::{Identified, begin, check_learners};
pub use discovery::url as discovery_url;
pub use error::Error;
pub use force::force_new_cluster;
pub use import::import;
pub use peers::client_urls;
pub use static_list::{InitialCluster, Member};
