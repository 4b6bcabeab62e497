//! Proposals and read indexes that another member's clients asked for; answered by the leader.

use quorate_proto::peer;
use tonic::{Code, Status};

use crate::raft::{self, Handle, REMOVED_HEADER, Refusal};

pub async fn propose(raft: &Handle, request: peer::ProposeRequest) -> Result<peer::ProposeResponse, Status> {
    raft.propose_for_peer(request).await.map_err(status)
}

pub async fn read_index(raft: &Handle) -> Result<peer::ReadIndexResponse, Status> {
    raft.read_index_for_peer().await.map_err(status)
}

/// The caller passes a refusal on to its client as it is.
pub async fn change_member(raft: &Handle, request: peer::MemberChange) -> Result<peer::MemberChanged, Status> {
    match raft.change_member_for_peer(request).await {
        Ok(()) => Ok(peer::MemberChanged {}),
        Err(Refusal::Raft(error)) => Err(crate::http::status::raft(error)),
        Err(refusal) => Err(status(refusal)),
    }
}

/// How a peer learns why it was refused.
pub fn status(refusal: Refusal) -> Status {
    let code = match &refusal {
        Refusal::Invalid(_) => Code::InvalidArgument,
        Refusal::Stopped(_) | Refusal::Raft(raft::Error::Stopped) => Code::Unavailable,
        Refusal::Snapshot(_) => Code::Aborted,
        Refusal::Raft(raft::Error::NotLeader) => Code::FailedPrecondition,
        Refusal::LogLost { .. } | Refusal::NotAMember(_) | Refusal::Removed => Code::FailedPrecondition,
        Refusal::Raft(_) => Code::Unavailable,
    };
    let mut status = Status::new(code, crate::last_words::chain(&refusal));
    if let Refusal::Removed = refusal {
        status.metadata_mut().insert(REMOVED_HEADER, tonic::metadata::MetadataValue::from_static("true"));
    }
    status
}
