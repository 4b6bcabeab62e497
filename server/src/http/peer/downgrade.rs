//! `/downgrade/enabled` on the peer port: whether the cluster is on its way to an older version.

use axum::Router;
use axum::extract::State;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;

use super::members::with_cluster_id;
use crate::http::client::Member;
use crate::http::{admin, status};

pub fn routes(member: Member) -> Router {
    Router::new().route("/downgrade/enabled", any(enabled)).with_state(member)
}

async fn enabled(method: Method, State(member): State<Member>) -> Response {
    if let Some(refusal) = admin::refuse_method(&method) {
        return refusal;
    }
    let response = match member.raft().read_barrier().await {
        Ok(()) => {
            let enabled = member.store().downgrade().is_some();
            ([(header::CONTENT_TYPE, "text/plain")], enabled.to_string()).into_response()
        }
        Err(error) => {
            let text = format!("failed linearized read: {}", status::raft(error).message());
            admin::plain_error(StatusCode::INTERNAL_SERVER_ERROR, &text)
        }
    };
    with_cluster_id(response, &member)
}
