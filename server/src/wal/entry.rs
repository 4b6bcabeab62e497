use bytes::Bytes;
use quorate_format::wal as format;

use super::options::ENTRY_OVERHEAD_BYTES;
use crate::position::Position;

pub use quorate_format::wal::{ConfState, EntryType as EntryKind, State as HardState};

/// An entry of the log. Cloning shares the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: EntryKind,
    pub position: Position,
    /// Empty in the entry with which a leader opens its term.
    pub data: Bytes,
}

/// Whose log it is: at the head of every segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata {
    pub node_id: u64,
    pub cluster_id: u64,
}

impl Entry {
    /// What the entry is counted as against the bounds of [`Options`](super::Options).
    pub(super) fn memory_bytes(&self) -> usize {
        self.data.len() + ENTRY_OVERHEAD_BYTES
    }

    pub(super) fn to_record(&self) -> format::Entry {
        let Self { kind, position, data } = self;
        format::Entry { entry_type: *kind, term: position.term, index: position.index, data: data.clone() }
    }

    pub(super) fn from_record(record: format::Entry) -> Self {
        let format::Entry { entry_type, term, index, data } = record;
        Self { kind: entry_type, position: Position { term, index }, data }
    }
}
