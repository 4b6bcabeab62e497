//! The handle that readers hold.

use std::{path::Path, sync::Arc, time::Instant};

use bytes::Bytes;
use quorate_proto::{
    membershippb::Attributes,
    served::etcdserverpb::{self as pb, response_op::Response},
};

use super::{
    apply::Writer,
    auth::{Registry, Tokens},
    backend::{Backend, Batch, Family, Rocks},
    cluster::Downgrade,
    error::Error,
    kv::{self, compactor::Compactor, hash::HashKv},
    lease::LeaseView,
    observer::Observer,
    open,
    options::Options,
    shared::Shared,
    size::{self, Size},
    snapshot::folder::Folder,
    state::meta,
    watch::Hub,
};
use crate::position::Position;

/// The store, for reading; clones are cheap and see the same store.
#[derive(Clone)]
pub struct Store {
    pub(super) shared: Arc<Shared>,
    pub(super) hub: Hub,
}

impl Store {
    /// Opens the store in `dir`, which is made if it does not exist; a folder made by [`Store::checkpoint`] is one too. Reads
    /// every row once to build the index.
    ///
    /// The applied position may be older than what was applied before a crash: the log's entries behind it must come again.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Writer), Error> {
        let folder = Folder::open(dir)?;
        let backend = Rocks::open(&folder.rows(), &options)?;
        Self::start(Arc::new(backend), options, Some(folder))
    }

    /// A store on another backend, such as [`super::backend::Memory`].
    pub fn open_on(backend: Arc<dyn Backend>, options: Options) -> Result<(Self, Writer), Error> {
        Self::start(backend, options, None)
    }

    fn start(backend: Arc<dyn Backend>, options: Options, folder: Option<Folder>) -> Result<(Self, Writer), Error> {
        let state = open::restore(backend)?;
        let shared = Shared::new(state, options, folder);
        let hub = Hub::new(shared.options.watch.clone(), shared.revision());
        let compactor = Compactor::start(shared.clone()).map_err(Error::file("compaction thread"))?;
        compactor.wake();
        Ok((Self { shared: shared.clone(), hub: hub.clone() }, Writer::new(shared, hub, compactor)))
    }

    /// A range of keys. The header carries the current revision.
    pub fn range(&self, request: &pb::RangeRequest) -> Result<pb::RangeResponse, Error> {
        self.shared.tell(|observer| observer.ranged(1));
        kv::range(&self.shared, request)
    }

    /// From now on the store tells what it does. The first observer stays.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.shared.observe(observer);
    }

    /// A transaction without writes, at one revision. Its writes, if it has any, are refused.
    pub fn read_txn(&self, request: &pb::TxnRequest) -> Result<pb::TxnResponse, Error> {
        let reply = kv::read_txn(&self.shared, request)?;
        self.shared.tell(|observer| observer.ranged(ranges(&reply)));
        Ok(reply)
    }

    /// The revision of the last write; 1 before the first.
    pub fn revision(&self) -> i64 {
        self.shared.revision()
    }

    /// Revisions below are gone; -1 before the first compaction.
    pub fn compact_revision(&self) -> i64 {
        self.shared.compacted()
    }

    /// Where the last applied entry stands.
    pub fn applied(&self) -> Position {
        self.shared.read().applied
    }

    /// The last membership entry and where it stands.
    pub fn membership(&self) -> Option<(Position, Bytes)> {
        self.shared.read().membership.clone()
    }

    /// Makes what is applied durable; the log is needed only behind the returned position.
    pub fn flush(&self) -> Result<Position, Error> {
        let (backend, applied) = {
            let state = self.shared.read();
            (state.backend.clone(), state.applied)
        };
        backend.flush()?;
        let mut flushed = self.shared.flushed.lock();
        *flushed = applied.max(*flushed);
        Ok(*flushed)
    }

    /// Durable up to here, at least.
    pub fn flushed(&self) -> Position {
        *self.shared.flushed.lock()
    }

    /// etcd's hash of the history up to `revision` (0: all of it).
    pub fn hash_kv(&self, revision: i64) -> Result<HashKv, Error> {
        self.hashing(true, || kv::hash::hash_kv(&self.shared, revision))
    }

    /// Hashes of the last compactions, newest first; see [`Options::compaction_hashes`].
    pub fn compaction_hashes(&self) -> Vec<HashKv> {
        self.shared.compaction_hashes.lock().iter().rev().copied().collect()
    }

    /// A hash of everything the entries decide: keys, leases, members, alarms.
    pub fn hash(&self) -> Result<u32, Error> {
        self.hashing(false, || kv::hash::hash(&self.shared))
    }

    fn hashing<T>(&self, up_to_revision: bool, hash: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let hashed = hash();
        self.shared.tell(|observer| observer.hashed(up_to_revision, begun.elapsed()));
        hashed
    }

    pub fn size(&self) -> Size {
        self.shared.size()
    }

    /// The raised alarms, ordered by kind and member.
    pub fn alarms(&self) -> Vec<pb::AlarmMember> {
        self.shared.read().alarms.list(pb::AlarmType::None as i32)
    }

    /// Ids of all leases, ascending.
    pub fn leases(&self) -> Vec<i64> {
        self.shared.read().leases.ids()
    }

    /// All leases with their times but without their keys, by id.
    pub fn lease_times(&self) -> Vec<LeaseView> {
        self.shared.read().leases.times()
    }

    /// A lease with its times but without its keys.
    pub fn lease_time(&self, id: i64) -> Option<LeaseView> {
        self.shared.read().leases.time(id)
    }

    pub fn lease(&self, id: i64) -> Option<LeaseView> {
        self.shared.read().leases.view(id)
    }

    /// What members have said about themselves, by member id.
    pub fn member_attributes(&self) -> Vec<(u64, Attributes)> {
        self.shared.read().cluster.attributes.iter().map(|(id, attributes)| (*id, attributes.clone())).collect()
    }

    /// Whether a member of this id was removed from the cluster, by the entries applied so far.
    pub fn is_removed_member(&self, id: u64) -> bool {
        self.shared.read().cluster.removed.contains(&id)
    }

    pub fn cluster_version(&self) -> Option<String> {
        self.shared.read().cluster.version.clone()
    }

    /// The downgrade in progress, if there is one.
    pub fn downgrade(&self) -> Option<Downgrade> {
        self.shared.read().cluster.downgrade.clone()
    }

    /// Gives back what compaction has freed: [`Size::total`] becomes [`Size::in_use`], and RocksDB rewrites its files. Takes long.
    pub fn defragment(&self) -> Result<(), Error> {
        let begun = Instant::now();
        self.shared.tell(|observer| observer.defragmenting(None));
        let defragmented = self.rewrite();
        self.shared.tell(|observer| observer.defragmenting(Some(begun.elapsed())));
        defragmented
    }

    fn rewrite(&self) -> Result<(), Error> {
        let backend = {
            let mut state = self.shared.write();
            state.total_bytes = size::in_use(state.rows_bytes);
            let applied = (Family::Meta, Bytes::from_static(meta::APPLIED.as_bytes()), Some(state.position_row()));
            state.backend.write(Batch { others: vec![applied], ..Default::default() })?;
            self.shared.publish(&state);
            state.backend.clone()
        };
        backend.compact()?;
        self.flush().map(drop)
    }

    /// Waits until the rows that compaction at `revision` drops are gone.
    pub async fn wait_compaction(&self, revision: i64) {
        // Ends with an error only if the sender is gone, and we hold it.
        let _ = self.shared.finished.subscribe().wait_for(|finished| *finished >= revision).await;
    }

    /// Users and roles as of the last applied entry.
    pub fn auth(&self) -> Arc<Registry> {
        self.shared.auth()
    }

    pub fn tokens(&self) -> &Tokens {
        &self.shared.tokens
    }

    /// Recent events, for watchers.
    pub fn watch(&self) -> &Hub {
        &self.hub
    }

    /// Bytes of memory the index takes.
    pub fn index_bytes(&self) -> usize {
        self.shared.read().index.memory_bytes()
    }

    /// Keys that exist now.
    pub fn keys(&self) -> usize {
        let everything = kv::index::KeyRange::all();
        self.shared.read().index.count(&everything)
    }
}

/// How many ranges a reply answers, those of nested transactions included.
fn ranges(reply: &pb::TxnResponse) -> u64 {
    let of = |op: &pb::ResponseOp| match &op.response {
        Some(Response::ResponseRange(_)) => 1,
        Some(Response::ResponseTxn(nested)) => ranges(nested),
        _ => 0,
    };
    reply.responses.iter().map(of).sum()
}
