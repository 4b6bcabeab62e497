//! The Lease service. Time is the leader's: renewals and remaining times are asked of it.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::{Stream, StreamExt};
use quorate_proto::peer::{self, peer_client::PeerClient};
use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::lease_server::Lease;
use tonic::transport::Channel;
use tonic::{Request, Response, Status, Streaming};

use super::auth::Credentials;
use super::member::Member;
use super::quota;
use crate::duty::Lessor;
use crate::http::status;
use crate::store::auth::{Caller, Registry};
use crate::store::{Refusal, apply};

/// A member that has no leader yet asks again after this.
const AGAIN: Duration = Duration::from_millis(50);

pub struct Service {
    member: Member,
    lessor: Lessor,
}

impl Service {
    pub fn new(member: Member, lessor: Lessor) -> Self {
        Self { member, lessor }
    }
}

fn keys_of(member: &Member, lease: i64) -> Vec<Bytes> {
    member.store().lease(lease).map(|lease| lease.keys).unwrap_or_default()
}

/// What only the leader can answer about a lease.
#[derive(Clone, Copy)]
enum Question {
    /// Starts its time anew; the granted seconds, 0 if the lease is gone.
    Renew(i64),
    /// Whole seconds left, -1 if the lease is gone.
    Remaining(i64),
}

