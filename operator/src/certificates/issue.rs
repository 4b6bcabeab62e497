//! Makes an authority and certificates.

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};

use super::material::Pair;
use super::wanted::Kind;

/// Of a certificate that members or clients show.
pub const LEAF_DAYS: i64 = 90;
pub const AUTHORITY_DAYS: i64 = 3650;
/// Clocks differ.
const BACKDATED: SignedDuration = SignedDuration::from_hours(1);

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to make a certificate")]
    Make(#[from] rcgen::Error),
    #[error(
        "spec.tls.{side}.extraNames: a certificate can't be for {name:?}; give names of DNS (foreign letters as xn--…) or addresses"
    )]
    Name { side: &'static str, name: String },
}

/// It signs itself.
pub fn authority(cluster: &str, now: Timestamp) -> Result<Pair, Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    params.distinguished_name = issuer_name(cluster);
    during(&mut params, now, AUTHORITY_DAYS);
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let certificate = params.self_signed(&key)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Signed by the authority.
pub fn leaf(kind: Kind, cluster: &str, names: &[String], authority: &Pair, now: Timestamp) -> Result<Pair, Error> {
    let key = KeyPair::generate()?;
    let mut params = params(kind, names)?;
    params.distinguished_name = subject(kind, cluster);
    during(&mut params, now, LEAF_DAYS);
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = usages(kind);
    // An issuer is known by its name and its key, and its name follows from the cluster's.
    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = issuer_name(cluster);
    let certificate = params.signed_by(&key, &Issuer::new(issuer, KeyPair::from_pem(&authority.key)?))?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn params(kind: Kind, names: &[String]) -> Result<CertificateParams, Error> {
    CertificateParams::new(names).map_err(|error| {
        let side = if kind == Kind::Peer { "peer" } else { "client" };
        let is_bad = |name: &&String| CertificateParams::new([(*name).clone()]).is_err();
        let bad = names.iter().find(is_bad).map(|name| Error::Name { side, name: name.clone() });
        bad.unwrap_or_else(|| error.into())
    })
}

fn during(params: &mut CertificateParams, now: Timestamp, days: i64) {
    params.not_before = date(now - BACKDATED);
    params.not_after = date(now + SignedDuration::from_hours(24 * days));
}

fn issuer_name(cluster: &str) -> DistinguishedName {
    common_name(format!("authority of the etcd cluster {cluster}"))
}

fn subject(kind: Kind, cluster: &str) -> DistinguishedName {
    common_name(match kind {
        Kind::Server => format!("{cluster} server"),
        Kind::Peer => format!("{cluster} peer"),
        // With authentication this is the user's name, and etcd's first user is root.
        Kind::Client => "root".to_owned(),
    })
}

fn common_name(text: String) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, text);
    name
}

/// Members dial each other, and a server dials itself.
fn usages(kind: Kind) -> Vec<ExtendedKeyUsagePurpose> {
    match kind {
        Kind::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Kind::Server | Kind::Peer => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
    }
}

fn date(time: Timestamp) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(time.as_second()).unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}
