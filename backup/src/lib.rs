//! `quorate-backup`: copies of a cluster's data in an object store, and data folders made of them.
//!
//! - [`manifest`]: what a backup is; it is written last, and what has none is no backup. [`layout`]: names of objects.
//! - [`changes`]: what was written after a backup.
//! - [`etcd`]: the way to the members of a cluster.
//! - [`record`]: the recorder. [`mirror`]: moving in from a running cluster.
//! - [`restore`]: data folders; [`command`]: what the program can be told to do.
//! - [`store`]: where backups are; [`seal`]: what is done to them before they go there, [`carry`] the
//!   way there and back. [`mod@take`]: a backup ([`contents`]: what is in it, [`kept`] for its hash), from a member to the store
//!   and read back. [`catalogue`]: what a store has, and [`retention`]: what of it goes. [`program`]: from arguments to an exit code.
//! - [`report`]: what a run tells whoever started it.

pub mod carry;
pub mod catalogue;
pub mod changes;
pub mod command;
pub mod contents;
pub mod etcd;
pub mod kept;
pub mod layout;
pub mod manifest;
pub mod mirror;
pub mod program;
pub mod record;
pub mod report;
pub mod restore;
pub mod retention;
pub mod seal;
pub mod store;
pub mod take;
