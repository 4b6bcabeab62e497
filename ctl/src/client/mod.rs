//! Connections to a cluster: the endpoints in turn, within the command's time limit.

mod calls;
mod credentials;
mod dial;
mod discover;
mod error;
mod renewals;

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tonic::{
    Request, Status,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    metadata::{AsciiMetadataValue, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};
use tonic_prost::ProstCodec;

pub use calls::Call;
pub use credentials::{Credentials, ask_password};
pub use dial::Endpoint;
pub use discover::endpoints as discover_endpoints;
pub use error::Error;
pub use renewals::{Renewals, keep_alive};

use crate::{globals::Globals, log, output::Json};
use quorate_proto::etcdserverpb::AuthenticateRequest;

/// Retries of a read, as in the Go client.
const MAX_ATTEMPTS: u32 = 100;
/// Pause before a retry.
const RETRY_PAUSE: Duration = Duration::from_millis(25);
/// Pause after every endpoint has refused the connection.
const DIAL_PAUSE: Duration = Duration::from_millis(100);
/// Largest request unless `--max-request-bytes` says otherwise.
const DEFAULT_MAX_REQUEST_BYTES: usize = 2 * 1024 * 1024;
/// Largest reply unless `--max-recv-bytes` says otherwise.
const DEFAULT_MAX_RECV_BYTES: usize = i32::MAX as usize;

/// A channel that adds our metadata to each call.
pub type AuthorizedChannel = InterceptedService<Channel, CallMetadata>;

/// A client of one cluster. It connects when it is first used and stays with an endpoint until that one fails. A clone goes on
/// with the same connection.
#[derive(Clone)]
pub struct Client {
    endpoints: Vec<Endpoint>,
    /// Position in `endpoints`, and the connection to it.
    current: usize,
    channel: Option<Channel>,
    token: Option<AsciiMetadataValue>,
    command_timeout: Duration,
    max_request_bytes: usize,
    max_recv_bytes: usize,
}

/// What goes with every call.
#[derive(Clone, Default)]
pub struct CallMetadata {
    token: Option<AsciiMetadataValue>,
    /// The server is to end the stream when it has lost its leader.
    require_leader: bool,
}

impl Interceptor for CallMetadata {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        if let Some(token) = &self.token {
            metadata.insert("token", token.clone());
        }
        if self.require_leader {
            metadata.insert("hasleader", MetadataValue::from_static("true"));
        }
        Ok(request)
    }
}

impl Client {
    /// A client of the endpoints that the flags name, logged in if they name a user.
    pub async fn open(globals: &Globals) -> Result<Self, Error> {
        Self::open_endpoints(globals, &globals.endpoint_list()).await
    }

    /// A client of these endpoints with everything else from the flags.
    pub async fn open_endpoints(globals: &Globals, endpoints: &[String]) -> Result<Self, Error> {
        let endpoints: Vec<Endpoint> =
            endpoints.iter().map(|endpoint| Endpoint::parse(endpoint, globals)).collect::<Result<_, _>>()?;
        if endpoints.is_empty() {
            return Err(Error::NoEndpoint);
        }
        let mut client = Self {
            endpoints,
            current: 0,
            channel: None,
            token: None,
            command_timeout: globals.command_timeout,
            max_request_bytes: limit(globals.max_request_bytes, DEFAULT_MAX_REQUEST_BYTES, "--max-request-bytes")?,
            max_recv_bytes: limit(globals.max_recv_bytes, DEFAULT_MAX_RECV_BYTES, "--max-recv-bytes")?,
        };
        match Credentials::from_flags(globals)? {
            None => {}
            Some(Credentials::Token(token)) => client.token = Some(metadata_token(&token)?),
            Some(Credentials::Password { name, password }) => {
                match client.call(AuthenticateRequest { name, password }).await {
                    Ok(reply) => client.token = Some(metadata_token(&reply.token)?),
                    // Then nobody needs a token.
                    Err(Error::Status(status)) if status.message() == "etcdserver: authentication is not enabled" => {}
                    // A server without the service has nobody to tell from others.
                    Err(Error::Status(status)) if status.code() == tonic::Code::Unimplemented => {}
                    Err(error) => return Err(Error::Login(Box::new(error))),
                }
            }
        }
        Ok(client)
    }

    /// Endpoints as the user wrote them.
    pub fn endpoints(&self) -> Vec<&str> {
        self.endpoints.iter().map(Endpoint::name).collect()
    }

    /// Makes a call within the command's time limit.
    pub async fn call<C: Call>(&mut self, request: C) -> Result<C::Reply, Error> {
        self.call_until(request, Instant::now() + self.command_timeout).await
    }

