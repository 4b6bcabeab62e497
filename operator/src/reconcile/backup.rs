//! An `EtcdBackup`: one Job, whose last words become its status.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::{Resource, ResourceExt};
use serde_json::json;

use super::{Context, Error, REFERENCE_MISSING, TROUBLED, WAITING, backups_of, find, fresh, outcome, write_status};
use crate::act;
use crate::crd::backup::{EtcdBackup, Phase};
use crate::crd::label;
use crate::desired::job;
use crate::events;
use crate::observe::job::Outcome;
use crate::observe::{cache, source};
use crate::plan::backup::{self, Act, Decision, FINALIZER, Seen};

pub async fn reconcile(backup: Arc<EtcdBackup>, context: Arc<Context>) -> Result<Action, Error> {
    let namespace = backup.namespace().unwrap_or_default();
    let Some(backup) = fresh(&context.client, &*backup).await? else { return Ok(Action::await_change()) };
    let (name, uid) = (backup.name_any(), backup.uid().unwrap_or_default());
    let phase = backup.status.as_ref().and_then(|status| status.phase);
    let is_leaving = backup.metadata.deletion_timestamp.is_some();
    let is_wanted = !is_leaving && !matches!(phase, Some(Phase::Completed | Phase::Failed));
    let mut seen = Seen {
        backup: &backup,
        obstacle: None,
        take: Outcome::Absent,
        delete: Outcome::Absent,
        is_ending: false,
        now: Timestamp::now(),
    };
    // Of one that is over, nothing else is looked at.
    if is_wanted {
        seen.take = outcome(&context.client, &namespace, &job::name_of_take(&name), &uid).await?;
        if seen.take == Outcome::Absent {
            seen.obstacle = obstacle(&backup, &namespace, &context).await?;
        }
    } else if is_leaving {
        seen.take = outcome(&context.client, &namespace, &job::name_of_take(&name), &uid).await?;
        seen.delete = outcome(&context.client, &namespace, &job::name_of_delete(&name), &uid).await?;
        seen.is_ending = is_ending(&context, &namespace).await;
    }
    let Decision { act, status } = backup::next(&seen);
    act_on(act, &backup, &namespace, &context).await?;
    if status.phase != phase && status.phase.is_some() {
        tell(&backup, status.phase, status.message.as_deref().unwrap_or_default(), &context).await;
    }
    if let (Act::Release, Outcome::Failed(failure)) = (act, &seen.delete) {
        let id = status.id.as_deref().unwrap_or_default();
        let message =
            format!("the data of {id} is left in its store, see `quorate-backup delete`: {}", failure.message);
        let event = events::event(EventType::Warning, "BackupDataLeft", "Delete", &message, None);
        context.events.publish_about(&backup.object_ref(&()), vec![event]).await;
    }
    context.metrics.backup_seen(&backup, &status, phase);
    write_status(&context.client, &backup, backup.status.as_ref(), &status).await?;
    Ok(match (status.phase, act) {
        (_, Act::Protect | Act::Release | Act::Take | Act::Delete | Act::Stop) => Action::requeue(WAITING),
        (Some(Phase::Pending), _) => Action::requeue(TROUBLED),
        (Some(Phase::Running), _) => Action::requeue(WAITING),
        _ if is_leaving => Action::requeue(WAITING),
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
        Act::Stop => {
            let jobs: Api<Job> = Api::namespaced(context.client.clone(), namespace);
            // It is there until its pods are not.
            act::gone(jobs.delete(&job::name_of_take(&backup.name_any()), &DeleteParams::foreground()).await)?;
        }
        Act::Take => {
            let Some(cluster) = context.cluster(namespace, &backup.spec.cluster_name) else { return Ok(()) };
            let Some(id) = cluster.formed_id() else { return Ok(()) };
            let schedule = backup.labels().get(label::SCHEDULE);
            let schedule = schedule.and_then(|name| find(&context.schedules, namespace, name));
            let retention = schedule.as_ref().and_then(|schedule| schedule.spec.retention.as_ref());
            let members = job::candidates(cache::of(&context.caches.members, &cluster), &cluster);
            let taking = job::take(backup, &cluster, id, &members, retention, &context.worker_image);
            act::ensure(&context.client, namespace, &taking).await?;
        }
    }
    Ok(())
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
        return Ok(Some((REFERENCE_MISSING, missing)));
    }
    let age = |backup: &EtcdBackup| (backup.metadata.creation_timestamp.as_ref().map(|time| time.0), backup.name_any());
    let own = age(backup);
    let others = backups_of(context, namespace, &spec.cluster_name);
    let earlier = others.iter().find(|other| {
        let phase = other.status.as_ref().and_then(|status| status.phase);
        let is_waiting = matches!(phase, None | Some(Phase::Pending)) && !lacks_something(other) && age(other) < own;
        other.uid() != backup.uid()
            && other.metadata.deletion_timestamp.is_none()
            && (phase == Some(Phase::Running) || is_waiting)
    });
    Ok(earlier.map(|other| ("WaitingForAnother", format!("EtcdBackup {} of this cluster is first", other.name_any()))))
}

/// It waits for what somebody has yet to make, and keeps nobody else waiting.
fn lacks_something(backup: &EtcdBackup) -> bool {
    let conditions = backup.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    conditions.iter().any(|condition| condition.reason == REFERENCE_MISSING)
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
