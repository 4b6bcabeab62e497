//! Elections.

use quorate_proto::peer;
use tonic::Status;

use super::forward::status;
use crate::raft::Handle;

pub async fn vote(raft: &Handle, from: u64, request: peer::VoteRequest) -> Result<peer::VoteResponse, Status> {
    raft.check_candidate(from).map_err(status)?;
    raft.vote(request).await.map_err(status)
}

pub async fn pre_vote(raft: &Handle, from: u64, request: peer::VoteRequest) -> Result<peer::VoteResponse, Status> {
    raft.check_candidate(from).map_err(status)?;
    raft.pre_vote(request).await.map_err(status)
}

pub async fn take_leadership(
    raft: &Handle,
    request: peer::TransferLeaderRequest,
) -> Result<peer::TransferLeaderResponse, Status> {
    raft.take_leadership(request).await.map_err(status)?;
    Ok(peer::TransferLeaderResponse {})
}
