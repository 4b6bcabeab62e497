//! What operators and probes ask over HTTP: `/health`, `/livez`, `/readyz`, `/version`, `/metrics`, `/debug/`.
//!
//! Paths, bodies and status codes are etcd's (`server/etcdserver/api/etcdhttp`): probes in manifests match on them.

mod access;
mod health;
mod info;
mod log_level;
mod pprof;

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures::future::BoxFuture;
use http::{Request, Version};
use hyper::body::Incoming;
use tonic::body::Body;
use tower::ServiceExt;

use super::unread;
use crate::metrics::Metrics;
use crate::telemetry::Handle;

pub use access::{Access, check as check_access};

/// What the checks ask of the member. Calls must not wait longer than a request may; see [`Admin::request_timeout`].
pub trait Probe: Send + Sync + 'static {
    /// Alarms that are raised anywhere in the cluster.
    fn alarms(&self) -> Vec<Alarm>;

    /// The leader's id; `None` while there is none.
    fn leader(&self) -> Option<u64>;

    fn is_learner(&self) -> bool;

    fn versions(&self) -> Versions;

    /// Entries of `/debug/vars` beside the command line, such as `raft.status`.
    fn vars(&self) -> Vec<(&'static str, serde_json::Value)>;

    /// Reads one key from the local store. The error is shown to whoever asks.
    fn serializable_read(&self) -> impl Future<Output = Result<(), String>> + Send;

    /// Reads one key after agreeing with the cluster that nothing newer was acknowledged.
    fn linearizable_read(&self) -> impl Future<Output = Result<(), String>> + Send;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alarm {
    NoSpace,
    Corrupt,
}

impl Alarm {
    fn name(self) -> &'static str {
        match self {
            Self::NoSpace => "NOSPACE",
            Self::Corrupt => "CORRUPT",
        }
    }
}

/// `None` until the cluster has decided.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Versions {
    /// Such as `3.7.0`.
    pub cluster: Option<String>,
    pub storage: Option<String>,
}

/// Makes the routers.
pub struct Admin<P> {
    pub probe: Arc<P>,
    pub metrics: Arc<Metrics>,
    /// A read of `/health` that takes longer has failed.
    pub request_timeout: Duration,
    /// Clients may have profiles, and set the level of this log.
    pub debugged: Option<Handle>,
}

impl<P> Clone for Admin<P> {
    fn clone(&self) -> Self {
        let Self { probe, metrics, request_timeout, debugged } = self;
        Self {
            probe: Arc::clone(probe),
            metrics: Arc::clone(metrics),
            request_timeout: *request_timeout,
            debugged: debugged.clone(),
        }
    }
}

impl<P: Probe> Admin<P> {
    /// For client listeners. Unknown paths are left to the caller; [`not_found`] is etcd's answer to them.
    pub fn client_router(&self) -> Router {
        let router = self
            .metrics_router()
            .route("/version", any(info::version::<P>))
            .route("/debug/vars", any(info::vars::<P>))
            .layer(axum::Extension(self.clone()));
        match self.debugged.clone() {
            Some(log) => router.merge(pprof::router()).merge(log_level::router(log)),
            None => router,
        }
    }

    /// For peer listeners.
    pub fn version_router(&self) -> Router {
        Router::new().route("/version", any(info::version::<P>)).layer(axum::Extension(self.clone()))
    }

    /// For `--listen-metrics-urls`: metrics and health only.
    pub fn metrics_router(&self) -> Router {
        health::router::<P>().route("/metrics", any(info::metrics::<P>)).layer(axum::Extension(self.clone()))
    }
}

/// Serves a connection's request by a router.
pub fn serve(
    router: Router,
    request: Request<Incoming>,
) -> BoxFuture<'static, Result<http::Response<Body>, Infallible>> {
    let request = match request.version() {
        Version::HTTP_2 => request.map(|body| axum::body::Body::new(unread::Read::new(body))),
        // The library reads on by itself, or closes the connection.
        _ => request.map(axum::body::Body::new),
    };
    Box::pin(async move { Ok(router.oneshot(request).await?.map(Body::new)) })
}

/// The answer to a path nobody serves.
pub async fn not_found() -> Response {
    plain_error(StatusCode::NOT_FOUND, "404 page not found")
}

/// An error as Go's HTTP server writes it: text, a line end, and no sniffing.
pub(super) fn plain_error(status: StatusCode, text: &str) -> Response {
    let mut response = (status, format!("{text}\n")).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// `Some` answer for everything but GET.
pub(super) fn refuse_method(method: &Method) -> Option<Response> {
    if method == Method::GET {
        return None;
    }
    let mut response = plain_error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET"));
    Some(response)
}

/// Query parameters in order; what cannot be read counts as absent.
fn query(uri: &Uri) -> Vec<(String, String)> {
    axum::extract::Query::try_from_uri(uri).map(|axum::extract::Query(pairs)| pairs).unwrap_or_default()
}

#[cfg(test)]
mod admin_test;
