use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quorate_format::wal::{Encoder, FRAME_OVERHEAD_BYTES_MAX, Record, SegmentName, Snapshot};

use super::catalog::{Mark, Marking, Segment};
use super::disk::File;
use super::entry::{Entry, HardState, Metadata};
use super::error::Failure;
use super::options::Options;
use super::replay::reset_mark;
use super::segment;
use super::shared::{Command, Shared};
use super::spare::Spare;

/// The one writer of the log: takes everything queued, encodes it into one buffer, writes it with one call, syncs once, and only then
/// calls back, in order. What arrives during the sync is the next batch; there is no timer.
///
/// **Sync marks.** In front of each batch stands a crc record of the chain so far, which etcd's tools accept anywhere. A batch is only
/// written when the one before is synced, so a sync mark says that everything in front of it was durable. Replay needs to know: damage
/// in front of a sync mark is damage, never a torn write, and must not be cut off (see `recovery`). When the queue runs dry the mark is
/// written right away, unsynced, so that the last batch is soon covered as well.
pub struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) options: Options,
    pub(super) dir: PathBuf,
    pub(super) metadata: Metadata,
    pub(super) spare: Spare,
    pub(super) active: Active,
    pub(super) encoder: Encoder,
    /// Encoded and not yet written; reused.
    pub(super) buffer: Vec<u8>,
    pub(super) marking: Marking,
    /// Marks of what is in the buffer or written, for the catalog.
    pub(super) marks: Vec<Mark>,
    /// As written last.
    pub(super) state: Option<HardState>,
    /// Index of the entry written last, or of a snapshot the log was reset to.
    pub(super) last_index: u64,
    /// The last record is a sync mark.
    pub(super) sealed: bool,
    /// The segment with the marker of the last purge.
    pub(super) purge_sequence: u64,
}

/// The segment being written.
pub(super) struct Active {
    pub(super) name: SegmentName,
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn File>,
    /// Where the next write goes.
    pub(super) offset: u64,
    /// There is more in it than its head.
    pub(super) begun: bool,
    pub(super) highest_index: u64,
}

/// The buffer is kept for the next batch up to this size.
const BUFFER_KEPT_BYTES: usize = 4 << 20;

/// The frame of a crc record: left free at the end of a segment, for the sync mark behind its last batch.
const SYNC_MARK_BYTES: usize = 16;

/// A longer sync is logged, as etcd does.
const SLOW_SYNC: Duration = Duration::from_secs(1);

/// What [`Writer::step`] has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A batch was written.
    Wrote,
    /// Nothing was queued.
    Idle,
    /// The log is closed or has failed; nothing will be written any more.
    Ended,
}

impl Writer {
    /// Segments are made ahead of need, on another thread.
    pub(super) fn prepare_ahead(&mut self) {
        self.spare.start();
    }

    /// Until the log is closed or fails.
    pub(super) fn run(mut self) {
        let guard = PoisonOnUnwind { shared: self.shared.clone(), path: self.dir.clone() };
        loop {
            match self.step() {
                Step::Wrote => {}
                Step::Idle => self.wait(),
                Step::Ended => break,
            }
        }
        self.spare.stop();
        std::mem::forget(guard);
    }

    fn wait(&self) {
        let mut state = self.shared.state.lock();
        while state.queue.is_empty() && !state.closed && state.failure.is_none() {
            self.shared.work.wait(&mut state);
        }
    }

    /// Writes what is queued, as one batch, and calls back. Doesn't wait for anything to be queued.
    pub fn step(&mut self) -> Step {
        let (batch, commit) = {
            let mut state = self.shared.state.lock();
            if state.failure.is_some() {
                return Step::Ended;
            }
            if state.queue.is_empty() {
                return if state.closed { Step::Ended } else { Step::Idle };
            }
            state.queued_bytes = 0;
            // Taken together: what is committed by now refers to entries that are in this batch or before it. A later look could
            // give an index whose entry, in what is written so far, is another one that was truncated.
            (std::mem::take(&mut state.queue), state.hard_state.map_or(0, |state| state.commit))
        };
        self.shared.room.notify_waiters();

        match self.persist(&batch, commit) {
            Ok(()) => self.finish(batch),
            Err(failure) => {
                fail(&self.shared, failure, batch);
                Step::Ended
            }
        }
    }

