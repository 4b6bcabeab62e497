//! Where the writer publishes and every stream listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::Semaphore;

use super::mark::{Mark, Span};
use super::matcher::Matcher;
use super::ring::{Ring, Slot};
use super::{Frame, Range};

/// Cheap to clone; all clones are one hub.
#[derive(Debug, Clone)]
pub struct Hub {
    shared: Arc<Shared>,
}

/// Bounds of the hub and of what a stream holds at a time.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of frames (and previous versions read for them) kept for streams that lag. Default 64 MiB.
    pub ring_bytes: usize,
    /// Watchers on this member. Default 1 000 000 (about 400 bytes each).
    pub max_watchers: usize,
    /// Watchers on one stream. Default 250 000.
    pub max_watchers_per_stream: usize,
    /// Streams that read history at the same time. Default 2.
    pub history_readers: usize,
    /// Bytes of history that a stream reads at a time, if more than one revision. Default 128 KiB.
    pub chunk_bytes: usize,
    /// Bytes of events matched before they are sent, if more than one revision. Default 64 KiB.
    pub batch_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ring_bytes: 64 << 20,
            max_watchers: 1_000_000,
            max_watchers_per_stream: 250_000,
            history_readers: 2,
            chunk_bytes: 128 << 10,
            batch_bytes: 64 << 10,
        }
    }
}

/// What watching costs at the moment; read for etcd's `etcd_debugging_mvcc_*` gauges.
#[derive(Debug, Default)]
pub struct Counters {
    pub(super) watchers: AtomicI64,
    pub(super) streams: AtomicI64,
    pub(super) slow_watchers: AtomicI64,
    pending_events: AtomicI64,
}

impl Counters {
    pub fn watchers(&self) -> i64 {
        self.watchers.load(Ordering::Relaxed)
    }

    pub fn streams(&self) -> i64 {
        self.streams.load(Ordering::Relaxed)
    }

    /// Watchers that read history.
    pub fn slow_watchers(&self) -> i64 {
        self.slow_watchers.load(Ordering::Relaxed)
    }

    /// Events matched but not taken by their client's connection yet.
    pub fn pending_events(&self) -> i64 {
        self.pending_events.load(Ordering::Relaxed)
    }

