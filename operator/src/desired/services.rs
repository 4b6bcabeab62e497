//! Names for members, one address for clients, and the disruption that Kubernetes may cause.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::member::{cluster_labels, owner};
use super::name;
use crate::crd::{EtcdCluster, label};
use crate::observe::etcd::quorum;

fn metadata(cluster: &EtcdCluster, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: cluster.namespace(),
        labels: Some(cluster_labels(&cluster.name_any())),
        owner_references: Some(owner(cluster).into_iter().collect()),
        ..ObjectMeta::default()
    }
}

/// All members of the cluster.
fn all(cluster: &EtcdCluster) -> BTreeMap<String, String> {
    BTreeMap::from([(label::CLUSTER.to_owned(), cluster.name_any())])
}

/// Those that vote.
fn voters(cluster: &EtcdCluster) -> BTreeMap<String, String> {
    let mut labels = all(cluster);
    labels.insert(label::VOTER.to_owned(), "true".to_owned());
    labels
}

fn port(name: &str, number: i32) -> ServicePort {
    ServicePort { name: Some(name.to_owned()), port: number, ..ServicePort::default() }
}

/// Gives each member its name, whether it is ready or not: a member that starts must be found by the others.
pub fn peers(cluster: &EtcdCluster) -> Service {
    Service {
        metadata: metadata(cluster, name::peers(&cluster.name_any())),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".to_owned()),
            publish_not_ready_addresses: Some(true),
            selector: Some(all(cluster)),
            ports: Some(vec![
                port("client", name::CLIENT_PORT),
                port("peer", name::PEER_PORT),
                port("metrics", name::METRICS_PORT),
            ]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// For clients: the members that vote and are ready.
pub fn client(cluster: &EtcdCluster) -> Service {
    Service {
        metadata: metadata(cluster, name::client(&cluster.name_any())),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(voters(cluster)),
            ports: Some(vec![port("client", name::CLIENT_PORT)]),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// As many voters must stay as the larger of what there is and what is wanted needs for a quorum. A whole number: a percentage would
/// be counted anew whenever the resource is scaled.
pub fn budget(cluster: &EtcdCluster, voting: usize) -> PodDisruptionBudget {
    let wanted = usize::try_from(cluster.spec.replicas).unwrap_or_default();
    let floor = i32::try_from(quorum(voting.max(wanted))).unwrap_or(i32::MAX);
    PodDisruptionBudget {
        metadata: metadata(cluster, cluster.name_any()),
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(floor)),
            selector: Some(LabelSelector { match_labels: Some(voters(cluster)), ..LabelSelector::default() }),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