    /// Makes a call. Refused connections are tried again on the next endpoint until the deadline. A request that may have
    /// reached a server is repeated only if repeating it changes nothing.
    pub async fn call_until<C: Call>(&mut self, request: C, deadline: Instant) -> Result<C::Reply, Error> {
        let bytes = request.encoded_len();
        if bytes > self.max_request_bytes {
            return Err(Error::TooLarge { bytes, limit: self.max_request_bytes });
        }
        for attempt in 0.. {
            let result = match self.channel_until(deadline).await {
                Ok(channel) => {
                    let call = self.unary(channel, request.clone());
                    timeout_at(deadline, call).await.map_err(|_| Error::Deadline(None)).flatten()
                }
                Err(error) => Err(error),
            };
            let error = match result {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            self.warn_of_failure(C::PATH, attempt, &error);
            if !(error.is_unavailable() && C::REPEATABLE && attempt + 1 < MAX_ATTEMPTS) {
                return Err(error);
            }
            self.next_endpoint();
            sleep(RETRY_PAUSE).await;
        }
        Err(Error::Deadline(None))
    }

    async fn unary<C: Call>(&self, channel: AuthorizedChannel, request: C) -> Result<C::Reply, Error> {
        let mut grpc = Grpc::new(channel).max_decoding_message_size(self.max_recv_bytes);
        grpc.ready().await.map_err(Error::transport)?;
        let path = PathAndQuery::from_static(C::PATH);
        let reply = grpc.unary(Request::new(request), path, ProstCodec::default()).await?;
        Ok(reply.into_inner())
    }

    /// A connection for a stream. Messages up to [`Client::max_recv_bytes`] are to be taken from it.
    pub async fn channel_until(&mut self, deadline: Instant) -> Result<AuthorizedChannel, Error> {
        self.connection_until(CallMetadata { token: self.token.clone(), require_leader: false }, deadline).await
    }

    /// As [`Client::channel_until`], for streams that must not outlive the server's contact to a leader.
    pub async fn leader_channel_until(&mut self, deadline: Instant) -> Result<AuthorizedChannel, Error> {
        self.connection_until(CallMetadata { token: self.token.clone(), require_leader: true }, deadline).await
    }

    pub fn max_recv_bytes(&self) -> usize {
        self.max_recv_bytes
    }

    /// The deadline of a command that starts now.
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.command_timeout
    }

    /// Leaves the current connection, for one to the next endpoint.
    pub fn next_endpoint(&mut self) {
        self.channel = None;
        self.current = (self.current + 1) % self.endpoints.len();
    }

    async fn connection_until(
        &mut self,
        metadata: CallMetadata,
        deadline: Instant,
    ) -> Result<AuthorizedChannel, Error> {
        let mut last = None;
        loop {
            let channel = match &self.channel {
                Some(channel) => channel.clone(),
                None => {
                    let refused = match self.endpoints.get(self.current) {
                        Some(endpoint) => match timeout_at(deadline, endpoint.connect()).await {
                            Ok(Ok(channel)) => {
                                self.channel = Some(channel);
                                continue;
                            }
                            Ok(Err(error)) => error,
                            Err(_) => return Err(Error::Deadline(last)),
                        },
                        None => return Err(Error::NoEndpoint),
                    };
                    last = Some(refused);
                    self.next_endpoint();
                    if self.current == 0 && timeout_at(deadline, sleep(DIAL_PAUSE)).await.is_err() {
                        return Err(Error::Deadline(last));
                    }
                    continue;
                }
            };
            return Ok(InterceptedService::new(channel, metadata));
        }
    }

    fn warn_of_failure(&self, method: &str, attempt: u32, error: &Error) {
        let fields = vec![
            ("logger", Json::from("etcd-client")),
            ("target", Json::from(format!("etcd-endpoints://{}", self.endpoints().join(",")))),
            ("method", Json::from(method)),
            ("attempt", Json::from(attempt)),
            ("error", Json::from(error.detail())),
        ];
        log::warn("retrying of unary invoker failed", fields);
    }
}

fn limit(flag: i64, default: usize, name: &'static str) -> Result<usize, Error> {
    match usize::try_from(flag) {
        Ok(0) => Ok(default),
        Ok(bytes) => Ok(bytes.min(DEFAULT_MAX_RECV_BYTES)),
        Err(_) => Err(Error::Negative(name)),
    }
}

fn metadata_token(token: &str) -> Result<AsciiMetadataValue, Error> {
    token.parse().map_err(|_| Error::BadToken)
}
