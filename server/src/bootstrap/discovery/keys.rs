//! `--discovery-endpoints`: the first members find each other through the keys of a running cluster.
//!
//! Below `/_etcd/registry/TOKEN`, somebody has put the number of members at `_config/size`; each member puts `name=url` at
//! `members/ID`. The first ones in the order of their creation are the cluster.

use quorate_proto::etcdserverpb::{
    self as pb, auth_client::AuthClient, kv_client::KvClient, range_request, watch_client::WatchClient, watch_request,
};
use quorate_tls::client::{Connector, Settings};
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::Waits;
use crate::config::DiscoveryKeys;
use crate::dial::Dial;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("discovery: size key {0} not found: put the number of the first members there")]
    SizeNotFound(String),
    #[error("discovery: size key is bad: {key} holds {value:?}, and not a number above 0")]
    SizeBad { key: String, value: String },
    #[error("discovery: cluster is full: {size} members have registered below {prefix} before this one")]
    Full { size: usize, prefix: String },
    #[error("discovery: certificates of --discovery-cert, --discovery-key or --discovery-cacert can't be used")]
    Tls(#[from] quorate_tls::Error),
    #[error("discovery: --discovery-cert and --discovery-key must both be given, or neither")]
    HalfAPair,
    #[error("discovery: {endpoint} in --discovery-endpoints is not an address")]
    Endpoint { endpoint: String, source: tonic::transport::Error },
    #[error("discovery: the token that the user got is not made of printable characters")]
    Token,
    #[error("discovery: {0}")]
    Call(Box<Status>),
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

/// Registers this member and waits for the others. Returns the members as `--initial-cluster` would list them. `own`: `name=url`
/// of this member.
pub async fn join(discovery: &DiscoveryKeys, member_id: u64, own: &str) -> Result<String, Error> {
    let channels = connect(discovery)?;
    let mut waits = Waits::default();
    loop {
        for channel in &channels {
            match Registry::new(discovery, channel.clone(), member_id).join(own).await {
                Err(Error::Call(status)) => tracing::warn!(error = %status, "the discovery service failed"),
                decided => return decided,
            }
        }
        waits.wait().await;
    }
}

struct Registry<'a> {
    discovery: &'a DiscoveryKeys,
    channel: Channel,
    prefix: String,
    own_key: String,
}

/// A member's key and value, in the order of registration.
struct Registered {
    key: Vec<u8>,
    value: String,
}

impl<'a> Registry<'a> {
    fn new(discovery: &'a DiscoveryKeys, channel: Channel, member_id: u64) -> Self {
        let prefix = format!("/_etcd/registry/{}", discovery.token);
        let own_key = format!("{prefix}/members/{member_id:x}");
        Self { discovery, channel, prefix, own_key }
    }

    async fn join(&self, own: &str) -> Result<String, Error> {
        let token = self.log_in().await?;
        // Whoever comes too late leaves nothing behind.
        self.look(token.as_ref()).await?;
        let put =
            pb::PutRequest { key: self.own_key.clone().into(), value: own.to_owned().into(), ..Default::default() };
        let request = self.request(put, token.as_ref());
        KvClient::new(self.channel.clone()).put(request).await?;
        tracing::info!(key = self.own_key, value = own, "registered with the discovery service");
        loop {
            let (members, size, revision) = self.look(token.as_ref()).await?;
            if members.len() >= size {
                let values: Vec<String> = members.into_iter().take(size).map(|member| member.value).collect();
                return Ok(values.join(","));
            }
            tracing::info!(found = members.len(), size, "waiting for other members to register");
            self.wait_for_more(revision + 1, token.as_ref()).await?;
        }
    }

    /// Who has registered, how many there shall be, and as of which revision. Whoever is not among the first is not to come.
    async fn look(&self, token: Option<&AsciiMetadataValue>) -> Result<(Vec<Registered>, usize, i64), Error> {
        let size = self.size(token).await?;
        let (prefix, end) = self.members();
        let range = pb::RangeRequest {
            key: prefix.clone().into(),
            range_end: end.into(),
            sort_target: range_request::SortTarget::Create as i32,
            sort_order: range_request::SortOrder::Ascend as i32,
            ..Default::default()
        };
        let reply = KvClient::new(self.channel.clone()).range(self.request(range, token)).await?.into_inner();
        let revision = reply.header.map(|header| header.revision).unwrap_or_default();
        let members: Vec<Registered> = reply
            .kvs
            .into_iter()
            .map(|pair| Registered { key: pair.key.to_vec(), value: String::from_utf8_lossy(&pair.value).into_owned() })
            .collect();
        let is_own = |member: &Registered| member.key == self.own_key.as_bytes();
        match members.len() >= size && !members.iter().take(size).any(is_own) {
            true => Err(Error::Full { size, prefix }),
            false => Ok((members, size, revision)),
        }
    }