    /// Writes and syncs a batch.
    fn persist(&mut self, batch: &VecDeque<Command>, commit: u64) -> Result<(), Failure> {
        if !self.sealed {
            self.put_sync_mark();
        }
        for command in batch {
            match command {
                Command::Append { entries, .. } => {
                    for entry in entries {
                        self.put_entry(entry)?;
                    }
                }
                Command::State { state, .. } => {
                    self.state = Some(*state);
                    self.put(&Record::State(*state))?;
                }
                Command::Snapshot { snapshot, .. } => self.put(&Record::Snapshot(snapshot.clone()))?,
                Command::Purge { position, reset, .. } => {
                    let conf_state = reset.then(reset_mark);
                    let snapshot = Snapshot { index: position.index, term: position.term, conf_state };
                    self.put(&Record::Snapshot(snapshot))?;
                    self.purge_sequence = self.active.name.sequence;
                    if *reset {
                        self.last_index = position.index;
                        self.marking.reset();
                    }
                }
                Command::Close { .. } => {}
            }
        }
        if let Some(state) = self.state.filter(|state| state.commit < commit) {
            let state = HardState { commit, ..state };
            self.state = Some(state);
            self.put(&Record::State(state))?;
        }
        self.write()?;
        self.sync()
    }

    /// The batch is durable: tells readers, then the callers.
    fn finish(&mut self, batch: VecDeque<Command>) -> Step {
        let durable_ticket = batch.iter().rev().find_map(|command| match command {
            Command::Append { ticket, .. } => Some(*ticket),
            _ => None,
        });
        let purged = batch.iter().rev().find_map(|command| match command {
            Command::Purge { position, .. } => Some(position.index),
            _ => None,
        });
        let mut closing = false;
        {
            let mut state = self.shared.state.lock();
            for mark in self.marks.drain(..) {
                state.catalog.push_mark(mark);
            }
            state.catalog.raise(self.active.name.sequence, self.active.highest_index);
            if let Some(ticket) = durable_ticket {
                state.tail.shrink(ticket);
            }
        }
        for command in batch {
            closing |= matches!(command, Command::Close { .. });
            if !closing {
                command.into_done()(Ok(()));
                continue;
            }
            // Everything in front of it is durable; the mark that says so is made durable as well.
            let sealed = self.seal().and_then(|()| self.sync());
            self.spare.stop();
            command.into_done()(sealed.as_ref().map_err(Failure::to_io).copied());
            if let Err(failure) = sealed {
                fail(&self.shared, failure, VecDeque::new());
            }
        }
        if closing {
            return Step::Ended;
        }
        if let Some(index) = purged {
            self.remove_segments(index);
        }
        let idle = self.shared.state.lock().queue.is_empty();
        if idle && let Err(failure) = self.seal() {
            fail(&self.shared, failure, VecDeque::new());
            return Step::Ended;
        }
        Step::Wrote
    }

    fn put_entry(&mut self, entry: &Entry) -> Result<(), Failure> {
        self.make_room(entry.data.len())?;
        let index = entry.position.index;
        let offset = self.active.offset + self.buffer.len() as u64;
        self.marks.extend(self.marking.entry(index, self.active.name.sequence, offset, self.encoder.crc()));
        self.encoder.append_entry(&entry.to_record(), &mut self.buffer);
        self.last_index = index;
        self.active.highest_index = self.active.highest_index.max(index);
        self.sealed = false;
        Ok(())
    }

    fn put(&mut self, record: &Record) -> Result<(), Failure> {
        let members = match record {
            Record::Snapshot(Snapshot { conf_state: Some(state), .. }) => {
                // An id takes at most 11 bytes.
                11 * (state.voters.len()
                    + state.learners.len()
                    + state.voters_outgoing.len()
                    + state.learners_next.len())
            }
            _ => 0,
        };
        self.make_room(members)?;
        self.encoder.append(record, &mut self.buffer);
        self.sealed = false;
        Ok(())
    }

    fn put_sync_mark(&mut self) {
        self.encoder.append(&Record::Crc(self.encoder.crc()), &mut self.buffer);
        self.sealed = true;
    }

    /// Begins a new segment if the record doesn't fit into this one any more. A record larger than a whole segment gets one to itself,
    /// which grows.
    fn make_room(&mut self, data_bytes: usize) -> Result<(), Failure> {
        let end =
            self.active.offset + (self.buffer.len() + data_bytes + FRAME_OVERHEAD_BYTES_MAX + SYNC_MARK_BYTES) as u64;
        if end > self.options.segment_bytes && self.active.begun {
            self.cut()?;
        }
        self.active.begun = true;
        Ok(())
    }