    pub fn add_pending_events(&self, change: i64) {
        self.pending_events.fetch_add(change, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Shared {
    options: Options,
    counters: Counters,
    /// The newest published revision. Changes only while `index` is locked.
    revision: AtomicI64,
    /// Locked after `index` where both are needed.
    ring: RwLock<Ring>,
    index: Mutex<Index>,
    history_readers: Semaphore,
}

#[derive(Debug, Default)]
struct Index {
    matcher: Matcher<u32>,
    marks: Vec<Option<Arc<Mark>>>,
    free: Vec<u32>,
    publications: u64,
    /// Streams to wake at the next publication whatever it touches.
    waiting: Vec<Arc<Mark>>,
}

impl Hub {
    /// `revision` is the newest one in the store; frames follow it.
    pub fn new(options: Options, revision: i64) -> Self {
        let shared = Shared {
            ring: RwLock::new(Ring::new(options.ring_bytes, revision)),
            history_readers: Semaphore::new(options.history_readers.max(1)),
            options,
            counters: Counters::default(),
            revision: AtomicI64::new(revision),
            index: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Makes frames visible to every stream. The writer calls it after their revisions are readable in the store and before
    /// it answers the requests that made them; ascending, each revision once. Frames that were published already are ignored.
    pub fn publish(&self, frames: Vec<Arc<Frame>>) {
        let shared = &*self.shared;
        let mut index = shared.index.lock();
        let published = shared.revision.load(Ordering::Relaxed);
        let frames: Vec<_> = frames.into_iter().filter(|frame| frame.revision > published).collect();
        let Some(newest) = frames.last().map(|frame| frame.revision) else { return };
        {
            let mut ring = shared.ring.write();
            for frame in &frames {
                ring.push(Arc::clone(frame));
            }
        }
        index.publications += 1;
        let Index { matcher, marks, waiting, publications, .. } = &mut *index;
        let mut woken = std::mem::take(waiting);
        woken.iter().for_each(|mark| mark.waiting.store(false, Ordering::Relaxed));
        for frame in &frames {
            let span = Span { first: frame.revision, last: frame.revision };
            for event in &frame.events {
                matcher.visit(&event.key, |slot| {
                    if let Some(Some(mark)) = marks.get(slot as usize)
                        && mark.touch(span, *publications)
                    {
                        woken.push(Arc::clone(mark));
                    }
                });
            }
        }
        // After the marks: a stream that reads this revision finds every mark up to it.
        shared.revision.store(newest, Ordering::Release);
        drop(index);
        woken.iter().for_each(|mark| mark.wake());
    }

    /// The store was replaced as a whole (by a snapshot) and its newest revision is `revision` now: what lies between the
    /// last published frame and it is history for every stream.
    pub fn reset(&self, revision: i64) {
        let shared = &*self.shared;
        let mut index = shared.index.lock();
        let published = shared.revision.load(Ordering::Relaxed);
        if revision <= published {
            return;
        }
        shared.ring.write().clear(revision);
        index.publications += 1;
        let mut woken = std::mem::take(&mut index.waiting);
        woken.iter().for_each(|mark| mark.waiting.store(false, Ordering::Relaxed));
        for mark in index.marks.iter().flatten() {
            mark.touch(Span { first: published + 1, last: revision }, index.publications);
            woken.push(Arc::clone(mark));
        }
        shared.revision.store(revision, Ordering::Release);
        drop(index);
        woken.iter().for_each(|mark| mark.wake());
    }

    /// The newest published revision.
    pub fn revision(&self) -> i64 {
        self.shared.revision.load(Ordering::Acquire)
    }

    pub fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// Bytes that the ring holds.
    pub fn ring_bytes(&self) -> usize {
        self.shared.ring.read().bytes()
    }

    pub(super) fn options(&self) -> &Options {
        &self.shared.options
    }

    pub(super) fn history_readers(&self) -> &Semaphore {
        &self.shared.history_readers
    }

    /// A new stream: its number, its mark, and the newest revision, after which it hears of everything that it watches.
    pub(super) fn open(&self) -> (u32, Arc<Mark>, i64) {
        self.shared.counters.streams.fetch_add(1, Ordering::Relaxed);
        let mark = Arc::new(Mark::default());
        let mut index = self.shared.index.lock();
        let slot = index.free.pop().unwrap_or(index.marks.len() as u32);
        if slot as usize == index.marks.len() {
            index.marks.push(None);
        }
        index.marks[slot as usize] = Some(Arc::clone(&mark));
        (slot, mark, self.revision())
    }

    /// Ends a stream that watched these ranges.
    pub(super) fn close<'a>(&self, slot: u32, ranges: impl Iterator<Item = &'a Range>) {
        self.shared.counters.streams.fetch_sub(1, Ordering::Relaxed);
        let mut index = self.shared.index.lock();
        for range in ranges {
            index.matcher.remove(range, slot);
        }
        index.marks[slot as usize] = None;
        index.free.push(slot);
    }

    /// Lets the stream hear of `range`, and returns the newest revision of before that.
    pub(super) fn listen(&self, slot: u32, range: &Range) -> i64 {
        let mut index = self.shared.index.lock();
        index.matcher.insert(range, slot);
        self.shared.revision.load(Ordering::Relaxed)
    }

    pub(super) fn unlisten(&self, slot: u32, range: &Range) {
        self.shared.index.lock().matcher.remove(range, slot);
    }

    /// Wakes the stream at the next publication, whatever it touches.
    pub(super) fn wake_at_publication(&self, mark: &Arc<Mark>) {
        let mut index = self.shared.index.lock();
        if !mark.waiting.swap(true, Ordering::Relaxed) {
            index.waiting.push(Arc::clone(mark));
        }
    }

    /// Frames within `from..=to`; `None` if they must be read from history.
    pub(super) fn frames(&self, from: i64, to: i64, limit: usize) -> Option<Vec<Arc<Slot>>> {
        self.shared.ring.read().read(from, to, limit)
    }

    pub(super) fn remember(&self, slot: &Slot, event: usize, previous: Option<Bytes>) {
        self.shared.ring.read().remember(slot, event, previous);
    }
}
