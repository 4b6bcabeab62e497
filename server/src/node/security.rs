//! Certificates of the listeners and of the connections to other members, by etcd's rules for which flags need which.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use quorate_tls::protocol::Protocol;
use quorate_tls::{Allowed, client, self_signed, server};

use crate::config::{Config, Gate, Tls, TlsVersion, Url};
use crate::dial::Dial;
use crate::http::listener::{Endpoint, Secured};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--{prefix}cert-file and --{prefix}key-file must both be given, or neither")]
    HalfAPair { prefix: &'static str },
    #[error(
        "cannot listen on TLS for {url}: --{prefix}cert-file and --{prefix}key-file are not given, nor --{prefix}auto-tls"
    )]
    NoCertificate { url: String, prefix: &'static str },
    #[error(transparent)]
    Tls(#[from] quorate_tls::Error),
}

pub struct Security {
    pub clients: Option<Secured>,
    pub peers: Option<Secured>,
    pub to_peers: Dial,
}

impl Security {
    pub fn load(config: &Config) -> Result<Self, Error> {
        let version = |version| match version {
            TlsVersion::V1_2 => quorate_tls::protocol::Version::V1_2,
            TlsVersion::V1_3 => quorate_tls::protocol::Version::V1_3,
        };
        let max = config.tls_max_version.map(version);
        let protocol = Protocol::new(version(config.tls_min_version), max, &config.cipher_suites)?;
        let fixtures = |kind| config.data_dir.join("fixtures").join(kind);
        let years = config.self_signed_cert_validity_years;

        let client_urls = [&config.listen_client_urls, &config.listen_client_http_urls, &config.listen_metrics_urls];
        let clients = Side {
            prefix: "",
            tls: &config.client_tls,
            urls: client_urls.into_iter().flatten().collect(),
            fixtures: fixtures("client"),
        };
        let clients_pair = clients.pair(years)?;
        let peers = Side {
            prefix: "peer-",
            tls: &config.peer_tls,
            urls: config.listen_peer_urls.iter().collect(),
            fixtures: fixtures("peer"),
        };
        let peers_pair = peers.pair(years)?;
        Ok(Self {
            clients: clients.listen(clients_pair.as_ref(), Endpoint::Client, &protocol)?,
            peers: peers.listen(peers_pair.as_ref(), Endpoint::Peer, &protocol)?,
            to_peers: to_peers(config, peers_pair, protocol)?,
        })
    }
}

type Pair = (PathBuf, PathBuf);

/// The flags and the listeners of one kind.
struct Side<'a> {
    prefix: &'static str,
    tls: &'a Tls,
    urls: Vec<&'a Url>,
    fixtures: PathBuf,
}

impl Side<'_> {
    /// What to show: given, or generated on demand.
    fn pair(&self, years: u32) -> Result<Option<Pair>, Error> {
        match (&self.tls.cert_file, &self.tls.key_file) {
            (Some(cert), Some(key)) => {
                if self.tls.auto {
                    tracing::warn!("ignoring --{}auto-tls, because a certificate is given", self.prefix);
                }
                Ok(Some((cert.clone(), key.clone())))
            }
            (None, None) if self.tls.auto => {
                let hosts: Vec<String> = self.urls.iter().map(|url| url.host().to_owned()).collect();
                Ok(Some(self_signed::pair(&self.fixtures, &hosts, years)?))
            }
            (None, None) => Ok(None),
            _ => Err(Error::HalfAPair { prefix: self.prefix }),
        }
    }

    fn listen(&self, pair: Option<&Pair>, endpoint: Endpoint, protocol: &Protocol) -> Result<Option<Secured>, Error> {
        let Some((cert, key)) = pair else {
            return match self.urls.iter().find(|url| url.is_tls()) {
                Some(url) => Err(Error::NoCertificate { url: url.to_string(), prefix: self.prefix }),
                None => Ok(None),
            };
        };
        for url in self.urls.iter().filter(|url| !url.is_tls()) {
            tracing::warn!(
                url = url.as_str(),
                "scheme is HTTP while key and cert files are present; ignoring key and cert files"
            );
        }
        let acceptor = server::Acceptor::new(server::Settings {
            cert: cert.clone(),
            key: key.clone(),
            verify_clients: self.tls.requires_client_cert(),
            authorities: self.tls.trusted_ca_file.clone(),
            revocations: self.tls.crl_file.clone(),
            allowed: allowed(self.tls),
            protocol: protocol.clone(),
        })?;
        let check_names = matches!(endpoint, Endpoint::Peer) && !self.tls.skip_client_san_verification;
        Ok(Some(Secured { acceptor: Arc::new(acceptor), endpoint, check_names }))
    }
}

/// A member that has no authority of its own verifies the others by the system's, where there are any.
fn to_peers(config: &Config, pair: Option<Pair>, protocol: Protocol) -> Result<Dial, Error> {
    let tls = &config.peer_tls;
    let is_generated = tls.auto && tls.cert_file.is_none();
    let own = |own: &Option<PathBuf>, given: &Path| own.clone().unwrap_or_else(|| given.to_owned());
    let is_configured = pair.is_some() || tls.trusted_ca_file.is_some();
    let connector = client::Connector::new(client::Settings {
        pair: pair.map(|(cert, key)| (own(&tls.client_cert_file, &cert), own(&tls.client_key_file, &key))),
        authorities: tls.trusted_ca_file.clone(),
        skip_verification: is_generated,
        // Where the domain found the members, their certificates are for the domain; etcd's rule.
        server_name: config.discovery_srv.clone().filter(|_| tls.trusted_ca_file.is_none()),
        allowed: allowed(tls),
        protocol,
    });
    match connector {
        Ok(connector) => Ok(Dial::new(connector).from_address(local_address(config))),
        Err(error) if is_configured => Err(error.into()),
        Err(_) => Ok(Dial::default().from_address(local_address(config))),
    }
}

/// With `SetMemberLocalAddr` the other members are called from the first address that they are told to call; etcd's rule.
fn local_address(config: &Config) -> Option<IpAddr> {
    if !config.feature_gates.enabled(Gate::SetMemberLocalAddr) {
        return None;
    }
    let hosts = config.advertise_peer_urls.iter().map(|url| url.host().trim_matches(['[', ']']));
    let mut addresses = hosts.filter_map(|host| host.parse::<IpAddr>().ok());
    let found = addresses.find(|address| !address.is_loopback() && !address.is_unspecified());
    match found {
        Some(address) => tracing::info!(%address, "setting member localAddr"),
        None => tracing::warn!(
            "unable to set a member local address: no host of --initial-advertise-peer-urls is an address that is not a loopback"
        ),
    }
    found
}

fn allowed(tls: &Tls) -> Allowed {
    Allowed { cns: tls.allowed_cns.clone(), hostnames: tls.allowed_hostnames.clone() }
}
