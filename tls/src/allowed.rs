//! Checks on certificates that are valid, beyond what TLS asks: names that are let in, and revocation.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error as TlsError, SignatureScheme};

use super::peer;
use super::revoked::Revoked;

/// A certificate must have one of the names, if there are any. Not both lists are used at a time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed {
    /// Subject's common names.
    pub cns: Vec<String>,
    /// Host names or addresses that the certificate must be valid for.
    pub hostnames: Vec<String>,
}

impl Allowed {
    pub fn is_empty(&self) -> bool {
        self.cns.is_empty() && self.hostnames.is_empty()
    }

    fn admits(&self, certificate: &CertificateDer<'_>) -> bool {
        self.is_empty()
            || peer::common_name(certificate).is_some_and(|cn| self.cns.contains(&cn))
            || self.hostnames.iter().any(|hostname| peer::is_valid_for(certificate, hostname))
    }
}

/// etcd's words, whichever list it was.
const NOT_ALLOWED: &str = "client certificate authentication failed";

#[derive(Debug)]
pub struct Checks {
    pub allowed: Allowed,
    pub revoked: Revoked,
}

impl Checks {
    fn check(&self, end: &CertificateDer<'_>, chain: &[CertificateDer<'_>]) -> Result<(), TlsError> {
        if let Some(serial) = self.revoked.find(std::iter::once(end).chain(chain)) {
            tracing::debug!(serial, "a revoked certificate was shown");
            return Err(CertificateError::Revoked.into());
        }
        match self.allowed.admits(end) {
            true => Ok(()),
            false => Err(TlsError::General(NOT_ALLOWED.to_owned())),
        }
    }
}

/// Client certificates with these checks on top.
#[derive(Debug)]
pub struct Clients {
    pub inner: Arc<dyn ClientCertVerifier>,
    pub checks: Checks,
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, TlsError> {
        let verified = self.inner.verify_client_cert(end, chain, now)?;
        self.checks.check(end, chain)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Server certificates with these checks on top.
#[derive(Debug)]
pub struct Servers {
    /// Without one every certificate is accepted: generated ones can't be verified.
    pub inner: Option<Arc<dyn ServerCertVerifier>>,
    pub checks: Checks,
    pub algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if let Some(inner) = &self.inner {
            inner.verify_server_cert(end, chain, name, ocsp, now)?;
        }
        self.checks.check(end, chain)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
