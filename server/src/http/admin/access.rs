//! Who may ask over plain HTTP: hosts by `--host-whitelist`, browsers' origins by `--cors`. gRPC has neither, as in etcd.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::plain_error;

/// `*`, and an empty list, allow everybody.
#[derive(Debug, Clone)]
pub struct Access {
    pub origins: Vec<String>,
    pub hosts: Vec<String>,
}

fn allows(list: &[String], item: &str) -> bool {
    list.is_empty() || list.iter().any(|allowed| allowed == "*" || allowed == item)
}

/// The middleware.
pub async fn check(State(access): State<Access>, request: Request, next: Next) -> Response {
    let host = host(&request);
    if !allows(&access.hosts, &host) {
        tracing::warn!(host, "rejecting HTTP request to prevent DNS rebinding attacks");
        let text = format!(
            "the Host header of this request names {host:?}, which --host-whitelist does not allow: a page in a browser could \
             reach this server under a name of its own (CVE-2018-5702). Add the host to --host-whitelist, or use TLS."
        );
        return plain_error(StatusCode::MISDIRECTED_REQUEST, &text);
    }
    let origin = access.origin_for(request.headers());
    let mut response = match *request.method() {
        Method::OPTIONS => StatusCode::OK.into_response(),
        _ => next.run(request).await,
    };
    if let Some(origin) = origin {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let methods = HeaderValue::from_static("POST, GET, OPTIONS, PUT, DELETE");
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
        let allowed = HeaderValue::from_static("accept, content-type, authorization");
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    response
}

impl Access {
    /// What `Access-Control-Allow-Origin` says; `None`: nothing.
    fn origin_for(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        if allows(&self.origins, "*") {
            return Some(HeaderValue::from_static("*"));
        }
        let origin = headers.get(header::ORIGIN)?;
        allows(&self.origins, origin.to_str().ok()?).then(|| origin.clone())
    }
}

/// Without the port.
fn host(request: &Request) -> String {
    let named = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let named = named.or_else(|| request.uri().authority().map(|authority| authority.as_str())).unwrap_or_default();
    let name = match named.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => named,
    };
    name.trim_start_matches('[').trim_end_matches(']').to_owned()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use axum::{Router, middleware};
    use tower::ServiceExt;

    use super::*;

    async fn ask(access: Access, method: Method, host: &str, origin: &str) -> Response {
        let router = Router::new().route("/version", get(async || "v"));
        let router = router.layer(middleware::from_fn_with_state(access, check));
        let request = Request::builder().method(method).uri("/version").header(header::HOST, host);
        router.oneshot(request.header(header::ORIGIN, origin).body(Body::empty()).unwrap()).await.unwrap()
    }

    fn access(origins: &[&str], hosts: &[&str]) -> Access {
        let owned = |list: &[&str]| list.iter().map(|&item| item.to_owned()).collect();
        Access { origins: owned(origins), hosts: owned(hosts) }
    }

    #[tokio::test]
    async fn a_host_that_is_not_listed_is_refused() {
        for (host, status) in [
            ("localhost:2379", StatusCode::OK),
            ("[::1]:2379", StatusCode::OK),
            ("evil.com", StatusCode::MISDIRECTED_REQUEST),
        ] {
            let answer = ask(access(&["*"], &["localhost", "::1"]), Method::GET, host, "http://a.b").await;
            assert_eq!(answer.status(), status, "{host}");
        }
        assert_eq!(ask(access(&["*"], &["*"]), Method::GET, "evil.com", "x").await.status(), StatusCode::OK);
    }

    #[tokio::test]
    async fn only_allowed_origins_are_told_so() {
        let told = async |origins: &[&str], origin: &str| {
            let answer = ask(access(origins, &[]), Method::GET, "h", origin).await;
            answer.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN).map(|value| value.to_str().unwrap().to_owned())
        };
        assert_eq!(told(&["*"], "http://a.b").await.as_deref(), Some("*"));
        assert_eq!(told(&["http://a.b"], "http://a.b").await.as_deref(), Some("http://a.b"));
        assert_eq!(told(&["http://a.b"], "http://c.d").await, None);
        assert_eq!(ask(access(&["*"], &[]), Method::OPTIONS, "h", "http://a.b").await.status(), StatusCode::OK);
    }
}