    /// Ends the segment, durably, and begins the next.
    fn cut(&mut self) -> Result<(), Failure> {
        self.write()?;
        self.sync()?;
        let name = SegmentName { sequence: self.active.name.sequence + 1, first_index: self.last_index + 1 };
        let blank = self.spare.take()?;
        let head = segment::head(&mut self.encoder, self.metadata, self.state);
        let begun = Instant::now();
        let (path, file) = blank.publish(&*self.options.disk, &self.dir, name, &head)?;
        self.options.observer.written(head.len(), begun.elapsed());
        tracing::info!(path = %path.display(), "began a log segment");

        let mut state = self.shared.state.lock();
        state.catalog.raise(self.active.name.sequence, self.active.highest_index);
        self.active =
            Active { name, path, file, offset: head.len() as u64, begun: false, highest_index: self.last_index };
        let Active { name, path, file, highest_index, .. } = &self.active;
        state.catalog.push_segment(Segment {
            name: *name,
            path: path.clone(),
            file: file.clone(),
            highest_index: *highest_index,
        });
        drop(state);
        self.put_sync_mark();
        Ok(())
    }

    fn write(&mut self) -> Result<(), Failure> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let begun = Instant::now();
        let Active { file, path, offset, .. } = &mut self.active;
        file.write_all_at(&self.buffer, *offset).map_err(|source| Failure::new("write", path, source))?;
        *offset += self.buffer.len() as u64;
        self.options.observer.written(self.buffer.len(), begun.elapsed());
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT_BYTES);
        Ok(())
    }

    fn sync(&self) -> Result<(), Failure> {
        let began = Instant::now();
        let result = self.active.file.sync_data();
        let took = began.elapsed();
        self.options.observer.fsync(took);
        if took > SLOW_SYNC {
            tracing::warn!(path = %self.active.path.display(), ?took, "a sync of the log was slow: the disk is overloaded or failing");
        }
        result.map_err(|source| Failure::new("sync", &self.active.path, source))
    }

    /// Writes a sync mark behind what was synced.
    fn seal(&mut self) -> Result<(), Failure> {
        if !self.sealed {
            self.put_sync_mark();
            self.write()?;
        }
        Ok(())
    }

    /// Removes the segments in front of the marker that says the log starts behind `index`, and is durable, if their entries are all at
    /// or below it. One that cannot be removed is tried again with the next purge: it costs space, nothing else.
    fn remove_segments(&mut self, index: u64) {
        loop {
            let oldest = self
                .shared
                .state
                .lock()
                .catalog
                .oldest_below(index, self.purge_sequence)
                .map(|segment| segment.path.clone());
            let Some(path) = oldest else { return };
            // One after the other, each durable before the next: a hole in the row of segments would stop the next start.
            let disk = &self.options.disk;
            if let Err(error) = disk.remove_file(&path).and_then(|()| disk.sync_dir(&self.dir)) {
                tracing::warn!(path = %path.display(), %error, "cannot remove a purged log segment");
                return;
            }
            let mut state = self.shared.state.lock();
            state.catalog.remove_oldest();
            tracing::info!(path = %path.display(), left = state.catalog.segment_count(), "removed a purged log segment");
        }
    }
}

/// Poisons the log: the batch and all that is queued fail, in order, and nothing is taken any more.
fn fail(shared: &Shared, failure: Failure, batch: VecDeque<Command>) {
    tracing::error!(error = %failure, source = ?std::error::Error::source(&failure), "the write-ahead log has failed");
    let queued = {
        let mut state = shared.state.lock();
        state.failure = Some(failure.clone());
        state.queued_bytes = 0;
        std::mem::take(&mut state.queue)
    };
    shared.failure.send_replace(Some(failure.clone()));
    shared.room.notify_waiters();
    for command in batch.into_iter().chain(queued) {
        command.into_done()(Err(failure.to_io()));
    }
}

/// A panic of the thread, in a callback for one, must not leave callers waiting for ever.
struct PoisonOnUnwind {
    shared: Arc<Shared>,
    path: PathBuf,
}

impl Drop for PoisonOnUnwind {
    fn drop(&mut self) {
        let source = std::io::Error::other("its thread has panicked");
        fail(&self.shared, Failure::new("write", &self.path, source), VecDeque::new());
    }
}
