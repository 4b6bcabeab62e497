use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use parking_lot::Mutex;
use quorate_format::wal::Snapshot;
use tokio::sync::{oneshot, watch};

use super::entry::{ConfState, Entry, EntryKind, HardState, Metadata};
use super::error::{Error, Failure};
use super::options::Options;
use super::recovery::{self, Recovered};
use super::shared::{Command, Shared};
use super::writer::Writer;
use super::{create, read};
use crate::position::Position;

/// The log: a handle to the thread that writes it. Clones are the same log.
///
/// Commands ([`append`](Self::append), [`save_state`](Self::save_state), [`mark_snapshot`](Self::mark_snapshot),
/// [`purge_through`](Self::purge_through)) return once they are queued, and what they change can be read from then on. `done` is
/// called on the log's thread when the command is durable, in the order of the commands; it must be quick and must not block. A
/// command that returns an error was not queued, and its `done` is dropped uncalled. When the queue is full a command waits, and
/// dropping its future before it is ready takes it back.
///
/// A failed write or sync poisons the log for good, see [`failed`](Self::failed).
#[derive(Clone)]
pub struct Wal {
    owner: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Wal {
    /// Whether the folder holds a log. A folder that isn't there holds none.
    pub fn exists(dir: &Path, options: &Options) -> Result<bool, Error> {
        create::exists(&*options.disk, dir)
    }

    /// Makes a new log in a folder that doesn't exist or is empty. It appears whole or, after a crash, not at all.
    pub fn create(dir: &Path, metadata: Metadata, options: Options) -> Result<Self, Error> {
        create::create(dir, metadata, &options)?;
        Self::open(dir, options).map(|(log, _)| log)
    }

    /// Reads the log through once, checks it, and starts the thread that writes it.
    ///
    /// A torn end, as a crash leaves it, is cut off. Anything else that isn't as it was written is an error.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Recovered), Error> {
        let (log, recovered, mut writer) = Self::open_by_hand(dir, options)?;
        writer.prepare_ahead();
        let thread = thread::Builder::new()
            .name("wal".to_owned())
            .spawn(move || writer.run())
            .map_err(Error::io("start the thread of", dir))?;
        *log.owner.thread.lock() = Some(thread);
        Ok((log, recovered))
    }

    /// As [`open`](Self::open), for a simulation, which drives the writer itself.
    pub fn open_by_hand(dir: &Path, options: Options) -> Result<(Self, Recovered, Writer), Error> {
        let (recovered, shared, writer) = recovery::open(dir, &options)?;
        Ok((Self { owner: Arc::new(Owner { shared, thread: Mutex::new(None) }) }, recovered, writer))
    }

    /// Appends entries, which must follow on the last one. They can be read as soon as this returns.
    pub async fn append(
        &self,
        entries: Vec<Entry>,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) -> Result<(), Error> {
        self.shared()
            .enqueue(|state| {
                let mut last = state.last;
                for entry in &entries {
                    let found = entry.position;
                    if found.index != last.index + 1 {
                        return Err(Error::NotConsecutive { last, found });
                    }
                    if found.term < last.term {
                        return Err(Error::TermWentBack { last, found });
                    }
                    // Replay tells a damaged record by it, see `recovery`.
                    if entry.kind != EntryKind::Normal && entry.data.is_empty() {
                        return Err(Error::EmptyConfChange(found));
                    }
                    last = found;
                }
                state.ticket += 1;
                let ticket = state.ticket;
                for entry in &entries {
                    state.terms.push(entry.position);
                    state.tail.push(entry.clone(), ticket);
                }
                state.last = last;
                Ok(Command::Append { entries, ticket, done: Box::new(done) })
            })
            .await
    }

    /// Saves term and vote. A commit index never goes back: the higher of this one and the one known is saved, but at most that of the
    /// last entry.
    pub async fn save_state(
        &self,
        state: HardState,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) -> Result<(), Error> {
        self.shared()
            .enqueue(|shared| {
                let before = shared.hard_state.unwrap_or_default();
                if state.term < before.term || state.term == 0 {
                    return Err(Error::StateWentBack { last: before.term.max(1), found: state.term });
                }
                let state = HardState {
                    commit: state.commit.max(before.commit).min(shared.last.index.max(before.commit)),
                    ..state
                };
                shared.hard_state = Some(state);
                Ok(Command::State { state, done: Box::new(done) })
            })
            .await
    }

    /// Remembers that entries through `index` are committed (at most through the last one). It is written along with the next command
    /// and never causes a sync of its own: a commit index that is lost is found out again by raft.
    pub fn save_commit_lazily(&self, index: u64) {
        let mut state = self.shared().state.lock();
        let last = state.last.index;
        if let Some(state) = &mut state.hard_state {
            state.commit = state.commit.max(index.min(last));
        }
    }

