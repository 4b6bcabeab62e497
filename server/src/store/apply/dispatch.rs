//! From a request to the code that carries it out, and the alarms that forbid it.

use quorate_proto::served::etcdserverpb as pb;

use super::{Response, alarm, auth, cluster, compaction, execution::Execution, kv, lease, permit::permit, txn};
use crate::store::{
    auth::Caller,
    error::{Error, Refusal},
    kv::range_reply,
};

pub(super) fn dispatch(on: &mut Execution<'_>, mut request: pb::InternalRaftRequest) -> Result<Response, Error> {
    check_alarms(on, &request)?;
    permit(on, &Caller::of(request.header.take()), &request)?;
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
    if let Some(request) = authenticate {
        return Ok(Response::Authenticate(auth::authenticate(on, &request)?));
    }
    if auth_enable.is_some() {
        auth::enable(on)?;
    } else if auth_disable.is_some() {
        auth::disable(on);
    } else if let Some(request) = auth_user_add {
        auth::add_user(on, request)?;
    } else if let Some(request) = auth_user_delete {
        auth::delete_user(on, &request)?;
    } else if let Some(request) = auth_user_change_password {
        auth::change_password(on, &request)?;
    } else if let Some(request) = auth_user_grant_role {
        auth::grant_role(on, &request)?;
    } else if let Some(request) = auth_user_revoke_role {
        auth::revoke_role(on, &request)?;
    } else if let Some(request) = auth_role_add {
        auth::add_role(on, request)?;
    } else if let Some(request) = auth_role_delete {
        auth::delete_role(on, &request)?;
    } else if let Some(request) = auth_role_grant_permission {
        auth::grant_permission(on, request)?;
    } else if let Some(request) = auth_role_revoke_permission {
        auth::revoke_permission(on, &request)?;
    } else {
        // etcd's members put questions about users and roles into the log too; they change nothing.
        let asks = auth_status.is_some()
            || auth_user_get.is_some()
            || auth_user_list.is_some()
            || auth_role_get.is_some()
            || auth_role_list.is_some();
        if !asks {
            return Err(Refusal::NotSupported("this request").into());
        }
    }
    Ok(Response::Empty)
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