    /// The keys of the members: from the first, up to the second.
    fn members(&self) -> (String, String) {
        // The character behind the slash.
        (format!("{}/members/", self.prefix), format!("{}/members0", self.prefix))
    }

    async fn size(&self, token: Option<&AsciiMetadataValue>) -> Result<usize, Error> {
        let key = format!("{}/_config/size", self.prefix);
        let range = pb::RangeRequest { key: key.clone().into(), ..Default::default() };
        let reply = KvClient::new(self.channel.clone()).range(self.request(range, token)).await?.into_inner();
        let Some(pair) = reply.kvs.into_iter().next() else { return Err(Error::SizeNotFound(key)) };
        let value = String::from_utf8_lossy(&pair.value).into_owned();
        match value.parse() {
            Ok(size) if size > 0 => Ok(size),
            _ => Err(Error::SizeBad { key, value }),
        }
    }

    /// Until something below the prefix changes.
    async fn wait_for_more(&self, revision: i64, token: Option<&AsciiMetadataValue>) -> Result<(), Error> {
        let (prefix, end) = self.members();
        let create = pb::WatchCreateRequest {
            key: prefix.into(),
            range_end: end.into(),
            start_revision: revision,
            ..Default::default()
        };
        let create = pb::WatchRequest { request_union: Some(watch_request::RequestUnion::CreateRequest(create)) };
        // The requests must not end before the answers do.
        let requests = futures::StreamExt::chain(futures::stream::iter([create]), futures::stream::pending());
        let mut request = Request::new(requests);
        if let Some(token) = token {
            request.metadata_mut().insert("token", token.clone());
        }
        let mut events = WatchClient::new(self.channel.clone()).watch(request).await?.into_inner();
        while let Some(response) = events.message().await? {
            if response.canceled || !response.events.is_empty() {
                return Ok(());
            }
        }
        Err(Status::unavailable("the watch of the discovery service ended").into())
    }

    async fn log_in(&self) -> Result<Option<AsciiMetadataValue>, Error> {
        let DiscoveryKeys { user, password, .. } = self.discovery;
        // As etcdctl: the password may follow the name behind a colon.
        let (name, password) = match user.split_once(':') {
            Some((name, own)) if password.is_empty() => (name, own),
            _ => (user.as_str(), password.as_str()),
        };
        if name.is_empty() {
            return Ok(None);
        }
        let login = pb::AuthenticateRequest { name: name.to_owned(), password: password.to_owned() };
        let reply = AuthClient::new(self.channel.clone()).authenticate(self.request(login, None)).await?;
        reply.into_inner().token.parse().map(Some).map_err(|_| Error::Token)
    }

    fn request<T>(&self, message: T, token: Option<&AsciiMetadataValue>) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.discovery.request_timeout);
        if let Some(token) = token {
            request.metadata_mut().insert("token", token.clone());
        }
        request
    }
}

/// A connection to each endpoint, opened on first use.
fn connect(discovery: &DiscoveryKeys) -> Result<Vec<Channel>, Error> {
    let pair = match (&discovery.cert, &discovery.key) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None) => None,
        _ => return Err(Error::HalfAPair),
    };
    let wants_tls = pair.is_some() || discovery.cacert.is_some() || !discovery.insecure_transport;
    let addresses: Vec<String> = discovery
        .endpoints
        .iter()
        .map(|endpoint| match endpoint.contains("://") {
            true => endpoint.clone(),
            false => format!("{}://{endpoint}", if wants_tls { "https" } else { "http" }),
        })
        .collect();
    let dial = match addresses.iter().any(|address| address.starts_with("https://")) {
        true => Dial::new(Connector::new(Settings {
            pair,
            authorities: discovery.cacert.clone(),
            skip_verification: discovery.insecure_skip_tls_verify,
            ..Settings::default()
        })?),
        false => Dial::default(),
    };
    let channel = |address: String| {
        let endpoint = Endpoint::from_shared(address.clone())
            .map_err(|source| Error::Endpoint { endpoint: address, source })?
            .connect_timeout(discovery.dial_timeout)
            .http2_keep_alive_interval(discovery.keepalive_time)
            .keep_alive_timeout(discovery.keepalive_timeout);
        Ok(endpoint.connect_with_connector_lazy(dial.clone()))
    };
    addresses.into_iter().map(channel).collect()
}