    /// Drops the entries behind `index`, at once for readers.
    ///
    /// Nothing is written: etcd's format has no record for it. On disk the entries go when one of the same or a lower index is
    /// written. If the process ends before, they come back, and that is safe: only entries that aren't committed are ever truncated,
    /// and the member is then as it was just before the truncation. Since then it has told nobody anything that this contradicts: an
    /// acknowledgement of other entries at these indexes would have been preceded by their sync, which replaces them.
    pub fn truncate_after(&self, index: u64) -> Result<(), Error> {
        let mut state = self.shared().state.lock();
        state.check_open()?;
        let committed = state.settled_index();
        if index < committed {
            return Err(Error::TruncatesCommitted { index, committed });
        }
        if let Some(term) = state.terms.term_of(index) {
            state.last = Position { term, index };
            state.tail.truncate_after(index);
            state.terms.truncate_after(index);
        }
        Ok(())
    }

    /// Notes that a snapshot of `position` exists, as etcd does for every snapshot. Its entries stay until they are purged, and are
    /// committed: a log that begins behind a marker could not tell that an entry at its index was replaced.
    pub async fn mark_snapshot(
        &self,
        position: Position,
        members: Option<ConfState>,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) -> Result<(), Error> {
        self.shared()
            .enqueue(|state| {
                if !state.has(position) {
                    return Err(Error::NotInLog(position));
                }
                state.marked_index = state.marked_index.max(position.index);
                let snapshot = Snapshot { index: position.index, term: position.term, conf_state: members };
                Ok(Command::Snapshot { snapshot, done: Box::new(done) })
            })
            .await
    }

    /// Forgets the entries through `position`, at once for readers; purging what is purged already does nothing. `done` means that the
    /// new start is durable; then segments that hold nothing else are removed.
    ///
    /// A position that the log doesn't have, behind its end or of another term, is that of a snapshot received from elsewhere: the
    /// whole log is forgotten and goes on behind it.
    pub async fn purge_through(
        &self,
        position: Position,
        done: impl FnOnce(io::Result<()>) + Send + 'static,
    ) -> Result<(), Error> {
        self.shared()
            .enqueue(|state| {
                let position = if position.index <= state.purged.index { state.purged } else { position };
                let reset = !state.has(position);
                state.start_behind(position, reset);
                Ok(Command::Purge { position, reset, done: Box::new(done) })
            })
            .await
    }

    /// Entries of a range of indexes, from memory if they are recent, else from disk, which blocks the thread meanwhile and verifies
    /// their checksums. Ends early behind the last entry, and when the data exceeds `limit_bytes`; but one entry is always returned if
    /// there is one.
    pub fn read(&self, range: Range<u64>, limit_bytes: usize) -> Result<Vec<Entry>, Error> {
        read::read(self.shared(), range, limit_bytes)
    }

    /// The latest state, durable or not; `None` until one is saved.
    pub fn state(&self) -> Option<HardState> {
        self.shared().state.lock().hard_state
    }

    /// Index of the first entry, or the one it will have.
    pub fn first_index(&self) -> u64 {
        self.purged().index + 1
    }

    /// Position in front of the first entry.
    pub fn purged(&self) -> Position {
        self.shared().state.lock().purged
    }

    /// Position of the last entry, durable or not; [`purged`](Self::purged) if there is none.
    pub fn last(&self) -> Position {
        self.shared().state.lock().last
    }

    /// Term of an entry, or of the position in front of the first. `None` if it isn't in the log.
    pub fn term_of(&self, index: u64) -> Option<u64> {
        let state = self.shared().state.lock();
        (index >= state.purged.index).then(|| state.terms.term_of(index)).flatten()
    }

    /// Becomes `Some` when a write or sync has failed: every command then fails, queued ones included. The process must stop.
    pub fn failed(&self) -> watch::Receiver<Option<Failure>> {
        self.shared().failure.subscribe()
    }

    /// Makes everything queued durable and ends the thread. Commands of other handles are refused from now on.
    pub async fn close(self) -> Result<(), Error> {
        let (done, closed) = oneshot::channel();
        let queued = self.shared().enqueue(|state| {
            state.closed = true;
            let done = Box::new(move |result| drop(done.send(result)));
            Ok(Command::Close { done })
        });
        queued.await?;
        let result = closed.await;
        let thread = self.owner.thread.lock().take();
        if let Some(thread) = thread {
            // It has nothing left to do but to return.
            let _ = thread.join();
        }
        match (result, self.shared().state.lock().failure.clone()) {
            (_, Some(failure)) => Err(failure.into()),
            (Ok(_), None) => Ok(()),
            (Err(_), None) => Err(Error::Closed),
        }
    }

    fn shared(&self) -> &Shared {
        &self.owner.shared
    }
}

impl Drop for Owner {
    /// Without a handle nothing more can come: what is queued is written, then the thread ends.
    fn drop(&mut self) {
        self.shared.state.lock().closed = true;
        self.shared.work.notify_one();
    }
}
