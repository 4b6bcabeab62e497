use std::fmt;

use super::divergence::Divergence;
use super::gather::Trouble;
use crate::etcd;
use crate::report::Reason;

/// Which of the two clusters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Source,
    Target,
}

impl fmt::Display for Side {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Source => "source",
            Self::Target => "target",
        })
    }
}

/// Why nothing is mirrored at the moment, or at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the {side} is away")]
    Connect { side: Side, source: etcd::Error },
    #[error("the {side} refuses: {}{}", status.message(), advice(status))]
    Call { side: Side, status: Box<tonic::Status> },
    #[error("the {0} does not answer")]
    Silent(Side),
    #[error("the {0} has ended a stream")]
    Ended(Side),
    #[error("the source's watch is no use: {0}")]
    Watch(String),
    #[error("the target was written while it was asked")]
    Moved,
    #[error("source and target are the same cluster")]
    Same,
    #[error("the endpoints of the {0} are another cluster's than before")]
    Other(Side),
    #[error("no endpoint of the {0} is given")]
    NoEndpoint(Side),
    #[error(transparent)]
    Diverged(#[from] Divergence),
}

/// What ends a refusal that waiting doesn't end.
fn advice(status: &tonic::Status) -> &'static str {
    match status.message() {
        "etcdserver: mvcc: database space exceeded" => {
            "; a NOSPACE alarm is on, which comes along with the source's data: raise the quota if it is full, then `etcdctl alarm disarm`"
        }
        _ => "",
    }
}

impl From<Trouble> for Error {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Diverged(divergence) => Self::Diverged(divergence),
            trouble @ (Trouble::Cancelled(_) | Trouble::Disordered { .. }) => Self::Watch(trouble.to_string()),
        }
    }
}

impl Error {
    pub fn reason(&self) -> Reason {
        use tonic::Code;
        match self {
            Self::Call { status, .. } if matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) => {
                Reason::ClusterDenied
            }
            Self::Connect { source: etcd::Error::Address { .. } | etcd::Error::Certificates(_), .. }
            | Self::Same
            | Self::NoEndpoint(_) => Reason::InvalidArguments,
            Self::Other(_) => Reason::WrongCluster,
            Self::Diverged(_) => Reason::Diverged,
            Self::Connect { .. }
            | Self::Call { .. }
            | Self::Silent(_)
            | Self::Ended(_)
            | Self::Watch(_)
            | Self::Moved => Reason::ClusterUnavailable,
        }
    }

    pub(super) fn side(&self) -> Option<Side> {
        match self {
            Self::Connect { side, .. } | Self::Call { side, .. } => Some(*side),
            Self::Silent(side) | Self::Ended(side) | Self::Other(side) | Self::NoEndpoint(side) => Some(*side),
            Self::Watch(_) => Some(Side::Source),
            Self::Moved => Some(Side::Target),
            Self::Same | Self::Diverged(_) => None,
        }
    }

    /// Trying again can't help.
    pub(super) fn is_final(&self) -> bool {
        matches!(self.reason(), Reason::InvalidArguments | Reason::WrongCluster | Reason::Diverged)
    }
}
