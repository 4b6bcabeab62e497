//! `/version`, `/metrics` and `/debug/vars`.

use axum::Extension;
use axum::http::{Method, header};
use axum::response::{IntoResponse, Response};

use super::{Admin, Probe, refuse_method};
use crate::config::API_VERSION;
use crate::metrics::CONTENT_TYPE;

pub(super) async fn version<P: Probe>(method: Method, Extension(admin): Extension<Admin<P>>) -> Response {
    if let Some(refusal) = refuse_method(&method) {
        return refusal;
    }
    let versions = admin.probe.versions();
    // The order of the keys is etcd's; people cut this text apart.
    let body = format!(
        r#"{{"etcdserver":"{API_VERSION}","etcdcluster":"{}","storage":"{}"}}"#,
        versions.cluster.as_deref().unwrap_or("not_decided"),
        versions.storage.as_deref().unwrap_or("unknown"),
    );
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Any method, as Prometheus' own handler.
pub(super) async fn metrics<P: Probe>(Extension(admin): Extension<Admin<P>>) -> Response {
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], admin.metrics.render()).into_response()
}

/// Go's `expvar` shape: one variable a line.
pub(super) async fn vars<P: Probe>(method: Method, Extension(admin): Extension<Admin<P>>) -> Response {
    if let Some(refusal) = refuse_method(&method) {
        return refusal;
    }
    let command_line: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let mut vars = vec![("cmdline", serde_json::Value::from(command_line))];
    vars.extend(admin.probe.vars());
    vars.sort_by_key(|(name, _)| *name);
    let lines: Vec<String> = vars.into_iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    let body = format!("{{\n{}\n}}\n", lines.join(",\n"));
    ([(header::CONTENT_TYPE, "application/json; charset=utf-8")], body).into_response()
}
