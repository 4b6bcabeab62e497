//! The password of `root` that the operator makes.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use super::{member, name};
use crate::crd::EtcdCluster;
use crate::crd::auth::PASSWORD;

/// It goes with the cluster.
pub fn root_secret(cluster: &EtcdCluster, password: &str) -> Secret {
    let owner = cluster.name_any();
    Secret {
        metadata: ObjectMeta {
            name: Some(name::root_secret(&owner)),
            namespace: cluster.namespace(),
            labels: Some(member::cluster_labels(&owner)),
            owner_references: Some(member::owner(cluster).into_iter().collect()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(PASSWORD.to_owned(), ByteString(password.as_bytes().to_vec()))])),
        ..Secret::default()
    }
}
