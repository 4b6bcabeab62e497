//! A cluster's state in the order in which it is read.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt;
use quorate_operator::crd::condition;
use quorate_operator::crd::label;
use quorate_operator::crd::status::{MemberStatus, Phase, RecoveryStatus, Role, Step};
use quorate_operator::desired::name;
use quorate_operator::desired::pod::CONTAINER;
use serde::Serialize;

use super::certificate::{self, Certificate};
use crate::observe::{Found, Gauges};

/// Events that are shown.
const EVENTS: usize = 8;

/// Everything that `status` prints. Programs read it as JSON: fields are added, never renamed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub name: String,
    pub namespace: String,
    pub created: Option<Time>,
    pub phase: Option<Phase>,
    pub message: String,
    /// The operator has not seen the last change of the resource yet.
    pub is_behind: bool,
    /// Members that are wanted.
    pub replicas: i32,
    /// Voting members that serve, of those wanted.
    pub ready: String,
    pub leader: Option<String>,
    pub version: Option<String>,
    pub image: Option<String>,
    pub cluster_id: Option<String>,
    pub client_endpoint: Option<String>,
    pub client_secret: Option<String>,
    pub quota_bytes: Option<u64>,
    /// The last recovery from a lost quorum.
    pub recovery: Option<RecoveryStatus>,
    /// What the operator is doing.
    pub step: Option<Step>,
    /// Those that aren't fine.
    pub conditions: Vec<Condition>,
    pub members: Vec<Member>,
    pub certificates: Vec<Certificate>,
    /// Volumes of members that are gone.
    pub unused_volumes: Vec<Volume>,
    /// The last ones, oldest first.
    pub events: Vec<Happened>,
    /// What this report lacks, and why.
    pub notes: Vec<String>,
    pub now: Time,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Member {
    pub name: String,
    pub id: Option<String>,
    pub role: Option<Role>,
    pub ready: bool,
    pub version: Option<String>,
    /// Rounded by the operator, unless the member could be asked.
    pub database_size: Option<String>,
    pub database_bytes: Option<u64>,
    /// Entries of the log that the cluster has agreed on and this member hasn't applied. Rounded down to a power of ten by the
    /// operator, unless the member could be asked.
    pub lag: Option<u64>,
    pub node: Option<String>,
    pub restarts: Option<i32>,
    pub volume: Option<Volume>,
    /// What stands in its way, or where it is going.
    pub message: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    pub name: String,
    pub phase: String,
    pub size: Option<String>,
    /// Asked for, while it isn't what there is.
    pub wanted_size: Option<String>,
    pub created: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Happened {
    pub time: Option<Time>,
    #[serde(rename = "type")]
    pub type_: String,
    pub object: String,
    pub reason: String,
    pub message: String,
    pub count: i32,
}

pub fn report(found: &Found) -> Report {
    let Found { cluster, members: _, pods: _, volumes: _, secrets, events, gauges, notes, now } = found;
    let status = cluster.status.clone().unwrap_or_default();
    let unseen = cluster.metadata.generation > status.observed_generation;
    let message = status.message.unwrap_or_else(|| "no operator has looked at it yet; is one running?".to_owned());
    let mut certificates: Vec<Certificate> = secrets.iter().filter_map(certificate::of).collect();
    certificates.sort_by(|one, other| one.secret.cmp(&other.secret));
    Report {
        name: cluster.name_any(),
        namespace: cluster.namespace().unwrap_or_default(),
        created: cluster.metadata.creation_timestamp.clone(),
        phase: status.phase,
        message,
        is_behind: status.phase.is_some() && unseen,
        replicas: cluster.spec.replicas,
        ready: status.ready.unwrap_or_else(|| format!("0/{}", cluster.spec.replicas)),
        leader: status.leader,
        version: status.version,
        image: status.image,
        cluster_id: status.cluster_id,
        client_endpoint: status.client_endpoint,
        client_secret: status.client_secret,
        quota_bytes: gauges.values().filter_map(|gauges| gauges.quota_bytes).max(),
        recovery: status.recovery,
        step: status.step,
        conditions: status.conditions.into_iter().filter(|condition| !is_fine(condition)).collect(),
        members: members(found, status.members),
        certificates,
        unused_volumes: unused(found),
        events: last_events(found, events),
        notes: notes.clone(),
        now: Time(*now),
    }
}

/// At rest, what is bad is false and what is good is true. Being on the way is neither.
fn is_fine(found: &Condition) -> bool {
    match found.type_.as_str() {
        condition::PROGRESSING => true,
        condition::DEGRADED => found.status == "False",
        _ => found.status == "True",
    }
}

/// Those that the operator speaks of, and those whose record is newer than its word.
fn members(found: &Found, mut told: Vec<MemberStatus>) -> Vec<Member> {
    for record in &found.members {
        if told.iter().all(|status| status.name != record.name_any()) {
            told.push(MemberStatus { name: record.name_any(), id: record.spec.id.clone(), ..MemberStatus::default() });
        }
    }
    let committed = found.gauges.values().filter_map(|gauges| gauges.committed).max();
    told.into_iter().map(|status| member(found, status, committed)).collect()
}

fn member(found: &Found, status: MemberStatus, committed: Option<u64>) -> Member {
    let name = status.name;
    let record = found.members.iter().find(|record| record.name_any() == name);
    let leaves = record.and_then(|record| record.spec.leaves);
    let gauges = found.gauges.get(&name).copied().unwrap_or_default();
    let Gauges { applied, database_bytes, .. } = gauges;
    let volume = found.volumes.iter().find(|claim| claim.name_any() == name::volume(&name));
    Member {
        restarts: found.pods.iter().find(|pod| pod.name_any() == name).and_then(restarts),
        volume: volume.map(describe),
        lag: committed
            .zip(applied)
            .map(|(committed, applied)| committed.saturating_sub(applied))
            .or_else(|| status.lag?.try_into().ok()),
        message: status.message.or_else(|| leaves.map(|why| format!("is to leave ({why:?})"))),
        name,
        id: status.id,
        role: status.role,
        ready: status.ready,
        version: status.version,
        database_size: status.database_size,
        database_bytes,
        node: status.node,
    }
}

fn restarts(pod: &Pod) -> Option<i32> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    containers.iter().find(|container| container.name == CONTAINER).map(|container| container.restart_count)
}

