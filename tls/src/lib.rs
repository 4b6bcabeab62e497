//! TLS as etcd's flags describe it, for both ends of a connection: certificates, authorities and revocations from files that may
//! change at any time, checks on names beyond the usual ones, and generated certificates.
//!
//! - [`server`], [`client`]: the two ends. Each notices at the next handshake that a file has changed; connections go on.
//! - [`peer`]: what a connection's certificate says, for checks and logs after the handshake.
//! - [`protocol`]: versions and cipher suites by the names that etcd's flags have.
//! - [`self_signed`]: a certificate for who has none.

mod allowed;
pub mod client;
mod error;
mod files;
pub mod peer;
mod pem;
pub mod protocol;
mod revoked;
pub mod self_signed;
pub mod server;

pub use allowed::Allowed;
pub use error::Error;
