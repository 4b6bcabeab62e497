//! `EtcdMember`: the operator's record of one member, made before the member and deleted after it.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One member of a cluster. The operator makes and deletes these; they are not for users to write.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "quorate.io",
    version = "v1alpha1",
    kind = "EtcdMember",
    plural = "etcdmembers",
    shortname = "em",
    namespaced,
    derive = "PartialEq",
    doc = "The operator's record of one member of an EtcdCluster. Not for users to write.",
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.cluster"),
    printcolumn(name = "Begins", type_ = "string", json_path = ".spec.begins"),
    printcolumn(name = "Id", type_ = "string", json_path = ".spec.id"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct EtcdMemberSpec {
    /// Name of the cluster.
    pub cluster: String,

    /// Goes into the ids, so that a volume of an earlier cluster of this name can't join.
    pub token: String,

    /// The URL by which the other members know it.
    pub peer_url: String,

    /// How it starts on an empty volume.
    pub begins: Begins,

    /// The members it starts with, as `--initial-cluster`. Given when the cluster knows this member; no pod before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_cluster: Option<String>,

    /// As hexadecimal digits. Given when the cluster knows this member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,

    /// Uid of the EtcdRestore under which it was made; none before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incarnation: Option<String>,

    /// It is to leave the cluster, for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaves: Option<Leaves>,
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Begins {
    /// It forms the cluster. Once it has, this becomes `Joined`: on an empty volume it must not form another one.
    Forming,
    /// It joins the cluster, and never forms one.
    Joining,
    /// It starts a cluster of itself alone from what is in its volume, after a quorum was lost for good.
    Recovering,
    /// It has been a member: an empty volume is a fault.
    Joined,
}

/// Why a member leaves, which decides what becomes of its volume.
#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leaves {
    ScaleDown,
    Replaced,
    /// The data of a backup takes the place of the whole cluster's.
    Restored,
}
