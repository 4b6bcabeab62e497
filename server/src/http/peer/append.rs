//! Entries and heartbeats from the leader.

use std::pin::Pin;

use futures::{Stream, StreamExt};
use quorate_proto::peer;
use tonic::metadata::MetadataMap;
use tonic::{Status, Streaming};

use super::forward::status;
use crate::raft::{ACKNOWLEDGED_HEADER, Acknowledged, Handle};

pub type Responses = Pin<Box<dyn Stream<Item = Result<peer::AppendResponse, Status>> + Send>>;

pub fn stream(raft: &Handle, requests: Streaming<peer::AppendRequest>) -> Responses {
    // A broken stream ends; the leader opens another.
    let requests =
        requests.take_while(|request| futures::future::ready(request.is_ok())).filter_map(async |request| request.ok());
    Box::pin(raft.append_stream(Box::pin(requests)).map(|response| response.map_err(status)))
}

/// The leader knows how far this member's log went. A shorter one has lost what counted for a quorum.
pub fn check_acknowledged(raft: &Handle, metadata: &MetadataMap) -> Result<(), Status> {
    let said = metadata.get(ACKNOWLEDGED_HEADER).and_then(|value| Acknowledged::from_header(value.to_str().ok()?));
    said.map_or(Ok(()), |said| raft.check_acknowledged(said).map_err(status))
}

pub async fn once(raft: &Handle, request: peer::AppendRequest) -> Result<peer::AppendResponse, Status> {
    raft.append_once(request).await.map_err(status)
}
