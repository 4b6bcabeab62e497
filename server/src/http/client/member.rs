//! What every client service needs of the member it runs on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_proto::served::etcdserverpb as pb;
use tonic::Status;

use crate::config::Config;
use crate::http::status;
use crate::raft;
use crate::store::Store;

/// Cheap to clone; shared by the client services.
#[derive(Clone)]
pub struct Member(Arc<Parts>);

struct Parts {
    raft: raft::Handle,
    store: Store,
    limits: Limits,
    snapshot_dir: PathBuf,
}

/// Bounds on requests.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub max_txn_ops: usize,
    /// Bytes of one encoded request.
    pub max_request_bytes: usize,
    /// Bytes of the database at which NOSPACE is raised; `None`: never.
    pub quota_bytes: Option<u64>,
    /// The shortest lease in seconds, whatever a client asks for.
    pub min_lease_ttl_s: i64,
}

impl Limits {
    pub fn of(config: &Config) -> Self {
        // Shorter than one and a half elections, a lease could end before a new leader can take it over.
        let min_lease_ttl_s = (config.election_timeout.as_secs_f64() * 1.5).ceil() as i64;
        Self {
            max_txn_ops: config.max_txn_ops,
            max_request_bytes: config.max_request_bytes,
            quota_bytes: config.quota_backend_bytes,
            min_lease_ttl_s,
        }
    }
}

impl Member {
    /// `snapshot_dir`: where files for clients are prepared.
    pub fn new(raft: raft::Handle, store: Store, limits: Limits, snapshot_dir: PathBuf) -> Self {
        Self(Arc::new(Parts { raft, store, limits, snapshot_dir }))
    }

    pub fn raft(&self) -> &raft::Handle {
        &self.0.raft
    }

    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub fn snapshot_dir(&self) -> &Path {
        &self.0.snapshot_dir
    }

    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub fn header(&self, revision: i64) -> pb::ResponseHeader {
        let identity = self.0.raft.identity();
        pb::ResponseHeader {
            cluster_id: identity.cluster_id,
            member_id: identity.member_id,
            revision,
            raft_term: self.0.raft.term(),
        }
    }

    /// Completes the header of a store's reply, which carries the revision only.
    pub fn complete(&self, header: &mut Option<pb::ResponseHeader>) {
        let revision = header.as_ref().map(|header| header.revision).unwrap_or_default();
        *header = Some(self.header(revision));
    }

    /// Raises NOSPACE and refuses, if `cost_bytes` more would pass the quota.
    pub async fn check_quota(&self, cost_bytes: usize) -> Result<(), Status> {
        let Some(quota) = self.0.limits.quota_bytes else { return Ok(()) };
        let size = self.0.store.size().total.max(0) as u64;
        if size + (cost_bytes as u64) < quota {
            return Ok(());
        }
        let alarm = pb::AlarmRequest {
            action: pb::alarm_request::AlarmAction::Activate as i32,
            member_id: self.0.raft.identity().member_id,
            alarm: pb::AlarmType::Nospace as i32,
        };
        tracing::warn!(size, quota, "raised the NOSPACE alarm: the database has reached its quota");
        let request = pb::InternalRaftRequest { alarm: Some(alarm), ..Default::default() };
        self.0.raft.propose(request).await.map_err(status::raft)?;
        Err(status::no_space())
    }
}
