//! What this member does when another one calls: the receiving half of `transport`.

use std::path::Path;
use std::time::Instant;

use futures::{Stream, StreamExt};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::AppendEntriesResponse;
use quorate_proto::peer;

use super::acknowledged::Acknowledged;
use super::handle::{Error, Handle};
use super::observer::{Direction, Transfer};
use super::propose::Decision;
use super::{snapshot_receive, wire};

/// Why a peer's call fails.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("the message is not valid")]
    Invalid(#[from] wire::Error),
    #[error("raft has stopped on this member: {0}")]
    Stopped(String),
    #[error("the snapshot was not taken")]
    Snapshot(#[from] snapshot_receive::Error),
    #[error("member {0:x} is not a member of the cluster")]
    NotAMember(u64),
    #[error("the member has been permanently removed from the cluster")]
    Removed,
    #[error("the log of this member ends at entry {last}, and it has acknowledged {acknowledged}")]
    LogLost { last: u64, acknowledged: u64 },
    #[error(transparent)]
    Raft(#[from] Error),
}

fn stopped(error: impl std::fmt::Display) -> Refusal {
    Refusal::Stopped(error.to_string())
}

impl Handle {
    /// Answers a leader's stream of appends in order, several of them under way at once.
    pub fn append_stream(
        &self,
        requests: impl Stream<Item = peer::AppendRequest> + Send + 'static,
    ) -> impl Stream<Item = Result<peer::AppendResponse, Refusal>> + Send + 'static {
        // A message that can't be read ends the stream: what came before it is answered.
        let heard = self.0.heard.clone();
        let requests = requests.inspect(move |_| *heard.lock() = Instant::now());
        let requests = requests.map(wire::append_request_from_wire).scan((), |(), request| {
            futures::future::ready(match request {
                Ok(request) => Some(request),
                Err(error) => {
                    tracing::warn!(%error, "a leader's append can't be read");
                    None
                }
            })
        });
        self.0.raft.stream_append(requests).map(|result| match result {
            Ok(result) => Ok(wire::append_response_to_wire(AppendEntriesResponse::from(result))),
            Err(fatal) => Err(stopped(fatal)),
        })
    }

    /// Ends this member if its log has lost what it acknowledged to this leader. Its vote could elect a leader without it.
    pub fn check_acknowledged(&self, said: Acknowledged) -> Result<(), Refusal> {
        let term = self.0.wal.state().map_or(0, |state| state.term);
        let last = self.0.wal.last().index;
        if !said.is_lost_by(term, last) {
            return Ok(());
        }
        let reason = format!(
            "the log of this member ends at entry {last}, but it has acknowledged entry {}: its data folder was replaced by an \
             older one or lost writes; remove the member from the cluster and add it again with an empty folder",
            said.index
        );
        self.0.unfit.send_replace(Some(reason));
        Err(Refusal::LogLost { last, acknowledged: said.index })
    }

    pub async fn append_once(&self, request: peer::AppendRequest) -> Result<peer::AppendResponse, Refusal> {
        *self.0.heard.lock() = Instant::now();
        let request = wire::append_request_from_wire(request)?;
        let response = self.0.raft.append_entries(request).await.map_err(stopped)?;
        Ok(wire::append_response_to_wire(response))
    }

    /// Only members may ask for votes. A leader that this member does not know yet is another matter: its appends tell.
    pub fn check_candidate(&self, id: u64) -> Result<(), Refusal> {
        if self.0.store.is_removed_member(id) {
            return Err(Refusal::Removed);
        }
        let metrics = self.0.raft.server_metrics();
        let metrics = metrics.borrow_watched();
        let (newest, committed) = (&metrics.membership_config, &metrics.committed_membership_config);
        if committed.nodes().next().is_none()
            || [newest, committed].iter().any(|members| members.nodes().any(|(member, _)| *member == id))
        {
            return Ok(());
        }
        Err(Refusal::NotAMember(id))
    }

    pub async fn vote(&self, request: peer::VoteRequest) -> Result<peer::VoteResponse, Refusal> {
        let response = self.0.raft.vote(wire::vote_request_from_wire(request)?).await.map_err(stopped)?;
        Ok(wire::vote_response_to_wire(response))
    }

    pub async fn pre_vote(&self, request: peer::VoteRequest) -> Result<peer::VoteResponse, Refusal> {
        let response = self.0.raft.pre_vote(wire::vote_request_from_wire(request)?).await.map_err(stopped)?;
        Ok(wire::vote_response_to_wire(response))
    }

    pub async fn take_leadership(&self, request: peer::TransferLeaderRequest) -> Result<(), Refusal> {
        let request = wire::transfer_request_from_wire(request)?;
        match self.0.raft.handle_transfer_leader(request).await.map_err(stopped)? {
            Ok(()) => Ok(()),
            Err(refused) => Err(stopped(refused)),
        }
    }

    pub async fn change_member_for_peer(&self, message: peer::MemberChange) -> Result<(), Refusal> {
        let change = wire::member_change_from_wire(message)?;
        Ok(self.change_members_here(change).await?)
    }

    /// Has the transfer of a snapshot from a member counted.
    pub fn receiving_from(&self, member_id: u64) -> Transfer {
        self.0.transport.transfer(member_id, Direction::Receive)
    }

    /// Reads a snapshot's head. `dir`: where the folders of snapshots on their way in lie.
    pub async fn begin_snapshot<S>(&self, pieces: S, dir: &Path) -> Result<snapshot_receive::Incoming<S>, Refusal>
    where
        S: Stream<Item = Result<peer::SnapshotChunk, tonic::Status>> + Unpin,
    {
        Ok(snapshot_receive::begin(pieces, dir).await?)
    }

    /// Receives the rest of a snapshot and installs it.
    pub async fn install_snapshot<S>(
        &self,
        incoming: snapshot_receive::Incoming<S>,
    ) -> Result<peer::SnapshotResponse, Refusal>
    where
        S: Stream<Item = Result<peer::SnapshotChunk, tonic::Status>> + Unpin,
    {
        let received = incoming.finish().await?;
        let response = self.0.raft.install_full_snapshot(received.vote, received.snapshot).await.map_err(stopped)?;
        Ok(peer::SnapshotResponse { vote: Some(wire::vote_to_wire(&response.vote)) })
    }

    /// Appends what another member's clients asked for.
    pub async fn propose_for_peer(&self, request: peer::ProposeRequest) -> Result<peer::ProposeResponse, Refusal> {
        let decided = futures::future::join_all(request.requests.into_iter().map(|data| self.0.append(data))).await;
        let outcomes = decided
            .into_iter()
            .map(|decision| {
                Ok(match decision? {
                    Decision::Applied(_) => peer::ProposeOutcome::Applied,
                    Decision::NotLeader => peer::ProposeOutcome::NotLeader,
                    Decision::Unknown => peer::ProposeOutcome::Unknown,
                } as i32)
            })
            .collect::<Result<Vec<_>, Error>>()?;
        Ok(peer::ProposeResponse { outcomes })
    }

    pub async fn read_index_for_peer(&self) -> Result<peer::ReadIndexResponse, Refusal> {
        Ok(peer::ReadIndexResponse { index: self.0.read_index().await? })
    }
}
