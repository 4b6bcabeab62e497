//! What becomes of an `EtcdBackup`: pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use serde_json::Value;

use crate::crd::backup::{COMPLETE, Catalogue, DeletionPolicy, EtcdBackup, EtcdBackupStatus, Phase};
use crate::desired::{job, quantity, worker};
use crate::observe::job::{Failure, Outcome};
use kube::ResourceExt;

/// Keeps the resource until its data is deleted.
pub const FINALIZER: &str = "quorate.io/backup-data";

/// Everything that it depends on.
pub struct Seen<'a> {
    pub backup: &'a EtcdBackup,
    /// What keeps it from beginning: a word and a sentence.
    pub obstacle: Option<(&'static str, String)>,
    pub take: Outcome,
    pub delete: Outcome,
    /// Its namespace is being deleted: nothing can be made in it any more.
    pub is_ending: bool,
    pub now: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Nothing,
    /// Makes the finalizer what the deletion policy asks for.
    Protect,
    Release,
    Take,
    Delete,
    /// Ends its pod.
    Stop,
}

pub struct Decision {
    pub act: Act,
    pub status: EtcdBackupStatus,
}

pub fn next(seen: &Seen<'_>) -> Decision {
    let backup = seen.backup;
    let status = backup.status.clone().unwrap_or_default();
    let is_protected = backup.finalizers().iter().any(|finalizer| finalizer == FINALIZER);
    if backup.metadata.deletion_timestamp.is_some() {
        return leave(seen, status, is_protected);
    }
    let wants_protection = backup.spec.deletion_policy == DeletionPolicy::Delete;
    if is_protected != wants_protection {
        let act = if wants_protection { Act::Protect } else { Act::Release };
        return Decision { act, status };
    }
    if matches!(status.phase, Some(Phase::Completed | Phase::Failed)) {
        return Decision { act: Act::Nothing, status };
    }
    match (&seen.take, &seen.obstacle) {
        (Outcome::Absent, Some((reason, message))) => say(seen, status, Phase::Pending, reason, message.clone()),
        (Outcome::Absent, None) => {
            let message = "its pod is made".to_owned();
            let mut decision = say(seen, status, Phase::Running, "Running", message);
            decision.act = Act::Take;
            decision.status.id = Some(job::id(backup));
            decision.status.started.get_or_insert(Time(seen.now));
            decision
        }
        (Outcome::Running { failed, trouble }, _) => {
            let message = match (failed, trouble) {
                (0, None) => "a snapshot is taken, carried and checked".to_owned(),
                (0, Some(trouble)) => format!("its pod waits: {trouble}"),
                (failed, Some(trouble)) => format!("tried again after {failed} failed: {trouble}"),
                (failed, None) => format!("tried again after {failed} failed"),
            };
            let mut decision = say(seen, status, Phase::Running, "Running", message);
            decision.status.failed_tries = *failed;
            decision
        }
        (Outcome::Succeeded(report), _) => complete(seen, status, report.as_ref()),
        (Outcome::Failed(Failure { reason, message, tries }), _) => {
            let mut decision = say(seen, status, Phase::Failed, reason, message.clone());
            decision.status.failed_tries = *tries;
            decision
        }
    }
}

/// The resource goes; its data goes before, if that is wanted and can be done.
fn leave(seen: &Seen<'_>, status: EtcdBackupStatus, is_protected: bool) -> Decision {
    if is_protected && status.id.is_none() && seen.take != Outcome::Absent {
        // What there may be to delete is known before its Job goes.
        let status = EtcdBackupStatus { id: Some(job::id(seen.backup)), ..status };
        return Decision { act: Act::Nothing, status };
    }
    let has_data = status.id.is_some();
    let act = match &seen.delete {
        _ if !is_protected => Act::Nothing,
        _ if seen.is_ending || !has_data => Act::Release,
        // What is still being written would be there afterwards.
        _ if matches!(seen.take, Outcome::Running { .. }) => Act::Stop,
        Outcome::Absent => Act::Delete,
        Outcome::Running { .. } => Act::Nothing,
        // Whoever deletes a resource is not held up for ever: its failure is told, and a schedule's pruning comes by again.
        Outcome::Succeeded(_) | Outcome::Failed(_) => Act::Release,
    };
    Decision { act, status }
}

