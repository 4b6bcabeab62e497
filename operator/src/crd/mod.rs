//! What users write and read: the resources of `quorate.io/v1alpha1`.
//!
//! - [`cluster`]: `EtcdCluster`, what users write. Its parts: [`storage`], [`settings`], [`tls`], [`pod`], [`repair`].
//! - [`status`]: what they read of it. [`condition`]: the names of conditions and reasons, in one place.
//! - [`member`]: `EtcdMember`, the operator's own record of one member.
//! - [`label`]: how the objects of a cluster are found.

#![allow(clippy::duplicated_attributes, reason = "columns of a kind may have one type")]

pub mod cluster;
pub mod condition;
pub mod label;
pub mod member;
pub mod pod;
pub mod repair;
pub mod settings;
pub mod status;
pub mod storage;
pub mod tls;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;

pub use cluster::{EtcdCluster, EtcdClusterSpec};
pub use member::{EtcdMember, EtcdMemberSpec};

pub const GROUP: &str = "quorate.io";

/// The definitions to install, with the names of their files in `crds/`.
pub fn definitions() -> [(&'static str, CustomResourceDefinition); 2] {
    [("etcdclusters.yaml", EtcdCluster::crd()), ("etcdmembers.yaml", EtcdMember::crd())]
}

/// As the files in `crds/` have it.
pub fn yaml(definition: &CustomResourceDefinition) -> Result<String, serde_norway::Error> {
    serde_norway::to_string(definition)
}

#[cfg(test)]
mod crd_test;
