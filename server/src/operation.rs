//! What a request asks for, in the words of etcd's metrics.

use quorate_proto::served::etcdserverpb as pb;

macro_rules! operations {
    ($($field:ident => $name:ident,)*; $($other:ident = $text:literal,)*) => {
        /// A kind of request.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Operation {
            $($name,)*
            $($other,)*
        }

        impl Operation {
            pub const COUNT: usize = [$(stringify!($name),)* $($text,)*].len();

            /// The kind of a request of the log.
            pub fn of(request: &pb::InternalRaftRequest) -> Self {
                $(if request.$field.is_some() {
                    return Self::$name;
                })*
                Self::Unknown
            }

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                    $(Self::$other => $text,)*
                }
            }
        }
    };
}

// The usual ones first: they are looked for in this order.
operations! {
    put => Put,
    txn => Txn,
    delete_range => DeleteRange,
    range => Range,
    lease_grant => LeaseGrant,
    lease_revoke => LeaseRevoke,
    lease_checkpoint => LeaseCheckpoint,
    compaction => Compaction,
    alarm => Alarm,
    cluster_version_set => ClusterVersionSet,
    cluster_member_attr_set => ClusterMemberAttrSet,
    downgrade_info_set => DowngradeInfoSet,
    authenticate => Authenticate,
    auth_enable => AuthEnable,
    auth_disable => AuthDisable,
    auth_status => AuthStatus,
    auth_user_add => AuthUserAdd,
    auth_user_delete => AuthUserDelete,
    auth_user_get => AuthUserGet,
    auth_user_list => AuthUserList,
    auth_user_change_password => AuthUserChangePassword,
    auth_user_grant_role => AuthUserGrantRole,
    auth_user_revoke_role => AuthUserRevokeRole,
    auth_role_add => AuthRoleAdd,
    auth_role_delete => AuthRoleDelete,
    auth_role_get => AuthRoleGet,
    auth_role_list => AuthRoleList,
    auth_role_grant_permission => AuthRoleGrantPermission,
    auth_role_revoke_permission => AuthRoleRevokePermission,
    ;
    // A transaction that only reads isn't in the log.
    ReadonlyTxn = "ReadonlyTxn",
    Unknown = "unknown",
}
