//! The recorder: watches a cluster and keeps what is written to it, in the store, as [`crate::changes`].
//!
//! - [`Recorder`]: gathers, and writes what it has every few seconds. [`watch`]: one watch. [`outbox`]: what is to be written.
//! - [`begin`]: where the record goes on after a start. [`Status`] is what it tells, by [`serve`].

mod backoff;
mod begin;
mod error;
mod outbox;
mod recorder;
pub mod serve;
mod status;
mod watch;

pub use error::Error;
pub use recorder::{Recorder, Settings};
pub use status::{Board, Gap, RecordedTo, Status};
