//! One client stream: its watchers and how far they are.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::catch_up::Chunk;
use super::mark::{Mark, Span};
use super::matcher::Matcher;
use super::watcher::Watcher;
use super::{Batch, Error, History, Hub, Interest};

/// A client stream's place in what was published. Owned by the task that serves the stream; everything but waiting and
/// reading the past happens at once.
///
/// Watchers are either served by the cursor, which walks the ring, or behind it, reading history up to `position`. Both
/// happen in turns in the same task, so the hand-over cannot miss or repeat a revision.
pub struct Cursor {
    pub(super) hub: Hub,
    pub(super) history: Arc<dyn History>,
    slot: u32,
    mark: Arc<Mark>,
    pub(super) watchers: HashMap<i64, Watcher>,
    pub(super) matcher: Matcher<i64>,
    next_id: i64,
    /// Watchers that are not behind were given everything up to this revision.
    pub(super) position: i64,
    /// Revisions after `position` that touch the stream.
    unread: Option<Span>,
    /// The newest revision whose touches are known: where `position` stands once nothing is unread.
    head: i64,
    /// Watchers behind the cursor, next one first. May name watchers that are gone or not behind any more.
    pub(super) behind: VecDeque<i64>,
    pub(super) behind_count: usize,
    /// History that was read and not handed out yet.
    pub(super) chunk: Option<Chunk>,
    /// Watchers with pending deliveries, and the bytes of those.
    pub(super) dirty: Vec<i64>,
    pub(super) pending_bytes: usize,
}

/// A watcher was added: it will get every event of its range after `revision` or, if it asked so, from its start on.
#[derive(Debug, PartialEq, Eq)]
pub struct Created {
    pub watch_id: i64,
    pub revision: i64,
}

/// Why a watcher was not added. The first text is the one that clients of etcd know.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("mvcc: duplicate watch ID provided on the WatchStream")]
    DuplicateId,
    #[error("etcdserver: too many watchers on this stream (limit {limit}); cancel some or open another stream")]
    StreamFull { limit: usize },
    #[error("etcdserver: too many watchers on this member (limit {limit}); cancel some or use another member")]
    MemberFull { limit: usize },
}

/// Frames walked before other things get their turn.
pub(super) const STEP_FRAMES: usize = 1000;

impl Cursor {
    pub fn new(hub: &Hub, history: Arc<dyn History>) -> Self {
        let (slot, mark, revision) = hub.open();
        Self {
            hub: hub.clone(),
            history,
            slot,
            mark,
            watchers: HashMap::new(),
            matcher: Matcher::default(),
            next_id: 0,
            position: revision,
            unread: None,
            head: revision,
            behind: VecDeque::new(),
            behind_count: 0,
            chunk: None,
            dirty: Vec::new(),
            pending_bytes: 0,
        }
    }

    /// Adds a watcher. Id 0 asks for the next free one.
    pub fn watch(&mut self, id: i64, interest: Interest) -> Result<Created, Refusal> {
        self.pull();
        if id != 0 && self.watchers.contains_key(&id) {
            return Err(Refusal::DuplicateId);
        }
        self.admit()?;
        let watch_id = if id == 0 { self.take_id() } else { id };
        self.matcher.insert(&interest.range, watch_id);
        let revision = self.hub.listen(self.slot, &interest.range);
        let start = interest.start_revision;
        let next_revision = if start == 0 { revision + 1 } else { start };
        let mut behind = false;
        if next_revision <= revision {
            behind = next_revision <= self.position || next_revision < self.history.compact_revision();
            if !behind {
                // The cursor has yet to walk there, but nobody marked these revisions for this range.
                self.unread = Some(Span { first: next_revision, last: revision }.join(self.unread));
            }
        }
        self.head = self.head.max(revision);
        self.watchers.insert(watch_id, Watcher::new(interest, next_revision, false));
        if behind {
            self.set_behind(watch_id, next_revision);
        }
        Ok(Created { watch_id, revision })
    }

    /// Removes a watcher; false if there is none with this id.
    pub fn cancel(&mut self, id: i64) -> bool {
        let Some(watcher) = self.watchers.remove(&id) else { return false };
        if watcher.behind {
            self.count_behind(-1);
            if self.behind.len() > 2 * self.behind_count + 64 {
                self.behind.retain(|id| self.watchers.get(id).is_some_and(|watcher| watcher.behind));
            }
        }
        if self.matcher.remove(&watcher.interest.range, id) {
            self.hub.unlisten(self.slot, &watcher.interest.range);
        }
        self.hub.counters().watchers.fetch_sub(1, Ordering::Relaxed);
        true
    }

    /// Whether [`Cursor::advance`] may find something to do.
    pub fn has_work(&self) -> bool {
        self.unread.is_some() || self.behind_count > 0 || self.mark.is_touched()
    }

    /// Waits until something that is watched was published. May return without reason.
    pub async fn woken(&self) {
        self.mark.woken().await;
    }

