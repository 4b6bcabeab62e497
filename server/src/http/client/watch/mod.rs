//! The Watch service: requests of a client's stream in, what its watchers see out.
//!
//! `service` opens a stream, `session` is the stream, `reply` shapes its messages, `ending` ends it when the member stops or
//! has no leader, `pace` times what the client takes. Which events a watcher gets is decided in `store/watch`.

mod ending;
mod pace;
mod reply;
mod service;
mod session;

#[cfg(test)]
mod service_test;
#[cfg(test)]
mod test_member;

pub use reply::pieces;
pub use service::{Access, Caller, Header, Options, Service};
