//! Records of members that are to be.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

use super::name;
use crate::crd::EtcdCluster;
use crate::crd::label;
use crate::crd::member::{Begins, EtcdMember, EtcdMemberSpec};

/// The member that forms the cluster. It knows itself alone.
pub fn first(cluster: &EtcdCluster, name: &str) -> EtcdMember {
    let initial_cluster = format!("{name}={}", name::peer_url(cluster, name));
    record(cluster, name, Begins::Forming, Some(initial_cluster))
}

/// One that joins.
pub fn joining(cluster: &EtcdCluster, name: &str) -> EtcdMember {
    record(cluster, name, Begins::Joining, None)
}

fn record(cluster: &EtcdCluster, name: &str, begins: Begins, initial_cluster: Option<String>) -> EtcdMember {
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
            peer_url: name::peer_url(cluster, name),
            begins,
            initial_cluster,
            id: None,
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
