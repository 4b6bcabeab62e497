//! What running members say about their cluster: `GET /members` on their peer ports.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use crate::config::Url;
use crate::dial::Dial;

/// Bound on the question to one peer; etcd's.
const ASK: Duration = Duration::from_secs(1);
const ANSWER_BYTES: usize = 1 << 20;
const CLUSTER_ID_HEADER: &str = "x-etcd-cluster-id";

/// One member's answer.
pub struct Answer {
    /// 0 if it did not say.
    pub cluster_id: u64,
    pub members: Vec<Listed>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listed {
    pub id: u64,
    #[serde(rename = "peerURLs", default)]
    pub peer_urls: Vec<String>,
    #[serde(rename = "clientURLs", default)]
    pub client_urls: Vec<String>,
    #[serde(default)]
    pub name: String,
}

/// Asks all at once; those that don't answer have not started, or can't be asked.
pub async fn ask(dial: &Dial, urls: &[Url]) -> Vec<Answer> {
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(dial.clone());
    let questions = urls.iter().map(|url| {
        let client = client.clone();
        async move {
            let uri = format!("{url}/members").parse().ok()?;
            let answer = tokio::time::timeout(ASK, async {
                let response = client.get(uri).await.ok()?;
                let cluster_id = response.headers().get(CLUSTER_ID_HEADER).and_then(|value| value.to_str().ok());
                let cluster_id = cluster_id.and_then(|id| u64::from_str_radix(id, 16).ok()).unwrap_or_default();
                let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await.ok()?;
                let members = serde_json::from_slice(&body.to_bytes()).ok()?;
                Some(Answer { cluster_id, members })
            });
            answer.await.ok().flatten()
        }
    });
    futures::future::join_all(questions).await.into_iter().flatten().collect()
}

/// Where the members that answer say that clients reach the cluster.
pub async fn client_urls(dial: &Dial, urls: &[Url]) -> Vec<String> {
    let answers = ask(dial, urls).await;
    let mut found: Vec<String> =
        answers.into_iter().flat_map(|answer| answer.members).flat_map(|member| member.client_urls).collect();
    found.sort();
    found.dedup();
    found
}
