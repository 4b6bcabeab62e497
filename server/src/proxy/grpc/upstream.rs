//! The members behind the proxy: who takes the next call, and the connection to each.
//!
//! Members take turns, call by call. One that refuses a connection is passed over for a moment. A call goes out only over a
//! connection that stands, and never twice: nobody but the client knows whether its call may be repeated.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::Stream;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

use super::cut::Cut;
use crate::dial::Dial;

/// A member that refused a connection is asked last for so long.
const AWAY: Duration = Duration::from_secs(1);
const DEFAULT_PORT: u16 = 2379;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;

#[derive(Debug, Clone)]
pub struct Settings {
    /// Bound on connecting to a member.
    pub connect: Duration,
    /// Silence after which the proxy pings a member; `None`: never.
    pub keepalive: Option<Duration>,
    pub keepalive_timeout: Duration,
    pub keepalive_while_idle: bool,
    /// Bytes of one answer.
    pub answer_bytes: usize,
    /// Bytes of one request.
    pub request_bytes: usize,
}

#[derive(Debug, thiserror::Error)]
#[error("endpoint {endpoint:?} is not HOST:PORT, http://HOST:PORT, https://HOST:PORT or unix://PATH")]
pub struct BadEndpoint {
    endpoint: String,
}

/// Cheap to clone.
#[derive(Clone)]
pub struct Upstream {
    shared: Arc<Shared>,
}

struct Shared {
    dial: Dial,
    settings: Settings,
    /// The scheme of endpoints that have none.
    scheme: Scheme,
    members: RwLock<Vec<Arc<Member>>>,
    turn: AtomicUsize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Uri(Uri),
    Socket(PathBuf),
}

struct Member {
    target: Target,
    connection: tokio::sync::Mutex<Option<SendRequest<Body>>>,
    away_until: Mutex<Option<Instant>>,
}

impl Upstream {
    pub fn new(endpoints: &[String], is_secured: bool, dial: Dial, settings: Settings) -> Result<Self, BadEndpoint> {
        let scheme = if is_secured { Scheme::HTTPS } else { Scheme::HTTP };
        let shared = Shared { dial, settings, scheme, members: RwLock::default(), turn: AtomicUsize::new(0) };
        let upstream = Self { shared: Arc::new(shared) };
        upstream.set_endpoints(endpoints)?;
        Ok(upstream)
    }

    /// Replaces the members; those that stay keep their connections. Calls under way on the others go on.
    pub fn set_endpoints(&self, endpoints: &[String]) -> Result<(), BadEndpoint> {
        let targets = endpoints.iter().map(|endpoint| self.target(endpoint)).collect::<Result<Vec<_>, _>>()?;
        let mut members = self.shared.members.write();
        let known = std::mem::take(&mut *members);
        *members = targets
            .into_iter()
            .map(|target| match known.iter().find(|member| member.target == target) {
                Some(member) => Arc::clone(member),
                None => Arc::new(Member { target, connection: Default::default(), away_until: Mutex::default() }),
            })
            .collect();
        Ok(())
    }

    /// Those in the file system are not among them.
    pub fn endpoints(&self) -> Vec<Uri> {
        let uris = |member: &Arc<Member>| match &member.target {
            Target::Uri(uri) => Some(uri.clone()),
            Target::Socket(_) => None,
        };
        self.shared.members.read().iter().filter_map(uris).collect()
    }

    pub fn dial(&self) -> &Dial {
        &self.shared.dial
    }

