//! What was written after a backup: the recorder keeps it in chunks, and a restoration to a time or revision follows them.
//!
//! - [`Gatherer`]: from a watch's responses to chunks. [`Chunk`]: what an object has before it is sealed. [`Name`]: what its name says.
//! - [`Chain`]: from chunks, in the order of their names, to the rows that a backup lacks.

mod chain;
mod chunk;
mod gatherer;
mod name;
mod shelf;

pub use chain::{Chain, Goal, Reached, Wanted};
pub use chunk::{CHUNK_BYTES, Chunk, Lease, Link, Malformed, Moment, Row};
pub use gatherer::{Gatherer, Start, Trouble};
pub use name::Name;
pub use shelf::{Shelf, ShelfError};
