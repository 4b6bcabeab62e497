//! The first start of a member.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use super::static_list;
use super::{Error, InitialCluster};
use crate::config::{Config, InitialClusterState};

/// A member that knows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identified {
    pub member_id: u64,
    pub cluster_id: u64,
    /// The members of a cluster that begins: id and peer URLs. `None` when the log has them.
    pub first_members: Option<Vec<(u64, Vec<String>)>>,
}

impl Identified {
    pub fn restarted(member_id: u64, cluster_id: u64) -> Self {
        Self { member_id, cluster_id, first_members: None }
    }
}

/// Decides who this member is and with whom it begins.
pub async fn begin(config: &Config) -> Result<Identified, Error> {
    if config.initial_cluster_state == InitialClusterState::Existing {
        return Err(Error::JoinUnbuilt);
    }
    let cluster = static_list::new_cluster(config).await?;
    refuse_second_life(&cluster).await?;
    Ok(Identified {
        member_id: cluster.own,
        cluster_id: cluster.cluster_id,
        first_members: Some(
            cluster
                .members
                .into_iter()
                .map(|member| (member.id, member.peer_urls.iter().map(ToString::to_string).collect()))
                .collect(),
        ),
    })
}

/// What `GET /members` of a peer port says.
#[derive(Deserialize)]
struct Listed {
    id: u64,
    #[serde(rename = "clientURLs", default)]
    client_urls: Vec<String>,
}

/// Bound on the question to one peer; etcd's.
const ASK: Duration = Duration::from_secs(1);
const ANSWER_BYTES: usize = 1 << 20;

/// A member whose id is already known to have served has lost its data: starting it anew under the same id could elect a
/// leader that lacks acknowledged writes.
async fn refuse_second_life(cluster: &InitialCluster) -> Result<(), Error> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let others = cluster.members.iter().filter(|member| member.id != cluster.own);
    let questions = others.flat_map(|member| &member.peer_urls).map(|url| {
        let client = client.clone();
        async move {
            let uri = format!("{url}/members").parse().ok()?;
            let answer = tokio::time::timeout(ASK, async {
                let response = client.get(uri).await.ok()?;
                let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await.ok()?;
                serde_json::from_slice::<Vec<Listed>>(&body.to_bytes()).ok()
            });
            answer.await.ok().flatten()
        }
    });
    // Members that don't answer have not started, or can't be asked; only a clear answer counts.
    for listed in futures::future::join_all(questions).await.into_iter().flatten() {
        if listed.iter().any(|member| member.id == cluster.own && !member.client_urls.is_empty()) {
            return Err(Error::AlreadyBootstrapped(cluster.own));
        }
    }
    Ok(())
}
