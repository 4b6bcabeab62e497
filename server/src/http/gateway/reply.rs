//! Answers in JSON, and gRPC's codes as HTTP's.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use prost_reflect::DynamicMessage;
use serde::Serialize;
use tonic::{Code, Status};

use super::json::Written;

/// A reply of a stream, or the error that ends it, as a line of its own.
pub struct Line {
    pub text: Bytes,
    pub code: Code,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Envelope<'a> {
    Result(Written<'a>),
    Error(Failure<'a>),
}

#[derive(Serialize)]
struct Failure<'a> {
    code: i32,
    message: &'a str,
}

impl<'a> Failure<'a> {
    fn new(status: &'a Status) -> Self {
        Self { code: status.code() as i32, message: status.message() }
    }
}

impl Line {
    pub fn result(message: &DynamicMessage) -> Self {
        match serde_json::to_vec(&Envelope::Result(Written(message))) {
            Ok(text) => Self::ended(text, Code::Ok),
            Err(error) => Self::error(&not_written(&error)),
        }
    }

    pub fn error(status: &Status) -> Self {
        Self::ended(text(&Envelope::Error(Failure::new(status))), status.code())
    }

    fn ended(mut text: Vec<u8>, code: Code) -> Self {
        text.push(b'\n');
        Self { text: text.into(), code }
    }
}

pub fn message(message: &DynamicMessage) -> Result<Bytes, Status> {
    serde_json::to_vec(&Written(message)).map(Bytes::from).map_err(|error| not_written(&error))
}

fn not_written(error: &serde_json::Error) -> Status {
    Status::internal(format!("the reply can't be written as JSON: {error}"))
}

pub fn failure(status: &Status) -> Bytes {
    text(&Failure::new(status)).into()
}

/// Of what can't fail: numbers and texts.
fn text(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// The answer to a call that failed.
pub fn refused(status: &Status) -> Response<axum::body::Body> {
    let mut headers = HeaderMap::new();
    if status.code() == Code::Unauthenticated
        && let Ok(reason) = HeaderValue::from_str(status.message())
    {
        headers.insert(header::WWW_AUTHENTICATE, reason);
    }
    answer(http_code(status.code()), headers, failure(status))
}

pub fn answer(code: StatusCode, headers: HeaderMap, body: impl Into<axum::body::Body>) -> Response<axum::body::Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    *response.headers_mut() = headers;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Google's table (`google/rpc/code.proto`).
pub fn http_code(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_has_its_code_and_text() {
        let status = Status::not_found("etcdserver: requested lease not found");
        let text = r#"{"code":5,"message":"etcdserver: requested lease not found"}"#;
        assert_eq!(failure(&status), text);
        assert_eq!(Line::error(&status).text, format!("{{\"error\":{text}}}\n"));
        assert_eq!(refused(&status).status(), StatusCode::NOT_FOUND);
    }

    #[test]
    fn who_is_not_known_hears_why() {
        let refused = refused(&Status::unauthenticated("etcdserver: invalid auth token"));
        assert_eq!(refused.headers()[header::WWW_AUTHENTICATE], "etcdserver: invalid auth token");
    }
}
