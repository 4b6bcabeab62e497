//! By which addresses the cluster is reached.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The cluster's Services.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Services {
    /// One for all members that vote and are ready.
    #[serde(default)]
    pub client: Exposure,

    /// One more for each member, for clients and members outside of this Kubernetes; none if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_member: Option<Exposure>,
}

/// How a Service is exposed.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("self.type == 'LoadBalancer' || (!has(self.loadBalancerClass) && !has(self.loadBalancerSourceRanges))").message("loadBalancerClass and loadBalancerSourceRanges need type LoadBalancer"))]
#[serde(rename_all = "camelCase")]
pub struct Exposure {
    /// From where it is reached.
    #[serde(default, rename = "type")]
    pub kind: ServiceKind,

    /// For what makes load balancers and names.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,

    /// More labels. Those of the operator win.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,

    /// Who makes the load balancer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub load_balancer_class: Option<String>,

    /// Networks from which the load balancer may be reached, such as `10.0.0.0/8`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 49)))]
    pub load_balancer_source_ranges: Vec<String>,
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServiceKind {
    #[default]
    ClusterIP,
    NodePort,
    LoadBalancer,
}

/// What Kubernetes may do to the members by itself.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Disruption {
    /// `Auto`: a PodDisruptionBudget keeps a quorum of the larger of what there is and what is wanted.
    #[serde(default)]
    pub budget: Budget,

    /// Whether pods that aren't ready may be evicted though the budget is used up.
    #[serde(default)]
    pub unhealthy_pod_eviction_policy: Eviction,
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Budget {
    #[default]
    Auto,
    Disabled,
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Eviction {
    /// Only while enough others are ready.
    #[default]
    IfHealthyBudget,
    /// Always, so that a node with a broken member can be drained.
    AlwaysAllow,
}

/// How the members' metrics are collected.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Monitoring {
    /// A PodMonitor of the Prometheus operator; none if not given, or while Kubernetes doesn't know the kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_monitor: Option<PodMonitor>,
}

/// A PodMonitor for the members.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodMonitor {
    /// Labels by which a Prometheus selects it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,

    /// Between two scrapes, such as `30s`; the Prometheus' own if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[0-9]+(ms|s|m|h)$"), length(max = 16))]
    pub interval: Option<String>,
}
