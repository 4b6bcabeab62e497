//! Names for members, one address for clients, and the disruption that Kubernetes may cause.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::{Resource, ResourceExt};

use super::member::{cluster_labels, owner};
use super::name;
use crate::crd::services::Exposure;
use crate::crd::{EtcdCluster, EtcdMember, label};
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
    let name = name::client(&cluster.name_any());
    let ports = vec![port("client", name::CLIENT_PORT)];
    exposed(cluster, name, &cluster.spec.services.client, voters(cluster), ports, false)
}

/// For one member, ready or not: others may have to find it before it is.
pub fn member(cluster: &EtcdCluster, member: &EtcdMember, exposure: &Exposure) -> Service {
    let name = member.name_any();
    let selector = BTreeMap::from([(label::MEMBER.to_owned(), name.clone())]);
    let ports = vec![port("client", name::CLIENT_PORT), port("peer", name::PEER_PORT)];
    let mut service = exposed(cluster, name, exposure, selector, ports, true);
    service.metadata.labels.get_or_insert_default().insert(label::MEMBER.to_owned(), member.name_any());
    service.metadata.owner_references = Some(member.controller_owner_ref(&()).into_iter().collect());
    service
}

fn exposed(
    cluster: &EtcdCluster,
    name: String,
    exposure: &Exposure,
    selector: BTreeMap<String, String>,
    ports: Vec<ServicePort>,
    even_unready: bool,
) -> Service {
    let mut metadata = metadata(cluster, name);
    let mut labels = exposure.labels.clone();
    labels.extend(metadata.labels.take().unwrap_or_default());
    metadata.labels = Some(labels);
    metadata.annotations = (!exposure.annotations.is_empty()).then(|| exposure.annotations.clone());
    let ranges = &exposure.load_balancer_source_ranges;
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(format!("{:?}", exposure.kind)),
            selector: Some(selector),
            ports: Some(ports),
            publish_not_ready_addresses: even_unready.then_some(true),
            load_balancer_class: exposure.load_balancer_class.clone(),
            load_balancer_source_ranges: (!ranges.is_empty()).then(|| ranges.clone()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// As many voters must stay as the larger of what there is and what is wanted needs for a quorum, with those elsewhere. A whole number:
/// a percentage would be counted anew whenever the resource is scaled.
pub fn budget(cluster: &EtcdCluster, voting: usize, elsewhere: usize) -> PodDisruptionBudget {
    let own = voting.max(usize::try_from(cluster.spec.replicas).unwrap_or_default());
    let all = own + elsewhere;
    let floor = i32::try_from(own.saturating_sub(all - quorum(all))).unwrap_or(i32::MAX);
    PodDisruptionBudget {
        metadata: metadata(cluster, cluster.name_any()),
        spec: Some(PodDisruptionBudgetSpec {
            min_available: Some(IntOrString::Int(floor)),
            selector: Some(LabelSelector { match_labels: Some(voters(cluster)), ..LabelSelector::default() }),
            unhealthy_pod_eviction_policy: Some(format!("{:?}", cluster.spec.disruption.unhealthy_pod_eviction_policy)),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
