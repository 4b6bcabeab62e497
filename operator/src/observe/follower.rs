//! What a recorder or a mirror says about itself, by plain HTTP.

use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::runtime::reflector::Store;
use serde::Deserialize;

use super::pod;
use crate::crd::schedule::Gap;
use crate::desired::follower::PORT;

const LIMIT: Duration = Duration::from_secs(2);
/// The mirror's own bound is 10 s.
const CUT_LIMIT: Duration = Duration::from_secs(20);
const ANSWER_BYTES: usize = 64 << 10;

/// Of a recorder.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Recorded {
    pub revision: i64,
    pub recorded_to: Option<Extent>,
    pub lag_revisions: i64,
    pub gap: Option<Gap>,
    pub trouble: Option<String>,
}

/// Up to where a disaster would cost nothing.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Extent {
    pub revision: i64,
    pub time: Option<jiff::Timestamp>,
}

/// Of a mirror.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Mirrored {
    /// `Waiting`, `Copying`, `Following`, `Cut` or `Diverged`.
    pub phase: String,
    pub lag_revisions: i64,
    pub cut: Option<Cut>,
    pub trouble: Option<String>,
}

/// Both have the same.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Cut {
    pub revision: i64,
    /// None if the mirror has started again since, and this cluster was compacted.
    pub hash: Option<i64>,
}

/// A mirror that doesn't cut.
#[derive(Deserialize)]
struct Refused {
    message: String,
}

/// The pod that has this label, if it runs.
pub fn pod_of(store: &Store<Pod>, namespace: &str, key: &str, name: &str) -> Option<Pod> {
    let is_its = |pod: &&std::sync::Arc<Pod>| {
        pod.namespace().as_deref() == Some(namespace)
            && pod.labels().get(key).is_some_and(|value| value == name)
            && pod.owner_references().iter().any(|owner| owner.kind == "ReplicaSet")
            && !pod::is_leaving(pod)
            && !pod::has_ended(pod)
    };
    store
        .state()
        .iter()
        .filter(is_its)
        .map(|pod| (**pod).clone())
        .max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0))
}

pub async fn status<T: for<'a> Deserialize<'a>>(pod: &Pod) -> Result<T, String> {
    let (_, body) = call(pod, Method::GET, "/status", None, LIMIT).await?;
    serde_json::from_slice(&body).map_err(|error| format!("its status can't be read: {error}"))
}

/// Asks a mirror to end its work. An error is why it didn't.
pub async fn cut_over(pod: &Pod, token: &str) -> Result<Cut, String> {
    let (code, body) = call(pod, Method::POST, "/cut-over", Some(token), CUT_LIMIT).await?;
    if code != 200 {
        let said = serde_json::from_slice::<Refused>(&body).map(|refused| refused.message);
        return Err(said.unwrap_or_else(|_| String::from_utf8_lossy(&body).into_owned()));
    }
    serde_json::from_slice(&body).map_err(|error| format!("its answer can't be read: {error}"))
}

async fn call(
    pod: &Pod,
    method: Method,
    path: &str,
    token: Option<&str>,
    limit: Duration,
) -> Result<(u16, Bytes), String> {
    let name = pod.name_any();
    let address = pod.status.as_ref().and_then(|status| status.pod_ip.clone());
    let address = address.ok_or_else(|| format!("{name} has no address yet"))?;
    let host = if address.contains(':') { format!("[{address}]") } else { address };
    let mut request = Request::builder().method(method).uri(format!("http://{host}:{PORT}{path}"));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let request = request.body(Full::<Bytes>::default()).map_err(|error| error.to_string())?;
    let asked = async {
        let client = Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
        let response = client.request(request).await.map_err(|error| format!("{name} can't be reached: {error}"))?;
        let code = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|error| format!("{name} answers badly: {error}"))?;
        Ok((code, body.to_bytes()))
    };
    tokio::time::timeout(limit, asked).await.map_err(|_| format!("{name} doesn't answer"))?
}
