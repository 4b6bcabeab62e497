//! The Cluster service: who the members are, and changing them.

use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::cluster_server::Cluster;
use tonic::{Request, Response, Status};

use super::auth::Credentials;
use super::member::Member;
use super::members;
use crate::http::status;
use crate::raft::Change;
use crate::store::auth::Caller;

pub struct Service {
    member: Member,
}

impl Service {
    pub fn new(member: Member) -> Self {
        Self { member }
    }

    /// The message of a request that only administrators may make.
    async fn administered<T>(&self, request: Request<T>) -> Result<T, Status> {
        let (credentials, message) = Credentials::split(request);
        self.member.permit(&credentials, Caller::may_administer).await?.confirm(&self.member)?;
        Ok(message)
    }
}

#[tonic::async_trait]
impl Cluster for Service {
    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        if request.linearizable {
            self.member.raft().read_barrier().await.map_err(status::raft)?;
        }
        self.member.permit(&credentials, Caller::may_call).await?.confirm(&self.member)?;
        // Headers of this service carry no revision, as in etcd.
        let header = Some(self.member.header(0));
        Ok(Response::new(pb::MemberListResponse { header, members: members::list(&self.member) }))
    }

    async fn member_add(
        &self,
        request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        let request = self.administered(request).await?;
        let (member, members) = members::add(&self.member, &request.peer_ur_ls, request.is_learner).await?;
        let header = Some(self.member.header(0));
        Ok(Response::new(pb::MemberAddResponse { header, member: Some(member), members }))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        let request = self.administered(request).await?;
        let members = members::change(&self.member, Change::Remove(request.id)).await?;
        let header = Some(self.member.header(0));
        Ok(Response::new(pb::MemberRemoveResponse { header, members }))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        let request = self.administered(request).await?;
        let members = members::update(&self.member, request.id, &request.peer_ur_ls).await?;
        let header = Some(self.member.header(0));
        Ok(Response::new(pb::MemberUpdateResponse { header, members }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        let request = self.administered(request).await?;
        let members = members::change(&self.member, Change::Promote(request.id)).await?;
        let header = Some(self.member.header(0));
        Ok(Response::new(pb::MemberPromoteResponse { header, members }))
    }
}
