//! Connections to a cluster: the endpoints in turn, within the command's time limit.

mod calls;
mod credentials;
mod dial;
mod discover;
mod error;
mod fetch;
mod metadata;
mod renewals;

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use tonic::{
    Request, client::Grpc, codegen::http::uri::PathAndQuery, metadata::AsciiMetadataValue,
    service::interceptor::InterceptedService, transport::Channel,
};
use tonic_prost::ProstCodec;

pub use calls::Call;
pub use credentials::{Credentials, ask_password};
pub use dial::Endpoint;
pub use discover::endpoints as discover_endpoints;
pub use error::Error;
pub use fetch::fetch;
pub use metadata::CallMetadata;
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

const NOT_ENABLED: &str = "etcdserver: authentication is not enabled";
const NO_USER: &str = "etcdserver: user name is empty";
const BAD_TOKEN: &str = "etcdserver: invalid auth token";
const OLD_REVISION: &str = "etcdserver: revision of auth store is old";

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
    login: Option<Login>,
    token: Option<AsciiMetadataValue>,
    /// No stream has begun with the token yet.
    token_is_new: bool,
    command_timeout: Duration,
    max_request_bytes: usize,
    max_recv_bytes: usize,
}

/// What a token is asked for with.
#[derive(Clone)]
struct Login {
    name: String,
    password: String,
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
            login: None,
            token: None,
            token_is_new: false,
            command_timeout: globals.command_timeout,
            max_request_bytes: limit(globals.max_request_bytes, DEFAULT_MAX_REQUEST_BYTES, "--max-request-bytes")?,
            max_recv_bytes: limit(globals.max_recv_bytes, DEFAULT_MAX_RECV_BYTES, "--max-recv-bytes")?,
        };
        match Credentials::from_flags(globals)? {
            None => {}
            Some(Credentials::Token(token)) => client.token = Some(metadata::token(&token)?),
            Some(Credentials::Password { name, password }) => {
                client.login = Some(Login { name, password });
                let deadline = Instant::now() + globals.dial_timeout;
                client.log_in_until(deadline).await.map_err(|error| Error::Login(Box::new(error)))?;
            }
        }
        Ok(client)
    }

    /// Gets a token, if there is a user to get it for.
    async fn log_in_until(&mut self, deadline: Instant) -> Result<(), Error> {
        let Some(Login { name, password }) = &self.login else { return Ok(()) };
        let request = AuthenticateRequest { name: name.clone(), password: password.clone() };
        // Whoever asks for a token shows none.
        self.token = None;
        match self.attempt_until(&request, deadline).await {
            Ok(reply) => self.token = Some(metadata::token(&reply.token)?),
            Err(error) => {
                self.warn_of_failure(AuthenticateRequest::PATH, 0, &error);
                if error.message() != Some(NOT_ENABLED) {
                    return Err(error);
                }
                // Then nobody needs a token.
            }
        }
        self.token_is_new = true;
        Ok(())
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
            let error = match self.attempt_until(&request, deadline).await {
                Ok(reply) => return Ok(reply),
                Err(error) => error,
            };
            self.warn_of_failure(C::PATH, attempt, &error);
            if attempt + 1 >= MAX_ATTEMPTS {
                return Err(error);
            } else if self.needs_another_token(&error) {
                self.log_in_until(deadline).await?;
            } else if error.is_unavailable() && C::REPEATABLE {
                self.next_endpoint();
            } else {
                return Err(error);
            }
            sleep(RETRY_PAUSE).await;
        }
        Err(Error::Deadline(None))
    }

    async fn attempt_until<C: Call>(&mut self, request: &C, deadline: Instant) -> Result<C::Reply, Error> {
        let metadata = CallMetadata { token: self.token.clone(), require_leader: false };
        let channel = self.connection_until(metadata, deadline).await?;
        let call = self.unary(channel, request.clone());
        timeout_at(deadline, call).await.map_err(|_| Error::Deadline(None)).flatten()
    }

    /// The server refused the call before it looked at it, because of a token that has run out, or that is older than the last
    /// change of users and roles. A token that the user gave is all there is.
    fn needs_another_token(&self, error: &Error) -> bool {
        match error.message() {
            Some(NO_USER) => self.login.is_some(),
            // A client that is known by its certificate has no token, and has only to try again.
            Some(BAD_TOKEN | OLD_REVISION) => self.login.is_some() || self.token.is_none(),
            _ => false,
        }
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
        self.stream_channel_until(false, deadline).await
    }

    /// As [`Client::channel_until`], for streams that must not outlive the server's contact to a leader.
    pub async fn leader_channel_until(&mut self, deadline: Instant) -> Result<AuthorizedChannel, Error> {
        self.stream_channel_until(true, deadline).await
    }

    /// Each stream begins with a token of its own: by the time that it is opened again the last one may have run out, and a
    /// server says so in ways of its own for each kind of stream.
    async fn stream_channel_until(
        &mut self,
        require_leader: bool,
        deadline: Instant,
    ) -> Result<AuthorizedChannel, Error> {
        if !std::mem::take(&mut self.token_is_new) {
            self.log_in_until(deadline).await?;
            self.token_is_new = false;
        }
        self.connection_until(CallMetadata { token: self.token.clone(), require_leader }, deadline).await
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
