//! The only table from our errors to gRPC codes and etcd's texts. Clients match on the exact text.
//!
//! Source of codes and texts: etcd's `rpctypes` (API 3.7). No arm is a wildcard: a new error must find its place here.

use tonic::{Code, Status};

use crate::http::gateway::JsonError;
use crate::raft::{self, ChangeRefusal, StrictRefusal};
use crate::store::{self, Refusal};

/// Requests that are wrong in themselves, before any state is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Invalid {
    EmptyKey,
    ValueProvided,
    LeaseProvided,
    TooManyOps,
    DuplicateKey,
    SortOption,
    /// A transaction's operation without content; etcd's text for it is that of a missing key.
    EmptyOp,
}

pub fn invalid(reason: Invalid) -> Status {
    let text = match reason {
        Invalid::EmptyKey => "etcdserver: key is not provided",
        Invalid::ValueProvided => "etcdserver: value is provided",
        Invalid::LeaseProvided => "etcdserver: lease is provided",
        Invalid::TooManyOps => "etcdserver: too many operations in txn request",
        Invalid::DuplicateKey => "etcdserver: duplicate key given in txn request",
        Invalid::SortOption => "etcdserver: invalid sort option",
        Invalid::EmptyOp => "etcdserver: key not found",
    };
    Status::new(Code::InvalidArgument, text)
}

/// Why a cluster can't go back to an older version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DowngradeRefusal {
    Format,
    Target,
    VersionUnknown,
    InProgress,
    NoneInFlight,
}

pub fn downgrade(reason: DowngradeRefusal) -> Status {
    let (code, text) = match reason {
        DowngradeRefusal::Format => (Code::InvalidArgument, "etcdserver: wrong downgrade target version format"),
        DowngradeRefusal::Target => (Code::InvalidArgument, "etcdserver: invalid downgrade target version"),
        DowngradeRefusal::VersionUnknown => {
            (Code::FailedPrecondition, "etcdserver: cluster version not found during downgrade")
        }
        DowngradeRefusal::InProgress => {
            (Code::FailedPrecondition, "etcdserver: cluster has a downgrade job in progress")
        }
        DowngradeRefusal::NoneInFlight => (Code::FailedPrecondition, "etcdserver: no inflight downgrade job"),
    };
    Status::new(code, text)
}

/// A kind of call within a call that etcd doesn't know either.
pub fn unknown_method() -> Status {
    Status::new(Code::Unknown, "etcdserver: unknown method")
}

