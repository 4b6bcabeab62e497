//! The cluster as clients of the proxy see it: its members are the proxies, so that a client that refreshes its endpoints stays
//! with them. Everything else goes to the cluster itself.

use std::time::Duration;

use quorate_proto::served::etcdserverpb as pb;
use quorate_proto::served::etcdserverpb::cluster_server::Cluster;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::upstream::Upstream;

const MEMBER_LIST: &str = "/etcdserverpb.Cluster/MemberList";
/// Between two tries to register.
const AGAIN: Duration = Duration::from_secs(1);

/// Where this proxy is reached, and where all of them are registered.
#[derive(Debug, Clone)]
pub struct Advertised {
    /// HOST:PORT.
    pub address: String,
    /// `--resolver-prefix`; empty: this proxy knows of no other.
    pub prefix: String,
    /// Seconds after which a proxy that is gone is no longer registered.
    pub ttl: i64,
}

/// The gRPC service. Cheap to clone.
#[derive(Clone)]
pub struct Service {
    pub upstream: Upstream,
    /// `None`: clients see the cluster's members.
    pub advertised: Option<Advertised>,
}

/// What is registered below the prefix: etcd's `naming/endpoints` format.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    #[serde(rename = "Op", default)]
    op: u8,
    #[serde(rename = "Addr")]
    address: String,
    /// JSON within JSON.
    #[serde(rename = "Metadata", default)]
    metadata: serde_json::Value,
}

#[derive(Debug, Serialize, Deserialize)]
struct Metadata {
    name: String,
}

impl Service {
    async fn proxies(&self, own: &Advertised) -> Result<Vec<pb::Member>, Status> {
        let member =
            |name: String, address: String| pb::Member { name, client_ur_ls: vec![address], ..Default::default() };
        if own.prefix.is_empty() {
            return Ok(vec![member(host_name(), own.address.clone())]);
        }
        let (key, range_end) = below(&own.prefix);
        let range = pb::RangeRequest { key: key.into(), range_end: range_end.into(), ..Default::default() };
        let found: Response<pb::RangeResponse> =
            self.upstream.unary("/etcdserverpb.KV/Range", Request::new(range)).await?;
        let entries = found.into_inner().kvs.into_iter().filter_map(|pair| {
            let entry: Entry = serde_json::from_slice(&pair.decode().ok()?.value).ok()?;
            let metadata = entry.metadata.as_str().and_then(|text| serde_json::from_str::<Metadata>(text).ok());
            Some(member(metadata.map(|metadata| metadata.name).unwrap_or_default(), entry.address))
        });
        Ok(entries.collect())
    }
}

#[tonic::async_trait]
impl Cluster for Service {
    async fn member_list(
        &self,
        request: Request<pb::MemberListRequest>,
    ) -> Result<Response<pb::MemberListResponse>, Status> {
        let Some(own) = &self.advertised else { return self.upstream.unary(MEMBER_LIST, request).await };
        let members = self.proxies(own).await?;
        // Clients must find the proxy when the cluster does not answer.
        let header = match self.upstream.unary::<_, pb::MemberListResponse>(MEMBER_LIST, request).await {
            Ok(answer) => answer.into_inner().header,
            Err(_) => None,
        };
        Ok(Response::new(pb::MemberListResponse { header, members }))
    }

    async fn member_add(
        &self,
        request: Request<pb::MemberAddRequest>,
    ) -> Result<Response<pb::MemberAddResponse>, Status> {
        self.upstream.unary("/etcdserverpb.Cluster/MemberAdd", request).await
    }

    async fn member_remove(
        &self,
        request: Request<pb::MemberRemoveRequest>,
    ) -> Result<Response<pb::MemberRemoveResponse>, Status> {
        self.upstream.unary("/etcdserverpb.Cluster/MemberRemove", request).await
    }

    async fn member_update(
        &self,
        request: Request<pb::MemberUpdateRequest>,
    ) -> Result<Response<pb::MemberUpdateResponse>, Status> {
        self.upstream.unary("/etcdserverpb.Cluster/MemberUpdate", request).await
    }

    async fn member_promote(
        &self,
        request: Request<pb::MemberPromoteRequest>,
    ) -> Result<Response<pb::MemberPromoteResponse>, Status> {
        self.upstream.unary("/etcdserverpb.Cluster/MemberPromote", request).await
    }
}

/// Keeps this proxy registered.
pub async fn register(upstream: Upstream, own: Advertised) {
    loop {
        if let Err(status) = register_once(&upstream, &own).await {
            tracing::warn!(prefix = own.prefix, %status, "failed to register this proxy; trying again");
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// Until the lease is lost.
async fn register_once(upstream: &Upstream, own: &Advertised) -> Result<(), Status> {
    let grant = pb::LeaseGrantRequest { ttl: own.ttl, id: 0 };
    let granted: Response<pb::LeaseGrantResponse> =
        upstream.unary("/etcdserverpb.Lease/LeaseGrant", Request::new(grant)).await?;
    let pb::LeaseGrantResponse { id, ttl, .. } = granted.into_inner();
    let metadata = serde_json::json!({ "name": host_name() }).to_string();
    let entry = Entry { op: 0, address: own.address.clone(), metadata: metadata.into() };
    let value = serde_json::to_vec(&entry).map_err(|error| Status::internal(error.to_string()))?;
    let key = format!("{}{}", below(&own.prefix).0, own.address);
    let put = pb::PutRequest { key: key.into(), value: value.into(), lease: id, ..Default::default() };
    let _: Response<pb::PutResponse> = upstream.unary("/etcdserverpb.KV/Put", Request::new(put)).await?;
    tracing::info!(prefix = own.prefix, address = own.address, "registered this proxy");
    let pause = Duration::from_secs(ttl.unsigned_abs()) / 3;
    loop {
        tokio::time::sleep(pause).await;
        let keep = futures::stream::iter([pb::LeaseKeepAliveRequest { id }]);
        let mut answers = upstream
            .stream::<_, pb::LeaseKeepAliveResponse>("/etcdserverpb.Lease/LeaseKeepAlive", Request::new(keep))
            .await?;
        if answers.message().await?.is_none_or(|answer| answer.ttl <= 0) {
            return Err(Status::not_found("the registration's lease has expired"));
        }
    }
}

/// Takes the cluster's members as endpoints, at once and again and again.
pub async fn follow_members(upstream: Upstream, interval: Duration, stop: CancellationToken) {
    let mut known = Vec::new();
    loop {
        match client_urls(&upstream).await {
            Ok(urls) if urls.is_empty() || urls == known => {}
            Ok(urls) => match upstream.set_endpoints(&urls) {
                Ok(()) => {
                    tracing::info!(endpoints = ?urls, "refreshed the endpoints");
                    known = urls;
                }
                Err(error) => tracing::warn!(%error, "a member's client URL can't be used"),
            },
            Err(status) => tracing::warn!(%status, "failed to refresh the endpoints"),
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn client_urls(upstream: &Upstream) -> Result<Vec<String>, Status> {
    let request = Request::new(pb::MemberListRequest { linearizable: false });
    let answer: Response<pb::MemberListResponse> = upstream.unary(MEMBER_LIST, request).await?;
    let voters = answer.into_inner().members.into_iter().filter(|member| !member.is_learner);
    Ok(voters.flat_map(|member| member.client_ur_ls).collect())
}

/// The keys below a prefix: from the first, up to the second.
fn below(prefix: &str) -> (String, String) {
    let prefix = prefix.trim_end_matches('/');
    // The character behind the slash.
    (format!("{prefix}/"), format!("{prefix}0"))
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}
