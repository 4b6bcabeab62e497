//! Endpoints and the connections to them.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use hyper_util::rt::TokioIo;
use quorate_tls::client::{Connector, Settings, TlsStream};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tonic::transport::{Channel, Uri};

use super::{Error, error::chain};
use crate::globals::Globals;

/// Servers end connections that are probed more often than every 5 s; Go's gRPC raises shorter intervals to this too.
const MIN_KEEPALIVE_TIME: Duration = Duration::from_secs(10);

const DEFAULT_HTTP_PORT: u16 = 80;
const DEFAULT_HTTPS_PORT: u16 = 443;

/// One address of the cluster.
#[derive(Clone)]
pub struct Endpoint {
    name: String,
    target: tonic::transport::Endpoint,
    /// For connections that are secured.
    tls: Option<Arc<Connector>>,
}

impl Endpoint {
    /// Reads an address: `host:port`, `http://host:port`, `https://host:port` or `unix://path`.
    pub fn parse(name: &str, globals: &Globals) -> Result<Self, Error> {
        let bad = |reason: String| Error::BadEndpoint { endpoint: name.to_owned(), reason };
        let wanted = security(globals)?;
        let (uri, secured) = match name.split_once(":") {
            Some(("unix", path)) => (format!("unix:{}", path.strip_prefix("//").unwrap_or(path)), false),
            Some(("http", _)) => (name.to_owned(), false),
            Some(("https", _)) => (name.to_owned(), true),
            _ if name.contains("://") => return Err(bad("the scheme must be http, https or unix".to_owned())),
            _ => (format!("{}://{name}", if wanted.is_some() { "https" } else { "http" }), wanted.is_some()),
        };
        let tls = match secured {
            true => Some(Arc::new(Connector::new(wanted.unwrap_or_default()).map_err(Error::Tls)?)),
            false => None,
        };
        let target = tonic::transport::Endpoint::from_shared(uri).map_err(|error| bad(chain(&error)))?;
        let target = target
            .connect_timeout(globals.dial_timeout)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(globals.keepalive_time.max(MIN_KEEPALIVE_TIME))
            .keep_alive_timeout(globals.keepalive_timeout)
            .keep_alive_while_idle(false);
        Ok(Self { name: name.to_owned(), target, tls })
    }

    /// As the user wrote it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A connection without gRPC, and the address that it leads to.
    pub(super) async fn stream(&self) -> io::Result<(Box<dyn Stream>, String)> {
        let uri = self.target.uri().clone();
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let stream: Box<dyn Stream> = match &self.tls {
            Some(tls) => Box::new(secured(tls.clone(), uri).await?.into_inner()),
            None => Box::new(plain(&uri, DEFAULT_HTTP_PORT).await?),
        };
        Ok((stream, authority))
    }

    pub(super) async fn connect(&self) -> Result<Channel, String> {
        let connected = match self.tls.clone() {
            None => self.target.connect().await,
            Some(tls) => {
                let connector = tower::service_fn(move |uri: Uri| secured(tls.clone(), uri));
                self.target.connect_with_connector(connector).await
            }
        };
        connected.map_err(|error| chain(&error))
    }
}

/// Bytes to and from a server.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

fn host(uri: &Uri) -> &str {
    uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']')
}

async fn plain(uri: &Uri, default_port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host(uri), uri.port_u16().unwrap_or(default_port))).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn secured(tls: Arc<Connector>, uri: Uri) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let stream = plain(&uri, DEFAULT_HTTPS_PORT).await?;
    let stream = tls.connect(host(&uri), stream).await.map_err(|error| {
        io::Error::new(error.kind(), format!("transport: authentication handshake failed: {error}"))
    })?;
    Ok(TokioIo::new(stream))
}

/// What the flags ask of connections whose endpoint leaves it open; none: nothing but plain text.
fn security(globals: &Globals) -> Result<Option<Settings>, Error> {
    let mut files = [None, None, None];
    let flags = [("--cert", &globals.cert), ("--key", &globals.key), ("--cacert", &globals.cacert)];
    for (file, (flag, value)) in files.iter_mut().zip(flags) {
        match value.as_deref() {
            Some("") => return Err(Error::Empty(flag)),
            value => *file = value.map(PathBuf::from),
        }
    }
    let is_asked_for =
        files.iter().any(Option::is_some) || !globals.insecure_transport || globals.insecure_skip_tls_verify;
    let [cert, key, authorities] = files;
    let pair = match (cert, key) {
        (Some(cert), Some(key)) => Some((cert, key)),
        (None, None) => None,
        (cert, key) => return Err(Error::HalfAPair { cert: shown(cert), key: shown(key) }),
    };
    // With `--insecure-discovery` (the default) the certificate is for the host that the record names, as with etcd's.
    let by_domain = !globals.insecure_discovery && !globals.discovery_srv.is_empty();
    let server_name = by_domain.then(|| globals.discovery_srv.clone());
    let settings = Settings {
        pair,
        authorities,
        skip_verification: globals.insecure_skip_tls_verify,
        server_name,
        ..Settings::default()
    };
    Ok(is_asked_for.then_some(settings))
}

fn shown(path: Option<PathBuf>) -> String {
    path.map(|path| path.display().to_string()).unwrap_or_default()
}
