//! `/v2/members`: how members were shown and changed before etcd 3, for the scripts that still do.
//!
//! Paths, bodies and status codes are those of etcd 3.4.

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use quorate_proto::served::etcdserverpb as pb;
use serde::{Deserialize, Serialize};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::auth::Credentials;
use super::member::Member;
use super::members;
use crate::raft::{CLUSTER_ID_HEADER, Change};
use crate::store::auth::Caller;

#[derive(Serialize)]
struct Shown {
    /// Hexadecimal.
    id: String,
    name: String,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(rename = "clientURLs")]
    client_urls: Vec<String>,
}

impl From<pb::Member> for Shown {
    fn from(member: pb::Member) -> Self {
        Self {
            id: format!("{:x}", member.id),
            name: member.name,
            peer_urls: member.peer_ur_ls,
            client_urls: member.client_ur_ls,
        }
    }
}

#[derive(Serialize)]
struct Collection {
    members: Vec<Shown>,
}

#[derive(Deserialize)]
struct Wanted {
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
}

#[derive(Serialize)]
struct Message {
    message: String,
}

pub fn routes(member: Member) -> Router {
    Router::new()
        .route("/v2/members", get(list).post(add))
        .route("/v2/members/", get(list).post(add))
        .route("/v2/members/{id}", put(update).delete(remove).get(one))
        .route("/v2/machines", get(machines))
        .layer(axum::middleware::from_fn_with_state(member.clone(), permit))
        .with_state(member)
}

/// As over gRPC: any user may look, administrators may change.
async fn permit(State(member): State<Member>, request: axum::extract::Request, next: Next) -> Response {
    let metadata = MetadataMap::from_headers(request.headers().clone());
    let credentials = Credentials::of(&metadata, request.extensions());
    let may = if request.method() == Method::GET { Caller::may_call } else { Caller::may_administer };
    match member.permit(&credentials, may).await.and_then(|permit| permit.confirm(&member)) {
        Ok(()) => next.run(request).await,
        Err(_) => refuse(&member, StatusCode::UNAUTHORIZED, "Insufficient credentials"),
    }
}

async fn list(State(member): State<Member>) -> Response {
    let members = members::list(&member).into_iter().map(Shown::from).collect();
    answer(&member, StatusCode::OK, Json(Collection { members }))
}

/// The only member that can be asked for by name is the leader.
async fn one(State(member): State<Member>, Path(name): Path<String>) -> Response {
    if name != "leader" {
        return refuse(&member, StatusCode::NOT_FOUND, "Not found");
    }
    let leader = member.raft().leader();
    match members::list(&member).into_iter().find(|member| member.id == leader) {
        Some(leader) => answer(&member, StatusCode::OK, Json(Shown::from(leader))),
        None => refuse(&member, StatusCode::SERVICE_UNAVAILABLE, "During election"),
    }
}

async fn add(State(member): State<Member>, headers: HeaderMap, body: Bytes) -> Response {
    let wanted = match wanted(&headers, &body) {
        Ok(wanted) => wanted,
        Err((code, message)) => return refuse(&member, code, &message),
    };
    match members::add(&member, &wanted.peer_urls, false).await {
        Ok((added, _)) => answer(&member, StatusCode::CREATED, Json(Shown::from(added))),
        Err(status) => failed(&member, "", &status),
    }
}

async fn update(State(member): State<Member>, Path(id): Path<String>, headers: HeaderMap, body: Bytes) -> Response {
    let Ok(number) = u64::from_str_radix(&id, 16) else { return no_such(&member, &id) };
    let wanted = match wanted(&headers, &body) {
        Ok(wanted) => wanted,
        Err((code, message)) => return refuse(&member, code, &message),
    };
    match members::update(&member, number, &wanted.peer_urls).await {
        Ok(_) => answer(&member, StatusCode::NO_CONTENT, ()),
        Err(status) => failed(&member, &id, &status),
    }
}

async fn remove(State(member): State<Member>, Path(id): Path<String>) -> Response {
    let Ok(number) = u64::from_str_radix(&id, 16) else { return no_such(&member, &id) };
    match members::change(&member, Change::Remove(number)).await {
        Ok(_) => answer(&member, StatusCode::NO_CONTENT, ()),
        Err(status) => failed(&member, &id, &status),
    }
}

/// Client URLs of all members.
async fn machines(State(member): State<Member>) -> Response {
    let urls: Vec<String> = members::list(&member).into_iter().flat_map(|member| member.client_ur_ls).collect();
    answer(&member, StatusCode::OK, urls.join(", "))
}

fn wanted(headers: &HeaderMap, body: &[u8]) -> Result<Wanted, (StatusCode, String)> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if kind != "application/json" {
        let message = format!("Bad Content-Type {kind}, accept application/json");
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    serde_json::from_slice(body).map_err(|error| (StatusCode::BAD_REQUEST, error.to_string()))
}

fn failed(member: &Member, id: &str, status: &Status) -> Response {
    let (code, message) = match (status.code(), status.message()) {
        (_, "etcdserver: member ID already exist") => (StatusCode::CONFLICT, "membership: ID exists"),
        (_, "etcdserver: Peer URLs already exists") => (StatusCode::CONFLICT, "membership: peerURL exists"),
        (Code::InvalidArgument, message) => (StatusCode::BAD_REQUEST, message),
        (Code::NotFound, _) => return no_such(member, id),
        _ => {
            tracing::warn!(%status, "a change of the members over /v2 failed");
            (StatusCode::INTERNAL_SERVER_ERROR, "Internal Server Error")
        }
    };
    refuse(member, code, message)
}

fn no_such(member: &Member, id: &str) -> Response {
    let was_removed = u64::from_str_radix(id, 16).is_ok_and(|id| member.store().is_removed_member(id));
    match was_removed {
        true => refuse(member, StatusCode::GONE, &format!("Member permanently removed: {id}")),
        false => refuse(member, StatusCode::NOT_FOUND, &format!("No such member: {id}")),
    }
}

fn refuse(member: &Member, code: StatusCode, message: &str) -> Response {
    answer(member, code, Json(Message { message: message.to_owned() }))
}

fn answer(member: &Member, code: StatusCode, body: impl IntoResponse) -> Response {
    let cluster_id = format!("{:x}", member.raft().identity().cluster_id);
    ([(HeaderName::from_static(CLUSTER_ID_HEADER), cluster_id)], (code, body)).into_response()
}
