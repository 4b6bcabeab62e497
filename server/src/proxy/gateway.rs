//! `etcd gateway start`: forwards TCP connections, byte by byte, to the members of a cluster. TLS passes through it unseen.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use quorate_tls::client::{Connector, Settings};
use rand::RngExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::command::Gateway;

/// A member that does not take a connection by then is left out for a while.
const CONNECT: Duration = Duration::from_secs(5);
/// File descriptors that are not for connections, each of which takes two.
const RESERVED_FILES: u64 = 50;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot listen on --listen-addr={address}")]
    Listen { address: String, source: io::Error },
    #[error("--endpoints has {0:?}, which is not HOST:PORT")]
    Endpoint(String),
    #[error("--endpoints has {0}, the address that the gateway itself listens on: it would call itself without end")]
    Loop(String),
    #[error("no member is left to forward to: {0}")]
    NoMember(String),
    #[error("--trusted-ca-file can't be used")]
    Authorities(#[from] quorate_tls::Error),
}

/// A member, and when it may be tried again if it refused the last connection.
#[derive(Debug)]
struct Remote {
    address: String,
    /// Lower ones come first; the others are for when those are all away.
    priority: u16,
    weight: u16,
    away_until: Mutex<Option<Instant>>,
}

/// Serves until the process ends.
pub async fn run(arguments: Gateway) -> Result<(), Error> {
    let remotes = remotes(&arguments).await?;
    let failed = |source| Error::Listen { address: arguments.listen_addr.clone(), source };
    let socket = TcpListener::bind(&arguments.listen_addr).await.map_err(failed)?;
    let own = socket.local_addr().map_err(failed)?;
    for remote in &remotes {
        // One that can't be resolved yet may be later.
        let addresses = tokio::net::lookup_host(&remote.address).await.into_iter().flatten();
        if addresses.into_iter().any(|address| is_same(address, own)) {
            return Err(Error::Loop(remote.address.clone()));
        }
    }
    let endpoints: Vec<&str> = remotes.iter().map(|remote| remote.address.as_str()).collect();
    tracing::info!(?endpoints, address = %own, "ready to proxy client requests");
    crate::notify::ready();
    let gateway = Arc::new(Members { remotes, retry_delay: arguments.retry_delay, turn: AtomicUsize::new(0) });
    let places = Arc::new(Semaphore::new(connections()));
    while let Ok(place) = places.clone().acquire_owned().await {
        let (client, remote) = match socket.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "failed to accept a connection");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        let gateway = gateway.clone();
        tokio::spawn(async move {
            forward(client, remote, &gateway).await;
            drop(place);
        });
    }
    Ok(())
}

async fn forward(mut client: TcpStream, from: SocketAddr, gateway: &Members) {
    let Some(mut member) = gateway.connect().await else {
        tracing::warn!(client = %from, "no member takes a connection");
        return;
    };
    // What is written goes at once, as without a gateway.
    let _ = (client.set_nodelay(true), member.set_nodelay(true));
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut member).await {
        tracing::debug!(client = %from, %error, "a forwarded connection ended with an error");
    }
}

struct Members {
    remotes: Vec<Remote>,
    retry_delay: Duration,
    turn: AtomicUsize,
}

impl Members {
    /// To one member that takes it; none if all refuse.
    async fn connect(&self) -> Option<TcpStream> {
        while let Some(remote) = self.pick() {
            match tokio::time::timeout(CONNECT, TcpStream::connect(&remote.address)).await {
                Ok(Ok(stream)) => return Some(stream),
                Ok(Err(error)) => tracing::warn!(address = remote.address, %error, "deactivated endpoint"),
                Err(_) => tracing::warn!(address = remote.address, "deactivated endpoint: it takes no connection"),
            }
            *remote.away_until.lock() = Some(Instant::now() + self.retry_delay);
        }
        None
    }

    /// Of those that are not away and have the first priority: by weight, or in turn if none has one.
    fn pick(&self) -> Option<&Remote> {
        let now = Instant::now();
        let is_there = |remote: &&Remote| remote.away_until.lock().is_none_or(|until| until <= now);
        let first = self.remotes.iter().filter(is_there).map(|remote| remote.priority).min()?;
        let chosen: Vec<&Remote> =
            self.remotes.iter().filter(|remote| remote.priority == first).filter(is_there).collect();
        let weight: u32 = chosen.iter().map(|remote| u32::from(remote.weight)).sum();
        if weight == 0 {
            return chosen.get(self.turn.fetch_add(1, Ordering::Relaxed) % chosen.len().max(1)).copied();
        }
        let mut left = rand::rng().random_range(0..weight);
        chosen.into_iter().find(|remote| {
            let own = u32::from(remote.weight);
            let hit = left < own;
            left = left.saturating_sub(own);
            hit
        })
    }
}

