//! Names of a cluster's objects.

use crate::crd::tls::Mode;
use crate::crd::{EtcdCluster, EtcdMember};
use kube::ResourceExt;

pub const CLIENT_PORT: i32 = 2379;
pub const PEER_PORT: i32 = 2380;
pub const METRICS_PORT: i32 = 2381;

/// In URLs of clusters that span several Kubernetes.
const PLACEHOLDER: &str = "$(MEMBER)";

/// The headless Service that gives each member its name.
pub fn peers(cluster: &str) -> String {
    format!("{cluster}-peers")
}

/// The Service for clients.
pub fn client(cluster: &str) -> String {
    format!("{cluster}-client")
}

pub fn volume(member: &str) -> String {
    format!("data-{member}")
}

/// By which a member is found inside of Kubernetes.
pub fn host(member: &EtcdMember) -> String {
    host_of(&member.name_any(), &member.spec.cluster, &member.namespace().unwrap_or_default())
}

fn host_of(member: &str, cluster: &str, namespace: &str) -> String {
    format!("{member}.{}.{namespace}.svc", peers(cluster))
}

pub fn scheme(mode: Mode) -> &'static str {
    match mode {
        Mode::Disabled => "http",
        Mode::Auto | Mode::Secret | Mode::CertManager => "https",
    }
}

pub fn peer_url(cluster: &EtcdCluster, member: &str, mode: Mode) -> String {
    if let Some(spanning) = cluster.spec.spanning() {
        return spanning.peer_url.replace(PLACEHOLDER, member);
    }
    let namespace = cluster.namespace().unwrap_or_default();
    let host = host_of(member, &cluster.name_any(), &namespace);
    format!("{}://{host}:{PEER_PORT}", scheme(mode))
}

pub fn is_secured(url: &str) -> bool {
    url.starts_with("https://")
}

pub fn client_url(cluster: &EtcdCluster, member: &EtcdMember) -> String {
    if let Some(spanning) = cluster.spec.spanning() {
        return spanning.client_url.replace(PLACEHOLDER, &member.name_any());
    }
    format!("{}://{}:{CLIENT_PORT}", scheme(cluster.spec.tls.client.mode), host(member))
}

/// Certificate and key by which clients know members.
pub fn server_secret(cluster: &str) -> String {
    format!("{cluster}-server-tls")
}

/// Certificate and key by which members know each other.
pub fn peer_secret(cluster: &str) -> String {
    format!("{cluster}-peer-tls")
}

/// Certificate and key for clients.
pub fn client_secret(cluster: &str) -> String {
    format!("{cluster}-client-tls")
}

/// The password of `root`, unless another Secret is named.
pub fn root_secret(cluster: &str) -> String {
    format!("{cluster}-root")
}

/// The cluster's authority.
pub fn authority_secret(cluster: &str) -> String {
    format!("{cluster}-ca")
}
