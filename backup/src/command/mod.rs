//! The commands, one a file.

pub mod copy;
pub mod export;
pub mod mirror;
pub mod record;
pub mod restore;
