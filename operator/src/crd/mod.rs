//! What users write and read: the resources of `quorate.io/v1alpha1`.
//!
//! - [`cluster`]: `EtcdCluster`, what users write. Its parts: [`storage`], [`settings`], [`tls`], [`mod@auth`], [`bootstrap`], [`pod`], [`services`],
//!   [`repair`].
//! - [`status`]: what they read of it. [`condition`]: the names of conditions and reasons, in one place.
//! - [`mod@backup`], [`schedule`], [`restore`]: `EtcdBackup`, `EtcdBackupSchedule` and `EtcdRestore`. [`store`]: where backups are. [`rehearsal`]: what proves them.
//! - [`member`]: `EtcdMember`, the operator's own record of one member.
//! - [`label`]: how the objects of a cluster are found.
//! - [`mod@reference`]: the page about all fields, with what [`named`] finds beside the definitions.

#![allow(clippy::duplicated_attributes, reason = "columns of a kind may have one type")]

pub mod auth;
pub mod backup;
pub mod bootstrap;
pub mod cluster;
pub mod condition;
pub mod label;
pub mod member;
mod named;
pub mod pod;
pub mod reference;
pub mod rehearsal;
pub mod repair;
pub mod restore;
pub mod schedule;
pub mod services;
pub mod settings;
pub mod status;
pub mod storage;
pub mod store;
pub mod tls;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;

pub use backup::{EtcdBackup, EtcdBackupSpec};
pub use cluster::{EtcdCluster, EtcdClusterSpec};
pub use member::{EtcdMember, EtcdMemberSpec};
pub use restore::{EtcdRestore, EtcdRestoreSpec};
pub use schedule::{EtcdBackupSchedule, EtcdBackupScheduleSpec};

pub const GROUP: &str = "quorate.io";

/// The definitions to install, with the names of their files in `crds/`.
pub fn definitions() -> [(&'static str, CustomResourceDefinition); 5] {
    let mut definitions = [
        ("etcdclusters.yaml", EtcdCluster::crd()),
        ("etcdmembers.yaml", EtcdMember::crd()),
        ("etcdbackups.yaml", EtcdBackup::crd()),
        ("etcdbackupschedules.yaml", EtcdBackupSchedule::crd()),
        ("etcdrestores.yaml", EtcdRestore::crd()),
    ];
    let versions = definitions.iter_mut().flat_map(|(_, definition)| &mut definition.spec.versions);
    versions.filter_map(|version| version.schema.as_mut()?.open_api_v3_schema.as_mut()).for_each(terse);
    definitions
}

/// Fields whose types are Kubernetes' own. With all their descriptions the definition would not fit into the annotation that
/// client-side tools keep.
const FOREIGN: [&str; 9] = [
    "affinity",
    "containers",
    "extraEnv",
    "initContainers",
    "resources",
    "securityContext",
    "tolerations",
    "topologySpreadConstraints",
    "volumes",
];

fn terse(schema: &mut JSONSchemaProps) {
    for (name, property) in schema.properties.iter_mut().flatten() {
        if FOREIGN.contains(&name.as_str()) {
            mute_inside(property);
        } else {
            terse(property);
        }
    }
}

/// Its own description stays.
fn mute_inside(schema: &mut JSONSchemaProps) {
    let properties = schema.properties.iter_mut().flatten().map(|(_, property)| property);
    let items = schema.items.iter_mut().flat_map(|items| match items {
        JSONSchemaPropsOrArray::Schema(item) => std::slice::from_mut(item.as_mut()),
        JSONSchemaPropsOrArray::Schemas(items) => items.as_mut_slice(),
    });
    let values = schema.additional_properties.iter_mut().filter_map(|additional| match additional {
        JSONSchemaPropsOrBool::Schema(value) => Some(value.as_mut()),
        JSONSchemaPropsOrBool::Bool(_) => None,
    });
    for part in properties.chain(items).chain(values) {
        part.description = None;
        mute_inside(part);
    }
}

/// As the files in `crds/` have it.
pub fn yaml(definition: &CustomResourceDefinition) -> Result<String, serde_norway::Error> {
    serde_norway::to_string(definition)
}

#[cfg(test)]
mod crd_test;
#[cfg(test)]
mod reference_test;
