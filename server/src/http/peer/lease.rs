//! Renewals and remaining times of leases, which only the leader knows.

use quorate_proto::peer;
use tonic::{Code, Status};

use crate::duty::Lessor;
use crate::http::status;
use crate::raft::Handle;

fn leader(lessor: &Lessor) -> Result<(), Status> {
    if lessor.leads() { Ok(()) } else { Err(Status::new(Code::FailedPrecondition, "etcdserver: not leader")) }
}

pub async fn keep_alive(
    lessor: &Lessor,
    request: peer::LeaseKeepAliveRequest,
) -> Result<peer::LeaseKeepAliveResponse, Status> {
    leader(lessor)?;
    let mut ttls = Vec::with_capacity(request.ids.len());
    for id in request.ids {
        ttls.push(lessor.renew(id).await.unwrap_or(0));
    }
    Ok(peer::LeaseKeepAliveResponse { ttls })
}

pub async fn time_to_live(
    raft: &Handle,
    lessor: &Lessor,
    request: peer::LeaseTimeToLiveRequest,
) -> Result<peer::LeaseTimeToLiveResponse, Status> {
    leader(lessor)?;
    // The asking member may have applied a grant that this one has not yet.
    raft.read_barrier().await.map_err(status::raft)?;
    let remaining_ttls = request.ids.into_iter().map(|id| lessor.remaining_s(id).unwrap_or(-1)).collect();
    Ok(peer::LeaseTimeToLiveResponse { remaining_ttls })
}
