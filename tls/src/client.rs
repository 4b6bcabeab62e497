//! The end that connects.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
pub use tokio_rustls::client::TlsStream;

use super::allowed::{Checks, Servers};
use super::files::Made;
use super::protocol::Protocol;
use super::revoked::Revoked;
use super::{Allowed, Error, pem};

#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Certificate and key to show to servers that ask for one.
    pub pair: Option<(PathBuf, PathBuf)>,
    /// Without a file, the system's.
    pub authorities: Option<PathBuf>,
    /// Accept every server: the connection is secret, but nobody knows with whom.
    pub skip_verification: bool,
    /// What server certificates must be valid for; the host of the address when none is given.
    pub server_name: Option<String>,
    pub allowed: Allowed,
    pub protocol: Protocol,
}

/// Connects by the files as they are at that moment.
pub struct Connector {
    server_name: Option<String>,
    config: Made<ClientConfig>,
}

impl Connector {
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let (cert, key) = settings.pair.clone().unzip();
        let files = [cert, key, settings.authorities.clone()].into_iter().flatten().collect();
        let server_name = settings.server_name.clone();
        Ok(Self { server_name, config: Made::new(files, move || make(&settings))? })
    }

    /// `host`: a name, or an address without brackets.
    pub async fn connect<S: AsyncRead + AsyncWrite + Unpin>(&self, host: &str, stream: S) -> io::Result<TlsStream<S>> {
        let name = self.server_name.as_deref().unwrap_or(host).to_owned();
        let name = ServerName::try_from(name).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        TlsConnector::from(self.config.current()).connect(name, stream).await
    }
}

fn make(settings: &Settings) -> Result<ClientConfig, Error> {
    let Settings { pair, authorities, skip_verification, server_name: _, allowed, protocol } = settings;
    let provider = protocol.provider.clone();
    let inner = match skip_verification {
        true => None,
        false => {
            let roots = pem::authorities(authorities.as_deref())?;
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider.clone());
            Some(verifier.build().map_err(Error::Verifier)? as Arc<dyn ServerCertVerifier>)
        }
    };
    let verifier = Servers {
        inner,
        checks: Checks { allowed: allowed.clone(), revoked: Revoked::default() },
        algorithms: provider.signature_verification_algorithms,
    };
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&protocol.versions)
        .map_err(Error::Settings)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let mut config = match pair {
        Some((cert, key)) => {
            let pair = pem::pair(cert, key, &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(pair)))
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
