//! What the programs of a node are told, as the files they read.
//!
//! Much of it is for machines that are containers or small virtual machines themselves: they refuse to lower
//! `oom_score_adj`, have no AppArmor, and may have control groups of version 1.

use std::path::Path;

use super::image::Image;
use super::network;

/// A kubelet's lease is as long; it renews it four times in that time.
pub(super) const LEASE_S: u32 = 12;
/// containerd's socket, in the mounts of each node.
pub(super) const CONTAINERD_SOCKET: &str = "/run/containerd/containerd.sock";

/// containerd's `config.toml`.
pub(super) fn containerd(cni: &Path) -> String {
    let (pause, cni) = (Image::Pause.name(), cni.display());
    format!(
        r#"version = 2
root = "/var/lib/containerd"
state = "/run/containerd"

[grpc]
address = "{CONTAINERD_SOCKET}"

[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{pause}"
restrict_oom_score_adj = true
disable_apparmor = true

[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/usr/lib/cni"
conf_dir = "{cni}"
"#
    )
}

/// The pods' network. Each pod has a link of its own, so that all its packets pass the node's rules for Services,
/// also those to a pod of the same node.
pub(super) fn cni(node: usize) -> String {
    let pods = network::pods(node);
    format!(
        r#"{{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {{"type": "ptp", "ipMasq": false,
    "ipam": {{"type": "host-local", "ranges": [[{{"subnet": "{pods}"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
  {{"type": "portmap", "capabilities": {{"portMappings": true}}}}
]}}
"#
    )
}

/// kubelet's configuration.
pub(super) fn kubelet(node: usize, resolver: &Path) -> String {
    let (address, dns, domain) = (network::node(node), network::NAME_SERVICE, network::DOMAIN);
    let resolver = resolver.display();
    format!(
        r#"apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {address}
# Only the nodes and pods of one test reach it.
authentication: {{anonymous: {{enabled: true}}, webhook: {{enabled: false}}}}
authorization: {{mode: AlwaysAllow}}
containerRuntimeEndpoint: unix://{CONTAINERD_SOCKET}
clusterDNS: [{dns}]
clusterDomain: {domain}
resolvConf: {resolver}
nodeLeaseDurationSeconds: {LEASE_S}
failCgroupV1: false
failSwapOn: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
localStorageCapacityIsolation: false
oomScoreAdj: 0
# The disk is not the test's own: how full it is, is nothing to act on.
evictionHard: {{memory.available: 50Mi, nodefs.available: 0%, nodefs.inodesFree: 0%, imagefs.available: 0%}}
imageGCHighThresholdPercent: 100
# What tests wait for.
syncFrequency: 10s
runtimeRequestTimeout: 2m
serializeImagePulls: false
"#
    )
}
