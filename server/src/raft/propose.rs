//! The way of a write: to the log when this member leads, to the leader otherwise; the answer comes from the local
//! apply in both cases.

use std::time::Instant;

use bytes::Bytes;
use openraft::errors::{ClientWriteError, Fatal};
use openraft::impls::OneshotResponder;
use prost::Message;
use quorate_proto::served::etcdserverpb as pb;
use tokio::sync::oneshot;

use super::handle::{Error, Inner};
use super::types::{Proposal, Reply};
use crate::operation::Operation;
use crate::store::apply;

/// What became of a request that was handed to openraft.
pub(super) enum Decision {
    Applied(Reply),
    /// It never entered the log.
    NotLeader,
    /// It entered the log of a leader that was then replaced.
    Unknown,
}

impl Inner {
    pub(super) async fn propose(&self, mut request: pb::InternalRaftRequest) -> Result<apply::Response, Error> {
        self.check_load()?;
        let id = self.request_ids.next();
        request.header.get_or_insert_default().id = id;
        let size = request.encoded_len();
        if size > self.max_request_bytes {
            return Err(Error::TooLarge { size, limit: self.max_request_bytes });
        }
        let operation = Operation::of(&request);
        let begun = Instant::now();
        let data = Bytes::from(request.encode_to_vec());
        let pending = self.counts.pending_proposal();
        let outcome = match tokio::time::timeout(self.request_timeout, self.decide(id, data)).await {
            Ok(decided) => decided,
            Err(_) if self.status.borrow().leader == 0 => Err(Error::NoLeader),
            Err(_) => Err(Error::Timeout),
        };
        let is_decided = !matches!(outcome, Err(Error::NoLeader | Error::Timeout | Error::LeaderFailed));
        if is_decided {
            pending.decided();
        }
        self.observer.proposed(operation, is_decided, begun.elapsed());
        outcome
    }

    async fn decide(&self, id: u64, data: Bytes) -> Result<apply::Response, Error> {
        let mut status = self.status.clone();
        loop {
            let leader = match status.wait_for(|status| status.leader != 0).await {
                Ok(status) => status.leader,
                Err(_) => return Err(Error::Stopped),
            };
            let outcome = if leader == self.identity.member_id {
                match self.append(data.clone()).await? {
                    Decision::Applied(Reply(Some(outcome))) => Some(outcome),
                    // A request is a normal entry, and applying one always has an outcome.
                    Decision::Applied(Reply(None)) | Decision::Unknown => return Err(Error::LeaderFailed),
                    Decision::NotLeader => None,
                }
            } else {
                self.forward(leader, id, data.clone()).await?
            };
            match outcome {
                Some(outcome) => return outcome.map_err(Error::Refused),
                // Not appended anywhere: try again with whoever leads next, or the same once it can.
                None => self.pause(&mut status).await,
            }
        }
    }

    /// Appends to this member's log; fails over to `NotLeader` when it does not lead.
    pub(super) async fn append(&self, data: Bytes) -> Result<Decision, Error> {
        let (responder, decided) = OneshotResponder::new_pair();
        self.raft.client_write_ff(Proposal(data), Some(responder)).await.map_err(|_: Fatal<_>| Error::Stopped)?;
        match decided.await {
            Ok(Ok(response)) => Ok(Decision::Applied(response.data)),
            Ok(Err(ClientWriteError::ForwardToLeader(_))) => Ok(Decision::NotLeader),
            Ok(Err(ClientWriteError::LogEntryDiscarded(_))) => Ok(Decision::Unknown),
            // Membership and precondition errors don't arise from normal entries.
            Ok(Err(ClientWriteError::ChangeMembershipError(_) | ClientWriteError::PreconditionFailed(_))) => {
                Ok(Decision::Unknown)
            }
            Err(_) => Err(Error::Stopped),
        }
    }

    /// `None`: the leader did not take it.
    async fn forward(&self, leader: u64, id: u64, data: Bytes) -> Result<Option<apply::Outcome>, Error> {
        let mut applied = Registered::new(self, id);
        let taken = self.forwarder.send(leader, data);
        tokio::pin!(taken);
        tokio::select! {
            biased;
            outcome = &mut applied.outcome => outcome.map(Some).map_err(|_| Error::Stopped),
            taken = &mut taken => match taken {
                Some(peer_outcome) => match peer_outcome {
                    quorate_proto::peer::ProposeOutcome::NotLeader => Ok(None),
                    quorate_proto::peer::ProposeOutcome::Unknown => Err(Error::LeaderFailed),
                    quorate_proto::peer::ProposeOutcome::Applied => {
                        (&mut applied.outcome).await.map(Some).map_err(|_| Error::Stopped)
                    }
                },
                // The call broke: the leader may have it. Only the local apply can tell, until the time is up.
                None => (&mut applied.outcome).await.map(Some).map_err(|_| Error::Stopped),
            },
        }
    }

    /// Waits for a change of leadership, or a moment where the same leader may be able again.
    async fn pause(&self, status: &mut tokio::sync::watch::Receiver<super::Status>) {
        const AGAIN: std::time::Duration = std::time::Duration::from_millis(20);
        status.mark_unchanged();
        // Either outcome means: try again.
        let _ = tokio::time::timeout(AGAIN, status.changed()).await;
    }
}

/// A place among the forwarded requests, given up on drop.
struct Registered<'a> {
    inner: &'a Inner,
    id: u64,
    outcome: oneshot::Receiver<apply::Outcome>,
}

impl<'a> Registered<'a> {
    fn new(inner: &'a Inner, id: u64) -> Self {
        Self { inner, id, outcome: inner.forwarded.register(id) }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.inner.forwarded.forget(self.id);
    }
}
