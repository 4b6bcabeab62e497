//! Where a member's data is, and what becomes of it.

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Each member's volume.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("quantity(self.size).compareTo(quantity('64Mi')) >= 0 && quantity(self.size).compareTo(quantity('64Ti')) <= 0").message("storage.size must be from 64Mi to 64Ti; bytes without a unit are meant as bytes")
)]
#[serde(rename_all = "camelCase")]
pub struct Storage {
    /// Of each volume, from 64Mi to 64Ti: room for the database, the log and a snapshot. It may grow while the members run.
    #[serde(default = "size")]
    #[schemars(with = "String", length(min = 1, max = 32), regex(pattern = r"^[0-9]+(\.[0-9]+)?([KMGTP]i?|k)?$"))]
    pub size: Quantity,

    /// Not given, the default class of the Kubernetes cluster; empty, a volume without a class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub storage_class_name: Option<String>,

    /// `Memory` loses a member's data with its pod, and everything when all are gone.
    #[serde(default)]
    pub medium: Medium,

    /// What becomes of volumes that aren't needed any more.
    #[serde(default)]
    pub reclaim: Reclaim,
}

fn size() -> Quantity {
    Quantity("8Gi".to_owned())
}

impl Default for Storage {
    fn default() -> Self {
        Self { size: size(), storage_class_name: None, medium: Medium::Disk, reclaim: Reclaim::default() }
    }
}

#[derive(JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Medium {
    #[default]
    Disk,
    Memory,
}

/// What becomes of volumes.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Reclaim {
    /// When the cluster is deleted.
    #[serde(default = "retain")]
    pub on_delete: Policy,

    /// When a member was removed because fewer are wanted.
    #[serde(default = "delete")]
    pub on_scale_down: Policy,

    /// When a member was given up and replaced.
    #[serde(default = "retain")]
    pub on_replace: Policy,
}

fn retain() -> Policy {
    Policy::Retain
}

fn delete() -> Policy {
    Policy::Delete
}

impl Default for Reclaim {
    fn default() -> Self {
        Self { on_delete: retain(), on_scale_down: delete(), on_replace: retain() }
    }
}

#[derive(JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    Retain,
    Delete,
}
