//! Whether a member's certificate fits the address that it calls from, by etcd's rules: a certificate without names fits
//! everywhere; otherwise one of its addresses must be the caller's, or one of its host names must resolve to it. A name with a
//! wildcard is compared with the names that the caller's address has in DNS.

use std::net::IpAddr;

use quorate_tls::peer::Names;

pub async fn check(names: &Names, remote: IpAddr) -> Result<(), String> {
    let remote = remote.to_canonical();
    if names.is_empty() || names.ips.iter().any(|ip| ip.to_canonical() == remote) {
        return Ok(());
    }
    if names.dns.is_empty() {
        return Err(format!("tls: certificate is valid for {:?}, not {remote}", names.ips));
    }
    let mut failures = Vec::new();
    for name in names.dns.iter().filter(|name| !name.starts_with("*.")) {
        match tokio::net::lookup_host((name.as_str(), 0)).await {
            Ok(mut found) => {
                if found.any(|address| address.ip().to_canonical() == remote) {
                    return Ok(());
                }
            }
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    let suffixes: Vec<&str> = names.dns.iter().filter_map(|name| name.strip_prefix('*')).collect();
    if !suffixes.is_empty() {
        match quorate_dns::names_of(remote).await {
            Ok(found) if found.iter().any(|name| suffixes.iter().any(|suffix| is_below(name, suffix))) => return Ok(()),
            Ok(_) => {}
            Err(error) => failures.push(error.to_string()),
        }
    }
    Err(format!(
        "tls: \"{remote}\" does not match any of DNSNames {:?} (lookup errors: {})",
        names.dns,
        failures.join("; ")
    ))
}

/// `suffix` begins with the dot behind the asterisk, which stands for one label.
fn is_below(name: &str, suffix: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name.strip_suffix(&suffix.to_ascii_lowercase()).is_some_and(|label| !label.is_empty() && !label.contains('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dns: &[&str], ips: &[&str]) -> Names {
        Names {
            dns: dns.iter().map(|name| (*name).to_owned()).collect(),
            ips: ips.iter().map(|ip| ip.parse().unwrap()).collect(),
        }
    }

    #[tokio::test]
    async fn a_certificate_fits_its_own_addresses() {
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(check(&names(&[], &[]), local).await.is_ok());
        assert!(check(&names(&[], &["10.0.0.1", "127.0.0.1"]), local).await.is_ok());
        assert!(check(&names(&["localhost"], &["10.0.0.1"]), "::ffff:127.0.0.1".parse().unwrap()).await.is_ok());
        let refused = check(&names(&[], &["10.0.0.1"]), local).await.unwrap_err();
        assert!(refused.contains("not 127.0.0.1"), "{refused}");
        assert!(check(&names(&["localhost"], &[]), "192.0.2.1".parse().unwrap()).await.is_err());
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        assert!(is_below("a.example.com.", ".example.com"));
        assert!(!is_below("a.b.example.com", ".example.com") && !is_below(".example.com", ".example.com"));
    }
}
