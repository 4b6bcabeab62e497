//! `certs rotate`: another authority.

use jiff::Timestamp;
use quorate_operator::crd::tls::Mode;
use serde_json::json;

use super::say;
use crate::Error;
use crate::access::Access;

/// Any new value makes the operator rotate once.
const ROTATE: &str = "quorate.io/rotate-ca";

pub async fn rotate(access: &Access, name: &str) -> Result<(), Error> {
    let cluster = access.cluster(name).await?;
    let tls = &cluster.spec.tls;
    if tls.client.mode != Mode::Auto && tls.peer.mode != Mode::Auto {
        let what = format!("{name} has no authority of its own: spec.tls is Auto neither for clients nor for members");
        return Err(Error::situation(
            what,
            "another one is put into the Secrets, or made by the issuer, that it names",
        ));
    }
    access.patch(name, json!({"metadata": {"annotations": {ROTATE: Timestamp::now().to_string()}}})).await?;
    say::line(&format!(
        "{name} gets another authority, and certificates by it; `kubectl quorate status {name}` shows their ages.\n\
         Clients have {} s to read their Secret again, and {} s more until the old authority is refused.",
        tls.client_grace_seconds, tls.client_grace_seconds
    ))
}
