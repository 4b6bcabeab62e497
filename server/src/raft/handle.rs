//! What the rest of the server holds of raft.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver;
use quorate_proto::peer::peer_client::PeerClient;
use quorate_proto::served::etcdserverpb as pb;
use tokio::sync::watch;
use tonic::transport::Channel;

use super::forward::Forwarder;
use super::observer::Observer;
use super::read::Reads;
use super::reconfigure::{self, Rules};
use super::request_id::RequestIds;
use super::state_machine::{Forwarded, StateMachine};
use super::status::Status;
use super::transport::{Identity, Traffic, Transport};
use super::types::{self, TypeConfig};
use crate::position::Position;
use crate::store::{self, Store, apply, auth::ROOT};
use crate::telemetry::traces;
use crate::wal::Wal;

/// Entries that may be committed and not applied yet before new requests are refused; etcd's guard against overload.
const UNAPPLIED_LIMIT: u64 = 5000;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no leader was known in time")]
    NoLeader,
    #[error("the request was not decided in time")]
    Timeout,
    #[error("the leader was lost before the request was decided")]
    LeaderFailed,
    #[error("the local store did not catch up in time")]
    ApplyTooSlow,
    #[error("the request has {size} bytes, more than the {limit} of --max-request-bytes")]
    TooLarge { size: usize, limit: usize },
    #[error("too many requests wait to be applied")]
    Overloaded,
    #[error("this member does not lead")]
    NotLeader,
    #[error("member {0:x} is not a voting member of the cluster")]
    BadTransferee(u64),
    #[error("the change of the members is refused: {0}")]
    Change(#[from] reconfigure::Refusal),
    /// What the leader answered to a call on a client's behalf, in the words of the client's protocol.
    #[error("the leader answers: {}", .0.message())]
    Leader(Box<tonic::Status>),
    #[error("the server is stopping")]
    Stopped,
    /// The entry was committed, and the store's rules refuse what it asks for.
    #[error(transparent)]
    Refused(#[from] store::Refusal),
}

/// Requests counted for the metrics.
#[derive(Default)]
pub(super) struct Counts {
    pub pending: AtomicU64,
    pub failed: AtomicU64,
    pub leader_changes: Arc<AtomicU64>,
}

impl Counts {
    pub fn pending_proposal(&self) -> PendingProposal<'_> {
        self.pending.fetch_add(1, Ordering::Relaxed);
        PendingProposal { counts: self, is_decided: false }
    }
}

/// A proposal on its way. Dropped before it is decided, it has failed: its caller had no more time than it took.
pub(super) struct PendingProposal<'a> {
    counts: &'a Counts,
    is_decided: bool,
}

impl PendingProposal<'_> {
    pub fn decided(mut self) {
        self.is_decided = true;
    }
}

