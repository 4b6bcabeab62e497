//! The Election service.

use std::sync::Arc;

use quorate_proto::EncodedKeyValue;
use quorate_proto::served::v3electionpb as pb;
use quorate_proto::served::v3electionpb::election_server::Election;
use tonic::{Request, Response, Status};

use super::caller::{Caller, Inner};
use super::contender::{Entry, Lease, contend, first_pair};
use super::observe::{self, Leaders};
use super::request;
use crate::http::status;

pub struct Service {
    inner: Arc<Inner>,
}

impl Service {
    pub fn new(inner: Arc<Inner>) -> Self {
        Self { inner }
    }
}

#[tonic::async_trait]
impl Election for Service {
    type ObserveStream = Leaders;

    async fn campaign(&self, request: Request<pb::CampaignRequest>) -> Result<Response<pb::CampaignResponse>, Status> {
        let (caller, pb::CampaignRequest { name, lease, value }) = Caller::of(&self.inner, request);
        let entry = Entry { name: name.clone(), lease, value, lost: status::not_elected };
        let won = contend(caller, entry).await.map_err(status::of_inner_call)?;
        let leader = pb::LeaderKey { name, key: won.key, rev: won.revision, lease: won.lease };
        Ok(Response::new(pb::CampaignResponse { header: won.entered, leader: Some(leader) }))
    }

    async fn proclaim(&self, request: Request<pb::ProclaimRequest>) -> Result<Response<pb::ProclaimResponse>, Status> {
        let (caller, pb::ProclaimRequest { leader, value }) = Caller::of(&self.inner, request);
        let leader = leader.ok_or_else(status::leader_not_given)?;
        let lease = Lease::of(&caller, leader.lease).await.map_err(status::of_inner_call)?;
        let put = caller.txn(request::proclaim(&leader.key, leader.rev, value, lease.id)).await;
        match put {
            Ok(put) if put.succeeded => Ok(Response::new(pb::ProclaimResponse { header: put.header })),
            refused => {
                lease.give_back(&caller).await;
                Err(refused.map_or_else(status::of_inner_call, |_| status::not_elected()))
            }
        }
    }

    async fn leader(&self, request: Request<pb::LeaderRequest>) -> Result<Response<pb::LeaderResponse>, Status> {
        let (caller, pb::LeaderRequest { name }) = Caller::of(&self.inner, request);
        let found = caller.txn(request::leader(&request::prefix(&name))).await.map_err(status::of_inner_call)?;
        let pair = first_pair(&found, 0)?.ok_or_else(status::nobody_elected)?;
        Ok(Response::new(pb::LeaderResponse { header: found.header, kv: Some(EncodedKeyValue::from(&pair)) }))
    }

    async fn observe(&self, request: Request<pb::LeaderRequest>) -> Result<Response<Leaders>, Status> {
        let (caller, pb::LeaderRequest { name }) = Caller::of(&self.inner, request);
        Ok(Response::new(observe::start(caller, &name)))
    }

    async fn resign(&self, request: Request<pb::ResignRequest>) -> Result<Response<pb::ResignResponse>, Status> {
        let (caller, pb::ResignRequest { leader }) = Caller::of(&self.inner, request);
        let leader = leader.ok_or_else(status::leader_not_given)?;
        let resigned = caller.txn(request::resign(&leader.key, leader.rev)).await.map_err(status::of_inner_call)?;
        Ok(Response::new(pb::ResignResponse { header: resigned.header }))
    }
}
