//! The Maintenance service.

use std::sync::Arc;

use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::alarm_request::AlarmAction;
use quorate_proto::served::etcdserverpb::maintenance_server::Maintenance;
use tonic::{Request, Response, Status};

use super::auth::Credentials;
use super::health::Serving;
use super::member::Member;
use super::{downgrade, snapshot};
use crate::background;
use crate::config::API_VERSION;
use crate::http::status;
use crate::metrics::Metrics;
use crate::store::apply;
use crate::store::auth::Caller;

pub struct Service {
    member: Member,
    /// Told of defragmentations, if that is wanted.
    serving: Option<Serving>,
    metrics: Arc<Metrics>,
}

impl Service {
    pub fn new(member: Member, serving: Option<Serving>, metrics: Arc<Metrics>) -> Self {
        Self { member, serving, metrics }
    }

    /// The message of a request that only administrators may make.
    async fn administered<T>(&self, request: Request<T>) -> Result<T, Status> {
        let (credentials, message) = Credentials::split(request);
        self.member.permit(&credentials, Caller::may_administer).await?.confirm(&self.member)?;
        Ok(message)
    }

    /// The message of a request that any user may make.
    async fn authenticated<T>(&self, request: Request<T>) -> Result<T, Status> {
        let (credentials, message) = Credentials::split(request);
        self.member.permit(&credentials, Caller::may_call).await?.confirm(&self.member)?;
        Ok(message)
    }

    /// Long work on the store, away from the thread that serves everybody.
    async fn on_store<T: Send + 'static>(
        &self,
        work: impl FnOnce(&crate::store::Store) -> Result<T, crate::store::Error> + Send + 'static,
    ) -> Result<T, Status> {
        let store = self.member.store().clone();
        background::run("maintenance", move || work(&store))
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(status::store)
    }
}

/// Alarms and a missing leader, as `endpoint status` shows them.
fn troubles(member: &Member, leader: u64) -> Vec<String> {
    let mut troubles = Vec::new();
    if leader == 0 {
        troubles.push("etcdserver: no leader".to_owned());
    }
    for alarm in member.store().alarms() {
        let kind = pb::AlarmType::try_from(alarm.alarm).unwrap_or(pb::AlarmType::None);
        troubles.push(format!("memberID:{} alarm:{} ", alarm.member_id, kind.as_str_name()));
    }
    troubles
}

#[tonic::async_trait]
impl Maintenance for Service {
    type SnapshotStream = snapshot::Pieces;

    async fn alarm(&self, request: Request<pb::AlarmRequest>) -> Result<Response<pb::AlarmResponse>, Status> {
        let asks = request.get_ref().action == AlarmAction::Get as i32;
        let request = if asks { self.authenticated(request).await? } else { self.administered(request).await? };
        let mut response = if asks {
            let wanted = request.alarm;
            let alarms = self
                .member
                .store()
                .alarms()
                .into_iter()
                .filter(|alarm| wanted == pb::AlarmType::None as i32 || alarm.alarm == wanted)
                .collect();
            let revision = self.member.store().revision();
            pb::AlarmResponse { header: Some(self.member.header(revision)), alarms }
        } else {
            let internal = pb::InternalRaftRequest { alarm: Some(request), ..Default::default() };
            let response = self.member.raft().propose(internal).await.map_err(status::raft)?;
            let apply::Response::Alarm(response) = response else {
                return Err(Status::internal("etcdserver: the reply does not belong to the request"));
            };
            response
        };
        self.member.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn status(&self, request: Request<pb::StatusRequest>) -> Result<Response<pb::StatusResponse>, Status> {
        self.authenticated(request).await?;
        let raft = self.member.raft().status();
        let size = self.member.store().size();
        let downgrade = self.member.store().downgrade();
        let header = self.member.header(self.member.store().revision());
        Ok(Response::new(pb::StatusResponse {
            header: Some(header),
            version: API_VERSION.to_owned(),
            db_size: size.total,
            db_size_in_use: size.in_use,
            leader: raft.leader,
            raft_index: self.member.raft().committed(),
            raft_term: raft.term,
            raft_applied_index: self.member.raft().applied(),
            errors: troubles(&self.member, raft.leader),
            is_learner: raft.is_learner,
            storage_version: self.member.storage_version().unwrap_or_default(),
            db_size_quota: self.member.limits().quota_bytes.map_or(0, |quota| quota as i64),
            downgrade_info: Some(downgrade.map_or_else(pb::DowngradeInfo::default, |downgrade| pb::DowngradeInfo {
                enabled: true,
                target_version: downgrade.target_version,
            })),
        }))
    }

    async fn defragment(
        &self,
        request: Request<pb::DefragmentRequest>,
    ) -> Result<Response<pb::DefragmentResponse>, Status> {
        self.administered(request).await?;
        tracing::info!("starting defragment");
        let _rest = self.serving.as_ref().map(|serving| serving.rest("defrag is active"));
        self.on_store(crate::store::Store::defragment).await?;
        tracing::info!("finished defragment");
        Ok(Response::new(pb::DefragmentResponse { header: None }))
    }

    async fn hash(&self, request: Request<pb::HashRequest>) -> Result<Response<pb::HashResponse>, Status> {
        self.administered(request).await?;
        let hash = self.on_store(crate::store::Store::hash).await?;
        let header = self.member.header(self.member.store().revision());
        Ok(Response::new(pb::HashResponse { header: Some(header), hash }))
    }

    async fn hash_kv(&self, request: Request<pb::HashKvRequest>) -> Result<Response<pb::HashKvResponse>, Status> {
        let revision = self.administered(request).await?.revision;
        let hashed = self.on_store(move |store| store.hash_kv(revision)).await?;
        let header = self.member.header(hashed.revision);
        Ok(Response::new(pb::HashKvResponse {
            header: Some(header),
            hash: hashed.hash,
            compact_revision: hashed.compact_revision,
            hash_revision: hashed.hash_revision,
        }))
    }

    async fn snapshot(&self, request: Request<pb::SnapshotRequest>) -> Result<Response<Self::SnapshotStream>, Status> {
        self.administered(request).await?;
        snapshot::start(&self.member, &self.metrics).await.map(Response::new)
    }

    async fn move_leader(
        &self,
        request: Request<pb::MoveLeaderRequest>,
    ) -> Result<Response<pb::MoveLeaderResponse>, Status> {
        let target = self.administered(request).await?.target_id;
        let raft = self.member.raft();
        raft.move_leader(target, raft.request_timeout()).await.map_err(status::raft)?;
        Ok(Response::new(pb::MoveLeaderResponse { header: None }))
    }

    async fn downgrade(
        &self,
        request: Request<pb::DowngradeRequest>,
    ) -> Result<Response<pb::DowngradeResponse>, Status> {
        let request = self.administered(request).await?;
        let version = downgrade::downgrade(&self.member, &request).await?;
        let header = self.member.header(self.member.store().revision());
        Ok(Response::new(pb::DowngradeResponse { header: Some(header), version }))
    }
}
