//! An authority of a test's own, and what it signs.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber,
};
use time::{Duration, OffsetDateTime};

use crate::Error;

/// Signs certificates into its folder.
pub struct Authority {
    folder: PathBuf,
    name: String,
    issuer: Issuer<'static, KeyPair>,
    next_serial: u64,
}

/// What a certificate says; its files are `NAME.crt` and `NAME.key`.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub common_name: String,
    /// Host names and addresses.
    pub names: Vec<String>,
    /// Its validity ended an hour ago.
    pub expired: bool,
}

impl Wanted {
    /// For a server or a member on this machine.
    pub fn local(common_name: &str) -> Self {
        Self {
            common_name: common_name.to_owned(),
            names: vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
            expired: false,
        }
    }
}

/// A certificate's files and its serial number.
#[derive(Debug, Clone)]
pub struct Signed {
    pub cert: PathBuf,
    pub key: PathBuf,
    pub serial: u64,
}

impl Authority {
    /// A new authority, whose certificate is `NAME.crt`.
    pub fn new(folder: &Path, name: &str) -> Result<Self, Error> {
        let mut params = CertificateParams::new(Vec::new()).map_err(Error::certificate)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().map_err(Error::certificate)?;
        let certificate = params.self_signed(&key).map_err(Error::certificate)?;
        write(&folder.join(format!("{name}.crt")), &certificate.pem())?;
        let issuer = Issuer::new(params, key);
        Ok(Self { folder: folder.to_owned(), name: name.to_owned(), issuer, next_serial: 1000 })
    }

    /// The file with its own certificate.
    pub fn certificate(&self) -> PathBuf {
        self.folder.join(format!("{}.crt", self.name))
    }

    /// Signs a certificate with a new key. An older one of the same name is replaced, each file at once.
    pub fn sign(&mut self, file: &str, wanted: &Wanted) -> Result<Signed, Error> {
        let mut params = CertificateParams::new(wanted.names.clone()).map_err(Error::certificate)?;
        params.distinguished_name.push(DnType::CommonName, wanted.common_name.as_str());
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        self.next_serial += 1;
        params.serial_number = Some(SerialNumber::from(self.next_serial));
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::days(2);
        params.not_after = if wanted.expired { now - Duration::hours(1) } else { now + Duration::days(30) };
        let key = KeyPair::generate().map_err(Error::certificate)?;
        let certificate = params.signed_by(&key, &self.issuer).map_err(Error::certificate)?;
        let signed = Signed {
            cert: self.folder.join(format!("{file}.crt")),
            key: self.folder.join(format!("{file}.key")),
            serial: self.next_serial,
        };
        write(&signed.key, &key.serialize_pem())?;
        write(&signed.cert, &certificate.pem())?;
        Ok(signed)
    }

    /// Writes the list of these serial numbers as the revoked ones.
    pub fn revoke(&self, file: &str, serials: &[u64]) -> Result<PathBuf, Error> {
        let now = OffsetDateTime::now_utc();
        let list = CertificateRevocationListParams {
            this_update: now,
            next_update: now + Duration::days(1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: serials
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time: now,
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let list = list.signed_by(&self.issuer).map_err(Error::certificate)?;
        let path = self.folder.join(file);
        write(&path, &list.pem().map_err(Error::certificate)?)?;
        Ok(path)
    }
}

/// Replaces a file at once, as Kubernetes does with a mounted Secret's.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let failed = |source| Error::Io { what: format!("writing {}", path.display()), source };
    let new = path.with_extension("new");
    fs::write(&new, text).map_err(failed)?;
    fs::rename(&new, path).map_err(failed)
}
