//! The client port's gRPC services and the way from a request's path to one of them.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Router;
use futures::future::{BoxFuture, FutureExt as _};
use http::{HeaderMap, Request, Response};
use hyper::body::Incoming;
use opentelemetry::context::FutureExt as _;
use quorate_proto::health::health_server::HealthServer;
use quorate_proto::served::etcdserverpb::auth_server::AuthServer;
use quorate_proto::served::etcdserverpb::cluster_server::ClusterServer;
use quorate_proto::served::etcdserverpb::kv_server::KvServer;
use quorate_proto::served::etcdserverpb::lease_server::LeaseServer;
use quorate_proto::served::etcdserverpb::maintenance_server::MaintenanceServer;
use quorate_proto::served::etcdserverpb::watch_server::WatchServer;
use quorate_proto::served::v3electionpb::election_server::ElectionServer;
use quorate_proto::served::v3lockpb::lock_server::LockServer;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::member::Member;
use super::reads::Reads;
use super::{auth, cluster, concurrency, counted::Counted, health, kv, large_range, lease, maintenance, watch};
use crate::duty::Lessor;
use crate::http::{admin, status};
use crate::metrics::Metrics;
use crate::telemetry::traces::{Call, Traces};

/// A request beyond `--max-request-bytes` by more than this is refused before it is decoded; etcd's allowance.
const OVERHEAD_BYTES: usize = 512 << 10;

pub struct Parts {
    pub member: Member,
    pub lessor: Lessor,
    pub watch: watch::Service,
    pub metrics: Arc<Metrics>,
    pub traces: Option<Traces>,
    /// The gate `StopGRPCServiceOnDefrag`.
    pub rests_on_defrag: bool,
}

/// gRPC by the path's service name, everything else to plain HTTP. Cheap to clone.
#[derive(Clone)]
pub struct Services {
    member: Member,
    metrics: Arc<Metrics>,
    traces: Option<Traces>,
    kv: KvServer<kv::Service>,
    watch: WatchServer<watch::Service>,
    lease: LeaseServer<lease::Service>,
    cluster: ClusterServer<cluster::Service>,
    maintenance: MaintenanceServer<maintenance::Service>,
    auth: AuthServer<auth::Service>,
    lock: LockServer<concurrency::LockService>,
    election: ElectionServer<concurrency::ElectionService>,
    health: HealthServer<health::Service>,
    /// Health, metrics, version; not found for the rest. `None` where HTTP has listeners of its own.
    http: Option<Router>,
}

/// Without plain HTTP; see [`Services::with_http`].
pub fn services(parts: Parts) -> Services {
    let Parts { member, lessor, watch, metrics, traces, rests_on_defrag } = parts;
    let reads = Reads::new(metrics.clone(), member.limits().slow_read);
    let serving = health::Serving::default();
    let limit = message_limit_bytes(&member);
    macro_rules! bounded {
        ($server:ident, $service:expr) => {
            $server::new($service).max_decoding_message_size(limit).max_encoding_message_size(i32::MAX as usize)
        };
    }
    let inner = Arc::new(concurrency::Inner {
        kv: kv::Service::new(member.clone(), reads.clone()),
        lease: lease::Service::new(member.clone(), lessor.clone()),
        watch: watch.clone(),
    });
    Services {
        metrics: metrics.clone(),
        traces,
        kv: bounded!(KvServer, kv::Service::new(member.clone(), reads)),
        watch: bounded!(WatchServer, watch),
        lease: bounded!(LeaseServer, lease::Service::new(member.clone(), lessor)),
        cluster: bounded!(ClusterServer, cluster::Service::new(member.clone())),
        maintenance: bounded!(
            MaintenanceServer,
            maintenance::Service::new(member.clone(), rests_on_defrag.then(|| serving.clone()), metrics)
        ),
        auth: bounded!(AuthServer, auth::Service::new(member.clone())),
        lock: bounded!(LockServer, concurrency::LockService::new(inner.clone())),
        election: bounded!(ElectionServer, concurrency::ElectionService::new(inner)),
        health: bounded!(HealthServer, health::Service::new(serving)),
        member,
        http: None,
    }
}

fn message_limit_bytes(member: &Member) -> usize {
    member.limits().max_request_bytes.saturating_add(OVERHEAD_BYTES)
}

type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

impl Services {
    pub fn with_http(self, http: Router) -> Self {
        Self { http: Some(http), ..self }
    }

    /// Bytes of the largest request that is decoded.
    pub fn message_limit_bytes(&self) -> usize {
        message_limit_bytes(&self.member)
    }

