//! What runs beside a cluster and follows one: a recorder of changes, or a mirror of another etcd.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy};
use k8s_openapi::api::core::v1::{ContainerPort, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

use super::pod::probe;
use super::worker::{self, Errand};
use super::{job, name, origin};
use crate::crd::bootstrap::Migrate;
use crate::crd::schedule::{EtcdBackupSchedule, Recorder};
use crate::crd::store::Worker;
use crate::crd::{EtcdCluster, EtcdMember, label};

/// By which it says how it is.
pub const PORT: u16 = 8081;
const TOKEN: &str = "/etc/quorate/token";

/// Of the Secret that a cut-over has to show.
pub const TOKEN_KEY: &str = "token";

pub fn name_of_recorder(schedule: &str) -> String {
    format!("{schedule}-recorder")
}

pub fn name_of_mirror(cluster: &str) -> String {
    format!("{cluster}-mirror")
}

/// It records what changes in a cluster.
pub fn recorder(
    schedule: &EtcdBackupSchedule,
    recorder: &Recorder,
    cluster: &EtcdCluster,
    cluster_id: u64,
    image: &str,
) -> Deployment {
    let spec = &schedule.spec;
    let namespace = schedule.namespace().unwrap_or_default();
    let mut errand = Errand::new("record");
    errand.flag("cluster-id", format!("{cluster_id:x}"));
    let host = format!("{}.{namespace}.svc", name::client(&spec.cluster_name));
    let scheme = name::scheme(cluster.spec.tls.client.mode);
    errand.flag("endpoints", format!("{scheme}://{host}:{}", name::CLIENT_PORT));
    job::certificates(&mut errand, cluster, "");
    errand.store(&spec.store, &namespace, &spec.cluster_name);
    errand.recipients(spec.encryption.as_ref());
    errand.identity(spec.encryption.as_ref());
    errand.flag("interval-ms", recorder.interval_ms);
    let labels = worker::labels(label::SCHEDULE, &schedule.name_any());
    let owner = schedule.controller_owner_ref(&());
    deployment(errand, &spec.worker, name_of_recorder(&schedule.name_any()), namespace, labels, owner, image)
}

/// It repeats in a cluster what is written to another etcd.
pub fn mirror(cluster: &EtcdCluster, migrate: &Migrate, to: &EtcdMember, image: &str) -> Deployment {
    let namespace = cluster.namespace().unwrap_or_default();
    let mut errand = Errand::new("mirror");
    origin::other(&mut errand, migrate, "from", "from-");
    errand.flag("to", name::client_url(cluster, to));
    job::certificates(&mut errand, cluster, "to-");
    let name = name_of_mirror(&cluster.name_any());
    errand.secret("token", &name, TOKEN);
    errand.flag("token-file", format!("{TOKEN}/{TOKEN_KEY}"));
    let labels = worker::labels(label::MIGRATION, &cluster.name_any());
    let owner = cluster.controller_owner_ref(&());
    deployment(errand, &migrate.worker, name, namespace, labels, owner, image)
}

/// Whoever knows it may ask the mirror to cut over.
pub fn token(cluster: &EtcdCluster, token: &str) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(name_of_mirror(&cluster.name_any())),
            namespace: cluster.namespace(),
            labels: Some(worker::labels(label::MIGRATION, &cluster.name_any())),
            owner_references: Some(cluster.controller_owner_ref(&()).into_iter().collect()),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(TOKEN_KEY.to_owned(), ByteString(token.as_bytes().to_vec()))])),
        ..Secret::default()
    }
}

fn deployment(
    mut errand: Errand,
    worker: &Worker,
    name: String,
    namespace: String,
    labels: BTreeMap<String, String>,
    owner: Option<OwnerReference>,
    image: &str,
) -> Deployment {
    errand.flag("listen", format!("0.0.0.0:{PORT}"));
    errand.flag("report", worker::REPORT);
    let mut container = errand.container(image, worker);
    container.ports = Some(vec![ContainerPort {
        name: Some("status".to_owned()),
        container_port: i32::from(PORT),
        ..ContainerPort::default()
    }]);
    container.liveness_probe = Some(probe("/livez", i32::from(PORT), 10, 3));
    container.readiness_probe = Some(probe("/readyz", i32::from(PORT), 2, 3));
    let selector = LabelSelector { match_labels: Some(labels.clone()), ..LabelSelector::default() };
    let template = errand.pod(container, worker, labels.clone());
    Deployment {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            labels: Some(labels),
            owner_references: Some(owner.into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            selector,
            // Two at once would do no harm, and no good.
            strategy: Some(DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None }),
            template,
            ..DeploymentSpec::default()
        }),
        status: None,
    }
}
