//! The first members as a list on the command line: `--initial-cluster name=url,name=url`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::config::{Config, Url, url};
use crate::identity::{cluster_id, member_id};

/// Members may start before DNS knows each other, so names are looked up again until this has passed.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(30);
const RESOLVE_RETRY: Duration = Duration::from_secs(1);

/// The members every member of the list starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialCluster {
    /// Ascending by id; ids are unique.
    pub members: Vec<Member>,
    /// The id of this process; always one of `members`.
    pub own: u64,
    pub cluster_id: u64,
    pub token: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub id: u64,
    pub name: String,
    /// Sorted, not empty.
    pub peer_urls: Vec<Url>,
}

/// The texts are etcd's; people search for them.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Error {
    #[error("invalid --initial-cluster: {0}")]
    Url(url::Error),
    #[error("couldn't find local name {0:?} in the initial cluster configuration")]
    LocalNameMissing(String),
    #[error("--initial-cluster has {missing} but missing from --initial-advertise-peer-urls={advertised} ({reason})")]
    NotAdvertised { missing: String, advertised: String, reason: String },
    #[error("--initial-advertise-peer-urls has {missing} but missing from --initial-cluster={listed}")]
    NotListed { missing: String, listed: String },
    #[error("initial cluster {0} has duplicate url")]
    DuplicateUrl(String),
    #[error("initial cluster {list} gives members {first:?} and {second:?} the same id; their peer URLs must differ")]
    DuplicateId { list: String, first: String, second: String },
}

/// The list of a new cluster, checked against this member's own addresses.
pub async fn new_cluster(config: &Config, list: &str, token: &str) -> Result<InitialCluster, Error> {
    let named = parse(list)?;
    let own_urls = named.get(&config.name).ok_or_else(|| Error::LocalNameMissing(config.name.clone()))?;
    check_advertised(&config.name, own_urls, &config.advertise_peer_urls).await?;
    assemble(token, &config.name, named)
}

/// Names and their peer addresses; a name may come several times, and items without a name are dropped.
pub fn parse(list: &str) -> Result<BTreeMap<String, Vec<Url>>, Error> {
    let mut texts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for item in list.split(',').filter(|item| !item.is_empty()) {
        let (name, url) = item.split_once('=').unwrap_or((item, ""));
        texts.entry(name).or_default().push(url);
    }
    let parse_one = |(name, urls): (&str, Vec<&str>)| {
        // Duplicates must survive until they are complained about, so this is not `Url::parse_all`.
        let mut urls = urls.into_iter().map(Url::parse).collect::<Result<Vec<_>, _>>().map_err(Error::Url)?;
        urls.sort();
        Ok((name.to_owned(), urls))
    };
    texts.into_iter().map(parse_one).collect()
}

/// Computes the ids and refuses lists with the same address twice.
pub fn assemble(token: &str, own_name: &str, named: BTreeMap<String, Vec<Url>>) -> Result<InitialCluster, Error> {
    let text = print(&named);
    let mut seen = BTreeSet::new();
    if !named.values().flatten().all(|url| seen.insert(url)) {
        return Err(Error::DuplicateUrl(text));
    }
    let mut by_id: BTreeMap<u64, Member> = BTreeMap::new();
    let mut own = None;
    for (name, peer_urls) in named {
        let id = member_id(&peer_urls, token, None);
        if name == own_name {
            own = Some(id);
        }
        if let Some(other) = by_id.insert(id, Member { id, name: name.clone(), peer_urls }) {
            return Err(Error::DuplicateId { list: text, first: other.name, second: name });
        }
    }
    let members: Vec<Member> = by_id.into_values().collect();
    Ok(InitialCluster {
        own: own.ok_or_else(|| Error::LocalNameMissing(own_name.to_owned()))?,
        cluster_id: cluster_id(&members.iter().map(|member| member.id).collect::<Vec<_>>()),
        members,
        token: token.to_owned(),
    })
}

/// The list must call this member by the addresses it advertises: the same texts, or names of the same hosts.
pub async fn check_advertised(name: &str, listed: &[Url], advertised: &[Url]) -> Result<(), Error> {
    let Err(reason) = same_hosts(advertised, listed).await else { return Ok(()) };
    let missing =
        |from: &[Url], of: &[Url]| -> Vec<Url> { of.iter().filter(|url| !from.contains(url)).cloned().collect() };
    let as_list = |urls: &[Url]| urls.iter().map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",");
    let not_listed = missing(listed, advertised);
    let not_advertised = missing(advertised, listed);
    if not_advertised.is_empty() && !not_listed.is_empty() {
        return Err(Error::NotListed { missing: url::join(&not_listed), listed: as_list(listed) });
    }
    Err(Error::NotAdvertised { missing: as_list(&not_advertised), advertised: url::join(advertised), reason })
}

