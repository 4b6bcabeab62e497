//! What becomes of an `EtcdRestore`, up to and after its work on the cluster, which is [`super::restore`]'s: pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use super::backup::told;
use crate::crd::restore::{EtcdRestore, EtcdRestoreStatus, Phase, RESTORED};
use crate::crd::storage::{Medium, Policy};
use crate::crd::{EtcdCluster, status};
use crate::observe::job::{Failure, Outcome};

/// Everything that it depends on.
pub struct Seen<'a> {
    pub restore: &'a EtcdRestore,
    pub cluster: Option<&'a EtcdCluster>,
    /// Name of another order for this cluster that is at work.
    pub other: Option<String>,
    /// Why the backup can't be found, or not yet.
    pub missing: Option<String>,
    pub check: Outcome,
    /// Members that were retired and are not cleared away yet.
    pub retired: usize,
    pub now: Timestamp,
}

#[derive(Debug)]
pub struct Decision {
    /// Makes the Job that reads the backup.
    pub checks: bool,
    pub status: EtcdRestoreStatus,
}

pub fn next(seen: &Seen<'_>) -> Decision {
    let before = seen.restore.status.clone().unwrap_or_default();
    match before.phase {
        Some(Phase::Completed | Phase::Failed) => Decision { checks: false, status: before },
        Some(Phase::Restoring) => follow(seen, before),
        None | Some(Phase::Pending | Phase::Checking) => prepare(seen, before),
    }
}

/// Nothing has happened to the cluster yet.
fn prepare(seen: &Seen<'_>, before: EtcdRestoreStatus) -> Decision {
    let spec = &seen.restore.spec;
    let pending = |reason: &str, message: String| say(seen, before.clone(), Phase::Pending, reason, message);
    let Some(cluster) = seen.cluster else {
        return pending("ClusterMissing", format!("there is no EtcdCluster {} in this namespace", spec.cluster_name));
    };
    let Some(id) = cluster.status.as_ref().and_then(|status| status.cluster_id.clone()) else {
        return pending("ClusterMissing", format!("EtcdCluster {} has not formed yet", spec.cluster_name));
    };
    if cluster.spec.spanning().is_some() {
        let message = "spec.clusterName: members elsewhere would go on with the old data; make a new cluster with bootstrap.restore".to_owned();
        return say(seen, before, Phase::Failed, "InvalidSpec", message);
    }
    if cluster.spec.storage.medium == Medium::Memory && spec.old_volumes == Policy::Retain {
        let message =
            "spec.oldVolumes: with storage.medium Memory nothing can be kept; agree to that by Delete".to_owned();
        return say(seen, before, Phase::Failed, "InvalidSpec", message);
    }
    if spec.confirm.as_ref() != Some(&id) {
        let given = spec.confirm.as_ref().map(|given| format!(" (it says {given:?})")).unwrap_or_default();
        let message = format!(
            "set spec.confirm to {id:?}{given}: all data of cluster {} is then replaced by the backup's; what was written after it is \
             kept in the old members' volumes alone",
            spec.cluster_name
        );
        return pending("ConfirmationMissing", message);
    }
    if let Some(other) = &seen.other {
        return pending("WaitingForAnother", format!("EtcdRestore {other} is at work on this cluster"));
    }
    if cluster.spec.paused || cluster.spec.replicas == 0 {
        let message = "the cluster is paused or hibernated: nothing can be made in it".to_owned();
        return pending("ClusterPaused", message);
    }
    if cluster
        .status
        .as_ref()
        .is_some_and(|status| status.migration.as_ref().is_some_and(|one| one.phase != status::MigrationPhase::Done))
    {
        return pending("Migrating", "the cluster follows another etcd: cut over first".to_owned());
    }
    if let Some(missing) = &seen.missing {
        return pending("BackupMissing", missing.clone());
    }
    match &seen.check {
        Outcome::Absent => {
            let mut decision =
                say(seen, before, Phase::Checking, "Checking", "the backup is read from end to end".to_owned());
            decision.checks = true;
            decision
        }
        Outcome::Running { failed, trouble } => {
            let trouble =
                trouble.as_ref().map(|trouble| format!(" ({trouble}; {failed} tries failed)")).unwrap_or_default();
            say(seen, before, Phase::Checking, "Checking", format!("the backup is read from end to end{trouble}"))
        }
        Outcome::Succeeded(_) => {
            let mut status = before;
            status.started = Some(Time(seen.now));
            say(seen, status, Phase::Restoring, "Restoring", "the backup is good; the old members make room".to_owned())
        }
        Outcome::Failed(Failure { reason, message, .. }) => {
            let message = format!("the backup can't be used, and the cluster was left as it is: {message}");
            say(seen, before, Phase::Failed, reason, message)
        }
    }
}

fn follow(seen: &Seen<'_>, mut before: EtcdRestoreStatus) -> Decision {
    let spec = &seen.restore.spec;
    let Some(cluster) = seen.cluster else {
        let message = format!(
            "EtcdCluster {} was deleted while its data was replaced; make it anew with bootstrap.restore to have the backup's",
            spec.cluster_name
        );
        return say(seen, before, Phase::Failed, "ClusterMissing", message);
    };
    let status = cluster.status.clone().unwrap_or_default();
    let is_new = status.cluster_id.is_some() && status.cluster_id != spec.confirm;
    if is_new && status.phase == Some(status::Phase::Running) && seen.retired == 0 {
        before.finished = Some(Time(seen.now));
        let kept = if spec.old_volumes == Policy::Retain { "; the old members' volumes are kept" } else { "" };
        let message = format!("the cluster has the backup's data{kept}");
        return say(seen, before, Phase::Completed, "Completed", message);
    }
    let message = status.message.unwrap_or_else(|| "the cluster is replaced".to_owned());
    say(seen, before, Phase::Restoring, "Restoring", message)
}

fn say(seen: &Seen<'_>, mut status: EtcdRestoreStatus, phase: Phase, reason: &str, message: String) -> Decision {
    let holds = match phase {
        Phase::Completed => "True",
        Phase::Failed => "False",
        Phase::Pending | Phase::Checking | Phase::Restoring => "Unknown",
    };
    let generation = seen.restore.metadata.generation;
    status.observed_generation = generation;
    status.phase = Some(phase);
    let condition = told(&status.conditions, RESTORED, (holds, reason, &message), generation, seen.now);
    status.conditions = vec![condition];
    status.message = Some(message);
    Decision { checks: false, status }
}

/// It has begun to work on its cluster, and has not finished.
pub fn is_at_work(restore: &EtcdRestore) -> bool {
    restore.status.as_ref().is_some_and(|status| status.phase == Some(Phase::Restoring))
}

/// The first of several that wait, by age.
pub fn comes_before(one: &EtcdRestore, other: &EtcdRestore) -> bool {
    let age =
        |restore: &EtcdRestore| (restore.metadata.creation_timestamp.as_ref().map(|time| time.0), restore.name_any());
    age(one) < age(other)
}

#[cfg(test)]
#[path = "order_test.rs"]
mod order_test;
