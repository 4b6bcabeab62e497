//! A member's volume.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

use super::{member, name};
use crate::crd::storage::Policy;
use crate::crd::{EtcdCluster, EtcdMember};

/// The cluster, if volumes are to go with it. Otherwise nobody: a volume outlives its member and its cluster.
pub fn owners(cluster: &EtcdCluster) -> Vec<OwnerReference> {
    let owner = || cluster.owner_ref(&());
    (cluster.spec.storage.reclaim.on_delete == Policy::Delete).then(owner).flatten().into_iter().collect()
}

pub fn claim(cluster: &EtcdCluster, member: &EtcdMember) -> PersistentVolumeClaim {
    let storage = &cluster.spec.storage;
    PersistentVolumeClaim {
        metadata: ObjectMeta {
            name: Some(name::volume(&member.name_any())),
            namespace: cluster.namespace(),
            labels: Some(member::labels(&cluster.name_any(), &member.name_any())),
            owner_references: Some(owners(cluster)).filter(|owners| !owners.is_empty()),
            ..ObjectMeta::default()
        },
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            storage_class_name: storage.storage_class_name.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), storage.size.clone())])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
