//! What clients call: by the path, a service of the proxy's own, or the cluster's as it is.

use std::convert::Infallible;
use std::future::ready;

use axum::Router;
use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use quorate_proto::served::etcdserverpb::cluster_server::ClusterServer;
use quorate_proto::served::etcdserverpb::kv_server::KvServer;
use quorate_proto::served::etcdserverpb::lease_server::LeaseServer;
use quorate_proto::served::etcdserverpb::watch_server::WatchServer;
use tonic::body::Body;
use tower::Service;

use super::upstream::Upstream;
use super::{cluster, kv, lease, watch};
use crate::http::admin;

/// Cheap to clone.
#[derive(Clone)]
pub struct Front {
    pub upstream: Upstream,
    /// `None`: requests and answers pass unread.
    pub kv: Option<KvServer<kv::Service>>,
    pub watch: WatchServer<watch::Service>,
    pub lease: LeaseServer<lease::Service>,
    pub cluster: ClusterServer<cluster::Service>,
    pub http: Router,
    pub log_calls: bool,
}

type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

impl Front {
    pub fn serve(&self, request: Request<Incoming>) -> Answer {
        let is_grpc = request
            .headers()
            .get(http::header::CONTENT_TYPE)
            .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        if !is_grpc {
            return admin::serve(self.http.clone(), request);
        }
        let path = request.uri().path();
        if self.log_calls {
            tracing::info!(method = path, "a client called");
        }
        let service = path.strip_prefix('/').and_then(|path| path.split_once('/')).map(|(service, _)| service);
        match (service, &self.kv) {
            (Some("etcdserverpb.KV"), Some(kv)) => kv.clone().call(request),
            (Some("etcdserverpb.Watch"), _) => self.watch.clone().call(request),
            (Some("etcdserverpb.Lease"), _) => self.lease.clone().call(request),
            (Some("etcdserverpb.Cluster"), _) => self.cluster.clone().call(request),
            (Some(_), _) => self.pass(request),
            (None, _) => Box::pin(ready(Ok(tonic::Status::unimplemented("malformed method name").into_http()))),
        }
    }

    fn pass(&self, request: Request<Incoming>) -> Answer {
        let upstream = self.upstream.clone();
        Box::pin(async move {
            let answer = upstream.send(request.map(Body::new)).await;
            Ok(answer.unwrap_or_else(|status| status.into_http()))
        })
    }
}
