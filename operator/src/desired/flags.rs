//! A member's command line, but for how it begins.

use kube::ResourceExt;

use super::{name, quantity};
use crate::crd::tls::Mode;
use crate::crd::{EtcdCluster, EtcdMember};

/// Of etcd, if nothing is said.
const DEFAULT_QUOTA: f64 = 2_147_483_648.0;
/// Volumes of certificates.
pub const SERVER: &str = "server-tls";
pub const PEER: &str = "peer-tls";

/// Where such a volume is mounted.
pub fn folder(volume: &str) -> String {
    format!("/etc/etcd/{volume}")
}

pub fn of(cluster: &EtcdCluster, member: &EtcdMember, data_dir: &str, has_peer_certificates: bool) -> Vec<String> {
    let tls = &cluster.spec.tls;
    let clients = format!("{}://0.0.0.0:{}", name::scheme(tls.client.mode), name::CLIENT_PORT);
    // One port for both.
    let clients = match tls.client.allow_plaintext && tls.client.mode != Mode::Disabled {
        true => format!("{clients},http://0.0.0.0:{}", name::CLIENT_PORT),
        false => clients,
    };
    let peers = if name::is_secured(&member.spec.peer_url) { "https" } else { "http" };
    let mut flags: Vec<(&str, String)> = vec![
        ("name", member.name_any()),
        ("data-dir", data_dir.to_owned()),
        ("listen-client-urls", clients),
        ("advertise-client-urls", name::client_url(cluster, member)),
        ("listen-peer-urls", format!("{peers}://0.0.0.0:{}", name::PEER_PORT)),
        ("initial-advertise-peer-urls", member.spec.peer_url.clone()),
        ("listen-metrics-urls", format!("http://0.0.0.0:{}", name::METRICS_PORT)),
    ];
    if tls.client.mode != Mode::Disabled {
        flags.extend(certificates("", SERVER));
        flags.push(("client-cert-auth", "true".to_owned()));
    }
    if has_peer_certificates {
        flags.extend(certificates("peer-", PEER));
        flags.push(("peer-client-cert-auth", "true".to_owned()));
    }
    let settings = &cluster.spec.etcd;
    let compaction = settings.auto_compaction.as_ref();
    let given = [
        ("quota-backend-bytes", quota(cluster)),
        ("auto-compaction-mode", compaction.map(|value| value.mode.flag().to_owned())),
        ("auto-compaction-retention", compaction.map(|value| value.retention.clone())),
        ("heartbeat-interval", settings.heartbeat_interval_ms.map(|value| value.to_string())),
        ("election-timeout", settings.election_timeout_ms.map(|value| value.to_string())),
        ("snapshot-count", settings.snapshot_count.map(|value| value.to_string())),
        ("max-request-bytes", settings.max_request_bytes.map(|value| value.to_string())),
        ("log-level", settings.log_level.map(|value| value.flag().to_owned())),
    ];
    flags.extend(given.into_iter().filter_map(|(flag, value)| Some((flag, value?))));
    let typed = flags.into_iter().map(|(flag, value)| format!("--{flag}={value}"));
    typed.chain(settings.extra_args.iter().cloned()).collect()
}

/// As given, or half of a volume that etcd's default would fill: the log and a copy of the database that is defragmented need room too.
fn quota(cluster: &EtcdCluster) -> Option<String> {
    let given = cluster.spec.etcd.quota_backend_bytes.map(|bytes| bytes.to_string());
    given.or_else(|| {
        let half = quantity::bytes(&cluster.spec.storage.size)? / 2.0;
        (half < DEFAULT_QUOTA).then(|| format!("{half:.0}"))
    })
}

fn certificates(plane: &str, volume: &str) -> Vec<(&'static str, String)> {
    let folder = folder(volume);
    let flags = match plane {
        "" => ["cert-file", "key-file", "trusted-ca-file"],
        _ => ["peer-cert-file", "peer-key-file", "peer-trusted-ca-file"],
    };
    flags
        .into_iter()
        .zip(["tls.crt", "tls.key", "ca.crt"])
        .map(|(flag, file)| (flag, format!("{folder}/{file}")))
        .collect()
}
