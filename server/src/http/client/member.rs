//! What every client service needs of the member it runs on.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate_proto::served::etcdserverpb as pb;
use tonic::Status;

use super::auth::{Authority, Credentials};
use crate::config::Config;
use crate::http::status;
use crate::raft;
use crate::store::auth::{Caller, Refusal, Registry};
use crate::store::{self, Store, apply};

/// Cheap to clone; shared by the client services.
#[derive(Clone)]
pub struct Member(Arc<Parts>);

struct Parts {
    raft: raft::Handle,
    store: Store,
    authority: Authority,
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
    /// A read that takes longer, from its arrival to its answer, is logged.
    pub slow_read: Duration,
    /// A unary call that takes longer is logged.
    pub slow_call: Duration,
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
            slow_read: config.warning_apply_duration,
            slow_call: config.warning_unary_request_duration,
        }
    }
}

impl Member {
    /// `snapshot_dir`: where files for clients are prepared.
    pub fn new(raft: raft::Handle, store: Store, authority: Authority, limits: Limits, snapshot_dir: PathBuf) -> Self {
        Self(Arc::new(Parts { raft, store, authority, limits, snapshot_dir }))
    }

    pub fn raft(&self) -> &raft::Handle {
        &self.0.raft
    }

    pub fn store(&self) -> &Store {
        &self.0.store
    }

    pub fn authority(&self) -> &Authority {
        &self.0.authority
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

    /// The schema that a snapshot of this member has: as in etcd it follows the cluster's version, once that is decided.
    pub fn storage_version(&self) -> Option<String> {
        self.0.store.cluster_version()
    }

    /// Completes the header of a store's reply, which carries the revision only.
    pub fn complete(&self, header: &mut Option<pb::ResponseHeader>) {
        let revision = header.as_ref().map(|header| header.revision).unwrap_or_default();
        *header = Some(self.header(revision));
    }

    /// Who makes a call; nobody, while authentication is off.
    pub async fn identify(&self, credentials: &Credentials) -> Result<Caller, Status> {
        self.0.authority.identify(credentials, &self.0.raft, &self.0.store).await
    }

    /// Whether the caller may do what needs no entry in the log. What it reads has to be confirmed afterwards.
    pub async fn permit(
        &self,
        credentials: &Credentials,
        may: impl FnOnce(&Caller, &Registry) -> Result<(), Refusal>,
    ) -> Result<Permit, Status> {
        let caller = self.identify(credentials).await?;
        may(&caller, &self.0.store.auth()).map_err(status::auth)?;
        Ok(Permit { revision: caller.revision })
    }

    /// Has a request of a client agreed on and applied. Whether the caller may have it is decided when it is applied.
    pub async fn propose(
        &self,
        credentials: &Credentials,
        request: pb::InternalRaftRequest,
    ) -> Result<apply::Response, Status> {
        const ATTEMPTS: usize = 3;
        let mut attempt = 1;
        loop {
            let caller = self.identify(credentials).await?;
            if caller.revision == 0 {
                return self.0.raft.propose(request).await.map_err(status::raft);
            }
            let (username, auth_revision) = (caller.name, caller.revision);
            let header = pb::RequestHeader { id: 0, username, auth_revision };
            let request = pb::InternalRaftRequest { header: Some(header), ..request.clone() };
            match self.0.raft.propose(request).await {
                // Nothing was done: who the caller is may be found out anew.
                Err(raft::Error::Refused(store::Refusal::Auth(Refusal::OldRevision))) if attempt < ATTEMPTS => {
                    attempt += 1;
                }
                outcome => return outcome.map_err(status::raft),
            }
        }
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

/// What a caller was permitted to read, until users or roles change.
#[derive(Debug, Clone, Copy)]
#[must_use = "what was read must be confirmed before it is answered"]
pub struct Permit {
    /// 0 while authentication is off.
    revision: u64,
}

impl Permit {
    /// What was read meanwhile may be answered.
    pub fn confirm(self, member: &Member) -> Result<(), Status> {
        if self.revision != 0 && self.revision != member.store().auth().revision() {
            return Err(status::auth(Refusal::OldRevision));
        }
        Ok(())
    }
}
