//! What users are told of it: pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;

use crate::crd::condition::{self, Reason};
use crate::crd::member::Begins;
use crate::crd::status::{EtcdClusterStatus, MemberStatus, Phase, RecoveryStatus, RestoredStatus, Role, Step};
use crate::crd::tls::Mode;
use crate::crd::{EtcdCluster, label};
use crate::desired::name;
use crate::observe::etcd::quorum;
use crate::observe::{Etcd, Member, View, World, pod};
use crate::plan::{Decision, migrate, version};

/// The status after a decision. Times change only with what they are about, so that a cluster at rest is written once.
pub fn of(world: &World, decision: &Decision) -> EtcdClusterStatus {
    let cluster = &world.cluster;
    let before = cluster.status.clone().unwrap_or_default();
    let view = match &world.etcd {
        Etcd::Seen(view) => Some(view),
        Etcd::Nobody | Etcd::Silent(_) => None,
    };
    let ready = view.map_or(0, |view| world.own_voters(view).filter(|row| view.is_ready(row.id)).count());
    let name = cluster.name_any();
    let namespace = cluster.namespace().unwrap_or_default();
    let tls = cluster.spec.tls.client.mode;
    EtcdClusterStatus {
        observed_generation: cluster.metadata.generation,
        phase: Some(decision.situation.phase),
        message: Some(decision.situation.message.clone()),
        ready: Some(format!("{ready}/{}", world.wanted())),
        replicas: count(world.members.iter().filter(|member| member.pod.is_some()).count()),
        ready_replicas: count(ready),
        voters: view.map_or(before.voters, |view| count(view.voters().count())),
        selector: Some(format!("{}={name}", label::CLUSTER)),
        cluster_id: match (&world.order, view) {
            // The old one stays until there is a new one.
            (Some(_), Some(view)) => Some(format!("{:x}", view.cluster_id)),
            _ => before.cluster_id.clone().or_else(|| Some(format!("{:x}", view?.cluster_id))),
        },
        restored: restored(world).or_else(|| before.restored.clone()),
        migration: migrate::status(world),
        leader: view.and_then(|view| view.row(view.leader())).map(|row| row.name.clone()),
        version: view.and_then(oldest_version).or_else(|| before.version.clone()),
        image: Some(version::choose(world).image),
        database_size: view
            .and_then(|view| view.answers.values().map(|answer| answer.database_bytes).max())
            .map(rounded),
        client_endpoint: Some(format!(
            "{}://{}.{namespace}.svc:{}",
            name::scheme(tls),
            name::client(&name),
            name::CLIENT_PORT
        )),
        client_secret: (tls != Mode::Disabled).then(|| name::client_secret(&name)),
        members: world.members.iter().map(|member| of_member(member, view, world.now)).collect(),
        certificates: world.certificates.list.clone(),
        recovery: recovery(world, before.recovery.as_ref()),
        auth: world.auth.as_ref().map(|auth| auth.status.clone()).or_else(|| before.auth.clone()),
        step: step(decision, &before, world.now),
        conditions: conditions(world, decision, view, &before),
    }
}

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn oldest_version(view: &View) -> Option<String> {
    let numbers =
        |version: &str| version.split('.').map(|part| part.parse::<u64>().unwrap_or_default()).collect::<Vec<_>>();
    view.answers.values().map(|answer| answer.version.clone()).min_by_key(|version| numbers(version))
}

/// To a sixteenth of its power of two, or 16 MiB: a size that changes with every write would be written with every write.
fn rounded(bytes: i64) -> String {
    const MIB: i64 = 1 << 20;
    let mib = (bytes / MIB).max(0);
    let grain = (((mib + 1).ilog2() as i64 - 4).max(4)) as u32;
    let rounded = (mib >> grain) << grain;
    if rounded == 0 { "<16Mi".to_owned() } else { format!("{rounded}Mi") }
}

