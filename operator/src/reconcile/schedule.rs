//! An `EtcdBackupSchedule`: EtcdBackups at their times, and a recorder beside them.

use std::sync::Arc;

use jiff::Timestamp;
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::{Resource, ResourceExt};

use super::{Context, Error, REFERENCE_MISSING, WAITING, backups_of, fresh, keep_deployment, rehearsal, write_status};
use crate::crd::backup::EtcdBackup;
use crate::crd::schedule::EtcdBackupSchedule;
use crate::crd::{EtcdCluster, label};
use crate::desired::follower;
use crate::events;
use crate::observe::follower as observed;
use crate::observe::source;
use crate::plan::schedule::{self, Decision, Seen};

pub async fn reconcile(schedule: Arc<EtcdBackupSchedule>, context: Arc<Context>) -> Result<Action, Error> {
    if schedule.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = schedule.namespace().unwrap_or_default();
    let Some(schedule) = fresh(&context.client, &*schedule).await? else { return Ok(Action::await_change()) };
    let cluster = context.cluster(&namespace, &schedule.spec.cluster_name);
    let recorder = record(&schedule, cluster.as_deref(), &namespace, &context).await?;
    let backups = made_by(&schedule, &namespace, &context);
    let (rehearsal, look) = rehearsal::rehearse(&schedule, cluster.as_deref(), &backups, &context).await?;
    let seen = Seen {
        schedule: &schedule,
        obstacle: obstacle(&schedule, cluster.as_deref(), &namespace, &context).await?,
        cluster_id: cluster.as_deref().and_then(EtcdCluster::formed_id).map(|id| format!("{id:x}")),
        backups,
        recorder,
        rehearsal,
        now: Timestamp::now(),
    };
    let Decision { create, delete, status, wait } = schedule::next(&seen);
    let wait = look.map_or(wait, |look| look.min(wait));
    context.metrics.schedule_seen(&schedule, &status, seen.recorder.as_ref().and_then(|told| told.as_ref().ok()));
    let backups: Api<EtcdBackup> = Api::namespaced(context.client.clone(), &namespace);
    for name in &delete {
        match backups.delete(name, &DeleteParams::default()).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let has_begun = create.is_some();
    if let Some(backup) = create {
        // Its name says for when it is: after a crash between this and the status, there is one already.
        match backups.create(&PostParams::default(), &backup).await {
            Ok(_) => {
                let note = format!("{} is taken", backup.name_any());
                let event = events::event(EventType::Normal, "BackupDue", "Schedule", &note, None);
                context.events.publish_about(&schedule.object_ref(&()), vec![event]).await;
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(error.into()),
        }
    }
    warn(&schedule, &status, &context).await;
    write_status(&context.client, &schedule, schedule.status.as_ref(), &status).await?;
    Ok(Action::requeue(if has_begun { WAITING } else { wait }))
}

/// Keeps the recorder running, and asks it how it is.
async fn record(
    schedule: &EtcdBackupSchedule,
    cluster: Option<&EtcdCluster>,
    namespace: &str,
    context: &Context,
) -> Result<Option<Result<observed::Recorded, String>>, Error> {
    let name = schedule.name_any();
    let wanted = match (&schedule.spec.recorder, cluster, cluster.and_then(EtcdCluster::formed_id)) {
        (Some(recorder), Some(cluster), Some(id)) if !schedule.spec.suspend => {
            Some(follower::recorder(schedule, recorder, cluster, id, &context.worker_image))
        }
        _ => None,
    };
    let pod = observed::pod_of(&context.caches.pods, namespace, label::SCHEDULE, &name);
    let uid = schedule.uid().unwrap_or_default();
    let deployment = follower::name_of_recorder(&name);
    keep_deployment(context, &uid, namespace, &deployment, wanted.as_ref(), pod.is_some()).await?;
    Ok(match (wanted, pod) {
        (Some(_), Some(pod)) => Some(observed::status(&pod).await),
        _ => None,
    })
}

async fn obstacle(
    schedule: &EtcdBackupSchedule,
    cluster: Option<&EtcdCluster>,
    namespace: &str,
    context: &Context,
) -> Result<Option<(&'static str, String)>, Error> {
    let spec = &schedule.spec;
    if cluster.is_none() {
        let message = format!("there is no EtcdCluster {} in this namespace", spec.cluster_name);
        return Ok(Some(("ClusterMissing", message)));
    }
    let missing = source::missing(&context.client, namespace, &spec.store, spec.encryption.as_ref()).await?;
    Ok(missing.map(|missing| (REFERENCE_MISSING, missing)))
}

fn made_by(schedule: &EtcdBackupSchedule, namespace: &str, context: &Context) -> Vec<EtcdBackup> {
    let name = schedule.name_any();
    let backups = backups_of(context, namespace, &schedule.spec.cluster_name);
    let made = backups.into_iter().filter(|backup| backup.labels().get(label::SCHEDULE) == Some(&name));
    made.map(Arc::unwrap_or_clone).collect()
}

/// A gap, and a schedule that can't be followed, are worth a warning when they begin.
async fn warn(
    schedule: &EtcdBackupSchedule,
    status: &crate::crd::schedule::EtcdBackupScheduleStatus,
    context: &Context,
) {
    let before = schedule.status.as_ref();
    for condition in status.conditions.iter().filter(|condition| condition.status == "False") {
        let was = before.and_then(|before| before.conditions.iter().find(|one| one.type_ == condition.type_));
        if was.is_none_or(|was| was.status != condition.status || was.reason != condition.reason) {
            let event = events::event(EventType::Warning, &condition.reason, "Schedule", &condition.message, None);
            context.events.publish_about(&schedule.object_ref(&()), vec![event]).await;
        }
    }
}
