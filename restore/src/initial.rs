//! The flags that describe a new cluster, by the checks that etcd makes before a first start.

use std::collections::BTreeSet;

use crate::cluster::{Cluster, missing_local};
use crate::{Error, peer_url};

impl Cluster {
    /// `initial_cluster`: `NAME=URL` separated by commas. `advertise`: peer URLs of the member `name`, as the list has them.
    pub fn from_flags(initial_cluster: &str, token: &str, advertise: &str, name: &str) -> Result<Self, Error> {
        let advertised = peer_url::parse_list(advertise.split(',')).map_err(Error::Members)?;
        let members = peer_url::parse_cluster(initial_cluster).map_err(Error::Members)?;
        let urls = members.get(name).ok_or_else(|| missing_local(name))?;
        match_advertised(name, &advertised, urls).map_err(Error::Members)?;

        let mut seen = BTreeSet::new();
        if !members.values().flatten().all(|url| seen.insert(url)) {
            let mut pairs: Vec<String> =
                members.iter().flat_map(|(name, urls)| urls.iter().map(move |url| format!("{name}={url}"))).collect();
            pairs.sort();
            return Err(Error::Members(format!("initial cluster {} has duplicate url", pairs.join(","))));
        }
        Self::new(members, token, name)
    }
}

/// What a member says of itself and what the others are told of it must be the same.
fn match_advertised(name: &str, advertised: &[String], urls: &[String]) -> Result<(), String> {
    let Err(cause) = peer_url::same_addresses(advertised, urls) else { return Ok(()) };
    let missing = |from: &[String], of: &[String], prefix: &str| {
        let urls: BTreeSet<&String> = of.iter().filter(|url| !from.contains(url)).collect();
        urls.into_iter().map(|url| format!("{prefix}{url}")).collect::<Vec<_>>().join(",")
    };
    let own = |urls: &[String]| urls.iter().map(|url| format!("{name}={url}")).collect::<Vec<_>>().join(",");

    let unadvertised = missing(advertised, urls, &format!("{name}="));
    if !unadvertised.is_empty() {
        let list = advertised.join(",");
        return Err(format!(
            "--initial-cluster has {unadvertised} but missing from --initial-advertise-peer-urls={list} ({cause})"
        ));
    }
    let unlisted = missing(urls, advertised, "");
    if !unlisted.is_empty() {
        return Err(format!(
            "--initial-advertise-peer-urls has {unlisted} but missing from --initial-cluster={}",
            own(urls)
        ));
    }
    Err(format!("failed to resolve {} to match --initial-cluster={} ({cause})", advertised.join(","), own(urls)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "http://localhost:2380";

    #[test]
    fn flags_that_contradict_each_other_are_refused_with_etcds_words() {
        let error = |list: &str, advertise: &str, name: &str| {
            Cluster::from_flags(list, "t", advertise, name).unwrap_err().to_string()
        };
        assert_eq!(
            error("default=http://localhost:2380", URL, "zz"),
            "couldn't find local name \"zz\" in the initial cluster configuration"
        );
        assert_eq!(
            error("default=http://localhost:2381", URL, "default"),
            "--initial-cluster has default=http://localhost:2381 but missing from --initial-advertise-peer-urls=\
             http://localhost:2380 (resolved urls: \"http://localhost:2380\" != \"http://localhost:2381\")"
        );
        assert_eq!(
            error("default=http://localhost:2380", "http://localhost:2380,http://localhost:2381", "default"),
            "--initial-advertise-peer-urls has http://localhost:2381 but missing from \
             --initial-cluster=default=http://localhost:2380"
        );
        assert_eq!(
            error("default=http://localhost:2380,b=http://localhost:2380", URL, "default"),
            "initial cluster b=http://localhost:2380,default=http://localhost:2380 has duplicate url"
        );
    }
}
