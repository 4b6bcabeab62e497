//! Whether certificates that the operator didn't make can serve. An error is a sentence that says what to do.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;

use super::material::{Material, Trust, common_name};
use super::wanted::Kind;
use crate::crd::EtcdCluster;
use crate::desired::name;
use crate::plan::auth::ROOT;

/// One certificate, and those who are to trust it.
pub fn leaf(
    cluster: &EtcdCluster,
    kind: Kind,
    material: &Material,
    trusted_by: &Trust,
    now: Timestamp,
) -> Result<(), String> {
    if kind != Kind::Client {
        for host in hosts(cluster, kind) {
            shown_by_server(material, trusted_by, &host, now).map_err(|error| {
                format!("tls.crt can't be shown as {host} ({error}); issue it for {}", required(cluster, kind))
            })?;
        }
    }
    if kind == Kind::Server {
        return Ok(());
    }
    shown_by_client(material, trusted_by, now).map_err(|error| {
        format!("tls.crt can't be shown by a client ({error}); issue it with the usage client auth")
    })?;
    match (kind, common_name(&material.pair).as_deref()) {
        (Kind::Client, other) if cluster.spec.auth.enabled && other != Some(ROOT) => Err(format!(
            "tls.crt has the common name {:?}; with auth.enabled the operator has to be root: issue it with the common name root",
            other.unwrap_or_default()
        )),
        _ => Ok(()),
    }
}

/// A name that each of these is for.
fn hosts(cluster: &EtcdCluster, kind: Kind) -> Vec<String> {
    let (name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    let member = format!("any-member.{}.{namespace}.svc", name::peers(&name));
    match kind {
        Kind::Server => vec![member, format!("{}.{namespace}.svc", name::client(&name))],
        Kind::Peer => vec![member, format!("{}.{namespace}.svc", name::peers(&name))],
        Kind::Client => Vec::new(),
    }
}

fn required(cluster: &EtcdCluster, kind: Kind) -> String {
    let (name, namespace) = (cluster.name_any(), cluster.namespace().unwrap_or_default());
    let members = format!("*.{}.{namespace}.svc", name::peers(&name));
    match kind {
        Kind::Server => format!("{members} and {}.{namespace}.svc", name::client(&name)),
        Kind::Peer => format!("{members} and {}.{namespace}.svc", name::peers(&name)),
        Kind::Client => String::new(),
    }
}

fn shown_by_server(material: &Material, trust: &Trust, host: &str, now: Timestamp) -> Result<(), String> {
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(trust.roots()?), default_provider().into());
    let verifier = verifier.build().map_err(|error| error.to_string())?;
    let chain = material.pair.chain()?;
    let host = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
    let verified = verifier.verify_server_cert(&chain[0], &chain[1..], &host, &[], unix(now));
    verified.map(drop).map_err(|error| error.to_string())
}

fn shown_by_client(material: &Material, trust: &Trust, now: Timestamp) -> Result<(), String> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(trust.roots()?), default_provider().into());
    let verifier = verifier.build().map_err(|error| error.to_string())?;
    let chain = material.pair.chain()?;
    verifier.verify_client_cert(&chain[0], &chain[1..], unix(now)).map(drop).map_err(|error| error.to_string())
}

fn unix(now: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(u64::try_from(now.as_second()).unwrap_or_default()))
}
