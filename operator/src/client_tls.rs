//! The operator as a client of its clusters.

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// From what is in a Secret; an error is a sentence about it.
pub fn config(authority: &[u8], certificate: &[u8], key: &[u8]) -> Result<ClientConfig, String> {
    let text = |error: &dyn std::error::Error| error.to_string();
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(authority) {
        roots.add(root.map_err(|error| text(&error))?).map_err(|error| text(&error))?;
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
    let chain = chain.map_err(|error| text(&error))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| text(&error))?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let builder = ClientConfig::builder_with_provider(provider.into());
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| text(&error))?;
    let mut config =
        builder.with_root_certificates(roots).with_client_auth_cert(chain, key).map_err(|error| text(&error))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