impl Drop for PendingProposal<'_> {
    fn drop(&mut self) {
        self.counts.pending.fetch_sub(1, Ordering::Relaxed);
        if !self.is_decided {
            self.counts.failed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Cheap to clone; lives as long as the member runs.
#[derive(Clone)]
pub struct Handle(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub raft: Raft<TypeConfig, StateMachine>,
    pub identity: Identity,
    pub transport: Transport,
    pub applied: watch::Receiver<Position>,
    pub status: watch::Receiver<Status>,
    pub forwarded: Arc<Forwarded>,
    pub forwarder: Forwarder,
    pub reads: Reads,
    pub request_ids: RequestIds,
    pub counts: Counts,
    pub store: Store,
    pub wal: Wal,
    /// Why this member must not go on with this data folder.
    pub unfit: watch::Sender<Option<String>>,
    pub rules: Rules,
    pub observer: Arc<dyn Observer>,
    /// Held while the members change.
    pub reconfiguring: tokio::sync::Mutex<()>,
    /// When a leader last called.
    pub heard: Arc<parking_lot::Mutex<Instant>>,
    /// When this member, left alone, last asked the others whether it is one of them.
    pub asked: parking_lot::Mutex<Instant>,
    /// Bound on a request from its arrival to its answer.
    pub request_timeout: Duration,
    /// Bound on an encoded request, in bytes.
    pub max_request_bytes: usize,
}

impl Handle {
    /// Agrees on a request and answers with what applying it on this member gave.
    ///
    /// A request that was handed to a leader is never proposed a second time, so an error other than `Refused`,
    /// `TooLarge` and `Overloaded` leaves open whether it took effect.
    pub async fn propose(&self, request: pb::InternalRaftRequest) -> Result<apply::Response, Error> {
        let _span = traces::within("propose", Vec::new);
        self.0.propose(request).await
    }

    /// Proposes what the cluster does by itself; authentication has nothing against it.
    pub async fn propose_as_root(&self, mut request: pb::InternalRaftRequest) -> Result<apply::Response, Error> {
        let registry = self.0.store.auth();
        if registry.enabled() {
            let header = request.header.get_or_insert_default();
            header.username = ROOT.to_owned();
            header.auth_revision = registry.revision();
        }
        self.0.propose(request).await
    }

    /// After this the local store shows every write that was acknowledged anywhere before the call.
    pub async fn read_barrier(&self) -> Result<(), Error> {
        let _span = traces::within("read_barrier", Vec::new);
        let barrier = tokio::time::timeout(self.0.request_timeout, self.0.reads.barrier()).await;
        if barrier.is_err() {
            self.0.observer.read_barrier_failed(true);
        }
        barrier.map_err(|_| Error::Timeout)?
    }

    pub fn status(&self) -> Status {
        self.0.status.borrow().clone()
    }

    pub fn changes(&self) -> watch::Receiver<Status> {
        self.0.status.clone()
    }

    /// Bound on a request from its arrival to its answer.
    pub fn request_timeout(&self) -> Duration {
        self.0.request_timeout
    }

    /// The raft term; never falls.
    pub fn term(&self) -> u64 {
        self.0.status.borrow().term
    }

    pub fn identity(&self) -> Identity {
        self.0.identity
    }

    /// The leader's member id; 0 while none is known.
    pub fn leader(&self) -> u64 {
        self.0.status.borrow().leader
    }

    /// This member does not vote.
    pub fn is_learner(&self) -> bool {
        self.0.status.borrow().is_learner
    }

    pub fn is_leader(&self) -> bool {
        self.0.status.borrow().leader == self.0.identity.member_id
    }

    /// Index of the newest entry this member knows to be committed.
    pub fn committed(&self) -> u64 {
        let metrics = self.0.raft.metrics();
        let committed = metrics.borrow_watched().local_committed;
        types::position_or_start(committed.as_ref()).index
    }

    pub fn applied(&self) -> u64 {
        self.0.applied.borrow().index
    }

    /// A client of the leader's peer protocol and its member id, unless this member leads or no leader is known.
    pub fn leader_client(&self) -> Option<(u64, PeerClient<Channel>)> {
        let leader = self.0.status.borrow().leader;
        if leader == 0 || leader == self.0.identity.member_id {
            return None;
        }
        Some((leader, self.0.transport.client(leader, Traffic::Forward).ok()?))
    }

    /// Addresses a message to a peer in the form that the peer protocol demands.
    pub fn peer_request<T>(&self, target: u64, message: T) -> tonic::Request<T> {
        self.0.transport.request(target, message)
    }

    /// Requests that wait to be decided.
    pub fn pending(&self) -> u64 {
        self.0.counts.pending.load(Ordering::Relaxed)
    }

    /// Requests that were not decided in time.
    pub fn failed_proposals(&self) -> u64 {
        self.0.counts.failed.load(Ordering::Relaxed)
    }

    /// How often this member has seen a leader take over.
    pub fn leader_changes(&self) -> u64 {
        self.0.counts.leader_changes.load(Ordering::Relaxed)
    }

    /// Hands leadership to a voting member and waits until it leads, for at most `limit`.
    pub async fn move_leader(&self, target: u64, limit: Duration) -> Result<(), Error> {
        let status = self.status();
        if status.leader != self.0.identity.member_id {
            return Err(Error::NotLeader);
        }
        if target == status.leader {
            return Ok(());
        }
        if !status.members.iter().any(|member| member.id == target && !member.is_learner) {
            return Err(Error::BadTransferee(target));
        }
        let mut changes = self.0.status.clone();
        self.0.raft.trigger().transfer_leader(target).await.map_err(|_| Error::Stopped)?;
        let moved = changes.wait_for(|status| status.leader == target);
        match tokio::time::timeout(limit, moved).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(Error::Stopped),
            Err(_) => Err(Error::LeaderFailed),
        }
    }

    /// The voting member that is most up to date and reachable, to hand leadership to before stopping.
    pub fn successor(&self) -> Option<u64> {
        let metrics = self.0.raft.metrics();
        let metrics = metrics.borrow_watched();
        let voters: std::collections::BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
        let replication = metrics.replication.as_ref()?;
        replication
            .iter()
            .filter(|(id, _)| **id != self.0.identity.member_id && voters.contains(id))
            .max_by_key(|(_, matched)| **matched)
            .map(|(id, _)| *id)
    }

    /// Resolves when the others have removed this member.
    pub async fn removed(&self) {
        let mut removed = self.0.transport.removed();
        // The sender lives in the transport, which this handle keeps.
        let _ = removed.wait_for(|removed| *removed).await;
    }

    /// Resolves when this member must not go on: its log has lost a part, or it is no member of this cluster.
    pub async fn unfit(&self) -> String {
        let mut unfit = self.0.unfit.subscribe();
        // The sender lives in this handle.
        unfit.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone()).unwrap_or_default()
    }

    /// Resolves when raft has ended by itself: a storage failure, or a bug. The member must stop then.
    pub async fn failed(&self) -> String {
        let mut metrics = self.0.raft.metrics();
        loop {
            if let Err(fatal) = &metrics.borrow_and_update().running_state {
                return fatal.to_string();
            }
            if metrics.changed().await.is_err() {
                return "raft has ended".to_owned();
            }
        }
    }

    pub async fn shutdown(&self) {
        if let Err(error) = self.0.raft.shutdown().await {
            tracing::warn!(%error, "raft did not end cleanly");
        }
    }
}

impl Inner {
    pub(super) fn check_load(&self) -> Result<(), Error> {
        let metrics = self.raft.metrics();
        let committed = metrics.borrow_watched().local_committed;
        let committed = types::position_or_start(committed.as_ref()).index;
        if committed > self.applied.borrow().index + UNAPPLIED_LIMIT {
            return Err(Error::Overloaded);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proposal_whose_caller_leaves_has_failed_and_is_not_pending_any_more() {
        let counts = Counts::default();
        let numbers = || (counts.pending.load(Ordering::Relaxed), counts.failed.load(Ordering::Relaxed));
        let left = counts.pending_proposal();
        let decided = counts.pending_proposal();
        assert_eq!(numbers(), (2, 0));
        drop(left);
        assert_eq!(numbers(), (1, 1));
        decided.decided();
        assert_eq!(numbers(), (0, 1));
    }
}