fn of_member(member: &Member, view: Option<&View>, now: Timestamp) -> MemberStatus {
    let row = view.and_then(|view| member.row(&view.rows));
    let answer = row.and_then(|row| view?.answers.get(&row.id));
    let role = row.and_then(|row| {
        let view = view?;
        Some(match row {
            row if row.is_learner => Role::Learner,
            row if view.leader() == row.id => Role::Leader,
            _ => Role::Follower,
        })
    });
    MemberStatus {
        name: member.name(),
        id: member.object.spec.id.clone(),
        role,
        ready: row.is_some_and(|row| view.is_some_and(|view| view.is_ready(row.id))),
        version: answer.map(|answer| answer.version.clone()),
        database_size: answer.map(|answer| rounded(answer.database_bytes)),
        lag: row.and_then(|row| lag(view?, row.id)),
        node: member.pod.as_ref().and_then(|pod| pod.spec.as_ref()?.node_name.clone()),
        message: member.obstacle(now),
    }
}

/// As the container said that fetched the data.
fn restored(world: &World) -> Option<RestoredStatus> {
    let said = world.members.iter().filter_map(|member| member.pod.as_ref()).find_map(pod::fetched)?;
    let report: serde_json::Value = said.lines().rev().find_map(|line| serde_json::from_str(line).ok())?;
    serde_json::from_value(report.get("restored")?.clone()).ok()
}

/// Counted before the survivor serves again, so that a consent is spent before it could be used twice.
fn recovery(world: &World, before: Option<&RecoveryStatus>) -> Option<RecoveryStatus> {
    let survivor = world.members.iter().find(|member| member.object.spec.begins == Begins::Recovering);
    match (survivor, before) {
        (Some(survivor), before) if before.is_none_or(|before| before.is_done) => Some(RecoveryStatus {
            number: before.map_or(0, |before| before.number) + 1,
            survivor: survivor.name(),
            started: Time(world.now),
            is_done: false,
        }),
        (survivor, before) => before.map(|before| RecoveryStatus { is_done: survivor.is_none(), ..before.clone() }),
    }
}

fn lag(view: &View, id: u64) -> Option<i64> {
    let applied = |id: u64| view.answers.get(&id).map(|answer| answer.applied);
    let behind = applied(view.leader())?.saturating_sub(applied(id)?);
    let rounded = if behind < 1000 { 0 } else { 10u64.pow(behind.ilog10()) };
    i64::try_from(rounded).ok()
}

fn step(decision: &Decision, before: &EtcdClusterStatus, now: Timestamp) -> Option<Step> {
    let next = decision.step.as_ref()?;
    let kind = next.kind().to_owned();
    let reason = decision.situation.message.clone();
    let same = before.step.as_ref().filter(|step| step.kind == kind && step.reason == reason);
    Some(Step { since: same.map_or(Time(now), |step| step.since.clone()), kind, member: None, reason })
}

fn conditions(world: &World, decision: &Decision, view: Option<&View>, before: &EtcdClusterStatus) -> Vec<Condition> {
    let situation = &decision.situation;
    let (ready, voters) = view.map_or((0, 0), |view| (view.ready_voters().len(), view.voters().count()));
    // Clients are sent to pods that Kubernetes has found ready.
    let has_endpoint = world.members.iter().filter_map(|member| member.pod.as_ref()).any(pod::is_ready);
    let serves = voters > 0 && ready >= quorum(voters) && has_endpoint && !migrate::is_under_way(&world.cluster);
    let own = view.map_or(0, |view| world.own_voters(view).filter(|row| view.is_ready(row.id)).count());
    let lacks_members = world.wanted() > 0 && own < world.wanted();
    let alarm = matches!(situation.reason, Reason::NoSpace | Reason::Corrupt | Reason::VolumesLeaving);
    let spare = ready > quorum(voters);
    let changing = matches!(situation.phase, Phase::Forming | Phase::Changing);
    let spare_reason = match (spare, voters) {
        (true, _) => Reason::AsWanted,
        (false, 1) => Reason::SingleMember,
        (false, _) => Reason::NoSpareMember,
    };
    let serving_reason = match situation.reason {
        _ if serves => Reason::AsWanted,
        Reason::AsWanted => Reason::MembersMissing,
        reason => reason,
    };
    let degraded_reason = match (lacks_members, alarm) {
        (true, _) => Reason::MembersMissing,
        (false, true) => situation.reason,
        (false, false) => Reason::AsWanted,
    };
    let message = situation.message.as_str();
    let (tls, tls_reason, tls_message) = of_certificates(world);
    let auth = of_auth(world, before);
    let auth = auth.as_ref().map(|(holds, reason, message)| (condition::AUTH_READY, *holds, *reason, message.as_str()));
    let mut conditions: Vec<Condition> = [
        (condition::AVAILABLE, serves, serving_reason, message),
        (condition::PROGRESSING, changing, situation.reason, message),
        (condition::DEGRADED, lacks_members || alarm, degraded_reason, message),
        (condition::QUORUM_HEALTHY, spare, spare_reason, message),
        (condition::TLS_READY, tls, tls_reason, &tls_message),
    ]
    .into_iter()
    .chain(auth)
    .map(|(type_, holds, reason, message)| {
        let status = if holds { "True" } else { "False" };
        let same = before.conditions.iter().find(|condition| condition.type_ == type_ && condition.status == status);
        Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.text().to_owned(),
            message: message.to_owned(),
            observed_generation: world.cluster.metadata.generation,
            last_transition_time: same.map_or(Time(world.now), |condition| condition.last_transition_time.clone()),
        }
    })
    .collect();
    // As it was, while there was no reason to look.
    let is_told = conditions.iter().any(|condition| condition.type_ == condition::AUTH_READY);
    let kept = before.conditions.iter().filter(|condition| !is_told && condition.type_ == condition::AUTH_READY);
    conditions.extend(kept.cloned());
    conditions
}

