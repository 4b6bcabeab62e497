//! Members that will not come back: judged by evidence, and dismissed only while the others have a quorum without them.

use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;

use super::step::{Decision, Situation, Step};
use super::{quorum, roll};
use crate::crd::condition::Reason;
use crate::crd::member::{Begins, Leaves};
use crate::crd::repair::Auto;
use crate::crd::status::Phase;
use crate::observe::{Member, Row, View, World, pod};

/// What a member says at its end when its data is gone or can't be used; see the server's page on reasons to stop.
const DATA_LOST: [&str; 5] = [
    "a part of the data folder is gone",
    "the log of this member can't be used",
    "the store of this member can't be used",
    "has already been bootstrapped",
    "has been permanently removed from the cluster",
];

/// What it says too when nothing is wrong with its data: there is only no room to open it.
const FULL: &str = "No space left on device";

pub fn delete_pod(pod: &Pod) -> Step {
    let metadata = &pod.metadata;
    Step::DeletePod { pod: metadata.name.clone().unwrap_or_default(), uid: metadata.uid.clone().unwrap_or_default() }
}

/// A pod that has ended (evicted, or its node shut down) never runs again; its member's data is in the volume.
pub fn ended_pod(world: &World) -> Option<Decision> {
    let mut pods = world.members.iter().filter_map(|member| member.pod.as_ref());
    let pod = pods.find(|found| !pod::is_leaving(found) && pod::has_ended(found))?;
    let name = pod.metadata.name.clone().unwrap_or_default();
    let message = format!("the pod of {name} has ended, and another takes its place");
    Some(Situation::new(Phase::Degraded, Reason::MembersMissing, message).with(delete_pod(pod)))
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
            (None, _) | (_, Auto::Disabled) | (Some(Verdict::Gone(_)), Auto::DataLoss) => continue,
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

/// Why there is no use in waiting for a member to catch up.
pub fn lost_data(world: &World, view: &View, member: &Member, row: &Row) -> Option<String> {
    match judge(world, view, member, row)? {
        Verdict::DataLost(why) => Some(why),
        // While it copies the others' data it need not serve anybody.
        Verdict::Gone(_) => None,
    }
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
    if !world.has_volumes() && has_joined && member.pod.is_none() {
        return Some(Verdict::DataLost("its memory went with its pod".to_owned()));
    }
    let pod = member.pod.as_ref()?;
    if let Some(said) = pod::last_words(pod)
        && DATA_LOST.iter().any(|loss| said.contains(loss))
        && !said.contains(FULL)
    {
        return Some(Verdict::DataLost(pod::last_line(&said)));
    }
    let limit = SignedDuration::from_secs(world.cluster.spec.repair.member_unreachable_after_seconds);
    let (since, what) = if has_joined && let Some(since) = pod::bound_elsewhere_since(pod) {
        (since, "the node that its volume is bound to takes no pods")
    } else {
        (pod::unready_since(pod).filter(|_| pod::has_run(pod))?, "it isn't reached")
    };
    if pod::crashes(pod) && roll::is_trial(world, member) {
        return None;
    }
    (world.now.duration_since(since) > limit).then(|| Verdict::Gone(format!("{what} since {since}")))
}
