//! Health and metrics: the cluster's at etcd's paths, the proxy's own below `/proxy`.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use quorate_proto::served::etcdserverpb as pb;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request};

use super::upstream::Upstream;
use super::watch::Hub;
use crate::http::admin;
use crate::metrics::{self, Metrics};

const HEALTH: Duration = Duration::from_secs(5);
const METRICS: Duration = Duration::from_secs(5);
const METRICS_BYTES: usize = 16 << 20;

#[derive(Clone)]
struct Shared {
    upstream: Upstream,
    metrics: Arc<Metrics>,
    stop: CancellationToken,
}

pub fn router(upstream: Upstream, hub: Hub, stop: CancellationToken) -> Router {
    let metrics = Arc::new(Metrics::new(false));
    metrics.on_scrape(move |metrics| {
        let counts = hub.counts();
        metrics::set_counter(&metrics.proxy.events_coalescing, counts.events);
        metrics.proxy.watchers_coalescing.set(i64::try_from(counts.watchers).unwrap_or(i64::MAX));
    });
    Router::new()
        .route("/health", get(cluster_health))
        .route("/metrics", get(cluster_metrics))
        .route("/proxy/health", get(own_health))
        .route("/proxy/metrics", get(own_metrics))
        .fallback(admin::not_found)
        .with_state(Shared { upstream, metrics, stop })
}

fn health(reason: Option<String>) -> Response {
    let body = serde_json::json!({
        "health": if reason.is_none() { "true" } else { "false" },
        "reason": reason.clone().unwrap_or_default(),
    })
    .to_string();
    let status = if reason.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// A read that a quorum confirms. One that is refused for want of permission has passed the quorum too.
async fn cluster_health(State(shared): State<Shared>) -> Response {
    let range = pb::RangeRequest { key: Bytes::from_static(b"a"), count_only: true, ..Default::default() };
    let read = shared.upstream.unary::<_, pb::RangeResponse>("/etcdserverpb.KV/Range", Request::new(range));
    health(match tokio::time::timeout(HEALTH, read).await {
        Ok(Ok(_)) => None,
        Ok(Err(status)) if status.code() == Code::PermissionDenied => None,
        Ok(Err(status)) => Some(format!("GET ERROR:{status}")),
        Err(_) => Some("GET ERROR:context deadline exceeded".to_owned()),
    })
}

async fn own_health(State(shared): State<Shared>) -> Response {
    health(shared.stop.is_cancelled().then(|| "the proxy is stopping".to_owned()))
}

/// Of the first member that answers.
async fn cluster_metrics(State(shared): State<Shared>) -> Response {
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(shared.upstream.dial().clone());
    let mut reason = "there are no endpoints".to_owned();
    for member in shared.upstream.endpoints() {
        let mut parts = member.clone().into_parts();
        parts.path_and_query = Some(http::uri::PathAndQuery::from_static("/metrics"));
        let Ok(uri) = Uri::from_parts(parts) else { continue };
        let fetched = async {
            let answer = client.get(uri).await.map_err(|error| error.to_string())?;
            if answer.status() != StatusCode::OK {
                return Err(format!("it answered {}", answer.status()));
            }
            let body = Limited::new(answer.into_body(), METRICS_BYTES).collect().await;
            body.map(http_body_util::Collected::to_bytes).map_err(|error| error.to_string())
        };
        match tokio::time::timeout(METRICS, fetched).await {
            Ok(Ok(body)) => return ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], body).into_response(),
            Ok(Err(error)) => reason = format!("{member}: {error}"),
            Err(_) => reason = format!("{member}: it did not answer in time"),
        }
    }
    (StatusCode::SERVICE_UNAVAILABLE, format!("no member's metrics can be had, the last one's {reason}\n"))
        .into_response()
}

async fn own_metrics(State(shared): State<Shared>) -> Response {
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], shared.metrics.render()).into_response()
}
