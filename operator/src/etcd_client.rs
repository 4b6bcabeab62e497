//! Calls to the members of a cluster; those about users and roles are in [`auth`].

mod auth;

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quorate_proto::etcdserverpb::cluster_client::ClusterClient;
use quorate_proto::etcdserverpb::kv_client::KvClient;
use quorate_proto::etcdserverpb::maintenance_client::MaintenanceClient;
use quorate_proto::etcdserverpb::{
    CompactionRequest, HashKvRequest, MemberAddRequest, MemberListRequest, MemberListResponse, MemberPromoteRequest,
    MemberRemoveRequest, MemberUpdateRequest, MoveLeaderRequest, StatusRequest, StatusResponse,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Request, Status};

/// Bound on connecting and on a question.
const QUESTION: Duration = Duration::from_secs(3);
/// Bound on a change: etcd's own is 7 s with the default election timeout.
const CHANGE: Duration = Duration::from_secs(10);
/// A member reads all its keys for it.
const HASHING: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{member} can't be reached")]
    Connect { member: String, source: tonic::transport::Error },
    #[error("{member} answers: {}", status.message())]
    Refused { member: String, status: Box<Status> },
}

/// Where a member listens. By its address, since a name may not be known yet; its certificate is for the name.
#[derive(Clone, Debug)]
pub struct Target {
    pub member: String,
    pub address: IpAddr,
    pub port: u16,
    pub host: String,
    /// Clients reach it by TLS, and members do.
    pub is_secured: bool,
    pub has_secured_peers: bool,
}

impl Target {
    /// What a URL of a member means here; `None` if its name is not known.
    pub async fn of_url(member: &str, url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let (host, port) = (uri.host()?.to_owned(), uri.port_u16()?);
        let lookup = tokio::time::timeout(QUESTION, tokio::net::lookup_host((host.clone(), port))).await;
        let address = lookup.ok()?.ok()?.next()?.ip();
        let is_secured = uri.scheme_str() == Some("https");
        Some(Self { member: member.to_owned(), address, port, host, is_secured, has_secured_peers: false })
    }
}

/// A connection to one member.
#[derive(Clone, Debug)]
pub struct Client {
    member: String,
    channel: Channel,
    is_secured: bool,
}

impl Client {
    pub async fn connect(target: &Target, tls: Option<Arc<ClientConfig>>) -> Result<Self, Error> {
        let failed = |source| Error::Connect { member: target.member.clone(), source };
        let is_secured = tls.is_some();
        let scheme = if is_secured { "https" } else { "http" };
        let endpoint = Endpoint::from_shared(format!("{scheme}://{}:{}", target.host, target.port)).map_err(failed)?;
        let (address, port) = (target.address, target.port);
        let connector = tower::service_fn(move |uri: Uri| connect(uri, address, port, tls.clone()));
        let endpoint = endpoint.connect_timeout(QUESTION).tcp_nodelay(true);
        let channel = endpoint.connect_with_connector(connector).await.map_err(failed)?;
        Ok(Self { member: target.member.clone(), channel, is_secured })
    }

    /// By TLS: the member knows who asks.
    pub fn is_secured(&self) -> bool {
        self.is_secured
    }

    pub fn member(&self) -> &str {
        &self.member
    }

    fn refused(&self, status: Status) -> Error {
        Error::Refused { member: self.member.clone(), status: Box::new(status) }
    }

    pub async fn status(&self) -> Result<StatusResponse, Error> {
        let call =
            MaintenanceClient::new(self.channel.clone()).status(within(QUESTION, StatusRequest::default())).await;
        call.map(tonic::Response::into_inner).map_err(|status| self.refused(status))
    }

    /// A list that a quorum agrees with.
    pub async fn members(&self) -> Result<MemberListResponse, Error> {
        let request = within(QUESTION, MemberListRequest { linearizable: true });
        let call = ClusterClient::new(self.channel.clone()).member_list(request).await;
        call.map(tonic::Response::into_inner).map_err(|status| self.refused(status))
    }

    pub async fn add_learner(&self, peer_url: &str) -> Result<(), Error> {
        let request = MemberAddRequest { peer_ur_ls: vec![peer_url.to_owned()], is_learner: true };
        let call = ClusterClient::new(self.channel.clone()).member_add(within(CHANGE, request)).await;
        call.map(drop).map_err(|status| self.refused(status))
    }

    pub async fn promote(&self, id: u64) -> Result<(), Error> {
        let request = within(CHANGE, MemberPromoteRequest { id });
        let call = ClusterClient::new(self.channel.clone()).member_promote(request).await;
        call.map(drop).map_err(|status| self.refused(status))
    }

    pub async fn update(&self, id: u64, peer_url: &str) -> Result<(), Error> {
        let request = within(CHANGE, MemberUpdateRequest { id, peer_ur_ls: vec![peer_url.to_owned()] });
        let call = ClusterClient::new(self.channel.clone()).member_update(request).await;
        call.map(drop).map_err(|status| self.refused(status))
    }

    pub async fn remove(&self, id: u64) -> Result<(), Error> {
        let request = within(CHANGE, MemberRemoveRequest { id });
        let call = ClusterClient::new(self.channel.clone()).member_remove(request).await;
        call.map(drop).map_err(|status| self.refused(status))
    }

    /// What it says of its keys at a revision, when everything up to another has been compacted.
    pub async fn hash_kv(&self, revision: i64, compacted: i64) -> Result<i64, Error> {
        let ask = async || {
            let request = within(HASHING, HashKvRequest { revision });
            let call = MaintenanceClient::new(self.channel.clone()).hash_kv(request).await;
            call.map(tonic::Response::into_inner).map_err(|status| self.refused(status))
        };
        let said = ask().await?;
        if said.compact_revision >= compacted {
            return Ok(said.hash.into());
        }
        let request = within(HASHING, CompactionRequest { revision: compacted, physical: true });
        let call = KvClient::new(self.channel.clone()).compact(request).await;
        call.map_err(|status| self.refused(status))?;
        Ok(ask().await?.hash.into())
    }

    /// Only the leader can.
    pub async fn hand_over(&self, to: u64) -> Result<(), Error> {
        let request = within(CHANGE, MoveLeaderRequest { target_id: to });
        let call = MaintenanceClient::new(self.channel.clone()).move_leader(request).await;
        call.map(drop).map_err(|status| self.refused(status))
    }
}

fn within<T>(limit: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(limit);
    request
}

/// Either kind of connection.
trait Stream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}
impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Stream for T {}

async fn connect(
    uri: Uri,
    address: IpAddr,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
) -> io::Result<TokioIo<Box<dyn Stream>>> {
    let stream = TcpStream::connect((address, port)).await?;
    stream.set_nodelay(true)?;
    let Some(config) = tls else { return Ok(TokioIo::new(Box::new(stream))) };
    let host = ServerName::try_from(uri.host().unwrap_or_default().to_owned()).map_err(io::Error::other)?;
    Ok(TokioIo::new(Box::new(TlsConnector::from(config).connect(host, stream).await?)))
}
