//! openraft's log storage over the WAL room.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use openraft::{EntryPayload, OptionalSend};
use tokio::sync::oneshot;

use super::membership;
use super::types::{self, Entry, LogId, Proposal, TypeConfig, Vote};
use crate::wal::{self, EntryKind, HardState, Wal};

/// Bytes of entries in one append message to a follower; etcd's limit for the same message.
const APPEND_LIMIT_BYTES: usize = 1 << 20;

/// Log and votes of this member. Clones share the WAL and serve as log readers.
#[derive(Clone)]
pub struct LogStore {
    wal: Wal,
}

impl LogStore {
    pub fn new(wal: Wal) -> Self {
        Self { wal }
    }

    /// Entries with `first <= index < end` (etcd's indexes), at least one, then up to `limit_bytes`.
    pub fn read(&self, first: u64, end: u64, limit_bytes: usize) -> io::Result<Vec<Entry>> {
        let entries = self.wal.read(first..end, limit_bytes).map_err(io::Error::other)?;
        entries.into_iter().map(from_wal).collect()
    }
}

impl RaftLogReader<TypeConfig> for LogStore {
    async fn try_get_log_entries<RB>(&mut self, range: RB) -> io::Result<Vec<Entry>>
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let first = match range.start_bound() {
            Bound::Included(index) => index + 1,
            Bound::Excluded(index) => index + 2,
            Bound::Unbounded => 1,
        };
        let end = match range.end_bound() {
            Bound::Included(index) => index + 2,
            Bound::Excluded(index) => index + 1,
            Bound::Unbounded => u64::MAX,
        };
        // Entries that were purged are no failure: openraft asks for ranges that begin before what is left.
        self.read(first.max(self.wal.first_index()), end, usize::MAX)
    }

    async fn read_vote(&mut self) -> io::Result<Option<Vote>> {
        Ok(self.wal.state().and_then(|state| types::vote(state.term, state.vote, state.vote_committed)))
    }

    async fn limited_get_log_entries(&mut self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        self.read(start + 1, end + 1, APPEND_LIMIT_BYTES)
    }
}

impl RaftLogStorage<TypeConfig> for LogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> io::Result<LogState<TypeConfig>> {
        let purged = types::log_id(self.wal.purged());
        let last = types::log_id(self.wal.last());
        Ok(LogState { last_purged_log_id: purged, last_log_id: last.max(purged) })
    }

    async fn get_log_reader(&mut self) -> Self::LogReader {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> io::Result<()> {
        let (done, saved) = oneshot::channel();
        let state = HardState {
            term: types::term(vote.leader_id.term),
            vote: vote.leader_id.voted_for,
            commit: self.wal.state().map(|state| state.commit).unwrap_or_default(),
            vote_committed: vote.committed,
        };
        self.wal
            .save_state(state, move |result| {
                // The receiver is only gone when this future was dropped, and then nobody waits.
                let _ = done.send(result);
            })
            .await
            .map_err(io::Error::other)?;
        saved.await.map_err(|_| io::Error::other("the WAL thread ended"))?
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> io::Result<()> {
        if let Some(committed) = committed {
            self.wal.save_commit_lazily(types::position(&committed).index);
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> io::Result<Option<LogId>> {
        let Some(commit) = self.wal.state().map(|state| state.commit).filter(|commit| *commit > 0) else {
            return Ok(None);
        };
        if commit <= self.wal.purged().index {
            return Ok(types::log_id(self.wal.purged()));
        }
        Ok(self.read(commit, commit + 1, usize::MAX)?.first().map(RaftEntry::log_id))
    }

    async fn append<I>(&mut self, entries: I, callback: IOFlushed<TypeConfig>) -> io::Result<()>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<wal::Entry> = entries.into_iter().map(to_wal).collect();
        self.wal.append(entries, move |result| callback.io_completed(result)).await.map_err(io::Error::other)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> io::Result<()> {
        self.wal.truncate_after(types::position_or_start(last.as_ref()).index).map_err(io::Error::other)
    }

    async fn purge(&mut self, through: LogId) -> io::Result<()> {
        let position = types::position(&through);
        self.wal
            .purge_through(position, move |result| {
                // Nobody waits for a purge; a failed one has poisoned the log, which ends the process.
                if let Err(error) = result {
                    tracing::error!(%position, %error, "failed to purge the log");
                }
            })
            .await
            .map_err(io::Error::other)
    }
}

fn to_wal(entry: Entry) -> wal::Entry {
    let position = types::position(&entry.log_id);
    let (kind, data) = match entry.payload {
        EntryPayload::Blank => (EntryKind::Normal, bytes::Bytes::new()),
        EntryPayload::Normal(Proposal(data)) => (EntryKind::Normal, data),
        EntryPayload::Membership(membership) => (EntryKind::ConfChangeV2, membership::encode(&membership)),
    };
    wal::Entry { kind, position, data }
}

pub(super) fn from_wal(entry: wal::Entry) -> io::Result<Entry> {
    let payload = match entry.kind {
        EntryKind::Normal if entry.data.is_empty() => EntryPayload::Blank,
        EntryKind::Normal => EntryPayload::Normal(Proposal(entry.data)),
        EntryKind::ConfChange | EntryKind::ConfChangeV2 => {
            EntryPayload::Membership(membership::decode(&entry.data).map_err(io::Error::other)?)
        }
    };
    let log_id = types::log_id(entry.position).ok_or_else(|| io::Error::other("an entry of the log has index 0"))?;
    Ok(Entry { log_id, payload })
}
