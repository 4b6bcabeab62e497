//! Certificates, and how they change while members and clients use them.
//!
//! Members and clients read three Secrets that the operator alone writes ([`wanted`]). What they are to have comes from the cluster's
//! own authority ([`issue`]), from Secrets that users give, or from an [`issuer`] of cert-manager; [`check`] looks at it first.
//! [`exchange`], pure, is how they get it without anybody being refused on the way; [`prove`] asks the members how far it is.
//!
//! [`material`]: what a Secret of certificates has. [`keep`]: does it all, by `source` and `write`.

pub mod check;
pub mod exchange;
pub mod issue;
pub mod issuer;
pub mod keep;
pub mod material;
pub mod prove;
mod source;
pub mod wanted;
mod write;

pub use keep::Certificates;
pub use material::{Material, Pair, Trust};

#[cfg(test)]
mod check_test;
#[cfg(test)]
mod exchange_test;
#[cfg(test)]
mod wanted_test;
