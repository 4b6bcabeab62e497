//! The certificate in a Secret.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use serde::Serialize;
use x509_parser::pem::parse_x509_pem;

/// Until when a certificate holds. When it began says nothing: it is made for an hour before, since clocks differ.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    pub secret: String,
    pub ends: Time,
}

/// `None` for a Secret without a certificate.
pub fn of(secret: &Secret) -> Option<Certificate> {
    let pem = &secret.data.as_ref()?.get("tls.crt")?.0;
    let (_, block) = parse_x509_pem(pem).ok()?;
    let certificate = block.parse_x509().ok()?;
    Some(Certificate {
        secret: secret.name_any(),
        ends: Timestamp::from_second(certificate.validity().not_after.timestamp()).ok().map(Time)?,
    })
}