async fn remotes(arguments: &Gateway) -> Result<Vec<Remote>, Error> {
    if let Some(domain) = arguments.discovery_srv.as_deref().filter(|domain| !domain.is_empty()) {
        return discover(arguments, domain).await;
    }
    let remote = |endpoint: &String| {
        let address = endpoint.split_once("://").map_or(endpoint.as_str(), |(_, address)| address).trim();
        match address.rsplit_once(':') {
            Some((host, port)) if !host.is_empty() && port.parse::<u16>().is_ok() => {
                Ok(Remote { address: address.to_owned(), priority: 0, weight: 0, away_until: Mutex::default() })
            }
            _ => Err(Error::Endpoint(endpoint.clone())),
        }
    };
    arguments.endpoints.iter().map(remote).collect()
}

/// Members by the domain's client records. With authorities, only those that show a certificate of theirs.
async fn discover(arguments: &Gateway, domain: &str) -> Result<Vec<Remote>, Error> {
    let name = arguments.discovery_srv_name.as_deref().unwrap_or_default();
    let services = quorate_dns::services("etcd-client", name, domain).await;
    let mut reasons = Vec::new();
    let mut targets = Vec::new();
    for (is_secured, (_, found)) in [(true, services.secured), (false, services.plain)] {
        match found {
            Ok(_) if !is_secured && !arguments.insecure_discovery => {
                reasons.push("members without TLS are left out, see --insecure-discovery".to_owned());
            }
            Ok(found) => targets.extend(found),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    if let Some(authorities) = &arguments.trusted_ca_file {
        let tls = Connector::new(Settings {
            authorities: Some(authorities.clone()),
            server_name: Some(domain.to_owned()),
            ..Settings::default()
        })?;
        let mut verified = Vec::new();
        for target in targets {
            match handshake(&tls, &target.host, target.port).await {
                Ok(()) => verified.push(target),
                Err(error) => {
                    tracing::warn!(host = target.host, %error, "left out a member that could not be verified");
                    reasons.push(format!("{}: {error}", target.host));
                }
            }
        }
        targets = verified;
    }
    if targets.is_empty() {
        return Err(Error::NoMember(reasons.join("; ")));
    }
    Ok(targets
        .into_iter()
        .map(|target| Remote {
            address: format!("{}:{}", target.host, target.port),
            priority: target.priority,
            weight: target.weight,
            away_until: Mutex::default(),
        })
        .collect())
}

async fn handshake(tls: &Connector, host: &str, port: u16) -> io::Result<()> {
    let connected = tokio::time::timeout(CONNECT, async {
        let stream = TcpStream::connect((host, port)).await?;
        tls.connect(host, stream).await.map(drop)
    });
    connected.await.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut)))
}

fn is_same(address: SocketAddr, own: SocketAddr) -> bool {
    address.port() == own.port()
        && (address.ip() == own.ip() || own.ip().is_unspecified() && address.ip().is_loopback())
}

fn connections() -> usize {
    let files = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let places = files.saturating_sub(RESERVED_FILES).max(2) / 2;
    usize::try_from(places).unwrap_or(usize::MAX).min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(remotes: &[(u16, u16)]) -> Members {
        let remotes = remotes.iter().enumerate().map(|(number, &(priority, weight))| Remote {
            address: number.to_string(),
            priority,
            weight,
            away_until: Mutex::default(),
        });
        Members { remotes: remotes.collect(), retry_delay: Duration::from_secs(1), turn: AtomicUsize::new(0) }
    }

    #[tokio::test]
    async fn members_are_taken_in_turn_and_later_priorities_when_the_first_is_away() {
        let members = members(&[(1, 0), (0, 0), (0, 0)]);
        let picked: Vec<&str> = (0..4).map(|_| members.pick().unwrap().address.as_str()).collect();
        assert_eq!(picked, ["1", "2", "1", "2"]);
        for first in &members.remotes[1..] {
            *first.away_until.lock() = Some(Instant::now() + Duration::from_secs(60));
        }
        assert_eq!(members.pick().unwrap().address, "0");
    }

    #[tokio::test]
    async fn weights_decide_where_there_are_any() {
        let members = members(&[(0, 0), (0, 5)]);
        assert!((0..20).all(|_| members.pick().unwrap().address == "1"));
    }
}