/// Asks whoever leads, until a leader has answered or the time for a request is up.
async fn ask(member: &Member, lessor: &Lessor, question: Question) -> Result<i64, Status> {
    let bound = tokio::time::Instant::now() + member.raft().request_timeout();
    loop {
        if lessor.leads() {
            return Ok(match question {
                Question::Renew(id) => lessor.renew(id).await.unwrap_or(0),
                Question::Remaining(id) => lessor.remaining_s(id).unwrap_or(-1),
            });
        }
        if let Some((leader, client)) = member.raft().leader_client() {
            match tokio::time::timeout_at(bound, ask_leader(member, leader, client, question)).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(error)) => tracing::debug!(%error, "the leader did not answer about a lease"),
                Err(_) => return Err(status::raft(crate::raft::Error::Timeout)),
            }
        }
        if tokio::time::Instant::now() >= bound {
            return Err(status::raft(crate::raft::Error::Timeout));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

async fn ask_leader(
    member: &Member,
    leader: u64,
    mut client: PeerClient<Channel>,
    question: Question,
) -> Result<i64, Status> {
    let answers = match question {
        Question::Renew(id) => {
            let request = member.raft().peer_request(leader, peer::LeaseKeepAliveRequest { ids: vec![id] });
            client.lease_keep_alive(request).await?.into_inner().ttls
        }
        Question::Remaining(id) => {
            let request = member.raft().peer_request(leader, peer::LeaseTimeToLiveRequest { ids: vec![id] });
            client.lease_time_to_live(request).await?.into_inner().remaining_ttls
        }
    };
    answers.first().copied().ok_or_else(|| Status::internal("an answer without a time"))
}

#[tonic::async_trait]
impl Lease for Service {
    type LeaseKeepAliveStream = Pin<Box<dyn Stream<Item = Result<pb::LeaseKeepAliveResponse, Status>> + Send>>;

    async fn lease_grant(
        &self,
        request: Request<pb::LeaseGrantRequest>,
    ) -> Result<Response<pb::LeaseGrantResponse>, Status> {
        let (credentials, mut request) = Credentials::split(request);
        if request.ttl > crate::store::lease::MAX_TTL_SECONDS {
            return Err(status::refusal(Refusal::LeaseTtlTooLarge));
        }
        request.ttl = request.ttl.max(self.member.limits().min_lease_ttl_s);
        while request.id == 0 {
            // Clients print ids as signed numbers.
            request.id = rand::random::<i64>() & i64::MAX;
        }
        self.member.check_quota(quota::LEASE_BYTES).await?;
        let request = pb::InternalRaftRequest { lease_grant: Some(request), ..Default::default() };
        let response = self.member.propose(&credentials, request).await?;
        let apply::Response::LeaseGrant(mut response) = response else {
            return Err(Status::internal("etcdserver: the reply does not belong to the request"));
        };
        self.member.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn lease_revoke(
        &self,
        request: Request<pb::LeaseRevokeRequest>,
    ) -> Result<Response<pb::LeaseRevokeResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let request = pb::InternalRaftRequest { lease_revoke: Some(request), ..Default::default() };
        let response = self.member.propose(&credentials, request).await?;
        let apply::Response::LeaseRevoke(mut response) = response else {
            return Err(Status::internal("etcdserver: the reply does not belong to the request"));
        };
        self.member.complete(&mut response.header);
        Ok(Response::new(response))
    }

    async fn lease_keep_alive(
        &self,
        request: Request<Streaming<pb::LeaseKeepAliveRequest>>,
    ) -> Result<Response<Self::LeaseKeepAliveStream>, Status> {
        let (member, lessor) = (self.member.clone(), self.lessor.clone());
        let (credentials, requests) = Credentials::split(request);
        let responses = requests.then(move |request| {
            let (member, lessor, credentials) = (member.clone(), lessor.clone(), credentials.clone());
            async move {
                let id = request?.id;
                let may = |caller: &Caller, registry: &Registry| {
                    caller.may_call(registry)?;
                    caller.may_write_all(registry, &keys_of(&member, id))
                };
                member.permit(&credentials, may).await?.confirm(&member)?;
                // The header says what was known when the renewal was asked for.
                let header = Some(member.header(member.store().revision()));
                let ttl = ask(&member, &lessor, Question::Renew(id)).await?;
                Ok(pb::LeaseKeepAliveResponse { header, id, ttl })
            }
        });
        Ok(Response::new(Box::pin(responses)))
    }

    async fn lease_time_to_live(
        &self,
        request: Request<pb::LeaseTimeToLiveRequest>,
    ) -> Result<Response<pb::LeaseTimeToLiveResponse>, Status> {
        let (credentials, request) = Credentials::split(request);
        let id = request.id;
        // A member that lags must not deny a lease that was granted before the call.
        self.member.raft().read_barrier().await.map_err(status::raft)?;
        let may = |caller: &Caller, registry: &Registry| {
            caller.may_call(registry)?;
            let shown = if request.keys { keys_of(&self.member, id) } else { Vec::new() };
            caller.may_read_all(registry, &shown)
        };
        let permit = self.member.permit(&credentials, may).await?;
        let header = Some(self.member.header(self.member.store().revision()));
        let Some(lease) = self.member.store().lease(id) else {
            return Ok(Response::new(pb::LeaseTimeToLiveResponse { header, id, ttl: -1, ..Default::default() }));
        };
        let ttl = ask(&self.member, &self.lessor, Question::Remaining(id)).await?;
        permit.confirm(&self.member)?;
        if ttl < 0 {
            return Ok(Response::new(pb::LeaseTimeToLiveResponse { header, id, ttl: -1, ..Default::default() }));
        }
        let keys = if request.keys { lease.keys } else { Vec::new() };
        Ok(Response::new(pb::LeaseTimeToLiveResponse { header, id, ttl, granted_ttl: lease.ttl, keys }))
    }

    async fn lease_leases(
        &self,
        request: Request<pb::LeaseLeasesRequest>,
    ) -> Result<Response<pb::LeaseLeasesResponse>, Status> {
        let (credentials, _) = Credentials::split(request);
        let ids = self.member.store().leases();
        let may = |caller: &Caller, registry: &Registry| {
            caller.may_call(registry)?;
            let may_see = |id: &i64| caller.may_read_all(registry, &keys_of(&self.member, *id));
            if registry.enabled() { ids.iter().try_for_each(may_see) } else { Ok(()) }
        };
        self.member.permit(&credentials, may).await?.confirm(&self.member)?;
        let header = Some(self.member.header(self.member.store().revision()));
        let leases = ids.into_iter().map(|id| pb::LeaseStatus { id }).collect();
        Ok(Response::new(pb::LeaseLeasesResponse { header, leases }))
    }
}
