//! `--discovery-fallback=proxy`: whoever comes when the cluster is full becomes a proxy of it.
//!
//! That it is one is kept in `<data-dir>/proxy/cluster`, as etcd's proxy kept it, so that a restart doesn't ask the discovery
//! service again. It has no data; it asks the members at their peer URLs where clients reach them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quorate_tls::client;
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use super::security::{self, Security};
use super::{Ended, Error};
use crate::bootstrap::{self, discovery_url};
use crate::config::{Config, Discovery, Url};
use crate::dial::Dial;
use crate::http::listener;
use crate::metrics::Metrics;
use crate::proxy::grpc;
use crate::telemetry;

/// Between two looks for the members' client URLs, and between two tries to get any.
const REFRESH: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(2);
const DRAIN: Duration = Duration::from_secs(5);

/// What is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Cluster {
    #[serde(rename = "PeerURLs")]
    peer_urls: Vec<String>,
}

/// Runs a member, or a proxy if this is to be one.
pub async fn run(
    config: Config,
    metrics: Arc<Metrics>,
    log: telemetry::Handle,
    stop: CancellationToken,
) -> Result<Ended, Error> {
    let falls_back = matches!(&config.discovery, Some(Discovery::Url(discovery)) if discovery.falls_back);
    if !falls_back {
        return super::run(config, metrics, log, stop).await;
    }
    let file = config.data_dir.join("proxy").join("cluster");
    let failed = |source| Error::Proxy { path: file.clone(), source };
    let peer_urls = match read(&file).map_err(failed)? {
        Some(cluster) => cluster.peer_urls,
        None => match super::run(config.clone(), metrics, log, stop.clone()).await {
            Err(Error::Bootstrap(bootstrap::Error::DiscoveryUrl(discovery_url::Error::Full { members, .. }))) => {
                let peer_urls = peer_urls(&members);
                tracing::warn!(?peer_urls, "discovery: cluster is full; falling back to a proxy of it");
                keep(&config, &file, &peer_urls).map_err(failed)?;
                peer_urls
            }
            ended => return ended,
        },
    };
    serve(&config, &peer_urls, stop).await?;
    Ok(Ended::Stopped)
}

fn read(file: &Path) -> io::Result<Option<Cluster>> {
    match fs::read(file) {
        Ok(text) => serde_json::from_slice(&text).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The member that this was to become has no log: its folder goes.
fn keep(config: &Config, file: &Path, peer_urls: &[String]) -> io::Result<()> {
    let text = serde_json::to_vec(&Cluster { peer_urls: peer_urls.to_vec() }).map_err(io::Error::other)?;
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    let new = file.with_extension("new");
    fs::write(&new, text)?;
    fs::File::open(&new)?.sync_all()?;
    fs::rename(&new, file)?;
    fs::remove_dir_all(config.member_path())
}

/// Of registrations, `name=url,name=url` each.
fn peer_urls(members: &[String]) -> Vec<String> {
    let urls = members.iter().flat_map(|member| member.split(','));
    urls.filter_map(|entry| Some(entry.split_once('=')?.1.to_owned())).collect()
}

async fn serve(config: &Config, peer_urls: &[String], stop: CancellationToken) -> Result<(), Error> {
    let security = Security::load(config)?;
    let peers: Vec<Url> = peer_urls.iter().filter_map(|url| Url::parse(url).ok()).collect();
    let Some(endpoints) = stop.run_until_cancelled(endpoints(&security.to_peers, &peers)).await else { return Ok(()) };
    let settings = grpc::Settings {
        connect: CONNECT,
        keepalive: Some(config.raft_read_timeout),
        keepalive_timeout: config.raft_write_timeout,
        keepalive_while_idle: false,
        answer_bytes: i32::MAX as usize,
        request_bytes: i32::MAX as usize,
    };
    let dial = to_members(config, &security.to_peers)?;
    let options = grpc::Options {
        listen: config.listen_client_urls.clone(),
        metrics: config.listen_metrics_urls.clone(),
        secured: security.clients,
        listener: listener::Options {
            max_concurrent_streams: config.max_concurrent_streams,
            keepalive_interval: config.grpc_keepalive_interval,
            keepalive_timeout: config.grpc_keepalive_timeout.unwrap_or(Duration::from_secs(20)),
            reuse_port: config.socket_reuse_port,
            drain: DRAIN,
        },
        upstream: grpc::Upstream::new(&endpoints, false, dial, settings).map_err(grpc::Error::from)?,
        namespace: grpc::Namespace::default(),
        advertised: None,
        refresh: Some(REFRESH),
        linearizable: false,
        log_calls: false,
        request_bytes: config.max_request_bytes,
    };
    Ok(grpc::run(options, stop).await?)
}

/// Where the members serve clients. They may be starting.
async fn endpoints(dial: &Dial, peers: &[Url]) -> Vec<String> {
    loop {
        let found = bootstrap::client_urls(dial, peers).await;
        if !found.is_empty() {
            return found;
        }
        tracing::warn!(?peers, "no member says where it serves clients; asking again");
        tokio::time::sleep(AGAIN).await;
    }
}

/// By the certificate and authorities for clients; by those for members where there are none.
fn to_members(config: &Config, to_peers: &Dial) -> Result<Dial, Error> {
    let tls = &config.client_tls;
    if tls.is_empty() && tls.trusted_ca_file.is_none() {
        return Ok(to_peers.clone());
    }
    let own = |own: &Option<PathBuf>, given: &Option<PathBuf>| own.clone().or_else(|| given.clone());
    let pair = own(&tls.client_cert_file, &tls.cert_file).zip(own(&tls.client_key_file, &tls.key_file));
    let connector = client::Connector::new(client::Settings {
        pair,
        authorities: tls.trusted_ca_file.clone(),
        ..client::Settings::default()
    });
    Ok(Dial::new(connector.map_err(security::Error::from)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registrations_name_peer_urls() {
        let members = ["a=http://a:2380,a=http://b:2380".to_owned(), "c=http://c:2380".to_owned()];
        assert_eq!(peer_urls(&members), ["http://a:2380", "http://b:2380", "http://c:2380"]);
    }
}
