//! `quorate-backup`: copies of a cluster's data in an object store, and data folders made of them.
//!
//! - [`manifest`]: what a backup is; it is written last, and what has none is no backup. [`layout`]: names of objects.
//! - [`changes`]: what was written after a backup.
//! - [`etcd`]: the way to the members of a cluster.
//! - [`record`]: the recorder.
//! - [`restore`]: data folders; [`command`]: what the program can be told to do.
//! - [`report`]: what a run tells whoever started it.

pub mod changes;
pub mod command;
pub mod etcd;
pub mod layout;
pub mod manifest;
pub mod record;
pub mod report;
pub mod restore;
