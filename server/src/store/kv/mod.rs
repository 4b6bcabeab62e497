//! Keys and their history: rows by revision, the index over them, and what reads them.

pub mod compactor;
mod compare;
pub mod hash;
mod history;
pub mod index;
mod pinned;
mod reply;
pub mod revision;
pub mod row;
mod selection;
mod source;
mod txn;

pub(super) use pinned::range;
pub(super) use reply::range_reply;
pub(super) use selection::Selection;
pub(super) use source::{Source, check_revision};
pub(super) use txn::{TakenBranches, read_txn, taken_branches};
