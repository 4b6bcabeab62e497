use crate::changes::{ShelfError, Trouble};
use crate::etcd;
use crate::report::Reason;

/// Why nothing is recorded at the moment, or at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Connect(#[from] etcd::Error),
    #[error("the member refuses: {}", .0.message())]
    Call(tonic::Status),
    #[error("the member does not answer")]
    Silent,
    #[error("the member has ended the watch")]
    Ended,
    #[error("the endpoints are those of the cluster {found:x}, not {wanted:x}")]
    WrongCluster { wanted: u64, found: u64 },
    #[error(transparent)]
    Watch(#[from] Trouble),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
}

impl Error {
    pub fn reason(&self) -> Reason {
        use tonic::Code;
        match self {
            Self::Call(status) if matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) => {
                Reason::ClusterDenied
            }
            Self::Connect(etcd::Error::Address { .. } | etcd::Error::Certificates(_)) => Reason::InvalidArguments,
            Self::Connect(etcd::Error::Connect { .. }) | Self::Call(_) | Self::Silent | Self::Ended => {
                Reason::ClusterUnavailable
            }
            Self::WrongCluster { .. } => Reason::WrongCluster,
            Self::Watch(trouble) if trouble.is_gap() => Reason::ChangesMissing,
            Self::Watch(_) => Reason::ClusterUnavailable,
            Self::Shelf(error) => error.reason(),
        }
    }
}
