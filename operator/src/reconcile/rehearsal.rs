//! Rehearsals of a schedule: the cluster that a backup is restored into, and what its member says.

use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::Api;

use super::{Context, Error};
use crate::act;
use crate::certificates::keep;
use crate::crd::backup::EtcdBackup;
use crate::crd::rehearsal::{RehearsalPhase, RehearsalStatus};
use crate::crd::schedule::EtcdBackupSchedule;
use crate::crd::{EtcdCluster, condition};
use crate::desired;
use crate::etcd_client::Client;
use crate::observe::kubernetes;
use crate::plan::rehearsal::{self, Decision, Seen};
use crate::plan::schedule;

/// Returns how it is, and when to look again if that is sooner than otherwise.
pub async fn rehearse(
    schedule: &EtcdBackupSchedule,
    cluster: Option<&EtcdCluster>,
    backups: &[EtcdBackup],
    context: &Context,
) -> Result<(Option<RehearsalStatus>, Option<Duration>), Error> {
    let before = schedule.status.as_ref().and_then(|status| status.rehearsal.clone());
    if schedule.spec.rehearsal.is_none() && before.is_none() {
        return Ok((None, None));
    }
    let namespace = schedule.namespace().unwrap_or_default();
    let clusters: Api<EtcdCluster> = Api::namespaced(context.client.clone(), &namespace);
    let name = desired::rehearsal::name(schedule);
    let found = clusters.get_opt(&name).await?;
    let uid = schedule.uid();
    let is_ours = |found: &EtcdCluster| found.owner_references().iter().any(|owner| Some(&owner.uid) == uid.as_ref());
    if found.as_ref().is_some_and(|found| !is_ours(found)) {
        tracing::warn!(cluster = name, "there is a cluster of this name already, and no rehearsal");
        return Ok((before, None));
    }
    let is_running = before.as_ref().is_some_and(|before| before.phase == RehearsalPhase::Running);
    let rehearsed_backup = before.as_ref().filter(|_| is_running).map(|before| before.backup.as_str());
    let backup = match rehearsed_backup {
        Some(name) => backups.iter().find(|backup| backup.name_any() == name),
        None => rehearsal::newest(backups),
    };
    let hash = match (&found, backup) {
        (Some(found), Some(backup)) if is_running => hash(found, backup, context).await?,
        _ => None,
    };
    let now = Timestamp::now();
    let due = schedule::rehearsal_due(schedule, now);
    let rehearsed = found.as_ref();
    let Decision { create, delete, status, wait } =
        rehearsal::next(&Seen { schedule, cluster, backup, rehearsed, hash, due, now });
    if let Some(found) = found.filter(|found| delete && found.metadata.deletion_timestamp.is_none()) {
        let uid = found.uid().unwrap_or_default();
        act::delete::<EtcdCluster>(&context.client, &namespace, &name, &uid).await?;
    }
    if let Some(create) = create {
        act::ensure(&context.client, &namespace, create.as_ref()).await?;
    }
    Ok((status, wait))
}

/// What the restored cluster says of its keys, as soon as it serves.
async fn hash(
    cluster: &EtcdCluster,
    backup: &EtcdBackup,
    context: &Context,
) -> Result<Option<Result<i64, String>>, Error> {
    let conditions = cluster.status.iter().flat_map(|status| &status.conditions);
    let mut available = conditions.filter(|one| one.type_ == condition::AVAILABLE && one.status == "True");
    let Some(status) = backup.status.as_ref().filter(|_| available.next().is_some()) else { return Ok(None) };
    let Some((cluster, objects)) = kubernetes::read(&context.client, cluster).await? else { return Ok(None) };
    let secrets = context.secrets.of(&context.client, &cluster, true).await?;
    let tls = keep::client_tls(&cluster, &secrets)?;
    let targets = kubernetes::targets(&objects.members);
    let Some(target) = targets.first() else { return Ok(None) };
    let asked = async {
        let client = Client::connect(target, tls).await?;
        let compacted = status.hash_compact_revision.unwrap_or_default();
        client.hash_kv(status.revision.unwrap_or_default(), compacted).await
    };
    Ok(Some(asked.await.map_err(|error| act::sentence(&error))))
}
