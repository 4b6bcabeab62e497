//! A member's command line, but for how it begins.

use kube::ResourceExt;

use super::name;
use crate::crd::tls::Mode;
use crate::crd::{EtcdCluster, EtcdMember};

/// Volumes of certificates.
pub const SERVER: &str = "server-tls";
pub const PEER: &str = "peer-tls";

/// Where such a volume is mounted.
pub fn folder(volume: &str) -> String {
    format!("/etc/etcd/{volume}")
}

pub fn of(cluster: &EtcdCluster, member: &EtcdMember, data_dir: &str) -> Vec<String> {
    let tls = &cluster.spec.tls;
    let listen = |mode, port| format!("{}://0.0.0.0:{port}", name::scheme(mode));
    let mut flags: Vec<(&str, String)> = vec![
        ("name", member.name_any()),
        ("data-dir", data_dir.to_owned()),
        ("listen-client-urls", listen(tls.client.mode, name::CLIENT_PORT)),
        ("advertise-client-urls", name::client_url(cluster, member)),
        ("listen-peer-urls", listen(tls.peer.mode, name::PEER_PORT)),
        ("initial-advertise-peer-urls", member.spec.peer_url.clone()),
        ("listen-metrics-urls", format!("http://0.0.0.0:{}", name::METRICS_PORT)),
    ];
    if tls.client.mode == Mode::Auto {
        flags.extend(certificates("", SERVER));
        flags.push(("client-cert-auth", "true".to_owned()));
    }
    if tls.peer.mode == Mode::Auto {
        flags.extend(certificates("peer-", PEER));
        flags.push(("peer-client-cert-auth", "true".to_owned()));
    }
    let settings = &cluster.spec.etcd;
    let compaction = settings.auto_compaction.as_ref();
    let given = [
        ("quota-backend-bytes", settings.quota_backend_bytes.map(|value| value.to_string())),
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
