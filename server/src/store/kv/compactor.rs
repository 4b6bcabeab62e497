//! Removing what compaction has made unreachable, in small steps beside the writer.

use std::{
    io,
    ops::ControlFlow,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::{
    hash,
    row::{Pair, RowKey},
};
use crate::store::{
    backend::{Backend, Batch, Family},
    error::Error,
    shared::Shared,
    size::row_bytes,
    state::meta,
};

/// The thread that does it. Dropping it waits for the step that runs; what is left is done after the next start.
pub struct Compactor {
    signal: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Signal {
    state: Mutex<Wanted>,
    changed: Condvar,
}

#[derive(Default)]
struct Wanted {
    work: bool,
    stop: bool,
}

impl Compactor {
    pub(in crate::store) fn start(shared: Arc<Shared>) -> io::Result<Self> {
        let signal = Arc::new(Signal::default());
        let wanted = signal.clone();
        let thread = thread::Builder::new().name("compaction".to_owned()).spawn(move || run(&shared, &wanted))?;
        Ok(Self { signal, thread: Some(thread) })
    }

    /// There may be something to remove.
    pub(in crate::store) fn wake(&self) {
        self.signal.state.lock().work = true;
        self.signal.changed.notify_one();
    }
}

impl Compactor {
    /// Ends the thread; nothing is removed from then on.
    pub(in crate::store) fn stop(&mut self) {
        self.signal.state.lock().stop = true;
        self.signal.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // A panic over there was reported over there.
            let _ = thread.join();
        }
    }
}

impl Drop for Compactor {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Signal {
    /// False if it is time to stop.
    fn wait_for_work(&self) -> bool {
        let mut wanted = self.state.lock();
        self.changed.wait_while(&mut wanted, |wanted| !wanted.work && !wanted.stop);
        wanted.work = false;
        !wanted.stop
    }

    /// False if it is time to stop.
    fn pause(&self, pause: Duration) -> bool {
        let mut wanted = self.state.lock();
        self.changed.wait_while_for(&mut wanted, |wanted| !wanted.stop, pause);
        !wanted.stop
    }
}

fn run(shared: &Shared, signal: &Signal) {
    while signal.wait_for_work() {
        match work(shared, signal) {
            Ok(true) => {}
            Ok(false) => return,
            // Nothing is lost: the rows stay until the next compaction or start takes them along.
            Err(error) => {
                tracing::error!(%error, source = ?std::error::Error::source(&error), "cannot remove compacted rows");
            }
        }
    }
}

/// Catches up with the compact revision; false if it is time to stop.
fn work(shared: &Shared, signal: &Signal) -> Result<bool, Error> {
    while let Some(mut job) = Job::next(shared) {
        if job.is_hashed {
            hash::keep_compaction(shared, job.finished, job.target, job.generation)?;
        }
        let begun = Instant::now();
        while !job.step(shared)? {
            if !signal.pause(shared.options.compaction_pause) {
                return Ok(false);
            }
        }
        shared.tell(|observer| observer.compacted(begun.elapsed()));
    }
    Ok(true)
}

/// From one finished compaction to the next.
///
/// Only rows from the finished revision on are scanned. A row below it was kept because it was its key's newest, so it goes
/// only if that key has a row in the scanned span, and goes together with the first such row.
struct Job {
    backend: Arc<dyn Backend>,
    finished: i64,
    target: i64,
    generation: u64,
    /// Every row of the span is there still, and its hash is to be kept.
    is_hashed: bool,
    /// Where the scan goes on.
    from: Vec<u8>,
}

struct Scanned {
    row: RowKey,
    key: Bytes,
    value_bytes: usize,
}

impl Job {
    fn next(shared: &Shared) -> Option<Self> {
        let mut state = shared.write();
        if state.finished >= state.compacted {
            return None;
        }
        let next = if shared.options.compaction_hashes { state.compactions.pop_front() } else { None };
        if next.is_none() {
            state.compactions.clear();
        }
        let was_begun = std::mem::replace(&mut state.partly_compacted, true);
        Some(Self {
            backend: state.backend.clone(),
            finished: state.finished,
            target: next.unwrap_or(state.compacted),
            generation: state.generation,
            is_hashed: next.is_some() && !was_begun,
            from: RowKey::bound(state.finished.max(0)).to_vec(),
        })
    }

    /// True when the job is done, or void because the store was replaced.
    fn step(&mut self, shared: &Shared) -> Result<bool, Error> {
        let begun = Instant::now();
        let scanned = self.scan(shared.options.compaction_batch_rows.max(1))?;
        let last = scanned.len() < shared.options.compaction_batch_rows.max(1);
        if let Some(end) = scanned.last() {
            self.from = [end.row.as_bytes(), &[0]].concat();
        }

        // The index forgets first: from then on nobody can be led to the rows.
        let mut removed = Vec::new();
        let mut bytes = 0;
        let mut superseded = Vec::new();
        let index_held;
        {
            let mut state = shared.write();
            let taken = Instant::now();
            if state.generation != self.generation {
                return Ok(true);
            }
            for Scanned { row, key, value_bytes } in &scanned {
                let revision = row.revision();
                state.index.compact_key(key, self.target, |dropped| {
                    if dropped.main < self.finished {
                        superseded.push(RowKey::put(dropped));
                    }
                });
                // etcd keeps a tombstone at the compact revision, so that a watch from there sees the deletion.
                let tombstone_at_target = row.is_tombstone() && revision.main == self.target;
                if !tombstone_at_target && !state.index.keeps(key, revision, self.target) {
                    removed.push(*row);
                    bytes += row_bytes(Family::Key, row.as_bytes().len(), *value_bytes);
                }
            }
            index_held = taken.elapsed();
        }
        for (row, value) in superseded.iter().zip(self.backend.rows(&superseded)?) {
            if let Some(value) = value {
                removed.push(*row);
                bytes += row_bytes(Family::Key, row.as_bytes().len(), value.len());
            }
        }

        let rows = removed.len() as u64;
        let mut batch = Batch { removed, ..Batch::default() };
        if last {
            let name = Bytes::from_static(meta::FINISHED.as_bytes());
            batch.others.push((Family::Meta, name, Some(meta::encode_number(self.target))));
        }
        self.backend.write(batch)?;

        let mut state = shared.write();
        if state.generation != self.generation {
            return Ok(true);
        }
        state.count_rows(-bytes);
        if last {
            state.finished = self.target;
            state.partly_compacted = false;
        }
        shared.publish(&state);
        drop(state);
        shared.tell(|observer| observer.compaction_step(rows, begun.elapsed(), index_held));
        if last {
            shared.finished.send_replace(self.target);
        }
        Ok(last)
    }

    fn scan(&self, limit: usize) -> Result<Vec<Scanned>, Error> {
        let mut scanned = Vec::with_capacity(limit.min(4096));
        let mut damaged = false;
        let upper = self.target.checked_add(1).map(RowKey::bound);
        self.backend.scan(Family::Key, &self.from, upper.as_ref().map(<[u8; 8]>::as_slice), &mut |key, value| {
            let (Some(row), Some(pair)) = (RowKey::parse(key), Pair::parse(value)) else {
                damaged = true;
                return ControlFlow::Break(());
            };
            scanned.push(Scanned { row, key: Bytes::copy_from_slice(pair.key), value_bytes: value.len() });
            if scanned.len() == limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        if damaged {
            return Err(Error::Damaged("a row of the history cannot be read".to_owned()));
        }
        Ok(scanned)
    }
}
