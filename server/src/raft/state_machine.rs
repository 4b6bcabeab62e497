//! openraft's state machine over the store room.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use futures::{Stream, StreamExt};
use openraft::storage::{EntryResponder, RaftStateMachine};
use openraft::{EntryPayload, OptionalSend};
use parking_lot::Mutex;
use prost::Message;
use quorate_proto::served::etcdserverpb as pb;
use tokio::sync::{oneshot, watch};

use super::log_store::LogStore;
use super::membership;
use super::observer::Observer;
use super::snapshot::{Builder, Folder, SnapshotMeta};
use super::types::{self, Entry, LogId, Proposal, Reply, StoredMembership, TypeConfig};
use crate::position::Position;
use crate::store::{Store, Writer, apply};

/// Entries applied in one batch: one write to RocksDB, one publication to watchers.
const APPLY_BATCH_ENTRIES: usize = 4096;

/// Requests this member forwarded to the leader and whose outcome its own apply will produce, by request id.
#[derive(Default)]
pub struct Forwarded {
    waiting: Mutex<HashMap<u64, oneshot::Sender<apply::Outcome>>>,
    count: AtomicUsize,
}

impl Forwarded {
    pub fn register(&self, id: u64) -> oneshot::Receiver<apply::Outcome> {
        let (outcome, receiver) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        waiting.insert(id, outcome);
        self.count.store(waiting.len(), Ordering::Release);
        receiver
    }

    pub fn forget(&self, id: u64) {
        let mut waiting = self.waiting.lock();
        waiting.remove(&id);
        self.count.store(waiting.len(), Ordering::Release);
    }

    fn resolve(&self, id: u64, outcome: apply::Outcome) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut waiting = self.waiting.lock();
        if let Some(sender) = waiting.remove(&id) {
            // Nobody waits any more when the request's own time-out has passed.
            let _ = sender.send(outcome);
        }
        self.count.store(waiting.len(), Ordering::Release);
    }
}

pub struct StateMachine {
    store: Store,
    writer: Writer,
    /// As of the last entry that was decoded.
    members: BTreeSet<u64>,
    forwarded: Arc<Forwarded>,
    applied: watch::Sender<Position>,
    snapshot_dir: PathBuf,
    /// What the newest snapshot covers; none until one was taken or installed since the start.
    snapshot: Arc<Mutex<Option<SnapshotMeta>>>,
    observer: Option<Arc<dyn Observer>>,
}

impl StateMachine {
    pub fn new(store: Store, writer: Writer, forwarded: Arc<Forwarded>, snapshot_dir: PathBuf) -> io::Result<Self> {
        let applied = watch::Sender::new(store.applied());
        let members = members(&store)?;
        Ok(Self { store, writer, members, forwarded, applied, snapshot_dir, snapshot: Arc::default(), observer: None })
    }

    /// From now on the times of applied batches are reported.
    pub fn observe(&mut self, observer: Arc<dyn Observer>) {
        self.observer = Some(observer);
    }

    pub fn applied(&self) -> watch::Receiver<Position> {
        self.applied.subscribe()
    }

    fn tell_installing(&self, begins: bool) {
        if let Some(observer) = &self.observer {
            observer.installing(begins);
        }
    }

    /// Applies what the log holds beyond the store's last flush, up to `commit`, before raft starts.
    pub fn replay(&mut self, log: &LogStore, commit: u64) -> io::Result<()> {
        const CHUNK_BYTES: usize = 8 << 20;
        let mut next = self.store.applied().index + 1;
        while next <= commit {
            let entries = log.read(next, commit + 1, CHUNK_BYTES)?;
            let Some(last) = entries.last() else {
                return Err(io::Error::other(format!(
                    "the log has no entry {next}, though {commit} is committed and the store holds only what came before"
                )));
            };
            next = types::position(&last.log_id).index + 1;
            let batch = entries
                .into_iter()
                .map(|entry| Ok(decode(entry, &mut self.members)?.1))
                .collect::<io::Result<Vec<_>>>()?;
            self.writer.apply(batch).map_err(io::Error::other)?;
        }
        self.applied.send_replace(self.store.applied());
        Ok(())
    }
}

