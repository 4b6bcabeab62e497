//! The first start of a member.

use super::{Error, InitialCluster, join, peers, static_list};
use crate::config::{Config, InitialClusterState, Url};
use crate::dial::Dial;

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
pub async fn begin(config: &Config, dial: &Dial) -> Result<Identified, Error> {
    if config.initial_cluster_state == InitialClusterState::Existing {
        return join::join(config, dial).await;
    }
    let cluster = static_list::new_cluster(config).await?;
    refuse_second_life(&cluster, dial).await?;
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

/// A member whose id is already known to have served has lost its data: starting it anew under the same id could elect a
/// leader that lacks acknowledged writes.
async fn refuse_second_life(cluster: &InitialCluster, dial: &Dial) -> Result<(), Error> {
    let others = cluster.members.iter().filter(|member| member.id != cluster.own);
    let urls: Vec<Url> = others.flat_map(|member| member.peer_urls.clone()).collect();
    // Only a clear answer counts.
    for answer in peers::ask(dial, &urls).await {
        if answer.members.iter().any(|member| member.id == cluster.own && !member.client_urls.is_empty()) {
            return Err(Error::AlreadyBootstrapped(cluster.own));
        }
    }
    Ok(())
}
