//! What every handle of one store shares.

use std::{
    collections::VecDeque,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicI64, Ordering},
    },
};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::sync::watch;

use super::{
    auth::{Registry, Tokens},
    kv::hash::HashKv,
    observer::Observer,
    options::Options,
    size::Size,
    snapshot::folder::Folder,
    state::State,
};
use crate::position::Position;

pub(super) struct Shared {
    state: RwLock<State>,
    /// Copies of what [`State`] holds, for those who only look.
    revision: AtomicI64,
    compacted: AtomicI64,
    total_bytes: AtomicI64,
    in_use_bytes: AtomicI64,
    auth: ArcSwap<Registry>,
    pub tokens: Arc<Tokens>,
    /// Known to be on disk.
    pub flushed: Mutex<Position>,
    /// Of the last compactions, oldest first.
    pub compaction_hashes: Mutex<VecDeque<HashKv>>,
    /// [`State::finished`], to wait on.
    pub finished: watch::Sender<i64>,
    pub options: Options,
    observer: OnceLock<Arc<dyn Observer>>,
    /// Where the rows are; `None` in memory.
    pub folder: Option<Mutex<Folder>>,
}

impl Shared {
    pub(super) fn new(state: State, options: Options, folder: Option<Folder>) -> Arc<Self> {
        let shared = Self {
            revision: AtomicI64::new(0),
            compacted: AtomicI64::new(0),
            total_bytes: AtomicI64::new(0),
            in_use_bytes: AtomicI64::new(0),
            auth: ArcSwap::new(state.auth.clone()),
            tokens: state.tokens.clone(),
            flushed: Mutex::new(state.applied),
            compaction_hashes: Mutex::default(),
            finished: watch::Sender::new(state.finished),
            state: RwLock::new(state),
            options,
            observer: OnceLock::new(),
            folder: folder.map(Mutex::new),
        };
        shared.publish(&shared.state.write());
        Arc::new(shared)
    }

    pub(super) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read()
    }

    /// Whoever changes what [`Shared::publish`] copies calls it before letting go.
    pub(super) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write()
    }

    pub(super) fn publish(&self, state: &State) {
        let size = state.size();
        self.total_bytes.store(size.total, Ordering::Release);
        self.in_use_bytes.store(size.in_use, Ordering::Release);
        self.compacted.store(state.compacted, Ordering::Release);
        if !Arc::ptr_eq(&self.auth.load(), &state.auth) {
            self.auth.store(state.auth.clone());
        }
        self.revision.store(state.revision, Ordering::Release);
    }

    /// The first observer stays.
    pub(super) fn observe(&self, observer: Arc<dyn Observer>) {
        let _ = self.observer.set(observer);
    }

    /// Tells the observer, if there is one.
    pub(super) fn tell(&self, what: impl FnOnce(&dyn Observer)) {
        if let Some(observer) = self.observer.get() {
            what(&**observer);
        }
    }

    pub(super) fn revision(&self) -> i64 {
        self.revision.load(Ordering::Acquire)
    }

    pub(super) fn auth(&self) -> Arc<Registry> {
        self.auth.load_full()
    }

    pub(super) fn compacted(&self) -> i64 {
        self.compacted.load(Ordering::Acquire)
    }

    pub(super) fn size(&self) -> Size {
        Size { total: self.total_bytes.load(Ordering::Acquire), in_use: self.in_use_bytes.load(Ordering::Acquire) }
    }
}