pub async fn same_hosts(advertised: &[Url], listed: &[Url]) -> Result<(), String> {
    if advertised.len() != listed.len() {
        return Err(format!("len({advertised:?}) != len({listed:?})"));
    }
    if sorted(advertised) == sorted(listed) {
        return Ok(());
    }
    let deadline = tokio::time::Instant::now() + RESOLVE_TIMEOUT;
    let mut resolved = [Vec::new(), Vec::new()];
    for (urls, resolved) in [advertised, listed].into_iter().zip(&mut resolved) {
        for url in urls {
            resolved.push(resolve(url, deadline).await?);
        }
        resolved.sort();
    }
    let [advertised, listed] = resolved;
    match advertised.iter().zip(&listed).find(|(ours, theirs)| ours != theirs) {
        Some((ours, theirs)) => Err(format!("resolved urls: {ours:?} != {theirs:?}")),
        None => Ok(()),
    }
}

/// The address with its host as an IP, IPv4 first; `localhost` and sockets stay as they are.
async fn resolve(url: &Url, deadline: tokio::time::Instant) -> Result<Url, String> {
    if url.is_socket() || url.host() == "localhost" {
        return Ok(url.clone());
    }
    loop {
        let failure = match tokio::net::lookup_host(url.address()).await {
            Ok(addresses) => {
                let mut addresses: Vec<_> = addresses.collect();
                addresses.sort_by_key(|address| address.is_ipv6());
                match addresses.first() {
                    Some(address) => return Ok(url.with_host(address.ip(), address.port())),
                    None => "no address".to_owned(),
                }
            }
            Err(error) => error.to_string(),
        };
        if tokio::time::Instant::now() + RESOLVE_RETRY > deadline {
            return Err(format!("failed to resolve {url:?} ({failure})"));
        }
        tracing::warn!(%url, error = failure, "failed to resolve URL Host");
        tokio::time::sleep(RESOLVE_RETRY).await;
    }
}

fn sorted(urls: &[Url]) -> Vec<&Url> {
    let mut urls: Vec<&Url> = urls.iter().collect();
    urls.sort();
    urls
}

fn print(named: &BTreeMap<String, Vec<Url>>) -> String {
    let mut pairs: Vec<String> =
        named.iter().flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}"))).collect();
    pairs.sort();
    pairs.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, own: &str, advertised: &str) -> Result<InitialCluster, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let named = parse(list).map_err(|error| error.to_string())?;
            let own_urls = named.get(own).ok_or_else(|| Error::LocalNameMissing(own.to_owned()).to_string())?;
            check_advertised(own, own_urls, &Url::parse_list(advertised).unwrap())
                .await
                .map_err(|error| error.to_string())?;
            assemble("etcd-cluster", own, named).map_err(|error| error.to_string())
        })
    }

    #[test]
    fn a_list_of_one_has_etcds_ids() {
        let cluster = check("default=http://localhost:2380", "default", "http://localhost:2380").unwrap();
        assert_eq!((cluster.own, cluster.cluster_id), (0x8e9e_05c5_2164_694d, 0xcdf8_1819_4e3a_8c32));
        assert_eq!(cluster.members.len(), 1);
    }

    #[test]
    fn a_name_may_have_several_addresses() {
        let cluster = check(
            "a=http://10.0.0.1:1,b=http://10.0.0.2:1,a=http://10.0.0.1:2",
            "a",
            "http://10.0.0.1:1,http://10.0.0.1:2",
        )
        .unwrap();
        assert_eq!(cluster.members.len(), 2);
        assert!(cluster.members.windows(2).all(|pair| pair[0].id < pair[1].id));
        let own = cluster.members.iter().find(|member| member.id == cluster.own).unwrap();
        assert_eq!((own.name.as_str(), own.peer_urls.len()), ("a", 2));
    }

    #[test]
    fn names_of_the_same_host_are_equal() {
        assert!(check("a=http://127.0.0.1:1", "a", "http://127.0.0.1:1").is_ok());
        assert!(check("a=http://[::1]:1", "a", "http://[0:0::1]:1").is_ok());
    }

    #[test]
    fn bad_lists_are_refused_in_etcds_words() {
        for (list, own, advertised, message) in [
            (
                "a=http://10.0.0.1:1",
                "b",
                "http://10.0.0.1:1",
                r#"couldn't find local name "b" in the initial cluster configuration"#,
            ),
            ("", "a", "http://10.0.0.1:1", r#"couldn't find local name "a" in the initial cluster configuration"#),
            (
                "a=http://10.0.0.1:1",
                "a",
                "http://10.0.0.2:1",
                r#"--initial-cluster has a=http://10.0.0.1:1 but missing from --initial-advertise-peer-urls=http://10.0.0.2:1 (resolved urls: "http://10.0.0.2:1" != "http://10.0.0.1:1")"#,
            ),
            (
                "a=http://10.0.0.1:1",
                "a",
                "http://10.0.0.1:1,http://10.0.0.1:2",
                "--initial-advertise-peer-urls has http://10.0.0.1:2 but missing from --initial-cluster=a=http://10.0.0.1:1",
            ),
            (
                "a=http://10.0.0.1:1,b=http://10.0.0.1:1",
                "a",
                "http://10.0.0.1:1",
                "initial cluster a=http://10.0.0.1:1,b=http://10.0.0.1:1 has duplicate url",
            ),
            (
                "a=10.0.0.1:1",
                "a",
                "http://10.0.0.1:1",
                "invalid --initial-cluster: URL scheme must be http, https, unix, or unixs: 10.0.0.1:1",
            ),
        ] {
            assert_eq!(check(list, own, advertised).unwrap_err(), message);
        }
    }
}
