//! What connects a client's watcher with the broadcast that serves it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use bytes::Bytes;
use parking_lot::Mutex;
use quorate_proto::served::etcdserverpb as pb;
use tokio::sync::mpsc;
use tonic::Status;

use super::broadcast::Broadcast;

/// What a watcher wants to see. Watchers that want the same, in the name of the same user, can share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Interest {
    /// As in the cluster, namespace and all.
    pub key: Bytes,
    pub range_end: Bytes,
    /// Sorted, each once.
    pub filters: Vec<i32>,
    pub prev_kv: bool,
    pub progress_notify: bool,
    /// Names and values that go to the member with the call: the user's token, whether a leader is required.
    pub headers: Vec<(&'static str, String)>,
}

impl Interest {
    /// The stream ends when the member has no leader, and its client wants to know.
    pub fn needs_leader(&self) -> bool {
        self.headers.iter().any(|(name, value)| *name == "hasleader" && value == "true")
    }
}

/// Both sides' view of one watcher.
#[derive(Debug)]
pub(super) struct Seat {
    /// Unique in the process: ids of watchers are used again.
    pub number: u64,
    has_left: AtomicBool,
    wants_progress: AtomicBool,
    at: Mutex<Weak<Broadcast>>,
}

impl Seat {
    pub fn new() -> Arc<Self> {
        static NUMBERS: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            has_left: AtomicBool::new(false),
            wants_progress: AtomicBool::new(false),
            at: Mutex::default(),
        })
    }

    /// The client wants no more of this watcher.
    pub fn leave(&self) {
        self.has_left.store(true, Ordering::Release);
        self.wake();
    }

    pub fn has_left(&self) -> bool {
        self.has_left.load(Ordering::Acquire)
    }

    /// Asks for [`What::Progress`].
    pub fn want_progress(&self) {
        self.wants_progress.store(true, Ordering::Release);
        self.wake();
    }

    pub fn wants_progress(&self) -> bool {
        self.wants_progress.load(Ordering::Acquire)
    }

    pub fn got_progress(&self) {
        self.wants_progress.store(false, Ordering::Release);
    }

    pub fn sit(&self, broadcast: &Arc<Broadcast>) {
        *self.at.lock() = Arc::downgrade(broadcast);
        // It may have left, or asked, while it moved.
        broadcast.wake();
    }

    fn wake(&self) {
        let broadcast = self.at.lock().upgrade();
        if let Some(broadcast) = broadcast {
            broadcast.wake();
        }
    }
}

/// A watcher at a broadcast.
#[derive(Debug)]
pub(super) struct Subscriber {
    pub seat: Arc<Seat>,
    /// Events below it are not for this watcher; 0: all that come after its creation.
    pub from: i64,
    /// It has heard that it was created.
    pub is_announced: bool,
    /// The session's queue.
    pub deliveries: mpsc::Sender<Delivery>,
}

#[derive(Debug)]
pub(super) struct Delivery {
    pub seat: u64,
    pub what: What,
}

#[derive(Debug, Clone)]
pub(super) enum What {
    Created(Option<pb::ResponseHeader>),
    /// Events from a revision on, periodic progress, or the end of the watcher.
    Message {
        message: Arc<pb::WatchResponse>,
        from: i64,
    },
    /// Everything up to the header's revision was delivered.
    Progress(Option<pb::ResponseHeader>),
    /// The client's stream ends with this.
    Failed(Status),
}
