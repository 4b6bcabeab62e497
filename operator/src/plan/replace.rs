//! Members that will not come back: judged by evidence, and dismissed only while the others have a quorum without them.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::quorum;
use super::step::{Decision, Situation, Step};
use crate::crd::condition::Reason;
use crate::crd::member::{Begins, Leaves};
use crate::crd::repair::Auto;
use crate::crd::status::Phase;
use crate::desired::pod::CONTAINER;
use crate::observe::{Member, Row, View, World};

/// What a member says at its end when its data is gone or can't be used; see the server's page on reasons to stop.
const DATA_LOST: [&str; 5] = [
    "a part of the data folder is gone",
    "the log of this member can't be used",
    "the store of this member can't be used",
    "has already been bootstrapped",
    "has been permanently removed from the cluster",
];

/// After the time that a pod has to end by itself, its node is taken for gone.
const NODE_PATIENCE: SignedDuration = SignedDuration::from_secs(30);

pub fn delete_pod(pod: &Pod) -> Step {
    let metadata = &pod.metadata;
    Step::DeletePod { pod: metadata.name.clone().unwrap_or_default(), uid: metadata.uid.clone().unwrap_or_default() }
}

/// A pod that has ended (evicted, or its node shut down) never runs again; its member's data is in the volume.
pub fn ended_pod(world: &World) -> Option<Decision> {
    let pod = world.members.iter().filter_map(|member| member.pod.as_ref()).find(|pod| {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        pod.metadata.deletion_timestamp.is_none() && matches!(phase, Some("Failed" | "Succeeded"))
    })?;
    let name = pod.metadata.name.clone().unwrap_or_default();
    let message = format!("the pod of {name} has ended, and another takes its place");
    Some(Situation::new(Phase::Degraded, Reason::MembersMissing, message).with(delete_pod(pod)))
}

/// Its time to end is long over: the node is gone, and membership itself is the fence.
pub fn is_out_of_reach(pod: &Pod, now: Timestamp) -> bool {
    let Some(deleted) = &pod.metadata.deletion_timestamp else { return false };
    // Kubernetes sets this time to when the pod should be gone.
    now.duration_since(deleted.0) > NODE_PATIENCE
}

/// Why a member is given up.
enum Verdict {
    DataLost(String),
    Gone(String),
}

pub fn dismiss_broken(world: &World, view: &View) -> Option<Decision> {
    let auto = world.cluster.spec.repair.auto;
    let mut held_back = None;
    for (member, row) in world.members.iter().filter_map(|member| Some((member, member.row(&view.rows)?))) {
        let why = match (judge(world, view, member, row), auto) {
            (None, _) | (_, Auto::Off) | (Some(Verdict::Gone(_)), Auto::DataLoss) => continue,
            (Some(Verdict::DataLost(why)), Auto::DataLoss | Auto::All) => why,
            (Some(Verdict::Gone(why)), Auto::All) => why,
        };
        let name = member.name();
        // Of two voters, the one that is left can't know whether it has everything.
        let is_pair = view.voters().count() == 2 && !row.is_learner;
        if is_pair || !quorum::can_remove(view, row.id) {
            let message =
                format!("{name} is broken ({why}), and can't be replaced while the others have no quorum without it");
            held_back = Some(Situation::new(Phase::Degraded, Reason::Replacing, message).waiting());
            continue;
        }
        let message = format!("{name} is given up ({why}), and another takes its place");
        let step = Step::Dismiss { member: name, why: Leaves::Replaced };
        return Some(Situation::new(Phase::Changing, Reason::Replacing, message).with(step));
    }
    held_back
}

fn judge(world: &World, view: &View, member: &Member, row: &Row) -> Option<Verdict> {
    if view.is_ready(row.id) {
        return None;
    }
    let has_joined = member.object.spec.begins == Begins::Joined;
    if world.has_volumes() && has_joined {
        match &member.volume {
            None => return Some(Verdict::DataLost("its volume is gone".to_owned())),
            Some(volume) if volume.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Lost") => {
                return Some(Verdict::DataLost("its volume is lost".to_owned()));
            }
            Some(_) => {}
        }
    }
    let pod = member.pod.as_ref()?;
    if let Some(said) = container(pod).and_then(last_words)
        && DATA_LOST.iter().any(|loss| said.contains(loss))
    {
        return Some(Verdict::DataLost(first_line(&said)));
    }
    if !world.has_volumes()
        && has_joined
        && container(pod).is_some_and(|status| {
            status.restart_count > 0 && status.state.as_ref().is_some_and(|state| state.waiting.is_some())
        })
    {
        return Some(Verdict::DataLost("its memory went with its container".to_owned()));
    }
    let limit = SignedDuration::from_secs(world.cluster.spec.repair.member_unreachable_after_seconds);
    let silent_since = unready_since(pod)?;
    (has_run(pod) && world.now.duration_since(silent_since) > limit)
        .then(|| Verdict::Gone(format!("not reached since {silent_since}")))
}

fn container(pod: &Pod) -> Option<&ContainerStatus> {
    pod.status.as_ref()?.container_statuses.as_ref()?.iter().find(|status| status.name == CONTAINER)
}

/// What the container said when it ended last, if it has not served since.
fn last_words(status: &ContainerStatus) -> Option<String> {
    let ended = |state: &Option<k8s_openapi::api::core::v1::ContainerState>| {
        state.as_ref().and_then(|state| state.terminated.as_ref()?.message.clone())
    };
    if status.ready { None } else { ended(&status.state).or_else(|| ended(&status.last_state)) }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(200).collect()
}

/// A pod that was never scheduled, can't pull its image or can't mount says nothing about its member's data.
fn has_run(pod: &Pod) -> bool {
    container(pod).is_some_and(|status| {
        let waits = status.state.as_ref().is_some_and(|state| state.waiting.is_some());
        !waits && status.started.is_some()
    })
}

fn unready_since(pod: &Pod) -> Option<Timestamp> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    (ready.status != "True").then(|| ready.last_transition_time.as_ref().map(|time| time.0))?
}
