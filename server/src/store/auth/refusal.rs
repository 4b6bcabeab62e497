//! Why a call about or under authentication is refused.

/// Names follow etcd's errors of the same meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("authentication is not enabled")]
    NotEnabled,
    #[error("root user does not exist")]
    RootUserMissing,
    #[error("root user does not have root role")]
    RootRoleMissing,
    /// A call without a user, where one is needed, or a user without a name.
    #[error("user name is empty")]
    UserEmpty,
    #[error("user name already exists")]
    UserExists,
    #[error("user name not found")]
    UserNotFound,
    #[error("role name is empty")]
    RoleEmpty,
    #[error("role name already exists")]
    RoleExists,
    #[error("role name not found")]
    RoleNotFound,
    #[error("role is not granted to the user")]
    RoleNotGranted,
    #[error("permission not given")]
    PermissionNotGiven,
    #[error("permission is not granted to the role")]
    PermissionNotGranted,
    #[error("permission denied")]
    PermissionDenied,
    #[error("authentication failed, invalid user ID or password")]
    Failed,
    #[error("authentication failed, password was given for no password user")]
    NoPasswordUser,
    #[error("invalid auth token")]
    InvalidToken,
    /// What would leave the cluster without root, or a permission on no range.
    #[error("invalid auth management")]
    InvalidManagement,
    /// Users, roles or permissions have changed since the caller was identified.
    #[error("revision of auth store is old")]
    OldRevision,
}
