//! Records of members that are to be.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

use super::name;
use crate::crd::EtcdCluster;
use crate::crd::bootstrap::Spanning;
use crate::crd::label;
use crate::crd::member::{Begins, EtcdMember, EtcdMemberSpec};
use crate::crd::tls::Mode;

/// The member that forms the cluster. It knows itself alone.
pub fn first(cluster: &EtcdCluster, name: &str) -> EtcdMember {
    let peer_url = name::peer_url(cluster, name, cluster.spec.tls.peer.mode);
    let initial_cluster = format!("{name}={peer_url}");
    record(cluster, name, peer_url, Begins::Forming, Some(initial_cluster))
}

/// One of the first members of a cluster that spans several Kubernetes. Its token is everybody's.
pub fn founding(cluster: &EtcdCluster, spanning: &Spanning, name: &str) -> EtcdMember {
    let peer_url = name::peer_url(cluster, name, cluster.spec.tls.peer.mode);
    let list = spanning.static_list.as_ref().map(|list| list.initial_cluster.clone()).unwrap_or_default();
    let mut member = record(cluster, name, peer_url, Begins::Forming, Some(list));
    let dns = spanning.dns.as_ref().map(|dns| &dns.token);
    if let Some(token) = spanning.static_list.as_ref().map(|list| &list.token).or(dns) {
        member.spec.token.clone_from(token);
    }
    member
}

/// One that joins.
pub fn joining(cluster: &EtcdCluster, name: &str, peers: Mode) -> EtcdMember {
    record(cluster, name, name::peer_url(cluster, name, peers), Begins::Joining, None)
}

fn record(
    cluster: &EtcdCluster,
    name: &str,
    peer_url: String,
    begins: Begins,
    initial_cluster: Option<String>,
) -> EtcdMember {
    EtcdMember {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: cluster.namespace(),
            labels: Some(labels(&cluster.name_any(), name)),
            owner_references: Some(owner(cluster).into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: EtcdMemberSpec {
            cluster: cluster.name_any(),
            token: format!("{}-{}", cluster.name_any(), cluster.uid().unwrap_or_default()),
            peer_url,
            begins,
            initial_cluster,
            id: None,
            incarnation: None,
            leaves: None,
        },
    }
}

pub fn owner(cluster: &EtcdCluster) -> Option<OwnerReference> {
    cluster.controller_owner_ref(&())
}

/// On everything of one member.
pub fn labels(cluster: &str, member: &str) -> BTreeMap<String, String> {
    let mut labels = cluster_labels(cluster);
    labels.insert(label::MEMBER.to_owned(), member.to_owned());
    labels
}

/// On everything of a cluster.
pub fn cluster_labels(cluster: &str) -> BTreeMap<String, String> {
    let pairs = [label::NAME, label::MANAGED_BY, ("app.kubernetes.io/instance", cluster), (label::CLUSTER, cluster)];
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
