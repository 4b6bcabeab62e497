//! Data folders for new members: out of a backup and the changes behind it, or out of a cluster that runs.
//!
//! - [`choose`]: which backup leads to a time or revision. [`Replay`]: the changes behind it, chunk by chunk.
//! - [`Folder`]: what is to be made, and where; it makes it. [`snapshot`]: what a running cluster sends.

mod choose;
mod error;
mod folder;
mod replay;
pub mod snapshot;
mod space;

pub use choose::{Choice, choose};
pub use error::Error;
pub use folder::{Folder, Made, Prepared, refuse_authentication};
pub use replay::{Base, Replay, reach};
