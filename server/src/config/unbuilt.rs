//! What etcd has and this server does not have yet: asking for it is refused at start, by name.
//!
//! This is the only list. A part that gets built deletes its line here and nothing else changes.

use super::error::Error;
use super::resolved::Config;
use super::url::Scheme;

/// Flags refused when given a value other than their default, with the missing part.
const FLAGS: &[(&str, &str)] = &[
    ("cert-file", "TLS"),
    ("key-file", "TLS"),
    ("client-cert-auth", "TLS"),
    ("client-cert-file", "TLS"),
    ("client-key-file", "TLS"),
    ("client-crl-file", "TLS"),
    ("client-cert-allowed-cn", "TLS"),
    ("client-cert-allowed-hostname", "TLS"),
    ("trusted-ca-file", "TLS"),
    ("auto-tls", "TLS"),
    ("peer-cert-file", "TLS"),
    ("peer-key-file", "TLS"),
    ("peer-client-cert-auth", "TLS"),
    ("peer-client-cert-file", "TLS"),
    ("peer-client-key-file", "TLS"),
    ("peer-trusted-ca-file", "TLS"),
    ("peer-cert-allowed-cn", "TLS"),
    ("peer-cert-allowed-hostname", "TLS"),
    ("peer-auto-tls", "TLS"),
    ("peer-crl-file", "TLS"),
    ("auth-token", "tokens other than simple"),
    ("discovery", "discovery"),
    ("discovery-proxy", "discovery"),
    ("discovery-endpoints", "discovery"),
    ("discovery-srv", "discovery through DNS"),
    ("enable-distributed-tracing", "OpenTelemetry export"),
    ("proxy", "the v2 proxy"),
];

/// Addresses refused wherever they stand.
const SCHEMES: &[Scheme] = &[Scheme::Https, Scheme::Unix, Scheme::Unixs];

/// Sub-programs refused as the first argument.
pub const PROGRAMS: &[&str] = &["gateway", "grpc-proxy"];

/// Refuses a flag that was moved away from its default.
pub fn check_flag(name: &str) -> Result<(), Error> {
    match FLAGS.iter().find(|(flag, _)| *flag == name) {
        Some((_, what)) => Err(Error::Unbuilt { flag: name.to_owned(), what }),
        None => Ok(()),
    }
}

pub fn check_addresses(config: &Config) -> Result<(), Error> {
    for (flag, urls) in [
        ("listen-peer-urls", &config.listen_peer_urls),
        ("listen-client-urls", &config.listen_client_urls),
        ("listen-client-http-urls", &config.listen_client_http_urls),
        ("listen-metrics-urls", &config.listen_metrics_urls),
        ("initial-advertise-peer-urls", &config.advertise_peer_urls),
        ("advertise-client-urls", &config.advertise_client_urls),
    ] {
        if let Some(url) = urls.iter().find(|url| SCHEMES.contains(&url.scheme())) {
            return Err(Error::UnbuiltScheme { flag, url: url.to_string(), scheme: url.scheme().as_str() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{legacy, table};

    #[test]
    fn every_name_is_a_flag() {
        for (name, _) in FLAGS {
            assert!(table::find(name).is_some() || legacy::find(name).is_some(), "{name}");
        }
    }
}
