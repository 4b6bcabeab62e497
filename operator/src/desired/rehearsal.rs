//! The cluster that a rehearsal restores a backup into.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::{Resource, ResourceExt};

use crate::crd::bootstrap::{Bootstrap, Origin};
use crate::crd::cluster::EtcdClusterSpec;
use crate::crd::pod::PodTemplate;
use crate::crd::schedule::EtcdBackupSchedule;
use crate::crd::storage::{Policy, Reclaim, Storage};
use crate::crd::{EtcdCluster, label};
use crate::digest;

/// No cluster of a user's should have such a name; alerts leave them out.
const PREFIX: &str = "rehearsal-";

pub fn name(schedule: &EtcdBackupSchedule) -> String {
    format!("{PREFIX}{}", digest::short(schedule.uid().unwrap_or_default()))
}

/// One member that runs where and as the cluster's do, with a volume that goes with it.
pub fn cluster(schedule: &EtcdBackupSchedule, backup: &str, of: &EtcdCluster) -> EtcdCluster {
    let spec = &of.spec;
    let every = Reclaim { on_delete: Policy::Delete, on_scale_down: Policy::Delete, on_replace: Policy::Delete };
    let origin = Origin {
        backup_name: Some(backup.to_owned()),
        store: None,
        encryption: None,
        select: None,
        snapshot: None,
        // What is compared is the backup as it is.
        bump_revision: 0,
        worker: schedule.spec.worker.clone(),
    };
    let metadata = ObjectMeta {
        name: Some(name(schedule)),
        namespace: schedule.namespace(),
        labels: Some(BTreeMap::from([
            (label::MANAGED_BY.0.to_owned(), label::MANAGED_BY.1.to_owned()),
            (label::SCHEDULE.to_owned(), schedule.name_any()),
        ])),
        owner_references: Some(schedule.controller_owner_ref(&()).into_iter().collect()),
        ..ObjectMeta::default()
    };
    let spec = EtcdClusterSpec {
        replicas: 1,
        version: spec.version.clone(),
        image: spec.image.clone(),
        image_pull_secrets: spec.image_pull_secrets.clone(),
        storage: Storage { reclaim: every, ..spec.storage.clone() },
        resources: spec.resources.clone(),
        bootstrap: Some(Bootstrap { restore: Some(origin), ..Bootstrap::default() }),
        // Without labels and containers of the user's: nobody is to take it for the cluster.
        pod_template: PodTemplate {
            node_selector: spec.pod_template.node_selector.clone(),
            tolerations: spec.pod_template.tolerations.clone(),
            priority_class_name: spec.pod_template.priority_class_name.clone(),
            security_context: spec.pod_template.security_context.clone(),
            ..PodTemplate::default()
        },
        etcd: Default::default(),
        tls: Default::default(),
        auth: Default::default(),
        cut_over: false,
        services: Default::default(),
        disruption: Default::default(),
        monitoring: Default::default(),
        repair: Default::default(),
        recovery: None,
        paused: false,
    };
    EtcdCluster { metadata, spec, status: None }
}
