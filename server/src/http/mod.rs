//! HTTP SERVER: every byte in or out. gRPC is HTTP/2.
//!
//! `listener` accepts connections on a `socket`, `secured` by TLS or not. `client` is the client port, `gateway` its calls in
//! JSON, `peer` what other members send, `admin` health, metrics and version, which the client port and the metrics listeners
//! share. `unread` reads what the answered leave over. `status` is the only table from our errors to gRPC codes and etcd's texts.

pub mod admin;
pub mod client;
pub mod gateway;
pub mod listener;
mod names;
pub mod peer;
mod secured;
mod socket;
pub mod status;
mod unread;
