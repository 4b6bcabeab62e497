//! Versions and cipher suites.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};

use super::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Version {
    V1_2,
    V1_3,
}

/// What both ends of a connection are made with.
#[derive(Debug, Clone)]
pub struct Protocol {
    pub(crate) provider: Arc<CryptoProvider>,
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
}

impl Default for Protocol {
    fn default() -> Self {
        Self {
            provider: Arc::new(aws_lc_rs::default_provider()),
            versions: vec![&rustls::version::TLS13, &rustls::version::TLS12],
        }
    }
}

/// Suites that Go knows and that are not offered here: they have no forward secrecy, or CBC or RC4.
const WEAK: &[&str] = &[
    "TLS_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
];

impl Protocol {
    /// `suites`: names as Go's standard library has them, for TLS 1.2 alone as there; none means all.
    pub fn new(min: Version, max: Option<Version>, suites: &[String]) -> Result<Self, Error> {
        let within = |version| min <= version && max.is_none_or(|max| version <= max);
        let mut protocol = Self::default();
        protocol.versions.retain(|version| {
            within(if version.version == rustls::ProtocolVersion::TLSv1_3 { Version::V1_3 } else { Version::V1_2 })
        });
        if !suites.is_empty() {
            let provider = aws_lc_rs::default_provider();
            let chosen = choose(suites, &provider.cipher_suites)?;
            protocol.provider = Arc::new(CryptoProvider { cipher_suites: chosen, ..provider });
        }
        Ok(protocol)
    }
}

fn choose(names: &[String], offered: &[SupportedCipherSuite]) -> Result<Vec<SupportedCipherSuite>, Error> {
    let mut chosen: Vec<SupportedCipherSuite> = Vec::new();
    let mut left_out = Vec::new();
    for name in names {
        match offered.iter().find(|suite| is_named(suite.suite(), name)) {
            Some(suite) => chosen.push(*suite),
            None if WEAK.contains(&name.as_str()) => left_out.push(name.as_str()),
            None => return Err(Error::CipherSuite(name.clone())),
        }
    }
    if !left_out.is_empty() {
        tracing::warn!(cipher_suites = left_out.join(","), "left out cipher suites that are too weak to be supported");
    }
    if chosen.is_empty() {
        return Err(Error::NoCipherSuite(names.join(",")));
    }
    // Those of TLS 1.3 are not for choice.
    let newest = offered.iter().filter(|suite| suite.tls13().is_some() && !chosen.contains(suite)).copied();
    Ok(newest.collect::<Vec<_>>().into_iter().chain(chosen).collect())
}

/// Go leaves `SHA256` off the names of two suites in an older spelling.
fn is_named(suite: CipherSuite, name: &str) -> bool {
    let Some(known) = suite.as_str() else { return false };
    let known = known.replacen("TLS13_", "TLS_", 1);
    known == name || known.strip_suffix("_SHA256").is_some_and(|short| short.ends_with("POLY1305") && short == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_go_by_their_names_in_go() {
        let take = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            Protocol::new(Version::V1_2, None, &names)
        };
        for name in [
            "TLS_AES_128_GCM_SHA256",
            "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
            "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305",
            "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        ] {
            assert!(take(&[name]).is_ok(), "{name}");
        }
        let one = take(&["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", WEAK[1]]).unwrap();
        let old = one.provider.cipher_suites.iter().filter(|suite| suite.tls13().is_none()).count();
        assert_eq!((old, one.provider.cipher_suites.len()), (1, 4));
        assert!(matches!(take(&[WEAK[0]]), Err(Error::NoCipherSuite(_))));
        assert!(matches!(take(&["TLS_NONE"]), Err(Error::CipherSuite(name)) if name == "TLS_NONE"));
    }
}