/// `None`: nothing new, or nothing at all.
fn of_auth(world: &World, before: &EtcdClusterStatus) -> Option<(bool, Reason, String)> {
    if let Some(auth) = &world.auth {
        return Some((auth.is_ready, auth.reason, auth.message.clone()));
    }
    let is_new = before.observed_generation != world.cluster.metadata.generation
        || !before.conditions.iter().any(|condition| condition.type_ == condition::AUTH_READY);
    let waits = world.cluster.spec.auth.enabled && is_new;
    waits.then(|| (false, Reason::AuthPending, "users and roles are looked at when a quorum answers".to_owned()))
}

fn of_certificates(world: &World) -> (bool, Reason, String) {
    let certificates = &world.certificates;
    if let Some(trouble) = &certificates.trouble {
        return (false, Reason::CertificatesPending, trouble.clone());
    }
    if let Some((what, _)) = &certificates.exchange {
        return (true, Reason::CertificatesChanging, what.clone());
    }
    match certificates.list.iter().map(|one| &one.not_after).min() {
        None => (true, Reason::TlsOff, "spec.tls asks for plain text".to_owned()),
        Some(end) => (true, Reason::CertificatesValid, format!("the first certificate ends at {end}")),
    }
}

/// The status before, with what kept the operator from finding out more; `unknown`: what was known has become old by it.
pub fn of_failure(cluster: &EtcdCluster, words: &str, unknown: bool, now: Timestamp) -> EtcdClusterStatus {
    let mut status = cluster.status.clone().unwrap_or_default();
    status.observed_generation = cluster.metadata.generation;
    status.message = Some(words.to_owned());
    status.phase = status.phase.or(Some(Phase::Forming));
    let known: Vec<String> = status.conditions.iter().map(|condition| condition.type_.clone()).collect();
    let failed = known.into_iter().filter(|type_| unknown && type_ != condition::PROGRESSING);
    let failed: Vec<_> =
        failed.map(|type_| (type_, "Unknown")).chain([(condition::PROGRESSING.to_owned(), "False")]).collect();
    for (type_, holds) in failed {
        let before = status.conditions.iter().find(|condition| condition.type_ == type_ && condition.status == holds);
        let condition = Condition {
            last_transition_time: before.map_or(Time(now), |before| before.last_transition_time.clone()),
            type_,
            status: holds.to_owned(),
            reason: Reason::Failing.text().to_owned(),
            message: words.to_owned(),
            observed_generation: cluster.metadata.generation,
        };
        match status.conditions.iter_mut().find(|found| found.type_ == condition.type_) {
            Some(found) => *found = condition,
            None => status.conditions.push(condition),
        }
    }
    status
}

#[cfg(test)]
#[path = "status_test.rs"]
mod status_test;
