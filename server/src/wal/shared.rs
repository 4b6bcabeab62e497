use std::collections::VecDeque;
use std::io;

use parking_lot::{Condvar, Mutex};
use quorate_format::wal::Snapshot;
use tokio::sync::{Notify, watch};

use super::catalog::Catalog;
use super::entry::{Entry, HardState};
use super::error::{Error, Failure};
use super::tail::Tail;
use super::terms::Terms;
use crate::position::Position;

/// Called once, on the log's thread, in the order of the commands: `Ok` when the command is durable.
pub(super) type Done = Box<dyn FnOnce(io::Result<()>) + Send>;

/// What the handles and the writing thread share.
pub(super) struct Shared {
    pub(super) state: Mutex<State>,
    /// Something is queued, or the log is closing. The thread waits here.
    pub(super) work: Condvar,
    /// The queue has room again. Callers wait here.
    pub(super) room: Notify,
    pub(super) failure: watch::Sender<Option<Failure>>,
    pub(super) queue_bytes_max: usize,
    pub(super) queue_commands_max: usize,
}

/// The log as its readers see it: everything queued counts, durable or not.
pub(super) struct State {
    /// In front of the first entry.
    pub(super) purged: Position,
    /// Of the last entry, or `purged` if there is none.
    pub(super) last: Position,
    pub(super) terms: Terms,
    pub(super) tail: Tail,
    pub(super) hard_state: Option<HardState>,
    /// Of the newest snapshot, which is of committed entries, whatever the hard state knows.
    pub(super) marked_index: u64,
    pub(super) catalog: Catalog,
    pub(super) queue: VecDeque<Command>,
    pub(super) queued_bytes: usize,
    /// Counts appends.
    pub(super) ticket: u64,
    pub(super) closed: bool,
    pub(super) failure: Option<Failure>,
}

/// What the thread is asked to make durable, in order.
pub(super) enum Command {
    Append { entries: Vec<Entry>, ticket: u64, done: Done },
    State { state: HardState, done: Done },
    Snapshot { snapshot: Snapshot, done: Done },
    Purge { position: Position, reset: bool, done: Done },
    Close { done: Done },
}

impl Shared {
    /// Lets one command through when the queue has room; `change` makes it, and what it changes for readers, under the lock.
    pub(super) async fn enqueue(&self, change: impl FnOnce(&mut State) -> Result<Command, Error>) -> Result<(), Error> {
        loop {
            let mut freed = std::pin::pin!(self.room.notified());
            // Registered before looking, so that room made in between isn't missed.
            freed.as_mut().enable();
            {
                let mut state = self.state.lock();
                state.check_open()?;
                // One command may cross the bound: else a large one could never be let in.
                if state.queued_bytes < self.queue_bytes_max && state.queue.len() < self.queue_commands_max {
                    let command = change(&mut state)?;
                    state.queued_bytes += command.bytes();
                    state.queue.push_back(command);
                    drop(state);
                    self.work.notify_one();
                    return Ok(());
                }
            }
            freed.await;
        }
    }
}

impl State {
    pub(super) fn check_open(&self) -> Result<(), Error> {
        match &self.failure {
            Some(failure) => Err(failure.clone().into()),
            None if self.closed => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// Highest index that must not be truncated.
    pub(super) fn settled_index(&self) -> u64 {
        self.hard_state.map_or(0, |state| state.commit).max(self.purged.index).max(self.marked_index)
    }

    /// Whether the log has this position, be it only as the one in front of the first entry.
    pub(super) fn has(&self, position: Position) -> bool {
        position == self.purged
            || position.index > self.purged.index && self.terms.term_of(position.index) == Some(position.term)
    }

    /// Moves the start of the log behind `position`; `reset` also drops what is behind it.
    pub(super) fn start_behind(&mut self, position: Position, reset: bool) {
        if reset {
            self.tail.forget_through(u64::MAX);
            self.terms = Terms::new(position);
            self.last = position;
            self.marked_index = position.index;
        } else {
            self.tail.forget_through(position.index);
            self.terms.start_at(position);
        }
        self.purged = position;
    }
}

impl Command {
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Append { entries, .. } => entries.iter().map(Entry::memory_bytes).sum(),
            Self::State { .. } | Self::Snapshot { .. } | Self::Purge { .. } | Self::Close { .. } => 0,
        }
    }

    pub(super) fn into_done(self) -> Done {
        match self {
            Self::Append { done, .. }
            | Self::State { done, .. }
            | Self::Snapshot { done, .. }
            | Self::Purge { done, .. }
            | Self::Close { done } => done,
        }
    }
}
