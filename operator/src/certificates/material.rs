//! What a Secret of certificates has.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, crypto};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::parse_x509_certificate;

const LINE: usize = 64;

/// A certificate, with those that lead to its authority, and its key; as PEM.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    pub certificate: String,
    pub key: String,
}

/// Authorities.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trust(BTreeSet<Vec<u8>>);

/// Everything in a Secret.
#[derive(Clone, Debug, PartialEq)]
pub struct Material {
    pub pair: Pair,
    pub trust: Trust,
    pub not_after: Timestamp,
    /// Names and addresses that it is for, sorted.
    pub names: Vec<String>,
    /// Identifier of the key that signed it.
    pub signer: Option<Vec<u8>>,
}

impl Trust {
    /// An error is a sentence.
    pub fn read(pem: &str) -> Result<Self, String> {
        let certificates: Result<BTreeSet<Vec<u8>>, _> =
            CertificateDer::pem_slice_iter(pem.as_bytes()).map(|der| der.map(|der| der.to_vec())).collect();
        let certificates = certificates.map_err(|error| error.to_string())?;
        if certificates.is_empty() {
            return Err("there is no certificate in it".to_owned());
        }
        let trust = Self(certificates);
        trust.roots()?;
        Ok(trust)
    }

    pub fn pem(&self) -> String {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF).set_line_wrap(LINE);
        let blocks: Vec<_> = self.0.iter().map(|der| pem::Pem::new("CERTIFICATE", der.clone())).collect();
        pem::encode_many_config(&blocks, config)
    }

    pub fn contains(&self, other: &Self) -> bool {
        self.0.is_superset(&other.0)
    }

    pub fn with(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    pub fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        for der in &self.0 {
            roots.add(CertificateDer::from(der.as_slice())).map_err(|error| error.to_string())?;
        }
        Ok(roots)
    }

    /// The first bytes of their SHA-256, as hexadecimal digits.
    pub fn fingerprints(&self) -> Vec<String> {
        self.0.iter().map(|der| hex(&Sha256::digest(der)[..8])).collect()
    }
}

impl Pair {
    pub fn chain(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.certificate.as_bytes()).collect();
        let chain = chain.map_err(|error| error.to_string())?;
        if chain.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(chain) }
    }

    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, String> {
        PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|error| error.to_string())
    }
}

/// What a Secret has; an error is a sentence that names the key.
pub fn read(secret: &Secret) -> Result<Material, String> {
    let pair = pair(secret)?;
    let trust = Trust::read(&text(secret, "ca.crt")?).map_err(|error| format!("ca.crt: {error}"))?;
    let chain = pair.chain().map_err(|error| format!("tls.crt: {error}"))?;
    let (_, leaf) = parse_x509_certificate(&chain[0]).map_err(|error| format!("tls.crt: {error}"))?;
    let mut names: Vec<String> = leaf
        .subject_alternative_name()
        .ok()
        .flatten()
        .map(|names| names.value.general_names.iter().filter_map(name).collect())
        .unwrap_or_default();
    names.sort();
    let not_after = Timestamp::from_second(leaf.validity().not_after.timestamp());
    let not_after = not_after.map_err(|error| format!("tls.crt: {error}"))?;
    Ok(Material { trust, not_after, names, signer: signer(&leaf), pair })
}

/// Certificate and key, which belong together.
pub fn pair(secret: &Secret) -> Result<Pair, String> {
    let pair = Pair { certificate: text(secret, "tls.crt")?, key: text(secret, "tls.key")? };
    let chain = pair.chain().map_err(|error| format!("tls.crt: {error}"))?;
    let key = pair.private_key().map_err(|error| format!("tls.key: {error}"))?;
    CertifiedKey::from_der(chain, key, &crypto::aws_lc_rs::default_provider())
        .map_err(|error| format!("tls.key is not that of the certificate in tls.crt ({error})"))?;
    Ok(pair)
}

fn text(secret: &Secret, key: &str) -> Result<String, String> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key)).ok_or_else(|| format!("there is no key {key}"))?;
    String::from_utf8(bytes.0.clone()).map_err(|_| format!("{key} is not PEM"))
}

/// Identifier of an authority's key.
pub fn key_id(authority: &Pair) -> Option<Vec<u8>> {
    let chain = authority.chain().ok()?;
    let (_, certificate) = parse_x509_certificate(&chain[0]).ok()?;
    certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
        _ => None,
    })
}

fn signer(leaf: &X509Certificate<'_>) -> Option<Vec<u8>> {
    leaf.extensions().iter().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => Some(id.key_identifier.as_ref()?.0.to_vec()),
        _ => None,
    })
}

/// As members know who shows it.
pub fn common_name(pair: &Pair) -> Option<String> {
    let chain = pair.chain().ok()?;
    let (_, certificate) = parse_x509_certificate(&chain[0]).ok()?;
    certificate.subject().iter_common_name().last()?.as_str().ok().map(str::to_owned)
}

/// When an authority's certificate ends.
pub fn end(pair: &Pair) -> Option<Timestamp> {
    let chain = pair.chain().ok()?;
    let (_, certificate) = parse_x509_certificate(&chain[0]).ok()?;
    Timestamp::from_second(certificate.validity().not_after.timestamp()).ok()
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv4Addr::from(bytes).to_string());
            v4.or_else(|| <[u8; 16]>::try_from(*bytes).ok().map(|bytes| std::net::Ipv6Addr::from(bytes).to_string()))
        }
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
