//! Of which release the members are: `GET /version` on their peer ports.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use crate::dial::Dial;
use crate::raft;
use crate::version::Version;

/// Bound on the question to one address.
const ASK: Duration = Duration::from_secs(1);
const ANSWER_BYTES: usize = 4 << 10;

type Asking = Client<Dial, Empty<Bytes>>;

#[derive(Deserialize)]
struct Answer {
    etcdserver: String,
}

/// One entry a member, this one first; `None` where nobody answers. All are asked at once.
pub async fn of_members(raft: &raft::Handle, dial: &Dial) -> Vec<Option<Version>> {
    let own_id = raft.identity().member_id;
    let client: Asking = Client::builder(TokioExecutor::new()).build(dial.clone());
    let members = raft.status().members;
    let others = members.iter().filter(|member| member.id != own_id).map(|member| of_one(&client, &member.peer_urls));
    let mut releases = vec![Some(Version::OWN)];
    releases.extend(futures::future::join_all(others).await);
    releases
}

/// The first of a member's addresses that answers.
async fn of_one(client: &Asking, peer_urls: &[String]) -> Option<Version> {
    for url in peer_urls {
        if let Some(release) = tokio::time::timeout(ASK, ask(client, url)).await.ok().flatten() {
            return Some(release);
        }
    }
    None
}

async fn ask(client: &Asking, url: &str) -> Option<Version> {
    let response = client.get(format!("{url}/version").parse().ok()?).await.ok()?;
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await.ok()?;
    let answer: Answer = serde_json::from_slice(&body.to_bytes()).ok()?;
    Version::parse(&answer.etcdserver)
}
