//! An `EtcdBackup`: one Job, whose last words become its status.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::{Context, Error, TROUBLED, WAITING, backups_of, outcome, write_status};
use crate::act;
use crate::crd::backup::{EtcdBackup, Phase};
use crate::crd::{EtcdMember, label};
use crate::desired::job;
use crate::events;
use crate::observe::source;
use crate::plan::backup::{self, Act, Decision, FINALIZER, Seen};

pub async fn reconcile(backup: Arc<EtcdBackup>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = backup.namespace().unwrap_or_default();
    let api: Api<EtcdBackup> = Api::namespaced(context.client.clone(), &namespace);
    // A cache may be behind, and a Job that is made twice is a second backup.
    let Some(backup) = api.get_opt(&backup.name_any()).await?.filter(|found| found.uid() == backup.uid()) else {
        return Ok(Action::await_change());
    };
    let (name, uid) = (backup.name_any(), backup.uid().unwrap_or_default());
    let is_ending = backup.metadata.deletion_timestamp.is_some() && is_ending(&context, &namespace).await;
    let seen = Seen {
        backup: &backup,
        obstacle: obstacle(&backup, &namespace, &context).await?,
        take: outcome(&context.client, &namespace, &job::name_of_take(&name), &uid).await?,
        delete: outcome(&context.client, &namespace, &job::name_of_delete(&name), &uid).await?,
        is_ending,
        now: Timestamp::now(),
    };
    let Decision { act, status } = backup::next(&seen);
    act_on(act, &backup, &namespace, &context).await?;
    let before = backup.status.as_ref().and_then(|status| status.phase);
    if status.phase != before && status.phase.is_some() {
        tell(&backup, status.phase, status.message.as_deref().unwrap_or_default(), &context).await;
    }
    context.metrics.backup_seen(&backup, &status, before);
    write_status(&context.client, &backup, backup.status.as_ref(), &status).await?;
    Ok(match (status.phase, act) {
        (_, Act::Protect | Act::Release | Act::Take | Act::Delete) => Action::requeue(WAITING),
        (Some(Phase::Pending), _) => Action::requeue(TROUBLED),
        (Some(Phase::Running), _) => Action::requeue(WAITING),
        _ if backup.metadata.deletion_timestamp.is_some() => Action::requeue(WAITING),
        _ => Action::await_change(),
    })
}

async fn act_on(act: Act, backup: &EtcdBackup, namespace: &str, context: &Context) -> Result<(), Error> {
    let api: Api<EtcdBackup> = Api::namespaced(context.client.clone(), namespace);
    let finalizers = |wanted: Vec<String>| {
        let version = backup.metadata.resource_version.clone();
        Patch::Merge(json!({"metadata": {"finalizers": wanted, "resourceVersion": version}}))
    };
    let others = || backup.finalizers().iter().filter(|finalizer| *finalizer != FINALIZER).cloned();
    match act {
        Act::Nothing => {}
        Act::Protect => {
            let all = others().chain([FINALIZER.to_owned()]).collect();
            api.patch(&backup.name_any(), &PatchParams::default(), &finalizers(all)).await?;
        }
        Act::Release => {
            api.patch(&backup.name_any(), &PatchParams::default(), &finalizers(others().collect())).await?;
        }
        Act::Delete => act::ensure(&context.client, namespace, &job::delete(backup, &context.worker_image)).await?,
        Act::Take => {
            let Some(cluster) = context.cluster(namespace, &backup.spec.cluster_name) else { return Ok(()) };
            let id = cluster.status.as_ref().and_then(|status| status.cluster_id.as_ref());
            let Some(id) = id.and_then(|id| u64::from_str_radix(id, 16).ok()) else { return Ok(()) };
            let schedule = backup.labels().get(label::SCHEDULE).and_then(|name| {
                let is_it = |schedule: &crate::crd::EtcdBackupSchedule| {
                    schedule.namespace().as_deref() == Some(namespace) && schedule.name_any() == *name
                };
                context.schedules.find(is_it)
            });
            let retention = schedule.as_ref().and_then(|schedule| schedule.spec.retention.as_ref());
            let members = members(&backup.spec.cluster_name, namespace, context);
            let members = job::candidates(members, &cluster);
            let taking = job::take(backup, &cluster, id, &members, retention, &context.worker_image);
            act::ensure(&context.client, namespace, &taking).await?;
        }
    }
    Ok(())
}

fn members(cluster: &str, namespace: &str, context: &Context) -> Vec<EtcdMember> {
    let is_its =
        |member: &Arc<EtcdMember>| member.namespace().as_deref() == Some(namespace) && member.spec.cluster == cluster;
    context.caches.members.state().into_iter().filter(is_its).map(Arc::unwrap_or_clone).collect()
}

/// What keeps it from beginning.
async fn obstacle(
    backup: &EtcdBackup,
    namespace: &str,
    context: &Context,
) -> Result<Option<(&'static str, String)>, Error> {
    let spec = &backup.spec;
    let Some(cluster) = context.cluster(namespace, &spec.cluster_name) else {
        return Ok(Some((
            "ClusterMissing",
            format!("there is no EtcdCluster {} in this namespace", spec.cluster_name),
        )));
    };
    if cluster.status.as_ref().is_none_or(|status| status.cluster_id.is_none()) {
        return Ok(Some(("ClusterNotFormed", format!("EtcdCluster {} has not formed yet", spec.cluster_name))));
    }
    if cluster.spec.replicas == 0 {
        return Ok(Some(("ClusterHibernated", format!("EtcdCluster {} is hibernated", spec.cluster_name))));
    }
    if let Some(missing) = source::missing(&context.client, namespace, &spec.store, spec.encryption.as_ref()).await? {
        return Ok(Some(("ReferenceMissing", missing)));
    }
    let age = |backup: &EtcdBackup| (backup.metadata.creation_timestamp.as_ref().map(|time| time.0), backup.name_any());
    let own = age(backup);
    let others = backups_of(context, namespace, &spec.cluster_name);
    let earlier = others.iter().find(|other| {
        let phase = other.status.as_ref().and_then(|status| status.phase);
        let is_waiting = matches!(phase, None | Some(Phase::Pending)) && age(other) < own;
        other.uid() != backup.uid()
            && other.metadata.deletion_timestamp.is_none()
            && (phase == Some(Phase::Running) || is_waiting)
    });
    Ok(earlier.map(|other| ("WaitingForAnother", format!("EtcdBackup {} of this cluster is first", other.name_any()))))
}

/// Nothing can be made in the namespace any more. One that can't be read is not ending: least rights don't include it.
async fn is_ending(context: &Context, namespace: &str) -> bool {
    let namespaces: Api<Namespace> = Api::all(context.client.clone());
    let found = namespaces.get_metadata_opt(namespace).await;
    found.is_ok_and(|found| found.is_none_or(|found| found.metadata.deletion_timestamp.is_some()))
}

async fn tell(backup: &EtcdBackup, phase: Option<Phase>, message: &str, context: &Context) {
    let (type_, reason) = match phase {
        Some(Phase::Completed) => (EventType::Normal, "BackupCompleted"),
        Some(Phase::Failed) => (EventType::Warning, "BackupFailed"),
        Some(Phase::Running) => (EventType::Normal, "BackupStarted"),
        Some(Phase::Pending) | None => (EventType::Normal, "BackupPending"),
    };
    let event = events::event(type_, reason, "Backup", message, None);
    context.events.publish_about(&backup.object_ref(&()), vec![event]).await;
}
