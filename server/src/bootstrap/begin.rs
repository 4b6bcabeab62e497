//! The first start of a member.

use super::{Error, InitialCluster, discovery, join, peers, srv, static_list};
use crate::config::{Config, Discovery, InitialClusterState, Url};
use crate::dial::Dial;
use crate::raft;
use crate::store::Store;

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

/// A member that comes back must be allowed to have the learners that its cluster has; etcd's rule.
pub fn check_learners(store: &Store, max_learners: usize) -> Result<(), Error> {
    let Some((_, data)) = store.membership() else { return Ok(()) };
    let members = raft::members_of(&data).map_err(Error::Membership)?;
    let learners = members.iter().filter(|member| member.is_learner).count();
    match learners > max_learners {
        true => Err(Error::TooManyLearners { learners, max_learners }),
        false => Ok(()),
    }
}

/// Decides who this member is and with whom it begins.
pub async fn begin(config: &Config, dial: &Dial) -> Result<Identified, Error> {
    let is_joining = config.initial_cluster_state == InitialClusterState::Existing;
    if is_joining && config.discovery.is_some() {
        return Err(Error::DiscoveryWhenJoining);
    }
    let (list, token) = first_members(config).await?;
    if is_joining {
        return join::join(config, &list, dial).await;
    }
    let cluster = static_list::new_cluster(config, &list, &token).await?;
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

/// The list of the first members, given or found, and the cluster's token.
async fn first_members(config: &Config) -> Result<(String, String), Error> {
    if let Some(domain) = &config.discovery_srv {
        return Ok((srv::list(config, domain).await?, config.initial_cluster_token.clone()));
    }
    let Some(discovery) = &config.discovery else {
        return Ok((config.initial_cluster.clone(), config.initial_cluster_token.clone()));
    };
    let token = match discovery {
        Discovery::Url(discovery) => &discovery.url,
        Discovery::Keys(discovery) => &discovery.token,
    };
    let member_id = crate::identity::member_id(&config.advertise_peer_urls, token, None);
    let own: Vec<String> = config.advertise_peer_urls.iter().map(|url| format!("{}={url}", config.name)).collect();
    let own = own.join(",");
    let list = match discovery {
        Discovery::Url(discovery) => discovery::url::join(discovery, member_id, &own).await?,
        Discovery::Keys(discovery) => discovery::keys::join(discovery, member_id, &own).await?,
    };
    Ok((list, token.clone()))
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
