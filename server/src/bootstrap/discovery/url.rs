//! `--discovery`: the first members find each other through the URL of a discovery service, by the v2 protocol.
//!
//! A member looks whether there is a place left, registers under its id, and waits until as many have registered as there shall be.
//! The service is a stranger: its answers are bounded in size and time, and one that is no answer ends the start.

use std::time::Duration;

use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use quorate_tls::client::{Connector, Settings};

use super::Waits;
use super::protocol::{EXISTS, Failure, NOT_FOUND, Node, Reply, Standing, standing};
use crate::config::DiscoveryUrl;
use crate::dial::Dial;

/// Bound on one answer.
const ANSWER: Duration = Duration::from_secs(10);
const ANSWER_BYTES: usize = 1 << 20;
/// Bound on waiting for the next member to register; then the list is read again.
const NEWS: Duration = Duration::from_secs(300);
/// Between a wait that was cut and the next look.
const CUT: Duration = Duration::from_secs(1);
const REDIRECTS: usize = 10;
/// The state of the service that an answer is of.
const INDEX: &str = "x-etcd-index";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(
        "discovery: size key not found: {0}/_config/size is not there; make a URL with the service, and give it as it is"
    )]
    SizeNotFound(String),
    #[error("discovery: size key is bad: {url}/_config/size holds {value:?}, and not a number above 0")]
    SizeBad { url: String, value: String },
    #[error("discovery: bad discovery endpoint: {url} does not answer by the v2 protocol: {reason}")]
    BadEndpoint { url: String, reason: String },
    #[error("discovery: {url} refuses: {reason}")]
    Refused { url: String, reason: String },
    #[error("discovery: found duplicate id: another member has registered at {key} with {found:?}")]
    DuplicateId { key: String, found: String },
    #[error("discovery: found duplicate name: two members of {url} are called {name:?}; --name must differ")]
    DuplicateName { url: String, name: String },
    #[error("discovery: cluster is full: {size} members have registered at {url} before this one")]
    Full { url: String, size: usize, members: Vec<String> },
    #[error("discovery: certificates of --discovery-cert, --discovery-key or --discovery-cacert can't be used")]
    Tls(#[from] quorate_tls::Error),
    #[error("discovery: --discovery-cert and --discovery-key must both be given, or neither")]
    HalfAPair,
    /// It may pass.
    #[error("discovery: {url}: {reason}")]
    Away { url: String, reason: String },
}

/// Registers this member and waits for the others. Returns the members as `--initial-cluster` would list them. `own`: `name=url`
/// of this member.
pub async fn join(discovery: &DiscoveryUrl, member_id: u64, own: &str) -> Result<String, Error> {
    let service = Service::new(discovery)?;
    let id = format!("{member_id:x}");
    let mut waits = Waits::default();
    loop {
        match service.join(&id, own).await {
            Err(error @ Error::Away { .. }) => tracing::warn!(%error, "the discovery service failed"),
            decided => return decided,
        }
        waits.wait().await;
    }
}

struct Service<'a> {
    url: &'a str,
    client: Client<Dial, Full<Bytes>>,
}

/// What the service knows of the cluster.
struct Seen {
    nodes: Vec<Node>,
    size: usize,
    index: u64,
}

impl<'a> Service<'a> {
    fn new(discovery: &'a DiscoveryUrl) -> Result<Self, Error> {
        let pair = match (&discovery.cert, &discovery.key) {
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            (None, None) => None,
            _ => return Err(Error::HalfAPair),
        };
        let dial = match discovery.url.starts_with("https://") {
            true => Dial::new(Connector::new(Settings {
                pair,
                authorities: discovery.cacert.clone(),
                skip_verification: discovery.insecure_skip_tls_verify,
                ..Settings::default()
            })?),
            false => Dial::default(),
        };
        let proxy = discovery.proxy.as_ref().and_then(|proxy| proxy.parse::<Uri>().ok());
        let client = Client::builder(TokioExecutor::new()).build(dial.through(proxy));
        Ok(Self { url: &discovery.url, client })
    }

    async fn join(&self, id: &str, own: &str) -> Result<String, Error> {
        // Whoever comes too late leaves nothing behind.
        let seen = self.look().await?;
        self.stand(seen.nodes, seen.size, id)?;
        self.register(id, own).await?;
        tracing::info!(id, value = own, url = self.url, "registered with the discovery service");
        loop {
            let seen = self.look().await?;
            match self.stand(seen.nodes, seen.size, id)? {
                Some(list) => return Ok(list),
                None => self.wait_for_more(seen.index + 1).await,
            }
        }
    }

    /// The list, when it is complete and this member on it.
    fn stand(&self, nodes: Vec<Node>, size: usize, id: &str) -> Result<Option<String>, Error> {
        match standing(nodes, size, id) {
            Standing::Complete(list) => Ok(Some(list)),
            Standing::Waiting(found) => {
                tracing::info!(found, size, "waiting for other members to register");
                Ok(None)
            }
            Standing::Full(members) => Err(Error::Full { url: self.url.to_owned(), size, members }),
            Standing::DuplicateName(name) => Err(Error::DuplicateName { url: self.url.to_owned(), name }),
        }
    }