fn describe(claim: &PersistentVolumeClaim) -> Volume {
    let status = claim.status.as_ref();
    let size = status.and_then(|status| Some(status.capacity.as_ref()?.get("storage")?.0.clone()));
    let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
    let wanted = requests.and_then(|requests| Some(requests.get("storage")?.0.clone()));
    Volume {
        name: claim.name_any(),
        phase: status.and_then(|status| status.phase.clone()).unwrap_or_default(),
        wanted_size: wanted.filter(|wanted| size.as_ref() != Some(wanted)),
        size,
        created: claim.metadata.creation_timestamp.clone(),
    }
}

/// Volumes whose member has no record any more. Without the records nothing is known of that.
fn unused(found: &Found) -> Vec<Volume> {
    let used: BTreeSet<String> = found.members.iter().map(|record| name::volume(&record.name_any())).collect();
    let hides_members =
        found.members.is_empty() && found.cluster.status.as_ref().is_some_and(|status| !status.members.is_empty());
    if hides_members {
        return Vec::new();
    }
    let is_ours = |claim: &&PersistentVolumeClaim| {
        claim.labels().contains_key(label::MEMBER) && !used.contains(&claim.name_any())
    };
    found.volumes.iter().filter(is_ours).map(describe).collect()
}

fn last_events(found: &Found, events: &[Event]) -> Vec<Happened> {
    let cluster = found.cluster.name_any();
    let members: BTreeSet<String> = found.members.iter().map(ResourceExt::name_any).collect();
    let volumes: BTreeSet<String> = found.volumes.iter().map(ResourceExt::name_any).collect();
    let is_ours = |event: &&Event| {
        let object = &event.involved_object;
        let name = object.name.clone().unwrap_or_default();
        match object.kind.as_deref() {
            Some("EtcdCluster") => name == cluster,
            Some("EtcdMember" | "Pod") => members.contains(&name),
            Some("PersistentVolumeClaim") => volumes.contains(&name),
            _ => false,
        }
    };
    let mut ours: Vec<&Event> = events.iter().filter(is_ours).collect();
    ours.sort_by_key(|event| time_of(event));
    ours.split_off(ours.len().saturating_sub(EVENTS)).into_iter().map(happened).collect()
}

/// Both generations of the events API are in one list, each with its own fields for time and count.
fn time_of(event: &Event) -> Option<Timestamp> {
    let series = event.series.as_ref().and_then(|series| series.last_observed_time.as_ref()).map(|time| time.0);
    let last = event.last_timestamp.as_ref().map(|time| time.0);
    let once = event.event_time.as_ref().map(|time| time.0);
    let created = event.metadata.creation_timestamp.as_ref().map(|time| time.0);
    series.or(last).or(once).or(created)
}

fn happened(event: &Event) -> Happened {
    let object = &event.involved_object;
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    Happened {
        time: time_of(event).map(Time),
        type_: text(&event.type_),
        object: format!("{}/{}", text(&object.kind), text(&object.name)),
        reason: text(&event.reason),
        message: text(&event.message).trim().to_owned(),
        count: event.series.as_ref().and_then(|series| series.count).or(event.count).unwrap_or(1),
    }
}
