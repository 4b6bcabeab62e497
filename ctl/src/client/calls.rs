//! The unary calls of etcd's API: which request goes where and what comes back.

use prost::Message;
use quorate_proto::etcdserverpb as pb;

/// A request that has exactly one method. Range streams, watches and the like have clients of their own.
pub trait Call: Message + Clone + Default + 'static {
    type Reply: Message + Default + 'static;
    const PATH: &'static str;
    /// Sending it twice does what sending it once does.
    const REPEATABLE: bool;
}

macro_rules! calls {
    ($($path:literal $request:ident -> $reply:ident $(, $repeatable:ident)?;)*) => {
        $(impl Call for pb::$request {
            type Reply = pb::$reply;
            const PATH: &'static str = concat!("/etcdserverpb.", $path);
            const REPEATABLE: bool = calls!(@ $($repeatable)?);
        })*
    };
    (@ repeatable) => { true };
    (@) => { false };
}

calls! {
    "KV/Range" RangeRequest -> RangeResponse, repeatable;
    "KV/Put" PutRequest -> PutResponse;
    "KV/DeleteRange" DeleteRangeRequest -> DeleteRangeResponse;
    "KV/Txn" TxnRequest -> TxnResponse;
    "KV/Compact" CompactionRequest -> CompactionResponse;
    "Lease/LeaseGrant" LeaseGrantRequest -> LeaseGrantResponse;
    "Lease/LeaseRevoke" LeaseRevokeRequest -> LeaseRevokeResponse;
    "Lease/LeaseTimeToLive" LeaseTimeToLiveRequest -> LeaseTimeToLiveResponse, repeatable;
    "Lease/LeaseLeases" LeaseLeasesRequest -> LeaseLeasesResponse, repeatable;
    "Cluster/MemberAdd" MemberAddRequest -> MemberAddResponse;
    "Cluster/MemberRemove" MemberRemoveRequest -> MemberRemoveResponse;
    "Cluster/MemberUpdate" MemberUpdateRequest -> MemberUpdateResponse;
    "Cluster/MemberPromote" MemberPromoteRequest -> MemberPromoteResponse;
    "Cluster/MemberList" MemberListRequest -> MemberListResponse, repeatable;
    "Maintenance/Alarm" AlarmRequest -> AlarmResponse;
    "Maintenance/Status" StatusRequest -> StatusResponse, repeatable;
    "Maintenance/Defragment" DefragmentRequest -> DefragmentResponse;
    "Maintenance/HashKV" HashKvRequest -> HashKvResponse, repeatable;
    "Maintenance/MoveLeader" MoveLeaderRequest -> MoveLeaderResponse;
    "Maintenance/Downgrade" DowngradeRequest -> DowngradeResponse;
    "Auth/AuthEnable" AuthEnableRequest -> AuthEnableResponse;
    "Auth/AuthDisable" AuthDisableRequest -> AuthDisableResponse;
    "Auth/AuthStatus" AuthStatusRequest -> AuthStatusResponse;
    "Auth/Authenticate" AuthenticateRequest -> AuthenticateResponse;
    "Auth/UserAdd" AuthUserAddRequest -> AuthUserAddResponse;
    "Auth/UserGet" AuthUserGetRequest -> AuthUserGetResponse, repeatable;
    "Auth/UserList" AuthUserListRequest -> AuthUserListResponse, repeatable;
    "Auth/UserDelete" AuthUserDeleteRequest -> AuthUserDeleteResponse;
    "Auth/UserChangePassword" AuthUserChangePasswordRequest -> AuthUserChangePasswordResponse;
    "Auth/UserGrantRole" AuthUserGrantRoleRequest -> AuthUserGrantRoleResponse;
    "Auth/UserRevokeRole" AuthUserRevokeRoleRequest -> AuthUserRevokeRoleResponse;
    "Auth/RoleAdd" AuthRoleAddRequest -> AuthRoleAddResponse;
    "Auth/RoleGet" AuthRoleGetRequest -> AuthRoleGetResponse, repeatable;
    "Auth/RoleList" AuthRoleListRequest -> AuthRoleListResponse, repeatable;
    "Auth/RoleDelete" AuthRoleDeleteRequest -> AuthRoleDeleteResponse;
    "Auth/RoleGrantPermission" AuthRoleGrantPermissionRequest -> AuthRoleGrantPermissionResponse;
    "Auth/RoleRevokePermission" AuthRoleRevokePermissionRequest -> AuthRoleRevokePermissionResponse;
}
