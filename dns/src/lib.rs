//! What the system's resolver knows beyond the addresses of a name: services, and the names of an address.

use std::net::IpAddr;

use hickory_resolver::TokioResolver;
pub use hickory_resolver::net::NetError as Error;
use hickory_resolver::proto::rr::RData;

/// A host that a service record names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Without the dot at its end.
    pub host: String,
    pub port: u16,
    pub priority: u16,
    pub weight: u16,
}

/// The names that an address has.
pub async fn names_of(address: IpAddr) -> Result<Vec<String>, Error> {
    let found = system()?.reverse_lookup(address).await?;
    Ok(found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::PTR(name) => Some(name.to_string()),
            _ => None,
        })
        .collect())
}

/// A service's name and its hosts.
pub type Looked = (String, Result<Vec<Target>, Error>);

/// The two services of one kind of etcd's in a domain.
pub struct Services {
    /// With TLS.
    pub secured: Looked,
    pub plain: Looked,
}

/// Looks for `_KIND-ssl._tcp` and `_KIND._tcp`, where `kind` is `etcd-server` or `etcd-client`; a `name` that is not empty stands
/// behind both.
pub async fn services(kind: &str, name: &str, domain: &str) -> Services {
    let suffix = if name.is_empty() { String::new() } else { format!("-{name}") };
    let (secured, plain) = (format!("{kind}-ssl{suffix}"), format!("{kind}{suffix}"));
    let (with_tls, without) = futures::join!(service(&secured, domain), service(&plain, domain));
    Services { secured: (secured, with_tls), plain: (plain, without) }
}

/// The hosts of `_service._tcp.domain`, most wanted first. None is an error, as it is in Go.
async fn service(service: &str, domain: &str) -> Result<Vec<Target>, Error> {
    // With the dot: this name and no other, whatever domains the system would search.
    let name = format!("_{service}._tcp.{}.", domain.trim_end_matches('.'));
    let found = system()?.srv_lookup(name).await?;
    let mut targets: Vec<Target> = found
        .answers()
        .iter()
        .filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(Target {
                host: srv.target.to_string().trim_end_matches('.').to_owned(),
                port: srv.port,
                priority: srv.priority,
                weight: srv.weight,
            }),
            _ => None,
        })
        .collect();
    targets.sort_by(|a, b| (a.priority, &a.host, a.port).cmp(&(b.priority, &b.host, b.port)));
    Ok(targets)
}

/// By the system's settings as they are now.
fn system() -> Result<TokioResolver, Error> {
    TokioResolver::builder_tokio()?.build()
}
