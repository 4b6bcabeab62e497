//! `--initial-cluster-state=existing`: a member that was added to a running cluster learns from the others who it is.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::peers::{self, Answer};
use super::static_list::{self, check_advertised, same_hosts};
use super::{Error, Identified};
use crate::config::{Config, Url};
use crate::dial::Dial;

/// Others may be electing a leader, restarting, or lag behind when we come; a wrong list stays wrong.
const PATIENCE: Duration = Duration::from_secs(5);
const AGAIN: Duration = Duration::from_millis(500);

/// The list on the command line must be the running cluster's; names in it don't matter but our own.
pub async fn join(config: &Config, list: &str, dial: &Dial) -> Result<Identified, Error> {
    let named = static_list::parse(list)?;
    let own_urls =
        named.get(&config.name).ok_or_else(|| static_list::Error::LocalNameMissing(config.name.clone()))?.clone();
    check_advertised(&config.name, &own_urls, &config.advertise_peer_urls).await?;
    let others: Vec<Url> =
        named.iter().filter(|(name, _)| **name != config.name).flat_map(|(_, urls)| urls.clone()).collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask_once(list, dial, &named, &own_urls, &others).await {
            Err(error @ (Error::NoPeerAnswers(_) | Error::ListDiffers { .. })) if Instant::now() + AGAIN < deadline => {
                tracing::warn!(%error, "cannot join yet; asking again");
                tokio::time::sleep(AGAIN).await;
            }
            decided => return decided,
        }
    }
}

async fn ask_once(
    list: &str,
    dial: &Dial,
    named: &BTreeMap<String, Vec<Url>>,
    own_urls: &[Url],
    others: &[Url],
) -> Result<Identified, Error> {
    let mut answers = peers::ask(dial, others).await;
    answers.retain(|answer| answer.cluster_id != 0 && !answer.members.is_empty());
    if let Some((first, rest)) = answers.split_first()
        && let Some(other) = rest.iter().find(|other| other.cluster_id != first.cluster_id)
    {
        return Err(Error::SeveralClusters(first.cluster_id, other.cluster_id));
    }
    // A member that lags behind may not know of us yet: any list that fits will do.
    let mut refusal = Error::NoPeerAnswers(list.to_owned());
    for Answer { cluster_id, members } in answers {
        match own_id(own_urls, named, &members).await {
            Ok(member_id) => return Ok(Identified { member_id, cluster_id, first_members: None }),
            Err(error) => refusal = error,
        }
    }
    Err(refusal)
}

async fn own_id(own_urls: &[Url], named: &BTreeMap<String, Vec<Url>>, members: &[peers::Listed]) -> Result<u64, Error> {
    let list = || named.iter().map(|(name, urls)| format!("{name}={urls:?}")).collect::<Vec<_>>().join(",");
    if members.len() != named.len() {
        return Err(Error::ListDiffers {
            list: list(),
            reason: format!("member count is unequal: the cluster has {}, the list {}", members.len(), named.len()),
        });
    }
    let mut own = None;
    for member in members {
        let urls: Vec<Url> = member.peer_urls.iter().filter_map(|url| Url::parse(url).ok()).collect();
        let mut is_listed = false;
        for listed in named.values() {
            if same_hosts(&urls, listed).await.is_ok() {
                is_listed = true;
                if listed == own_urls {
                    own = Some(member);
                }
                break;
            }
        }
        if !is_listed {
            return Err(Error::ListDiffers {
                list: list(),
                reason: format!(
                    "PeerURLs: no match found for existing member ({:x}, {:?})",
                    member.id, member.peer_urls
                ),
            });
        }
    }
    match own {
        // A member's acknowledgements must outlive its process: one that comes back empty is another member.
        Some(member) if !member.client_urls.is_empty() => Err(Error::AlreadyBootstrapped(member.id)),
        Some(member) => Ok(member.id),
        None => Err(Error::ListDiffers {
            list: list(),
            reason: "none of the cluster's members has the peer URLs of this one: add it by `etcdctl member add` first"
                .to_owned(),
        }),
    }
}
