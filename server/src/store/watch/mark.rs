//! How a stream learns that something touched it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// Shared by the hub, which touches, and one stream, which takes. Holds a span of revisions instead of a queue of them.
#[derive(Debug, Default)]
pub(super) struct Mark {
    span: Mutex<Option<Span>>,
    notify: Notify,
    /// The publication that touched the stream last, so that it is woken once for many events.
    publication: AtomicU64,
    /// The stream wants to be woken at the next publication, whatever it touches.
    pub(super) waiting: AtomicBool,
}

/// The lowest and the highest touched revision; what lies between may or may not touch the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Span {
    pub(super) fn join(self, other: Option<Self>) -> Self {
        other.map_or(self, |other| Self { first: self.first.min(other.first), last: self.last.max(other.last) })
    }
}

impl Mark {
    /// Adds a span. True for the first time within `publication`: the stream needs waking.
    pub(super) fn touch(&self, span: Span, publication: u64) -> bool {
        {
            let mut held = self.span.lock();
            *held = Some(span.join(*held));
        }
        self.publication.swap(publication, Ordering::Relaxed) != publication
    }

    pub(super) fn take(&self) -> Option<Span> {
        self.span.lock().take()
    }

    pub(super) fn is_touched(&self) -> bool {
        self.span.lock().is_some()
    }

    pub(super) fn wake(&self) {
        self.notify.notify_one();
    }

    pub(super) async fn woken(&self) {
        self.notify.notified().await;
    }
}
