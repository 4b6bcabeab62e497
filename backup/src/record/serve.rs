//! Health, metrics and status, by plain HTTP.

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;

use super::{Board, Status};

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, board: Board) -> std::io::Result<()> {
    let router = Router::new()
        // The process ends with any of its tasks: who answers lives.
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/status", get(status))
        .with_state(board);
    axum::serve(listener, router).await
}

async fn ready(State(board): State<Board>) -> (StatusCode, String) {
    if board.is_ready() {
        return (StatusCode::OK, "ok".into());
    }
    let trouble = board.status().trouble;
    (StatusCode::SERVICE_UNAVAILABLE, trouble.unwrap_or_else(|| "reading what is recorded already".into()))
}

async fn status(State(board): State<Board>) -> Json<Status> {
    Json(board.status())
}

async fn metrics(State(board): State<Board>) -> impl IntoResponse {
    const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match board.metrics() {
        Ok(text) => (StatusCode::OK, [(header::CONTENT_TYPE, KIND)], text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, [(header::CONTENT_TYPE, "text/plain")], error.to_string()),
    }
}