    async fn look(&self) -> Result<Seen, Error> {
        let size = match self.call(Method::GET, "/_config/size", None).await? {
            (Ok(reply), _) => reply.node.value,
            (Err(failure), _) if failure.error_code == NOT_FOUND => {
                return Err(Error::SizeNotFound(self.url.to_owned()));
            }
            (Err(failure), _) => return Err(self.refused(failure)),
        };
        let size = match size.parse() {
            Ok(size) if size > 0 => size,
            _ => return Err(Error::SizeBad { url: self.url.to_owned(), value: size }),
        };
        match self.call(Method::GET, "", None).await? {
            (Ok(reply), index) => Ok(Seen { nodes: reply.node.nodes, size, index }),
            (Err(failure), _) => Err(self.refused(failure)),
        }
    }

    async fn register(&self, id: &str, own: &str) -> Result<(), Error> {
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("value", own).finish();
        match self.call(Method::PUT, &format!("/{id}?prevExist=false"), Some(form)).await?.0 {
            Ok(_) => Ok(()),
            Err(failure) if failure.error_code == EXISTS => {
                match self.call(Method::GET, &format!("/{id}"), None).await?.0 {
                    // This member, before it was interrupted.
                    Ok(reply) if reply.node.value == own => Ok(()),
                    Ok(reply) => Err(Error::DuplicateId { key: format!("{}/{id}", self.url), found: reply.node.value }),
                    Err(failure) => Err(self.refused(failure)),
                }
            }
            Err(failure) => Err(self.refused(failure)),
        }
    }

    /// Until something changes below the URL.
    async fn wait_for_more(&self, index: u64) {
        let path = format!("?wait=true&waitIndex={index}&recursive=true");
        // An answer of any kind is a reason to look; so is none, if it was long enough. Something on the way may cut what takes long:
        // whether the service is away, the next look says.
        if let Ok(Err(Error::Away { .. })) = tokio::time::timeout(NEWS, self.call(Method::GET, &path, None)).await {
            tokio::time::sleep(CUT).await;
        }
    }

    fn refused(&self, failure: Failure) -> Error {
        let reason = format!("{} ({}, {})", failure.message, failure.error_code, failure.cause);
        Error::Refused { url: self.url.to_owned(), reason }
    }

    fn away(&self, reason: impl ToString) -> Error {
        Error::Away { url: self.url.to_owned(), reason: reason.to_string() }
    }

    fn bad_endpoint(&self, reason: String) -> Error {
        Error::BadEndpoint { url: self.url.to_owned(), reason }
    }

    /// The service's answer or its refusal, and the state that it is of.
    async fn call(
        &self,
        method: Method,
        path: &str,
        form: Option<String>,
    ) -> Result<(Result<Reply, Failure>, u64), Error> {
        let response = self.follow(method, path, form).await?;
        let status = response.status();
        let index =
            response.headers().get(INDEX).and_then(|index| index.to_str().ok()?.parse().ok()).unwrap_or_default();
        let waits = path.contains("wait=true");
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect();
        let body = if waits { Ok(body.await) } else { tokio::time::timeout(ANSWER, body).await };
        let body = match body {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return Err(self.bad_endpoint(format!("an answer is longer than {ANSWER_BYTES} bytes")));
            }
            Ok(Err(error)) => return Err(self.away(error)),
            Err(_) => return Err(self.away("the answer did not end in time")),
        };
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(self.away(format!("{status}: {}", shown(&body))));
        }
        if status.is_success() {
            let reply = serde_json::from_slice(&body);
            let reply = reply.map_err(|error| self.bad_endpoint(format!("{error} in {}", shown(&body))))?;
            return Ok((Ok(reply), index));
        }
        match serde_json::from_slice(&body) {
            Ok(failure) => Ok((Err(failure), index)),
            Err(_) => Err(self.bad_endpoint(format!("{status}: {}", shown(&body)))),
        }
    }

    /// Asks, and again where the service says that it is elsewhere.
    async fn follow(&self, method: Method, path: &str, form: Option<String>) -> Result<Response<Incoming>, Error> {
        let mut target = format!("{}{path}", self.url);
        for _ in 0..=REDIRECTS {
            let uri: Uri = target.parse().map_err(|_| self.bad_endpoint(format!("{target:?} is no address")))?;
            let request = Request::builder()
                .method(method.clone())
                .uri(uri.clone())
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(Full::new(Bytes::from(form.clone().unwrap_or_default())))
                .map_err(|error| self.bad_endpoint(error.to_string()))?;
            // Whoever waits gets the head of the answer at once from etcd, and at the end from others.
            let limit = if path.contains("wait=true") { NEWS } else { ANSWER };
            let response = match tokio::time::timeout(limit, self.client.request(request)).await {
                Ok(Ok(response)) => response,
                Ok(Err(error)) => return Err(self.away(crate::last_words::chain(&error))),
                Err(_) => return Err(self.away(format!("no answer within {limit:?}"))),
            };
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response.headers().get(header::LOCATION).and_then(|location| location.to_str().ok());
            let Some(location) = location else {
                return Err(self.bad_endpoint("a redirection without an address".to_owned()));
            };
            target = match location.starts_with('/') {
                true => format!(
                    "{}://{}{location}",
                    uri.scheme_str().unwrap_or("http"),
                    uri.authority().map(ToString::to_string).unwrap_or_default()
                ),
                false => location.to_owned(),
            };
            if uri.scheme_str() == Some("https") && !target.starts_with("https://") {
                return Err(self.bad_endpoint(format!("it redirects from https to {target}")));
            }
        }
        Err(self.bad_endpoint(format!("more than {REDIRECTS} redirections")))
    }
}

/// The beginning of an answer that can't be read.
fn shown(body: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(body).chars().take(100).collect();
    format!("{text:?}")
}
