//! The client port: decode, check limits, call, encode.

mod cluster;
mod counted;
mod health;
mod kv;
mod kv_check;
mod large_range;
mod lease;
mod maintenance;
mod member;
mod probe;
mod quota;
mod range_stream;
mod scrape;
mod services;
mod snapshot;
pub mod watch;
mod watching;

pub use cluster::members;
pub use maintenance::storage_version;
pub use member::{Limits, Member};
pub use scrape::scrape;
pub use services::{Parts, Services, services};
pub use watching::watch_service;
