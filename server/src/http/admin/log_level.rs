//! `/config/local/log`: the level of the log while the member runs, as etcd 3.3 had it.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};
use serde::{Deserialize, Serialize};

use super::plain_error;
use crate::config::LogLevel;
use crate::telemetry::Handle;

/// Bytes of a request.
const LIMIT: usize = 1024;

#[derive(Serialize, Deserialize)]
struct Level {
    #[serde(rename = "Level")]
    level: String,
}

pub(super) fn router(log: Handle) -> Router {
    Router::new().route("/config/local/log", any(answer)).layer(Extension(log))
}

async fn answer(method: Method, Extension(log): Extension<Handle>, body: Body) -> Response {
    match method {
        Method::GET => axum::Json(Level { level: log.level().as_str().to_ascii_uppercase() }).into_response(),
        Method::PUT => match wanted(body).await {
            Ok(level) => {
                // Before it is set: the new level may not let it through.
                tracing::warn!(from = log.level().as_str(), to = level.as_str(), "the level of the log changes");
                log.set_level(level);
                StatusCode::NO_CONTENT.into_response()
            }
            Err(refusal) => plain_error(StatusCode::BAD_REQUEST, &refusal),
        },
        _ => {
            let mut response = plain_error(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
            response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, PUT"));
            response
        }
    }
}

async fn wanted(body: Body) -> Result<LogLevel, String> {
    let body = to_bytes(body, LIMIT).await.map_err(|_| format!("the body has more than {LIMIT} bytes"))?;
    let Level { level } = serde_json::from_slice(&body)
        .map_err(|error| format!("Invalid json body, not {{\"Level\":\"INFO\"}}: {error}"))?;
    let known = || format!("Level must be DEBUG, INFO, WARN, ERROR, PANIC or FATAL (set to {level:?})");
    LogLevel::named(&level).ok_or_else(known)
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;

    async fn ask(log: &Handle, method: Method, body: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri("/config/local/log").body(Body::from(body.to_owned()));
        let answer = router(log.clone()).oneshot(request.unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        (status, String::from_utf8_lossy(&answer.into_body().collect().await.unwrap().to_bytes()).into_owned())
    }

    #[tokio::test]
    async fn what_was_put_is_what_is_got() {
        let log = Handle::default();
        for (put, got) in [("WARN", "WARN"), ("debug", "DEBUG"), ("Error", "ERROR"), ("INFO", "INFO")] {
            let body = format!("{{\"Level\":\"{put}\"}}");
            assert_eq!(ask(&log, Method::PUT, &body).await, (204, String::new()));
            assert_eq!(ask(&log, Method::GET, "").await, (200, format!("{{\"Level\":\"{got}\"}}")));
        }
    }

    #[tokio::test]
    async fn what_names_no_level_is_refused_and_changes_nothing() {
        let log = Handle::default();
        log.set_level(LogLevel::Error);
        let long = format!("{{\"Level\":\"{}\"}}", "x".repeat(2000));
        for (body, text) in [
            ("", "Invalid json"),
            ("{}", "Level"),
            (r#"{"Level":"LOUD"}"#, "\"LOUD\""),
            (&long, "more than 1024 bytes"),
        ] {
            let (status, answer) = ask(&log, Method::PUT, body).await;
            assert_eq!((status, answer.contains(text)), (400, true), "{body}: {answer}");
        }
        assert_eq!(ask(&log, Method::POST, r#"{"Level":"DEBUG"}"#).await.0, 405);
        assert_eq!(log.level(), LogLevel::Error);
    }
}
