//! Lease requests.

use quorate_proto::served::etcdserverpb as pb;

use super::{execution::Execution, header};
use crate::store::{
    backend::Family,
    error::{Error, Refusal},
    lease::{MAX_TTL_SECONDS, row_key},
};

/// The proposer has chosen the id and raised a short time to live to its minimum.
pub(super) fn grant(on: &mut Execution<'_>, request: &pb::LeaseGrantRequest) -> Result<pb::LeaseGrantResponse, Error> {
    let &pb::LeaseGrantRequest { id, ttl } = request;
    if id == 0 {
        return Err(Refusal::LeaseNotFound.into());
    }
    if ttl > MAX_TTL_SECONDS {
        return Err(Refusal::LeaseTtlTooLarge.into());
    }
    if on.state.leases.contains(id) {
        return Err(Refusal::LeaseExists.into());
    }
    let ttl = ttl.max(1);
    on.state.leases.insert(id, ttl, 0);
    on.done.granted.push(ttl);
    write(on, id, None);
    Ok(pb::LeaseGrantResponse { header: header(on.revision()), id, ttl, ..Default::default() })
}

/// The lease's keys die in one revision, in key order.
pub(super) fn revoke(
    on: &mut Execution<'_>,
    request: &pb::LeaseRevokeRequest,
) -> Result<pb::LeaseRevokeResponse, Error> {
    let id = request.id;
    let Some((_, row)) = on.state.leases.row(id) else {
        return Err(Refusal::LeaseNotFound.into());
    };
    on.done.revoked += 1;
    for key in on.state.leases.keys(id) {
        on.done.deletes += 1;
        on.delete_pair(&key);
    }
    on.state.leases.remove(id);
    on.write_row(Family::Lease, row_key(id), None, Some(row.len()));
    Ok(pb::LeaseRevokeResponse { header: header(on.revision()) })
}

/// Leases that are gone are passed over: they were revoked after the checkpoint was proposed.
pub(super) fn checkpoint(on: &mut Execution<'_>, request: &pb::LeaseCheckpointRequest) -> pb::LeaseCheckpointResponse {
    for &pb::LeaseCheckpoint { id, remaining_ttl } in &request.checkpoints {
        let old = on.state.leases.row(id).map(|(_, row)| row.len());
        if on.state.leases.checkpoint(id, remaining_ttl).is_some() {
            write(on, id, old);
        }
    }
    pb::LeaseCheckpointResponse { header: header(on.revision()) }
}

fn write(on: &mut Execution<'_>, id: i64, old_bytes: Option<usize>) {
    if let Some((key, value)) = on.state.leases.row(id) {
        on.write_row(Family::Lease, key, Some(value), old_bytes);
    }
}
