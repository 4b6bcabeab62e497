use std::error::Error as _;
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;

use crate::changes::{Reached, ShelfError};
use crate::report::Reason;
use crate::store::{self, Cause};
use crate::{carry, etcd};

/// Why there is no data folder.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{} can't be used", path.display())]
    Folder { path: PathBuf, source: io::Error },
    #[error("another restoration is at work in {}", .0.display())]
    Locked(PathBuf),
    #[error("{} has {free_bytes} bytes free, and {wanted_bytes} are needed: enlarge the volume", path.display())]
    NoSpace { path: PathBuf, free_bytes: u64, wanted_bytes: u64 },
    #[error("the snapshot can't be read")]
    Snapshot(#[from] quorate_format::bbolt::Error),
    #[error(transparent)]
    Made(#[from] quorate_restore::Error),
    #[error(transparent)]
    Shelf(#[from] ShelfError),
    #[error("a recorded change can't be read")]
    Change(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("{}", missing(.0))]
    Missing(Reached),
    #[error(transparent)]
    Connect(#[from] etcd::Error),
    #[error("the member refuses: {}", .0.message())]
    Call(tonic::Status),
    #[error("the snapshot {name} can't be read from the store")]
    File { name: String, source: Cause },
    #[error("authentication is enabled in the snapshot, and the new members would not let the operator in: {cure}")]
    Authentication { cure: &'static str },
    #[error("the snapshot is not whole")]
    Cut,
    #[error(
        "the snapshot is not what a member has sent: its checksum is another, or it has none because it is the copy of a member's file"
    )]
    Checksum,
    #[error(transparent)]
    Carry(#[from] carry::Error),
    #[error("the work was given up")]
    GivenUp,
}

fn missing(reached: &Reached) -> String {
    let revision = reached.revision;
    let time = reached.unix_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    match time {
        Some(time) => {
            format!("changes are missing: the last revision that can be reached is {revision}, the last time {time}")
        }
        None => format!("changes are missing: the last revision that can be reached is {revision}, that of the backup"),
    }
}

impl Error {
    pub fn reason(&self) -> Reason {
        use tonic::Code;
        if self.is_full() {
            return Reason::NoSpace;
        }
        match self {
            Self::Made(quorate_restore::Error::Members(_) | quorate_restore::Error::BumpTooFar { .. }) => {
                Reason::InvalidArguments
            }
            Self::Connect(etcd::Error::Address { .. } | etcd::Error::Certificates(_)) => Reason::InvalidArguments,
            Self::NoSpace { .. } => Reason::NoSpace,
            Self::Authentication { .. } => Reason::InvalidArguments,
            Self::Carry(error) => error.reason(),
            Self::File { source, .. } => store::reason(&source.0),
            Self::Missing(_) | Self::Made(quorate_restore::Error::Compacted { .. }) => Reason::ChangesMissing,
            Self::Snapshot(_) | Self::Checksum => Reason::BackupDamaged,
            Self::Shelf(error) => error.reason(),
            Self::Change(error) => error.downcast_ref::<ShelfError>().map_or(Reason::Other, ShelfError::reason),
            Self::Call(status) if matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) => {
                Reason::ClusterDenied
            }
            Self::Connect(etcd::Error::Connect { .. }) | Self::Call(_) | Self::Cut => Reason::ClusterUnavailable,
            Self::Folder { .. } | Self::Locked(_) | Self::Made(_) | Self::GivenUp => Reason::Other,
        }
    }

    /// Whether the volume was found full on the way.
    fn is_full(&self) -> bool {
        let mut cause = self.source();
        while let Some(error) = cause {
            let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
            if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}
