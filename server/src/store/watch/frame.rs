//! One revision's events.

use bytes::Bytes;

use crate::store::kv::revision::Revision;

/// Everything that one revision changed, in the order in which it was applied. Never split on its way to a watcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    pub revision: i64,
    pub events: Box<[Event]>,
}

/// One change of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: Kind,
    pub key: Bytes,
    /// The encoded `mvccpb.KeyValue` as watchers receive it. For a deletion: the key and the mod_revision, nothing else.
    pub kv: Bytes,
    /// The key did not exist before (a put whose create_revision is its mod_revision). Such an event has no previous value.
    pub create: bool,
    /// Where the version that this event replaced is stored, if there was one and it is known.
    pub prev: Option<Revision>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Put,
    Delete,
}

impl Frame {
    /// Bytes that keeping this frame costs: what it holds and, as a fixed estimate, the structures around it.
    pub fn cost(&self) -> usize {
        const FRAME_OVERHEAD_BYTES: usize = 96;
        FRAME_OVERHEAD_BYTES + self.events.iter().map(Event::cost).sum::<usize>()
    }
}

impl Event {
    fn cost(&self) -> usize {
        const EVENT_OVERHEAD_BYTES: usize = 160;
        EVENT_OVERHEAD_BYTES + self.key.len() + self.kv.len()
    }
}
