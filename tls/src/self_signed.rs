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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_for_its_hosts_and_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let fixtures = folder.path().join("fixtures/peer");
        let hosts = ["10.0.0.1".to_owned(), "member.example".to_owned(), "10.0.0.1".to_owned()];
        let (cert, key) = pair(&fixtures, &hosts, 3).unwrap();
        let certificates = crate::pem::certificates(&cert).unwrap();
        let names = crate::peer::Names::of(&certificates[0]);
        assert_eq!((names.dns.as_slice(), names.ips.len()), (["member.example".to_owned()].as_slice(), 1));
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        crate::pem::pair(&cert, &key, &provider).unwrap();
        let before = fs::read(&cert).unwrap();
        pair(&fixtures, &["elsewhere".to_owned()], 1).unwrap();
        assert_eq!(fs::read(&cert).unwrap(), before);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused_with_both_files_named() {
        let folder = tempfile::tempdir().unwrap();
        let (cert, _) = pair(&folder.path().join("a"), &["a".to_owned()], 1).unwrap();
        let (_, key) = pair(&folder.path().join("b"), &["b".to_owned()], 1).unwrap();
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let refused = crate::pem::pair(&cert, &key, &provider).unwrap_err().to_string();
        assert!(refused.contains("a/cert.pem") && refused.contains("b/key.pem"), "{refused}");
        let refused = crate::pem::certificates(&key).unwrap_err().to_string();
        assert!(refused.contains("has no certificate"), "{refused}");
    }
}