    /// Whether a caller's certificate may decide what it is allowed to.
    pub fn takes_certificates(&self) -> bool {
        self.member.authority().takes_certificates(self.member.store())
    }

    pub fn serve(&self, request: Request<Incoming>) -> Answer {
        let is_grpc = request
            .headers()
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        if is_grpc { self.call(request) } else { self.plain(request) }
    }

    /// A gRPC request, whoever made it of what.
    pub fn call<B>(&self, request: Request<B>) -> Answer
    where
        B: http_body::Body<Error: Into<tower::BoxError> + Send> + Send + 'static,
    {
        let path = request.uri().path();
        let rpc = self.metrics.rpcs.get(path);
        // What names no method gets no span: callers must not make up names.
        let span = self.traces.as_ref().filter(|_| rpc.is_some()).map(|traces| traces.call(path, request.headers()));
        let context = span.as_ref().map(Call::context);
        let counted = Counted::start(rpc, self.member.limits().slow_call, span);
        let admitted = self.count_version(request.headers(), rpc.is_some_and(|rpc| rpc.streams));
        if let Err(refused) = admitted.and_then(|()| self.admit(path, request.headers())) {
            counted.handled(refused.code());
            return Box::pin(std::future::ready(Ok(refused.into_http())));
        }
        let service = path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
        let answer = match service {
            Some("etcdserverpb.KV") => self.kv.clone().call(request),
            Some("etcdserverpb.Watch") => self.watch.clone().call(request),
            Some("etcdserverpb.Lease") => self.lease.clone().call(request),
            Some("etcdserverpb.Cluster") => self.cluster.clone().call(request),
            Some("etcdserverpb.Maintenance") => self.maintenance.clone().call(request),
            Some("etcdserverpb.Auth") => self.auth.clone().call(request),
            Some("v3lockpb.Lock") => self.lock.clone().call(request),
            Some("v3electionpb.Election") => self.election.clone().call(request),
            Some("grpc.health.v1.Health") => self.health.clone().call(request),
            _ => {
                let refused = Status::unimplemented(format!("unknown service {}", service.unwrap_or_default()));
                return Box::pin(std::future::ready(Ok(refused.into_http())));
            }
        };
        let answer = match context {
            Some(context) => answer.with_context(context).boxed(),
            None => answer,
        };
        Box::pin(async move {
            let response = answer.await?;
            Ok(counted.answered(large_range::unfold(too_large_as_etcd(response))))
        })
    }

    fn count_version(&self, headers: &HeaderMap, streams: bool) -> Result<(), Status> {
        let version = match headers.get("client-api-version").map(|version| std::str::from_utf8(version.as_bytes())) {
            Some(Ok(version)) => Some(version),
            Some(Err(_)) => return Err(Status::invalid_argument("etcdserver: invalid client api version")),
            None => None,
        };
        self.metrics.server.client_versions.count(version, streams);
        Ok(())
    }

    /// What holds for every call, whatever it asks for.
    fn admit(&self, path: &str, headers: &HeaderMap) -> Result<(), Status> {
        let raft = self.member.raft();
        if headers.get("hasleader").is_some_and(|value| value == "true") && raft.leader() == 0 {
            return Err(status::no_leader());
        }
        if raft.is_learner() && !open_to_learners(path) {
            return Err(status::not_for_learner());
        }
        Ok(())
    }

    fn plain(&self, request: Request<Incoming>) -> Answer {
        let Some(http) = self.http.clone() else {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            return Box::pin(std::future::ready(Ok(response)));
        };
        admin::serve(http, request)
    }
}

/// tonic answers a message beyond the limit by the code that clients know as a wrong revision.
fn too_large_as_etcd(response: Response<Body>) -> Response<Body> {
    let Some(status) = Status::from_header_map(response.headers()) else { return response };
    let found = status.message().strip_prefix("Error, decoded message length too large: found ");
    let Some((found, limit)) = found.and_then(|rest| rest.split_once(" bytes, the limit is: ")) else {
        return response;
    };
    let limit = limit.trim_end_matches(" bytes");
    Status::resource_exhausted(format!("grpc: received message larger than max ({found} vs. {limit})")).into_http()
}

/// Calls a learner answers: its own status, a snapshot, and ranges (of which it answers only serializable ones).
fn open_to_learners(path: &str) -> bool {
    matches!(path, "/etcdserverpb.Maintenance/Status" | "/etcdserverpb.Maintenance/Snapshot" | "/etcdserverpb.KV/Range")
}
