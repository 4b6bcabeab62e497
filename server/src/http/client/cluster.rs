//! The Cluster service: who the members are.

use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::cluster_server::Cluster;
use tonic::{Request, Response, Status};

use super::member::Member;
use crate::http::status;

pub struct Service {
    member: Member,
}

impl Service {
    pub fn new(member: Member) -> Self {
        Self { member }
    }
}

/// The members by id: what the membership says, and what each said about itself once it had started.
pub fn members(member: &Member) -> Vec<pb::Member> {
    let attributes = member.store().member_attributes();
    let mut members: Vec<pb::Member> = member
        .raft()
        .status()
        .members
        .into_iter()
        .map(|known| {
            let own = attributes.iter().find(|(id, _)| *id == known.id).map(|(_, own)| own.clone());
            let own = own.unwrap_or_default();
            pb::Member {
                id: known.id,
                name: own.name,
                peer_ur_ls: known.peer_urls,
                client_ur_ls: own.client_urls,
                is_learner: known.is_learner,
            }
        })
        .collect();
    members.sort_by_key(|member| member.id);
    members
}

#[tonic::async_trait]
impl Cluster for Service {
    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        if request.into_inner().linearizable {
            self.member.raft().read_barrier().await.map_err(status::raft)?;
        }
        // Headers of this service carry no revision, as in etcd.
        let header = Some(self.member.header(0));
        Ok(Response::new(pb::MemberListResponse { header, members: members(&self.member) }))
    }

    async fn member_add(&self, _: Request<pb::MemberAddRequest>) -> Result<Response<pb::MemberAddResponse>, Status> {
        Err(status::not_there("adding a member"))
    }

    async fn member_remove(
        &self,
        _: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        Err(status::not_there("removing a member"))
    }

    async fn member_update(
        &self,
        _: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        Err(status::not_there("updating a member"))
    }

    async fn member_promote(
        &self,
        _: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        Err(status::not_there("promoting a member"))
    }
}
