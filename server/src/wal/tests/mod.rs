//! What the log promises, tried on a disk that may lose everything not synced.

mod commands;
mod damage;
mod faults;
mod model;
mod threads;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use super::disk::{Disk, MemoryDisk};
use super::*;
use crate::position::Position;

const METADATA: Metadata = Metadata { node_id: 0x8e9e_05c5_2164_694d, cluster_id: 0xcdf8_18194e3a8c32 };

/// A log in memory whose writer is stepped by the test.
struct Log {
    disk: MemoryDisk,
    wal: Wal,
    writer: Writer,
    recovered: Recovered,
    /// What the callbacks said, in order.
    answers: Arc<Mutex<Vec<Answer>>>,
    next_answer: u64,
}

/// Number of the command, and what its callback was told.
type Answer = (u64, Result<(), String>);

fn dir() -> PathBuf {
    PathBuf::from("/member/wal")
}

fn options(disk: &MemoryDisk, segment_bytes: u64, tail_bytes: usize) -> Options {
    Options { segment_bytes, tail_bytes, disk: Arc::new(disk.clone()), ..Options::default() }
}

fn at(term: u64, index: u64) -> Position {
    Position { term, index }
}

fn entry(term: u64, index: u64, data: &str) -> Entry {
    Entry { kind: EntryKind::Normal, position: at(term, index), data: Bytes::copy_from_slice(data.as_bytes()) }
}

fn state(term: u64, vote: u64, commit: u64) -> HardState {
    HardState { term, vote, commit, vote_committed: vote != 0 }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// A disk with a parent folder and a new log in it.
fn new_disk(segment_bytes: u64) -> MemoryDisk {
    let disk = MemoryDisk::default();
    disk.create_dir(Path::new("/member")).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    create::create(&dir(), METADATA, &options(&disk, segment_bytes, 1 << 20)).unwrap();
    disk
}

impl Log {
    fn new(segment_bytes: u64, tail_bytes: usize) -> Self {
        Self::open(&new_disk(segment_bytes), segment_bytes, tail_bytes).unwrap()
    }

    fn open(disk: &MemoryDisk, segment_bytes: u64, tail_bytes: usize) -> Result<Self, Error> {
        let (wal, recovered, writer) = Wal::open_by_hand(&dir(), options(disk, segment_bytes, tail_bytes))?;
        Ok(Self { disk: disk.clone(), wal, writer, recovered, answers: Arc::default(), next_answer: 0 })
    }

    /// A callback that notes its number and what it was told.
    fn answer(&mut self) -> impl FnOnce(std::io::Result<()>) + Send + 'static {
        let number = self.next_answer;
        self.next_answer += 1;
        let answers = self.answers.clone();
        move |result| answers.lock().push((number, result.map_err(|error| error.to_string())))
    }

    fn append(&mut self, entries: &[Entry]) -> Result<(), Error> {
        let done = self.answer();
        block_on(self.wal.append(entries.to_vec(), done))
    }

    fn save_state(&mut self, state: HardState) -> Result<(), Error> {
        let done = self.answer();
        block_on(self.wal.save_state(state, done))
    }

    fn purge(&mut self, position: Position) {
        let done = self.answer();
        block_on(self.wal.purge_through(position, done)).unwrap();
    }

    fn mark(&mut self, position: Position) {
        let done = self.answer();
        block_on(self.wal.mark_snapshot(position, None, done)).unwrap();
    }

    fn all(&self) -> Vec<Entry> {
        self.wal.read(self.wal.first_index()..u64::MAX, usize::MAX).unwrap()
    }

    fn answered(&self) -> Vec<u64> {
        self.answers.lock().iter().map(|(number, _)| *number).collect()
    }

    fn segments(&self) -> Vec<String> {
        segments(&self.disk)
    }
}

fn segments(disk: &MemoryDisk) -> Vec<String> {
    disk.list(&dir()).unwrap().into_iter().filter(|name| name.ends_with(".wal")).collect()
}
