//! From what a call shows to its caller, and from a password to a token.

use std::time::{Duration, Instant};

use quorate_proto::served::etcdserverpb as pb;
use tonic::Status;

use super::credentials::Credentials;
use super::jwt::{self, Jwt};
use super::passwords::Passwords;
use crate::config::{AuthToken, Config};
use crate::http::status;
use crate::raft;
use crate::store::auth::{Caller, Refusal, Registry, Tokens};
use crate::store::{Store, apply};

/// Letters of a simple token before its point, as many as etcd's.
const TOKEN_LETTERS: usize = 16;
/// Times that a password is checked anew because users or roles have changed meanwhile.
const ATTEMPTS: usize = 8;
/// Between two looks for idle tokens; etcd's.
const SWEEP: Duration = Duration::from_secs(1);

#[derive(Debug, Clone)]
pub struct Settings {
    /// A caller without a token is who its certificate says.
    pub by_certificate: bool,
    /// bcrypt's, 4 to 31.
    pub bcrypt_cost: u32,
    pub token: AuthToken,
    /// A simple token that nobody has used for so long ends.
    pub token_ttl: Duration,
}

impl Settings {
    pub fn of(config: &Config) -> Self {
        Self {
            by_certificate: config.client_tls.client_cert_auth,
            bcrypt_cost: config.bcrypt_cost,
            token: config.auth_token.clone(),
            token_ttl: config.auth_token_ttl,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot start a thread for passwords")]
    Thread(#[from] std::io::Error),
    #[error(transparent)]
    Jwt(#[from] jwt::Error),
}

/// Knows callers.
pub struct Authority {
    passwords: Passwords,
    /// Without it tokens are simple ones, of the store's.
    jwt: Option<Jwt>,
    by_certificate: bool,
    token_ttl: Duration,
    /// Times of tokens count from here.
    started: Instant,
}

impl Authority {
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        Ok(Self {
            passwords: Passwords::start(settings.bcrypt_cost)?,
            jwt: match &settings.token {
                AuthToken::Simple => None,
                AuthToken::Jwt(options) => Some(Jwt::new(options)?),
            },
            by_certificate: settings.by_certificate,
            token_ttl: settings.token_ttl,
            started: Instant::now(),
        })
    }

    /// Whether a certificate speaks for the user whose name it has.
    pub fn takes_certificates(&self, store: &Store) -> bool {
        self.by_certificate && store.auth().enabled()
    }

    /// Nobody, if the call shows nothing or authentication is off.
    pub async fn identify(
        &self,
        credentials: &Credentials,
        raft: &raft::Handle,
        store: &Store,
    ) -> Result<Caller, Status> {
        let registry = store.auth();
        if !registry.enabled() {
            return Ok(Caller::default());
        }
        if let Some(token) = &credentials.token {
            let caller = match &self.jwt {
                Some(jwt) => jwt.caller(token),
                None => self
                    .user_of(token, raft, store)
                    .await?
                    .map(|name| Caller { name, revision: store.auth().revision() }),
            };
            return caller.ok_or_else(|| {
                tracing::warn!("invalid auth token");
                status::auth(Refusal::InvalidToken)
            });
        }
        match &credentials.common_name {
            Some(name) if self.by_certificate => Ok(Caller { name: name.to_string(), revision: registry.revision() }),
            Some(_) | None => Ok(Caller::default()),
        }
    }

    async fn user_of(&self, token: &str, raft: &raft::Handle, store: &Store) -> Result<Option<String>, Status> {
        let find = || store.tokens().user(token, self.now_ms());
        let found = find();
        let given_later = Tokens::index(token).is_some_and(|index| index > store.applied().index);
        if found.is_some() || !given_later {
            return Ok(found);
        }
        // Another member gave it, and this one lags behind.
        raft.read_barrier().await.map_err(status::raft)?;
        Ok(find())
    }

    /// A token for whoever knows the password.
    pub async fn authenticate(
        &self,
        request: pb::AuthenticateRequest,
        raft: &raft::Handle,
        store: &Store,
    ) -> Result<String, Status> {
        let pb::AuthenticateRequest { name, password } = request;
        for _ in 0..ATTEMPTS {
            raft.read_barrier().await.map_err(status::raft)?;
            let registry = store.auth();
            self.check(&name, &password, &registry).await?;
            if let Some(jwt) = &self.jwt {
                return jwt.sign(&name, registry.revision()).ok_or_else(status::verify_only);
            }
            let request = pb::InternalAuthenticateRequest {
                name: name.clone(),
                password: String::new(),
                simple_token: random_letters(),
            };
            let request = pb::InternalRaftRequest { authenticate: Some(request), ..Default::default() };
            let apply::Response::Authenticate(token) = raft.propose(request).await.map_err(status::raft)? else {
                return Err(Status::internal("etcdserver: the reply does not belong to the request"));
            };
            if store.auth().revision() == registry.revision() {
                return Ok(token);
            }
            tracing::info!("revision when password checked became stale; retrying");
        }
        Err(status::auth(Refusal::OldRevision))
    }

    async fn check(&self, name: &str, password: &str, registry: &Registry) -> Result<(), Status> {
        if !registry.enabled() {
            return Err(status::auth(Refusal::NotEnabled));
        }
        let user = registry.user(name);
        if user.is_some_and(|user| user.options.is_some_and(|options| options.no_password)) {
            return Err(status::auth(Refusal::NoPasswordUser));
        }
        let hash = user.and_then(|user| String::from_utf8(user.password.to_vec()).ok());
        if self.passwords.check(password.to_owned(), hash).await? {
            return Ok(());
        }
        tracing::warn!("user-name" = name, "invalid authentication was requested");
        Err(status::auth(Refusal::Failed))
    }

    /// bcrypt's text for a new password.
    pub async fn hash(&self, password: String) -> Result<String, Status> {
        self.passwords.hash(password).await
    }

    /// Ends idle tokens, for ever.
    pub async fn sweep(&self, store: &Store) {
        let mut looks = tokio::time::interval(SWEEP);
        loop {
            looks.tick().await;
            if !store.tokens().is_empty() {
                store.tokens().expire(self.now_ms(), self.token_ttl.as_millis() as u64);
            }
        }
    }

    fn now_ms(&self) -> u64 {
        // The first millisecond is no time of use.
        self.started.elapsed().as_millis() as u64 + 1
    }
}

fn random_letters() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    (0..TOKEN_LETTERS).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
}
