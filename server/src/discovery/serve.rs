//! From the command line to a serving discovery service.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use quorate_proto::served::etcdserverpb::kv_server::KvServer;
use quorate_proto::served::etcdserverpb::watch_server::WatchServer;
use quorate_tls::protocol::Protocol;
use quorate_tls::{Allowed, client, server};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service as _;

use super::command::Serve;
use super::registry::{Limits, Registry};
use super::{grpc, http as by_url};
use crate::config::{Url, url};
use crate::dial::Dial;
use crate::http::admin;
use crate::http::listener::{self, Endpoint, Listener, Secured};
use crate::proxy::grpc::{BadEndpoint, Settings, Upstream};
use crate::traffic::Totals;

/// Clients at a time, most of which wait.
const CONNECTIONS: usize = 10_000;
const CONNECT: Duration = Duration::from_secs(2);
const MESSAGE_BYTES: usize = 4 << 20;
/// Between two looks whether the cluster serves.
const LOOK: Duration = Duration::from_millis(200);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("--{0} and --{1} must both be given, or neither")]
    HalfAPair(&'static str, &'static str),
    #[error("--public-url={0} is no URL with http:// or https://")]
    PublicUrl(String),
    #[error("--endpoints: {0}")]
    Endpoint(#[from] BadEndpoint),
    #[error("--listen-addr: {0}")]
    Url(#[from] url::Error),
    #[error(transparent)]
    Tls(#[from] quorate_tls::Error),
    #[error(transparent)]
    Listen(#[from] listener::Error),
}

/// Serves until `stop`. `own`: the socket of the member in this process, where no endpoints are given.
pub async fn serve(arguments: Serve, own: &Path, stop: CancellationToken) -> Result<(), Error> {
    if let Some(url) = &arguments.public_url {
        let is_http = url.parse::<::http::Uri>().is_ok_and(|url| matches!(url.scheme_str(), Some("http" | "https")));
        is_http.then_some(()).ok_or_else(|| Error::PublicUrl(url.clone()))?;
    }
    let secured = secured(&arguments)?;
    let is_secured = secured.is_some();
    let scheme = if is_secured { "https" } else { "http" };
    let address = Url::parse(&format!("{scheme}://{}", arguments.listen_addr))?;
    let options = listener::Options {
        max_concurrent_streams: 1000,
        keepalive_interval: Some(Duration::from_secs(30)),
        keepalive_timeout: Duration::from_secs(20),
        reuse_port: false,
        drain: Duration::from_secs(1),
    };
    let listeners = Listener::bind_all(std::slice::from_ref(&address), secured.as_ref(), &options).await?;
    let limits =
        Limits { max_size: arguments.max_size, max_tokens: arguments.max_tokens, token_ttl: arguments.token_ttl };
    let registry = Registry::new(upstream(&arguments, own)?, limits);
    let service = grpc::Service(registry.clone());
    let (kv, watch) = (KvServer::new(service.clone()), WatchServer::new(service));
    let by_url = by_url::Service { registry: registry.clone(), public_url: arguments.public_url.clone(), is_secured };
    let router = by_url::router(by_url);
    let answer = move |request: Request<Incoming>, _: &Totals| -> BoxFuture<'static, _> {
        match request.uri().path().split('/').nth(1) {
            Some("etcdserverpb.KV") => kv.clone().call(request),
            Some("etcdserverpb.Watch") => watch.clone().call(request),
            Some(name) if name.starts_with("etcdserverpb.") => {
                let refused = tonic::Status::unimplemented("this service answers KV and Watch").into_http();
                Box::pin(std::future::ready(Ok::<Response<Body>, std::convert::Infallible>(refused)))
            }
            _ => admin::serve(router.clone(), request),
        }
    };
    let connections = Arc::new(Semaphore::new(CONNECTIONS));
    let serving = listeners
        .into_iter()
        .map(|listener| listener.serve(answer.clone(), connections.clone(), Arc::<Totals>::default, stop.clone()));
    let ready = async {
        while let Err(error) = registry.ping().await {
            tracing::debug!(%error, "the registrations can't be read yet");
            tokio::time::sleep(LOOK).await;
        }
        tracing::info!(address = %address, "ready to serve discovery requests");
    };
    futures::join!(futures::future::join_all(serving), stop.run_until_cancelled(ready));
    Ok(())
}

fn upstream(arguments: &Serve, own: &Path) -> Result<Upstream, Error> {
    let settings = Settings {
        connect: CONNECT,
        keepalive: Some(Duration::from_secs(30)),
        keepalive_timeout: Duration::from_secs(10),
        keepalive_while_idle: false,
        answer_bytes: MESSAGE_BYTES,
        request_bytes: MESSAGE_BYTES,
    };
    let Serve { endpoints, cert, key, cacert, .. } = arguments;
    if endpoints.is_empty() {
        let own = format!("unix://{}", own.display());
        return Ok(Upstream::new(&[own], false, Dial::default(), settings)?);
    }
    let pair = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
        (None, None) => None,
        _ => return Err(Error::HalfAPair("cert", "key")),
    };
    let is_secured = pair.is_some() || cacert.is_some();
    let names_tls = endpoints.iter().any(|endpoint| endpoint.starts_with("https://"));
    let dial = match is_secured || names_tls {
        true => Dial::new(client::Connector::new(client::Settings {
            pair,
            authorities: cacert.clone(),
            ..client::Settings::default()
        })?),
        false => Dial::default(),
    };
    Ok(Upstream::new(endpoints, is_secured, dial, settings)?)
}

fn secured(arguments: &Serve) -> Result<Option<Secured>, Error> {
    let (cert, key) = match (&arguments.cert_file, &arguments.key_file) {
        (Some(cert), Some(key)) => (cert.clone(), key.clone()),
        (None, None) => return Ok(None),
        _ => return Err(Error::HalfAPair("cert-file", "key-file")),
    };
    let acceptor = server::Acceptor::new(server::Settings {
        cert,
        key,
        verify_clients: arguments.trusted_ca_file.is_some(),
        authorities: arguments.trusted_ca_file.clone(),
        revocations: None,
        allowed: Allowed::default(),
        protocol: Protocol::default(),
    })?;
    Ok(Some(Secured { acceptor: Arc::new(acceptor), endpoint: Endpoint::Client, check_names: false }))
}
