//! Rehearsals of a schedule: the newest backup is restored into a cluster of its own, compared, and the cluster deleted. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;

use crate::crd::EtcdCluster;
use crate::crd::backup::{self, EtcdBackup};
use crate::crd::rehearsal::{RehearsalPhase, RehearsalStatus};
use crate::crd::schedule::EtcdBackupSchedule;
use crate::desired::rehearsal;

/// While one is under way: no event of the cluster comes here.
const LOOK: Duration = Duration::from_secs(3);
/// Tries again to tidy up, or to begin.
const AGAIN: Duration = Duration::from_secs(15);

/// Everything that it depends on.
pub struct Seen<'a> {
    pub schedule: &'a EtcdBackupSchedule,
    /// That is backed up.
    pub cluster: Option<&'a EtcdCluster>,
    /// The newest good one.
    pub backup: Option<&'a EtcdBackup>,
    /// The cluster of this rehearsal, or of the last.
    pub rehearsed: Option<&'a EtcdCluster>,
    /// What its member says of its keys at the backup's revision, once it can be asked.
    pub hash: Option<Result<i64, String>>,
    /// The last time that has come by its cron line.
    pub due: Option<Timestamp>,
    pub now: Timestamp,
}

#[derive(Debug, Default, PartialEq)]
pub struct Decision {
    pub create: Option<Box<EtcdCluster>>,
    /// The rehearsal's cluster goes.
    pub delete: bool,
    pub status: Option<RehearsalStatus>,
    pub wait: Option<Duration>,
}

pub fn next(seen: &Seen<'_>) -> Decision {
    let status = seen.schedule.status.as_ref().and_then(|status| status.rehearsal.clone());
    let Some(asked) = seen.schedule.spec.rehearsal.as_ref().filter(|_| !seen.schedule.spec.suspend) else {
        return Decision { delete: seen.rehearsed.is_some(), status, ..Decision::default() };
    };
    let limit = SignedDuration::from_secs(asked.deadline_seconds);
    match status {
        Some(status) if status.phase == RehearsalPhase::Running => run(seen, status, limit),
        // What is left of the last goes first.
        status if seen.rehearsed.is_some() => {
            Decision { delete: true, status, wait: Some(AGAIN), ..Decision::default() }
        }
        status => begin(seen, status),
    }
}

fn begin(seen: &Seen<'_>, before: Option<RehearsalStatus>) -> Decision {
    let is_new = |due: &Timestamp| before.as_ref().is_none_or(|before| before.due.0 < *due);
    let nothing = || Decision { status: before.clone(), ..Decision::default() };
    let Some(due) = seen.due.filter(is_new) else { return nothing() };
    let (Some(cluster), Some(backup)) = (seen.cluster, seen.backup) else {
        return Decision { wait: Some(AGAIN), ..nothing() };
    };
    let backup = backup.name_any();
    let create = Some(Box::new(rehearsal::cluster(seen.schedule, &backup, cluster)));
    let status = RehearsalStatus {
        phase: RehearsalPhase::Running,
        due: Time(due),
        backup,
        started: Time(seen.now),
        finished: None,
        message: None,
        last_passed: before.and_then(|before| before.last_passed),
    };
    Decision { create, status: Some(status), wait: Some(LOOK), ..Decision::default() }
}

fn run(seen: &Seen<'_>, status: RehearsalStatus, limit: SignedDuration) -> Decision {
    let over = |status: RehearsalStatus, phase, message: String| {
        let finished = Some(Time(seen.now));
        let last_passed = if phase == RehearsalPhase::Passed { finished.clone() } else { status.last_passed.clone() };
        let status = RehearsalStatus { phase, finished, message: Some(message), last_passed, ..status };
        Decision { delete: true, status: Some(status), wait: Some(AGAIN), ..Decision::default() }
    };
    let wanted = seen.backup.filter(|backup| backup.name_any() == status.backup);
    let Some(wanted) = wanted.and_then(|backup| backup.status.as_ref()) else {
        let message = format!("EtcdBackup {} went while it was rehearsed", status.backup);
        return over(status, RehearsalPhase::Failed, message);
    };
    let revision = wanted.revision.unwrap_or_default();
    let expected = wanted.hash_kv;
    if let Some(Ok(hash)) = seen.hash {
        return match expected {
            Some(expected) if expected != hash => {
                let message = format!(
                    "the restored cluster has hash {hash} at revision {revision}, and {} has {expected}",
                    status.backup
                );
                over(status, RehearsalPhase::Failed, message)
            }
            _ => {
                let seconds = seen.now.duration_since(status.started.0).as_secs();
                let message =
                    format!("{} was restored in {seconds} s, with hash {hash} at revision {revision}", status.backup);
                over(status, RehearsalPhase::Passed, message)
            }
        };
    }
    if seen.now.duration_since(status.started.0) > limit {
        let said = seen.rehearsed.and_then(|cluster| cluster.status.as_ref()?.message.clone());
        let asked = seen.hash.as_ref().and_then(|hash| hash.as_ref().err().cloned());
        let why = asked.or(said).unwrap_or_else(|| "nothing is known of it".to_owned());
        let message = format!("the restored cluster doesn't serve after {} s: {why}", limit.as_secs());
        return over(status, RehearsalPhase::Failed, message);
    }
    let create = match (seen.rehearsed, seen.cluster) {
        (None, Some(cluster)) => Some(Box::new(rehearsal::cluster(seen.schedule, &status.backup, cluster))),
        _ => None,
    };
    Decision { create, status: Some(status), wait: Some(LOOK), ..Decision::default() }
}

/// The newest that is complete.
pub fn newest(backups: &[EtcdBackup]) -> Option<&EtcdBackup> {
    let complete = backups.iter().filter_map(|backup| {
        let status = backup.status.as_ref().filter(|status| status.phase == Some(backup::Phase::Completed))?;
        Some((status.finished.as_ref()?.0, backup))
    });
    complete.max_by_key(|(finished, _)| *finished).map(|(_, backup)| backup)
}

#[cfg(test)]
#[path = "rehearsal_test.rs"]
mod rehearsal_test;