pub fn refusal(refusal: Refusal) -> Status {
    let (code, text) = match refusal {
        Refusal::KeyNotFound => (Code::InvalidArgument, "etcdserver: key not found"),
        Refusal::Compacted => (Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
        Refusal::FutureRevision => (Code::OutOfRange, "etcdserver: mvcc: required revision is a future revision"),
        Refusal::LeaseNotFound => (Code::NotFound, "etcdserver: requested lease not found"),
        Refusal::LeaseExists => (Code::FailedPrecondition, "etcdserver: lease already exists"),
        Refusal::LeaseTtlTooLarge => (Code::OutOfRange, "etcdserver: too large lease TTL"),
        Refusal::NoSpace => return no_space(),
        Refusal::Corrupt => (Code::DataLoss, "etcdserver: corrupt cluster"),
        Refusal::Auth(reason) => return auth(reason),
        Refusal::NotSupported(what) => {
            return Status::new(Code::Unimplemented, format!("etcdserver: {what} is not supported"));
        }
    };
    Status::new(code, text)
}

pub fn auth(reason: store::auth::Refusal) -> Status {
    use store::auth::Refusal;
    let (code, text) = match reason {
        Refusal::NotEnabled => (Code::FailedPrecondition, "etcdserver: authentication is not enabled"),
        Refusal::RootUserMissing => (Code::FailedPrecondition, "etcdserver: root user does not exist"),
        Refusal::RootRoleMissing => (Code::FailedPrecondition, "etcdserver: root user does not have root role"),
        Refusal::UserEmpty => (Code::InvalidArgument, "etcdserver: user name is empty"),
        Refusal::UserExists => (Code::FailedPrecondition, "etcdserver: user name already exists"),
        Refusal::UserNotFound => (Code::FailedPrecondition, "etcdserver: user name not found"),
        Refusal::RoleEmpty => (Code::InvalidArgument, "etcdserver: role name is empty"),
        Refusal::RoleExists => (Code::FailedPrecondition, "etcdserver: role name already exists"),
        Refusal::RoleNotFound => (Code::FailedPrecondition, "etcdserver: role name not found"),
        Refusal::RoleNotGranted => (Code::FailedPrecondition, "etcdserver: role is not granted to the user"),
        Refusal::PermissionNotGiven => (Code::InvalidArgument, "etcdserver: permission not given"),
        Refusal::PermissionNotGranted => {
            (Code::FailedPrecondition, "etcdserver: permission is not granted to the role")
        }
        Refusal::PermissionDenied => (Code::PermissionDenied, "etcdserver: permission denied"),
        Refusal::Failed => (Code::InvalidArgument, "etcdserver: authentication failed, invalid user ID or password"),
        Refusal::NoPasswordUser => {
            (Code::Unknown, "auth: authentication failed, password was given for no password user")
        }
        Refusal::InvalidToken => (Code::Unauthenticated, "etcdserver: invalid auth token"),
        Refusal::InvalidManagement => (Code::InvalidArgument, "etcdserver: invalid auth management"),
        Refusal::OldRevision => (Code::InvalidArgument, "etcdserver: revision of auth store is old"),
    };
    Status::new(code, text)
}

/// A member that has only the public half of the key for tokens.
pub fn verify_only() -> Status {
    Status::new(Code::Unknown, "auth: token signing attempted with verify-only key")
}

pub fn no_space() -> Status {
    Status::new(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded")
}

pub fn store(error: store::Error) -> Status {
    match error {
        store::Error::Refused(reason) => refusal(reason),
        store::Error::Database(_)
        | store::Error::File { .. }
        | store::Error::Damaged(_)
        | store::Error::OutOfOrder { .. }
        | store::Error::Folder(_) => {
            tracing::error!(error = &error as &dyn std::error::Error, "the store failed to answer");
            Status::new(Code::Internal, "etcdserver: the store failed, see the server's log")
        }
    }
}

pub fn raft(error: raft::Error) -> Status {
    let (code, text) = match error {
        raft::Error::Refused(reason) => return refusal(reason),
        raft::Error::Timeout => (Code::Unavailable, "etcdserver: request timed out"),
        raft::Error::NoLeader | raft::Error::LeaderFailed => {
            (Code::Unavailable, "etcdserver: request timed out, possibly due to previous leader failure")
        }
        raft::Error::ApplyTooSlow => {
            (Code::Unavailable, "etcdserver: request timed out, waiting for the applied index took too long")
        }
        raft::Error::TooLarge { .. } => (Code::InvalidArgument, "etcdserver: request is too large"),
        raft::Error::Overloaded => (Code::ResourceExhausted, "etcdserver: too many requests"),
        raft::Error::NotLeader => (Code::FailedPrecondition, "etcdserver: not leader"),
        raft::Error::BadTransferee(_) => (Code::FailedPrecondition, "etcdserver: bad leader transferee"),
        raft::Error::Change(reason) => return change_refusal(reason),
        raft::Error::Leader(status) => return *status,
        raft::Error::Stopped => return stopped(),
    };
    Status::new(code, text)
}

fn change_refusal(refusal: ChangeRefusal) -> Status {
    let text = match refusal {
        ChangeRefusal::IdExists => "etcdserver: member ID already exist",
        ChangeRefusal::PeerUrlExists => "etcdserver: Peer URLs already exists",
        ChangeRefusal::NotFound | ChangeRefusal::IdRemoved => return Status::not_found("etcdserver: member not found"),
        ChangeRefusal::NotLearner => "etcdserver: can only promote a learner member",
        ChangeRefusal::LearnerNotReady => "etcdserver: can only promote a learner member which is in sync with leader",
        ChangeRefusal::TooManyLearners => "etcdserver: too many learner members in cluster",
        ChangeRefusal::LastVoter | ChangeRefusal::Strict(StrictRefusal::NotEnoughStarted) => {
            "etcdserver: re-configuration failed due to not enough started members"
        }
        ChangeRefusal::Strict(StrictRefusal::Unhealthy) => return Status::unavailable("etcdserver: unhealthy cluster"),
    };
    Status::failed_precondition(text)
}

pub fn bad_member_urls() -> Status {
    Status::invalid_argument("etcdserver: given member URLs are invalid")
}

pub fn stopped() -> Status {
    Status::new(Code::Unavailable, "etcdserver: server stopped")
}

pub fn no_leader() -> Status {
    Status::new(Code::Unavailable, "etcdserver: no leader")
}

pub fn not_for_learner() -> Status {
    Status::new(Code::FailedPrecondition, "etcdserver: rpc not supported for learner")
}

/// What a service of etcd's answers that calls others inside the server: it passes on their texts, without their codes.
pub fn of_inner_call(status: Status) -> Status {
    Status::new(Code::Unknown, status.message())
}

pub fn session_expired() -> Status {
    Status::new(Code::Unknown, "mutex: session is expired")
}

pub fn nobody_elected() -> Status {
    Status::new(Code::Unknown, "election: no leader")
}

pub fn not_elected() -> Status {
    Status::new(Code::Unknown, "election: not leader")
}

pub fn leader_not_given() -> Status {
    Status::new(Code::Unknown, "\"leader\" field must be provided")
}

/// A request over the JSON gateway that is no message.
pub fn json(error: JsonError) -> Status {
    match error {
        JsonError::TooLarge(_) => Status::resource_exhausted(error.to_string()),
        JsonError::Incomplete | JsonError::NoObject(_) | JsonError::NoMessage(_) | JsonError::Body(_) => {
            Status::invalid_argument(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_find_etcds_texts() {
        for (status, code, text) in [
            (refusal(Refusal::Compacted), Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted"),
            (refusal(Refusal::LeaseNotFound), Code::NotFound, "etcdserver: requested lease not found"),
            (refusal(Refusal::NoSpace), Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded"),
            (raft(raft::Error::NotLeader), Code::FailedPrecondition, "etcdserver: not leader"),
            (invalid(Invalid::EmptyKey), Code::InvalidArgument, "etcdserver: key is not provided"),
        ] {
            assert_eq!((status.code(), status.message()), (code, text));
        }
    }
}
