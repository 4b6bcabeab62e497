//! A quorum is gone for good. Nothing is guessed: the user quotes the cluster's id, and then the survivor with the most of the log starts
//! a cluster of itself alone from its data; the others are made anew.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;

use super::replace::delete_pod;
use super::step::{Decision, Situation, Step};
use crate::crd::condition::{self, Reason};
use crate::crd::member::Begins;
use crate::crd::status::Phase;
use crate::desired;
use crate::observe::{Answer, Member, View, World, pod};

/// A quorum that was away for less may come back by itself.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);

fn recovering(message: String) -> Situation {
    Situation::new(Phase::Changing, Reason::Recovering, message)
}

/// What `spec.recovery.consent` has to say: the cluster's id, and a number that makes each consent good for once.
fn consent(world: &World) -> Option<String> {
    let before = world.cluster.status.as_ref()?.recovery.as_ref().map_or(0, |recovery| recovery.number);
    Some(format!("{:x}-{}", world.cluster_id()?, before + 1))
}

/// The user has consented to a recovery that did not take place yet.
pub fn has_consent(world: &World) -> bool {
    let given = world.cluster.spec.recovery.as_ref().map(|recovery| recovery.consent.clone());
    given.is_some() && given == consent(world)
}

/// What a user can do.
pub fn advice(world: &World) -> String {
    if world.is_spanning() {
        return "Members elsewhere may have more: if a quorum is lost for good, start one member by hand with --force-new-cluster".to_owned();
    }
    if !world.has_volumes() {
        return "With storage.medium Memory nothing can be recovered from them; make the cluster anew, from a backup"
            .to_owned();
    }
    let voters = world.cluster.status.as_ref().map_or(0, |status| status.voters);
    if world.members.len() == 1 && voters == 1 {
        return "There is no other member that could take over: bring this one back, or begin another cluster with a backup"
            .to_owned();
    }
    let Some(consent) = consent(world) else { return String::new() };
    let given = world.cluster.spec.recovery.as_ref().filter(|recovery| recovery.consent != consent);
    let other =
        given.map(|given| format!(" (it says {:?}, which is none or was used)", given.consent)).unwrap_or_default();
    format!(
        "If members are lost for good, set spec.recovery.consent to {consent:?}{other}: the survivor with the most of the log starts a \
         new cluster, and what only the others had is lost"
    )
}

/// The next step of a recovery that was consented to, or is under way.
pub fn next(world: &World, answers: &BTreeMap<u64, Answer>) -> Option<Decision> {
    if let Some(survivor) = world.members.iter().find(|member| member.object.spec.begins == Begins::Recovering) {
        return Some(restart(world, survivor));
    }
    if world.is_spanning() || !has_consent(world) || !world.has_volumes() || !has_been_away(world) {
        return None;
    }
    let named = world.cluster.spec.recovery.as_ref()?.survivor.as_ref();
    let survivor = match named {
        Some(name) => world.members.iter().find(|member| member.name() == *name && member.volume.is_some()),
        None => most_advanced(world, answers),
    };
    let Some(survivor) = survivor else {
        let message = match named {
            Some(name) => format!("spec.recovery.survivor: {name} is no member with a volume"),
            None => "no member answers, so that none can be said to have the most; name one as spec.recovery.survivor"
                .to_owned(),
        };
        return Some(Situation::new(Phase::Unavailable, Reason::QuorumLost, message).waiting());
    };
    let name = survivor.name();
    let message = format!("{name} has the most of the log, and is to start a new cluster from it");
    Some(recovering(message).with(Step::Elect { member: name }))
}

fn has_been_away(world: &World) -> bool {
    let conditions = world.cluster.status.iter().flat_map(|status| &status.conditions);
    let mut since = conditions
        .filter(|condition| condition.type_ == condition::AVAILABLE && condition.status == "False")
        .map(|condition| condition.last_transition_time.0);
    since.any(|since: Timestamp| world.now.duration_since(since) >= PATIENCE)
}

fn most_advanced<'a>(world: &'a World, answers: &BTreeMap<u64, Answer>) -> Option<&'a Member> {
    let candidates = world.members.iter().filter_map(|member| {
        let answer = answers.get(&member.id()?).filter(|answer| !answer.is_learner)?;
        Some((answer, member))
    });
    candidates.max_by_key(|(answer, _)| (answer.term, answer.index)).map(|(_, member)| member)
}

/// The others must not run: two of them could agree on something without the survivor.
fn restart(world: &World, survivor: &Member) -> Decision {
    let name = survivor.name();
    let situation = |what: &str| recovering(format!("{name} starts a new cluster from its data: {what}"));
    let others =
        || world.members.iter().filter(|member| member.name() != name).filter_map(|member| member.pod.as_ref());
    if let Some(other) = others().find(|other| !pod::is_leaving(other)) {
        return situation(&format!("{} stops", other.name_any())).with(delete_pod(other));
    }
    if others().any(|other| !pod::is_out_of_reach(other, world.now)) {
        return situation("waiting for the others to stop").waiting();
    }
    match &survivor.pod {
        Some(own) if !desired::pod::is_forced(own) && !pod::is_leaving(own) => {
            situation("it restarts").with(delete_pod(own))
        }
        _ => situation("waiting for it to serve").waiting(),
    }
}

/// The survivor serves alone, and must never do it again: its pod is made anew without the flag before another member joins.
pub fn unforce(world: &World, _: &View) -> Option<Decision> {
    let forced =
        world.members.iter().filter_map(|member| member.pod.as_ref()).find(|pod| desired::pod::is_forced(pod))?;
    let situation = recovering(format!("{} serves alone, and restarts as a usual member", forced.name_any()));
    Some(if pod::is_leaving(forced) { situation.waiting() } else { situation.with(delete_pod(forced)) })
}
