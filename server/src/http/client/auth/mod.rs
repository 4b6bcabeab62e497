//! Who makes a call, and the Auth service. What callers may do is the store's to say: [`crate::store::auth`].

mod authority;
mod credentials;
mod jwt;
mod passwords;
mod service;

pub use authority::{Authority, Error, Settings};
pub use credentials::Credentials;
pub use service::Service;
