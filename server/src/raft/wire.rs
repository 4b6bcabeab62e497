//! Translation between openraft's messages and our peer protocol.

use bytes::Bytes;
use openraft::EntryPayload;
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, TransferLeaderRequest, VoteRequest, VoteResponse};
use quorate_proto::peer;

use super::membership;
use super::reconfigure::Change;
use super::types::{self, Entry, LogId, Proposal, TypeConfig, Vote};
use crate::position::Position;

type C = TypeConfig;

/// Bound on one peer message: an append carries up to 1 MiB of entries, or a single one of the largest request
/// (`--max-request-bytes` has no upper bound, so neither can this be tight).
pub const MAX_MESSAGE_BYTES: usize = i32::MAX as usize;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a peer's message lacks the field {0}")]
    Missing(&'static str),
    #[error("a peer's log id or vote is not valid")]
    Invalid,
    #[error("a peer sent a membership that can't be read")]
    Membership(#[source] membership::Error),
}

pub fn vote_to_wire(vote: &Vote) -> peer::Vote {
    peer::Vote {
        term: types::term(vote.leader_id.term),
        node_id: Some(vote.leader_id.voted_for),
        committed: vote.committed,
    }
}

pub fn vote_from_wire(vote: Option<peer::Vote>) -> Result<Vote, Error> {
    let vote = vote.ok_or(Error::Missing("vote"))?;
    let node_id = vote.node_id.ok_or(Error::Missing("vote.node_id"))?;
    types::vote(vote.term, node_id, vote.committed).ok_or(Error::Invalid)
}

pub fn log_id_to_wire(id: &LogId) -> peer::LogId {
    let Position { term, index } = types::position(id);
    peer::LogId { term, index }
}

pub fn log_id_from_wire(id: Option<peer::LogId>) -> Result<Option<LogId>, Error> {
    match id {
        None => Ok(None),
        Some(peer::LogId { term, index }) if term > 0 && index > 0 => Ok(types::log_id(Position::new(term, index))),
        Some(_) => Err(Error::Invalid),
    }
}

pub fn append_request(rpc: AppendEntriesRequest<C>) -> peer::AppendRequest {
    peer::AppendRequest {
        vote: Some(vote_to_wire(&rpc.vote)),
        prev: rpc.prev_log_id.as_ref().map(log_id_to_wire),
        entries: rpc.entries.into_iter().map(entry_to_wire).collect(),
        committed: rpc.leader_commit.as_ref().map(log_id_to_wire),
    }
}

pub fn append_request_from_wire(request: peer::AppendRequest) -> Result<AppendEntriesRequest<C>, Error> {
    Ok(AppendEntriesRequest {
        vote: vote_from_wire(request.vote)?,
        prev_log_id: log_id_from_wire(request.prev)?,
        entries: request.entries.into_iter().map(entry_from_wire).collect::<Result<_, _>>()?,
        leader_commit: log_id_from_wire(request.committed)?,
    })
}

fn entry_to_wire(entry: Entry) -> peer::LogEntry {
    let Position { term, index } = types::position(&entry.log_id);
    let payload = match entry.payload {
        EntryPayload::Blank => peer::log_entry::Payload::Blank(true),
        EntryPayload::Normal(Proposal(data)) => peer::log_entry::Payload::Request(data),
        EntryPayload::Membership(membership) => peer::log_entry::Payload::Membership(membership::encode(&membership)),
    };
    peer::LogEntry { term, index, payload: Some(payload) }
}

fn entry_from_wire(entry: peer::LogEntry) -> Result<Entry, Error> {
    let log_id = log_id_from_wire(Some(peer::LogId { term: entry.term, index: entry.index }))?.ok_or(Error::Invalid)?;
    let payload = match entry.payload.ok_or(Error::Missing("entries.payload"))? {
        peer::log_entry::Payload::Blank(_) => EntryPayload::Blank,
        peer::log_entry::Payload::Request(data) => EntryPayload::Normal(Proposal(data)),
        peer::log_entry::Payload::Membership(data) => EntryPayload::Membership(membership_from_wire(&data)?),
    };
    Ok(Entry { log_id, payload })
}

pub fn membership_from_wire(data: &Bytes) -> Result<types::Membership, Error> {
    membership::decode(data).map_err(Error::Membership)
}

pub fn append_response_to_wire(response: AppendEntriesResponse<C>) -> peer::AppendResponse {
    use peer::append_response::Result as Wire;
    let result = match response {
        AppendEntriesResponse::Success => Wire::Accepted(peer::AppendAccepted { last: None, partial: false }),
        AppendEntriesResponse::PartialSuccess(last) => {
            Wire::Accepted(peer::AppendAccepted { last: last.as_ref().map(log_id_to_wire), partial: true })
        }
        // Which entry conflicts is the previous one of the request; the sender knows it.
        AppendEntriesResponse::Conflict => Wire::Conflict(peer::LogId::default()),
        AppendEntriesResponse::HigherVote(vote) => Wire::HigherVote(vote_to_wire(&vote)),
    };
    peer::AppendResponse { result: Some(result) }
}

pub fn append_response(response: peer::AppendResponse) -> Result<AppendEntriesResponse<C>, Error> {
    use peer::append_response::Result as Wire;
    Ok(match response.result.ok_or(Error::Missing("result"))? {
        Wire::Accepted(peer::AppendAccepted { partial: false, .. }) => AppendEntriesResponse::Success,
        Wire::Accepted(peer::AppendAccepted { partial: true, last }) => {
            AppendEntriesResponse::PartialSuccess(log_id_from_wire(last)?)
        }
        Wire::Conflict(_) => AppendEntriesResponse::Conflict,
        Wire::HigherVote(vote) => AppendEntriesResponse::HigherVote(vote_from_wire(Some(vote))?),
    })
}

pub fn member_change(change: Change) -> peer::MemberChange {
    use peer::member_change::Change as Wire;
    peer::MemberChange {
        change: Some(match change {
            Change::Add { id, peer_urls, learner } => Wire::Add(peer::Member { id, peer_urls, wants_vote: !learner }),
            Change::Remove(id) => Wire::Remove(id),
            Change::Update { id, peer_urls } => Wire::Update(peer::Member { id, peer_urls, wants_vote: false }),
            Change::Promote(id) => Wire::Promote(id),
        }),
    }
}

pub fn member_change_from_wire(message: peer::MemberChange) -> Result<Change, Error> {
    use peer::member_change::Change as Wire;
    Ok(match message.change.ok_or(Error::Missing("change"))? {
        Wire::Add(peer::Member { id, peer_urls, wants_vote }) => Change::Add { id, peer_urls, learner: !wants_vote },
        Wire::Remove(id) => Change::Remove(id),
        Wire::Update(peer::Member { id, peer_urls, .. }) => Change::Update { id, peer_urls },
        Wire::Promote(id) => Change::Promote(id),
    })
}

pub fn vote_request(rpc: VoteRequest<C>) -> peer::VoteRequest {
    peer::VoteRequest {
        vote: Some(vote_to_wire(&rpc.vote)),
        last_log_id: rpc.last_log_id.as_ref().map(log_id_to_wire),
        leadership_transfer: rpc.leadership_transfer,
    }
}

pub fn vote_request_from_wire(request: peer::VoteRequest) -> Result<VoteRequest<C>, Error> {
    Ok(VoteRequest {
        vote: vote_from_wire(request.vote)?,
        last_log_id: log_id_from_wire(request.last_log_id)?,
        leadership_transfer: request.leadership_transfer,
    })
}

pub fn vote_response_to_wire(response: VoteResponse<C>) -> peer::VoteResponse {
    peer::VoteResponse {
        vote: Some(vote_to_wire(&response.vote)),
        granted: response.vote_granted,
        last_log_id: response.last_log_id.as_ref().map(log_id_to_wire),
    }
}

pub fn vote_response(response: peer::VoteResponse) -> Result<VoteResponse<C>, Error> {
    let vote = vote_from_wire(response.vote)?;
    Ok(VoteResponse::new(vote, log_id_from_wire(response.last_log_id)?, response.granted))
}

pub fn transfer_request(rpc: &TransferLeaderRequest<C>) -> peer::TransferLeaderRequest {
    peer::TransferLeaderRequest {
        from_leader: Some(vote_to_wire(rpc.from_leader())),
        to_node_id: *rpc.to_node_id(),
        last_log_id: rpc.last_log_id().map(log_id_to_wire),
    }
}

pub fn transfer_request_from_wire(request: peer::TransferLeaderRequest) -> Result<TransferLeaderRequest<C>, Error> {
    Ok(TransferLeaderRequest::new(
        vote_from_wire(request.from_leader)?,
        request.to_node_id,
        log_id_from_wire(request.last_log_id)?,
    ))
}
