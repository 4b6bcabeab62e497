//! From a request to the code that carries it out, and the alarms that forbid it.

use quorate_proto::served::etcdserverpb as pb;

use super::{Response, alarm, cluster, compaction, execution::Execution, kv, lease, txn};
use crate::store::{
    error::{Error, Refusal},
    kv::range_reply,
};

pub(super) fn dispatch(on: &mut Execution<'_>, request: pb::InternalRaftRequest) -> Result<Response, Error> {
    check_alarms(on, &request)?;
    // Without `..`: a request that etcd adds must find its place here.
    let pb::InternalRaftRequest {
        header: _,
        id: _,
        range,
        put,
        delete_range,
        txn,
        compaction,
        lease_grant,
        lease_revoke,
        lease_checkpoint,
        alarm,
        cluster_version_set,
        cluster_member_attr_set,
        downgrade_info_set,
        downgrade_version_test,
        auth_enable,
        auth_disable,
        auth_status,
        authenticate,
        auth_user_add,
        auth_user_delete,
        auth_user_get,
        auth_user_change_password,
        auth_user_grant_role,
        auth_user_revoke_role,
        auth_user_list,
        auth_role_list,
        auth_role_add,
        auth_role_delete,
        auth_role_get,
        auth_role_grant_permission,
        auth_role_revoke_permission,
    } = request;
    if let Some(request) = put {
        return kv::put(on, &request).map(Response::Put);
    }
    if let Some(request) = txn {
        return txn::txn(on, &request).map(Response::Txn);
    }
    if let Some(request) = delete_range {
        return kv::delete_range(on, &request).map(Response::DeleteRange);
    }
    if let Some(request) = range {
        return range_reply(on, &request).map(Response::Range);
    }
    if let Some(request) = compaction {
        return compaction::compact(on, &request).map(Response::Compaction);
    }
    if let Some(request) = lease_grant {
        return lease::grant(on, &request).map(Response::LeaseGrant);
    }
    if let Some(request) = lease_revoke {
        return lease::revoke(on, &request).map(Response::LeaseRevoke);
    }
    if let Some(request) = lease_checkpoint {
        return Ok(Response::LeaseCheckpoint(lease::checkpoint(on, &request)));
    }
    if let Some(request) = alarm {
        return Ok(Response::Alarm(alarm::alarm(on, &request)));
    }
    if let Some(request) = cluster_version_set {
        cluster::set_version(on, request.ver);
        return Ok(Response::Empty);
    }
    if let Some(request) = cluster_member_attr_set {
        cluster::set_attributes(on, request.member_id, request.member_attributes.unwrap_or_default());
        return Ok(Response::Empty);
    }
    if let Some(request) = downgrade_info_set {
        cluster::set_downgrade(on, request.enabled.then_some(request.ver));
        return Ok(Response::Empty);
    }
    // etcd's own tests put it into logs; it does nothing.
    if downgrade_version_test.is_some() {
        return Ok(Response::Empty);
    }
    let refused = [
        (auth_enable.is_some(), "AuthEnable"),
        (auth_disable.is_some(), "AuthDisable"),
        (auth_status.is_some(), "AuthStatus"),
        (authenticate.is_some(), "Authenticate"),
        (auth_user_add.is_some(), "UserAdd"),
        (auth_user_delete.is_some(), "UserDelete"),
        (auth_user_get.is_some(), "UserGet"),
        (auth_user_change_password.is_some(), "UserChangePassword"),
        (auth_user_grant_role.is_some(), "UserGrantRole"),
        (auth_user_revoke_role.is_some(), "UserRevokeRole"),
        (auth_user_list.is_some(), "UserList"),
        (auth_role_list.is_some(), "RoleList"),
        (auth_role_add.is_some(), "RoleAdd"),
        (auth_role_delete.is_some(), "RoleDelete"),
        (auth_role_get.is_some(), "RoleGet"),
        (auth_role_grant_permission.is_some(), "RoleGrantPermission"),
        (auth_role_revoke_permission.is_some(), "RoleRevokePermission"),
    ];
    let name = refused.into_iter().find_map(|(is, name)| is.then_some(name)).unwrap_or("this request");
    Err(Refusal::NotSupported(name).into())
}

/// CORRUPT forbids everything about keys and leases, NOSPACE what could grow the store.
fn check_alarms(on: &Execution<'_>, request: &pb::InternalRaftRequest) -> Result<(), Refusal> {
    let alarms = &on.state.alarms;
    let about_keys = request.range.is_some()
        || request.put.is_some()
        || request.delete_range.is_some()
        || request.txn.is_some()
        || request.compaction.is_some()
        || request.lease_grant.is_some()
        || request.lease_revoke.is_some();
    if about_keys && alarms.has(pb::AlarmType::Corrupt) {
        return Err(Refusal::Corrupt);
    }
    let grows = request.put.is_some() || request.lease_grant.is_some() || request.txn.as_ref().is_some_and(txn::puts);
    if grows && alarms.has(pb::AlarmType::Nospace) {
        return Err(Refusal::NoSpace);
    }
    Ok(())
}
