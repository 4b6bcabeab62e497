//! The v2 protocol: a token is a URL. Shapes and codes are those of the keys API that etcd had up to 3.5.

use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use quorate_proto::mvccpb::KeyValue;
use serde_json::{Value, json};

use super::registry::{Error, News, PREFIX, Registry};
use crate::http::admin;

/// Whoever waits longer gets an empty answer, and asks again.
const LONGEST_WAIT: Duration = Duration::from_secs(600);
const BODY_BYTES: usize = 16 << 10;
const DEFAULT_SIZE: &str = "3";
/// Where etcd's own keys API had the tokens, and where its documents put them.
const OLD_PATHS: [&str; 2] = ["/v2/keys/_etcd/registry", "/v2/keys/discovery"];

#[derive(Clone)]
pub struct Service {
    pub registry: Registry,
    /// Base of the URLs handed out; the called host without one.
    pub public_url: Option<String>,
    pub is_secured: bool,
}

pub fn router(service: Service) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/new", any(create))
        .fallback(keys)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .with_state(service)
}

async fn health(State(service): State<Service>) -> Response {
    match service.registry.ping().await {
        Ok(()) => json_answer(StatusCode::OK, &json!({ "health": "true", "reason": "" }), None),
        Err(error) => {
            let reason = error.to_string();
            json_answer(StatusCode::SERVICE_UNAVAILABLE, &json!({ "health": "false", "reason": reason }), None)
        }
    }
}

/// A URL for a new cluster, as text.
async fn create(State(service): State<Service>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    if !matches!(method, Method::GET | Method::PUT | Method::POST) {
        return StatusCode::METHOD_NOT_ALLOWED.into_response();
    }
    let size = parameter(&uri, &body, "size").unwrap_or_else(|| DEFAULT_SIZE.to_owned());
    // HTTP/2 has the host in the address.
    let called =
        headers.get(header::HOST).and_then(|host| host.to_str().ok()).or(uri.authority().map(|host| host.as_str()));
    let base = match (&service.public_url, called) {
        (Some(url), _) => url.trim_end_matches('/').to_owned(),
        (None, Some(host)) => format!("{}://{host}", if service.is_secured { "https" } else { "http" }),
        (None, None) => return (StatusCode::BAD_REQUEST, "the request names no host\n").into_response(),
    };
    match service.registry.create(&size).await {
        Ok(token) => format!("{base}/{token}").into_response(),
        Err(error) => {
            let status = match &error {
                Error::TooManyTokens(_) | Error::Away(_) => StatusCode::SERVICE_UNAVAILABLE,
                _ => StatusCode::BAD_REQUEST,
            };
            (status, format!("{error}\n")).into_response()
        }
    }
}

/// What a path of the protocol names.
#[derive(Debug, PartialEq, Eq)]
enum Key<'a> {
    Token(&'a str),
    Size(&'a str),
    Member(&'a str, &'a str),
}

impl<'a> Key<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let path = OLD_PATHS.iter().find_map(|old| path.strip_prefix(old)).unwrap_or(path);
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        match parts.as_slice() {
            [token] => Some(Self::Token(token)),
            [token, "_config", "size"] => Some(Self::Size(token)),
            [token, id] => Some(Self::Member(token, id)),
            _ => None,
        }
    }
}

async fn keys(State(service): State<Service>, method: Method, uri: Uri, body: Bytes) -> Response {
    let Some(key) = Key::of(uri.path()) else { return admin::not_found().await };
    let registry = &service.registry;
    let waits = parameter(&uri, &[], "wait").is_some_and(|wait| wait == "true");
    let answer = match (method, key) {
        (Method::GET, Key::Token(token)) if waits => wait(registry, token, None, &uri).await,
        (Method::GET, Key::Member(token, id)) if waits => wait(registry, token, Some(id), &uri).await,
        (Method::GET, Key::Token(token)) => registry.list(token).await.map(|(pairs, revision)| {
            let nodes: Vec<Value> = pairs.iter().map(|pair| node(token, pair)).collect();
            let first = pairs.iter().map(|pair| pair.create_revision).min().unwrap_or(revision);
            let key = format!("{PREFIX}{token}");
            let list = json!({
                "key": key, "dir": true, "nodes": nodes, "modifiedIndex": first, "createdIndex": first,
            });
            json_answer(StatusCode::OK, &json!({ "action": "get", "node": list }), Some(revision))
        }),
        (Method::GET, Key::Size(token)) => registry.size(token).await.map(|(pair, revision)| {
            json_answer(StatusCode::OK, &json!({ "action": "get", "node": node(token, &pair) }), Some(revision))
        }),
        (Method::GET, Key::Member(token, id)) => registry.member(token, id).await.map(|(pair, revision)| {
            json_answer(StatusCode::OK, &json!({ "action": "get", "node": node(token, &pair) }), Some(revision))
        }),
        (Method::PUT, Key::Size(token)) => {
            let size = parameter(&uri, &body, "value").unwrap_or_default();
            let made = registry.set_size(token, &size).await;
            made.map(|revision| created(token, &format!("{PREFIX}{token}/_config/size"), &size, revision))
        }
        (Method::PUT, Key::Member(token, id)) => {
            let value = parameter(&uri, &body, "value").unwrap_or_default();
            let made = registry.register(token, id, &value).await;
            made.map(|revision| created(token, &format!("{PREFIX}{token}/{id}"), &value, revision))
        }
        (Method::DELETE, Key::Member(token, id)) => registry.remove(token, id).await.map(|(pair, revision)| {
            let gone = json!({ "key": format!("{PREFIX}{token}/{id}"), "modifiedIndex": revision,
                "createdIndex": pair.create_revision });
            let answer = json!({ "action": "delete", "node": gone, "prevNode": node(token, &pair) });
            json_answer(StatusCode::OK, &answer, Some(revision))
        }),
        _ => return StatusCode::METHOD_NOT_ALLOWED.into_response(),
    };
    answer.unwrap_or_else(|error| refusal(&error))
}

