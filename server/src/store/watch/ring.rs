//! The newest frames, bounded in bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::Frame;

/// A frame and the previous versions that watchers have asked for so far, so that each is read once for all of them.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) frame: Arc<Frame>,
    previous: Box<[OnceLock<Option<Bytes>>]>,
    /// Bytes of `previous` that the ring has accounted for.
    previous_bytes: AtomicUsize,
}

impl Slot {
    pub(super) fn new(frame: Arc<Frame>) -> Arc<Self> {
        let previous = frame.events.iter().map(|_| OnceLock::new()).collect();
        Arc::new(Self { frame, previous, previous_bytes: AtomicUsize::new(0) })
    }

    pub(super) fn revision(&self) -> i64 {
        self.frame.revision
    }

    /// The version that the event replaced, once it was looked up.
    pub(super) fn previous(&self, event: usize) -> Option<&Option<Bytes>> {
        self.previous.get(event).and_then(OnceLock::get)
    }

    /// Returns the bytes that the slot holds more than before.
    fn fill(&self, event: usize, kv: Option<Bytes>) -> usize {
        let size_bytes = kv.as_ref().map_or(0, Bytes::len);
        let filled = self.previous.get(event).is_some_and(|cell| cell.set(kv).is_ok());
        if filled { size_bytes } else { 0 }
    }
}

#[derive(Debug)]
pub(super) struct Ring {
    slots: VecDeque<Arc<Slot>>,
    limit_bytes: usize,
    frame_bytes: usize,
    previous_bytes: AtomicUsize,
    /// Every revision from this one on that was published is in `slots`.
    complete_from: i64,
}

impl Ring {
    /// `revision` is the newest one that history holds: the ring begins after it.
    pub(super) fn new(limit_bytes: usize, revision: i64) -> Self {
        Self {
            slots: VecDeque::new(),
            limit_bytes,
            frame_bytes: 0,
            previous_bytes: AtomicUsize::new(0),
            complete_from: revision + 1,
        }
    }

    /// Appends, then drops the oldest frames beyond the limit. The newest frame always stays, however large.
    pub(super) fn push(&mut self, frame: Arc<Frame>) {
        self.frame_bytes += frame.cost();
        self.slots.push_back(Slot::new(frame));
        while self.bytes() > self.limit_bytes && self.slots.len() > 1 {
            let Some(dropped) = self.slots.pop_front() else { break };
            self.frame_bytes -= dropped.frame.cost();
            self.previous_bytes.fetch_sub(dropped.previous_bytes.load(Ordering::Relaxed), Ordering::Relaxed);
            self.complete_from = dropped.revision() + 1;
        }
    }

    pub(super) fn clear(&mut self, revision: i64) {
        *self = Self::new(self.limit_bytes, revision);
    }

    /// Up to `limit` frames within `from..=to`, ascending; `None` if the ring no longer holds all of them from `from` on.
    pub(super) fn read(&self, from: i64, to: i64, limit: usize) -> Option<Vec<Arc<Slot>>> {
        if from < self.complete_from {
            return None;
        }
        let begin = self.slots.partition_point(|slot| slot.revision() < from);
        Some(self.slots.range(begin..).take_while(|slot| slot.revision() <= to).take(limit).cloned().collect())
    }

    /// Keeps a previous version with its frame and counts it if the ring still holds that frame. Callers share the ring's
    /// lock for reading, so nothing is dropped in between.
    pub(super) fn remember(&self, slot: &Slot, event: usize, kv: Option<Bytes>) {
        let grown_bytes = slot.fill(event, kv);
        let begin = self.slots.partition_point(|held| held.revision() < slot.revision());
        if self.slots.get(begin).is_some_and(|held| std::ptr::eq(&raw const **held, slot)) {
            slot.previous_bytes.fetch_add(grown_bytes, Ordering::Relaxed);
            self.previous_bytes.fetch_add(grown_bytes, Ordering::Relaxed);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.frame_bytes + self.previous_bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Event, Kind};
    use super::*;

    fn frame(revision: i64, value_bytes: usize) -> Arc<Frame> {
        let kv = Bytes::from(vec![0; value_bytes]);
        let event = Event { kind: Kind::Put, key: Bytes::from_static(b"k"), kv, create: true, prev: None };
        Arc::new(Frame { revision, events: Box::new([event]) })
    }

    fn revisions(slots: Option<Vec<Arc<Slot>>>) -> Option<Vec<i64>> {
        slots.map(|slots| slots.iter().map(|slot| slot.revision()).collect())
    }

    #[test]
    fn the_oldest_frames_leave_when_the_limit_is_passed() {
        let mut ring = Ring::new(frame(2, 1000).cost() * 3, 1);
        for revision in 2..=6 {
            ring.push(frame(revision, 1000));
        }
        assert_eq!(revisions(ring.read(3, 6, 100)), None);
        assert_eq!(revisions(ring.read(4, 6, 100)), Some(vec![4, 5, 6]));
        assert_eq!(revisions(ring.read(4, 5, 100)), Some(vec![4, 5]));
        assert_eq!(revisions(ring.read(4, 6, 2)), Some(vec![4, 5]));
    }

    #[test]
    fn the_newest_frame_stays_however_large() {
        let mut ring = Ring::new(10, 1);
        ring.push(frame(2, 1000));
        ring.push(frame(3, 1000));
        assert_eq!(revisions(ring.read(3, 3, 10)), Some(vec![3]));
        assert_eq!(revisions(ring.read(2, 3, 10)), None);
    }

    #[test]
    fn an_empty_ring_is_complete_after_the_revision_that_history_holds() {
        let ring = Ring::new(10, 7);
        assert_eq!(revisions(ring.read(8, 9, 10)), Some(vec![]));
        assert_eq!(revisions(ring.read(7, 9, 10)), None);
    }

    #[test]
    fn remembered_previous_versions_count_and_leave_with_their_frame() {
        let mut ring = Ring::new(1 << 20, 1);
        ring.push(frame(2, 10));
        let slot = ring.read(2, 2, 1).unwrap().remove(0);
        let before = ring.bytes();
        ring.remember(&slot, 0, Some(Bytes::from(vec![0; 500])));
        ring.remember(&slot, 0, Some(Bytes::from(vec![0; 500])));
        assert_eq!(ring.bytes(), before + 500);
        ring.push(frame(3, 2 << 20));
        assert_eq!(ring.bytes(), frame(3, 2 << 20).cost());
        ring.remember(&slot, 0, None);
        assert_eq!(ring.bytes(), frame(3, 2 << 20).cost());
    }
}
