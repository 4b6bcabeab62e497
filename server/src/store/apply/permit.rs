//! Whether the caller of an entry may have it carried out, by the users and roles as of that entry.

use bytes::Bytes;
use quorate_proto::served::etcdserverpb as pb;

use super::execution::Execution;
use crate::store::auth::{Caller, Refusal};

/// What members propose among themselves (versions, attributes, checkpoints, alarms) has no caller and needs none.
pub(super) fn permit(on: &Execution<'_>, caller: &Caller, request: &pb::InternalRaftRequest) -> Result<(), Refusal> {
    let registry = &*on.state.auth;
    if !registry.enabled() {
        return Ok(());
    }
    let keys_of = |lease: i64| -> Vec<Bytes> { on.state.leases.keys(lease) };
    if let Some(request) = &request.put {
        return caller.may_put(registry, request, &keys_of);
    }
    if let Some(request) = &request.txn {
        return caller.may_txn(registry, request, &keys_of);
    }
    if let Some(request) = &request.delete_range {
        return caller.may_delete(registry, request);
    }
    if let Some(request) = &request.range {
        return caller.may_read(registry, &request.key, &request.range_end);
    }
    if request.lease_grant.is_some() {
        return caller.may_call(registry);
    }
    if let Some(request) = &request.lease_revoke {
        caller.may_call(registry)?;
        return caller.may_write_all(registry, &keys_of(request.id));
    }
    if request.compaction.is_some() || changes_auth(request) {
        return caller.may_administer(registry);
    }
    Ok(())
}

fn changes_auth(request: &pb::InternalRaftRequest) -> bool {
    request.auth_enable.is_some()
        || request.auth_disable.is_some()
        || request.auth_user_add.is_some()
        || request.auth_user_delete.is_some()
        || request.auth_user_change_password.is_some()
        || request.auth_user_grant_role.is_some()
        || request.auth_user_revoke_role.is_some()
        || request.auth_role_add.is_some()
        || request.auth_role_delete.is_some()
        || request.auth_role_grant_permission.is_some()
        || request.auth_role_revoke_permission.is_some()
}
