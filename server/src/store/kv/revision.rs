//! Where one version of a key stands in the history of the store.

pub use quorate_format::revision::Revision;
