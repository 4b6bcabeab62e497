//! An `EtcdRestore`: the backup is checked, then the cluster's own reconcile does the work, and this tells how it goes.

use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use kube::runtime::events::EventType;
use kube::{Resource, ResourceExt};

use super::{Context, Error, TROUBLED, WAITING, fresh, outcome, write_status};
use crate::act;
use crate::crd::EtcdCluster;
use crate::crd::member::Leaves;
use crate::crd::restore::{EtcdRestore, Phase};
use crate::desired::job;
use crate::events;
use crate::observe::job::Outcome;
use crate::observe::{cache, source};
use crate::plan::order::{self, Decision, Seen};

pub async fn reconcile(restore: Arc<EtcdRestore>, context: Arc<Context>) -> Result<Action, Error> {
    if restore.metadata.deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let namespace = restore.namespace().unwrap_or_default();
    let Some(restore) = fresh(&context.client, &*restore).await? else { return Ok(Action::await_change()) };
    let before = restore.status.as_ref().and_then(|status| status.phase);
    if matches!(before, Some(Phase::Completed | Phase::Failed)) {
        return Ok(Action::await_change());
    }
    let (name, uid) = (restore.name_any(), restore.uid().unwrap_or_default());
    let cluster_name = &restore.spec.cluster_name;
    let cluster = context.cluster(&namespace, cluster_name);
    let found = match &cluster {
        Some(cluster) => source::find(&context.client, cluster, &restore.spec.origin).await?,
        None => Err("the cluster is missing".to_owned()),
    };
    let missing = match &found {
        Ok(source) => source::missing(&context.client, &namespace, &source.store, source.encryption.as_ref()).await?,
        Err(missing) => Some(missing.clone()),
    };
    let is_other = |other: &Arc<EtcdRestore>| {
        other.namespace() == restore.namespace()
            && other.spec.cluster_name == *cluster_name
            && other.uid() != restore.uid()
            && (order::is_at_work(other) || is_waiting(other) && order::comes_before(other, &restore))
    };
    let check = outcome(&context.client, &namespace, &job::name_of_check(&name), &uid).await?;
    let seen = Seen {
        restore: &restore,
        cluster: cluster.as_deref(),
        other: context.caches.restores.state().iter().find(|other| is_other(other)).map(|other| other.name_any()),
        missing,
        check,
        retired: cluster.as_deref().map_or(0, |cluster| retired(cluster, &context)),
        now: Timestamp::now(),
    };
    let Decision { checks, status } = order::next(&seen);
    if let (true, Ok(source), Outcome::Absent) = (checks, &found, &seen.check) {
        act::ensure(&context.client, &namespace, &job::check(&restore, source, &context.worker_image)).await?;
    }
    if status.phase != before {
        tell(&restore, status.phase, status.message.as_deref().unwrap_or_default(), &context).await;
    }
    write_status(&context.client, &restore, restore.status.as_ref(), &status).await?;
    Ok(match status.phase {
        Some(Phase::Completed | Phase::Failed) => Action::await_change(),
        Some(Phase::Pending) | None => Action::requeue(TROUBLED),
        Some(Phase::Checking | Phase::Restoring) => Action::requeue(WAITING),
    })
}

fn is_waiting(restore: &EtcdRestore) -> bool {
    let phase = restore.status.as_ref().and_then(|status| status.phase);
    phase == Some(Phase::Checking)
}

fn retired(cluster: &EtcdCluster, context: &Context) -> usize {
    let members = cache::of(&context.caches.members, cluster);
    members.iter().filter(|member| member.spec.leaves == Some(Leaves::Restored)).count()
}

async fn tell(restore: &EtcdRestore, phase: Option<Phase>, message: &str, context: &Context) {
    let (type_, reason) = match phase {
        Some(Phase::Completed) => (EventType::Normal, "RestoreCompleted"),
        Some(Phase::Failed) => (EventType::Warning, "RestoreFailed"),
        Some(Phase::Restoring) => (EventType::Normal, "RestoreStarted"),
        Some(Phase::Checking) => (EventType::Normal, "RestoreChecking"),
        Some(Phase::Pending) | None => (EventType::Normal, "RestorePending"),
    };
    let event = events::event(type_, reason, "Restore", message, None);
    context.events.publish_about(&restore.object_ref(&()), vec![event]).await;
}
