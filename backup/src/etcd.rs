//! The way to the members of a cluster.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use quorate_tls::client::{Connector, Settings, TlsStream};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint, Uri};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// A silent connection is found dead after both of these; members refuse callers that ask more often than every 5 s.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
const KEEP_ALIVE_LIMIT: Duration = Duration::from_secs(10);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{endpoint} is no address of a member: use http://HOST:PORT or https://HOST:PORT")]
    Address { endpoint: String },
    #[error("certificates can't be used")]
    Certificates(#[from] quorate_tls::Error),
    #[error("{endpoint} can't be reached")]
    Connect { endpoint: String, source: tonic::transport::Error },
}

/// An id as it is written: hexadecimal digits.
pub fn parse_id(text: &str) -> Result<u64, std::num::ParseIntError> {
    u64::from_str_radix(text, 16)
}

/// Members, and what they are shown.
#[derive(Clone, Debug, Default)]
pub struct Members {
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub endpoints: Vec<String>,
    pub authorities: Option<PathBuf>,
    /// Certificate and key.
    pub pair: Option<(PathBuf, PathBuf)>,
}

impl Members {
    /// A connection to one of them.
    pub async fn connect(&self, endpoint: &str) -> Result<Channel, Error> {
        let bad = || Error::Address { endpoint: endpoint.to_owned() };
        let target = Endpoint::from_shared(endpoint.to_owned()).map_err(|_| bad())?;
        let target = target
            .connect_timeout(CONNECT_LIMIT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_LIMIT);
        let connected = match target.uri().scheme_str() {
            Some("http") => target.connect().await,
            Some("https") => {
                let settings =
                    Settings { pair: self.pair.clone(), authorities: self.authorities.clone(), ..Settings::default() };
                let tls = Arc::new(Connector::new(settings)?);
                target.connect_with_connector(tower::service_fn(move |uri: Uri| secured(tls.clone(), uri))).await
            }
            _ => return Err(bad()),
        };
        connected.map_err(|source| Error::Connect { endpoint: endpoint.to_owned(), source })
    }
}

async fn secured(tls: Arc<Connector>, uri: Uri) -> io::Result<TokioIo<TlsStream<TcpStream>>> {
    let host = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(443))).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(tls.connect(host, stream).await?))
}
