//! What other members send: the peer protocol, and the little HTTP that etcd has on this port.

mod append;
mod connection;
mod downgrade;
mod forward;
mod hash;
mod identity;
mod lease;
mod members;
mod service;
mod services;
mod snapshot;
mod vote;

pub use connection::Connection;
pub use service::Service;
pub use services::{Services, services};
