use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}", .path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is not a valid PEM file of {what}", .path.display())]
    Pem { path: PathBuf, what: &'static str, source: rustls::pki_types::pem::Error },
    #[error("{} has no {what} in PEM form", .path.display())]
    Missing { path: PathBuf, what: &'static str },
    #[error("the certificate {} and the key {} can't be used together", .cert.display(), .key.display())]
    Pair { cert: PathBuf, key: PathBuf, source: rustls::Error },
    #[error("{} has a certificate that can't be an authority", .path.display())]
    Authority { path: PathBuf, source: rustls::Error },
    #[error("the authorities can't be used")]
    Verifier(#[source] rustls::server::VerifierBuilderError),
    #[error("{} is not a certificate revocation list: {reason}", .path.display())]
    Revocations { path: PathBuf, reason: String },
    #[error("unexpected TLS cipher suite {0:?}")]
    CipherSuite(String),
    #[error(
        "none of the given cipher suites ({0}) is supported; leave the list empty, or add one with ECDHE and GCM or CHACHA20"
    )]
    NoCipherSuite(String),
    #[error("the TLS settings contradict each other")]
    Settings(#[source] rustls::Error),
    #[error("cannot make a certificate")]
    Generate(#[source] rcgen::Error),
    #[error("cannot write {}", .path.display())]
    Write { path: PathBuf, source: io::Error },
}
