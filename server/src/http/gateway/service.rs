//! The paths below `/v3/`.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::{any, get};
use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, Method, StatusCode};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;

use super::call::{Answer, AnswerBody, Call, Deadline};
use super::objects::{Chunks, Objects};
use super::reply::Line;
use super::{headers, openapi, reply, route::Routes, web_socket};
use crate::http::admin;
use crate::http::client::Services;
use crate::http::secured::CommonName;

/// Paths of etcd 3.3 and before.
const OLD_ROOT: &str = "/v3beta/";
const ROOT: &str = "/v3/";
/// etcd's words.
const NAMED: &str = "CommonName of client sending a request against gateway will be ignored and not used as expected";
/// An object of JSON may be larger than its message: base64 adds a third, names and numbers add some.
const JSON_GROWTH: usize = 2;
const JSON_OVERHEAD_BYTES: usize = 64 << 10;

/// Cheap to clone.
#[derive(Clone)]
pub struct Gateway(Arc<Parts>);

struct Parts {
    routes: Routes,
    services: Services,
    description: OnceLock<Bytes>,
    /// Connections that are no longer HTTP's: the listeners don't wait for them.
    upgraded: TaskTracker,
    stop: CancellationToken,
}

impl Gateway {
    /// `stop` ends the WebSocket connections, which are tasks of `upgraded`.
    pub fn new(routes: Routes, services: Services, upgraded: TaskTracker, stop: CancellationToken) -> Self {
        Self(Arc::new(Parts { routes, services, description: OnceLock::new(), upgraded, stop }))
    }

    pub fn router(self) -> Router {
        Router::new()
            .route("/v3/openapi.json", get(describe).fallback(serve))
            .route("/v3/", any(serve))
            .route("/v3/{*path}", any(serve))
            .route("/v3beta/{*path}", any(serve))
            .with_state(self)
    }

    pub(super) async fn answer(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: Chunks,
    ) -> Result<Answer, Status> {
        let path = match path.strip_prefix(OLD_ROOT) {
            Some(rest) => format!("{ROOT}{rest}"),
            None => path.to_owned(),
        };
        let route = self.0.routes.find(&path).ok_or_else(|| Status::not_found("Not Found"))?;
        if method != Method::POST {
            return Err(Status::unimplemented("Method Not Allowed"));
        }
        let timeout = headers::timeout(headers)?;
        let call = Call {
            route: Arc::clone(route),
            metadata: headers::metadata(headers),
            objects: Objects::new(body, self.object_limit_bytes()),
            deadline: Deadline(timeout.map(|timeout| Instant::now() + timeout)),
        };
        call.run(self.0.services.clone()).await
    }

    pub(super) fn object_limit_bytes(&self) -> usize {
        self.0.services.message_limit_bytes().saturating_mul(JSON_GROWTH).saturating_add(JSON_OVERHEAD_BYTES)
    }

    pub(super) fn upgraded(&self) -> &TaskTracker {
        &self.0.upgraded
    }

    pub(super) fn stop(&self) -> &CancellationToken {
        &self.0.stop
    }
}

async fn describe(State(gateway): State<Gateway>) -> Response {
    let description = gateway.0.description.get_or_init(|| openapi::document(&gateway.0.routes).to_string().into());
    reply::answer(StatusCode::OK, HeaderMap::new(), description.clone())
}

async fn serve(State(gateway): State<Gateway>, request: Request) -> Response {
    // Calls that come this way are not made in a certificate's name; whoever shows one may count on the opposite.
    if request.extensions().get::<CommonName>().is_some() && gateway.0.services.takes_certificates() {
        return admin::plain_error(StatusCode::BAD_REQUEST, NAMED);
    }
    if web_socket::is_asked_for(request.headers()) {
        return web_socket::accept(gateway, request);
    }
    let (parts, body) = request.into_parts();
    let chunks = body.into_data_stream().map(|chunk| chunk.map_err(tower::BoxError::from));
    match gateway.answer(&parts.method, parts.uri.path(), &parts.headers, Box::pin(chunks)).await {
        Ok(answer) => respond(answer).await,
        Err(status) => reply::refused(&status),
    }
}

async fn respond(answer: Answer) -> Response {
    let headers = headers::marked(&answer.metadata);
    let mut lines = match answer.body {
        AnswerBody::Message(message) => return reply::answer(StatusCode::OK, headers, message),
        AnswerBody::Lines(lines) => lines,
    };
    // A stream's status is that of its beginning.
    let Some(first) = lines.next().await else { return Response::new(Body::empty()) };
    let code = reply::http_code(first.code);
    let lines = futures::stream::once(std::future::ready(first)).chain(lines);
    let body = lines.map(|line: Line| Ok::<_, std::convert::Infallible>(line.text));
    reply::answer(code, headers, Body::from_stream(body))
}