/// The request id (0 for blank and membership entries) and the entry as the store takes it. `members`: who is in the cluster
/// before this entry, and after it.
fn decode(entry: Entry, members: &mut BTreeSet<u64>) -> io::Result<(u64, apply::Entry)> {
    let position = types::position(&entry.log_id);
    let (id, payload) = match entry.payload {
        EntryPayload::Blank => (0, apply::Payload::Blank),
        EntryPayload::Membership(membership) => {
            let now: BTreeSet<u64> = membership.nodes().map(|(id, _)| *id).collect();
            let removed = members.difference(&now).copied().collect();
            *members = now;
            (0, apply::Payload::Membership { data: membership::encode(&membership), removed })
        }
        EntryPayload::Normal(Proposal(data)) => {
            let request = pb::InternalRaftRequest::decode(data).map_err(|error| {
                io::Error::other(format!("entry {position} of the log is not a request this server knows: {error}"))
            })?;
            let id = request.header.as_ref().map(|header| header.id).unwrap_or_default();
            (id, apply::Payload::Request(Box::new(request)))
        }
    };
    Ok((id, apply::Entry { position, payload }))
}

fn members(store: &Store) -> io::Result<BTreeSet<u64>> {
    Ok(stored_membership(store.membership())?.nodes().map(|(id, _)| *id).collect())
}

pub(super) fn stored_membership(stored: Option<(Position, bytes::Bytes)>) -> io::Result<StoredMembership> {
    let Some((position, data)) = stored else { return Ok(StoredMembership::default()) };
    let membership = membership::decode(&data).map_err(io::Error::other)?;
    Ok(StoredMembership::new(types::log_id(position), membership))
}

impl RaftStateMachine<TypeConfig> for StateMachine {
    type SnapshotData = Folder;
    type SnapshotBuilder = Builder;

    async fn applied_state(&mut self) -> io::Result<(Option<LogId>, StoredMembership)> {
        Ok((types::log_id(self.store.applied()), stored_membership(self.store.membership())?))
    }

    async fn apply<Strm>(&mut self, entries: Strm) -> io::Result<()>
    where
        Strm: Stream<Item = io::Result<EntryResponder<TypeConfig>>> + Unpin + OptionalSend,
    {
        let mut chunks = entries.ready_chunks(APPLY_BATCH_ENTRIES);
        while let Some(chunk) = chunks.next().await {
            let mut batch = Vec::with_capacity(chunk.len());
            let mut answers = Vec::with_capacity(chunk.len());
            for item in chunk {
                let (entry, responder) = item?;
                let (id, entry) = decode(entry, &mut self.members)?;
                batch.push(entry);
                answers.push((id, responder));
            }
            let Some(last) = batch.last().map(|entry| entry.position) else { continue };
            let (entries, begun) = (batch.len(), Instant::now());
            let outcomes = self.writer.apply(batch).map_err(io::Error::other)?;
            if let Some(observer) = &self.observer {
                observer.applied(entries, last.index, begun.elapsed());
            }
            self.applied.send_replace(last);
            for ((id, responder), outcome) in answers.into_iter().zip(outcomes) {
                match responder {
                    Some(responder) => responder.send(Reply(Some(outcome))),
                    None if id != 0 => self.forwarded.resolve(id, outcome),
                    None => {}
                }
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Builder {
        Builder::new(self.store.clone(), self.snapshot_dir.clone(), self.snapshot.clone())
    }

    async fn install_snapshot(&mut self, meta: &SnapshotMeta, folder: Folder) -> io::Result<()> {
        let path = folder.path().ok_or_else(|| io::Error::other("the received snapshot has no folder"))?;
        self.tell_installing(true);
        let replaced = self.writer.replace_with(&path).map_err(io::Error::other);
        self.tell_installing(false);
        replaced?;
        self.members = members(&self.store)?;
        *self.snapshot.lock() = Some(meta.clone());
        self.applied.send_replace(self.store.applied());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> io::Result<Option<openraft::alias::SnapshotOf<TypeConfig, Folder>>> {
        // Asked at the start (nothing was taken yet) and whenever a follower needs one; then it is cut afresh, so that
        // the follower has the least to catch up with afterwards.
        if self.snapshot.lock().is_none() {
            return Ok(None);
        }
        self.get_snapshot_builder().await.checkpoint().await.map(Some)
    }
}
