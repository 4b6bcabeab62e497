use quorate_format::wal::{self as format, ConfState, Record};

use super::entry::{Entry, HardState, Metadata};
use super::tail::Tail;
use super::terms::Terms;
use crate::position::Position;

/// The members of no cluster: in a snapshot marker they say that all entries before it are gone. Upstream's tools don't look.
pub(super) fn reset_mark() -> ConfState {
    ConfState::default()
}

/// What the records of a log come to, in the order they were written.
pub(super) struct Replay {
    metadata: Option<Metadata>,
    state: Option<HardState>,
    /// Index of the first entry there is, or of the first there can be.
    first_index: u64,
    last_index: u64,
    terms: Terms,
    tail: Tail,
    /// Where the log can start: the oldest marker that has all entries behind it.
    start: Option<Position>,
    /// The newest marker.
    snapshot: Option<Position>,
}

/// A log that was read through.
pub(super) struct Replayed {
    pub(super) state: Option<HardState>,
    pub(super) purged: Position,
    pub(super) last: Position,
    pub(super) snapshot: Position,
    pub(super) terms: Terms,
    pub(super) tail: Tail,
}

impl Replay {
    /// `first_index` as the name of the first segment says it; 0 is the name of a new log's.
    pub(super) fn new(first_index: u64, tail_bytes: usize) -> Self {
        let first_index = first_index.max(1);
        Self {
            metadata: None,
            state: None,
            first_index,
            last_index: first_index - 1,
            terms: Terms::unknown_before(first_index),
            tail: Tail::new(tail_bytes),
            start: None,
            snapshot: None,
        }
    }

    pub(super) fn metadata(&self) -> Option<Metadata> {
        self.metadata
    }

    /// Of the entry read last, or of the marker that the log was reset to.
    pub(super) fn last_index(&self) -> u64 {
        self.last_index
    }

    /// Takes the next record. Whether it drops all entries before; `Err` says why it cannot be there.
    pub(super) fn record(&mut self, record: Record) -> Result<bool, String> {
        match record {
            Record::Metadata { node_id, cluster_id } => {
                self.take_metadata(Metadata { node_id, cluster_id }).map(|()| false)
            }
            Record::Entry(entry) => self.take_entry(entry).map(|()| false),
            Record::State(state) => self.take_state(state).map(|()| false),
            Record::Snapshot(snapshot) => {
                let resets = snapshot.conf_state.is_some_and(|members| members == reset_mark());
                Ok(self.take_snapshot(Position { term: snapshot.term, index: snapshot.index }, resets))
            }
            Record::Crc(_) => Ok(false),
        }
    }

    /// `None` if nothing says where the log starts.
    pub(super) fn finish(mut self) -> Option<Replayed> {
        let purged = self.start?;
        self.tail.forget_through(purged.index);
        self.terms.start_at(purged);
        let term = self.terms.term_of(self.last_index)?;
        let last = Position { term, index: self.last_index };
        Some(Replayed { state: self.state, purged, last, snapshot: self.snapshot?, terms: self.terms, tail: self.tail })
    }

    fn take_metadata(&mut self, metadata: Metadata) -> Result<(), String> {
        match self.metadata {
            Some(first) if first != metadata => Err(format!(
                "it is of member {:x} in cluster {:x}, but the log before it is of member {:x} in cluster {:x}",
                metadata.node_id, metadata.cluster_id, first.node_id, first.cluster_id
            )),
            _ => {
                self.metadata = Some(metadata);
                Ok(())
            }
        }
    }

    fn take_entry(&mut self, record: format::Entry) -> Result<(), String> {
        let entry = Entry::from_record(record);
        let Position { term, index } = entry.position;
        if index > self.last_index + 1 {
            return Err(format!("entry {index} follows entry {}: those between are missing", self.last_index));
        }
        let committed = self.state.map_or(0, |state| state.commit);
        if index <= committed {
            return Err(format!(
                "entry {index} would replace one of the entries through {committed}, which are committed"
            ));
        }
        if let Some(before) = self.terms.term_of(index - 1).filter(|before| *before > term) {
            return Err(format!("entry {index} of term {term} follows one of term {before}"));
        }
        if index <= self.last_index {
            self.tail.truncate_after(index - 1);
            self.terms.truncate_after(index - 1);
            self.first_index = self.first_index.min(index);
        }
        self.last_index = index;
        self.terms.push(entry.position);
        self.tail.push(entry, 0);
        self.tail.shrink(0);
        Ok(())
    }

    fn take_state(&mut self, state: HardState) -> Result<(), String> {
        if let Some(before) = self.state
            && (state.term < before.term || state.commit < before.commit)
        {
            return Err(format!(
                "a state of term {} and commit index {} follows one of term {} and commit index {}",
                state.term, state.commit, before.term, before.commit
            ));
        }
        if state.commit > self.last_index {
            return Err(format!("its commit index {} is behind the last entry {}", state.commit, self.last_index));
        }
        self.state = Some(state);
        Ok(())
    }

    /// Whether the log is reset to the marker: if it says so, stands behind the last entry, or names another term than the entry there
    /// has, it is that of a snapshot received from elsewhere. It has to say so, because the entry there may be gone: purged with its
    /// segment, while one behind it, as old, is still there.
    fn take_snapshot(&mut self, marker: Position, resets: bool) -> bool {
        self.snapshot = Some(marker);
        let conflicts = marker.index >= self.first_index && self.terms.term_of(marker.index) != Some(marker.term);
        if resets || marker.index > self.last_index || conflicts {
            self.tail.forget_through(u64::MAX);
            self.terms = Terms::new(marker);
            self.first_index = marker.index + 1;
            self.last_index = marker.index;
            self.start = Some(marker);
            return true;
        }
        let complete = marker.index + 1 >= self.first_index;
        if complete && self.start.is_none_or(|start| marker.index < start.index) {
            self.start = Some(marker);
        }
        false
    }
}
