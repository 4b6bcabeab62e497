//! `etcd grpc-proxy start`: clients' calls go to the members in turn, and what many clients ask for at once is asked once.
//!
//! `front` takes the calls; `upstream` brings them to a member. In between, `watch` and `lease` share streams, `kv` changes what a
//! namespace wants changed, `cluster` shows the proxies in the place of the members. Nothing is cached: a read through the proxy
//! is as fresh as one without.

mod admin;
mod cluster;
mod cut;
mod front;
mod kv;
mod lease;
mod namespace;
mod start;
mod upstream;
mod watch;

pub use cluster::Advertised;
pub use namespace::Namespace;
pub use start::{Error, Options, run, start};
pub use upstream::{BadEndpoint, Settings, Upstream};
