//! Watchers behind the cursor: reading history until they meet it.

use std::collections::VecDeque;
use std::sync::Arc;

use super::cursor::{Cursor, STEP_FRAMES};
use super::ring::Slot;
use super::{Batch, Error};

/// Consecutive frames of the past: everything within `from..=through`.
pub(super) struct Chunk {
    from: i64,
    through: i64,
    slots: VecDeque<Arc<Slot>>,
}

impl Cursor {
    /// One chunk of history, for the first watcher behind and all that are as far as it or further.
    pub(super) async fn catch_up(&mut self, batches: &mut Vec<Batch>) -> Result<(), Error> {
        let Some((id, from)) = self.first_behind() else { return Ok(()) };
        let compact_revision = self.history.compact_revision();
        if from < compact_revision {
            self.cancel(id);
            batches.push(Batch::Compacted { watch_id: id, compact_revision });
            return Ok(());
        }
        let Some(mut chunk) = self.chunk_from(from).await? else {
            // Compacted while it was read: the next step says so to the client.
            self.behind.push_front(id);
            return Ok(());
        };
        // Again: what was compacted meanwhile has no previous versions.
        let compact_revision = self.history.compact_revision();
        let mut through = chunk.through;
        let mut frames = 0;
        while let Some(slot) = chunk.slots.pop_front() {
            frames += 1;
            self.deliver(&slot, Some(from), compact_revision);
            let full = frames == STEP_FRAMES || self.pending_bytes >= self.hub.options().batch_bytes;
            if full && !chunk.slots.is_empty() {
                through = slot.revision();
                break;
            }
        }
        self.look_up_previous().await?;
        self.hand_out(Some(self.hub.revision()), batches);
        self.move_on(from, through);
        if self.watchers.get(&id).is_some_and(|watcher| watcher.behind) {
            if through < chunk.through {
                chunk.from = through + 1;
                self.chunk = Some(chunk);
                self.behind.push_front(id);
            } else {
                self.behind.push_back(id);
            }
        }
        Ok(())
    }

    /// Takes the first watcher that is still behind out of the queue: its id and the revision that it needs next.
    fn first_behind(&mut self) -> Option<(i64, i64)> {
        while let Some(id) = self.behind.pop_front() {
            if let Some(watcher) = self.watchers.get(&id).filter(|watcher| watcher.behind) {
                return Some((id, watcher.next_revision));
            }
        }
        None
    }

    /// What follows from `from` on, not beyond the cursor. `None` if part of it was compacted while it was read.
    async fn chunk_from(&mut self, from: i64) -> Result<Option<Chunk>, Error> {
        if let Some(chunk) = self.chunk.take_if(|chunk| chunk.from == from) {
            return Ok(Some(chunk));
        }
        let to = self.position;
        if from > to {
            return Ok(Some(Chunk { from, through: to, slots: VecDeque::new() }));
        }
        if let Some(slots) = self.hub.frames(from, to, STEP_FRAMES) {
            let through = slots.last().filter(|_| slots.len() == STEP_FRAMES).map_or(to, |slot| slot.revision());
            return Ok(Some(Chunk { from, through, slots: slots.into() }));
        }
        let chunk_bytes = self.hub.options().chunk_bytes;
        let frames = self.read(move |history| history.events(from, to, chunk_bytes)).await?;
        if self.history.compact_revision() > from {
            return Ok(None);
        }
        let through = frames.last().map_or(to, |frame| frame.revision);
        Ok(Some(Chunk { from, through, slots: frames.into_iter().map(Slot::new).collect() }))
    }

    /// Watchers behind that were at `from` or further have now seen everything up to `through`.
    fn move_on(&mut self, from: i64, through: i64) {
        let mut met = 0;
        for watcher in self.watchers.values_mut().filter(|watcher| watcher.behind) {
            if watcher.next_revision >= from {
                watcher.next_revision = watcher.next_revision.max(through + 1);
                watcher.behind = watcher.next_revision <= self.position;
                met += i64::from(!watcher.behind);
            }
        }
        self.count_behind(-met);
    }
}
