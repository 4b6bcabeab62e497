//! Proposals and read indexes that another member's clients asked for; answered by the leader.

use quorate_proto::peer;
use tonic::{Code, Status};

use crate::raft::{self, Handle, Refusal};

pub async fn propose(raft: &Handle, request: peer::ProposeRequest) -> Result<peer::ProposeResponse, Status> {
    raft.propose_for_peer(request).await.map_err(status)
}

pub async fn read_index(raft: &Handle) -> Result<peer::ReadIndexResponse, Status> {
    raft.read_index_for_peer().await.map_err(status)
}

/// How a peer learns why it was refused.
pub fn status(refusal: Refusal) -> Status {
    let code = match &refusal {
        Refusal::Invalid(_) => Code::InvalidArgument,
        Refusal::Stopped(_) | Refusal::Raft(raft::Error::Stopped) => Code::Unavailable,
        Refusal::Snapshot(_) => Code::Aborted,
        Refusal::Raft(raft::Error::NotLeader) => Code::FailedPrecondition,
        Refusal::Raft(_) => Code::Unavailable,
    };
    let mut text = refusal.to_string();
    let mut source = std::error::Error::source(&refusal);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Status::new(code, text)
}
