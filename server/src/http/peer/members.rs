//! HTTP on the peer port: who the members are, for a member that starts, and the version.

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Serialize;

use crate::http::client::{Member, members};
use crate::raft::CLUSTER_ID_HEADER;

/// etcd's JSON of a member on this port; ids are numbers.
#[derive(Serialize)]
struct Listed {
    id: u64,
    #[serde(rename = "peerURLs")]
    peer_urls: Vec<String>,
    #[serde(rename = "isLearner", skip_serializing_if = "std::ops::Not::not")]
    is_learner: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
    #[serde(rename = "clientURLs", skip_serializing_if = "Vec::is_empty")]
    client_urls: Vec<String>,
}

pub fn routes(member: Member) -> Router {
    Router::new().route("/members", get(list)).with_state(member)
}

async fn list(State(member): State<Member>) -> Response {
    let listed: Vec<Listed> = members(&member)
        .into_iter()
        .map(|member| Listed {
            id: member.id,
            peer_urls: member.peer_ur_ls,
            is_learner: member.is_learner,
            name: member.name,
            client_urls: member.client_ur_ls,
        })
        .collect();
    with_cluster_id(axum::Json(listed).into_response(), &member)
}

/// etcd's members say on this port which cluster they belong to.
pub fn with_cluster_id(mut response: Response, member: &Member) -> Response {
    let cluster_id = format!("{:x}", member.raft().identity().cluster_id);
    if let Ok(value) = HeaderValue::from_str(&cluster_id) {
        response.headers_mut().insert(HeaderName::from_static(CLUSTER_ID_HEADER), value);
    }
    response
}
