//! Why a member can't begin.

use std::io;
use std::path::PathBuf;

use quorate_format::{bbolt, wal as wal_format};

use super::{discovery, srv, static_list};
use crate::{raft, store, wal};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    StaticList(#[from] static_list::Error),
    #[error(transparent)]
    Srv(#[from] srv::Error),
    #[error(transparent)]
    Discovery(#[from] discovery::keys::Error),
    #[error(transparent)]
    DiscoveryUrl(#[from] discovery::url::Error),
    #[error("membership: too many learners in cluster: it has {learners}, and --max-learners is {max_learners}")]
    TooManyLearners { learners: usize, max_learners: usize },
    #[error("discovery is for new clusters; joining one with --initial-cluster-state=existing needs --initial-cluster")]
    DiscoveryWhenJoining,
    #[error(
        "member {0:x} has already been bootstrapped: its data folder is gone; remove the member from the cluster and add it again"
    )]
    AlreadyBootstrapped(u64),
    #[error(
        "cannot fetch cluster info from peer urls: no other member of --initial-cluster={0} answers; \
         joining with --initial-cluster-state=existing takes a running cluster"
    )]
    NoPeerAnswers(String),
    #[error("the members of --initial-cluster belong to different clusters, {0:x} and {1:x}")]
    SeveralClusters(u64, u64),
    #[error("error validating peerURLs of --initial-cluster ({list}): {reason}")]
    ListDiffers { list: String, reason: String },
    #[error("cannot import the data folder of etcd: {}", path.display())]
    Import { path: PathBuf, source: io::Error },
    #[error("cannot import the data folder of etcd: its log {} is damaged; restore the member from a snapshot", path.display())]
    ImportLog { path: PathBuf, source: wal_format::Error },
    #[error("cannot import the data folder of etcd: its log {} has no metadata", .0.display())]
    NoMetadata(PathBuf),
    #[error("cannot import the data folder of etcd: {} names no members", .0.display())]
    NoMembers(PathBuf),
    #[error(
        "cannot import the data folder of etcd: its log {} goes on to entry {last}, its database only to {applied}; \
         save a snapshot of the running etcd and restore it by `etcdutl snapshot restore`",
        log.display()
    )]
    LogAhead { log: PathBuf, last: u64, applied: u64 },
    #[error("cannot read the database of etcd {}", path.display())]
    Database { path: PathBuf, source: bbolt::Error },
    #[error("the members on record are no valid membership")]
    Membership(#[source] raft::MembershipError),
    #[error("failed to write the log")]
    Wal(#[from] wal::Error),
    #[error("--force-new-cluster: failed to write the new membership to the log")]
    Force { source: io::Error },
    #[error("failed to write the imported store")]
    Store(#[from] store::Error),
}
