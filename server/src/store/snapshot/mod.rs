//! The store as files: where they lie, copies of them, and etcd's own format.

pub mod checkpoint;
pub mod export;
pub mod folder;
pub mod import;
pub mod replace;
