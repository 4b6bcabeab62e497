//! `EtcdRestore`: the data of a backup takes the place of a running cluster's.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bootstrap::Origin;
use super::storage::Policy;

/// Condition: the cluster has the backup's data.
pub const RESTORED: &str = "Restored";

/// All members of a cluster are replaced by new ones with the data of a backup. What was written after the backup is gone, but in the old
/// members' volumes.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "quorate.io",
    version = "v1alpha1",
    kind = "EtcdRestore",
    plural = "etcdrestores",
    shortname = "er",
    category = "all",
    namespaced,
    status = "EtcdRestoreStatus",
    derive = "PartialEq",
    cel,
    doc = "The data of a backup takes the place of an EtcdCluster's.",
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.clusterName"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message")
)]
#[x_kube(
    validation = Rule::new("!has(self.origin.snapshot)").message("origin.snapshot: a snapshot file can't be checked beforehand; begin another cluster with it, and take a backup of that"),
    validation = Rule::new("self.clusterName == oldSelf.clusterName && self.origin == oldSelf.origin").message("an EtcdRestore's cluster and origin can't be changed: delete it and make another")
)]
#[serde(rename_all = "camelCase")]
pub struct EtcdRestoreSpec {
    /// An EtcdCluster in this namespace.
    #[schemars(length(min = 1, max = 40))]
    pub cluster_name: String,

    /// Where the data comes from.
    pub origin: Origin,

    /// The cluster's id, as its `status.clusterId` has it: that the data of this very cluster is to be replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16))]
    pub confirm: Option<String>,

    /// What becomes of the old members' volumes when the new members are all there.
    #[serde(default = "retain")]
    pub old_volumes: Policy,
}

fn retain() -> Policy {
    Policy::Retain
}

/// How it goes.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdRestoreStatus {
    /// Generation of the resource that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// How it is, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// One sentence: what is happening, or what stands in the way and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// When the old members were told to stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,

    /// When the new members were all there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,

    /// How it is, in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Nothing has happened to the cluster yet; the message says what is missing.
    Pending,
    /// The backup is read from end to end, before anything is touched.
    Checking,
    /// The cluster is replaced.
    Restoring,
    Completed,
    /// Nothing has happened to the cluster.
    Failed,
}
