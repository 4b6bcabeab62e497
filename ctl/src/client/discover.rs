//! `--discovery-srv`: endpoints that a domain's service records name.

use super::Error;
use crate::globals::Globals;

/// Puts the endpoints that were found in the place of those given. The secured ones come first, and if they are to be the only ones,
/// the others are left out.
pub async fn endpoints(globals: &mut Globals) -> Result<(), Error> {
    let domain = globals.discovery_srv.clone();
    if domain.is_empty() {
        return Ok(());
    }
    let services = quorate_dns::services("etcd-client", &globals.discovery_srv_name, &domain).await;
    let mut failures = Vec::new();
    let mut found = Vec::new();
    for (scheme, (_, targets)) in [("https", services.secured), ("http", services.plain)] {
        match targets {
            Ok(targets) => {
                found.extend(targets.iter().map(|target| format!("{scheme}://{}:{}", target.host, target.port)));
            }
            Err(error) => failures.push(error.to_string()),
        }
    }
    if found.is_empty() {
        return Err(Error::Discovery { domain, reason: failures.join("; ") });
    }
    if !globals.insecure_discovery {
        for endpoint in found.extract_if(.., |endpoint| !endpoint.starts_with("https://")) {
            eprintln!("ignoring discovered insecure endpoint \"{endpoint}\"");
        }
    }
    if !found.is_empty() {
        globals.endpoints = found;
    }
    Ok(())
}
