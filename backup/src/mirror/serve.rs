//! Health, metrics, status and the cut-over, by plain HTTP.

use std::path::PathBuf;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use super::cut::{Cut, Refusal};
use super::follow::Request;
use super::{Board, Phase, Status};

/// What is served.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) board: Board,
    pub(super) requests: mpsc::Sender<Request>,
    /// Who knows its content may cut.
    pub(super) token_file: PathBuf,
}

impl Front {
    /// Until it is dropped.
    pub(super) async fn serve(self, listener: TcpListener) -> std::io::Result<()> {
        let router = Router::new()
            // The process ends with any of its tasks: who answers lives.
            .route("/livez", get(|| async { "ok" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .route("/status", get(status))
            .route("/cut-over", post(cut_over))
            .with_state(self);
        axum::serve(listener, router).await
    }

    async fn knows(&self, headers: &HeaderMap) -> std::io::Result<bool> {
        let wanted = tokio::fs::read(&self.token_file).await?;
        let wanted = wanted.trim_ascii();
        let said = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes()).unwrap_or_default();
        let said = said.strip_prefix(b"Bearer ").unwrap_or_default();
        // By digests, since comparing takes longer the more is right.
        Ok(!wanted.is_empty() && Sha256::digest(said) == Sha256::digest(wanted))
    }
}

async fn ready(State(front): State<Front>) -> (StatusCode, String) {
    if front.board.is_ready() {
        return (StatusCode::OK, "ok".into());
    }
    let trouble = front.board.status().trouble;
    (StatusCode::SERVICE_UNAVAILABLE, trouble.unwrap_or_else(|| "connecting".into()))
}

async fn status(State(front): State<Front>) -> Json<Status> {
    Json(front.board.status())
}

async fn metrics(State(front): State<Front>) -> impl IntoResponse {
    const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match front.board.metrics() {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, KIND)], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}

async fn cut_over(State(front): State<Front>, headers: HeaderMap) -> Response {
    match front.knows(&headers).await {
        Ok(true) => {}
        Ok(false) => return refuse(StatusCode::UNAUTHORIZED, "Unauthorized", "this needs the token"),
        Err(error) => {
            let words = format!("the token can't be read: {error}");
            return refuse(StatusCode::INTERNAL_SERVER_ERROR, "Token", &words);
        }
    }
    let Status { phase, trouble, cut, .. } = front.board.status();
    match (phase, cut) {
        (_, Some(cut)) => return done(cut),
        (Phase::Diverged, _) => {
            return refuse(StatusCode::CONFLICT, "Diverged", trouble.as_deref().unwrap_or_default());
        }
        (Phase::Waiting, _) => {
            let words = trouble.unwrap_or_else(|| "connecting".into());
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "Waiting", &words);
        }
        (Phase::Copying | Phase::Following | Phase::Cut, _) => {}
    }
    let (request, answer) = oneshot::channel();
    if front.requests.try_send(request).is_err() {
        return refuse(StatusCode::TOO_MANY_REQUESTS, "Waiting", "others are asking for the same");
    }
    match answer.await {
        Ok(Ok(cut)) => done(cut),
        Ok(Err(refusal @ Refusal::Busy { lag })) => {
            let answer = json!({"error": "Busy", "message": refusal.to_string(), "lagRevisions": lag});
            (StatusCode::CONFLICT, Json(answer)).into_response()
        }
        Ok(Err(refusal @ Refusal::Compacted { .. })) => refuse(StatusCode::CONFLICT, "Compacted", &refusal.to_string()),
        // The board says why.
        Err(_) => {
            let Status { phase, trouble, .. } = front.board.status();
            let words = trouble.unwrap_or_else(|| "a connection was lost; try again".into());
            match phase {
                Phase::Diverged => refuse(StatusCode::CONFLICT, "Diverged", &words),
                _ => refuse(StatusCode::SERVICE_UNAVAILABLE, "Waiting", &words),
            }
        }
    }
}

fn done(cut: Cut) -> Response {
    (StatusCode::OK, Json(cut)).into_response()
}

fn refuse(status: StatusCode, error: &str, message: &str) -> Response {
    (status, Json(json!({"error": error, "message": message}))).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_who_knows_the_token_may_cut() {
        let folder = tempfile::tempdir().unwrap();
        let token_file = folder.path().join("token");
        let (requests, _receiver) = mpsc::channel(1);
        let front = Front { board: Board::default(), requests, token_file: token_file.clone() };
        let headers = |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
        assert!(front.knows(&headers("Bearer a")).await.is_err());
        std::fs::write(&token_file, "secret\n").unwrap();
        assert!(front.knows(&headers("Bearer secret")).await.unwrap());
        for wrong in ["Bearer secre", "Bearer ", "secret", "Basic secret"] {
            assert!(!front.knows(&headers(wrong)).await.unwrap(), "{wrong}");
        }
        assert!(!front.knows(&HeaderMap::new()).await.unwrap());
        std::fs::write(&token_file, "\n").unwrap();
        assert!(!front.knows(&headers("Bearer ")).await.unwrap());
    }
}