    fn target(&self, endpoint: &str) -> Result<Target, BadEndpoint> {
        let bad = || BadEndpoint { endpoint: endpoint.to_owned() };
        if let Some(path) = endpoint.trim().strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return if path.is_empty() { Err(bad()) } else { Ok(Target::Socket(path.into())) };
        }
        let (scheme, address) = match endpoint.trim().split_once("://") {
            Some(("http", address)) => (Scheme::HTTP, address),
            Some(("https", address)) => (Scheme::HTTPS, address),
            Some(_) => return Err(bad()),
            None => (self.shared.scheme.clone(), endpoint.trim()),
        };
        let authority: Authority = address.trim_end_matches('/').parse().map_err(|_| bad())?;
        if authority.host().is_empty() || authority.as_str().contains('@') {
            return Err(bad());
        }
        let uri = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build();
        uri.map(Target::Uri).map_err(|_| bad())
    }

    /// Sends a call to the member whose turn it is.
    pub async fn send(&self, request: Request<Body>) -> Result<Response<Body>, Status> {
        let (member, mut sender) = self.connected().await?;
        let (mut parts, body) = request.into_parts();
        parts.uri = member.target.uri_of(&parts.uri)?;
        parts.version = http::Version::HTTP_2;
        parts.headers.remove(http::header::HOST);
        match sender.send_request(Request::from_parts(parts, body)).await {
            Ok(response) => Ok(response.map(|body| Body::new(Cut::new(body)))),
            Err(error) => Err(Status::unavailable(format!("the connection to {} ended: {error}", member.target))),
        }
    }

    /// A typed call with one answer.
    pub async fn unary<Q, A>(
        &self,
        path: &'static str,
        request: tonic::Request<Q>,
    ) -> Result<tonic::Response<A>, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        self.grpc().unary(request, PathAndQuery::from_static(path), ProstCodec::<Q, A>::default()).await
    }

    /// A typed call with one request and many answers.
    pub async fn answers<Q, A>(
        &self,
        path: &'static str,
        request: tonic::Request<Q>,
    ) -> Result<tonic::Response<Streaming<A>>, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        self.grpc().server_streaming(request, PathAndQuery::from_static(path), ProstCodec::<Q, A>::default()).await
    }

    /// A typed call with many requests and many answers.
    pub async fn stream<Q, A>(
        &self,
        path: &'static str,
        requests: tonic::Request<impl Stream<Item = Q> + Send + 'static>,
    ) -> Result<Streaming<A>, Status>
    where
        Q: prost::Message + 'static,
        A: prost::Message + Default + 'static,
    {
        let codec = ProstCodec::<Q, A>::default();
        let answers = self.grpc().streaming(requests, PathAndQuery::from_static(path), codec).await?;
        Ok(answers.into_inner())
    }

    fn grpc(&self) -> Grpc<Self> {
        let Settings { answer_bytes, request_bytes, .. } = self.shared.settings;
        Grpc::new(self.clone()).max_decoding_message_size(answer_bytes).max_encoding_message_size(request_bytes)
    }

    async fn connected(&self) -> Result<(Arc<Member>, SendRequest<Body>), Status> {
        let members = self.in_turn();
        // Nobody waits for a connection that another call is opening while a member is left that needs none.
        for member in members.iter().filter(|member| !member.is_away()) {
            if let Ok(mut connection) = member.connection.try_lock()
                && let Ok(sender) = member.connect(&mut connection, &self.shared).await
            {
                return Ok((Arc::clone(member), sender));
            }
        }
        let mut last = "there are no endpoints".to_owned();
        for member in &members {
            let mut connection = member.connection.lock().await;
            match member.connect(&mut connection, &self.shared).await {
                Ok(sender) => return Ok((Arc::clone(member), sender)),
                Err(error) => last = format!("{}: {error}", member.target),
            }
        }
        Err(Status::unavailable(format!("no member of the cluster can be reached, the last one {last}")))
    }

    fn in_turn(&self) -> Vec<Arc<Member>> {
        let mut members = self.shared.members.read().clone();
        let turn = self.shared.turn.fetch_add(1, Ordering::Relaxed);
        let first = turn.checked_rem(members.len()).unwrap_or_default();
        members.rotate_left(first);
        members
    }
}

impl Member {
    fn is_away(&self) -> bool {
        self.away_until.lock().is_some_and(|until| Instant::now() < until)
    }

    /// The standing connection, or a new one.
    async fn connect(
        &self,
        connection: &mut Option<SendRequest<Body>>,
        shared: &Shared,
    ) -> Result<SendRequest<Body>, String> {
        if let Some(sender) = connection.take_if(|sender| !sender.is_closed()) {
            return Ok(connection.insert(sender).clone());
        }
        let opened = match tokio::time::timeout(shared.settings.connect, self.open(shared)).await {
            Ok(opened) => opened,
            Err(_) => Err("it did not answer in time".to_owned()),
        };
        *self.away_until.lock() = opened.is_err().then(|| Instant::now() + AWAY);
        let sender = opened?;
        Ok(connection.insert(sender).clone())
    }

    async fn open(&self, shared: &Shared) -> Result<SendRequest<Body>, String> {
        let stream = match &self.target {
            Target::Uri(uri) => shared.dial.connect(uri, DEFAULT_PORT).await,
            Target::Socket(path) => shared.dial.connect_socket(path).await,
        };
        let stream = stream.map_err(|error| error.to_string())?;
        let Settings { keepalive, keepalive_timeout, keepalive_while_idle, .. } = &shared.settings;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .keep_alive_interval(*keepalive)
            .keep_alive_timeout(*keepalive_timeout)
            .keep_alive_while_idle(*keepalive_while_idle);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let target = self.target.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(member = %target, %error, "a connection to a member ended with an error");
            }
        });
        Ok(sender)
    }
}

impl Target {
    fn uri_of(&self, asked: &Uri) -> Result<Uri, Status> {
        let mut parts = match self {
            Self::Uri(uri) => uri.clone(),
            Self::Socket(_) => Uri::from_static("http://localhost/"),
        }
        .into_parts();
        parts.path_and_query = asked.path_and_query().cloned();
        Uri::from_parts(parts).map_err(|error| Status::internal(error.to_string()))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uri(uri) => uri.fmt(f),
            Self::Socket(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

/// For tonic's clients.
impl tower::Service<Request<Body>> for Upstream {
    type Response = Response<Body>;
    type Error = Status;
    type Future = BoxFuture<'static, Result<Response<Body>, Status>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), Status>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let upstream = self.clone();
        Box::pin(async move { upstream.send(request).await })
    }
}
