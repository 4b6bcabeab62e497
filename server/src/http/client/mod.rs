//! The client port: decode, check limits, call, encode.

pub mod auth;
mod cluster;
mod concurrency;
mod counted;
mod downgrade;
mod health;
mod kv;
mod kv_check;
mod large_range;
mod lease;
mod maintenance;
mod member;
mod members;
mod probe;
mod quota;
mod range_stream;
mod reads;
mod scrape;
mod services;
mod snapshot;
mod v2_members;
pub mod watch;
mod watching;

pub use member::{Limits, Member};
pub use members::list as members;
pub use reads::Reads;
pub use scrape::scrape;
pub use services::{Parts, Services, services};
pub use v2_members::routes as v2_members;
pub use watching::watch_service;
