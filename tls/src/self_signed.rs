//! A certificate for a member that was given none, valid for its own addresses and signed by itself.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use time::{Duration, OffsetDateTime};

use super::Error;

/// `cert.pem` and `key.pem` in a folder: those that are there, or new ones.
pub fn pair(folder: &Path, hosts: &[String], years: u32) -> Result<(PathBuf, PathBuf), Error> {
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    if cert.exists() && key.exists() {
        return Ok((cert, key));
    }
    let mut names = hosts.to_vec();
    names.sort();
    names.dedup();
    let mut params = CertificateParams::new(names).map_err(Error::Generate)?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "etcd");
    params.not_before = OffsetDateTime::now_utc();
    params.not_after = params.not_before + Duration::days(365 * i64::from(years));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
    let pair = KeyPair::generate().map_err(Error::Generate)?;
    let certificate = params.self_signed(&pair).map_err(Error::Generate)?;
    fs::create_dir_all(folder).map_err(|source| Error::Write { path: folder.to_owned(), source })?;
    write(&key, &pair.serialize_pem())?;
    write(&cert, &certificate.pem())?;
    tracing::info!(cert = %cert.display(), ?hosts, years, "made a self-signed certificate");
    Ok((cert, key))
}

/// For the owner's eyes.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::Write { path: path.to_owned(), source };
    let mut options = fs::File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(path).and_then(|mut file| file.write_all(text.as_bytes())).map_err(failed)
}
