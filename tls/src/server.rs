//! The end that listens.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
pub use tokio_rustls::server::TlsStream;

use super::allowed::{Checks, Clients};
use super::files::Made;
use super::protocol::Protocol;
use super::revoked::Revoked;
use super::{Allowed, Error, pem};

/// A client that has not finished its handshake by then is let go.
const HANDSHAKE: Duration = Duration::from_secs(10);

#[derive(Debug, Clone)]
pub struct Settings {
    pub cert: PathBuf,
    pub key: PathBuf,
    /// Clients must show a certificate of [`Settings::authorities`].
    pub verify_clients: bool,
    /// Without a file, the system's.
    pub authorities: Option<PathBuf>,
    pub revocations: Option<PathBuf>,
    pub allowed: Allowed,
    pub protocol: Protocol,
}

/// Accepts connections by the files as they are at that moment.
pub struct Acceptor(Made<ServerConfig>);

impl Acceptor {
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let files =
            [Some(&settings.cert), Some(&settings.key), settings.authorities.as_ref(), settings.revocations.as_ref()];
        let files = files.into_iter().flatten().cloned().collect();
        Made::new(files, move || make(&settings)).map(Self)
    }

    pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let handshake = TlsAcceptor::from(self.0.current()).accept(stream);
        match tokio::time::timeout(HANDSHAKE, handshake).await {
            Ok(done) => done,
            Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "TLS handshake timed out")),
        }
    }
}

fn make(settings: &Settings) -> Result<ServerConfig, Error> {
    let Settings { cert, key, verify_clients, authorities, revocations, allowed, protocol } = settings;
    let provider = protocol.provider.clone();
    let pair = pem::pair(cert, key, &provider)?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&protocol.versions)
        .map_err(Error::Settings)?;
    let verifier = match verify_clients {
        true => {
            let roots = pem::authorities(authorities.as_deref())?;
            let inner =
                WebPkiClientVerifier::builder_with_provider(roots, provider).build().map_err(Error::Verifier)?;
            let revoked = revocations.as_deref().map_or_else(|| Ok(Revoked::default()), Revoked::read)?;
            Arc::new(Clients { inner, checks: Checks { allowed: allowed.clone(), revoked } })
        }
        false => Arc::new(NoClientAuth) as Arc<dyn rustls::server::danger::ClientCertVerifier>,
    };
    let mut config =
        builder.with_client_cert_verifier(verifier).with_cert_resolver(Arc::new(SingleCertAndKey::from(pair)));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
