//! Certificates and keys from PEM files.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;

use super::Error;

pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    const WHAT: &str = "certificate";
    let certificates = CertificateDer::pem_slice_iter(&read(path)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| Error::Pem { path: path.to_owned(), what: WHAT, source })?;
    match certificates.is_empty() {
        true => Err(Error::Missing { path: path.to_owned(), what: WHAT }),
        false => Ok(certificates),
    }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    const WHAT: &str = "private key";
    PrivateKeyDer::from_pem_slice(&read(path)?).map_err(|source| match source {
        PemError::NoItemsFound => Error::Missing { path: path.to_owned(), what: WHAT },
        source => Error::Pem { path: path.to_owned(), what: WHAT, source },
    })
}

/// A certificate with its chain and the key that belongs to it.
pub fn pair(cert: &Path, key_file: &Path, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, Error> {
    let failed = |source| Error::Pair { cert: cert.to_owned(), key: key_file.to_owned(), source };
    let pair = CertifiedKey::from_der(certificates(cert)?, key(key_file)?, provider).map_err(failed)?;
    Ok(Arc::new(pair))
}

/// The authorities in a file, or the system's.
pub fn authorities(path: Option<&Path>) -> Result<Arc<RootCertStore>, Error> {
    let mut roots = RootCertStore::empty();
    match path {
        Some(path) => {
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|source| Error::Authority { path: path.to_owned(), source })?;
            }
        }
        None => {
            let (_, unusable) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if unusable > 0 {
                tracing::debug!(unusable, "some of the system's certificate authorities can't be used");
            }
        }
    }
    Ok(Arc::new(roots))
}