    /// One bounded step of walking the ring and one of reading history. If the future is dropped, so must be the cursor.
    pub async fn advance(&mut self) -> Result<Vec<Batch>, Error> {
        let mut batches = Vec::new();
        self.pull();
        if self.unread.is_some() {
            self.walk();
            self.look_up_previous().await?;
            self.hand_out(None, &mut batches);
        }
        if self.behind_count > 0 {
            self.catch_up(&mut batches).await?;
        }
        Ok(batches)
    }

    /// Every event up to this revision was handed out, except to watchers that are behind.
    pub fn position(&mut self) -> i64 {
        self.pull();
        self.position
    }

    /// The revision up to which every watcher of the stream was given everything. `None` if there is no watcher, or one is
    /// behind or starts in the future.
    pub fn progress(&mut self) -> Option<i64> {
        let position = self.position();
        let current = self.behind_count == 0
            && !self.watchers.is_empty()
            && self.watchers.values().all(|watcher| watcher.interest.start_revision <= position);
        current.then_some(position)
    }

    /// Ids of the watchers that asked for periodic progress, have had no event since the last call and are not behind.
    pub fn tick(&mut self) -> Vec<i64> {
        let position = self.position();
        let mut due = Vec::new();
        for (id, watcher) in self.watchers.iter_mut().filter(|(_, watcher)| watcher.interest.progress_notify) {
            let quiet = std::mem::replace(&mut watcher.quiet, true);
            if quiet && !watcher.behind && watcher.interest.start_revision <= position {
                due.push(*id);
            }
        }
        due.sort_unstable();
        due
    }

    /// Has [`Cursor::woken`] return at the next publication, whatever it touches.
    pub fn wake_at_publication(&self) {
        self.hub.wake_at_publication(&self.mark);
    }

    pub fn is_empty(&self) -> bool {
        self.watchers.is_empty()
    }

    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    fn admit(&self) -> Result<(), Refusal> {
        let options = self.hub.options();
        if self.watchers.len() >= options.max_watchers_per_stream {
            return Err(Refusal::StreamFull { limit: options.max_watchers_per_stream });
        }
        let watchers = &self.hub.counters().watchers;
        if watchers.fetch_add(1, Ordering::Relaxed) >= options.max_watchers as i64 {
            watchers.fetch_sub(1, Ordering::Relaxed);
            return Err(Refusal::MemberFull { limit: options.max_watchers });
        }
        Ok(())
    }

    fn take_id(&mut self) -> i64 {
        while self.watchers.contains_key(&self.next_id) {
            self.next_id += 1;
        }
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    /// Takes over what was published since the last time.
    fn pull(&mut self) {
        // The revision first: every mark up to it is in place by then.
        self.head = self.head.max(self.hub.revision());
        if let Some(span) = self.mark.take() {
            self.head = self.head.max(span.last);
            self.unread = Some(span.join(self.unread));
        }
        self.unread = self.unread.filter(|span| span.last > self.position);
        self.position = self.unread.map_or(self.head, |span| self.position.max(span.first - 1));
    }

    /// Matches unread frames of the ring until a message's worth was found.
    fn walk(&mut self) {
        let Some(span) = self.unread else { return };
        let Some(slots) = self.hub.frames(self.position + 1, span.last, STEP_FRAMES) else {
            self.fall_behind();
            return;
        };
        let partial = slots.len() == STEP_FRAMES;
        let compact_revision = self.history.compact_revision();
        for slot in slots {
            self.position = slot.revision();
            self.deliver(&slot, None, compact_revision);
            if self.pending_bytes >= self.hub.options().batch_bytes && self.position < span.last {
                return;
            }
        }
        if !partial || self.position >= span.last {
            self.unread = None;
            self.position = self.head;
        }
    }

    /// The ring has moved past the cursor: the cursor jumps to the head, its watchers read what lies between.
    fn fall_behind(&mut self) {
        let from = self.position + 1;
        let head = self.head;
        let left: Vec<i64> = self
            .watchers
            .iter()
            .filter(|(_, watcher)| !watcher.behind && watcher.next_revision <= head)
            .map(|(id, _)| *id)
            .collect();
        for id in left {
            self.set_behind(id, from);
        }
        self.unread = None;
        self.position = head;
    }

    fn set_behind(&mut self, id: i64, from: i64) {
        if let Some(watcher) = self.watchers.get_mut(&id) {
            watcher.behind = true;
            watcher.next_revision = watcher.next_revision.max(from);
            self.behind.push_back(id);
            self.count_behind(1);
        }
    }

    pub(super) fn count_behind(&mut self, change: i64) {
        self.behind_count = self.behind_count.saturating_add_signed(change as isize);
        if self.behind_count == 0 {
            (self.chunk, self.behind) = (None, VecDeque::new());
        }
        self.hub.counters().slow_watchers.fetch_add(change, Ordering::Relaxed);
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.hub.close(self.slot, self.watchers.values().map(|watcher| &watcher.interest.range));
        let counters = self.hub.counters();
        counters.watchers.fetch_sub(self.watchers.len() as i64, Ordering::Relaxed);
        counters.slow_watchers.fetch_sub(self.behind_count as i64, Ordering::Relaxed);
    }
}
