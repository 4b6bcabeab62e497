//! `/health`, `/livez` and `/readyz`.

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use axum::{Extension, Router};

use super::{Admin, Alarm, Probe, plain_error, query, refuse_method};

/// One question of `/livez` or `/readyz`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    DataCorruption,
    SerializableRead,
    LinearizableRead,
    NonLearner,
}

impl Check {
    fn name(self) -> &'static str {
        match self {
            Self::DataCorruption => "data_corruption",
            Self::SerializableRead => "serializable_read",
            Self::LinearizableRead => "linearizable_read",
            Self::NonLearner => "non_learner",
        }
    }

    async fn run<P: Probe>(self, admin: &Admin<P>) -> Result<(), String> {
        match self {
            Self::DataCorruption if admin.probe.alarms().contains(&Alarm::Corrupt) => {
                Err(format!("alarm activated: {}", Alarm::Corrupt.name()))
            }
            Self::NonLearner if admin.probe.is_learner() => Err("not supported for learner".to_owned()),
            Self::DataCorruption | Self::NonLearner => Ok(()),
            Self::SerializableRead => read(admin, true).await,
            Self::LinearizableRead => read(admin, false).await,
        }
    }
}

const LIVEZ: &[Check] = &[Check::SerializableRead];
const READYZ: &[Check] = &[Check::DataCorruption, Check::SerializableRead, Check::LinearizableRead, Check::NonLearner];

pub(super) fn router<P: Probe>() -> Router {
    let mut router = Router::new().route("/health", any(health::<P>));
    for (kind, checks) in [("livez", LIVEZ), ("readyz", READYZ)] {
        let all = move |method: Method, uri: Uri, Extension(admin): Extension<Admin<P>>| async move {
            let excluded = values(&uri, "exclude");
            let (skipped, kept): (Vec<Check>, Vec<Check>) =
                checks.iter().partition(|check| excluded.iter().any(|name| name == check.name()));
            if excluded.iter().any(|name| !skipped.iter().any(|check| check.name() == name)) {
                tracing::warn!("missing-health-checks" = ?excluded, "some health checks cannot be excluded");
            }
            answer(&method, &uri, kind, &kept, &admin).await
        };
        router = router.route(&format!("/{kind}"), any(all));
        for check in checks {
            let one = move |method: Method, uri: Uri, Extension(admin): Extension<Admin<P>>| async move {
                answer(&method, &uri, kind, &[*check], &admin).await
            };
            router = router.route(&format!("/{kind}/{}", check.name()), any(one));
        }
    }
    router
}

/// Runs the checks one after the other; the list of results is shown on failure, and on `?verbose`.
async fn answer<P: Probe>(
    method: &Method,
    uri: &Uri,
    kind: &'static str,
    checks: &[Check],
    admin: &Admin<P>,
) -> Response {
    if let Some(refusal) = refuse_method(method) {
        return refusal;
    }
    let mut report = String::new();
    let mut healthy = true;
    for check in checks {
        let result = check.run(admin).await;
        admin.metrics.server.record_healthcheck(kind, check.name(), result.is_ok());
        match result {
            Ok(()) => report.push_str(&format!("[+]{} ok\n", check.name())),
            Err(reason) => {
                healthy = false;
                report.push_str(&format!("[-]{} failed: {reason}\n", check.name()));
            }
        }
    }
    if !healthy {
        tracing::error!(path = uri.path(), reason = report.as_str(), "status-code" = 503, "Health check error");
        return plain_error(StatusCode::SERVICE_UNAVAILABLE, &report);
    }
    let verbose = query(uri).iter().any(|(name, _)| name == "verbose");
    let mut response = if verbose { report + "ok\n" } else { "ok\n".to_owned() }.into_response();
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

async fn health<P: Probe>(method: Method, uri: Uri, Extension(admin): Extension<Admin<P>>) -> Response {
    if let Some(refusal) = refuse_method(&method) {
        return refusal;
    }
    let excluded = values(&uri, "exclude");
    // Only the first value counts.
    let serializable =
        query(&uri).into_iter().find(|(name, _)| name == "serializable").is_some_and(|(_, value)| value == "true");
    let reason = unhealthy(&admin, &excluded, serializable).await;
    let body = serde_json::json!({
        "health": if reason.is_none() { "true" } else { "false" },
        "reason": reason.clone().unwrap_or_default(),
    })
    .to_string();
    if reason.is_none() {
        admin.metrics.server.health_success.inc();
        return body.into_response();
    }
    admin.metrics.server.health_failures.inc();
    tracing::warn!(output = body.as_str(), "status-code" = 503, "/health error");
    plain_error(StatusCode::SERVICE_UNAVAILABLE, &body)
}

/// The first thing that is wrong, in etcd's order: alarms, leader, read.
async fn unhealthy<P: Probe>(admin: &Admin<P>, excluded: &[String], serializable: bool) -> Option<String> {
    let raised = admin.probe.alarms().into_iter().find(|alarm| !excluded.iter().any(|name| name == alarm.name()));
    if let Some(alarm) = raised {
        return Some(format!("ALARM {}", alarm.name()));
    }
    if !serializable && admin.probe.leader().is_none() {
        return Some("RAFT NO LEADER".to_owned());
    }
    read(admin, serializable).await.err().map(|error| format!("RANGE ERROR:{error}"))
}

async fn read<P: Probe>(admin: &Admin<P>, serializable: bool) -> Result<(), String> {
    let read = async {
        if serializable { admin.probe.serializable_read().await } else { admin.probe.linearizable_read().await }
    };
    match tokio::time::timeout(admin.request_timeout, read).await {
        Ok(result) => result,
        Err(_) => Err("context deadline exceeded".to_owned()),
    }
}

/// The values of a parameter that is given several times; empty ones don't count.
fn values(uri: &Uri, name: &str) -> Vec<String> {
    query(uri).into_iter().filter(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| value).collect()
}
