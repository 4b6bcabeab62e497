use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

#[derive(Clone)]
struct Member {
    alarms: Vec<Alarm>,
    leader: Option<u64>,
    learner: bool,
    local: Result<(), String>,
    agreed: Result<(), String>,
    versions: Versions,
    hangs: bool,
}

impl Member {
    fn healthy() -> Self {
        Self {
            alarms: Vec::new(),
            leader: Some(1),
            learner: false,
            local: Ok(()),
            agreed: Ok(()),
            versions: Versions { cluster: Some("3.7.0".to_owned()), storage: Some("3.7.0".to_owned()) },
            hangs: false,
        }
    }
}

impl Probe for Member {
    fn alarms(&self) -> Vec<Alarm> {
        self.alarms.clone()
    }

    fn leader(&self) -> Option<u64> {
        self.leader
    }

    fn is_learner(&self) -> bool {
        self.learner
    }

    fn versions(&self) -> Versions {
        self.versions.clone()
    }

    fn vars(&self) -> Vec<(&'static str, serde_json::Value)> {
        vec![("raft.status", serde_json::json!({"term": 2}))]
    }

    async fn serializable_read(&self) -> Result<(), String> {
        self.local.clone()
    }

    async fn linearizable_read(&self) -> Result<(), String> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        self.agreed.clone()
    }
}

/// Status, content type and body of one request.
fn check(member: Member, method: &str, path: &str) -> (u16, String, String) {
    let admin = Admin {
        probe: Arc::new(member),
        metrics: Arc::new(Metrics::new(false)),
        request_timeout: Duration::from_millis(20),
        debugged: None,
    };
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let response = admin.client_router().fallback(not_found).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, kind, String::from_utf8(body.to_vec()).unwrap())
    })
}

const OK: &str = r#"{"health":"true","reason":""}"#;

#[test]
fn health_answers_as_etcd_does() {
    let no_space = || Member { alarms: vec![Alarm::NoSpace], ..Member::healthy() };
    let both = || Member { alarms: vec![Alarm::NoSpace, Alarm::Corrupt], ..Member::healthy() };
    let alone = || Member { leader: None, agreed: Err("etcdserver: no leader".to_owned()), ..Member::healthy() };
    for (member, path, status, body) in [
        (Member::healthy(), "/health", 200, OK),
        (no_space(), "/health", 503, "{\"health\":\"false\",\"reason\":\"ALARM NOSPACE\"}\n"),
        (no_space(), "/health?exclude=NOSPACE", 200, OK),
        (both(), "/health?exclude=NOSPACE", 503, "{\"health\":\"false\",\"reason\":\"ALARM CORRUPT\"}\n"),
        (both(), "/health?exclude=NOSPACE&exclude=CORRUPT", 200, OK),
        (alone(), "/health", 503, "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n"),
        (alone(), "/health?serializable=false", 503, "{\"health\":\"false\",\"reason\":\"RAFT NO LEADER\"}\n"),
        (alone(), "/health?serializable=true", 200, OK),
        (
            Member { agreed: Err("etcdserver: request timed out".to_owned()), ..Member::healthy() },
            "/health",
            503,
            "{\"health\":\"false\",\"reason\":\"RANGE ERROR:etcdserver: request timed out\"}\n",
        ),
        (
            Member { hangs: true, ..Member::healthy() },
            "/health",
            503,
            "{\"health\":\"false\",\"reason\":\"RANGE ERROR:context deadline exceeded\"}\n",
        ),
    ] {
        let expected = (status, "text/plain; charset=utf-8".to_owned(), body.to_owned());
        assert_eq!(check(member, "GET", path), expected, "{path}");
    }
}

#[test]
fn livez_and_readyz_list_their_checks() {
    let sick = || Member {
        alarms: vec![Alarm::NoSpace, Alarm::Corrupt],
        learner: true,
        agreed: Err("no leader".to_owned()),
        ..Member::healthy()
    };
    let all = "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n";
    for (member, path, status, body) in [
        (Member::healthy(), "/livez", 200, "ok\n"),
        (Member::healthy(), "/livez?verbose", 200, "[+]serializable_read ok\nok\n"),
        (Member::healthy(), "/livez?verbose&exclude=serializable_read", 200, "ok\n"),
        (Member::healthy(), "/livez/serializable_read", 200, "ok\n"),
        (Member::healthy(), "/livez/linearizable_read", 404, "404 page not found\n"),
        (Member::healthy(), "/readyz?verbose", 200, all),
        (Member::healthy(), "/readyz?exclude=nope", 200, "ok\n"),
        (Member { alarms: vec![Alarm::NoSpace], ..Member::healthy() }, "/readyz", 200, "ok\n"),
        (
            sick(),
            "/readyz",
            503,
            "[-]data_corruption failed: alarm activated: CORRUPT\n[+]serializable_read ok\n[-]linearizable_read failed: no leader\n[-]non_learner failed: not supported for learner\n\n",
        ),
        (sick(), "/livez", 200, "ok\n"),
        (sick(), "/readyz/serializable_read?verbose", 200, "[+]serializable_read ok\nok\n"),
        (sick(), "/readyz?exclude=data_corruption&exclude=linearizable_read&exclude=non_learner", 200, "ok\n"),
    ] {
        let expected = (status, "text/plain; charset=utf-8".to_owned(), body.to_owned());
        assert_eq!(check(member, "GET", path), expected, "{path}");
    }
}

#[test]
fn only_get_is_allowed() {
    for path in ["/health", "/livez", "/readyz/non_learner", "/version", "/debug/vars"] {
        for method in ["POST", "PUT", "DELETE", "HEAD"] {
            let (status, _, body) = check(Member::healthy(), method, path);
            assert_eq!(status, 405, "{method} {path}");
            assert!(body == "Method Not Allowed\n" || method == "HEAD", "{body}");
        }
    }
}

#[test]
fn version_and_vars_have_etcds_shape() {
    assert_eq!(
        check(Member::healthy(), "GET", "/version"),
        (
            200,
            "application/json".to_owned(),
            r#"{"etcdserver":"3.7.3","etcdcluster":"3.7.0","storage":"3.7.0"}"#.to_owned()
        )
    );
    let (_, _, body) = check(Member { versions: Versions::default(), ..Member::healthy() }, "GET", "/version");
    assert_eq!(body, r#"{"etcdserver":"3.7.3","etcdcluster":"not_decided","storage":"unknown"}"#);
    let (status, kind, body) = check(Member::healthy(), "GET", "/debug/vars");
    assert_eq!((status, kind.as_str()), (200, "application/json; charset=utf-8"));
    assert!(body.starts_with("{\n\"cmdline\": [") && body.ends_with(",\n\"raft.status\": {\"term\":2}\n}\n"), "{body}");
}

#[test]
fn metrics_are_served_to_any_method() {
    for method in ["GET", "POST"] {
        let (status, kind, body) = check(Member::healthy(), method, "/metrics");
        assert_eq!((status, kind.as_str()), (200, "text/plain; version=0.0.4; charset=utf-8"));
        assert!(body.lines().any(|line| line == "etcd_server_has_leader 0"));
    }
}

#[test]
fn the_metrics_listener_has_no_version() {
    let admin = Admin {
        probe: Arc::new(Member::healthy()),
        metrics: Arc::new(Metrics::new(false)),
        request_timeout: Duration::from_secs(1),
        debugged: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        for (path, status) in [("/version", 404), ("/debug/vars", 404), ("/metrics", 200), ("/readyz", 200)] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            let response = admin.metrics_router().fallback(not_found).oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), status, "{path}");
        }
    });
}
