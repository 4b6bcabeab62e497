//! The Cluster service: who the members are.

use std::time::SystemTime;

use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::cluster_server::Cluster;
use tonic::{Request, Response, Status};

use super::member::Member;
use crate::config::Url;
use crate::http::status;
use crate::identity;
use crate::raft::Change;

pub struct Service {
    member: Member,
}

impl Service {
    pub fn new(member: Member) -> Self {
        Self { member }
    }

    /// The members after a change.
    async fn change(&self, change: Change) -> Result<Vec<pb::Member>, Status> {
        tracing::info!(?change, "changing the members");
        let removed = match change {
            Change::Remove(id) => Some(id),
            _ => None,
        };
        let raft = self.member.raft();
        raft.change_members(change).await.map_err(status::raft)?;
        // A member that was asked to remove itself will not hear of it any more.
        if removed != Some(raft.identity().member_id) {
            raft.read_barrier().await.map_err(status::raft)?;
        }
        let mut members = members(&self.member);
        members.retain(|member| Some(member.id) != removed);
        Ok(members)
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

    async fn member_add(
        &self,
        request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        let request = request.into_inner();
        let urls = peer_urls(&request.peer_ur_ls)?;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let id = identity::member_id(&urls, "", Some(now.as_secs() as i64));
        let peer_urls: Vec<String> = urls.iter().map(ToString::to_string).collect();
        let learner = request.is_learner;
        let members = self.change(Change::Add { id, peer_urls: peer_urls.clone(), learner }).await?;
        let member = pb::Member { id, peer_ur_ls: peer_urls, is_learner: learner, ..Default::default() };
        let header = Some(self.member.header(0));
        Ok(Response::new(pb::MemberAddResponse { header, member: Some(member), members }))
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        let members = self.change(Change::Remove(request.into_inner().id)).await?;
        let header = Some(self.member.header(0));
        Ok(Response::new(pb::MemberRemoveResponse { header, members }))
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        let request = request.into_inner();
        let peer_urls = peer_urls(&request.peer_ur_ls)?.iter().map(ToString::to_string).collect();
        let members = self.change(Change::Update { id: request.id, peer_urls }).await?;
        let header = Some(self.member.header(0));
        Ok(Response::new(pb::MemberUpdateResponse { header, members }))
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        let members = self.change(Change::Promote(request.into_inner().id)).await?;
        let header = Some(self.member.header(0));
        Ok(Response::new(pb::MemberPromoteResponse { header, members }))
    }
}

/// Sorted, as etcd keeps them.
fn peer_urls(texts: &[String]) -> Result<Vec<Url>, Status> {
    let mut urls = texts.iter().map(|url| Url::parse(url)).collect::<Result<Vec<_>, _>>();
    if let Ok(urls) = &mut urls {
        urls.sort();
    }
    urls.ok().filter(|urls| !urls.is_empty()).ok_or_else(status::bad_member_urls)
}
