//! The members' pods, beyond what the operator decides.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Affinity, Container, PodSecurityContext, Toleration, TopologySpreadConstraint, Volume,
};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The members' pods.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodTemplate {
    /// More labels. Those of the operator win. Members restart when these or `annotations` change.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,

    /// More annotations. `quorate.io/restarted-at` with any new value restarts the members one by one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,

    /// Members on one node: avoided if possible, never, or left to the scheduler.
    #[serde(default)]
    pub anti_affinity: AntiAffinity,

    /// Replaces what `antiAffinity` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,

    /// How members are spread over zones and nodes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,

    /// Labels that a node must have.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub node_selector: BTreeMap<String, String>,

    /// Taints that a node may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub tolerations: Vec<Toleration>,

    /// Priority class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub priority_class_name: Option<String>,

    /// Replaces the operator's, which fits the Pod Security level `restricted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub security_context: Option<PodSecurityContext>,

    /// Run to their end before the member starts, such as for preparing its volume. The member's volume is named `data`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new("self.all(c, c.name != 'etcd')").message("podTemplate.initContainers: the name etcd is the member's"))]
    pub init_containers: Vec<Container>,

    /// Run beside the member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(validation = Rule::new("self.all(c, c.name != 'etcd')").message("podTemplate.containers: the name etcd is the member's"))]
    pub containers: Vec<Container>,

    /// For `initContainers` and `containers`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(validation = Rule::new("self.all(v, !(v.name in ['data', 'server-tls', 'peer-tls']))").message("podTemplate.volumes: the names data, server-tls and peer-tls are the member's"))]
    pub volumes: Vec<Volume>,

    /// Seconds for a member to hand over and stop.
    #[serde(default = "grace")]
    #[schemars(range(min = 1, max = 3600))]
    pub termination_grace_period_seconds: i64,
}

fn grace() -> i64 {
    30
}

impl Default for PodTemplate {
    fn default() -> Self {
        Self {
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            anti_affinity: AntiAffinity::default(),
            affinity: None,
            topology_spread_constraints: Vec::new(),
            node_selector: BTreeMap::new(),
            tolerations: Vec::new(),
            priority_class_name: None,
            security_context: None,
            init_containers: Vec::new(),
            containers: Vec::new(),
            volumes: Vec::new(),
            termination_grace_period_seconds: grace(),
        }
    }
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AntiAffinity {
    #[default]
    Preferred,
    Required,
    Disabled,
}