async fn wait(registry: &Registry, token: &str, id: Option<&str>, uri: &Uri) -> Result<Response, Error> {
    let from = parameter(uri, &[], "waitIndex").and_then(|index| index.parse().ok()).unwrap_or_default();
    let Ok(news) = tokio::time::timeout(LONGEST_WAIT, registry.next(token, id, from)).await else {
        return Ok(StatusCode::OK.into_response());
    };
    let News { is_removal, pair, revision } = news?;
    let action = match is_removal {
        true => "delete",
        false if pair.create_revision == pair.mod_revision => "create",
        false => "set",
    };
    Ok(json_answer(StatusCode::OK, &json!({ "action": action, "node": node(token, &pair) }), Some(revision)))
}

/// A key as the protocol shows it: without the folder that the members have in the cluster.
fn node(token: &str, pair: &KeyValue) -> Value {
    let key = String::from_utf8_lossy(&pair.key);
    let name = key.strip_prefix(&format!("{PREFIX}{token}/")).unwrap_or(&key);
    let name = name.strip_prefix("members/").unwrap_or(name);
    json!({
        "key": format!("{PREFIX}{token}/{name}"),
        "value": String::from_utf8_lossy(&pair.value),
        "modifiedIndex": pair.mod_revision,
        "createdIndex": pair.create_revision,
    })
}

fn created(token: &str, key: &str, value: &str, revision: i64) -> Response {
    tracing::info!(token, key, value, "registered");
    let node = json!({ "key": key, "value": value, "modifiedIndex": revision, "createdIndex": revision });
    json_answer(StatusCode::CREATED, &json!({ "action": "create", "node": node }), Some(revision))
}

fn refusal(error: &Error) -> Response {
    let (status, code, message, revision) = match error {
        Error::NotFound { revision, .. } => (StatusCode::NOT_FOUND, 100, "Key not found", *revision),
        Error::Exists { revision, .. } => (StatusCode::PRECONDITION_FAILED, 105, "Key already exists", *revision),
        Error::Compacted(revision) => {
            (StatusCode::BAD_REQUEST, 401, "The event in requested index is outdated and cleared", *revision)
        }
        Error::Token(_) | Error::Id(_) | Error::Size { .. } | Error::Value => {
            (StatusCode::BAD_REQUEST, 209, "Invalid field", 0)
        }
        Error::TooManyMembers => (StatusCode::FORBIDDEN, 110, "The request requires user authentication", 0),
        Error::TooManyTokens(_) | Error::Away(_) => (StatusCode::SERVICE_UNAVAILABLE, 300, "Raft Internal Error", 0),
    };
    let body = json!({ "errorCode": code, "message": message, "cause": error.to_string(), "index": revision });
    json_answer(status, &body, Some(revision))
}

fn json_answer(status: StatusCode, body: &Value, revision: Option<i64>) -> Response {
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], format!("{body}\n")).into_response();
    if let Some(revision) = revision {
        response.headers_mut().insert("X-Etcd-Index", HeaderValue::from(revision));
    }
    response
}

/// Of the query, or of a form in the body.
fn parameter(uri: &Uri, body: &[u8], name: &str) -> Option<String> {
    let query = uri.query().unwrap_or_default().as_bytes();
    let mut pairs = form_urlencoded::parse(body).chain(form_urlencoded::parse(query));
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_keys() {
        assert_eq!(Key::of("/abc"), Some(Key::Token("abc")));
        assert_eq!(Key::of("/abc/_config/size"), Some(Key::Size("abc")));
        assert_eq!(Key::of("/v2/keys/_etcd/registry/abc/12ef"), Some(Key::Member("abc", "12ef")));
        assert_eq!(Key::of("/v2/keys/discovery/abc/"), Some(Key::Token("abc")));
        assert_eq!((Key::of("/"), Key::of("/a/b/c")), (None, None));
    }
}
