//! `EtcdBackup`: one backup of one cluster.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::store::{Encryption, Store, Worker};

/// Condition: it is in the store, and was read back.
pub const COMPLETE: &str = "Complete";

/// One backup of a cluster, taken now. What it says can't be changed.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "quorate.io",
    version = "v1alpha1",
    kind = "EtcdBackup",
    plural = "etcdbackups",
    shortname = "eb",
    category = "all",
    namespaced,
    status = "EtcdBackupStatus",
    derive = "PartialEq",
    cel,
    doc = "One backup of an EtcdCluster.",
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.clusterName"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Revision", type_ = "integer", json_path = ".status.revision"),
    printcolumn(name = "Size", type_ = "string", json_path = ".status.storedSize", description = "In the store"),
    printcolumn(name = "Finished", type_ = "date", json_path = ".status.finished"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(name = "Id", type_ = "string", json_path = ".status.id", priority = 1),
    printcolumn(name = "Message", type_ = "string", json_path = ".status.message", priority = 1)
)]
#[x_kube(
    validation = Rule::new("self.clusterName == oldSelf.clusterName && self.store == oldSelf.store && self.compression == oldSelf.compression && has(self.encryption) == has(oldSelf.encryption) && (!has(self.encryption) || self.encryption == oldSelf.encryption)").message("a backup's cluster, store, compression and encryption can't be changed: make another")
)]
#[serde(rename_all = "camelCase")]
pub struct EtcdBackupSpec {
    /// An EtcdCluster in this namespace.
    #[schemars(length(min = 1, max = 40))]
    pub cluster_name: String,

    /// Where it goes.
    pub store: Store,

    /// How it is made smaller.
    #[serde(default)]
    pub compression: Compression,

    /// Encryption before it leaves the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<Encryption>,

    /// The pod that carries it.
    #[serde(default)]
    pub worker: Worker,

    /// Seconds for all tries together.
    #[serde(default = "deadline")]
    #[schemars(range(min = 10, max = 604_800))]
    pub deadline_seconds: i64,

    /// Tries after the first.
    #[serde(default = "retries")]
    #[schemars(range(min = 0, max = 20))]
    pub retries: i32,

    /// What becomes of the data in the store when this resource is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

pub(super) fn deadline() -> i64 {
    3600
}

pub(super) fn retries() -> i32 {
    5
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    #[default]
    Zstd,
    None,
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeletionPolicy {
    #[default]
    Retain,
    Delete,
}

/// Which backup, and up to where.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.revision), has(self.time)].filter(given, given).size() <= 1").message("select: give either revision or time"))]
#[serde(rename_all = "camelCase")]
pub struct Selection {
    /// The backup's id in the store, such as `20261128T050000Z-4f3a9c1e`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub id: Option<String>,

    /// Everything up to this revision, and nothing after. Between backups it needs a recorder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub revision: Option<i64>,

    /// Everything up to this time, and nothing after, by the clock of the recorder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Time>,
}

/// What came of it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EtcdBackupStatus {
    /// Generation of the resource that this is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// How it is, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phase: Option<Phase>,

    /// One sentence: what is happening, or what stands in the way and what to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,

    /// Its name in the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,

    /// Where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,

    /// The newest revision in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<i64>,

    /// Of the cluster, as hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,

    /// Rows of its history of keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<i64>,

    /// Of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_size: Option<String>,

    /// In the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stored_size: Option<String>,

    /// SHA-256 of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,

    /// etcd's hash of all keys at that revision, as the member said and as the snapshot has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_kv: Option<i64>,

    /// Up to which revision the member had been compacted when it said so: the hash depends on it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_compact_revision: Option<i64>,

    /// When its first pod was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<Time>,

    /// When it was complete and checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<Time>,

    /// Seconds from `started` to `finished`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<i64>,

    /// Pods that failed.
    #[serde(default)]
    pub failed_tries: i32,

    /// What the store had when it was finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalogue: Option<Catalogue>,

    /// How it is, in detail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It waits for something; the message says for what.
    Pending,
    Running,
    /// It is in the store, and was read back.
    Completed,
    /// It is not there. Another has to be made.
    Failed,
}

/// Backups of a store.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Catalogue {
    /// How many.
    pub count: i64,

    /// Id of the oldest.
    pub oldest: String,

    /// Of all.
    pub stored_size: String,
}
