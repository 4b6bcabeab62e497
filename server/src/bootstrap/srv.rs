//! `--discovery-srv`: the first members as service records of a domain.
//!
//! Records of `_etcd-server-ssl._tcp` stand for https, those of `_etcd-server._tcp` for http; one of the two may be missing. The
//! record whose address is one that this member advertises is this member; the others are named by their place.

use std::net::SocketAddr;

use crate::config::{Config, Scheme, Url};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to resolve --initial-advertise-peer-urls {url}")]
    Advertised { url: String, source: std::io::Error },
    #[error(
        "error querying DNS SRV records for _{service} of --discovery-srv={domain}: {reason}; check the records and the \
         name servers in /etc/resolv.conf"
    )]
    Query { service: String, domain: String, reason: String },
    #[error(
        "cannot find local etcd member {name:?} in SRV records: none of {found} is one of \
         --initial-advertise-peer-urls={advertised}{details}"
    )]
    NotAmong { name: String, found: String, advertised: String, details: String },
}

/// The members as `--initial-cluster` would list them.
pub async fn list(config: &Config, domain: &str) -> Result<String, Error> {
    let mut own = Vec::new();
    for url in &config.advertise_peer_urls {
        let address = first_address(url.host(), url.port()).await;
        own.push((address.map_err(|source| Error::Advertised { url: url.to_string(), source })?, url));
    }
    let name = config.discovery_srv_name.as_deref().unwrap_or_default();
    let services = quorate_dns::services("etcd-server", name, domain).await;
    let secured = members(Scheme::Https, services.secured, domain, &config.name, &own).await;
    let plain = members(Scheme::Http, services.plain, domain, &config.name, &own).await;
    let Found { members: found, left_out } = match (secured, plain) {
        (Err(first), Err(second)) => {
            tracing::warn!(error = %second, "no members without TLS in DNS");
            return Err(first);
        }
        (secured, plain) => {
            let (mut secured, plain) = (secured.unwrap_or_default(), plain.unwrap_or_default());
            secured.members.extend(plain.members);
            secured.left_out.extend(plain.left_out);
            secured
        }
    };
    for member in &found {
        tracing::info!(node = member.as_str(), "got bootstrap from DNS for etcd-server");
    }
    let list = found.join(",");
    let is_own = |member: &String| member.strip_prefix(&config.name).is_some_and(|rest| rest.starts_with('='));
    match found.iter().any(is_own) {
        true => Ok(list),
        false => {
            let advertised = crate::config::url::join(&config.advertise_peer_urls);
            let details = left_out.iter().map(|reason| format!("; {reason}")).collect();
            Err(Error::NotAmong { name: config.name.clone(), found: list, advertised, details })
        }
    }
}

#[derive(Default)]
struct Found {
    /// `name=url` each.
    members: Vec<String>,
    /// Why records are not among them.
    left_out: Vec<String>,
}

/// The records of one service.
async fn members(
    scheme: Scheme,
    (service, targets): quorate_dns::Looked,
    domain: &str,
    own_name: &str,
    own: &[(SocketAddr, &Url)],
) -> Result<Found, Error> {
    let failed = |reason: String| Error::Query { service: service.clone(), domain: domain.to_owned(), reason };
    let targets = targets.map_err(|error| failed(error.to_string()))?;
    let mut found = Found::default();
    let mut nameless = 0;
    for target in targets {
        let host = match target.host.contains(':') {
            true => format!("[{}]", target.host),
            false => target.host.clone(),
        };
        let url = format!("{}://{host}:{}", scheme.as_str(), target.port);
        let address = match first_address(&target.host, target.port).await {
            Ok(address) => address,
            Err(error) => {
                tracing::warn!(host = target.host, %error, "a host in the SRV records has no address");
                found.left_out.push(format!("{}: {error}", target.host));
                continue;
            }
        };
        let name = match own.iter().find(|(known, _)| *known == address) {
            Some((_, expected)) if expected.scheme() != scheme => {
                found.left_out.push(format!(
                    "bootstrap at {url} from DNS for {service} has scheme mismatch with expected peer {expected}"
                ));
                continue;
            }
            Some(_) => own_name.to_owned(),
            None => {
                nameless += 1;
                (nameless - 1).to_string()
            }
        };
        found.members.push(format!("{name}={url}"));
    }
    match found.members.is_empty() {
        true => Err(failed(found.left_out.join("; "))),
        false => Ok(found),
    }
}

/// IPv4 first, as Go's resolver.
async fn first_address(host: &str, port: u16) -> std::io::Result<SocketAddr> {
    let mut addresses: Vec<SocketAddr> = tokio::net::lookup_host((host, port)).await?.collect();
    addresses.sort_by_key(SocketAddr::is_ipv6);
    addresses.into_iter().next().ok_or_else(|| std::io::Error::other("no address"))
}