fn complete(seen: &Seen<'_>, mut status: EtcdBackupStatus, report: Option<&Value>) -> Decision {
    let spec = &seen.backup.spec;
    let namespace = seen.backup.namespace().unwrap_or_default();
    let id = job::id(seen.backup);
    status.location = Some(worker::location(&spec.store, &namespace, &spec.cluster_name, &id));
    let Some(told) = report.map(|report| &report["backup"]) else {
        let message = "its Job says that it is complete, and its pod, which said more, is gone".to_owned();
        status.finished = Some(Time(seen.now));
        return say(seen, status, Phase::Completed, "Completed", message);
    };
    let number = |key: &str| told[key].as_i64();
    let time = |key: &str| told[key].as_str().and_then(|time| time.parse::<Timestamp>().ok()).map(Time);
    status.revision = number("revision");
    status.keys = number("keys");
    status.cluster_id = told["clusterId"].as_str().map(str::to_owned);
    status.sha256 = told["sha256"].as_str().map(str::to_owned);
    status.hash_kv = told["hash"]["hash"].as_i64();
    status.hash_compact_revision = told["hash"]["compactRevision"].as_i64();
    status.database_size = number("databaseBytes").map(quantity::shown);
    status.stored_size = number("storedBytes").map(quantity::shown);
    status.catalogue = report.and_then(catalogue);
    status.finished = time("finished").or(Some(Time(seen.now)));
    let seconds = |from: &Time, to: &Time| to.0.duration_since(from.0).as_secs();
    status.duration_seconds =
        status.started.as_ref().zip(status.finished.as_ref()).map(|(from, to)| seconds(from, to).max(0));
    let revision = status.revision.unwrap_or_default();
    let message = match report.and_then(|report| report["pruneTrouble"].as_str()) {
        None => format!("all up to revision {revision} is in the store, and was read back"),
        Some(trouble) => {
            format!(
                "all up to revision {revision} is in the store, and was read back; old backups could not be deleted: {trouble}"
            )
        }
    };
    say(seen, status, Phase::Completed, "Completed", message)
}

fn catalogue(report: &Value) -> Option<Catalogue> {
    let told = &report["catalogue"];
    Some(Catalogue {
        count: told["count"].as_i64()?,
        oldest: told["oldest"].as_str()?.to_owned(),
        stored_size: quantity::shown(told["storedBytes"].as_i64()?),
    })
}

fn say(seen: &Seen<'_>, mut status: EtcdBackupStatus, phase: Phase, reason: &str, message: String) -> Decision {
    let holds = match phase {
        Phase::Completed => "True",
        Phase::Failed => "False",
        Phase::Pending | Phase::Running => "Unknown",
    };
    let generation = seen.backup.metadata.generation;
    status.observed_generation = generation;
    status.phase = Some(phase);
    let told = told(&status.conditions, COMPLETE, (holds, reason, &message), generation, seen.now);
    status.conditions = vec![told];
    status.message = Some(message);
    Decision { act: Act::Nothing, status }
}

/// A condition, whose time changes only with what it says.
pub fn told(
    before: &[Condition],
    type_: &str,
    (status, reason, message): (&str, &str, &str),
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    let same = before.iter().find(|condition| condition.type_ == type_ && condition.status == status);
    Condition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: generation,
        last_transition_time: same.map_or(Time(now), |condition| condition.last_transition_time.clone()),
    }
}

#[cfg(test)]
#[path = "backup_test.rs"]
mod backup_test;
