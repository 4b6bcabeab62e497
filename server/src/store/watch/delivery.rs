//! From frames to what each watcher gets of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::ring::Slot;
use super::{Cursor, Error, Event, History};

/// Something to tell the client.
#[derive(Debug)]
pub enum Batch {
    /// Events of whole revisions, ascending; `revision` is what the message's header says.
    Events { watch_id: i64, revision: i64, fragment: bool, events: Vec<Delivery> },
    /// The watcher's next revision was compacted away; the watcher is gone.
    Compacted { watch_id: i64, compact_revision: i64 },
}

/// One event for one watcher.
#[derive(Debug, Clone)]
pub struct Delivery {
    slot: Arc<Slot>,
    event: u32,
    with_previous: bool,
}

impl Delivery {
    pub fn revision(&self) -> i64 {
        self.slot.revision()
    }

    pub fn event(&self) -> &Event {
        &self.slot.frame.events[self.event as usize]
    }

    /// The encoded previous version, if the watcher asked for it and it still exists.
    pub fn previous(&self) -> Option<&Bytes> {
        if self.with_previous { self.slot.previous(self.event as usize)?.as_ref() } else { None }
    }
}

impl Cursor {
    /// Matches one frame: for the watchers that the cursor serves or, given `catching_up_from`, for those behind it whose
    /// next revision is at or after that.
    pub(super) fn deliver(&mut self, slot: &Arc<Slot>, catching_up_from: Option<i64>, compact_revision: i64) {
        const DELIVERY_OVERHEAD_BYTES: usize = 32;
        let Self { matcher, watchers, dirty, pending_bytes, .. } = self;
        for (at, event) in slot.frame.events.iter().enumerate() {
            matcher.visit(&event.key, |id| {
                let Some(watcher) = watchers.get_mut(&id) else { return };
                let served = match catching_up_from {
                    Some(from) => watcher.behind && watcher.next_revision >= from,
                    None => !watcher.behind,
                };
                if !served || !watcher.wants(&slot.frame, event.kind) {
                    return;
                }
                if watcher.pending.is_empty() {
                    dirty.push(id);
                }
                // etcd reads the previous version at the revision before the event's, which must not be compacted.
                let with_previous = watcher.interest.prev_kv
                    && !event.create
                    && event.prev.is_some()
                    && slot.revision() > compact_revision;
                watcher.pending.push(Delivery { slot: Arc::clone(slot), event: at as u32, with_previous });
                *pending_bytes += DELIVERY_OVERHEAD_BYTES + event.kv.len();
            });
        }
    }

    /// Reads the previous versions that pending deliveries need: from the frame, else from the store's memory, else, on a
    /// thread that may block, from its files.
    pub(super) async fn look_up_previous(&mut self) -> Result<(), Error> {
        let mut missing = BTreeMap::new();
        for id in &self.dirty {
            let Some(watcher) = self.watchers.get(id).filter(|watcher| watcher.interest.prev_kv) else { continue };
            for delivery in watcher.pending.iter().filter(|delivery| delivery.with_previous) {
                let at = delivery.event as usize;
                let Some(revision) = delivery.event().prev else { continue };
                if delivery.slot.previous(at).is_some() {
                    continue;
                }
                match self.history.kv_in_memory(revision) {
                    Some(kv) => self.hub.remember(&delivery.slot, at, Some(kv)),
                    None => {
                        missing.insert((delivery.revision(), at), (Arc::clone(&delivery.slot), revision));
                    }
                }
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let hub = self.hub.clone();
        self.read(move |history| {
            for ((_, at), (slot, revision)) in missing {
                hub.remember(&slot, at, history.kv_at(revision)?);
            }
            Ok(())
        })
        .await
    }

    /// Runs a read of the store on a thread that may block; few at a time.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&dyn History) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        // The semaphore is never closed; without a permit the read merely is one more at a time.
        let _permit = self.hub.history_readers().acquire().await.ok();
        let history = Arc::clone(&self.history);
        tokio::task::spawn_blocking(move || read(&*history)).await.map_err(Error::Task)?
    }

    /// Turns pending deliveries into batches. A header says the revision of the last event or, for history, the current one.
    pub(super) fn hand_out(&mut self, current_revision: Option<i64>, batches: &mut Vec<Batch>) {
        self.pending_bytes = 0;
        for watch_id in std::mem::take(&mut self.dirty) {
            let Some(watcher) = self.watchers.get_mut(&watch_id) else { continue };
            let events = std::mem::take(&mut watcher.pending);
            let Some(last) = events.last() else { continue };
            watcher.quiet = false;
            let revision = current_revision.unwrap_or(last.revision());
            batches.push(Batch::Events { watch_id, revision, fragment: watcher.interest.fragment, events });
        }
    }
}
