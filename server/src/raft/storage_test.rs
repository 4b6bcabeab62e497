//! openraft's own suite for log and state machine, on the real WAL and the real store.
//!
//! Two of the suite's habits are not a real cluster's, and are translated here: it begins logs behind
//! index 0 (ours have no holes), and it installs on one store what `build_snapshot` of another returned (ours returns a
//! note that the store is durable, and cuts files only when a follower needs them).

use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::Stream;
use openraft::entry::RaftEntry;
use openraft::storage::{EntryResponder, IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::storage::{RaftSnapshotBuilder, RaftStateMachine};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::vote::leader_id_std::CommittedLeaderId;
use openraft::{OptionalSend, StorageError};
use tempfile::TempDir;

use super::log_store::LogStore;
use super::snapshot::{Builder, Folder, Snapshot, SnapshotMeta};
use super::state_machine::{Forwarded, StateMachine};
use super::types::{Entry, LogId, StoredMembership, TypeConfig, Vote};
use crate::store::{self, Store};
use crate::wal::{self, Wal};

#[tokio::test]
async fn log_and_state_machine_keep_openrafts_contract() {
    Suite::test_all(Real).await.unwrap();
}

struct Real;

impl StoreBuilder<TypeConfig, FromAnywhere, WithFiles, TempDir> for Real {
    async fn build(&self) -> Result<(TempDir, FromAnywhere, WithFiles), StorageError<TypeConfig>> {
        let dir = tempfile::tempdir().unwrap();
        // Small segments: preallocating 64 MB for each of the suite's logs would be most of its time.
        let options = wal::Options { segment_bytes: 1 << 20, ..wal::Options::default() };
        let metadata = wal::Metadata { node_id: 1, cluster_id: 1 };
        let wal = Wal::create(&dir.path().join("wal"), metadata, options).unwrap();
        let (store, writer) = Store::open(&dir.path().join("store"), store::Options::default()).unwrap();
        let machine = StateMachine::new(store, writer, Arc::new(Forwarded::default()), dir.path().to_owned()).unwrap();
        Ok((dir, FromAnywhere { log: LogStore::new(wal), first: Arc::default() }, WithFiles(machine)))
    }
}

/// A log that may begin at any index: the entries before are filled in and hidden.
#[derive(Clone)]
struct FromAnywhere {
    log: LogStore,
    first: Arc<AtomicU64>,
}

impl FromAnywhere {
    fn hides(&self, id: &LogId) -> bool {
        id.index < self.first.load(Ordering::Relaxed)
    }
}

impl RaftLogReader<TypeConfig> for FromAnywhere {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let mut entries = self.log.try_get_log_entries(range).await?;
        entries.retain(|entry| !self.hides(&entry.log_id));
        Ok(entries)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        self.log.read_vote().await
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.log.limited_get_log_entries(start, end).await
    }
}

impl RaftLogStorage<TypeConfig> for FromAnywhere {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let mut state = self.log.get_log_state().await?;
        state.last_log_id = state.last_log_id.filter(|last| !self.hides(last));
        state.last_purged_log_id = state.last_purged_log_id.filter(|purged| !self.hides(purged));
        Ok(state)
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        self.log.save_vote(vote).await
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        self.log.save_committed(committed).await
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        self.log.read_committed().await
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let empty = self.log.get_log_state().await?.last_log_id.is_none();
        let (term, first) = entries.first().map_or((0, 0), |entry| (entry.log_id.leader_id.term, entry.log_id.index));
        if empty && first > 0 {
            self.first.store(first, Ordering::Relaxed);
            // The suite purges up to what it left out, and takes it to be of the same term.
            let before = (0..first).map(|index| Entry::new_blank(LogId::new(CommittedLeaderId::new(term), index)));
            self.log.append(before.collect::<Vec<_>>(), IOFlushed::noop()).await?;
        }
        self.log.append(entries, callback).await
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.log.truncate_after(last).await
    }

    async fn purge(&mut self, through: LogId) -> io::Result<()> {
        if through.index + 1 >= self.first.load(Ordering::Relaxed) {
            // What was filled in is gone.
            self.first.store(0, Ordering::Relaxed);
        }
        self.log.purge(through).await
    }
}

/// A state machine whose built snapshots have files.
struct WithFiles(StateMachine);

struct FileBuilder(Builder);

impl RaftSnapshotBuilder<TypeConfig> for FileBuilder {
    type SnapshotData = Folder;

    async fn build_snapshot(&mut self) -> io::Result<Snapshot> {
        self.0.build_snapshot().await?;
        self.0.checkpoint().await
    }
}

impl RaftStateMachine<TypeConfig> for WithFiles {
    type SnapshotData = Folder;
    type SnapshotBuilder = FileBuilder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        self.0.applied_state().await
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        self.0.apply(entries).await
    }

    async fn get_snapshot_builder(&mut self) -> FileBuilder {
        FileBuilder(self.0.get_snapshot_builder().await)
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, folder: Folder) -> io::Result<()> {
        self.0.install_snapshot(meta, folder).await
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<Snapshot>> {
        self.0.get_current_snapshot().await
    }
}
