//! Jobs that take, delete and check backups.

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kube::{Resource, ResourceExt};

use super::name;
use super::origin::Source;
use super::worker::{self, Errand};
use crate::crd::backup::{Compression, EtcdBackup};
use crate::crd::schedule::Retention;
use crate::crd::store::Worker;
use crate::crd::tls::Mode;
use crate::crd::{EtcdCluster, EtcdMember, EtcdRestore, label};

/// A Job that has ended is there for so long, with the logs of its pods.
const KEPT_SECONDS: i32 = 24 * 3600;
const CLUSTER_TLS: &str = "/etc/quorate/cluster-tls";

/// In the store: the time, and eight characters that no other has.
pub fn id(backup: &EtcdBackup) -> String {
    let made = backup.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0);
    let uid = backup.uid().unwrap_or_default();
    let unique: String = uid.chars().filter(char::is_ascii_alphanumeric).take(8).collect();
    format!("{}-{unique}", made.strftime("%Y%m%dT%H%M%SZ"))
}

pub fn name_of_take(backup: &str) -> String {
    format!("{backup}-take")
}

pub fn name_of_delete(backup: &str) -> String {
    format!("{backup}-delete")
}

pub fn name_of_check(restore: &str) -> String {
    format!("{restore}-check")
}

/// The way to members: their addresses, and the certificate of clients.
pub fn reach(errand: &mut Errand, cluster: &EtcdCluster, members: &[EtcdMember]) {
    let endpoints: Vec<String> = members.iter().map(|member| name::client_url(cluster, member)).collect();
    errand.flag("endpoints", endpoints.join(","));
    certificates(errand, cluster, "");
}

/// `side` begins the flags' names.
pub fn certificates(errand: &mut Errand, cluster: &EtcdCluster, side: &str) {
    if cluster.spec.tls.client.mode != Mode::Disabled {
        errand.secret("cluster-tls", &name::client_secret(&cluster.name_any()), CLUSTER_TLS);
        for (flag, file) in [("cacert", "ca.crt"), ("cert", "tls.crt"), ("key", "tls.key")] {
            errand.flag(&format!("{side}{flag}"), format!("{CLUSTER_TLS}/{file}"));
        }
    }
}

pub fn take(
    backup: &EtcdBackup,
    cluster: &EtcdCluster,
    cluster_id: u64,
    members: &[EtcdMember],
    retention: Option<&Retention>,
    image: &str,
) -> Job {
    let spec = &backup.spec;
    let namespace = backup.namespace().unwrap_or_default();
    let mut errand = Errand::new("take");
    errand.flag("id", id(backup));
    errand.flag("cluster-id", format!("{cluster_id:x}"));
    reach(&mut errand, cluster, members);
    errand.store(&spec.store, &namespace, &spec.cluster_name);
    errand.recipients(spec.encryption.as_ref());
    errand.identity(spec.encryption.as_ref());
    errand.spool(&spec.worker);
    errand.flag("spool", worker::SPOOL);
    errand.flag("compression", if spec.compression == Compression::Zstd { "zstd" } else { "none" });
    if let Some(Retention { keep_last, keep_for }) = retention {
        keep_last.iter().for_each(|number| errand.flag("keep-last", number));
        keep_for.iter().for_each(|time| errand.flag("keep-for", time));
    }
    let owner = backup.controller_owner_ref(&());
    let about = About { name: name_of_take(&backup.name_any()), namespace, owner, label: label::BACKUP };
    job(errand, &spec.worker, about, image, spec.retries, spec.deadline_seconds)
}

/// Of a backup whose resource goes.
pub fn delete(backup: &EtcdBackup, image: &str) -> Job {
    let spec = &backup.spec;
    let namespace = backup.namespace().unwrap_or_default();
    let mut errand = Errand::new("delete");
    errand.flag("id", id(backup));
    errand.store(&spec.store, &namespace, &spec.cluster_name);
    let owner = backup.controller_owner_ref(&());
    let about = About { name: name_of_delete(&backup.name_any()), namespace, owner, label: label::BACKUP };
    job(errand, &spec.worker, about, image, spec.retries, DELETE_SECONDS)
}

/// All tries of a deletion: the resource, and perhaps its namespace, waits for it.
const DELETE_SECONDS: i64 = 300;
const CHECK_SECONDS: i64 = 24 * 3600;
const CHECK_RETRIES: i32 = 3;

/// Reads a backup from end to end before anything is replaced by it.
pub fn check(restore: &EtcdRestore, source: &Source, image: &str) -> Job {
    let mut errand = Errand::new("verify");
    source.reach(&mut errand);
    source.select(&mut errand);
    let namespace = restore.namespace().unwrap_or_default();
    let owner = restore.controller_owner_ref(&());
    let about = About { name: name_of_check(&restore.name_any()), namespace, owner, label: label::RESTORE };
    job(errand, &source.worker, about, image, CHECK_RETRIES, CHECK_SECONDS)
}

struct About {
    name: String,
    namespace: String,
    owner: Option<OwnerReference>,
    /// Its value is the owner's name.
    label: &'static str,
}

fn job(mut errand: Errand, worker: &Worker, about: About, image: &str, retries: i32, deadline_seconds: i64) -> Job {
    let About { name, namespace, owner, label } = about;
    errand.flag("report", worker::REPORT);
    let labels = worker::labels(label, owner.as_ref().map_or("", |owner| &owner.name));
    let mut pod = errand.pod(errand.container(image, worker), worker, labels.clone());
    if let Some(spec) = &mut pod.spec {
        spec.restart_policy = Some("Never".to_owned());
    }
    Job {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(namespace),
            labels: Some(labels),
            owner_references: Some(owner.into_iter().collect()),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            backoff_limit: Some(retries),
            active_deadline_seconds: Some(deadline_seconds),
            ttl_seconds_after_finished: Some(KEPT_SECONDS),
            template: pod,
            ..JobSpec::default()
        }),
        status: None,
    }
}

/// Members that may be asked for a snapshot.
pub fn candidates(members: Vec<EtcdMember>, cluster: &EtcdCluster) -> Vec<EtcdMember> {
    let uid = cluster.uid();
    let is_its = |record: &EtcdMember| record.owner_references().iter().any(|found| Some(&found.uid) == uid.as_ref());
    let mut members: Vec<EtcdMember> = members
        .into_iter()
        .filter(|record| is_its(record) && record.spec.leaves.is_none() && record.spec.id.is_some())
        .collect();
    members.sort_by_key(|record| (record.metadata.creation_timestamp.as_ref().map(|time| time.0), record.name_any()));
    members
}
