//! Hashes of the history: for members that compare, and at `/members/hashkv` for tools.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use quorate_proto::peer;
use serde::{Deserialize, Serialize};
use tonic::Status;

use super::members::with_cluster_id;
use crate::background;
use crate::http::client::Member;
use crate::http::{admin, status};
use crate::raft::{CLUSTER_ID_HEADER, Handle};
use crate::store::{self, HashKv, Refusal, Store};

const REQUEST_BYTES: usize = 4 << 10;

/// Away from the thread that serves everybody.
async fn hashed(store: &Store, revision: i64) -> Result<Result<HashKv, store::Error>, Status> {
    let store = store.clone();
    let hashed = background::run("hash", move || store.hash_kv(revision)).await;
    hashed.map_err(|error| Status::internal(error.to_string()))
}

pub async fn hash_kv(
    raft: &Handle,
    store: &Store,
    request: peer::HashKvRequest,
) -> Result<peer::HashKvResponse, Status> {
    let peer::HashKvRequest { revision, applied, of_compaction } = request;
    if !raft.catches_up(applied).await {
        return Err(Status::unavailable(format!("entry {applied} is not applied here yet")));
    }
    let found = if of_compaction {
        store.compaction_hashes().into_iter().find(|kept| kept.hash_revision == revision)
    } else {
        match hashed(store, revision).await? {
            Ok(hash) => Some(hash),
            Err(store::Error::Refused(Refusal::Compacted | Refusal::FutureRevision)) => None,
            Err(error) => return Err(status::store(error)),
        }
    };
    Ok(match found {
        // A kept hash is of then, and the revision told is that of now.
        Some(HashKv { hash, compact_revision, .. }) => {
            peer::HashKvResponse { hash: Some(hash), compact_revision, revision: store.revision() }
        }
        None => {
            peer::HashKvResponse { hash: None, compact_revision: store.compact_revision(), revision: store.revision() }
        }
    })
}

pub fn routes(member: Member) -> Router {
    Router::new().route("/members/hashkv", any(answer)).with_state(member)
}

/// etcd's JSON of `HashKVRequest`.
#[derive(Deserialize)]
struct Asked {
    #[serde(default)]
    revision: i64,
}

/// etcd's JSON of `HashKVResponse` on this port; numbers are numbers.
#[derive(Serialize)]
struct Answered {
    header: Header,
    hash: u32,
    compact_revision: i64,
    hash_revision: i64,
}

#[derive(Serialize)]
struct Header {
    revision: i64,
}

async fn answer(method: Method, State(member): State<Member>, headers: HeaderMap, body: Body) -> Response {
    if let Some(refusal) = admin::refuse_method(&method) {
        return refusal;
    }
    let cluster_id = format!("{:x}", member.raft().identity().cluster_id);
    if headers.get(CLUSTER_ID_HEADER).is_some_and(|given| given.as_bytes() != cluster_id.as_bytes()) {
        return admin::plain_error(StatusCode::PRECONDITION_FAILED, "cluster ID mismatch");
    }
    let Ok(body) = to_bytes(body, REQUEST_BYTES).await else {
        return admin::plain_error(StatusCode::BAD_REQUEST, "error reading body");
    };
    let Ok(Asked { revision }) = serde_json::from_slice(&body) else {
        return admin::plain_error(StatusCode::BAD_REQUEST, "error unmarshalling request");
    };
    let response = match hashed(member.store(), revision).await {
        Ok(Ok(HashKv { hash, compact_revision, hash_revision, revision })) => {
            let answer = Answered { header: Header { revision }, hash, compact_revision, hash_revision };
            axum::Json(answer).into_response()
        }
        Ok(Err(error)) => admin::plain_error(StatusCode::BAD_REQUEST, text(&status::store(error))),
        Err(failure) => admin::plain_error(StatusCode::INTERNAL_SERVER_ERROR, failure.message()),
    };
    with_cluster_id(response, &member)
}

/// What the store says on this port has no prefix, as in etcd.
fn text(status: &Status) -> &str {
    status.message().strip_prefix("etcdserver: ").unwrap_or(status.message())
}
