//! What has changed, in order, for everybody who watches.
//!
//! The only writer publishes one immutable [`Frame`] a revision to the [`Hub`]: a ring of the newest frames, bounded in
//! bytes, and an index of who watches what. A client's stream is a [`Cursor`] on that ring, never a queue: it sleeps until
//! a frame touches one of its watchers, and a slow client costs its cursor only. What the ring no longer holds is read
//! from [`History`] (the store), away from the writer, until the cursor meets the ring again.

mod catch_up;
mod cursor;
mod delivery;
mod frame;
mod history;
mod hub;
mod intervals;
mod mark;
mod matcher;
mod range;
mod ring;
mod watcher;

#[cfg(test)]
mod memory;
#[cfg(test)]
mod model_test;

pub use cursor::{Created, Cursor, Refusal};
pub use delivery::{Batch, Delivery};
pub use frame::{Event, Frame, Kind};
pub use history::{Error, History};
pub use hub::{Counters, Hub, Options};
pub use range::Range;
pub use watcher::{Filters, Interest};

#[cfg(test)]
pub use memory::MemoryHistory;
