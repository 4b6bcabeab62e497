//! `kubectl quorate`: what people look at, and the changes that take more than an edit of the resource.
//!
//! [`arguments`] is the command line, [`access`] the way to the API server, and [`command`] has one file a command.
//! `status` is read by [`observe`], made into a [`mod@report`] and printed by [`report::text`]; both are pure. [`exec`] runs commands in
//! a member's pod, [`member_url`] says by which address and certificates, [`merge`] brings logs into the order of time.

pub mod access;
pub mod arguments;
pub mod command;
pub mod error;
pub mod exec;
pub mod member_url;
pub mod merge;
pub mod observe;
pub mod report;

pub use error::Error;
