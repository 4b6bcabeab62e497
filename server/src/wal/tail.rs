use std::collections::VecDeque;

use super::entry::Entry;

/// The newest entries, in memory: one run of indexes up to the end of the log, so that an index is a place.
///
/// Bounded in bytes; an entry that isn't durable yet is never dropped, because it can be read from nowhere else.
pub(super) struct Tail {
    slots: VecDeque<Slot>,
    bytes: usize,
    bytes_max: usize,
}

struct Slot {
    entry: Entry,
    /// The append that brought it; see [`Tail::shrink`].
    ticket: u64,
}

impl Tail {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { slots: VecDeque::new(), bytes: 0, bytes_max }
    }

    /// Index of the first entry held; `None` if it holds none.
    pub(super) fn first_index(&self) -> Option<u64> {
        self.slots.front().map(|slot| slot.entry.position.index)
    }

    /// `entry` must be the next one behind those held.
    pub(super) fn push(&mut self, entry: Entry, ticket: u64) {
        self.bytes += entry.memory_bytes();
        self.slots.push_back(Slot { entry, ticket });
    }

    /// Entries from `index` on, which must not be in front of the first.
    pub(super) fn entries_from(&self, index: u64) -> impl Iterator<Item = &Entry> {
        let first = self.first_index().unwrap_or(index);
        let skip = usize::try_from(index.saturating_sub(first)).unwrap_or(usize::MAX).min(self.slots.len());
        self.slots.range(skip..).map(|slot| &slot.entry)
    }

    pub(super) fn truncate_after(&mut self, index: u64) {
        while self.slots.back().is_some_and(|slot| slot.entry.position.index > index) {
            self.pop(VecDeque::pop_back);
        }
    }

    /// Forgets entries through `index`, durable or not: they are not to be read any more.
    pub(super) fn forget_through(&mut self, index: u64) {
        while self.slots.front().is_some_and(|slot| slot.entry.position.index <= index) {
            self.pop(VecDeque::pop_front);
        }
    }

    /// Drops the oldest entries until the bound holds, of those whose ticket is durable. Tickets and not indexes tell what is
    /// durable, because an index can be written, truncated and written again.
    pub(super) fn shrink(&mut self, durable_ticket: u64) {
        while self.bytes > self.bytes_max && self.slots.front().is_some_and(|slot| slot.ticket <= durable_ticket) {
            self.pop(VecDeque::pop_front);
        }
    }

    fn pop(&mut self, take: fn(&mut VecDeque<Slot>) -> Option<Slot>) {
        if let Some(slot) = take(&mut self.slots) {
            self.bytes -= slot.entry.memory_bytes();
        }
    }
}
