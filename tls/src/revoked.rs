//! Revocation lists. As in etcd, a certificate is refused when its serial number is on the list, whoever signed the list:
//! who can write the file is trusted.

use std::collections::BTreeSet;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::{Error, pem};

#[derive(Debug, Default)]
pub struct Revoked(BTreeSet<Vec<u8>>);

impl Revoked {
    /// Reads one list in DER, or any number in PEM.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = pem::read(path)?;
        let refuse = |reason: String| Error::Revocations { path: path.to_owned(), reason };
        let mut serials = BTreeSet::new();
        let mut take = |der: &[u8]| {
            let (_, list) = CertificateRevocationList::from_der(der).map_err(|error| refuse(error.to_string()))?;
            serials.extend(list.iter_revoked_certificates().map(|revoked| significant(revoked.raw_serial())));
            Ok(())
        };
        if !bytes.starts_with(b"-----BEGIN") {
            take(&bytes)?;
            return Ok(Self(serials));
        }
        for block in x509_parser::pem::Pem::iter_from_buffer(&bytes) {
            let block = block.map_err(|error| refuse(error.to_string()))?;
            if block.label != "X509 CRL" {
                return Err(refuse(format!("it holds a {:?}", block.label)));
            }
            take(&block.contents)?;
        }
        Ok(Self(serials))
    }

    /// The first of the certificates that is revoked, by its serial number in hexadecimal.
    pub fn find<'a>(&self, certificates: impl IntoIterator<Item = &'a CertificateDer<'a>>) -> Option<String> {
        certificates.into_iter().find_map(|der| {
            let (_, certificate) = X509Certificate::from_der(der).ok()?;
            self.0.contains(&significant(certificate.raw_serial())).then(|| certificate.raw_serial_as_string())
        })
    }
}

/// Leading zeros only keep a number positive.
fn significant(serial: &[u8]) -> Vec<u8> {
    serial.iter().copied().skip_while(|byte| *byte == 0).collect()
}
